#![allow(clippy::unwrap_used)]

use super::*;
use crate::process::{PortOwner, UnitStatus};
use crate::types::{HttpMethod, NamedCheck};
use crate::{docker, planning::DataLossWindow};

fn check(name: &str) -> NamedCheck {
    NamedCheck {
        name: name.into(),
        check: HttpCheck {
            method: HttpMethod::Get,
            url: format!("http://127.0.0.1:9003/{name}"),
            headers: Vec::new(),
            body: None,
            status: 200,
            expect: Vec::new(),
            within: 2_000,
            idempotency_key: false,
        },
    }
}

fn service() -> Service {
    Service {
        name: "trade".into(),
        host: "local".into(),
        units: vec!["cryptobot-trade".into()],
        port: Some(9003),
        compose_project: "cryptobot".into(),
        compose_services: vec!["trade".into()],
        data_directory: "/opt/cryptobot/non-docker/trade".into(),
        archive_name: "trade_service".into(),
        archive_format: ArchiveFormat::TarZst,
        registry_key: "services/trade".into(),
        registry_native: "native:9003".into(),
        registry_docker: "docker:9003".into(),
        cutover: Some(1),
        checks: ["health", "api-orders", "peer-data", "reach-mcp", "other"]
            .map(check)
            .into(),
        settings: Vec::new(),
    }
}

fn unit(state: UnitState) -> UnitStatus {
    UnitStatus {
        unit: "cryptobot-trade".into(),
        state,
        sub_state: String::new(),
        pid: None,
    }
}

fn owner(name: &str) -> Option<PortOwner> {
    Some(PortOwner {
        port: 9003,
        pid: 4711,
        name: name.into(),
    })
}

fn seen(native: StatusReport) -> Observed {
    Observed {
        native,
        containers: Vec::new(),
        readiness: Vec::new(),
        registry: Some("native:9003".into()),
        data_loss: DataLoss::Window(DataLossWindow {
            since: 1,
            last_write: 2,
            files: 3,
            bytes: 4,
        }),
        data_problem: None,
    }
}

fn by_manager() -> StatusReport {
    StatusReport {
        units: vec![unit(UnitState::Active)],
        owner: owner("trade-native"),
        service_manager: true,
    }
}

fn by_port() -> StatusReport {
    StatusReport {
        units: Vec::new(),
        owner: owner("trade-native"),
        service_manager: false,
    }
}

/// A plan as a person would see it, without the targets of effects.
fn told(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for step in &plan.steps {
        lines.push(format!("{}: {}", step.name, step.title));
        lines.extend(step.checks.iter().map(|check| format!("  ? {check}")));
        lines.extend(
            step.effects
                .iter()
                .map(|effect| format!("  ! {}: {}", effect.name, effect.title)),
        );
        lines.extend(
            step.contingencies
                .iter()
                .map(|c| format!("  ~ {}: {}, {}", c.effect.name, c.effect.title, c.when)),
        );
    }
    lines.extend(plan.warnings.iter().map(|warning| format!("# {warning}")));
    lines.join("\n")
}

#[test]
fn a_plan_reads_as_six_steps_with_everything_they_may_do() {
    let plan = compose(&service(), &seen(by_manager())).unwrap();
    assert_eq!(
        told(&plan),
        "prepare: Check that trade can start in Docker
  ? trade of project cryptobot: image present, container there or creatable
  ? /opt/cryptobot/non-docker/trade can be read and is not empty
  ? the registry answers for services/trade
stop: Stop the native service
  ? port 9003 is free afterwards
  ! stop-native: Stop cryptobot-trade
  ~ stop-by-port: Stop the process that listens on port 9003, if the service manager fails or the port is still held
  ~ undo-start-native: Start cryptobot-trade again, if people choose undo
back-up: Back up the native data
  ? the archive is read back in full, and every checksum matches
  ! back-up-data: Archive /opt/cryptobot/non-docker/trade as trade_service_TIME.tar.zst
start: Start the Docker service
  ? port 9003 is free before the start
  ! start-containers: Start trade of project cryptobot
  ~ undo-stop-containers: Stop trade of project cryptobot; containers and volumes stay, if people choose undo
verify: Verify trade in Docker
  ? trade healthy within 60 s
  ? the last 100 log lines are read for errors
  ? health: GET http://127.0.0.1:9003/health answers 200 within 2 s
  ? api-orders: GET http://127.0.0.1:9003/api-orders answers 200 within 2 s
  ? peer-data: GET http://127.0.0.1:9003/peer-data answers 200 within 2 s
switch: Point service discovery at Docker
  ? services/trade resolves to docker:9003
  ? check health passes through the registry
  ? reach-mcp: GET http://127.0.0.1:9003/reach-mcp answers 200 within 2 s
  ! point-registry: Point services/trade at docker:9003
  ~ undo-point-native: Point services/trade back at native:9003, if people choose undo"
    );
}

#[test]
fn without_a_service_manager_the_owner_of_the_port_is_the_way() {
    let plan = compose(&service(), &seen(by_port())).unwrap();
    let stop = &plan.steps[1];
    assert_eq!(
        stop.effects[0].title,
        "Stop the process that listens on port 9003"
    );
    assert!(matches!(
        &stop.effects[0].kind,
        EffectKind::StopProcesses(StopProcesses {
            method: StopMethod::PortOwner,
            port: Some(9003),
            grace: 20_000,
            ..
        })
    ));
    assert!(
        !stop
            .contingencies
            .iter()
            .any(|c| c.effect.name == effect::STOP_BY_PORT)
    );
    assert_eq!(
        plan.warnings,
        ["The process to be stopped is trade-native (pid 4711): it listens on port 9003."]
    );
}

#[test]
fn a_unit_unknown_to_the_service_manager_is_stopped_by_its_port() {
    let status = StatusReport {
        units: vec![unit(UnitState::NotFound)],
        ..by_manager()
    };
    assert_eq!(
        stop_way(&service(), &status).unwrap().method,
        StopMethod::PortOwner
    );
}

#[test]
fn with_neither_a_known_unit_nor_a_port_there_is_no_plan() {
    let service = Service {
        port: None,
        ..service()
    };
    assert!(matches!(
        stop_way(&service, &by_port()),
        Err(Failure::Misconfigured(_))
    ));
}

#[test]
fn a_container_on_the_port_is_not_the_native_service() {
    for name in ["docker-proxy", "com.docker.backe", "rootlesskit"] {
        let status = StatusReport {
            units: vec![unit(UnitState::Inactive)],
            owner: owner(name),
            service_manager: true,
        };
        assert!(!observe::native_runs(&status, false), "{name}");
    }
    assert!(observe::native_runs(&by_port(), true));
}

#[test]
fn an_invisible_owner_of_the_port_counts_for_the_containers_when_they_run() {
    let status = StatusReport {
        owner: Some(PortOwner {
            port: 9003,
            pid: 0,
            name: "not visible to this user".into(),
        }),
        ..by_port()
    };
    assert!(observe::native_runs(&status, false));
    assert!(!observe::native_runs(&status, true));
}

#[test]
fn names_and_effects_do_not_change_with_pids_or_times() {
    let first = compose(&service(), &seen(by_port())).unwrap();
    let mut later = seen(by_port());
    later.native.owner = Some(PortOwner {
        pid: 5,
        port: 9003,
        name: "trade-native".into(),
    });
    later.data_loss = DataLoss::NoneSince(1);
    let second = compose(&service(), &later).unwrap();
    assert!(first.steps == second.steps && first.targets == second.targets);
    assert!(first.undo_targets == second.undo_targets);
}

#[test]
fn what_people_should_know_before_they_vote_is_a_warning() {
    let container = docker::Container {
        service: "trade".into(),
        name: "cryptobot_trade_1".into(),
        id: "abc".into(),
        state: "running".into(),
        health: docker::HealthState::Healthy,
        exit_code: None,
        image_digest: "sha256:0".into(),
        image: "cryptobot/trade:1.4.2".into(),
    };
    let observed = Observed {
        containers: vec![container],
        readiness: vec![docker::Readiness {
            service: "trade".into(),
            ready: false,
            container: None,
            problems: vec!["The image is missing.".into()],
        }],
        registry: Some("elsewhere:1".into()),
        data_loss: DataLoss::Unknown("the time of the cutover is not configured".into()),
        ..seen(StatusReport {
            units: vec![unit(UnitState::Inactive)],
            owner: None,
            service_manager: true,
        })
    };
    assert_eq!(
        compose(&service(), &observed).unwrap().warnings,
        [
            "The native service is not running.",
            "Container cryptobot_trade_1 is running already.",
            "trade cannot be started: The image is missing.",
            "No cutover time is configured: what Docker's data lacks is not known.",
            "The registry leads to elsewhere:1, which is neither deployment.",
        ]
    );
}

#[test]
fn a_missing_check_is_named_with_the_place_where_it_belongs() {
    use crate::configuration::{RequiredCheck, validate};
    let order = RequiredCheck {
        name: "paper-order",
        does: "places an order on the paper endpoint",
        reads_only: false,
    };
    let said = |result: Result<(), Failure>| match result {
        Err(Failure::Misconfigured(text)) => text,
        other => format!("{other:?}"),
    };
    assert_eq!(
        said(validate(&service(), &[order])),
        "Service trade in config/services.toml: there is no check `paper-order` (places an order \
         on the paper endpoint); add it to the checks of trade."
    );
    let mut posting = service();
    posting.checks[1].check.method = HttpMethod::Post;
    assert!(said(validate(&posting, &[])).contains("check `api-orders` is a POST"));
    let mut unhealthy = service();
    unhealthy.checks.remove(0);
    assert!(said(validate(&unhealthy, &[])).contains("no check `health`"));
    assert!(validate(&service(), &[]).is_ok());
}
