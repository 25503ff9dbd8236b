//! `POST /_control/ACT` with a JSON body, for clients that are not written in Rust.
//!
//! | act | body | answer |
//! | --- | --- | --- |
//! | `facts` | | `{token, application, guild, public_key}` |
//! | `channel`, `user` | `{name}` | `{id}` |
//! | `command`, `autocomplete` | `{user, channel, name, options}` | `{id}` |
//! | `press` | `{user, channel, message, label}` | `{id}` |
//! | `react`, `unreact` | `{user, channel, message, emoji}` | `{changed}` |
//! | `outcome` | `{id}` | `{waiting}`, `{no_answer}` or `{kind, data, messages}` |
//! | `messages` | `{channel}` | `{messages}` |
//! | `drop`, `reconnect`, `forget` | | `{}` |
//! | `counts` | | `{identifies, resumes, connections, invalid_requests, violations}` |
//!
//! Ids are strings, as everywhere on Discord.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::people::{Outcome, Seen};
use super::{Fake, FakeDiscord};

fn shown(message: &Seen) -> Value {
    json!({
        "id": message.id.to_string(), "content": message.content, "embeds": message.embeds,
        "components": message.components, "thread": message.thread.map(|id| id.to_string()),
        "only_for": message.only_for.map(|id| id.to_string()), "edits": message.edits,
        "reactions": message.reactions.iter().map(|(emoji, user)| json!([emoji, user.to_string()])).collect::<Vec<_>>(),
        "pings": message.pings,
    })
}

pub(super) async fn act(
    State(fake): State<Fake>,
    Path(act): Path<String>,
    body: axum::body::Bytes,
) -> (StatusCode, Json<Value>) {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (url, token) = {
        let world = fake.lock();
        (world.base.clone(), world.token.clone())
    };
    let handle = FakeDiscord {
        url,
        token,
        fake,
        _ends: CancellationToken::new().drop_guard(),
    };
    let answer = perform(&handle, &act, &body);
    match answer {
        Ok(json) => (StatusCode::OK, Json(json)),
        Err(why) => (
            StatusCode::BAD_REQUEST,
            Json(json!({"error": why.to_string()})),
        ),
    }
}

fn perform(fake: &FakeDiscord, act: &str, body: &Value) -> anyhow::Result<Value> {
    let id = |name: &str| -> anyhow::Result<u64> {
        body[name]
            .as_str()
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| anyhow::anyhow!("`{act}` needs `{name}`, an id as a string"))
    };
    let text = |name: &str| body[name].as_str().unwrap_or("").to_owned();
    let as_id = |id: u64| json!({"id": id.to_string()});
    Ok(match act {
        "facts" => json!({
            "token": fake.token(), "application": fake.application().to_string(),
            "guild": fake.guild().to_string(), "public_key": fake.public_key(),
        }),
        "channel" => as_id(fake.add_channel(&text("name"))),
        "user" => as_id(fake.add_user(&text("name"))),
        "command" => {
            as_id(fake.command(id("user")?, id("channel")?, &text("name"), &body["options"]))
        }
        "autocomplete" => {
            as_id(fake.autocomplete(id("user")?, id("channel")?, &text("name"), &body["options"]))
        }
        "press" => {
            as_id(fake.press(id("user")?, id("channel")?, id("message")?, &text("label"))?)
        }
        "react" | "unreact" => {
            let (user, channel, message) = (id("user")?, id("channel")?, id("message")?);
            let emoji = text("emoji");
            let changed = match act {
                "react" => fake.react(user, channel, message, &emoji),
                _ => fake.unreact(user, channel, message, &emoji),
            };
            json!({"changed": changed})
        }
        "outcome" => match fake.outcome(id("id")?) {
            Outcome::Waiting => json!({"waiting": true}),
            Outcome::NoAnswer => json!({"no_answer": true}),
            Outcome::Answered { kind, data } => {
                let messages: Vec<Value> = fake.answers(id("id")?).iter().map(shown).collect();
                json!({"kind": kind, "data": data, "messages": messages})
            }
        },
        "messages" => {
            let messages: Vec<Value> = fake.messages(id("channel")?).iter().map(shown).collect();
            json!({"messages": messages})
        }
        "drop" => {
            fake.drop_connections();
            json!({})
        }
        "reconnect" => {
            fake.ask_to_reconnect();
            json!({})
        }
        "forget" => {
            fake.forget_sessions();
            json!({})
        }
        "counts" => {
            let (identifies, resumes, connections) = fake.gateway_counts();
            json!({
                "identifies": identifies, "resumes": resumes, "connections": connections,
                "heartbeats": fake.fake.heartbeats.load(Ordering::Relaxed),
                "invalid_requests": fake.invalid_requests(), "violations": fake.violations(),
            })
        }
        other => anyhow::bail!("there is no act `{other}`"),
    })
}
