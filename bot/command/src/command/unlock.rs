//! Purpose: release a service's lock.
//!
//! Grammar: `/rollbot unlock <service> [reason: …]`

use super::{Command, Topic, rest, service};
use crate::error::ParseError;
use crate::line::{Line, Takes};

pub(super) const GRAMMAR: &str = "/rollbot unlock <service> [reason: …]";

pub(super) const ABOUT: &str = "Release a service's lock";

pub(super) const HELP: &str = "\
Releases the lock that a rollback left on its service, so that the service can be deployed again. The
lock of an operation that still runs stays.

  <service>     the service's name: trade
  reason: …     why, for the record

  /rollbot unlock trade reason: fixed release is out";

const TAKES: Takes = Takes {
    words: 1,
    reason: true,
    flags: &[],
    grammar: GRAMMAR,
};

pub(super) fn parse(line: &mut Line<'_>, services: &[String]) -> Result<Command, ParseError> {
    let rest = match rest(line, TAKES, Topic::Unlock)? {
        Ok(rest) => rest,
        Err(help) => return Ok(help),
    };
    Ok(Command::Unlock {
        service: service(line, rest.words.first(), services, TAKES)?,
        reason: rest.reason,
    })
}
