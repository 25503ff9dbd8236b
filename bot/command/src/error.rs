//! What was wrong with a line, for the one who typed it.

use std::fmt;
use std::ops::Range;

use crate::place::{Marked, visible};
use crate::reason::Reason;

/// A line that is no command: the problem, the place, and what may be typed instead.
///
/// `Display` is the whole answer, to be shown in a font of fixed width. Everything of it that was
/// typed is free of control characters; escaping it for the platform is the platform's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    problem: Problem,
    marked: Option<Marked>,
    notes: Vec<String>,
}

/// What is wrong. Words are as they were typed, made visible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("nothing was typed")]
    Empty,
    #[error(
        "that has {characters} characters; at most {} are read",
        crate::LONGEST_LINE
    )]
    TooLong { characters: usize },
    #[error("the control character U+{code:04X} is not allowed in a command")]
    ControlCharacter { code: u32 },
    #[error("there is no command `{word}`{}", did_you_mean(.nearest))]
    UnknownCommand {
        word: String,
        nearest: Option<String>,
    },
    #[error("the service is missing")]
    MissingService,
    #[error("there is no service `{word}`{}", did_you_mean(.nearest))]
    UnknownService {
        word: String,
        nearest: Option<String>,
    },
    #[error("rolling back everything at once is not possible yet: name one service")]
    NotYet,
    #[error("the operation is missing: write it as RB-17")]
    MissingOperation,
    #[error("`{word}` is not an operation: write it as RB-17")]
    NotAnOperation { word: String },
    #[error("there is no option `{word}` here{}", did_you_mean(.nearest))]
    UnknownFlag {
        word: String,
        nearest: Option<String>,
    },
    #[error("`{word}` is given twice")]
    Twice { word: String },
    #[error("this command takes no reason")]
    ReasonNotTaken,
    #[error("the reason is empty")]
    ReasonEmpty,
    #[error(
        "the reason has {characters} characters; at most {} are allowed",
        Reason::LONGEST
    )]
    ReasonTooLong { characters: usize },
    #[error("this quote is not closed")]
    UnclosedQuote,
    #[error("nothing is expected here")]
    Surplus,
    #[error("a reason is written as `reason: …`")]
    ReasonWithoutKey,
    #[error("there is no help on `{word}`{}", did_you_mean(.nearest))]
    UnknownTopic {
        word: String,
        nearest: Option<String>,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|word| format!(": did you mean `{word}`?"))
        .unwrap_or_default()
}

impl ParseError {
    /// `part` is in bytes of `text`.
    pub(crate) fn at(text: &str, part: Range<usize>, problem: Problem) -> Self {
        Self {
            problem,
            marked: Some(Marked::new(text, part)),
            notes: Vec::new(),
        }
    }

    pub(crate) fn plain(problem: Problem) -> Self {
        Self {
            problem,
            marked: None,
            notes: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    #[must_use]
    pub(crate) fn note_services(self, services: &[String]) -> Self {
        /// A chat message has room for no more.
        const MOST: usize = 30;
        if services.is_empty() {
            return self.note("No service is configured.");
        }
        let mut names: Vec<_> = services.iter().map(String::as_str).collect();
        names.sort_unstable();
        let left_out = names.len().saturating_sub(MOST);
        names.truncate(MOST);
        let more = match left_out {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.note(format!("Services: {}{more}", names.join(", ")))
    }

    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The line with the place marked, where there is a place.
    pub fn marked(&self) -> Option<&Marked> {
        self.marked.as_ref()
    }

    /// What may be typed instead, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.marked {
            Some(marked) => write!(f, "{marked} {}", self.problem)?,
            None => write!(f, "{}", capitalised(&self.problem.to_string()))?,
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}

fn capitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).chain(['.']).collect(),
        None => String::new(),
    }
}

/// A word as it is repeated in a message: visible, and no longer than a glance.
pub(crate) fn quoted(word: &str) -> String {
    const MOST: usize = 40;
    let word = visible(word).replace('`', "'");
    match word.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}…", &word[..cut]),
        None => word,
    }
}
