use std::time::Duration;

use rollbot_chat::{ChatEvent, ChatPlatform as _, SendError};
use rollbot_fakes::discord::{Fault, FaultKind, Outcome, permission};

use crate::house::House;

const BODY: &str = "**RB-17 · rollback of trade · running**\n\n✅ Stop\nApproved by Ben";

#[tokio::test]
async fn a_message_is_posted_edited_and_found() {
    let house = House::open().await;
    let mut message = house.outgoing("RB-17/live", "live", BODY);
    message.reactions = vec!["white_check_mark".to_owned()];
    let id = house.discord.post(&message).await.unwrap();
    let at = id.parse().unwrap();
    let seen = house.fake.message(house.channel, at).unwrap();
    assert_eq!(
        seen.embeds[0]["title"],
        "RB-17 · rollback of trade · running"
    );
    message.body = BODY.replace("running", "verified");
    message.reactions.clear();
    house.discord.edit(&id, &message).await.unwrap();
    let seen = house.fake.message(house.channel, at).unwrap();
    assert_eq!(
        seen.embeds[0]["title"],
        "RB-17 · rollback of trade · verified"
    );
    assert!(seen.reactions.is_empty());
    let channel = house.channel.to_string();
    let found = house.discord.find(&channel, "RB-17/live").await.unwrap();
    assert_eq!(found, Some(id));
    assert_eq!(
        house.discord.find(&channel, "RB-18/live").await.unwrap(),
        None
    );
    house.close().await;
}

#[tokio::test]
async fn another_process_finds_what_was_posted_and_is_not_fooled_by_others() {
    let house = House::open().await;
    let message = house.outgoing("RB-17/live", "live", BODY);
    let id = house.discord.post(&message).await.unwrap();
    let detail = {
        let mut detail = house.outgoing("RB-17/detail/1", "detail", "03:08:12 ✅ Stopped");
        detail.thread_of = Some(id.clone());
        house.discord.post(&detail).await.unwrap()
    };
    for number in 0..230 {
        house
            .fake
            .say(house.ana, house.channel, &format!("talk {number}"));
    }
    house
        .fake
        .imitate(house.ana, house.channel, id.parse().unwrap());
    let config = crate::house::config(&house.fake, |_| {});
    let other = rollbot_chat_discord::Discord::new(config).unwrap();
    let channel = house.channel.to_string();
    assert_eq!(other.find(&channel, "RB-17/live").await.unwrap(), Some(id));
    assert_eq!(
        other.find(&channel, "RB-17/detail/1").await.unwrap(),
        Some(detail)
    );
    let reads = house.fake.count("GET", "/messages");
    assert_eq!(other.find(&channel, "RB-99/live").await.unwrap(), None);
    assert_eq!(
        house.fake.count("GET", "/messages"),
        reads,
        "what was just read is not read again"
    );
    house.close().await;
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_there_once() {
    let house =
        House::open_with(|config| config.deadlines.request = Duration::from_millis(300)).await;
    let message = house.outgoing("RB-17/live", "live", BODY);
    house
        .fake
        .fault(Fault::once("POST", "/messages", FaultKind::LostAnswer));
    let sent = house.discord.post(&message).await;
    assert!(matches!(sent, Err(SendError::Again { .. })), "{sent:?}");
    // The nonce alone is enough for some minutes,
    house.discord.post(&message).await.unwrap();
    assert_eq!(house.fake.messages(house.channel).len(), 1);
    // and the channel's history after that.
    let other = house.outgoing("RB-18/live", "live", BODY);
    house
        .fake
        .fault(Fault::once("POST", "/messages", FaultKind::LostAnswer));
    assert!(house.discord.post(&other).await.is_err());
    let found = house
        .discord
        .find(&house.channel.to_string(), "RB-18/live")
        .await
        .unwrap();
    assert_eq!(
        found,
        Some(house.fake.messages(house.channel)[1].id.to_string())
    );
    house.close().await;
}

#[tokio::test]
async fn details_go_into_the_thread_of_their_message() {
    let house = House::open().await;
    let parent = house
        .discord
        .post(&house.outgoing("RB-17/live", "live", BODY))
        .await
        .unwrap();
    let mut refs = Vec::new();
    for number in 0..3 {
        let mut detail = house.outgoing(
            &format!("d{number}"),
            "detail",
            "03:08:12 ✅ Stopped `trade`\n- SIGTERM to 4711",
        );
        detail.thread_of = Some(parent.clone());
        refs.push(house.discord.post(&detail).await.unwrap());
    }
    let thread: u64 = parent.parse().unwrap();
    assert_eq!(
        house.fake.thread_name(thread).unwrap(),
        "RB-17 · rollback of trade"
    );
    assert_eq!(house.fake.messages(thread).len(), 3);
    assert_eq!(house.fake.count("POST", "/threads"), 1);
    assert!(
        refs.iter()
            .all(|found| found.starts_with(&format!("{parent}/")))
    );
    // Another process finds the thread there.
    let other =
        rollbot_chat_discord::Discord::new(crate::house::config(&house.fake, |_| {})).unwrap();
    let mut detail = house.outgoing("d9", "detail", "more");
    detail.thread_of = Some(parent.clone());
    let posted = other.post(&detail).await.unwrap();
    other
        .edit(&posted, &house.outgoing("d9", "detail", "more of it"))
        .await
        .unwrap();
    assert_eq!(house.fake.count("POST", "/threads"), 1);
    let last = house.fake.messages(thread).pop().unwrap();
    assert!(last.content.starts_with("more of it"));
    house.close().await;
}

#[tokio::test]
async fn a_button_under_a_question_is_a_choice() {
    let house = House::open().await;
    let mut question = house.outgoing(
        "RB-17/question",
        "question",
        "**⏸️ RB-17 · trade is paused and asks**\n\nWhy?",
    );
    question.buttons = [
        ("retry", "Retry"),
        ("skip", "Skip"),
        ("done", "Mark as done"),
        ("undo", "Undo"),
        ("abort", "Abort"),
        ("x", "More"),
    ]
    .map(|(key, label)| (key.to_owned(), label.to_owned()))
    .to_vec();
    let id: u64 = house
        .discord
        .post(&question)
        .await
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        house
            .fake
            .message(house.channel, id)
            .unwrap()
            .components
            .len(),
        2
    );
    let press = house
        .fake
        .press(house.ben, house.channel, id, "Undo")
        .unwrap();
    let Outcome::Answered { kind, .. } = house.answered(press).await else {
        panic!("no answer");
    };
    assert_eq!(kind, 6);
    let ChatEvent::Button {
        account,
        message,
        choice,
        ..
    } = house.ears.acts()[0].clone()
    else {
        panic!("{:?}", house.ears.acts());
    };
    assert_eq!(
        (account.user, choice.as_str()),
        (house.ben.to_string(), "undo")
    );
    assert_eq!(
        (message.channel, message.message_ref),
        (house.channel.to_string(), id.to_string())
    );
    house.ears.say("It was answered already: Undo.", true);
    let press = house
        .fake
        .press(house.ana, house.channel, id, "Retry")
        .unwrap();
    house.answered(press).await;
    assert_eq!(house.fake.answers(press)[0].only_for, Some(house.ana));
    question.buttons.clear();
    house
        .discord
        .edit(&id.to_string(), &question)
        .await
        .unwrap();
    assert!(
        house
            .fake
            .message(house.channel, id)
            .unwrap()
            .components
            .is_empty()
    );
    house.close().await;
}

#[tokio::test]
async fn what_discord_refuses_for_good_is_not_tried_again() {
    let house = House::open().await;
    let mut message = house.outgoing("a", "notice", "text");
    message.channel = "123456789012345678".to_owned();
    let sent = house.discord.post(&message).await;
    let Err(SendError::Refused(why)) = sent else {
        panic!("{sent:?}");
    };
    assert!(why.contains("10003") && why.contains("id right"), "{why}");
    message.channel = "operations".to_owned();
    let sent = house.discord.post(&message).await;
    assert!(
        matches!(&sent, Err(SendError::Refused(why)) if why.contains("Copy ID")),
        "{sent:?}"
    );
    house.fake.deny(house.channel, permission::SEND_MESSAGES);
    let message = house.outgoing("a", "notice", "text");
    let sent = house.discord.post(&message).await;
    assert!(
        matches!(&sent, Err(SendError::Refused(why)) if why.contains("check --online")),
        "{sent:?}"
    );
    house.fake.deny(house.channel, 0);
    house
        .fake
        .fault(Fault::once("POST", "/messages", FaultKind::ServerError));
    let sent = house.discord.post(&message).await;
    assert!(matches!(sent, Err(SendError::Again { .. })), "{sent:?}");
    let id = house.discord.post(&message).await.unwrap();
    house.fake.delete(house.channel, id.parse().unwrap());
    let edited = house.discord.edit(&id, &message).await;
    assert!(
        matches!(&edited, Err(SendError::Refused(why)) if why.contains("10008")),
        "{edited:?}"
    );
    house.close().await;
}

#[tokio::test]
async fn a_text_that_is_too_long_keeps_its_end_in_a_file() {
    let house = House::open().await;
    let body = format!(
        "**RB-17**\n\n{}",
        "A line that says something.\n\n".repeat(400)
    );
    let message = house.outgoing("long", "notice", &body);
    let id = house.discord.post(&message).await.unwrap();
    let seen = house
        .fake
        .message(house.channel, id.parse().unwrap())
        .unwrap();
    assert_eq!(seen.files[0].0, "message.md");
    assert_eq!(seen.files[0].1.matches("A line").count(), 400);
    house.discord.edit(&id, &message).await.unwrap();
    assert_eq!(
        house
            .fake
            .message(house.channel, id.parse().unwrap())
            .unwrap()
            .files
            .len(),
        1
    );
    house
        .discord
        .edit(&id, &house.outgoing("long", "notice", "short now"))
        .await
        .unwrap();
    assert!(
        house
            .fake
            .message(house.channel, id.parse().unwrap())
            .unwrap()
            .files
            .is_empty()
    );
    house.close().await;
}
