//! `/rollbot locks`: which services are locked, by whom, why, since when, and how to release them.

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
                "{} on {}: held by {} of {} ({}), since {} UTC. Release: /rollbot unlock {}",
                lock.service,
                lock.host,
                lock.operation,
                desk.catalogue.people.name(&lock.holder),
                lock.reason,
                lock.since.strftime("%Y-%m-%d %H:%M:%S"),
                lock.service,
            )
        })
        .collect();
    Ok(Some(
        Reply::default().titled("Locked services").lines(lines),
    ))
}
