//! What stands in the way of starting a service, found out without starting it.

use std::collections::BTreeMap;
use std::path::Path;

use bollard::Docker;
use bollard::query_parameters::ListContainersOptionsBuilder;
use nix::sys::statvfs::statvfs;

use crate::Readiness;
use crate::compose_file::ServiceFacts;
use crate::engine::{Engine, Found};
use crate::error::Error;
use crate::start::unstartable;

/// The image that compose would create a container from.
pub(crate) struct PlannedImage {
    pub(crate) name: String,
    pub(crate) digest: String,
}

impl Engine {
    pub(crate) async fn look_for_problems(
        &self,
        project: &str,
        services: &[String],
    ) -> Result<Vec<Readiness>, Error> {
        let client = self.connection.client().await?;
        let found = self.find(project, services).await?;
        let published = self.published_ports(&client).await?;
        let disk = self.disk_problem(&client).await?;
        // Compose reads the same files for every service: ask it once.
        let mut facts = None;
        if found.iter().any(|(_, containers)| containers.is_empty()) {
            facts = match self.config.projects.get(project) {
                None => None,
                Some(config) => Some(self.compose.facts(project, config).await),
            };
        }
        let mut answer = Vec::new();
        for (service, containers) in found {
            let mut problems = Vec::new();
            if containers.is_empty() {
                match &facts {
                    None => problems.push(format!(
                        "Service {service} has no container, and no compose file is configured for project \
                         {project}"
                    )),
                    Some(Err(error)) => problems.push(error.to_string()),
                    Some(Ok(facts)) => {
                        self.check_plan(project, facts, &service, &published, &mut problems).await?;
                    }
                }
            }
            for found in &containers {
                self.check_container(&client, found, &published, &mut problems)
                    .await?;
            }
            problems.extend(disk.clone());
            answer.push(Readiness {
                service,
                ready: problems.is_empty(),
                container: containers.into_iter().next().map(|found| found.container),
                problems,
            });
        }
        Ok(answer)
    }

    /// The image of a service that has no container yet.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the compose files do not know the service or the engine does not
    /// have the image.
    pub(crate) async fn planned_image(
        &self,
        project: &str,
        facts: &BTreeMap<String, ServiceFacts>,
        service: &str,
    ) -> Result<PlannedImage, Error> {
        let Some(facts) = facts.get(service) else {
            return Err(Error::NotFound(format!(
                "The compose files of project {project} have no service {service}"
            )));
        };
        let client = self.connection.client().await?;
        let names = facts.image_names(project, service);
        for name in &names {
            let inspected = self
                .connection
                .find(&format!("inspect image {name}"), client.inspect_image(name))
                .await?;
            if let Some(digest) = inspected.and_then(|image| image.id) {
                return Ok(PlannedImage {
                    name: name.clone(),
                    digest,
                });
            }
        }
        Err(Error::NotFound(format!(
            "Image {} of service {service} is not on the engine; load, pull or build it first",
            names.join(" or ")
        )))
    }

    async fn check_plan(
        &self,
        project: &str,
        facts: &BTreeMap<String, ServiceFacts>,
        service: &str,
        published: &[Publication],
        problems: &mut Vec<String>,
    ) -> Result<(), Error> {
        match self.planned_image(project, facts, service).await {
            Ok(_) => {}
            Err(Error::NotFound(problem)) => problems.push(problem),
            Err(error) => return Err(error),
        }
        if let Some(facts) = facts.get(service) {
            check_ports(&facts.published, None, published, problems);
        }
        Ok(())
    }

    async fn check_container(
        &self,
        client: &Docker,
        found: &Found,
        published: &[Publication],
        problems: &mut Vec<String>,
    ) -> Result<(), Error> {
        let container = &found.container;
        problems.extend(unstartable(&container.name, &container.state));
        let image = self
            .connection
            .find(
                &format!("inspect image {}", container.image_digest),
                client.inspect_image(&container.image_digest),
            )
            .await?;
        if image.is_none() {
            problems.push(format!(
                "Image {} ({}) of container {} is no longer on the engine",
                container.image, container.image_digest, container.name
            ));
        }
        if container.state != "running" {
            check_ports(&found.published, Some(&container.id), published, problems);
        }
        Ok(())
    }

    async fn published_ports(&self, client: &Docker) -> Result<Vec<Publication>, Error> {
        let options = ListContainersOptionsBuilder::default().build();
        let running = self
            .connection
            .ask(
                "list running containers",
                client.list_containers(Some(options)),
            )
            .await?;
        let mut ports = Vec::new();
        for summary in running {
            let container = summary
                .names
                .iter()
                .flatten()
                .next()
                .map(|name| name.trim_start_matches('/').to_owned())
                .unwrap_or_default();
            for port in summary.ports.into_iter().flatten() {
                if let Some(public) = port.public_port {
                    let protocol = port
                        .typ
                        .map_or_else(|| "tcp".to_owned(), |typ| typ.to_string());
                    ports.push(Publication {
                        port: format!("{public}/{protocol}"),
                        id: summary.id.clone().unwrap_or_default(),
                        container: container.clone(),
                    });
                }
            }
        }
        Ok(ports)
    }

    /// Only where the engine's directory can be seen from here: an engine in another namespace says
    /// a path that means nothing.
    async fn disk_problem(&self, client: &Docker) -> Result<Option<String>, Error> {
        let info = self
            .connection
            .find("tell about itself", client.info())
            .await?;
        let Some(root) = info.and_then(|info| info.docker_root_dir) else {
            return Ok(None);
        };
        let Ok(space) = statvfs(Path::new(&root)) else {
            return Ok(None);
        };
        // The types of the fields differ between platforms.
        #[allow(clippy::useless_conversion)]
        let free = u64::from(space.blocks_available()) * u64::from(space.fragment_size());
        Ok((free < self.config.min_free_bytes).then(|| {
            format!(
                "The engine's disk at {root} has {} MiB left, {} are wanted; make room there",
                free >> 20,
                self.config.min_free_bytes >> 20
            )
        }))
    }
}

/// A port of the machine that a running container holds.
struct Publication {
    /// `9003/tcp`
    port: String,
    id: String,
    container: String,
}

fn check_ports(
    wanted: &[String],
    own_id: Option<&str>,
    published: &[Publication],
    problems: &mut Vec<String>,
) {
    for port in wanted {
        let holder = published
            .iter()
            .find(|held| held.port == *port && Some(held.id.as_str()) != own_id);
        if let Some(holder) = holder {
            problems.push(format!(
                "Port {port} is published by the running container {} already; stop that first",
                holder.container
            ));
        }
    }
}
