//! What the stand-in for Discord refuses, with the codes of the real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use reqwest::Method;
use rollbot_fakes::discord::{FakeDiscord, Options, Outcome, permission};
use serde_json::{Value, json};

struct House {
    fake: FakeDiscord,
    client: reqwest::Client,
    channel: u64,
    ana: u64,
}

impl House {
    async fn open() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fake = FakeDiscord::start(Options::default()).await.unwrap();
        let (channel, ana) = (fake.add_channel("operations"), fake.add_user("ana"));
        Self {
            fake,
            client: reqwest::Client::new(),
            channel,
            ana,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/api/v10{path}", self.fake.url());
        let answer = self
            .client
            .request(method, url)
            .header("authorization", format!("Bot {}", self.fake.token()))
            .json(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, path, body).await
    }

    async fn say(&self, body: &Value) -> (u16, Value) {
        self.post(&format!("/channels/{}/messages", self.channel), body)
            .await
    }

    /// The token of the newest interaction is in no answer: read where the gateway would say it.
    async fn callback(&self, id: u64, token: &str, body: &Value) -> (u16, Value) {
        self.post(&format!("/interactions/{id}/{token}/callback"), body)
            .await
    }
}

fn refused(answer: &(u16, Value)) -> (u16, i64) {
    (answer.0, answer.1["code"].as_i64().unwrap_or(-1))
}

#[tokio::test]
async fn messages_that_are_too_much() {
    let house = House::open().await;
    let cases = [
        (
            json!({"content": "x".repeat(2001)}),
            "/errors/content/_errors/0/code",
        ),
        (
            json!({"embeds": [{"title": "x".repeat(257)}]}),
            "/errors/embeds/0/title/_errors/0/code",
        ),
        (
            json!({"embeds": [{"description": "x".repeat(4097)}]}),
            "/errors/embeds/0/description/_errors/0/code",
        ),
        (
            json!({"embeds": [{"fields": [{"name": "", "value": "x"}]}]}),
            "/errors/embeds/0/fields/0/name/_errors/0/code",
        ),
        (
            json!({"embeds": [{"description": "x".repeat(4000)}, {"description": "x".repeat(2001)}]}),
            "/errors/embeds/_errors/0/code",
        ),
        (
            json!({"content": "x", "components": [{"type": 1, "components": [
                {"type": 2, "style": 1, "label": "a", "custom_id": "same"},
                {"type": 2, "style": 1, "label": "b", "custom_id": "same"},
            ]}]}),
            "/errors/components/0/components/1/custom_id/_errors/0/code",
        ),
        (
            json!({"content": "x", "nonce": "n".repeat(26)}),
            "/errors/nonce/_errors/0/code",
        ),
    ];
    for (body, place) in cases {
        let answer = house.say(&body).await;
        assert_eq!(refused(&answer), (400, 50035), "{body}");
        assert!(answer.1.pointer(place).is_some(), "{place}: {}", answer.1);
    }
    assert_eq!(
        refused(&house.say(&json!({"content": ""})).await),
        (400, 50006)
    );
    assert!(house.fake.messages(house.channel).is_empty());
}

#[tokio::test]
async fn places_and_permissions_that_are_not_there() {
    let house = House::open().await;
    let hello = json!({"content": "hello"});
    assert_eq!(
        refused(&house.post("/channels/12/messages", &hello).await),
        (404, 10003)
    );
    house.fake.deny(house.channel, permission::VIEW_CHANNEL);
    assert_eq!(refused(&house.say(&hello).await), (403, 50001));
    house.fake.deny(house.channel, permission::SEND_MESSAGES);
    assert_eq!(refused(&house.say(&hello).await), (403, 50013));
    house.fake.deny(house.channel, 0);
    let theirs = house.fake.say(house.ana, house.channel, "mine");
    let path = format!("/channels/{}/messages/{theirs}", house.channel);
    assert_eq!(
        refused(&house.ask(Method::PATCH, &path, &hello).await),
        (403, 50005)
    );
    let path = format!("/channels/{}/messages/13", house.channel);
    assert_eq!(
        refused(&house.ask(Method::PATCH, &path, &hello).await),
        (404, 10008)
    );
    let path = format!(
        "/channels/{}/messages/{theirs}/reactions/nothing/@me",
        house.channel
    );
    assert_eq!(
        refused(&house.ask(Method::PUT, &path, &Value::Null).await),
        (400, 10014)
    );
    assert_eq!(house.fake.invalid_requests(), 3);
    house.fake.revoke_token();
    assert_eq!(refused(&house.say(&hello).await), (401, 0));
    assert_eq!(house.fake.invalid_requests(), 4);
}

#[tokio::test]
async fn a_nonce_that_is_enforced_makes_one_message() {
    let house = House::open().await;
    let body = json!({"content": "once", "nonce": "n-1", "enforce_nonce": true});
    let first = house.say(&body).await;
    let second = house.say(&body).await;
    assert_eq!(first.1["id"], second.1["id"]);
    let loose = json!({"content": "once", "nonce": "n-1"});
    house.say(&loose).await;
    assert_eq!(house.fake.messages(house.channel).len(), 2);
}

#[tokio::test]
async fn history_is_read_in_pages_from_every_side() {
    let house = House::open().await;
    let ids: Vec<u64> = (0..7)
        .map(|n| house.fake.say(house.ana, house.channel, &n.to_string()))
        .collect();
    let read = async |query: &str| -> Vec<u64> {
        let path = format!("/channels/{}/messages?limit=3&{query}", house.channel);
        let (_, page) = house.ask(Method::GET, &path, &Value::Null).await;
        let page = page.as_array().cloned().unwrap();
        page.iter()
            .map(|message| message["id"].as_str().unwrap().parse().unwrap())
            .collect()
    };
    assert_eq!(read("").await, [ids[6], ids[5], ids[4]]);
    assert_eq!(
        read(&format!("before={}", ids[4])).await,
        [ids[3], ids[2], ids[1]]
    );
    assert_eq!(
        read(&format!("after={}", ids[0])).await,
        [ids[3], ids[2], ids[1]]
    );
}

#[tokio::test]
async fn an_interaction_is_answered_once_and_in_time() {
    let house = House::open().await;
    let say = json!({"type": 4, "data": {"content": "done"}});
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &json!([]));
    let token = house.fake.interaction_token(id).unwrap();
    assert_eq!(
        refused(&house.callback(id, "other", &say).await),
        (404, 10062)
    );
    let early = house
        .post(
            &format!("/webhooks/{}/{token}", house.fake.application()),
            &json!({"content": "x"}),
        )
        .await;
    assert_eq!(refused(&early), (404, 10015));
    assert_eq!(house.callback(id, &token, &say).await.0, 204);
    assert_eq!(
        refused(&house.callback(id, &token, &say).await),
        (400, 40060)
    );
    let follow_up = format!("/webhooks/{}/{token}", house.fake.application());
    assert_eq!(
        house.post(&follow_up, &json!({"content": "more"})).await.0,
        200
    );
    house.fake.age_interaction(id, FakeDiscord::token_lasts());
    assert_eq!(
        refused(&house.post(&follow_up, &json!({"content": "x"})).await),
        (401, 50027)
    );
    let late = house
        .fake
        .command(house.ana, house.channel, "rollback", &json!([]));
    house.fake.age_interaction(late, Duration::from_secs(4));
    let token = house.fake.interaction_token(late).unwrap();
    assert_eq!(
        refused(&house.callback(late, &token, &say).await),
        (404, 10062)
    );
    assert_eq!(house.fake.outcome(late), Outcome::NoAnswer);
}

#[tokio::test]
async fn commands_that_cannot_be() {
    let house = House::open().await;
    let path = format!("/applications/{}/commands", house.fake.application());
    let text = |name: &str| json!({"type": 3, "name": name, "description": "d"});
    let sub = json!({"type": 1, "name": "sub", "description": "d"});
    let choices: Vec<Value> = (0..26)
        .map(|n| json!({"name": n.to_string(), "value": n.to_string()}))
        .collect();
    let cases = [
        json!([{"name": "Upper Case", "description": "d"}]),
        json!([{"name": "a", "description": ""}]),
        json!([{"name": "a", "description": "d", "options": [sub, text("bare")]}]),
        json!([{"name": "a", "description": "d", "options": [
            {"type": 3, "name": "many", "description": "d", "choices": choices},
        ]}]),
        json!([{"name": "a", "description": "d", "options": [
            text("first"), {"type": 3, "name": "second", "description": "d", "required": true},
        ]}]),
    ];
    for body in cases {
        let answer = house.ask(Method::PUT, &path, &body).await;
        assert_eq!(refused(&answer), (400, 50035), "{body}");
    }
    assert!(house.fake.commands().1.is_empty());
}

#[tokio::test]
async fn limits_are_told_in_headers_and_kept() {
    let house = House::open().await;
    house
        .fake
        .limit("POST/channels/:id/messages", 2, Duration::from_secs(5));
    let url = format!(
        "{}/api/v10/channels/{}/messages",
        house.fake.url(),
        house.channel
    );
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = house
            .client
            .post(&url)
            .header("authorization", format!("Bot {}", house.fake.token()))
            .json(&json!({"content": "x"}))
            .send()
            .await
            .unwrap();
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        seen.push((
            answer.status().as_u16(),
            header("x-ratelimit-remaining").unwrap(),
            header("retry-after").is_some(),
        ));
        assert!(
            header("x-ratelimit-reset-after").is_some() && header("x-ratelimit-bucket").is_some()
        );
    }
    let wanted = [(200, "1", false), (200, "0", false), (429, "0", true)]
        .map(|(status, left, after)| (status, left.to_owned(), after));
    assert_eq!(seen, wanted);
}
