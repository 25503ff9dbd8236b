//! Output: colours only on a terminal, and text of others never obeyed by it.

use std::io::Write as _;

/// Prints lines to standard output. A reader that has gone away is no error of ours.
pub fn say(text: &str) {
    let mut out = anstream::stdout().lock();
    let _ = writeln!(out, "{text}");
}

/// Prints one JSON document.
///
/// # Errors
/// The value is no JSON.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    let _ = writeln!(out);
    Ok(())
}

/// Control characters made visible: a service's log must not steer somebody's terminal.
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c.to_string(),
            c if c.is_control() || is_bidi(c) => format!("⟨U+{:04X}⟩", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_codes_are_shown_and_not_obeyed() {
        assert_eq!(harmless("a\u{1b}[2J\u{202e}b\n"), "a⟨U+001B⟩[2J⟨U+202E⟩b\n");
    }
}
