//! What the stand-in knows. Names and shapes of [`Config`] are the Engine API's own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::process::Identity;

/// Everything, as it lies in `state.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    pub images: BTreeMap<String, Image>,
    pub containers: BTreeMap<String, Container>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Image {
    /// `sha256:` and the digest of its configuration, which holds the digest of its files.
    pub id: String,
    /// `name:tag`
    pub tags: Vec<String>,
    /// `sha256:` and the digest of the archive it came from.
    pub layer: String,
    pub created: Timestamp,
    pub size: u64,
    pub config: Config,
}

/// `Config` of images and containers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    #[serde(deserialize_with = "null_is_default")]
    pub hostname: String,
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "words")]
    pub cmd: Option<Vec<String>>,
    #[serde(deserialize_with = "words")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(deserialize_with = "null_is_default")]
    pub image: String,
    #[serde(deserialize_with = "null_is_default")]
    pub working_dir: String,
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    pub exposed_ports: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(deserialize_with = "null_is_default")]
    pub tty: bool,
}

/// Times in nanoseconds; 0 means the default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    #[serde(deserialize_with = "null_is_default")]
    pub test: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub interval: i64,
    #[serde(deserialize_with = "null_is_default")]
    pub timeout: i64,
    #[serde(deserialize_with = "null_is_default")]
    pub start_period: i64,
    #[serde(deserialize_with = "null_is_default")]
    pub retries: i64,
}

impl Healthcheck {
    /// Whether there is anything to run.
    pub fn enabled(&self) -> bool {
        self.test
            .first()
            .is_some_and(|first| !matches!(first.as_str(), "NONE" | ""))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Container {
    pub id: String,
    /// Without the slash.
    pub name: String,
    pub created: Timestamp,
    pub image_id: String,
    /// The container's own settings over the image's.
    pub config: Config,
    pub host: Host,
    /// `HostConfig` as it was sent.
    pub host_config: Value,
    pub run: Run,
}

/// The part of `HostConfig` that has an effect here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Host {
    pub ports: Vec<Published>,
    pub mounts: Vec<Mount>,
    pub restart: RestartPolicy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub container_port: u16,
    /// Empty means all addresses.
    pub host_ip: String,
    /// 0 means any free one, chosen at each start.
    pub host_port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub source: PathBuf,
    pub target: String,
    pub volume: Option<String>,
    pub read_only: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    #[default]
    No,
    Always,
    UnlessStopped,
    /// At most so many times; 0 is without a limit.
    OnFailure(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Created,
    Running,
    Restarting,
    Exited,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }
}

/// The present or the last run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub status: Status,
    /// Counts the starts, so that a task that belongs to an earlier run can tell.
    pub generation: u64,
    /// A process is being started. When the stand-in dies here, the next one looks for it.
    pub launching: bool,
    pub process: Option<Identity>,
    pub ports: Vec<Published>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub exit_code: i64,
    pub error: String,
    pub restarts: i64,
    /// Somebody stopped it: no policy starts it again.
    pub stopped_by_hand: bool,
    pub health: Option<Health>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            status: Status::Created,
            generation: 0,
            launching: false,
            process: None,
            ports: Vec::new(),
            started_at: None,
            finished_at: None,
            exit_code: 0,
            error: String::new(),
            restarts: 0,
            stopped_by_hand: false,
            health: None,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// `starting`, `healthy` or `unhealthy`
    pub status: String,
    pub failing_streak: i64,
    pub log: Vec<HealthResult>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthResult {
    pub start: Timestamp,
    pub end: Timestamp,
    pub exit_code: i64,
    pub output: String,
}

pub fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The engine takes a list of words or one word.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(
        Option::<Words>::deserialize(deserializer)?.map(|words| match words {
            Words::One(word) => vec![word],
            Words::Many(words) => words,
        }),
    )
}
