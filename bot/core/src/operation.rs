//! Operations, their states, their steps, locks and questions.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Digest, OperationId, PersonId};
use crate::plan::Plan;

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Recorded and acknowledged; the plugin is making the plan.
    Requested,
    /// A dry run ends here: the plan was shown and nothing else will happen.
    Planned,
    AwaitingApproval,
    Running,
    /// Waits for people; the open question says what for.
    Paused,
    /// Every target was observed in its planned state; the last messages are being written.
    Verified,
    Closed,
    /// Something was skipped or marked as done by hand, or a target could not be observed.
    ClosedWithExceptions,
    Undone,
    Vetoed,
    Expired,
    Cancelled,
    /// Ended without reaching its targets: planning failed, people aborted it, or it diverged.
    Failed,
}

impl State {
    pub const ALL: [State; 13] = [
        State::Requested,
        State::Planned,
        State::AwaitingApproval,
        State::Running,
        State::Paused,
        State::Verified,
        State::Closed,
        State::ClosedWithExceptions,
        State::Undone,
        State::Vetoed,
        State::Expired,
        State::Cancelled,
        State::Failed,
    ];

    /// As stored and as programs read it: `awaiting-approval`.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Requested => "requested",
            State::Planned => "planned",
            State::AwaitingApproval => "awaiting-approval",
            State::Running => "running",
            State::Paused => "paused",
            State::Verified => "verified",
            State::Closed => "closed",
            State::ClosedWithExceptions => "closed-with-exceptions",
            State::Undone => "undone",
            State::Vetoed => "vetoed",
            State::Expired => "expired",
            State::Cancelled => "cancelled",
            State::Failed => "failed",
        }
    }

    /// As people read it: "awaiting approval".
    pub fn in_words(self) -> String {
        self.as_str().replace('-', " ")
    }

    /// Nothing follows.
    pub fn is_final(self) -> bool {
        self.successors().is_empty()
    }

    /// The states that may follow. Everything else is refused by every store.
    pub fn successors(self) -> &'static [State] {
        use State::*;
        match self {
            Requested => &[Planned, AwaitingApproval, Cancelled, Failed],
            // Back to itself: a new digest asks anew.
            AwaitingApproval => &[
                AwaitingApproval,
                Running,
                Vetoed,
                Expired,
                Cancelled,
                Failed,
            ],
            Running => &[Paused, Verified, ClosedWithExceptions, Undone, Failed],
            Paused => &[Running, Failed],
            Verified => &[Closed],
            Planned | Closed | ClosedWithExceptions | Undone | Vetoed | Expired | Cancelled
            | Failed => &[],
        }
    }

    pub fn may_become(self, next: State) -> bool {
        self.successors().contains(&next)
    }

    /// Whether the world may be in between: an effect may have started and the end is not reached.
    pub fn is_under_way(self) -> bool {
        matches!(self, State::Running | State::Paused | State::Verified)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for State {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        State::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no state of an operation"))
    }
}

/// Which run of the plugin a journal row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The procedure that was asked for.
    Run,
    /// The plan's contingencies that lead back.
    Undo,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Run => "run",
            Phase::Undo => "undo",
        }
    }

    /// The procedure the plugin is called with.
    pub fn procedure(self, asked: &str) -> &str {
        match self {
            Phase::Run => asked,
            Phase::Undo => "undo",
        }
    }
}

/// How an approved run came to be approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum ApprovedBy {
    /// These people, each counted once.
    People { people: Vec<PersonId> },
    /// The standing break-glass policy, used by one person for a reason.
    BreakGlass { person: PersonId, reason: String },
}

/// One rollback, from the request to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Operation {
    pub id: OperationId,
    pub service: String,
    pub host: String,
    pub procedure: String,
    pub reason: Option<String>,
    pub requester: PersonId,
    /// Platform and channel where it was asked for: `console`, `cli`.
    pub origin: Origin,
    pub dry_run: bool,
    pub state: State,
    pub phase: Phase,
    pub requested_at: Timestamp,
    /// When the current state was entered.
    pub since: Timestamp,
    /// When the vote on the current digest ends.
    pub expires_at: Option<Timestamp>,
    /// When the first effect was allowed to start.
    pub started_at: Option<Timestamp>,
    pub plan: Option<Plan>,
    pub digest: Option<Digest>,
    pub approved_by: Option<ApprovedBy>,
    /// How it ended, one sentence for people, set with a final state.
    pub ending: Option<String>,
    /// What was skipped, marked by hand or not observed; a sentence each.
    pub exceptions: Vec<String>,
    /// Who owns the run: grows with every take-over. A write with an older one is refused.
    pub fence: i64,
    /// What was observed of every target at the end.
    pub observed: Vec<Observed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub platform: String,
    pub channel: String,
}

/// What was seen of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub name: String,
    pub wanted: String,
    pub observed: String,
    pub holds: bool,
}

/// A request as the grammar understood it; the store gives it a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewOperation {
    pub service: String,
    pub host: String,
    pub procedure: String,
    pub reason: Option<String>,
    pub requester: PersonId,
    pub origin: Origin,
    pub dry_run: bool,
    pub requested_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    Running,
    Done,
    Failed,
    Skipped,
}

impl StepState {
    pub fn as_str(self) -> &'static str {
        match self {
            StepState::Running => "running",
            StepState::Done => "done",
            StepState::Failed => "failed",
            StepState::Skipped => "skipped",
        }
    }
}

/// What became of a step. Steps that were not begun have no record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepRecord {
    pub operation: OperationId,
    pub phase: Phase,
    pub name: String,
    pub title: String,
    pub state: StepState,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl StepRecord {
    /// Milliseconds from begin to end.
    pub fn took(&self) -> Option<u64> {
        let ended = self.ended_at?;
        u64::try_from(ended.as_millisecond() - self.started_at.as_millisecond()).ok()
    }
}

/// A service's lock: one operation at a time, and nobody by hand without knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lock {
    pub service: String,
    pub host: String,
    pub operation: OperationId,
    pub holder: PersonId,
    pub reason: String,
    pub since: Timestamp,
}

/// Why an operation is paused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum PauseReason {
    /// An effect failed, or a step's verification did not pass.
    StepFailed { step: String },
    /// An at-most-once effect was begun and its outcome is not known.
    UnknownOutcome { effect: String },
    /// The plugin asks.
    Question,
    /// The replay differs from the journal; only undo by hand or abort remain.
    Diverged,
}

/// An answer that people can choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Choice {
    /// `retry`, `skip`, `done`, `undo`, `abort`, or the plugin's own.
    pub key: String,
    pub label: String,
    /// Whether one approver may choose it, or the full count must.
    pub needs_full_count: bool,
}

/// What people decided in a pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "decision")]
pub enum Decision {
    Retry,
    Skip,
    /// Done by hand; the bot observes what is and hands that to the plugin.
    MarkAsDone,
    Undo,
    Abort,
    /// One of the plugin's own choices.
    Answer {
        key: String,
    },
}

impl Decision {
    /// The decision behind a choice's key.
    pub fn from_key(key: &str) -> Self {
        match key {
            "retry" => Self::Retry,
            "skip" => Self::Skip,
            "done" => Self::MarkAsDone,
            "undo" => Self::Undo,
            "abort" => Self::Abort,
            other => Self::Answer {
                key: other.to_owned(),
            },
        }
    }
}

/// A question to people: the operation is paused until it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Question {
    pub operation: OperationId,
    pub phase: Phase,
    /// The journal's call that waits for it.
    pub seq: i64,
    /// Counts the questions at the same call: after a retry that fails again, it is asked anew.
    pub attempt: i64,
    pub reason: PauseReason,
    pub text: String,
    pub details: Vec<String>,
    pub choices: Vec<Choice>,
    pub asked_at: Timestamp,
    /// Who has chosen what so far; more than one only where the full count is needed.
    pub chosen: Vec<Chosen>,
    pub answer: Option<String>,
    pub answered_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    pub person: PersonId,
    pub key: String,
    pub at: Timestamp,
}

impl Question {
    /// Names the question in messages and on the command line.
    pub fn key(&self) -> String {
        format!(
            "{}/{}/{}.{}",
            self.operation,
            self.phase.as_str(),
            self.seq,
            self.attempt
        )
    }

    pub fn choice(&self, key: &str) -> Option<&Choice> {
        self.choices.iter().find(|choice| choice.key == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_as_it_is_written() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }

    #[test]
    fn effects_can_only_follow_a_vote() {
        for state in State::ALL {
            if state.may_become(State::Running) {
                assert!(matches!(state, State::AwaitingApproval | State::Paused));
            }
        }
    }

    #[test]
    fn only_a_verified_operation_closes_without_exceptions() {
        for state in State::ALL {
            assert_eq!(state.may_become(State::Closed), state == State::Verified);
        }
    }
}
