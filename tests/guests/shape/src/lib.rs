//! What the guests for tests have in common. Their service type is their own name.

use rollbot_plugin_sdk::planning::{
    ComposeTarget, Contingency, CreateBackup, DataLoss, Effect, EffectKind, Plan, PointRegistry,
    SendRequest, StartProcesses, Step, StopMethod, StopProcesses, Target, WantedState,
};
use rollbot_plugin_sdk::procedures::{Capability, Description, Failure, Procedure};
use rollbot_plugin_sdk::types::Service;

/// A description that wants everything.
pub fn describe(name: &str, summary: &str) -> Description {
    Description {
        name: name.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        service_type: name.into(),
        summary: summary.into(),
        wants: vec![
            Capability::Process,
            Capability::Docker,
            Capability::Backup,
            Capability::Probe,
            Capability::Registry,
            Capability::Ask,
        ],
    }
}

/// `rollback` and `undo`, and whatever else a guest has.
pub fn procedures(more: &[(&str, &str)]) -> Vec<Procedure> {
    [
        ("rollback", "Does what this guest is for"),
        ("undo", "Returns at once"),
    ]
    .iter()
    .chain(more)
    .map(|(name, summary)| Procedure {
        name: (*name).into(),
        title: (*name).into(),
        summary: (*summary).into(),
    })
    .collect()
}

/// A plan with one step `work`, which has the effects `stop-native` and `back-up-data`, and
/// `undo-start-native` for undo.
pub fn small_plan(service: &Service) -> Plan {
    plan_of(vec![Step {
        contingencies: vec![Contingency {
            effect: effect(
                "undo-start-native",
                EffectKind::StartProcesses(native(service)),
            ),
            when: "if people choose undo".into(),
            after: None,
            undo: true,
        }],
        ..step(
            "work",
            vec![
                effect("stop-native", stop(service, StopMethod::PortOwner)),
                effect("back-up-data", back_up(service)),
            ],
        )
    }])
}

/// A plan with these steps and nothing else.
pub fn plan_of(steps: Vec<Step>) -> Plan {
    Plan {
        steps,
        targets: Vec::new(),
        undo_targets: Vec::new(),
        data_loss: DataLoss::Unknown("a guest for tests does not look".into()),
        warnings: Vec::new(),
    }
}

/// A step whose title is its name.
pub fn step(name: &str, effects: Vec<Effect>) -> Step {
    Step {
        name: name.into(),
        title: name.into(),
        checks: Vec::new(),
        effects,
        contingencies: Vec::new(),
    }
}

/// An effect whose title is its name.
pub fn effect(name: &str, kind: EffectKind) -> Effect {
    Effect {
        name: name.into(),
        title: name.into(),
        kind,
    }
}

/// The kind of effect which a word of the scripts stands for: `stop`, `stop-by-port`, `start`,
/// `up`, `down`, `back-up`, `point`, `point-native`, `transact CHECK`, `submit CHECK`.
///
/// # Errors
/// [`Failure::Misconfigured`] for another word, or a check that is not configured.
pub fn kind(service: &Service, words: &str) -> Result<EffectKind, Failure> {
    let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
    let point = |value: &String| {
        EffectKind::PointRegistry(PointRegistry {
            key: service.registry_key.clone(),
            value: value.clone(),
        })
    };
    let request = || {
        service
            .check(rest.trim())
            .map(|check| SendRequest {
                host: service.host.clone(),
                check: check.clone(),
            })
            .ok_or_else(|| Failure::Misconfigured(format!("no check {rest}")))
    };
    Ok(match word {
        "stop" => stop(service, StopMethod::ServiceManager),
        "stop-by-port" => stop(service, StopMethod::PortOwner),
        "start" => EffectKind::StartProcesses(native(service)),
        "up" => EffectKind::ComposeUp(containers(service)),
        "down" => EffectKind::ComposeDown(containers(service)),
        "back-up" => back_up(service),
        "point" => point(&service.registry_docker),
        "point-native" => point(&service.registry_native),
        "transact" => EffectKind::Transact(request()?),
        "submit" => EffectKind::Submit(request()?),
        other => {
            return Err(Failure::Misconfigured(format!(
                "no kind of effect is called {other}"
            )));
        }
    })
}

/// The target which a word of the scripts stands for: `native-stopped`, `native-running`,
/// `containers-running`, `containers-stopped`, `registry-docker`, `registry-native`.
///
/// # Errors
/// [`Failure::Misconfigured`] for another word.
pub fn target(service: &Service, word: &str) -> Result<Target, Failure> {
    let entry = |value: &String| {
        WantedState::RegistryAt(PointRegistry {
            key: service.registry_key.clone(),
            value: value.clone(),
        })
    };
    Ok(Target {
        name: word.into(),
        wanted: match word {
            "native-stopped" => WantedState::NativeStopped(native(service)),
            "native-running" => WantedState::NativeRunning(native(service)),
            "containers-running" => WantedState::ContainersRunning(containers(service)),
            "containers-stopped" => WantedState::ContainersStopped(containers(service)),
            "registry-docker" => entry(&service.registry_docker),
            "registry-native" => entry(&service.registry_native),
            other => {
                return Err(Failure::Misconfigured(format!(
                    "no target is called {other}"
                )));
            }
        },
    })
}

fn stop(service: &Service, method: StopMethod) -> EffectKind {
    EffectKind::StopProcesses(StopProcesses {
        host: service.host.clone(),
        method,
        units: service.units.clone(),
        port: service.port,
        grace: 1_000,
    })
}

fn back_up(service: &Service) -> EffectKind {
    EffectKind::CreateBackup(CreateBackup {
        host: service.host.clone(),
        directory: service.data_directory.clone(),
        archive_name: service.archive_name.clone(),
        format: service.archive_format,
    })
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
