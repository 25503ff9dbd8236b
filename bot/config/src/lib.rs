//! What `config/` says, checked.
//!
//! Three files: `rollbot.toml` (the bot and its machine), `services.toml` (what can be rolled back)
//! and `people.toml` (who may do what). [`Config::load`] reads all three and either returns a
//! [`Config`] that holds together, or every error of every file at once ([`ConfigErrors`]), each
//! with its place and with what is allowed instead.
//!
//! The way of a value: text, decoded into the structs of [`written`], checked on its own and against
//! the rest, then a plain type in [`Config`]. The structs of [`written`] also write: a program that
//! needs a configuration fills [`written::Files`] and calls
//! [`write`](written::Files::write).
//!
//! Secrets are never written in these files. A value says where its secret is; it is looked up once,
//! here, and kept in a [`Secret`], which cannot be printed.

mod check;
mod config;
mod decode;
mod grants;
mod load;
mod problem;
mod secret;
mod source;
pub mod written;

#[cfg(test)]
mod tests;

pub use config::{
    Access, Backup, Bot, Channel, Chat, ComposeProject, Config, Console, Control, Cutover,
    CutoverUnknown, Discord, DiscordWay, Docker, Host, Log, LogFormat, LogLevel, Process, Registry,
    Service, Slack, SlackWay, StatusUpdate, Store, Unit,
};
pub use load::Loader;
pub use problem::{ConfigErrors, Problem};
pub use secret::Secret;

/// Names of the files.
pub const ROLLBOT: &str = "rollbot.toml";
pub const SERVICES: &str = "services.toml";
pub const PEOPLE: &str = "people.toml";
