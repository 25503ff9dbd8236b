//! Discord as a [`ChatPlatform`](rollbot_chat::ChatPlatform).
//!
//! [`Discord::run`] keeps the connection to the gateway and registers the commands;
//! [`Discord::router`] takes interactions over HTTP where the application is set up so. Both hand
//! what happened to [`Dispatch`]; an interaction is answered only after that returned, which is
//! after it was recorded.
//!
//! # Ids
//!
//! A message is known by its id, or by `THREAD/MESSAGE` where it is in a thread of its channel. An
//! account is Discord's user id; it has no team. Events are known by
//! the interaction's id, which is the same for every delivery, and for reactions, which have no id,
//! by the session of the gateway and the event's sequence in it: a resumed session sends an event
//! again under the same number, and taking a reaction off and putting it on anew are two numbers.
//! Events that a lost session swallowed are never sent again; [`ChatEvent::Connected`] has the
//! reactions read from the messages then.
//!
//! # What is serenity's, and what is not
//!
//! Routes, error bodies, permissions, intents and ids are serenity's. Requests are sent by the
//! HTTP client it is built with, under rate limits of our own (see `rest.rs`). The gateway's loop
//! is our own, because serenity's neither hands out sequence numbers nor notices a
//! dead connection earlier than two of the server's intervals (80 s). Payloads are read as the few
//! fields that are needed: an event with a field that a library does not know yet still arrives.

mod check;
mod commands;
mod config;
mod gateway;
mod history;
mod http;
mod intake;
mod markdown;
mod message;
mod pace;
mod platform;
mod rest;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rollbot_chat::{ChatEvent, Connection, Dispatch, Recent};
use serenity::model::Permissions;
use tokio::sync::OnceCell;

pub use config::{ConfigError, Deadlines, DiscordConfig, Mode};
pub use platform::PLATFORM;

use history::History;
use rest::{Ask, Failed, Rest};

/// As many messages, threads and interactions are remembered.
const REMEMBERED: usize = 4_096;

/// Discord, both ways. One for each process.
pub struct Discord {
    config: DiscordConfig,
    rest: Rest,
    /// The bot's own user id.
    me: OnceCell<u64>,
    connection: Mutex<Connection>,
    /// The reactions that the bot offers, by message.
    offered: Recent<u64, Vec<String>>,
    /// The channel that a thread belongs to.
    threads: Recent<u64, u64>,
    /// Interactions that came in: a second delivery is left alone while the first is worked on.
    interactions: Recent<u64, ()>,
    history: History,
}

impl Discord {
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: DiscordConfig) -> Result<Arc<Self>, ConfigError> {
        if config.token.is_empty() {
            return Err(ConfigError::NoToken);
        }
        if !config.token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ConfigError::BadToken);
        }
        if config.application_id == 0 {
            return Err(ConfigError::NoApplication);
        }
        if config.guild == Some(0) {
            return Err(ConfigError::NoGuild);
        }
        if let Mode::Http { public_key } = &config.mode {
            http::key(public_key)?;
        }
        if let Some(url) = &config.api_url
            && !matches!(url.scheme(), "http" | "https")
        {
            return Err(ConfigError::BadUrl);
        }
        let rest = Rest::new(&config)?;
        Ok(Arc::new(Self {
            config,
            rest,
            me: OnceCell::new(),
            connection: Mutex::new(Connection::Down {
                why: "not connected yet".to_owned(),
            }),
            offered: Recent::new(REMEMBERED),
            threads: Recent::new(REMEMBERED),
            interactions: Recent::new(REMEMBERED),
            history: History::default(),
        }))
    }

    pub fn config(&self) -> &DiscordConfig {
        &self.config
    }

    /// Registers the commands and keeps the connection until `shutdown` is ready or the credentials
    /// are refused; what is being worked on then is finished, for three seconds at most.
    pub async fn run(
        self: Arc<Self>,
        dispatch: Arc<dyn Dispatch>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let intake = intake::Intake::new(Arc::clone(&self), Arc::clone(&dispatch));
        let registering = commands::keep_registered(&self, dispatch.as_ref());
        let connected = gateway::keep_connected(&self, &intake);
        tokio::select! {
            () = shutdown => {}
            _ = async { tokio::join!(registering, connected) } => {}
        }
        intake.finish(Duration::from_secs(3)).await;
        if !matches!(self.connection_now(), Connection::GivenUp { .. }) {
            self.set_connection(Connection::Down {
                why: "rollbot ends".to_owned(),
            });
        }
    }

    fn connection_now(&self) -> Connection {
        let now = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // A request may hear of it before the gateway does.
        if self.rest.is_unauthorised() && !matches!(now, Connection::GivenUp { .. }) {
            return Connection::GivenUp {
                why: rest::REFUSED_TOKEN.to_owned(),
            };
        }
        now
    }

    fn set_connection(&self, connection: Connection) {
        let mut now = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &connection {
            Connection::Up => tracing::info!("connected to Discord"),
            Connection::Down { why } => tracing::warn!(why, "not connected to Discord"),
            Connection::GivenUp { why } => tracing::error!(why, "Discord is given up"),
        }
        *now = connection;
    }

    /// The bot's own user id.
    async fn me(&self) -> Result<u64, Failed> {
        self.me
            .get_or_try_init(|| async {
                let me = self
                    .rest
                    .send(Ask::get(serenity::http::Route::UserMe))
                    .await?;
                wire::id(&me["id"]).ok_or_else(|| Failed::NoAnswer {
                    why: "Discord did not say who the bot is".to_owned(),
                })
            })
            .await
            .copied()
    }
}

impl std::fmt::Debug for Discord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discord")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What the bot must be allowed to do in its channels.
pub(crate) const PERMISSIONS: Permissions = Permissions::VIEW_CHANNEL
    .union(Permissions::SEND_MESSAGES)
    .union(Permissions::SEND_MESSAGES_IN_THREADS)
    .union(Permissions::CREATE_PUBLIC_THREADS)
    .union(Permissions::EMBED_LINKS)
    .union(Permissions::ATTACH_FILES)
    .union(Permissions::READ_MESSAGE_HISTORY)
    .union(Permissions::ADD_REACTIONS);

/// The address with which somebody adds the bot to their server: the fewest permissions, and the
/// scopes for messages and for commands.
pub fn invite_url(application_id: u64) -> String {
    format!(
        "https://discord.com/oauth2/authorize?client_id={application_id}&permissions={}&scope=bot+applications.commands",
        PERMISSIONS.bits()
    )
}

/// The event that has all reactions read again.
fn connected_event() -> ChatEvent {
    ChatEvent::Connected {
        platform: PLATFORM.to_owned(),
    }
}
