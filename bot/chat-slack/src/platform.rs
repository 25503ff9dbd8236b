//! Slack as rollbot sends to it.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use rollbot_chat::{ChatPlatform, Connection, Outgoing, SendError, StandingReaction};
use rollbot_core::approval::Account;
use serde::Deserialize;
use serde_json::{Value, json};
use slack_morphism::api::{
    SlackApiChatPostEphemeralRequest, SlackApiChatPostMessageRequest, SlackApiChatUpdateRequest,
    SlackApiReactionsAddRequest, SlackApiReactionsRemoveRequest,
};
use slack_morphism::{
    SlackChannelId, SlackMessageMetadata, SlackReactionName, SlackTs, SlackUserId,
};

use crate::message::{Page, lay};
use crate::pace::Urgency;
use crate::web::{Call, Token};
use crate::{PLATFORM, Slack};

/// What rollbot's messages carry in their metadata.
const EVENT_TYPE: &str = "rollbot_message";

/// Of so many of its newest messages the bot remembers which reactions it has there.
pub(crate) const MOST_OFFERED: usize = 5_000;

/// Whoever sent the message waits for its reactions as well, and not for long.
const OFFER_WITHIN: Duration = Duration::from_secs(2);

/// The answer to a message that was posted.
#[derive(Deserialize)]
struct Posted {
    ts: String,
}

#[derive(Deserialize)]
struct Reacted {
    message: ReactedMessage,
}

#[derive(Deserialize)]
struct ReactedMessage {
    #[serde(default)]
    reactions: Vec<Reaction>,
}

#[derive(Deserialize)]
struct Reaction {
    name: String,
    #[serde(default)]
    users: Vec<String>,
}

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    messages: Vec<Found>,
    #[serde(default)]
    response_metadata: Option<Next>,
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next_cursor: String,
}

#[derive(Deserialize)]
struct Found {
    ts: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    reply_count: u64,
    #[serde(default)]
    metadata: Option<Value>,
}

impl Found {
    fn has_identity(&self, identity: &str) -> bool {
        let metadata = self.metadata.as_ref();
        metadata.is_some_and(|metadata| {
            metadata.get("event_type").and_then(Value::as_str) == Some(EVENT_TYPE)
                && metadata
                    .pointer("/event_payload/identity")
                    .and_then(Value::as_str)
                    == Some(identity)
        })
    }
}

/// Pages of history that are read, and threads that are looked into.
const MOST_PAGES: usize = 5;
const MOST_THREADS: usize = 10;
const PAGE: usize = 200;

/// The emoji without a skin tone: `+1::skin-tone-3` is a `+1`.
pub(crate) fn plain_emoji(name: &str) -> &str {
    name.split_once("::").map_or(name, |(name, _)| name)
}

/// Which message something is about, as the caller's `MessageAt` has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) channel: &'a str,
    pub(crate) ts: &'a str,
}

impl Slack {
    /// Posts one page and returns its time.
    pub(crate) async fn post_page(
        &self,
        channel: &str,
        thread: Option<&str>,
        page: Page,
        identity: Option<(&str, &str)>,
        urgency: Urgency,
    ) -> Result<String, SendError> {
        let mut content = page.content();
        content.metadata = identity.map(|(identity, kind)| metadata(identity, kind));
        let request =
            SlackApiChatPostMessageRequest::new(SlackChannelId(channel.to_owned()), content)
                .opt_thread_ts(thread.map(|thread| SlackTs(thread.to_owned())))
                .with_unfurl_links(false)
                .with_unfurl_media(false)
                .with_link_names(false)
                .with_parse("none".to_owned());
        let call = Call::new("chat.postMessage", channel, urgency);
        let posted: Posted = self.web.post(Token::Bot, call, &request).await?;
        Ok(posted.ts)
    }

    pub(crate) async fn edit_page(
        &self,
        at: At<'_>,
        page: Page,
        identity: (&str, &str),
        urgency: Urgency,
    ) -> Result<(), SendError> {
        let mut content = page.content();
        content.metadata = Some(metadata(identity.0, identity.1));
        let request = SlackApiChatUpdateRequest::new(
            SlackChannelId(at.channel.to_owned()),
            content,
            SlackTs(at.ts.to_owned()),
        )
        .with_link_names(false)
        .with_parse("none".to_owned());
        let call = Call::new("chat.update", at.channel, urgency);
        let _: Value = self.web.post(Token::Bot, call, &request).await?;
        Ok(())
    }

    /// Makes the bot's own reactions on a message those that it should offer. What fails is only
    /// logged: the message is there, and the same votes can be given by button.
    async fn offer(&self, at: At<'_>, wanted: &[String], kind: &str) {
        let offering = self.offer_all(at, wanted, kind);
        if tokio::time::timeout(OFFER_WITHIN, offering).await.is_err() {
            tracing::warn!("Slack took too long over the reactions of a message");
        }
    }

    async fn offer_all(&self, at: At<'_>, wanted: &[String], kind: &str) {
        let key = format!("{} {}", at.channel, at.ts);
        let wanted: BTreeSet<String> = wanted.iter().cloned().collect();
        let have = match self.offered.get(&key) {
            Some(have) => have,
            None if wanted.is_empty() && kind != "approval" => return,
            None => match self.own_reactions(at).await {
                Ok(have) => have,
                Err(error) => {
                    tracing::warn!(%error, "rollbot's own reactions could not be read");
                    return;
                }
            },
        };
        if have == wanted {
            self.offered.put(key, have);
            return;
        }
        let mut now = have.clone();
        for name in wanted.difference(&have) {
            match self.add_reaction(at, name).await {
                Ok(()) => {
                    now.insert(name.clone());
                }
                Err(error) => tracing::warn!(%error, name, "a reaction could not be offered"),
            }
        }
        for name in have.difference(&wanted) {
            match self.remove_reaction(at, name).await {
                Ok(()) => {
                    now.remove(name);
                }
                Err(error) => tracing::warn!(%error, name, "a reaction could not be taken back"),
            }
        }
        self.offered.put(key, now);
    }

    /// Shows one person one page.
    pub(crate) async fn whisper_page(
        &self,
        channel: &str,
        account: &Account,
        page: Page,
    ) -> Result<(), SendError> {
        // The conversation with one person holds nothing that others see, and nothing ephemeral.
        if channel == account.user || channel.starts_with('D') {
            self.post_page(channel, None, page, None, Urgency::High)
                .await?;
            return Ok(());
        }
        let request = SlackApiChatPostEphemeralRequest::new(
            SlackChannelId(channel.to_owned()),
            SlackUserId(account.user.clone()),
            page.content(),
        )
        .with_link_names(false)
        .with_parse("none".to_owned());
        let call = Call::new("chat.postEphemeral", channel, Urgency::High);
        let _: Value = self.web.post(Token::Bot, call, &request).await?;
        Ok(())
    }

    async fn add_reaction(&self, at: At<'_>, name: &str) -> Result<(), SendError> {
        let request = SlackApiReactionsAddRequest::new(
            SlackChannelId(at.channel.to_owned()),
            SlackReactionName(name.to_owned()),
            SlackTs(at.ts.to_owned()),
        );
        let call = Call::new("reactions.add", at.channel, Urgency::Normal);
        match self.web.post::<_, Value>(Token::Bot, call, &request).await {
            Err(SendError::Refused(why)) if why.contains("already_reacted") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    async fn remove_reaction(&self, at: At<'_>, name: &str) -> Result<(), SendError> {
        let request = SlackApiReactionsRemoveRequest::new(SlackReactionName(name.to_owned()))
            .with_channel(SlackChannelId(at.channel.to_owned()))
            .with_timestamp(SlackTs(at.ts.to_owned()));
        let call = Call::new("reactions.remove", at.channel, Urgency::Low);
        match self.web.post::<_, Value>(Token::Bot, call, &request).await {
            Err(SendError::Refused(why)) if why.contains("no_reaction") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Everybody's reactions; `full`, because Slack otherwise leaves people out.
    async fn all_reactions(&self, at: At<'_>) -> Result<Vec<(String, String)>, SendError> {
        let call = Call::new("reactions.get", at.channel, Urgency::High);
        let arguments = [
            ("channel", Some(at.channel.to_owned())),
            ("timestamp", Some(at.ts.to_owned())),
            ("full", Some("true".to_owned())),
        ];
        let reacted: Reacted = self.web.get(call, &arguments).await?;
        let reactions = reacted.message.reactions.into_iter();
        Ok(reactions
            .flat_map(|reaction| {
                let name = plain_emoji(&reaction.name).to_owned();
                let users = reaction.users.into_iter();
                users.map(move |user| (name.clone(), user))
            })
            .collect())
    }

    async fn own_reactions(&self, at: At<'_>) -> Result<BTreeSet<String>, SendError> {
        let me = &self.me().await?.user_id;
        let all = self.all_reactions(at).await?;
        let own = all.into_iter().filter(|(_, user)| user == me);
        Ok(own.map(|(name, _)| name).collect())
    }

    /// One page of a channel's history, or of a thread.
    async fn page(
        &self,
        channel: &str,
        thread: Option<&str>,
        oldest: &str,
        cursor: Option<String>,
    ) -> Result<History, SendError> {
        let method = match thread {
            Some(_) => "conversations.replies",
            None => "conversations.history",
        };
        let call = Call::new(method, channel, Urgency::High);
        let arguments = [
            ("channel", Some(channel.to_owned())),
            ("ts", thread.map(str::to_owned)),
            ("oldest", thread.is_none().then(|| oldest.to_owned())),
            ("limit", Some(PAGE.to_string())),
            ("include_all_metadata", Some("true".to_owned())),
            ("cursor", cursor),
        ];
        self.web.get(call, &arguments).await
    }

    /// Looks for a message with this identity in a thread.
    pub(crate) async fn find_in_thread(
        &self,
        channel: &str,
        thread: &str,
        identity: &str,
    ) -> Result<Option<String>, SendError> {
        let mut cursor = None;
        for _ in 0..MOST_PAGES {
            let page = self.page(channel, Some(thread), "", cursor.take()).await?;
            let found = page
                .messages
                .into_iter()
                .find(|one| one.has_identity(identity));
            if let Some(found) = found {
                return Ok(Some(found.ts));
            }
            match page.response_metadata {
                Some(next) if !next.next_cursor.is_empty() => cursor = Some(next.next_cursor),
                _ => break,
            }
        }
        Ok(None)
    }
}

fn metadata(identity: &str, kind: &str) -> SlackMessageMetadata {
    let payload = [("identity", identity), ("kind", kind)];
    let payload = payload.map(|(key, value)| (key.to_owned(), value.to_owned()));
    SlackMessageMetadata::new(EVENT_TYPE.to_owned()).with_event_payload(payload.into())
}

#[async_trait]
impl ChatPlatform for Slack {
    fn name(&self) -> &str {
        PLATFORM
    }

    async fn post(&self, message: &Outgoing) -> Result<String, SendError> {
        let urgency = Urgency::of(&message.kind);
        let laid = lay(&message.body, &message.kind, &message.buttons);
        let identity = Some((message.identity.as_str(), message.kind.as_str()));
        let thread = message.thread_of.as_deref();
        let ts = self
            .post_page(&message.channel, thread, laid.first, identity, urgency)
            .await?;
        let at = At {
            channel: &message.channel,
            ts: &ts,
        };
        if !message.reactions.is_empty() {
            // A new message has no reactions: they need not be asked for.
            let key = format!("{} {}", at.channel, at.ts);
            self.offered.put(key, BTreeSet::new());
            self.offer(at, &message.reactions, &message.kind).await;
        }
        self.overflow(at, message, &laid.more, laid.file.as_deref(), true)
            .await;
        Ok(ts)
    }

    async fn edit(&self, message_ref: &str, message: &Outgoing) -> Result<(), SendError> {
        let laid = lay(&message.body, &message.kind, &message.buttons);
        let at = At {
            channel: &message.channel,
            ts: message_ref,
        };
        let identity = (message.identity.as_str(), message.kind.as_str());
        self.edit_page(at, laid.first, identity, Urgency::of(&message.kind))
            .await?;
        self.offer(at, &message.reactions, &message.kind).await;
        self.overflow(at, message, &laid.more, laid.file.as_deref(), false)
            .await;
        Ok(())
    }

    async fn find(&self, channel: &str, identity: &str) -> Result<Option<String>, SendError> {
        let me = self.me().await?.user_id.clone();
        let back = i64::try_from(self.config.find_back.as_secs()).unwrap_or(i64::MAX);
        let oldest = jiff::Timestamp::now().as_second().saturating_sub(back);
        let oldest = format!("{oldest}.000000");
        let (mut cursor, mut threads) = (None, Vec::new());
        for _ in 0..MOST_PAGES {
            let page = self.page(channel, None, &oldest, cursor.take()).await?;
            for one in page.messages {
                if one.has_identity(identity) {
                    return Ok(Some(one.ts));
                }
                // rollbot writes into threads of its own messages only.
                if one.reply_count > 0 && one.user.as_deref() == Some(me.as_str()) {
                    threads.push(one.ts);
                }
            }
            match page.response_metadata {
                Some(next) if !next.next_cursor.is_empty() => cursor = Some(next.next_cursor),
                _ => break,
            }
        }
        for thread in threads.iter().take(MOST_THREADS) {
            if let Some(found) = self.find_in_thread(channel, thread, identity).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn reactions(
        &self,
        channel: &str,
        message_ref: &str,
    ) -> Result<Vec<StandingReaction>, SendError> {
        let me = self.me().await?.user_id.clone();
        let at = At {
            channel,
            ts: message_ref,
        };
        let mut seen = BTreeSet::new();
        let mut standing = Vec::new();
        for (emoji, user) in self.all_reactions(at).await? {
            // The same emoji in two skin tones is one reaction.
            if user == me || !seen.insert((emoji.clone(), user.clone())) {
                continue;
            }
            let account = self.account(&user, None).await?;
            standing.push(StandingReaction { account, emoji });
        }
        Ok(standing)
    }

    async fn whisper(&self, channel: &str, account: &Account, body: &str) -> Result<(), SendError> {
        if account.platform != PLATFORM {
            return Err(SendError::Refused(format!(
                "`{}` is an account of {}, not of Slack",
                account.user, account.platform
            )));
        }
        let laid = lay(body, "answer", &[]);
        for page in std::iter::once(laid.first).chain(laid.more) {
            self.whisper_page(channel, account, page).await?;
        }
        Ok(())
    }

    fn connection(&self) -> Connection {
        match self.web.refusal(Token::Bot) {
            Some(why) => Connection::GivenUp { why },
            None => self.door.connection(),
        }
    }
}

/// Nothing, as JSON: for calls without arguments.
pub(crate) fn nothing() -> Value {
    json!({})
}
