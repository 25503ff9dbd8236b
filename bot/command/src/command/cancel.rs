//! Purpose: call an operation off.
//!
//! Grammar: `/rollbot cancel RB-n [reason: …]`

use super::{Command, Topic, operation, rest};
use crate::error::{ParseError, Problem};
use crate::line::{Line, Takes};

pub(super) const GRAMMAR: &str = "/rollbot cancel RB-n [reason: …]";

pub(super) const ABOUT: &str = "Call an operation off";

pub(super) const HELP: &str = "\
Ends an operation that waits for approval. One that has started is not cancelled: it is aborted or
undone by an answer to its question.

  RB-n          the operation
  reason: …     why, for the record

  /rollbot cancel RB-17 reason: orders work again";

const TAKES: Takes = Takes {
    words: 1,
    reason: true,
    flags: &[],
    grammar: GRAMMAR,
};

pub(super) fn parse(line: &mut Line<'_>) -> Result<Command, ParseError> {
    let rest = match rest(line, TAKES, Topic::Cancel)? {
        Ok(rest) => rest,
        Err(help) => return Ok(help),
    };
    let Some(word) = rest.words.first() else {
        return Err(line.error(line.after_name(), Problem::MissingOperation, TAKES));
    };
    Ok(Command::Cancel {
        operation: operation(line, word, TAKES)?,
        reason: rest.reason,
    })
}
