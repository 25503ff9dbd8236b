//! Why somebody wants something, in their own words.

use std::fmt;

use crate::line::{self, is_blank};
use crate::place::is_deceptive;

/// A reason: one line, not empty, at most [`Reason::LONGEST`] characters, without control
/// characters. Runs of blanks are one space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(String);

/// Why a text is no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReason {
    #[error("the reason is empty")]
    Empty,
    #[error(
        "the reason has {characters} characters; {} are allowed",
        Reason::LONGEST
    )]
    TooLong { characters: usize },
    #[error("the reason holds the control character U+{code:04X}")]
    ControlCharacter { code: u32 },
}

impl Reason {
    /// Characters.
    pub const LONGEST: usize = 500;

    /// # Errors
    /// The text is empty, too long, or holds control characters.
    pub fn new(text: &str) -> Result<Self, BadReason> {
        if let Some(bad) = text.chars().find(|&c| is_refused(c)) {
            return Err(BadReason::ControlCharacter { code: bad as u32 });
        }
        let words: Vec<_> = text
            .split(is_blank)
            .filter(|word| !word.is_empty())
            .collect();
        let reason = words.join(" ");
        match reason.chars().count() {
            0 => Err(BadReason::Empty),
            characters if characters > Self::LONGEST => Err(BadReason::TooLong { characters }),
            _ => Ok(Self(reason)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

/// Characters that no command may hold. Blanks of all kinds are fine.
pub(crate) fn is_refused(c: char) -> bool {
    (c.is_control() && !c.is_whitespace()) || (is_deceptive(c) && !c.is_whitespace())
}

/// As it is typed: in quotes where it would otherwise be read differently.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if line::is_read_as_it_stands(&self.0) {
            return f.write_str(&self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            if c == '\\' || line::is_double_quote(c) {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}
