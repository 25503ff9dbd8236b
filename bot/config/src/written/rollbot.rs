//! `rollbot.toml`

use std::path::PathBuf;

use rollbot_core::plan::ArchiveFormat;
use serde::{Deserialize, Serialize};

use super::{Discord, Given, Period, Size, Slack, Table, Value, Webhooks};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rollbot {
    /// Where the bot keeps what it must not lose.
    pub state_directory: Given<PathBuf>,
    pub bot: Given<Bot>,
    pub store: Given<Store>,
    pub console: Given<Console>,
    pub control: Given<Control>,
    pub slack: Given<Slack>,
    pub discord: Given<Discord>,
    pub webhooks: Given<Webhooks>,
    pub chat: Given<Chat>,
    pub approval: Given<Approval>,
    pub break_glass: Given<BreakGlass>,
    pub status_update: Given<StatusUpdate>,
    pub templates: Given<Templates>,
    pub engine: Given<Engine>,
    pub docker: Given<Docker>,
    pub backup: Given<Backup>,
    pub registry: Given<Registry>,
    pub process: Given<Process>,
    pub log: Given<Log>,
    /// By name; `local` is the machine the bot runs on.
    pub host: Given<Table<Host>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bot {
    /// What the bot calls itself. Default: `rollbot`.
    pub name: Given<String>,
    /// What users call the platform: "Cryptobot".
    pub product: Given<String>,
    /// Whom users write to: an e-mail address or a URL.
    pub support: Given<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Default: `sqlite`.
    pub kind: Given<StoreKind>,
    /// Default: `rollbot.sqlite` in the state directory.
    pub path: Given<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    Sqlite,
}

/// The web console.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// Default: yes.
    pub enabled: Given<bool>,
    /// Address and port. Default: `127.0.0.1:8700`.
    pub listen: Given<String>,
    /// What people type into their browser. Default: `http://` and the address it listens on.
    pub public_url: Given<String>,
    /// Default: `login`.
    pub access: Given<Access>,
    /// With `trusted-header`: the header in which the proxy in front names the person, by id.
    pub header: Given<String>,
    /// With `trusted-header`: addresses and networks of that proxy. Nobody else's header counts.
    pub from: Given<Vec<Given<String>>>,
    pub channel: Given<Vec<Given<Channel>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    Login,
    TrustedHeader,
}

/// A channel of the web console.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channel {
    pub name: Given<String>,
    /// What it is for, a few words.
    pub about: Given<String>,
}

/// How the command line reaches the bot.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// A Unix socket. Default: `control.sock` in the state directory.
    pub socket: Given<PathBuf>,
    /// Members of this group of the system may connect. Default: the bot's own user only.
    pub group: Given<String>,
}

/// Where messages go, as `platform/channel`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chat {
    /// Where operators ask, approve and watch.
    pub operations: Given<Vec<Given<String>>>,
    /// Where users are told.
    pub announcements: Given<Vec<Given<String>>>,
}

/// What it takes to approve. A service may override each key.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Approval {
    /// How many distinct people.
    pub required: Given<u32>,
    /// Members of any of these count.
    pub groups: Given<Vec<Given<String>>>,
    /// Whether the one who asked counts as well. Default: no.
    pub requester_counts: Given<bool>,
    /// How long a vote stays open. Default: 15 minutes.
    pub expiry: Given<Period>,
}

/// One person starts alone, for a reason, and everybody who was skipped is alerted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakGlass {
    /// Default: no.
    pub enabled: Given<bool>,
    pub groups: Given<Vec<Given<String>>>,
}

/// When users hear of an operation that lasts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusUpdate {
    /// Once it has lasted this long. Default: 5 minutes.
    pub after: Given<Period>,
    /// And then this often. Default: 10 minutes.
    pub every: Given<Period>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Templates {
    /// Templates in it replace the built-in ones of the same name.
    pub directory: Given<PathBuf>,
}

/// How much a plugin may use.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Where compiled plugins are kept. Default: `plugins` in the state directory.
    pub cache_directory: Given<PathBuf>,
    /// Instructions of a whole run.
    pub fuel: Given<u64>,
    /// Memory of a plugin.
    pub memory: Given<Size>,
    /// Memory of a plugin that brings an interpreter.
    pub memory_large: Given<Size>,
    /// How long a plugin may compute between two host calls.
    pub deadline: Given<Period>,
    /// Host calls of one run.
    pub calls: Given<u32>,
    /// How long a plan may take, its queries included.
    pub plan_deadline: Given<Period>,
    /// How long one effect may take.
    pub effect_deadline: Given<Period>,
    /// How often what may pass by itself is tried before people are asked.
    pub attempts: Given<u32>,
    /// Plugins that run at the same time.
    pub instances: Given<u32>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Docker {
    /// The engine's Unix socket. Default: `/var/run/docker.sock`.
    pub socket: Given<PathBuf>,
    /// With less free space where the engine keeps its data, a service is not ready. Default:
    /// 256 MiB.
    pub min_free: Given<Size>,
    /// By the name of the compose project.
    pub project: Given<Table<ComposeProject>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComposeProject {
    pub directory: Given<PathBuf>,
    /// In the order in which compose reads them; relative ones are below the directory. Default:
    /// `docker-compose.yml`.
    pub files: Given<Vec<Given<PathBuf>>>,
    /// A file of variables for the compose files.
    pub env_file: Given<PathBuf>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// Where archives are kept.
    pub directory: Given<PathBuf>,
    /// Default: `tar-zst`.
    pub format: Given<ArchiveFormat>,
    /// Space that a backup leaves free on the disk. Default: 1 GiB.
    pub reserve: Given<Size>,
}

/// The service registry.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// Default: `json-file`.
    pub kind: Given<RegistryKind>,
    pub path: Given<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryKind {
    JsonFile,
}

/// How this machine runs its services.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// Default: `auto`.
    pub manager: Given<Manager>,
    /// With `systemd`: a D-Bus address. Default: the system bus.
    pub bus: Given<String>,
    /// With `commands`: where it is noted which process a unit is. Default: `units` in the state
    /// directory.
    pub state_directory: Given<PathBuf>,
    /// With `commands`: the units.
    pub unit: Given<Vec<Given<Unit>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// systemd if it answers, otherwise only ports and the processes that own them.
    Auto,
    Systemd,
    /// No service manager: each unit is a command.
    Commands,
}

/// A unit that is a command.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unit {
    pub name: Given<String>,
    /// Program and arguments. No shell sees them.
    pub argv: Given<Vec<Given<String>>>,
    /// Where the command runs. Default: where the bot does.
    pub directory: Given<PathBuf>,
    /// Standard output and error are appended to this file.
    pub log: Given<PathBuf>,
    /// The TCP port on which the command listens when it is ready.
    pub port: Given<u16>,
    pub environment: Given<Table<Value>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Default: `text`.
    pub format: Given<LogFormat>,
    /// Default: `info`.
    pub level: Given<LogLevel>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// A machine that services live on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Host {
    /// What people call the machine. Default: its name here.
    pub title: Given<String>,
}
