//! Looking at the world with the bot's own eyes. Whether an operation reached its targets is never
//! taken from a plugin.

use std::collections::BTreeMap;
use std::time::Duration;

use rollbot_core::operation::Observed;
use rollbot_core::plan::{
    ComposeTarget, EffectKind, Plan, PointRegistry, StartProcesses, Target, WantedState,
};
use rollbot_host::docker::Container;
use rollbot_host::process::{PortOwner, StatusReport, UnitState};
use rollbot_host::registry::Entry;

use crate::hosts::{Host, Hosts};

/// What was seen, and whether it is what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    pub holds: bool,
    pub text: String,
}

fn judged(holds: bool, text: impl Into<String>) -> Judged {
    Judged {
        holds,
        text: text.into(),
    }
}

async fn in_time<T, E: std::fmt::Display>(
    deadline: Duration,
    look: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(deadline, look).await {
        Ok(seen) => seen.map_err(|error| format!("it cannot be seen: {error}")),
        Err(_) => Err(format!(
            "it cannot be seen: no answer within {} s",
            deadline.as_secs()
        )),
    }
}

pub(crate) async fn processes(
    host: &Host,
    units: &[String],
    port: Option<u16>,
    deadline: Duration,
) -> Result<StatusReport, String> {
    in_time(deadline, host.processes.status(units, port)).await
}

pub(crate) async fn containers(
    host: &Host,
    target: &ComposeTarget,
    deadline: Duration,
) -> Result<Vec<Container>, String> {
    in_time(
        deadline,
        host.containers.status(&target.project, &target.services),
    )
    .await
}

pub(crate) async fn registry(host: &Host, key: &str, deadline: Duration) -> Result<Entry, String> {
    in_time(deadline, host.registry.get(key)).await
}

/// The owner of the port, unless it is a container's.
fn native_owner(status: &StatusReport) -> Option<&PortOwner> {
    status.owner.as_ref().filter(|owner| !owner.is_container())
}

/// None of the units is active and nothing but a container owns the port.
pub(crate) fn native_stopped(status: &StatusReport) -> Judged {
    let alive: Vec<_> = status
        .units
        .iter()
        .filter(|unit| {
            matches!(
                unit.state,
                UnitState::Active | UnitState::Activating | UnitState::Deactivating
            )
        })
        .map(|unit| format!("{} is {}", unit.unit, unit.sub_state))
        .collect();
    if !alive.is_empty() {
        return judged(false, alive.join(", "));
    }
    match native_owner(status) {
        None => judged(true, "stopped"),
        // Another user's process, such as a container engine's: nothing says that it is native, and
        // the service manager, if there is one, says that it is not one of the units.
        Some(owner) if owner.pid == 0 && status.service_manager && !status.units.is_empty() => {
            judged(
                true,
                format!(
                    "stopped; port {} is held by another user's process",
                    owner.port
                ),
            )
        }
        Some(owner) if owner.pid == 0 => judged(
            false,
            format!(
                "port {} is held by a process that this user may not see",
                owner.port
            ),
        ),
        Some(owner) => judged(
            false,
            format!(
                "port {} is held by {} ({})",
                owner.port, owner.pid, owner.name
            ),
        ),
    }
}

/// Every unit is active, or, where there is no service manager, the port has a native owner.
pub(crate) fn native_running(status: &StatusReport, wanted: &StartProcesses) -> Judged {
    if status.service_manager && !wanted.units.is_empty() {
        let idle: Vec<_> = wanted
            .units
            .iter()
            .filter_map(|wanted| {
                let unit = status.units.iter().find(|unit| unit.unit == *wanted);
                match unit {
                    Some(unit) if unit.state == UnitState::Active => None,
                    Some(unit) => Some(format!("{wanted} is {}", unit.sub_state)),
                    None => Some(format!("{wanted} is not known")),
                }
            })
            .collect();
        if !idle.is_empty() {
            return judged(false, idle.join(", "));
        }
    }
    match (wanted.port, native_owner(status)) {
        (None, _) if status.service_manager && !wanted.units.is_empty() => judged(true, "running"),
        (None, _) => judged(
            false,
            "nothing tells whether it runs: no service manager, no port",
        ),
        (Some(_), Some(_)) => judged(true, "running"),
        (Some(port), None) if status.owner.is_some() => {
            judged(false, format!("port {port} is held by a container"))
        }
        (Some(port), None) => judged(false, format!("nothing listens on port {port}")),
    }
}

/// Every service has a container, and each runs, from the planned image, and is healthy where it
/// says how.
pub(crate) fn containers_running(
    containers: &[Container],
    wanted: &ComposeTarget,
    images: &BTreeMap<String, String>,
) -> Judged {
    let mut wrong = Vec::new();
    for service in &wanted.services {
        let mut of_service = containers
            .iter()
            .filter(|c| c.service == *service)
            .peekable();
        if of_service.peek().is_none() {
            wrong.push(format!("{service} has no container"));
        }
        for container in of_service {
            let name = &container.name;
            if container.state != "running" {
                wrong.push(format!("{name} is {}", container.state));
            } else if !container.is_well() {
                wrong.push(format!("{name} is not healthy"));
            } else if let Some(planned) = images.get(service)
                && *planned != container.image_digest
            {
                wrong.push(format!(
                    "{name} runs {}, not the planned image",
                    container.image
                ));
            }
        }
    }
    if wrong.is_empty() {
        judged(
            !wanted.services.is_empty(),
            "running, from the planned image",
        )
    } else {
        judged(false, wrong.join(", "))
    }
}

pub(crate) fn containers_stopped(containers: &[Container]) -> Judged {
    let alive: Vec<_> = containers
        .iter()
        .filter(|c| matches!(c.state.as_str(), "running" | "restarting" | "paused"))
        .map(|c| format!("{} is {}", c.name, c.state))
        .collect();
    if alive.is_empty() {
        judged(true, "stopped")
    } else {
        judged(false, alive.join(", "))
    }
}

pub(crate) fn registry_at(entry: &Entry, wanted: &PointRegistry) -> Judged {
    judged(entry.value == wanted.value, entry.value.clone())
}

/// Images that the plan pins for this target.
fn planned_images(plan: &Plan, target: &ComposeTarget) -> BTreeMap<String, String> {
    let mut images = BTreeMap::new();
    for effect in plan.effects() {
        if let EffectKind::ComposeUp(up) = &effect.kind
            && up.host == target.host
            && up.project == target.project
        {
            images.extend(effect.pinned.images.clone());
        }
    }
    images
}

async fn look(
    hosts: &Hosts,
    wanted: &WantedState,
    plan: &Plan,
    deadline: Duration,
) -> Result<Judged, String> {
    let name = match wanted {
        WantedState::NativeStopped(native) | WantedState::NativeRunning(native) => &native.host,
        WantedState::ContainersRunning(target) | WantedState::ContainersStopped(target) => {
            &target.host
        }
        WantedState::RegistryAt(_) => &plan.service.host,
    };
    let host = hosts
        .get(name)
        .ok_or_else(|| format!("host `{name}` is not configured"))?;
    Ok(match wanted {
        WantedState::NativeStopped(native) => {
            native_stopped(&processes(host, &native.units, native.port, deadline).await?)
        }
        WantedState::NativeRunning(native) => native_running(
            &processes(host, &native.units, native.port, deadline).await?,
            native,
        ),
        WantedState::ContainersRunning(target) => {
            let seen = containers(host, target, deadline).await?;
            containers_running(&seen, target, &planned_images(plan, target))
        }
        WantedState::ContainersStopped(target) => {
            containers_stopped(&containers(host, target, deadline).await?)
        }
        WantedState::RegistryAt(point) => {
            registry_at(&registry(host, &point.key, deadline).await?, point)
        }
    })
}

/// Looks at every target, one after the other. What cannot be seen does not hold.
pub(crate) async fn all(
    hosts: &Hosts,
    targets: &[Target],
    plan: &Plan,
    deadline: Duration,
) -> Vec<Observed> {
    let mut observed = Vec::with_capacity(targets.len());
    for target in targets {
        let seen = look(hosts, &target.wanted, plan, deadline).await;
        let seen = seen.unwrap_or_else(|why| judged(false, why));
        observed.push(Observed {
            name: target.name.clone(),
            wanted: target.wanted.in_words(),
            observed: hosts.redactor().redact(&seen.text),
            holds: seen.holds,
        });
    }
    observed
}
