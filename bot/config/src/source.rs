//! A file's text, and places in it.

use std::ops::Range;
use std::path::PathBuf;

/// A file as it was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    /// As people know it: the directory as it was given, and the name.
    pub path: PathBuf,
    pub text: String,
}

/// A place, for people: both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub line: usize,
    pub column: usize,
}

impl Source {
    pub fn position(&self, at: usize) -> Position {
        let before = self.before(at);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before.get(start..).unwrap_or_default().chars().count() + 1,
        }
    }

    /// The line that a part begins in, without anything in it that may be a secret, and the part
    /// within that line.
    pub fn excerpt(&self, part: &Range<usize>) -> (String, Range<usize>) {
        let start = self
            .before(part.start)
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let within = (part.start - start).min(line.len())
            ..(part.end.max(part.start) - start).min(line.len());
        (masked(line), within)
    }

    fn before(&self, at: usize) -> &str {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        self.text.get(..at).unwrap_or_default()
    }
}

/// Whether values of that name usually are secrets: `Authorization`, `API_TOKEN`, `db-password`.
pub(crate) fn sounds_secret(name: &str) -> bool {
    const TELLING: [&str; 11] = [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "passwd",
        "passphrase",
        "apikey",
        "privatekey",
        "accesskey",
        "credential",
    ];
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    TELLING.iter().any(|word| plain.contains(word))
        || words.any(|word| {
            ["auth", "pwd", "pass"]
                .iter()
                .any(|w| word.eq_ignore_ascii_case(w))
        })
}

/// The line with `*` for every byte of what may be a secret, so that places in it stay where they
/// are. A message about a wrong line must not spread what should not be in it.
fn masked(line: &str) -> String {
    let mut bytes = line.as_bytes().to_vec();
    let mut mask = |range: Range<usize>| {
        if let Some(part) = bytes.get_mut(range) {
            part.fill(b'*');
        }
    };
    for (at, _) in line.match_indices('=') {
        let key = line.get(..at).unwrap_or_default().trim_end();
        let key = key.rsplit(['{', ',', ' ', '\t']).next().unwrap_or_default();
        if !sounds_secret(key) {
            continue;
        }
        let value = line.get(at + 1..).unwrap_or_default();
        let begin = at + 1 + value.len() - value.trim_start().len();
        let value = value.trim_start();
        let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            continue;
        };
        let end = value
            .get(1..)
            .and_then(|rest| rest.find(quote))
            .map_or(value.len(), |end| end + 1);
        mask(begin + 1..begin + end);
    }
    for (at, found) in line.match_indices("://") {
        let rest = line.get(at + found.len()..).unwrap_or_default();
        let authority = rest
            .split(['/', '"', '\'', '?', '#'])
            .next()
            .unwrap_or_default();
        if let Some(user) = authority.rfind('@') {
            mask(at + found.len()..at + found.len() + user);
        }
    }
    // Whole characters only ever lie between ASCII ones here, so that nothing is lost.
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_without_what_may_be_a_secret() {
        for (line, shown) in [
            (
                r#"Authorization = "Bearer x""#,
                r#"Authorization = "********""#,
            ),
            (
                r#"headers = { X-Api-Key = 'abc', Accept = "a" }"#,
                r#"headers = { X-Api-Key = '***', Accept = "a" }"#,
            ),
            (r#"API_TOKEN="abc"#, r#"API_TOKEN="***"#),
            (
                r#"url = "http://me:pw@host/x@y""#,
                r#"url = "http://*****@host/x@y""#,
            ),
            (r#"url = "http://host/x@y""#, r#"url = "http://host/x@y""#),
            (r#"token = { env = "NAME" }"#, r#"token = { env = "NAME" }"#),
            (r#"password = "日本""#, r#"password = "******""#),
            (r#"idempotency_key = "yes""#, r#"idempotency_key = "yes""#),
        ] {
            assert_eq!(masked(line), shown);
        }
    }

    #[test]
    fn a_place_is_a_line_and_a_column() {
        let source = Source {
            path: "x".into(),
            text: "a\n日本 = 1\n".into(),
        };
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(9), Position { line: 2, column: 4 });
        assert_eq!(source.position(99), Position { line: 3, column: 1 });
        assert_eq!(source.excerpt(&(2..8)), ("日本 = 1".to_owned(), 0..6));
        assert_eq!(source.excerpt(&(11..99)), ("日本 = 1".to_owned(), 9..10));
    }
}
