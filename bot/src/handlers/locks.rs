//! `/rollbot locks`: which services are locked, by whom, why, since when, and how to release them.

use rollbot_core::operation::Lock;

use crate::dispatch::{Desk, Handled, Reply};

pub async fn handle(desk: &Desk) -> Handled {
    let locks = desk.store.locks().await?;
    if locks.is_empty() {
        return Ok(Some(Reply::say("No service is locked.")));
    }
    let lines = locks
        .iter()
        .map(|lock| {
            format!(
                "{} on {}: {}",
                lock.service,
                lock.host,
                standing(desk, lock)
            )
        })
        .collect();
    Ok(Some(
        Reply::default().titled("Locked services").lines(lines),
    ))
}

pub(super) fn standing(desk: &Desk, lock: &Lock) -> String {
    format!(
        "held by {} of {} ({}), since {} UTC. Release: /rollbot unlock {}",
        lock.operation,
        desk.catalogue.people.name(&lock.holder),
        lock.reason,
        lock.since.strftime("%Y-%m-%d %H:%M:%S"),
        lock.service,
    )
}
