//! Commands, one file each.

mod cancel;
mod help;
mod history;
mod locks;
mod plan;
mod rollback;
mod status;
mod unlock;

use std::fmt;

use rollbot_core::OperationId;

use crate::error::{ParseError, Problem, quoted};
use crate::line::{Line, Rest, Takes, Word, is_blank, is_double_quote, plain};
use crate::nearest::nearest;
use crate::reason::Reason;

pub use help::{Topic, help};

/// What somebody wants.
///
/// `Display` is how it is typed; it parses back to the same command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Roll a service back.
    Rollback {
        /// As it is configured, whatever case it was typed in.
        service: String,
        reason: Option<Reason>,
        /// Show the plan and do nothing else.
        dry_run: bool,
    },
    /// What is going on: everything, or one operation.
    Status { operation: Option<OperationId> },
    /// What a rollback would do now.
    Plan { service: String },
    /// Call an operation off.
    Cancel {
        operation: OperationId,
        reason: Option<Reason>,
    },
    /// Past operations, of one service or all.
    History { service: Option<String> },
    /// Which services are locked, by whom and since when.
    Locks,
    /// Release a service's lock.
    Unlock {
        service: String,
        reason: Option<Reason>,
    },
    /// How commands are written.
    Help { topic: Option<Topic> },
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |f: &mut fmt::Formatter<'_>, reason: &Option<Reason>| match reason {
            Some(reason) => write!(f, " reason: {reason}"),
            None => Ok(()),
        };
        match self {
            Self::Rollback {
                service,
                reason,
                dry_run,
            } => {
                write!(f, "/rollback {service}")?;
                because(f, reason)?;
                f.write_str(if *dry_run { " --dry-run" } else { "" })
            }
            Self::Status { operation: None } => f.write_str("/rollbot status"),
            Self::Status {
                operation: Some(id),
            } => write!(f, "/rollbot status {id}"),
            Self::Plan { service } => write!(f, "/rollbot plan {service}"),
            Self::Cancel { operation, reason } => {
                write!(f, "/rollbot cancel {operation}")?;
                because(f, reason)
            }
            Self::History { service: None } => f.write_str("/rollbot history"),
            Self::History {
                service: Some(service),
            } => write!(f, "/rollbot history {service}"),
            Self::Locks => f.write_str("/rollbot locks"),
            Self::Unlock { service, reason } => {
                write!(f, "/rollbot unlock {service}")?;
                because(f, reason)
            }
            Self::Help { topic: None } => f.write_str("/rollbot help"),
            Self::Help { topic: Some(topic) } => write!(f, "/rollbot help {}", topic.as_str()),
        }
    }
}

/// Whether a service of that name can be typed in every command: it begins with a lower case
/// letter, goes on with those, digits and single hyphens, and has at most 40 characters.
pub fn is_service_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(fits)
        && !name.ends_with('-')
        && !name.contains("--")
}

const COMMANDS: [&str; 2] = ["/rollback", "/rollbot"];

pub(crate) fn parse(mut line: Line<'_>, services: &[String]) -> Result<Command, ParseError> {
    let Some(first) = line.word() else {
        return Err(ParseError::plain(Problem::Empty).note(START));
    };
    let name = plain(first.text);
    match name.trim_start_matches(['/', '／']) {
        "rollback" => rollback::parse(&mut line, services),
        "rollbot" => parse_rollbot(line, services),
        name => {
            // Forgetting `/rollbot` is the most likely slip.
            let nearest = match Topic::read(name) {
                Some(topic) => Some(format!("/rollbot {}", topic.as_str())),
                None => nearest(&format!("/{name}"), COMMANDS).map(str::to_owned),
            };
            let word = quoted(first.text);
            let problem = Problem::UnknownCommand { word, nearest };
            Err(line.bare_error(first.place, problem).note(START))
        }
    }
}

const START: &str = "Type /rollback <service> to roll a service back, /rollbot help for the rest.";

fn parse_rollbot(mut line: Line<'_>, services: &[String]) -> Result<Command, ParseError> {
    let Some(verb) = line.word() else {
        return Ok(Command::Help { topic: None });
    };
    let name = plain(verb.text);
    match name.trim_start_matches('-') {
        "status" => status::parse(&mut line),
        "plan" => plan::parse(&mut line, services),
        "cancel" => cancel::parse(&mut line),
        "history" => history::parse(&mut line, services),
        "locks" => locks::parse(&mut line),
        "unlock" => unlock::parse(&mut line, services),
        "help" => help::parse(&mut line),
        // It is a command of its own, and nobody means anything else by it.
        "rollback" => rollback::parse(&mut line, services),
        name => {
            let known = Topic::ALL.iter().map(|topic| topic.as_str());
            let nearest = match services.iter().find(|service| plain(service) == name) {
                Some(service) => Some(format!("/rollback {service}")),
                None => nearest(name, known).map(|word| match word {
                    "rollback" => "/rollback".to_owned(),
                    word => format!("/rollbot {word}"),
                }),
            };
            let problem = Problem::UnknownCommand {
                word: quoted(verb.text),
                nearest,
            };
            let commands: Vec<_> = Topic::ALL
                .iter()
                .filter(|topic| **topic != Topic::Rollback)
                .map(|topic| topic.as_str())
                .collect();
            Err(line
                .bare_error(verb.place, problem)
                .note(format!("Commands: {}", commands.join(", "))))
        }
    }
}

/// Reads the rest of a line; `Err` holds the help where that was asked for instead.
fn rest<'t>(
    line: &mut Line<'t>,
    takes: Takes,
    topic: Topic,
) -> Result<Result<Rest<'t>, Command>, ParseError> {
    let rest = line.rest(takes)?;
    if rest.flags.contains(&"help") {
        return Ok(Err(Command::Help { topic: Some(topic) }));
    }
    Ok(Ok(rest))
}

/// The configured service that a word names.
fn service(
    line: &Line<'_>,
    word: Option<&Word<'_>>,
    services: &[String],
    takes: Takes,
) -> Result<String, ParseError> {
    let Some(word) = word else {
        return Err(line
            .error(line.after_name(), Problem::MissingService, takes)
            .note_services(services));
    };
    let name = word
        .text
        .trim_matches(|c| is_double_quote(c) || c == '`' || is_blank(c));
    let name = plain(name);
    if let Some(service) = services.iter().find(|service| plain(service) == name) {
        return Ok(service.clone());
    }
    let problem = match name.as_str() {
        // Services can be called so, which is why this comes after them.
        "full" => Problem::NotYet,
        name => Problem::UnknownService {
            word: quoted(word.text),
            nearest: nearest(name, services.iter().map(String::as_str)).map(str::to_owned),
        },
    };
    Err(line
        .bare_error(word.place.clone(), problem)
        .note_services(services))
}

/// The operation that a word names.
fn operation(line: &Line<'_>, word: &Word<'_>, takes: Takes) -> Result<OperationId, ParseError> {
    plain(word.text).parse().map_err(|_| {
        let problem = Problem::NotAnOperation {
            word: quoted(word.text),
        };
        line.error(word.place.clone(), problem, takes)
    })
}
