//! Starting services: create what is missing, compare images, start in order.

use std::collections::BTreeMap;

use bollard::errors::Error as ApiError;
use bollard::query_parameters::StartContainerOptions;
use tracing::{debug, info};

use crate::ChangeReport;
use crate::connection::{CallError, call};
use crate::engine::{Engine, Found, records};
use crate::error::Error;

impl Engine {
    pub(crate) async fn start_services(
        &self,
        project: &str,
        services: &[String],
        expected_images: &BTreeMap<String, String>,
    ) -> Result<ChangeReport, Error> {
        let mut found = self.find(project, services).await?;
        // Before anything is created: a refusal should leave nothing behind.
        refuse_other_images(&found, expected_images)?;
        refuse_unstartable(&found)?;
        let missing: Vec<String> = found
            .iter()
            .filter(|(_, containers)| containers.is_empty())
            .map(|(service, _)| service.clone())
            .collect();
        let mut how = Vec::new();
        if !missing.is_empty() {
            self.create_missing(project, &missing, expected_images)
                .await?;
            how.push(format!("compose created {}", missing.join(", ")));
            found = self.find(project, services).await?;
            if let Some((service, _)) = found.iter().find(|(_, containers)| containers.is_empty()) {
                return Err(Error::Failed(format!(
                    "compose ended well but there is no container of service {service} in project {project}; \
                     see whether the compose file scales it to zero"
                )));
            }
            refuse_other_images(&found, expected_images)?;
        }
        for (_, containers) in &found {
            for container in containers {
                how.push(self.start(container).await?);
            }
        }
        info!(project, how = %how.join("; "), "services started");
        Ok(ChangeReport {
            containers: records(&self.find(project, services).await?),
            how: how.join("; "),
        })
    }

    /// Has compose create containers without starting them.
    async fn create_missing(
        &self,
        project: &str,
        services: &[String],
        expected_images: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let Some(config) = self.config.projects.get(project) else {
            return Err(Error::NotFound(format!(
                "Service {} has no container, and no compose file is configured for project {project}; \
                 create the container or configure the project's directory and files",
                services.join(", ")
            )));
        };
        let facts = self.compose.facts(project, config).await?;
        for service in services {
            let image = self.planned_image(project, &facts, service).await?;
            if let Some(expected) = expected_images.get(service)
                && *expected != image.digest
            {
                return Err(other_image(
                    service,
                    "would start",
                    &image.digest,
                    &image.name,
                    expected,
                ));
            }
        }
        for service in services {
            debug!(project, %service, "compose creates the container");
            self.compose.create(project, config, service).await?;
        }
        Ok(())
    }

    /// Says what was done, or that it was already so.
    async fn start(&self, found: &Found) -> Result<String, Error> {
        let name = &found.container.name;
        if found.container.state == "running" {
            return Ok(format!("{name} ran already"));
        }
        let client = self.connection.client().await?;
        let action = format!("start container {name}");
        // 304, already running, is a success as well.
        let request = client.start_container(&found.container.id, None::<StartContainerOptions>);
        match call(self.config.deadlines.start, request).await {
            Ok(()) => Ok(format!("{name} started")),
            Err(CallError::Api(ApiError::DockerResponseServerError {
                status_code,
                message,
            })) => Err(self
                .explain_start(&action, found, status_code, message)
                .await),
            Err(error) => Err(self.explain_change(&action, found, error).await),
        }
    }

    /// The engine answers 500 for its own troubles and for containers that cannot start.
    async fn explain_start(
        &self,
        action: &str,
        found: &Found,
        status_code: u16,
        message: String,
    ) -> Error {
        let name = &found.container.name;
        if is_port_conflict(&message) {
            let ports = conflicting_ports(&message, &found.published);
            return Error::Failed(format!(
                "Container {name} cannot publish {ports}: address already in use. The native service may still \
                 hold it; stop that and try again ({})",
                message.trim()
            ));
        }
        if status_code >= 500
            && let Ok(Some(now)) = self.look_again(found).await
            && !now.start_error.is_empty()
            && message.contains(now.start_error.trim())
        {
            return Error::Failed(format!(
                "Container {name} does not start: {}",
                message.trim()
            ));
        }
        self.connection.explain(
            action,
            CallError::Api(ApiError::DockerResponseServerError {
                status_code,
                message,
            }),
        )
    }
}

fn refuse_other_images(
    found: &[(String, Vec<Found>)],
    expected_images: &BTreeMap<String, String>,
) -> Result<(), Error> {
    for (service, containers) in found {
        let Some(expected) = expected_images.get(service) else {
            continue;
        };
        for Found { container, .. } in containers {
            if container.image_digest != *expected {
                let verb = if container.state == "running" {
                    "runs"
                } else {
                    "would start"
                };
                return Err(other_image(
                    service,
                    verb,
                    &container.image_digest,
                    &container.image,
                    expected,
                ));
            }
        }
    }
    Ok(())
}

fn other_image(service: &str, verb: &str, digest: &str, name: &str, expected: &str) -> Error {
    Error::Failed(format!(
        "{service} {verb} {digest} but the plan says {expected} (image {name}); nothing was started. Plan \
         again if the new image is wanted"
    ))
}

fn refuse_unstartable(found: &[(String, Vec<Found>)]) -> Result<(), Error> {
    for Found { container, .. } in found.iter().flat_map(|(_, containers)| containers) {
        if let Some(problem) = unstartable(&container.name, &container.state) {
            return Err(Error::Failed(format!("{problem}; nothing was started")));
        }
    }
    Ok(())
}

/// Why a container in this state cannot be started.
pub(crate) fn unstartable(name: &str, state: &str) -> Option<String> {
    match state {
        "paused" => Some(format!(
            "Container {name} is paused; run `docker unpause {name}` first"
        )),
        "dead" => Some(format!(
            "Container {name} is dead: the engine failed to remove it; run `docker rm {name}`"
        )),
        "removing" => Some(format!("Container {name} is being removed")),
        _ => None,
    }
}

fn is_port_conflict(message: &str) -> bool {
    [
        "address already in use",
        "port is already allocated",
        "ports are not available",
    ]
    .iter()
    .any(|text| message.contains(text))
}

/// The engine's wording differs between versions, but each names the port as `:9003` followed by
/// something that is no digit.
fn conflicting_ports(message: &str, published: &[String]) -> String {
    let named: Vec<&String> = published
        .iter()
        .filter(|port| {
            let number = port.split('/').next().unwrap_or(port);
            let needle = format!(":{number}");
            message.match_indices(&needle).any(|(at, _)| {
                !message[at + needle.len()..].starts_with(|next: char| next.is_ascii_digit())
            })
        })
        .collect();
    let listed: Vec<&str> = if named.is_empty() {
        published.iter().map(String::as_str).collect()
    } else {
        named.into_iter().map(String::as_str).collect()
    };
    match listed.as_slice() {
        [] => "its port".to_owned(),
        [one] => format!("port {one}"),
        many => format!("one of its ports {}", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_in_conflict_is_named_whatever_the_engine_calls_it() {
        let published = ["900/tcp".to_owned(), "9003/tcp".to_owned()];
        for message in [
            "Error starting userland proxy: listen tcp4 0.0.0.0:9003: bind: address already in use",
            "Bind for 0.0.0.0:9003 failed: port is already allocated",
            "failed to bind host port for 0.0.0.0:9003:172.17.0.2:80/tcp: address already in use",
            "listen tcp6 [::]:9003: bind: address already in use",
        ] {
            assert!(is_port_conflict(message));
            assert_eq!(conflicting_ports(message, &published), "port 9003/tcp");
        }
        assert_eq!(
            conflicting_ports("address already in use", &published),
            "one of its ports 900/tcp, 9003/tcp"
        );
    }
}
