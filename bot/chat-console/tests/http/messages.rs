use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use rollbot_chat::{ChatEvent, ChatPlatform as _, Outgoing, console_account};
use rollbot_core::EventKey;
use serde_json::{Value, json};

use crate::house::{House, code, demo, people};

fn asking(buttons: &[(&str, &str)]) -> Outgoing {
    Outgoing {
        identity: "RB-1/question@console/ops".to_owned(),
        channel: "ops".to_owned(),
        thread_of: None,
        body: "**What now?**".to_owned(),
        kind: "question".to_owned(),
        reactions: vec!["white_check_mark".to_owned(), "x".to_owned()],
        buttons: buttons
            .iter()
            .map(|(key, label)| ((*key).into(), (*label).into()))
            .collect(),
    }
}

#[tokio::test]
async fn a_message_is_shown_to_everybody_as_its_literal_text() {
    let house = House::demo().await;
    let text = "is *trade* down?\n<script>alert(1)</script> `x` [a](http://b)";
    let said = house.say("ana", text, "client-1").await;
    assert_eq!(said["message"]["text"], text);
    assert_eq!(said["answer"], Value::Null);
    let seen = house.messages("ben").await;
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0]["author"],
        json!({ "id": "ana", "name": "Ana Lindqvist" })
    );
    assert_eq!(seen[0]["kind"], "said");
    let html = seen[0]["html"].as_str().unwrap();
    assert!(
        html.contains("&lt;script&gt;") && !html.contains("<a ") && !html.contains("<em>"),
        "{html}"
    );
    assert!(
        house.recorder.events().is_empty(),
        "ordinary text is no event"
    );
}

#[tokio::test]
async fn a_command_is_shown_and_dispatched_and_its_answer_is_a_reply() {
    let house = House::demo().await;
    house.recorder.answers("**RB-1** is recorded", false);
    let said = house
        .say(
            "ana",
            "  /rollback trade reason: orders failing\n",
            "client-1",
        )
        .await;
    assert_eq!(said["message"]["kind"], "command");
    assert_eq!(
        said["message"]["text"],
        "/rollback trade reason: orders failing"
    );
    assert_eq!(
        said["answer"]["html"],
        "<p><strong>RB-1</strong> is recorded</p>"
    );
    assert_eq!(said["answer"]["private"], false);
    assert_eq!(said["answer"]["author"], Value::Null);
    assert_eq!(
        house.recorder.events(),
        vec![ChatEvent::Command {
            key: EventKey::new("console", "client-1"),
            account: console_account(&"ana".into()),
            channel: "ops".to_owned(),
            text: "/rollback trade reason: orders failing".to_owned(),
        }]
    );
    let texts: Vec<_> = house
        .messages("cleo")
        .await
        .iter()
        .map(|m| m["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        texts,
        ["/rollback trade reason: orders failing", "RB-1 is recorded"]
    );
}

#[tokio::test]
async fn a_private_answer_is_seen_by_nobody_else() {
    let house = House::demo().await;
    let mut events_of_ben = house.events("ben", None, None).await;
    house.recorder.answers("only for you", true);
    let said = house.say("ana", "/rollbot locks", "client-1").await;
    assert_eq!(said["answer"]["private"], true);
    let id = said["answer"]["id"].as_i64().unwrap();
    assert_eq!(house.messages("ana").await.len(), 2);
    assert_eq!(house.messages("ben").await.len(), 1);
    let (_, page) = house.get_as("ben", "/api/messages?since=1").await;
    assert_eq!(page["messages"], json!([]));
    // Neither by a stream, nor by acting on it.
    house.say("ana", "something public", "client-2").await;
    assert_eq!(events_of_ben.message().await.data["text"], "/rollbot locks");
    assert_eq!(
        events_of_ben.message().await.data["text"],
        "something public"
    );
    let react = json!({ "emoji": "x", "on": true, "client_id": "client-3" });
    let (status, _) = house
        .post_as("ben", &format!("/api/messages/{id}/reactions"), react)
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let reply = json!({ "channel": "ops", "text": "hi", "thread_of": id, "client_id": "client-4" });
    let (status, _) = house.post_as("ben", "/api/messages", reply).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_repeated_client_id_is_dispatched_once_and_answered_again() {
    let house = House::demo().await;
    house.recorder.answers("recorded", false);
    let first = house.say("ana", "/rollback trade", "client-1").await;
    let again = house.say("ana", "/rollback trade", "client-1").await;
    assert_eq!(first["message"]["id"], again["message"]["id"]);
    assert_eq!(first["answer"]["id"], again["answer"]["id"]);
    assert_eq!(house.recorder.events().len(), 1);
    assert_eq!(house.messages("ana").await.len(), 2);
}

#[tokio::test]
async fn repetitions_at_the_same_time_share_one_dispatch() {
    let house = Arc::new(House::demo().await);
    house.recorder.gate.forget_permits(10_000);
    house.recorder.answers("recorded", false);
    let asked: Vec<_> = (0..6)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.say("ana", "/rollback trade", "client-1").await })
        })
        .collect();
    while house.recorder.events().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.recorder.gate.add_permits(6);
    let mut answers = Vec::new();
    for one in asked {
        answers.push(one.await.unwrap()["answer"]["id"].clone());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(house.recorder.events().len(), 1);
}

#[tokio::test]
async fn a_repetition_after_a_restart_posts_nothing_twice() {
    let house = House::demo().await;
    house.recorder.answers("recorded", false);
    let first = house.say("ana", "/rollback trade", "client-1").await;
    house.say("ana", "hello", "client-2").await;
    let folder = house.close().await.unwrap();
    let house = House::at(folder.path(), demo(), None, people()).await;
    let again = house.say("ana", "/rollback trade", "client-1").await;
    assert_eq!(first["answer"]["id"], again["answer"]["id"]);
    house.say("ana", "hello", "client-2").await;
    assert_eq!(house.messages("ana").await.len(), 3);
    assert!(house.recorder.events().is_empty());
    // Not even with another text.
    let other = json!({ "channel": "ops", "text": "other", "client_id": "client-2" });
    let (status, body) = house.post_as("ana", "/api/messages", other).await;
    assert_eq!((status, code(&body)), (StatusCode::CONFLICT, "client-id"));
}

#[tokio::test]
async fn a_client_id_cannot_be_used_for_another_act_or_by_another_person() {
    let house = House::demo().await;
    let id = house.say("ana", "hello", "client-1").await["message"]["id"].clone();
    for (person, text) in [("ana", "good bye"), ("ben", "hello")] {
        let body = json!({ "channel": "ops", "text": text, "client_id": "client-1" });
        let (status, body) = house.post_as(person, "/api/messages", body).await;
        assert_eq!((status, code(&body)), (StatusCode::CONFLICT, "client-id"));
    }
    let react = json!({ "emoji": "x", "on": true, "client_id": "client-1" });
    let (status, _) = house
        .post_as("ana", &format!("/api/messages/{id}/reactions"), react)
        .await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(house.messages("ana").await[0]["text"], "hello");
}

#[tokio::test]
async fn what_was_begun_is_finished_when_the_page_goes_away() {
    let house = House::demo().await;
    house.recorder.gate.forget_permits(10_000);
    house.recorder.answers("recorded", false);
    let body = json!({ "channel": "ops", "text": "/rollback trade", "client_id": "client-1" });
    let request = house
        .post("/api/messages")
        .json(&body)
        .timeout(Duration::from_millis(300))
        .send();
    assert!(request.await.is_err(), "it hangs at the gate");
    house.recorder.gate.add_permits(1);
    let mut events = house.events("ana", Some(0), None).await;
    assert_eq!(events.message().await.data["text"], "/rollback trade");
    assert_eq!(events.message().await.data["text"], "recorded");
}

#[tokio::test]
async fn a_reaction_is_recorded_before_it_is_dispatched() {
    let house = House::demo().await;
    let id = house.console.post(&asking(&[])).await.unwrap();
    let path = format!("/api/messages/{id}/reactions");
    let on = json!({ "emoji": "white_check_mark", "on": true, "client_id": "client-1" });
    let (status, acted) = house.post_as("ben", &path, on).await;
    assert_eq!(status, 200, "{acted}");
    let check = &acted["message"]["reactions"][0];
    assert_eq!(check["emoji"], "white_check_mark");
    assert_eq!(check["sign"], "✅");
    assert_eq!(check["offered"], true);
    assert_eq!(
        check["people"],
        json!([{ "id": "ben", "name": "Ben Okafor" }])
    );
    assert_eq!(check["mine"], true);
    assert_eq!(
        house.messages("ana").await[0]["reactions"][0]["mine"],
        false
    );
    // The two that the bot offers, and Ben's.
    assert_eq!(*house.recorder.seen.lock().unwrap(), [3]);
    let off = json!({ "emoji": "white_check_mark", "on": false, "client_id": "client-2" });
    let (_, acted) = house.post_as("ben", &path, off).await;
    assert_eq!(acted["message"]["reactions"][0]["people"], json!([]));
    assert_eq!(*house.recorder.seen.lock().unwrap(), [3, 2]);
    let dispatched: Vec<_> = house
        .recorder
        .events()
        .into_iter()
        .map(|event| match event {
            ChatEvent::Reaction {
                account,
                message,
                emoji,
                on,
                ..
            } => {
                assert_eq!(
                    (message.platform.as_str(), message.message_ref),
                    ("console", id.clone())
                );
                (account.user, emoji, on)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let emoji = "white_check_mark".to_owned();
    assert_eq!(
        dispatched,
        [
            ("ben".into(), emoji.clone(), true),
            ("ben".into(), emoji, false)
        ]
    );
}

#[tokio::test]
async fn what_a_reaction_is_answered_with_is_for_the_one_who_reacted() {
    let house = House::demo().await;
    let id = house.console.post(&asking(&[])).await.unwrap();
    house
        .recorder
        .answers("who asks for an operation cannot approve it", false);
    let on = json!({ "emoji": "white_check_mark", "on": true, "client_id": "client-1" });
    let (_, acted) = house
        .post_as("ana", &format!("/api/messages/{id}/reactions"), on)
        .await;
    assert_eq!(acted["answer"]["private"], true);
    assert_eq!(house.messages("ana").await.len(), 2);
    assert_eq!(house.messages("ben").await.len(), 1);
}

#[tokio::test]
async fn a_button_is_dispatched_while_it_is_there() {
    let house = House::demo().await;
    let buttons = [("RB-1/3/retry", "Retry"), ("RB-1/3/abort", "Abort")];
    let id = house.console.post(&asking(&buttons)).await.unwrap();
    let shown = &house.messages("ana").await[0]["buttons"];
    assert_eq!(
        shown[0],
        json!({ "key": "RB-1/3/retry", "label": "Retry", "confirm": null })
    );
    assert!(
        shown[1]["confirm"].is_string(),
        "giving up is asked about first"
    );
    let path = format!("/api/messages/{id}/buttons/RB-1%2F3%2Fretry");
    let (status, body) = house
        .post_as("ben", &path, json!({ "client_id": "client-1" }))
        .await;
    assert_eq!(status, 200, "{body}");
    match house.recorder.events().as_slice() {
        [
            ChatEvent::Button {
                choice,
                account,
                key,
                ..
            },
        ] => {
            assert_eq!(
                (choice.as_str(), account.user.as_str()),
                ("RB-1/3/retry", "ben")
            );
            assert_eq!(*key, EventKey::new("console", "client-1"));
        }
        other => panic!("{other:?}"),
    }
    house.console.edit(&id, &asking(&[])).await.unwrap();
    let (status, body) = house
        .post_as("cleo", &path, json!({ "client_id": "client-2" }))
        .await;
    assert_eq!((status, code(&body)), (StatusCode::GONE, "button"));
    // Who pressed it in time hears the same again.
    let (status, _) = house
        .post_as("ben", &path, json!({ "client_id": "client-1" }))
        .await;
    assert_eq!(status, 200);
    assert_eq!(house.recorder.events().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_a_reason() {
    let house = House::demo().await;
    let id = house.say("ana", "hello", "client-0").await["message"]["id"].clone();
    let long = "x".repeat(4_001);
    let reactions = format!("/api/messages/{id}/reactions");
    let cases: &[(&str, Value, u16, &str)] = &[
        (
            "/api/messages",
            json!({ "channel": "announcements", "text": "x", "client_id": "client-1" }),
            403,
            "announcements",
        ),
        (
            "/api/messages",
            json!({ "channel": "nowhere", "text": "x", "client_id": "client-1" }),
            404,
            "not-found",
        ),
        (
            "/api/messages",
            json!({ "channel": "ops", "text": " \n ", "client_id": "client-1" }),
            422,
            "empty",
        ),
        (
            "/api/messages",
            json!({ "channel": "ops", "text": long, "client_id": "client-1" }),
            422,
            "too-long",
        ),
        (
            "/api/messages",
            json!({ "channel": "ops", "text": "x".repeat(70_000), "client_id": "client-1" }),
            413,
            "too-large",
        ),
        (
            "/api/messages",
            json!({ "channel": "ops", "text": "x", "client_id": "short" }),
            422,
            "client-id",
        ),
        (
            "/api/messages",
            json!({ "channel": "ops", "text": "x", "client_id": "with space" }),
            422,
            "client-id",
        ),
        (
            "/api/messages",
            json!({ "channel": "ops", "text": "x" }),
            422,
            "body",
        ),
        (
            "/api/messages",
            json!({ "channel": "ops", "text": "x", "client_id": "client-1", "html": "x" }),
            422,
            "body",
        ),
        (
            "/api/messages",
            json!({ "channel": "announcements", "text": "x", "client_id": "client-1", "thread_of": id }),
            403,
            "announcements",
        ),
        (
            "/api/messages/999/reactions",
            json!({ "emoji": "x", "on": true, "client_id": "client-1" }),
            404,
            "not-found",
        ),
        (
            "/api/messages/abc/reactions",
            json!({ "emoji": "x", "on": true, "client_id": "client-1" }),
            404,
            "not-found",
        ),
        (
            &reactions,
            json!({ "emoji": "<img>", "on": true, "client_id": "client-1" }),
            422,
            "emoji",
        ),
    ];
    for (path, body, status, reason) in cases {
        house.clock.pass(10);
        let (got, answer) = house.post_as("ana", path, body.clone()).await;
        assert_eq!(
            (got.as_u16(), code(&answer)),
            (*status, *reason),
            "{path} {answer}"
        );
    }
    let (status, _) = crate::house::answer(
        house
            .post("/api/messages")
            .header("content-type", "text/plain")
            .body("{}"),
    )
    .await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(house.recorder.events().is_empty());
    assert_eq!(house.messages("ana").await.len(), 1);
}

#[tokio::test]
async fn people_answer_in_a_thread() {
    let house = House::demo().await;
    let root = house.say("ana", "hello", "client-1").await["message"]["id"].clone();
    let reply =
        json!({ "channel": "ops", "text": "hi", "thread_of": root, "client_id": "client-2" });
    let (status, said) = house.post_as("ben", "/api/messages", reply).await;
    assert_eq!(status, 200);
    assert_eq!(said["message"]["thread_of"], root);
    // A thread has no threads.
    let deeper = json!({
        "channel": "ops", "text": "hi", "client_id": "client-3",
        "thread_of": said["message"]["id"],
    });
    let (status, body) = house.post_as("ben", "/api/messages", deeper).await;
    assert_eq!((status.as_u16(), code(&body)), (422, "thread"));
}

#[tokio::test]
async fn completions_are_those_of_the_dispatcher() {
    let house = House::demo().await;
    let (status, body) = house.get_as("ana", "/api/completions").await;
    assert_eq!(status, 200);
    assert_eq!(body["completions"][0]["text"], "/rollback trade");
}
