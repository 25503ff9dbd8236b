//! The one implementation of [`Containers`]: an engine behind a Unix socket.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{ContainerInspectResponse, HealthStatusEnum};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, StopContainerOptionsBuilder,
};
use tokio::sync::mpsc;
use tracing::debug;

use crate::compose::{Compose, OutputLine};
use crate::config::EngineConfig;
use crate::connection::{CallError, Connection, call};
use crate::error::{Error, seconds};
use crate::{ChangeReport, Container, Containers, Health, LogLine, Readiness};

pub(crate) const PROJECT_LABEL: &str = "com.docker.compose.project";
pub(crate) const SERVICE_LABEL: &str = "com.docker.compose.service";
const NUMBER_LABEL: &str = "com.docker.compose.container-number";
const ONE_OFF_LABEL: &str = "com.docker.compose.oneoff";

/// The engine's own default for a container that was created without a grace.
const DEFAULT_GRACE_SECONDS: u64 = 10;

/// A Docker engine behind a Unix socket. Connects when it is first needed, so that it can be made
/// before the engine runs.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) connection: Connection,
    pub(crate) compose: Compose,
}

/// A container, and what is needed of it beyond the record.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) container: Container,
    /// Of a scaled service.
    number: u32,
    pub(crate) grace: Duration,
    /// What the engine says about the last attempt to start it; empty when that worked.
    pub(crate) start_error: String,
    /// TCP and UDP ports of the machine that it publishes when it runs: `9003/tcp`.
    pub(crate) published: Vec<String>,
}

impl Engine {
    pub fn new(config: EngineConfig) -> Self {
        let connection = Connection::new(config.socket.clone(), config.deadlines.call);
        let compose = Compose::new(&config);
        Self {
            config,
            connection,
            compose,
        }
    }

    /// Sends every line that compose prints to `lines` while it runs. A line that finds the channel
    /// full is dropped: watching never holds up the work.
    pub fn with_output(mut self, lines: mpsc::Sender<OutputLine>) -> Self {
        self.compose.send_output_to(lines);
        self
    }

    /// The containers of each service, in the order of `services`.
    pub(crate) async fn find(
        &self,
        project: &str,
        services: &[String],
    ) -> Result<Vec<(String, Vec<Found>)>, Error> {
        let client = self.connection.client().await?;
        let filters = HashMap::from([(
            "label".to_owned(),
            vec![format!("{PROJECT_LABEL}={project}")],
        )]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let listed = self
            .connection
            .ask(
                &format!("list the containers of project {project}"),
                client.list_containers(Some(options)),
            )
            .await?;
        let mut found: BTreeMap<&str, Vec<Found>> = BTreeMap::new();
        for summary in &listed {
            let labels = summary.labels.as_ref();
            let label = |name: &str| labels.and_then(|all| all.get(name)).map(String::as_str);
            // The filter is the engine's; a stand-in may be more generous.
            let (Some(service), Some(id)) = (label(SERVICE_LABEL), summary.id.as_deref()) else {
                continue;
            };
            if label(PROJECT_LABEL) != Some(project)
                || label(ONE_OFF_LABEL).is_some_and(|value| value.eq_ignore_ascii_case("true"))
                || !services.iter().any(|wanted| wanted == service)
            {
                continue;
            }
            let number = label(NUMBER_LABEL)
                .and_then(|text| text.parse().ok())
                .unwrap_or(1);
            let inspected = self
                .connection
                .find(
                    &format!("inspect container {id}"),
                    client.inspect_container(id, None::<InspectContainerOptions>),
                )
                .await?;
            // Removed since the list was made.
            let Some(inspected) = inspected else { continue };
            found
                .entry(service)
                .or_default()
                .push(Found::new(service, number, &inspected));
        }
        Ok(services
            .iter()
            .map(|service| {
                let mut containers = found.remove(service.as_str()).unwrap_or_default();
                containers.sort_by(|a, b| {
                    (a.number, &a.container.name).cmp(&(b.number, &b.container.name))
                });
                (service.clone(), containers)
            })
            .collect())
    }

    /// Looks at one container again; `None` when it is gone.
    pub(crate) async fn look_again(&self, found: &Found) -> Result<Option<Found>, Error> {
        let client = self.connection.client().await?;
        let id = &found.container.id;
        let inspected = self
            .connection
            .find(
                &format!("inspect container {}", found.container.name),
                client.inspect_container(id, None::<InspectContainerOptions>),
            )
            .await?;
        Ok(inspected
            .map(|inspected| Found::new(&found.container.service, found.number, &inspected)))
    }

    /// Says what was done, or that it was already so.
    async fn stop(&self, found: &Found) -> Result<String, Error> {
        let name = &found.container.name;
        match found.container.state.as_str() {
            "created" | "exited" | "dead" | "removing" => {
                return Ok(format!(
                    "{name} was stopped already ({})",
                    found.container.state
                ));
            }
            _ => {}
        }
        let client = self.connection.client().await?;
        let action = format!("stop container {name}");
        let deadline = found.grace + self.config.deadlines.stop;
        let options = StopContainerOptionsBuilder::default().build();
        match call(
            deadline,
            client.stop_container(&found.container.id, Some(options)),
        )
        .await
        {
            Ok(()) => {}
            Err(error) => return Err(self.explain_change(&action, found, error).await),
        }
        let Some(after) = self.look_again(found).await? else {
            return Ok(format!(
                "{name} was stopped, and the engine removed it as it was created to be"
            ));
        };
        if after.container.state == "running" {
            return Err(Error::Failed(format!(
                "{name} runs again although it was stopped; see whether something else starts it"
            )));
        }
        let code = after.container.exit_code.map_or_else(String::new, |code| {
            let killed = if code == 137 {
                ", killed after its grace"
            } else {
                ""
            };
            format!(" (exit code {code}{killed})")
        });
        Ok(format!("{name} stopped{code}"))
    }

    /// A start or stop that was not answered in time: it makes a difference whether the engine
    /// answers anything at all.
    pub(crate) async fn explain_change(
        &self,
        action: &str,
        found: &Found,
        error: CallError,
    ) -> Error {
        let CallError::Silent { deadline } = error else {
            return self.connection.explain(action, error);
        };
        match self.look_again(found).await {
            Ok(Some(now)) => Error::TimedOut(format!(
                "The Docker engine did not {action} within {}; it answers otherwise, and the container is {}",
                seconds(deadline),
                now.container.state
            )),
            Ok(None) => Error::NotFound(format!(
                "Container {} is gone since the engine was asked to {action}",
                found.container.name
            )),
            Err(error) => error,
        }
    }
}

impl Found {
    pub(crate) fn new(service: &str, number: u32, inspected: &ContainerInspectResponse) -> Self {
        let state = inspected.state.as_ref();
        let status = state
            .and_then(|state| state.status)
            .map(|status| status.to_string())
            .unwrap_or_default();
        let health = match state.and_then(|state| state.health.as_ref()?.status) {
            Some(HealthStatusEnum::STARTING) => Health::Starting,
            Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
            Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
            Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Health::None,
        };
        // The engine says 0 for a container that runs or never ran.
        let exit_code = match status.as_str() {
            "exited" | "dead" => state.and_then(|state| state.exit_code),
            _ => None,
        };
        let config = inspected.config.as_ref();
        let grace = config
            .and_then(|config| config.stop_timeout)
            .and_then(|text| u64::try_from(text).ok())
            .unwrap_or(DEFAULT_GRACE_SECONDS);
        let mut published = Vec::new();
        let bindings = inspected
            .host_config
            .as_ref()
            .and_then(|host| host.port_bindings.as_ref());
        for (inner, outer) in bindings.into_iter().flatten() {
            let protocol = inner
                .split_once('/')
                .map_or("tcp", |(_, protocol)| protocol);
            for binding in outer.iter().flatten() {
                if let Some(port) = binding.host_port.as_deref()
                    && !port.is_empty()
                    && port != "0"
                {
                    published.push(format!("{port}/{protocol}"));
                }
            }
        }
        published.sort();
        published.dedup();
        Self {
            container: Container {
                service: service.to_owned(),
                name: inspected
                    .name
                    .as_deref()
                    .unwrap_or_default()
                    .trim_start_matches('/')
                    .to_owned(),
                id: inspected.id.clone().unwrap_or_default(),
                state: status,
                health,
                exit_code,
                image_digest: inspected.image.clone().unwrap_or_default(),
                image: config
                    .and_then(|config| config.image.clone())
                    .unwrap_or_default(),
            },
            number,
            grace: Duration::from_secs(grace),
            start_error: state
                .and_then(|state| state.error.clone())
                .unwrap_or_default(),
            published,
        }
    }
}

pub(crate) fn records(found: &[(String, Vec<Found>)]) -> Vec<Container> {
    found
        .iter()
        .flat_map(|(_, containers)| containers.iter().map(|found| found.container.clone()))
        .collect()
}

#[async_trait]
impl Containers for Engine {
    async fn status(&self, project: &str, services: &[String]) -> Result<Vec<Container>, Error> {
        Ok(records(&self.find(project, services).await?))
    }

    async fn ready(&self, project: &str, services: &[String]) -> Result<Vec<Readiness>, Error> {
        self.look_for_problems(project, services).await
    }

    async fn logs(
        &self,
        project: &str,
        services: &[String],
        lines: u32,
    ) -> Result<Vec<LogLine>, Error> {
        self.read_logs(project, services, lines).await
    }

    async fn health(
        &self,
        project: &str,
        services: &[String],
        within: Duration,
    ) -> Result<Vec<Container>, Error> {
        self.wait_for_health(project, services, within).await
    }

    async fn up(
        &self,
        project: &str,
        services: &[String],
        expected_images: &BTreeMap<String, String>,
    ) -> Result<ChangeReport, Error> {
        self.start_services(project, services, expected_images)
            .await
    }

    async fn down(&self, project: &str, services: &[String]) -> Result<ChangeReport, Error> {
        let found = self.find(project, services).await?;
        let mut how = Vec::new();
        for (service, containers) in found.iter().rev() {
            if containers.is_empty() {
                how.push(format!("{service} has no container"));
            }
            for container in containers.iter().rev() {
                let line = self.stop(container).await?;
                debug!(project, %service, %line, "stopped");
                how.push(line);
            }
        }
        Ok(ChangeReport {
            containers: self.status(project, services).await?,
            how: how.join("; "),
        })
    }
}
