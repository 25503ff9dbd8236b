//! Slack: a workspace with people, channels and messages, behind the Web API, Socket Mode, and
//! events and interactivity over HTTP.
//!
//! [`FakeSlack::start`] serves it. People act through the methods in `acts`
//! ([`FakeSlack::slash`], [`FakeSlack::react`], …); what went wrong in the world is arranged with
//! [`Faults`]; what the bot did is read back from [`Workspace`]. Facts about limits and errors are
//! those of Slack's documentation at docs.slack.dev.

mod acts;
mod api;
mod blocks;
mod control;
mod deliver;
mod faults;
mod mentions;
mod rates;
mod response_url;
mod socket;
mod workspace;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use acts::{Press, Seen};
pub use deliver::{RequestUrls, signature as sign};
pub use faults::{Fault, Faults};
pub use mentions::{Marked, Markup};
pub use workspace::{
    APP_ID, APP_TOKEN, BOT_ID, BOT_TOKEN, BOT_USER, Call, Channel, Ephemeral, Message, OPS, SCOPES,
    SIGNING_SECRET, TEAM_ID, UploadedFile, User, Workspace,
};

/// How the workspace behaves in time and size. The defaults are Slack's.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Within which an envelope or request must be acknowledged.
    pub ack_within: Duration,
    /// After how long an unacknowledged event is delivered again.
    pub redeliver_after: Vec<Duration>,
    /// How long a `trigger_id` opens views.
    pub trigger_lasts: Duration,
    /// How long, and how often, a `response_url` can be used.
    pub response_url_lasts: Duration,
    pub response_url_uses: u32,
    /// Between the first warning of a rotation and the end of the socket.
    pub rotation_warning: Duration,
    pub rotation_grace: Duration,
    /// How often a socket is pinged.
    pub ping_every: Duration,
    /// What `hello` says about how long a socket lasts, in seconds.
    pub connection_seconds: u64,
    /// Of each reaction as many people are listed without `full=true`.
    pub reaction_users_cut: usize,
    /// Most of what one page of a list holds.
    pub page: usize,
    /// Messages in one channel: that many a second, with this burst. `None`: not limited.
    pub post_rate: Option<(f64, f64)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ack_within: Duration::from_secs(3),
            redeliver_after: vec![
                Duration::from_millis(50),
                Duration::from_secs(60),
                Duration::from_secs(300),
            ],
            trigger_lasts: Duration::from_secs(3),
            response_url_lasts: Duration::from_secs(30 * 60),
            response_url_uses: 5,
            rotation_warning: Duration::from_secs(10),
            rotation_grace: Duration::from_millis(500),
            ping_every: Duration::from_secs(30),
            connection_seconds: 3_600,
            reaction_users_cut: 2,
            page: 200,
            post_rate: Some((1.0, 10.0)),
        }
    }
}

/// A workspace that is being served. Dropped, it is gone.
pub struct FakeSlack {
    inner: Arc<Inner>,
    address: SocketAddr,
    /// Ends the serving when it is dropped.
    _served: Option<DropGuard>,
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) workspace: Mutex<Workspace>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) rates: Mutex<rates::Rates>,
    pub(crate) sockets: Mutex<socket::Sockets>,
    pub(crate) deliveries: Mutex<deliver::Deliveries>,
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) gone: CancellationToken,
}

/// A lock that a panicked test left behind still guards whole data: every change is one statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeSlack {
    /// Serves a fresh workspace on a port of its own at 127.0.0.1.
    ///
    /// # Errors
    /// No port can be listened on.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        Self::listen(settings, "127.0.0.1:0").await
    }

    /// # Errors
    /// `address` cannot be listened on.
    pub async fn listen(settings: Settings, address: &str) -> anyhow::Result<Self> {
        // Fails where a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let gone = CancellationToken::new();
        let inner = Arc::new(Inner {
            settings,
            workspace: Mutex::new(Workspace::new()),
            faults: Mutex::default(),
            rates: Mutex::default(),
            sockets: Mutex::default(),
            deliveries: Mutex::default(),
            http: reqwest::Client::builder().no_proxy().build()?,
            base: format!("http://{address}"),
            gone: gone.clone(),
        });
        let app = Router::new()
            .merge(api::router())
            .merge(socket::router())
            .merge(response_url::router())
            .merge(control::router())
            .with_state(Arc::clone(&inner));
        let ended = gone.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, app)
                .with_graceful_shutdown(async move { ended.cancelled().await })
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the workspace is no longer served");
            }
        });
        Ok(Self {
            inner,
            address,
            _served: Some(gone.drop_guard()),
        })
    }

    /// What a client takes for `https://slack.com/api`: no slash at the end.
    pub fn api_url(&self) -> String {
        format!("{}/api", self.inner.base)
    }

    /// `http://127.0.0.1:PORT`
    pub fn base_url(&self) -> &str {
        &self.inner.base
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks at the workspace, or changes it behind the bot's back.
    pub fn with<T>(&self, look: impl FnOnce(&mut Workspace) -> T) -> T {
        look(&mut lock(&self.inner.workspace))
    }

    /// Arranges what goes wrong.
    pub fn faults<T>(&self, arrange: impl FnOnce(&mut Faults) -> T) -> T {
        arrange(&mut lock(&self.inner.faults))
    }

    /// How often a method was called, whatever was answered.
    pub fn calls(&self, method: &str) -> usize {
        self.with(|workspace| {
            workspace
                .calls
                .iter()
                .filter(|call| call.method == method)
                .count()
        })
    }

    /// How many sockets are open and said hello.
    pub fn open_sockets(&self) -> usize {
        lock(&self.inner.sockets).open()
    }

    /// How many sockets were ever opened.
    pub fn sockets_ever(&self) -> u64 {
        lock(&self.inner.sockets).ever()
    }

    /// What is delivered and not acknowledged yet, or waits for another try.
    pub fn unacknowledged(&self) -> Vec<String> {
        lock(&self.inner.deliveries).waiting()
    }
}
