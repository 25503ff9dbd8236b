//! What was posted in a channel, as far as it can be told by the references in our messages.
//!
//! A channel's history is read when a message is looked for there first, and after that only what
//! came since, and only when the last look is older than some seconds or the fate of that very
//! message is not known: Discord itself recognises a repetition by its nonce for some minutes.

use std::collections::HashMap;

use serde_json::Value;
use serenity::http::Route;
use serenity::model::id::ChannelId;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::message::reference_in;
use crate::rest::{Ask, Failed};
use crate::{Discord, wire};

/// Pages of a hundred messages that are read of a channel, at most.
const PAGES: usize = 5;
/// Threads below a channel's newest messages that are looked into.
const THREADS: usize = 5;
/// As many references are remembered of a channel.
const REFERENCES: usize = 2_000;

/// As many channels and threads are remembered.
const CHANNELS: usize = 1_000;

#[derive(Default)]
pub(crate) struct History {
    channels: Mutex<HashMap<u64, Channel>>,
}

#[derive(Default)]
struct Channel {
    read_at: Option<Instant>,
    newest: u64,
    messages: HashMap<String, u64>,
    /// Threads under messages of ours, oldest first.
    threads: Vec<u64>,
    /// Posts whose answer did not come.
    unsure: Vec<String>,
}

impl History {
    /// A message was posted.
    pub async fn posted(&self, channel: u64, reference: &str, message: u64) {
        let mut channels = self.channels.lock().await;
        let known = channels.entry(channel).or_default();
        known.unsure.retain(|other| other != reference);
        known.remember(reference.to_owned(), message);
    }

    /// A message was posted, or was not: nobody knows.
    pub async fn unsure(&self, channel: u64, reference: &str) {
        let mut channels = self.channels.lock().await;
        if channels.len() >= CHANNELS {
            channels.retain(|_, known| !known.unsure.is_empty());
        }
        let known = channels.entry(channel).or_default();
        if !known.unsure.iter().any(|other| other == reference) && known.unsure.len() < REFERENCES {
            known.unsure.push(reference.to_owned());
        }
    }

    /// A message was not posted, for certain.
    pub async fn not_posted(&self, channel: u64, reference: &str) {
        if let Some(known) = self.channels.lock().await.get_mut(&channel) {
            known.unsure.retain(|other| other != reference);
        }
    }

    pub async fn thread(&self, channel: u64, thread: u64) {
        let mut channels = self.channels.lock().await;
        let known = channels.entry(channel).or_default();
        if !known.threads.contains(&thread) {
            known.threads.push(thread);
        }
    }

    /// A message is not there any more, as it turned out.
    pub async fn gone(&self, channel: u64, message: u64) {
        if let Some(known) = self.channels.lock().await.get_mut(&channel) {
            known.messages.retain(|_, id| *id != message);
        }
    }
}

impl Discord {
    /// The message with that reference in a channel or in one of its newest threads: the thread,
    /// if it is in one, and the message.
    pub(crate) async fn found(
        &self,
        channel: u64,
        reference: &str,
    ) -> Result<Option<(Option<u64>, u64)>, Failed> {
        if let Some(message) = self.found_in(channel, reference).await? {
            return Ok(Some((None, message)));
        }
        let threads: Vec<u64> = {
            let channels = self.history.channels.lock().await;
            let known = channels.get(&channel);
            known
                .map(|known| known.threads.iter().rev().take(THREADS).copied().collect())
                .unwrap_or_default()
        };
        for thread in threads {
            self.threads.put(thread, channel);
            if let Some(message) = self.found_in(thread, reference).await? {
                return Ok(Some((Some(thread), message)));
            }
        }
        Ok(None)
    }

    async fn found_in(&self, channel: u64, reference: &str) -> Result<Option<u64>, Failed> {
        let me = self.me().await?;
        let (first, mut newest) = {
            let mut channels = self.history.channels.lock().await;
            let known = channels.entry(channel).or_default();
            if let Some(message) = known.messages.get(reference) {
                return Ok(Some(*message));
            }
            let fresh = known
                .read_at
                .is_some_and(|at| at.elapsed() < self.config.deadlines.history)
                && !known.unsure.iter().any(|other| other == reference);
            if fresh {
                return Ok(None);
            }
            (known.read_at.is_none(), known.newest)
        };
        let began = Instant::now();
        let mut before: Option<u64> = None;
        let mut read: Vec<Value> = Vec::new();
        for _ in 0..PAGES {
            let route = Route::ChannelMessages {
                channel_id: ChannelId::new(channel),
            };
            let mut ask = Ask::get(route).param("limit", 100);
            match (first, before) {
                (true, Some(before)) => ask = ask.param("before", before),
                (true, None) => {}
                (false, _) => ask = ask.param("after", newest),
            }
            let page = self.rest.send(ask).await?;
            let page = page.as_array().cloned().unwrap_or_default();
            let ids = page.iter().filter_map(|message| wire::id(&message["id"]));
            newest = ids.max().unwrap_or(newest).max(newest);
            before = page.last().and_then(|message| wire::id(&message["id"]));
            let last = page.len() < 100;
            read.extend(page);
            if last {
                break;
            }
        }
        tracing::debug!(
            channel,
            messages = read.len(),
            "a channel's history was read"
        );
        let mut channels = self.history.channels.lock().await;
        let known = channels.entry(channel).or_default();
        for message in &read {
            known.learn(message, me);
        }
        known.newest = known.newest.max(newest);
        known.read_at = Some(began);
        known.threads.sort_unstable();
        known.unsure.retain(|other| other != reference);
        Ok(known.messages.get(reference).copied())
    }
}

impl Channel {
    fn learn(&mut self, message: &Value, me: u64) {
        let Some(id) = wire::id(&message["id"]) else {
            return;
        };
        self.newest = self.newest.max(id);
        // Anybody can write a reference; only ours counts.
        if wire::id(&message["author"]["id"]) != Some(me) {
            return;
        }
        if let Some(thread) = wire::id(&message["thread"]["id"])
            && !self.threads.contains(&thread)
        {
            self.threads.push(thread);
        }
        if let Some(reference) = reference_in(message) {
            self.remember(reference, id);
        }
    }

    fn remember(&mut self, reference: String, id: u64) {
        if self.messages.len() >= REFERENCES {
            // The older half goes: what is looked for was sent a short while ago.
            let mut ids: Vec<u64> = self.messages.values().copied().collect();
            ids.sort_unstable();
            let middle = ids.get(ids.len() / 2).copied().unwrap_or_default();
            self.messages.retain(|_, id| *id > middle);
        }
        self.messages.insert(reference, id);
    }
}
