//! Whether the way in stands.

use std::sync::{Mutex, PoisonError};

use rollbot_chat::Connection;

use crate::config::Mode;

#[derive(Debug, Default)]
struct State {
    /// Sockets on which Slack said hello and that have not ended.
    open: usize,
    why: Option<String>,
    given_up: Option<String>,
}

/// The way in, as `connection()` tells of it.
#[derive(Debug)]
pub(crate) struct Door {
    mode: Mode,
    state: Mutex<State>,
}

impl Door {
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            mode,
            state: Mutex::default(),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn connection(&self) -> Connection {
        self.with(|state| match (&state.given_up, self.mode) {
            (Some(why), _) => Connection::GivenUp { why: why.clone() },
            // Whether Slack can reach the bot is known to Slack alone.
            (None, Mode::Http) => Connection::Up,
            (None, Mode::Socket { .. }) if state.open > 0 => Connection::Up,
            (None, Mode::Socket { .. }) => Connection::Down {
                why: state
                    .why
                    .clone()
                    .unwrap_or_else(|| "no socket to Slack is open yet".to_owned()),
            },
        })
    }

    /// A socket is open. True: before it there was none.
    pub(super) fn opened(&self) -> bool {
        self.with(|state| {
            state.open += 1;
            state.open == 1
        })
    }

    pub(super) fn closed(&self, why: &str) {
        self.with(|state| {
            state.open = state.open.saturating_sub(1);
            state.why = Some(why.to_owned());
        });
    }

    pub(super) fn failed(&self, why: &str) {
        self.with(|state| state.why = Some(why.to_owned()));
    }

    pub(super) fn give_up(&self, why: &str) {
        tracing::error!(
            why,
            "nothing comes in from Slack any more: a restart is needed"
        );
        self.with(|state| state.given_up = Some(why.to_owned()));
    }
}
