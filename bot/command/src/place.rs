//! Showing a line of text with a part of it marked.

use std::fmt;
use std::ops::Range;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How many columns of a long line are shown, and how many of them at most before the mark.
const COLUMNS: usize = 100;
const BEFORE: usize = 60;

/// A line and the carets that go under it. Both are free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    line: String,
    /// Columns before the first caret.
    indent: usize,
    carets: usize,
}

impl Marked {
    /// `part` is in bytes of `line`. Where it does not lie on characters of it, it is moved to those
    /// around it; an empty one is a single caret, at the end of the line with a blank before it.
    ///
    /// A line that is too wide for a chat message is cut around the mark, and says so with `…`.
    pub fn new(line: &str, part: Range<usize>) -> Self {
        let start = floor_boundary(line, part.start);
        let end = floor_boundary(line, part.end.max(start));
        let (before, rest) = line.split_at(start);
        let (marked, after) = rest.split_at(end - start);
        let before = cut_front(&visible(before), BEFORE);
        let room = COLUMNS.saturating_sub(before.width());
        // Something is missing at the end: the caret goes where it would be typed, after a blank.
        let gap = usize::from(rest.is_empty() && !before.is_empty() && !before.ends_with(' '));
        let whole = visible(marked);
        let marked = cut_back(&whole, room);
        let after = match marked == whole {
            true => cut_back(&visible(after), room.saturating_sub(marked.width()).max(1)),
            false => String::new(),
        };
        Self {
            indent: before.width() + gap,
            carets: marked.width().max(1),
            line: format!("{before}{marked}{after}"),
        }
    }

    pub fn line(&self) -> &str {
        &self.line
    }

    /// Blanks and carets, to be shown under the line in a font of fixed width.
    pub fn carets(&self) -> String {
        format!(
            "{:indent$}{}",
            "",
            "^".repeat(self.carets),
            indent = self.indent
        )
    }
}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.line, self.carets())
    }
}

/// The text with a picture or the code in place of every character that would be invisible, would
/// move what follows it, or would act on a terminal. Blanks of all kinds become spaces.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{7f}' => out.push('\u{2421}'),
            '\t' => out.push(' '),
            // The block "Control Pictures" has them in the order of ASCII.
            c if (c as u32) < 0x20 => {
                out.push(char::from_u32(0x2400 + c as u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            c if c.is_control() || is_deceptive(c) => {
                out.push_str(&format!("<U+{:04X}>", c as u32));
            }
            c if c.is_whitespace() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Characters that change the direction or the lines of what is around them.
pub(crate) fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{061c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

fn cut_back(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut width = 0;
    for c in text.chars() {
        width += c.width().unwrap_or(0);
        if width >= columns {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

fn cut_front(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = Vec::new();
    let mut width = 0;
    for c in text.chars().rev() {
        width += c.width().unwrap_or(0);
        if width >= columns {
            break;
        }
        kept.push(c);
    }
    std::iter::once('…').chain(kept.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_under_wide_and_combined_characters() {
        for (line, part, carets) in [
            ("ab cd", 3..5, "   ^^"),
            ("日本 cd", 7..9, "     ^^"),
            ("ab 日本", 3..9, "   ^^^^"),
            // e and a combining acute accent are one column.
            ("e\u{301} cd", 4..6, "  ^^"),
            ("👩‍🚀 cd", 12..14, "   ^^"),
            ("ab", 2..2, "   ^"),
            ("", 0..0, "^"),
            // Not on a character: moved to the one around it.
            ("日", 1..2, "^"),
            ("ab", 7..9, "   ^"),
        ] {
            assert_eq!(Marked::new(line, part).carets(), carets, "{line}");
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        let line = format!("{} here {}", "x".repeat(500), "y".repeat(500));
        let marked = Marked::new(&line, 501..505);
        assert!(
            marked.line().width() <= COLUMNS,
            "{}",
            marked.line().width()
        );
        assert!(marked.line().starts_with('…') && marked.line().ends_with('…'));
        assert_eq!(
            &marked.line()[marked.line().find("here").unwrap_or(0)..][..4],
            "here"
        );
        assert_eq!(marked.carets().width(), marked.indent + 4);
        let wide = Marked::new(&"本".repeat(900), 0..2700);
        assert!(
            wide.line().width() <= COLUMNS + 1,
            "{}",
            wide.line().width()
        );
    }

    #[test]
    fn what_would_be_invisible_or_act_on_a_terminal_is_shown() {
        assert_eq!(visible("a\u{1b}[2Jb"), "a␛[2Jb");
        assert_eq!(visible("a\nb\tc\u{a0}d"), "a␊b c d");
        assert_eq!(visible("a\u{202e}b\u{85}\u{7f}"), "a<U+202E>b<U+0085>␡");
    }
}
