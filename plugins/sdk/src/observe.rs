//! What is, before anything is planned: queries only.

use crate::planning::{DataLoss, DataLossWindow};
use crate::procedures::Failure;
use crate::process::{self, StatusReport, UnitState};
use crate::trouble::HostError;
use crate::types::Service;
use crate::{backup, docker, registry};

/// What was found while planning.
#[derive(Debug, Clone)]
pub struct Observed {
    pub native: StatusReport,
    pub containers: Vec<docker::Container>,
    pub readiness: Vec<docker::Readiness>,
    /// What the registry holds; `None` when it has no such key.
    pub registry: Option<String>,
    pub data_loss: DataLoss,
    /// Why the data directory cannot be read.
    pub data_problem: Option<String>,
}

impl Observed {
    /// Asks everything that a plan is made from.
    ///
    /// # Errors
    /// [`Failure::Host`] when something that cannot be left out does not answer: a plan nobody
    /// could carry out is not put before people.
    pub fn of(service: &Service) -> Result<Self, Failure> {
        let host = &service.host;
        let native = process::status(host, &service.units, service.port)
            .map_err(|error| unanswered("the state of the native service", &error))?;
        let containers = docker::status(host, &service.compose_project, &service.compose_services)
            .map_err(|error| unanswered("the state of the containers", &error))?;
        let readiness = docker::ready(host, &service.compose_project, &service.compose_services)
            .map_err(|error| unanswered("whether the containers can be started", &error))?;
        let registry = match registry::get(&service.registry_key) {
            Ok(entry) => Some(entry.value),
            Err(registry::Error::NotFound(_)) => None,
            Err(error) => return Err(unanswered("what the registry holds", &error)),
        };
        let (data_loss, data_problem) = data_loss(service);
        Ok(Self {
            native,
            containers,
            readiness,
            registry,
            data_loss,
            data_problem,
        })
    }

    /// Whether the native deployment runs.
    pub fn native_runs(&self) -> bool {
        native_runs(&self.native, any_runs(&self.containers))
    }
}

fn data_loss(service: &Service) -> (DataLoss, Option<String>) {
    let written = backup::written_since(
        &service.host,
        &service.data_directory,
        service.cutover.unwrap_or(0),
    );
    match (written, service.cutover) {
        (Err(error), _) => {
            let problem = format!("{}: {}", service.data_directory, error.sentence());
            (DataLoss::Unknown(problem.clone()), Some(problem))
        }
        (Ok(_), None) => (
            DataLoss::Unknown("the time of the cutover is not configured".to_owned()),
            None,
        ),
        (Ok(written), Some(since)) if written.files == 0 => (DataLoss::NoneSince(since), None),
        (Ok(written), Some(since)) => (
            DataLoss::Window(DataLossWindow {
                since,
                last_write: written.last_write,
                files: written.files,
                bytes: written.bytes,
            }),
            None,
        ),
    }
}

fn unanswered(what: &str, error: &impl HostError) -> Failure {
    Failure::Host(format!("Cannot find out {what}: {}.", error.sentence()))
}

/// Whether the native deployment runs: a unit is active or on its way, or a process that serves no
/// container holds the port. The owner of a port may be invisible to the bot; `containers_run` says
/// whom it then counts for.
pub fn native_runs(status: &StatusReport, containers_run: bool) -> bool {
    status
        .units
        .iter()
        .any(|unit| matches!(unit.state, UnitState::Active | UnitState::Activating))
        || native_owner(status).is_some_and(|owner| !(is_invisible(owner) && containers_run))
}

/// The process on the port, unless it is one through which a container is reached.
pub fn native_owner(status: &StatusReport) -> Option<&process::PortOwner> {
    status
        .owner
        .as_ref()
        .filter(|owner| !forwards_to_container(&owner.name))
}

/// Whether the port is held by a process which the bot's user may not see.
pub fn is_invisible(owner: &process::PortOwner) -> bool {
    owner.pid == 0
}

/// `trade-native (pid 4711)`, for people.
pub fn told_owner(owner: &process::PortOwner) -> String {
    if is_invisible(owner) {
        "a process that the bot may not see".to_owned()
    } else {
        format!("{} (pid {})", owner.name, owner.pid)
    }
}

/// Whether any of these containers runs.
pub fn any_runs(containers: &[docker::Container]) -> bool {
    containers.iter().any(|container| {
        matches!(
            container.state.as_str(),
            "running" | "restarting" | "paused"
        )
    })
}

/// Processes that listen on behalf of a container: of Docker, Docker Desktop, rootless Docker and
/// Podman. The kernel keeps 15 characters of a name.
fn forwards_to_container(process: &str) -> bool {
    [
        "docker-proxy",
        "dockerd",
        "com.docker.",
        "vpnkit",
        "rootlesskit",
        "rootlessport",
        "slirp4netns",
        "conmon",
        "pasta",
        // A container of the demo's stand-in engine.
        "stand-in-contai",
    ]
    .iter()
    .any(|name| process.starts_with(name))
}
