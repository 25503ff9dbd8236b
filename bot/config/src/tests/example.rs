//! The example in `config/` is in order, and shows every key.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use rollbot_core::plan::{ArchiveFormat, HttpMethod, JsonTest};
use rollbot_engine::Limits;

use crate::config::{Access, Cutover, DiscordWay, Process, SlackWay};
use crate::{Config, PEOPLE, ROLLBOT, SERVICES, Secret};

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config"))
}

fn example() -> Config {
    super::loaded(&directory()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn text(file: &str) -> String {
    std::fs::read_to_string(directory().join(file)).unwrap()
}

#[test]
fn the_example_is_the_whole_platform() {
    let config = example();
    assert_eq!(
        config.service_names(),
        ["trade", "data", "auth", "strategy", "backtest", "mcp"]
    );
    let ports: Vec<_> = config
        .services
        .iter()
        .map(|service| service.description.port.unwrap_or(0))
        .collect();
    assert_eq!(ports, [9003, 9004, 9000, 9001, 9002, 0]);
    let mcp = config.service("mcp").unwrap();
    assert_eq!(mcp.description.units.len(), 5);
    assert_eq!(mcp.description.compose_services.len(), 5);
    assert_eq!(mcp.description.archive_name, "mcp_services");
    assert_eq!(config.people.iter().count(), 5);
    assert_eq!(config.bot.product, "Cryptobot");
    assert!(matches!(
        config.console.unwrap().access,
        Access::TrustedHeader { from, .. } if from.len() == 2
    ));
}

#[test]
fn the_example_of_trade_means_what_it_says() {
    let config = example();
    let trade = config.service("trade").unwrap();
    assert_eq!(trade.title, "Trading");
    assert!(trade.critical);
    assert_eq!(
        trade.cutover,
        Cutover::File("/opt/cryptobot/shared_data/cutover/trade".into())
    );
    assert_eq!(trade.approval.required, 1);
    assert_eq!(
        trade.approval.groups,
        BTreeSet::from(["treasury".to_owned()])
    );
    assert_eq!(trade.approval.expiry_seconds, 600);
    let check = |name: &str| {
        let checks = &trade.description.checks;
        &checks
            .iter()
            .find(|check| check.name == name)
            .unwrap()
            .check
    };
    let order = check("paper-order");
    assert_eq!(order.method, HttpMethod::Post);
    assert!(order.idempotency_key);
    assert_eq!(order.within, 10_000);
    assert_eq!(
        order.body.as_deref(),
        Some(r#"{"quantity":"0.001","side":"buy","symbol":"BTC-USD"}"#)
    );
    assert_eq!(
        order.expect[0].test,
        JsonTest::Equals(r#""filled""#.to_owned())
    );
    let header = order
        .headers
        .iter()
        .find(|header| header.name == "Authorization")
        .unwrap();
    assert_eq!(
        header.value,
        "Bearer {secret:trade.paper-order.authorization}"
    );
    assert_eq!(
        config.secrets["trade.paper-order.authorization"].reveal(),
        "hunter2"
    );
    assert_eq!(check("in-flight").expect[0].test, JsonTest::AtMost(0.0));
    assert_eq!(check("health").expect.len(), 3);
    let setting = |name: &str| {
        let settings = &trade.description.settings;
        settings
            .iter()
            .find(|setting| setting.name == name)
            .unwrap()
            .value
            .clone()
    };
    assert_eq!(setting("in-flight-limit"), "60000");
    let granted = &trade.grants.hosts["local"].probe;
    assert!(granted.addresses.contains("127.0.0.1:9000"));
    assert!(!granted.urls.contains("http://127.0.0.1:9000/health"));
    assert!(granted.urls.contains("http://127.0.0.1:9003/health"));
    assert!(!format!("{config:?}").contains("hunter2"));
}

/// The keys that the structs know, as serde tells them to somebody who wrote another one.
fn keys_of<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let Err(error) = toml::from_str::<T>("no-such-key = 1") else {
        panic!("an unknown key was accepted");
    };
    error
        .message()
        .split('`')
        .skip(3)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_example_shows_every_key() {
    use crate::written::*;
    let missing = |file: &str, keys: &[Vec<String>]| -> Vec<String> {
        let text = text(file);
        let shown = |key: &String| {
            let shown = [
                format!("{key} ="),
                format!("[{key}]"),
                format!("[{key}."),
                format!(".{key}]"),
                format!(".{key}."),
                format!("{key},"),
            ];
            shown.iter().any(|form| text.contains(form.as_str()))
        };
        let all: Vec<_> = keys.iter().flatten().collect();
        assert!(all.len() > 3);
        all.into_iter().filter(|key| !shown(key)).cloned().collect()
    };
    let main = [
        keys_of::<Rollbot>(),
        keys_of::<Bot>(),
        keys_of::<Store>(),
        keys_of::<Console>(),
        keys_of::<Channel>(),
        keys_of::<Control>(),
        keys_of::<Slack>(),
        keys_of::<Discord>(),
        keys_of::<Webhooks>(),
        keys_of::<Chat>(),
        keys_of::<Approval>(),
        keys_of::<BreakGlass>(),
        keys_of::<StatusUpdate>(),
        keys_of::<Templates>(),
        keys_of::<Engine>(),
        keys_of::<Docker>(),
        keys_of::<ComposeProject>(),
        keys_of::<Backup>(),
        keys_of::<Registry>(),
        keys_of::<Process>(),
        keys_of::<Unit>(),
        keys_of::<Log>(),
        keys_of::<Host>(),
        keys_of::<SecretSource>(),
    ];
    assert_eq!(missing(ROLLBOT, &main), Vec::<String>::new());
    let services = [
        keys_of::<Services>(),
        keys_of::<Service>(),
        keys_of::<ServiceRegistry>(),
        keys_of::<Check>(),
        keys_of::<Expectation>(),
        keys_of::<Grants>(),
        keys_of::<GrantList>(),
    ];
    assert_eq!(missing(SERVICES, &services), Vec::<String>::new());
    let people = [
        keys_of::<People>(),
        keys_of::<Person>(),
        keys_of::<SlackAccount>(),
    ];
    assert_eq!(missing(PEOPLE, &people), Vec::<String>::new());
}

/// Commented-out keys are there to be uncommented: they must be right, and say the default.
#[test]
fn what_is_commented_out_in_the_example_is_the_default() {
    let mut changed = String::new();
    for line in text(ROLLBOT).lines() {
        let key = line.strip_prefix("# ").filter(|rest| {
            let key = rest.split(" =").next().unwrap_or_default();
            rest.contains(" = ")
                && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                // Without a default, and those of "commands".
                && !["env_file", "bus", "state_directory", "name", "argv", "log", "port",
                     "environment", "directory", "signing_secret", "public_key"].contains(&key)
        });
        changed.push_str(key.unwrap_or(line));
        changed.push('\n');
    }
    assert_ne!(changed, text(ROLLBOT));
    let changed = super::load(&changed, &text(SERVICES), &text(PEOPLE)).unwrap();
    let example = example();
    assert_eq!(changed.engine.limits, Limits::default());
    assert_eq!(changed.engine.cache_dir, example.engine.cache_dir);
    assert_eq!(changed.approval, example.approval);
    assert_eq!(changed.store, example.store);
    assert_eq!(changed.console, example.console);
    assert_eq!(changed.status_update, example.status_update);
    assert_eq!(changed.docker, example.docker);
    assert_eq!(changed.backup, example.backup);
    assert_eq!(changed.backup.format, ArchiveFormat::TarZst);
    assert_eq!(changed.process, Process::Auto);
    assert_eq!(changed.log, example.log);
    assert_eq!(changed.registry, example.registry);
    assert_eq!(changed.slack, example.slack);
    assert_eq!(changed.discord, example.discord);
    assert_eq!(changed.webhooks, example.webhooks);
}

#[test]
fn the_example_has_a_slack_app_and_a_discord_application() {
    let config = example();
    let slack = config.slack.clone().unwrap();
    assert_eq!(slack.api_url.as_str(), "https://slack.com/api");
    assert_eq!(slack.bot_token, Secret::new("xoxb-1"));
    let app_token = Secret::new("xapp-1");
    assert_eq!(
        slack.way,
        SlackWay::Socket {
            app_token,
            sockets: 2
        }
    );
    let discord = config.discord.clone().unwrap();
    assert_eq!(discord.api_url.as_str(), "https://discord.com/");
    assert_eq!(discord.guild, Some(1_029_384_756_000_000_001));
    assert_eq!(discord.way, DiscordWay::Gateway);
    assert!(!config.has_webhooks());
    assert_eq!(config.webhooks, SocketAddr::from(([127, 0, 0, 1], 8701)));
    let platforms: Vec<_> = config
        .chat
        .operations
        .iter()
        .map(|to| to.platform.as_str())
        .collect();
    assert_eq!(platforms, ["console", "slack", "discord"]);
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("xoxb-1") && !shown.contains("d-token"),
        "{shown}"
    );
}

#[test]
fn units_that_are_commands_can_be_uncommented() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("exchange-token");
    std::fs::write(&secret, "s3cret\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = text(ROLLBOT);
    let (before, rest) = text.split_once("# manager = \"auto\"").unwrap();
    let (units, after) = rest.split_once("# [[process.unit]]").unwrap();
    let (unit, after) = after.split_once("\n\n").unwrap();
    let unit = unit.replace("\n# ", "\n").replace(
        "/etc/cryptobot/exchange-token",
        &secret.display().to_string(),
    );
    let text = format!("{before}manager = \"commands\"{units}[[process.unit]]{unit}\n\n{after}");
    let people = self::text(PEOPLE);
    let config = super::load(&text, super::SERVICES, &people).unwrap();
    let Process::Commands { units, .. } = config.process else {
        panic!("there should be commands");
    };
    assert_eq!(units[0].argv.len(), 3);
    assert_eq!(units[0].environment["EXCHANGE_TOKEN"].reveal(), "s3cret");
    assert_eq!(units[0].environment["MODE"].reveal(), "live");
}
