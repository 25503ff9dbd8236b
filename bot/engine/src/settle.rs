//! What becomes of an effect that failed, or of which nothing is known: people decide, and the
//! plugin hears of it afterwards.

use rollbot_core::journal::Outcome;
use rollbot_core::operation::{Choice, Decision, PauseReason, Phase, Question};

use crate::authority::Refusal;
use crate::effects::EffectCall;
use crate::guest::Stop;
use crate::perform::{Answer, Call};
use crate::run_events::{RunEnd, RunEvent};
use crate::running::Run;
use crate::wire::{CallError as _, EffectError as _, Wire};

/// What is known when people are asked.
pub(crate) enum Known<E> {
    Failed(E),
    /// It may or may not have been done.
    Nothing,
}

impl Run {
    /// Asks people until there is an answer for the plugin, or the run ends. The journal holds the
    /// failure, which may be that nothing is known.
    pub(crate) async fn settle<C: EffectCall>(
        &mut self,
        call: &mut Call,
        mut attempt: i64,
        mut known: Known<C::Error>,
    ) -> Result<Answer<C>, Stop> {
        loop {
            let question = self.question::<C>(call, attempt, &known).await;
            self.flush().await?;
            let decision = self.observer.decide(question).await;
            match decision.map_err(|why| RunEnd::Interrupted { why: why.0 })? {
                Decision::Retry => {
                    call.again = true;
                    let mut writes = vec![self.again(call.seq)];
                    writes.extend(self.tell(&RunEvent::EffectRetried {
                        step: call.permitted.step.clone(),
                        effect: call.permitted.effect.clone(),
                    }));
                    self.commit(writes).await?;
                    attempt += 1;
                    match self.try_once::<C>(call).await? {
                        Ok(report) => return self.done::<C>(call, report, false).await,
                        Err(error) => {
                            let (error, json) = self.encode(error)?;
                            let mut writes = vec![self.outcome(call.seq, Outcome::Failed(json))];
                            writes.extend(self.tell(&RunEvent::EffectFailed {
                                step: call.permitted.step.clone(),
                                effect: call.permitted.effect.clone(),
                                error: error.text(),
                                contingency: None,
                            }));
                            self.commit(writes).await?;
                            known = Known::Failed(error);
                        }
                    }
                }
                Decision::MarkAsDone => match self.observe::<C>(call).await {
                    Ok(report) => return self.done::<C>(call, report, true).await,
                    Err(why) => {
                        // Asked anew, with the reason: the next question needs a number of its own.
                        let before = match &known {
                            Known::Failed(error) => error.text(),
                            Known::Nothing => UNKNOWN.into(),
                        };
                        let error = C::Error::refused(&Refusal::Invalid(format!(
                            "{before} (marked as done by hand, but {why})"
                        )));
                        let (error, json) = self.encode(error)?;
                        let writes = vec![
                            self.again(call.seq),
                            self.outcome(call.seq, Outcome::Failed(json)),
                        ];
                        self.commit(writes).await?;
                        attempt += 1;
                        known = Known::Failed(error);
                    }
                },
                Decision::Skip => {
                    let (wire, json) =
                        self.encode(Wire::<C::Report, C::Error>::Err(C::Error::skipped()))?;
                    let mut writes = vec![self.outcome(call.seq, Outcome::Returned(json))];
                    writes.extend(self.tell(&RunEvent::EffectSkipped {
                        step: call.permitted.step.clone(),
                        effect: call.permitted.effect.clone(),
                    }));
                    self.commit(writes).await?;
                    return Ok(wire.into());
                }
                Decision::Undo => return Err(RunEnd::Undo.into()),
                Decision::Abort => return Err(RunEnd::Aborted.into()),
                Decision::Answer { key } => {
                    let why = format!("`{key}` is no answer to a failed effect");
                    return Err(RunEnd::Interrupted { why }.into());
                }
            }
        }
    }

    async fn observe<C: EffectCall>(&self, call: &Call) -> Result<C::Report, String> {
        let site = self.site(call);
        match C::target(&call.permitted.effect.kind) {
            Some(target) => C::observe(&site, target).await,
            None => Err("the plan says something else".into()),
        }
    }

    async fn question<C: EffectCall>(
        &self,
        call: &Call,
        attempt: i64,
        known: &Known<C::Error>,
    ) -> Question {
        let title = &call.permitted.effect.title;
        let redactor = self.authority.hosts.redactor();
        let (reason, text, mut details) = match known {
            Known::Failed(error) => (
                PauseReason::StepFailed {
                    step: call.permitted.step.clone(),
                },
                format!("{title}: this failed."),
                vec![error.text()],
            ),
            Known::Nothing => (
                PauseReason::UnknownOutcome {
                    effect: call.name().to_owned(),
                },
                format!("{title}: this was begun, and it is not known whether it was done."),
                vec![UNKNOWN.into()],
            ),
        };
        if let Some(target) = C::target(&call.permitted.effect.kind) {
            details.extend(C::evidence(&self.site(call), target).await);
        }
        Question {
            operation: self.operation,
            phase: self.phase,
            seq: call.seq,
            attempt,
            reason,
            text,
            details: details.iter().map(|line| redactor.redact(line)).collect(),
            choices: choices_for_an_effect(self.phase, known),
            asked_at: self.clock.now(),
            chosen: Vec::new(),
            answer: None,
            answered_at: None,
        }
    }
}

/// What the journal says of an effect of which nothing is known.
pub(crate) const UNKNOWN: &str = "The bot was stopped while it was being done, and it cannot be repeated \
                       without perhaps doing it twice.";

pub(crate) fn choice(key: &str, label: &str, needs_full_count: bool) -> Choice {
    Choice {
        key: key.into(),
        label: label.into(),
        needs_full_count,
    }
}

/// `undo`, where there is something to go back to, and `abort`.
pub(crate) fn ways_out(phase: Phase) -> impl Iterator<Item = Choice> {
    let undo = (phase == Phase::Run).then(|| choice("undo", "Undo what was done", false));
    undo.into_iter().chain([choice(
        "abort",
        "Abort, and leave everything as it is",
        false,
    )])
}

fn choices_for_an_effect<E>(phase: Phase, known: &Known<E>) -> Vec<Choice> {
    let done = choice("done", "It was done by hand", true);
    let skip = choice("skip", "Go on without it", true);
    let mut choices = match known {
        Known::Failed(_) => vec![choice("retry", "Try again", false), skip, done],
        Known::Nothing => vec![
            choice("done", "It was done", true),
            choice("retry", "It was not done: do it now", false),
            skip,
        ],
    };
    choices.extend(ways_out(phase));
    choices
}
