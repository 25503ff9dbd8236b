//! Purpose: past operations.
//!
//! Grammar: `/rollbot history [<service>]`

use super::{Command, Topic, rest, service};
use crate::error::ParseError;
use crate::line::{Line, Takes};

pub(super) const GRAMMAR: &str = "/rollbot history [<service>]";

pub(super) const ABOUT: &str = "Past operations";

pub(super) const HELP: &str = "\
Lists past operations, the newest first: what, when, who asked, who approved, how it ended. With a
service, only those of that service.

  /rollbot history
  /rollbot history trade";

const TAKES: Takes = Takes {
    words: 1,
    reason: false,
    flags: &[],
    grammar: GRAMMAR,
};

pub(super) fn parse(line: &mut Line<'_>, services: &[String]) -> Result<Command, ParseError> {
    let rest = match rest(line, TAKES, Topic::History)? {
        Ok(rest) => rest,
        Err(help) => return Ok(help),
    };
    let service = match rest.words.first() {
        Some(word) => Some(service(line, Some(word), services, TAKES)?),
        None => None,
    };
    Ok(Command::History { service })
}
