//! What every test needs: the stand-in, the adapter, and somebody who listens.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rollbot_chat::{
    Answer, ChatEvent, ChatPlatform as _, Completion, Connection, Dispatch, Outgoing, Overview,
    Place, Suggestion,
};
use rollbot_chat_discord::{Discord, DiscordConfig};
use rollbot_fakes::discord::{FakeDiscord, Options, Outcome};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

type Says = dyn Fn(&ChatEvent) -> Option<Answer> + Send + Sync;

/// Listens in rollbot's place, and says what a test wants said.
pub struct Ears {
    events: Mutex<Vec<ChatEvent>>,
    says: Mutex<Arc<Says>>,
    pub thinks: Mutex<Duration>,
    pub services: Mutex<Vec<Suggestion>>,
}

impl Ears {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            says: Mutex::new(Arc::new(|_| None)),
            thinks: Mutex::default(),
            services: Mutex::new(named(&["trade", "data"])),
        })
    }

    pub fn say(&self, body: &str, private: bool) {
        let body = body.to_owned();
        *self.says.lock().unwrap() = Arc::new(move |event| match event {
            ChatEvent::Connected { .. } => None,
            _ => Some(Answer {
                body: body.clone(),
                private,
            }),
        });
    }

    pub fn events(&self) -> Vec<ChatEvent> {
        self.events.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        let is = |event: &&ChatEvent| matches!(event, ChatEvent::Connected { .. });
        self.events().iter().filter(is).count()
    }

    /// All but the news of connections.
    pub fn acts(&self) -> Vec<ChatEvent> {
        let mut events = self.events();
        events.retain(|event| !matches!(event, ChatEvent::Connected { .. }));
        events
    }

    pub fn lines(&self) -> Vec<String> {
        self.acts()
            .into_iter()
            .filter_map(|event| match event {
                ChatEvent::Command { text, .. } => Some(text),
                _ => None,
            })
            .collect()
    }
}

pub fn named(names: &[&str]) -> Vec<Suggestion> {
    names
        .iter()
        .map(|name| Suggestion {
            value: (*name).to_owned(),
            label: format!("{name} · the service"),
        })
        .collect()
}

#[async_trait]
impl Dispatch for Ears {
    async fn dispatch(&self, event: ChatEvent) -> Option<Answer> {
        let thinks = *self.thinks.lock().unwrap();
        tokio::time::sleep(thinks).await;
        let says = Arc::clone(&self.says.lock().unwrap());
        let answer = says(&event);
        self.events.lock().unwrap().push(event);
        answer
    }

    fn completions(&self) -> Vec<Completion> {
        Vec::new()
    }

    async fn suggest(&self, place: Place, typed: &str, limit: usize) -> Vec<Suggestion> {
        let all = match place {
            Place::Service => self.services.lock().unwrap().clone(),
            Place::Operation => named(&["RB-2", "RB-1"]),
            Place::LockedService => named(&["locked"]),
        };
        let fits = |one: &Suggestion| one.value.contains(typed);
        all.into_iter().filter(fits).take(limit).collect()
    }

    async fn overview(&self) -> Overview {
        Overview::default()
    }
}

pub struct House {
    pub fake: FakeDiscord,
    pub discord: Arc<Discord>,
    pub ears: Arc<Ears>,
    pub ana: u64,
    pub ben: u64,
    pub channel: u64,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
}

impl House {
    /// Nobody is connected yet.
    pub async fn quiet(change: impl FnOnce(&mut DiscordConfig)) -> Self {
        // What failed is told by what was logged.
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
            .with_test_writer()
            .try_init();
        let fake = FakeDiscord::start(Options::default()).await.unwrap();
        let (ana, ben) = (fake.add_user("ana"), fake.add_user("ben"));
        let channel = fake.add_channel("operations");
        let discord = Discord::new(config(&fake, change)).unwrap();
        Self {
            fake,
            discord,
            ears: Ears::new(),
            ana,
            ben,
            channel,
            stop: None,
            running: None,
        }
    }

    pub fn run(&mut self) {
        let (stop, stopped) = oneshot::channel();
        self.stop = Some(stop);
        let running = Arc::clone(&self.discord).run(Arc::clone(&self.ears) as _, async move {
            let _ = stopped.await;
        });
        self.running = Some(tokio::spawn(running));
    }

    pub async fn open_with(change: impl FnOnce(&mut DiscordConfig)) -> Self {
        let mut house = Self::quiet(change).await;
        house.run();
        house.until("the connection", House::is_up).await;
        house
            .until("commands", |house| !house.fake.commands().0.is_empty())
            .await;
        house
    }

    pub async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub fn is_up(&self) -> bool {
        self.discord.connection() == Connection::Up && self.ears.connections() > 0
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waits = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(15), waits).await;
        assert!(
            waited.is_ok(),
            "waited for {what}; connection {:?}, heard {:?}",
            self.discord.connection(),
            self.ears.events()
        );
    }

    /// What a command is answered with.
    pub async fn answered(&self, interaction: u64) -> Outcome {
        self.fake.answered(interaction).await.unwrap()
    }

    pub fn outgoing(&self, identity: &str, kind: &str, body: &str) -> Outgoing {
        Outgoing {
            identity: identity.to_owned(),
            channel: self.channel.to_string(),
            thread_of: None,
            body: body.to_owned(),
            kind: kind.to_owned(),
            reactions: Vec::new(),
            buttons: Vec::new(),
        }
    }

    /// Ends it, and says that every body was as Discord describes it.
    pub async fn close(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(running) = self.running.take() {
            let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
            ended.expect("it ends when it is told to").unwrap();
        }
        assert_eq!(self.fake.violations(), Vec::<String>::new());
    }
}

pub fn config(fake: &FakeDiscord, change: impl FnOnce(&mut DiscordConfig)) -> DiscordConfig {
    let mut config = DiscordConfig::new(fake.token(), fake.application());
    config.api_url = Some(fake.url().parse().unwrap());
    config.guild = Some(fake.guild());
    config.deadlines.first_pause = Duration::from_millis(20);
    config.deadlines.longest_pause = Duration::from_millis(200);
    change(&mut config);
    config
}
