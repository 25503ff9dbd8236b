//! The one live message of a run, and the details in its thread.

use std::time::Duration;

use jiff::Timestamp;
use rollbot_core::OperationId;
use rollbot_core::approval::People;
use rollbot_core::operation::{ApprovedBy, Operation, Phase, State, StepRecord, StepState};
use rollbot_core::outbox::{About, Destination, Message};
use rollbot_notify::{
    DetailWords, Estimate, LiveWords, ObservedWords, StepLine, duration, duration_range,
    time_of_day,
};

use super::{Envelope, identity};

/// Everything that the live message shows.
#[derive(Debug, Clone)]
pub struct LiveState {
    pub operation: Operation,
    pub steps: Vec<StepRecord>,
    /// What goes on in the running step.
    pub now: Option<String>,
    /// The open question, in a sentence.
    pub waiting: Option<String>,
    pub estimate: Option<Estimate>,
    /// How the lock is released; shown at the end.
    pub lock: Option<String>,
    /// How many details there are in the thread so far.
    pub details: usize,
}

/// The live message as it should be now, one for each channel of the operators.
pub fn live(state: &LiveState, people: &People, to: &[Destination], at: Timestamp) -> Vec<Message> {
    let words = words(state, people);
    to.iter()
        .map(|to| {
            let operation = state.operation.id;
            Envelope {
                operation,
                name: "live",
                about: About::Live,
                to,
                at,
            }
            .message("live", &words)
        })
        .collect()
}

pub fn live_identity(operation: OperationId, to: &Destination) -> String {
    identity(operation, "live", to)
}

impl LiveState {
    /// A line in the thread of the live message.
    pub fn detail(
        &mut self,
        mark: &str,
        text: &str,
        lines: Vec<String>,
        to: &[Destination],
        at: Timestamp,
    ) -> Vec<Message> {
        self.details += 1;
        let words = DetailWords {
            time: time_of_day(at),
            mark: mark.to_owned(),
            text: text.to_owned(),
            lines,
        };
        let operation = self.operation.id;
        let name = format!("detail/{}", self.details);
        to.iter()
            .map(|to| {
                let envelope = Envelope {
                    operation,
                    name: &name,
                    about: About::Detail,
                    to,
                    at,
                };
                let mut message = envelope.message("detail", &words);
                message.thread_of = Some(live_identity(operation, to));
                message
            })
            .collect()
    }
}

fn words(state: &LiveState, people: &People) -> LiveWords {
    let operation = &state.operation;
    let mut steps: Vec<StepLine> = Vec::new();
    if let Some(plan) = &operation.plan {
        for step in &plan.steps {
            let record = state
                .steps
                .iter()
                .find(|record| record.phase == Phase::Run && record.name == step.name);
            steps.push(line(&step.title, record, state));
        }
    }
    for record in state
        .steps
        .iter()
        .filter(|record| record.phase == Phase::Undo)
    {
        steps.push(line(
            &format!("Undo: {}", record.title),
            Some(record),
            state,
        ));
    }
    LiveWords {
        operation: operation.id.to_string(),
        service: operation.service.clone(),
        procedure: operation.procedure.clone(),
        state: operation.state.in_words(),
        steps,
        waiting: state.waiting.clone(),
        ending: operation.ending.clone(),
        exceptions: operation.exceptions.clone(),
        observed: operation
            .observed
            .iter()
            .map(|seen| ObservedWords {
                mark: if seen.holds { "✅" } else { "❌" }.to_owned(),
                name: seen.name.clone(),
                observed: seen.observed.clone(),
                wanted: seen.wanted.clone(),
                holds: seen.holds,
            })
            .collect(),
        lock: state.lock.clone(),
        approved_by: match &operation.approved_by {
            Some(ApprovedBy::People { people: ids }) => ids
                .iter()
                .map(|id| people.name(id))
                .collect::<Vec<_>>()
                .join(", "),
            Some(ApprovedBy::BreakGlass { person, reason }) => {
                format!(
                    "{} alone, breaking the glass: {reason}",
                    people.name(person)
                )
            }
            None => "nobody".to_owned(),
        },
        started_at: operation.started_at.map(time_of_day).unwrap_or_default(),
        estimate: estimate(state),
    }
}

fn line(title: &str, record: Option<&StepRecord>, state: &LiveState) -> StepLine {
    let stopped = matches!(state.operation.state, State::Paused);
    let mark = match record.map(|record| record.state) {
        None => "▫️",
        Some(StepState::Running) if stopped => "⏸️",
        Some(StepState::Running) => "⏳",
        Some(StepState::Done) => "✅",
        Some(StepState::Failed) => "❌",
        Some(StepState::Skipped) => "⏭️",
    };
    let running = record.is_some_and(|record| record.state == StepState::Running);
    StepLine {
        mark: mark.to_owned(),
        title: title.to_owned(),
        took: record
            .and_then(StepRecord::took)
            .map(|took| duration(Duration::from_millis(took))),
        now: if running { state.now.clone() } else { None },
    }
}

fn estimate(state: &LiveState) -> Option<String> {
    if state.operation.state != State::Running {
        return None;
    }
    let estimate = state.estimate?;
    Some(if estimate.overdue {
        "takes longer than ever before".to_owned()
    } else {
        format!(
            "{} left, judging by past runs",
            duration_range(estimate.from, estimate.to)
        )
    })
}
