//! What can go wrong with a world.

use std::io;
use std::path::{Path, PathBuf};

/// Why a world could not be made, found or ended: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// There is a world in the directory already.
    #[error("{0} holds a world already: open it, or choose another directory")]
    Exists(PathBuf),
    /// There is none.
    #[error("{0} holds no world (no world.json): create one")]
    Absent(PathBuf),
    /// `world.json` is not what was written.
    #[error("{path} is damaged: {reason}; create a world in another directory")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// Another process is creating, opening or ending the world.
    #[error("another process is busy with the world in {0}: try again when it is done")]
    Busy(PathBuf),
    /// A file or directory cannot be used.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The services' ports are taken.
    #[error("{0}")]
    Ports(String),
    /// The container engine cannot be used.
    #[error("the container engine at {socket} cannot be used: {reason}")]
    Engine {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        reason: String,
    },
    /// The engine answered a request with an error, or not at all.
    #[error("the container engine could not {what}: {reason}")]
    Container {
        /// "create the container for trade"
        what: String,
        /// The engine's words.
        reason: String,
    },
    /// The stand-in engine does not come up.
    #[error("the stand-in engine does not start: {reason}; its log is {log}")]
    StandIn {
        /// Why.
        reason: String,
        /// Where its output is.
        log: PathBuf,
    },
    /// A native service does not come up, or does not end.
    #[error("{unit}: {reason}; its log is {log}")]
    Native {
        /// `cryptobot-trade`
        unit: String,
        /// Why.
        reason: String,
        /// Where its output is.
        log: PathBuf,
    },
    /// The service registry cannot be written.
    #[error("the service registry cannot be written: {0}")]
    Registry(String),
}

impl WorldError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
