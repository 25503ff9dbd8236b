//! Purpose: what a rollback of a service would do now.
//!
//! Grammar: `/rollbot plan <service>`

use super::{Command, Topic, rest, service};
use crate::error::ParseError;
use crate::line::{Line, Takes};

pub(super) const GRAMMAR: &str = "/rollbot plan <service>";

pub(super) const ABOUT: &str = "What a rollback would do now";

pub(super) const HELP: &str = "\
Plans the rollback of one service and shows the plan. It only reads: nothing is changed, and nobody
is asked for approval.

  /rollbot plan trade";

const TAKES: Takes = Takes {
    words: 1,
    reason: false,
    flags: &[],
    grammar: GRAMMAR,
};

pub(super) fn parse(line: &mut Line<'_>, services: &[String]) -> Result<Command, ParseError> {
    let rest = match rest(line, TAKES, Topic::Plan)? {
        Ok(rest) => rest,
        Err(help) => return Ok(help),
    };
    Ok(Command::Plan {
        service: service(line, rest.words.first(), services, TAKES)?,
    })
}
