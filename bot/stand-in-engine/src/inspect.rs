//! How containers look to clients.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::engine::Engine;
use crate::error::ApiError;
use crate::filters::{self, Filters};
use crate::model::{Container, Image, Published, RestartPolicy, Run, Status};
use crate::query::Query;
use crate::{API_VERSION, MIN_API_VERSION, commands};

/// What the engine says where nothing has happened yet.
const NEVER: &str = "0001-01-01T00:00:00Z";
pub const WHAT: &str = "rollbot stand-in engine (no containers, plain processes)";

/// The engine's name of this machine's architecture.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn time(time: Option<Timestamp>) -> Value {
    time.map_or_else(|| json!(NEVER), |time| json!(time.to_string()))
}

/// `GET /containers/ID/json`
pub fn container(engine: &Engine, container: &Container) -> Value {
    let (config, run) = (&container.config, &container.run);
    let words = commands::words(container);
    let mut state = json!({
        "Status": run.status.name(),
        "Running": matches!(run.status, Status::Running | Status::Restarting),
        "Paused": false,
        "Restarting": run.status == Status::Restarting,
        "OOMKilled": false,
        "Dead": false,
        "Pid": run.process.as_ref().map_or(0, |process| process.pid),
        "ExitCode": run.exit_code,
        "Error": run.error,
        "StartedAt": time(run.started_at),
        "FinishedAt": time(run.finished_at),
    });
    if let Some(health) = &run.health {
        state["Health"] = json!(health);
    }
    let mut host_config = container.host_config.clone();
    host_config["RestartPolicy"] = policy(&container.host.restart);
    if host_config["NetworkMode"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
    {
        host_config["NetworkMode"] = json!("host");
    }
    let dir = engine.store.container(&container.id);
    json!({
        "Id": container.id,
        "Created": container.created.to_string(),
        "Path": words.first(),
        "Args": words.get(1..).unwrap_or_default(),
        "State": state,
        "Image": container.image_id,
        "Name": format!("/{}", container.name),
        "RestartCount": run.restarts,
        "Driver": "none",
        "Platform": std::env::consts::OS,
        "LogPath": dir.join(crate::logs::STDOUT).display().to_string(),
        "HostConfig": host_config,
        "Mounts": mounts(container),
        "Config": config,
        "NetworkSettings": { "Ports": port_map(&run.ports), "Networks": {} },
    })
}

fn policy(policy: &RestartPolicy) -> Value {
    let (name, most) = match policy {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
        RestartPolicy::OnFailure(most) => ("on-failure", *most),
    };
    json!({ "Name": name, "MaximumRetryCount": most })
}

fn mounts(container: &Container) -> Value {
    container
        .host
        .mounts
        .iter()
        .map(|mount| {
            let mut value = json!({
                "Type": if mount.volume.is_some() { "volume" } else { "bind" },
                "Source": mount.source.display().to_string(),
                "Destination": mount.target,
                "Mode": "",
                "RW": true,
                "Propagation": "",
            });
            if let Some(name) = &mount.volume {
                value["Name"] = json!(name);
                value["Driver"] = json!("local");
            }
            value
        })
        .collect()
}

fn port_map(ports: &[Published]) -> Value {
    let mut map = Map::new();
    for port in ports {
        let entry = map
            .entry(format!("{}/tcp", port.container_port))
            .or_insert_with(|| json!([]));
        if let Some(list) = entry.as_array_mut() {
            list.push(json!({
                "HostIp": host_ip(port),
                "HostPort": port.host_port.to_string(),
            }));
        }
    }
    Value::Object(map)
}

fn host_ip(port: &Published) -> &str {
    if port.host_ip.is_empty() {
        "0.0.0.0"
    } else {
        &port.host_ip
    }
}

/// `GET /containers/json`, newest first.
pub fn list(engine: &Engine, query: &Query) -> Result<Value, ApiError> {
    let filters = Filters::read(query, &filters::CONTAINERS)?;
    // As in the engine, asking for a state means all containers in it.
    let all = query.flag("all") || filters.has("status") || filters.has("exited");
    let limit = query
        .get("limit")
        .and_then(|limit| limit.parse::<usize>().ok())
        .filter(|limit| *limit > 0)
        .unwrap_or(usize::MAX);
    Ok(engine.read(|state| {
        let mut containers: Vec<&Container> = state
            .containers
            .values()
            .filter(|container| {
                all || matches!(container.run.status, Status::Running | Status::Restarting)
            })
            .filter(|container| {
                filters::container(&filters, container, state.images.get(&container.image_id))
            })
            .collect();
        containers.sort_by_key(|container| std::cmp::Reverse(container.created));
        containers
            .into_iter()
            .take(limit)
            .map(|container| row(container, state.images.get(&container.image_id)))
            .collect()
    }))
}

fn row(container: &Container, image: Option<&Image>) -> Value {
    // The name, unless it now belongs to another image.
    let named = image.is_some_and(|image| crate::images::is_named(image, &container.config.image));
    json!({
        "Id": container.id,
        "Names": [format!("/{}", container.name)],
        "Image": if named { &container.config.image } else { &container.image_id },
        "ImageID": container.image_id,
        "Command": commands::words(container).join(" "),
        "Created": container.created.as_second(),
        "Ports": container.run.ports.iter().map(|port| json!({
            "IP": host_ip(port),
            "PrivatePort": port.container_port,
            "PublicPort": port.host_port,
            "Type": "tcp",
        })).collect::<Vec<_>>(),
        "Labels": container.config.labels,
        "State": container.run.status.name(),
        "Status": status(&container.run, Timestamp::now()),
        "HostConfig": { "NetworkMode": "host" },
        "NetworkSettings": { "Networks": {} },
        "Mounts": mounts(container),
    })
}

/// `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`, `Created`.
fn status(run: &Run, now: Timestamp) -> String {
    let since =
        |time: Option<Timestamp>| human(time.map_or(0, |time| now.duration_since(time).as_secs()));
    match run.status {
        Status::Created => "Created".to_owned(),
        Status::Restarting => {
            format!(
                "Restarting ({}) {} ago",
                run.exit_code,
                since(run.finished_at)
            )
        }
        Status::Exited => format!("Exited ({}) {} ago", run.exit_code, since(run.finished_at)),
        Status::Running => {
            let up = format!("Up {}", since(run.started_at));
            match run.health.as_ref().map(|health| health.status.as_str()) {
                None => up,
                Some("starting") => format!("{up} (health: starting)"),
                Some(health) => format!("{up} ({health})"),
            }
        }
    }
}

fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        3600..5400 => "About an hour".to_owned(),
        5400..172_800 => format!("{hours} hours"),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `GET /version`
pub fn version() -> Value {
    json!({
        "Platform": { "Name": WHAT },
        "Components": [{
            "Name": "Engine",
            "Version": "stand-in",
            "Details": {
                "ApiVersion": API_VERSION,
                "MinAPIVersion": MIN_API_VERSION,
                "Os": std::env::consts::OS,
                "Arch": architecture(),
                "StandIn": "true",
            },
        }],
        "Version": "stand-in",
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "Os": std::env::consts::OS,
        "Arch": architecture(),
        "KernelVersion": kernel(),
        "GitCommit": "",
        "GoVersion": "none: rollbot",
        "BuildTime": "",
    })
}

fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// `GET /info`
pub fn info(engine: &Engine) -> Value {
    let dir: &Path = engine.store.dir();
    engine.read(|state| {
        let running = state
            .containers
            .values()
            .filter(|container| container.run.status == Status::Running)
            .count();
        json!({
            "ID": "rollbot-stand-in",
            "Name": std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim(),
            "Containers": state.containers.len(),
            "ContainersRunning": running,
            "ContainersPaused": 0,
            "ContainersStopped": state.containers.len() - running,
            "Images": state.images.len(),
            "Driver": "none",
            "LoggingDriver": "json-file",
            "CgroupDriver": "none",
            "KernelVersion": kernel(),
            "OperatingSystem": WHAT,
            "OSType": std::env::consts::OS,
            "Architecture": std::env::consts::ARCH,
            "NCPU": std::thread::available_parallelism().map_or(1, usize::from),
            "DockerRootDir": dir.display().to_string(),
            "ServerVersion": "stand-in",
            "SystemTime": Timestamp::now().to_string(),
            "SecurityOptions": [],
            "Labels": ["org.rollbot.stand-in=true"],
            "Warnings": [
                "WARNING: this is rollbot's stand-in engine: its containers are plain processes without isolation",
            ],
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_the_engine_writes_them() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (600, "10 minutes"),
            (4_000, "About an hour"),
            (7_200, "2 hours"),
            (200_000, "2 days"),
        ] {
            assert_eq!(human(seconds), text);
        }
    }
}
