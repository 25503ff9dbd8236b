//! Channels, messages and threads.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::answers::{Answered, Refusal, Reply};
use super::limits;
use super::multipart::File;
use super::pings::{Allowed, Reading};
use super::rest::Call;
use super::world::{Attachment, ChannelKind, Message, World, permission};

/// How long a nonce is remembered.
const NONCE_LASTS: Duration = Duration::from_secs(180);
const GUILD_MESSAGES: u64 = 1 << 9;

pub(super) fn route(world: &mut World, call: &Call<'_>, channel: u64, rest: &[&str]) -> Answered {
    let id = |text: &str| text.parse::<u64>().unwrap_or_default();
    let may = world.may(channel)?;
    let history = || match may & permission::READ_MESSAGE_HISTORY {
        0 => Err(Refusal::missing_access()),
        _ => Ok(()),
    };
    match (call.method, rest) {
        ("GET", []) => match world.channels.get(&channel) {
            Some(channel) => Reply::ok(world.channel_json(channel)),
            None => Err(Refusal::unknown_channel()),
        },
        ("POST", ["messages"]) => create(world, call, channel, may),
        ("GET", ["messages"]) => {
            history()?;
            page(world, call, channel)
        }
        ("GET", ["messages", message]) => {
            history()?;
            match world.seen(channel, id(message)) {
                Some(message) => Reply::ok(world.message_json(message)),
                None => Err(Refusal::unknown_message()),
            }
        }
        ("PATCH", ["messages", message]) => {
            let found = world
                .seen(channel, id(message))
                .ok_or_else(Refusal::unknown_message)?;
            if found.author != world.bot {
                return Err(Refusal::new(
                    403,
                    50005,
                    "Cannot edit a message authored by another user",
                ));
            }
            world.edit(channel, id(message), call)
        }
        ("DELETE", ["messages", message]) => {
            world
                .seen(channel, id(message))
                .ok_or_else(Refusal::unknown_message)?;
            world.delete(channel, id(message));
            Ok(Reply::Empty)
        }
        ("POST", ["messages", message, "threads"]) => {
            if may & permission::CREATE_PUBLIC_THREADS == 0 {
                return Err(Refusal::missing_permissions());
            }
            start_thread(world, call, channel, id(message))
        }
        ("PUT", ["thread-members", "@me"]) => Ok(Reply::Empty),
        _ => Err(Refusal::no_route()),
    }
}

fn create(world: &mut World, call: &Call<'_>, channel: u64, may: u64) -> Answered {
    let Some(found) = world.channels.get(&channel) else {
        return Err(Refusal::unknown_channel());
    };
    let needed = match found.kind {
        ChannelKind::Thread => permission::SEND_MESSAGES_IN_THREADS,
        _ => permission::SEND_MESSAGES,
    };
    let embeds = call.body["embeds"]
        .as_array()
        .is_some_and(|all| !all.is_empty());
    if may & needed == 0
        || (embeds && may & permission::EMBED_LINKS == 0)
        || (!call.files.is_empty() && may & permission::ATTACH_FILES == 0)
    {
        return Err(Refusal::missing_permissions());
    }
    if let Some(with) = found.with
        && world.users.get(&with).is_none_or(|user| user.closed)
    {
        return Err(Refusal::new(
            403,
            50007,
            "Cannot send messages to this user",
        ));
    }
    let nonce = call.body["nonce"].as_str().map(str::to_owned);
    let enforced = call.body["enforce_nonce"] == json!(true);
    if let (Some(nonce), true) = (&nonce, enforced)
        && let Some((at, message)) = world.nonces.get(&(channel, nonce.clone()))
        && at.elapsed() < NONCE_LASTS
        && let Some(message) = world.message(channel, *message)
    {
        return Reply::ok(world.message_json(message));
    }
    let message = world.written(channel, call, false)?;
    let message_id = message.id;
    if let Some(nonce) = nonce {
        world
            .nonces
            .insert((channel, nonce), (Instant::now(), message_id));
    }
    world.put(message);
    let Some(message) = world.message(channel, message_id) else {
        return Err(Refusal::unknown_message());
    };
    let mut json = world.message_json(message);
    if let Value::Object(fields) = &mut json {
        fields.insert("nonce".to_owned(), call.body["nonce"].clone());
    }
    Reply::ok(json)
}

fn page(world: &World, call: &Call<'_>, channel: u64) -> Answered {
    let limit = call.number("limit").unwrap_or(50);
    if !(1..=100).contains(&limit) {
        let mut wrong = limits::Wrong::default();
        wrong.add(
            &["limit"],
            "NUMBER_TYPE_MAX",
            "int value should be less than or equal to 100.",
        );
        wrong.end()?;
    }
    let limit = usize::try_from(limit).unwrap_or(100);
    let Some(found) = world.channels.get(&channel) else {
        return Err(Refusal::unknown_channel());
    };
    let visible: Vec<&Message> = found
        .messages
        .values()
        .filter(|message| message.only_for.is_none())
        .collect();
    let mut chosen: Vec<&Message> = match (
        call.number("after"),
        call.number("before"),
        call.number("around"),
    ) {
        // The oldest of those after, but newest first as always.
        (Some(after), _, _) => visible
            .into_iter()
            .filter(|message| message.id > after)
            .take(limit)
            .collect(),
        (_, before, around) => {
            let until = before.unwrap_or(u64::MAX);
            let until = around.map_or(until, |around| around.saturating_add(1));
            let kept: Vec<&Message> = visible
                .into_iter()
                .filter(|message| message.id < until)
                .collect();
            kept.get(kept.len().saturating_sub(limit)..)
                .unwrap_or_default()
                .to_vec()
        }
    };
    chosen.reverse();
    Reply::ok(
        chosen
            .into_iter()
            .map(|message| world.message_json(message))
            .collect(),
    )
}

fn start_thread(world: &mut World, call: &Call<'_>, channel: u64, message: u64) -> Answered {
    let found = world
        .seen(channel, message)
        .ok_or_else(Refusal::unknown_message)?;
    if found.thread.is_some() {
        return Err(Refusal::new(
            400,
            160_004,
            "A thread has already been created for this message",
        ));
    }
    let name = call.body["name"].as_str().unwrap_or("").to_owned();
    let mut wrong = limits::Wrong::default();
    if name.is_empty() || name.chars().count() > 100 {
        wrong.add(
            &["name"],
            "BASE_TYPE_BAD_LENGTH",
            "Must be between 1 and 100 in length.",
        );
    }
    let archive = call.body["auto_archive_duration"].as_u64().unwrap_or(1440);
    if ![60, 1440, 4320, 10080].contains(&archive) {
        wrong.add(
            &["auto_archive_duration"],
            "BASE_TYPE_CHOICES",
            "Value must be one of {60, 1440, 4320, 10080}.",
        );
    }
    wrong.end()?;
    // A thread from a message has that message's id.
    world.put_channel(message, &name, ChannelKind::Thread, Some(channel));
    if let Some(found) = world.message_mut(channel, message) {
        found.thread = Some(message);
    }
    match world.channels.get(&message) {
        Some(thread) => {
            let json = world.channel_json(thread);
            world.emit(1, "THREAD_CREATE", &json);
            Ok(Reply::Json(201, json))
        }
        None => Err(Refusal::unknown_channel()),
    }
}

fn attachments(world: &mut World, files: &[File]) -> Vec<Attachment> {
    files
        .iter()
        .map(|file| Attachment {
            id: world.new_id(),
            name: file.name.clone(),
            bytes: file.bytes.clone(),
        })
        .collect()
}

fn texts(content: &str, embeds: &[Value]) -> Vec<String> {
    let mut texts = vec![content.to_owned()];
    for embed in embeds {
        for part in ["title", "description"] {
            texts.extend(embed[part].as_str().map(str::to_owned));
        }
        for field in embed["fields"].as_array().unwrap_or(&Vec::new()) {
            for part in ["name", "value"] {
                texts.extend(field[part].as_str().map(str::to_owned));
            }
        }
    }
    texts.retain(|text| !text.is_empty());
    texts
}

impl World {
    /// What the bot may do there.
    pub fn may(&self, channel: u64) -> Result<u64, Refusal> {
        let found = self
            .channels
            .get(&channel)
            .ok_or_else(Refusal::unknown_channel)?;
        let may = self.bot_permissions(found);
        if may & permission::VIEW_CHANNEL == 0 {
            return Err(Refusal::missing_access());
        }
        Ok(may)
    }

    /// A message that the bot can see in the channel: none that only somebody else sees.
    fn seen(&self, channel: u64, message: u64) -> Option<&Message> {
        self.message(channel, message)
            .filter(|message| message.only_for.is_none())
    }

    /// A message of the bot's as the body describes it, checked.
    pub fn written(
        &mut self,
        channel: u64,
        call: &Call<'_>,
        webhook: bool,
    ) -> Result<Message, Refusal> {
        let body = &call.body;
        limits::message(body)?;
        let content = body["content"].as_str().unwrap_or("").to_owned();
        let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        let (embeds, components) = (list("embeds"), list("components"));
        if content.is_empty() && embeds.is_empty() && call.files.is_empty() && components.is_empty()
        {
            return Err(Refusal::new(400, 50006, "Cannot send an empty message"));
        }
        let allowed = Allowed::of(&body["allowed_mentions"]);
        let id = self.new_id();
        let readings: Vec<Reading> = texts(&content, &embeds)
            .iter()
            .map(|text| Reading::of(text))
            .collect();
        Ok(Message {
            id,
            channel,
            author: self.bot,
            pings: allowed.pings(&content),
            readings,
            content,
            embeds: embeds.into_iter().map(as_shown).collect(),
            components,
            attachments: attachments(self, &call.files),
            flags: body["flags"].as_u64().unwrap_or(0),
            reactions: Vec::new(),
            thread: None,
            edits: 0,
            edited_at: None,
            only_for: None,
            webhook,
            answers: None,
        })
    }

    pub fn put(&mut self, message: Message) {
        let (channel, id) = (message.channel, message.id);
        let hidden = message.only_for.is_some();
        if let Some(found) = self.channels.get_mut(&channel) {
            found.messages.insert(id, message);
        }
        if hidden {
            return;
        }
        if let Some(message) = self.message(channel, id) {
            let mut json = self.message_json(message);
            if let Value::Object(fields) = &mut json {
                fields.insert("guild_id".to_owned(), self.guild.to_string().into());
            }
            self.emit(GUILD_MESSAGES, "MESSAGE_CREATE", &json);
        }
    }

    /// Edits what the body names, and leaves the rest.
    pub fn edit(&mut self, channel: u64, message: u64, call: &Call<'_>) -> Answered {
        let body = &call.body;
        limits::message(body)?;
        let files = attachments(self, &call.files);
        let allowed = Allowed::of(&body["allowed_mentions"]);
        let Some(found) = self.message_mut(channel, message) else {
            return Err(Refusal::unknown_message());
        };
        if let Some(content) = body.get("content") {
            content
                .as_str()
                .unwrap_or("")
                .clone_into(&mut found.content);
        }
        if let Some(embeds) = body["embeds"].as_array() {
            found.embeds = embeds.iter().cloned().map(as_shown).collect();
        }
        if let Some(components) = body["components"].as_array() {
            found.components.clone_from(components);
        }
        if let Some(kept) = body["attachments"].as_array() {
            let kept: Vec<u64> = kept
                .iter()
                .filter_map(|file| file["id"].as_str()?.parse().ok())
                .collect();
            found.attachments.retain(|file| kept.contains(&file.id));
        }
        found.attachments.extend(files);
        found.edits += 1;
        found.edited_at = Some("2026-01-01T00:00:01.000000+00:00".to_owned());
        found.pings.extend(allowed.pings(&found.content));
        found.readings = texts(&found.content, &found.embeds)
            .iter()
            .map(|text| Reading::of(text))
            .collect();
        let Some(found) = self.message(channel, message) else {
            return Err(Refusal::unknown_message());
        };
        Reply::ok(self.message_json(found))
    }

    pub fn delete(&mut self, channel: u64, message: u64) {
        if let Some(found) = self.channels.get_mut(&channel) {
            found.messages.remove(&message);
        }
    }
}

/// An embed as it comes back: with its type, without what it does not have.
fn as_shown(mut embed: Value) -> Value {
    if let Value::Object(fields) = &mut embed {
        fields.retain(|_, value| !value.is_null());
        fields.insert("type".to_owned(), "rich".into());
    }
    embed
}
