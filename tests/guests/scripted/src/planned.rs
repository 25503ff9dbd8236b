//! The plan, from the setting of that name, or from the effects that the scripts perform.

use rollbot_guest_shape::{effect, kind, plan_of, step, target};
use rollbot_plugin_sdk::planning::{Contingency, DataLoss, Effect, Plan, Step};
use rollbot_plugin_sdk::procedures::Failure;
use rollbot_plugin_sdk::types::Service;

use crate::call::{call, number};
use crate::script::lines;

/// Makes the plan of a service.
pub fn plan(service: &Service) -> Result<Plan, Failure> {
    match service.setting("plan") {
        Some(text) => from_lines(service, text),
        None => from_scripts(service),
    }
}

fn from_lines(service: &Service, text: &str) -> Result<Plan, Failure> {
    let mut plan = plan_of(Vec::new());
    for line in lines(text) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        let wrong = || Failure::Misconfigured(format!("line `{line}` of the plan"));
        match verb {
            "step" => {
                let (name, title) = rest.split_once(' ').unwrap_or((rest, rest));
                plan.steps.push(Step {
                    title: title.into(),
                    ..step(name, Vec::new())
                });
            }
            "warning" => plan.warnings.push(rest.into()),
            "none-since" => {
                plan.data_loss = DataLoss::NoneSince(number(rest).map_err(|_| wrong())?);
            }
            "target" => plan.targets.push(target(service, rest)?),
            "undo-target" => plan.undo_targets.push(target(service, rest)?),
            "call" => {
                call(service, rest).map_err(|error| Failure::Host(format!("`{rest}`: {error}")))?;
            }
            "give-up" => return Err(Failure::Other(rest.into())),
            _ => {
                let step = plan.steps.last_mut().ok_or_else(wrong)?;
                match verb {
                    "check" => step.checks.push(rest.into()),
                    "effect" => step.effects.push(named(service, rest)?),
                    "undo" => step
                        .contingencies
                        .push(contingency(named(service, rest)?, None)),
                    "after" => {
                        let (after, rest) = rest.split_once(' ').ok_or_else(wrong)?;
                        step.contingencies
                            .push(contingency(named(service, rest)?, Some(after)));
                    }
                    _ => return Err(wrong()),
                }
            }
        }
    }
    Ok(plan)
}

fn from_scripts(service: &Service) -> Result<Plan, Failure> {
    let mut work = step("work", Vec::new());
    for line in lines(service.setting("script").unwrap_or("")) {
        if let Some(found) = performed(service, line)?
            && !work.effects.iter().any(|effect| effect.name == found.name)
        {
            work.effects.push(found);
        }
    }
    for line in lines(service.setting("undo-script").unwrap_or("")) {
        if let Some(found) = performed(service, line)?
            && !work
                .contingencies
                .iter()
                .any(|contingency| contingency.effect.name == found.name)
        {
            work.contingencies.push(contingency(found, None));
        }
    }
    Ok(plan_of(vec![work]))
}

/// The effect that a line of a script performs. For requests it is named like its check.
fn performed(service: &Service, line: &str) -> Result<Option<Effect>, Failure> {
    let line = line.strip_prefix("tell ").unwrap_or(line);
    let line = match line.strip_prefix("repeat ") {
        Some(rest) => rest.split_once(' ').map_or("", |(_, line)| line),
        None => line,
    };
    let (verb, name) = line.split_once(' ').unwrap_or((line, ""));
    let name = name.trim();
    Ok(match verb {
        "stop" | "start" | "up" | "down" | "back-up" | "point" => {
            Some(effect(name, kind(service, verb)?))
        }
        "transact" | "submit" => Some(effect(name, kind(service, &format!("{verb} {name}"))?)),
        _ => None,
    })
}

/// `NAME KIND`
fn named(service: &Service, words: &str) -> Result<Effect, Failure> {
    let (name, words) = words
        .split_once(' ')
        .ok_or_else(|| Failure::Misconfigured(format!("`{words}` names no kind of effect")))?;
    Ok(effect(name, kind(service, words.trim())?))
}

/// One for undo, unless it is `after` an effect.
fn contingency(effect: Effect, after: Option<&str>) -> Contingency {
    Contingency {
        effect,
        when: "when the script says so".into(),
        after: after.map(Into::into),
        undo: after.is_none(),
    }
}
