//! The journal of host calls.

use rollbot_core::id::OperationId;
use rollbot_core::journal::{Entry, JournalWrite, Outcome};
use rollbot_core::operation::Phase;
use rollbot_core::store::StoreError;
use sqlx::{SqliteConnection, SqlitePool};

use crate::column;
use crate::fault::Fault;

fn parts(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Returned(value) => ("returned", value),
        Outcome::Failed(value) => ("failed", value),
    }
}

pub(crate) async fn write(
    connection: &mut SqliteConnection,
    operation: OperationId,
    change: &JournalWrite,
) -> Result<(), Fault> {
    match change {
        JournalWrite::Intent { phase, entry } => intent(connection, operation, *phase, entry).await,
        JournalWrite::Outcome {
            phase,
            seq,
            outcome,
            at,
        } => {
            let (number, phase, at) = (operation.number(), phase.as_str(), at.as_millisecond());
            let (outcome, value) = parts(outcome);
            let done = sqlx::query!(
                "UPDATE journal SET outcome = ?, value = ?, outcome_at = ?
                WHERE operation = ? AND phase = ? AND seq = ?
                    AND (outcome IS NULL OR outcome = 'failed')",
                outcome,
                value,
                at,
                number,
                phase,
                seq
            )
            .execute(&mut *connection)
            .await?;
            if done.rows_affected() == 1 {
                return Ok(());
            }
            let found = outcome_of(connection, operation, phase, *seq).await?;
            refuse(
                operation,
                match found {
                    None => format!("call {phase}/{seq} has an outcome and was never begun"),
                    Some(_) => format!("call {phase}/{seq} has returned already"),
                },
            )
        }
        JournalWrite::Again { phase, seq, at } => {
            let (number, phase, at) = (operation.number(), phase.as_str(), at.as_millisecond());
            let done = sqlx::query!(
                "UPDATE journal SET outcome = NULL, value = NULL, outcome_at = NULL,
                    attempt = attempt + 1, intent_at = ?
                WHERE operation = ? AND phase = ? AND seq = ? AND outcome = 'failed'",
                at,
                number,
                phase,
                seq
            )
            .execute(&mut *connection)
            .await?;
            if done.rows_affected() == 1 {
                return Ok(());
            }
            let found = outcome_of(connection, operation, phase, *seq).await?;
            refuse(
                operation,
                match found {
                    None => format!("call {phase}/{seq} is to be tried again and was never begun"),
                    Some(None) => {
                        format!("call {phase}/{seq} is to be tried again and has not ended")
                    }
                    Some(Some(_)) => {
                        format!("call {phase}/{seq} is to be tried again and has not failed")
                    }
                },
            )
        }
    }
}

async fn intent(
    connection: &mut SqliteConnection,
    operation: OperationId,
    phase: Phase,
    entry: &Entry,
) -> Result<(), Fault> {
    let (number, phase, class) = (operation.number(), phase.as_str(), entry.class.as_str());
    let intent_at = entry.intent_at.as_millisecond();
    let outcome_at = entry.outcome_at.map(|at| at.as_millisecond());
    let (outcome, value) = entry.outcome.as_ref().map(parts).unzip();
    let done = sqlx::query!(
        "INSERT INTO journal (operation, phase, seq, function, arguments, class, attempt, intent_at,
            outcome, value, outcome_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (operation, phase, seq) DO NOTHING",
        number,
        phase,
        entry.seq,
        entry.function,
        entry.arguments,
        class,
        entry.attempt,
        intent_at,
        outcome,
        value,
        outcome_at
    )
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    refuse(
        operation,
        format!("call {phase}/{} was begun already", entry.seq),
    )
}

/// The outcome in one word, if the row is there, and if it has one.
async fn outcome_of(
    connection: &mut SqliteConnection,
    operation: OperationId,
    phase: &str,
    seq: i64,
) -> Result<Option<Option<String>>, Fault> {
    let number = operation.number();
    let row = sqlx::query!(
        "SELECT outcome FROM journal WHERE operation = ? AND phase = ? AND seq = ?",
        number,
        phase,
        seq
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.outcome))
}

fn refuse(operation: OperationId, what: String) -> Result<(), Fault> {
    Err(StoreError::Journal { operation, what }.into())
}

pub(crate) async fn read(
    pool: &SqlitePool,
    operation: OperationId,
    phase: Phase,
) -> Result<Vec<Entry>, Fault> {
    let (number, phase) = (operation.number(), phase.as_str());
    let rows = sqlx::query!(
        "SELECT seq, function, arguments, class, attempt, intent_at, outcome, value, outcome_at
        FROM journal WHERE operation = ? AND phase = ? ORDER BY seq",
        number,
        phase
    )
    .fetch_all(pool)
    .await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let what = format!("call {phase}/{} of {operation}", row.seq);
        let outcome = match (row.outcome.as_deref(), row.value) {
            (None, None) => None,
            (Some("returned"), Some(value)) => Some(Outcome::Returned(value)),
            (Some("failed"), Some(value)) => Some(Outcome::Failed(value)),
            (outcome, _) => {
                return Err(StoreError::Corrupt {
                    what,
                    why: format!("its outcome is `{}`", outcome.unwrap_or("missing")),
                }
                .into());
            }
        };
        entries.push(Entry {
            seq: row.seq,
            class: column::word(&what, &row.class)?,
            attempt: row.attempt,
            intent_at: column::time(&what, row.intent_at)?,
            outcome,
            outcome_at: column::time_or_none(&what, row.outcome_at)?,
            function: row.function,
            arguments: row.arguments,
        });
    }
    Ok(entries)
}
