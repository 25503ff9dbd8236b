//! `/rollbot status [RB-n]`: how one operation stands, or everything that has not ended.

use rollbot_chat::{Overview, OverviewLine};
use rollbot_core::OperationId;
use rollbot_core::operation::{Operation, State, StepState};
use rollbot_core::store::{OperationFilter, StoreError};
use rollbot_notify::duration;

use crate::dispatch::{Desk, Handled, Reply};

pub async fn handle(desk: &Desk, operation: Option<OperationId>) -> Handled {
    match operation {
        Some(id) => one(desk, id).await,
        None => all(desk).await,
    }
}

async fn open(desk: &Desk) -> Result<Vec<Operation>, StoreError> {
    let states = State::ALL
        .into_iter()
        .filter(|state| !state.is_final())
        .collect();
    let filter = OperationFilter {
        service: None,
        states,
        limit: 50,
    };
    desk.store.operations(filter).await
}

/// What has not ended and what is locked, for a page of its own.
pub async fn overview(desk: &Desk) -> Result<Overview, StoreError> {
    let operations = open(desk)
        .await?
        .iter()
        .map(|operation| OverviewLine {
            title: format!("{} · {}", operation.id, operation.service),
            text: standing(desk, operation),
        })
        .collect();
    let locks = desk
        .store
        .locks()
        .await?
        .iter()
        .map(|lock| OverviewLine {
            title: format!("{} on {}", lock.service, lock.host),
            text: super::locks::standing(desk, lock),
        })
        .collect();
    Ok(Overview {
        operations,
        locks,
        trouble: None,
    })
}

async fn all(desk: &Desk) -> Handled {
    let open = open(desk).await?;
    if open.is_empty() {
        return Ok(Some(Reply::say(
            "Nothing is under way, and nobody is asked for anything.",
        )));
    }
    let lines = open.iter().map(|operation| line(desk, operation)).collect();
    Ok(Some(Reply::default().titled("Not ended yet").lines(lines)))
}

/// `RB-3 trade: awaiting approval since 03:12:40 UTC, asked for by Ana (orders failing)`
pub(super) fn line(desk: &Desk, operation: &Operation) -> String {
    format!(
        "{} {}: {}",
        operation.id,
        operation.service,
        standing(desk, operation)
    )
}

fn standing(desk: &Desk, operation: &Operation) -> String {
    let reason = operation
        .reason
        .as_ref()
        .map(|why| format!(" ({why})"))
        .unwrap_or_default();
    format!(
        "{} since {} UTC, asked for by {}{reason}",
        operation.state.in_words(),
        operation.since.strftime("%Y-%m-%d %H:%M:%S"),
        desk.catalogue.people.name(&operation.requester),
    )
}

async fn one(desk: &Desk, id: OperationId) -> Handled {
    let operation = desk.load(id).await?;
    let steps = desk.store.steps(id).await?;
    let mut lines = Vec::new();
    for step in &steps {
        let state = match step.state {
            StepState::Running => "under way",
            StepState::Done => "done",
            StepState::Failed => "failed",
            StepState::Skipped => "skipped",
        };
        let took = step
            .took()
            .map(|ms| format!(" in {}", duration(std::time::Duration::from_millis(ms))))
            .unwrap_or_default();
        lines.push(format!("{}: {state}{took}", step.title));
    }
    let questions = desk.store.questions(id).await?;
    if let Some(open) = questions
        .iter()
        .rev()
        .find(|question| question.answer.is_none())
    {
        let keys: Vec<_> = open
            .choices
            .iter()
            .map(|choice| choice.key.as_str())
            .collect();
        lines.push(format!(
            "Waits for an answer: {} ({})",
            open.text,
            keys.join(", ")
        ));
    }
    lines.extend(
        operation
            .exceptions
            .iter()
            .map(|text| format!("Exception: {text}")),
    );
    let text = operation.ending.clone().unwrap_or_default();
    Ok(Some(
        Reply::say(text).titled(line(desk, &operation)).lines(lines),
    ))
}
