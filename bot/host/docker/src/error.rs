use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why containers could not be read or changed. The text is one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    /// The engine does not answer, or answers 5xx. Nothing is known about the containers.
    #[error("{0}")]
    Unavailable(String),
    /// No image, no container, and no compose file to make one from.
    #[error("{0}")]
    NotFound(String),
    /// The engine or compose refused, and says why.
    #[error("{0}")]
    Failed(String),
    /// The engine answers, but what was asked for did not happen in time.
    #[error("{0}")]
    TimedOut(String),
}

impl Error {
    /// `what` continues the sentence "The Docker engine at SOCKET …".
    pub(crate) fn unavailable(socket: &Path, what: impl std::fmt::Display) -> Self {
        Self::Unavailable(format!(
            "The Docker engine at {} {what}; check that it runs (`docker info`), that its log shows no \
             trouble, and that this user may use the socket",
            socket.display()
        ))
    }

    pub(crate) fn silent(socket: &Path, action: &str, deadline: Duration) -> Self {
        Self::unavailable(
            socket,
            format_args!(
                "did not answer within {} when asked to {action}",
                seconds(deadline)
            ),
        )
    }
}

/// `1.5 s`, for sentences.
pub(crate) fn seconds(duration: Duration) -> String {
    let text = format!("{:.1}", duration.as_secs_f64());
    format!("{} s", text.strip_suffix(".0").unwrap_or(&text))
}
