//! From the start to the end: the plugin runs, the targets are observed, and the operation closes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rollbot_core::approval::Approved;
use rollbot_core::operation::{
    Choice, Decision, Observed, Operation, PauseReason, Phase, Question, State,
};
use rollbot_core::store::{Batch, Guard, StoreError, Write};
use rollbot_engine::{RunEnd, RunRequest};
use tokio::sync::Notify;

use super::ROLLBOT;
use super::conductor::{Conductor, Inner, Next};
use super::story::Story;
use crate::messages::{self, Announcing, Occasion};
use rollbot_config::Service;

/// Questions that no call of the plugin asks. They are numbered below zero, where no call is.
#[derive(Debug, Clone, Copy)]
enum Ask {
    /// A target is not where it should be.
    Targets = -1,
    /// The plugin ended without finishing.
    Broken = -2,
    /// People stopped the run.
    Halted = -3,
}

/// The end of a phase, once people were asked where they had to be.
enum End {
    /// Begin again: run on, look again, or run the other phase.
    Again,
    Aborted(String),
    /// The targets as they were observed; people accepted those that do not hold.
    Observed(Vec<Observed>),
    /// Another process goes on with it.
    GivenUp,
}

impl Conductor {
    /// Runs the plugin from wherever the journal ends.
    pub(super) async fn run(
        &self,
        operation: Operation,
        entry: &Service,
        wake: &Arc<Notify>,
        halt: &Arc<Notify>,
    ) -> Result<Next, StoreError> {
        let inner = &self.inner;
        let id = operation.id;
        let fence = inner.store.take_over(id).await?;
        let story = Story::open(
            inner.clone(),
            entry.clone(),
            &operation,
            fence,
            wake.clone(),
        )
        .await?;
        let updates = super::updates::Updates::start(inner.clone(), entry.clone(), id);
        let end = self.phase(&operation, entry, &story, fence, halt).await;
        drop(updates);
        match end? {
            End::Again => Ok(Next::Again),
            End::GivenUp => Ok(Next::Done),
            End::Aborted(ending) => {
                inner
                    .finish(&operation, entry, fence, State::Failed, &ending, Vec::new())
                    .await?;
                Ok(Next::Done)
            }
            End::Observed(observed) => self.conclude(&operation, entry, fence, observed).await,
        }
    }

    async fn phase(
        &self,
        operation: &Operation,
        entry: &Service,
        story: &Arc<Story>,
        fence: i64,
        halt: &Arc<Notify>,
    ) -> Result<End, StoreError> {
        let inner = &self.inner;
        let end = match (
            inner.workshop.plugin_of(operation).await,
            Approved::resumed(operation),
        ) {
            (Ok(plugin), Some(approved)) => {
                let request = RunRequest {
                    approved: &approved,
                    operation,
                    phase: operation.phase,
                    fence,
                    grants: entry.grants.clone(),
                };
                let run = inner.workshop.engine.run(
                    &plugin,
                    &inner.workshop.hosts,
                    inner.clock.clone(),
                    inner.store.clone(),
                    request,
                    story.clone(),
                );
                tokio::pin!(run);
                loop {
                    tokio::select! {
                        end = &mut run => break end,
                        () = halt.notified() => story.halted.store(true, Ordering::Relaxed),
                    }
                }
            }
            (Err(error), _) => RunEnd::PluginFailed {
                what: error.to_string(),
            },
            (_, None) => RunEnd::NotApproved {
                why: "the plan in the store is not the one that was approved".to_owned(),
            },
        };
        tracing::info!(operation = %operation.id, phase = operation.phase.as_str(), %end, "the plugin's run ended");
        let halted = story.halted.load(Ordering::Relaxed);
        match end {
            RunEnd::Finished => self.look(operation, story, fence).await,
            RunEnd::Undo => self.undo(operation, fence).await,
            RunEnd::Aborted if halted => {
                let text = "The run was stopped before its next effect, as people wanted.";
                let choices = vec![
                    choice("retry", "Go on", false),
                    choice("undo", "Undo", false),
                    choice("abort", "Abort: leave everything as it is", false),
                ];
                self.broken(
                    operation,
                    story,
                    fence,
                    Ask::Halted,
                    text,
                    Vec::new(),
                    choices,
                )
                .await
            }
            RunEnd::Aborted => Ok(End::Aborted(
                "People aborted it. Everything stays as it was left.".to_owned(),
            )),
            RunEnd::PluginFailed { .. }
            | RunEnd::Trapped { .. }
            | RunEnd::TooMuch { .. }
            | RunEnd::NotApproved { .. }
            | RunEnd::Diverged { .. } => {
                let again = matches!(end, RunEnd::Trapped { .. });
                let mut choices = vec![
                    choice("undo", "Undo", false),
                    choice("abort", "Abort: leave everything as it is", false),
                ];
                if again {
                    choices.insert(0, choice("retry", "Run it again from where it was", false));
                }
                if operation.phase == Phase::Undo {
                    choices.retain(|choice| choice.key != "undo");
                }
                let text = format!("The run cannot go on: {end}.");
                let details = vec![
                    "Nothing that the journal holds is lost, and nothing was performed after this."
                        .to_owned(),
                ];
                self.broken(
                    operation,
                    story,
                    fence,
                    Ask::Broken,
                    &text,
                    details,
                    choices,
                )
                .await
            }
            RunEnd::Fenced => Ok(End::GivenUp),
            RunEnd::Interrupted { why } => {
                tracing::warn!(operation = %operation.id, why, "the run was interrupted");
                Ok(End::GivenUp)
            }
            RunEnd::StoreLost(error) => Err(error),
        }
    }

    /// Observes every target, and asks people about those that do not hold.
    async fn look(
        &self,
        operation: &Operation,
        story: &Arc<Story>,
        fence: i64,
    ) -> Result<End, StoreError> {
        let inner = &self.inner;
        let Some(plan) = &operation.plan else {
            return Ok(End::Observed(Vec::new()));
        };
        let targets = match operation.phase {
            Phase::Run => &plan.targets,
            Phase::Undo => &plan.undo_targets,
        };
        loop {
            let observed = inner
                .workshop
                .engine
                .observe(&inner.workshop.hosts, targets, plan)
                .await;
            let missed: Vec<_> = observed
                .iter()
                .filter(|seen| !seen.holds)
                .map(|seen| format!("{}: {} (wanted: {})", seen.name, seen.observed, seen.wanted))
                .collect();
            if missed.is_empty() {
                return Ok(End::Observed(observed));
            }
            let mut choices = vec![
                choice("retry", "Look again", false),
                choice("skip", "Accept it as it is", true),
            ];
            if operation.phase == Phase::Run {
                choices.push(choice("undo", "Undo", false));
            }
            choices.push(choice("abort", "Abort: leave everything as it is", false));
            let text = "Every step was gone through, but not everything is where it should be.";
            let question = self
                .question(operation, Ask::Targets, text, missed, choices)
                .await?;
            match story.ask(question).await? {
                Decision::Skip => return Ok(End::Observed(observed)),
                Decision::Undo => return self.undo(operation, fence).await,
                Decision::Abort => {
                    return Ok(End::Aborted(
                        "People ended it although not every target was where it should be."
                            .to_owned(),
                    ));
                }
                _ => {}
            }
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one question, spelled out at its two places"
    )]
    async fn broken(
        &self,
        operation: &Operation,
        story: &Arc<Story>,
        fence: i64,
        ask: Ask,
        text: &str,
        details: Vec<String>,
        choices: Vec<Choice>,
    ) -> Result<End, StoreError> {
        let question = self
            .question(operation, ask, text, details, choices)
            .await?;
        match story.ask(question).await? {
            Decision::Undo => self.undo(operation, fence).await,
            Decision::Abort => Ok(End::Aborted(format!("{text} People aborted it."))),
            _ => Ok(End::Again),
        }
    }

    /// The next question of this kind; or the one that was asked and whose answer led nowhere yet.
    async fn question(
        &self,
        operation: &Operation,
        ask: Ask,
        text: &str,
        details: Vec<String>,
        choices: Vec<Choice>,
    ) -> Result<Question, StoreError> {
        let asked = self.inner.store.questions(operation.id).await?;
        let seq = ask as i64;
        let last = asked
            .iter()
            .filter(|q| q.phase == operation.phase && q.seq == seq)
            .max_by_key(|q| q.attempt);
        // Still paused means that the answer, if there is one, was not worked on before a restart.
        let paused = self.inner.load(operation.id).await?.state == State::Paused;
        if let Some(open) = last.filter(|question| question.answer.is_none() || paused) {
            return Ok(open.clone());
        }
        Ok(Question {
            operation: operation.id,
            phase: operation.phase,
            seq,
            attempt: last.map_or(1, |question| question.attempt + 1),
            reason: match ask {
                Ask::Targets => PauseReason::StepFailed {
                    step: "observe".to_owned(),
                },
                Ask::Broken => PauseReason::Diverged,
                Ask::Halted => PauseReason::Question,
            },
            text: text.to_owned(),
            details,
            choices,
            asked_at: self.inner.clock.now(),
            chosen: Vec::new(),
            answer: None,
            answered_at: None,
        })
    }

    /// Turns the operation to its contingencies that lead back.
    async fn undo(&self, operation: &Operation, fence: i64) -> Result<End, StoreError> {
        let id = operation.id;
        let batch = Batch::new()
            .guard(Guard::Fence {
                operation: id,
                fence,
            })
            .write(Write::Phase {
                operation: id,
                phase: Phase::Undo,
            })
            .write(self.inner.audit(
                id,
                ROLLBOT,
                "undo",
                "turns back, by the contingencies of the approved plan",
                serde_json::Value::Null,
            ));
        self.inner.store.commit(batch).await?;
        Ok(End::Again)
    }

    /// Every step was gone through and every target looked at.
    async fn conclude(
        &self,
        operation: &Operation,
        entry: &Service,
        fence: i64,
        observed: Vec<Observed>,
    ) -> Result<Next, StoreError> {
        let inner = &self.inner;
        let fresh = inner.load(operation.id).await?;
        let all = observed.iter().all(|seen| seen.holds);
        let (state, ending) = match (operation.phase, all, fresh.exceptions.is_empty()) {
            (Phase::Undo, true, _) => (
                State::Undone,
                "It was undone: every target was observed where it was before.",
            ),
            (Phase::Undo, false, _) => (
                State::ClosedWithExceptions,
                "It was undone, but not every target is where it was before.",
            ),
            (Phase::Run, true, true) => (
                State::Verified,
                "Every target was observed in the planned state.",
            ),
            (Phase::Run, true, false) => (
                State::ClosedWithExceptions,
                "Every target was observed in the planned state, with the exceptions below.",
            ),
            (Phase::Run, false, _) => (
                State::ClosedWithExceptions,
                "Not every target was observed in the planned state; people accepted that.",
            ),
        };
        inner
            .finish(&fresh, entry, fence, state, ending, observed)
            .await?;
        Ok(Next::Again)
    }

    /// Verified: the all-clear was written with it, and nothing is left to do.
    pub(super) async fn close(
        &self,
        operation: Operation,
        entry: &Service,
    ) -> Result<Next, StoreError> {
        let inner = &self.inner;
        let at = inner.clock.now();
        let id = operation.id;
        let mut closed = operation.clone();
        closed.state = State::Closed;
        let live = inner.final_live(&closed, entry).await?;
        let batch = Batch::new()
            .guard(Guard::State {
                operation: id,
                one_of: vec![State::Verified],
            })
            .write(Write::State {
                operation: id,
                state: State::Closed,
                at,
            })
            .write(inner.audit(
                id,
                ROLLBOT,
                "closed",
                "verified and closed",
                serde_json::Value::Null,
            ))
            .writes(live);
        inner.store.commit(batch).await?;
        Ok(Next::Done)
    }
}

impl Inner {
    /// Leaves the run: state, what was observed, the last live message, and what users are told.
    async fn finish(
        &self,
        operation: &Operation,
        entry: &Service,
        fence: i64,
        state: State,
        ending: &str,
        observed: Vec<Observed>,
    ) -> Result<(), StoreError> {
        let at = self.clock.now();
        let id = operation.id;
        let mut ended = self.load(id).await?;
        let paused = ended.state == State::Paused;
        ended.state = state;
        ended.ending = Some(ending.to_owned());
        ended.observed = observed.clone();
        let steps = self.store.steps(id).await?;
        let occasion = Occasion {
            operation: &ended,
            steps: &steps,
            estimate: None,
            title: &entry.title,
            product: &self.catalogue.product,
            contact: &self.catalogue.contact,
            every: self.catalogue.updates_every,
        };
        // Only what was observed is called back: everything else ends with plain words.
        let which = if state == State::Verified {
            Announcing::Restored
        } else {
            Announcing::Ended
        };
        let users = messages::announcement(which, &occasion, &self.catalogue.users, at);
        let facts = serde_json::json!({ "observed": observed, "exceptions": ended.exceptions });
        let mut batch = Batch::new().guard(Guard::Fence {
            operation: id,
            fence,
        });
        if paused {
            batch = batch.write(Write::State {
                operation: id,
                state: State::Running,
                at,
            });
        }
        let mut batch = batch
            .write(Write::State {
                operation: id,
                state,
                at,
            })
            .write(Write::Observed {
                operation: id,
                observed,
            })
            .write(Write::Ending {
                operation: id,
                ending: ending.to_owned(),
            })
            .write(self.audit(id, ROLLBOT, state.as_str(), ending, facts));
        if state == State::Undone {
            // The service is where it was before: there is nothing to protect any more.
            batch = batch.write(Write::Unlock {
                service: operation.service.clone(),
                host: operation.host.clone(),
            });
        }
        let live = self.final_live(&ended, entry).await?;
        let batch = batch.writes(live).writes(
            users
                .into_iter()
                .map(|message| Write::Notify(Box::new(message))),
        );
        self.store.commit(batch).await?;
        self.outbox.wake();
        Ok(())
    }

    async fn final_live(
        &self,
        operation: &Operation,
        entry: &Service,
    ) -> Result<Vec<Write>, StoreError> {
        let steps = self.store.steps(operation.id).await?;
        let details = self.details_so_far(operation.id).await?;
        let mut live = self.live_state(operation, steps, details).await?;
        if operation.state != State::Undone {
            let service = &entry.description.name;
            live.lock = Some(format!(
                "{service} stays locked, so that nothing moves it by accident. To release it: /rollbot unlock {service}"
            ));
        }
        let at = self.clock.now();
        Ok(
            messages::live(&live, self.people(), &self.catalogue.operators, at)
                .into_iter()
                .map(|message| Write::Notify(Box::new(message)))
                .collect(),
        )
    }
}

fn choice(key: &str, label: &str, needs_full_count: bool) -> Choice {
    Choice {
        key: key.to_owned(),
        label: label.to_owned(),
        needs_full_count,
    }
}
