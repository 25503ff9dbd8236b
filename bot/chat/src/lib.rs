//! What every chat platform is to rollbot: somewhere that events come from ([`ChatEvent`]) and that
//! messages go to ([`ChatPlatform`]).
//!
//! Adapters know their platform's SDK and nothing of plans, plugins or policies. They turn what
//! happened into a [`ChatEvent`], hand it to [`Dispatch`], and show the [`Answer`] to whom it is
//! for. Messages arrive here rendered; an adapter decides how its platform shows Markdown.

mod escape;
mod recent;

use std::time::Duration;

use async_trait::async_trait;
use rollbot_core::approval::Account;
use rollbot_core::{EventKey, PersonId};

pub use escape::{escape, unescape};
pub use recent::Recent;

/// Everything that can come in, in one closed list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// Somebody typed a slash command: `/rollback trade reason: orders failing`.
    Command {
        key: EventKey,
        account: Account,
        channel: String,
        text: String,
    },
    /// A reaction was put on a message or taken off it.
    Reaction {
        key: EventKey,
        account: Account,
        message: MessageAt,
        emoji: String,
        on: bool,
    },
    /// A button under a message was pressed.
    Button {
        key: EventKey,
        account: Account,
        message: MessageAt,
        choice: String,
    },
    /// The connection stands anew: what was put on or taken off messages meanwhile is not known.
    Connected { platform: String },
}

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageAt {
    pub platform: String,
    pub channel: String,
    /// The platform's id for it.
    pub message_ref: String,
}

/// What the one who acted is told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Markdown, safe to show as it is.
    pub body: String,
    /// Whether only they see it.
    pub private: bool,
}

/// The way in: everything an adapter receives goes through here, and nothing else does.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// Returns when the event is durably recorded or refused, and at most two seconds later:
    /// platforms give three. `None`: there is nothing to say, such as for a vote that counted.
    async fn dispatch(&self, event: ChatEvent) -> Option<Answer>;

    /// Commands with what may follow, for completion as somebody types.
    fn completions(&self) -> Vec<Completion>;

    /// Values for one place of a command, best first: at most `limit`, those that begin with
    /// `typed` before those that contain it. Answered from memory or within a second, else empty.
    async fn suggest(&self, place: Place, typed: &str, limit: usize) -> Vec<Suggestion>;

    /// What is going on, for a page that shows nothing else. Answered within two seconds.
    async fn overview(&self) -> Overview;
}

/// A place in a command that has a list of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// What can be rolled back.
    Service,
    /// `RB-17`, newest first.
    Operation,
    /// A service that is locked now.
    LockedService,
}

/// One value that may stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// `trade`, `RB-17`
    pub value: String,
    /// `RB-17 · trade · running`, plain text.
    pub label: String,
}

/// Running operations and locks, as plain text: who shows them escapes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    pub operations: Vec<OverviewLine>,
    pub locks: Vec<OverviewLine>,
    /// Said instead of both where the store did not answer.
    pub trouble: Option<String>,
}

/// One line of an overview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverviewLine {
    /// `RB-17 · trade`
    pub title: String,
    /// `running since 02:14:10 UTC, asked for by Ana: orders failing`
    pub text: String,
}

/// A line that completion offers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Completion {
    /// `/rollback trade`
    pub text: String,
    /// `[reason: …] [--dry-run]`
    pub rest: String,
    /// What it does, a few words.
    pub about: String,
}

/// A message as a platform gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The same for every attempt and every edit of one message.
    pub identity: String,
    pub channel: String,
    /// The message whose thread it goes into.
    pub thread_of: Option<String>,
    /// Markdown, with everything untrusted in it escaped by [`ChatPlatform::escape`].
    pub body: String,
    /// `approval`, `live`, `detail`, `question`, `announcement`, `notice`: for its looks.
    pub kind: String,
    /// Reactions the bot offers: `white_check_mark`, `x`.
    pub reactions: Vec<String>,
    /// Key and label.
    pub buttons: Vec<(String, String)>,
}

/// A reaction as it stands on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingReaction {
    pub account: Account,
    pub emoji: String,
}

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Try again, not before `after` where the platform said so.
    #[error("{why}")]
    Again {
        why: String,
        after: Option<Duration>,
    },
    /// This message will never arrive: the channel is gone, the text is refused.
    #[error("{0}")]
    Refused(String),
    /// The platform does not accept our credentials: stop sending, tell operators another way.
    #[error("{0}")]
    Unauthorised(String),
}

/// One chat platform.
#[async_trait]
pub trait ChatPlatform: Send + Sync {
    /// `console`, `slack`, `discord`: the platform of its accounts and destinations.
    fn name(&self) -> &str;

    /// Makes text that somebody else wrote harmless in a Markdown message of this platform: it can
    /// neither mention, link, format nor close a code block, and control characters are shown. What
    /// [`escape`] does is right for every platform that parses the message as CommonMark.
    fn escape(&self, text: &str) -> String {
        escape(text)
    }

    /// Posts a message and offers its reactions. Returns the platform's id for it.
    async fn post(&self, message: &Outgoing) -> Result<String, SendError>;

    /// Replaces what a message says.
    async fn edit(&self, message_ref: &str, message: &Outgoing) -> Result<(), SendError>;

    /// Looks for a message that was sent with this identity, after a send whose answer was lost.
    async fn find(&self, channel: &str, identity: &str) -> Result<Option<String>, SendError>;

    /// All reactions on a message, as the platform says they stand; the bot's own left out.
    async fn reactions(
        &self,
        channel: &str,
        message_ref: &str,
    ) -> Result<Vec<StandingReaction>, SendError>;

    /// Tells one account something that nobody else sees.
    async fn whisper(&self, channel: &str, account: &Account, body: &str) -> Result<(), SendError>;

    /// How the way in stands: what people type arrives only while this is up.
    fn connection(&self) -> Connection {
        Connection::Up
    }
}

/// How the way in from a platform stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "connection")]
pub enum Connection {
    Up,
    /// Not now; it is tried again by itself.
    Down {
        why: String,
    },
    /// Not tried again: the credentials are refused, or what is configured cannot be.
    GivenUp {
        why: String,
    },
}

/// What a platform says when it is asked whether everything is as rollbot needs it: for
/// `rollbot check --online` and `rollbot people check`.
#[async_trait]
pub trait OnlineCheck: Send + Sync {
    /// Credentials, scopes or permissions, intents, and that the channels can be written to.
    async fn check(&self, channels: &[String]) -> Vec<Finding>;

    /// Who an account is. `None`: the platform knows no such account.
    ///
    /// # Errors
    /// The platform did not say.
    async fn look_up(&self, account: &Account) -> Result<Option<AccountFacts>, SendError>;
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    pub level: Level,
    /// `scope reactions:read is missing`
    pub what: String,
    /// What to do about it; empty for what is well.
    pub remedy: String,
}

impl Finding {
    pub fn pass(what: impl Into<String>) -> Self {
        Self {
            level: Level::Pass,
            what: what.into(),
            remedy: String::new(),
        }
    }

    pub fn warn(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub fn fail(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Pass,
    Warn,
    Fail,
}

/// What a platform says of an account.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AccountFacts {
    /// The name people see there; never used to tell who somebody is.
    pub name: String,
    pub bot: bool,
    /// Deactivated or deleted.
    pub gone: bool,
    /// A guest, or a member of another organisation.
    pub guest: bool,
}

/// How people of the console are known to it: by their key in `people.toml`.
pub fn console_account(person: &PersonId) -> Account {
    Account {
        platform: "console".to_owned(),
        team: String::new(),
        user: person.0.clone(),
    }
}
