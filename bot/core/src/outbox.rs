//! Messages to be sent. A row is written in the same transaction as the change it tells of, and
//! worked off afterwards: nothing waits for a chat platform, and nothing is lost.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Digest, OperationId};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// `console`, `slack`, `discord`, …
    pub platform: String,
    pub channel: String,
}

/// What a message is about: decides where it is threaded and what a reaction to it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "about")]
pub enum About {
    /// Asks for votes on this digest.
    Approval { digest: Digest },
    /// The one live message of a run.
    Live,
    /// A detail, in the thread of the live message.
    Detail,
    /// Asks what to do in a pause; the question's key.
    Question { question: String },
    /// To users: maintenance, update, all-clear.
    Announcement,
    /// To operators: refusals, alerts.
    Notice,
}

impl About {
    pub fn as_str(&self) -> &'static str {
        match self {
            About::Approval { .. } => "approval",
            About::Live => "live",
            About::Detail => "detail",
            About::Question { .. } => "question",
            About::Announcement => "announcement",
            About::Notice => "notice",
        }
    }

    /// Answers and approvals leave before progress. Smaller is sooner.
    pub fn priority(&self) -> i64 {
        match self {
            About::Approval { .. } | About::Question { .. } => 0,
            About::Notice => 1,
            About::Announcement => 2,
            About::Live => 3,
            About::Detail => 4,
        }
    }
}

/// A message as it should be: written again with the same identity it becomes an edit, and only
/// the newest content is ever sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Stays the same over retries, restarts and edits: `RB-17/live@console/ops`.
    pub identity: String,
    pub operation: OperationId,
    pub about: About,
    pub destination: Destination,
    /// Identity of the message whose thread it belongs to.
    pub thread_of: Option<String>,
    /// Template and its variables: rendered when it is sent, in one place.
    pub template: String,
    pub variables: serde_json::Value,
    /// Reactions the bot puts under it, as an offer.
    pub reactions: Vec<String>,
    /// Buttons: key and label.
    pub buttons: Vec<(String, String)>,
    /// Not before this time.
    pub not_before: Timestamp,
}

/// How far a message is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboxRow {
    pub id: i64,
    pub message: Message,
    /// Grows with every new content.
    pub revision: i64,
    /// The revision that was last delivered; 0 before the first.
    pub delivered: i64,
    /// The platform's id for it, once it is there.
    pub message_ref: Option<String>,
    pub attempts: i64,
    pub next_at: Timestamp,
    pub last_error: Option<String>,
    /// Given up for good: operators are told by another way.
    pub abandoned: bool,
    pub created_at: Timestamp,
    pub delivered_at: Option<Timestamp>,
}
