//! The configuration, checked: what the rest of the bot works with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rollbot_core::approval::{BreakGlass, People, Policy};
use rollbot_core::outbox::Destination;
use rollbot_core::plan::{self, ArchiveFormat};
use rollbot_engine::{EngineConfig, Grants};
use url::Url;

use crate::secret::Secret;
pub use crate::written::{LogFormat, LogLevel};

/// What the three files say. Made by [`Config::load`] and in no other way, so that it holds together:
/// groups exist, nothing belongs to two services, every path is absolute.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory it was read from, as it was given.
    pub directory: PathBuf,
    pub state_directory: PathBuf,
    pub bot: Bot,
    pub store: Store,
    /// `None` where it is switched off.
    pub console: Option<Console>,
    pub control: Control,
    /// `None` where there is no such section.
    pub slack: Option<Slack>,
    pub discord: Option<Discord>,
    /// Where platforms that call over HTTP reach the bot, if one does.
    pub webhooks: SocketAddr,
    pub chat: Chat,
    /// For services without a policy of their own; each [`Service`] has its own copy.
    pub approval: Policy,
    pub break_glass: BreakGlass,
    pub status_update: StatusUpdate,
    /// Templates that replace built-in ones.
    pub templates: Option<PathBuf>,
    pub engine: EngineConfig,
    pub docker: Docker,
    pub backup: Backup,
    pub registry: Registry,
    pub process: Process,
    pub log: Log,
    /// By name; `local` always is among them.
    pub hosts: BTreeMap<String, Host>,
    /// In the order of the file.
    pub services: Vec<Service>,
    pub people: People,
    /// By the name that stands for it in a check's headers as `{secret:NAME}`.
    pub secrets: BTreeMap<String, Secret>,
}

impl Config {
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.description.name == name)
    }

    /// In the order of the file.
    pub fn service_names(&self) -> Vec<String> {
        self.services
            .iter()
            .map(|service| service.description.name.clone())
            .collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bot {
    pub name: String,
    /// What users call the platform: "Cryptobot".
    pub product: String,
    /// Whom users write to.
    pub support: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    Sqlite { path: PathBuf },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    pub listen: SocketAddr,
    /// Scheme and authority, without a slash at the end.
    pub public_url: String,
    pub access: Access,
    /// At least one.
    pub channels: Vec<Channel>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Lower case letters, digits, `-` and `_`.
    pub name: String,
    /// What it is for; may be empty.
    pub about: String,
    /// Users read it: `[chat]` names it for announcements, and not for operations.
    pub announcements: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    Login,
    /// Addresses and networks: `10.0.0.7`, `10.0.0.0/8`.
    TrustedHeader {
        header: String,
        from: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    pub socket: PathBuf,
    /// Group of the system whose members may connect.
    pub group: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// At least one.
    pub operations: Vec<Destination>,
    /// At least one.
    pub announcements: Vec<Destination>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusUpdate {
    pub after: Duration,
    pub every: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docker {
    pub socket: PathBuf,
    /// Bytes.
    pub min_free: u64,
    pub projects: BTreeMap<String, ComposeProject>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeProject {
    pub directory: PathBuf,
    /// At least one; absolute, or relative to the directory.
    pub files: Vec<PathBuf>,
    pub env_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    pub directory: PathBuf,
    pub format: ArchiveFormat,
    /// Bytes that stay free.
    pub reserve: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registry {
    JsonFile { path: PathBuf },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    Auto,
    Systemd {
        bus: Option<String>,
    },
    Commands {
        state_directory: PathBuf,
        units: Vec<Unit>,
    },
}

/// A unit that is a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    /// At least the program.
    pub argv: Vec<String>,
    pub directory: Option<PathBuf>,
    pub environment: BTreeMap<String, Secret>,
    pub log: PathBuf,
    pub port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub title: String,
}

/// A service that can be rolled back.
#[derive(Debug, Clone)]
pub struct Service {
    /// What users call it.
    pub title: String,
    /// Service type: decides which plugin.
    pub kind: String,
    pub critical: bool,
    /// What the plugin is called with, but for the cutover: see [`Service::description_now`].
    pub description: plan::Service,
    pub cutover: Cutover,
    pub grants: Grants,
    pub approval: Policy,
}

impl Service {
    /// The description with the cutover as it is known now.
    pub fn description_now(&self) -> plan::Service {
        plan::Service {
            cutover: self.cutover.read().ok(),
            ..self.description.clone()
        }
    }
}

/// When traffic moved to the native deployment, or its data was last synchronised back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cutover {
    NotGiven,
    At(Timestamp),
    /// Read whenever it is asked for: a synchronisation may write it at any time.
    File(PathBuf),
}

/// The cutover is not known. The sentence is shown to people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CutoverUnknown {
    #[error("services.toml gives no cutover")]
    NotGiven,
    #[error("{path} cannot be read: {why}")]
    Unreadable { path: String, why: String },
    #[error("{path} holds no time such as 2026-11-22T14:10:00Z")]
    NoTime { path: String },
}

impl Cutover {
    /// # Errors
    /// Why it is not known.
    pub fn read(&self) -> Result<Timestamp, CutoverUnknown> {
        use std::io::Read as _;
        /// A time with its offset has far fewer bytes.
        const MOST: u64 = 1024;
        let path = match self {
            Self::NotGiven => return Err(CutoverUnknown::NotGiven),
            Self::At(at) => return Ok(*at),
            Self::File(path) => path,
        };
        let shown = || path.display().to_string();
        let unreadable = |error: std::io::Error| CutoverUnknown::Unreadable {
            path: shown(),
            why: error.to_string(),
        };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(CutoverUnknown::NoTime { path: shown() });
        }
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(MOST)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        if text.trim().is_empty() {
            let changed = metadata.modified().map_err(unreadable)?;
            return Timestamp::try_from(changed)
                .map_err(|_| CutoverUnknown::NoTime { path: shown() });
        }
        text.trim()
            .parse()
            .map_err(|_| CutoverUnknown::NoTime { path: shown() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cutover_file_says_the_time_or_is_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cutover");
        let cutover = Cutover::File(path.clone());
        assert!(matches!(
            cutover.read(),
            Err(CutoverUnknown::Unreadable { .. })
        ));
        std::fs::write(&path, "2026-11-22T14:10:00+01:00\n").unwrap();
        assert_eq!(
            cutover.read().unwrap(),
            "2026-11-22T13:10:00Z".parse().unwrap()
        );
        std::fs::write(&path, "yesterday").unwrap();
        assert!(matches!(cutover.read(), Err(CutoverUnknown::NoTime { .. })));
        std::fs::write(&path, "").unwrap();
        let changed = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(changed)
            .unwrap();
        assert_eq!(
            cutover.read().unwrap(),
            Timestamp::from_second(1_700_000_000).unwrap()
        );
        let directory = Cutover::File(directory.path().to_owned());
        assert!(matches!(
            directory.read(),
            Err(CutoverUnknown::NoTime { .. })
        ));
    }
}

/// A Slack app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slack {
    pub api_url: Url,
    pub bot_token: Secret,
    pub way: SlackWay,
}

/// How Slack reaches the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlackWay {
    Socket { app_token: Secret, sockets: u32 },
    Http { signing_secret: Secret },
}

/// A Discord application with a bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discord {
    pub api_url: Url,
    pub token: Secret,
    pub application: u64,
    /// `None`: the commands are global.
    pub guild: Option<u64>,
    pub way: DiscordWay,
}

/// How Discord reaches the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscordWay {
    Gateway,
    /// The key has 64 hexadecimal digits.
    Http {
        public_key: String,
    },
}

impl Config {
    /// Whether any platform calls the bot over HTTP.
    pub fn has_webhooks(&self) -> bool {
        let slack = self
            .slack
            .as_ref()
            .is_some_and(|slack| matches!(slack.way, SlackWay::Http { .. }));
        let discord = self
            .discord
            .as_ref()
            .is_some_and(|discord| matches!(discord.way, DiscordWay::Http { .. }));
        slack || discord
    }
}
