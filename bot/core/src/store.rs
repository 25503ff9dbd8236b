//! The store: what every database has to do for rollbot.
//!
//! All that changes an operation goes through [`Store::commit`]: one batch, one transaction, one
//! durable point. A batch states what must still be true (guards) and what becomes true (writes);
//! if a guard does not hold, nothing is written. So a crash can only fall between two batches, and
//! two owners of one operation cannot both write.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::approval::Vote;
use crate::audit::{AuditEntry, AuditRow};
use crate::id::{Digest, EventKey, OperationId, PersonId};
use crate::journal::{Entry, JournalWrite};
use crate::operation::{
    ApprovedBy, Lock, NewOperation, Observed, Operation, Phase, Question, State, StepRecord,
};
use crate::outbox::{Message, OutboxRow};
use crate::plan::Plan;

/// Why the store did not do it. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Something else changed first; look again and decide anew.
    #[error("{0}")]
    Guard(#[from] GuardFailed),
    #[error("there is no {what} {which}")]
    NotFound { what: &'static str, which: String },
    /// A state that may not follow the present one.
    #[error("{operation} is {from} and cannot become {to}")]
    Transition {
        operation: OperationId,
        from: State,
        to: State,
    },
    /// A journal row that contradicts what is there.
    #[error("journal of {operation}: {what}")]
    Journal {
        operation: OperationId,
        what: String,
    },
    /// A row that this version cannot read.
    #[error("{what} in the store cannot be read: {why}")]
    Corrupt { what: String, why: String },
    /// The database itself: disk full, locked, gone.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
}

/// A condition that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardFailed {
    #[error("this event was worked on already")]
    SeenBefore,
    #[error("{operation} has another owner now")]
    Fenced { operation: OperationId },
    #[error("{operation} is {is}")]
    State { operation: OperationId, is: State },
    #[error("{} is locked by {} ({}), since {}", .0.service, .0.operation, .0.reason, .0.since)]
    Locked(Lock),
    #[error("the question was answered already")]
    Answered,
    #[error("{operation} asks for votes on another plan")]
    Digest { operation: OperationId },
}

/// What must be true for a batch to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// The event is new; it is remembered with the batch.
    NewEvent(EventKey),
    /// The operation is still ours.
    Fence { operation: OperationId, fence: i64 },
    /// The operation is in one of these states.
    State {
        operation: OperationId,
        one_of: Vec<State>,
    },
    /// The operation asks for votes on this digest.
    Digest {
        operation: OperationId,
        digest: Digest,
    },
    /// The question of this call and attempt is open.
    QuestionOpen {
        operation: OperationId,
        phase: Phase,
        seq: i64,
        attempt: i64,
    },
}

/// What becomes true.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Must be a state that may follow. `since` is set to `at`.
    State {
        operation: OperationId,
        state: State,
        at: Timestamp,
    },
    Phase {
        operation: OperationId,
        phase: Phase,
    },
    /// Plan and digest to vote on. Earlier votes stay on record and count for their digest only.
    Plan {
        operation: OperationId,
        plan: Box<Plan>,
        digest: Digest,
        expires_at: Timestamp,
    },
    /// The start was allowed.
    Started {
        operation: OperationId,
        by: ApprovedBy,
        at: Timestamp,
    },
    Ending {
        operation: OperationId,
        ending: String,
    },
    Exception {
        operation: OperationId,
        text: String,
    },
    Observed {
        operation: OperationId,
        observed: Vec<Observed>,
    },
    /// One per digest, account and ballot: writing it again changes nothing.
    Vote(Vote),
    /// Takes a vote back; nothing happens where there is none.
    Unvote(Vote),
    Journal {
        operation: OperationId,
        change: JournalWrite,
    },
    /// By operation, phase and name: inserted, or replaced.
    Step(StepRecord),
    /// Fails with `GuardFailed::Locked` if somebody else holds it.
    Lock(Lock),
    Unlock {
        service: String,
        host: String,
    },
    /// By operation, phase, call and attempt: inserted, or replaced.
    Question(Box<Question>),
    Audit {
        operation: OperationId,
        entry: AuditEntry,
    },
    /// By identity: inserted, or given new content and a new revision if the content differs.
    Notify(Box<Message>),
}

/// One transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    pub guards: Vec<Guard>,
    pub writes: Vec<Write>,
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    #[must_use]
    pub fn write(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    #[must_use]
    pub fn writes(mut self, writes: impl IntoIterator<Item = Write>) -> Self {
        self.writes.extend(writes);
        self
    }
}

/// Which operations to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationFilter {
    pub service: Option<String>,
    /// Empty: all.
    pub states: Vec<State>,
    /// At most so many, newest first.
    pub limit: i64,
}

/// Makes the writes that go with a new operation, once its number is known.
pub type WithNumber<'a> = &'a (dyn Fn(OperationId) -> Vec<Write> + Send + Sync);

/// The verbs. Every implementation passes `rollbot_store_conformance`.
#[async_trait]
pub trait Store: Send + Sync {
    /// Records a request under the next number, with the writes that `with` makes, in one
    /// transaction. The new operation is `requested`, fence 0, phase `run`.
    ///
    /// # Errors
    /// `GuardFailed::SeenBefore` if the event was worked on already.
    async fn create_operation(
        &self,
        new: NewOperation,
        event: EventKey,
        with: WithNumber<'_>,
    ) -> Result<OperationId, StoreError>;

    /// Writes all of it, durably, or nothing.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Takes an operation over: whoever wrote with an older fence is refused from now on.
    async fn take_over(&self, operation: OperationId) -> Result<i64, StoreError>;

    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError>;

    /// Newest first.
    async fn operations(&self, filter: OperationFilter) -> Result<Vec<Operation>, StoreError>;

    /// All votes that stand, on any digest.
    async fn votes(&self, operation: OperationId) -> Result<Vec<Vote>, StoreError>;

    /// In order of their numbers.
    async fn journal(&self, operation: OperationId, phase: Phase)
    -> Result<Vec<Entry>, StoreError>;

    async fn steps(&self, operation: OperationId) -> Result<Vec<StepRecord>, StoreError>;

    /// Steps of that service's finished runs, newest operations first, of at most `limit` of them.
    async fn past_steps(&self, service: &str, limit: i64) -> Result<Vec<StepRecord>, StoreError>;

    async fn locks(&self) -> Result<Vec<Lock>, StoreError>;

    /// In the order they were asked.
    async fn questions(&self, operation: OperationId) -> Result<Vec<Question>, StoreError>;

    async fn audit(&self, operation: OperationId) -> Result<Vec<AuditRow>, StoreError>;

    /// Adds to the audit log without changing anything else: a refusal, a late vote.
    async fn note(&self, operation: OperationId, entry: AuditEntry) -> Result<(), StoreError>;

    /// Whether the event was worked on already.
    async fn seen(&self, event: &EventKey) -> Result<bool, StoreError>;

    /// Rows for a platform whose newest content was not delivered and whose time has come, most
    /// urgent first.
    async fn outbox_due(
        &self,
        platform: &str,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<OutboxRow>, StoreError>;

    /// Platforms for which something waits, whether they are configured or not.
    async fn outbox_platforms(&self) -> Result<Vec<String>, StoreError>;

    async fn outbox_by_identity(&self, identity: &str) -> Result<Option<OutboxRow>, StoreError>;

    /// The row whose message has this id on that platform and channel.
    async fn outbox_by_message(
        &self,
        platform: &str,
        channel: &str,
        message_ref: &str,
    ) -> Result<Option<OutboxRow>, StoreError>;

    async fn outbox_of(&self, operation: OperationId) -> Result<Vec<OutboxRow>, StoreError>;

    /// This revision arrived, under this id.
    async fn outbox_delivered(
        &self,
        id: i64,
        revision: i64,
        message_ref: &str,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// It did not; it is tried again at `next_at`, or never. Newer content is not concerned.
    async fn outbox_failed(
        &self,
        id: i64,
        revision: i64,
        error: &str,
        next_at: Timestamp,
        abandon: bool,
    ) -> Result<(), StoreError>;

    /// Keeps a plugin's component, so that an upgrade does not strand a running operation.
    async fn keep_component(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError>;

    async fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes and takes back one row: whether the store could record something now.
    async fn check_writable(&self) -> Result<(), StoreError>;
}

/// Who acted, in audit entries.
pub fn actor(person: &PersonId) -> String {
    person.0.clone()
}
