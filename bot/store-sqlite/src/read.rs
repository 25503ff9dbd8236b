//! Rows of operations, votes, steps, locks, questions and the audit log, and how they are read.

use rollbot_core::approval::{Account, Vote};
use rollbot_core::audit::{AuditEntry, AuditRow};
use rollbot_core::id::{Digest, OperationId, PersonId};
use rollbot_core::operation::{Lock, Operation, Origin, Question, State, StepRecord};
use rollbot_core::store::{OperationFilter, StoreError};
use sqlx::{SqliteConnection, SqlitePool};

use crate::column;
use crate::fault::Fault;

struct OperationRow {
    id: i64,
    fence: i64,
    state: String,
    digest: Option<String>,
    phase: String,
    service: String,
    host: String,
    procedure: String,
    requester: String,
    platform: String,
    channel: String,
    dry_run: bool,
    requested_at: i64,
    since: i64,
    expires_at: Option<i64>,
    started_at: Option<i64>,
    reason: Option<String>,
    ending: Option<String>,
    approved_by: Option<String>,
    exceptions: String,
    observed: String,
    plan: Option<String>,
}

impl TryFrom<OperationRow> for Operation {
    type Error = StoreError;

    fn try_from(row: OperationRow) -> Result<Self, Self::Error> {
        let id = column::operation(row.id)?;
        let what = id.to_string();
        let in_column = |name: &str| format!("{name} of {id}");
        Ok(Self {
            id,
            service: row.service,
            host: row.host,
            procedure: row.procedure,
            reason: row.reason,
            requester: PersonId(row.requester),
            origin: Origin {
                platform: row.platform,
                channel: row.channel,
            },
            dry_run: row.dry_run,
            state: column::word(&in_column("the state"), &row.state)?,
            phase: column::word(&in_column("the phase"), &row.phase)?,
            requested_at: column::time(&what, row.requested_at)?,
            since: column::time(&what, row.since)?,
            expires_at: column::time_or_none(&what, row.expires_at)?,
            started_at: column::time_or_none(&what, row.started_at)?,
            plan: row
                .plan
                .map(|plan| column::from_json(&in_column("the plan"), &plan))
                .transpose()?,
            digest: row
                .digest
                .map(|digest| column::digest(&in_column("the plan's digest"), &digest))
                .transpose()?,
            approved_by: row
                .approved_by
                .map(|by| column::from_json(&in_column("the approval"), &by))
                .transpose()?,
            ending: row.ending,
            exceptions: column::from_json(&in_column("the list of exceptions"), &row.exceptions)?,
            fence: row.fence,
            observed: column::from_json(&in_column("the list of observations"), &row.observed)?,
        })
    }
}

/// The columns once, for every way to choose the rows.
macro_rules! select_operations {
    ($tail:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            OperationRow,
            r#"SELECT id, fence, state, digest, phase, service, host, procedure, requester, platform,
                channel, dry_run AS "dry_run: bool", requested_at, since, expires_at, started_at,
                reason, ending, approved_by, exceptions, observed, plan
            FROM operations "# + $tail
            $(, $argument)*
        )
    };
}

pub(crate) async fn operation(
    pool: &SqlitePool,
    id: OperationId,
) -> Result<Option<Operation>, Fault> {
    let number = id.number();
    let row = select_operations!("WHERE id = ?", number)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(Operation::try_from).transpose()?)
}

pub(crate) async fn operations(
    pool: &SqlitePool,
    filter: &OperationFilter,
) -> Result<Vec<Operation>, Fault> {
    let limit = filter.limit.max(0);
    let states = column::json("the filter", &filter.states)?;
    let rows = match (&filter.service, filter.states.is_empty()) {
        (None, true) => {
            select_operations!("ORDER BY id DESC LIMIT ?", limit)
                .fetch_all(pool)
                .await?
        }
        (None, false) => {
            select_operations!(
                "WHERE state IN (SELECT value FROM json_each(?)) ORDER BY id DESC LIMIT ?",
                states,
                limit
            )
            .fetch_all(pool)
            .await?
        }
        (Some(service), true) => {
            select_operations!("WHERE service = ? ORDER BY id DESC LIMIT ?", service, limit)
                .fetch_all(pool)
                .await?
        }
        (Some(service), false) => {
            select_operations!(
                "WHERE service = ? AND state IN (SELECT value FROM json_each(?))
                ORDER BY id DESC LIMIT ?",
                service,
                states,
                limit
            )
            .fetch_all(pool)
            .await?
        }
    };
    Ok(rows
        .into_iter()
        .map(Operation::try_from)
        .collect::<Result<_, _>>()?)
}

pub(crate) async fn votes(pool: &SqlitePool, operation: OperationId) -> Result<Vec<Vote>, Fault> {
    let number = operation.number();
    let rows = sqlx::query!(
        "SELECT digest, platform, team, account, ballot, way, at FROM votes
        WHERE operation = ? ORDER BY at, id",
        number
    )
    .fetch_all(pool)
    .await?;
    let what = format!("a vote on {operation}");
    let mut votes = Vec::with_capacity(rows.len());
    for row in rows {
        votes.push(Vote {
            operation,
            digest: column::digest(&what, &row.digest)?,
            account: Account {
                platform: row.platform,
                team: row.team,
                user: row.account,
            },
            ballot: column::word(&what, &row.ballot)?,
            way: column::word(&what, &row.way)?,
            at: column::time(&what, row.at)?,
        });
    }
    Ok(votes)
}

struct StepRow {
    operation: i64,
    phase: String,
    name: String,
    title: String,
    state: String,
    started_at: i64,
    ended_at: Option<i64>,
}

impl TryFrom<StepRow> for StepRecord {
    type Error = StoreError;

    fn try_from(row: StepRow) -> Result<Self, Self::Error> {
        let operation = column::operation(row.operation)?;
        let what = format!("step `{}` of {operation}", row.name);
        Ok(Self {
            operation,
            phase: column::word(&what, &row.phase)?,
            title: row.title,
            state: column::word(&what, &row.state)?,
            started_at: column::time(&what, row.started_at)?,
            ended_at: column::time_or_none(&what, row.ended_at)?,
            name: row.name,
        })
    }
}

pub(crate) async fn steps(
    pool: &SqlitePool,
    operation: OperationId,
) -> Result<Vec<StepRecord>, Fault> {
    let number = operation.number();
    let rows = sqlx::query_as!(
        StepRow,
        "SELECT operation, phase, name, title, state, started_at, ended_at FROM steps
        WHERE operation = ? ORDER BY id",
        number
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(StepRecord::try_from)
        .collect::<Result<_, _>>()?)
}

pub(crate) async fn past_steps(
    pool: &SqlitePool,
    service: &str,
    limit: i64,
) -> Result<Vec<StepRecord>, Fault> {
    let finished: Vec<_> = State::ALL
        .into_iter()
        .filter(|state| state.is_final())
        .collect();
    let finished = column::json("the final states", &finished)?;
    let limit = limit.max(0);
    let rows = sqlx::query_as!(
        StepRow,
        "SELECT operation, phase, name, title, state, started_at, ended_at FROM steps
        WHERE operation IN (
            SELECT o.id FROM operations o
            WHERE o.service = ?1 AND o.state IN (SELECT value FROM json_each(?2))
                AND EXISTS (SELECT 1 FROM steps s WHERE s.operation = o.id)
            ORDER BY o.id DESC LIMIT ?3
        )
        ORDER BY operation DESC, id",
        service,
        finished,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(StepRecord::try_from)
        .collect::<Result<_, _>>()?)
}

pub(crate) async fn locks(pool: &SqlitePool) -> Result<Vec<Lock>, Fault> {
    let rows = sqlx::query!(
        "SELECT service, host, operation, holder, reason, since FROM locks ORDER BY service, host"
    )
    .fetch_all(pool)
    .await?;
    let mut locks = Vec::with_capacity(rows.len());
    for row in rows {
        let what = format!("the lock of {}", row.service);
        locks.push(Lock {
            operation: column::operation(row.operation)?,
            since: column::time(&what, row.since)?,
            service: row.service,
            host: row.host,
            holder: PersonId(row.holder),
            reason: row.reason,
        });
    }
    Ok(locks)
}

/// Who holds it, seen from within a transaction.
pub(crate) async fn lock(
    connection: &mut SqliteConnection,
    service: &str,
    host: &str,
) -> Result<Option<Lock>, Fault> {
    let row = sqlx::query!(
        "SELECT operation, holder, reason, since FROM locks WHERE service = ? AND host = ?",
        service,
        host
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Lock {
        service: service.to_owned(),
        host: host.to_owned(),
        operation: column::operation(row.operation)?,
        holder: PersonId(row.holder),
        reason: row.reason,
        since: column::time(&format!("the lock of {service}"), row.since)?,
    }))
}

pub(crate) async fn questions(
    pool: &SqlitePool,
    operation: OperationId,
) -> Result<Vec<Question>, Fault> {
    let number = operation.number();
    let rows = sqlx::query!(
        "SELECT phase, seq, attempt, reason, text, details, choices, asked_at, chosen, answer,
            answered_at
        FROM questions WHERE operation = ? ORDER BY id",
        number
    )
    .fetch_all(pool)
    .await?;
    let what = format!("a question of {operation}");
    let mut questions = Vec::with_capacity(rows.len());
    for row in rows {
        questions.push(Question {
            operation,
            phase: column::word(&what, &row.phase)?,
            seq: row.seq,
            attempt: row.attempt,
            reason: column::from_json(&what, &row.reason)?,
            text: row.text,
            details: column::from_json(&what, &row.details)?,
            choices: column::from_json(&what, &row.choices)?,
            asked_at: column::time(&what, row.asked_at)?,
            chosen: column::from_json(&what, &row.chosen)?,
            answer: row.answer,
            answered_at: column::time_or_none(&what, row.answered_at)?,
        });
    }
    Ok(questions)
}

struct AuditColumns {
    seq: i64,
    at: i64,
    actor: String,
    kind: String,
    text: String,
    facts: String,
    previous: String,
    hash: String,
}

fn audit_row(operation: OperationId, row: AuditColumns) -> Result<AuditRow, StoreError> {
    let what = format!("row {} of the audit log of {operation}", row.seq);
    let digest = |text: &str| -> Result<Digest, StoreError> { column::digest(&what, text) };
    Ok(AuditRow {
        operation,
        seq: row.seq,
        entry: AuditEntry {
            at: column::time(&what, row.at)?,
            actor: row.actor,
            kind: row.kind,
            text: row.text,
            facts: column::from_json(&what, &row.facts)?,
        },
        previous: digest(&row.previous)?,
        hash: digest(&row.hash)?,
    })
}

pub(crate) async fn audit(
    pool: &SqlitePool,
    operation: OperationId,
) -> Result<Vec<AuditRow>, Fault> {
    let number = operation.number();
    let rows = sqlx::query_as!(
        AuditColumns,
        "SELECT seq, at, actor, kind, text, facts, previous, hash FROM audit
        WHERE operation = ? ORDER BY seq",
        number
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| audit_row(operation, row))
        .collect::<Result<_, _>>()?)
}

/// The end of the chain, seen from within a transaction.
pub(crate) async fn last_audit_row(
    connection: &mut SqliteConnection,
    operation: OperationId,
) -> Result<Option<AuditRow>, Fault> {
    let number = operation.number();
    let row = sqlx::query_as!(
        AuditColumns,
        "SELECT seq, at, actor, kind, text, facts, previous, hash FROM audit
        WHERE operation = ? ORDER BY seq DESC LIMIT 1",
        number
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| audit_row(operation, row)).transpose()?)
}
