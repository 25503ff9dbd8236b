//! `/rollbot cancel RB-n [reason: …]`: ends what has not started, and stops what runs before its
//! next effect.

use rollbot_core::approval::Person;
use rollbot_core::operation::State;
use rollbot_core::store::{Batch, Guard};
use rollbot_core::{EventKey, OperationId};

use crate::dispatch::{Desk, Handled, Refused, Reply};

pub async fn handle(
    desk: &Desk,
    key: EventKey,
    person: &Person,
    id: OperationId,
    reason: Option<String>,
) -> Handled {
    let operation = desk.load(id).await?;
    let Some(entry) = desk.catalogue.service(&operation.service) else {
        return Err(Refused::You(format!(
            "{} is not configured any more.",
            operation.service
        )));
    };
    let approver = !person.groups.is_disjoint(&entry.approval.groups);
    if person.id != operation.requester && !approver {
        return Err(Refused::You(format!(
            "Only {} or an approver may cancel {id}.",
            desk.catalogue.people.name(&operation.requester)
        )));
    }
    let why = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    match operation.state {
        State::Requested | State::AwaitingApproval => {
            let ending = format!("Cancelled by {}{why}; nothing was done.", person.name);
            desk.conductor
                .cancel(&operation, key, &person.id, &ending)
                .await
                .map_err(Refused::from_store)?;
            Ok(Some(
                Reply::say(ending)
                    .titled(format!("{id} is cancelled"))
                    .public(),
            ))
        }
        State::Running => {
            let batch = Batch::new()
                .guard(Guard::NewEvent(key))
                .guard(Guard::State {
                    operation: id,
                    one_of: vec![State::Running],
                })
                .write(desk.audit(
                    id,
                    &person.id,
                    "stop-asked",
                    format!("wants the run to stop before its next effect{why}"),
                    serde_json::Value::Null,
                ));
            desk.store
                .commit(batch)
                .await
                .map_err(Refused::from_store)?;
            desk.conductor.halt(id);
            let text = format!(
                "{id} runs. What it does now is brought to its end; before the next effect it stops and asks whether to go on, undo or abort."
            );
            Ok(Some(Reply::say(text).public()))
        }
        State::Paused => Err(Refused::You(format!(
            "{id} is paused and waits for an answer: choose abort or undo under its question, or with `rollbot answer {id} abort`."
        ))),
        over => Err(Refused::You(format!(
            "{id} is {} already.",
            over.in_words()
        ))),
    }
}
