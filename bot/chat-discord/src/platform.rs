//! Discord as rollbot sends to it.

use async_trait::async_trait;
use rollbot_chat::{ChatPlatform, Connection, Outgoing, SendError, StandingReaction};
use rollbot_core::approval::Account;
use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ChannelId, MessageId};

use crate::Discord;
use crate::intake::account;
use crate::markdown::pieces;
use crate::message::{self, CONTENT, no_mentions};
use crate::rest::{Ask, Urgency};
use crate::wire::{self, Emoji, emoji_in_path};

/// The name of the platform, in accounts and destinations.
pub const PLATFORM: &str = "discord";

/// As many emoji of a message are looked at, and pages of a hundred people of each.
const EMOJI: usize = 20;
const PAGES: usize = 50;

/// Where a message is: the channel or thread it is in, and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    channel: u64,
    message: u64,
}

fn number(text: &str, what: &str) -> Result<u64, SendError> {
    let found = text.parse().ok().filter(|id| *id != 0);
    found.ok_or_else(|| {
        SendError::Refused(format!(
            "`{text}` is no {what} of Discord: it is a number of about 19 digits (switch \"Developer Mode\" on, then \"Copy ID\")"
        ))
    })
}

impl At {
    fn of(channel: &str, message_ref: &str) -> Result<Self, SendError> {
        let (channel, message) = message_ref
            .split_once('/')
            .unwrap_or((channel, message_ref));
        Ok(Self {
            channel: number(channel, "channel")?,
            message: number(message, "message")?,
        })
    }

    fn route<'a>(self) -> Route<'a> {
        Route::ChannelMessage {
            channel_id: ChannelId::new(self.channel),
            message_id: MessageId::new(self.message),
        }
    }
}

fn urgency(kind: &str) -> Urgency {
    match kind {
        "live" | "detail" => Urgency::CanWait,
        _ => Urgency::First,
    }
}

impl Discord {
    /// The thread under a message, started if there is none.
    async fn thread_under(&self, at: At) -> Result<u64, SendError> {
        // A thread has the id of the message it is under.
        if self.threads.get(&at.message).is_some() {
            return Ok(at.message);
        }
        let parent = self.rest.send(Ask::get(at.route())).await?;
        if wire::id(&parent["thread"]["id"]).is_none() {
            let route = Route::ChannelMessageThreads {
                channel_id: ChannelId::new(at.channel),
                message_id: MessageId::new(at.message),
            };
            let body = json!({"name": thread_name(&parent), "auto_archive_duration": 1440});
            match self.rest.send(Ask::post(route).body(body)).await {
                Ok(_) => {}
                // Somebody was faster.
                Err(error) if error.is(160_004) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.threads.put(at.message, at.channel);
        self.history.thread(at.channel, at.message).await;
        Ok(at.message)
    }

    /// Makes the reactions that the bot offers those that it should offer.
    async fn offer(&self, at: At, shown: &Value, wanted: &[String]) -> Result<(), SendError> {
        let offered = self.offered.get(&at.message).unwrap_or_else(|| {
            let all = shown["reactions"].as_array().cloned().unwrap_or_default();
            all.iter()
                .filter(|reaction| reaction["me"] == true)
                .filter_map(|reaction| {
                    serde_json::from_value::<Emoji>(reaction["emoji"].clone()).ok()
                })
                .map(|emoji| emoji.known_as())
                .collect()
        });
        let changes = wanted
            .iter()
            .filter(|emoji| !offered.contains(emoji))
            .map(|emoji| (emoji, LightMethod::Put))
            .chain(
                offered
                    .iter()
                    .filter(|emoji| !wanted.contains(emoji))
                    .map(|emoji| (emoji, LightMethod::Delete)),
            );
        for (emoji, method) in changes {
            let emoji = emoji_in_path(emoji);
            let route = Route::ChannelMessageReactionMe {
                channel_id: ChannelId::new(at.channel),
                message_id: MessageId::new(at.message),
                reaction: &emoji,
            };
            if let Err(error) = self.rest.send(Ask::new(method, route)).await {
                self.offered.forget(&at.message);
                return Err(error.into());
            }
        }
        self.offered.put(at.message, wanted.to_vec());
        Ok(())
    }

    /// Writes plain messages into a channel.
    pub(crate) async fn say(&self, channel: &str, body: &str) -> Result<(), SendError> {
        let channel_id = ChannelId::new(number(channel, "channel")?);
        for text in pieces(body, CONTENT) {
            let body = json!({"content": text, "allowed_mentions": no_mentions()});
            let ask = Ask::post(Route::ChannelMessages { channel_id }).body(body);
            self.rest.send(ask).await?;
        }
        Ok(())
    }

    /// Writes to one person.
    pub(crate) async fn tell(&self, user: &str, body: &str) -> Result<(), SendError> {
        let user = number(user, "user")?;
        let ask =
            Ask::post(Route::UserMeDmChannels).body(json!({"recipient_id": user.to_string()}));
        let channel = self.rest.send(ask).await?;
        let channel = channel["id"].as_str().unwrap_or_default();
        self.say(channel, body).await
    }

    async fn people_behind(
        &self,
        at: At,
        emoji: &Emoji,
        burst: u8,
        standing: &mut Vec<StandingReaction>,
    ) -> Result<(), SendError> {
        let me = self.me().await?;
        let in_path = emoji.in_path();
        let mut after = 0;
        for _ in 0..PAGES {
            let route = Route::ChannelMessageReactionEmoji {
                channel_id: ChannelId::new(at.channel),
                message_id: MessageId::new(at.message),
                reaction: &in_path,
            };
            let ask = Ask::get(route)
                .param("limit", 100)
                .param("after", after)
                .param("type", burst);
            let page = self.rest.send(ask).await?;
            let page = page.as_array().cloned().unwrap_or_default();
            let ids: Vec<u64> = page
                .iter()
                .filter_map(|user| wire::id(&user["id"]))
                .collect();
            for id in ids.iter().filter(|id| **id != me) {
                let one = StandingReaction {
                    account: account(&id.to_string()),
                    emoji: emoji.known_as(),
                };
                if !standing.contains(&one) {
                    standing.push(one);
                }
            }
            if page.len() < 100 {
                return Ok(());
            }
            after = ids.iter().max().copied().unwrap_or(u64::MAX);
        }
        // Half of the truth about votes is none.
        Err(SendError::Refused(format!(
            "more than {} people reacted with one emoji: they are not all read",
            PAGES * 100
        )))
    }
}

/// What a thread is called: the title of the message it is under.
fn thread_name(parent: &Value) -> String {
    let title = parent["embeds"][0]["title"].as_str();
    let title = title.unwrap_or("details").replace('\\', "");
    // The state in it would not stay true.
    let mut parts: Vec<&str> = title.split(" · ").collect();
    parts.truncate(2);
    let name: String = parts.join(" · ").chars().take(100).collect();
    if name.trim().is_empty() {
        "details".to_owned()
    } else {
        name
    }
}

#[async_trait]
impl ChatPlatform for Discord {
    fn name(&self) -> &str {
        PLATFORM
    }

    async fn post(&self, message: &Outgoing) -> Result<String, SendError> {
        let mut written = message::written(message).map_err(SendError::Refused)?;
        let parent = number(&message.channel, "channel")?;
        let channel = match &message.thread_of {
            None => parent,
            Some(under) => {
                let under = At::of(&message.channel, under)?;
                self.thread_under(under).await?
            }
        };
        written.body["nonce"] = message::nonce(&message.identity).into();
        written.body["enforce_nonce"] = true.into();
        let reference = message::reference(&message.identity);
        let route = Route::ChannelMessages {
            channel_id: ChannelId::new(channel),
        };
        // Before it is sent: whoever asked may stop waiting at any moment.
        self.history.unsure(channel, &reference).await;
        // What is new always goes out first: only edits of it can wait.
        let ask = Ask::post(route).body(written.body).file(written.file);
        let shown = match self.rest.send(ask).await {
            Ok(shown) => shown,
            Err(error) => {
                if !error.is_unsure() {
                    self.history.not_posted(channel, &reference).await;
                }
                if error.is(10003) {
                    self.threads.forget(&channel);
                }
                return Err(error.into());
            }
        };
        let id = wire::id(&shown["id"]).ok_or_else(|| SendError::Again {
            why: "Discord did not say which message it made".to_owned(),
            after: None,
        })?;
        self.history.posted(channel, &reference, id).await;
        let at = At {
            channel,
            message: id,
        };
        self.offer(at, &shown, &message.reactions).await?;
        Ok(match channel == parent {
            true => id.to_string(),
            false => format!("{channel}/{id}"),
        })
    }

    async fn edit(&self, message_ref: &str, message: &Outgoing) -> Result<(), SendError> {
        let at = At::of(&message.channel, message_ref)?;
        let written = message::written(message).map_err(SendError::Refused)?;
        let ask = Ask::new(LightMethod::Patch, at.route())
            .body(written.body)
            .file(written.file)
            .urgency(urgency(&message.kind));
        match self.rest.send(ask).await {
            Ok(shown) => self.offer(at, &shown, &message.reactions).await,
            Err(error) => {
                if error.is(10008) {
                    self.history.gone(at.channel, at.message).await;
                }
                Err(error.into())
            }
        }
    }

    async fn find(&self, channel: &str, identity: &str) -> Result<Option<String>, SendError> {
        let channel = number(channel, "channel")?;
        let found = self.found(channel, &message::reference(identity)).await?;
        Ok(found.map(|(thread, message)| match thread {
            Some(thread) => format!("{thread}/{message}"),
            None => message.to_string(),
        }))
    }

    async fn reactions(
        &self,
        channel: &str,
        message_ref: &str,
    ) -> Result<Vec<StandingReaction>, SendError> {
        let at = At::of(channel, message_ref)?;
        let shown = self.rest.send(Ask::get(at.route())).await?;
        let mut standing = Vec::new();
        let all = shown["reactions"].as_array().cloned().unwrap_or_default();
        for reaction in all.iter().take(EMOJI) {
            let Ok(emoji) = serde_json::from_value::<Emoji>(reaction["emoji"].clone()) else {
                continue;
            };
            let details = &reaction["count_details"];
            for (kind, name) in [(0, "normal"), (1, "burst")] {
                // Unknown counts are looked at as well.
                if details[name].as_u64() != Some(0) {
                    self.people_behind(at, &emoji, kind, &mut standing).await?;
                }
            }
        }
        Ok(standing)
    }

    async fn whisper(
        &self,
        _channel: &str,
        account: &Account,
        body: &str,
    ) -> Result<(), SendError> {
        if account.platform != PLATFORM {
            return Err(SendError::Refused(format!(
                "`{}` on {} is nobody whom Discord knows",
                account.user, account.platform
            )));
        }
        self.tell(&account.user, body).await
    }

    fn connection(&self) -> Connection {
        self.connection_now()
    }
}
