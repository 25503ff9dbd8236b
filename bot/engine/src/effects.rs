//! The effects, one type each: how it is performed, how it is told, and how it is observed where a
//! person says that it was done by hand.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollbot_core::plan::{
    ComposeTarget, CreateBackup, Effect, EffectKind, Plan, PointRegistry, SendRequest,
    StartProcesses, StopProcesses,
};

use crate::backups::Making;
use crate::bindings::rollbot::plugin::{backup, docker, probe, process, registry, types};
use crate::convert_hosts::{HostStop, host_check, host_start};
use crate::hosts::{Host, Redactor};
use crate::observe::{self, Judged};
use crate::wire::{CallError as _, EffectError, Record};

/// Where and for what an effect is performed.
pub(crate) struct Site {
    pub host: Host,
    pub effect: Box<Effect>,
    pub plan: Arc<Plan>,
    pub started_at: Timestamp,
    pub making: Making,
    pub redactor: Redactor,
    /// For queries that go with it.
    pub deadline: Duration,
    /// Stays the same however often the effect is performed.
    pub key: String,
}

/// A host function that performs an effect.
#[async_trait]
pub(crate) trait EffectCall: Send + Sync + 'static {
    const FUNCTION: &'static str;
    type Target: Send + Sync;
    type Report: Record;
    type Error: EffectError;

    /// What the plan says, if the effect is of this kind.
    fn target(kind: &EffectKind) -> Option<&Self::Target>;

    async fn perform(site: &Site, target: &Self::Target) -> Result<Self::Report, Self::Error>;

    /// What a person says was done, as the bot sees it; or why it does not see it.
    async fn observe(site: &Site, target: &Self::Target) -> Result<Self::Report, String>;

    /// For people: how it was done.
    fn how(report: &Self::Report) -> String;

    /// Lines that help to understand a failure, beside the error itself.
    async fn evidence(_site: &Site, _target: &Self::Target) -> Vec<String> {
        Vec::new()
    }
}

/// An observation as a report, or what it lacks.
fn held<T>((report, judged): (T, Judged)) -> Result<T, String> {
    if judged.holds {
        Ok(report)
    } else {
        Err(format!("what is seen is: {}", judged.text))
    }
}

const BY_HAND: &str = "by hand";

pub(crate) struct StopNative;

#[async_trait]
impl EffectCall for StopNative {
    const FUNCTION: &'static str = "process.stop";
    type Target = StopProcesses;
    type Report = process::ChangeReport;
    type Error = process::Error;

    fn target(kind: &EffectKind) -> Option<&StopProcesses> {
        match kind {
            EffectKind::StopProcesses(target) => Some(target),
            _ => None,
        }
    }

    async fn perform(site: &Site, target: &StopProcesses) -> Result<Self::Report, Self::Error> {
        let HostStop(request) = target.into();
        Ok(site.host.processes.stop(&request).await?.into())
    }

    async fn observe(site: &Site, target: &StopProcesses) -> Result<Self::Report, String> {
        let status =
            observe::processes(&site.host, &target.units, target.port, site.deadline).await?;
        let judged = observe::native_stopped(&status);
        let status = held((status, judged))?;
        Ok(process::ChangeReport {
            status: status.into(),
            how: BY_HAND.into(),
            by_hand: true,
        })
    }

    fn how(report: &Self::Report) -> String {
        report.how.clone()
    }
}

pub(crate) struct StartNative;

#[async_trait]
impl EffectCall for StartNative {
    const FUNCTION: &'static str = "process.start";
    type Target = StartProcesses;
    type Report = process::ChangeReport;
    type Error = process::Error;

    fn target(kind: &EffectKind) -> Option<&StartProcesses> {
        match kind {
            EffectKind::StartProcesses(target) => Some(target),
            _ => None,
        }
    }

    async fn perform(site: &Site, target: &StartProcesses) -> Result<Self::Report, Self::Error> {
        Ok(site.host.processes.start(&host_start(target)).await?.into())
    }

    async fn observe(site: &Site, target: &StartProcesses) -> Result<Self::Report, String> {
        let status =
            observe::processes(&site.host, &target.units, target.port, site.deadline).await?;
        let judged = observe::native_running(&status, target);
        let status = held((status, judged))?;
        Ok(process::ChangeReport {
            status: status.into(),
            how: BY_HAND.into(),
            by_hand: true,
        })
    }

    fn how(report: &Self::Report) -> String {
        report.how.clone()
    }
}

/// The last lines that a failed container wrote are the best hint there is.
const LOG_LINES: u32 = 20;

async fn last_log_lines(site: &Site, target: &ComposeTarget) -> Vec<String> {
    let logs = site
        .host
        .containers
        .logs(&target.project, &target.services, LOG_LINES);
    match tokio::time::timeout(site.deadline, logs).await {
        Ok(Ok(lines)) => lines
            .into_iter()
            .map(|line| format!("{}: {}", line.service, line.text))
            .collect(),
        // Without logs, the error itself must do.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

pub(crate) struct ComposeUp;

#[async_trait]
impl EffectCall for ComposeUp {
    const FUNCTION: &'static str = "docker.up";
    type Target = ComposeTarget;
    type Report = docker::ChangeReport;
    type Error = docker::Error;

    fn target(kind: &EffectKind) -> Option<&ComposeTarget> {
        match kind {
            EffectKind::ComposeUp(target) => Some(target),
            _ => None,
        }
    }

    async fn perform(site: &Site, target: &ComposeTarget) -> Result<Self::Report, Self::Error> {
        let images = &site.effect.pinned.images;
        let report = site
            .host
            .containers
            .up(&target.project, &target.services, images)
            .await?;
        Ok(report.into())
    }

    async fn observe(site: &Site, target: &ComposeTarget) -> Result<Self::Report, String> {
        let containers = observe::containers(&site.host, target, site.deadline).await?;
        let judged = observe::containers_running(&containers, target, &site.effect.pinned.images);
        let containers = held((containers, judged))?;
        Ok(docker::ChangeReport {
            containers: containers.into_iter().map(Into::into).collect(),
            how: BY_HAND.into(),
            by_hand: true,
        })
    }

    fn how(report: &Self::Report) -> String {
        report.how.clone()
    }

    async fn evidence(site: &Site, target: &ComposeTarget) -> Vec<String> {
        last_log_lines(site, target).await
    }
}

pub(crate) struct ComposeDown;

#[async_trait]
impl EffectCall for ComposeDown {
    const FUNCTION: &'static str = "docker.down";
    type Target = ComposeTarget;
    type Report = docker::ChangeReport;
    type Error = docker::Error;

    fn target(kind: &EffectKind) -> Option<&ComposeTarget> {
        match kind {
            EffectKind::ComposeDown(target) => Some(target),
            _ => None,
        }
    }

    async fn perform(site: &Site, target: &ComposeTarget) -> Result<Self::Report, Self::Error> {
        Ok(site
            .host
            .containers
            .down(&target.project, &target.services)
            .await?
            .into())
    }

    async fn observe(site: &Site, target: &ComposeTarget) -> Result<Self::Report, String> {
        let containers = observe::containers(&site.host, target, site.deadline).await?;
        let judged = observe::containers_stopped(&containers);
        let containers = held((containers, judged))?;
        Ok(docker::ChangeReport {
            containers: containers.into_iter().map(Into::into).collect(),
            how: BY_HAND.into(),
            by_hand: true,
        })
    }

    fn how(report: &Self::Report) -> String {
        report.how.clone()
    }

    async fn evidence(site: &Site, target: &ComposeTarget) -> Vec<String> {
        last_log_lines(site, target).await
    }
}

pub(crate) struct BackUp;

#[async_trait]
impl EffectCall for BackUp {
    const FUNCTION: &'static str = "backup.create";
    type Target = CreateBackup;
    type Report = backup::Archive;
    type Error = backup::Error;

    fn target(kind: &EffectKind) -> Option<&CreateBackup> {
        match kind {
            EffectKind::CreateBackup(target) => Some(target),
            _ => None,
        }
    }

    async fn perform(site: &Site, target: &CreateBackup) -> Result<Self::Report, Self::Error> {
        let archive = site.host.backups.create(target, &site.making).await?;
        // Promise 14 does not rest on an implementation's word alone.
        if !archive.verified {
            return Err(backup::Error::Mismatch(format!(
                "{} was written, but not read back in full",
                archive.name
            )));
        }
        if archive.files == 0 {
            return Err(backup::Error::Empty(format!(
                "{} holds no file: an empty backup is not a backup",
                archive.name
            )));
        }
        Ok(archive)
    }

    /// The newest archive that was made since the operation began, read back now.
    async fn observe(site: &Site, target: &CreateBackup) -> Result<Self::Report, String> {
        let newest = site
            .host
            .backups
            .newest_since(&target.archive_name, site.started_at)
            .await;
        let Some(newest) = newest.map_err(|error| error.text())? else {
            return Err(format!(
                "there is no archive `{}` that was made since the operation began",
                target.archive_name
            ));
        };
        let archive = site.host.backups.verify(&newest.path).await;
        let archive =
            archive.map_err(|error| format!("{} is no good: {}", newest.name, error.text()))?;
        if archive.verified && archive.files > 0 {
            Ok(backup::Archive {
                by_hand: true,
                ..archive
            })
        } else {
            Err(format!("{} does not hold what a backup must", archive.name))
        }
    }

    fn how(archive: &Self::Report) -> String {
        let changed = match archive.changed.len() {
            0 => String::new(),
            1 => "; 1 file changed while it was read".into(),
            many => format!("; {many} files changed while they were read"),
        };
        format!(
            "{}: {} files, {} bytes, read back in full{changed}",
            archive.path, archive.files, archive.bytes
        )
    }
}

pub(crate) struct PointKey;

#[async_trait]
impl EffectCall for PointKey {
    const FUNCTION: &'static str = "registry.point";
    type Target = PointRegistry;
    type Report = registry::ChangeReport;
    type Error = registry::Error;

    fn target(kind: &EffectKind) -> Option<&PointRegistry> {
        match kind {
            EffectKind::PointRegistry(target) => Some(target),
            _ => None,
        }
    }

    /// Changes the key only if it has the value from when the plan was made, or one that this very
    /// plan gives it.
    async fn perform(site: &Site, target: &PointRegistry) -> Result<Self::Report, Self::Error> {
        let registry = &site.host.registry;
        let revision = match registry.get(&target.key).await {
            Ok(entry) => {
                let ours = site.plan.effects().any(|effect| {
                    matches!(&effect.kind, EffectKind::PointRegistry(point)
                        if point.key == target.key && point.value == entry.value)
                });
                // As it was pinned: without secrets.
                let value = site.redactor.redact(&entry.value);
                let before = site.effect.pinned.registry_before.as_deref();
                if !ours && before != Some(value.as_str()) {
                    return Err(registry::Error::Conflict(format!(
                        "{} leads to {value}; when it was planned, it led to {}",
                        target.key,
                        before.unwrap_or("nothing")
                    )));
                }
                entry.revision
            }
            Err(rollbot_host::registry::Error::NotFound(_))
                if site.effect.pinned.registry_before.is_none() =>
            {
                0
            }
            Err(error) => return Err(error.into()),
        };
        Ok(registry
            .point(&target.key, &target.value, Some(revision))
            .await?
            .into())
    }

    async fn observe(site: &Site, target: &PointRegistry) -> Result<Self::Report, String> {
        let entry = observe::registry(&site.host, &target.key, site.deadline).await?;
        let judged = observe::registry_at(&entry, target);
        let entry = held((entry, judged))?;
        Ok(registry::ChangeReport {
            entry: entry.into(),
            previous: None,
            by_hand: true,
        })
    }

    fn how(report: &Self::Report) -> String {
        let entry = &report.entry;
        match &report.previous {
            _ if report.by_hand => BY_HAND.into(),
            Some(previous) if *previous == entry.value => {
                format!("{} led to {} already", entry.key, entry.value)
            }
            Some(previous) => format!(
                "{} leads to {}; before, to {previous}",
                entry.key, entry.value
            ),
            None => format!("{} leads to {}", entry.key, entry.value),
        }
    }
}

fn how_checked(report: &types::CheckReport) -> String {
    match (report.status, report.passed) {
        (Some(status), true) => format!("answered {status} in {} ms, as expected", report.took),
        (None, true) => BY_HAND.into(),
        (_, false) => format!("did not pass: {}", report.problems.join("; ")),
    }
}

/// Nothing can be observed of a request: the person's word stands.
fn on_a_persons_word() -> types::CheckReport {
    types::CheckReport {
        passed: true,
        status: None,
        took: 0,
        problems: Vec::new(),
        excerpt: "A person said that this was done.".into(),
    }
}

pub(crate) struct Transact;

#[async_trait]
impl EffectCall for Transact {
    const FUNCTION: &'static str = "probe.transact";
    type Target = SendRequest;
    type Report = types::CheckReport;
    type Error = probe::Error;

    fn target(kind: &EffectKind) -> Option<&SendRequest> {
        match kind {
            EffectKind::Transact(target) => Some(target),
            _ => None,
        }
    }

    async fn perform(site: &Site, target: &SendRequest) -> Result<Self::Report, Self::Error> {
        let check = host_check(&target.check);
        Ok(site.host.prober.http(&check, Some(&site.key)).await?.into())
    }

    async fn observe(_: &Site, _: &SendRequest) -> Result<Self::Report, String> {
        Ok(on_a_persons_word())
    }

    fn how(report: &Self::Report) -> String {
        how_checked(report)
    }
}

pub(crate) struct Submit;

#[async_trait]
impl EffectCall for Submit {
    const FUNCTION: &'static str = "probe.submit";
    type Target = SendRequest;
    type Report = types::CheckReport;
    type Error = probe::Error;

    fn target(kind: &EffectKind) -> Option<&SendRequest> {
        match kind {
            EffectKind::Submit(target) => Some(target),
            _ => None,
        }
    }

    async fn perform(site: &Site, target: &SendRequest) -> Result<Self::Report, Self::Error> {
        Ok(site
            .host
            .prober
            .http(&host_check(&target.check), None)
            .await?
            .into())
    }

    async fn observe(_: &Site, _: &SendRequest) -> Result<Self::Report, String> {
        Ok(on_a_persons_word())
    }

    fn how(report: &Self::Report) -> String {
        how_checked(report)
    }
}
