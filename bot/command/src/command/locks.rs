//! Purpose: which services are locked.
//!
//! Grammar: `/rollbot locks`

use super::{Command, Topic, rest};
use crate::error::ParseError;
use crate::line::{Line, Takes};

pub(super) const GRAMMAR: &str = "/rollbot locks";

pub(super) const ABOUT: &str = "Which services are locked";

pub(super) const HELP: &str = "\
Lists the services that are locked, with the operation that locked each, by whom, since when, and how
the lock is released.

  /rollbot locks";

const TAKES: Takes = Takes {
    words: 0,
    reason: false,
    flags: &[],
    grammar: GRAMMAR,
};

pub(super) fn parse(line: &mut Line<'_>) -> Result<Command, ParseError> {
    Ok(match rest(line, TAKES, Topic::Locks)? {
        Ok(_) => Command::Locks,
        Err(help) => help,
    })
}
