//! Shows the console with sample messages, to look at it while working on its looks:
//!
//! `cargo run -p rollbot-chat-console --example console_preview -- [empty|vote|run|paused|done] [PORT]`
//!
//! The messages are rendered by the product's templates from made-up words; nothing is operated.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rollbot_chat::{
    Answer, ChatEvent, ChatPlatform, Completion, Dispatch, Outgoing, Overview, Place, Suggestion,
    console_account,
};
use rollbot_chat_console::{
    Access, Channel, Console, ConsoleConfig, Health, HealthReport, PLATFORM,
};
use rollbot_core::approval::{People, Person};
use rollbot_core::console::{ConsoleStore, NewConsoleMessage};
use rollbot_core::{Clock, PersonId};
use rollbot_notify::{
    AnnouncementWords, ApprovalWords, ChoiceWords, ContingencyWords, DetailWords, LiveWords,
    NoticeWords, ObservedWords, QuestionWords, StepLine, StepWords, Templates,
};
use rollbot_store_sqlite::SqliteStore;

/// A night of its own, which goes on when the scene says so.
struct Night {
    begin: Timestamp,
    passed: AtomicI64,
}

impl Night {
    fn pass(&self, seconds: i64) {
        self.passed.fetch_add(seconds, Ordering::SeqCst);
    }

    fn time(&self) -> String {
        self.now().strftime("%H:%M:%S").to_string()
    }
}

#[async_trait]
impl Clock for Night {
    fn now(&self) -> Timestamp {
        self.begin + SignedDuration::from_secs(self.passed.load(Ordering::SeqCst))
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

struct Scene {
    console: Arc<Console>,
    store: Arc<SqliteStore>,
    templates: Templates,
    night: Arc<Night>,
}

impl Scene {
    async fn send(
        &self,
        (identity, channel, kind): (&str, &str, &str),
        template: &str,
        words: impl serde::Serialize,
        shape: impl FnOnce(&mut Outgoing),
    ) -> String {
        let words = serde_json::to_value(words).unwrap();
        let mut message = Outgoing {
            identity: identity.to_owned(),
            channel: channel.to_owned(),
            thread_of: None,
            body: self.templates.render(PLATFORM, template, &words).unwrap(),
            kind: kind.to_owned(),
            reactions: Vec::new(),
            buttons: Vec::new(),
        };
        shape(&mut message);
        self.console.post(&message).await.unwrap()
    }

    async fn say(&self, person: &str, text: &str) {
        let kind = if text.starts_with('/') {
            "command"
        } else {
            "said"
        };
        self.store
            .console_post(NewConsoleMessage {
                identity: format!("{person} {text}"),
                channel: "ops".to_owned(),
                thread_of: None,
                author: Some(person.into()),
                only_for: None,
                body: rollbot_chat_console::escape(text),
                kind: kind.to_owned(),
                buttons: Vec::new(),
                at: self.night.now(),
            })
            .await
            .unwrap();
    }

    async fn answer(&self, title: &str, text: &str, only_for: Option<&str>) {
        let words = NoticeWords {
            title: title.into(),
            text: text.into(),
            ..NoticeWords::default()
        };
        let words = serde_json::to_value(words).unwrap();
        let body = self.templates.render(PLATFORM, "answer", &words).unwrap();
        match only_for {
            Some(person) => {
                let account = console_account(&person.into());
                self.console.whisper("ops", &account, &body).await.unwrap();
            }
            None => {
                self.send(("answer", "ops", "answer"), "answer", &words, |_| {})
                    .await;
            }
        }
    }

    async fn react(&self, message: &str, person: &str, emoji: &str) {
        let id = message.parse().unwrap();
        let now = self.night.now();
        self.store
            .console_react(id, emoji, Some(&person.into()), true, now)
            .await
            .unwrap();
    }

    async fn vote(&self, tally: &str, decided: Option<&str>) -> String {
        let step = |number, title: &str, lines: &[&str]| StepWords {
            number,
            title: title.to_owned(),
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
        };
        let words = ApprovalWords {
            operation: "RB-1".into(),
            service: "trade".into(),
            procedure: "rollback".into(),
            requester: "Ana Lindqvist".into(),
            reason: Some("orders failing".into()),
            steps: vec![
                step(
                    1,
                    "Check that Docker can take over",
                    &["Image cryptobot/trade:1.4.2 is present, the container can be created"],
                ),
                step(
                    2,
                    "Wait until no order is in flight",
                    &["GET /orders/in-flight, at most 90 s"],
                ),
                step(
                    3,
                    "Stop the native service",
                    &["Stop cryptobot-trade on local, port 9003"],
                ),
                step(
                    4,
                    "Save its data",
                    &[
                        "Archive /opt/cryptobot/non-docker/trade as trade_service, and read it back in full",
                    ],
                ),
                step(
                    5,
                    "Start the container",
                    &["Start trade of the compose project cryptobot"],
                ),
                step(
                    6,
                    "Verify trading",
                    &["Health, last 100 log lines, a paper order is filled"],
                ),
                step(
                    7,
                    "Point service discovery at Docker",
                    &["services/trade becomes docker:9003"],
                ),
            ],
            contingencies: vec![ContingencyWords {
                title: "Stop the process that owns port 9003".into(),
                when: "if the service manager does not know the unit".into(),
            }],
            returns_to: vec!["trade: cryptobot/trade:1.4.2 (sha256:9c1e7a04b5d2)".into()],
            data_loss: "3 files, 1.2 MB, written since 02:10".into(),
            warnings: vec!["2 orders are in flight now".into()],
            tally: tally.into(),
            who_may: "Members of approvers may vote; who asks cannot.".into(),
            ends_at: "03:22".into(),
            digest: "3f0c1d2e4a5b".into(),
            plugin: "trade 0.1.0".into(),
            decided: decided.map(str::to_owned),
        };
        self.send(
            ("RB-1/approval", "ops", "approval"),
            "approval",
            words,
            |message| {
                message.reactions = vec!["white_check_mark".into(), "x".into()];
            },
        )
        .await
    }

    async fn live(&self, state: &str, done: usize, waiting: Option<&str>) -> String {
        let titles = [
            ("Check that Docker can take over", "0.3 s"),
            ("Wait until no order is in flight", "4.1 s"),
            ("Stop the native service", "0.4 s"),
            ("Save its data", "2.8 s"),
            ("Start the container", "1.2 s"),
            ("Verify trading", "3.6 s"),
            ("Point service discovery at Docker", "0.1 s"),
        ];
        let line = |(at, (title, took)): (usize, &(&str, &str))| StepLine {
            mark: match at.cmp(&done) {
                std::cmp::Ordering::Less => "✅",
                std::cmp::Ordering::Equal if waiting.is_some() => "❌",
                std::cmp::Ordering::Equal => "⏳",
                std::cmp::Ordering::Greater => "▫️",
            }
            .into(),
            title: (*title).into(),
            took: (at < done).then(|| (*took).into()),
            now: (at == done && waiting.is_none()).then(|| "waiting for health".into()),
        };
        let over = done == titles.len();
        let observed = |name: &str, observed: &str| ObservedWords {
            mark: "✅".into(),
            name: name.into(),
            observed: observed.into(),
            wanted: observed.into(),
            holds: true,
        };
        let words = LiveWords {
            operation: "RB-1".into(),
            service: "trade".into(),
            procedure: "rollback".into(),
            state: state.into(),
            steps: titles.iter().enumerate().map(line).collect(),
            waiting: waiting.map(str::to_owned),
            ending: over.then(|| "All targets were observed in their planned state.".into()),
            exceptions: Vec::new(),
            observed: if over {
                vec![
                    observed(
                        "native trade",
                        "stopped, port 9003 belongs to the container",
                    ),
                    observed(
                        "containers of trade",
                        "running and healthy, from the planned image",
                    ),
                    observed("services/trade", "docker:9003"),
                ]
            } else {
                Vec::new()
            },
            lock: Some("trade stays locked by RB-1. To release it: /rollbot unlock trade".into()),
            approved_by: "Ben Okafor, Cleo Marchetti".into(),
            started_at: "03:08:12".into(),
            estimate: (!over).then(|| "about 6 s left".into()),
        };
        self.send(("RB-1/live", "ops", "live"), "live", words, |_| {})
            .await
    }

    async fn details(&self, root: &str, count: usize) {
        let all: &[(i64, &str, &str, &[&str])] = &[
            (
                0,
                "✅",
                "Docker can take over",
                &["cryptobot/trade:1.4.2 present, container trade exists and is stopped"],
            ),
            (
                4,
                "✅",
                "No order is in flight",
                &["2 at 03:08:12, 0 at 03:08:16"],
            ),
            (
                1,
                "✅",
                "Stopped cryptobot-trade",
                &[
                    "SIGTERM to 4711 (trade-native), ended after 0.2 s",
                    "port 9003 is free",
                ],
            ),
            (
                3,
                "✅",
                "Saved the data: trade_service_20261122030817.tar.zst",
                &["412 files, 38.4 MB in 6.1 MB, read back in full, every checksum matched"],
            ),
            (1, "⏳", "Started trade, waiting until it is healthy", &[]),
            (
                2,
                "✅",
                "trade is healthy; a paper order was filled",
                &[
                    "GET /health 200 in 4 ms",
                    "POST /paper/orders 201, filled in 120 ms",
                ],
            ),
            (
                1,
                "✅",
                "services/trade points at docker:9003",
                &["reached from strategy, backtest and data"],
            ),
        ];
        for (number, (pass, mark, text, lines)) in all.iter().take(count).enumerate() {
            self.night.pass(*pass);
            let words = DetailWords {
                time: self.night.time(),
                mark: (*mark).into(),
                text: (*text).into(),
                lines: lines.iter().map(|&line| line.to_owned()).collect(),
            };
            let identity = format!("RB-1/detail/{number}");
            self.send((&identity, "ops", "detail"), "detail", words, |message| {
                message.thread_of = Some(root.to_owned());
            })
            .await;
        }
    }

    async fn announce(&self, template: &str) {
        let words = AnnouncementWords {
            product: "Cryptobot".into(),
            service: "Trading".into(),
            duration: Some("2 to 5 minutes".into()),
            timeframe: "15 min".into(),
            facts: vec!["No new orders are accepted while it lasts.".into()],
            contact: "support@example.org".into(),
            ..AnnouncementWords::default()
        };
        let place = (template, "announcements", "announcement");
        self.send(place, template, words, |_| {}).await;
    }

    async fn ask(&self) {
        let choice = |key: &str, label: &str, full| ChoiceWords {
            key: key.into(),
            label: label.into(),
            needs_full_count: full,
            chosen: None,
        };
        let choices = vec![
            choice("retry", "Retry", false),
            choice("undo", "Undo", false),
            choice("skip", "Skip this step", true),
            choice("abort", "Abort", false),
        ];
        let words = QuestionWords {
            operation: "RB-1".into(),
            service: "trade".into(),
            text: "Starting the container failed.".into(),
            details: vec![
                "engine: driver failed programming external connectivity: port 9003 is already allocated".into(),
                "port 9003 belongs to 5120 (trade-native)".into(),
            ],
            choices: choices.clone(),
            first_choice: "retry".into(),
            required: 2,
            state: "The native service is stopped, no container runs.".into(),
            who_may: "Members of approvers may answer.".into(),
            answer: None,
            answered_by: None,
        };
        self.send(
            ("RB-1/q", "ops", "question"),
            "question",
            words,
            |message| {
                message.buttons = choices
                    .iter()
                    .map(|c| (c.key.clone(), c.label.clone()))
                    .collect();
            },
        )
        .await;
    }
}

async fn play(scene: &Scene, name: &str) {
    if name == "empty" {
        return;
    }
    scene
        .say(
            "cleo",
            "trade rejects every second order since the 02:10 cutover, see <#4711>",
        )
        .await;
    scene.night.pass(9);
    scene
        .say("ana", "/rollback trade reason: orders failing")
        .await;
    scene
        .answer(
            "RB-1 is recorded",
            "rollback of trade. The plan follows.",
            None,
        )
        .await;
    scene.night.pass(1);
    let vote = scene.vote("0 of 2 approvals", None).await;
    scene.night.pass(8);
    scene.react(&vote, "ben", "white_check_mark").await;
    scene.react(&vote, "ana", "white_check_mark").await;
    scene.vote("1 of 2 approvals: Ben Okafor", None).await;
    let refusal = "who asks for an operation cannot approve it";
    scene
        .answer("Your check mark does not count", refusal, Some("ana"))
        .await;
    if name == "vote" {
        return;
    }
    scene.night.pass(14);
    scene.react(&vote, "cleo", "white_check_mark").await;
    scene
        .vote(
            "2 of 2 approvals: Ben Okafor, Cleo Marchetti",
            Some("approved by Ben Okafor, Cleo Marchetti"),
        )
        .await;
    scene.announce("maintenance").await;
    let live = scene.live("running", 0, None).await;
    match name {
        "run" => {
            scene.details(&live, 5).await;
            scene.live("running", 4, None).await;
        }
        "paused" => {
            scene.details(&live, 4).await;
            scene
                .live("paused", 4, Some("Starting the container failed."))
                .await;
            scene.ask().await;
        }
        _ => {
            scene.details(&live, 7).await;
            scene.live("closed", 7, None).await;
            scene.announce("restored").await;
        }
    }
}

/// Says what it was asked, so that a preview can be clicked through.
struct Echo;

#[async_trait]
impl Dispatch for Echo {
    async fn dispatch(&self, event: ChatEvent) -> Option<Answer> {
        match event {
            ChatEvent::Command { text, .. } => Some(Answer {
                body: format!(
                    "This preview does nothing with {}.",
                    rollbot_chat_console::escape(&text)
                ),
                private: true,
            }),
            ChatEvent::Reaction {
                account, on: true, ..
            } if account.user == "dan" => Some(Answer {
                body: "**Your vote does not count**\n\nonly members of approvers may vote here"
                    .into(),
                private: true,
            }),
            _ => None,
        }
    }

    async fn suggest(&self, _: Place, _: &str, _: usize) -> Vec<Suggestion> {
        Vec::new()
    }

    async fn overview(&self) -> Overview {
        Overview::default()
    }

    fn completions(&self) -> Vec<Completion> {
        let line = |text: &str, rest: &str, about: &str| Completion {
            text: text.into(),
            rest: rest.into(),
            about: about.into(),
        };
        let options = "[reason: …] [--dry-run]";
        vec![
            line("/rollback trade", options, "take trade back to Docker"),
            line("/rollback data", options, "take data back to Docker"),
            line("/rollbot status", "[RB-n]", "what runs, what waits"),
            line("/rollbot plan trade", "", "show the plan, do nothing"),
            line("/rollbot plan data", "", "show the plan, do nothing"),
            line("/rollbot cancel", "RB-n", "end a vote"),
            line("/rollbot history", "", "the last operations"),
            line("/rollbot locks", "", "which services are locked, and why"),
            line("/rollbot unlock trade", "", "release the lock of trade"),
            line("/rollbot help", "", "everything rollbot understands"),
        ]
    }
}

#[async_trait]
impl Health for Echo {
    async fn live(&self) -> HealthReport {
        HealthReport {
            ok: true,
            details: serde_json::json!({}),
        }
    }

    async fn ready(&self) -> HealthReport {
        self.live().await
    }
}

fn people() -> People {
    let person = |id: &str, name: &str, groups: &[&str]| Person {
        id: id.into(),
        name: name.to_owned(),
        email: None,
        accounts: vec![console_account(&id.into())],
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
    };
    People::new([
        person("ana", "Ana Lindqvist", &["support"]),
        person("ben", "Ben Okafor", &["approvers"]),
        person("cleo", "Cleo Marchetti", &["approvers"]),
        person("dan", "Dan Reyes", &[]),
    ])
    .unwrap()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "run".to_owned());
    let port = arguments
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or(8700);
    let folder = tempfile::tempdir()?;
    let store = Arc::new(
        SqliteStore::open(folder.path().join("preview.db"))
            .await
            .unwrap(),
    );
    let today = Timestamp::now().strftime("%Y-%m-%dT03:07:40Z").to_string();
    let night = Arc::new(Night {
        begin: today.parse().unwrap(),
        passed: AtomicI64::new(0),
    });
    let listener =
        tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let listen = listener.local_addr()?;
    let channel = |name: &str, about: &str, announcements| Channel {
        name: name.into(),
        about: about.into(),
        announcements,
    };
    let config = ConsoleConfig {
        listen,
        public_url: format!("http://{listen}"),
        channels: vec![
            channel("ops", "commands, votes and runs", false),
            channel("announcements", "what users are told", true),
        ],
        access: Access::Demo { people: ["ana", "ben", "cleo", "dan"].map(PersonId::from).into() },
        title: "rollbot".into(),
        product: vec!["rollbot takes Cryptobot's services back to Docker, step by step, once people have approved it.".into()],
    };
    let console = Console::new(
        config,
        Arc::clone(&store) as Arc<dyn ConsoleStore>,
        people(),
        Arc::clone(&night) as _,
    )
    .unwrap();
    let mut templates = Templates::load(None).unwrap();
    let escaper = Arc::clone(&console);
    templates.add_platform(PLATFORM, Arc::new(move |text| escaper.escape(text)));
    let scene = Scene {
        console: Arc::clone(&console),
        store,
        templates,
        night,
    };
    play(&scene, &name).await;
    println!("http://{listen}");
    let stop = async {
        // Without a terminal to press Ctrl-C on it runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    console
        .serve(listener, Arc::new(Echo), Arc::new(Echo), stop)
        .await
}
