//! What people did: handed over, and answered in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rollbot_chat::{Answer, ChatEvent, Dispatch, MessageAt, SendError};
use rollbot_core::EventKey;
use rollbot_core::approval::Account;
use serde_json::{Value, json};
use serenity::http::Route;
use serenity::model::id::{ApplicationId, InteractionId};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::markdown::pieces;
use crate::message::{CONTENT, choice, no_mentions};
use crate::rest::{Ask, Failed};
use crate::wire::{self, Interaction, Reaction};
use crate::{Discord, PLATFORM, commands, connected_event};

/// Only the one who acted sees it.
const EPHEMERAL: u64 = 1 << 6;
/// As many reactions wait for their turn; where there are more, the messages are read again.
const REACTIONS: usize = 512;
/// As many people are told why their reaction does not count, at a time.
const TELLING: usize = 16;
/// As many messages an answer may take; what is longer becomes a file.
const MESSAGES: usize = 4;

const BUSY: &str =
    "Not recorded: rollbot has too much to do at this moment. Try again in a few seconds.";

/// Takes what people did. Clones share their limits.
#[derive(Clone)]
pub(crate) struct Intake {
    discord: Arc<Discord>,
    dispatch: Arc<dyn Dispatch>,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    reactions: mpsc::Sender<Turn>,
    missed: Arc<AtomicBool>,
}

/// What happens in the order in which it came: a vote and its withdrawal must not overtake each
/// other.
enum Turn {
    Connected,
    Reaction {
        key: String,
        reaction: Reaction,
        on: bool,
    },
}

/// How an interaction is answered.
struct First {
    /// The body of the callback.
    body: Value,
    /// What the one who acted gets to read; empty where there is nothing to say.
    text: Option<Answer>,
    rest: Vec<Value>,
    file: Option<Vec<u8>>,
}

impl First {
    fn silent(kind: u8) -> Self {
        Self {
            body: json!({"type": kind}),
            text: None,
            rest: Vec::new(),
            file: None,
        }
    }

    fn say(answer: Answer) -> Self {
        let mut texts = pieces(&answer.body, CONTENT);
        let mut file = None;
        if texts.len() > MESSAGES {
            texts = pieces(&answer.body, CONTENT - 60);
            texts.truncate(1);
            if let Some(first) = texts.first_mut() {
                first.push_str("\n\u{2026} the whole text is in the attached file.");
            }
            file = Some(rollbot_chat::unescape(&answer.body).into_bytes());
        }
        let flags = if answer.private { EPHEMERAL } else { 0 };
        let mut messages = texts.into_iter().map(
            |text| json!({"content": text, "flags": flags, "allowed_mentions": no_mentions()}),
        );
        let first = messages.next().unwrap_or_else(
            || json!({"content": "Done.", "flags": flags, "allowed_mentions": no_mentions()}),
        );
        let mut rest: Vec<Value> = messages.collect();
        if file.is_some() {
            rest.push(json!({
                "content": "", "flags": flags, "allowed_mentions": no_mentions(),
                "attachments": [{"id": "0", "filename": "answer.md"}],
            }));
        }
        Self {
            body: json!({"type": 4, "data": first}),
            text: Some(answer),
            rest,
            file,
        }
    }
}

fn private(text: &str) -> Answer {
    Answer {
        body: text.to_owned(),
        private: true,
    }
}

impl Intake {
    pub fn new(discord: Arc<Discord>, dispatch: Arc<dyn Dispatch>) -> Self {
        let (reactions, turns) = mpsc::channel(REACTIONS);
        let permits = Arc::new(Semaphore::new(discord.config.most_in_flight.max(1)));
        let intake = Self {
            discord,
            dispatch,
            permits,
            tasks: TaskTracker::new(),
            reactions,
            missed: Arc::default(),
        };
        let worker = Worker {
            discord: Arc::clone(&intake.discord),
            dispatch: Arc::clone(&intake.dispatch),
            missed: Arc::clone(&intake.missed),
            tasks: intake.tasks.clone(),
            telling: Arc::new(Semaphore::new(TELLING)),
        };
        // It ends when the last intake is gone.
        tokio::spawn(worker.run(turns));
        intake
    }

    /// Waits for what is being worked on.
    pub async fn finish(&self, most: Duration) {
        self.tasks.close();
        let _ = tokio::time::timeout(most, self.tasks.wait()).await;
    }

    /// The connection stands anew.
    pub fn connected(&self) {
        self.queue(Turn::Connected);
    }

    pub fn reaction(&self, key: String, reaction: Reaction, on: bool) {
        self.queue(Turn::Reaction { key, reaction, on });
    }

    fn queue(&self, turn: Turn) {
        if self.reactions.try_send(turn).is_err() {
            // The messages tell the same, later.
            self.missed.store(true, Ordering::Relaxed);
        }
    }

    /// From the gateway: answered with a request.
    pub fn interaction(&self, interaction: Interaction) {
        let arrived = Instant::now();
        let intake = self.clone();
        self.tasks.spawn(async move {
            if let Some(first) = intake.first(&interaction, arrived).await {
                intake.answer(&interaction, arrived, first).await;
            }
        });
    }

    /// Over HTTP: the answer goes into the response. `None`: a second delivery.
    pub async fn interaction_over_http(&self, interaction: Interaction) -> Option<Value> {
        let first = self.first(&interaction, Instant::now()).await?;
        if !first.rest.is_empty() {
            let intake = self.clone();
            let (rest, file) = (first.rest, first.file);
            let token = interaction.token.clone();
            self.tasks.spawn(async move {
                // They are refused until Discord has taken the response in.
                tokio::time::sleep(Duration::from_millis(300)).await;
                intake.follow_up(&token, rest, file).await;
            });
        }
        Some(first.body)
    }

    async fn first(&self, interaction: &Interaction, arrived: Instant) -> Option<First> {
        let id: u64 = interaction.id.parse().ok()?;
        if !self.discord.interactions.put(id, ()) {
            tracing::debug!(id, "an interaction was delivered again");
            return None;
        }
        let data = interaction.data.clone().unwrap_or_default();
        if interaction.kind == wire::AUTOCOMPLETE {
            let choices = self.suggestions(&data).await;
            let mut first = First::silent(8);
            first.body["data"] = json!({"choices": choices});
            return Some(first);
        }
        let (Some(user), Some((channel, thread))) = (interaction.user(), interaction.place())
        else {
            tracing::warn!(id, "an interaction names nobody or no channel");
            return Some(First::say(private("This cannot be done here.")));
        };
        let key = EventKey::new(PLATFORM, &interaction.id);
        let account = account(user);
        let event = match interaction.kind {
            wire::COMMAND => ChatEvent::Command {
                key,
                account,
                channel,
                text: commands::line(&data),
            },
            wire::COMPONENT => {
                let (Some(choice), Some(message)) = (choice(&data.custom_id), &interaction.message)
                else {
                    return Some(First::say(private(
                        "This button is not rollbot's, or not any more.",
                    )));
                };
                let message_ref = match thread {
                    Some(thread) => format!("{thread}/{}", message.id),
                    None => message.id.clone(),
                };
                ChatEvent::Button {
                    key,
                    account,
                    message: MessageAt {
                        platform: PLATFORM.to_owned(),
                        channel,
                        message_ref,
                    },
                    choice: choice.to_owned(),
                }
            }
            other => {
                tracing::warn!(
                    kind = other,
                    "an interaction of a kind that nothing here asks for"
                );
                return Some(First::say(private("rollbot does not know what this is.")));
            }
        };
        let wait_until = arrived + self.discord.config.deadlines.queue;
        let Ok(Ok(_permit)) = tokio::time::timeout_at(wait_until, self.permits.acquire()).await
        else {
            tracing::warn!("an event was turned away: too many are being worked on");
            return Some(First::say(private(BUSY)));
        };
        let answer = self.dispatch.dispatch(event).await;
        Some(match (answer, interaction.kind) {
            (Some(answer), _) => First::say(answer),
            // The press is taken in; the message shows what came of it.
            (None, wire::COMPONENT) => First::silent(6),
            (None, _) => First::say(private("Noted.")),
        })
    }

    async fn suggestions(&self, data: &wire::Data) -> Value {
        let Some((place, typed)) = commands::focused(data) else {
            return json!([]);
        };
        let asked = self.dispatch.suggest(place, typed, commands::CHOICES);
        let found = tokio::time::timeout(Duration::from_secs(1), asked)
            .await
            .unwrap_or_default();
        commands::choices(&found)
    }

    /// Sends the first answer, again while there is time, and what follows it.
    async fn answer(&self, interaction: &Interaction, arrived: Instant, first: First) {
        let until = arrived + self.discord.config.deadlines.interaction;
        let Ok(id) = interaction.id.parse() else {
            return;
        };
        let sent = loop {
            let attempt = (Instant::now() + Duration::from_secs(1)).min(until);
            let route = Route::InteractionResponse {
                interaction_id: InteractionId::new(id),
                token: &interaction.token,
            };
            let ask = Ask::post(route).body(first.body.clone()).until(attempt);
            match self.discord.rest.send(ask).await {
                Ok(_) => break Ok(()),
                // It was there all along: the answer to an attempt was lost.
                Err(error) if error.is(40060) => break Ok(()),
                Err(error) if error.is_unsure() && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(60)).await;
                }
                Err(error) => break Err(error),
            }
        };
        match (sent, first.text) {
            (Ok(()), _) => {
                self.follow_up(&interaction.token, first.rest, first.file)
                    .await
            }
            (Err(error), Some(answer)) => {
                tracing::warn!(?error, "an interaction could not be answered in time");
                self.otherwise(interaction, &answer).await;
            }
            (Err(error), None) => tracing::warn!(?error, "an interaction could not be answered"),
        }
    }

    async fn follow_up(&self, token: &str, rest: Vec<Value>, file: Option<Vec<u8>>) {
        let last = rest.len().saturating_sub(1);
        for (index, body) in rest.into_iter().enumerate() {
            let file = file.clone().filter(|_| index == last);
            let mut tries = 0;
            loop {
                tries += 1;
                let route = Route::WebhookFollowupMessages {
                    application_id: ApplicationId::new(self.discord.config.application_id),
                    token,
                };
                let file = file.clone().map(|bytes| ("answer.md".to_owned(), bytes));
                let ask = Ask::post(route).body(body.clone()).file(file);
                match self.discord.rest.send(ask).await {
                    Ok(_) => break,
                    Err(error)
                        if tries < 4
                            && (error.is(10015) || matches!(error, Failed::Limited { .. })) =>
                    {
                        tokio::time::sleep(Duration::from_millis(400)).await;
                    }
                    Err(error) => {
                        tracing::warn!(?error, "the rest of an answer did not arrive");
                        return;
                    }
                }
            }
        }
    }

    /// The interaction is over: told in the channel, or directly if nobody else may see it.
    async fn otherwise(&self, interaction: &Interaction, answer: &Answer) {
        let (Some(user), Some((channel, thread))) = (interaction.user(), interaction.place())
        else {
            return;
        };
        let channel = thread.unwrap_or(channel);
        let sent = match answer.private {
            true => self.discord.tell(user, &answer.body).await,
            false => self.discord.say(&channel, &answer.body).await,
        };
        if let Err(error) = sent {
            tracing::warn!(%error, "an answer that was late did not arrive");
        }
    }
}

pub(crate) fn account(user: &str) -> Account {
    Account {
        platform: PLATFORM.to_owned(),
        team: String::new(),
        user: user.to_owned(),
    }
}

struct Worker {
    discord: Arc<Discord>,
    dispatch: Arc<dyn Dispatch>,
    missed: Arc<AtomicBool>,
    tasks: TaskTracker,
    telling: Arc<Semaphore>,
}

impl Worker {
    async fn run(self, mut turns: mpsc::Receiver<Turn>) {
        while let Some(turn) = turns.recv().await {
            match turn {
                Turn::Connected => {
                    self.dispatch.dispatch(connected_event()).await;
                }
                Turn::Reaction { key, reaction, on } => self.react(key, reaction, on).await,
            }
            if turns.is_empty() && self.missed.swap(false, Ordering::Relaxed) {
                tracing::warn!("reactions came faster than they were taken in: reading them again");
                self.dispatch.dispatch(connected_event()).await;
            }
        }
    }

    async fn react(&self, key: String, reaction: Reaction, on: bool) {
        let me = self.discord.me().await.ok();
        let is_me = |id: &str| me.is_some_and(|me| id.parse() == Ok(me));
        let of_others = reaction
            .message_author_id
            .as_deref()
            .is_some_and(|author| !is_me(author));
        if is_me(&reaction.user_id) || of_others {
            return;
        }
        let thread = reaction.channel_id.parse().ok();
        let parent = thread.and_then(|thread| self.discord.threads.get(&thread));
        let (channel, message_ref) = match parent {
            Some(parent) => (
                parent.to_string(),
                format!("{}/{}", reaction.channel_id, reaction.message_id),
            ),
            None => (reaction.channel_id.clone(), reaction.message_id.clone()),
        };
        let event = ChatEvent::Reaction {
            key: EventKey::new(PLATFORM, &key),
            account: account(&reaction.user_id),
            message: MessageAt {
                platform: PLATFORM.to_owned(),
                channel,
                message_ref,
            },
            emoji: reaction.emoji.known_as(),
            on,
        };
        let Some(answer) = self.dispatch.dispatch(event).await else {
            return;
        };
        // The next vote does not wait for it.
        let Ok(permit) = Arc::clone(&self.telling).try_acquire_owned() else {
            tracing::warn!("somebody is not told why: too many are at the same time");
            return;
        };
        let discord = Arc::clone(&self.discord);
        self.tasks.spawn(async move {
            match discord.tell(&reaction.user_id, &answer.body).await {
                Ok(()) => {}
                Err(SendError::Refused(why)) => tracing::info!(why, "somebody cannot be told why"),
                Err(error) => tracing::warn!(%error, "somebody was not told why"),
            }
            drop(permit);
        });
    }
}
