#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rollbot_core::OperationId;

use crate::{
    Command, ParseError, Problem, Reason, Topic, completions, help, is_service_name, parse,
};

fn services() -> Vec<String> {
    ["trade", "data", "auth", "strategy", "backtest", "mcp"]
        .map(String::from)
        .to_vec()
}

fn read(text: &str) -> Result<Command, ParseError> {
    parse(text, &services())
}

fn rollback(reason: Option<&str>, dry_run: bool) -> Command {
    Command::Rollback {
        service: "trade".to_owned(),
        reason: reason.map(|text| Reason::new(text).unwrap()),
        dry_run,
    }
}

fn operation(number: i64) -> OperationId {
    OperationId::new(number).unwrap()
}

#[test]
fn every_command_is_read() {
    let reason = |text: &str| Some(Reason::new(text).unwrap());
    for (text, command) in [
        ("/rollback trade", rollback(None, false)),
        ("/rollback trade --dry-run", rollback(None, true)),
        ("/rollback --dry-run trade", rollback(None, true)),
        (
            "/rollback trade reason: orders failing",
            rollback(Some("orders failing"), false),
        ),
        ("/rollbot rollback trade", rollback(None, false)),
        ("rollback trade", rollback(None, false)),
        ("/rollbot status", Command::Status { operation: None }),
        (
            "/rollbot status RB-17",
            Command::Status {
                operation: Some(operation(17)),
            },
        ),
        (
            "/rollbot status 17",
            Command::Status {
                operation: Some(operation(17)),
            },
        ),
        (
            "/rollbot plan data",
            Command::Plan {
                service: "data".into(),
            },
        ),
        (
            "/rollbot cancel rb-3",
            Command::Cancel {
                operation: operation(3),
                reason: None,
            },
        ),
        (
            "/rollbot cancel RB-3 reason: it works again",
            Command::Cancel {
                operation: operation(3),
                reason: reason("it works again"),
            },
        ),
        ("/rollbot history", Command::History { service: None }),
        (
            "/rollbot history mcp",
            Command::History {
                service: Some("mcp".into()),
            },
        ),
        ("/rollbot locks", Command::Locks),
        (
            "/rollbot unlock auth reason: fixed",
            Command::Unlock {
                service: "auth".into(),
                reason: reason("fixed"),
            },
        ),
        (
            "/rollbot unlock auth",
            Command::Unlock {
                service: "auth".into(),
                reason: None,
            },
        ),
        ("/rollbot", Command::Help { topic: None }),
        ("/rollbot help", Command::Help { topic: None }),
        ("/rollbot --help", Command::Help { topic: None }),
        (
            "/rollbot help /rollback",
            Command::Help {
                topic: Some(Topic::Rollback),
            },
        ),
        (
            "/rollback --help",
            Command::Help {
                topic: Some(Topic::Rollback),
            },
        ),
        (
            "/rollbot cancel --help",
            Command::Help {
                topic: Some(Topic::Cancel),
            },
        ),
    ] {
        assert_eq!(read(text), Ok(command), "{text}");
    }
}

#[test]
fn what_chat_clients_make_of_a_line_is_understood() {
    for text in [
        "  /rollback trade reason: orders failing --dry-run  ",
        "/ROLLBACK Trade REASON: orders failing --DRY-RUN",
        "/rollback\u{a0}trade\u{202f}reason:\u{3000}orders\u{a0}failing\u{a0}--dry-run",
        "\u{feff}/rollback trade\u{200b} reason: orders failing --dry-run\u{200b}",
        "/rollback trade reason: orders failing —dry-run",
        "/rollback trade reason: orders failing –dry-run",
        "/rollback trade reason: orders failing ––dry‑run",
        "/rollback trade reason: “orders failing” —dry-run",
        "/rollback trade reason: ‘orders failing’ --dry-run",
        "/rollback trade reason: «orders failing» --dry-run",
        "/rollback trade reason: \"orders failing\" --dry-run",
        "/rollback trade reason: 'orders failing' --dry-run",
        "/rollback “trade” reason : orders  failing --dry-run",
        "/rollback trade reason：orders failing --dry-run",
        "/rollback trade —dry-run reason: orders failing",
        "／rollback trade reason:orders failing --dry-run",
        "/rollback trade\nreason: orders\nfailing\n--dry-run\n",
        "/rollback `trade` reason: orders\tfailing -dry-run",
    ] {
        assert_eq!(
            read(text),
            Ok(rollback(Some("orders failing"), true)),
            "{text:?}"
        );
    }
    assert_eq!(
        read("/rollbot cancel RB‑17"),
        Ok(Command::Cancel {
            operation: operation(17),
            reason: None
        })
    );
}

#[test]
fn a_reason_is_taken_as_it_was_meant() {
    for (typed, reason) in [
        ("orders fail – since noon", "orders fail – since noon"),
        ("orders fail -- since noon", "orders fail -- since noon"),
        ("orders fail — all of them", "orders fail — all of them"),
        ("don't trust 'em", "don't trust 'em"),
        ("'tis broken", "'tis broken"),
        ("\"orders\" fail", "\"orders\" fail"),
        ("the \"orders\" fail", "the \"orders\" fail"),
        ("\"a --dry-run is not enough\"", "a --dry-run is not enough"),
        (r#""he said \"stop\"""#, r#"he said "stop""#),
        (r#""C:\cryptobot is full""#, r"C:\cryptobot is full"),
        (
            "see https://status.example/7?a=b--c",
            "see https://status.example/7?a=b--c",
        ),
        ("reason: none", "reason: none"),
        ("注文が失敗する 🚨", "注文が失敗する 🚨"),
        ("e\u{301}chec", "e\u{301}chec"),
        ("latency +300% -5 points", "latency +300% -5 points"),
    ] {
        assert_eq!(
            read(&format!("/rollback trade reason: {typed}")),
            Ok(rollback(Some(reason), false)),
            "{typed}"
        );
    }
}

#[test]
fn bounds_are_exact() {
    let just = "x".repeat(Reason::LONGEST);
    assert!(read(&format!("/rollback trade reason: {just}")).is_ok());
    let error = read(&format!("/rollback trade reason: {just}y")).unwrap_err();
    assert_eq!(error.problem(), &Problem::ReasonTooLong { characters: 501 });
    let start = "/rollback trade";
    let blanks = |n: usize| format!("{start}{}", " ".repeat(n - start.len()));
    assert!(read(&blanks(2_000)).is_ok());
    let error = read(&blanks(2_001)).unwrap_err();
    assert_eq!(error.problem(), &Problem::TooLong { characters: 2_001 });
    // Characters, not bytes.
    assert!(read(&format!("/rollback trade reason: {}", "本".repeat(500))).is_ok());
}

#[test]
fn a_service_called_full_can_be_rolled_back() {
    let command = parse("/rollback full", &["full".to_owned()]).unwrap();
    assert_eq!(command.to_string(), "/rollback full");
}

#[test]
fn names_of_services_are_words_that_can_be_typed() {
    for good in ["trade", "mcp-paper-trading", "s3", "x"] {
        assert!(is_service_name(good), "{good}");
    }
    for bad in [
        "",
        "Trade",
        "3s",
        "-x",
        "x-",
        "a--b",
        "a b",
        "reason:",
        "日",
        &"x".repeat(41),
    ] {
        assert!(!is_service_name(bad), "{bad}");
    }
}

#[test]
fn every_error_says_where_and_what_to_type_instead() {
    let long = format!("/rollback {} reason: orders failing", "trade".repeat(60));
    let long_reason = format!("/rollback trade reason: {}", "very ".repeat(101));
    let too_long = "x".repeat(2_001);
    let lines = [
        "",
        "   ",
        &too_long,
        "/rollback trdae reason: orders failing",
        "/rollback 日本 reason: 注文が失敗",
        "/rollback \u{a0}\u{a0}日本x",
        "/rollback",
        "/rollback reason: orders failing",
        "/rollback full",
        "/rollback everything",
        "/rollback trade orders failing --dry-run",
        "/rollback trade reason orders failing",
        "/rollback trade — orders failing",
        "/rollback trade reason:",
        "/rollback trade reason: --dry-run",
        "/rollback trade reason: \"\"",
        "/rollback trade reason: \"orders failing --dry-run",
        "/rollback trade reason: „orders failing",
        "/rollback trade reason: \"one\" --dry-run reason: two",
        &long_reason,
        "/rollback trade --dryrun",
        "/rollback trade --dry-run=yes",
        "/rollback trade --dry-run --dry-run",
        "/rollback trade --force",
        "/rollback tra\u{1b}[31mde",
        "/rollback trade reason: safe\u{202e}evil",
        "/rollback `@everyone`",
        &long,
        "/rolback trade",
        "/status",
        "hello there",
        "/rollbot stauts",
        "/rollbot trade",
        "/rollbot undo RB-1",
        "/rollbot status trade",
        "/rollbot status RB-1 RB-2",
        "/rollbot cancel",
        "/rollbot cancel RB-",
        "/rollbot plan",
        "/rollbot plan trade reason: curious",
        "/rollbot plan trade --dry-run",
        "/rollbot history dta",
        "/rollbot locks trade",
        "/rollbot unlock",
        "/rollbot help roll",
        "/rollbot help me",
    ];
    let mut shown = String::new();
    for line in lines {
        let error = read(line).expect_err(line).to_string();
        assert!(
            !error.chars().any(|c| c.is_control() && c != '\n'),
            "{error:?}"
        );
        shown.push_str(&format!("{error}\n\n"));
    }
    insta::assert_snapshot!("errors", shown);
}

#[test]
fn an_error_without_services_or_with_many_says_so() {
    let none = parse("/rollback trade", &[]).unwrap_err();
    let many: Vec<_> = (0..50).map(|n| format!("service-{n:02}")).collect();
    let many = parse("/rollback servce-07", &many).unwrap_err();
    insta::assert_snapshot!("errors_services", format!("{none}\n\n{many}"));
}

#[test]
fn help_explains_every_command() {
    let mut shown = help(None, &services());
    for topic in Topic::ALL {
        shown.push_str(&format!("\n\n---\n{}", help(Some(topic), &services())));
    }
    insta::assert_snapshot!("help", shown);
}

#[test]
fn examples_in_the_help_are_commands() {
    for topic in Topic::ALL {
        let text = help(Some(topic), &services());
        let examples: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("  /"))
            .collect();
        assert!(!examples.is_empty(), "{topic:?}");
        for example in examples {
            read(&format!("/{example}")).expect(example);
        }
    }
}

#[test]
fn completion_offers_every_command() {
    let shown: Vec<_> = completions(&["trade".to_owned(), "data".to_owned()])
        .into_iter()
        .map(|c| format!("{} | {} | {}", c.text, c.rest, c.about))
        .collect();
    insta::assert_snapshot!("completions", shown.join("\n"));
}

/// Pieces that the grammar cares about, and some that it should not.
const PIECES: [&str; 52] = [
    "/rollback",
    "/rollbot",
    "rollback",
    "status",
    "plan",
    "cancel",
    "history",
    "locks",
    "unlock",
    "help",
    "trade",
    "data",
    "mcp",
    "TRADE",
    "RB-1",
    "rb-",
    "17",
    "reason:",
    "reason",
    "Reason：",
    "--dry-run",
    "—dry-run",
    "–",
    "--",
    "-",
    "--help",
    "\"",
    "“",
    "”",
    "'",
    "’",
    "\\",
    "\\\"",
    ":",
    " ",
    " ",
    " ",
    "\u{a0}",
    "\u{200b}",
    "\n",
    "\t",
    "\u{1b}",
    "\u{0}",
    "\u{202e}",
    "日本",
    "👩‍🚀",
    "e\u{301}",
    "\u{301}",
    "ß",
    "İ",
    "orders failing",
    "x",
];

#[test]
fn no_line_makes_it_panic_and_what_is_printed_is_read_back() {
    let services = services();
    let mut random = StdRng::seed_from_u64(20_261_122);
    let mut understood = 0;
    for _ in 0..60_000 {
        let mut line = String::new();
        // Half of them begin well, so that enough get far.
        if random.random_bool(0.5) {
            line.push_str(
                [
                    "/rollback trade ",
                    "/rollbot cancel 7 ",
                    "/rollbot unlock mcp reason: ",
                ]
                .choose(&mut random)
                .unwrap(),
            );
        }
        for _ in 0..random.random_range(0..8) {
            match random.random_range(0..10) {
                0 => line.push(random.random::<char>()),
                _ => line.push_str(PIECES.choose(&mut random).unwrap()),
            }
        }
        match parse(&line, &services) {
            Ok(command) => {
                understood += 1;
                let printed = command.to_string();
                assert_eq!(
                    parse(&printed, &services),
                    Ok(command),
                    "{line:?} > {printed:?}"
                );
            }
            Err(error) => {
                let shown = error.to_string();
                assert!(
                    !shown.chars().any(|c| c.is_control() && c != '\n'),
                    "{line:?}"
                );
            }
        }
    }
    assert!(understood > 3_000, "only {understood} lines were commands");
}

#[test]
fn every_reason_is_read_back_from_what_is_printed() {
    let mut random = StdRng::seed_from_u64(17);
    for _ in 0..60_000 {
        let mut text = String::new();
        for _ in 0..random.random_range(1..8) {
            text.push_str(PIECES.choose(&mut random).unwrap());
        }
        let Ok(reason) = Reason::new(&text) else {
            continue;
        };
        let command = Command::Rollback {
            service: "trade".into(),
            reason: Some(reason),
            dry_run: true,
        };
        let printed = command.to_string();
        assert_eq!(read(&printed), Ok(command), "{printed:?}");
    }
}
