//! A console of its own for each test.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rollbot_chat::{
    Answer, ChatEvent, Completion, Dispatch, Overview, Place, Suggestion, console_account,
};
use rollbot_chat_console::{Access, Channel, Console, ConsoleConfig, Health, HealthReport};
use rollbot_core::approval::{People, Person};
use rollbot_core::console::ConsoleStore;
use rollbot_core::{Clock, PersonId};
use rollbot_store_sqlite::SqliteStore;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// Time that passes when a test says so.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

/// Writes down what it gets, and answers what it was told to answer.
pub struct Recorder {
    pub events: Mutex<Vec<ChatEvent>>,
    answers: Mutex<VecDeque<Option<Answer>>>,
    /// A permit for each event that may be answered.
    pub gate: Semaphore,
    store: Arc<SqliteStore>,
    /// Reactions on the message at the moment an event about one came in.
    pub seen: Mutex<Vec<usize>>,
    pub ok: AtomicBool,
}

impl Recorder {
    pub fn answers(&self, body: &str, private: bool) {
        self.answers.lock().unwrap().push_back(Some(Answer {
            body: body.to_owned(),
            private,
        }));
    }

    pub fn events(&self) -> Vec<ChatEvent> {
        self.events.lock().unwrap().clone()
    }
}

#[async_trait]
impl Dispatch for Recorder {
    async fn dispatch(&self, event: ChatEvent) -> Option<Answer> {
        if let ChatEvent::Reaction { message, .. } = &event {
            let id = message.message_ref.parse().unwrap();
            let message = self.store.console_message(id).await.unwrap().unwrap();
            self.seen.lock().unwrap().push(message.reactions.len());
        }
        self.events.lock().unwrap().push(event);
        self.gate.acquire().await.unwrap().forget();
        self.answers.lock().unwrap().pop_front().flatten()
    }

    async fn suggest(&self, _: Place, _: &str, _: usize) -> Vec<Suggestion> {
        Vec::new()
    }

    async fn overview(&self) -> Overview {
        Overview::default()
    }

    fn completions(&self) -> Vec<Completion> {
        vec![Completion {
            text: "/rollback trade".to_owned(),
            rest: "[reason: …] [--dry-run]".to_owned(),
            about: "take trade back".to_owned(),
        }]
    }
}

#[async_trait]
impl Health for Recorder {
    async fn live(&self) -> HealthReport {
        HealthReport {
            ok: true,
            details: json!({}),
        }
    }

    async fn ready(&self) -> HealthReport {
        HealthReport {
            ok: self.ok.load(Ordering::SeqCst),
            details: json!({ "store": "answers" }),
        }
    }
}

pub fn people() -> People {
    let person = |id: &str, name: &str, email: Option<&str>| Person {
        id: id.into(),
        name: name.to_owned(),
        email: email.map(str::to_owned),
        accounts: vec![console_account(&id.into())],
        groups: ["approvers".to_owned()].into(),
    };
    People::new([
        person("ana", "Ana Lindqvist", Some("ana@example.org")),
        person("ben", "Ben Okafor", Some("shared@example.org")),
        person("cleo", "Cleo Marchetti", Some("shared@example.org")),
    ])
    .unwrap()
}

pub fn demo() -> Access {
    Access::Demo {
        people: ["ana", "ben", "cleo"].map(PersonId::from).into(),
    }
}

pub struct House {
    pub address: SocketAddr,
    pub console: Arc<Console>,
    pub recorder: Arc<Recorder>,
    pub clock: Arc<TestClock>,
    pub store: Arc<SqliteStore>,
    pub folder: Option<tempfile::TempDir>,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<std::io::Result<()>>>,
}

impl House {
    pub async fn demo() -> Self {
        Self::open(demo(), None).await
    }

    pub async fn open(access: Access, public_url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut house = Self::at(folder.path(), access, public_url, people()).await;
        house.folder = Some(folder);
        house
    }

    /// On a store that may be there already.
    pub async fn at(
        folder: &Path,
        access: Access,
        public_url: Option<&str>,
        people: People,
    ) -> Self {
        static CRYPTO: Once = Once::new();
        CRYPTO.call_once(|| {
            rustls::crypto::ring::default_provider()
                .install_default()
                .unwrap();
        });
        let store = Arc::new(SqliteStore::open(folder.join("console.db")).await.unwrap());
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000)));
        let recorder = Arc::new(Recorder {
            events: Mutex::default(),
            answers: Mutex::default(),
            gate: Semaphore::new(10_000),
            store: Arc::clone(&store),
            seen: Mutex::default(),
            ok: AtomicBool::new(true),
        });
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let channel = |name: &str, announcements| Channel {
            name: name.to_owned(),
            about: String::new(),
            announcements,
        };
        let config = ConsoleConfig {
            listen: address,
            public_url: public_url.map_or_else(|| format!("http://{address}"), str::to_owned),
            channels: vec![channel("ops", false), channel("announcements", true)],
            access,
            title: "rollbot".to_owned(),
            product: Vec::new(),
        };
        let console = Console::new(
            config,
            Arc::clone(&store) as _,
            people,
            Arc::clone(&clock) as _,
        )
        .unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(Arc::clone(&console).serve(
            listener,
            Arc::clone(&recorder) as _,
            Arc::clone(&recorder) as _,
            async {
                let _ = stopped.await;
            },
        ));
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        Self {
            address,
            console,
            recorder,
            clock,
            store,
            folder: None,
            client,
            stop: Some(stop),
            server: Some(server),
        }
    }

    /// Ends the server as a shutdown does.
    pub async fn close(mut self) -> Option<tempfile::TempDir> {
        let _ = self.stop.take().unwrap().send(());
        self.server.take().unwrap().await.unwrap().unwrap();
        self.store.close().await;
        self.folder.take()
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A request that says nothing of itself: no origin, no person.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.bare(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.bare(Method::POST, path)
            .header("origin", self.origin())
    }

    pub async fn get_as(&self, person: &str, path: &str) -> (StatusCode, Value) {
        answer(self.get(path).header("rollbot-act-as", person)).await
    }

    pub async fn post_as(&self, person: &str, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.post(path).header("rollbot-act-as", person).json(&body)).await
    }

    /// Says something in `ops` and returns the whole answer.
    pub async fn say(&self, person: &str, text: &str, client_id: &str) -> Value {
        let body = json!({ "channel": "ops", "text": text, "client_id": client_id });
        let (status, answer) = self.post_as(person, "/api/messages", body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    pub async fn messages(&self, person: &str) -> Vec<Value> {
        let (status, page) = self.get_as(person, "/api/messages").await;
        assert_eq!(status, 200, "{page}");
        page["messages"].as_array().unwrap().clone()
    }

    pub async fn events(&self, person: &str, since: Option<i64>, last_id: Option<&str>) -> Events {
        let since = since.map_or_else(String::new, |since| format!("&since={since}"));
        let mut request = self.get(&format!("/api/events?as={person}{since}"));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events {
            response,
            buffer: String::new(),
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

/// The code of a refusal.
pub fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

/// A reader of server-sent events.
pub struct Events {
    response: Response,
    buffer: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Events {
    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .filter_map(|line| line.split_once(':'))
                        .find(|(field, _)| *field == name)
                        .map(|(_, value)| value.trim_start().to_owned())
                        .unwrap_or_default()
                };
                let event = Event {
                    name: field("event"),
                    id: field("id"),
                    data: serde_json::from_str(&field("data")).unwrap_or_default(),
                };
                self.buffer = rest.to_owned();
                return Some(event);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(25), self.response.chunk())
                .await
                .expect("the stream is silent for longer than its heartbeat")
                .ok()
                .flatten()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next message, heartbeats and greetings left out.
    pub async fn message(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("the stream ended");
            if event.name == "message" {
                return event;
            }
        }
    }
}
