//! Files: a place to upload to, the upload, and the share that makes it visible.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Arguments, Outcome, Refusal, invalid};
use crate::slack::workspace::{BOT_USER, UploadedFile, Workspace};
use crate::slack::{Inner, lock};

pub(super) fn url(inner: &Inner, workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let name = arguments.need("filename")?.to_owned();
    let wanted = arguments
        .number("length")
        .filter(|length| *length > 0)
        .ok_or_else(|| invalid("missing required field: length"))?;
    let id = format!("F{:09}", workspace.number());
    let file = UploadedFile {
        id: id.clone(),
        name,
        wanted,
        ..UploadedFile::default()
    };
    workspace.files.insert(id.clone(), file);
    Ok(json!({"upload_url": format!("{}/upload/{id}", inner.base), "file_id": id}))
}

pub(super) async fn upload(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<String>,
    body: Bytes,
) -> (StatusCode, String) {
    let mut workspace = lock(&inner.workspace);
    match workspace.files.get_mut(&id) {
        None => (StatusCode::NOT_FOUND, "no such upload".to_owned()),
        Some(file) if file.wanted != body.len() => (
            StatusCode::BAD_REQUEST,
            format!("{} bytes were announced", file.wanted),
        ),
        Some(file) => {
            file.bytes = body.to_vec();
            (StatusCode::OK, format!("OK - {}", body.len()))
        }
    }
}

pub(super) fn complete(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let files = arguments
        .structure("files")?
        .ok_or_else(|| invalid("missing required field: files"))?;
    let channel = arguments.text("channel_id").map(str::to_owned);
    if let Some(channel) = &channel {
        match workspace.channels.get(channel) {
            None => return Err("channel_not_found".into()),
            Some(known) if !known.members.contains(BOT_USER) => return Err("not_in_channel".into()),
            Some(_) => {}
        }
    }
    let thread_ts = arguments.text("thread_ts").map(str::to_owned);
    let mut out = Vec::new();
    for wanted in files.as_array().into_iter().flatten() {
        let id = wanted.get("id").and_then(Value::as_str).unwrap_or_default();
        let file = workspace
            .files
            .get_mut(id)
            .ok_or_else(|| Refusal::from("file_not_found"))?;
        if file.bytes.is_empty() {
            return Err("file_upload_failed".into());
        }
        let title = wanted.get("title").and_then(Value::as_str);
        file.title = title.unwrap_or(&file.name).to_owned();
        file.complete = true;
        file.channel.clone_from(&channel);
        file.thread_ts.clone_from(&thread_ts);
        out.push(json!({"id": file.id, "name": file.name, "title": file.title}));
    }
    Ok(json!({"files": out}))
}
