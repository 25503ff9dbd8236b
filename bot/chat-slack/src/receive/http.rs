//! The HTTP way in: Slack's requests, each signed.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use rollbot_chat::Dispatch;
use serde_json::{Map, Value, json};
use slack_morphism::events::{SlackCommandEvent, SlackPushEvent};
use tokio::sync::oneshot;

use super::{Acknowledge, Desk, Incoming, signature};
use crate::Slack;

/// Slack's requests are far smaller.
const LARGEST: usize = 1024 * 1024;

/// Slack waits three seconds.
const PATIENCE: Duration = Duration::from_millis(2_900);

pub(crate) fn router(slack: Arc<Slack>, dispatch: Arc<dyn Dispatch>) -> Router {
    Router::new()
        .route("/slack/events", post(events))
        .route("/slack/commands", post(commands))
        .route("/slack/interactivity", post(interactivity))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Desk { slack, dispatch })
}

/// Whether the request is Slack's; if not, what is answered.
fn signed(desk: &Desk, headers: &HeaderMap, body: &[u8]) -> Result<(), Box<Response>> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let secret = desk.slack.config.signing_secret.as_deref();
    let secret = secret.filter(|secret| !secret.is_empty());
    let now = jiff::Timestamp::now().as_second();
    let checked = match secret {
        None => Err(signature::NotSigned::Wrong),
        Some(secret) => signature::check(
            secret,
            header("x-slack-request-timestamp"),
            header("x-slack-signature"),
            body,
            now,
        ),
    };
    checked.map_err(|why| {
        tracing::warn!(%why, "a request that is not Slack's was refused");
        Box::new((StatusCode::UNAUTHORIZED, why.to_string()).into_response())
    })
}

fn not_understood(what: &str) -> Response {
    tracing::warn!(what, "a request of Slack's was not understood");
    (
        StatusCode::BAD_REQUEST,
        format!("{what} was not understood"),
    )
        .into_response()
}

fn form(body: &[u8]) -> Map<String, Value> {
    url::form_urlencoded::parse(body)
        .map(|(key, value)| (key.into_owned(), Value::String(value.into_owned())))
        .collect()
}

async fn taken(desk: Desk, incoming: Incoming) -> Response {
    let permits = Arc::clone(&desk.slack.permits);
    let within = desk.slack.config.answer_within;
    let Ok(Ok(permit)) = tokio::time::timeout(within, permits.acquire_owned()).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too much at a time").into_response();
    };
    let (acknowledge, acknowledged) = oneshot::channel();
    // Goes on if Slack hangs up: what was begun is worked on to its end.
    tokio::spawn(async move {
        desk.take(incoming, Acknowledge::Request(acknowledge)).await;
        drop(permit);
    });
    match tokio::time::timeout(PATIENCE, acknowledged).await {
        Ok(Ok(Value::Null)) => StatusCode::OK.into_response(),
        Ok(Ok(payload)) => axum::Json(payload).into_response(),
        Ok(Err(_)) | Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "not recorded in time").into_response()
        }
    }
}

async fn events(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refused) = signed(&desk, &headers, &body) {
        return *refused;
    }
    match serde_json::from_slice(&body) {
        Ok(SlackPushEvent::UrlVerification(asked)) => {
            axum::Json(json!({"challenge": asked.challenge})).into_response()
        }
        Ok(SlackPushEvent::EventCallback(event)) => {
            taken(desk, Incoming::Push(Box::new(event))).await
        }
        Ok(SlackPushEvent::AppRateLimited(limited)) => {
            tracing::warn!(
                team = limited.team_id,
                "Slack leaves events out: too many a minute"
            );
            StatusCode::OK.into_response()
        }
        Err(_) => not_understood("the event"),
    }
}

async fn commands(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refused) = signed(&desk, &headers, &body) {
        return *refused;
    }
    match serde_json::from_value::<SlackCommandEvent>(Value::Object(form(&body))) {
        Ok(event) => taken(desk, Incoming::Command(Box::new(event))).await,
        Err(_) => not_understood("the command"),
    }
}

async fn interactivity(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refused) = signed(&desk, &headers, &body) {
        return *refused;
    }
    let form = form(&body);
    let payload = form.get("payload").and_then(Value::as_str);
    match Incoming::interaction(payload.unwrap_or_default()) {
        Ok(incoming) => taken(desk, incoming).await,
        Err(_) => not_understood("the interaction"),
    }
}
