//! Containers of a compose project: what they are doing, and starting and stopping them.
//!
//! Containers are found by the labels that compose puts on them, never by their names. What exists
//! is started and stopped through the engine's API; compose itself only ever *creates* containers,
//! so that the image of every container can be compared with the approved one before it starts.
//! Nothing in here removes a container or a volume.
//!
//! This crate knows nothing of operations, plans or grants.

mod compose;
mod compose_file;
mod config;
mod connection;
mod engine;
mod error;
mod health;
mod logs;
mod readiness;
mod start;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use compose::OutputLine;
pub use config::{Deadlines, EngineConfig, ProjectConfig};
pub use engine::Engine;
pub use error::Error;
pub use logs::{MAX_LINE_CHARS, visible_line};

/// What a container says of itself by its health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It has no health check.
    None,
    Starting,
    Healthy,
    Unhealthy,
}

/// A container of a compose service, as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Container {
    /// The compose service it belongs to.
    pub service: String,
    /// Without the engine's leading slash.
    pub name: String,
    /// All 64 digits.
    pub id: String,
    /// The engine's own word: `created`, `running`, `exited`, …
    pub state: String,
    pub health: Health,
    /// `None` while it runs, and before it ever did.
    pub exit_code: Option<i64>,
    /// `sha256:…` of the image it was created from.
    pub image_digest: String,
    /// The image's name: `cryptobot/trade:1.4.2`.
    pub image: String,
}

impl Container {
    /// Whether it runs and, where it has a health check, passes it.
    pub fn is_well(&self) -> bool {
        self.state == "running" && matches!(self.health, Health::None | Health::Healthy)
    }
}

/// Whether a compose service could be started, found out without starting it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Readiness {
    pub service: String,
    pub ready: bool,
    /// The container that would be started; `None` when compose would create one.
    pub container: Option<Container>,
    /// What stands in the way, one sentence each.
    pub problems: Vec<String>,
}

/// One line of a service's output, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogLine {
    pub service: String,
    /// At most [`MAX_LINE_CHARS`] characters.
    pub text: String,
}

/// What was observed after a change, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChangeReport {
    pub containers: Vec<Container>,
    /// For people: "started trade_1 through the engine".
    pub how: String,
}

/// The containers of compose projects on one machine. `project` is the compose project's name, and
/// `services` are compose services in the order in which they are started.
#[async_trait]
pub trait Containers: Send + Sync {
    /// The containers there are, in the order of `services`; a service without one is left out.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the engine does not answer.
    async fn status(&self, project: &str, services: &[String]) -> Result<Vec<Container>, Error>;

    /// Whether each service could be started: image present, container there or creatable, compose
    /// file valid, published port not taken by another container.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the engine does not answer. Everything else is a problem in the
    /// answer.
    async fn ready(&self, project: &str, services: &[String]) -> Result<Vec<Readiness>, Error>;

    /// The last `lines` lines of each service.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a service without a container, [`Error::Unavailable`].
    async fn logs(
        &self,
        project: &str,
        services: &[String],
        lines: u32,
    ) -> Result<Vec<LogLine>, Error>;

    /// Waits until every container is well ([`Container::is_well`]) or `within` is over, and says
    /// what is. A container that has ended ends the wait at once.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a service without a container, [`Error::Unavailable`].
    async fn health(
        &self,
        project: &str,
        services: &[String],
        within: Duration,
    ) -> Result<Vec<Container>, Error>;

    /// Starts the services in order. What runs is left alone, what is stopped is started, and what
    /// does not exist is created by compose first. `expected_images` holds, for each service whose
    /// image was approved, its digest (`sha256:…`): when any container is of another image, nothing
    /// is started.
    ///
    /// # Errors
    /// [`Error::NotFound`] without a container and a way to make one, [`Error::Failed`] for another
    /// image, a port that is taken or a container that does not start, [`Error::TimedOut`] when
    /// compose or a container takes too long, [`Error::Unavailable`].
    async fn up(
        &self,
        project: &str,
        services: &[String],
        expected_images: &BTreeMap<String, String>,
    ) -> Result<ChangeReport, Error>;

    /// Stops the services' containers in reverse order, each with the grace it was created with.
    /// Stopping what is stopped, or not there, succeeds.
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::TimedOut`], [`Error::Unavailable`].
    async fn down(&self, project: &str, services: &[String]) -> Result<ChangeReport, Error>;
}
