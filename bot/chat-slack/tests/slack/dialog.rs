//! The shortcut's dialog, and the home.

use rollbot_chat::ChatEvent;
use rollbot_chat_slack::SHORTCUT;
use rollbot_fakes::slack::{OPS, Seen};
use serde_json::{Value, json};

use crate::house::{House, eventually, overview, settings};

fn option(value: &str) -> Value {
    json!({"type": "static_select", "selected_option": {"text": {"type": "plain_text", "text": value, "emoji": false}, "value": value}})
}

fn filled(reason: &str) -> [(&'static str, &'static str, Value); 4] {
    [
        ("service", "input", option("trade")),
        (
            "reason",
            "input",
            json!({"type": "plain_text_input", "value": reason}),
        ),
        ("severity", "input", option("high")),
        ("matrix", "input", option("M6")),
    ]
}

async fn opened() -> House {
    let house = House::with(settings(), |config| {
        config.request_channel = Some(OPS.to_owned());
    })
    .await;
    house.opened(2).await;
    house.fake.shortcut("U0ANA", SHORTCUT).await;
    eventually(|| house.fake.open_view("U0ANA").is_some()).await;
    house
}

#[tokio::test]
async fn the_dialog_becomes_a_command() {
    let house = opened().await;
    house.core.say("**RB-1 was asked for**", true);
    let seen = house
        .fake
        .submit("U0ANA", &filled("orders failing\nsince noon"))
        .await;
    assert!(matches!(seen, Seen::Answer(_)), "{seen:?}");
    match &house.core.acts()[0] {
        ChatEvent::Command {
            account,
            channel,
            text,
            ..
        } => {
            assert_eq!(account.user, "U0ANA");
            assert_eq!(channel, OPS);
            assert_eq!(
                text,
                "/rollback trade reason: [high · M6 trade execution] orders failing since noon"
            );
        }
        other => panic!("{other:?}"),
    }
    let view = house.fake.open_view("U0ANA").unwrap();
    assert!(
        view.view.to_string().contains("RB-1 was asked for"),
        "the answer takes the dialog's place"
    );
}

#[tokio::test]
async fn what_is_wrong_stays_in_the_dialog() {
    let house = opened().await;
    let seen = house.fake.submit("U0ANA", &filled("  \n ")).await;
    let Seen::Answer(answer) = seen else {
        panic!("{seen:?}")
    };
    assert_eq!(answer["response_action"], "errors");
    assert!(
        answer["errors"]["reason"]
            .as_str()
            .unwrap()
            .contains("empty")
    );
    assert!(house.core.acts().is_empty());
    let errors = house.fake.open_view("U0ANA").unwrap().errors;
    assert!(errors["reason"].is_string());
    // And put right, it is taken.
    house.fake.submit("U0ANA", &filled("orders failing")).await;
    assert_eq!(house.core.acts().len(), 1);
}

#[tokio::test]
async fn a_dialog_submitted_twice_is_one_request() {
    let house = opened().await;
    house.fake.faults(|faults| faults.duplicates = 2);
    house.fake.submit("U0ANA", &filled("orders failing")).await;
    assert_eq!(house.core.acts().len(), 1);
}

#[tokio::test]
async fn the_dialog_is_legible_and_pings_nobody() {
    let house = opened().await;
    let view = house.fake.open_view("U0ANA").unwrap().view;
    insta::assert_json_snapshot!("dialog", view);
    assert_eq!(house.fake.with(|slack| slack.marked.clone()), []);
}

#[tokio::test]
async fn the_home_shows_what_runs_and_is_not_drawn_too_often() {
    let house = House::open().await;
    *house.core.overview.lock().unwrap() = overview();
    for _ in 0..5 {
        house.fake.open_home("U0ANA");
    }
    house.quiet().await;
    eventually(|| house.fake.with(|slack| slack.homes.contains_key("U0ANA"))).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(house.fake.calls("views.publish"), 1);
    let home = house.fake.with(|slack| slack.homes["U0ANA"].view.clone());
    insta::with_settings!({filters => vec![(r"As of \d\d:\d\d:\d\d UTC", "As of [now] UTC")]}, {
        insta::assert_json_snapshot!("home", home);
    });
    assert_eq!(house.fake.with(|slack| slack.marked.clone()), []);
}
