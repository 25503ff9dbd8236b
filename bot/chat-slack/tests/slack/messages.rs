//! Messages: posted, edited, threaded, and too long.

use rollbot_chat::{ChatPlatform as _, Outgoing};
use rollbot_fakes::slack::OPS;

use crate::house::{House, approval, outgoing};

#[tokio::test]
async fn a_message_is_posted_with_its_reactions_and_edited_in_place() {
    let house = House::open().await;
    let ts = house.slack.post(&approval("a-1")).await.unwrap();
    let message = house
        .fake
        .with(|slack| slack.message(OPS, &ts).cloned().unwrap());
    let offered: Vec<&str> = message
        .reactions
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(offered, ["white_check_mark", "x"]);
    assert!(
        message.text.contains("RB-17"),
        "there is a text for notifications"
    );
    let edited = Outgoing {
        body: "**RB-17** is decided".to_owned(),
        buttons: Vec::new(),
        ..approval("a-1")
    };
    house.slack.edit(&ts, &edited).await.unwrap();
    let message = house
        .fake
        .with(|slack| slack.message(OPS, &ts).cloned().unwrap());
    assert_eq!(message.shown().trim(), "RB-17 is decided");
    assert_eq!(house.fake.with(|slack| slack.by_bot(OPS).len()), 1);
    assert_eq!(house.slack.find(OPS, "a-1").await.unwrap(), Some(ts));
}

#[tokio::test]
async fn what_is_too_long_goes_on_in_the_thread_and_follows_edits() {
    let house = House::open().await;
    let long = |word: &str| format!("{}\n\n", format!("{word} ").repeat(500)).repeat(6);
    let ts = house
        .slack
        .post(&outgoing("m-1", &long("first")))
        .await
        .unwrap();
    let posted = house.fake.with(|slack| slack.by_bot(OPS));
    assert!(posted.len() > 1);
    assert!(
        posted[1..]
            .iter()
            .all(|reply| reply.thread_ts.as_deref() == Some(ts.as_str()))
    );
    let words: usize = posted
        .iter()
        .map(|message| message.shown().matches("first").count())
        .sum();
    assert_eq!(words, 3_000, "nothing is lost");
    house
        .slack
        .edit(&ts, &outgoing("m-1", &long("other")))
        .await
        .unwrap();
    let edited = house.fake.with(|slack| slack.by_bot(OPS));
    assert_eq!(edited.len(), posted.len(), "the same messages say it");
    let words: usize = edited
        .iter()
        .map(|message| message.shown().matches("other").count())
        .sum();
    assert_eq!(words, 3_000);
}

#[tokio::test]
async fn what_is_longer_still_is_a_file_in_the_thread() {
    let house = House::open().await;
    let body = format!("{}\n\n", "word ".repeat(500)).repeat(14);
    let ts = house.slack.post(&outgoing("m-1", &body)).await.unwrap();
    let files: Vec<_> = house
        .fake
        .with(|slack| slack.files.values().cloned().collect());
    assert_eq!(files.len(), 1);
    assert!(files[0].complete);
    assert_eq!(files[0].thread_ts.as_deref(), Some(ts.as_str()));
    let text = String::from_utf8(files[0].bytes.clone()).unwrap();
    assert_eq!(text.matches("word").count(), 7_000);
    assert_eq!(house.fake.with(|slack| slack.by_bot(OPS).len()), 1);
}

#[tokio::test]
async fn a_single_word_of_forty_thousand_characters_is_no_trouble() {
    let house = House::open().await;
    house
        .slack
        .post(&outgoing("m-1", &"🦀".repeat(20_000)))
        .await
        .unwrap();
    house.slack.post(&outgoing("m-2", "")).await.unwrap();
    let buttons = (0..60)
        .map(|n| (format!("k{n}"), "label ".repeat(30)))
        .collect();
    let message = Outgoing {
        buttons,
        ..outgoing("m-3", &"- item\n".repeat(2_000))
    };
    house.slack.post(&message).await.unwrap();
}

#[tokio::test]
async fn a_message_in_a_thread_goes_there() {
    let house = House::open().await;
    let parent = house.slack.post(&outgoing("m-1", "parent")).await.unwrap();
    let reply = Outgoing {
        thread_of: Some(parent.clone()),
        kind: "detail".to_owned(),
        ..outgoing("m-2", "03:08:12 ✅ Stopped")
    };
    let ts = house.slack.post(&reply).await.unwrap();
    let reply = house
        .fake
        .with(|slack| slack.message(OPS, &ts).cloned().unwrap());
    assert_eq!(reply.thread_ts, Some(parent));
}
