//! A store around the real one, which counts commits and kills the process around one of them.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use jiff::Timestamp;
use rollbot_core::approval::Vote;
use rollbot_core::audit::{AuditEntry, AuditRow};
use rollbot_core::journal::{Entry, JournalWrite};
use rollbot_core::operation::{Lock, NewOperation, Operation, Phase, Question, StepRecord};
use rollbot_core::outbox::OutboxRow;
use rollbot_core::store::{Batch, OperationFilter, Store, StoreError, WithNumber, Write};
use rollbot_core::{Digest, EventKey, OperationId};

/// When to die, and what to write down.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    at: Option<(u64, Side)>,
    count: Option<PathBuf>,
}

/// Which side of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Side::Before => "before",
            Side::After => "after",
        }
    }
}

impl Plan {
    /// # Errors
    /// The environment says something that is no plan.
    pub fn from_environment() -> anyhow::Result<Self> {
        let at = match std::env::var("ROLLBOT_CRASH_AT") {
            Ok(text) => {
                let (number, side) = text
                    .split_once(':')
                    .context("ROLLBOT_CRASH_AT is written as 17:before")?;
                let side = match side {
                    "before" => Side::Before,
                    "after" => Side::After,
                    other => bail!("ROLLBOT_CRASH_AT: `{other}` is neither before nor after"),
                };
                Some((number.parse().context("ROLLBOT_CRASH_AT")?, side))
            }
            Err(_) => None,
        };
        Ok(Self {
            at,
            count: std::env::var_os("ROLLBOT_COUNT_COMMITS").map(PathBuf::from),
        })
    }
}

/// See the module.
pub struct CrashingStore {
    inner: Arc<dyn Store>,
    plan: Plan,
    commits: AtomicU64,
}

impl CrashingStore {
    pub fn new(inner: Arc<dyn Store>, plan: Plan) -> Self {
        Self {
            inner,
            plan,
            commits: AtomicU64::new(0),
        }
    }

    fn before(&self, what: &str) -> u64 {
        let number = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(path) = &self.plan.count {
            // A line a commit, so that the test can choose one of each kind.
            let written = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .and_then(|mut file| writeln!(file, "{number} {what}"));
            if let Err(error) = written {
                eprintln!("commits cannot be counted: {error}");
            }
        }
        self.die(number, Side::Before);
        number
    }

    fn die(&self, number: u64, side: Side) {
        if self.plan.at == Some((number, side)) {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
            // The signal is on its way; nothing else may happen meanwhile.
            loop {
                std::thread::park();
            }
        }
    }
}

/// What kind of boundary a batch is: its first telling write.
fn kind(batch: &Batch) -> String {
    let of = |write: &Write| match write {
        Write::Journal {
            change: JournalWrite::Intent { entry, .. },
            ..
        } => Some(format!("intent-{}", entry.function)),
        Write::Journal {
            change: JournalWrite::Outcome { .. },
            ..
        } => Some("outcome".to_owned()),
        Write::Journal {
            change: JournalWrite::Again { .. },
            ..
        } => Some("again".to_owned()),
        Write::State { state, .. } => Some(format!("state-{state}")),
        Write::Vote(_) => Some("vote".to_owned()),
        Write::Unvote(_) => Some("unvote".to_owned()),
        Write::Question(_) => Some("question".to_owned()),
        Write::Unlock { .. } => Some("unlock".to_owned()),
        _ => None,
    };
    batch
        .writes
        .iter()
        .find_map(of)
        .unwrap_or_else(|| "messages".to_owned())
}

macro_rules! commit {
    ($self:ident, $what:expr, $call:expr) => {{
        let number = $self.before(&$what);
        let result = $call.await;
        $self.die(number, Side::After);
        result
    }};
}

#[async_trait]
impl Store for CrashingStore {
    async fn create_operation(
        &self,
        new: NewOperation,
        event: EventKey,
        with: WithNumber<'_>,
    ) -> Result<OperationId, StoreError> {
        commit!(
            self,
            "request",
            self.inner.create_operation(new, event, with)
        )
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        commit!(self, kind(&batch), self.inner.commit(batch))
    }

    async fn take_over(&self, operation: OperationId) -> Result<i64, StoreError> {
        commit!(self, "take-over", self.inner.take_over(operation))
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
        commit!(self, "note", self.inner.note(operation, entry))
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
        commit!(
            self,
            "delivered",
            self.inner.outbox_delivered(id, revision, message_ref, at)
        )
    }

    async fn outbox_failed(
        &self,
        id: i64,
        revision: i64,
        error: &str,
        next_at: Timestamp,
        abandon: bool,
    ) -> Result<(), StoreError> {
        commit!(
            self,
            "not-delivered",
            self.inner
                .outbox_failed(id, revision, error, next_at, abandon)
        )
    }

    async fn keep_component(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        commit!(self, "component", self.inner.keep_component(digest, bytes))
    }

    async fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.component(digest).await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.inner.check_writable().await
    }
}
