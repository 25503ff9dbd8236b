//! What people are told, made from what is so. Each function takes the state of an operation and
//! gives the messages for it; they become text in `rollbot-notify`, and leave through the outbox.

mod announcement;
mod approval;
mod live;
mod question;

pub use announcement::{Announcing, Occasion, announcement};
pub use approval::{Decided, approval, plan_words, tally_in_words};
pub use live::{LiveState, live, live_identity};
pub use question::question;

use jiff::Timestamp;
use rollbot_core::OperationId;
use rollbot_core::outbox::{About, Destination, Message};

/// Where a message goes, and what makes it the same message when it is written again.
pub(crate) struct Envelope<'a> {
    pub operation: OperationId,
    /// `approval/3f0c…`, `live`, `detail/4`: unique within the operation.
    pub name: &'a str,
    pub about: About,
    pub to: &'a Destination,
    pub at: Timestamp,
}

impl Envelope<'_> {
    pub(crate) fn identity(&self) -> String {
        identity(self.operation, self.name, self.to)
    }

    /// A message of this template, with no thread, reaction or button yet.
    pub(crate) fn message(self, template: &str, words: &impl serde::Serialize) -> Message {
        Message {
            identity: self.identity(),
            operation: self.operation,
            about: self.about,
            destination: self.to.clone(),
            thread_of: None,
            template: template.to_owned(),
            // Plain records of strings and numbers: there is nothing in them that could not be JSON.
            variables: serde_json::to_value(words).unwrap_or_default(),
            reactions: Vec::new(),
            buttons: Vec::new(),
            not_before: self.at,
        }
    }
}

pub(crate) fn identity(operation: OperationId, name: &str, to: &Destination) -> String {
    format!("{operation}/{name}@{}/{}", to.platform, to.channel)
}
