//! What the stand-in knows: one guild with its people, channels, messages and commands, the
//! interactions that are under way, and who is connected to the gateway.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::faults::{Fault, GatewayFaults};
use super::pings::Reading;
use super::rates::Rates;
use super::sessions::Session;

/// The first millisecond of Discord's ids.
const EPOCH_MS: u64 = 1_420_070_400_000;

/// Every permission that rollbot can ask for, by bit.
pub mod permission {
    pub const ADD_REACTIONS: u64 = 1 << 6;
    pub const VIEW_CHANNEL: u64 = 1 << 10;
    pub const SEND_MESSAGES: u64 = 1 << 11;
    pub const EMBED_LINKS: u64 = 1 << 14;
    pub const ATTACH_FILES: u64 = 1 << 15;
    pub const READ_MESSAGE_HISTORY: u64 = 1 << 16;
    pub const CREATE_PUBLIC_THREADS: u64 = 1 << 35;
    pub const SEND_MESSAGES_IN_THREADS: u64 = 1 << 38;
    /// What the bot's own role has when the stand-in starts.
    pub const ALL_OF_THEM: u64 = ADD_REACTIONS
        | VIEW_CHANNEL
        | SEND_MESSAGES
        | EMBED_LINKS
        | ATTACH_FILES
        | READ_MESSAGE_HISTORY
        | CREATE_PUBLIC_THREADS
        | SEND_MESSAGES_IN_THREADS;
}

#[derive(Debug, Clone)]
pub(super) struct User {
    pub id: u64,
    pub name: String,
    pub bot: bool,
    pub member: bool,
    /// Does not take direct messages from members of the guild.
    pub closed: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Role {
    pub id: u64,
    pub name: String,
    pub permissions: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelKind {
    Text,
    Direct,
    Thread,
}

#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub id: u64,
    pub name: String,
    pub kind: ChannelKind,
    pub parent: Option<u64>,
    /// Whom a direct channel is with.
    pub with: Option<u64>,
    /// Permissions that the bot's role is denied here.
    pub denied: u64,
    pub messages: BTreeMap<u64, Message>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reaction {
    pub user: u64,
    /// The character itself, or `name:id` of the guild's own emoji.
    pub emoji: String,
    pub burst: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub id: u64,
    pub channel: u64,
    pub author: u64,
    pub content: String,
    pub embeds: Vec<Value>,
    pub components: Vec<Value>,
    pub attachments: Vec<Attachment>,
    pub flags: u64,
    pub reactions: Vec<Reaction>,
    pub thread: Option<u64>,
    pub edits: u64,
    pub edited_at: Option<String>,
    pub only_for: Option<u64>,
    pub webhook: bool,
    /// The interaction that it answers.
    pub answers: Option<u64>,
    /// People and roles who would be notified.
    pub pings: Vec<String>,
    /// What a client makes of each of its texts.
    pub readings: Vec<Reading>,
}

#[derive(Debug, Clone)]
pub(super) struct Attachment {
    pub id: u64,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// What somebody did to the bot, and what came back.
#[derive(Debug, Clone)]
pub(super) struct Interaction {
    pub id: u64,
    pub token: String,
    /// 2 command, 3 component, 4 autocomplete, 5 modal
    pub kind: u8,
    pub user: u64,
    pub channel: u64,
    pub message: Option<u64>,
    pub made: Instant,
    /// Time that was let pass for this one alone.
    pub ahead: Duration,
    /// The callback's type and data.
    pub answer: Option<(u64, Value)>,
    pub answered_after: Option<Duration>,
    pub original: Option<u64>,
    pub follow_ups: Vec<u64>,
}

/// How long the first answer may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long a token can be used.
pub(super) const TOKEN_LASTS: Duration = Duration::from_secs(15 * 60);

impl Interaction {
    pub fn age(&self) -> Duration {
        self.made.elapsed() + self.ahead
    }
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Below `/api/v10`, without the query.
    pub path: String,
    pub query: String,
    /// `null` where there was none.
    pub body: Value,
    pub status: u16,
}

pub(super) struct World {
    pub base: String,
    pub token: String,
    pub revoked: bool,
    pub application: u64,
    pub bot: u64,
    pub guild: u64,
    pub bot_role: u64,
    pub allowed_intents: u64,
    pub key: Ed25519KeyPair,
    /// Where interactions are posted to instead of sent over the gateway.
    pub endpoint: Option<String>,
    pub users: BTreeMap<u64, User>,
    pub roles: Vec<Role>,
    pub channels: BTreeMap<u64, Channel>,
    pub global_commands: Vec<Value>,
    pub guild_commands: Vec<Value>,
    pub interactions: BTreeMap<u64, Interaction>,
    pub sessions: BTreeMap<String, Session>,
    pub nonces: HashMap<(u64, String), (Instant, u64)>,
    pub faults: Vec<Fault>,
    pub gateway: GatewayFaults,
    pub rates: Rates,
    pub requests: Vec<Request>,
    pub violations: Vec<String>,
    pub invalid_requests: u64,
    pub identifies: u64,
    pub resumes: u64,
    pub heartbeat: Duration,
    last_id: u64,
}

impl World {
    pub fn new(base: String, token: String, heartbeat: Duration, key: Ed25519KeyPair) -> Self {
        let mut world = Self {
            base,
            token,
            revoked: false,
            application: 0,
            bot: 0,
            guild: 0,
            bot_role: 0,
            // Everything but presences, members and message content, which are privileged.
            allowed_intents: !((1 << 1) | (1 << 8) | (1 << 15)),
            key,
            endpoint: None,
            users: BTreeMap::new(),
            roles: Vec::new(),
            channels: BTreeMap::new(),
            global_commands: Vec::new(),
            guild_commands: Vec::new(),
            interactions: BTreeMap::new(),
            sessions: BTreeMap::new(),
            nonces: HashMap::new(),
            faults: Vec::new(),
            gateway: GatewayFaults::default(),
            rates: Rates::default(),
            requests: Vec::new(),
            violations: Vec::new(),
            invalid_requests: 0,
            identifies: 0,
            resumes: 0,
            heartbeat,
            last_id: 0,
        };
        world.application = world.new_id();
        world.bot = world.application;
        world.guild = world.new_id();
        world.bot_role = world.new_id();
        world.users.insert(
            world.bot,
            User {
                id: world.bot,
                name: "rollbot".to_owned(),
                bot: true,
                member: true,
                closed: false,
            },
        );
        world.roles = vec![
            Role {
                id: world.guild,
                name: "@everyone".to_owned(),
                permissions: 0,
            },
            Role {
                id: world.bot_role,
                name: "rollbot".to_owned(),
                permissions: permission::ALL_OF_THEM,
            },
        ];
        world
    }

    /// An id that carries the time it was made at, and is greater than every one before.
    pub fn new_id(&mut self) -> u64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let id = now.saturating_sub(EPOCH_MS) << 22;
        self.last_id = id.max(self.last_id + 1);
        self.last_id
    }

    pub fn public_key(&self) -> String {
        hex::encode(self.key.public_key().as_ref())
    }

    pub fn message(&self, channel: u64, message: u64) -> Option<&Message> {
        self.channels.get(&channel)?.messages.get(&message)
    }

    pub fn message_mut(&mut self, channel: u64, message: u64) -> Option<&mut Message> {
        self.channels.get_mut(&channel)?.messages.get_mut(&message)
    }

    /// What the bot may do in a channel.
    pub fn bot_permissions(&self, channel: &Channel) -> u64 {
        if channel.kind == ChannelKind::Direct {
            return u64::MAX;
        }
        let granted = self
            .roles
            .iter()
            .filter(|role| role.id == self.guild || role.id == self.bot_role)
            .fold(0, |all, role| all | role.permissions);
        let denied = match channel.parent.and_then(|parent| self.channels.get(&parent)) {
            Some(parent) => parent.denied,
            None => channel.denied,
        };
        granted & !denied
    }

    pub fn add_channel(&mut self, name: &str, kind: ChannelKind, parent: Option<u64>) -> u64 {
        let id = self.new_id();
        self.put_channel(id, name, kind, parent);
        id
    }

    pub fn put_channel(&mut self, id: u64, name: &str, kind: ChannelKind, parent: Option<u64>) {
        let channel = Channel {
            id,
            name: name.to_owned(),
            kind,
            parent,
            with: None,
            denied: 0,
            messages: BTreeMap::new(),
        };
        self.channels.insert(id, channel);
    }

    pub fn add_user(&mut self, name: &str, bot: bool) -> u64 {
        let id = self.new_id();
        let user = User {
            id,
            name: name.to_owned(),
            bot,
            member: true,
            closed: false,
        };
        self.users.insert(id, user);
        id
    }

    pub fn direct_channel(&mut self, user: u64) -> u64 {
        let known = self
            .channels
            .values()
            .find(|channel| channel.with == Some(user));
        if let Some(known) = known {
            return known.id;
        }
        let id = self.add_channel("", ChannelKind::Direct, None);
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.with = Some(user);
        }
        id
    }

    /// Sends an event to every session that asked for its intent; 0 goes to all.
    pub fn emit(&mut self, intent: u64, event: &str, data: &Value) {
        for session in self.sessions.values_mut() {
            if intent == 0 || session.intents & intent != 0 {
                session.push(event, data.clone());
            }
        }
    }

    pub fn interaction_by_token(&mut self, token: &str) -> Option<&mut Interaction> {
        self.interactions
            .values_mut()
            .find(|interaction| interaction.token == token)
    }

    /// The guild as the gateway describes it.
    pub fn guild_created(&self) -> Value {
        let channels: Vec<Value> = self
            .channels
            .values()
            .filter(|channel| channel.kind == ChannelKind::Text)
            .map(|channel| self.channel_json(channel))
            .collect();
        let members: Vec<Value> = self
            .users
            .values()
            .filter(|user| user.member)
            .map(|user| self.member_json(user))
            .collect();
        let mut guild = self.guild_json();
        if let Value::Object(fields) = &mut guild {
            let more = json!({
                "joined_at": "2026-01-01T00:00:00.000000+00:00",
                "large": false,
                "unavailable": false,
                "member_count": members.len(),
                "voice_states": [],
                "members": members,
                "channels": channels,
                "threads": [],
                "presences": [],
                "stage_instances": [],
                "guild_scheduled_events": [],
                "soundboard_sounds": [],
            });
            if let Value::Object(more) = more {
                fields.extend(more);
            }
        }
        guild
    }
}
