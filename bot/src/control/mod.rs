//! The command line's way to a running bot: one JSON line there and one back over a Unix socket.
//! Who asks is who the kernel says it is.

mod client;
mod server;

pub use client::{ClientError, call};
pub use server::{ControlServer, bind};

use rollbot_core::OperationId;
use rollbot_core::approval::Ballot;
use serde::{Deserialize, Serialize};

/// A line is never longer than this, in bytes.
pub(crate) const LONGEST_LINE: u64 = 64 * 1024;

/// What the command line asks for. `id` is made by the client for each call, and makes a repeated
/// one a repetition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do", deny_unknown_fields)]
pub enum Request {
    /// A command of the common grammar.
    Command { id: String, text: String },
    Vote {
        id: String,
        operation: OperationId,
        ballot: Ballot,
        on: bool,
    },
    BreakGlass {
        id: String,
        operation: OperationId,
        reason: String,
    },
    Answer {
        id: String,
        operation: OperationId,
        choice: String,
    },
    /// A link with which the caller logs in to the console.
    Login,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Response {
    Said {
        title: String,
        text: String,
        lines: Vec<String>,
        block: Option<String>,
    },
    /// Nothing was done, and why.
    Refused { why: String },
}
