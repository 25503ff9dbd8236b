//! Plans, and the digest that people approve.
//!
//! The records mirror `planning` in `wit/rollbot.wit`; what only the bot knows is added here
//! ([`Pinned`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::Digest;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveFormat {
    TarZst,
    TarGz,
    Zip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub name: String,
    pub value: String,
}

/// How the value at a JSON pointer is judged. Values are JSON texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JsonTest {
    Exists,
    Equals(String),
    AtLeast(f64),
    AtMost(f64),
    /// Milliseconds.
    YoungerThan(u64),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JsonExpectation {
    pub pointer: String,
    pub test: JsonTest,
}

/// An HTTP request and what its answer must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HttpCheck {
    pub method: HttpMethod,
    pub url: String,
    pub headers: Vec<Header>,
    pub body: Option<String>,
    pub status: u16,
    pub expect: Vec<JsonExpectation>,
    /// Milliseconds.
    pub within: u64,
    pub idempotency_key: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedCheck {
    pub name: String,
    pub check: HttpCheck,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub name: String,
    pub value: String,
}

/// A service as the configuration describes it; what a plugin is called with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    pub name: String,
    pub host: String,
    pub units: Vec<String>,
    pub port: Option<u16>,
    pub compose_project: String,
    pub compose_services: Vec<String>,
    pub data_directory: String,
    pub archive_name: String,
    pub archive_format: ArchiveFormat,
    pub registry_key: String,
    pub registry_native: String,
    pub registry_docker: String,
    pub cutover: Option<Timestamp>,
    pub checks: Vec<NamedCheck>,
    pub settings: Vec<Setting>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopMethod {
    ServiceManager,
    PortOwner,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StopProcesses {
    pub host: String,
    pub method: StopMethod,
    pub units: Vec<String>,
    pub port: Option<u16>,
    /// Milliseconds before a process is killed.
    pub grace: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartProcesses {
    pub host: String,
    pub units: Vec<String>,
    pub port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComposeTarget {
    pub host: String,
    pub project: String,
    pub services: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CreateBackup {
    pub host: String,
    pub directory: String,
    pub archive_name: String,
    pub format: ArchiveFormat,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointRegistry {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendRequest {
    pub host: String,
    pub check: HttpCheck,
}

/// A change to the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum EffectKind {
    StopProcesses(StopProcesses),
    StartProcesses(StartProcesses),
    ComposeUp(ComposeTarget),
    ComposeDown(ComposeTarget),
    CreateBackup(CreateBackup),
    PointRegistry(PointRegistry),
    Transact(SendRequest),
    Submit(SendRequest),
}

impl EffectKind {
    /// The host function that performs it, `interface.function`.
    pub fn function(&self) -> &'static str {
        match self {
            Self::StopProcesses(_) => "process.stop",
            Self::StartProcesses(_) => "process.start",
            Self::ComposeUp(_) => "docker.up",
            Self::ComposeDown(_) => "docker.down",
            Self::CreateBackup(_) => "backup.create",
            Self::PointRegistry(_) => "registry.point",
            Self::Transact(_) => "probe.transact",
            Self::Submit(_) => "probe.submit",
        }
    }

    /// The targets in words, for the plan that people read.
    pub fn touches(&self) -> String {
        match self {
            Self::StopProcesses(stop) => match stop.method {
                StopMethod::ServiceManager => format!("units {}", stop.units.join(", ")),
                StopMethod::PortOwner => match stop.port {
                    Some(port) => format!("the process that owns port {port}"),
                    None => format!("the processes of {}", stop.units.join(", ")),
                },
            },
            Self::StartProcesses(start) => format!("units {}", start.units.join(", ")),
            Self::ComposeUp(target) | Self::ComposeDown(target) => format!(
                "containers {} of project {}",
                target.services.join(", "),
                target.project
            ),
            Self::CreateBackup(backup) => {
                format!(
                    "reads {}, writes archive {}",
                    backup.directory, backup.archive_name
                )
            }
            Self::PointRegistry(point) => format!("registry key {} to {}", point.key, point.value),
            Self::Transact(send) | Self::Submit(send) => format!("POST {}", send.check.url),
        }
    }
}

/// What the bot adds to an effect when the plan is made, so that exactly this is performed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pinned {
    /// Image digest by compose service: what is started is this or nothing.
    pub images: BTreeMap<String, String>,
    /// Names of those images, shown and not digested.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub image_names: BTreeMap<String, String>,
    /// Container by compose service, where one exists: the last known good one. By name.
    pub containers: BTreeMap<String, String>,
    /// Value of the registry key when the plan was made.
    pub registry_before: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    pub name: String,
    pub title: String,
    #[serde(flatten)]
    pub kind: EffectKind,
    #[serde(default)]
    pub pinned: Pinned,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contingency {
    pub effect: Effect,
    pub when: String,
    pub after: Option<String>,
    pub undo: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub title: String,
    pub checks: Vec<String>,
    pub effects: Vec<Effect>,
    pub contingencies: Vec<Contingency>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "wanted")]
pub enum WantedState {
    NativeStopped(StartProcesses),
    NativeRunning(StartProcesses),
    ContainersRunning(ComposeTarget),
    ContainersStopped(ComposeTarget),
    RegistryAt(PointRegistry),
}

impl WantedState {
    /// In words: "stopped", "running from the planned image".
    pub fn in_words(&self) -> String {
        match self {
            Self::NativeStopped(_) => "stopped".into(),
            Self::NativeRunning(_) => "running".into(),
            Self::ContainersRunning(_) => "running".into(),
            Self::ContainersStopped(_) => "stopped".into(),
            Self::RegistryAt(point) => point.value.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    pub name: String,
    #[serde(flatten)]
    pub wanted: WantedState,
}

/// What the native deployment wrote that the other side will not have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "known")]
pub enum DataLoss {
    NoneSince {
        since: Timestamp,
    },
    #[serde(rename_all = "kebab-case")]
    Window {
        since: Timestamp,
        last_write: Timestamp,
        files: u64,
        bytes: u64,
    },
    Unknown {
        why: String,
    },
}

/// Everything that is shown before the vote; the digested part of it is chosen by [`Plan::digest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// Digest of the plugin's component.
    pub component: Digest,
    /// Name and version of the plugin, for people.
    pub plugin: String,
    pub procedure: String,
    pub service: Service,
    pub steps: Vec<Step>,
    pub targets: Vec<Target>,
    pub undo_targets: Vec<Target>,
    pub data_loss: DataLoss,
    pub warnings: Vec<String>,
    /// The grants the plugin runs under, as configured.
    pub grants: serde_json::Value,
    pub policy_version: String,
    pub made_at: Timestamp,
}

/// A plan that people could not be asked to approve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenPlan {
    #[error("the plan has no step")]
    Empty,
    #[error("{what} `{name}` is in the plan more than once")]
    Twice { what: &'static str, name: String },
    #[error("`{name}` is no name: use lower case letters, digits and hyphens, at most 64")]
    BadName { name: String },
    #[error("contingency `{name}` comes after `{after}`, which is no effect of the plan")]
    Dangling { name: String, after: String },
    #[error("the plan has more than {limit} {what}")]
    TooLarge { what: &'static str, limit: usize },
    #[error("the plan names no target, so nothing could be verified")]
    NoTarget,
}

impl Plan {
    /// Effects and contingencies, in the plan's order.
    pub fn effects(&self) -> impl Iterator<Item = &Effect> {
        self.steps.iter().flat_map(|step| {
            step.effects
                .iter()
                .chain(step.contingencies.iter().map(|c| &c.effect))
        })
    }

    pub fn effects_mut(&mut self) -> impl Iterator<Item = &mut Effect> {
        self.steps.iter_mut().flat_map(|step| {
            step.effects
                .iter_mut()
                .chain(step.contingencies.iter_mut().map(|c| &mut c.effect))
        })
    }

    pub fn effect(&self, name: &str) -> Option<&Effect> {
        self.effects().find(|effect| effect.name == name)
    }

    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// Whether the plugin is told of a failure of this effect at once, as the plan has an answer.
    pub fn has_contingency_after(&self, effect: &str) -> bool {
        self.steps
            .iter()
            .flat_map(|step| &step.contingencies)
            .any(|contingency| contingency.after.as_deref() == Some(effect))
    }

    /// What people approve: component, procedure, arguments, effects and contingencies with their
    /// symbolic targets and pinned images, grants and policy version.
    ///
    /// Times, ages, titles and the data-loss window are shown and not digested: they change by
    /// themselves while people vote. Images count by digest and containers by name.
    pub fn digest(&self) -> Digest {
        fn undigested_removed(effect: &Effect) -> serde_json::Value {
            let mut pinned = effect.pinned.clone();
            pinned.image_names.clear();
            serde_json::json!({ "name": effect.name, "kind": effect.kind, "pinned": pinned })
        }
        let steps: Vec<_> = self
            .steps
            .iter()
            .map(|step| {
                serde_json::json!({
                    "name": step.name,
                    "effects": step.effects.iter().map(undigested_removed).collect::<Vec<_>>(),
                    "contingencies": step.contingencies.iter().map(|c| serde_json::json!({
                        "effect": undigested_removed(&c.effect),
                        "after": c.after,
                        "undo": c.undo,
                    })).collect::<Vec<_>>(),
                })
            })
            .collect();
        let mut service = self.service.clone();
        // Each synchronisation moves it; what it means is in the data-loss window.
        service.cutover = None;
        let covered = serde_json::json!({
            "component": self.component,
            "procedure": self.procedure,
            "service": service,
            "steps": steps,
            "targets": self.targets,
            "undo-targets": self.undo_targets,
            "grants": self.grants,
            "policy-version": self.policy_version,
        });
        Digest::of(canonical_json(&covered).as_bytes())
    }

    /// Whether people can be asked to approve it at all.
    ///
    /// # Errors
    /// The first thing wrong with it.
    pub fn check(&self) -> Result<(), BrokenPlan> {
        const MOST_STEPS: usize = 64;
        const MOST_EFFECTS: usize = 256;
        if self.steps.is_empty() {
            return Err(BrokenPlan::Empty);
        }
        if self.targets.is_empty() {
            return Err(BrokenPlan::NoTarget);
        }
        if self.steps.len() > MOST_STEPS {
            return Err(BrokenPlan::TooLarge {
                what: "steps",
                limit: MOST_STEPS,
            });
        }
        if self.effects().count() > MOST_EFFECTS {
            return Err(BrokenPlan::TooLarge {
                what: "effects",
                limit: MOST_EFFECTS,
            });
        }
        let mut seen = std::collections::BTreeSet::new();
        for step in &self.steps {
            name_is_good(&step.name)?;
            if !seen.insert(step.name.as_str()) {
                return Err(BrokenPlan::Twice {
                    what: "step",
                    name: step.name.clone(),
                });
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for effect in self.effects() {
            name_is_good(&effect.name)?;
            if !seen.insert(effect.name.as_str()) {
                return Err(BrokenPlan::Twice {
                    what: "effect",
                    name: effect.name.clone(),
                });
            }
        }
        for contingency in self.steps.iter().flat_map(|step| &step.contingencies) {
            if let Some(after) = &contingency.after
                && !seen.contains(after.as_str())
            {
                return Err(BrokenPlan::Dangling {
                    name: contingency.effect.name.clone(),
                    after: after.clone(),
                });
            }
        }
        Ok(())
    }
}

fn name_is_good(name: &str) -> Result<(), BrokenPlan> {
    let good = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if good {
        Ok(())
    } else {
        Err(BrokenPlan::BadName {
            name: name.to_owned(),
        })
    }
}

/// JSON with the keys of every object sorted and no white space: the same value is the same text,
/// whatever order a map was filled in.
pub fn canonical_json(value: &serde_json::Value) -> String {
    fn write(value: &serde_json::Value, out: &mut String) {
        match value {
            serde_json::Value::Object(map) => {
                let sorted: BTreeMap<_, _> = map.iter().collect();
                out.push('{');
                for (index, (key, value)) in sorted.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&serde_json::Value::String(key.clone()).to_string());
                    out.push(':');
                    write(value, out);
                }
                out.push('}');
            }
            serde_json::Value::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write(item, out);
                }
                out.push(']');
            }
            scalar => out.push_str(&scalar.to_string()),
        }
    }
    let mut out = String::new();
    write(value, &mut out);
    out
}
