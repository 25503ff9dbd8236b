//! Purpose: roll one service back, or with `--dry-run` only show how.
//!
//! Grammar: `/rollback <service> [reason: …] [--dry-run]`

use super::{Command, Topic, rest, service};
use crate::error::ParseError;
use crate::line::{Line, Takes};

pub(super) const GRAMMAR: &str = "/rollback <service> [reason: …] [--dry-run]";

pub(super) const ABOUT: &str = "Roll a service back to its Docker deployment";

pub(super) const HELP: &str = "\
Plans the rollback of one service, shows the plan, and asks for approval. Nothing is changed before
enough people have approved exactly this plan.

  <service>     the service's name: trade
  reason: …     why, for those who approve and for the record; everything up to the next option,
                in quotes if it holds one
  --dry-run     show the plan and stop there

  /rollback trade reason: orders failing since 14:10
  /rollback trade --dry-run";

const TAKES: Takes = Takes {
    words: 1,
    reason: true,
    flags: &["dry-run"],
    grammar: GRAMMAR,
};

pub(super) fn parse(line: &mut Line<'_>, services: &[String]) -> Result<Command, ParseError> {
    let rest = match rest(line, TAKES, Topic::Rollback)? {
        Ok(rest) => rest,
        Err(help) => return Ok(help),
    };
    Ok(Command::Rollback {
        service: service(line, rest.words.first(), services, TAKES)?,
        reason: rest.reason,
        dry_run: rest.flags.contains(&"dry-run"),
    })
}
