//! Test support: drivers for the real things.
//!
//! Scenario tests start the product as a process of its own and use it as people do: through the
//! console's HTTP API, the command line, and a browser. What they assert about services, containers,
//! archives and the registry, they look at themselves.

pub mod browser;
pub mod console;
pub mod crashing;
pub mod demo;
pub mod engine_fault;
pub mod rooms;
pub mod serve;
pub mod systemd;
pub mod transcript;
pub mod world;

use std::future::Future;
use std::time::Duration;

/// Looks again and again until there is something to see.
///
/// # Errors
/// Nothing came within `within`; says what was waited for.
pub async fn eventually<T, F>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let until = tokio::time::Instant::now() + within;
    let mut last = None;
    loop {
        match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
        if tokio::time::Instant::now() >= until {
            let last = last.map(|error| format!("; the last look failed: {error:#}"));
            anyhow::bail!("waited {within:?} for {what}{}", last.unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
