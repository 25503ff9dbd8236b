//! The marks with which messages say how something stands, and the reactions that the console knows.

/// How a line stands, by the sign it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Done,
    Running,
    Failed,
    Skipped,
    Waiting,
    Paused,
    Undone,
    Warning,
    Info,
}

const MARKS: &[(char, Mark)] = &[
    ('✅', Mark::Done),
    ('✔', Mark::Done),
    ('⏳', Mark::Running),
    ('🔄', Mark::Running),
    ('❌', Mark::Failed),
    ('⏭', Mark::Skipped),
    ('▫', Mark::Waiting),
    ('⏸', Mark::Paused),
    ('↩', Mark::Undone),
    ('⚠', Mark::Warning),
    ('ℹ', Mark::Info),
];

/// Chooses the emoji form of the character before it; not seen by itself.
const EMOJI_FORM: char = '\u{fe0f}';

impl Mark {
    /// The mark that the text begins with, as it is written there, and the text after it.
    pub(crate) fn at_start(text: &str) -> Option<(Self, &str, &str)> {
        let first = text.chars().next()?;
        let mark = MARKS.iter().find(|(sign, _)| *sign == first)?.1;
        let after = text.get(first.len_utf8()..)?;
        let after = after.strip_prefix(EMOJI_FORM).unwrap_or(after);
        let sign = text.get(..text.len() - after.len())?;
        // A mark stands alone: "✅" in the middle of a word is just a sign.
        if !(after.is_empty() || after.starts_with(' ')) {
            return None;
        }
        Some((mark, sign, after))
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Mark::Done => "done",
            Mark::Running => "running",
            Mark::Failed => "failed",
            Mark::Skipped => "skipped",
            Mark::Waiting => "waiting",
            Mark::Paused => "paused",
            Mark::Undone => "undone",
            Mark::Warning => "warning",
            Mark::Info => "info",
        }
    }
}

/// Reactions by the names that chat platforms share.
pub(crate) const EMOJI: &[(&str, &str)] = &[
    ("white_check_mark", "✅"),
    ("x", "❌"),
    ("eyes", "👀"),
    ("+1", "👍"),
    ("-1", "👎"),
    ("raised_hands", "🙌"),
    ("question", "❓"),
    ("warning", "⚠️"),
    ("hourglass", "⌛"),
    ("tada", "🎉"),
];

/// The sign for a reaction's name; `None` for names that people cannot react with.
pub(crate) fn emoji(name: &str) -> Option<&'static str> {
    EMOJI
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, sign)| *sign)
}

/// Puts signs for `:names:`. What was escaped has no colon left and stays as it is.
pub(crate) fn with_emoji(markdown: &str) -> std::borrow::Cow<'_, str> {
    let mut text = std::borrow::Cow::Borrowed(markdown);
    for (name, sign) in EMOJI {
        let written = format!(":{name}:");
        if text.contains(&written) {
            text = text.replace(&written, sign).into();
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_with_and_without_its_emoji_form() {
        let (mark, sign, rest) = Mark::at_start("⏭\u{fe0f} Verify").unwrap();
        assert_eq!((mark, sign, rest), (Mark::Skipped, "⏭\u{fe0f}", " Verify"));
        assert_eq!(Mark::at_start("✅").unwrap().0, Mark::Done);
        assert_eq!(Mark::at_start("✅done"), None);
        assert_eq!(Mark::at_start("Done ✅"), None);
        assert_eq!(Mark::at_start(""), None);
    }

    #[test]
    fn names_of_reactions_become_signs() {
        assert_eq!(
            with_emoji("react with :white_check_mark: or :x:"),
            "react with ✅ or ❌"
        );
        assert_eq!(with_emoji("at 12:30:45"), "at 12:30:45");
    }
}
