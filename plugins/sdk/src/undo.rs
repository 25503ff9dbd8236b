//! Undo of a service rollback: looks at what is, and performs what is missing, in the order which
//! leaves no moment with two deployments on one port or traffic led to nothing.

use crate::configuration::Limits;
use crate::names::{effect, step};
use crate::observe::{any_runs, told_owner};
use crate::procedures::Failure;
use crate::step::{note, step_loop};
use crate::steps::{self, lead_to, native_is_healthy};
use crate::trouble::{StepResult, Trouble, perform, query};
use crate::types::Service;
use crate::{docker, process, registry, text};

/// Stops the containers, starts and verifies the native service, then leads traffic back to it.
pub fn undo(service: &Service) -> Result<(), Failure> {
    step_loop(step::START, &|| stop_containers(service))?;
    step_loop(step::STOP, &|| start_native(service))?;
    step_loop(step::SWITCH, &|| point_native(service))?;
    Ok(())
}

fn running_containers(service: &Service) -> Result<Vec<String>, Trouble> {
    let containers = query(
        "The state of the containers",
        docker::status(
            &service.host,
            &service.compose_project,
            &service.compose_services,
        ),
    )?;
    Ok(containers
        .into_iter()
        .filter(|container| any_runs(std::slice::from_ref(container)))
        .map(|container| container.name)
        .collect())
}

fn stop_containers(service: &Service) -> StepResult {
    if running_containers(service)?.is_empty() {
        note("No container runs: there is nothing to stop.");
        return Ok(());
    }
    let Some(report) = perform(
        "Stopping the containers",
        docker::down(effect::UNDO_STOP_CONTAINERS),
    )?
    else {
        return Ok(());
    };
    note(if report.by_hand {
        format!("Stopped by hand: {}", report.how)
    } else {
        format!("Stopped: {}", report.how)
    });
    let running = running_containers(service)?;
    if running.is_empty() {
        Ok(())
    } else {
        Err(Trouble::problem(format!(
            "{} still runs after the stop",
            running.join(", ")
        )))
    }
}

fn start_native(service: &Service) -> StepResult {
    if steps::native_holds(service, &steps::status(service)?)? {
        note("The native service runs already.");
        return native_is_healthy(service);
    }
    if let Some(port) = service.port {
        wait_until_nobody_listens(service, port)?;
    }
    let Some(report) = perform(
        "Starting the native service",
        process::start(effect::UNDO_START_NATIVE),
    )?
    else {
        return Ok(());
    };
    note(if report.by_hand {
        format!("Started by hand: {}", report.how)
    } else {
        format!("Started: {}", report.how)
    });
    native_is_healthy(service)
}

/// A container's proxy counts here: the native service needs the port for itself.
fn wait_until_nobody_listens(service: &Service, port: u16) -> StepResult {
    const PAUSE: u64 = 500;
    let limit = Limits::of(service)?.port_free;
    let mut waited = 0;
    while let Some(owner) = steps::status(service)?.owner {
        if waited >= limit {
            return Err(Trouble::problem(format!(
                "Port {port} is still held by {} after {}",
                told_owner(&owner),
                text::duration(limit)
            )));
        }
        crate::clock::sleep(PAUSE);
        waited += PAUSE;
    }
    Ok(())
}

fn point_native(service: &Service) -> StepResult {
    match registry::get(&service.registry_key) {
        Ok(entry) if entry.value == service.registry_native => {
            note(format!("The registry leads to {} already.", entry.value));
            return Ok(());
        }
        Ok(_) | Err(registry::Error::NotFound(_)) => {}
        Err(error) => return query("The registry", Err::<(), _>(error)),
    }
    lead_to(service, effect::UNDO_POINT_NATIVE, &service.registry_native).map(|_| ())
}
