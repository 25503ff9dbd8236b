//! What `/healthz` and `/readyz` say.

use async_trait::async_trait;

/// Asked by whatever watches the process. Each call may take two seconds.
#[async_trait]
pub trait Health: Send + Sync {
    /// Whether the process works at all; if not, it is better restarted.
    async fn live(&self) -> HealthReport;

    /// Whether it can do its work now: the store answers, the plugins are loaded, …
    async fn ready(&self) -> HealthReport;
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthReport {
    pub ok: bool,
    /// Shown as it is, as JSON. No secrets: whoever reaches the console reads it.
    pub details: serde_json::Value,
}
