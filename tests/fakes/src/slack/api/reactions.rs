//! `reactions.*`

use serde_json::json;

use super::{Arguments, Outcome, Refusal};
use crate::slack::Inner;
use crate::slack::workspace::{BOT_USER, Message, Workspace};

fn target(workspace: &Workspace, arguments: &Arguments) -> Result<(String, String), Refusal> {
    let channel = arguments
        .text("channel")
        .ok_or_else(|| Refusal::from("no_item_specified"))?;
    let known = workspace
        .channels
        .get(channel)
        .ok_or_else(|| Refusal::from("channel_not_found"))?;
    if !known.members.contains(BOT_USER) {
        return Err("not_in_channel".into());
    }
    if known.archived {
        return Err("is_archived".into());
    }
    let ts = arguments
        .text("timestamp")
        .ok_or_else(|| Refusal::from("no_item_specified"))?;
    if workspace.message(channel, ts).is_none() {
        return Err("message_not_found".into());
    }
    Ok((channel.to_owned(), ts.to_owned()))
}

fn name(arguments: &Arguments) -> Result<String, Refusal> {
    let name = arguments
        .text("name")
        .ok_or_else(|| Refusal::from("no_reaction"))?;
    let sound = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_+-:'".contains(c));
    if sound {
        Ok(name.to_owned())
    } else {
        Err("invalid_name".into())
    }
}

/// Puts somebody's reaction on a message.
pub(in crate::slack) fn put(message: &mut Message, emoji: &str, user: &str) -> Result<(), Refusal> {
    match message.reactions.iter_mut().find(|(name, _)| name == emoji) {
        Some((_, users)) if users.iter().any(|one| one == user) => Err("already_reacted".into()),
        Some((_, users)) => {
            users.push(user.to_owned());
            Ok(())
        }
        None => {
            let first = (emoji.to_owned(), vec![user.to_owned()]);
            message.reactions.push(first);
            Ok(())
        }
    }
}

/// Takes somebody's reaction off a message.
pub(in crate::slack) fn take(
    message: &mut Message,
    emoji: &str,
    user: &str,
) -> Result<(), Refusal> {
    let Some((_, users)) = message.reactions.iter_mut().find(|(name, _)| name == emoji) else {
        return Err("no_reaction".into());
    };
    let before = users.len();
    users.retain(|one| one != user);
    if users.len() == before {
        return Err("no_reaction".into());
    }
    message.reactions.retain(|(_, users)| !users.is_empty());
    Ok(())
}

pub(super) fn add(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let (channel, ts) = target(workspace, arguments)?;
    let name = name(arguments)?;
    if let Some(message) = workspace.message_mut(&channel, &ts) {
        put(message, &name, BOT_USER)?;
    }
    Ok(json!({}))
}

pub(super) fn remove(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let (channel, ts) = target(workspace, arguments)?;
    let name = name(arguments)?;
    if let Some(message) = workspace.message_mut(&channel, &ts) {
        take(message, &name, BOT_USER)?;
    }
    Ok(json!({}))
}

pub(super) fn get(inner: &Inner, workspace: &Workspace, arguments: &Arguments) -> Outcome {
    let (channel, ts) = target(workspace, arguments)?;
    let cut = if arguments.flag("full") {
        usize::MAX
    } else {
        inner.settings.reaction_users_cut
    };
    let message = workspace
        .message(&channel, &ts)
        .ok_or_else(|| Refusal::from("message_not_found"))?;
    Ok(json!({"type": "message", "channel": channel, "message": message.json(&[], false, cut)}))
}
