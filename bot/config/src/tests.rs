#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod errors;
mod example;
mod written;

use std::path::Path;

use crate::{Config, ConfigErrors, Loader};

const SERVICE_TYPES: [&str; 6] = ["auth", "backtest", "data", "mcp", "strategy", "trade"];

/// A small configuration that is in order; each test changes a part of it.
const ROLLBOT: &str = r#"state_directory = "/var/lib/rollbot"

[bot]
product = "Cryptobot"
support = "support@cryptobot.example"

[[console.channel]]
name = "ops"

[chat]
operations = ["console/ops"]
announcements = ["console/ops"]

[approval]
required = 2
groups = ["approvers"]

[docker.project.cryptobot]
directory = "/opt/cryptobot/docker"

[backup]
directory = "/opt/cryptobot/backups"

[registry]
path = "/opt/cryptobot/registry.json"
"#;

const SERVICES: &str = r#"[[service]]
name = "trade"
type = "trade"
units = ["cryptobot-trade"]
port = 9003
compose_project = "cryptobot"
compose_services = ["trade"]
data_directory = "/opt/cryptobot/trade"
registry = { key = "trade", native = "n", docker = "d" }

[service.checks.health]
url = "http://127.0.0.1:9003/health"
"#;

const PEOPLE: &str = r#"[[person]]
id = "ana"
name = "Ana"
groups = ["approvers"]
console = true

[[person]]
id = "ben"
name = "Ben"
groups = ["approvers"]
console = true

[[person]]
id = "cleo"
name = "Cleo"
groups = ["approvers"]
unix = "cleo"

[[person]]
id = "dan"
name = "Dan"
groups = ["support"]
"#;

/// Loads three texts, and calls the directory `config` in errors.
fn load(rollbot: &str, services: &str, people: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        (crate::ROLLBOT, rollbot),
        (crate::SERVICES, services),
        (crate::PEOPLE, people),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    loaded(directory.path()).map_err(|errors| {
        let shown = directory.path().display().to_string();
        errors.to_string().replace(&shown, "config")
    })
}

fn loaded(directory: &Path) -> Result<Config, ConfigErrors> {
    Loader::default()
        .service_types(SERVICE_TYPES)
        .environment([
            ("TRADE_PAPER_TOKEN", "hunter2"),
            ("EMPTY", ""),
            ("LINES", "a\nb"),
            ("SLACK_BOT_TOKEN", "xoxb-1"),
            ("SLACK_APP_TOKEN", "xapp-1"),
            ("DISCORD_TOKEN", "d-token"),
        ])
        .load(directory)
}

/// The errors of the small configuration with more in one of the files.
fn with_rollbot(change: impl Fn(&str) -> String) -> String {
    load(&change(ROLLBOT), SERVICES, PEOPLE).expect_err("there should be errors")
}

fn with_services(change: impl Fn(&str) -> String) -> String {
    load(ROLLBOT, &change(SERVICES), PEOPLE).expect_err("there should be errors")
}

fn with_people(change: impl Fn(&str) -> String) -> String {
    load(ROLLBOT, SERVICES, &change(PEOPLE)).expect_err("there should be errors")
}

#[test]
fn the_small_configuration_is_in_order() {
    let config = load(ROLLBOT, SERVICES, PEOPLE).unwrap();
    assert_eq!(config.service_names(), ["trade"]);
    let service = config.service("trade").unwrap();
    assert_eq!(service.description.archive_name, "trade_service");
    assert_eq!(service.approval, config.approval);
    assert_eq!(config.approval.expiry_seconds, 900);
    assert!(!config.approval.requester_counts && !config.break_glass.enabled);
    assert_eq!(config.hosts.len(), 1);
    let console = config.console.unwrap();
    assert!(console.listen.ip().is_loopback());
    assert_eq!(console.public_url, "http://127.0.0.1:8700");
}
