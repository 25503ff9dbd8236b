//! What a call may touch: the capabilities that the plugin wants, and of those, what was granted.

use rollbot_core::plan::EffectKind;

use crate::bindings::exports::rollbot::plugin::procedures::Capability;
use crate::grants::{Denied, Grants};
use crate::hosts::{Host, Hosts};

/// Under what a plugin runs.
pub(crate) struct Authority {
    pub hosts: Hosts,
    pub grants: Grants,
    pub wants: Vec<Capability>,
}

/// A call that is not made; the plugin is told so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Denied(String),
    NotInPlan(String),
    Invalid(String),
}

impl Refusal {
    pub fn text(&self) -> &str {
        match self {
            Self::Denied(text) | Self::NotInPlan(text) | Self::Invalid(text) => text,
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied.to_string())
    }
}

impl Authority {
    /// Whether the plugin asked for the capability. One that it did not ask for was not considered
    /// by whoever installed it.
    pub fn may(&self, capability: Capability) -> Result<(), Refusal> {
        if self.wants.contains(&capability) {
            Ok(())
        } else {
            Err(Refusal::Denied(format!(
                "the plugin's description does not ask for `{}`",
                word(capability)
            )))
        }
    }

    pub fn machine(&self, name: &str) -> Result<Host, Refusal> {
        self.hosts.get(name).cloned().ok_or_else(|| {
            Refusal::Denied(format!(
                "host `{name}` is not configured in config/rollbot.toml"
            ))
        })
    }

    /// Whether the effect may be performed as far as capabilities and grants go.
    pub fn may_perform(&self, kind: &EffectKind) -> Result<(), Refusal> {
        self.may(capability_of(kind))?;
        Ok(self.grants.allows_effect(kind)?)
    }
}

pub(crate) fn capability_of(kind: &EffectKind) -> Capability {
    match kind {
        EffectKind::StopProcesses(_) | EffectKind::StartProcesses(_) => Capability::Process,
        EffectKind::ComposeUp(_) | EffectKind::ComposeDown(_) => Capability::Docker,
        EffectKind::CreateBackup(_) => Capability::Backup,
        EffectKind::PointRegistry(_) => Capability::Registry,
        EffectKind::Transact(_) | EffectKind::Submit(_) => Capability::Probe,
    }
}

/// As in the plugin API: `process`.
pub(crate) fn word(capability: Capability) -> &'static str {
    match capability {
        Capability::Process => "process",
        Capability::Docker => "docker",
        Capability::Backup => "backup",
        Capability::Probe => "probe",
        Capability::Registry => "registry",
        Capability::Ask => "ask",
    }
}
