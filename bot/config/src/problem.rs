//! Everything that is wrong with a configuration, at once.

use std::fmt;
use std::ops::Range;

use rollbot_command::Marked;
use serde::Serialize;

use crate::source::Source;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the file.
    pub file: String,
    /// The place, both numbers from 1; `None` where it is about the file as a whole.
    pub place: Option<(usize, usize)>,
    /// The line with the place marked.
    pub excerpt: Option<Marked>,
    /// What is wrong, one line.
    pub message: String,
    /// What is allowed instead, a line each.
    pub help: Vec<String>,
}

impl Problem {
    pub(crate) fn at(source: &Source, part: Range<usize>, message: impl Into<String>) -> Self {
        let position = source.position(part.start);
        let (line, within) = source.excerpt(&part);
        Self {
            file: source.path.display().to_string(),
            place: Some((position.line, position.column)),
            excerpt: Some(Marked::new(&line, within)),
            message: rollbot_command::visible(&message.into()),
            help: Vec::new(),
        }
    }

    pub(crate) fn of_file(source: &Source, message: impl Into<String>) -> Self {
        Self {
            file: source.path.display().to_string(),
            place: None,
            excerpt: None,
            message: rollbot_command::visible(&message.into()),
            help: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(rollbot_command::visible(&help.into()));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        let Some((line, column)) = self.place else {
            write!(f, ": {}", self.message)?;
            return self
                .help
                .iter()
                .try_for_each(|help| write!(f, "\n  = {help}"));
        };
        write!(f, ":{line}:{column}: {}", self.message)?;
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        if let Some(excerpt) = &self.excerpt {
            write!(
                f,
                "\n{gutter} |\n{number} | {}\n{gutter} | {}",
                excerpt.line(),
                excerpt.carets()
            )?;
        }
        self.help
            .iter()
            .try_for_each(|help| write!(f, "\n{gutter} = {help}"))
    }
}

/// All that is wrong with the three files. `Display` is the full text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
}

impl ConfigErrors {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// At least one, file by file from top to bottom.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// `{ "errors": [ { "file", "line", "column", "message", "help": [] } ] }`; line and column are
    /// null for what is about a file as a whole.
    pub fn to_json(&self) -> serde_json::Value {
        #[derive(Serialize)]
        struct Row<'a> {
            file: &'a str,
            line: Option<usize>,
            column: Option<usize>,
            message: &'a str,
            help: &'a [String],
        }
        let rows = self.problems.iter().map(|problem| Row {
            file: &problem.file,
            line: problem.place.map(|place| place.0),
            column: problem.place.map(|place| place.1),
            message: &problem.message,
            help: &problem.help,
        });
        serde_json::json!({ "errors": rows.collect::<Vec<_>>() })
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            write!(f, "{problem}\n\n")?;
        }
        match self.problems.len() {
            1 => f.write_str("The configuration has 1 error."),
            count => write!(f, "The configuration has {count} errors."),
        }
    }
}

impl std::error::Error for ConfigErrors {}
