//! The line as it was typed, cut into words, options and a reason.
//!
//! Nothing is replaced in the line itself, so that every place in it stays a place in what was
//! typed.

use std::ops::Range;

use crate::error::{ParseError, Problem, quoted};
use crate::nearest::nearest;
use crate::reason::{BadReason, Reason, is_refused};

/// Every option of every command, to tell an option from a dash in a sentence.
const FLAGS: [&str; 2] = ["dry-run", "help"];

/// A line, and how far it has been read.
#[derive(Debug, Clone)]
pub(crate) struct Line<'t> {
    typed: &'t str,
    at: usize,
    /// Where the command's name ends.
    name_end: usize,
}

/// A part of the line between blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word<'t> {
    pub text: &'t str,
    pub place: Range<usize>,
}

/// What a command takes after its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Takes {
    /// At most this many words.
    pub words: usize,
    pub reason: bool,
    pub flags: &'static [&'static str],
    /// The command's grammar, repeated when something is wrong.
    pub grammar: &'static str,
}

/// What follows a command's name.
#[derive(Debug, Default)]
pub(crate) struct Rest<'t> {
    pub words: Vec<Word<'t>>,
    pub reason: Option<Reason>,
    pub flags: Vec<&'static str>,
}

/// Blanks of all kinds, and the characters of no width that some clients insert.
pub(crate) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{180e}')
}

pub(crate) fn is_double_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '‟' | '«' | '»' | '＂')
}

fn is_single_quote(c: char) -> bool {
    matches!(c, '\'' | '‘' | '’' | '‚' | '‛')
}

fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// Lower case, and plain hyphens for those of typographers.
pub(crate) fn plain(word: &str) -> String {
    word.chars()
        .map(|c| if is_dash(c) { '-' } else { c })
        .flat_map(char::to_lowercase)
        .collect()
}

impl<'t> Line<'t> {
    /// # Errors
    /// The line is too long or holds control characters.
    pub fn new(typed: &'t str) -> Result<Self, ParseError> {
        let characters = typed.chars().count();
        if characters > crate::LONGEST_LINE {
            return Err(ParseError::plain(Problem::TooLong { characters }));
        }
        if let Some((at, bad)) = typed.char_indices().find(|&(_, c)| is_refused(c)) {
            return Err(ParseError::at(
                typed,
                at..at + bad.len_utf8(),
                Problem::ControlCharacter { code: bad as u32 },
            ));
        }
        Ok(Self {
            typed,
            at: 0,
            name_end: 0,
        })
    }

    /// The next word, and the line moves on.
    pub fn word(&mut self) -> Option<Word<'t>> {
        self.skip_blanks();
        let rest = self.typed.get(self.at..)?;
        let length = rest.find(is_blank).unwrap_or(rest.len());
        if length == 0 {
            return None;
        }
        let place = self.at..self.at + length;
        self.at = place.end;
        Some(Word {
            text: rest.get(..length)?,
            place,
        })
    }

    /// Everything that is left, read as what this command takes.
    ///
    /// # Errors
    /// Something that the command does not take, or a reason that is none.
    pub fn rest(&mut self, takes: Takes) -> Result<Rest<'t>, ParseError> {
        self.name_end = self.at;
        let mut rest = Rest::default();
        loop {
            self.skip_blanks();
            let Some(left) = self.typed.get(self.at..).filter(|left| !left.is_empty()) else {
                return Ok(rest);
            };
            if let Some(length) = reason_key(left) {
                self.reason(length, takes, &mut rest)?;
                continue;
            }
            let Some(word) = self.word() else {
                return Ok(rest);
            };
            // A dash alone stands between two halves of a sentence.
            if word.text.starts_with(is_dash) && !word.text.chars().all(is_dash) {
                self.flag(&word, takes, &mut rest)?;
            } else if rest.words.len() < takes.words {
                rest.words.push(word);
            } else {
                return Err(self.surplus(&word, takes));
            }
        }
    }

    fn flag(&self, word: &Word<'t>, takes: Takes, rest: &mut Rest<'t>) -> Result<(), ParseError> {
        let name = plain(word.text);
        let name = name.trim_start_matches('-');
        let Some(flag) = takes
            .flags
            .iter()
            .chain(&["help"])
            .find(|flag| **flag == name)
        else {
            let near = nearest(name, takes.flags.iter().copied());
            let problem = Problem::UnknownFlag {
                word: quoted(word.text),
                nearest: near.map(|flag| format!("--{flag}")),
            };
            return Err(self.error(word.place.clone(), problem, takes));
        };
        if rest.flags.contains(flag) {
            let problem = Problem::Twice {
                word: format!("--{flag}"),
            };
            return Err(self.error(word.place.clone(), problem, takes));
        }
        rest.flags.push(flag);
        Ok(())
    }

    fn reason(
        &mut self,
        key_length: usize,
        takes: Takes,
        rest: &mut Rest<'t>,
    ) -> Result<(), ParseError> {
        let key = self.at..self.at + key_length;
        if !takes.reason {
            return Err(self.error(key, Problem::ReasonNotTaken, takes));
        }
        if rest.reason.is_some() {
            let problem = Problem::Twice {
                word: "reason:".to_owned(),
            };
            return Err(self.error(key, problem, takes));
        }
        self.at = key.end;
        self.skip_blanks();
        let left = self.typed.get(self.at..).unwrap_or_default();
        let said = match scan_reason(left) {
            Ok(said) => said,
            Err(Unclosed(quote)) => {
                let place = self.at..self.at + quote.len_utf8();
                return Err(self.error(place, Problem::UnclosedQuote, takes));
            }
        };
        let place = self.at..self.at + said.length;
        self.at = place.end;
        let reason = Reason::new(&said.text).map_err(|bad| match bad {
            BadReason::Empty => self.error(key, Problem::ReasonEmpty, takes),
            BadReason::TooLong { characters } => {
                self.error(place.clone(), Problem::ReasonTooLong { characters }, takes)
            }
            BadReason::ControlCharacter { code } => {
                self.error(place.clone(), Problem::ControlCharacter { code }, takes)
            }
        })?;
        rest.reason = Some(reason);
        Ok(())
    }

    fn surplus(&self, word: &Word<'t>, takes: Takes) -> ParseError {
        let left = self.typed.get(word.place.start..).unwrap_or_default();
        let left = bare(left).text;
        let place = word.place.start..word.place.start + left.trim_end_matches(is_blank).len();
        if takes.reason && takes.words > 0 {
            return self.error(place, Problem::ReasonWithoutKey, takes);
        }
        self.error(place, Problem::Surplus, takes)
    }

    /// An error at a place of this line, with the command's grammar.
    pub fn error(&self, place: Range<usize>, problem: Problem, takes: Takes) -> ParseError {
        self.bare_error(place, problem)
            .note(format!("Usage: {}", takes.grammar))
    }

    pub fn bare_error(&self, place: Range<usize>, problem: Problem) -> ParseError {
        ParseError::at(self.typed.trim_end_matches(is_blank), place, problem)
    }

    /// The place after the command's name, where something is missing.
    pub fn after_name(&self) -> Range<usize> {
        let left = self.typed.get(self.name_end..).unwrap_or_default();
        let blank = left
            .chars()
            .next()
            .filter(|&c| is_blank(c))
            .map_or(0, char::len_utf8);
        self.name_end + blank..self.name_end + blank
    }

    fn skip_blanks(&mut self) {
        let rest = self.typed.get(self.at..).unwrap_or_default();
        self.at += rest.len() - rest.trim_start_matches(is_blank).len();
    }
}

/// Bytes of the `reason:` that the text begins with.
fn reason_key(text: &str) -> Option<usize> {
    const KEY: &str = "reason";
    let after = text.get(KEY.len()..)?;
    if !text.get(..KEY.len())?.eq_ignore_ascii_case(KEY) {
        return None;
    }
    let colon = after.trim_start_matches(is_blank);
    let colon = colon.chars().next().filter(|c| matches!(c, ':' | '：'))?;
    let blanks = after.len() - after.trim_start_matches(is_blank).len();
    Some(KEY.len() + blanks + colon.len_utf8())
}

/// A reason's text without its quotes, and how much of the line it takes with them.
struct Said {
    text: String,
    length: usize,
}

/// The opening quote that has no closing one.
struct Unclosed(char);

/// Reads a reason from the beginning of the text, up to its closing quote or to the next option.
fn scan_reason(text: &str) -> Result<Said, Unclosed> {
    let Some(first) = text.chars().next() else {
        return Ok(Said {
            text: String::new(),
            length: 0,
        });
    };
    if is_double_quote(first) {
        return match closing(text, is_double_quote) {
            Some(said) if ends_there(text, said.length) => Ok(said),
            // "Orders" fail: the quotes belong to the sentence.
            Some(_) => Ok(bare(text)),
            None => Err(Unclosed(first)),
        };
    }
    if is_single_quote(first)
        && let Some(said) = last_single(text, first)
    {
        return Ok(said);
    }
    Ok(bare(text))
}

fn bare(text: &str) -> Said {
    let length = flag_at(text).unwrap_or(text.len());
    Said {
        text: text.get(..length).unwrap_or_default().to_owned(),
        length,
    }
}

/// Up to the closing quote; a backslash makes the next quote or backslash an ordinary character.
fn closing(text: &str, is_quote: fn(char) -> bool) -> Option<Said> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if is_quote(c) {
            return Some(Said {
                text: out,
                length: at + c.len_utf8(),
            });
        }
        match chars.peek() {
            Some(&(_, next)) if c == '\\' && (next == '\\' || is_quote(next)) => {
                out.push(next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    None
}

/// In single quotes: an apostrophe is one as well, so that only one at the very end closes.
fn last_single(text: &str, first: char) -> Option<Said> {
    let said = bare(text);
    let inner = said
        .text
        .trim_end_matches(is_blank)
        .get(first.len_utf8()..)?;
    let inner = inner.strip_suffix(is_single_quote)?;
    (!inner.is_empty()).then(|| Said {
        text: inner.to_owned(),
        length: said.length,
    })
}

/// Whether nothing but options follows.
fn ends_there(text: &str, length: usize) -> bool {
    let rest = text.get(length..).unwrap_or_default();
    let trimmed = rest.trim_start_matches(is_blank);
    trimmed.is_empty() || (trimmed.len() < rest.len() && begins_flag(trimmed))
}

/// Where the first option begins that stands after a blank, or at the very beginning.
fn flag_at(text: &str) -> Option<usize> {
    let mut after_blank = true;
    for (at, c) in text.char_indices() {
        if after_blank && text.get(at..).is_some_and(begins_flag) {
            return Some(at);
        }
        after_blank = is_blank(c);
    }
    None
}

/// `--word` always is an option. A typographer's dash is one only before a word that looks like an
/// option: it also is what people put into sentences.
fn begins_flag(text: &str) -> bool {
    let word = text.trim_start_matches(is_dash);
    let dashes = &text[..text.len() - word.len()];
    if dashes.is_empty() || !word.starts_with(char::is_alphabetic) {
        return false;
    }
    if dashes.starts_with("--") {
        return true;
    }
    let word = plain(word.split(is_blank).next().unwrap_or_default());
    if dashes == "-" {
        return FLAGS.contains(&word.as_str());
    }
    nearest(&word, FLAGS).is_some()
}

/// Whether a reason can be typed without quotes.
pub(crate) fn is_read_as_it_stands(reason: &str) -> bool {
    scan_reason(reason).is_ok_and(|said| said.text == reason && said.length == reason.len())
}
