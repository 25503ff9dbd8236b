//! Service discovery: which deployment a service name leads to.
//!
//! [`Registry`] is what any service registry has to offer here; [`JsonFileRegistry`] is the embedded
//! one, a JSON file that clients read.

mod file;
mod json_file;

pub use json_file::JsonFileRegistry;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// A key and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    pub key: String,
    pub value: String,
    /// Counts the changes of this key, from 1.
    pub revision: u64,
}

/// What a key leads to after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChangeReport {
    /// As it was read back.
    pub entry: Entry,
    /// The value before; `None` if there was none. The same as now if nothing had to be changed.
    pub previous: Option<String>,
}

/// Why a key was not read or not changed. Each holds a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    #[error("{0}")]
    NotFound(String),
    /// Somebody else changed the key since it was read.
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Failed(String),
}

/// A service registry.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The key as the registry has it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such key; [`Error::Failed`] if that cannot be found out.
    async fn get(&self, key: &str) -> Result<Entry, Error>;

    /// What a client would connect to, found out as a client does it.
    ///
    /// # Errors
    /// As for [`get`](Registry::get).
    async fn resolve(&self, key: &str) -> Result<String, Error>;

    /// Makes the key lead to the value, and reads it back. A key that leads there already is left
    /// as it is, whatever its revision: the change may be repeated.
    ///
    /// With `expected_revision` the change is made only if the key still has this revision. 0 means
    /// that there must be no such key yet, and creates it.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the revision is another one; [`Error::NotFound`] if there is no such
    /// key, so that a misspelt one does not come into being unnoticed; [`Error::Failed`] if the
    /// registry cannot be read or written.
    async fn point(
        &self,
        key: &str,
        value: &str,
        expected_revision: Option<u64>,
    ) -> Result<ChangeReport, Error>;
}
