//! What Discord makes of a text: whom it notifies, and what a client shows as a mention, a link or
//! formatting. Written from what the client does, so that an adapter's escaping is judged by
//! something other than itself.

use serde_json::Value;

/// What a client would show of one text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The text without its markup.
    pub plain: String,
    /// `<@1>`, `@everyone`, `<#2>`, `</cmd:3>`, `<t:1>`, custom emoji.
    pub mentions: Vec<String>,
    /// Addresses that can be clicked.
    pub links: Vec<String>,
    /// `**`, `_`, `#`, `>`, `-`, `:smile:`, …: what has an effect, in order.
    pub formats: Vec<String>,
    /// The contents of code blocks and inline code.
    pub code: Vec<String>,
}

const DELIMITERS: [&str; 7] = ["***", "**", "__", "~~", "||", "*", "_"];

impl Reading {
    pub fn of(text: &str) -> Self {
        let mut reading = Self::default();
        let mut at = 0;
        let mut before = None;
        let mut line_start = true;
        let mut open: Vec<&str> = Vec::new();
        while let Some(rest) = text.get(at..)
            && let Some(c) = rest.chars().next()
        {
            if line_start && let Some(length) = reading.line_mark(rest) {
                at += length;
                // A quoted or listed line may begin with another mark.
                continue;
            }
            line_start = c == '\n';
            let previous = before.replace(c);
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            if c == '\\'
                && let Some(next) = after.chars().next().filter(char::is_ascii_punctuation)
            {
                reading.plain.push(next);
                at += 2;
                continue;
            }
            if c == '`'
                && let Some((length, inner)) = code(rest)
            {
                reading.plain.push_str(&inner);
                reading.code.push(inner);
                at += length;
                continue;
            }
            if let Some(length) = reading.special(rest) {
                at += length;
                continue;
            }
            if let Some(&mark) = DELIMITERS.iter().find(|mark| rest.starts_with(**mark)) {
                let after = rest.get(mark.len()..).unwrap_or("");
                let inside_word = mark == "_"
                    && previous.is_some_and(char::is_alphanumeric)
                    && after.starts_with(char::is_alphanumeric);
                if open.last() == Some(&mark) {
                    open.pop();
                    at += mark.len();
                    continue;
                }
                if !inside_word && closes(after, mark) {
                    open.push(mark);
                    reading.formats.push(mark.to_owned());
                    at += mark.len();
                    continue;
                }
            }
            reading.plain.push(c);
            at += c.len_utf8();
        }
        reading
    }

    /// Marks that only count at the beginning of a line; how many bytes they take.
    fn line_mark(&mut self, rest: &str) -> Option<usize> {
        const MARKS: [&str; 8] = ["### ", "## ", "# ", "-# ", ">>> ", "> ", "- ", "* "];
        if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            self.formats.push(mark.trim_end().to_owned());
            return Some(mark.len());
        }
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        if digits > 0 && rest.get(digits..)?.starts_with(". ") {
            self.formats.push("1.".to_owned());
            self.plain.push_str(rest.get(..digits + 2)?);
            return Some(digits + 2);
        }
        None
    }

    /// Mentions, links and emoji; how many bytes they take.
    fn special(&mut self, rest: &str) -> Option<usize> {
        for everyone in ["@everyone", "@here"] {
            if rest.starts_with(everyone) {
                self.mentions.push(everyone.to_owned());
                return Some(everyone.len());
            }
        }
        if rest.starts_with('<') {
            let end = rest.find('>')?;
            let inner = rest.get(1..end)?;
            if is_mention(inner) {
                self.mentions.push(rest.get(..=end)?.to_owned());
                return Some(end + 1);
            }
            if inner.starts_with("http://") || inner.starts_with("https://") {
                self.links.push(inner.to_owned());
                self.plain.push_str(inner);
                return Some(inner.len() + 2);
            }
            return None;
        }
        for scheme in ["https://", "http://", "discord://"] {
            if rest.starts_with(scheme) {
                let link: String = rest
                    .chars()
                    .take_while(|c| !c.is_whitespace() && !matches!(c, '<' | ')' | ']'))
                    .collect();
                if link.len() > scheme.len() {
                    self.plain.push_str(&link);
                    let link_length = link.len();
                    self.links.push(link);
                    return Some(link_length);
                }
            }
        }
        if rest.starts_with('[') {
            let middle = unescaped(rest, "](")?;
            let end = rest.get(middle..)?.find(')')? + middle;
            let target = rest.get(middle + 2..end)?;
            if target.contains("://") {
                self.links.push(target.to_owned());
                self.plain.push_str(&Self::of(rest.get(1..middle)?).plain);
                return Some(end + 1);
            }
        }
        if let Some(after) = rest.strip_prefix(':') {
            let name: String = after
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-'))
                .collect();
            if !name.is_empty() && after.get(name.len()..)?.starts_with(':') {
                self.formats.push(format!(":{name}:"));
                self.plain.push_str(&format!(":{name}:"));
                return Some(name.len() + 2);
            }
        }
        None
    }
}

fn is_mention(inner: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = inner.trim_start_matches(['@', '!', '&', '#']);
    let plain = number.len() < inner.len() && digits(number);
    let emoji = inner
        .strip_prefix("a:")
        .or_else(|| inner.strip_prefix(':'))
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(_, id)| digits(id));
    let command =
        inner.starts_with('/') && inner.rsplit_once(':').is_some_and(|(_, id)| digits(id));
    let time = inner
        .strip_prefix("t:")
        .is_some_and(|rest| digits(rest.split(':').next().unwrap_or("")));
    plain || emoji || command || time || inner.starts_with("id:")
}

/// Code that begins here: how many bytes it takes, and what is in it.
fn code(rest: &str) -> Option<(usize, String)> {
    let ticks = rest.chars().take_while(|&c| c == '`').count();
    if ticks >= 3 {
        let inner = rest.get(3..)?;
        let end = inner.find("```")?;
        let block = inner.get(..end)?;
        let block = match block.split_once('\n') {
            Some((language, code)) if language.bytes().all(|b| b.is_ascii_alphanumeric()) => code,
            _ => block,
        };
        let length = end + 6;
        return Some((length, block.trim_end_matches('\n').to_owned()));
    }
    let fence = "`".repeat(ticks);
    let inner = rest.get(ticks..)?;
    let mut from = 0;
    loop {
        let end = inner.get(from..)?.find(&fence)? + from;
        let after = inner.get(end + ticks..)?;
        let run = after.chars().take_while(|&c| c == '`').count();
        if run == 0 {
            let text = inner.get(..end)?;
            return Some((text.len() + 2 * ticks, text.trim_matches(' ').to_owned()));
        }
        from = end + ticks + run;
    }
}

/// Where `what` stands without a backslash before it.
fn unescaped(text: &str, what: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = text.get(from..)?.find(what)? + from;
        let slashes = text
            .get(..at)?
            .chars()
            .rev()
            .take_while(|&c| c == '\\')
            .count();
        if slashes % 2 == 0 {
            return Some(at);
        }
        from = at + what.len();
    }
}

fn closes(after: &str, mark: &str) -> bool {
    unescaped(after, mark).is_some_and(|at| at > 0)
}

/// Who may be notified.
#[derive(Debug, Clone)]
pub(super) struct Allowed {
    everyone: bool,
    users: Option<Vec<String>>,
    roles: Option<Vec<String>>,
}

impl Allowed {
    /// `None` in `users` and `roles` is all of them.
    pub fn of(allowed: &Value) -> Self {
        let Some(fields) = allowed.as_object() else {
            return Self {
                everyone: true,
                users: None,
                roles: None,
            };
        };
        let strings = |name: &str| -> Vec<String> {
            fields
                .get(name)
                .and_then(Value::as_array)
                .map(|all| {
                    all.iter()
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect()
                })
                .unwrap_or_default()
        };
        let parse = strings("parse");
        let has = |what: &str| parse.iter().any(|one| one == what);
        Self {
            everyone: has("everyone"),
            users: (!has("users")).then(|| strings("users")),
            roles: (!has("roles")).then(|| strings("roles")),
        }
    }

    /// Who is notified by a message's content; embeds never notify anybody.
    pub fn pings(&self, content: &str) -> Vec<String> {
        // The server does not know of backslashes: it takes what it finds outside of code.
        let bare = content.replace('\\', "");
        let named = Reading::of(&bare).mentions;
        named
            .into_iter()
            .filter(|mention| {
                let id = mention.trim_matches(['<', '>', '@', '!', '&']);
                let among = |list: &Option<Vec<String>>| {
                    list.as_ref()
                        .is_none_or(|ids| ids.iter().any(|known| known == id))
                };
                match mention.as_str() {
                    "@everyone" | "@here" => self.everyone,
                    role if role.starts_with("<@&") => among(&self.roles),
                    user if user.starts_with("<@") => among(&self.users),
                    _ => false,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_makes_of_it() {
        let read = Reading::of("**bold** <@12> https://a.example/x `<@13>` \\<@14>");
        assert_eq!(read.mentions, ["<@12>"]);
        assert_eq!(read.links, ["https://a.example/x"]);
        assert_eq!(read.formats, ["**"]);
        assert_eq!(read.code, ["<@13>"]);
        assert!(read.plain.contains("<@14>"));
        let read = Reading::of("# head\n> quote\n\\# none\n1. one\n[text](https://b.example)");
        assert_eq!(read.formats, ["#", ">", "1."]);
        assert_eq!(read.links, ["https://b.example"]);
        assert_eq!(
            Reading::of("snake_case_name ** a").formats,
            Vec::<String>::new()
        );
        assert_eq!(Reading::of("```rust\nlet x;\n```").code, ["let x;"]);
    }

    #[test]
    fn who_is_notified() {
        let all = Allowed::of(&Value::Null);
        assert_eq!(all.pings("@everyone \\<@1> `<@2>`"), ["@everyone", "<@1>"]);
        let none = Allowed::of(&serde_json::json!({"parse": []}));
        assert_eq!(none.pings("@everyone <@1> <@&2>"), Vec::<String>::new());
    }
}
