//! Tells the run as it happens: every event of the engine becomes steps, audit entries and messages
//! in the very transaction of the event; every pause becomes a question, and an answer ends it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollbot_core::OperationId;
use rollbot_core::operation::{Decision, Operation, Phase, Question, State, StepRecord, StepState};
use rollbot_core::plan::Effect;
use rollbot_core::store::{Batch, Guard, GuardFailed, StoreError, Write};
use rollbot_engine::{Interrupted, RunEvent, RunObserver};
use rollbot_notify::estimate;
use tokio::sync::Notify;

use super::ROLLBOT;
use super::conductor::Inner;
use crate::messages::{self, LiveState};
use rollbot_config::Service;

/// How often an open question is looked at when nobody wakes us.
const LOOK: Duration = Duration::from_secs(2);

/// One run of one phase.
pub(super) struct Story {
    inner: Arc<Inner>,
    entry: Service,
    phase: Phase,
    fence: i64,
    wake: Arc<Notify>,
    live: Mutex<LiveState>,
    past: Vec<StepRecord>,
    /// People want the run to stop before its next effect.
    pub halted: AtomicBool,
}

impl Inner {
    /// What the live message shows, from the store.
    pub(super) async fn live_state(
        &self,
        operation: &Operation,
        steps: Vec<StepRecord>,
        details: usize,
    ) -> Result<LiveState, StoreError> {
        let past = self.store.past_steps(&operation.service, 20).await?;
        let estimate = estimated(operation, &steps, &past, self.clock.now());
        Ok(LiveState {
            operation: operation.clone(),
            steps,
            now: None,
            waiting: None,
            estimate,
            lock: None,
            details,
        })
    }

    pub(super) async fn details_so_far(&self, id: OperationId) -> Result<usize, StoreError> {
        let prefix = format!("{id}/detail/");
        let rows = self.store.outbox_of(id).await?;
        Ok(rows
            .iter()
            .filter_map(|row| row.message.identity.strip_prefix(&prefix))
            .filter_map(|rest| rest.split('@').next()?.parse::<usize>().ok())
            .max()
            .unwrap_or(0))
    }
}

fn estimated(
    operation: &Operation,
    steps: &[StepRecord],
    past: &[StepRecord],
    now: jiff::Timestamp,
) -> Option<rollbot_notify::Estimate> {
    let plan = operation.plan.as_ref()?;
    let names: Vec<_> = plan.steps.iter().map(|step| step.name.clone()).collect();
    estimate(&names, steps, past, now)
}

impl Story {
    pub async fn open(
        inner: Arc<Inner>,
        entry: Service,
        operation: &Operation,
        fence: i64,
        wake: Arc<Notify>,
    ) -> Result<Arc<Self>, StoreError> {
        let steps = inner.store.steps(operation.id).await?;
        let details = inner.details_so_far(operation.id).await?;
        let past = inner.store.past_steps(&operation.service, 20).await?;
        let live = Mutex::new(inner.live_state(operation, steps, details).await?);
        let phase = operation.phase;
        let halted = AtomicBool::new(false);
        Ok(Arc::new(Self {
            inner,
            entry,
            phase,
            fence,
            wake,
            live,
            past,
            halted,
        }))
    }

    /// Changes what the live message shows and returns the writes for it.
    fn with_live<R>(&self, change: impl FnOnce(&mut LiveState) -> R) -> (R, Vec<Write>) {
        let at = self.inner.clock.now();
        // A poisoned lock only means that a message was half made; the state in it is still whole.
        let mut live = self
            .live
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let result = change(&mut live);
        live.estimate = estimated(&live.operation, &live.steps, &self.past, at);
        let to = &self.inner.catalogue.operators;
        let writes = messages::live(&live, self.inner.people(), to, at)
            .into_iter()
            .map(|message| Write::Notify(Box::new(message)))
            .collect();
        (result, writes)
    }

    fn operation(&self) -> OperationId {
        self.live
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .operation
            .id
    }

    /// A detail in the thread, an audit entry, and the live message as it is then.
    fn told(
        &self,
        kind: &str,
        mark: &str,
        text: String,
        lines: Vec<String>,
        facts: serde_json::Value,
        change: impl FnOnce(&mut LiveState),
    ) -> Vec<Write> {
        let at = self.inner.clock.now();
        let actor = format!("plugin:{}", self.entry.kind);
        let to = &self.inner.catalogue.operators;
        let (details, mut writes) = self.with_live(|live| {
            change(live);
            live.detail(mark, &text, lines, to, at)
        });
        writes.extend(
            details
                .into_iter()
                .map(|message| Write::Notify(Box::new(message))),
        );
        writes.push(
            self.inner
                .audit(self.operation(), &actor, kind, text, facts),
        );
        writes
    }

    /// The step's record as it becomes, with the writes that tell of it.
    fn step(&self, turn: Turn<'_>) -> Vec<Write> {
        let Turn {
            name,
            title,
            began,
            state,
            kind,
            mark,
            text,
            lines,
        } = turn;
        // Taking a step back goes by the step's own name, and does the opposite of what it says.
        let text = match self.phase {
            Phase::Run => text,
            Phase::Undo => format!("Undo: {text}"),
        };
        let at = self.inner.clock.now();
        let record = StepRecord {
            operation: self.operation(),
            phase: self.phase,
            name: name.to_owned(),
            title: title.to_owned(),
            state,
            started_at: began.unwrap_or(at),
            ended_at: (state != StepState::Running).then_some(at),
        };
        let facts = serde_json::json!({
            "step": name, "phase": self.phase, "took-ms": record.took(), "details": lines,
        });
        let shown = record.clone();
        let mut writes = self.told(kind, mark, text, lines, facts, |live| {
            live.steps
                .retain(|old| !(old.phase == shown.phase && old.name == shown.name));
            live.steps.push(shown);
            live.now = None;
        });
        writes.push(Write::Step(record));
        writes
    }

    /// An effect's turn, with the writes that tell of it.
    fn effect(
        &self,
        effect: &Effect,
        kind: &str,
        mark: &str,
        text: String,
        lines: Vec<String>,
    ) -> Vec<Write> {
        let facts = serde_json::json!({
            "effect": effect.name, "phase": self.phase, "target": effect.kind, "details": lines,
        });
        let now = (kind == "effect-begun").then(|| effect.title.clone());
        self.told(kind, mark, text, lines, facts, |live| live.now = now)
    }

    /// What the service is like while it waits, in a sentence that claims nothing more than the
    /// steps' ends have shown.
    fn standing(&self) -> String {
        let live = self
            .live
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let done = |name: &str| {
            live.steps
                .iter()
                .any(|r| r.phase == Phase::Run && r.name == name && r.state == StepState::Done)
        };
        let service = &live.operation.service;
        if done("switch") {
            format!("Meanwhile {service} is switched to its containers.")
        } else if done("start") {
            format!(
                "Meanwhile the containers of {service} are started and traffic is not switched."
            )
        } else if done("stop") {
            format!("Meanwhile {service} is stopped, and nothing has taken its place.")
        } else {
            format!("Meanwhile {service} has not been stopped by this operation.")
        }
    }

    /// Asks people, and waits for as long as it takes. A question that was asked before a restart
    /// is found again, and so is its answer.
    pub async fn ask(&self, question: Question) -> Result<Decision, StoreError> {
        let id = question.operation;
        let store = &self.inner.store;
        let known = |all: Vec<Question>| {
            all.into_iter().find(|known| {
                known.phase == question.phase
                    && known.seq == question.seq
                    && known.attempt == question.attempt
            })
        };
        let mut current = known(store.questions(id).await?);
        if current.is_none() {
            self.pause(&question).await?;
        }
        loop {
            if let Some(key) = current.as_ref().and_then(|known| known.answer.clone()) {
                self.go_on(current.as_ref().unwrap_or(&question), &key)
                    .await?;
                return Ok(Decision::from_key(&key));
            }
            self.inner.outbox.wake();
            let _ = tokio::time::timeout(LOOK, self.wake.notified()).await;
            current = known(store.questions(id).await?);
        }
    }

    async fn pause(&self, question: &Question) -> Result<(), StoreError> {
        let at = self.inner.clock.now();
        let id = question.operation;
        let (operation, live) = self.with_live(|live| {
            live.operation.state = State::Paused;
            live.waiting = Some(question.text.clone());
            live.operation.clone()
        });
        let asked = messages::question(
            &operation,
            question,
            self.inner.policy(&self.entry),
            self.inner.people(),
            &self.standing(),
            &self.inner.catalogue.operators,
            at,
        );
        let mut batch = Batch::new()
            .guard(Guard::Fence {
                operation: id,
                fence: self.fence,
            })
            .write(Write::Question(Box::new(question.clone())))
            .write(self.inner.audit(
                id,
                ROLLBOT,
                "paused",
                question.text.clone(),
                serde_json::json!({
                    "question": question.key(), "why": question.reason, "details": question.details,
                }),
            ))
            .writes(live)
            .writes(
                asked
                    .into_iter()
                    .map(|message| Write::Notify(Box::new(message))),
            );
        // It may be paused already: by the question before, whose answer is not worked on yet.
        if self.inner.load(id).await?.state == State::Running {
            batch = batch.write(Write::State {
                operation: id,
                state: State::Paused,
                at,
            });
        }
        self.inner.store.commit(batch).await
    }

    async fn go_on(&self, question: &Question, key: &str) -> Result<(), StoreError> {
        let at = self.inner.clock.now();
        let id = question.operation;
        let label = question
            .choice(key)
            .map_or(key, |choice| choice.label.as_str())
            .to_owned();
        let who = question
            .chosen
            .iter()
            .filter(|chosen| chosen.key == key)
            .map(|chosen| self.inner.people().name(&chosen.person))
            .collect::<Vec<_>>()
            .join(", ");
        if self.inner.load(id).await?.state != State::Paused {
            // Gone on before a restart; the call itself was not recorded yet.
            return Ok(());
        }
        let text = format!("{who} chose: {label}");
        let facts = serde_json::json!({ "question": question.key(), "answer": key });
        let writes = self.told("resumed", "▶️", text, Vec::new(), facts, |live| {
            live.operation.state = State::Running;
            live.waiting = None;
        });
        let batch = Batch::new()
            .guard(Guard::Fence {
                operation: id,
                fence: self.fence,
            })
            .write(Write::State {
                operation: id,
                state: State::Running,
                at,
            })
            .writes(writes);
        self.inner.store.commit(batch).await?;
        self.inner.outbox.wake();
        Ok(())
    }

    /// Something that keeps the operation from closing as verified.
    fn exception(&self, text: String) -> Write {
        let (operation, _) = self.with_live(|live| {
            live.operation.exceptions.push(text.clone());
            live.operation.id
        });
        Write::Exception { operation, text }
    }
}

/// What becomes of a step, and how it is told.
struct Turn<'a> {
    name: &'a str,
    title: &'a str,
    began: Option<Timestamp>,
    state: StepState,
    kind: &'a str,
    mark: &'a str,
    text: String,
    lines: Vec<String>,
}

#[async_trait]
impl RunObserver for Story {
    fn tell(&self, _at: Timestamp, event: &RunEvent) -> Vec<Write> {
        match event {
            RunEvent::Began {
                replayed: 0,
                phase: Phase::Run,
            } => Vec::new(),
            RunEvent::Began {
                replayed: 0,
                phase: Phase::Undo,
            } => self.told(
                "undo-begun",
                "↩️",
                "Undoing it begins".to_owned(),
                none_lines(),
                serde_json::Value::Null,
                |_| {},
            ),
            RunEvent::Began { replayed, .. } => self.told(
                "run-resumed",
                "🔄",
                "rollbot was restarted, and the run goes on where it was".to_owned(),
                none_lines(),
                serde_json::json!({ "replayed-calls": replayed }),
                |_| {},
            ),
            RunEvent::StepBegan { step, title } => self.step(Turn {
                name: step,
                title,
                began: None,
                state: StepState::Running,
                kind: "step-begun",
                mark: "⏳",
                text: title.clone(),
                lines: none_lines(),
            }),
            RunEvent::StepRetried { step, title } => self.step(Turn {
                name: step,
                title,
                began: None,
                state: StepState::Running,
                kind: "step-retried",
                mark: "🔁",
                text: format!("{title}: again"),
                lines: none_lines(),
            }),
            RunEvent::StepEnded { step, title, began } => self.step(Turn {
                name: step,
                title,
                began: Some(*began),
                state: StepState::Done,
                kind: "step-ended",
                mark: "✅",
                text: format!("{title}: done"),
                lines: none_lines(),
            }),
            RunEvent::StepFailed {
                step,
                title,
                began,
                summary,
                details,
            } => self.step(Turn {
                name: step,
                title,
                began: Some(*began),
                state: StepState::Failed,
                kind: "step-failed",
                mark: "❌",
                text: format!("{title}: {summary}"),
                lines: details.clone(),
            }),
            RunEvent::StepSkipped { step, title, began } => {
                let mut writes = self.step(Turn {
                    name: step,
                    title,
                    began: Some(*began),
                    state: StepState::Skipped,
                    kind: "step-skipped",
                    mark: "⏭️",
                    text: format!("{title}: skipped"),
                    lines: none_lines(),
                });
                writes.push(self.exception(format!("Step \u{201c}{title}\u{201d} was skipped.")));
                writes
            }
            RunEvent::EffectBegan { effect, .. } => self.effect(
                effect,
                "effect-begun",
                "▶️",
                effect.title.clone(),
                none_lines(),
            ),
            RunEvent::EffectEnded {
                effect,
                how,
                by_hand,
                ..
            } => {
                let mark = if *by_hand { "✋" } else { "✔️" };
                let mut writes = self.effect(
                    effect,
                    "effect-ended",
                    mark,
                    format!("{}: {how}", effect.title),
                    none_lines(),
                );
                if *by_hand {
                    let text = format!(
                        "\u{201c}{}\u{201d} was marked as done by hand.",
                        effect.title
                    );
                    writes.push(self.exception(text));
                }
                writes
            }
            RunEvent::EffectFailed {
                effect,
                error,
                contingency,
                ..
            } => {
                let next = match contingency {
                    Some(name) => vec![format!("The plan has an answer to this: {name}")],
                    None => Vec::new(),
                };
                let text = format!("{}: {error}", effect.title);
                self.effect(effect, "effect-failed", "❌", text, next)
            }
            RunEvent::EffectUnknown { effect, .. } => {
                let text = format!(
                    "{}: it was begun, and nothing tells whether it was done",
                    effect.title
                );
                self.effect(effect, "effect-unknown", "❓", text, none_lines())
            }
            RunEvent::EffectSkipped { effect, .. } => {
                let text = format!("{}: skipped", effect.title);
                let mut writes = self.effect(effect, "effect-skipped", "⏭️", text, none_lines());
                let text = format!("\u{201c}{}\u{201d} was skipped.", effect.title);
                writes.push(self.exception(text));
                writes
            }
            RunEvent::EffectRetried { effect, .. } => {
                let text = format!("{}: again", effect.title);
                self.effect(effect, "effect-retried", "🔁", text, none_lines())
            }
            RunEvent::Refused { function, reason } => self.told(
                "refused",
                "⛔",
                format!("The plugin called {function} and was refused: {reason}"),
                none_lines(),
                serde_json::json!({ "function": function }),
                |_| {},
            ),
            RunEvent::Note { text, .. } => self.told(
                "note",
                "·",
                text.clone(),
                none_lines(),
                serde_json::Value::Null,
                |live| {
                    live.now = Some(first_line(text));
                },
            ),
            RunEvent::Attempt {
                function,
                effect,
                n,
                of,
                error,
            } => self.told(
                "attempt-failed",
                "🔁",
                format!("Attempt {n} of {of} failed: {error}"),
                none_lines(),
                serde_json::json!({ "function": function, "effect": effect }),
                |live| live.now = Some(format!("attempt {n} of {of} failed, trying again")),
            ),
            RunEvent::Answered { text, key } => self.told(
                "answered",
                "💬",
                format!("{text} Answer: {key}"),
                none_lines(),
                serde_json::json!({ "answer": key }),
                |_| {},
            ),
        }
    }

    async fn decide(&self, question: Question) -> Result<Decision, Interrupted> {
        let mut pause = Duration::from_millis(200);
        loop {
            match self.ask(question.clone()).await {
                Ok(decision) => return Ok(decision),
                Err(StoreError::Guard(GuardFailed::Fenced { operation })) => {
                    return Err(Interrupted(format!("{operation} has another owner now")));
                }
                Err(error) => {
                    tracing::error!(operation = %question.operation, %error, "cannot ask now; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
            }
        }
    }

    fn is_abort_requested(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }
}

fn none_lines() -> Vec<String> {
    Vec::new()
}

/// The live message has room for a line, not for a log.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}
