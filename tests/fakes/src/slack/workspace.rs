//! What is in the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::{Value, json};

use super::mentions::Marked;

/// The workspace.
pub const TEAM_ID: &str = "T0CRYPTO";
/// The app, its bot, and the bot's user.
pub const APP_ID: &str = "A0ROLLBOT";
pub const BOT_ID: &str = "B0ROLLBOT";
pub const BOT_USER: &str = "U0ROLLBOT";
/// Credentials that are accepted at first.
pub const BOT_TOKEN: &str = "xoxb-fake-bot-token";
pub const APP_TOKEN: &str = "xapp-fake-app-token";
pub const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
/// The channel `ops`, of which the bot is a member.
pub const OPS: &str = "C0OPS";

/// What the bot was granted at first.
pub const SCOPES: &[&str] = &[
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:write",
    "groups:history",
    "groups:read",
    "reactions:read",
    "reactions:write",
    "users:read",
];

/// Somebody.
#[derive(Debug, Clone)]
pub struct User {
    pub id: String,
    pub name: String,
    pub real_name: String,
    pub email: String,
    pub team: String,
    pub deleted: bool,
    pub bot: bool,
    pub restricted: bool,
}

impl User {
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id, "team_id": self.team, "name": self.name, "real_name": self.real_name,
            "deleted": self.deleted, "is_bot": self.bot, "is_app_user": false,
            "is_restricted": self.restricted, "is_ultra_restricted": false,
            "is_admin": false, "is_owner": false, "updated": 1_700_000_000, "tz": "Etc/UTC",
            "profile": {"real_name": self.real_name, "display_name": self.name, "email": self.email, "team": self.team},
        })
    }
}

/// A channel, or a conversation with one person (`im` is that person).
#[derive(Debug, Clone)]
pub struct Channel {
    pub id: String,
    pub name: String,
    pub members: BTreeSet<String>,
    pub archived: bool,
    pub private: bool,
    pub im: Option<String>,
}

impl Channel {
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "name_normalized": self.name,
            "is_channel": self.im.is_none() && !self.private, "is_group": self.private, "is_im": self.im.is_some(),
            "is_private": self.private || self.im.is_some(), "is_archived": self.archived, "is_general": false,
            "is_member": self.members.contains(BOT_USER), "is_mpim": false, "user": self.im,
            "created": 1_700_000_000, "creator": "U0ANA", "num_members": self.members.len(),
            "topic": {"value": "", "creator": "", "last_set": 0}, "purpose": {"value": "", "creator": "", "last_set": 0},
        })
    }
}

/// A message that everybody in its channel sees.
#[derive(Debug, Clone)]
pub struct Message {
    pub channel: String,
    pub ts: String,
    pub user: String,
    pub by_bot: bool,
    pub text: String,
    pub blocks: Vec<Value>,
    pub metadata: Option<Value>,
    pub thread_ts: Option<String>,
    pub edited: u32,
    /// Name of the emoji and who put it there, in order.
    pub reactions: Vec<(String, Vec<String>)>,
    pub files: Vec<String>,
}

impl Message {
    /// As the API shows it: of each reaction `cut` people.
    pub(crate) fn json(&self, replies: &[&Message], metadata: bool, cut: usize) -> Value {
        let mut out = json!({
            "type": "message", "user": self.user, "ts": self.ts, "team": TEAM_ID, "text": self.text,
        });
        if let Some(map) = out.as_object_mut() {
            if self.by_bot {
                map.insert("bot_id".into(), json!(BOT_ID));
                map.insert("app_id".into(), json!(APP_ID));
            }
            if !self.blocks.is_empty() {
                map.insert("blocks".into(), Value::Array(self.blocks.clone()));
            }
            if let Some(meta) = self.metadata.as_ref().filter(|_| metadata) {
                map.insert("metadata".into(), meta.clone());
            }
            if let Some(parent) = &self.thread_ts {
                map.insert("thread_ts".into(), json!(parent));
            }
            if let Some(last) = replies.last() {
                map.insert("thread_ts".into(), json!(self.ts));
                map.insert("reply_count".into(), json!(replies.len()));
                map.insert("latest_reply".into(), json!(last.ts));
                map.insert("reply_users_count".into(), json!(1));
                map.insert("reply_users".into(), json!([last.user]));
            }
            if self.edited > 0 {
                map.insert("edited".into(), json!({"user": self.user, "ts": self.ts}));
            }
            if !self.reactions.is_empty() {
                let shown: Vec<Value> = self
                    .reactions
                    .iter()
                    .map(|(name, users)| {
                        let some: Vec<&String> = users.iter().take(cut).collect();
                        json!({"name": name, "users": some, "count": users.len()})
                    })
                    .collect();
                map.insert("reactions".into(), Value::Array(shown));
            }
        }
        out
    }

    /// All plain text in it that a person reads, in order.
    pub fn shown(&self) -> String {
        let mut out = String::new();
        for block in &self.blocks {
            super::mentions::collect_text(block, &mut out);
        }
        if self.blocks.is_empty() {
            out.push_str(&self.text);
        }
        out
    }

    pub fn users_of(&self, emoji: &str) -> Vec<String> {
        self.reactions
            .iter()
            .find(|(name, _)| name == emoji)
            .map(|(_, users)| users.clone())
            .unwrap_or_default()
    }
}

/// Something that one person was shown.
#[derive(Debug, Clone)]
pub struct Ephemeral {
    pub channel: String,
    pub user: String,
    pub text: String,
    pub blocks: Vec<Value>,
}

/// A request to the Web API.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub arguments: Value,
    /// `ok`, or the error that was answered.
    pub answered: String,
    pub at: Instant,
}

/// A file that was uploaded and shared, or waits for it.
#[derive(Debug, Clone, Default)]
pub struct UploadedFile {
    pub id: String,
    pub name: String,
    pub title: String,
    pub wanted: usize,
    pub bytes: Vec<u8>,
    pub complete: bool,
    pub channel: Option<String>,
    pub thread_ts: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub(crate) user: String,
    pub(crate) made: Instant,
    pub(crate) used: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct ResponseUrl {
    pub(crate) user: String,
    pub(crate) channel: String,
    pub(crate) made: Instant,
    pub(crate) uses: u32,
    /// The message it can replace.
    pub(crate) message: Option<String>,
}

/// An open modal or a home.
#[derive(Debug, Clone)]
pub struct View {
    pub id: String,
    pub user: String,
    pub view: Value,
    pub hash: String,
    /// Errors by block, as the bot answered a submission.
    pub errors: Value,
    pub open: bool,
}

/// All of it.
pub struct Workspace {
    pub users: BTreeMap<String, User>,
    pub channels: BTreeMap<String, Channel>,
    pub messages: Vec<Message>,
    pub ephemerals: Vec<Ephemeral>,
    pub files: BTreeMap<String, UploadedFile>,
    /// Open modals by view id.
    pub views: BTreeMap<String, View>,
    /// The home of each person.
    pub homes: BTreeMap<String, View>,
    pub calls: Vec<Call>,
    /// Everything that what the bot wrote would have pinged, linked or formatted.
    pub marked: Vec<Marked>,
    pub bot_token: String,
    pub app_token: String,
    /// Said of a known token that is no longer accepted: `token_revoked`, `account_inactive`.
    pub token_trouble: Option<String>,
    /// The organisation that the workspace is part of.
    pub enterprise: Option<String>,
    pub scopes: BTreeSet<String>,
    pub app_scopes: BTreeSet<String>,
    /// What people saw go wrong: `operation_timeout`, `dispatch_failed`.
    pub seen_failures: Vec<String>,
    pub(crate) triggers: BTreeMap<String, Trigger>,
    pub(crate) response_urls: BTreeMap<String, ResponseUrl>,
    /// One-time tickets for sockets.
    pub(crate) tickets: BTreeSet<String>,
    next: u64,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        let mut workspace = Self {
            users: BTreeMap::new(),
            channels: BTreeMap::new(),
            messages: Vec::new(),
            ephemerals: Vec::new(),
            files: BTreeMap::new(),
            views: BTreeMap::new(),
            homes: BTreeMap::new(),
            calls: Vec::new(),
            marked: Vec::new(),
            bot_token: BOT_TOKEN.to_owned(),
            app_token: APP_TOKEN.to_owned(),
            token_trouble: None,
            enterprise: None,
            scopes: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            app_scopes: BTreeSet::from(["connections:write".to_owned()]),
            seen_failures: Vec::new(),
            triggers: BTreeMap::new(),
            response_urls: BTreeMap::new(),
            tickets: BTreeSet::new(),
            next: 1,
        };
        for (id, name, real_name) in [
            ("U0ANA", "ana", "Ana Almeida"),
            ("U0BEN", "ben", "Ben Okafor"),
            ("U0CLEO", "cleo", "Cleo Marchetti"),
            ("U0DREW", "drew", "Drew Lindqvist"),
        ] {
            workspace.add_user(id, name, real_name);
        }
        workspace.add_user(BOT_USER, "rollbot", "rollbot");
        if let Some(bot) = workspace.users.get_mut(BOT_USER) {
            bot.bot = true;
        }
        workspace.add_channel(OPS, "ops");
        workspace
    }

    pub fn add_user(&mut self, id: &str, name: &str, real_name: &str) {
        let user = User {
            id: id.to_owned(),
            name: name.to_owned(),
            real_name: real_name.to_owned(),
            email: format!("{name}@example.org"),
            team: TEAM_ID.to_owned(),
            deleted: false,
            bot: false,
            restricted: false,
        };
        self.users.insert(id.to_owned(), user);
        for channel in self.channels.values_mut() {
            if channel.im.is_none() {
                channel.members.insert(id.to_owned());
            }
        }
    }

    /// A public channel with everybody in it.
    pub fn add_channel(&mut self, id: &str, name: &str) {
        let members = self.users.keys().cloned().collect();
        let channel = Channel {
            id: id.to_owned(),
            name: name.to_owned(),
            members,
            archived: false,
            private: false,
            im: None,
        };
        self.channels.insert(id.to_owned(), channel);
    }

    /// A number nobody else has.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The time of a message: unique, and later than every other.
    pub(crate) fn ts(&mut self) -> String {
        let seconds = jiff::Timestamp::now().as_second();
        format!("{seconds}.{:06}", self.number())
    }

    pub fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.messages
            .iter()
            .find(|message| message.channel == channel && message.ts == ts)
    }

    pub(crate) fn message_mut(&mut self, channel: &str, ts: &str) -> Option<&mut Message> {
        self.messages
            .iter_mut()
            .find(|message| message.channel == channel && message.ts == ts)
    }

    /// The bot's messages in a channel, oldest first; those of threads as well.
    pub fn by_bot(&self, channel: &str) -> Vec<Message> {
        self.messages
            .iter()
            .filter(|message| message.by_bot && message.channel == channel)
            .cloned()
            .collect()
    }

    /// What one person was shown, oldest first.
    pub fn whispered_to(&self, user: &str) -> Vec<Ephemeral> {
        self.ephemerals
            .iter()
            .filter(|ephemeral| ephemeral.user == user)
            .cloned()
            .collect()
    }

    pub(crate) fn replies(&self, channel: &str, ts: &str) -> Vec<&Message> {
        self.messages
            .iter()
            .filter(|message| {
                message.channel == channel && message.thread_ts.as_deref() == Some(ts)
            })
            .collect()
    }

    /// The conversation between the bot and one person.
    pub(crate) fn im(&mut self, user: &str) -> String {
        let id = format!("D{}", user.trim_start_matches('U'));
        self.channels.entry(id.clone()).or_insert_with(|| Channel {
            id: id.clone(),
            name: user.to_owned(),
            members: BTreeSet::from([user.to_owned(), BOT_USER.to_owned()]),
            archived: false,
            private: true,
            im: Some(user.to_owned()),
        });
        id
    }

    pub(crate) fn trigger(&mut self, user: &str) -> String {
        let id = format!(
            "{}.{}.{:032x}",
            self.number(),
            4_711,
            rand::random::<u128>()
        );
        let trigger = Trigger {
            user: user.to_owned(),
            made: Instant::now(),
            used: false,
        };
        self.triggers.insert(id.clone(), trigger);
        id
    }

    pub(crate) fn response_url(
        &mut self,
        user: &str,
        channel: &str,
        message: Option<&str>,
    ) -> String {
        let id = format!("{:024x}", rand::random::<u128>() >> 32);
        let url = ResponseUrl {
            user: user.to_owned(),
            channel: channel.to_owned(),
            made: Instant::now(),
            uses: 0,
            message: message.map(str::to_owned),
        };
        self.response_urls.insert(id.clone(), url);
        id
    }
}
