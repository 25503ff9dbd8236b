//! What programs in other languages drive the workspace with: JSON to `/_control/…`.
//!
//! | request | does |
//! | --- | --- |
//! | `POST slash` `{user, channel, command, text}` | types a command; answers what was seen |
//! | `POST react` `{user, channel, ts, emoji, on}` | reacts |
//! | `POST press` `{user, channel, ts, action_id}` | presses a button |
//! | `POST shortcut` `{user, callback_id}` | chooses a shortcut |
//! | `POST submit` `{user, values: [[block, action, value]]}` | submits the open modal |
//! | `POST home` `{user}` | opens the home |
//! | `POST rotate` `{}` | rotates the oldest socket |
//! | `POST drop` `{}` | breaks all sockets |
//! | `GET state` | messages, ephemerals, calls, marks, views, what is unacknowledged, sockets |

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{FakeSlack, Inner, Press, Seen, lock};

pub(super) fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/_control/state", get(state))
        .route("/_control/{act}", post(act))
}

/// The same workspace, without being its owner: the server outlives it.
fn handle(inner: &Arc<Inner>) -> FakeSlack {
    FakeSlack {
        inner: Arc::clone(inner),
        address: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        _served: None,
    }
}

fn seen(seen: Seen) -> Value {
    match seen {
        Seen::Nothing => json!({"seen": "nothing"}),
        Seen::Answer(answer) => json!({"seen": "answer", "answer": answer}),
        Seen::Failure(why) => json!({"seen": "failure", "why": why}),
        Seen::Refused(why) => json!({"seen": "refused", "why": why}),
    }
}

async fn act(
    State(inner): State<Arc<Inner>>,
    axum::extract::Path(act): axum::extract::Path<String>,
    Json(given): Json<Value>,
) -> Json<Value> {
    let slack = handle(&inner);
    let text = |key: &str| {
        given
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (user, channel, ts) = (text("user"), text("channel"), text("ts"));
    let done = match act.as_str() {
        "slash" => seen(
            slack
                .slash(&user, &channel, &text("command"), &text("text"))
                .await,
        ),
        "react" => {
            let on = given.get("on").and_then(Value::as_bool) != Some(false);
            let emoji = text("emoji");
            let done = if on {
                slack.react(&user, &channel, &ts, &emoji)
            } else {
                slack.unreact(&user, &channel, &ts, &emoji)
            };
            match done {
                Ok(event) => json!({"event_id": event}),
                Err(error) => json!({"error": error}),
            }
        }
        "press" => {
            let action_id = text("action_id");
            let press = Press {
                user: &user,
                channel: &channel,
                ts: &ts,
                action_id: &action_id,
            };
            seen(slack.press(press).await)
        }
        "shortcut" => seen(slack.shortcut(&user, &text("callback_id")).await),
        "submit" => {
            let values: Vec<(String, String, Value)> =
                serde_json::from_value(given.get("values").cloned().unwrap_or_default())
                    .unwrap_or_default();
            let borrowed: Vec<(&str, &str, Value)> = values
                .iter()
                .map(|(block, action, value)| (block.as_str(), action.as_str(), value.clone()))
                .collect();
            seen(slack.submit(&user, &borrowed).await)
        }
        "home" => json!({"event_id": slack.open_home(&user)}),
        "rotate" => {
            if let Some(oldest) = slack.socket_ids().first() {
                slack.rotate(*oldest).await;
            }
            json!({"sockets": slack.open_sockets()})
        }
        "drop" => {
            slack.drop_sockets();
            json!({})
        }
        other => json!({"error": format!("no such act: {other}")}),
    };
    Json(done)
}

async fn state(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let unacknowledged = lock(&inner.deliveries).waiting();
    let (open, ever) = {
        let sockets = lock(&inner.sockets);
        (sockets.open(), sockets.ever())
    };
    let workspace = lock(&inner.workspace);
    let messages: Vec<Value> = workspace
        .messages
        .iter()
        .map(|message| {
            let mut shown = message.json(&[], true, usize::MAX);
            if let Some(map) = shown.as_object_mut() {
                map.insert("channel".into(), json!(message.channel));
            }
            shown
        })
        .collect();
    let ephemerals: Vec<Value> = workspace
        .ephemerals
        .iter()
        .map(|one| json!({"channel": one.channel, "user": one.user, "text": one.text, "blocks": one.blocks}))
        .collect();
    let calls: Vec<Value> = workspace
        .calls
        .iter()
        .map(|call| json!({"method": call.method, "answered": call.answered}))
        .collect();
    let views: Vec<Value> = workspace
        .views
        .values()
        .map(|view| json!({"id": view.id, "user": view.user, "view": view.view, "open": view.open, "errors": view.errors}))
        .collect();
    let homes: Vec<&String> = workspace.homes.keys().collect();
    Json(json!({
        "messages": messages, "ephemerals": ephemerals, "calls": calls, "views": views,
        "homes": homes, "marked": workspace.marked, "seen_failures": workspace.seen_failures,
        "unacknowledged": unacknowledged, "sockets": {"open": open, "ever": ever},
    }))
}
