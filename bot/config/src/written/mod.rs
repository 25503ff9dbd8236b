//! The files as they are written: one struct for each table, with the names of the keys.
//!
//! The same structs are read and written, so that a configuration which a program makes is the one
//! that is documented. What the values mean, and whether they fit together, is
//! checked where they become a [`Config`](crate::Config).

mod amount;
mod given;
mod people;
mod platforms;
mod rollbot;
mod services;
mod value;

use std::fs;
use std::io;
use std::path::Path;

pub use amount::{Period, Size};
pub use given::{Given, Table, list, table};
pub use people::{People, Person, SlackAccount};
pub use platforms::{Discord, DiscordWay, Slack, SlackWay, Webhooks};
pub use rollbot::{
    Access, Approval, Backup, Bot, BreakGlass, Channel, Chat, ComposeProject, Console, Control,
    Docker, Engine, Host, Log, LogFormat, LogLevel, Manager, Process, Registry, RegistryKind,
    Rollbot, StatusUpdate, Store, StoreKind, Templates, Unit,
};
pub use services::{Check, Expectation, GrantList, Grants, Service, ServiceRegistry, Services};
pub use value::{SecretSource, Value};

/// The three files.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub rollbot: Rollbot,
    pub services: Services,
    pub people: People,
}

/// The files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{file} cannot be put into words of TOML: {source}")]
    Encode {
        file: &'static str,
        source: toml::ser::Error,
    },
    #[error("{path} cannot be written: {source}")]
    Write { path: String, source: io::Error },
}

impl Files {
    /// Writes `rollbot.toml`, `services.toml` and `people.toml` into an existing directory; files
    /// of these names are replaced.
    ///
    /// # Errors
    /// A value that TOML cannot hold, or a file that cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), WriteError> {
        let encode = |file, source| WriteError::Encode { file, source };
        let files = [
            (crate::ROLLBOT, toml::to_string(&self.rollbot)),
            (crate::SERVICES, toml::to_string(&self.services)),
            (crate::PEOPLE, toml::to_string(&self.people)),
        ];
        for (file, text) in files {
            let text = text.map_err(|source| encode(file, source))?;
            let path = directory.join(file);
            fs::write(&path, text).map_err(|source| WriteError::Write {
                path: path.display().to_string(),
                source,
            })?;
        }
        Ok(())
    }
}
