#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rollbot_chat::escape;
use rollbot_fakes::discord::Reading;

use super::*;

fn shown(markdown: &str) -> String {
    let all: Vec<String> = blocks(markdown).iter().map(Block::text).collect();
    all.join("\n\n")
}

#[test]
fn what_a_template_writes_is_kept() {
    assert_eq!(shown("**a** b *c*\nd"), "**a** b *c*\nd");
    assert_eq!(
        shown("1. **one**\n   - x\n   - y\n2. two"),
        "1. **one**\n  - x\n  - y\n2. two"
    );
    assert_eq!(shown("# Head\n\ntext"), "**Head**\n\ntext");
    assert_eq!(
        shown("[here](https://a.example/x)"),
        "[here](https://a.example/x)"
    );
    assert_eq!(shown("[here](javascript:x)"), "here");
    assert_eq!(shown("> quoted\n> more"), "> quoted\n> more");
    assert_eq!(shown("```\na `b`\n```"), "```\na ˋbˋ\n```");
}

#[test]
fn text_of_others_is_shown_as_it_is_wherever_it_stands() {
    for nasty in NASTY {
        let text = escape(nasty);
        let visible = unescape(&text);
        for (template, around) in [
            (text.clone(), ""),
            (format!("before {text} after"), "before  after"),
            (format!("- {text}"), ""),
            (format!("x\n\n1. {text}"), ""),
        ] {
            let read = Reading::of(&shown(&template));
            assert_eq!(
                read.mentions,
                Vec::<String>::new(),
                "{nasty:?} in {template:?}"
            );
            assert_eq!(read.links, Vec::<String>::new(), "{nasty:?}");
            let formats: Vec<_> = read
                .formats
                .iter()
                .filter(|mark| !matches!(mark.as_str(), "-" | "1."))
                .collect();
            assert!(formats.is_empty(), "{nasty:?} in {template:?}: {formats:?}");
            assert!(read.code.is_empty(), "{nasty:?}");
            assert!(
                read.plain.contains(visible.trim()),
                "{nasty:?}: {:?} lacks {visible:?} {around}",
                read.plain
            );
        }
        let read = Reading::of(&shown(&format!("```\n{text}\n```")));
        assert_eq!(read.code.len(), 1, "{nasty:?}");
        assert!(read.mentions.is_empty() && read.links.is_empty() && read.formats.is_empty());
        let read = Reading::of(&shown(&format!("`{text}` end")));
        assert!(
            read.mentions.is_empty() && read.formats.is_empty(),
            "{nasty:?}"
        );
    }
}

const NASTY: &[&str] = &[
    "@everyone",
    "@here now",
    "<@1234567890>",
    "<@!1234567890> <@&12> <#34>",
    "<a:party:123> <:x:1> </rollback:12> <t:1700000000:R> <id:customize>",
    "https://evil.example/x",
    "[click](https://evil.example)",
    "<https://evil.example>",
    "**bold** __under__ _it_ *it* ~~gone~~ ||hidden||",
    "# heading",
    "-# small",
    "> quote",
    ">>> all of it",
    "- item",
    "* item",
    "+ item",
    "1. item",
    "```\ncode\n```",
    "``` @everyone",
    "`code`",
    "\\@everyone \\<@12>",
    "\\\\<@12>",
    ":smile: :+1: 03:08:12",
    "a\n# b\n@everyone",
    "a\r\n> b",
    "trailing \\",
    "&#64;everyone &lt;@12&gt;",
    "\u{202e}@everyone\u{200b}",
    "snake_case_name and *.rs",
    "|| spoiler",
    "***",
];

#[test]
fn long_texts_are_cut_into_pieces_that_stay_what_they_are() {
    let code = format!(
        "text\n\n```\n{}\n```",
        "a line of code\n".repeat(400).trim_end()
    );
    let all = pieces(&code, 2000);
    assert!(all.len() > 2);
    for piece in &all {
        assert!(length(piece) <= 2000, "{}", length(piece));
        assert_eq!(piece.matches("```").count() % 2, 0);
    }
    let long = escape(&"*".repeat(3000));
    for piece in pieces(&long, 2000) {
        assert!(length(&piece) <= 2000);
        assert!(Reading::of(&piece).formats.is_empty());
    }
}
