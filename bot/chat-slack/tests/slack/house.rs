//! A workspace, the adapter, and a desk that writes down what arrives.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rollbot_chat::{
    Answer, ChatEvent, Completion, Dispatch, Outgoing, Overview, OverviewLine, Place, Suggestion,
};
use rollbot_chat_slack::{Slack, SlackConfig};
use rollbot_fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack, OPS, Settings};
use tokio::sync::oneshot;

pub const PATIENCE: Duration = Duration::from_secs(10);

/// Stands where rollbot's core stands: keeps each event once by its key, and says what it was told
/// to say.
#[derive(Default)]
pub struct Core {
    pub events: Mutex<Vec<ChatEvent>>,
    /// How often anything came, doubles included.
    pub deliveries: Mutex<usize>,
    pub answer: Mutex<Option<Answer>>,
    pub takes: Mutex<Duration>,
    pub overview: Mutex<Overview>,
    keys: Mutex<BTreeSet<String>>,
    /// How many are worked on now, and how many were at most.
    pub at_once: Mutex<(usize, usize)>,
}

pub fn key_of(event: &ChatEvent) -> Option<String> {
    match event {
        ChatEvent::Command { key, .. }
        | ChatEvent::Reaction { key, .. }
        | ChatEvent::Button { key, .. } => Some(key.as_str().to_owned()),
        ChatEvent::Connected { .. } => None,
    }
}

#[async_trait]
impl Dispatch for Core {
    async fn dispatch(&self, event: ChatEvent) -> Option<Answer> {
        let takes = *self.takes.lock().unwrap();
        {
            let mut at_once = self.at_once.lock().unwrap();
            at_once.0 += 1;
            at_once.1 = at_once.1.max(at_once.0);
        }
        tokio::time::sleep(takes).await;
        self.at_once.lock().unwrap().0 -= 1;
        *self.deliveries.lock().unwrap() += 1;
        let is_new = key_of(&event).is_none_or(|key| self.keys.lock().unwrap().insert(key));
        if is_new {
            self.events.lock().unwrap().push(event);
        }
        self.answer.lock().unwrap().clone()
    }

    fn completions(&self) -> Vec<Completion> {
        Vec::new()
    }

    async fn suggest(&self, _: Place, _: &str, limit: usize) -> Vec<Suggestion> {
        ["data", "trade", "auth"]
            .into_iter()
            .take(limit)
            .map(|name| Suggestion {
                value: name.to_owned(),
                label: format!("{name} · <!channel>"),
            })
            .collect()
    }

    async fn overview(&self) -> Overview {
        self.overview.lock().unwrap().clone()
    }
}

impl Core {
    /// Everything but news of the connection.
    pub fn acts(&self) -> Vec<ChatEvent> {
        let events = self.events.lock().unwrap();
        let acts = events.iter().filter(|event| key_of(event).is_some());
        acts.cloned().collect()
    }

    pub fn connected(&self) -> usize {
        let events = self.events.lock().unwrap();
        events
            .iter()
            .filter(|event| key_of(event).is_none())
            .count()
    }

    pub fn say(&self, body: &str, private: bool) {
        *self.answer.lock().unwrap() = Some(Answer {
            body: body.to_owned(),
            private,
        });
    }
}

/// All of it, running.
pub struct House {
    pub fake: FakeSlack,
    pub slack: Arc<Slack>,
    pub core: Arc<Core>,
    pub end: Option<oneshot::Sender<()>>,
    pub running: tokio::task::JoinHandle<()>,
}

pub fn settings() -> Settings {
    Settings {
        ack_within: Duration::from_millis(1_500),
        redeliver_after: vec![Duration::from_millis(30); 20],
        rotation_warning: Duration::from_millis(300),
        rotation_grace: Duration::from_millis(100),
        post_rate: None,
        ..Settings::default()
    }
}

pub fn config(fake: &FakeSlack) -> SlackConfig {
    SlackConfig {
        api_url: fake.api_url(),
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(200),
        ping_every: Duration::from_millis(100),
        dead_after: Duration::from_millis(600),
        answer_within: Duration::from_millis(700),
        home_every: Duration::from_millis(300),
        ..SlackConfig::socket_mode(BOT_TOKEN, APP_TOKEN)
    }
}

impl House {
    pub async fn with(settings: Settings, change: impl FnOnce(&mut SlackConfig)) -> Self {
        let fake = FakeSlack::start(settings).await.unwrap();
        let mut config = config(&fake);
        change(&mut config);
        Self::around(fake, config)
    }

    pub fn around(fake: FakeSlack, config: SlackConfig) -> Self {
        let slack = Slack::new(config).unwrap();
        let core = Arc::new(Core::default());
        let (end, ended) = oneshot::channel::<()>();
        let (running_slack, dispatch) = (slack.clone(), core.clone());
        let running = tokio::spawn(async move {
            running_slack
                .run(dispatch, async {
                    let _ = ended.await;
                })
                .await;
        });
        Self {
            fake,
            slack,
            core,
            end: Some(end),
            running,
        }
    }

    /// Two sockets are open.
    pub async fn open() -> Self {
        let house = Self::with(settings(), |_| {}).await;
        house.opened(2).await;
        house
    }

    pub async fn opened(&self, sockets: usize) {
        eventually(|| self.fake.open_sockets() == sockets).await;
        eventually(|| self.core.connected() > 0).await;
    }

    /// Everything was acknowledged, and nothing is left.
    pub async fn quiet(&self) {
        self.fake.quiet(PATIENCE).await.unwrap();
    }
}

pub async fn eventually(holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "it did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn outgoing(identity: &str, body: &str) -> Outgoing {
    Outgoing {
        identity: identity.to_owned(),
        channel: OPS.to_owned(),
        thread_of: None,
        body: body.to_owned(),
        kind: "notice".to_owned(),
        reactions: Vec::new(),
        buttons: Vec::new(),
    }
}

pub fn approval(identity: &str) -> Outgoing {
    Outgoing {
        kind: "approval".to_owned(),
        reactions: vec!["white_check_mark".to_owned(), "x".to_owned()],
        buttons: vec![
            ("approve".to_owned(), "Approve".to_owned()),
            ("veto".to_owned(), "Veto".to_owned()),
        ],
        ..outgoing(
            identity,
            "**RB-17 · rollback of trade**\n\nAna asks for it\n\nPlan 3f0c · trade 0.1.0",
        )
    }
}

pub fn overview() -> Overview {
    Overview {
        operations: vec![OverviewLine {
            title: "RB-17 · trade".to_owned(),
            text: "running since 02:14:10 UTC, asked for by Ana: <!channel> *now*".to_owned(),
        }],
        locks: Vec::new(),
        trouble: None,
    }
}
