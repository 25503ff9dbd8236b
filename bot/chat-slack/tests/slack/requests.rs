//! The HTTP way: signed requests, and nothing else.

use std::sync::Arc;

use rollbot_chat::ChatEvent;
use rollbot_chat_slack::{Slack, SlackConfig};
use rollbot_fakes::slack::{BOT_TOKEN, FakeSlack, OPS, RequestUrls, SIGNING_SECRET, Seen, sign};

use crate::house::{Core, approval, config, settings};
use rollbot_chat::ChatPlatform as _;

struct Served {
    fake: FakeSlack,
    slack: Arc<Slack>,
    core: Arc<Core>,
    base: String,
}

async fn served() -> Served {
    let fake = FakeSlack::start(settings()).await.unwrap();
    let config = SlackConfig {
        api_url: fake.api_url(),
        answer_within: config(&fake).answer_within,
        ..SlackConfig::http(BOT_TOKEN, SIGNING_SECRET)
    };
    let slack = Slack::new(config).unwrap();
    let core = Arc::new(Core::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let app = slack.clone().router(core.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    fake.use_request_urls(Some(RequestUrls {
        events: format!("{base}/slack/events"),
        commands: format!("{base}/slack/commands"),
        interactivity: format!("{base}/slack/interactivity"),
    }));
    Served {
        fake,
        slack,
        core,
        base,
    }
}

#[tokio::test]
async fn commands_reactions_and_buttons_arrive_over_http_too() {
    let served = served().await;
    served.core.say("taken", true);
    let seen = served
        .fake
        .slash("U0ANA", OPS, "/rollback", "trade reason: a & b")
        .await;
    assert!(matches!(seen, Seen::Answer(_)), "{seen:?}");
    let ts = served.slack.post(&approval("a-1")).await.unwrap();
    served.fake.react("U0BEN", OPS, &ts, "x").unwrap();
    served.fake.quiet(crate::house::PATIENCE).await.unwrap();
    let press = rollbot_fakes::slack::Press {
        user: "U0BEN",
        channel: OPS,
        ts: &ts,
        action_id: "choice:approve",
    };
    assert_eq!(served.fake.press(press).await, Seen::Nothing);
    let kinds: Vec<&str> = served
        .core
        .acts()
        .iter()
        .map(|event| match event {
            ChatEvent::Command { .. } => "command",
            ChatEvent::Reaction { .. } => "reaction",
            ChatEvent::Button { .. } => "button",
            ChatEvent::Connected { .. } => "connected",
        })
        .collect();
    assert_eq!(kinds, ["command", "reaction", "button"]);
}

async fn send(
    served: &Served,
    signature: Option<&str>,
    at: Option<i64>,
    body: &str,
) -> (u16, String) {
    let mut request = reqwest::Client::new()
        .post(format!("{}/slack/events", served.base))
        .header("content-type", "application/json")
        .body(body.to_owned());
    if let Some(signature) = signature {
        request = request.header("x-slack-signature", signature);
    }
    if let Some(at) = at {
        request = request.header("x-slack-request-timestamp", at.to_string());
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn only_signed_requests_of_the_last_five_minutes_are_taken() {
    let served = served().await;
    let now = jiff::Timestamp::now().as_second();
    let body = r#"{"type":"url_verification","token":"x","challenge":"3eZbrw1a"}"#;
    let good = sign(SIGNING_SECRET, now, body);
    let (status, text) = send(&served, Some(&good), Some(now), body).await;
    assert_eq!(status, 200);
    assert_eq!(text, r#"{"challenge":"3eZbrw1a"}"#);

    let old = sign(SIGNING_SECRET, now - 301, body);
    let wrong = sign("another secret", now, body);
    for (signature, at, body) in [
        (None, Some(now), body),
        (Some(good.as_str()), None, body),
        (Some(wrong.as_str()), Some(now), body),
        (Some(old.as_str()), Some(now - 301), body),
        (
            Some(good.as_str()),
            Some(now),
            r#"{"type":"url_verification","challenge":"other"}"#,
        ),
        (Some("v0=junk"), Some(now), body),
    ] {
        let (status, _) = send(&served, signature, at, body).await;
        assert_eq!(status, 401, "{signature:?} {at:?}");
    }
    assert!(served.core.events.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_signed_request_that_is_not_understood_is_refused() {
    let served = served().await;
    let now = jiff::Timestamp::now().as_second();
    for body in ["", "{}", "not json", r#"{"type":"event_callback"}"#] {
        let signature = sign(SIGNING_SECRET, now, body);
        let (status, _) = send(&served, Some(&signature), Some(now), body).await;
        assert_eq!(status, 400, "{body}");
    }
}
