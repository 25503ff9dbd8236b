//! A run under its journal: every call is answered from the journal as long as it reaches, and
//! made and journaled from there on.
//!
//! Commits are grouped: the outcome of call n is written with the intent of call n+1. Nothing is
//! lost by that, as what comes after an unwritten outcome is only the plugin's computing: a crash
//! there makes the call again, which its class allows. Outcomes of at-most-once effects, failures,
//! decisions of people and the last outcome are written at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use rollbot_core::Clock;
use rollbot_core::id::OperationId;
use rollbot_core::journal::{Class, Entry, JournalWrite, Outcome, host_function};
use rollbot_core::operation::{Operation, Phase};
use rollbot_core::plan::Plan;
use rollbot_core::store::{Batch, Guard, GuardFailed, Store, StoreError, Write};
use serde::Serialize;

use crate::authority::{Authority, Refusal};
use crate::config::Limits;
use crate::guest::Stop;
use crate::hosts::Host;
use crate::run_events::{RunEnd, RunEvent, RunObserver};
use crate::wire::{CallError, Record, Wire, in_time};

/// An attempt that took longer is not repeated without asking people: five of them would leave
/// everybody waiting for nothing.
const QUICK: Duration = Duration::from_secs(30);

/// A run of a plugin.
pub(crate) struct Run {
    pub operation: OperationId,
    pub phase: Phase,
    pub plan: Arc<Plan>,
    /// When the first effect of the operation was allowed to start.
    pub started_at: Timestamp,
    pub authority: Authority,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn RunObserver>,
    pub limits: Limits,
    pub past: Past,
    store: Arc<dyn Store>,
    fence: i64,
    /// The journal as it was when this run began.
    tape: Vec<Entry>,
    /// Number of the next call.
    next: usize,
    /// Outcomes, and what belongs to them, that go with the next commit.
    pending: Vec<Write>,
    output: usize,
    scratch: Vec<u8>,
}

/// What happened so far in this run, replayed or live.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// The step that has begun and not ended.
    pub step: Option<RunningStep>,
    /// What the last call of each effect came to.
    pub effects: BTreeMap<String, Came>,
}

#[derive(Debug, Clone)]
pub(crate) struct RunningStep {
    pub name: String,
    pub title: String,
    pub began: Timestamp,
}

/// What an effect came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Done,
    Skipped,
    Failed,
}

/// Where the journal stands with regard to a call.
pub(crate) enum Place<T, E> {
    /// It was answered.
    Returned(Result<T, E>),
    /// It failed, and people had not decided.
    Failed {
        seq: i64,
        attempt: i64,
        intent_at: Timestamp,
        error: E,
    },
    /// It was begun, and no outcome is known.
    Open {
        seq: i64,
        attempt: i64,
        intent_at: Timestamp,
    },
    /// It was never made.
    New { seq: i64, arguments: String },
}

/// What a run is made of.
pub(crate) struct Beginning<'a> {
    pub operation: &'a Operation,
    pub phase: Phase,
    pub plan: Arc<Plan>,
    pub fence: i64,
    pub authority: Authority,
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn Store>,
    pub observer: Arc<dyn RunObserver>,
    pub limits: Limits,
}

impl Run {
    /// Reads the journal, and tells that the run begins.
    pub async fn begin(beginning: Beginning<'_>) -> Result<Self, RunEnd> {
        let Beginning {
            operation,
            phase,
            plan,
            fence,
            authority,
            clock,
            store,
            observer,
            limits,
        } = beginning;
        let tape = store.journal(operation.id, phase).await.map_err(lost)?;
        if let Some((expected, entry)) = (0_i64..)
            .zip(&tape)
            .find(|(expected, entry)| *expected != entry.seq)
        {
            return Err(RunEnd::StoreLost(StoreError::Corrupt {
                what: format!("the journal of {}, call {expected}", operation.id),
                why: format!("call {} is there in its place", entry.seq),
            }));
        }
        let mut run = Self {
            operation: operation.id,
            phase,
            started_at: operation.started_at.unwrap_or(operation.requested_at),
            plan,
            authority,
            clock,
            observer,
            limits,
            past: Past::default(),
            store,
            fence,
            tape,
            next: 0,
            pending: Vec::new(),
            output: 0,
            scratch: Vec::new(),
        };
        let began = run.tell(&RunEvent::Began {
            phase,
            replayed: run.tape.len(),
        });
        match run.commit(began).await {
            Ok(()) => Ok(run),
            Err(Stop::Run(end)) => Err(end),
            Err(other) => Err(RunEnd::TooMuch {
                what: format!("{other:?}"),
            }),
        }
    }

    /// The guest returned by itself: whether it used up what the journal holds.
    pub fn leftover(&self) -> Option<RunEnd> {
        let entry = self.tape.get(self.next)?;
        Some(RunEnd::Diverged {
            seq: entry.seq,
            expected: shown(&entry.function, &entry.arguments),
            found: "the plugin has returned".into(),
        })
    }

    /// Writes what is left to be written.
    pub async fn flush(&mut self) -> Result<(), Stop> {
        self.commit(Vec::new()).await
    }

    /// When the next call was begun: as the journal says, or now.
    pub fn begun_at(&self) -> Timestamp {
        self.tape
            .get(self.next)
            .map_or_else(|| self.clock.now(), |entry| entry.intent_at)
    }

    pub fn tell(&self, event: &RunEvent) -> Vec<Write> {
        self.observer.tell(self.clock.now(), event)
    }

    /// One transaction, in which this run still owns the operation. No write, no transaction.
    pub async fn commit(&mut self, writes: Vec<Write>) -> Result<(), Stop> {
        if self.pending.is_empty() && writes.is_empty() {
            return Ok(());
        }
        let batch = Batch::new()
            .guard(Guard::Fence {
                operation: self.operation,
                fence: self.fence,
            })
            .writes(std::mem::take(&mut self.pending))
            .writes(writes);
        self.store
            .commit(batch)
            .await
            .map_err(|error| Stop::Run(lost(error)))
    }

    pub fn defer(&mut self, writes: impl IntoIterator<Item = Write>) {
        self.pending.extend(writes);
    }

    fn journal(&self, change: JournalWrite) -> Write {
        Write::Journal {
            operation: self.operation,
            change,
        }
    }

    pub fn intent(&self, seq: i64, function: &str, arguments: String) -> Write {
        self.intent_at(seq, function, arguments, self.clock.now())
    }

    pub fn intent_at(
        &self,
        seq: i64,
        function: &str,
        arguments: String,
        intent_at: Timestamp,
    ) -> Write {
        let class = host_function(function).map_or(Class::AtMostOnce, |known| known.class);
        let entry = Entry {
            seq,
            function: function.to_owned(),
            arguments,
            class,
            attempt: 1,
            intent_at,
            outcome: None,
            outcome_at: None,
        };
        self.journal(JournalWrite::Intent {
            phase: self.phase,
            entry,
        })
    }

    pub fn outcome(&self, seq: i64, outcome: Outcome) -> Write {
        let at = self.clock.now();
        self.journal(JournalWrite::Outcome {
            phase: self.phase,
            seq,
            outcome,
            at,
        })
    }

    pub fn again(&self, seq: i64) -> Write {
        self.journal(JournalWrite::Again {
            phase: self.phase,
            seq,
            at: self.clock.now(),
        })
    }

    /// The value as it may be shown and kept: without secrets, and as JSON.
    pub fn encode<T: Record>(&self, value: T) -> Result<(T, String), Stop> {
        self.authority
            .hosts
            .redactor()
            .encode(value)
            .map_err(|error| {
                Stop::Run(RunEnd::StoreLost(StoreError::Corrupt {
                    what: format!("an outcome of {}", self.operation),
                    why: error.to_string(),
                }))
            })
    }

    /// Counts a call and finds its place in the journal.
    pub fn place<T: Record, E: Record>(
        &mut self,
        function: &'static str,
        arguments: &impl Serialize,
    ) -> Result<Place<T, E>, Stop> {
        self.scratch.clear();
        serde_json::to_writer(&mut self.scratch, arguments).map_err(|error| {
            Stop::TooMuch(format!(
                "the arguments of {function} cannot be written: {error}"
            ))
        })?;
        self.output += self.scratch.len();
        let (limits, index) = (&self.limits, self.next);
        if index >= limits.calls {
            return Err(Stop::TooMuch(format!("more than {} calls", limits.calls)));
        }
        if self.scratch.len() > limits.arguments {
            return Err(Stop::TooMuch(format!(
                "{} bytes of arguments for {function}, {} are allowed",
                self.scratch.len(),
                limits.arguments
            )));
        }
        if self.output > limits.output {
            return Err(Stop::TooMuch(format!(
                "more than {} bytes of arguments in one run",
                limits.output
            )));
        }
        self.next += 1;
        let Some(entry) = self.tape.get(index) else {
            let seq = i64::try_from(index).unwrap_or(i64::MAX);
            let arguments = String::from_utf8_lossy(&self.scratch).into_owned();
            return Ok(Place::New { seq, arguments });
        };
        if entry.function != function || entry.arguments.as_bytes() != self.scratch {
            return Err(Stop::Run(RunEnd::Diverged {
                seq: entry.seq,
                expected: shown(&entry.function, &entry.arguments),
                found: shown(function, &String::from_utf8_lossy(&self.scratch)),
            }));
        }
        let unreadable = |error: serde_json::Error| {
            Stop::Run(RunEnd::StoreLost(StoreError::Corrupt {
                what: format!("the outcome of call {} of {}", entry.seq, self.operation),
                why: error.to_string(),
            }))
        };
        Ok(match &entry.outcome {
            Some(Outcome::Returned(json)) => {
                let wire: Wire<T, E> = serde_json::from_str(json).map_err(unreadable)?;
                Place::Returned(wire.into())
            }
            Some(Outcome::Failed(json)) => Place::Failed {
                seq: entry.seq,
                attempt: entry.attempt,
                intent_at: entry.intent_at,
                error: serde_json::from_str(json).map_err(unreadable)?,
            },
            None => Place::Open {
                seq: entry.seq,
                attempt: entry.attempt,
                intent_at: entry.intent_at,
            },
        })
    }

    /// Tells the plugin that the call is not made, and journals that. `fresh` has the arguments of
    /// a call that is not in the journal yet.
    pub async fn refuse<T: Record, E: CallError>(
        &mut self,
        function: &'static str,
        seq: i64,
        fresh: Option<String>,
        refusal: &Refusal,
    ) -> Result<Result<T, E>, Stop> {
        let error = E::refused(refusal);
        let (wire, json) = self.encode(Wire::<T, E>::Err(error))?;
        let mut writes = Vec::new();
        if let Some(arguments) = fresh {
            writes.push(self.intent(seq, function, arguments));
        }
        writes.push(self.outcome(seq, Outcome::Returned(json)));
        let reason = refusal.text().to_owned();
        tracing::warn!(operation = %self.operation, function, reason, "a call was refused");
        writes.extend(self.tell(&RunEvent::Refused { function, reason }));
        self.commit(writes).await?;
        Ok(wire.into())
    }

    /// A query: its answer is journaled, and is what a replay answers.
    pub async fn query<T: Record, E: CallError>(
        &mut self,
        function: &'static str,
        arguments: &(impl Serialize + Sync),
        patience: Duration,
        permit: impl FnOnce(&Authority) -> Result<Host, Refusal> + Send,
        live: impl Fn(Host) -> BoxFuture<'static, Result<T, E>> + Send + Sync,
    ) -> Result<Result<T, E>, Stop> {
        let (seq, fresh) = match self.place(function, arguments)? {
            Place::Returned(answer) => return Ok(answer),
            Place::New { seq, arguments } => (seq, Some(arguments)),
            Place::Open { seq, .. } | Place::Failed { seq, .. } => (seq, None),
        };
        let host = match permit(&self.authority) {
            Ok(host) => host,
            Err(refusal) => return self.refuse(function, seq, fresh, &refusal).await,
        };
        let begun = fresh.map(|arguments| self.intent(seq, function, arguments));
        self.commit(begun.into_iter().collect()).await?;
        let deadline = self.limits.query_deadline + patience;
        let attempt = || in_time(function, deadline, live(host.clone()));
        let answer = self.attempts(function, None, attempt).await?;
        let (wire, json) = self.encode(Wire::from(answer))?;
        let ended = self.outcome(seq, Outcome::Returned(json));
        self.defer([ended]);
        Ok(wire.into())
    }

    /// Tries until it succeeds, fails for good, or has been tried often enough.
    pub async fn attempts<T, E: CallError, F>(
        &mut self,
        function: &'static str,
        effect: Option<&str>,
        mut attempt: impl FnMut() -> F + Send,
    ) -> Result<Result<T, E>, Stop>
    where
        T: Send,
        F: Future<Output = Result<T, E>> + Send,
    {
        let of = self.limits.attempts.max(1);
        let mut n = 1;
        loop {
            let begun = Instant::now();
            let error = match attempt().await {
                Ok(value) => return Ok(Ok(value)),
                Err(error) => error,
            };
            if n >= of || !error.may_pass() || begun.elapsed() > QUICK {
                return Ok(Err(error));
            }
            let text = self.authority.hosts.redactor().redact(&error.text());
            tracing::info!(operation = %self.operation, function, n, of, error = text, "tried again");
            let event = RunEvent::Attempt {
                function,
                effect: effect.map(ToOwned::to_owned),
                n,
                of,
                error: text,
            };
            let told = self.tell(&event);
            self.commit(told).await?;
            let pause = self.limits.pause_after(n);
            self.clock
                .sleep_until(
                    self.clock
                        .now()
                        .checked_add(pause)
                        .unwrap_or(Timestamp::MAX),
                )
                .await;
            n += 1;
        }
    }

    /// A call that touches nothing outside: answered, journaled and told in one commit.
    pub async fn note_down<T: Record, E: CallError>(
        &mut self,
        function: &'static str,
        seq: i64,
        fresh: Option<String>,
        answer: T,
        event: Option<RunEvent>,
    ) -> Result<Result<T, E>, Stop> {
        let (wire, json) = self.encode(Wire::<T, E>::Ok(answer))?;
        let mut writes = Vec::new();
        if let Some(arguments) = fresh {
            writes.push(self.intent(seq, function, arguments));
        }
        writes.push(self.outcome(seq, Outcome::Returned(json)));
        if let Some(event) = event {
            writes.extend(self.tell(&event));
        }
        self.commit(writes).await?;
        Ok(wire.into())
    }
}

pub(crate) const NO_ARGUMENTS: [u8; 0] = [];

/// The error of a call that has none.
#[derive(Debug, Clone, Copy, Serialize, serde::Deserialize)]
pub(crate) enum Never {}

fn shown(function: &str, arguments: &str) -> String {
    const MOST: usize = 300;
    let mut text = format!("{function}{arguments}");
    if text.len() > MOST {
        let end = (0..=MOST)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

pub(crate) fn lost(error: StoreError) -> RunEnd {
    match error {
        StoreError::Guard(GuardFailed::Fenced { .. }) => RunEnd::Fenced,
        other => RunEnd::StoreLost(other),
    }
}
