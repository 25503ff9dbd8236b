//! How much of everything a plugin may use.

use std::path::PathBuf;
use std::time::Duration;

/// How the engine is set up.
#[derive(Debug, Clone, Default)]
pub struct EngineConfig {
    /// Where compiled components are kept, so that a second start compiles nothing. The directory
    /// is made private to this user; `None` compiles at every start.
    pub cache_dir: Option<PathBuf>,
    pub limits: Limits,
}

/// Bounds on a plugin. What exceeds one ends its run; nothing that was performed is lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Instructions, roughly, between two host calls.
    pub fuel_slice: u64,
    /// Instructions, roughly, of a whole run, replay included.
    pub fuel_total: u64,
    /// Wall-clock time a plugin may compute between two host calls.
    pub compute_time: Duration,
    /// Bytes of linear memory.
    pub memory: usize,
    /// Bytes of linear memory for components larger than [`large_component`](Self::large_component):
    /// those bring an interpreter.
    pub memory_large: usize,
    /// Bytes of a component from which it counts as large.
    pub large_component: usize,
    /// Host calls of one run.
    pub calls: usize,
    /// Bytes of one call's arguments, as JSON.
    pub arguments: usize,
    /// Bytes of all arguments of a run together, as JSON.
    pub output: usize,
    /// Queries while planning.
    pub plan_calls: usize,
    /// Time for a whole plan, the queries included.
    pub plan_deadline: Duration,
    /// Bytes of a plan, as JSON.
    pub plan_bytes: usize,
    /// The longest sleep that a plugin may ask for.
    pub longest_sleep: Duration,
    /// Time for a query, beyond the time that its own arguments ask for.
    pub query_deadline: Duration,
    /// Time for an effect. Real implementations have tighter deadlines of their own; this one is
    /// for those that break their word. A backup may be large.
    pub effect_deadline: Duration,
    /// How often an effect or a query that may pass by itself is tried before anybody is asked.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles each time.
    pub backoff: Duration,
    /// Plugins that run, or wait for people, at the same time. Others wait for a place.
    pub instances: u32,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            fuel_slice: 5_000_000_000,
            fuel_total: 100_000_000_000,
            compute_time: Duration::from_secs(20),
            memory: 64 * MIB,
            memory_large: 256 * MIB,
            large_component: 4 * MIB,
            calls: 20_000,
            arguments: 64 * 1024,
            output: 4 * MIB,
            plan_calls: 500,
            plan_deadline: Duration::from_secs(60),
            plan_bytes: 512 * 1024,
            longest_sleep: Duration::from_secs(7 * 24 * 60 * 60),
            query_deadline: Duration::from_secs(120),
            effect_deadline: Duration::from_secs(6 * 60 * 60),
            attempts: 5,
            backoff: Duration::from_secs(1),
            instances: 32,
        }
    }
}

impl Limits {
    /// Bytes of linear memory for a component of this size.
    pub fn memory_for(&self, component_bytes: usize) -> usize {
        if component_bytes >= self.large_component {
            self.memory_large
        } else {
            self.memory
        }
    }

    /// The pause before the attempt after `attempt`, which counts from 1.
    pub(crate) fn pause_after(&self, attempt: u32) -> Duration {
        self.backoff
            .saturating_mul(1 << attempt.saturating_sub(1).min(10))
    }
}
