//! A loaded plugin, and what it says of itself.

use rollbot_core::Digest;
use serde::{Deserialize, Serialize};

use crate::authority::word;
use crate::bindings::PluginPre;
use crate::bindings::exports::rollbot::plugin::procedures as wit;
use crate::guest::Guest;

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Description {
    pub name: String,
    pub version: String,
    /// The `type` in `config/services.toml` that it serves.
    pub service_type: String,
    /// One line for people.
    pub summary: String,
    /// Interfaces it asks for, as in the plugin API: `process`, `docker`.
    pub wants: Vec<String>,
}

/// Something that a plugin can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Procedure {
    /// `rollback`, `undo`
    pub name: String,
    pub title: String,
    /// One line for people.
    pub summary: String,
}

/// A compiled component and its description. Instances of it share nothing.
pub struct Plugin {
    pub(crate) pre: PluginPre<Guest>,
    pub(crate) bytes: usize,
    pub(crate) wants: Vec<wit::Capability>,
    digest: Digest,
    description: Description,
    procedures: Vec<Procedure>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Plugin({} {}, {})",
            self.description.name, self.description.version, self.digest
        )
    }
}

impl Plugin {
    pub(crate) fn new(
        pre: PluginPre<Guest>,
        bytes: usize,
        digest: Digest,
        description: wit::Description,
        procedures: Vec<wit::Procedure>,
    ) -> Self {
        Self {
            pre,
            bytes,
            digest,
            description: Description {
                name: description.name,
                version: description.version,
                service_type: description.service_type,
                summary: description.summary,
                wants: description
                    .wants
                    .iter()
                    .map(|wants| word(*wants).to_owned())
                    .collect(),
            },
            wants: description.wants,
            procedures: procedures
                .into_iter()
                .map(|procedure| Procedure {
                    name: procedure.name,
                    title: procedure.title,
                    summary: procedure.summary,
                })
                .collect(),
        }
    }

    /// Digest of the component's bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub fn description(&self) -> &Description {
        &self.description
    }

    pub fn procedures(&self) -> &[Procedure] {
        &self.procedures
    }

    /// Name and version, for people: `trade 0.1.0`.
    pub fn label(&self) -> String {
        format!("{} {}", self.description.name, self.description.version)
    }
}
