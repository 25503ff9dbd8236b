//! What `rollbot check --online` and `rollbot people check` are told.

use rollbot_chat::{Finding, Level, OnlineCheck as _};
use rollbot_chat_slack::{SCOPES, Slack, SlackConfig};
use rollbot_core::approval::Account;
use rollbot_fakes::slack::{OPS, TEAM_ID};

use crate::house::{House, settings};

fn shown(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|finding| match finding.remedy.as_str() {
            "" => format!("{:?}: {}\n", finding.level, finding.what),
            remedy => format!("{:?}: {} -> {remedy}\n", finding.level, finding.what),
        })
        .collect()
}

#[tokio::test]
async fn a_good_set_up_passes() {
    let house = House::open().await;
    let findings = house.slack.check(&[OPS.to_owned()]).await;
    assert!(
        findings.iter().all(|finding| finding.level == Level::Pass),
        "{}",
        shown(&findings)
    );
}

#[tokio::test]
async fn each_missing_scope_and_each_unreachable_channel_is_named() {
    let house = House::open().await;
    house.fake.with(|slack| {
        slack.scopes.remove("reactions:read");
        slack.scopes.remove("files:write");
        slack.app_scopes.clear();
        slack.add_channel("C0OUT", "outside");
        let channel = slack.channels.get_mut("C0OUT").unwrap();
        channel.members.remove(rollbot_fakes::slack::BOT_USER);
    });
    let channels = [OPS, "C0OUT", "C0NONE"].map(str::to_owned);
    insta::assert_snapshot!(shown(&house.slack.check(&channels).await));
}

#[tokio::test]
async fn a_bad_token_and_another_workspace_are_said_at_once() {
    let house = House::with(settings(), |config| {
        config.team = Some("T0OTHER".to_owned())
    })
    .await;
    insta::assert_snapshot!("another_workspace", shown(&house.slack.check(&[]).await));
    let config = SlackConfig {
        api_url: house.fake.api_url(),
        ..SlackConfig::socket_mode("xoxb-wrong", "xapp-wrong")
    };
    let slack = Slack::new(config).unwrap();
    insta::assert_snapshot!("a_bad_token", shown(&slack.check(&[]).await));
}

#[tokio::test]
async fn people_bots_guests_and_the_gone_are_told_apart() {
    let house = House::open().await;
    house.fake.with(|slack| {
        slack.users.get_mut("U0CLEO").unwrap().deleted = true;
        slack.users.get_mut("U0DREW").unwrap().restricted = true;
    });
    let facts = async |user: &str| {
        let account = Account {
            platform: "slack".to_owned(),
            team: TEAM_ID.to_owned(),
            user: user.to_owned(),
        };
        house.slack.look_up(&account).await.unwrap()
    };
    let ana = facts("U0ANA").await.unwrap();
    assert_eq!(
        (ana.name.as_str(), ana.bot, ana.gone, ana.guest),
        ("Ana Almeida", false, false, false)
    );
    assert!(facts("U0CLEO").await.unwrap().gone);
    assert!(facts("U0DREW").await.unwrap().guest);
    assert!(facts(rollbot_fakes::slack::BOT_USER).await.unwrap().bot);
    assert_eq!(facts("U0NOBODY").await, None);
}

#[test]
fn credentials_are_not_shown() {
    let config = SlackConfig::socket_mode("xoxb-secret", "xapp-secret");
    assert!(!format!("{config:?}").contains("secret"));
    let slack = Slack::new(config).unwrap();
    assert!(!format!("{slack:?}").contains("secret"));
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let refused = |change: fn(&mut SlackConfig)| {
        let mut config = SlackConfig::socket_mode("xoxb-1", "xapp-1");
        change(&mut config);
        Slack::new(config).unwrap_err().to_string()
    };
    let all = [
        refused(|config| config.api_url = "slack".to_owned()),
        refused(|config| config.api_url = "https://slack.com/api/".to_owned()),
        refused(|config| config.bot_token = "xoxp-1".to_owned()),
        refused(|config| config.app_token = None),
        refused(|config| config.mode = rollbot_chat_slack::Mode::Socket { sockets: 1 }),
        refused(|config| config.mode = rollbot_chat_slack::Mode::Http),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

/// The manifest is what people paste into Slack: it must ask for what is needed, and for no more.
#[test]
fn the_manifest_asks_for_exactly_these_scopes() {
    let manifest = include_str!("../../../../config/slack-manifest.yaml");
    let asked: std::collections::BTreeSet<&str> = manifest
        .lines()
        .skip_while(|line| line.trim() != "bot:")
        .skip(1)
        .take_while(|line| line.trim_start().starts_with("- "))
        .map(|line| line.trim_start().trim_start_matches("- ").trim())
        .collect();
    let needed = SCOPES.iter().map(|(scope, _)| *scope).collect();
    assert_eq!(asked, needed);
    assert!(manifest.contains(rollbot_chat_slack::SHORTCUT));
}
