//! A little world to run plugins in, and everything around a run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

pub mod observer;
pub mod operation;
pub mod service;
pub mod store;
pub mod world;

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use rollbot_engine::{Engine, EngineConfig, Limits, Plugin};
use tokio::sync::OnceCell;

/// Limits under which tests are quick.
pub fn limits() -> Limits {
    Limits {
        backoff: Duration::from_millis(1),
        plan_deadline: Duration::from_secs(30),
        query_deadline: Duration::from_secs(10),
        calls: 2_000,
        ..Limits::default()
    }
}

/// One engine for all tests that do not need one of their own.
pub static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    Engine::new(EngineConfig {
        cache_dir: None,
        limits: limits(),
    })
    .unwrap()
});

async fn loaded(
    cell: &'static OnceCell<Arc<Plugin>>,
    name: &'static str,
    bytes: &'static [u8],
) -> Arc<Plugin> {
    cell.get_or_init(|| async { ENGINE.load(name, bytes).await.unwrap() })
        .await
        .clone()
}

pub fn bundled(name: &str) -> &'static [u8] {
    rollbot_plugins::components()
        .iter()
        .find(|one| one.name == name)
        .unwrap()
        .bytes
}

pub async fn trade() -> Arc<Plugin> {
    static CELL: OnceCell<Arc<Plugin>> = OnceCell::const_new();
    loaded(&CELL, "trade", bundled("trade")).await
}

pub async fn scripted() -> Arc<Plugin> {
    static CELL: OnceCell<Arc<Plugin>> = OnceCell::const_new();
    loaded(&CELL, "scripted", rollbot_test_guests::SCRIPTED).await
}

pub async fn lies() -> Arc<Plugin> {
    static CELL: OnceCell<Arc<Plugin>> = OnceCell::const_new();
    loaded(&CELL, "lies", rollbot_test_guests::LIES).await
}
