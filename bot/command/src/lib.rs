//! The command grammar: what people type, on every platform, and what they are told when it cannot
//! be understood.
//!
//! ```text
//! /rollback <service> [reason: …] [--dry-run]
//! /rollbot status [RB-n] | plan <service> | cancel RB-n [reason: …] | history [<service>]
//!        | locks | unlock <service> [reason: …] | help [command]
//! ```
//!
//! [`parse`] turns a line into a [`Command`] or a [`ParseError`], and what a command's `Display`
//! prints parses back to the same command. Keywords are case-insensitive. What chat clients make of
//! a line by themselves is understood: non-breaking spaces, curly quotes, a dash for `--`.
//!
//! Each command has a file of its own in `command/`, which opens with its grammar.

mod command;
mod completion;
mod error;
mod line;
mod nearest;
mod place;
mod reason;

#[cfg(test)]
mod tests;

pub use command::{Command, Topic, help, is_service_name};
pub use completion::{Completion, completions};
pub use error::{ParseError, Problem};
pub use nearest::nearest;
pub use place::{Marked, visible};
pub use reason::{BadReason, Reason};

/// The longest line that is read, in characters.
pub const LONGEST_LINE: usize = 2_000;

/// Reads one line. `services` are the names that are configured.
///
/// # Errors
/// What is wrong, where it is wrong, and what was probably meant. Its `Display` is for the one who
/// typed the line.
pub fn parse(text: &str, services: &[String]) -> Result<Command, ParseError> {
    let line = line::Line::new(text)?;
    command::parse(line, services)
}
