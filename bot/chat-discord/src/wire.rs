//! What comes from Discord, as far as it is read.

use serde::Deserialize;
use serde_json::Value;

/// A snowflake: a number in a string.
pub(crate) fn id(value: &Value) -> Option<u64> {
    value.as_str()?.parse().ok().filter(|id| *id != 0)
}

/// A frame of the gateway.
#[derive(Debug, Deserialize)]
pub(crate) struct Frame {
    pub op: u64,
    #[serde(default)]
    pub s: Option<u64>,
    #[serde(default)]
    pub t: Option<String>,
    #[serde(default)]
    pub d: Value,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Interaction {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: u8,
    pub token: String,
    #[serde(default)]
    channel_id: Option<String>,
    #[serde(default)]
    channel: Option<Channel>,
    #[serde(default)]
    member: Option<Member>,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    pub data: Option<Data>,
    #[serde(default)]
    pub message: Option<Message>,
}

/// Kinds of interactions.
pub(crate) const PING: u8 = 1;
pub(crate) const COMMAND: u8 = 2;
pub(crate) const COMPONENT: u8 = 3;
pub(crate) const AUTOCOMPLETE: u8 = 4;

#[derive(Debug, Clone, Deserialize)]
struct Channel {
    id: String,
    #[serde(rename = "type", default)]
    kind: u8,
    #[serde(default)]
    parent_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Member {
    user: User,
}

#[derive(Debug, Clone, Deserialize)]
struct User {
    id: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Message {
    pub id: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Data {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub custom_id: String,
    #[serde(default)]
    pub options: Vec<Given>,
}

/// An option that somebody filled in, or a subcommand.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Given {
    pub name: String,
    #[serde(default)]
    pub value: Value,
    #[serde(default)]
    pub options: Vec<Given>,
    #[serde(default)]
    pub focused: bool,
}

/// Public, private and announcement threads.
fn is_thread(kind: u8) -> bool {
    matches!(kind, 10..=12)
}

impl Interaction {
    pub fn user(&self) -> Option<&str> {
        let member = self.member.as_ref().map(|member| &member.user);
        member.or(self.user.as_ref()).map(|user| user.id.as_str())
    }

    /// The channel, and the thread in it where it happened in one.
    pub fn place(&self) -> Option<(String, Option<String>)> {
        if let Some(channel) = &self.channel
            && is_thread(channel.kind)
            && let Some(parent) = &channel.parent_id
        {
            return Some((parent.clone(), Some(channel.id.clone())));
        }
        let id = self.channel_id.clone();
        let id = id.or_else(|| self.channel.as_ref().map(|channel| channel.id.clone()))?;
        Some((id, None))
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Reaction {
    pub user_id: String,
    pub channel_id: String,
    pub message_id: String,
    pub emoji: Emoji,
    #[serde(default)]
    pub message_author_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Emoji {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

impl Emoji {
    /// The name that the core knows. A server's own emoji keeps its id, so that nobody can make one
    /// that is called like a vote.
    pub fn known_as(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        match (&self.id, name.trim_end_matches('\u{fe0f}')) {
            (Some(id), _) => format!("custom:{id}"),
            (None, "✅") => "white_check_mark".to_owned(),
            (None, "✔") => "heavy_check_mark".to_owned(),
            (None, "❌") => "x".to_owned(),
            (None, "❎") => "negative_squared_cross_mark".to_owned(),
            (None, _) => name.to_owned(),
        }
    }

    /// As it stands in a path.
    pub fn in_path(&self) -> String {
        let name = self.name.as_deref().unwrap_or("_");
        match &self.id {
            Some(id) => encoded(&format!("{name}:{id}")),
            None => encoded(name),
        }
    }
}

/// The emoji behind a name of the core's, for a path.
pub(crate) fn emoji_in_path(name: &str) -> String {
    encoded(match name {
        "white_check_mark" => "✅",
        "heavy_check_mark" => "✔️",
        "x" => "❌",
        "negative_squared_cross_mark" => "❎",
        other => other,
    })
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
