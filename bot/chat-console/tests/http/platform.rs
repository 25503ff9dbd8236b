use rollbot_chat::{ChatPlatform as _, Outgoing, SendError, StandingReaction, console_account};
use rollbot_core::approval::Account;
use serde_json::json;

use crate::house::House;

pub fn outgoing(identity: &str, body: &str) -> Outgoing {
    Outgoing {
        identity: identity.to_owned(),
        channel: "ops".to_owned(),
        thread_of: None,
        body: body.to_owned(),
        kind: "notice".to_owned(),
        reactions: Vec::new(),
        buttons: Vec::new(),
    }
}

#[tokio::test]
async fn a_message_with_the_same_identity_is_the_same_message() {
    let house = House::demo().await;
    let first = house
        .console
        .post(&outgoing("RB-1/live", "one"))
        .await
        .unwrap();
    let again = house
        .console
        .post(&outgoing("RB-1/live", "two"))
        .await
        .unwrap();
    assert_eq!(first, again);
    assert_eq!(
        house.console.find("ops", "RB-1/live").await.unwrap(),
        Some(first)
    );
    assert_eq!(
        house
            .console
            .find("announcements", "RB-1/live")
            .await
            .unwrap(),
        None
    );
    assert_eq!(house.console.find("ops", "RB-2/live").await.unwrap(), None);
    let messages = house.messages("ana").await;
    assert_eq!(
        (messages.len(), messages[0]["text"].as_str()),
        (1, Some("two"))
    );
}

#[tokio::test]
async fn details_go_into_the_thread_of_their_message() {
    let house = House::demo().await;
    let root = house
        .console
        .post(&outgoing("RB-1/live", "live"))
        .await
        .unwrap();
    let mut detail = outgoing("RB-1/detail/1", "detail");
    detail.thread_of = Some(root.clone());
    house.console.post(&detail).await.unwrap();
    assert_eq!(
        house.messages("ana").await[1]["thread_of"].to_string(),
        root
    );
}

#[tokio::test]
async fn reactions_are_those_of_people_and_offers_come_and_go() {
    let house = House::demo().await;
    let mut message = outgoing("RB-1/approval", "vote");
    message.reactions = vec!["white_check_mark".to_owned(), "x".to_owned()];
    let id = house.console.post(&message).await.unwrap();
    assert_eq!(house.console.reactions("ops", &id).await.unwrap(), []);
    let on = json!({ "emoji": "white_check_mark", "on": true, "client_id": "client-1" });
    house
        .post_as("ben", &format!("/api/messages/{id}/reactions"), on)
        .await;
    let standing = StandingReaction {
        account: console_account(&"ben".into()),
        emoji: "white_check_mark".to_owned(),
    };
    assert_eq!(
        house.console.reactions("ops", &id).await.unwrap(),
        std::slice::from_ref(&standing)
    );
    message.reactions.clear();
    house.console.edit(&id, &message).await.unwrap();
    assert_eq!(
        house.console.reactions("ops", &id).await.unwrap(),
        [standing]
    );
    let shown = house.messages("ana").await[0]["reactions"].clone();
    assert_eq!(shown.as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(shown[0]["offered"], false);
}

#[tokio::test]
async fn what_can_never_arrive_is_refused_for_good() {
    let house = House::demo().await;
    let refused = |error: SendError| matches!(error, SendError::Refused(_));
    let mut lost = outgoing("RB-1/live", "x");
    lost.channel = "nowhere".to_owned();
    assert!(refused(house.console.post(&lost).await.unwrap_err()));
    let mut lost = outgoing("RB-1/live", "x");
    lost.thread_of = Some("not a number".to_owned());
    assert!(refused(house.console.post(&lost).await.unwrap_err()));
    assert!(refused(
        house
            .console
            .edit("999", &outgoing("RB-1/live", "x"))
            .await
            .unwrap_err()
    ));
    assert!(refused(
        house.console.reactions("ops", "999").await.unwrap_err()
    ));
}

#[tokio::test]
async fn a_whisper_is_heard_by_one_person_and_strangers_hear_nothing() {
    let house = House::demo().await;
    let ana = console_account(&"ana".into());
    house.console.whisper("ops", &ana, "psst").await.unwrap();
    house.console.whisper("ops", &ana, "psst").await.unwrap();
    assert_eq!(house.messages("ana").await.len(), 2);
    assert_eq!(house.messages("ben").await.len(), 0);
    let stranger = console_account(&"eve".into());
    assert!(
        house
            .console
            .whisper("ops", &stranger, "psst")
            .await
            .is_err()
    );
    let slack = Account {
        platform: "slack".into(),
        team: "T1".into(),
        user: "ana".into(),
    };
    assert!(house.console.whisper("ops", &slack, "psst").await.is_err());
}
