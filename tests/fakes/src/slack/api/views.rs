//! `views.*`

use serde_json::{Value, json};

use super::{Arguments, Outcome, Refusal, invalid};
use crate::slack::Inner;
use crate::slack::blocks;
use crate::slack::mentions;
use crate::slack::workspace::{APP_ID, BOT_ID, TEAM_ID, View, Workspace};

/// The view that was given, checked: a modal or a home.
pub(in crate::slack) fn check(view: &Value, kind: &str) -> Result<(), Refusal> {
    if view.get("type").and_then(Value::as_str) != Some(kind) {
        return Err(invalid(&format!("the view must be of type `{kind}`")));
    }
    let text = |key: &str| {
        view.get(key)
            .and_then(|text| text.get("text"))
            .and_then(Value::as_str)
    };
    if kind == "modal" {
        let title = text("title").ok_or_else(|| invalid("a modal needs a title"))?;
        if title.chars().count() > 24 {
            return Err(invalid("a modal's title has at most 24 characters"));
        }
        for button in ["submit", "close"] {
            if text(button).is_some_and(|text| text.chars().count() > 24) {
                return Err(invalid("a modal's button has at most 24 characters"));
            }
        }
    }
    let private = view.get("private_metadata").and_then(Value::as_str);
    if private.is_some_and(|text| text.chars().count() > 3_000) {
        return Err(invalid("`private_metadata` has at most 3000 characters"));
    }
    let blocks = view
        .get("blocks")
        .and_then(Value::as_array)
        .ok_or_else(|| invalid("a view needs blocks"))?;
    blocks::check(blocks, blocks::Surface::View)?;
    let asks = blocks
        .iter()
        .any(|block| block.get("type").and_then(Value::as_str) == Some("input"));
    if asks && kind == "modal" && text("submit").is_none() {
        return Err(invalid("a modal with inputs needs `submit`"));
    }
    Ok(())
}

pub(in crate::slack) fn shown(view: &View) -> Value {
    let mut out = view.view.clone();
    if let Some(map) = out.as_object_mut() {
        map.insert("id".into(), json!(view.id));
        map.insert("team_id".into(), json!(TEAM_ID));
        map.insert("app_id".into(), json!(APP_ID));
        map.insert("bot_id".into(), json!(BOT_ID));
        map.insert("hash".into(), json!(view.hash));
        map.insert("root_view_id".into(), json!(view.id));
        map.insert("state".into(), json!({"values": {}}));
        for key in ["private_metadata", "callback_id", "external_id"] {
            map.entry(key).or_insert_with(|| json!(""));
        }
    }
    out
}

fn note(workspace: &mut Workspace, view: &Value) {
    let blocks = view.get("blocks").and_then(Value::as_array).cloned();
    let found = mentions::find("", &blocks.unwrap_or_default());
    workspace.marked.extend(found);
}

/// Replaces what a view shows, as an update or as the answer to a submission.
pub(in crate::slack) fn replace(
    workspace: &mut Workspace,
    id: &str,
    view: Value,
) -> Result<View, Refusal> {
    check(&view, "modal")?;
    note(workspace, &view);
    let hash = format!("{}.hash", workspace.number());
    let open = workspace
        .views
        .get_mut(id)
        .ok_or_else(|| Refusal::from("not_found"))?;
    open.view = view;
    open.hash = hash;
    open.errors = Value::Null;
    Ok(open.clone())
}

pub(super) fn open(inner: &Inner, workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let trigger = arguments.need("trigger_id")?.to_owned();
    let view = arguments
        .structure("view")?
        .ok_or_else(|| invalid("missing required field: view"))?;
    let made = workspace
        .triggers
        .get_mut(&trigger)
        .ok_or_else(|| Refusal::from("invalid_trigger_id"))?;
    if made.used {
        return Err("exchanged_trigger_id".into());
    }
    if made.made.elapsed() > inner.settings.trigger_lasts {
        return Err("expired_trigger_id".into());
    }
    check(&view, "modal")?;
    made.used = true;
    let user = made.user.clone();
    note(workspace, &view);
    let id = format!("V{:09}", workspace.number());
    let view = View {
        id: id.clone(),
        user,
        view,
        hash: format!("{}.hash", workspace.number()),
        errors: Value::Null,
        open: true,
    };
    let out = shown(&view);
    workspace.views.insert(id, view);
    Ok(json!({"view": out}))
}

pub(super) fn update(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let id = arguments.need("view_id")?.to_owned();
    let view = arguments
        .structure("view")?
        .ok_or_else(|| invalid("missing required field: view"))?;
    let known = workspace
        .views
        .get(&id)
        .ok_or_else(|| Refusal::from("not_found"))?;
    if arguments
        .text("hash")
        .is_some_and(|hash| hash != known.hash)
    {
        return Err("hash_conflict".into());
    }
    let replaced = replace(workspace, &id, view)?;
    Ok(json!({"view": shown(&replaced)}))
}

pub(super) fn publish(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let user = arguments.need("user_id")?.to_owned();
    if !workspace.users.contains_key(&user) {
        return Err("user_not_found".into());
    }
    let view = arguments
        .structure("view")?
        .ok_or_else(|| invalid("missing required field: view"))?;
    check(&view, "home")?;
    note(workspace, &view);
    let home = View {
        id: format!("V{:09}", workspace.number()),
        user: user.clone(),
        view,
        hash: format!("{}.hash", workspace.number()),
        errors: Value::Null,
        open: true,
    };
    let out = shown(&home);
    workspace.homes.insert(user, home);
    Ok(json!({"view": out}))
}
