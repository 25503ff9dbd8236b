//! `/rollbot unlock <service> [reason: …]`: releases a lock whose operation has ended.

use rollbot_core::EventKey;
use rollbot_core::approval::Person;
use rollbot_core::store::{Batch, Guard, Write};

use crate::dispatch::{Desk, Handled, Refused, Reply};

pub async fn handle(
    desk: &Desk,
    key: EventKey,
    person: &Person,
    service: String,
    reason: Option<String>,
) -> Handled {
    let locks = desk.store.locks().await?;
    let Some(lock) = locks.into_iter().find(|lock| lock.service == service) else {
        return Ok(Some(Reply::say(format!("{service} is not locked."))));
    };
    let operation = desk.load(lock.operation).await?;
    if !operation.state.is_final() {
        return Err(Refused::You(format!(
            "{service} is locked by {}, which is {}. End that first: `/rollbot cancel {}`.",
            operation.id,
            operation.state.in_words(),
            operation.id
        )));
    }
    let approver = desk
        .catalogue
        .service(&service)
        .is_some_and(|entry| !person.groups.is_disjoint(&entry.approval.groups));
    if person.id != lock.holder && !approver {
        return Err(Refused::You(format!(
            "Only {} or an approver may release the lock of {service}.",
            desk.catalogue.people.name(&lock.holder)
        )));
    }
    let why = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let batch = Batch::new()
        .guard(Guard::NewEvent(key))
        .write(Write::Unlock {
            service: lock.service.clone(),
            host: lock.host.clone(),
        })
        .write(desk.audit(
            lock.operation,
            &person.id,
            "unlocked",
            format!("releases the lock of {service}{why}"),
            serde_json::Value::Null,
        ));
    desk.store
        .commit(batch)
        .await
        .map_err(Refused::from_store)?;
    let text = format!(
        "{} released the lock of {service}, which {} had left.",
        person.name, lock.operation
    );
    Ok(Some(Reply::say(text).public()))
}
