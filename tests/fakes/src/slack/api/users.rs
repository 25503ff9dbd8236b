//! `users.*`

use serde_json::{Value, json};

use super::{Arguments, Outcome, Refusal, page};
use crate::slack::Inner;
use crate::slack::workspace::{User, Workspace};

pub(super) fn info(workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let user = arguments
        .text("user")
        .and_then(|id| workspace.users.get(id))
        .ok_or_else(|| Refusal::from("user_not_found"))?;
    Ok(json!({"user": user.json()}))
}

pub(super) fn list(inner: &Inner, workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let all: Vec<&User> = workspace.users.values().collect();
    let (begin, end, next) = page(arguments, all.len(), inner.settings.page)?;
    let members: Vec<Value> = all
        .get(begin..end)
        .unwrap_or_default()
        .iter()
        .map(|user| user.json())
        .collect();
    Ok(json!({
        "members": members, "cache_ts": 1_700_000_000,
        "response_metadata": {"next_cursor": next},
    }))
}

pub(super) fn by_email(workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let email = arguments.need("email")?;
    workspace
        .users
        .values()
        .find(|user| user.email == email)
        .map(|user| json!({"user": user.json()}))
        .ok_or_else(|| "users_not_found".into())
}
