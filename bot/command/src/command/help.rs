//! Purpose: how commands are written.
//!
//! Grammar: `/rollbot help [command]`

use super::{Command, cancel, history, locks, plan, rollback, status, unlock};
use crate::error::{ParseError, Problem, quoted};
use crate::line::{Line, Takes, plain};
use crate::nearest::nearest;

const GRAMMAR: &str = "/rollbot help [command]";

const ABOUT: &str = "How commands are written";

const HELP: &str = "\
Lists the commands, or explains one.

  /rollbot help
  /rollbot help rollback";

/// A command that there is help on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Rollback,
    Status,
    Plan,
    Cancel,
    History,
    Locks,
    Unlock,
    Help,
}

impl Topic {
    /// In the order in which they are listed.
    pub const ALL: [Self; 8] = [
        Self::Rollback,
        Self::Status,
        Self::Plan,
        Self::Cancel,
        Self::History,
        Self::Locks,
        Self::Unlock,
        Self::Help,
    ];

    /// The word people type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Status => "status",
            Self::Plan => "plan",
            Self::Cancel => "cancel",
            Self::History => "history",
            Self::Locks => "locks",
            Self::Unlock => "unlock",
            Self::Help => "help",
        }
    }

    /// `/rollbot status [RB-n]`
    pub fn grammar(self) -> &'static str {
        self.texts().0
    }

    /// What the command does, a few words.
    pub fn about(self) -> &'static str {
        self.texts().1
    }

    pub(super) fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == word)
    }

    fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Rollback => (rollback::GRAMMAR, rollback::ABOUT, rollback::HELP),
            Self::Status => (status::GRAMMAR, status::ABOUT, status::HELP),
            Self::Plan => (plan::GRAMMAR, plan::ABOUT, plan::HELP),
            Self::Cancel => (cancel::GRAMMAR, cancel::ABOUT, cancel::HELP),
            Self::History => (history::GRAMMAR, history::ABOUT, history::HELP),
            Self::Locks => (locks::GRAMMAR, locks::ABOUT, locks::HELP),
            Self::Unlock => (unlock::GRAMMAR, unlock::ABOUT, unlock::HELP),
            Self::Help => (GRAMMAR, ABOUT, HELP),
        }
    }
}

/// The help on one command, or the list of all with the configured services. Plain text, to be
/// shown in a font of fixed width.
pub fn help(topic: Option<Topic>, services: &[String]) -> String {
    if let Some(topic) = topic {
        let (grammar, _, help) = topic.texts();
        return format!("{grammar}\n\n{help}");
    }
    let width = Topic::ALL
        .iter()
        .map(|topic| topic.grammar().chars().count())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for topic in Topic::ALL {
        let line = format!("{:width$}  {}\n", topic.grammar(), topic.about());
        text.push_str(&line);
    }
    let mut names: Vec<_> = services.iter().map(String::as_str).collect();
    names.sort_unstable();
    match names.is_empty() {
        true => text.push_str("\nNo service is configured."),
        false => text.push_str(&format!("\nServices: {}", names.join(", "))),
    }
    text
}

const TAKES: Takes = Takes {
    words: 1,
    reason: false,
    flags: &[],
    grammar: GRAMMAR,
};

pub(super) fn parse(line: &mut Line<'_>) -> Result<Command, ParseError> {
    let rest = line.rest(TAKES)?;
    let Some(word) = rest.words.first() else {
        return Ok(Command::Help { topic: None });
    };
    let name = plain(word.text);
    match Topic::read(name.trim_start_matches('/')) {
        Some(topic) => Ok(Command::Help { topic: Some(topic) }),
        None => {
            let known = Topic::ALL.iter().map(|topic| topic.as_str());
            let problem = Problem::UnknownTopic {
                word: quoted(word.text),
                nearest: nearest(&name, known).map(str::to_owned),
            };
            let topics: Vec<_> = Topic::ALL.iter().map(|topic| topic.as_str()).collect();
            Err(line
                .bare_error(word.place.clone(), problem)
                .note(format!("Help on: {}", topics.join(", "))))
        }
    }
}
