//! Where things lie in a world's directory.

use std::path::{Path, PathBuf};

/// The paths of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// `root` must be absolute: services and containers are given these paths.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The world's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where archives go.
    pub fn backups(&self) -> PathBuf {
        self.root.join("backups")
    }

    /// The compose project's directory.
    pub fn compose(&self) -> PathBuf {
        self.root.join("docker")
    }

    /// The compose file.
    pub fn compose_file(&self) -> PathBuf {
        self.compose().join("docker-compose.yml")
    }

    /// A container's data.
    pub fn container_data(&self, service: &str) -> PathBuf {
        self.compose().join("data").join(service)
    }

    /// A native service's data.
    pub fn native_data(&self, service: &str) -> PathBuf {
        let native = self.root.join("non-docker");
        match service {
            "mcp" => native.join("services").join("mcp"),
            _ => native.join(service),
        }
    }

    /// A native service's program.
    pub fn program(&self, unit: &str) -> PathBuf {
        self.programs().join(unit)
    }

    pub(crate) fn programs(&self) -> PathBuf {
        self.root.join("non-docker").join("bin")
    }

    /// Data of all services together.
    pub fn shared_data(&self) -> PathBuf {
        self.root.join("shared_data")
    }

    /// Operators' scripts.
    pub fn scripts(&self) -> PathBuf {
        self.root.join("scripts")
    }

    /// The service registry.
    pub fn registry(&self) -> PathBuf {
        self.root.join("registry.json")
    }

    /// Logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// A native service's log.
    pub fn log(&self, unit: &str) -> PathBuf {
        self.logs().join(format!("{unit}.log"))
    }

    /// Notes on running processes. This is the state directory of the command units, here and in
    /// the configuration made for this world.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub(crate) fn stand_in_state(&self) -> PathBuf {
        self.root.join("engine")
    }

    pub(crate) fn stand_in_log(&self) -> PathBuf {
        self.logs().join("stand-in-engine.log")
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.root.join("world.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.run().join("world.lock")
    }
}
