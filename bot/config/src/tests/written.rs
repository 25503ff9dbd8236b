//! What a program writes is what it reads.

use std::time::Duration;

use rollbot_core::plan::HttpMethod;

use crate::config::Process;
use crate::written::{
    Approval, Backup, Bot, Channel, Chat, Check, ComposeProject, Console, Docker, Expectation,
    Files, Given, Manager, People, Person, Registry, Rollbot, SecretSource, Service,
    ServiceRegistry, Services, Size, Unit, Value, list, table,
};

fn person(id: &str, groups: &[&str]) -> Person {
    Person {
        id: id.into(),
        name: id.to_uppercase().into(),
        groups: list(groups.iter().copied()),
        console: true.into(),
        ..Person::default()
    }
}

fn world() -> Files {
    let bearer = SecretSource {
        env: "TRADE_PAPER_TOKEN".into(),
        before: "Bearer ".into(),
        ..SecretSource::default()
    };
    let health = Check {
        method: HttpMethod::Get.into(),
        url: "http://127.0.0.1:9003/health".into(),
        within: Duration::from_millis(2_500).into(),
        headers: table([
            ("Authorization", Value::Secret(bearer)),
            ("Accept", Value::Text("*/*".into())),
        ]),
        expect: list([Expectation {
            pointer: "/uptime".into(),
            at_least: 1.5.into(),
            ..Expectation::default()
        }]),
        ..Check::default()
    };
    Files {
        rollbot: Rollbot {
            state_directory: Given::from(std::path::PathBuf::from("/tmp/state")),
            bot: Bot {
                product: "Cryptobot".into(),
                support: "support@cryptobot.example".into(),
                ..Bot::default()
            }
            .into(),
            console: Console {
                listen: "127.0.0.1:0".into(),
                channel: list([Channel {
                    name: "ops".into(),
                    about: "all \"of\" it".into(),
                }]),
                ..Console::default()
            }
            .into(),
            chat: Chat {
                operations: list(["console/ops"]),
                announcements: list(["console/ops"]),
            }
            .into(),
            approval: Approval {
                required: 2.into(),
                groups: list(["approvers"]),
                expiry: Duration::from_secs(90).into(),
                ..Approval::default()
            }
            .into(),
            docker: Docker {
                project: table([(
                    "demo",
                    ComposeProject {
                        directory: Given::from(std::path::PathBuf::from("/tmp/docker")),
                        ..ComposeProject::default()
                    },
                )]),
                ..Docker::default()
            }
            .into(),
            backup: Backup {
                directory: Given::from(std::path::PathBuf::from("/tmp/backups")),
                reserve: Size(64 << 20).into(),
                ..Backup::default()
            }
            .into(),
            registry: Registry {
                path: Given::from(std::path::PathBuf::from("/tmp/registry.json")),
                ..Registry::default()
            }
            .into(),
            process: crate::written::Process {
                manager: Manager::Commands.into(),
                unit: list([Unit {
                    name: "trade-native".into(),
                    argv: list(["/tmp/service", "--port", "9003"]),
                    log: Given::from(std::path::PathBuf::from("/tmp/trade.log")),
                    port: 9003.into(),
                    environment: table([("DATA", "/tmp/data")]),
                    ..Unit::default()
                }]),
                ..crate::written::Process::default()
            }
            .into(),
            ..Rollbot::default()
        },
        services: Services {
            service: list([Service {
                name: "trade".into(),
                kind: "trade".into(),
                units: list(["trade-native"]),
                port: 9003.into(),
                compose_project: "demo".into(),
                compose_services: list(["trade"]),
                data_directory: Given::from(std::path::PathBuf::from("/tmp/data")),
                cutover: toml::Value::String("2026-11-22T10:00:00Z".into()).into(),
                registry: ServiceRegistry {
                    key: "trade".into(),
                    native: "http://127.0.0.1:9003/native".into(),
                    docker: "http://127.0.0.1:9003/docker".into(),
                }
                .into(),
                checks: table([("health", health)]),
                settings: table([
                    ("stop-grace", toml::Value::String("2s".into())),
                    ("loud", toml::Value::Boolean(true)),
                ]),
                ..Service::default()
            }]),
        },
        people: People {
            person: list([
                person("ana", &["approvers"]),
                person("ben", &["approvers"]),
                person("cleo", &["approvers"]),
            ]),
        },
    }
}

#[test]
fn what_a_program_writes_loads_again_with_the_same_meaning() {
    let directory = tempfile::tempdir().unwrap();
    world().write(directory.path()).unwrap();
    let config = super::loaded(directory.path()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.approval.expiry_seconds, 90);
    assert_eq!(config.backup.reserve, 64 << 20);
    assert_eq!(config.console.unwrap().channels[0].about, "all \"of\" it");
    let Process::Commands { units, .. } = &config.process else {
        panic!("there should be commands");
    };
    assert_eq!(units[0].argv, ["/tmp/service", "--port", "9003"]);
    let trade = &config.services[0];
    assert_eq!(
        trade.cutover.read().unwrap(),
        "2026-11-22T10:00:00Z".parse().unwrap()
    );
    assert_eq!(trade.description.checks[0].check.within, 2_500);
    assert_eq!(trade.description.checks[0].check.headers.len(), 2);
    let settings: Vec<_> = trade
        .description
        .settings
        .iter()
        .map(|setting| format!("{}={}", setting.name, setting.value))
        .collect();
    assert_eq!(settings, ["loud=true", "stop-grace=2000"]);
    insta::assert_snapshot!(
        "written",
        [crate::ROLLBOT, crate::SERVICES, crate::PEOPLE]
            .map(|file| std::fs::read_to_string(directory.path().join(file)).unwrap())
            .join("\n--- next file ---\n")
    );
}
