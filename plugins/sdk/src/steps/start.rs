use super::native::{native_holds, status, what_runs};
use crate::names::effect;
use crate::step::note;
use crate::trouble::{StepResult, Trouble, perform};
use crate::types::Service;
use crate::{backup, docker, text};

/// Archives the native data. The archive was read back in full before the bot answers.
///
/// # Errors
/// There is no good archive.
pub fn back_up() -> StepResult {
    let Some(archive) = perform("The backup", backup::create(effect::BACK_UP_DATA))? else {
        return Ok(());
    };
    if !archive.verified && !archive.by_hand {
        return Err(Trouble::problem(format!(
            "{} was written, but not read back: it does not count as a backup",
            archive.name
        )));
    }
    if archive.by_hand {
        note(format!("Backed up by hand: {}.", archive.name));
        return Ok(());
    }
    note(format!(
        "{}: {}, {}, read back in full, every checksum matches.",
        archive.name,
        text::count(archive.files, "file"),
        text::size(archive.bytes)
    ));
    if !archive.changed.is_empty() {
        note(format!(
            "{} changed while being read: {}",
            text::count(archive.changed.len() as u64, "file"),
            text::clip(&archive.changed.join(", "), 300)
        ));
    }
    Ok(())
}

/// Starts the containers, once nothing native holds their port.
///
/// # Errors
/// The port is held, or they do not start.
pub fn start(service: &Service) -> StepResult {
    if let Some(port) = service.port {
        let seen = status(service)?;
        if native_holds(service, &seen)? {
            return Err(Trouble::with_details(
                format!(
                    "Something native still runs: port {port} may not be free for the containers"
                ),
                what_runs(&seen),
            ));
        }
    }
    if let Some(report) = perform("The start", docker::up(effect::START_CONTAINERS))? {
        // The bot itself tells how an effect ended.
        if report.by_hand {
            note(format!("Started by hand: {}", report.how));
        }
    }
    Ok(())
}
