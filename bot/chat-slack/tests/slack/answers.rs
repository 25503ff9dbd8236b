//! Buttons and what is whispered.

use rollbot_chat::{ChatEvent, ChatPlatform as _, SendError};
use rollbot_core::approval::Account;
use rollbot_fakes::slack::{OPS, Press, Seen, TEAM_ID};

use crate::house::{House, approval, eventually};

fn ben() -> Account {
    Account {
        platform: "slack".to_owned(),
        team: TEAM_ID.to_owned(),
        user: "U0BEN".to_owned(),
    }
}

#[tokio::test]
async fn a_button_says_which_choice_on_which_message() {
    let house = House::open().await;
    let ts = house.slack.post(&approval("a-1")).await.unwrap();
    house.core.say("You may not vote: you asked for it.", true);
    let press = Press {
        user: "U0BEN",
        channel: OPS,
        ts: &ts,
        action_id: "choice:veto",
    };
    assert_eq!(house.fake.press(press).await, Seen::Nothing);
    match &house.core.acts()[0] {
        ChatEvent::Button {
            account,
            message,
            choice,
            ..
        } => {
            assert_eq!(*account, ben());
            assert_eq!((message.channel.as_str(), &message.message_ref), (OPS, &ts));
            assert_eq!(choice, "veto");
        }
        other => panic!("{other:?}"),
    }
    eventually(|| house.fake.with(|slack| slack.whispered_to("U0BEN").len()) == 1).await;
    let message = house
        .fake
        .with(|slack| slack.message(OPS, &ts).cloned().unwrap());
    assert!(
        message.shown().contains("RB-17"),
        "the message itself stays"
    );
}

#[tokio::test]
async fn once_the_response_url_is_used_up_answers_are_ephemeral_messages() {
    let house = House::with(
        rollbot_fakes::slack::Settings {
            response_url_uses: 0,
            ..crate::house::settings()
        },
        |_| {},
    )
    .await;
    house.opened(2).await;
    let ts = house.slack.post(&approval("a-1")).await.unwrap();
    house.core.say("no", true);
    let press = Press {
        user: "U0BEN",
        channel: OPS,
        ts: &ts,
        action_id: "choice:approve",
    };
    house.fake.press(press).await;
    eventually(|| house.fake.calls("chat.postEphemeral") == 1).await;
}

#[tokio::test]
async fn a_whisper_is_heard_by_one_and_refused_for_strangers() {
    let house = House::open().await;
    house
        .slack
        .whisper(OPS, &ben(), "only **you**")
        .await
        .unwrap();
    let heard = house.fake.with(|slack| slack.whispered_to("U0BEN"));
    assert_eq!(heard.len(), 1);
    let nobody = Account {
        user: "U0NOBODY".to_owned(),
        ..ben()
    };
    let refused = house.slack.whisper(OPS, &nobody, "x").await.unwrap_err();
    assert!(matches!(refused, SendError::Refused(why) if why.contains("user_not_found")));
}
