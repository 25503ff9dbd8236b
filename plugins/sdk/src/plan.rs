//! From what was observed to a plan. Pure, so that what people will read can be tested.

use crate::check::describe_check;
use crate::configuration::Limits;
use crate::names::{check, effect, step};
use crate::observe::{self, Observed};
use crate::planning::{
    ComposeTarget, Contingency, CreateBackup, DataLoss, Effect, EffectKind, Plan, PointRegistry,
    StartProcesses, Step, StopMethod, StopProcesses, Target, WantedState,
};
use crate::procedures::Failure;
use crate::process::{StatusReport, UnitState};
use crate::text;
use crate::types::{ArchiveFormat, HttpCheck, Service};

/// When contingencies of `undo` are used, for people.
const WHEN_UNDONE: &str = "if people choose undo";

/// How a native deployment is stopped, and with which units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopWay {
    pub method: StopMethod,
    pub units: Vec<String>,
}

/// The service manager's way where one answers and knows a unit, else that of the port's owner.
/// Killing the process of a unit which the service manager would start again helps nobody.
pub fn stop_way(service: &Service, status: &StatusReport) -> Result<StopWay, Failure> {
    let known: Vec<String> = status
        .units
        .iter()
        .filter(|unit| unit.state != UnitState::NotFound)
        .map(|unit| unit.unit.clone())
        .collect();
    if status.service_manager && !known.is_empty() {
        return Ok(StopWay {
            method: StopMethod::ServiceManager,
            units: known,
        });
    }
    if service.port.is_some() {
        return Ok(StopWay {
            method: StopMethod::PortOwner,
            units: service.units.clone(),
        });
    }
    Err(Failure::Misconfigured(format!(
        "Service {}: the service manager of {} does not know {}, and no port is configured to find \
         the process by.",
        service.name,
        service.host,
        service.units.join(", ")
    )))
}

/// The six steps of a service rollback, with everything they may do.
pub fn compose(service: &Service, seen: &Observed) -> Result<Plan, Failure> {
    let limits = Limits::of(service)?;
    let way = stop_way(service, &seen.native)?;
    Ok(Plan {
        steps: vec![
            prepare(service),
            stop(service, &way, &limits),
            back_up(service),
            start(service),
            verify(service, &limits),
            switch(service),
        ],
        targets: vec![
            target("native", WantedState::NativeStopped(native(service))),
            target(
                "containers",
                WantedState::ContainersRunning(containers(service)),
            ),
            target(
                "registry",
                WantedState::RegistryAt(entry(service, &service.registry_docker)),
            ),
        ],
        undo_targets: vec![
            target(
                "containers",
                WantedState::ContainersStopped(containers(service)),
            ),
            target("native", WantedState::NativeRunning(native(service))),
            target(
                "registry",
                WantedState::RegistryAt(entry(service, &service.registry_native)),
            ),
        ],
        data_loss: seen.data_loss.clone(),
        warnings: warnings(service, seen, &way),
    })
}

fn prepare(service: &Service) -> Step {
    Step {
        name: step::PREPARE.into(),
        title: format!("Check that {} can start in Docker", service.name),
        checks: vec![
            format!(
                "{} of project {}: image present, container there or creatable",
                names(&service.compose_services),
                service.compose_project
            ),
            format!("{} can be read and is not empty", service.data_directory),
            format!("the registry answers for {}", service.registry_key),
        ],
        effects: Vec::new(),
        contingencies: Vec::new(),
    }
}

fn stop(service: &Service, way: &StopWay, limits: &Limits) -> Step {
    let stopping = |method, units| {
        EffectKind::StopProcesses(StopProcesses {
            host: service.host.clone(),
            method,
            units,
            port: service.port,
            grace: limits.stop_grace,
        })
    };
    let mut contingencies = Vec::new();
    let mut checks = Vec::new();
    let mut title = format!("Stop {}", names(&way.units));
    if let Some(port) = service.port {
        checks.push(format!("port {port} is free afterwards"));
        let by_port = format!("Stop the process that listens on port {port}");
        match way.method {
            StopMethod::PortOwner => title = by_port,
            StopMethod::ServiceManager => contingencies.push(Contingency {
                effect: Effect {
                    name: effect::STOP_BY_PORT.into(),
                    title: by_port,
                    kind: stopping(StopMethod::PortOwner, way.units.clone()),
                },
                when: "if the service manager fails or the port is still held".into(),
                after: Some(effect::STOP_NATIVE.into()),
                undo: false,
            }),
        }
    }
    contingencies.push(undo(
        effect::UNDO_START_NATIVE,
        format!("Start {} again", names(&service.units)),
        EffectKind::StartProcesses(native(service)),
    ));
    Step {
        name: step::STOP.into(),
        title: "Stop the native service".into(),
        checks,
        effects: vec![Effect {
            name: effect::STOP_NATIVE.into(),
            title,
            kind: stopping(way.method, way.units.clone()),
        }],
        contingencies,
    }
}

fn back_up(service: &Service) -> Step {
    let format = match service.archive_format {
        ArchiveFormat::TarZst => ".tar.zst",
        ArchiveFormat::TarGz => ".tar.gz",
        ArchiveFormat::Zip => ".zip",
    };
    Step {
        name: step::BACK_UP.into(),
        title: "Back up the native data".into(),
        checks: vec!["the archive is read back in full, and every checksum matches".into()],
        effects: vec![Effect {
            name: effect::BACK_UP_DATA.into(),
            title: format!(
                "Archive {} as {}_TIME{format}",
                service.data_directory, service.archive_name
            ),
            kind: EffectKind::CreateBackup(CreateBackup {
                host: service.host.clone(),
                directory: service.data_directory.clone(),
                archive_name: service.archive_name.clone(),
                format: service.archive_format,
            }),
        }],
        contingencies: Vec::new(),
    }
}

fn start(service: &Service) -> Step {
    let what = format!(
        "{} of project {}",
        names(&service.compose_services),
        service.compose_project
    );
    Step {
        name: step::START.into(),
        title: "Start the Docker service".into(),
        checks: service
            .port
            .map(|port| format!("port {port} is free before the start"))
            .into_iter()
            .collect(),
        effects: vec![Effect {
            name: effect::START_CONTAINERS.into(),
            title: format!("Start {what}"),
            kind: EffectKind::ComposeUp(containers(service)),
        }],
        contingencies: vec![undo(
            effect::UNDO_STOP_CONTAINERS,
            format!("Stop {what}; containers and volumes stay"),
            EffectKind::ComposeDown(containers(service)),
        )],
    }
}

fn verify(service: &Service, limits: &Limits) -> Step {
    let mut checks = vec![
        format!(
            "{} healthy within {}",
            names(&service.compose_services),
            text::duration(limits.health)
        ),
        "the last 100 log lines are read for errors".into(),
    ];
    let configured = service
        .check(check::HEALTH)
        .map(|health| (check::HEALTH, health))
        .into_iter()
        .chain(service.checks_named(check::API))
        .chain(service.checks_named(check::PEER));
    checks.extend(configured.map(|(name, check)| check_line(name, check)));
    Step {
        name: step::VERIFY.into(),
        title: format!("Verify {} in Docker", service.name),
        checks,
        effects: Vec::new(),
        contingencies: Vec::new(),
    }
}

fn switch(service: &Service) -> Step {
    let mut checks = vec![
        format!(
            "{} resolves to {}",
            service.registry_key, service.registry_docker
        ),
        format!("check {} passes through the registry", check::HEALTH),
    ];
    checks.extend(
        service
            .checks_named(check::REACH)
            .map(|(name, check)| check_line(name, check)),
    );
    Step {
        name: step::SWITCH.into(),
        title: "Point service discovery at Docker".into(),
        checks,
        effects: vec![Effect {
            name: effect::POINT_REGISTRY.into(),
            title: format!(
                "Point {} at {}",
                service.registry_key, service.registry_docker
            ),
            kind: EffectKind::PointRegistry(entry(service, &service.registry_docker)),
        }],
        contingencies: vec![undo(
            effect::UNDO_POINT_NATIVE,
            format!(
                "Point {} back at {}",
                service.registry_key, service.registry_native
            ),
            EffectKind::PointRegistry(entry(service, &service.registry_native)),
        )],
    }
}

fn warnings(service: &Service, seen: &Observed, way: &StopWay) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(text);
    if !seen.native_runs() {
        warn("The native service is not running.".into());
    }
    if way.method == StopMethod::ServiceManager {
        for unit in service
            .units
            .iter()
            .filter(|unit| !way.units.contains(unit))
        {
            warn(format!("The service manager does not know {unit}."));
        }
    }
    if let (StopMethod::PortOwner, Some(owner)) = (way.method, observe::native_owner(&seen.native))
    {
        warn(if observe::is_invisible(owner) {
            format!(
                "Port {} is held by a process that the bot may not see, nor stop.",
                owner.port
            )
        } else {
            format!(
                "The process to be stopped is {}: it listens on port {}.",
                observe::told_owner(owner),
                owner.port
            )
        });
    }
    for container in seen.containers.iter().filter(|c| c.state == "running") {
        warn(format!("Container {} is running already.", container.name));
    }
    for readiness in seen.readiness.iter().filter(|readiness| !readiness.ready) {
        match readiness.problems.as_slice() {
            [] => warn(format!("{} cannot be started as it is.", readiness.service)),
            problems => problems.iter().for_each(|problem| {
                warn(format!(
                    "{} cannot be started: {problem}",
                    readiness.service
                ));
            }),
        }
    }
    if let Some(problem) = &seen.data_problem {
        warn(format!("The native data cannot be read: {problem}."));
    } else if matches!(seen.data_loss, DataLoss::Unknown(_)) {
        warn("No cutover time is configured: what Docker's data lacks is not known.".into());
    }
    match &seen.registry {
        None => warn(format!("The registry has no {} yet.", service.registry_key)),
        Some(value) if *value == service.registry_docker => {
            warn("The registry leads to Docker already.".into());
        }
        Some(value) if *value != service.registry_native => warn(format!(
            "The registry leads to {value}, which is neither deployment."
        )),
        Some(_) => {}
    }
    warnings
}

/// A line of a step's checks: `api-orders: GET … answers 200 within 2 s`.
pub fn check_line(name: &str, check: &HttpCheck) -> String {
    format!("{name}: {}", describe_check(check))
}

/// The step of that name, for a plugin that adds to it.
///
/// # Errors
/// [`Failure::Other`] when the plan has no such step.
pub fn step_mut<'p>(plan: &'p mut Plan, name: &str) -> Result<&'p mut Step, Failure> {
    plan.steps
        .iter_mut()
        .find(|step| step.name == name)
        .ok_or_else(|| Failure::Other(format!("The plan has no step {name}.")))
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        "the native service".into()
    } else {
        names.join(", ")
    }
}

fn undo(name: &str, title: String, kind: EffectKind) -> Contingency {
    Contingency {
        effect: Effect {
            name: name.into(),
            title,
            kind,
        },
        when: WHEN_UNDONE.into(),
        after: None,
        undo: true,
    }
}

fn target(name: &str, wanted: WantedState) -> Target {
    Target {
        name: name.into(),
        wanted,
    }
}

fn native(service: &Service) -> StartProcesses {
    StartProcesses {
        host: service.host.clone(),
        units: service.units.clone(),
        port: service.port,
    }
}

fn containers(service: &Service) -> ComposeTarget {
    ComposeTarget {
        host: service.host.clone(),
        project: service.compose_project.clone(),
        services: service.compose_services.clone(),
    }
}

fn entry(service: &Service, value: &str) -> PointRegistry {
    PointRegistry {
        key: service.registry_key.clone(),
        value: value.to_owned(),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
