//! `/rollback <service> [reason: …] [--dry-run]`, and `/rollbot plan <service>`: asks for an
//! operation. It is recorded, numbered and locked in one transaction; planning follows by itself.

use rollbot_core::EventKey;
use rollbot_core::approval::Person;
use rollbot_core::operation::{Lock, NewOperation, Origin};
use rollbot_core::store::{GuardFailed, StoreError, Write};

use crate::dispatch::{Desk, Handled, Refused, Reply};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub service: String,
    pub reason: Option<String>,
    pub dry_run: bool,
    pub origin: Origin,
}

pub async fn handle(desk: &Desk, key: EventKey, person: &Person, request: Request) -> Handled {
    let Some(entry) = desk.catalogue.service(&request.service) else {
        return Err(Refused::You(format!(
            "There is no service `{}`.",
            request.service
        )));
    };
    let at = desk.clock.now();
    let host = entry.description.host.clone();
    let new = NewOperation {
        service: request.service.clone(),
        host: host.clone(),
        procedure: "rollback".to_owned(),
        reason: request.reason.clone(),
        requester: person.id.clone(),
        origin: request.origin.clone(),
        dry_run: request.dry_run,
        requested_at: at,
    };
    let reason = request
        .reason
        .clone()
        .unwrap_or_else(|| "no reason given".to_owned());
    let with = |id| {
        let text = format!("asks for the rollback of {}: {reason}", request.service);
        let facts = serde_json::json!({ "origin": request.origin, "dry-run": request.dry_run });
        let mut writes = vec![desk.audit(id, &person.id, "requested", text, facts)];
        if !request.dry_run {
            writes.push(Write::Lock(Lock {
                service: request.service.clone(),
                host: host.clone(),
                operation: id,
                holder: person.id.clone(),
                reason: reason.clone(),
                since: at,
            }));
        }
        writes
    };
    let id = match desk.store.create_operation(new, key, &with).await {
        Ok(id) => id,
        Err(StoreError::Guard(GuardFailed::Locked(lock))) => {
            return Err(Refused::You(format!(
                "{} is locked since {} UTC by {} ({}: {}). While it is, nothing else may move it. See `/rollbot status {}`; when you are sure, release it with `/rollbot unlock {}`.",
                lock.service,
                lock.since.strftime("%Y-%m-%d %H:%M:%S"),
                lock.operation,
                desk.catalogue.people.name(&lock.holder),
                lock.reason,
                lock.operation,
                lock.service,
            )));
        }
        Err(error) => return Err(Refused::from_store(error)),
    };
    tracing::info!(operation = %id, service = request.service, person = %person.id, "requested");
    desk.conductor.drive(id);
    let next = if request.dry_run {
        "The plan follows; nothing will be done."
    } else {
        "The plan follows, and with it the vote."
    };
    let text = match &request.reason {
        Some(reason) => format!("{}: {reason}. {next}", person.name),
        None => format!("{} asks for it. {next}", person.name),
    };
    let title = format!("{id}: rollback of {}", request.service);
    Ok(Some(Reply::say(text).titled(title).public()))
}
