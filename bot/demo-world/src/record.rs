//! `world.json`: what was made, and where it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::WorldError;
use crate::layout::Layout;
use crate::observe::Deployment;
use crate::options::EngineKind;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    pub phase: Phase,
    /// Name of the compose project, unique for the directory.
    pub project: String,
    /// 0 until they have been found.
    pub port_base: u16,
    pub engine: Engine,
    pub stand_in_command: Vec<String>,
    /// When traffic moved to the native services, as the demo's story has it.
    pub cutover: Timestamp,
    pub created: Timestamp,
    /// Which start of the machine the processes belong to.
    pub boot: String,
    /// Ids of the images that were made or used.
    pub images: Vec<String>,
    /// An address at which containers reach the native services; none where there is none.
    pub gateway: Option<String>,
    /// Who served when the world was ended.
    pub served_by: BTreeMap<String, Deployment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not everything is there yet; whoever made it may have been killed.
    Creating,
    Running,
    /// Ended in good order: nothing of it runs.
    Stopped,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Engine {
    pub kind: EngineKind,
    pub socket: PathBuf,
    /// Why this one, for people.
    pub reason: String,
}

impl Record {
    pub fn read(layout: &Layout) -> Result<Option<Self>, WorldError> {
        let path = layout.record();
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text)
                    .map(Some)
                    .map_err(|error| WorldError::Damaged {
                        path,
                        reason: error.to_string(),
                    })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(WorldError::file(&path)(error)),
        }
    }

    pub fn write(&self, layout: &Layout) -> Result<(), WorldError> {
        let path = layout.record();
        let failed = |error: io::Error| WorldError::file(&path)(error);
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        let mut partial = tempfile::NamedTempFile::new_in(layout.root()).map_err(failed)?;
        partial
            .write_all(&text)
            .and_then(|()| partial.as_file().sync_all())
            .map_err(failed)?;
        partial
            .persist(&path)
            .map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// Differs after the machine was started anew. Empty where that cannot be told.
pub fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}
