use rollbot_chat::ChatPlatform as _;
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn every_change_of_a_message_reaches_every_reader() {
    let house = House::demo().await;
    let mut ana = house.events("ana", None, None).await;
    let mut ben = house.events("ben", None, None).await;
    assert_eq!(ana.next().await.unwrap().name, "hello");
    let id = house.say("ana", "hello", "client-1").await["message"]["id"].clone();
    for events in [&mut ana, &mut ben] {
        let event = events.message().await;
        assert_eq!(event.data["text"], "hello");
        assert_eq!(event.id, event.data["change"].to_string());
    }
    let on = json!({ "emoji": "eyes", "on": true, "client_id": "client-2" });
    house
        .post_as("ben", &format!("/api/messages/{id}/reactions"), on)
        .await;
    assert_eq!(ana.message().await.data["reactions"][0]["mine"], false);
    assert_eq!(ben.message().await.data["reactions"][0]["mine"], true);
}

#[tokio::test]
async fn a_reader_who_comes_back_misses_nothing() {
    let house = House::demo().await;
    let mut events = house.events("ana", Some(0), None).await;
    let first = house.say("ana", "first", "client-1").await["message"]["id"].clone();
    let last = events.message().await.id;
    drop(events);
    house.say("ben", "second", "client-2").await;
    house.say("ben", "third", "client-3").await;
    let on = json!({ "emoji": "eyes", "on": true, "client_id": "client-4" });
    house
        .post_as("ben", &format!("/api/messages/{first}/reactions"), on)
        .await;
    for (since, id) in [
        (None, Some(last.as_str())),
        (Some(last.parse().unwrap()), None),
    ] {
        let mut events = house.events("ana", since, id).await;
        assert_eq!(events.message().await.data["text"], "second");
        assert_eq!(events.message().await.data["text"], "third");
        let changed = events.message().await.data;
        assert_eq!(
            (&changed["text"], &changed["reactions"][0]["emoji"]),
            (&json!("first"), &json!("eyes"))
        );
    }
}

#[tokio::test]
async fn what_was_loaded_and_what_is_sent_leave_no_gap() {
    let house = House::demo().await;
    house.say("ana", "one", "client-1").await;
    let (_, page) = house.get_as("ana", "/api/messages").await;
    house.say("ana", "two", "client-2").await;
    let mut events = house.events("ana", page["change"].as_i64(), None).await;
    assert_eq!(events.message().await.data["text"], "two");
}

#[tokio::test]
async fn a_reader_who_falls_behind_gets_everything_in_order() {
    let house = House::demo().await;
    let mut events = house.events("ben", None, None).await;
    for number in 0..400 {
        house.clock.pass(1);
        house
            .say(
                "ana",
                &format!("message {number}"),
                &format!("client-{number}"),
            )
            .await;
    }
    for number in 0..400 {
        assert_eq!(
            events.message().await.data["text"],
            format!("message {number}")
        );
    }
}

#[tokio::test]
async fn a_position_of_another_store_is_answered_with_a_reset() {
    let house = House::demo().await;
    house.say("ana", "hello", "client-1").await;
    let mut events = house.events("ana", None, Some("4711")).await;
    assert_eq!(events.next().await.unwrap().name, "hello");
    assert_eq!(events.next().await.unwrap().name, "reset");
    assert_eq!(events.next().await, None);
    // A position is a number; what is none is the beginning.
    let mut events = house.events("ana", None, Some("x")).await;
    assert_eq!(events.message().await.data["text"], "hello");
}

#[tokio::test]
async fn a_silent_stream_has_a_heartbeat() {
    let house = House::demo().await;
    let mut events = house.events("ana", None, None).await;
    assert_eq!(events.next().await.unwrap().name, "hello");
    assert_eq!(events.next().await.unwrap().name, "beat");
}

#[tokio::test]
async fn streams_end_when_the_server_goes_down() {
    let house = House::demo().await;
    let mut events = house.events("ana", None, None).await;
    assert_eq!(events.next().await.unwrap().name, "hello");
    house.close().await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn what_the_bot_posts_and_edits_is_sent_as_well() {
    let house = House::demo().await;
    let mut events = house.events("ana", None, None).await;
    let mut message = crate::platform::outgoing("RB-1/live", "✅ one  \n⏳ two");
    message.kind = "live".to_owned();
    let id = house.console.post(&message).await.unwrap();
    let sent = events.message().await;
    assert_eq!(sent.data["steps"]["done"], 1);
    message.body = "✅ one  \n✅ two".to_owned();
    house.console.edit(&id, &message).await.unwrap();
    let sent = events.message().await;
    assert_eq!(sent.data["steps"]["done"], 2);
    assert!(sent.data["edited_at"].is_string());
}
