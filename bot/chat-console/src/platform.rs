//! The console as rollbot sends to it.

use async_trait::async_trait;
use rollbot_chat::{ChatPlatform, Outgoing, SendError, StandingReaction, console_account};
use rollbot_core::PersonId;
use rollbot_core::approval::Account;
use rollbot_core::console::{ConsoleMessage, NewConsoleMessage};
use rollbot_core::store::StoreError;

use crate::Console;

/// The name of the platform, in accounts and destinations.
pub const PLATFORM: &str = "console";

/// The kind of what the bot answers to somebody.
pub(crate) const ANSWER: &str = "answer";

fn not_sent(error: StoreError) -> SendError {
    match error {
        StoreError::Unavailable(_) => SendError::Again {
            why: error.to_string(),
            after: None,
        },
        other => SendError::Refused(other.to_string()),
    }
}

fn number(message_ref: &str) -> Result<i64, SendError> {
    message_ref
        .parse()
        .map_err(|_| SendError::Refused(format!("`{message_ref}` is no message of the console")))
}

impl Console {
    fn known_channel(&self, channel: &str) -> Result<(), SendError> {
        match self.config.channel(channel) {
            Some(_) => Ok(()),
            None => Err(SendError::Refused(format!(
                "the console has no channel `{channel}`: it has {}",
                self.config
                    .channels
                    .iter()
                    .map(|channel| channel.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        }
    }

    /// Makes the reactions that the bot offers on a message those that it should offer.
    async fn offer(
        &self,
        message: ConsoleMessage,
        wanted: &[String],
    ) -> Result<ConsoleMessage, StoreError> {
        let offered: Vec<String> = message
            .reactions
            .iter()
            .filter(|reaction| reaction.person.is_none())
            .map(|reaction| reaction.emoji.clone())
            .collect();
        let missing = wanted
            .iter()
            .filter(|emoji| !offered.contains(emoji))
            .map(|e| (e, true));
        let surplus = offered
            .iter()
            .filter(|emoji| !wanted.contains(emoji))
            .map(|e| (e, false));
        let now = self.clock.now();
        let mut message = message;
        for (emoji, on) in missing.chain(surplus) {
            (message, _) = self
                .store
                .console_react(message.id, emoji, None, on, now)
                .await?;
        }
        Ok(message)
    }

    /// Posts something that only this person sees, or everybody.
    pub(crate) async fn answer(
        &self,
        identity: String,
        place: (&str, Option<i64>),
        only_for: Option<PersonId>,
        body: String,
    ) -> Result<ConsoleMessage, StoreError> {
        let message = self
            .store
            .console_post(NewConsoleMessage {
                identity,
                channel: place.0.to_owned(),
                thread_of: place.1,
                author: None,
                only_for,
                body,
                kind: ANSWER.to_owned(),
                buttons: Vec::new(),
                at: self.clock.now(),
            })
            .await?;
        self.tell(message.change);
        Ok(message)
    }
}

#[async_trait]
impl ChatPlatform for Console {
    fn name(&self) -> &str {
        PLATFORM
    }

    async fn post(&self, message: &Outgoing) -> Result<String, SendError> {
        self.known_channel(&message.channel)?;
        let thread_of = message.thread_of.as_deref().map(number).transpose()?;
        let posted = self
            .store
            .console_post(NewConsoleMessage {
                identity: message.identity.clone(),
                channel: message.channel.clone(),
                thread_of,
                author: None,
                only_for: None,
                body: message.body.clone(),
                kind: message.kind.clone(),
                buttons: message.buttons.clone(),
                at: self.clock.now(),
            })
            .await
            .map_err(not_sent)?;
        let offered = self
            .offer(posted, &message.reactions)
            .await
            .map_err(not_sent)?;
        self.tell(offered.change);
        Ok(offered.id.to_string())
    }

    async fn edit(&self, message_ref: &str, message: &Outgoing) -> Result<(), SendError> {
        let id = number(message_ref)?;
        let edited = self
            .store
            .console_edit(id, &message.body, &message.buttons, self.clock.now())
            .await
            .map_err(not_sent)?;
        let offered = self
            .offer(edited, &message.reactions)
            .await
            .map_err(not_sent)?;
        self.tell(offered.change);
        Ok(())
    }

    async fn find(&self, channel: &str, identity: &str) -> Result<Option<String>, SendError> {
        let found = self.store.console_find(identity).await.map_err(not_sent)?;
        Ok(found
            .filter(|message| message.channel == channel)
            .map(|message| message.id.to_string()))
    }

    async fn reactions(
        &self,
        channel: &str,
        message_ref: &str,
    ) -> Result<Vec<StandingReaction>, SendError> {
        let message = self
            .message(number(message_ref)?)
            .await
            .map_err(not_sent)?
            .filter(|message| message.channel == channel)
            .ok_or_else(|| {
                SendError::Refused(format!("there is no message {message_ref} in {channel}"))
            })?;
        Ok(message
            .reactions
            .into_iter()
            .filter_map(|reaction| {
                let account = console_account(&reaction.person?);
                Some(StandingReaction {
                    account,
                    emoji: reaction.emoji,
                })
            })
            .collect())
    }

    async fn whisper(&self, channel: &str, account: &Account, body: &str) -> Result<(), SendError> {
        self.known_channel(channel)?;
        let person = PersonId(account.user.clone());
        if account.platform != PLATFORM || self.people.get(&person).is_none() {
            return Err(SendError::Refused(format!(
                "`{}` on {} is nobody whom the console knows",
                account.user, account.platform
            )));
        }
        let identity = format!("whisper:{}", hex::encode(rand::random::<[u8; 16]>()));
        self.answer(identity, (channel, None), Some(person), body.to_owned())
            .await
            .map_err(not_sent)?;
        Ok(())
    }
}
