//! The journal of a plugin's host calls, and what each host function is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::operation::Phase;

/// What may be done when a call's outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Only reads: made again.
    Query,
    /// Only adds: made again.
    Capture,
    /// Ensures a state: made again.
    Idempotent,
    /// The other side recognises a repetition by a key: made again with the same key.
    Keyed,
    /// Never repeated by itself: people are asked.
    AtMostOnce,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Query => "query",
            Class::Capture => "capture",
            Class::Idempotent => "idempotent",
            Class::Keyed => "keyed",
            Class::AtMostOnce => "at-most-once",
        }
    }

    /// Whether an effect with an intent and no outcome is performed again without asking.
    pub fn is_repeatable(self) -> bool {
        self != Class::AtMostOnce
    }
}

/// A host function: interface and name as in the WIT, and its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HostFunction {
    /// `process.stop`
    pub name: &'static str,
    pub class: Class,
    /// Whether it takes the name of a planned effect.
    pub by_effect: bool,
}

/// Every host function. `plugin inspect` prints this table; the engine's bindings are checked
/// against it.
pub const HOST_FUNCTIONS: &[HostFunction] = &[
    query("process.status"),
    effect("process.stop", Class::Idempotent),
    effect("process.start", Class::Idempotent),
    query("docker.status"),
    query("docker.ready"),
    query("docker.logs"),
    query("docker.health"),
    effect("docker.up", Class::Idempotent),
    effect("docker.down", Class::Idempotent),
    effect("backup.create", Class::Capture),
    query("backup.verify"),
    query("backup.list"),
    query("backup.written-since"),
    query("probe.http"),
    query("probe.tcp"),
    effect("probe.transact", Class::Keyed),
    effect("probe.submit", Class::AtMostOnce),
    query("registry.get"),
    query("registry.resolve"),
    effect("registry.point", Class::Idempotent),
    query("ask.question"),
    query("progress.begin"),
    query("progress.end"),
    query("progress.failed"),
    query("progress.note"),
    query("clock.now"),
    query("clock.sleep"),
];

const fn query(name: &'static str) -> HostFunction {
    HostFunction {
        name,
        class: Class::Query,
        by_effect: false,
    }
}

const fn effect(name: &'static str, class: Class) -> HostFunction {
    HostFunction {
        name,
        class,
        by_effect: true,
    }
}

/// The function of that name.
pub fn host_function(name: &str) -> Option<&'static HostFunction> {
    HOST_FUNCTIONS.iter().find(|function| function.name == name)
}

/// What is known of a call's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "value")]
pub enum Outcome {
    /// What the plugin received, as JSON of the WIT result: `{"ok":…}` or `{"err":…}`.
    Returned(String),
    /// It failed, and people have not decided yet; the failure as JSON of the WIT error.
    Failed(String),
}

/// A call of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 0 within operation and phase.
    pub seq: i64,
    pub function: String,
    /// The arguments as canonical JSON.
    pub arguments: String,
    pub class: Class,
    /// How often it was begun; grows with every retry that people ask for.
    pub attempt: i64,
    pub intent_at: Timestamp,
    pub outcome: Option<Outcome>,
    pub outcome_at: Option<Timestamp>,
}

/// A change to the journal. Both parts of one change are committed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalWrite {
    /// A call begins. Refused if the row is there already.
    Intent { phase: Phase, entry: Entry },
    /// A call ended. Refused if there is no row, or one that has returned.
    Outcome {
        phase: Phase,
        seq: i64,
        outcome: Outcome,
        at: Timestamp,
    },
    /// People asked for a retry: the failed outcome is taken off and the attempt counted.
    Again {
        phase: Phase,
        seq: i64,
        at: Timestamp,
    },
}
