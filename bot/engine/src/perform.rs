//! Performing an effect: looked up by its name in the approved plan, with a durable intent before
//! and a durable outcome after, and with people in between where it fails.

use jiff::Timestamp;
use rollbot_core::journal::{Class, Outcome, host_function};
use rollbot_core::operation::Phase;
use rollbot_core::plan::{Contingency, Effect, EffectKind, Plan, Step};

use crate::authority::Refusal;
use crate::backups::Making;
use crate::effects::{EffectCall, Site};
use crate::guest::Stop;
use crate::hosts::Host;
use crate::run_events::{RunEnd, RunEvent};
use crate::running::{Came, Place, Run};
use crate::settle::{Known, UNKNOWN};
use crate::wire::{CallError, EffectError, Wire, in_time};

/// An effect that may be performed, and where.
pub(crate) struct Permitted {
    pub step: String,
    pub effect: Box<Effect>,
    host: Host,
}

/// What a call comes to.
pub(crate) type Answer<C> = Result<<C as EffectCall>::Report, <C as EffectCall>::Error>;

impl Run {
    /// Performs the effect of that name by the function `C`.
    pub async fn effect<C: EffectCall>(&mut self, name: String) -> Result<Answer<C>, Stop> {
        let place = self.place::<C::Report, C::Error>(C::FUNCTION, &(&name,))?;
        let (seq, attempt, begun_at, fresh, failed) = match place {
            Place::Returned(answer) => {
                self.remember::<C>(&name, &answer);
                return Ok(answer);
            }
            Place::New { seq, arguments } => (seq, 1, self.clock.now(), Some(arguments), None),
            Place::Open {
                seq,
                attempt,
                intent_at,
            } => (seq, attempt, intent_at, None, None),
            Place::Failed {
                seq,
                attempt,
                intent_at,
                error,
            } => (seq, attempt, intent_at, None, Some(error)),
        };
        let permitted = match self.permit::<C>(&name) {
            Ok(permitted) => permitted,
            Err(refusal) => return self.refuse(C::FUNCTION, seq, fresh, &refusal).await,
        };
        let again = fresh.is_none();
        let mut call = Call {
            seq,
            begun_at,
            again,
            permitted,
        };
        let answer = match (fresh, failed) {
            (Some(arguments), _) => {
                if self.observer.is_abort_requested() {
                    return Err(RunEnd::Aborted.into());
                }
                let mut writes = vec![self.intent_at(seq, C::FUNCTION, arguments, begun_at)];
                writes.extend(self.tell(&RunEvent::EffectBegan {
                    step: call.permitted.step.clone(),
                    effect: call.permitted.effect.clone(),
                }));
                self.commit(writes).await?;
                self.perform::<C>(&mut call, attempt).await?
            }
            (None, Some(error)) => {
                let known = match error.text() == UNKNOWN {
                    true => Known::Nothing,
                    false => Known::Failed(error),
                };
                self.settle::<C>(&mut call, attempt, known).await?
            }
            (None, None) if class_of(C::FUNCTION).is_repeatable() => {
                // Begun before a crash: what it ensures, it can ensure again.
                self.flush().await?;
                self.perform::<C>(&mut call, attempt).await?
            }
            (None, None) => {
                let unknown = C::Error::refused(&Refusal::Invalid(UNKNOWN.into()));
                let (_, json) = self.encode(unknown)?;
                let mut writes = vec![self.outcome(seq, Outcome::Failed(json))];
                writes.extend(self.tell(&RunEvent::EffectUnknown {
                    step: call.permitted.step.clone(),
                    effect: call.permitted.effect.clone(),
                }));
                self.commit(writes).await?;
                self.settle::<C>(&mut call, attempt, Known::Nothing).await?
            }
        };
        self.remember::<C>(&name, &answer);
        Ok(answer)
    }

    fn remember<C: EffectCall>(&mut self, name: &str, answer: &Answer<C>) {
        // What was refused never began.
        let is_known = self
            .plan
            .effect(name)
            .is_some_and(|effect| C::target(&effect.kind).is_some());
        let came = match answer {
            Ok(_) => Came::Done,
            Err(error) if error.is_refusal() => return,
            Err(error) if error.is_skipped() => Came::Skipped,
            Err(_) => Came::Failed,
        };
        if is_known {
            self.past.effects.insert(name.to_owned(), came);
        }
    }

    /// Whether the plan, the phase and the grants allow the effect now.
    fn permit<C: EffectCall>(&self, name: &str) -> Result<Permitted, Refusal> {
        let not_in_plan = |text: String| Err(Refusal::NotInPlan(text));
        let Some((step, effect, contingency)) = find(&self.plan, name) else {
            let name: String = name.chars().take(80).collect();
            return not_in_plan(format!("the approved plan has no effect `{name}`"));
        };
        if C::target(&effect.kind).is_none() {
            return not_in_plan(format!(
                "`{name}` is performed by {}, not by {}",
                effect.kind.function(),
                C::FUNCTION
            ));
        }
        match (self.phase, contingency) {
            (Phase::Run, Some(Contingency { undo: true, .. })) => {
                return not_in_plan(format!("`{name}` is for undo, which nobody chose"));
            }
            (Phase::Undo, None | Some(Contingency { undo: false, .. })) => {
                return not_in_plan(format!("`{name}` is no effect of undo"));
            }
            _ => {}
        }
        if let Some(after) = contingency.and_then(|contingency| contingency.after.as_deref())
            && !self.past.effects.contains_key(after)
        {
            return not_in_plan(format!(
                "`{name}` is for after `{after}`, which was not tried"
            ));
        }
        self.authority.may_perform(&effect.kind)?;
        if self.phase == Phase::Run
            && hides_data(&effect.kind)
            && let Some(backup) = self.missing_backup()
        {
            return not_in_plan(format!(
                "`{name}` takes the place of data that `{backup}` has not backed up yet"
            ));
        }
        let host = self.authority.machine(host_of(&effect.kind, &self.plan))?;
        Ok(Permitted {
            step: step.name.clone(),
            effect: Box::new(effect.clone()),
            host,
        })
    }

    /// A backup of the plan that was neither made nor skipped by people.
    fn missing_backup(&self) -> Option<&str> {
        let settled = |name: &str| {
            matches!(
                self.past.effects.get(name),
                Some(Came::Done | Came::Skipped)
            )
        };
        self.plan
            .steps
            .iter()
            .flat_map(|step| &step.effects)
            .filter(|effect| matches!(effect.kind, EffectKind::CreateBackup(_)))
            .find(|effect| {
                let instead = self
                    .plan
                    .steps
                    .iter()
                    .flat_map(|step| &step.contingencies)
                    .any(|c| {
                        c.after.as_deref() == Some(&effect.name)
                            && matches!(c.effect.kind, EffectKind::CreateBackup(_))
                            && settled(&c.effect.name)
                    });
                !settled(&effect.name) && !instead
            })
            .map(|effect| effect.name.as_str())
    }

    /// The contingency that the plugin handles a failure of this effect with by itself.
    fn contingency_after(&self, effect: &str) -> Option<String> {
        self.plan
            .steps
            .iter()
            .flat_map(|step| &step.contingencies)
            .find(|contingency| {
                contingency.after.as_deref() == Some(effect)
                    && contingency.undo == (self.phase == Phase::Undo)
            })
            .map(|contingency| contingency.effect.name.clone())
    }

    /// Performs it, and has people decide if it fails and the plan has no answer to that.
    async fn perform<C: EffectCall>(
        &mut self,
        call: &mut Call,
        attempt: i64,
    ) -> Result<Answer<C>, Stop> {
        match self.try_once::<C>(call).await? {
            Ok(report) => self.done::<C>(call, report, false).await,
            Err(error) => {
                let contingency = self.contingency_after(call.name());
                let event = RunEvent::EffectFailed {
                    step: call.permitted.step.clone(),
                    effect: call.permitted.effect.clone(),
                    error: error.text(),
                    contingency: contingency.clone(),
                };
                if contingency.is_some() {
                    let (wire, json) = self.encode(Wire::<C::Report, C::Error>::Err(error))?;
                    let mut writes = vec![self.outcome(call.seq, Outcome::Returned(json))];
                    writes.extend(self.tell(&event));
                    self.commit(writes).await?;
                    return Ok(wire.into());
                }
                let (error, json) = self.encode(error)?;
                let mut writes = vec![self.outcome(call.seq, Outcome::Failed(json))];
                writes.extend(self.tell(&event));
                self.commit(writes).await?;
                self.settle::<C>(call, attempt, Known::Failed(error)).await
            }
        }
    }

    /// One go of it: several attempts where the failure may pass, one otherwise. Secrets are gone
    /// from the answer.
    pub(crate) async fn try_once<C: EffectCall>(&mut self, call: &Call) -> Result<Answer<C>, Stop> {
        let deadline = self.limits.effect_deadline;
        let site = self.site(call);
        let repeatable = class_of(C::FUNCTION).is_repeatable();
        let kind = call.permitted.effect.kind.clone();
        let answer = if repeatable {
            let attempt = || in_time(C::FUNCTION, deadline, go::<C>(&site, &kind));
            self.attempts(C::FUNCTION, Some(call.name()), attempt)
                .await?
        } else {
            in_time(C::FUNCTION, deadline, go::<C>(&site, &kind)).await
        };
        let (wire, _) = self.encode(Wire::from(answer))?;
        Ok(wire.into())
    }

    pub(crate) fn site(&self, call: &Call) -> Site {
        Site {
            host: call.permitted.host.clone(),
            effect: call.permitted.effect.clone(),
            plan: self.plan.clone(),
            started_at: self.started_at,
            making: Making {
                label: self.operation.to_string(),
                begun_at: call.begun_at,
                again: call.again,
            },
            redactor: self.authority.hosts.redactor().clone(),
            deadline: self.limits.query_deadline,
            key: format!("{}/{}/{}", self.operation, self.phase.as_str(), call.name()),
        }
    }

    /// It is done. The outcome is written with the next call, unless it could not be repeated or
    /// people just decided it.
    pub(crate) async fn done<C: EffectCall>(
        &mut self,
        call: &Call,
        report: C::Report,
        by_hand: bool,
    ) -> Result<Answer<C>, Stop> {
        let event = RunEvent::EffectEnded {
            step: call.permitted.step.clone(),
            effect: call.permitted.effect.clone(),
            how: C::how(&report),
            by_hand,
        };
        let (wire, json) = self.encode(Wire::<C::Report, C::Error>::Ok(report))?;
        let mut writes = vec![self.outcome(call.seq, Outcome::Returned(json))];
        writes.extend(self.tell(&event));
        if by_hand || !class_of(C::FUNCTION).is_repeatable() {
            self.commit(writes).await?;
        } else {
            self.defer(writes);
        }
        Ok(wire.into())
    }
}

/// A call of an effect that may be performed.
pub(crate) struct Call {
    pub seq: i64,
    begun_at: Timestamp,
    /// It was begun before this run, or this is a retry.
    pub again: bool,
    pub permitted: Permitted,
}

impl Call {
    pub fn name(&self) -> &str {
        &self.permitted.effect.name
    }
}

/// Performs it once.
async fn go<C: EffectCall>(site: &Site, kind: &EffectKind) -> Answer<C> {
    match C::target(kind) {
        Some(target) => C::perform(site, target).await,
        None => Err(C::Error::refused(&Refusal::NotInPlan(
            "another kind of effect".into(),
        ))),
    }
}

fn class_of(function: &str) -> Class {
    host_function(function).map_or(Class::AtMostOnce, |known| known.class)
}

/// The effect of that name, its step, and the contingency that it is part of.
fn find<'a>(plan: &'a Plan, name: &str) -> Option<(&'a Step, &'a Effect, Option<&'a Contingency>)> {
    plan.steps.iter().find_map(|step| {
        let planned = step.effects.iter().map(|effect| (step, effect, None));
        let contingent = step
            .contingencies
            .iter()
            .map(|c| (step, &c.effect, Some(c)));
        planned
            .chain(contingent)
            .find(|(_, effect, _)| effect.name == name)
    })
}

/// Whether another deployment's data takes the place of what is backed up.
fn hides_data(kind: &EffectKind) -> bool {
    matches!(
        kind,
        EffectKind::ComposeUp(_) | EffectKind::PointRegistry(_)
    )
}

fn host_of<'a>(kind: &'a EffectKind, plan: &'a Plan) -> &'a str {
    match kind {
        EffectKind::StopProcesses(stop) => &stop.host,
        EffectKind::StartProcesses(start) => &start.host,
        EffectKind::ComposeUp(target) | EffectKind::ComposeDown(target) => &target.host,
        EffectKind::CreateBackup(backup) => &backup.host,
        EffectKind::PointRegistry(_) => &plan.service.host,
        EffectKind::Transact(send) | EffectKind::Submit(send) => &send.host,
    }
}
