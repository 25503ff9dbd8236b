//! What can be chosen.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How to create a world.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// Where its containers live.
    pub engine: EngineChoice,
    /// The first of six ports in a row, which must all be free. `None`: 9000 if possible, else
    /// wherever there are six.
    pub port_base: Option<u16>,
    /// The program that is the stand-in engine, and its first arguments; `--socket S --state DIR`
    /// are added. For rollbot: its own path and `stand-in-engine`.
    pub stand_in_command: Vec<String>,
}

/// How to open one.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Instead of the command the world was created with, where the program has moved.
    pub stand_in_command: Option<Vec<String>>,
    /// Services (by name) whose native process is not to be started in any case, because an
    /// operation is under way with them.
    pub keep_stopped: BTreeSet<String>,
}

/// Which engine to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineChoice {
    /// Docker where one answers on the socket of `DOCKER_HOST` or on `/var/run/docker.sock`, else
    /// the stand-in. [`World::engine_reason`](crate::World::engine_reason) says why.
    Auto,
    /// The engine on this socket, or an error.
    Docker(PathBuf),
    /// The stand-in.
    StandIn,
}

/// Which engine is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// A real one.
    Docker,
    /// The stand-in, started for this world.
    StandIn,
}

impl EngineKind {
    /// `docker` or `stand-in`
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::StandIn => "stand-in",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
