//! Between the plugin API's records and the domain's. Field by field: each side can change without
//! the other noticing anything but an error here.

use jiff::Timestamp;
use rollbot_core::plan as core;

use crate::bindings::rollbot::plugin::{planning as wit, types};

/// Milliseconds since 1970, as the plugin API has them. A time before 1970 becomes 0.
pub(crate) fn millis_of(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

/// `None` for a time that no calendar has.
pub(crate) fn time_of(millis: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()
}

// The domain's records, for the plugin.

impl From<core::ArchiveFormat> for types::ArchiveFormat {
    fn from(format: core::ArchiveFormat) -> Self {
        match format {
            core::ArchiveFormat::TarZst => Self::TarZst,
            core::ArchiveFormat::TarGz => Self::TarGz,
            core::ArchiveFormat::Zip => Self::Zip,
        }
    }
}

impl From<&core::HttpCheck> for types::HttpCheck {
    fn from(check: &core::HttpCheck) -> Self {
        Self {
            method: match check.method {
                core::HttpMethod::Get => types::HttpMethod::Get,
                core::HttpMethod::Head => types::HttpMethod::Head,
                core::HttpMethod::Post => types::HttpMethod::Post,
            },
            url: check.url.clone(),
            headers: check
                .headers
                .iter()
                .map(|header| types::Header {
                    name: header.name.clone(),
                    value: header.value.clone(),
                })
                .collect(),
            body: check.body.clone(),
            status: check.status,
            expect: check
                .expect
                .iter()
                .map(|expectation| types::JsonExpectation {
                    pointer: expectation.pointer.clone(),
                    test: match &expectation.test {
                        core::JsonTest::Exists => types::JsonTest::Exists,
                        core::JsonTest::Equals(text) => types::JsonTest::Equals(text.clone()),
                        core::JsonTest::AtLeast(least) => types::JsonTest::AtLeast(*least),
                        core::JsonTest::AtMost(most) => types::JsonTest::AtMost(*most),
                        core::JsonTest::YoungerThan(age) => types::JsonTest::YoungerThan(*age),
                    },
                })
                .collect(),
            within: check.within,
            idempotency_key: check.idempotency_key,
        }
    }
}

impl From<&core::Service> for types::Service {
    fn from(service: &core::Service) -> Self {
        Self {
            name: service.name.clone(),
            host: service.host.clone(),
            units: service.units.clone(),
            port: service.port,
            compose_project: service.compose_project.clone(),
            compose_services: service.compose_services.clone(),
            data_directory: service.data_directory.clone(),
            archive_name: service.archive_name.clone(),
            archive_format: service.archive_format.into(),
            registry_key: service.registry_key.clone(),
            registry_native: service.registry_native.clone(),
            registry_docker: service.registry_docker.clone(),
            cutover: service.cutover.map(millis_of),
            checks: service
                .checks
                .iter()
                .map(|named| types::NamedCheck {
                    name: named.name.clone(),
                    check: (&named.check).into(),
                })
                .collect(),
            settings: service
                .settings
                .iter()
                .map(|setting| types::Setting {
                    name: setting.name.clone(),
                    value: setting.value.clone(),
                })
                .collect(),
        }
    }
}

// The plugin's plan, for the domain.

impl From<types::ArchiveFormat> for core::ArchiveFormat {
    fn from(format: types::ArchiveFormat) -> Self {
        match format {
            types::ArchiveFormat::TarZst => Self::TarZst,
            types::ArchiveFormat::TarGz => Self::TarGz,
            types::ArchiveFormat::Zip => Self::Zip,
        }
    }
}

impl From<types::HttpCheck> for core::HttpCheck {
    fn from(check: types::HttpCheck) -> Self {
        Self {
            method: match check.method {
                types::HttpMethod::Get => core::HttpMethod::Get,
                types::HttpMethod::Head => core::HttpMethod::Head,
                types::HttpMethod::Post => core::HttpMethod::Post,
            },
            url: check.url,
            headers: check
                .headers
                .into_iter()
                .map(|header| core::Header {
                    name: header.name,
                    value: header.value,
                })
                .collect(),
            body: check.body,
            status: check.status,
            expect: check
                .expect
                .into_iter()
                .map(|expectation| core::JsonExpectation {
                    pointer: expectation.pointer,
                    test: match expectation.test {
                        types::JsonTest::Exists => core::JsonTest::Exists,
                        types::JsonTest::Equals(text) => core::JsonTest::Equals(text),
                        types::JsonTest::AtLeast(least) => core::JsonTest::AtLeast(least),
                        types::JsonTest::AtMost(most) => core::JsonTest::AtMost(most),
                        types::JsonTest::YoungerThan(age) => core::JsonTest::YoungerThan(age),
                    },
                })
                .collect(),
            within: check.within,
            idempotency_key: check.idempotency_key,
        }
    }
}

impl From<wit::StartProcesses> for core::StartProcesses {
    fn from(start: wit::StartProcesses) -> Self {
        Self {
            host: start.host,
            units: start.units,
            port: start.port,
        }
    }
}

impl From<wit::ComposeTarget> for core::ComposeTarget {
    fn from(target: wit::ComposeTarget) -> Self {
        Self {
            host: target.host,
            project: target.project,
            services: target.services,
        }
    }
}

impl From<wit::PointRegistry> for core::PointRegistry {
    fn from(point: wit::PointRegistry) -> Self {
        Self {
            key: point.key,
            value: point.value,
        }
    }
}

impl From<wit::SendRequest> for core::SendRequest {
    fn from(send: wit::SendRequest) -> Self {
        Self {
            host: send.host,
            check: send.check.into(),
        }
    }
}

impl From<wit::EffectKind> for core::EffectKind {
    fn from(kind: wit::EffectKind) -> Self {
        match kind {
            wit::EffectKind::StopProcesses(stop) => Self::StopProcesses(core::StopProcesses {
                host: stop.host,
                method: match stop.method {
                    wit::StopMethod::ServiceManager => core::StopMethod::ServiceManager,
                    wit::StopMethod::PortOwner => core::StopMethod::PortOwner,
                },
                units: stop.units,
                port: stop.port,
                grace: stop.grace,
            }),
            wit::EffectKind::StartProcesses(start) => Self::StartProcesses(start.into()),
            wit::EffectKind::ComposeUp(target) => Self::ComposeUp(target.into()),
            wit::EffectKind::ComposeDown(target) => Self::ComposeDown(target.into()),
            wit::EffectKind::CreateBackup(backup) => Self::CreateBackup(core::CreateBackup {
                host: backup.host,
                directory: backup.directory,
                archive_name: backup.archive_name,
                format: backup.format.into(),
            }),
            wit::EffectKind::PointRegistry(point) => Self::PointRegistry(point.into()),
            wit::EffectKind::Transact(send) => Self::Transact(send.into()),
            wit::EffectKind::Submit(send) => Self::Submit(send.into()),
        }
    }
}

impl From<wit::Effect> for core::Effect {
    fn from(effect: wit::Effect) -> Self {
        Self {
            name: effect.name,
            title: effect.title,
            kind: effect.kind.into(),
            pinned: core::Pinned::default(),
        }
    }
}

impl From<wit::Step> for core::Step {
    fn from(step: wit::Step) -> Self {
        Self {
            name: step.name,
            title: step.title,
            checks: step.checks,
            effects: step.effects.into_iter().map(Into::into).collect(),
            contingencies: step
                .contingencies
                .into_iter()
                .map(|contingency| core::Contingency {
                    effect: contingency.effect.into(),
                    when: contingency.when,
                    after: contingency.after,
                    undo: contingency.undo,
                })
                .collect(),
        }
    }
}

impl From<wit::Target> for core::Target {
    fn from(target: wit::Target) -> Self {
        Self {
            name: target.name,
            wanted: match target.wanted {
                wit::WantedState::NativeStopped(native) => {
                    core::WantedState::NativeStopped(native.into())
                }
                wit::WantedState::NativeRunning(native) => {
                    core::WantedState::NativeRunning(native.into())
                }
                wit::WantedState::ContainersRunning(target) => {
                    core::WantedState::ContainersRunning(target.into())
                }
                wit::WantedState::ContainersStopped(target) => {
                    core::WantedState::ContainersStopped(target.into())
                }
                wit::WantedState::RegistryAt(point) => core::WantedState::RegistryAt(point.into()),
            },
        }
    }
}

/// A time that no calendar has makes the loss unknown, never none.
impl From<wit::DataLoss> for core::DataLoss {
    fn from(loss: wit::DataLoss) -> Self {
        let nonsense = || Self::Unknown {
            why: "the plugin gave a time that does not exist".into(),
        };
        match loss {
            wit::DataLoss::NoneSince(since) => {
                time_of(since).map_or_else(nonsense, |since| Self::NoneSince { since })
            }
            wit::DataLoss::Window(window) => {
                match (time_of(window.since), time_of(window.last_write)) {
                    (Some(since), Some(last_write)) => Self::Window {
                        since,
                        last_write,
                        files: window.files,
                        bytes: window.bytes,
                    },
                    _ => nonsense(),
                }
            }
            wit::DataLoss::Unknown(why) => Self::Unknown { why },
        }
    }
}
