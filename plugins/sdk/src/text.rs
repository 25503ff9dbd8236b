//! Words for people. Whole numbers only: formatting floats would double a plugin's size.

/// `850 ms`, `2 s`, `2.5 s`, `3 min`.
pub fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..120_000 if millis % 1_000 >= 100 => {
            format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
        }
        1_000..120_000 => format!("{} s", millis / 1_000),
        _ if millis % 60_000 >= 1_000 => {
            format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000)
        }
        _ => format!("{} min", millis / 60_000),
    }
}

/// `812 bytes`, `4.1 kB`, `3 MB`: decimal units, rounded down.
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} bytes"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    match bytes % unit / (unit / 10) {
        0 => format!("{} {name}", bytes / unit),
        tenth => format!("{}.{tenth} {name}", bytes / unit),
    }
}

/// `1 file`, `2 files`.
pub fn count(number: u64, singular: &str) -> String {
    match number {
        1 => format!("1 {singular}"),
        _ => format!("{number} {singular}s"),
    }
}

/// Whether a log line looks like the report of an error: one of the usual words, as a word, and
/// not as in `0 errors` or `errors=0`.
pub fn looks_like_error(line: &str) -> bool {
    const WORDS: [&str; 9] = [
        "error",
        "errors",
        "err",
        "fatal",
        "panic",
        "panicked",
        "critical",
        "exception",
        "traceback",
    ];
    let lower = line.to_ascii_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.iter().enumerate().any(|(at, word)| {
        let none =
            |word: Option<&&str>| word.is_some_and(|word| ["0", "no", "without"].contains(word));
        // An exception's class name ends with what it is: `java.io.IOException`.
        (WORDS.contains(word) || word.ends_with("exception") || word.ends_with("error"))
            && !none(at.checked_sub(1).and_then(|before| words.get(before)))
            && words.get(at + 1).is_none_or(|after| *after != "0")
    })
}

/// At most `limit` bytes of a line, cut between characters and marked when cut.
pub fn clip(line: &str, limit: usize) -> String {
    if line.len() <= limit {
        return line.to_owned();
    }
    let mut end = limit;
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        let said: Vec<String> = [0, 850, 2_000, 2_050, 2_500, 60_000, 120_000, 150_000]
            .map(duration)
            .into();
        assert_eq!(
            said,
            [
                "0 ms",
                "850 ms",
                "2 s",
                "2 s",
                "2.5 s",
                "60 s",
                "2 min",
                "2 min 30 s"
            ]
        );
    }

    #[test]
    fn sizes_have_one_decimal_at_most() {
        let said: Vec<String> = [812, 1_000, 4_190, 3_000_000, 1_250_000_000]
            .map(size)
            .into();
        assert_eq!(said, ["812 bytes", "1 kB", "4.1 kB", "3 MB", "1.2 GB"]);
    }

    #[test]
    fn lines_that_report_errors_are_told_from_lines_that_deny_them() {
        for line in [
            "2026-11-22 ERROR cannot connect",
            "thread 'main' panicked at src/main.rs",
            "level=error msg=\"no route\"",
            "java.io.IOException: broken pipe",
            "ValueError: bad price",
        ] {
            assert!(looks_like_error(line), "{line}");
        }
        for line in [
            "finished with 0 errors",
            "errors=0 warnings=2",
            "no error so far",
            "terrors of the deep",
            "GET /health 200",
        ] {
            assert!(!looks_like_error(line), "{line}");
        }
    }

    #[test]
    fn clipping_never_cuts_a_character_in_two() {
        assert_eq!(clip("äöü", 3), "ä…");
        assert_eq!(clip("abc", 3), "abc");
    }
}
