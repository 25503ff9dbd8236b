use crate::check::{explain, run_check, wait_for_check};
use crate::configuration::Limits;
use crate::docker::{self, Container, HealthState, LogLine};
use crate::names::check;
use crate::step::note;
use crate::text;
use crate::trouble::{HostError, StepResult, Trouble, query};
use crate::types::Service;

/// Log lines that are read of each container.
const LOG_LINES: u32 = 100;
/// Lines shown to people, and how much of each.
const SHOWN_LINES: usize = 10;
const SHOWN_BYTES: usize = 300;

/// Verifies what every service has: running containers, logs, health, endpoints, and connections
/// to the others.
///
/// # Errors
/// What does not work.
pub fn verify(service: &Service) -> StepResult {
    let limit = Limits::of(service)?.health;
    let containers = query(
        "The containers' health",
        docker::health(
            &service.host,
            &service.compose_project,
            &service.compose_services,
            limit,
        ),
    )?;
    let mut wrong: Vec<String> = containers.iter().filter_map(ailment).collect();
    for name in &service.compose_services {
        if !containers
            .iter()
            .any(|container| container.service == *name)
        {
            wrong.push(format!("{name} has no container."));
        }
    }

    let logs = docker::logs(
        &service.host,
        &service.compose_project,
        &service.compose_services,
        LOG_LINES,
    );
    if !wrong.is_empty() {
        // The end of the logs is the best hint there is; without it the states must do.
        wrong.extend(logs.iter().flat_map(|lines| last(lines)));
        return Err(Trouble::with_details(
            format!(
                "{} is not healthy after {}",
                service.compose_services.join(", "),
                text::duration(limit)
            ),
            wrong,
        ));
    }
    for container in &containers {
        note(format!(
            "Container {} is {}.",
            container.name,
            wellness(container)
        ));
    }
    tell_logs(&logs.map_err(|error| {
        Trouble::problem(format!("The containers' logs: {}", error.sentence()))
    })?);

    if let Some(health) = service.check(check::HEALTH) {
        let report = wait_for_check(service, check::HEALTH, health, limit)?;
        note(format!("Check {}: {}.", check::HEALTH, explain(&report)));
    }
    for (name, configured) in service
        .checks_named(check::API)
        .chain(service.checks_named(check::PEER))
    {
        let report = run_check(service, name, configured)?;
        note(format!("Check {name}: {}.", explain(&report)));
    }
    Ok(())
}

fn ailment(container: &Container) -> Option<String> {
    let name = &container.name;
    match (container.state.as_str(), container.health) {
        ("running", HealthState::None | HealthState::Healthy) => None,
        ("running", HealthState::Starting) => Some(format!("Container {name} is still starting.")),
        ("running", HealthState::Unhealthy) => Some(format!("Container {name} is unhealthy.")),
        (state, _) => Some(match container.exit_code {
            Some(code) => format!("Container {name} is {state}, with exit code {code}."),
            None => format!("Container {name} is {state}."),
        }),
    }
}

fn wellness(container: &Container) -> &'static str {
    match container.health {
        HealthState::Healthy => "running and healthy",
        _ => "running; its image has no health check",
    }
}

fn last(lines: &[LogLine]) -> impl Iterator<Item = String> {
    lines[lines.len().saturating_sub(SHOWN_LINES)..]
        .iter()
        .map(shown)
}

fn shown(line: &LogLine) -> String {
    text::clip(&format!("{}: {}", line.service, line.text), SHOWN_BYTES)
}

fn tell_logs(lines: &[LogLine]) {
    let suspicious: Vec<&LogLine> = lines
        .iter()
        .filter(|line| text::looks_like_error(&line.text))
        .collect();
    note(format!(
        "{} read, {} like errors.",
        text::count(lines.len() as u64, "log line"),
        match suspicious.len() {
            0 => "none looks".to_owned(),
            1 => "1 looks".to_owned(),
            many => format!("{many} look"),
        }
    ));
    for line in suspicious.into_iter().take(SHOWN_LINES) {
        note(shown(line));
    }
}
