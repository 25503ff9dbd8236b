//! Orders in flight: waited for up to a limit, then people decide.

use rollbot_plugin_sdk::ask::{self, Choice};
use rollbot_plugin_sdk::names::step;
use rollbot_plugin_sdk::planning::Plan;
use rollbot_plugin_sdk::procedures::Failure;
use rollbot_plugin_sdk::types::{CheckReport, HttpCheck, Service};
use rollbot_plugin_sdk::{
    HostError, Observed, RequiredCheck, StepResult, Trouble, clock, evidence_of, explain, note,
    probe, query, step_mut, steps, text,
};

pub const CHECK: RequiredCheck = RequiredCheck {
    name: "in-flight",
    does: "passes when no order is in flight",
    reads_only: true,
};

const WAIT: &str = "wait";
const STOP_ANYWAY: &str = "stop-anyway";

struct Patience {
    /// Milliseconds between two looks; never 0, so that a mistake cannot become a busy loop.
    poll: u64,
    /// Milliseconds until people are asked.
    limit: u64,
}

impl Patience {
    fn of(service: &Service) -> Result<Self, Failure> {
        Ok(Self {
            poll: service.millis("in-flight-poll", 2_000)?.max(100),
            limit: service.millis("in-flight-limit", 60_000)?,
        })
    }
}

pub fn extend_plan(service: &Service, seen: &Observed, plan: &mut Plan) -> Result<(), Failure> {
    let check = service.required_check(&CHECK)?;
    let limit = text::duration(Patience::of(service)?.limit);
    step_mut(plan, step::STOP)?.checks.insert(
        0,
        format!(
            "no order is in flight ({}); waited for up to {limit}, then people are asked",
            check.url
        ),
    );
    if !seen.native_runs() {
        return Ok(());
    }
    match probe::http(&service.host, check) {
        Ok(report) if report.passed => {}
        Ok(report) if report.status.is_some() => plan.warnings.push(format!(
            "Orders are in flight now: the stop waits for them up to {limit}, then asks."
        )),
        Ok(report) => plan.warnings.push(format!(
            "Whether orders are in flight is not known: check {} {}.",
            CHECK.name,
            explain(&report)
        )),
        Err(error) => {
            return Err(Failure::Host(format!(
                "Check {}: {}.",
                CHECK.name,
                error.sentence()
            )));
        }
    }
    Ok(())
}

/// Returns when no order is in flight, or people said to stop all the same.
pub fn wait_for_none(service: &Service) -> StepResult {
    let check = service.required_check(&CHECK)?;
    let patience = Patience::of(service)?;
    if !steps::native_holds(service, &steps::status(service)?)? {
        note("The native service is not running, so it was not asked for orders in flight.");
        return Ok(());
    }
    loop {
        let Some(report) = wait(service, check, &patience)? else {
            note("No order is in flight.");
            return Ok(());
        };
        let answer = ask(&report, &patience)?;
        if answer == STOP_ANYWAY {
            note("Stopping although orders may be in flight, as decided.");
            return Ok(());
        }
        note(format!(
            "Waiting another {}.",
            text::duration(patience.limit)
        ));
    }
}

/// `None` when no order is in flight, else what was seen last.
fn wait(
    service: &Service,
    check: &HttpCheck,
    patience: &Patience,
) -> Result<Option<CheckReport>, Trouble> {
    let mut waited = 0;
    loop {
        let report = query("Orders in flight", probe::http(&service.host, check))?;
        if report.passed {
            return Ok(None);
        }
        waited += report.took;
        if waited >= patience.limit {
            return Ok(Some(report));
        }
        if waited == report.took {
            note(format!(
                "Waiting for orders in flight: the check {}.",
                explain(&report)
            ));
        }
        clock::sleep(patience.poll);
        waited += patience.poll;
    }
}

fn ask(report: &CheckReport, patience: &Patience) -> Result<String, Trouble> {
    let limit = text::duration(patience.limit);
    let question = if report.status.is_some() {
        format!("Orders are still in flight after {limit}. Stop the native service all the same?")
    } else {
        format!(
            "After {limit} it is still not known whether orders are in flight. Stop the native \
             service all the same?"
        )
    };
    let summary = format!("Check {} {}", CHECK.name, explain(report));
    let choices = [
        Choice {
            key: WAIT.into(),
            label: format!("Wait another {limit}"),
        },
        Choice {
            key: STOP_ANYWAY.into(),
            label: "Stop anyway: orders in flight may be lost".into(),
        },
    ];
    query(
        "The question about orders in flight",
        ask::question(&question, &evidence_of(summary, report), &choices),
    )
}
