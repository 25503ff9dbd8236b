//! What Slack would make of text: whom it would ping, what it would link, and what it would show
//! in another shape than it was written.

use serde::Serialize;
use serde_json::Value;

/// What a piece of text does beyond being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Markup {
    User,
    Channel,
    Group,
    /// `<!channel>`, `<!here>`, `<!everyone>`
    Broadcast,
    Link,
    Date,
    /// `*bold*` and its like in text that is read as mrkdwn.
    Format,
    /// `:name:` where it becomes a picture.
    Emoji,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Marked {
    pub markup: Markup,
    pub what: String,
    /// `text`, or the type of the block or element.
    pub place: String,
}

/// Everything in a message's `text` and `blocks`. With blocks, `text` is only what notifications
/// show: nothing in it is linked or formatted there, but whom it names is pinged.
pub(crate) fn find(text: &str, blocks: &[Value]) -> Vec<Marked> {
    let mut found = Vec::new();
    sequences(text, "text", &mut found);
    if blocks.is_empty() {
        addresses(text, "text", &mut found);
        formats(text, "text", &mut found);
    }
    for block in blocks {
        walk(block, &mut found);
    }
    found
}

fn walk(value: &Value, found: &mut Vec<Marked>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        Value::Object(map) => {
            let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
            let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
            let mut add = |markup, what: &str| {
                found.push(Marked {
                    markup,
                    what: what.to_owned(),
                    place: kind.to_owned(),
                });
            };
            match kind {
                "mrkdwn" => {
                    let verbatim = map.get("verbatim").and_then(Value::as_bool) == Some(true);
                    sequences(text("text"), kind, found);
                    formats(text("text"), kind, found);
                    if !verbatim {
                        addresses(text("text"), kind, found);
                    }
                }
                "plain_text" if map.get("emoji").and_then(Value::as_bool) != Some(false) => {
                    emoji(text("text"), kind, found);
                }
                "user" => add(Markup::User, text("user_id")),
                "usergroup" => add(Markup::Group, text("usergroup_id")),
                "channel" => add(Markup::Channel, text("channel_id")),
                "broadcast" => add(Markup::Broadcast, text("range")),
                "link" => add(Markup::Link, text("url")),
                "emoji" => add(Markup::Emoji, text("name")),
                "markdown" => {
                    sequences(text("text"), kind, found);
                    addresses(text("text"), kind, found);
                    formats(text("text"), kind, found);
                }
                _ => {}
            }
            map.values().for_each(|inner| walk(inner, found));
        }
        _ => {}
    }
}

/// `<…>`: what Slack reads as a mention, a link or a date.
fn sequences(text: &str, place: &str, found: &mut Vec<Marked>) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((inside, behind)) = after.split_once('>') else {
            return;
        };
        let markup = match inside.chars().next() {
            Some('@') => Markup::User,
            Some('#') => Markup::Channel,
            Some('!') if inside.starts_with("!subteam") => Markup::Group,
            Some('!') if inside.starts_with("!date") => Markup::Date,
            Some('!') => Markup::Broadcast,
            Some(_) => Markup::Link,
            None => {
                rest = behind;
                continue;
            }
        };
        found.push(Marked {
            markup,
            what: inside.to_owned(),
            place: place.to_owned(),
        });
        rest = behind;
    }
}

/// Bare addresses, which Slack links by itself.
fn addresses(text: &str, place: &str, found: &mut Vec<Marked>) {
    for word in text.split(|c: char| c.is_whitespace() || c == '<' || c == '>') {
        if ["http://", "https://", "mailto:"]
            .iter()
            .any(|scheme| word.contains(scheme))
        {
            found.push(Marked {
                markup: Markup::Link,
                what: word.to_owned(),
                place: place.to_owned(),
            });
        }
    }
}

/// `*a*`, `_a_`, `~a~`, `` `a` ``: a pair of marks around something, in one line.
fn formats(text: &str, place: &str, found: &mut Vec<Marked>) {
    for line in text.lines() {
        for mark in ['*', '_', '~', '`'] {
            let parts: Vec<&str> = line.split(mark).collect();
            if parts.len() >= 3
                && parts
                    .get(1)
                    .is_some_and(|inside| !inside.trim().is_empty() && inside.trim() == *inside)
            {
                found.push(Marked {
                    markup: Markup::Format,
                    what: line.to_owned(),
                    place: place.to_owned(),
                });
            }
        }
    }
    emoji(text, place, found);
}

fn emoji(text: &str, place: &str, found: &mut Vec<Marked>) {
    let parts: Vec<&str> = text.split(':').collect();
    let is_name = |part: &&str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_' || c == '+')
    };
    let inner = parts
        .get(1..parts.len().saturating_sub(1))
        .unwrap_or_default();
    for name in inner.iter().filter(|part| is_name(part)) {
        found.push(Marked {
            markup: Markup::Emoji,
            what: (*name).to_owned(),
            place: place.to_owned(),
        });
    }
}

/// Everything a person reads in a block, lines apart.
pub(crate) fn collect_text(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_text(item, out)),
        Value::Object(map) => {
            let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
            for key in [
                "text",
                "elements",
                "fields",
                "label",
                "element",
                "options",
                "accessory",
            ] {
                match map.get(key) {
                    Some(Value::String(text)) => out.push_str(text),
                    Some(inner) => collect_text(inner, out),
                    None => {}
                }
            }
            let ends_line = kind.starts_with("rich_text_")
                || matches!(kind, "header" | "section" | "context" | "button" | "input");
            if ends_line && !out.ends_with('\n') {
                out.push('\n');
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fallback_pings_and_does_not_link() {
        let blocks = [
            json!({"type": "section", "text": {"type": "plain_text", "text": "x", "emoji": false}}),
        ];
        let found = find("<!channel> see https://evil.example *now*", &blocks);
        let kinds: Vec<Markup> = found.iter().map(|marked| marked.markup).collect();
        assert_eq!(kinds, [Markup::Broadcast]);
    }

    #[test]
    fn mrkdwn_links_pings_and_formats() {
        let blocks = [
            json!({"type": "section", "text": {"type": "mrkdwn", "text": "<@U1> *b* https://e.example :tada:"}}),
        ];
        let kinds: Vec<Markup> = find("", &blocks)
            .iter()
            .map(|marked| marked.markup)
            .collect();
        assert_eq!(
            kinds,
            [Markup::User, Markup::Format, Markup::Emoji, Markup::Link]
        );
    }

    #[test]
    fn text_of_rich_text_is_literal() {
        let blocks = [
            json!({"type": "rich_text", "elements": [{"type": "rich_text_section",
            "elements": [{"type": "text", "text": "<!here> *b* https://e.example :tada:"}]}]}),
        ];
        assert_eq!(find("", &blocks), []);
    }
}
