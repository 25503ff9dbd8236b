//! What a plugin tells people and asks them: steps, notes and questions.

use rollbot_core::journal::Outcome;
use rollbot_core::operation::{Choice, Decision, PauseReason, Question};

use crate::authority::Refusal;
use crate::bindings::exports::rollbot::plugin::procedures::Capability;
use crate::bindings::rollbot::plugin::{ask, progress, types};
use crate::guest::Stop;
use crate::run_events::{RunEnd, RunEvent};
use crate::running::{Place, Run, RunningStep};
use crate::settle::{choice, ways_out};
use crate::wire::{EvidenceArgument, Wire};

const MOST_CHOICES: usize = 10;

type Told<T> = Result<T, progress::Error>;

impl Run {
    pub async fn begin_step(&mut self, name: &str) -> Result<Told<()>, Stop> {
        const FUNCTION: &str = "progress.begin";
        let title = self.plan.step(name).map(|step| step.title.clone());
        let running = |title: String, began| RunningStep {
            name: name.to_owned(),
            title,
            began,
        };
        let began = self.begun_at();
        let (seq, fresh) = match self.place::<(), progress::Error>(FUNCTION, &(name,))? {
            Place::Returned(answer) => {
                if let (Ok(()), Some(title)) = (&answer, title) {
                    self.past.step = Some(running(title, began));
                }
                return Ok(answer);
            }
            Place::New { seq, arguments } => (seq, Some(arguments)),
            Place::Open { seq, .. } | Place::Failed { seq, .. } => (seq, None),
        };
        let Some(title) = title else {
            return self.refuse(FUNCTION, seq, fresh, &no_step(name)).await;
        };
        let step = running(title.clone(), self.clock.now());
        self.past.step = Some(step);
        let event = RunEvent::StepBegan {
            step: name.to_owned(),
            title,
        };
        self.note_down(FUNCTION, seq, fresh, (), Some(event)).await
    }

    pub async fn end_step(&mut self, name: &str) -> Result<Told<()>, Stop> {
        const FUNCTION: &str = "progress.end";
        let (seq, fresh) = match self.place::<(), progress::Error>(FUNCTION, &(name,))? {
            Place::Returned(answer) => {
                if answer.is_ok() {
                    self.past.step = None;
                }
                return Ok(answer);
            }
            Place::New { seq, arguments } => (seq, Some(arguments)),
            Place::Open { seq, .. } | Place::Failed { seq, .. } => (seq, None),
        };
        let step = match self.running_step(name) {
            Ok(step) => step,
            Err(refusal) => return self.refuse(FUNCTION, seq, fresh, &refusal).await,
        };
        self.past.step = None;
        let event = RunEvent::StepEnded {
            step: step.name,
            title: step.title,
            began: step.began,
        };
        self.note_down(FUNCTION, seq, fresh, (), Some(event)).await
    }

    pub async fn note(&mut self, text: &str) -> Result<Told<()>, Stop> {
        const FUNCTION: &str = "progress.note";
        let (seq, fresh) = match self.place::<(), progress::Error>(FUNCTION, &(text,))? {
            Place::Returned(answer) => return Ok(answer),
            Place::New { seq, arguments } => (seq, Some(arguments)),
            Place::Open { seq, .. } | Place::Failed { seq, .. } => (seq, None),
        };
        let event = RunEvent::Note {
            step: self.past.step.as_ref().map(|step| step.name.clone()),
            text: self.redact(text),
        };
        self.note_down(FUNCTION, seq, fresh, (), Some(event)).await
    }

    /// A step did not end well: people say how to go on.
    pub async fn fail_step(
        &mut self,
        name: &str,
        evidence: &types::Evidence,
    ) -> Result<Told<progress::Decision>, Stop> {
        const FUNCTION: &str = "progress.failed";
        let arguments = (name, EvidenceArgument::from(evidence));
        let (seq, attempt, fresh) =
            match self.place::<progress::Decision, progress::Error>(FUNCTION, &arguments)? {
                Place::Returned(answer) => {
                    if answer.is_ok() {
                        self.past.step = None;
                    }
                    return Ok(answer);
                }
                Place::New { seq, arguments } => (seq, 1, Some(arguments)),
                Place::Open { seq, attempt, .. } | Place::Failed { seq, attempt, .. } => {
                    (seq, attempt, None)
                }
            };
        let step = match self.running_step(name) {
            Ok(step) => step,
            Err(refusal) => return self.refuse(FUNCTION, seq, fresh, &refusal).await,
        };
        self.past.step = None;
        let summary = self.redact(&evidence.summary);
        let details: Vec<_> = evidence
            .details
            .iter()
            .map(|line| self.redact(line))
            .collect();
        if let Some(arguments) = fresh {
            let mut writes = vec![self.intent(seq, FUNCTION, arguments)];
            writes.extend(self.tell(&RunEvent::StepFailed {
                step: step.name.clone(),
                title: step.title.clone(),
                began: step.began,
                summary: summary.clone(),
                details: details.clone(),
            }));
            self.commit(writes).await?;
        }
        let mut choices = vec![
            choice("retry", "Run this step again", false),
            choice("skip", "Go on without it", true),
        ];
        choices.extend(ways_out(self.phase));
        let question = self.ask_about(
            (seq, attempt),
            PauseReason::StepFailed {
                step: step.name.clone(),
            },
            format!("{}: {summary}", step.title),
            details,
            choices,
        );
        let (answer, event) = match self.decide(question).await? {
            Decision::Retry => (
                progress::Decision::Retry,
                RunEvent::StepRetried {
                    step: step.name,
                    title: step.title,
                },
            ),
            Decision::Skip => (
                progress::Decision::Skip,
                RunEvent::StepSkipped {
                    step: step.name,
                    title: step.title,
                    began: step.began,
                },
            ),
            Decision::Undo => return Err(RunEnd::Undo.into()),
            Decision::Abort => return Err(RunEnd::Aborted.into()),
            other => return Err(no_answer(&other)),
        };
        self.answer(seq, answer, event).await
    }

    /// A question of the plugin's own.
    pub async fn question_of_plugin(
        &mut self,
        text: &str,
        evidence: &types::Evidence,
        offered: &[ask::Choice],
    ) -> Result<Result<String, ask::Error>, Stop> {
        const FUNCTION: &str = "ask.question";
        let arguments = (text, EvidenceArgument::from(evidence), offered);
        let (seq, attempt, fresh) = match self.place::<String, ask::Error>(FUNCTION, &arguments)? {
            Place::Returned(answer) => return Ok(answer),
            Place::New { seq, arguments } => (seq, 1, Some(arguments)),
            Place::Open { seq, attempt, .. } | Place::Failed { seq, attempt, .. } => {
                (seq, attempt, None)
            }
        };
        let allowed =
            self.authority
                .may(Capability::Ask)
                .and_then(|()| match self.authority.grants.ask {
                    true => check_choices(text, offered),
                    false => Err(Refusal::Denied("this plugin may not ask people".into())),
                });
        if let Err(refusal) = allowed {
            return self.refuse(FUNCTION, seq, fresh, &refusal).await;
        }
        let begun = fresh.map(|arguments| self.intent(seq, FUNCTION, arguments));
        self.commit(begun.into_iter().collect()).await?;
        let mut choices: Vec<_> = offered
            .iter()
            .map(|offer| choice(&offer.key, &self.redact(&offer.label), false))
            .collect();
        choices.extend(ways_out(self.phase));
        let text = self.redact(text);
        let details = std::iter::once(&evidence.summary)
            .chain(&evidence.details)
            .map(|line| self.redact(line))
            .collect();
        let question = self.ask_about(
            (seq, attempt),
            PauseReason::Question,
            text.clone(),
            details,
            choices,
        );
        let decision = self.decide(question).await?;
        let key = match &decision {
            Decision::Undo => return Err(RunEnd::Undo.into()),
            Decision::Abort => return Err(RunEnd::Aborted.into()),
            Decision::Answer { key } => key.as_str(),
            // A plugin may call its own choices so.
            Decision::Retry => "retry",
            Decision::Skip => "skip",
            Decision::MarkAsDone => "done",
        };
        if !offered.iter().any(|offer| offer.key == key) {
            return Err(no_answer(&decision));
        }
        let key = key.to_owned();
        let event = RunEvent::Answered {
            text,
            key: key.clone(),
        };
        self.answer(seq, key, event).await
    }

    /// What people decided is written at once.
    async fn answer<T, E>(
        &mut self,
        seq: i64,
        answer: T,
        event: RunEvent,
    ) -> Result<Result<T, E>, Stop>
    where
        T: crate::wire::Record,
        E: crate::wire::CallError,
    {
        let (wire, json) = self.encode(Wire::<T, E>::Ok(answer))?;
        let mut writes = vec![self.outcome(seq, Outcome::Returned(json))];
        writes.extend(self.tell(&event));
        self.commit(writes).await?;
        Ok(wire.into())
    }

    /// With everything written, waits for people.
    async fn decide(&mut self, question: Question) -> Result<Decision, Stop> {
        self.flush().await?;
        let decision = self.observer.decide(question).await;
        decision.map_err(|why| RunEnd::Interrupted { why: why.0 }.into())
    }

    fn ask_about(
        &self,
        (seq, attempt): (i64, i64),
        reason: PauseReason,
        text: String,
        details: Vec<String>,
        choices: Vec<Choice>,
    ) -> Question {
        Question {
            operation: self.operation,
            phase: self.phase,
            seq,
            attempt,
            reason,
            text,
            details,
            choices,
            asked_at: self.clock.now(),
            chosen: Vec::new(),
            answer: None,
            answered_at: None,
        }
    }

    fn running_step(&self, name: &str) -> Result<RunningStep, Refusal> {
        match &self.past.step {
            Some(step) if step.name == name => Ok(step.clone()),
            _ if self.plan.step(name).is_none() => Err(no_step(name)),
            _ => Err(Refusal::NotInPlan(format!("step `{name}` has not begun"))),
        }
    }

    fn redact(&self, text: &str) -> String {
        self.authority.hosts.redactor().redact(text)
    }
}

fn no_step(name: &str) -> Refusal {
    let name: String = name.chars().take(80).collect();
    Refusal::NotInPlan(format!("the approved plan has no step `{name}`"))
}

fn no_answer(decision: &Decision) -> Stop {
    RunEnd::Interrupted {
        why: format!("{decision:?} is no answer to what was asked"),
    }
    .into()
}

fn check_choices(text: &str, offered: &[ask::Choice]) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::Invalid(why));
    if text.trim().is_empty() {
        return invalid("a question needs a text".into());
    }
    if offered.is_empty() || offered.len() > MOST_CHOICES {
        return invalid(format!("a question needs 1 to {MOST_CHOICES} choices"));
    }
    for (index, offer) in offered.iter().enumerate() {
        let key = offer.key.as_str();
        let good = (1..=40).contains(&key.len())
            && key
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !good {
            return invalid(
                "a choice's key is 1 to 40 lower case letters, digits and hyphens".into(),
            );
        }
        if matches!(key, "undo" | "abort") {
            return invalid(format!("`{key}` is always offered, with its own meaning"));
        }
        if offered.iter().take(index).any(|earlier| earlier.key == key) {
            return invalid(format!("the choice `{key}` is there twice"));
        }
    }
    Ok(())
}
