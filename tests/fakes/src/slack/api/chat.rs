//! `chat.*`

use serde_json::{Value, json};

use super::{Arguments, Outcome, Refusal};
use crate::slack::blocks;
use crate::slack::mentions;
use crate::slack::workspace::{BOT_USER, Ephemeral, Message, Workspace};

/// Characters that `text` may have.
const LONGEST_TEXT: usize = 40_000;

/// What a message is to say, checked as Slack checks it.
pub(in crate::slack) struct Content {
    pub(in crate::slack) text: String,
    pub(in crate::slack) blocks: Vec<Value>,
    pub(in crate::slack) metadata: Option<Value>,
}

impl Content {
    pub(in crate::slack) fn read(arguments: &Arguments) -> Result<Self, Refusal> {
        let text = arguments.text("text").unwrap_or_default().to_owned();
        if text.chars().count() > LONGEST_TEXT {
            return Err("msg_too_long".into());
        }
        let blocks = match arguments.structure("blocks") {
            Err(_) => return Err("invalid_blocks_format".into()),
            Ok(None) => Vec::new(),
            Ok(Some(Value::Array(blocks))) => blocks,
            Ok(Some(_)) => return Err("invalid_blocks_format".into()),
        };
        blocks::check(&blocks, blocks::Surface::Message)?;
        if text.is_empty() && blocks.is_empty() {
            return Err("no_text".into());
        }
        let metadata = arguments
            .structure("metadata")
            .map_err(|_| Refusal::from("metadata_must_be_sent_from_app"))?;
        if let Some(metadata) = &metadata
            && (metadata.get("event_type").and_then(Value::as_str).is_none()
                || !metadata.get("event_payload").is_some_and(Value::is_object))
        {
            return Err("invalid_metadata_format".into());
        }
        Ok(Self {
            text,
            blocks,
            metadata,
        })
    }

    fn note(&self, workspace: &mut Workspace) {
        let found = mentions::find(&self.text, &self.blocks);
        workspace.marked.extend(found);
    }
}

/// The channel a message goes to: it must be there, open, and the bot in it. A person's id stands
/// for the conversation with them.
fn channel(workspace: &mut Workspace, arguments: &Arguments) -> Result<String, Refusal> {
    let wanted = arguments
        .text("channel")
        .ok_or_else(|| Refusal::from("channel_not_found"))?
        .to_owned();
    let id = if workspace.users.contains_key(&wanted) {
        workspace.im(&wanted)
    } else {
        wanted
    };
    let channel = workspace
        .channels
        .get(&id)
        .ok_or_else(|| Refusal::from("channel_not_found"))?;
    if channel.archived {
        return Err("is_archived".into());
    }
    if !channel.members.contains(BOT_USER) {
        return Err("not_in_channel".into());
    }
    Ok(id)
}

pub(super) fn post(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let channel = channel(workspace, arguments)?;
    let content = Content::read(arguments)?;
    let thread_ts = arguments.text("thread_ts").map(str::to_owned);
    if let Some(thread) = &thread_ts
        && workspace.message(&channel, thread).is_none()
    {
        return Err("thread_not_found".into());
    }
    content.note(workspace);
    let message = append(workspace, channel, thread_ts, content);
    Ok(json!({
        "channel": message.channel, "ts": message.ts, "message": message.json(&[], true, 0),
    }))
}

/// Puts a message of the bot's into a channel.
pub(in crate::slack) fn append(
    workspace: &mut Workspace,
    channel: String,
    thread_ts: Option<String>,
    content: Content,
) -> Message {
    let message = Message {
        ts: workspace.ts(),
        channel,
        user: BOT_USER.to_owned(),
        by_bot: true,
        text: content.text,
        blocks: content.blocks,
        metadata: content.metadata,
        thread_ts,
        edited: 0,
        reactions: Vec::new(),
        files: Vec::new(),
    };
    workspace.messages.push(message.clone());
    message
}

pub(super) fn update(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let channel = channel(workspace, arguments)?;
    let content = Content::read(arguments)?;
    let ts = arguments.need("ts")?.to_owned();
    match workspace.message(&channel, &ts) {
        None => return Err("message_not_found".into()),
        Some(message) if !message.by_bot => return Err("cant_update_message".into()),
        Some(_) => content.note(workspace),
    }
    let Some(message) = workspace.message_mut(&channel, &ts) else {
        return Err("message_not_found".into());
    };
    message.text = content.text;
    // Leaving blocks out keeps none: they are replaced by the text.
    message.blocks = content.blocks;
    if content.metadata.is_some() {
        message.metadata = content.metadata;
    }
    message.edited += 1;
    Ok(json!({
        "channel": channel, "ts": ts, "text": message.text, "message": message.json(&[], true, 0),
    }))
}

pub(super) fn delete(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let channel = channel(workspace, arguments)?;
    let ts = arguments.need("ts")?.to_owned();
    match workspace.message(&channel, &ts) {
        None => return Err("message_not_found".into()),
        Some(message) if !message.by_bot => return Err("cant_delete_message".into()),
        Some(_) => {}
    }
    workspace
        .messages
        .retain(|message| message.channel != channel || message.ts != ts);
    Ok(json!({"channel": channel, "ts": ts}))
}

pub(super) fn ephemeral(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let channel = channel(workspace, arguments)?;
    let user = arguments.need("user")?.to_owned();
    if !workspace.users.contains_key(&user) {
        return Err("user_not_found".into());
    }
    let is_member = workspace
        .channels
        .get(&channel)
        .is_some_and(|channel| channel.members.contains(&user));
    if !is_member {
        return Err("user_not_in_channel".into());
    }
    let content = Content::read(arguments)?;
    content.note(workspace);
    let ts = workspace.ts();
    workspace.ephemerals.push(Ephemeral {
        channel,
        user,
        text: content.text,
        blocks: content.blocks,
    });
    Ok(json!({"message_ts": ts}))
}

pub(super) fn permalink(workspace: &mut Workspace, arguments: &Arguments) -> Outcome {
    let channel = arguments.need("channel")?;
    let ts = arguments.need("message_ts")?;
    if !workspace.channels.contains_key(channel) {
        return Err("channel_not_found".into());
    }
    if workspace.message(channel, ts).is_none() {
        return Err("message_not_found".into());
    }
    let flat = ts.replace('.', "");
    Ok(json!({
        "channel": channel,
        "permalink": format!("https://cryptobot-ops.slack.com/archives/{channel}/p{flat}"),
    }))
}

/// What is shown of a message that answers a command or an action.
pub(in crate::slack) fn answered(payload: &Value) -> Result<Content, Refusal> {
    let map = payload.as_object().cloned().unwrap_or_default();
    let content = Content::read(&Arguments(map))?;
    Ok(content)
}

/// Shows an answer: to one person, or to the channel.
pub(in crate::slack) fn show_answer(
    workspace: &mut Workspace,
    channel: &str,
    user: &str,
    payload: &Value,
) -> Result<(), Refusal> {
    let content = answered(payload)?;
    content.note(workspace);
    let public = payload.get("response_type").and_then(Value::as_str) == Some("in_channel");
    if public {
        append(workspace, channel.to_owned(), None, content);
    } else {
        workspace.ephemerals.push(Ephemeral {
            channel: channel.to_owned(),
            user: user.to_owned(),
            text: content.text,
            blocks: content.blocks,
        });
    }
    Ok(())
}
