use crate::check::{explain, wait_for_check};
use crate::configuration::Limits;
use crate::names::check;
use crate::observe::{any_runs, is_invisible, native_owner, native_runs, told_owner};
use crate::process::{self, StatusReport};
use crate::step::note;
use crate::trouble::{StepResult, Trouble, query};
use crate::types::Service;
use crate::{clock, docker, text};

/// Time between two looks at a process, in milliseconds.
const PAUSE: u64 = 500;

/// The state of the native deployment.
///
/// # Errors
/// It cannot be found out.
pub fn status(service: &Service) -> Result<StatusReport, Trouble> {
    query(
        "The state of the native service",
        process::status(&service.host, &service.units, service.port),
    )
}

/// Whether the native deployment runs in that state. Asks for the containers only where the state
/// leaves it open.
///
/// # Errors
/// The containers' state is needed and cannot be found out.
pub fn native_holds(service: &Service, seen: &StatusReport) -> Result<bool, Trouble> {
    if !native_owner(seen).is_some_and(is_invisible) {
        return Ok(native_runs(seen, false));
    }
    let containers = query(
        "The state of the containers",
        docker::status(
            &service.host,
            &service.compose_project,
            &service.compose_services,
        ),
    )?;
    Ok(native_runs(seen, any_runs(&containers)))
}

/// Waits until no unit is active and nothing but a container holds the port, or `limit`
/// milliseconds are over; returns what was seen last. `None` is success.
///
/// # Errors
/// The state cannot be found out.
pub fn wait_until_port_is_free(
    service: &Service,
    limit: u64,
) -> Result<Option<StatusReport>, Trouble> {
    let mut waited = 0;
    loop {
        let seen = status(service)?;
        if !native_holds(service, &seen)? {
            return Ok(None);
        }
        if waited >= limit {
            return Ok(Some(seen));
        }
        clock::sleep(PAUSE);
        waited += PAUSE;
    }
}

/// What still runs or listens, one sentence each.
pub fn what_runs(seen: &StatusReport) -> Vec<String> {
    let mut lines: Vec<String> = seen
        .units
        .iter()
        .map(|unit| format!("{} is {}.", unit.unit, unit.sub_state))
        .collect();
    lines.extend(
        native_owner(seen)
            .map(|owner| format!("Port {} is held by {}.", owner.port, told_owner(owner))),
    );
    lines
}

/// Waits until the native deployment runs and its `health` check passes.
///
/// # Errors
/// It does not within the configured limit.
pub fn native_is_healthy(service: &Service) -> StepResult {
    let limit = Limits::of(service)?.health;
    let mut waited = 0;
    loop {
        let seen = status(service)?;
        // Whether it listens yet is for the health check to say: the owner of a port is not visible
        // to everybody.
        if native_holds(service, &seen)? {
            break;
        }
        if waited >= limit {
            return Err(Trouble::with_details(
                format!(
                    "The native service does not run {} after its start",
                    text::duration(limit)
                ),
                what_runs(&seen),
            ));
        }
        clock::sleep(PAUSE);
        waited += PAUSE;
    }
    if let Some(health) = service.check(check::HEALTH) {
        let report = wait_for_check(service, check::HEALTH, health, limit)?;
        note(format!(
            "The native service is healthy: it {}.",
            explain(&report)
        ));
    }
    Ok(())
}
