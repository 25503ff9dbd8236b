//! One line, one call.

use rollbot_plugin_sdk::ask::{self, Choice};
use rollbot_plugin_sdk::docker::HealthState;
use rollbot_plugin_sdk::types::{CheckReport, Evidence, Service};
use rollbot_plugin_sdk::{HostError, backup, clock, docker, probe, process, progress, registry};

/// What a call came to: `Ok` with what matters of the answer, or the error's sentence.
pub type Outcome = Result<String, String>;

/// Makes the call of a line.
pub fn call(service: &Service, line: &str) -> Outcome {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    let host = service.host.as_str();
    let project = service.compose_project.as_str();
    let services = service.compose_services.as_slice();
    match verb {
        "begin" => said(progress::begin(rest), |()| String::new()),
        "end" => said(progress::end(rest), |()| String::new()),
        "note" => said(progress::note(rest), |()| String::new()),
        "stop" => said(process::stop(rest), changed),
        "start" => said(process::start(rest), changed),
        "status" => said(process::status(host, &service.units, service.port), status),
        "up" => said(docker::up(rest), |report| report.how),
        "down" => said(docker::down(rest), |report| report.how),
        "containers" => said(docker::status(host, project, services), containers),
        "health" => said(
            docker::health(host, project, services, number(rest)?),
            containers,
        ),
        "ready" => said(docker::ready(host, project, services), |all| {
            joined(
                all.iter()
                    .map(|one| format!("{} {}", one.service, one.ready)),
            )
        }),
        "logs" => {
            let lines = u32::try_from(number(rest)?).map_err(|error| error.to_string())?;
            said(docker::logs(host, project, services, lines), |lines| {
                lines.len().to_string()
            })
        }
        "back-up" => said(backup::create(rest), archive),
        "read-back" => said(backup::verify(host, rest), archive),
        "archives" => said(backup::list(host, &service.archive_name), |all| {
            joined(all.into_iter().map(archive))
        }),
        "written-since" => said(
            backup::written_since(host, &service.data_directory, number(rest)?),
            |written| format!("{} files, {} bytes", written.files, written.bytes),
        ),
        "point" => said(registry::point(rest), |report| report.entry.value),
        "get" => said(registry::get(rest), |entry| entry.value),
        "resolve" => said(registry::resolve(rest), |value| value),
        "transact" => said(probe::transact(rest), checked),
        "submit" => said(probe::submit(rest), checked),
        "http" => match service.check(rest) {
            Some(check) => said(probe::http(host, check), checked),
            None => Err(format!("no check {rest}")),
        },
        "tcp" => said(probe::tcp(host, rest, 1_000), checked),
        "ask" => question(rest),
        "now" => Ok(clock::now().to_string()),
        "sleep" => {
            clock::sleep(number(rest)?);
            Ok(String::new())
        }
        other => Err(format!("no call is named {other}")),
    }
}

fn question(rest: &str) -> Outcome {
    let mut parts = rest.split('|').map(str::trim);
    let text = parts.next().unwrap_or_default();
    let choices: Vec<Choice> = parts
        .map(|choice| {
            let (key, label) = choice.split_once('=').unwrap_or((choice, choice));
            Choice {
                key: key.into(),
                label: label.into(),
            }
        })
        .collect();
    let evidence = Evidence {
        summary: "The script asks.".into(),
        details: Vec::new(),
    };
    said(ask::question(text, &evidence, &choices), |key| key)
}

fn said<T, E: HostError>(answer: Result<T, E>, say: impl FnOnce(T) -> String) -> Outcome {
    answer.map(say).map_err(|error| error.sentence())
}

/// The number of a line.
pub fn number(text: &str) -> Result<u64, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{text:?} is no whole number"))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("; ")
}

fn changed(report: process::ChangeReport) -> String {
    match report.by_hand {
        true => format!("by hand: {}", report.how),
        false => report.how,
    }
}

fn status(report: process::StatusReport) -> String {
    let units = report
        .units
        .into_iter()
        .map(|unit| format!("{} {}", unit.unit, unit.sub_state));
    let owner = report
        .owner
        .map(|owner| format!("port {} held by {}", owner.port, owner.name));
    joined(units.chain(owner))
}

fn containers(all: Vec<docker::Container>) -> String {
    joined(all.into_iter().map(|one| {
        let health = match one.health {
            HealthState::None => "no health check",
            HealthState::Starting => "starting",
            HealthState::Healthy => "healthy",
            HealthState::Unhealthy => "unhealthy",
        };
        format!("{} {} {health}", one.name, one.state)
    }))
}

fn archive(archive: backup::Archive) -> String {
    format!("{} {}", archive.name, archive.sha256)
}

fn checked(report: CheckReport) -> String {
    match report.passed {
        true => "passed".into(),
        false => format!("did not pass: {}", report.problems.join("; ")),
    }
}
