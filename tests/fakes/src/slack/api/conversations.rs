//! `conversations.*`

use serde_json::{Value, json};

use super::{Arguments, Outcome, Refusal, page};
use crate::slack::Inner;
use crate::slack::workspace::{BOT_USER, Channel, Message, Workspace};

fn known<'w>(workspace: &'w Workspace, arguments: &Arguments) -> Result<&'w Channel, Refusal> {
    arguments
        .text("channel")
        .and_then(|id| workspace.channels.get(id))
        .filter(|channel| !channel.private || channel.members.contains(BOT_USER))
        .ok_or_else(|| Refusal::from("channel_not_found"))
}

pub(super) fn list(inner: &Inner, workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let types = arguments.text("types").unwrap_or("public_channel");
    let no_archived = arguments.flag("exclude_archived");
    let all: Vec<&Channel> = workspace
        .channels
        .values()
        .filter(|channel| {
            let kind = match channel {
                Channel { im: Some(_), .. } => "im",
                Channel { private: true, .. } => "private_channel",
                Channel { .. } => "public_channel",
            };
            types.split(',').any(|wanted| wanted.trim() == kind)
        })
        .filter(|channel| !channel.private || channel.members.contains(BOT_USER))
        .filter(|channel| !(no_archived && channel.archived))
        .collect();
    let (begin, end, next) = page(arguments, all.len(), inner.settings.page)?;
    let shown: Vec<Value> = all
        .get(begin..end)
        .unwrap_or_default()
        .iter()
        .map(|channel| channel.json())
        .collect();
    Ok(json!({"channels": shown, "response_metadata": {"next_cursor": next}}))
}

pub(super) fn info(workspace: &Workspace, arguments: &Arguments) -> Outcome {
    Ok(json!({"channel": known(workspace, arguments)?.json()}))
}

pub(super) fn members(inner: &Inner, workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let members: Vec<&String> = known(workspace, arguments)?.members.iter().collect();
    let (begin, end, next) = page(arguments, members.len(), inner.settings.page)?;
    Ok(json!({
        "members": members.get(begin..end).unwrap_or_default(),
        "response_metadata": {"next_cursor": next},
    }))
}

pub(super) fn open(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let user = arguments.need("users")?.to_owned();
    if !workspace.users.contains_key(&user) {
        return Err("user_not_found".into());
    }
    let id = workspace.im(&user);
    Ok(json!({"channel": {"id": id}}))
}

fn readable<'w>(workspace: &'w Workspace, arguments: &Arguments) -> Result<&'w Channel, Refusal> {
    let channel = known(workspace, arguments)?;
    if channel.members.contains(BOT_USER) {
        Ok(channel)
    } else {
        Err("not_in_channel".into())
    }
}

/// Whether a message lies between `oldest` and `latest`, which are times.
fn between(message: &Message, arguments: &Arguments) -> bool {
    let number = |key: &str| {
        arguments
            .text(key)
            .and_then(|text| text.parse::<f64>().ok())
    };
    let inclusive = arguments.flag("inclusive");
    let at = message.ts.parse::<f64>().unwrap_or_default();
    let after = number("oldest").is_none_or(|oldest| at > oldest || (inclusive && at >= oldest));
    let before = number("latest").is_none_or(|latest| at < latest || (inclusive && at <= latest));
    after && before
}

pub(super) fn history(inner: &Inner, workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let channel = readable(workspace, arguments)?;
    let metadata = arguments.flag("include_all_metadata");
    let all: Vec<&Message> = workspace
        .messages
        .iter()
        .rev()
        .filter(|message| message.channel == channel.id && message.thread_ts.is_none())
        .filter(|message| between(message, arguments))
        .collect();
    shown(inner, workspace, arguments, &all, metadata)
}

pub(super) fn replies(inner: &Inner, workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let channel = readable(workspace, arguments)?;
    let ts = arguments.need("ts")?;
    let parent = workspace
        .message(&channel.id, ts)
        .ok_or_else(|| Refusal::from("thread_not_found"))?;
    let metadata = arguments.flag("include_all_metadata");
    let mut all = vec![parent];
    all.extend(
        workspace
            .replies(&channel.id, ts)
            .into_iter()
            .filter(|message| between(message, arguments)),
    );
    shown(inner, workspace, arguments, &all, metadata)
}

fn shown(
    inner: &Inner,
    workspace: &Workspace,
    arguments: &Arguments,
    all: &[&Message],
    metadata: bool,
) -> Outcome {
    let (begin, end, next) = page(arguments, all.len(), inner.settings.page)?;
    let cut = inner.settings.reaction_users_cut;
    let messages: Vec<Value> = all
        .get(begin..end)
        .unwrap_or_default()
        .iter()
        .map(|message| {
            let replies = workspace.replies(&message.channel, &message.ts);
            message.json(&replies, metadata, cut)
        })
        .collect();
    Ok(json!({
        "messages": messages, "has_more": !next.is_empty(),
        "response_metadata": {"next_cursor": next},
    }))
}
