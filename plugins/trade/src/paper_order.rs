//! Order execution on the paper endpoint: the function that trade exists for.

use rollbot_plugin_sdk::names::step;
use rollbot_plugin_sdk::planning::{Effect, EffectKind, Plan, SendRequest};
use rollbot_plugin_sdk::procedures::Failure;
use rollbot_plugin_sdk::types::{CheckReport, Service};
use rollbot_plugin_sdk::{
    RequiredCheck, StepResult, Trouble, check_line, evidence_of, explain, note, perform, probe,
    step_mut,
};

pub const CHECK: RequiredCheck = RequiredCheck {
    name: "paper-order",
    does: "places an order on the paper endpoint, and passes when it was executed",
    reads_only: false,
};

/// Name of the effect.
const PAPER_ORDER: &str = "paper-order";

pub fn extend_plan(service: &Service, plan: &mut Plan) -> Result<(), Failure> {
    let check = service.required_check(&CHECK)?;
    let request = SendRequest {
        host: service.host.clone(),
        check: check.clone(),
    };
    let verify = step_mut(plan, step::VERIFY)?;
    verify.checks.push(check_line(CHECK.name, check));
    verify.effects.push(Effect {
        name: PAPER_ORDER.into(),
        title: "Place one order on the paper endpoint".into(),
        kind: if check.idempotency_key {
            EffectKind::Transact(request)
        } else {
            EffectKind::Submit(request)
        },
    });
    Ok(())
}

pub fn place(service: &Service) -> StepResult {
    let keyed = service.required_check(&CHECK)?.idempotency_key;
    let answer = if keyed {
        probe::transact(PAPER_ORDER)
    } else {
        probe::submit(PAPER_ORDER)
    };
    match perform("The paper order", answer)? {
        Some(report) => judge(&report),
        None => Ok(()),
    }
}

fn judge(report: &CheckReport) -> StepResult {
    if report.passed {
        note(format!(
            "The paper order was executed: it {}.",
            explain(report)
        ));
        return Ok(());
    }
    let summary = format!("The paper order was not executed: it {}", explain(report));
    Err(Trouble::Problem(evidence_of(summary, report)))
}
