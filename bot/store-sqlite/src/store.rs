//! The verbs of the store.

use async_trait::async_trait;
use jiff::Timestamp;
use rollbot_core::approval::Vote;
use rollbot_core::audit::{AuditEntry, AuditRow};
use rollbot_core::id::{Digest, EventKey, OperationId};
use rollbot_core::journal::Entry;
use rollbot_core::operation::{Lock, NewOperation, Operation, Phase, Question, State, StepRecord};
use rollbot_core::outbox::OutboxRow;
use rollbot_core::store::{Batch, OperationFilter, Store, StoreError, WithNumber, Write};
use sqlx::SqliteConnection;

use crate::batch::{Work, remember};
use crate::fault::{Fault, no_operation};
use crate::{SqliteStore, column, journal, outbox, read};

#[async_trait]
impl Store for SqliteStore {
    async fn create_operation(
        &self,
        new: NewOperation,
        event: EventKey,
        with: WithNumber<'_>,
    ) -> Result<OperationId, StoreError> {
        self.writing(async {
            let mut transaction = self.writer()?.begin().await?;
            let result = create(transaction.connection(), &new, &event, with).await;
            transaction.end(result).await
        })
        .await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.writing(async {
            let mut transaction = self.writer()?.begin().await?;
            let result = apply(transaction.connection(), &batch).await;
            transaction.end(result).await
        })
        .await
    }

    async fn take_over(&self, operation: OperationId) -> Result<i64, StoreError> {
        let number = operation.number();
        self.writing(async {
            let mut transaction = self.writer()?.begin().await?;
            let result = sqlx::query_scalar!(
                r#"UPDATE operations SET fence = fence + 1 WHERE id = ? RETURNING fence AS "fence!: i64""#,
                number
            )
            .fetch_optional(transaction.connection())
            .await
            .map_err(Fault::from)
            .and_then(|fence| fence.ok_or_else(|| no_operation(operation).into()));
            transaction.end(result).await
        })
        .await
    }

    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        self.reading(read::operation(&self.readers, id)).await
    }

    async fn operations(&self, filter: OperationFilter) -> Result<Vec<Operation>, StoreError> {
        self.reading(read::operations(&self.readers, &filter)).await
    }

    async fn votes(&self, operation: OperationId) -> Result<Vec<Vote>, StoreError> {
        self.reading(read::votes(&self.readers, operation)).await
    }

    async fn journal(
        &self,
        operation: OperationId,
        phase: Phase,
    ) -> Result<Vec<Entry>, StoreError> {
        self.reading(journal::read(&self.readers, operation, phase))
            .await
    }

    async fn steps(&self, operation: OperationId) -> Result<Vec<StepRecord>, StoreError> {
        self.reading(read::steps(&self.readers, operation)).await
    }

    async fn past_steps(&self, service: &str, limit: i64) -> Result<Vec<StepRecord>, StoreError> {
        self.reading(read::past_steps(&self.readers, service, limit))
            .await
    }

    async fn locks(&self) -> Result<Vec<Lock>, StoreError> {
        self.reading(read::locks(&self.readers)).await
    }

    async fn questions(&self, operation: OperationId) -> Result<Vec<Question>, StoreError> {
        self.reading(read::questions(&self.readers, operation))
            .await
    }

    async fn audit(&self, operation: OperationId) -> Result<Vec<AuditRow>, StoreError> {
        self.reading(read::audit(&self.readers, operation)).await
    }

    async fn note(&self, operation: OperationId, entry: AuditEntry) -> Result<(), StoreError> {
        self.commit(Batch::new().write(Write::Audit { operation, entry }))
            .await
    }

    async fn seen(&self, event: &EventKey) -> Result<bool, StoreError> {
        let key = event.as_str();
        self.reading(async {
            let seen = sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT 1 FROM events WHERE key = ?) AS "seen!: bool""#,
                key
            )
            .fetch_one(&self.readers)
            .await?;
            Ok(seen)
        })
        .await
    }

    async fn outbox_due(
        &self,
        platform: &str,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        self.reading(outbox::due(&self.readers, platform, now, limit))
            .await
    }

    async fn outbox_platforms(&self) -> Result<Vec<String>, StoreError> {
        self.reading(outbox::platforms(&self.readers)).await
    }

    async fn outbox_by_identity(&self, identity: &str) -> Result<Option<OutboxRow>, StoreError> {
        self.reading(outbox::by_identity(&self.readers, identity))
            .await
    }

    async fn outbox_by_message(
        &self,
        platform: &str,
        channel: &str,
        message_ref: &str,
    ) -> Result<Option<OutboxRow>, StoreError> {
        self.reading(outbox::by_message(
            &self.readers,
            platform,
            channel,
            message_ref,
        ))
        .await
    }

    async fn outbox_of(&self, operation: OperationId) -> Result<Vec<OutboxRow>, StoreError> {
        self.reading(outbox::of(&self.readers, operation)).await
    }

    async fn outbox_delivered(
        &self,
        id: i64,
        revision: i64,
        message_ref: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.writing(async {
            let mut transaction = self.writer()?.begin().await?;
            let result =
                outbox::delivered(transaction.connection(), id, revision, message_ref, at).await;
            transaction.end(result).await
        })
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
        self.writing(async {
            let mut transaction = self.writer()?.begin().await?;
            let result = outbox::failed(
                transaction.connection(),
                id,
                revision,
                error,
                next_at,
                abandon,
            )
            .await;
            transaction.end(result).await
        })
        .await
    }

    async fn keep_component(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let digest = digest.as_str();
        self.writing(async {
            // Components are megabytes and mostly there: looked for without keeping writers waiting.
            let known = sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT 1 FROM components WHERE digest = ?) AS "known!: bool""#,
                digest
            )
            .fetch_one(&self.readers)
            .await?;
            if known {
                return Ok(());
            }
            let mut transaction = self.writer()?.begin().await?;
            let result = sqlx::query!(
                "INSERT INTO components (digest, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING",
                digest,
                bytes
            )
            .execute(transaction.connection())
            .await
            .map(|_| ())
            .map_err(Fault::from);
            transaction.end(result).await
        })
        .await
    }

    async fn component(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let digest = digest.as_str();
        self.reading(async {
            let bytes =
                sqlx::query_scalar!("SELECT bytes FROM components WHERE digest = ?", digest)
                    .fetch_optional(&self.readers)
                    .await?;
            Ok(bytes)
        })
        .await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.writing(async {
            // Two commits: a row that is taken back before the first one never meets the disk.
            let mut transaction = self.writer()?.begin().await?;
            let result = sqlx::query!("INSERT INTO probe DEFAULT VALUES")
                .execute(transaction.connection())
                .await
                .map(|_| ())
                .map_err(Fault::from);
            transaction.end(result).await?;
            let mut transaction = self.writer()?.begin().await?;
            let result = sqlx::query!("DELETE FROM probe")
                .execute(transaction.connection())
                .await
                .map(|_| ())
                .map_err(Fault::from);
            transaction.end(result).await
        })
        .await
    }
}

async fn create(
    connection: &mut SqliteConnection,
    new: &NewOperation,
    event: &EventKey,
    with: WithNumber<'_>,
) -> Result<OperationId, Fault> {
    remember(connection, event).await?;
    let requested_at = new.requested_at.as_millisecond();
    let state = State::Requested.as_str();
    let done = sqlx::query!(
        "INSERT INTO operations (state, service, host, procedure, requester, platform, channel,
            dry_run, requested_at, since, reason)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)",
        state,
        new.service,
        new.host,
        new.procedure,
        new.requester.0,
        new.origin.platform,
        new.origin.channel,
        new.dry_run,
        requested_at,
        new.reason
    )
    .execute(&mut *connection)
    .await?;
    let id = column::operation(done.last_insert_rowid())?;
    let mut work = Work::new(connection);
    for write in with(id) {
        work.write(&write).await?;
    }
    Ok(id)
}

async fn apply(connection: &mut SqliteConnection, batch: &Batch) -> Result<(), Fault> {
    let mut work = Work::new(connection);
    for guard in &batch.guards {
        work.guard(guard).await?;
    }
    for write in &batch.writes {
        work.write(write).await?;
    }
    Ok(())
}
