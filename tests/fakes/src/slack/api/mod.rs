//! The Web API: `POST` or `GET /api/METHOD`, arguments as JSON, form or query.

mod chat;
mod conversations;
mod files;
mod reactions;
mod users;
mod views;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use serde_json::{Map, Value, json};

use super::faults::Fault;
use super::workspace::{APP_ID, BOT_ID, BOT_USER, Call, TEAM_ID, Workspace};
use super::{Inner, lock};

/// Why a method did not do what was asked.
pub(super) struct Refusal {
    pub(super) error: String,
    pub(super) more: Map<String, Value>,
}

impl From<&str> for Refusal {
    fn from(error: &str) -> Self {
        Self {
            error: error.to_owned(),
            more: Map::new(),
        }
    }
}

pub(super) type Outcome = Result<Value, Refusal>;

/// The arguments of a call, from wherever they came.
#[derive(Debug, Default)]
pub(super) struct Arguments(pub(super) Map<String, Value>);

impl Arguments {
    fn read(query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let mut map = Map::new();
        let pairs = |text: &[u8], map: &mut Map<String, Value>| {
            for (key, value) in url::form_urlencoded::parse(text) {
                map.insert(key.into_owned(), Value::String(value.into_owned()));
            }
        };
        pairs(query.unwrap_or_default().as_bytes(), &mut map);
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if kind.starts_with("application/json") {
            match serde_json::from_slice(body) {
                Ok(Value::Object(given)) => map.extend(given),
                Ok(Value::Null) => {}
                Ok(_) => return Err("json_not_object".into()),
                Err(_) if body.is_empty() => {}
                Err(_) => return Err("invalid_json".into()),
            }
        } else {
            pairs(body, &mut map);
        }
        map.retain(|_, value| !value.is_null());
        Ok(Self(map))
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    pub(super) fn need(&self, key: &str) -> Result<&str, Refusal> {
        self.text(key)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| invalid(&format!("missing required field: {key}")))
    }

    /// A structure, given as JSON or, in a form, as text of JSON.
    pub(super) fn structure(&self, key: &str) -> Result<Option<Value>, Refusal> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text)
                .map(Some)
                .map_err(|_| invalid(&format!("`{key}` is not JSON"))),
            Some(value) => Ok(Some(value.clone())),
        }
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        match self.0.get(key) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text == "true" || text == "1",
            Some(Value::Number(number)) => number.as_u64() == Some(1),
            _ => false,
        }
    }

    pub(super) fn number(&self, key: &str) -> Option<usize> {
        let number = match self.0.get(key) {
            Some(Value::String(text)) => text.parse().ok(),
            Some(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        number.and_then(|number| usize::try_from(number).ok())
    }
}

pub(super) fn invalid(message: &str) -> Refusal {
    let mut more = Map::new();
    more.insert(
        "response_metadata".to_owned(),
        json!({"messages": [format!("[ERROR] {message}")]}),
    );
    Refusal {
        error: "invalid_arguments".to_owned(),
        more,
    }
}

/// One page of a list: where it begins and ends, and the cursor of the next.
pub(super) fn page(
    arguments: &Arguments,
    of: usize,
    most: usize,
) -> Result<(usize, usize, String), Refusal> {
    let begin = match arguments.text("cursor").filter(|cursor| !cursor.is_empty()) {
        None => 0,
        Some(cursor) => cursor
            .strip_prefix("next:")
            .and_then(|number| number.parse::<usize>().ok())
            .ok_or_else(|| Refusal::from("invalid_cursor"))?,
    };
    let limit = arguments.number("limit").unwrap_or(100).clamp(1, most);
    let end = (begin + limit).min(of);
    let next = if end < of {
        format!("next:{end}")
    } else {
        String::new()
    };
    Ok((begin.min(of), end, next))
}

pub(super) fn router() -> Router<Arc<Inner>> {
    Router::new()
        .route("/api/{method}", any(call))
        .route("/upload/{id}", post(files::upload))
}

async fn call(
    State(inner): State<Arc<Inner>>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = lock(&inner.faults).take(&method);
    let mut arguments = Arguments::read(query.as_deref(), &headers, &body).unwrap_or_default();
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::to_owned)
        .or_else(|| arguments.text("token").map(str::to_owned));
    arguments.0.remove("token");
    let note = |answered: &str| {
        lock(&inner.workspace).calls.push(Call {
            method: method.clone(),
            arguments: Value::Object(arguments.0.clone()),
            answered: answered.to_owned(),
            at: Instant::now(),
        });
    };
    match &fault {
        Some(Fault::Status(status)) => {
            note(&format!("status {status}"));
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return (status, "upstream trouble").into_response();
        }
        Some(Fault::RateLimited(seconds)) => {
            note("ratelimited");
            return ratelimited(*seconds);
        }
        Some(Fault::Error(error)) => {
            note(error);
            return refused(error.as_str().into());
        }
        Some(Fault::Slow(time)) => tokio::time::sleep(*time).await,
        Some(Fault::LostAnswer) | None => {}
    }
    if let Err(seconds) = limit(&inner, &method, &arguments) {
        note("ratelimited");
        return ratelimited(seconds);
    }
    let (outcome, scopes) = {
        let mut workspace = lock(&inner.workspace);
        let outcome = authorise(&workspace, &method, token.as_deref(), &arguments)
            .and_then(|()| perform(&inner, &mut workspace, &method, &arguments));
        let scopes: Vec<&str> = workspace.scopes.iter().map(String::as_str).collect();
        (outcome, scopes.join(","))
    };
    let answered = match &outcome {
        Ok(_) => "ok".to_owned(),
        Err(refusal) => refusal.error.clone(),
    };
    note(&answered);
    if fault == Some(Fault::LostAnswer) {
        return cut();
    }
    let mut response = match outcome {
        Ok(value) => ok(value),
        Err(refusal) => refused(refusal),
    };
    if token.is_some_and(|token| token.starts_with("xoxb-"))
        && let Ok(value) = HeaderValue::from_str(&scopes)
    {
        response.headers_mut().insert("x-oauth-scopes", value);
    }
    response
}

fn ok(value: Value) -> Response {
    let mut out = json!({"ok": true});
    if let (Some(map), Value::Object(more)) = (out.as_object_mut(), value) {
        map.extend(more);
    }
    axum::Json(out).into_response()
}

fn refused(refusal: Refusal) -> Response {
    let mut out = json!({"ok": false, "error": refusal.error});
    if let Some(map) = out.as_object_mut() {
        map.extend(refusal.more);
    }
    axum::Json(out).into_response()
}

fn ratelimited(seconds: u64) -> Response {
    (
        StatusCode::TOO_MANY_REQUESTS,
        [(header::RETRY_AFTER, seconds.to_string())],
        axum::Json(json!({"ok": false, "error": "ratelimited"})),
    )
        .into_response()
}

/// An answer that promises more than it sends, and then the connection is gone.
fn cut() -> Response {
    let broken = futures_util::stream::once(async {
        Err::<Bytes, _>(std::io::Error::new(
            std::io::ErrorKind::ConnectionReset,
            "cut on purpose",
        ))
    });
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, "4096")
        .body(Body::from_stream(broken))
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn limit(inner: &Inner, method: &str, arguments: &Arguments) -> Result<(), u64> {
    let Some((rate, burst)) = inner.settings.post_rate else {
        return Ok(());
    };
    let mut rates = lock(&inner.rates);
    match method {
        "chat.postMessage" => {
            let channel = arguments.text("channel").unwrap_or_default();
            rates.take(&format!("chat.postMessage {channel}"), rate, burst)
        }
        // Tier 3, with room for bursts as the real one has.
        "chat.update" | "reactions.add" | "reactions.get" | "conversations.replies" => {
            rates.take(method, 50.0 / 60.0, 50.0)
        }
        "conversations.history" => rates.take(method, 50.0 / 60.0, 50.0),
        _ => Ok(()),
    }
}

/// Which scope a method needs; for conversations it depends on their kind.
fn scope(workspace: &Workspace, method: &str, arguments: &Arguments) -> Option<String> {
    let kind = |what: &str| {
        let channel = arguments
            .text("channel")
            .and_then(|id| workspace.channels.get(id));
        let prefix = match channel {
            Some(channel) if channel.im.is_some() => "im",
            Some(channel) if channel.private => "groups",
            _ => "channels",
        };
        Some(format!("{prefix}:{what}"))
    };
    let fixed = match method {
        "chat.postMessage" | "chat.update" | "chat.delete" | "chat.postEphemeral" => "chat:write",
        "conversations.history" | "conversations.replies" => return kind("history"),
        "conversations.info" | "conversations.members" | "conversations.list" => {
            return kind("read");
        }
        "conversations.open" => "im:write",
        "reactions.add" | "reactions.remove" => "reactions:write",
        "reactions.get" => "reactions:read",
        "users.info" | "users.list" => "users:read",
        "users.lookupByEmail" => "users:read.email",
        "files.getUploadURLExternal" | "files.completeUploadExternal" => "files:write",
        _ => return None,
    };
    Some(fixed.to_owned())
}

fn authorise(
    workspace: &Workspace,
    method: &str,
    token: Option<&str>,
    arguments: &Arguments,
) -> Result<(), Refusal> {
    let token = token.ok_or_else(|| Refusal::from("not_authed"))?;
    let app_level = method == "apps.connections.open";
    if token != workspace.bot_token && token != workspace.app_token {
        return Err("invalid_auth".into());
    }
    if let Some(trouble) = &workspace.token_trouble {
        return Err(trouble.as_str().into());
    }
    if app_level != (token == workspace.app_token) {
        return Err("not_allowed_token_type".into());
    }
    let (needed, provided) = if app_level {
        (Some("connections:write".to_owned()), &workspace.app_scopes)
    } else {
        (scope(workspace, method, arguments), &workspace.scopes)
    };
    match needed {
        Some(needed) if !provided.contains(&needed) => {
            let mut more = Map::new();
            let provided: Vec<&str> = provided.iter().map(String::as_str).collect();
            more.insert("needed".to_owned(), json!(needed));
            more.insert("provided".to_owned(), json!(provided.join(",")));
            Err(Refusal {
                error: "missing_scope".to_owned(),
                more,
            })
        }
        _ => Ok(()),
    }
}

fn perform(
    inner: &Inner,
    workspace: &mut Workspace,
    method: &str,
    arguments: &Arguments,
) -> Outcome {
    match method {
        "api.test" => Ok(json!({"args": arguments.0})),
        "auth.test" => Ok(json!({
            "url": "https://cryptobot-ops.slack.com/", "team": "Cryptobot Ops", "user": "rollbot",
            "team_id": TEAM_ID, "user_id": BOT_USER, "bot_id": BOT_ID, "is_enterprise_install": false,
            "app_id": APP_ID, "enterprise_id": workspace.enterprise,
        })),
        "apps.connections.open" => {
            let ticket = format!("{:032x}", rand::random::<u128>());
            workspace.tickets.insert(ticket.clone());
            let base = inner.base.replacen("http", "ws", 1);
            Ok(json!({"url": format!("{base}/link/?ticket={ticket}&app_id={APP_ID}")}))
        }
        "chat.postMessage" => chat::post(workspace, arguments),
        "chat.update" => chat::update(workspace, arguments),
        "chat.delete" => chat::delete(workspace, arguments),
        "chat.postEphemeral" => chat::ephemeral(workspace, arguments),
        "chat.getPermalink" => chat::permalink(workspace, arguments),
        "conversations.list" => conversations::list(inner, workspace, arguments),
        "conversations.info" => conversations::info(workspace, arguments),
        "conversations.history" => conversations::history(inner, workspace, arguments),
        "conversations.replies" => conversations::replies(inner, workspace, arguments),
        "conversations.members" => conversations::members(inner, workspace, arguments),
        "conversations.open" => conversations::open(workspace, arguments),
        "reactions.add" => reactions::add(workspace, arguments),
        "reactions.remove" => reactions::remove(workspace, arguments),
        "reactions.get" => reactions::get(inner, workspace, arguments),
        "users.info" => users::info(workspace, arguments),
        "users.list" => users::list(inner, workspace, arguments),
        "users.lookupByEmail" => users::by_email(workspace, arguments),
        "views.open" => views::open(inner, workspace, arguments),
        "views.update" => views::update(workspace, arguments),
        "views.publish" => views::publish(workspace, arguments),
        "files.getUploadURLExternal" => files::url(inner, workspace, arguments),
        "files.completeUploadExternal" => files::complete(workspace, arguments),
        _ => Err("unknown_method".into()),
    }
}

pub(super) use chat::{answered, show_answer};
pub(super) use reactions::{put as put_reaction, take as take_reaction};
pub(super) use views::{replace as replace_view, shown as shown_view};
