//! The last lines of a log, as evidence.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// No more than this much of a log is read.
const MOST_BYTES: u64 = 16 * 1024;
const MOST_LINES: usize = 10;
const LONGEST_LINE: usize = 300;

/// The last lines that were written after byte `from`, control characters made visible.
pub(crate) fn since(log: &Path, from: u64) -> io::Result<Vec<String>> {
    let mut file = File::open(log)?;
    let end = file.metadata()?.len();
    // A log that became shorter was rotated: all of it is new.
    let from = if end < from { 0 } else { from };
    let begin = from.max(end.saturating_sub(MOST_BYTES));
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(last_lines(&String::from_utf8_lossy(&bytes)))
}

pub(crate) fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let first = lines.len().saturating_sub(MOST_LINES);
    lines
        .get(first..)
        .unwrap_or_default()
        .iter()
        .map(|l| visible(l))
        .collect()
}

fn visible(line: &str) -> String {
    let mut shown = String::new();
    for (n, c) in line.chars().enumerate() {
        if n == LONGEST_LINE {
            shown.push('…');
            break;
        }
        match c {
            '\t' => shown.push(' '),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// For the end of an error's sentence.
pub(crate) fn appended(lines: &[String]) -> String {
    match lines.is_empty() {
        true => "; it logged nothing".to_owned(),
        false => format!("; last log lines:\n{}", lines.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn only_lines_after_the_given_byte_are_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old\nnew \x1b[31mred\n\nnewer\n").unwrap();
        assert_eq!(
            since(file.path(), 4).unwrap(),
            ["new \\u{1b}[31mred", "newer"]
        );
    }

    #[test]
    fn a_huge_log_is_cut_to_its_last_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(file.path(), text).unwrap();
        let lines = since(file.path(), 0).unwrap();
        assert_eq!(lines.len(), MOST_LINES);
        assert_eq!(lines.last().unwrap(), "line 99999");
    }
}
