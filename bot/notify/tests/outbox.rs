//! The outbox over platforms that hang, refuse, limit and forget.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rollbot_chat::{ChatPlatform, Outgoing, SendError, StandingReaction};
use rollbot_core::approval::Account;
use rollbot_core::outbox::{About, Destination, Message, OutboxRow};
use rollbot_core::store::{Batch, Store, Write};
use rollbot_core::{Clock as _, OperationId, SystemClock};
use rollbot_notify::{NoticeWords, Outbox, OutboxConfig, Templates};
use rollbot_store_conformance::sample;
use rollbot_store_sqlite::SqliteStore;

/// What happened on a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Act {
    Post(String),
    Edit(String),
}

/// A platform that keeps what it is sent and misbehaves as told, one turn after the other.
struct Platform {
    name: &'static str,
    turns: Mutex<VecDeque<Turn>>,
    acts: Mutex<Vec<(Instant, Act)>>,
    messages: Mutex<Vec<String>>,
}

enum Turn {
    Fails(SendError),
    Hangs,
    /// It arrives, and the answer is lost.
    Forgets,
}

impl Platform {
    fn new(name: &'static str, turns: impl IntoIterator<Item = Turn>) -> Arc<Self> {
        Arc::new(Self {
            name,
            turns: Mutex::new(turns.into_iter().collect()),
            acts: Mutex::default(),
            messages: Mutex::default(),
        })
    }

    fn acts(&self) -> Vec<Act> {
        let acts = self.acts.lock().unwrap();
        acts.iter().map(|(_, act)| act.clone()).collect()
    }

    fn times(&self) -> Vec<Instant> {
        self.acts
            .lock()
            .unwrap()
            .iter()
            .map(|(at, _)| *at)
            .collect()
    }

    async fn act(&self, act: Act) -> Result<(), SendError> {
        let turn = self.turns.lock().unwrap().pop_front();
        match turn {
            Some(Turn::Fails(error)) => return Err(error),
            Some(Turn::Hangs) => std::future::pending().await,
            Some(Turn::Forgets) => {
                self.acts.lock().unwrap().push((Instant::now(), act));
                return Err(SendError::Again {
                    why: "the connection was cut".to_owned(),
                    after: None,
                });
            }
            None => {}
        }
        self.acts.lock().unwrap().push((Instant::now(), act));
        Ok(())
    }
}

#[async_trait]
impl ChatPlatform for Platform {
    fn name(&self) -> &str {
        self.name
    }
    async fn post(&self, message: &Outgoing) -> Result<String, SendError> {
        let before = self.acts().len();
        let done = self.act(Act::Post(message.body.clone())).await;
        if self.acts().len() > before {
            self.messages.lock().unwrap().push(message.identity.clone());
        }
        done.map(|()| message.identity.clone())
    }
    async fn edit(&self, _: &str, message: &Outgoing) -> Result<(), SendError> {
        self.act(Act::Edit(message.body.clone())).await
    }
    async fn find(&self, _: &str, identity: &str) -> Result<Option<String>, SendError> {
        let messages = self.messages.lock().unwrap();
        Ok(messages.iter().find(|known| *known == identity).cloned())
    }
    async fn reactions(&self, _: &str, _: &str) -> Result<Vec<StandingReaction>, SendError> {
        Ok(Vec::new())
    }
    async fn whisper(&self, _: &str, _: &Account, _: &str) -> Result<(), SendError> {
        Ok(())
    }
}

struct House {
    store: Arc<dyn Store>,
    outbox: Arc<Outbox>,
    operation: OperationId,
    _directory: tempfile::TempDir,
}

impl House {
    async fn new(platforms: &[&Arc<Platform>]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(
            SqliteStore::open(directory.path().join("rollbot.db"))
                .await
                .unwrap(),
        );
        let operation = sample::request(&*store, "trade", "a").await;
        let mut templates = Templates::load(None).unwrap();
        for platform in platforms {
            templates.add_platform(platform.name, Arc::new(rollbot_chat::escape));
        }
        let config = OutboxConfig {
            send_deadline: Duration::from_millis(300),
            first_pause: Duration::from_millis(20),
            longest_pause: Duration::from_millis(80),
            edit_interval: Duration::from_millis(200),
            idle: Duration::from_millis(20),
            operators: platforms
                .iter()
                .map(|platform| Destination {
                    platform: platform.name.to_owned(),
                    channel: "ops".to_owned(),
                })
                .collect(),
        };
        let outbox = Outbox::new(
            store.clone(),
            Arc::new(SystemClock),
            Arc::new(templates),
            platforms
                .iter()
                .map(|platform| Arc::clone(platform) as Arc<dyn ChatPlatform>),
            config,
        );
        let runs = outbox.clone();
        tokio::spawn(async move { runs.run().await });
        Self {
            store,
            outbox,
            operation,
            _directory: directory,
        }
    }

    async fn tells(&self, platform: &str, name: &str, about: About, text: &str) {
        let words = NoticeWords {
            text: text.to_owned(),
            ..NoticeWords::default()
        };
        let message = Message {
            identity: format!("{}/{name}@{platform}/ops", self.operation),
            operation: self.operation,
            about,
            destination: Destination {
                platform: platform.to_owned(),
                channel: "ops".to_owned(),
            },
            thread_of: None,
            template: "answer".to_owned(),
            variables: serde_json::to_value(words).unwrap(),
            reactions: Vec::new(),
            buttons: Vec::new(),
            not_before: SystemClock.now(),
        };
        let batch = Batch::new().write(Write::Notify(Box::new(message)));
        self.store.commit(batch).await.unwrap();
        self.outbox.wake();
    }

    async fn row(&self, name: &str, platform: &str) -> OutboxRow {
        let identity = format!("{}/{name}@{platform}/ops", self.operation);
        let row = self.store.outbox_by_identity(&identity).await.unwrap();
        row.unwrap()
    }

    async fn settles(&self) {
        let patience = Duration::from_secs(20);
        assert!(self.outbox.drained(self.operation, patience).await.unwrap());
    }
}

fn post(text: &str) -> Act {
    Act::Post(text.to_owned())
}

#[tokio::test]
async fn a_platform_that_hangs_keeps_no_other_waiting() {
    let slack = Platform::new("slack", [Turn::Hangs, Turn::Hangs, Turn::Hangs]);
    let console = Platform::new("console", []);
    let house = House::new(&[&slack, &console]).await;
    house.tells("slack", "notice", About::Notice, "one").await;
    house.tells("console", "notice", About::Notice, "one").await;
    house.settles().await;
    assert_eq!(console.acts(), [post("one")]);
    assert_eq!(slack.acts(), [post("one")]);
    // Three deadlines later than the other.
    assert!(slack.times()[0] > console.times()[0] + Duration::from_millis(600));
}

#[tokio::test]
async fn what_arrived_without_an_answer_is_found_again_and_seen_once() {
    let slack = Platform::new("slack", [Turn::Forgets]);
    let house = House::new(&[&slack]).await;
    house.tells("slack", "notice", About::Notice, "once").await;
    house.settles().await;
    assert_eq!(slack.acts(), [post("once"), Act::Edit("once".to_owned())]);
    assert_eq!(slack.messages.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_platform_that_says_when_is_not_asked_before() {
    let after = Duration::from_millis(700);
    let limited = SendError::Again {
        why: "too many".to_owned(),
        after: Some(after),
    };
    let slack = Platform::new("slack", [Turn::Fails(limited)]);
    let house = House::new(&[&slack]).await;
    let begun = Instant::now();
    house.tells("slack", "notice", About::Notice, "later").await;
    house.settles().await;
    assert!(slack.times()[0] >= begun + after);
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_operators_hear_of_it_elsewhere() {
    let refused = SendError::Refused("the channel is archived".to_owned());
    let slack = Platform::new("slack", [Turn::Fails(refused)]);
    let console = Platform::new("console", []);
    let house = House::new(&[&slack, &console]).await;
    house.tells("slack", "notice", About::Notice, "lost").await;
    house.settles().await;
    let row = house.row("notice", "slack").await;
    assert!(row.abandoned);
    assert_eq!(slack.acts(), []);
    let told = console.acts();
    assert_eq!(told.len(), 1, "{told:?}");
    let Act::Post(text) = &told[0] else {
        panic!("{told:?}")
    };
    assert!(text.contains("did not reach slack"), "{text}");
    assert!(text.contains("the channel is archived"), "{text}");
}

#[tokio::test]
async fn refused_credentials_are_said_once_elsewhere_and_nothing_is_given_up() {
    let no = || Turn::Fails(SendError::Unauthorised("the token was revoked".to_owned()));
    let slack = Platform::new("slack", [no(), no(), no()]);
    let console = Platform::new("console", []);
    let house = House::new(&[&slack, &console]).await;
    for name in ["a", "b", "c"] {
        house.tells("slack", name, About::Notice, name).await;
    }
    // With a new token everything leaves after all, in order of its writing.
    house.settles().await;
    assert_eq!(slack.acts().len(), 3);
    assert_eq!(console.acts().len(), 1);
}

#[tokio::test]
async fn the_only_way_is_not_told_of_its_own_failure() {
    let refused = SendError::Refused("no".to_owned());
    let slack = Platform::new("slack", [Turn::Fails(refused)]);
    let house = House::new(&[&slack]).await;
    house.tells("slack", "notice", About::Notice, "lost").await;
    house.settles().await;
    assert_eq!(
        house.store.outbox_of(house.operation).await.unwrap().len(),
        1
    );
    assert_eq!(slack.acts(), []);
}

#[tokio::test]
async fn changes_of_the_live_message_become_few_edits_and_hold_nothing_up() {
    let slack = Platform::new("slack", []);
    let house = House::new(&[&slack]).await;
    house.tells("slack", "live", About::Live, "0").await;
    house.settles().await;
    for number in 1..=20 {
        let text = number.to_string();
        house.tells("slack", "live", About::Live, &text).await;
    }
    house.tells("slack", "notice", About::Notice, "now").await;
    house.settles().await;
    let acts = slack.acts();
    assert_eq!(acts, [post("0"), post("now"), Act::Edit("20".to_owned())]);
    let times = slack.times();
    assert!(times[2] >= times[0] + Duration::from_millis(200));
}

#[tokio::test]
async fn what_waits_for_a_platform_that_is_gone_is_given_up_and_said() {
    let console = Platform::new("console", []);
    let house = House::new(&[&console]).await;
    house.tells("slack", "notice", About::Notice, "lost").await;
    house.settles().await;
    assert!(house.row("notice", "slack").await.abandoned);
    tokio::time::timeout(Duration::from_secs(5), async {
        while console.acts().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}
