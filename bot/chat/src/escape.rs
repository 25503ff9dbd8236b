//! Makes text of others harmless in the Markdown in which every message comes to a platform.
//!
//! Everything that could have a meaning is written as a numeric character reference. Unlike a
//! backslash this holds in every place: CommonMark decodes references only after it has found the
//! structure, so that what they stand for never is structure; and in code, where Markdown knows
//! neither, whoever shows it decodes them with [`unescape`]. A line break is a reference as well,
//! so that the text stays in the one line, cell or item into which a template wrote it.
//!
//! A platform with a markup of its own parses the message as CommonMark and writes every piece of
//! text in its own escaping: what was escaped here is then plain text, whatever it says.

use std::fmt::Write as _;

/// Text that renders as its literal self, wherever in a Markdown message it is put.
pub fn escape(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let solid = text.trim_end_matches(' ').len();
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    // Whether nothing but spaces came before, and nothing but digits: a list's number.
    let (mut leading, mut number) = (true, true);
    for (at, c) in text.char_indices() {
        let meant = match c {
            ' ' => leading || at >= solid,
            '-' => leading,
            '.' => number,
            // Never structure, in no place.
            ',' | ';' | '\'' | '?' | '%' | '/' => false,
            '\n' | '\t' => true,
            _ => c.is_ascii_punctuation(),
        };
        if meant {
            // Writing to a String cannot fail.
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            visible(c, &mut out);
        }
        leading &= c == ' ';
        number &= c.is_ascii_digit();
    }
    out
}

/// Writes the character, or what shows that it is there where it would not be seen or would change
/// how its neighbours are seen.
fn visible(c: char, out: &mut String) {
    let shown = match c {
        '\0'..='\u{1f}' => char::from_u32(u32::from(c) + 0x2400),
        '\u{7f}' => Some('\u{2421}'),
        _ => Some(c),
    };
    match shown {
        Some(shown) if !is_hidden(c) => out.push(shown),
        _ => {
            let _ = write!(out, "⟨U+{:04X}⟩", u32::from(c));
        }
    }
}

/// Characters without a shape of their own: the second control block, direction marks and
/// overrides, zero-width spaces, line separators, fillers, annotation marks and tags.
/// Joiners stay: scripts and emoji need them.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        | '\u{180e}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffc}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Decodes the references that [`escape`] writes; for code, where Markdown leaves them alone.
pub fn unescape(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("&#") {
        let (before, reference) = rest.split_at(at);
        out.push_str(before);
        let digits = reference.get(2..).unwrap_or_default();
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let number = digits.get(..end).unwrap_or_default();
        let ended = digits
            .get(end..)
            .is_some_and(|after| after.starts_with(';'));
        let ascii = number.parse::<u8>().ok().filter(|n| n.is_ascii() && *n > 0);
        match ascii {
            Some(c) if ended => {
                out.push(char::from(c));
                rest = digits.get(end + 1..).unwrap_or_default();
            }
            _ => {
                out.push_str("&#");
                rest = digits;
            }
        }
    }
    out.push_str(rest);
    out
}
