//! The web console: a chat platform of rollbot's own, for those who have no other and for the
//! night on which the other one is away.
//!
//! [`Console`] is both sides of it: the [`ChatPlatform`] that rollbot sends its messages to, and the
//! web server that shows them and takes commands, reactions and buttons. Messages live in rollbot's
//! store ([`ConsoleStore`]); the console keeps nothing that a restart would lose.
//!
//! # Who somebody is
//!
//! [`Access`] says how a visitor becomes a [`Person`](rollbot_core::approval::Person). Whoever is not
//! in `people.toml` cannot come in.
//!
//! * **Demo**: the request says whom it acts as, in the header `rollbot-act-as: ana`, the query
//!   `?as=ana`, or the cookie that `POST /api/act-as` sets; in that order, and the first of the
//!   demo's people where it says nothing. In every other mode such a request is refused with 403.
//! * **Login**: [`Console::login_link`] makes a link that works once. The page it leads to asks for
//!   one press of a button (mail and chat programs open links on their own, and would use it up);
//!   `POST /login` then sets the session's cookie.
//! * **Trusted header**: a proxy names the person, by key or by e-mail address.
//!
//! # HTTP API
//!
//! JSON in and out. Every request must name a host that is the console's own. A request that
//! changes something must carry an `Origin` of the console's own as well, as every browser does; a
//! program sends `Origin: http://127.0.0.1:PORT`. Refusals are
//! `{"error": {"code": "origin", "message": "…"}}` with a fitting status.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /api/me` | `{person: {id, name, groups}, access, title, product, channels: [{name, about, announcements}], emoji: {name: sign}, instance, version}` |
//! | `GET /api/people` | demo only: `{people: [{id, name, groups}]}` |
//! | `POST /api/act-as` `{person}` | demo only: sets the cookie, answers like `/api/me` |
//! | `GET /api/messages?since=CHANGE` | `{messages: [Message], change, more}`: without `since` the newest; with it everything that changed after it, oldest change first, `more` if that was not all |
//! | `POST /api/messages` `{channel, text, client_id, thread_of?}` | `{message, answer, pending}` |
//! | `POST /api/messages/ID/reactions` `{emoji, on, client_id}` | `{message, answer, pending}` |
//! | `POST /api/messages/ID/buttons/KEY` `{client_id}` | `{message, answer, pending}` |
//! | `GET /api/completions` | `{completions: [{text, rest, about}]}` |
//! | `GET /api/events` | server-sent events, see below |
//! | `POST /api/logout` | ends the session |
//! | `GET /healthz`, `GET /readyz` | what [`Health`] says; 200 or 503 |
//!
//! A **Message** is `{id, channel, thread_of, author: {id, name} | null, private, kind, html, text,
//! votes: {have, need, open} | null, steps: {done, total, running, paused, failed} | null, buttons:
//! [{key, label, confirm}], reactions: [{emoji, sign, offered, people: [{id, name}], mine}],
//! created_at, edited_at, change}`. `author` is null for rollbot; `html` is safe to insert; `text`
//! is the same as plain text; `confirm` is a sentence to ask before the button is pressed, or null.
//!
//! Text that begins with `/` is a command: it is posted as the person's message (kind `command`)
//! and given to [`Dispatch`]; what that answers is posted as a message of kind `answer`, which only
//! they see if it is private. All other text is an ordinary message (kind `said`). A reaction is
//! recorded first and dispatched then.
//!
//! **`client_id`** (8 to 64 letters, digits, `-`, `_`; make one for each act) makes repetition
//! harmless: the same act with the same `client_id` is done once, and answered again. It is the id
//! of the event: `console:<client_id>`. Using it for another act is refused with 409. `pending`
//! means that the act is still being worked on and its answer will come as an event.
//!
//! **Events**: `hello` `{instance, version, change}` first; `message` with a Message as data and its
//! change as id; `beat` at least every ten seconds; `reset` when the given position is not one of
//! this store, so that the reader loads everything anew. A reader goes on where it was with
//! `Last-Event-ID` or `?since=CHANGE` and misses nothing: what is sent is read from the store, in
//! the order of the changes, and a reader who falls behind just reads more of it. A message may be
//! sent more than once, never in an older state than before.
//!
//! # What the looks go by
//!
//! The console shows Markdown as the templates wrote it and takes its looks from a few of its
//! habits: a paragraph whose lines all begin with a mark (✅ ⏳ ❌ ⏭️ ▫️ ↩️) is a list of steps; the
//! last part of a live message's bold headline is its state; a paragraph of an approval that begins
//! with `1 of 2 approvals` is its tally, bold while the vote is open; a detail begins with its time.
//! A template that does otherwise is shown as plain Markdown.

mod access;
mod acts;
mod api;
mod assets;
mod config;
mod guard;
mod health;
mod html;
mod markdown;
mod marks;
mod platform;
mod serve;
mod view;

use std::sync::{Arc, OnceLock};

use rollbot_chat::{ChatPlatform, Dispatch};
use rollbot_core::Clock;
use rollbot_core::approval::People;
use rollbot_core::console::ConsoleStore;
use rollbot_core::store::StoreError;
use tokio::sync::{Mutex, Semaphore, watch};

pub use access::{LOGIN_LINK_LASTS, LoginError, SESSION_LASTS};
pub use config::{Access, Channel, ConfigError, ConsoleConfig, Network, NotANetwork};
pub use health::{Health, HealthReport};
pub use platform::PLATFORM;
pub use rollbot_chat::escape;

/// As many readers of events may be connected at a time.
const MOST_READERS: usize = 256;

/// The console. One for each process: it knows of changes because they are made through it.
pub struct Console {
    config: ConsoleConfig,
    store: Arc<dyn ConsoleStore>,
    people: People,
    clock: Arc<dyn Clock>,
    /// Where it really listens, once it does.
    bound: OnceLock<std::net::SocketAddr>,
    /// The newest change that was made through this process: wakes the readers.
    changed: watch::Sender<i64>,
    /// Becomes true when the server goes down, so that the endless answers end.
    closing: watch::Sender<bool>,
    readers: Arc<Semaphore>,
    acts: acts::Acts,
    rates: guard::Rates,
    /// Held while a login link is exchanged, so that it works once.
    logins: Mutex<()>,
    /// Another one after every start: what a page remembers of an older one it loads anew.
    instance: String,
}

impl Console {
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(
        config: ConsoleConfig,
        store: Arc<dyn ConsoleStore>,
        people: People,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, ConfigError> {
        config.check(&people)?;
        Ok(Arc::new(Self {
            config,
            store,
            people,
            clock,
            bound: OnceLock::new(),
            changed: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            readers: Arc::new(Semaphore::new(MOST_READERS)),
            acts: acts::Acts::default(),
            rates: guard::Rates::default(),
            logins: Mutex::new(()),
            instance: hex::encode(rand::random::<[u8; 8]>()),
        }))
    }

    /// The whole web site. Requests must carry the peer's address as
    /// `axum::extract::ConnectInfo<SocketAddr>`; [`Console::serve`] sees to that.
    pub fn router(
        self: &Arc<Self>,
        dispatch: Arc<dyn Dispatch>,
        health: Arc<dyn Health>,
    ) -> axum::Router {
        api::router(api::Served {
            console: Arc::clone(self),
            dispatch,
            health,
        })
    }

    pub fn config(&self) -> &ConsoleConfig {
        &self.config
    }

    /// Remembers that this change is in the store, and wakes whoever waits for it.
    fn tell(&self, change: i64) {
        self.changed
            .send_modify(|newest| *newest = change.max(*newest));
    }

    async fn message(
        &self,
        id: i64,
    ) -> Result<Option<rollbot_core::console::ConsoleMessage>, StoreError> {
        self.store.console_message(id).await
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("name", &self.name())
            .field("listen", &self.config.listen)
            .finish_non_exhaustive()
    }
}
