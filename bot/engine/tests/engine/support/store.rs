//! A store that dies at a given commit, as a process does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use rollbot_core::approval::Vote;
use rollbot_core::audit::{AuditEntry, AuditRow};
use rollbot_core::id::{Digest, EventKey, OperationId};
use rollbot_core::journal::Entry;
use rollbot_core::operation::{Lock, NewOperation, Operation, Phase, Question, StepRecord};
use rollbot_core::outbox::OutboxRow;
use rollbot_core::store::{Batch, OperationFilter, Store, StoreError, WithNumber};

/// On which side of a commit the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dies {
    /// Nothing of the batch is written.
    Before,
    /// All of it is, and nobody hears of it.
    After,
}

/// Passes everything on, until it dies at the n-th commit; from then on every commit fails.
pub struct Mortal {
    inner: Arc<dyn Store>,
    left: AtomicI64,
    dies: Dies,
}

impl Mortal {
    pub fn new(inner: Arc<dyn Store>, commits: i64, dies: Dies) -> Arc<Self> {
        Arc::new(Self {
            inner,
            left: AtomicI64::new(commits),
            dies,
        })
    }

    pub fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

fn dead() -> StoreError {
    StoreError::Unavailable("the process was killed".into())
}

#[async_trait]
impl Store for Mortal {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            0 if self.dies == Dies::After => {
                self.inner.commit(batch).await?;
                Err(dead())
            }
            left if left <= 0 => Err(dead()),
            _ => self.inner.commit(batch).await,
        }
    }

    async fn create_operation(
        &self,
        new: NewOperation,
        event: EventKey,
        with: WithNumber<'_>,
    ) -> Result<OperationId, StoreError> {
        self.inner.create_operation(new, event, with).await
    }
    async fn take_over(&self, operation: OperationId) -> Result<i64, StoreError> {
        self.inner.take_over(operation).await
    }
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        self.inner.operation(id).await
    }
    async fn operations(&self, filter: OperationFilter) -> Result<Vec<Operation>, StoreError> {
        self.inner.operations(filter).await
    }
    async fn votes(&self, operation: OperationId) -> Result<Vec<Vote>, StoreError> {
        self.inner.votes(operation).await
    }
    async fn journal(
        &self,
        operation: OperationId,
        phase: Phase,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.journal(operation, phase).await
    }
    async fn steps(&self, operation: OperationId) -> Result<Vec<StepRecord>, StoreError> {
        self.inner.steps(operation).await
    }
    async fn past_steps(&self, service: &str, limit: i64) -> Result<Vec<StepRecord>, StoreError> {
        self.inner.past_steps(service, limit).await
    }
    async fn locks(&self) -> Result<Vec<Lock>, StoreError> {
        self.inner.locks().await
    }
    async fn questions(&self, operation: OperationId) -> Result<Vec<Question>, StoreError> {
        self.inner.questions(operation).await
    }
    async fn audit(&self, operation: OperationId) -> Result<Vec<AuditRow>, StoreError> {
        self.inner.audit(operation).await
    }
    async fn note(&self, operation: OperationId, entry: AuditEntry) -> Result<(), StoreError> {
        self.inner.note(operation, entry).await
    }
    async fn seen(&self, event: &EventKey) -> Result<bool, StoreError> {
        self.inner.seen(event).await
    }
    async fn outbox_due(
        &self,
        platform: &str,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        self.inner.outbox_due(platform, now, limit).await
    }
    async fn outbox_platforms(&self) -> Result<Vec<String>, StoreError> {
        self.inner.outbox_platforms().await
    }
    async fn outbox_by_identity(&self, identity: &str) -> Result<Option<OutboxRow>, StoreError> {
        self.inner.outbox_by_identity(identity).await
    }
    async fn outbox_by_message(
        &self,
        platform: &str,
        channel: &str,
        message_ref: &str,
    ) -> Result<Option<OutboxRow>, StoreError> {
        self.inner
            .outbox_by_message(platform, channel, message_ref)
            .await
    }
    async fn outbox_of(&self, operation: OperationId) -> Result<Vec<OutboxRow>, StoreError> {
        self.inner.outbox_of(operation).await
    }
    async fn outbox_delivered(
        &self,
        id: i64,
        revision: i64,
        message_ref: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner
            .outbox_delivered(id, revision, message_ref, at)
            .await
    }
    async fn outbox_failed(
        &self,
        id: i64,
        revision: i64,
        error: &str,
        next_at: Timestamp,
        abandon: bool,
    ) -> Result<(), StoreError> {
        self.inner
            .outbox_failed(id, revision, error, next_at, abandon)
            .await
    }
    async fn keep_component(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.keep_component(digest, bytes).await
    }
    async fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.component(digest).await
    }
    async fn check_writable(&self) -> Result<(), StoreError> {
        self.inner.check_writable().await
    }
}
