//! What may be typed next, for completion in a chat client.

use crate::command::Topic;

/// A line that completion offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// `/rollback trade`
    pub text: String,
    /// What may follow: `[reason: …] [--dry-run]`
    pub rest: String,
    /// What it does, a few words.
    pub about: String,
}

/// Every command, those that take a service once for each. Services keep the order they come in.
pub fn completions(services: &[String]) -> Vec<Completion> {
    let mut all = Vec::new();
    for topic in Topic::ALL {
        let grammar = topic.grammar();
        let (text, rest) = match grammar.find(['<', '[', 'R']) {
            Some(at) => grammar.split_at(at),
            None => (grammar, ""),
        };
        let text = text.trim_end();
        if let Some(after) = rest.strip_prefix("<service>") {
            all.extend(services.iter().map(|service| Completion {
                text: format!("{text} {service}"),
                rest: after.trim_start().to_owned(),
                about: topic.about().to_owned(),
            }));
            continue;
        }
        all.push(Completion {
            text: text.to_owned(),
            rest: rest.to_owned(),
            about: topic.about().to_owned(),
        });
        if rest == "[<service>]" {
            all.extend(services.iter().map(|service| Completion {
                text: format!("{text} {service}"),
                rest: String::new(),
                about: topic.about().to_owned(),
            }));
        }
        if topic == Topic::Help {
            all.extend(
                Topic::ALL
                    .iter()
                    .filter(|topic| **topic != Topic::Help)
                    .map(|topic| Completion {
                        text: format!("{text} {}", topic.as_str()),
                        rest: String::new(),
                        about: topic.about().to_owned(),
                    }),
            );
        }
    }
    all
}
