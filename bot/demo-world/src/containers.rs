//! The containers and their network.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerSummary, EndpointSettings, HealthConfig, HostConfig,
    NetworkCreateRequest, NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use sha2::{Digest, Sha256};

use crate::error::WorldError;
use crate::image;
use crate::layout::Layout;
use crate::options::EngineKind;
use crate::services::{DemoService, NAMES};

const PATIENCE: Duration = Duration::from_secs(60);
pub const PROJECT_LABEL: &str = "com.docker.compose.project";
pub const SERVICE_LABEL: &str = "com.docker.compose.service";
/// How a container reaches this machine.
pub const HOST_NAME: &str = "host.docker.internal";

/// A request with its deadline. The outer error of the two is a missed deadline.
pub async fn within<T>(
    what: &str,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Result<Error, String>> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Ok(error)),
        Err(_) => Err(Err(format!(
            "no answer within {} s to: {what}",
            PATIENCE.as_secs()
        ))),
    }
}

pub fn failed(what: &str, error: Result<Error, String>) -> WorldError {
    WorldError::Container {
        what: what.to_owned(),
        reason: match error {
            Ok(Error::DockerResponseServerError { message, .. }) => message,
            Ok(error) => crate::detect::root(&error),
            Err(reason) => reason,
        },
    }
}

pub fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What does not depend on the service.
pub struct Surroundings<'a> {
    pub layout: &'a Layout,
    pub project: &'a str,
    pub kind: EngineKind,
    /// `uid:gid` for the processes in the containers; none where the engine maps users anyway.
    pub user: Option<String>,
}

impl<'a> Surroundings<'a> {
    pub async fn find(
        docker: &Docker,
        layout: &'a Layout,
        project: &'a str,
        kind: EngineKind,
    ) -> Result<Self, WorldError> {
        // The data directory belongs to whoever made the world, who must be able to read it and
        // to remove it. A rootless engine makes its root that user already.
        let what = "tell about itself";
        let info = within(what, docker.info())
            .await
            .map_err(|error| failed(what, error))?;
        let rootless = info
            .security_options
            .unwrap_or_default()
            .iter()
            .any(|option| option.contains("rootless"));
        let root = layout.root();
        let owner = std::fs::metadata(root).map_err(WorldError::file(root))?;
        Ok(Self {
            layout,
            project,
            kind,
            user: (kind == EngineKind::Docker && !rootless)
                .then(|| format!("{}:{}", owner.uid(), owner.gid())),
        })
    }

    pub fn network(&self) -> String {
        format!("{}_default", self.project)
    }

    /// Inside the network a peer that is a container is found by its name, and one that runs
    /// natively at the host. A plain process finds either at its port.
    pub fn peers(&self, service: &DemoService, all: &[DemoService]) -> String {
        let peers: Vec<String> = all
            .iter()
            .filter(|other| other.name != service.name)
            .map(|other| match self.kind {
                EngineKind::Docker => format!(
                    "{0}=http://{0}:{1}|http://{HOST_NAME}:{1}",
                    other.name, other.port
                ),
                EngineKind::StandIn => format!("{}={}", other.name, other.url),
            })
            .collect();
        peers.join(",")
    }

    pub fn environment(&self, service: &DemoService, all: &[DemoService]) -> Vec<(String, String)> {
        [
            ("SERVICE", service.name.clone()),
            ("DEPLOYMENT", "docker".to_owned()),
            ("PORT", service.port.to_string()),
            ("HOST", "0.0.0.0".to_owned()),
            ("DATA", "/data".to_owned()),
            ("PEERS", self.peers(service, all)),
            ("DEMO_CONTROLS", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The labels by which compose knows its own.
    fn labels(&self, service: &DemoService, digest: String) -> HashMap<String, String> {
        let directory = self.layout.compose().display().to_string();
        let file = self.layout.compose_file().display().to_string();
        [
            (PROJECT_LABEL, self.project.to_owned()),
            (SERVICE_LABEL, service.compose_service.clone()),
            ("com.docker.compose.container-number", "1".to_owned()),
            ("com.docker.compose.oneoff", "False".to_owned()),
            ("com.docker.compose.project.working_dir", directory),
            ("com.docker.compose.project.config_files", file),
            ("com.docker.compose.config-hash", digest),
            ("com.docker.compose.version", "1.29.2".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn body(&self, service: &DemoService, all: &[DemoService]) -> ContainerCreateBody {
        let port = format!("{}/tcp", service.port);
        let real = self.kind == EngineKind::Docker;
        let mut body = ContainerCreateBody {
            image: Some(image::name()),
            env: Some(
                self.environment(service, all)
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
            ),
            exposed_ports: Some(vec![port.clone()]),
            user: self.user.clone(),
            stop_signal: Some("SIGTERM".to_owned()),
            healthcheck: Some(HealthConfig {
                test: Some(vec![
                    "CMD".to_owned(),
                    image::PROGRAM.to_owned(),
                    "--health".to_owned(),
                ]),
                interval: Some(2_000_000_000),
                timeout: Some(5_000_000_000),
                retries: Some(3),
                start_period: Some(5_000_000_000),
                start_interval: None,
            }),
            host_config: Some(HostConfig {
                port_bindings: Some(HashMap::from([(
                    port,
                    Some(vec![PortBinding {
                        host_ip: Some("127.0.0.1".to_owned()),
                        host_port: Some(service.port.to_string()),
                    }]),
                )])),
                binds: Some(vec![format!(
                    "{}:/data:Z",
                    service.container_data_directory.display()
                )]),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                    maximum_retry_count: None,
                }),
                network_mode: real.then(|| self.network()),
                extra_hosts: real.then(|| vec![format!("{HOST_NAME}:host-gateway")]),
                cap_drop: real.then(|| vec!["ALL".to_owned()]),
                readonly_rootfs: real.then_some(true),
                ..Default::default()
            }),
            networking_config: real.then(|| NetworkingConfig {
                endpoints_config: Some(HashMap::from([(
                    self.network(),
                    EndpointSettings {
                        aliases: Some(vec![service.compose_service.clone()]),
                        ..Default::default()
                    },
                )])),
            }),
            ..Default::default()
        };
        let digest = hex::encode(Sha256::digest(
            serde_json::to_vec(&body).unwrap_or_default(),
        ));
        body.labels = Some(self.labels(service, digest));
        body
    }

    /// Makes the network and the containers that are missing; the ids of their images. None is
    /// started.
    pub async fn ensure(
        &self,
        docker: &Docker,
        all: &[DemoService],
    ) -> Result<Vec<String>, WorldError> {
        if self.kind == EngineKind::Docker {
            self.ensure_network(docker).await?;
        }
        let mut images = Vec::new();
        for service in all {
            let mut existing = list(docker, self.project, Some(&service.compose_service)).await?;
            if existing.is_empty() {
                images.push(self.create(docker, service, all).await?);
            } else {
                images.extend(
                    existing
                        .drain(..)
                        .filter_map(|container| container.image_id),
                );
            }
        }
        images.sort();
        images.dedup();
        Ok(images)
    }

    async fn create(
        &self,
        docker: &Docker,
        service: &DemoService,
        all: &[DemoService],
    ) -> Result<String, WorldError> {
        let what = format!("create the container for {}", service.name);
        let mut last = None;
        // The image may be taken away by the end of another world at any moment.
        for _ in 0..3 {
            let image = image::ensure(docker).await?;
            let options = CreateContainerOptionsBuilder::new()
                .name(&service.container)
                .build();
            let created = within(
                &what,
                docker.create_container(Some(options), self.body(service, all)),
            );
            match created.await {
                Ok(_) => return Ok(image),
                Err(Ok(error)) if status(&error) == Some(404) => last = Some(Ok(error)),
                Err(error) => return Err(failed(&what, error)),
            }
        }
        Err(failed(
            &what,
            last.unwrap_or_else(|| Err("its image is gone".to_owned())),
        ))
    }

    async fn ensure_network(&self, docker: &Docker) -> Result<(), WorldError> {
        if !networks(docker, self.project).await?.is_empty() {
            return Ok(());
        }
        let what = "create the demo's network";
        let request = NetworkCreateRequest {
            name: self.network(),
            driver: Some("bridge".to_owned()),
            labels: Some(
                [
                    (PROJECT_LABEL, self.project),
                    ("com.docker.compose.network", "default"),
                    ("com.docker.compose.version", "1.29.2"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ),
            ..Default::default()
        };
        within(what, docker.create_network(request))
            .await
            .map(|_| ())
            .map_err(|error| failed(what, error))
    }
}

/// The project's containers, in whatever state: also those that compose has made since.
pub async fn list(
    docker: &Docker,
    project: &str,
    service: Option<&str>,
) -> Result<Vec<ContainerSummary>, WorldError> {
    let what = "list the demo's containers";
    let mut labels = vec![format!("{PROJECT_LABEL}={project}")];
    labels.extend(service.map(|service| format!("{SERVICE_LABEL}={service}")));
    let filters = HashMap::from([("label".to_owned(), labels)]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    within(what, docker.list_containers(Some(options)))
        .await
        .map_err(|error| failed(what, error))
}

async fn networks(docker: &Docker, project: &str) -> Result<Vec<String>, WorldError> {
    let what = "list the demo's networks";
    let filters = HashMap::from([(
        "label".to_owned(),
        vec![format!("{PROJECT_LABEL}={project}")],
    )]);
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    Ok(within(what, docker.list_networks(Some(options)))
        .await
        .map_err(|error| failed(what, error))?
        .into_iter()
        .filter_map(|network| network.id)
        .collect())
}

/// The services whose container runs.
pub async fn running(docker: &Docker, project: &str) -> Result<Vec<String>, WorldError> {
    Ok(list(docker, project, None)
        .await?
        .into_iter()
        .filter(|container| {
            container
                .state
                .as_ref()
                .is_some_and(|state| state.to_string() == "running")
        })
        .filter_map(|container| container.labels?.remove(SERVICE_LABEL))
        .filter(|service| NAMES.contains(&service.as_str()))
        .collect())
}

/// Starts a service's container; one that runs is left alone.
pub async fn start(
    docker: &Docker,
    service: &DemoService,
    project: &str,
) -> Result<(), WorldError> {
    let what = format!("start the container of {}", service.name);
    for container in list(docker, project, Some(&service.compose_service)).await? {
        let Some(id) = container.id else { continue };
        within(&what, docker.start_container(&id, None))
            .await
            .map_err(|error| failed(&what, error))?;
    }
    Ok(())
}

/// Removes the project's containers and networks.
pub async fn remove(docker: &Docker, project: &str, kind: EngineKind) -> Result<(), WorldError> {
    for container in list(docker, project, None).await? {
        let Some(id) = container.id else { continue };
        let what = "remove a container of the demo";
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        match within(what, docker.remove_container(&id, Some(options))).await {
            Ok(()) => {}
            // Gone, or being removed by somebody else.
            Err(Ok(error)) if matches!(status(&error), Some(404 | 409)) => {}
            Err(error) => return Err(failed(what, error)),
        }
    }
    if kind == EngineKind::StandIn {
        return Ok(());
    }
    for id in networks(docker, project).await? {
        let what = "remove the demo's network";
        match within(what, docker.remove_network(&id)).await {
            Ok(()) => {}
            Err(Ok(error)) if status(&error) == Some(404) => {}
            Err(error) => return Err(failed(what, error)),
        }
    }
    Ok(())
}

/// The address of this machine that containers know as [`HOST_NAME`]: that of the default bridge.
pub async fn gateway(docker: &Docker) -> Option<String> {
    let bridge = within("look at the bridge", docker.inspect_network("bridge", None))
        .await
        .ok()?;
    bridge.ipam?.config?.into_iter().find_map(|config| {
        let given = config.gateway.and_then(|gateway| gateway.parse().ok());
        // Where none was configured the engine takes the first address.
        given
            .or_else(|| first_address(&config.subnet?))
            .map(|gateway: Ipv4Addr| gateway.to_string())
    })
}

/// `172.17.0.1` for `172.17.0.0/16`.
fn first_address(subnet: &str) -> Option<Ipv4Addr> {
    let (network, bits) = subnet.split_once('/')?;
    let network: Ipv4Addr = network.parse().ok()?;
    let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 30)?;
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    Some(Ipv4Addr::from((network.to_bits() & mask) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_a_subnet_is_the_gateway() {
        let first = |subnet| first_address(subnet).map(|address| address.to_string());
        assert_eq!(first("172.17.0.0/16").as_deref(), Some("172.17.0.1"));
        assert_eq!(first("10.1.2.192/26").as_deref(), Some("10.1.2.193"));
        assert_eq!(first("fd00::/8"), None);
        assert_eq!(first("10.0.0.0/40"), None);
    }
}
