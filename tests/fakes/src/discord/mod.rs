//! Discord: REST, gateway and interactions, as one guild with its people.
//!
//! [`FakeDiscord`] listens on a port of this machine. A client is pointed at
//! [`FakeDiscord::url`] in place of `https://discord.com`; the gateway's address comes from
//! `/gateway`. What people do is done with its methods ([`FakeDiscord::command`],
//! [`FakeDiscord::react`], …), and what came of it is read from it. Clients that are not written in
//! Rust drive it over `POST /_control/…` (see [`control`]).

mod answers;
mod commands;
pub mod control;
mod faults;
mod interactions;
mod limits;
mod messages;
mod multipart;
mod objects;
mod people;
mod pings;
mod plain;
mod rates;
mod reactions;
mod rest;
mod sessions;
mod spec;
mod world;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::{any, post};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use faults::{Fault, FaultKind, GatewayFaults};
pub use people::{Outcome, Seen};
pub use pings::Reading;
pub use spec::described;
pub use world::{Request, permission};

use sessions::Out;
use world::{ChannelKind, World};

/// How a stand-in starts.
#[derive(Debug, Clone)]
pub struct Options {
    pub listen: SocketAddr,
    pub token: String,
    /// What hello says; the real one says 41 s.
    pub heartbeat: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: "stand-in.token.of-rollbot".to_owned(),
            heartbeat: Duration::from_millis(41_250),
        }
    }
}

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Fake {
    world: Arc<Mutex<World>>,
    changes: Arc<watch::Sender<u64>>,
    connections: Arc<AtomicU64>,
    heartbeats: Arc<AtomicU64>,
    endpoint_status: Arc<AtomicU64>,
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// A running stand-in; it ends when it is dropped.
pub struct FakeDiscord {
    fake: Fake,
    url: String,
    token: String,
    _ends: DropGuard,
}

impl FakeDiscord {
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let url = format!("http://{}", listener.local_addr()?);
        let secret = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| anyhow::anyhow!("no key could be made"))?;
        let key = Ed25519KeyPair::from_pkcs8(secret.as_ref())
            .map_err(|_| anyhow::anyhow!("the key that was made is refused"))?;
        let world = World::new(url.clone(), options.token.clone(), options.heartbeat, key);
        let fake = Fake {
            world: Arc::new(Mutex::new(world)),
            changes: Arc::new(watch::Sender::new(0)),
            connections: Arc::default(),
            heartbeats: Arc::default(),
            endpoint_status: Arc::default(),
        };
        let router = Router::new()
            .route("/gateway", any(sessions::upgrade))
            .route("/gateway/", any(sessions::upgrade))
            .route("/gateway-resume", any(sessions::upgrade))
            .route("/gateway-resume/", any(sessions::upgrade))
            .route("/_control/{act}", post(control::act))
            .route("/api/v10/{*path}", any(rest::serve))
            .with_state(fake.clone());
        let ends = CancellationToken::new();
        let ended = ends.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, router);
            tokio::select! {
                () = ended.cancelled() => {}
                result = async { served.await } => {
                    if let Err(error) = result {
                        tracing::error!(%error, "the stand-in for Discord stopped");
                    }
                }
            }
        });
        Ok(Self {
            fake,
            url,
            token: options.token,
            _ends: ends.drop_guard(),
        })
    }

    /// `http://127.0.0.1:PORT`, in place of `https://discord.com`.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub fn application(&self) -> u64 {
        self.fake.lock().application
    }

    pub fn guild(&self) -> u64 {
        self.fake.lock().guild
    }

    /// The key that interactions posted to an endpoint are signed with, in hexadecimal.
    pub fn public_key(&self) -> String {
        self.fake.lock().public_key()
    }

    pub fn add_channel(&self, name: &str) -> u64 {
        self.fake.lock().add_channel(name, ChannelKind::Text, None)
    }

    pub fn add_user(&self, name: &str) -> u64 {
        self.fake.lock().add_user(name, false)
    }

    pub fn add_bot(&self, name: &str) -> u64 {
        self.fake.lock().add_user(name, true)
    }

    /// The user takes no direct messages.
    pub fn close_direct_messages(&self, user: u64) {
        if let Some(user) = self.fake.lock().users.get_mut(&user) {
            user.closed = true;
        }
    }

    pub fn leave_guild(&self, user: u64) {
        if let Some(user) = self.fake.lock().users.get_mut(&user) {
            user.member = false;
        }
    }

    /// Takes permissions from the bot in a channel; see [`permission`].
    pub fn deny(&self, channel: u64, permissions: u64) {
        if let Some(channel) = self.fake.lock().channels.get_mut(&channel) {
            channel.denied = permissions;
        }
    }

    /// Interactions are posted to `url` from now on, not sent over the gateway.
    pub fn set_endpoint(&self, url: &str) {
        self.fake.lock().endpoint = Some(url.to_owned());
    }

    pub fn fault(&self, fault: Fault) {
        self.fake.lock().faults.push(fault);
    }

    /// Takes all REST faults back.
    pub fn heal(&self) {
        self.fake.lock().faults.clear();
    }

    /// Changes how the gateway misbehaves, for sessions that are there as well.
    pub fn gateway(&self, change: impl FnOnce(&mut GatewayFaults)) {
        let mut world = self.fake.lock();
        change(&mut world.gateway);
        let faults = world.gateway;
        for session in world.sessions.values_mut() {
            session.silent = faults.silent;
            session.duplicates = faults.duplicates;
            session.reorder = faults.reorder;
        }
    }

    /// The token is refused from now on; connections end with 4004.
    pub fn revoke_token(&self) {
        let mut world = self.fake.lock();
        world.revoked = true;
        world.broadcast(&Out::Close(4004, "Authentication failed."));
    }

    /// Connections end without a word; sessions can be resumed.
    pub fn drop_connections(&self) {
        self.fake.lock().broadcast(&Out::Drop);
    }

    pub fn close_connections(&self, code: u16) {
        self.fake.lock().broadcast(&Out::Close(code, "asked for"));
    }

    /// "Reconnect": the client is to come back and resume.
    pub fn ask_to_reconnect(&self) {
        let frame = serde_json::json!({"op": 7, "s": null, "t": null, "d": null});
        self.fake.lock().broadcast(&Out::Frame(frame));
    }

    /// Forgets every session: none can be resumed.
    pub fn forget_sessions(&self) {
        let mut world = self.fake.lock();
        world.broadcast(&Out::Drop);
        world.sessions.clear();
    }

    /// `template` as in `POST/channels/:id/messages`.
    pub fn limit(&self, template: &str, limit: u32, window: Duration) {
        self.fake.lock().rates.limit(template, limit, window);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.fake.lock().requests.clone()
    }

    /// How many requests went to paths that contain `path`, by method.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.fake
            .lock()
            .requests
            .iter()
            .filter(|request| request.method == method && request.path.contains(path))
            .count()
    }

    /// Bodies that Discord's description of its API does not allow. Tests assert that there are
    /// none.
    pub fn violations(&self) -> Vec<String> {
        self.fake.lock().violations.clone()
    }

    /// Requests that were answered with 401, 403 or 429.
    pub fn invalid_requests(&self) -> u64 {
        self.fake.lock().invalid_requests
    }

    /// Identifications, resumptions and connections so far.
    pub fn gateway_counts(&self) -> (u64, u64, u64) {
        let world = self.fake.lock();
        let connections = self.fake.connections.load(Ordering::Relaxed);
        (world.identifies, world.resumes, connections)
    }

    pub fn heartbeats(&self) -> u64 {
        self.fake.heartbeats.load(Ordering::Relaxed)
    }

    /// The status with which the endpoint answered last.
    pub fn endpoint_status(&self) -> u64 {
        self.fake.endpoint_status.load(Ordering::Relaxed)
    }

    /// Whether a client is connected and identified.
    pub fn is_connected(&self) -> bool {
        let world = self.fake.lock();
        world
            .sessions
            .values()
            .any(|session| session.socket.is_some())
    }

    /// Looks again after every change until there is an answer.
    ///
    /// # Errors
    /// There was none within ten seconds.
    pub async fn until<T>(
        &self,
        what: &str,
        look: impl Fn(&Self) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut changes = self.fake.changes.subscribe();
        let waits = async {
            loop {
                if let Some(found) = look(self) {
                    return found;
                }
                // Some changes come without a word, such as time.
                let _ = tokio::time::timeout(Duration::from_millis(50), changes.changed()).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waits)
            .await
            .with_context(|| format!("waited ten seconds for {what}"))
    }

    /// # Errors
    /// Nobody connects within ten seconds.
    pub async fn connected(&self) -> anyhow::Result<()> {
        self.until("a connection to the gateway", |fake| {
            fake.is_connected().then_some(())
        })
        .await
    }
}
