#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rollbot_chat::escape;

/// Places where a template may put text of others. `{}` is where.
const PLACES: &[&str] = &[
    "{}",
    "before {} after",
    "**{}**",
    "*{}*",
    "~~{}~~",
    "- {}",
    "- first\n- {}\n- last",
    "1. {}\n   - {}",
    "> {}",
    "# {}",
    "| a | b |\n| --- | --- |\n| {} | x |",
    "`{}`",
    "`` {} ``",
    "```\n{}\n```",
    "~~~text\n{}\n~~~",
    "    {}",
    "[{}](https://example.org)",
    "text\n{}\ntext",
    "text {}\n{}",
    "<b>{}</b>",
    "✅ {}\n⏳ {} · {}",
    "{} {}",
];

const NASTY: &[&str] = &[
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</code></pre><b>x",
    "&lt;b&gt; &amp; &#60; &#x3c; &copy;",
    "`",
    "``",
    "```",
    "````",
    "`````\nrm -rf /\n`````",
    "a`b``c```d",
    "~~~",
    "~~gone~~",
    "**bold** __bold__ *it* _it_ ***x***",
    "[click](javascript:alert(1))",
    "[click](https://evil.example)",
    "![x](https://evil.example/p)",
    "<https://evil.example>",
    "https://evil.example",
    "[a]: https://evil.example",
    "[x][a]",
    "[^1]",
    "@here @channel <@U123> <!channel> @ana",
    "# heading",
    "#",
    "- item",
    "-",
    "--",
    "---",
    "- - -",
    "***",
    "===",
    "+ plus",
    "* star",
    "1. one",
    "1) one",
    "1.",
    "12345.",
    ".",
    ")",
    "> quote",
    ">",
    "|",
    "a | b",
    "| --- |",
    ":-: | -:",
    "    indented",
    "\tindented",
    " ",
    "   ",
    "trailing   ",
    "  both  ",
    "two  spaces",
    "line\nbreak",
    "para\n\n# heading",
    "x\n\n    code",
    "x\n---",
    "x\n===",
    "\n",
    "\n\n- a\n- b",
    "crlf\r\nend",
    "back\\slash \\* \\` \\",
    "a\\\nb",
    "- [ ] task",
    "- [x] task",
    "\u{202e}gnp.exe",
    "\u{2066}x\u{2069}",
    "\u{200f}\u{200e}\u{61c}",
    "zero\u{200b}width",
    "\u{1b}[31mred\u{1b}[0m",
    "bell\u{7}",
    "nul\u{0}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}\u{2029}",
    "\u{feff}",
    "\u{ad}",
    "\u{e0041}",
    "x:white_check_mark:y",
    ":x:",
    "✅ done",
    "⏸️ paused",
    "1 of 2 approvals",
    "$x$ $$y$$",
    "^a^ ~b~",
    "%s %n {} {{x}} {{{x}}}",
    "\"quoted\" 'single'",
    "a=\"b\" onmouseover=\"c\"",
    "&",
    "&#",
    "&#6",
    "&#60",
    ";",
    "&#38;#60;",
    "日本語 العربية",
    "e\u{301}",
    "👩\u{200d}💻",
    "🇩🇪",
];

/// What a reader is to see of a text.
fn shown(text: &str) -> String {
    let mut out = String::new();
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\0'..='\u{1f}' => out.push(char::from_u32(u32::from(c) + 0x2400).unwrap()),
            '\u{7f}' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{3164}'
            | '\u{ffa0}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffc}'
            | '\u{e0000}'..='\u{e007f}' => {
                out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out
}

/// Nothing that means anything, and nothing that HTML would change.
const STANDIN: &str = "7QZ7";

/// The page of the place with a harmless word in it is, with that word exchanged for the text as
/// HTML text, the page of the place with the escaped text in it: so the text added no structure,
/// took none away, and is there literally.
fn is_literal(text: &str, place: &str) -> Result<(), String> {
    let got = render(&place.replace("{}", &escape(text)), "notice").html;
    let mut literal = String::new();
    escape_html(&shown(text), &mut literal);
    let frame = render(&place.replace("{}", STANDIN), "notice").html;
    let in_code = frame.contains("<code>");
    let literal = if in_code {
        literal
    } else {
        literal.replace('\n', "<br>")
    };
    let want = frame.replace(STANDIN, &literal);
    // A mark is kept, and gets a span around it.
    let plain = |html: &str| {
        let mut html = html.to_owned();
        while let Some(start) = html.find("<span class=\"mark ") {
            let end = start + html[start..].find('>').unwrap();
            html.replace_range(start..=end, "");
            let close = html[start..].find("</span>").unwrap() + start;
            html.replace_range(close..close + 7, "");
        }
        html.replace("<li class=\"step done\">", "<li>")
            .replace("<li class=\"step paused\">", "<li>")
    };
    let (got, want) = (plain(&got), plain(&want));
    if got == want {
        Ok(())
    } else {
        Err(format!("{text:?} in {place:?}\n  got {got}\n want {want}"))
    }
}

#[test]
fn escaped_text_is_shown_literally_wherever_it_is_put() {
    let mut wrong = Vec::new();
    for place in PLACES {
        for text in NASTY {
            wrong.extend(is_literal(text, place).err());
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn any_mixture_of_nasty_pieces_is_shown_literally() {
    const PIECES: &[&str] = &[
        "`",
        "*",
        "_",
        "~",
        "[",
        "]",
        "(",
        ")",
        "<",
        ">",
        "!",
        "#",
        "-",
        "+",
        ".",
        "|",
        "\\",
        "&",
        ";",
        ":",
        "=",
        "\"",
        "'",
        "\n",
        "\r",
        "\t",
        " ",
        "  ",
        "1",
        "23",
        "a",
        "B",
        "é",
        "✅",
        "script",
        "https://x.y",
        "&#60;",
        "```",
        "\n\n",
        "\u{202e}",
        "\u{1b}",
        "\u{200d}",
        "\u{fe0f}",
        "👍",
        "@",
    ];
    let mut random = StdRng::seed_from_u64(20_261_122);
    let mut wrong = Vec::new();
    for _ in 0..20_000 {
        let length = random.random_range(1..12);
        let text: String = (0..length)
            .map(|_| *PIECES.choose(&mut random).unwrap())
            .collect();
        let place = PLACES.choose(&mut random).unwrap();
        wrong.extend(is_literal(&text, place).err());
    }
    wrong.truncate(20);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_very_long_text_is_shown_whole() {
    for piece in [
        "`", "[", "**", "> ", "<", "- ", "&", "\n", "a", "(", "![", "_a_",
    ] {
        let text = piece.repeat(20_000);
        is_literal(&text, "**{}**").unwrap();
        is_literal(&text, "- {}").unwrap();
    }
}

#[test]
fn html_of_a_message_is_never_passed_on() {
    let html = render(
        "<b onclick=x>hi</b> and\n\n<script>\nalert(1)\n</script>",
        "notice",
    )
    .html;
    assert!(!html.contains("<script") && !html.contains("<b "), "{html}");
    assert!(html.contains("&lt;script&gt;"), "{html}");
}

#[test]
fn only_web_addresses_become_links() {
    let good = render("[log](https://example.org/a?b=1&c=\"d\")", "notice").html;
    assert_eq!(
        good,
        "<p><a rel=\"noopener noreferrer\" target=\"_blank\" \
         href=\"https://example.org/a?b=1&amp;c=&quot;d&quot;\">log</a></p>"
    );
    for bad in [
        "javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "/etc",
        "mailto:a@b.c",
    ] {
        let html = render(&format!("[log]({bad}) ![p]({bad})"), "notice").html;
        assert_eq!(html, "<p>log p</p>", "{bad}");
    }
    let html = render("![pixel](https://example.org/p.png)", "notice").html;
    assert_eq!(html, "<p>pixel</p>");
}

#[test]
fn tables_lists_code_and_task_lists_are_shown() {
    let html = render("| a | b |\n| --- | ---: |\n| 1 | ~~2~~ |", "notice").html;
    assert_eq!(
        html,
        "<div class=\"table\"><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr>\
         <td>1</td><td><del>2</del></td></tr></tbody></table></div>"
    );
    let html = render("- [x] done\n- [ ] open", "notice").html;
    assert!(html.contains("disabled checked>done"), "{html}");
    let html = render("```\nlet a = 1 < 2;\n```", "notice").html;
    assert_eq!(
        html,
        "<pre tabindex=\"0\"><code>let a = 1 &lt; 2;\n</code></pre>"
    );
}

#[test]
fn a_live_message_shows_its_state_and_its_steps() {
    let body = "**RB-1 · rollback of trade · running**\n\n✅ Stop the native service · 0.4 s  \n\
                ⏳ Save its data · 12 of 40 MB  \n▫️ Start the container  \n\n\
                ⏸️ **Waits for people:** x\nApproved by Ben";
    let rendered = render(body, "live");
    let steps = rendered.steps.unwrap();
    assert_eq!(
        (steps.done, steps.total, steps.running, steps.paused),
        (1, 3, true, false)
    );
    assert_eq!(
        rendered.html,
        "<p><strong>RB-1 · rollback of trade</strong> <span class=\"state running\">running</span>\
         </p><ol class=\"steps\"><li class=\"step done\"><span class=\"mark done\">✅</span>\
         <span class=\"what\">Stop the native service</span><span class=\"aside\">0.4 s</span></li>\
         <li class=\"step running\"><span class=\"mark running\">⏳</span><span class=\"what\">Save \
         its data</span><span class=\"aside\">12 of 40 MB</span></li><li class=\"step waiting\">\
         <span class=\"mark waiting\">▫\u{fe0f}</span><span class=\"what\">Start the container</span>\
         </li></ol><p><span class=\"mark paused\">⏸\u{fe0f}</span> <strong>Waits for \
         people:</strong> x<br>Approved by Ben</p>"
    );
}

#[test]
fn an_approval_tells_how_far_the_vote_is() {
    let open = render(
        "**RB-1 · rollback of trade**\n\n**1 of 2 approvals&#58; Ben** — react",
        "approval",
    );
    assert_eq!(
        open.votes,
        Some(Votes {
            have: 1,
            need: 2,
            open: true
        })
    );
    let over = render(
        "**RB-1 · x** · approved by Ben\n\n2 of 2 approvals: Ben, Cleo",
        "approval",
    );
    assert_eq!(
        over.votes,
        Some(Votes {
            have: 2,
            need: 2,
            open: false
        })
    );
    assert!(
        over.html
            .contains("<span class=\"state done\">approved by Ben</span>"),
        "{}",
        over.html
    );
    // A reason that says so is not the tally.
    let asked = format!(
        "**RB-1 · x**\n\nAna asks for it: {}",
        escape("\n\n2 of 2 approvals: Ben")
    );
    assert_eq!(render(&asked, "approval").votes, None);
    assert_eq!(render("1 of 2 approvals", "notice").votes, None);
}

#[test]
fn a_detail_begins_with_its_time() {
    let html = render(&format!("{} ✅ Stopped", escape("03:08:12")), "detail").html;
    assert_eq!(
        html,
        "<p><time>03:08:12</time> <span class=\"mark done\">✅</span> Stopped</p>"
    );
}

#[test]
fn the_plain_text_reads_like_the_message() {
    let text = render(
        "**RB-1** is `running`\n\n- one\n- two\n\n```\ncode\n```",
        "notice",
    )
    .text;
    assert_eq!(text, "RB-1 is running\n\none\ntwo\n\ncode");
}
