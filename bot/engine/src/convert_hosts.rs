//! Between the domain's requests, the hosts' answers, and the plugin API's records.

use std::time::Duration;

use rollbot_core::plan as core;
use rollbot_host::{
    docker as host_docker, probe as host_probe, process as host_process, registry as host_registry,
};

use crate::bindings::rollbot::plugin::{
    docker as wit_docker, probe as wit_probe, process as wit_process, registry as wit_registry,
    types,
};

// Requests to hosts.

impl From<&core::StopProcesses> for HostStop {
    fn from(stop: &core::StopProcesses) -> Self {
        Self(host_process::StopRequest {
            method: match stop.method {
                core::StopMethod::ServiceManager => host_process::StopMethod::ServiceManager,
                core::StopMethod::PortOwner => host_process::StopMethod::PortOwner,
            },
            units: stop.units.clone(),
            port: stop.port,
            grace: Duration::from_millis(stop.grace),
        })
    }
}

/// Between two foreign types, a conversion needs one of ours.
pub(crate) struct HostStop(pub host_process::StopRequest);

pub(crate) fn host_start(start: &core::StartProcesses) -> host_process::StartRequest {
    host_process::StartRequest {
        units: start.units.clone(),
        port: start.port,
    }
}

pub(crate) fn host_check(check: &core::HttpCheck) -> host_probe::HttpCheck {
    host_probe::HttpCheck {
        method: match check.method {
            core::HttpMethod::Get => host_probe::HttpMethod::Get,
            core::HttpMethod::Head => host_probe::HttpMethod::Head,
            core::HttpMethod::Post => host_probe::HttpMethod::Post,
        },
        url: check.url.clone(),
        headers: check
            .headers
            .iter()
            .map(|header| host_probe::Header {
                name: header.name.clone(),
                value: header.value.clone(),
            })
            .collect(),
        body: check.body.clone(),
        status: check.status,
        expect: check
            .expect
            .iter()
            .map(|expectation| host_probe::JsonExpectation {
                pointer: expectation.pointer.clone(),
                test: match &expectation.test {
                    core::JsonTest::Exists => host_probe::JsonTest::Exists,
                    core::JsonTest::Equals(text) => host_probe::JsonTest::Equals(text.clone()),
                    core::JsonTest::AtLeast(least) => host_probe::JsonTest::AtLeast(*least),
                    core::JsonTest::AtMost(most) => host_probe::JsonTest::AtMost(*most),
                    core::JsonTest::YoungerThan(age) => {
                        host_probe::JsonTest::YoungerThan(Duration::from_millis(*age))
                    }
                },
            })
            .collect(),
        within: Duration::from_millis(check.within),
        idempotency_key: check.idempotency_key,
    }
}

// Answers of hosts, for the plugin.

impl From<host_process::StatusReport> for wit_process::StatusReport {
    fn from(status: host_process::StatusReport) -> Self {
        Self {
            units: status
                .units
                .into_iter()
                .map(|unit| wit_process::UnitStatus {
                    unit: unit.unit,
                    state: match unit.state {
                        host_process::UnitState::Active => wit_process::UnitState::Active,
                        host_process::UnitState::Activating => wit_process::UnitState::Activating,
                        host_process::UnitState::Deactivating => {
                            wit_process::UnitState::Deactivating
                        }
                        host_process::UnitState::Inactive => wit_process::UnitState::Inactive,
                        host_process::UnitState::Failed => wit_process::UnitState::Failed,
                        host_process::UnitState::NotFound => wit_process::UnitState::NotFound,
                    },
                    sub_state: unit.sub_state,
                    pid: unit.pid,
                })
                .collect(),
            owner: status.owner.map(|owner| wit_process::PortOwner {
                port: owner.port,
                pid: owner.pid,
                name: owner.name,
            }),
            service_manager: status.service_manager,
        }
    }
}

impl From<host_process::ChangeReport> for wit_process::ChangeReport {
    fn from(change: host_process::ChangeReport) -> Self {
        Self {
            status: change.status.into(),
            how: change.how,
            by_hand: false,
        }
    }
}

impl From<host_process::Error> for wit_process::Error {
    fn from(error: host_process::Error) -> Self {
        match error {
            host_process::Error::UnknownUnit(text) => Self::UnknownUnit(text),
            host_process::Error::Failed(text) => Self::Failed(text),
            host_process::Error::TimedOut(text) => Self::TimedOut(text),
        }
    }
}

impl From<host_docker::Container> for wit_docker::Container {
    fn from(container: host_docker::Container) -> Self {
        Self {
            service: container.service,
            name: container.name,
            id: container.id,
            state: container.state,
            health: match container.health {
                host_docker::Health::None => wit_docker::HealthState::None,
                host_docker::Health::Starting => wit_docker::HealthState::Starting,
                host_docker::Health::Healthy => wit_docker::HealthState::Healthy,
                host_docker::Health::Unhealthy => wit_docker::HealthState::Unhealthy,
            },
            exit_code: container.exit_code,
            image_digest: container.image_digest,
            image: container.image,
        }
    }
}

impl From<host_docker::Readiness> for wit_docker::Readiness {
    fn from(readiness: host_docker::Readiness) -> Self {
        Self {
            service: readiness.service,
            ready: readiness.ready,
            container: readiness.container.map(Into::into),
            problems: readiness.problems,
        }
    }
}

impl From<host_docker::LogLine> for wit_docker::LogLine {
    fn from(line: host_docker::LogLine) -> Self {
        Self {
            service: line.service,
            text: line.text,
        }
    }
}

impl From<host_docker::ChangeReport> for wit_docker::ChangeReport {
    fn from(change: host_docker::ChangeReport) -> Self {
        Self {
            containers: change.containers.into_iter().map(Into::into).collect(),
            how: change.how,
            by_hand: false,
        }
    }
}

impl From<host_docker::Error> for wit_docker::Error {
    fn from(error: host_docker::Error) -> Self {
        match error {
            host_docker::Error::Unavailable(text) => Self::Unavailable(text),
            host_docker::Error::NotFound(text) => Self::NotFound(text),
            host_docker::Error::Failed(text) => Self::Failed(text),
            host_docker::Error::TimedOut(text) => Self::TimedOut(text),
        }
    }
}

impl From<host_probe::CheckReport> for types::CheckReport {
    fn from(report: host_probe::CheckReport) -> Self {
        Self {
            passed: report.passed,
            status: report.status,
            took: millis_in(report.took),
            problems: report.problems,
            excerpt: report.excerpt,
        }
    }
}

impl From<host_probe::Error> for wit_probe::Error {
    fn from(error: host_probe::Error) -> Self {
        match error {
            host_probe::Error::Invalid(text) => Self::Invalid(text),
            host_probe::Error::Failed(text) => Self::Failed(text),
        }
    }
}

impl From<host_registry::Entry> for wit_registry::Entry {
    fn from(entry: host_registry::Entry) -> Self {
        Self {
            key: entry.key,
            value: entry.value,
            revision: entry.revision,
        }
    }
}

impl From<host_registry::ChangeReport> for wit_registry::ChangeReport {
    fn from(change: host_registry::ChangeReport) -> Self {
        Self {
            entry: change.entry.into(),
            previous: change.previous,
            by_hand: false,
        }
    }
}

impl From<host_registry::Error> for wit_registry::Error {
    fn from(error: host_registry::Error) -> Self {
        match error {
            host_registry::Error::NotFound(text) => Self::NotFound(text),
            host_registry::Error::Conflict(text) => Self::Conflict(text),
            host_registry::Error::Failed(text) => Self::Failed(text),
        }
    }
}

fn millis_in(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
