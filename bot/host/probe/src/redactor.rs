//! Keeping secrets out of what people and journals see.

use std::fmt;

const REPLACEMENT: &str = "[redacted]";

/// Replaces secrets in texts. Its `Debug` shows how many it knows, and none of them.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret that is part of another does not break it up.
    secrets: Vec<String>,
}

impl Redactor {
    /// Empty secrets are ignored. A secret is found as it is, and as it looks inside a JSON string.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut known: Vec<String> = secrets
            .into_iter()
            .filter(|secret| !secret.trim().is_empty())
            .flat_map(|secret| [in_json(&secret), secret])
            .collect();
        known.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        known.dedup();
        Self { secrets: known }
    }

    /// Knows the secrets of both.
    pub fn and(self, more: impl IntoIterator<Item = String>) -> Self {
        Self::new(self.secrets.into_iter().chain(more))
    }

    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REPLACEMENT);
            }
        }
        text
    }
}

fn in_json(secret: &str) -> String {
    let quoted = serde_json::Value::from(secret).to_string();
    quoted
        .trim_start_matches('"')
        .trim_end_matches('"')
        .to_owned()
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        Redactor::new(secrets.iter().map(|s| (*s).to_owned()))
    }

    #[test]
    fn every_occurrence_of_every_secret_is_replaced() {
        let text = redactor(&["hunter2", "token"]).redact("hunter2 token hunter2");
        assert_eq!(text, "[redacted] [redacted] [redacted]");
    }

    #[test]
    fn a_secret_that_holds_another_is_replaced_as_a_whole() {
        assert_eq!(redactor(&["abc", "abcdef"]).redact("abcdef"), "[redacted]");
    }

    #[test]
    fn a_secret_is_found_inside_a_json_string() {
        let text = serde_json::json!({ "echo": "pa\"ss\nword" }).to_string();
        assert_eq!(
            redactor(&["pa\"ss\nword"]).redact(&text),
            r#"{"echo":"[redacted]"}"#
        );
    }

    #[test]
    fn an_empty_secret_is_none_and_debug_shows_none() {
        let redactor = redactor(&["", " ", "hunter2"]);
        assert_eq!(redactor.redact("a b"), "a b");
        assert_eq!(format!("{redactor:?}"), "Redactor(1 secrets)");
    }
}
