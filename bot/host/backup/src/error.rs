use std::fmt::Display;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// Why an archive could not be made, read or restored. The text is one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    /// There is nothing in the directory. An empty backup is not a backup.
    #[error("{0}")]
    Empty(String),
    /// Says how much is needed, how much is free, and where.
    #[error("{0}")]
    NoSpace(String),
    /// The archive was read back and does not hold what it should.
    #[error("{0}")]
    Mismatch(String),
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// "Cannot ACTION PATH: …"
    pub(crate) fn io(action: impl Display, path: &Path, error: &io::Error) -> Self {
        let text = format!("Cannot {action} {}: {error}", path.display());
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => {
                let free = crate::space::free_below(path)
                    .map(|free| format!("; {} are free there", crate::space::readable(free)))
                    .unwrap_or_default();
                Self::NoSpace(format!("{text}{free}"))
            }
            _ => Self::Failed(text),
        }
    }

    /// The archive's bytes are not what they should be.
    pub(crate) fn damaged(what: impl Display) -> Self {
        Self::Mismatch(format!("The archive is damaged: {what}"))
    }

    /// Puts the archive's path before a sentence that was made where the path is not known.
    pub(crate) fn of_archive(self, path: &Path) -> Self {
        let name = |text: String| format!("{}: {text}", path.display());
        match self {
            Self::Mismatch(text) => Self::Mismatch(name(text)),
            other => other,
        }
    }
}
