use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Where the engine is, and how to make the containers of its compose projects.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The engine's Unix socket: `/var/run/docker.sock`.
    pub socket: PathBuf,
    /// By compose project. A project that is not in here can be read, started and stopped where its
    /// containers exist, but none can be created.
    pub projects: BTreeMap<String, ProjectConfig>,
    pub deadlines: Deadlines,
    /// Where `docker` and `docker-compose` are looked for, as in `PATH`; `None` for this process's
    /// own `PATH`.
    pub compose_path: Option<OsString>,
    /// Below this much free space where the engine keeps its data, a service is not ready. Bytes.
    pub min_free_bytes: u64,
}

impl EngineConfig {
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            projects: BTreeMap::new(),
            deadlines: Deadlines::default(),
            compose_path: None,
            min_free_bytes: 256 << 20,
        }
    }
}

/// A compose project on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectConfig {
    /// What relative paths in the compose files are relative to.
    pub directory: PathBuf,
    /// The compose files, in the order of `-f`; relative ones are below `directory`.
    pub files: Vec<PathBuf>,
    /// A file of variables for the compose files (`--env-file`).
    pub env_file: Option<PathBuf>,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Any question to the engine.
    pub call: Duration,
    /// The start of one container.
    pub start: Duration,
    /// The stop of one container, in addition to the grace it was created with.
    pub stop: Duration,
    /// Reading the logs of one container.
    pub logs: Duration,
    /// One run of compose; its process group is killed afterwards.
    pub compose: Duration,
    /// How often a wait for health looks when no event wakes it.
    pub poll: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(10),
            start: Duration::from_secs(60),
            stop: Duration::from_secs(20),
            logs: Duration::from_secs(20),
            compose: Duration::from_secs(120),
            poll: Duration::from_millis(500),
        }
    }
}
