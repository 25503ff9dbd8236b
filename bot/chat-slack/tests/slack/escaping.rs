//! Nothing that somebody wrote does more than be read.

use rollbot_chat::{ChatPlatform as _, Outgoing};
use rollbot_fakes::slack::{OPS, Seen};

use crate::house::{House, outgoing};

const NASTY: &[&str] = &[
    "<!channel>",
    "<!here|here>",
    "<!everyone>",
    "<!subteam^S123|ops>",
    "<@U0BEN>",
    "<#C0OPS|ops>",
    "<https://evil.example|your bank>",
    "https://evil.example/x",
    "mailto:a@evil.example",
    "[click](https://evil.example)",
    "<https://evil.example>",
    "![x](https://evil.example/x.png)",
    "*bold* _italic_ ~strike~ `code`",
    "**bold** __bold__ ~~strike~~",
    ":tada: :rotating_light:",
    "@channel @here @everyone @ben",
    "```\nstill inside\n```\n<!channel>",
    "``` <!channel> ```",
    "&lt;!channel&gt;",
    "&amp;lt;!channel&amp;gt;",
    "&#60;!channel&#62;",
    "> quoted\n# header\n- item",
    "<!date^1392734382^{date}|x>",
    "a\u{202e}b\u{200b}c\u{0007}d",
    "\\*not\\* \\<!channel\\>",
    "<<!channel>>",
    "]( <!channel> ",
];

/// Every place in which a template writes what somebody wrote.
fn places(text: &str) -> Vec<String> {
    vec![
        text.to_owned(),
        format!("Ana asks for it: {text}"),
        format!("**{text}**\n\nmore"),
        format!("- {text}\n- two\n\n1. {text}\n   - {text}"),
        format!("`{text}`"),
        format!("```\n{text}\n```"),
        format!("title\n\nPlan {text} · trade"),
        format!("**RB-1 · {text}** · approved by {text}\n\n{text}\nlast {text}"),
    ]
}

#[tokio::test]
async fn nobodys_words_ping_link_or_format() {
    let house = House::with(crate::house::settings(), |config| {
        config.longest_wait = std::time::Duration::from_secs(600);
    })
    .await;
    let mut said = 0;
    for (number, nasty) in NASTY.iter().enumerate() {
        let safe = house.slack.escape(nasty);
        let kinds = ["notice", "approval", "live", "question"];
        for (place, body) in places(&safe).iter().enumerate() {
            // Few to a channel, for each has its own limit.
            let channel = format!("C9{number:03}{}", place / 3);
            house
                .fake
                .with(|slack| slack.add_channel(&channel, &channel));
            let message = Outgoing {
                channel: channel.clone(),
                kind: kinds[(number + place) % kinds.len()].to_owned(),
                buttons: vec![("retry".to_owned(), format!("Retry {nasty}"))],
                ..outgoing(&format!("m-{number}-{place}"), body)
            };
            let ts = house.slack.post(&message).await.unwrap();
            let posted = house
                .fake
                .with(|slack| slack.message(&channel, &ts).cloned().unwrap());
            let letters = |text: &str| -> String {
                text.chars().filter(char::is_ascii_alphanumeric).collect()
            };
            let shown = posted.shown();
            let legible = letters(&rollbot_chat::unescape(&safe));
            assert!(
                letters(&shown).contains(&legible),
                "{nasty} is not legible in {shown}"
            );
            let hidden = |c| matches!(c, '\u{202e}' | '\u{200b}' | '\u{7}');
            assert!(!shown.contains(hidden), "{shown}");
            said += 1;
        }
        let marked = house.fake.with(|slack| std::mem::take(&mut slack.marked));
        assert_eq!(marked, [], "{nasty}");
    }
    assert_eq!(said, NASTY.len() * 8);
}

#[tokio::test]
async fn an_answer_with_nobodys_words_pings_nobody_either() {
    let house = House::open().await;
    for nasty in NASTY {
        house.core.say(
            &format!("`{}` is no service: {0}", house.slack.escape(nasty)),
            true,
        );
        let seen = house.fake.slash("U0ANA", OPS, "/rollback", nasty).await;
        assert!(matches!(seen, Seen::Answer(_)), "{nasty}: {seen:?}");
    }
    assert_eq!(house.fake.with(|slack| slack.marked.clone()), []);
    assert_eq!(house.core.acts().len(), NASTY.len());
}
