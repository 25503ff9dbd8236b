//! Purpose: what is going on, in all or with one operation.
//!
//! Grammar: `/rollbot status [RB-n]`

use super::{Command, Topic, operation, rest};
use crate::error::ParseError;
use crate::line::{Line, Takes};

pub(super) const GRAMMAR: &str = "/rollbot status [RB-n]";

pub(super) const ABOUT: &str = "What is going on";

pub(super) const HELP: &str = "\
Shows every operation that is not closed: its state, its votes, the running step. With a number, that
operation in full.

  /rollbot status
  /rollbot status RB-17";

const TAKES: Takes = Takes {
    words: 1,
    reason: false,
    flags: &[],
    grammar: GRAMMAR,
};

pub(super) fn parse(line: &mut Line<'_>) -> Result<Command, ParseError> {
    let rest = match rest(line, TAKES, Topic::Status)? {
        Ok(rest) => rest,
        Err(help) => return Ok(help),
    };
    let operation = rest
        .words
        .first()
        .map(|word| operation(line, word, TAKES))
        .transpose()?;
    Ok(Command::Status { operation })
}
