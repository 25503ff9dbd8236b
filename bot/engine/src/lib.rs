//! Runs plugins under a journal.
//!
//! A plugin is a WebAssembly component that imports nothing but the plugin API in `wit/`. It makes
//! a plan ([`Engine::plan`]), people approve that plan's digest, and [`Engine::run`] performs it:
//! the plugin *names* effects, and exactly what the approved plan says under a name is done.
//!
//! A plugin has no clock, no random numbers and no state outside its calls, so the journal of its
//! calls is all there is to know about a run. After a crash it runs again from its start, is
//! answered from the journal as far as that reaches, and goes on from there. The rules:
//!
//! * Every effect has a durable intent before it and a durable outcome after it.
//! * A replayed call that differs from the journal stops the run before anything new is done.
//! * An effect that failed is put before people before the plugin hears of it, unless the plan has
//!   a contingency after it.
//! * Traps are never journaled.
//!
//! This crate knows nothing of chat, people or messages: a [`RunObserver`] is told what happens,
//! within the same transaction as the journal, and decides what only people can decide.

mod authority;
mod backups;
mod bindings;
mod cache;
mod config;
mod convert;
mod convert_hosts;
mod effects;
mod engine;
mod grants;
mod guest;
mod hosts;
mod imports;
mod observe;
mod perform;
mod planning;
mod plugin;
mod procedure;
mod report;
mod run_events;
mod running;
mod settle;
mod time;
mod wire;

pub use backups::Backups;
pub use cache::CacheError;
pub use config::{EngineConfig, Limits};
pub use engine::{Engine, EngineError};
pub use grants::{
    BackupGrants, Denied, Grants, HostGrants, ProbeGrants, ProcessGrants, RegistryGrants,
};
pub use hosts::{Host, Hosts, Probes, REDACTED, Redactor};
pub use plugin::{Description, Plugin, Procedure};
pub use procedure::{PlanError, PlanRequest, RunRequest};
pub use run_events::{Interrupted, RunEnd, RunEvent, RunObserver, TrapKind};
