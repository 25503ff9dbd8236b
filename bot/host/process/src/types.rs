//! What goes in and comes out. The shapes follow the plugin API's `process` interface.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which way of stopping a process to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopMethod {
    /// Ask the service manager for the units.
    ServiceManager,
    /// Signal the process that listens on the port: SIGTERM, a wait, SIGKILL.
    PortOwner,
}

/// What to stop, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StopRequest {
    pub method: StopMethod,
    /// Stopped in this order. With [`StopMethod::PortOwner`] they are only reported on.
    pub units: Vec<String>,
    /// TCP port that has to be free of native processes afterwards.
    pub port: Option<u16>,
    /// How long a process may take to end before it is killed.
    pub grace: Duration,
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StartRequest {
    /// Started in this order.
    pub units: Vec<String>,
    /// TCP port that has to have an owner afterwards.
    pub port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    Active,
    Activating,
    Deactivating,
    Inactive,
    /// It ended by itself, or badly. Nothing of it runs.
    Failed,
    /// Nobody knows a unit of this name.
    NotFound,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnitStatus {
    /// The name as it was asked for.
    pub unit: String,
    pub state: UnitState,
    /// The service manager's own words: `running`, `dead`, `exit-code`.
    pub sub_state: String,
    pub pid: Option<u32>,
}

/// The process that listens on a TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PortOwner {
    pub port: u16,
    /// 0 when the port is taken by a process that this user may not see.
    pub pid: u32,
    /// The process's own short name, as the kernel has it.
    pub name: String,
    /// Whether the process itself runs in a container, with the host's network.
    #[serde(default)]
    pub in_container: bool,
}

/// Names of the processes that hold a published port on behalf of a container.
const CONTAINER_PROXIES: [&str; 9] = [
    "docker-proxy",
    "dockerd",
    "com.docker.backend",
    "rootlesskit",
    "rootlessport",
    "slirp4netns",
    "conmon",
    "pasta",
    // A container of the demo's stand-in engine.
    "stand-in-container",
];

/// What the kernel keeps of a process name.
const KERNEL_NAME_LENGTH: usize = 15;

impl PortOwner {
    /// Whether the port is held by a container, or by its engine for it. Such a process must not be
    /// signalled: the container is to be stopped instead.
    pub fn is_container(&self) -> bool {
        self.in_container
            || CONTAINER_PROXIES
                .iter()
                .map(|name| name.get(..KERNEL_NAME_LENGTH).unwrap_or(name))
                .any(|name| self.name == name)
            || self.name.starts_with("pasta.")
    }

    /// `4711 (trade-native)`
    pub(crate) fn label(&self) -> String {
        match self.pid {
            0 => "a process that this user may not see".to_owned(),
            pid => format!("{pid} ({})", self.name),
        }
    }
}

/// What was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatusReport {
    /// In the order asked for. Empty where there is no service manager.
    pub units: Vec<UnitStatus>,
    /// Who listens on the port; `None` when it is free or none was asked for.
    pub owner: Option<PortOwner>,
    /// Whether a service manager answers.
    pub service_manager: bool,
}

/// What was observed after a change, and how the change was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChangeReport {
    pub status: StatusReport,
    /// For people: "SIGTERM to 4711 (trade-native), ended after 0.2 s".
    pub how: String,
}

/// Why a state is not known or a change was not made. Each holds a sentence for people that says
/// what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    /// No service manager answers, or it does not know the unit.
    #[error("{0}")]
    UnknownUnit(String),
    /// The service manager's or the system's verdict, with the last lines where there are any.
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    TimedOut(String),
}

/// How long to wait for what. The grace of a stop is not among them: it comes with each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Deadlines {
    /// For one answer of the service manager, or one look at the system's tables.
    pub call: Duration,
    /// For a unit to be running and to own its port.
    pub start: Duration,
    /// For a process to be gone after SIGKILL.
    pub kill: Duration,
    /// How long a started unit must stay up before it counts as running, and a freed port free
    /// before it counts as free.
    pub settle: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(5),
            // Longer than systemd's own default of 90 s, so that its verdict comes first.
            start: Duration::from_secs(100),
            kill: Duration::from_secs(10),
            settle: Duration::from_millis(500),
        }
    }
}

/// `0.2 s`
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
