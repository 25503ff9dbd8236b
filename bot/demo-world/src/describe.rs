//! A world in words.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::options::EngineKind;
use crate::services::DemoService;

/// What a world is made of. Its text is for people; as JSON it is for programs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    /// The world's directory.
    pub directory: PathBuf,
    /// Which engine is used.
    pub engine: EngineKind,
    /// Where it listens.
    pub engine_socket: PathBuf,
    /// Why this one.
    pub engine_reason: String,
    /// The compose project.
    pub project: String,
    /// The containers' image.
    pub image: String,
    /// When traffic moved to the native services, as the demo's story has it.
    pub cutover: Timestamp,
    /// The services.
    pub services: Vec<DemoService>,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "directory   {}", self.directory.display())?;
        let engine = match self.engine {
            EngineKind::Docker => "Docker",
            EngineKind::StandIn => "stand-in (plain processes instead of containers)",
        };
        writeln!(f, "engine      {engine}: {}", self.engine_reason)?;
        writeln!(f, "socket      {}", self.engine_socket.display())?;
        writeln!(
            f,
            "containers  project {}, image {}",
            self.project, self.image
        )?;
        writeln!(
            f,
            "cutover     {}",
            self.cutover.strftime("%Y-%m-%d %H:%M UTC")
        )?;
        for service in &self.services {
            writeln!(
                f,
                "{:<11} {}  unit {}, container {}",
                service.name, service.url, service.unit, service.container
            )?;
        }
        Ok(())
    }
}
