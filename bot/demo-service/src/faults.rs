//! Faults that can be switched on for demonstrations and tests.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::reply::Reply;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Orders are answered with 422 and not executed.
    RejectOrders,
    /// No new rows are written, and the newest looks old.
    StaleRows,
    /// Every answer takes its time.
    Slow,
    /// SIGTERM does nothing: only SIGKILL helps.
    IgnoreSigterm,
    /// `/health` answers 503.
    FailHealth,
}

const KINDS: [(&str, Kind); 5] = [
    ("reject-orders", Kind::RejectOrders),
    ("stale-rows", Kind::StaleRows),
    ("slow", Kind::Slow),
    ("ignore-sigterm", Kind::IgnoreSigterm),
    ("fail-health", Kind::FailHealth),
];

#[derive(Debug, Clone, Copy)]
struct Fault {
    kind: Kind,
    until: Option<Instant>,
    /// `delay_ms` of a slow one, `age_ms` of stale rows.
    amount: Duration,
}

#[derive(Default)]
pub struct Faults {
    set: Mutex<Vec<Fault>>,
}

impl Faults {
    /// The amount that goes with a fault, while it is on.
    pub fn get(&self, kind: Kind) -> Option<Duration> {
        let mut set = crate::server::lock(&self.set);
        set.retain(|fault| fault.until.is_none_or(|until| Instant::now() < until));
        set.iter()
            .find(|fault| fault.kind == kind)
            .map(|fault| fault.amount)
    }

    pub fn on(&self, kind: Kind) -> bool {
        self.get(kind).is_some()
    }

    /// The names of what is on.
    pub fn names(&self) -> Vec<&'static str> {
        KINDS
            .iter()
            .filter(|(_, kind)| self.on(*kind))
            .map(|(name, _)| *name)
            .collect()
    }

    /// Sets the fault that a request names; `none` clears them all.
    pub fn set(&self, request: &Value) -> Reply {
        let name = request["kind"].as_str().unwrap_or_default();
        if name == "none" {
            crate::server::lock(&self.set).clear();
            return Reply::ok(json!({ "faults": [] }));
        }
        let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == name) else {
            return Reply::error(
                400,
                format!(
                    "kind is {name:?}, but must be {} or none",
                    KINDS.map(|(name, _)| name).join(", ")
                ),
            );
        };
        let milliseconds = |key: &str, limit: u64| {
            request[key]
                .as_u64()
                .map(|value| Duration::from_millis(value.min(limit)))
        };
        let amount = match kind {
            Kind::Slow => milliseconds("delay_ms", 60_000).unwrap_or(Duration::from_secs(3)),
            Kind::StaleRows => {
                milliseconds("age_ms", 30 * 86_400_000).unwrap_or(Duration::from_secs(3600))
            }
            _ => Duration::ZERO,
        };
        let fault = Fault {
            kind: *kind,
            until: milliseconds("for_ms", 86_400_000).map(|time| Instant::now() + time),
            amount,
        };
        let mut set = crate::server::lock(&self.set);
        set.retain(|other| other.kind != *kind);
        set.push(fault);
        drop(set);
        Reply::ok(json!({ "faults": self.names() }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fault_ends_by_itself_or_when_cleared() {
        let faults = Faults::default();
        assert_eq!(
            faults.set(&json!({"kind": "slow", "delay_ms": 5})).status,
            200
        );
        assert_eq!(faults.get(Kind::Slow), Some(Duration::from_millis(5)));
        faults.set(&json!({"kind": "reject-orders", "for_ms": 0}));
        assert!(!faults.on(Kind::RejectOrders));
        faults.set(&json!({"kind": "none"}));
        assert!(faults.names().is_empty());
        assert_eq!(faults.set(&json!({"kind": "fire"})).status, 400);
    }
}
