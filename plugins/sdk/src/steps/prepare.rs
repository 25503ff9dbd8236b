use crate::step::note;
use crate::trouble::{HostError, StepResult, Trouble, query};
use crate::types::Service;
use crate::{backup, docker, registry, text};

/// Checks without the port what the later steps rely on, while the native service still runs.
///
/// # Errors
/// What stands in the way.
pub fn prepare(service: &Service) -> StepResult {
    let readiness = query(
        "Whether the containers can be started",
        docker::ready(
            &service.host,
            &service.compose_project,
            &service.compose_services,
        ),
    )?;
    let blocked: Vec<&docker::Readiness> = readiness.iter().filter(|r| !r.ready).collect();
    if !blocked.is_empty() {
        let names: Vec<&str> = blocked.iter().map(|r| r.service.as_str()).collect();
        return Err(Trouble::with_details(
            format!(
                "{} cannot be started in Docker; the native service was not touched",
                names.join(", ")
            ),
            blocked.iter().flat_map(|r| r.problems.clone()).collect(),
        ));
    }
    for ready in &readiness {
        note(match &ready.container {
            Some(container) => format!(
                "{}: container {} ({}) is ready to start.",
                ready.service, container.name, container.image
            ),
            None => format!("{}: a container can be created.", ready.service),
        });
    }

    let data = query(
        "The native data",
        backup::written_since(&service.host, &service.data_directory, 0),
    )?;
    if data.files == 0 {
        return Err(Trouble::problem(format!(
            "{} is empty: there is nothing to back up, and an empty backup is not a backup",
            service.data_directory
        )));
    }
    note(format!(
        "{} holds {}, {}.",
        service.data_directory,
        text::count(data.files, "file"),
        text::size(data.bytes)
    ));

    match registry::get(&service.registry_key) {
        Ok(entry) => note(format!("The registry leads to {}.", entry.value)),
        Err(registry::Error::NotFound(_)) => {
            note(format!("The registry has no {} yet.", service.registry_key));
        }
        Err(error) => {
            return Err(Trouble::problem(format!(
                "The registry: {}",
                error.sentence()
            )));
        }
    }
    Ok(())
}
