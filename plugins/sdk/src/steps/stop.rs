use super::native::{native_holds, status, wait_until_port_is_free, what_runs};
use crate::configuration::Limits;
use crate::names::effect;
use crate::plan::stop_way;
use crate::planning::StopMethod;
use crate::process;
use crate::step::note;
use crate::text;
use crate::trouble::{HostError, StepResult, Trouble, perform};
use crate::types::Service;

/// Stops the native deployment, and waits until its port is free.
///
/// # Errors
/// It still runs or still holds the port.
pub fn stop(service: &Service) -> StepResult {
    let limit = Limits::of(service)?.port_free;
    let seen = status(service)?;
    let way = stop_way(service, &seen)?;
    if way.method == StopMethod::PortOwner && !native_holds(service, &seen)? {
        // Whoever listens now is a container: signalling it would take down the other deployment.
        note("Nothing native listens: there is nothing to stop.");
        return Ok(());
    }
    let by_port_is_planned = way.method == StopMethod::ServiceManager && service.port.is_some();
    let mut by_port_was_tried = false;
    match process::stop(effect::STOP_NATIVE) {
        Ok(report) => told(&report),
        // People know that it may still run; the start looks at the port again.
        Err(error) if error.is_skipped() => return Ok(()),
        Err(error) if by_port_is_planned && !error.is_not_in_plan() => {
            note(format!(
                "The service manager did not stop it ({}). Stopping the owner of the port.",
                error.sentence()
            ));
            by_port_was_tried = true;
            if !stop_by_port()? {
                return Ok(());
            }
        }
        Err(error) => return perform("The stop", Err::<(), _>(error)).map(|_| ()),
    }

    let mut held = wait_until_port_is_free(service, limit)?;
    if held.is_some() && by_port_is_planned && !by_port_was_tried {
        note("Something still runs or holds the port. Stopping the owner of the port.");
        if !stop_by_port()? {
            return Ok(());
        }
        held = wait_until_port_is_free(service, limit)?;
    }
    match held {
        None => {
            if let Some(port) = service.port {
                note(format!("Port {port} is free."));
            }
            Ok(())
        }
        Some(seen) => Err(Trouble::with_details(
            format!(
                "The native service still runs {} after the stop",
                text::duration(limit)
            ),
            what_runs(&seen),
        )),
    }
}

/// Whether it was done, and not skipped by people.
fn stop_by_port() -> Result<bool, Trouble> {
    let report = perform("The stop by port", process::stop(effect::STOP_BY_PORT))?;
    if let Some(report) = &report {
        told(report);
    }
    Ok(report.is_some())
}

fn told(report: &process::ChangeReport) {
    // The bot itself tells how an effect ended.
    if report.by_hand {
        note(format!("Stopped by hand: {}", report.how));
    }
}
