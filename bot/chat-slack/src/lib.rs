//! Slack as a [`ChatPlatform`](rollbot_chat::ChatPlatform).
//!
//! [`Slack`] is both directions: rollbot's messages go out through the Web API, and what people do
//! comes in over Socket Mode ([`Slack::run`]) or over HTTP ([`Slack::router`]). SDK types of
//! slack-morphism stay in this crate.
//!
//! # What comes in
//!
//! | Slack | [`ChatEvent`](rollbot_chat::ChatEvent) | key |
//! | --- | --- | --- |
//! | slash command | `Command`, text as it was typed | `trigger_id` |
//! | `reaction_added`, `reaction_removed` on a message of rollbot's | `Reaction`, skin tones left off | `event_id` |
//! | press of a button | `Button` | `trigger_id` |
//! | shortcut `rollbot_request`, then its dialog | `Command` | the dialog's id |
//! | all sockets were closed, and one is open again | `Connected` | – |
//!
//! An envelope or request is acknowledged after [`Dispatch`] returned, so
//! what was acknowledged is on record. Slack's envelope ids change between deliveries of one event
//! and are not used as keys.
//!
//! # What goes out
//!
//! Messages are rich text, in which Slack looks for nothing: text cannot become a mention or a link.
//! What is too long for one message goes on in its thread, and as a file where that is too long as
//! well. A message carries its identity as metadata, by which it is found after a lost answer.

mod buttons;
mod check;
mod config;
mod failure;
mod home;
mod markup;
mod message;
mod overflow;
mod pace;
mod people;
mod platform;
mod receive;
mod request;
mod web;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use rollbot_chat::{Dispatch, Recent, SendError};
use tokio::sync::{OnceCell, Semaphore};

pub use check::{APP_SCOPE, SCOPES};
pub use config::{ConfigError, Mode, SlackConfig};
pub use request::SHORTCUT;

/// The name of the platform, in accounts and destinations.
pub const PLATFORM: &str = "slack";

/// Slack, as one app in one workspace.
pub struct Slack {
    config: SlackConfig,
    web: web::Web,
    /// Who the token says we are; asked once.
    me: OnceCell<people::Me>,
    /// The team of each person, and when it was asked for.
    teams: Recent<String, (String, Instant)>,
    door: receive::Door,
    homes: home::Homes,
    /// The bot's own reactions, by message.
    offered: Recent<String, BTreeSet<String>>,
    permits: Arc<Semaphore>,
}

impl Slack {
    /// # Errors
    /// What is wrong with the configuration, and what to write instead.
    pub fn new(config: SlackConfig) -> Result<Arc<Self>, ConfigError> {
        config.check()?;
        Ok(Arc::new(Self {
            web: web::Web::new(&config)?,
            me: OnceCell::new(),
            teams: Recent::new(people::MOST_TEAMS),
            door: receive::Door::new(config.mode),
            homes: home::Homes::default(),
            offered: Recent::new(platform::MOST_OFFERED),
            permits: Arc::new(Semaphore::new(config.in_flight)),
            config,
        }))
    }

    /// Takes what people do until `shutdown`: keeps the sockets open, or, over HTTP, only tells that
    /// rollbot is there. Ends early if Slack refuses the credentials; `connection()` then says why.
    pub async fn run(
        self: Arc<Self>,
        dispatch: Arc<dyn Dispatch>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        receive::run(self, dispatch, shutdown).await;
    }

    /// `POST /slack/events`, `/slack/commands` and `/slack/interactivity`, for the HTTP way. Every
    /// request must carry Slack's signature.
    pub fn router(self: Arc<Self>, dispatch: Arc<dyn Dispatch>) -> axum::Router {
        receive::http::router(self, dispatch)
    }

    /// Who the token belongs to.
    async fn me(&self) -> Result<&people::Me, SendError> {
        self.me.get_or_try_init(|| people::Me::ask(self)).await
    }
}

impl std::fmt::Debug for Slack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slack")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
