use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// What a call is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Reading the directory and writing the archive; counted in bytes of data.
    Writing,
    /// Reading an archive; counted in bytes of the archive.
    Reading,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    pub phase: Phase,
    pub done: u64,
    pub total: u64,
}

type Listener = Arc<dyn Fn(Progress) + Send + Sync>;

/// A hand on a call that is under way: to watch it, and to end it.
#[derive(Clone, Default)]
pub struct Control {
    cancel: CancellationToken,
    listener: Option<Listener>,
}

impl Control {
    pub fn new() -> Self {
        Self::default()
    }

    /// `listener` is called from worker threads, every few megabytes, and should return at once.
    pub fn with_progress(mut self, listener: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Ends the call at its next block, with [`Error::Failed`].
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Ends with its parent, and not the other way round.
    pub(crate) fn child(&self) -> Self {
        Self {
            cancel: self.cancel.child_token(),
            listener: self.listener.clone(),
        }
    }

    pub(crate) fn token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Failed(
                "Cancelled before it was done; nothing was left behind".to_owned(),
            ));
        }
        Ok(())
    }

    pub(crate) fn report(&self, phase: Phase, done: u64, total: u64) {
        if let Some(listener) = &self.listener {
            listener(Progress { phase, done, total });
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Control")
            .field("cancelled", &self.cancel.is_cancelled())
            .finish_non_exhaustive()
    }
}
