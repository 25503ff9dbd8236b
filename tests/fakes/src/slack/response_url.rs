//! Response URLs: for half an hour, five times.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use super::{Inner, api, lock};

pub(super) fn router() -> Router<Arc<Inner>> {
    Router::new().route("/response/{id}", post(respond))
}

async fn respond(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    axum::Json(payload): axum::Json<Value>,
) -> Response {
    let refuse = |status: StatusCode, error: &str| {
        (status, axum::Json(json!({"ok": false, "error": error}))).into_response()
    };
    let mut workspace = lock(&inner.workspace);
    let Some(url) = workspace.response_urls.get_mut(&id) else {
        return refuse(StatusCode::NOT_FOUND, "no_such_url");
    };
    if url.made.elapsed() > inner.settings.response_url_lasts {
        return refuse(StatusCode::NOT_FOUND, "expired_url");
    }
    if url.uses >= inner.settings.response_url_uses {
        return refuse(StatusCode::NOT_FOUND, "used_url");
    }
    url.uses += 1;
    let url = url.clone();
    if payload.get("replace_original").and_then(Value::as_bool) == Some(true)
        && let Some(ts) = &url.message
    {
        let content = match api::answered(&payload) {
            Ok(content) => content,
            Err(refusal) => return refuse(StatusCode::BAD_REQUEST, &refusal.error),
        };
        if let Some(message) = workspace.message_mut(&url.channel, ts) {
            message.text = content.text;
            message.blocks = content.blocks;
        }
        return (StatusCode::OK, "ok").into_response();
    }
    match api::show_answer(&mut workspace, &url.channel, &url.user, &payload) {
        Ok(()) => (StatusCode::OK, "ok").into_response(),
        Err(refusal) => refuse(StatusCode::BAD_REQUEST, &refusal.error),
    }
}
