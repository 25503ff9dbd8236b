//! What people do, and what they see.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::FakeDiscord;
use super::interactions;
use super::pings::Reading;
use super::world::{ANSWER_WITHIN, Interaction, Message, TOKEN_LASTS};

/// A message as it is to be looked at.
#[derive(Debug, Clone)]
pub struct Seen {
    pub id: u64,
    pub channel: u64,
    pub content: String,
    pub embeds: Vec<Value>,
    pub components: Vec<Value>,
    /// Name and content.
    pub files: Vec<(String, String)>,
    /// The one who alone sees it.
    pub only_for: Option<u64>,
    pub edits: u64,
    pub thread: Option<u64>,
    /// Emoji with who put it there.
    pub reactions: Vec<(String, u64)>,
    /// Who was notified.
    pub pings: Vec<String>,
    /// What a client makes of each text.
    pub readings: Vec<Reading>,
}

impl Seen {
    fn of(message: &Message) -> Self {
        Self {
            id: message.id,
            channel: message.channel,
            content: message.content.clone(),
            embeds: message.embeds.clone(),
            components: message.components.clone(),
            files: message
                .attachments
                .iter()
                .map(|file| {
                    let text = String::from_utf8_lossy(&file.bytes).into_owned();
                    (file.name.clone(), text)
                })
                .collect(),
            only_for: message.only_for,
            edits: message.edits,
            thread: message.thread,
            reactions: message
                .reactions
                .iter()
                .map(|reaction| (reaction.emoji.clone(), reaction.user))
                .collect(),
            pings: message.pings.clone(),
            readings: message.readings.clone(),
        }
    }
}

/// What came of an interaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Nothing yet, and there is time.
    Waiting,
    /// Three seconds went by: "the application did not respond".
    NoAnswer,
    /// The type and data of the first answer.
    Answered { kind: u64, data: Value },
}

impl FakeDiscord {
    fn interaction(
        &self,
        kind: u8,
        user: u64,
        channel: u64,
        message: Option<u64>,
        data: &Value,
    ) -> u64 {
        self.interact(kind, user, channel, message, data, false)
    }

    fn interact(
        &self,
        kind: u8,
        user: u64,
        channel: u64,
        message: Option<u64>,
        data: &Value,
        forged: bool,
    ) -> u64 {
        let mut world = self.fake.lock();
        let id = world.new_id();
        let interaction = Interaction {
            id,
            token: format!("aW50ZXJhY3Rpb24{}", hex::encode(rand::random::<[u8; 24]>())),
            kind,
            user,
            channel,
            message,
            made: Instant::now(),
            ahead: Duration::ZERO,
            answer: None,
            answered_after: None,
            original: None,
            follow_ups: Vec::new(),
        };
        let payload = world.interaction_json(&interaction, data);
        world.interactions.insert(id, interaction);
        if world.endpoint.is_some() {
            drop(world);
            tokio::spawn(interactions::post(self.fake.clone(), id, payload, forged));
        } else {
            world.emit(0, "INTERACTION_CREATE", &payload);
        }
        id
    }

    fn command_data(&self, name: &str, options: &Value) -> Value {
        let world = self.fake.lock();
        let known = world
            .guild_commands
            .iter()
            .chain(&world.global_commands)
            .find(|command| command["name"] == name);
        let id = known.map_or_else(|| json!("0"), |command| command["id"].clone());
        json!({"id": id, "name": name, "type": 1, "guild_id": world.guild.to_string(), "options": options})
    }

    /// A slash command. `options` as they go over the wire: `[{"name", "type", "value"}]`.
    pub fn command(&self, user: u64, channel: u64, name: &str, options: &Value) -> u64 {
        let data = self.command_data(name, options);
        self.interaction(2, user, channel, None, &data)
    }

    /// A slash command whose signature is not Discord's; only with an endpoint.
    pub fn forged_command(&self, user: u64, channel: u64, name: &str, options: &Value) -> u64 {
        let data = self.command_data(name, options);
        self.interact(2, user, channel, None, &data, true)
    }

    /// Somebody types in an option (the one with `"focused": true`).
    pub fn autocomplete(&self, user: u64, channel: u64, name: &str, options: &Value) -> u64 {
        let data = self.command_data(name, options);
        self.interaction(4, user, channel, None, &data)
    }

    /// Presses the button with this label under a message.
    ///
    /// # Errors
    /// There is none.
    pub fn press(&self, user: u64, channel: u64, message: u64, label: &str) -> anyhow::Result<u64> {
        let seen = self
            .message(channel, message)
            .ok_or_else(|| anyhow::anyhow!("no message {message} in {channel}"))?;
        let id = seen
            .components
            .iter()
            .flat_map(|row| row["components"].as_array().cloned().unwrap_or_default())
            .find(|button| button["label"] == label)
            .map(|button| button["custom_id"].clone())
            .ok_or_else(|| anyhow::anyhow!("no button `{label}` under {message}"))?;
        let data = json!({"custom_id": id, "component_type": 2, "id": 1});
        Ok(self.interaction(3, user, channel, Some(message), &data))
    }

    /// Submits a modal.
    pub fn submit(&self, user: u64, channel: u64, custom_id: &str, components: &Value) -> u64 {
        let data = json!({"custom_id": custom_id, "components": components});
        self.interaction(5, user, channel, None, &data)
    }

    /// Discord's own question whether an endpoint is there.
    pub fn ping_endpoint(&self, forged: bool) {
        let payload = json!({
            "id": "1", "application_id": self.application().to_string(), "type": 1,
            "token": "ping", "version": 1,
        });
        tokio::spawn(interactions::post(self.fake.clone(), 0, payload, forged));
    }

    /// Puts a reaction on. Whether it was not there before.
    pub fn react(&self, user: u64, channel: u64, message: u64, emoji: &str) -> bool {
        self.fake
            .lock()
            .react(user, channel, message, emoji, false, true)
    }

    /// Puts a "super reaction" on.
    pub fn burst(&self, user: u64, channel: u64, message: u64, emoji: &str) -> bool {
        self.fake
            .lock()
            .react(user, channel, message, emoji, true, true)
    }

    pub fn unreact(&self, user: u64, channel: u64, message: u64, emoji: &str) -> bool {
        self.fake
            .lock()
            .react(user, channel, message, emoji, false, false)
    }

    /// Somebody else than the bot writes something.
    pub fn say(&self, user: u64, channel: u64, content: &str) -> u64 {
        let mut world = self.fake.lock();
        let id = world.new_id();
        world.put(Message {
            id,
            channel,
            author: user,
            content: content.to_owned(),
            embeds: Vec::new(),
            components: Vec::new(),
            attachments: Vec::new(),
            flags: 0,
            reactions: Vec::new(),
            thread: None,
            edits: 0,
            edited_at: None,
            only_for: None,
            webhook: false,
            answers: None,
            pings: Vec::new(),
            readings: Vec::new(),
        });
        id
    }

    /// Another message with the same content as one of the bot's, by somebody else.
    pub fn imitate(&self, user: u64, channel: u64, message: u64) -> Option<u64> {
        let mut world = self.fake.lock();
        let mut copy = world.message(channel, message)?.clone();
        copy.id = world.new_id();
        copy.author = user;
        let id = copy.id;
        world.put(copy);
        Some(id)
    }

    pub fn message(&self, channel: u64, message: u64) -> Option<Seen> {
        self.fake.lock().message(channel, message).map(Seen::of)
    }

    /// Everything in a channel, oldest first.
    pub fn messages(&self, channel: u64) -> Vec<Seen> {
        let world = self.fake.lock();
        let found = world.channels.get(&channel);
        found
            .map(|channel| channel.messages.values().map(Seen::of).collect())
            .unwrap_or_default()
    }

    /// The direct messages that somebody got.
    pub fn direct_messages(&self, user: u64) -> Vec<Seen> {
        let world = self.fake.lock();
        world
            .channels
            .values()
            .filter(|channel| channel.with == Some(user))
            .flat_map(|channel| channel.messages.values().map(Seen::of))
            .collect()
    }

    pub fn delete(&self, channel: u64, message: u64) {
        self.fake.lock().delete(channel, message);
    }

    pub fn thread_name(&self, thread: u64) -> Option<String> {
        let world = self.fake.lock();
        world
            .channels
            .get(&thread)
            .map(|thread| thread.name.clone())
    }

    /// The commands of the guild, and the global ones.
    pub fn commands(&self) -> (Vec<Value>, Vec<Value>) {
        let world = self.fake.lock();
        (world.guild_commands.clone(), world.global_commands.clone())
    }

    pub fn outcome(&self, interaction: u64) -> Outcome {
        let world = self.fake.lock();
        match world.interactions.get(&interaction) {
            None => Outcome::Waiting,
            Some(found) => match &found.answer {
                Some((kind, data)) => Outcome::Answered {
                    kind: *kind,
                    data: data.clone(),
                },
                None if found.age() > ANSWER_WITHIN => Outcome::NoAnswer,
                None => Outcome::Waiting,
            },
        }
    }

    /// The token that came with an interaction.
    pub fn interaction_token(&self, interaction: u64) -> Option<String> {
        let world = self.fake.lock();
        let found = world.interactions.get(&interaction)?;
        Some(found.token.clone())
    }

    /// How long the first answer took.
    pub fn answered_after(&self, interaction: u64) -> Option<Duration> {
        self.fake
            .lock()
            .interactions
            .get(&interaction)?
            .answered_after
    }

    /// The messages with which an interaction was answered: the first, then those that followed.
    pub fn answers(&self, interaction: u64) -> Vec<Seen> {
        let world = self.fake.lock();
        let Some(found) = world.interactions.get(&interaction) else {
            return Vec::new();
        };
        found
            .original
            .iter()
            .chain(&found.follow_ups)
            .filter_map(|id| world.message(found.channel, *id))
            .map(Seen::of)
            .collect()
    }

    /// Waits for the first answer, or for the time it may take to be over.
    ///
    /// # Errors
    /// Neither came within ten seconds.
    pub async fn answered(&self, interaction: u64) -> anyhow::Result<Outcome> {
        self.until("an answer to an interaction", |fake| {
            Some(fake.outcome(interaction)).filter(|outcome| *outcome != Outcome::Waiting)
        })
        .await
    }

    /// Lets time pass for an interaction, such as its token's 15 minutes.
    pub fn age_interaction(&self, interaction: u64, by: Duration) {
        if let Some(found) = self.fake.lock().interactions.get_mut(&interaction) {
            found.ahead += by;
        }
    }

    /// How long an interaction's token lasts.
    pub fn token_lasts() -> Duration {
        TOKEN_LASTS
    }
}
