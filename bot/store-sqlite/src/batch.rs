//! A batch within its transaction: the guards first, then the writes in their order.

use std::collections::BTreeMap;

use rollbot_core::approval::Vote;
use rollbot_core::audit::{self, AuditEntry, AuditRow};
use rollbot_core::id::{Digest, EventKey, OperationId};
use rollbot_core::operation::{Lock, Question, State, StepRecord};
use rollbot_core::plan::Plan;
use rollbot_core::store::{Guard, GuardFailed, StoreError, Write};
use sqlx::SqliteConnection;

use crate::fault::{Fault, no_operation};
use crate::{column, journal, outbox, read};

/// What guards and transitions look at. Nobody else writes while the transaction lasts, so it is
/// read once and kept up to date here: each statement is a trip to SQLite's thread and back.
struct Head {
    fence: i64,
    state: State,
    digest: Option<Digest>,
}

/// A batch on its way.
pub(crate) struct Work<'a> {
    connection: &'a mut SqliteConnection,
    heads: BTreeMap<OperationId, Head>,
    chains: BTreeMap<OperationId, Option<AuditRow>>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(connection: &'a mut SqliteConnection) -> Self {
        Self {
            connection,
            heads: BTreeMap::new(),
            chains: BTreeMap::new(),
        }
    }

    pub(crate) async fn guard(&mut self, guard: &Guard) -> Result<(), Fault> {
        match guard {
            Guard::NewEvent(key) => remember(self.connection, key).await,
            Guard::Fence { operation, fence } => {
                if self.head(*operation).await?.fence == *fence {
                    Ok(())
                } else {
                    Err(GuardFailed::Fenced {
                        operation: *operation,
                    }
                    .into())
                }
            }
            Guard::State { operation, one_of } => {
                let is = self.head(*operation).await?.state;
                if one_of.contains(&is) {
                    Ok(())
                } else {
                    Err(GuardFailed::State {
                        operation: *operation,
                        is,
                    }
                    .into())
                }
            }
            Guard::Digest { operation, digest } => {
                if self.head(*operation).await?.digest.as_ref() == Some(digest) {
                    Ok(())
                } else {
                    Err(GuardFailed::Digest {
                        operation: *operation,
                    }
                    .into())
                }
            }
            Guard::QuestionOpen {
                operation,
                phase,
                seq,
                attempt,
            } => {
                let (number, phase) = (operation.number(), phase.as_str());
                let row = sqlx::query!(
                    r#"SELECT answer IS NULL AND answered_at IS NULL AS "open!: bool"
                    FROM questions
                    WHERE operation = ? AND phase = ? AND seq = ? AND attempt = ?"#,
                    number,
                    phase,
                    seq,
                    attempt
                )
                .fetch_optional(&mut *self.connection)
                .await?;
                match row {
                    Some(row) if row.open => Ok(()),
                    Some(_) => Err(GuardFailed::Answered.into()),
                    None => Err(StoreError::NotFound {
                        what: "question",
                        which: format!("{operation}/{phase}/{seq}.{attempt}"),
                    }
                    .into()),
                }
            }
        }
    }

    pub(crate) async fn write(&mut self, write: &Write) -> Result<(), Fault> {
        match write {
            Write::State {
                operation,
                state,
                at,
            } => self.state(*operation, *state, at.as_millisecond()).await,
            Write::Phase { operation, phase } => {
                let (number, phase) = (operation.number(), phase.as_str());
                let done = sqlx::query!(
                    "UPDATE operations SET phase = ? WHERE id = ?",
                    phase,
                    number
                )
                .execute(&mut *self.connection)
                .await?;
                found(*operation, done.rows_affected())
            }
            Write::Plan {
                operation,
                plan,
                digest,
                expires_at,
            } => {
                self.plan(*operation, plan, digest, expires_at.as_millisecond())
                    .await
            }
            Write::Started { operation, by, at } => {
                let number = operation.number();
                let (by, at) = (column::json("an approval", by)?, at.as_millisecond());
                let done = sqlx::query!(
                    "UPDATE operations SET approved_by = ?, started_at = ? WHERE id = ?",
                    by,
                    at,
                    number
                )
                .execute(&mut *self.connection)
                .await?;
                found(*operation, done.rows_affected())
            }
            Write::Ending { operation, ending } => {
                let number = operation.number();
                let done = sqlx::query!(
                    "UPDATE operations SET ending = ? WHERE id = ?",
                    ending,
                    number
                )
                .execute(&mut *self.connection)
                .await?;
                found(*operation, done.rows_affected())
            }
            Write::Exception { operation, text } => {
                let number = operation.number();
                let done = sqlx::query!(
                    "UPDATE operations SET exceptions = json_insert(exceptions, '$[#]', ?)
                    WHERE id = ?",
                    text,
                    number
                )
                .execute(&mut *self.connection)
                .await?;
                found(*operation, done.rows_affected())
            }
            Write::Observed {
                operation,
                observed,
            } => {
                let number = operation.number();
                let observed = column::json("what was observed", observed)?;
                let done = sqlx::query!(
                    "UPDATE operations SET observed = ? WHERE id = ?",
                    observed,
                    number
                )
                .execute(&mut *self.connection)
                .await?;
                found(*operation, done.rows_affected())
            }
            Write::Vote(vote) => self
                .vote(vote)
                .await
                .map_err(|fault| fault.about(vote.operation)),
            Write::Unvote(vote) => self.unvote(vote).await,
            Write::Journal { operation, change } => {
                journal::write(self.connection, *operation, change)
                    .await
                    .map_err(|fault| fault.about(*operation))
            }
            Write::Step(step) => self
                .step(step)
                .await
                .map_err(|fault| fault.about(step.operation)),
            Write::Lock(lock) => self
                .lock(lock)
                .await
                .map_err(|fault| fault.about(lock.operation)),
            Write::Unlock { service, host } => {
                sqlx::query!(
                    "DELETE FROM locks WHERE service = ? AND host = ?",
                    service,
                    host
                )
                .execute(&mut *self.connection)
                .await?;
                Ok(())
            }
            Write::Question(question) => self
                .question(question)
                .await
                .map_err(|fault| fault.about(question.operation)),
            Write::Audit { operation, entry } => self
                .audit(*operation, entry.clone())
                .await
                .map_err(|fault| fault.about(*operation)),
            Write::Notify(message) => outbox::write(self.connection, message)
                .await
                .map_err(|fault| fault.about(message.operation)),
        }
    }

    async fn head(&mut self, operation: OperationId) -> Result<&mut Head, Fault> {
        use std::collections::btree_map::Entry;
        match self.heads.entry(operation) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let number = operation.number();
                let row = sqlx::query!(
                    "SELECT fence, state, digest FROM operations WHERE id = ?",
                    number
                )
                .fetch_optional(&mut *self.connection)
                .await?
                .ok_or_else(|| no_operation(operation))?;
                let what = format!("the row of {operation}");
                Ok(unknown.insert(Head {
                    fence: row.fence,
                    state: column::word(&what, &row.state)?,
                    digest: row
                        .digest
                        .map(|digest| column::digest(&what, &digest))
                        .transpose()?,
                }))
            }
        }
    }

    async fn state(&mut self, operation: OperationId, to: State, at: i64) -> Result<(), Fault> {
        let head = self.head(operation).await?;
        let from = head.state;
        if !from.may_become(to) {
            return Err(StoreError::Transition {
                operation,
                from,
                to,
            }
            .into());
        }
        head.state = to;
        let (number, state) = (operation.number(), to.as_str());
        sqlx::query!(
            "UPDATE operations SET state = ?, since = ? WHERE id = ?",
            state,
            at,
            number
        )
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn plan(
        &mut self,
        operation: OperationId,
        plan: &Plan,
        digest: &Digest,
        expires_at: i64,
    ) -> Result<(), Fault> {
        let what = format!("the plan of {operation}");
        let text = column::json(&what, plan)?;
        // A number that JSON cannot hold would strand the operation when it is read again: notice
        // it while nothing has begun.
        if column::from_json::<Plan>(&what, &text)? != *plan {
            return Err(StoreError::Corrupt {
                what,
                why: "it does not come back as it was written".to_owned(),
            }
            .into());
        }
        self.head(operation).await?.digest = Some(digest.clone());
        let (number, digest) = (operation.number(), digest.as_str());
        sqlx::query!(
            "UPDATE operations SET plan = ?, digest = ?, expires_at = ? WHERE id = ?",
            text,
            digest,
            expires_at,
            number
        )
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn vote(&mut self, vote: &Vote) -> Result<(), Fault> {
        let (number, digest) = (vote.operation.number(), vote.digest.as_str());
        let (ballot, at) = (vote.ballot.as_str(), vote.at.as_millisecond());
        let (account, way) = (&vote.account, vote.way.as_str());
        sqlx::query!(
            "INSERT INTO votes (operation, digest, platform, team, account, ballot, way, at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (operation, digest, platform, team, account, ballot, way) DO NOTHING",
            number,
            digest,
            account.platform,
            account.team,
            account.user,
            ballot,
            way,
            at
        )
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn unvote(&mut self, vote: &Vote) -> Result<(), Fault> {
        let (number, digest) = (vote.operation.number(), vote.digest.as_str());
        let (account, ballot) = (&vote.account, vote.ballot.as_str());
        let way = vote.way.as_str();
        sqlx::query!(
            "DELETE FROM votes WHERE operation = ? AND digest = ? AND platform = ? AND team = ?
                AND account = ? AND ballot = ? AND way = ?",
            number,
            digest,
            account.platform,
            account.team,
            account.user,
            ballot,
            way
        )
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn step(&mut self, step: &StepRecord) -> Result<(), Fault> {
        let (number, phase) = (step.operation.number(), step.phase.as_str());
        let (state, started_at) = (step.state.as_str(), step.started_at.as_millisecond());
        let ended_at = step.ended_at.map(|at| at.as_millisecond());
        sqlx::query!(
            "INSERT INTO steps (operation, phase, name, title, state, started_at, ended_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (operation, phase, name) DO UPDATE SET title = excluded.title,
                state = excluded.state, started_at = excluded.started_at,
                ended_at = excluded.ended_at",
            number,
            phase,
            step.name,
            step.title,
            state,
            started_at,
            ended_at
        )
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn lock(&mut self, lock: &Lock) -> Result<(), Fault> {
        let (number, since) = (lock.operation.number(), lock.since.as_millisecond());
        // Whoever has it may say anew who and why; since when stays.
        let done = sqlx::query!(
            "INSERT INTO locks (service, host, operation, holder, reason, since)
            VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (service, host) DO UPDATE SET holder = excluded.holder,
                reason = excluded.reason
            WHERE operation = excluded.operation",
            lock.service,
            lock.host,
            number,
            lock.holder.0,
            lock.reason,
            since
        )
        .execute(&mut *self.connection)
        .await?;
        if done.rows_affected() > 0 {
            return Ok(());
        }
        match read::lock(self.connection, &lock.service, &lock.host).await? {
            Some(held) => Err(GuardFailed::Locked(held).into()),
            None => Err(StoreError::Corrupt {
                what: format!("the lock of {}", lock.service),
                why: "it is neither held nor free".to_owned(),
            }
            .into()),
        }
    }

    async fn question(&mut self, question: &Question) -> Result<(), Fault> {
        let what = "a question";
        let (number, phase) = (question.operation.number(), question.phase.as_str());
        let reason = column::json(what, &question.reason)?;
        let details = column::json(what, &question.details)?;
        let choices = column::json(what, &question.choices)?;
        let chosen = column::json(what, &question.chosen)?;
        let asked_at = question.asked_at.as_millisecond();
        let answered_at = question.answered_at.map(|at| at.as_millisecond());
        sqlx::query!(
            "INSERT INTO questions (operation, phase, seq, attempt, reason, text, details, choices,
                asked_at, chosen, answer, answered_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (operation, phase, seq, attempt) DO UPDATE SET reason = excluded.reason,
                text = excluded.text, details = excluded.details, choices = excluded.choices,
                asked_at = excluded.asked_at, chosen = excluded.chosen, answer = excluded.answer,
                answered_at = excluded.answered_at",
            number,
            phase,
            question.seq,
            question.attempt,
            reason,
            question.text,
            details,
            choices,
            asked_at,
            chosen,
            question.answer,
            answered_at
        )
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn audit(&mut self, operation: OperationId, entry: AuditEntry) -> Result<(), Fault> {
        use std::collections::btree_map::Entry;
        let last = match self.chains.entry(operation) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                unknown.insert(read::last_audit_row(self.connection, operation).await?)
            }
        };
        let row = audit::link(operation, last.as_ref(), entry);
        let (number, at) = (operation.number(), row.entry.at.as_millisecond());
        let facts = column::json("the facts of an audit entry", &row.entry.facts)?;
        let (previous, hash) = (row.previous.as_str(), row.hash.as_str());
        sqlx::query!(
            "INSERT INTO audit (operation, seq, at, actor, kind, text, facts, previous, hash)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            number,
            row.seq,
            at,
            row.entry.actor,
            row.entry.kind,
            row.entry.text,
            facts,
            previous,
            hash
        )
        .execute(&mut *self.connection)
        .await?;
        *last = Some(row);
        Ok(())
    }
}

/// # Errors
/// `SeenBefore` if it is known.
pub(crate) async fn remember(
    connection: &mut SqliteConnection,
    event: &EventKey,
) -> Result<(), Fault> {
    let key = event.as_str();
    let done = sqlx::query!(
        "INSERT INTO events (key) VALUES (?) ON CONFLICT DO NOTHING",
        key
    )
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(GuardFailed::SeenBefore.into())
    }
}

fn found(operation: OperationId, rows: u64) -> Result<(), Fault> {
    if rows == 1 {
        Ok(())
    } else {
        Err(no_operation(operation).into())
    }
}
