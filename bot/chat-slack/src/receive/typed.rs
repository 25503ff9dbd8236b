//! A command as it was typed. Slack escapes `&`, `<` and `>`, and writes people, channels and links
//! that it recognised as `<…>`.

/// The whole line.
pub(super) fn line(command: &str, text: &str) -> String {
    let text = typed(text);
    if text.is_empty() {
        command.to_owned()
    } else {
        format!("{command} {text}")
    }
}

fn typed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(&unescaped(before));
        // What was typed as `<` comes as `&lt;`: this one is Slack's own, and closed.
        match after.split_once('>') {
            Some((inside, behind)) => {
                out.push_str(&unescaped(&recognised(inside)));
                rest = behind;
            }
            None => {
                out.push('<');
                rest = after;
            }
        }
    }
    out.push_str(&unescaped(rest));
    out
}

/// What was typed for something that Slack recognised: `@U0BEN|ben`, `#C0OPS|ops`, `!here`,
/// `https://example.org|example.org`, `mailto:a@example.org|a@example.org`.
fn recognised(inside: &str) -> String {
    let (what, label) = match inside.split_once('|') {
        Some((what, label)) => (what, Some(label)),
        None => (inside, None),
    };
    match what.chars().next() {
        Some('@') => format!("@{}", label.unwrap_or(what.trim_start_matches('@'))),
        Some('#') => format!("#{}", label.unwrap_or(what.trim_start_matches('#'))),
        Some('!') => {
            let name = what.trim_start_matches('!');
            let shown = label.unwrap_or(name.split('^').next().unwrap_or(name));
            format!("@{}", shown.trim_start_matches('@'))
        }
        _ => label.unwrap_or(what).to_owned(),
    }
}

fn unescaped(text: &str) -> String {
    // `&amp;` last, or `&amp;lt;` would become `<`.
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_was_typed() {
        let cases = [
            (
                "trade reason: orders failing",
                "/rollback trade reason: orders failing",
            ),
            ("", "/rollback"),
            (
                "trade reason: a &lt;b&gt; &amp;amp; c",
                "/rollback trade reason: a <b> &amp; c",
            ),
            (
                "trade reason: ask <@U0BEN|ben> in <#C0OPS|ops>",
                "/rollback trade reason: ask @ben in #ops",
            ),
            (
                "trade reason: <!here> see <https://example.org/x|example.org/x>",
                "/rollback trade reason: @here see example.org/x",
            ),
            (
                "trade reason: <https://example.org/?a=1&amp;b=2>",
                "/rollback trade reason: https://example.org/?a=1&b=2",
            ),
            ("x < y", "/rollback x < y"),
        ];
        for (sent, typed) in cases {
            assert_eq!(line("/rollback", sent), typed);
        }
    }
}
