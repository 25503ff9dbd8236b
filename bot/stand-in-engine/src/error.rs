//! Two kinds of errors: those that keep the stand-in from running, and those it answers.

use std::io;
use std::path::PathBuf;

use hyper::StatusCode;

/// Why the stand-in cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state directory or something in it cannot be read or written.
    #[error("{path}: {source}")]
    State {
        /// What was being used.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// `state.json` is not what the stand-in wrote.
    #[error("{path} is damaged: {reason}; move it away to start without containers")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// Another stand-in has the state directory.
    #[error("another stand-in engine uses {0}")]
    InUse(PathBuf),
    /// The socket cannot be listened on.
    #[error("cannot listen on {path}: {source}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// An answer of the Engine API that is not the one hoped for.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub status: StatusCode,
    pub message: String,
}

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl From<io::Error> for ApiError {
    fn from(error: io::Error) -> Self {
        Self::internal(error.to_string())
    }
}
