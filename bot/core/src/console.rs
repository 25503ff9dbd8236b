//! What the web console keeps: it is a chat platform of its own, with channels, threads and
//! reactions, and its messages live in rollbot's store.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::PersonId;
use crate::store::StoreError;

/// A message of the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleMessage {
    pub id: i64,
    pub channel: String,
    /// The message whose thread it is in.
    pub thread_of: Option<i64>,
    /// `None`: rollbot itself.
    pub author: Option<PersonId>,
    /// Only this person sees it: private answers.
    pub only_for: Option<PersonId>,
    /// Markdown as rendered by the templates; HTML is made of it where it is shown.
    pub body: String,
    /// What it is about, for its looks: `approval`, `live`, `announcement`, …
    pub kind: String,
    pub buttons: Vec<(String, String)>,
    pub reactions: Vec<ConsoleReaction>,
    pub created_at: Timestamp,
    pub edited_at: Option<Timestamp>,
    /// Counts every change of any message, so that a reader can ask for what is new.
    pub change: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleReaction {
    /// `white_check_mark`, `x`, …
    pub emoji: String,
    /// `None`: rollbot itself, as an offer.
    pub person: Option<PersonId>,
    pub at: Timestamp,
}

/// A message to be put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsoleMessage {
    /// With the same identity it is the same message: posting it again edits it.
    pub identity: String,
    pub channel: String,
    pub thread_of: Option<i64>,
    pub author: Option<PersonId>,
    pub only_for: Option<PersonId>,
    pub body: String,
    pub kind: String,
    pub buttons: Vec<(String, String)>,
    pub at: Timestamp,
}

/// Somebody who has logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSession {
    /// SHA-256 of the session's secret; the secret itself is only in the visitor's cookie.
    pub token_digest: String,
    pub person: PersonId,
    pub expires_at: Timestamp,
}

/// The console's part of the store.
#[async_trait]
pub trait ConsoleStore: Send + Sync {
    /// Posts, or edits what has the same identity. Returns the message as it is now.
    async fn console_post(&self, message: NewConsoleMessage) -> Result<ConsoleMessage, StoreError>;

    /// Replaces body and buttons.
    async fn console_edit(
        &self,
        id: i64,
        body: &str,
        buttons: &[(String, String)],
        at: Timestamp,
    ) -> Result<ConsoleMessage, StoreError>;

    /// Puts a reaction on, or takes it off. Returns the message and whether anything changed.
    async fn console_react(
        &self,
        id: i64,
        emoji: &str,
        person: Option<&PersonId>,
        on: bool,
        at: Timestamp,
    ) -> Result<(ConsoleMessage, bool), StoreError>;

    async fn console_message(&self, id: i64) -> Result<Option<ConsoleMessage>, StoreError>;

    /// The message with that identity.
    async fn console_find(&self, identity: &str) -> Result<Option<ConsoleMessage>, StoreError>;

    /// What changed after `change`, oldest change first, at most `limit`.
    async fn console_changes(
        &self,
        change: i64,
        limit: i64,
    ) -> Result<Vec<ConsoleMessage>, StoreError>;

    /// The newest messages of every channel and their threads, oldest first, at most `limit`.
    async fn console_recent(&self, limit: i64) -> Result<Vec<ConsoleMessage>, StoreError>;

    async fn console_open_session(&self, session: &ConsoleSession) -> Result<(), StoreError>;

    /// The session, if it is there and has not expired at `now`.
    async fn console_session(
        &self,
        token_digest: &str,
        now: Timestamp,
    ) -> Result<Option<ConsoleSession>, StoreError>;

    async fn console_close_session(&self, token_digest: &str) -> Result<(), StoreError>;
}
