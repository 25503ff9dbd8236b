//! Making a container: the image's settings under its own, and what of them has an effect here.

use jiff::Timestamp;
use rand::RngCore;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::error::ApiError;
use crate::images::set_env;
use crate::model::{
    Config, Container, Host, Mount, Published, RestartPolicy, Run, null_is_default,
};

const CONTAINERS: usize = 200;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct CreateBody {
    #[serde(flatten)]
    config: Config,
    #[serde(rename = "HostConfig", deserialize_with = "null_is_default")]
    host_config: Value,
}

/// `POST /containers/create`
pub fn create(engine: &Engine, name: Option<&str>, body: CreateBody) -> Result<Value, ApiError> {
    let mut random = [0u8; 32];
    rand::rng().fill_bytes(&mut random);
    let id = hex::encode(random);
    let name = match name.map(|name| name.trim_start_matches('/')) {
        None => format!("stand-in-{}", &id[..8]),
        Some(name) => {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if name.len() < 2 || name.len() > 128 || !name.bytes().all(fine) {
                return Err(ApiError::bad_request(format!(
                    "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
                )));
            }
            name.to_owned()
        }
    };
    let image = engine.image(&body.config.image)?;
    let mut config = body.config;
    merge(&mut config, &image.config);
    if config.hostname.is_empty() {
        config.hostname = id[..12].to_owned();
    }
    let host_config = if body.host_config.is_object() {
        body.host_config
    } else {
        json!({})
    };
    let (host, warnings) = host(engine, &host_config, &config)?;
    if config.entrypoint.is_none() && config.cmd.is_none() {
        return Err(ApiError::bad_request("No command specified"));
    }
    let container = Container {
        id: id.clone(),
        name: name.clone(),
        created: Timestamp::now(),
        image_id: image.id,
        config,
        host,
        host_config,
        run: Run::default(),
    };
    engine.write(|state| {
        if state.containers.len() >= CONTAINERS {
            return Err(ApiError::internal(format!(
                "there are {CONTAINERS} containers already; remove some"
            )));
        }
        if let Some(other) = state.containers.values().find(|other| other.name == name) {
            return Err(ApiError::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
                other.id
            )));
        }
        state.containers.insert(id.clone(), container.clone());
        Ok(())
    })??;
    engine.events.container(&container, "create", &[]);
    Ok(json!({ "Id": id, "Warnings": warnings }))
}

/// The container's settings win; variables and labels are joined.
fn merge(config: &mut Config, image: &Config) {
    let mut env = image.env.clone();
    for entry in &config.env {
        set_env(&mut env, entry);
    }
    config.env = env;
    for (name, value) in &image.labels {
        config
            .labels
            .entry(name.clone())
            .or_insert_with(|| value.clone());
    }
    for (port, value) in &image.exposed_ports {
        config.exposed_ports.insert(port.clone(), value.clone());
    }
    // An entry point of its own drops the image's command: it was meant for another program.
    if config.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        config.entrypoint.clone_from(&image.entrypoint);
        if config.cmd.as_ref().is_none_or(Vec::is_empty) {
            config.cmd.clone_from(&image.cmd);
        }
    }
    if config.working_dir.is_empty() {
        config.working_dir.clone_from(&image.working_dir);
    }
    if config.user.is_empty() {
        config.user.clone_from(&image.user);
    }
    if config.stop_signal.is_none() {
        config.stop_signal.clone_from(&image.stop_signal);
    }
    match (&mut config.healthcheck, &image.healthcheck) {
        (Some(own), Some(base)) => {
            if own.test.is_empty() {
                own.test.clone_from(&base.test);
            }
            let or = |own: &mut i64, base: i64| {
                if *own == 0 {
                    *own = base;
                }
            };
            or(&mut own.interval, base.interval);
            or(&mut own.timeout, base.timeout);
            or(&mut own.start_period, base.start_period);
            or(&mut own.retries, base.retries);
        }
        (own @ None, base) => own.clone_from(base),
        (Some(_), None) => {}
    }
}

fn host(engine: &Engine, raw: &Value, config: &Config) -> Result<(Host, Vec<String>), ApiError> {
    let mut host = Host::default();
    let bad = ApiError::bad_request;
    if let Some(bindings) = raw["PortBindings"].as_object() {
        for (port, targets) in bindings {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            let container_port = number
                .parse()
                .map_err(|_| bad(format!("invalid port specification: {port:?}")))?;
            if protocol != "tcp" {
                return Err(bad(format!(
                    "{port}: the stand-in publishes TCP ports only"
                )));
            }
            for target in targets.as_array().into_iter().flatten() {
                let text = target["HostPort"].as_str().unwrap_or_default();
                host.ports.push(Published {
                    container_port,
                    host_ip: target["HostIp"].as_str().unwrap_or_default().to_owned(),
                    host_port: if text.is_empty() {
                        0
                    } else {
                        text.parse()
                            .map_err(|_| bad(format!("invalid port specification: {text:?}")))?
                    },
                });
            }
        }
    }
    let mut mount = |source: &str, target: &str, read_only: bool| -> Result<(), ApiError> {
        if !target.starts_with('/') {
            return Err(bad(format!(
                "invalid mount target, must be an absolute path: {target}"
            )));
        }
        let volume = (!source.starts_with('/')).then(|| source.to_owned());
        if let Some(name) = &volume
            && (name.is_empty() || name.starts_with('.') || name.contains('/'))
        {
            return Err(bad(format!("{name:?} is not the name of a volume")));
        }
        host.mounts.push(Mount {
            source: match &volume {
                Some(name) => engine.store.volume(name),
                None => source.into(),
            },
            target: target.to_owned(),
            volume,
            read_only,
        });
        Ok(())
    };
    for bind in raw["Binds"].as_array().into_iter().flatten() {
        let text = bind.as_str().unwrap_or_default();
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [source, target] => mount(source, target, false)?,
            [source, target, options] => {
                mount(
                    source,
                    target,
                    options.split(',').any(|option| option == "ro"),
                )?;
            }
            _ => return Err(bad(format!("invalid volume specification: '{text}'"))),
        }
    }
    for entry in raw["Mounts"].as_array().into_iter().flatten() {
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        if !matches!(text("Type"), "bind" | "volume") {
            return Err(bad(format!(
                "mounts of type {:?} are not done",
                text("Type")
            )));
        }
        mount(
            text("Source"),
            text("Target"),
            entry["ReadOnly"].as_bool().unwrap_or(false),
        )?;
    }
    let policy = &raw["RestartPolicy"];
    host.restart = match policy["Name"].as_str().unwrap_or_default() {
        "" | "no" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => RestartPolicy::OnFailure(policy["MaximumRetryCount"].as_i64().unwrap_or(0)),
        other => return Err(bad(format!("invalid restart policy '{other}'"))),
    };
    let mut warnings = vec![
        "stand-in engine: this is no container but a plain process, without any isolation"
            .to_owned(),
    ];
    let limited = [
        "Memory",
        "NanoCpus",
        "CpuShares",
        "CpuQuota",
        "PidsLimit",
        "Ulimits",
        "CapDrop",
        "CapAdd",
        "ReadonlyRootfs",
        "SecurityOpt",
        "Privileged",
        "Devices",
        "Tmpfs",
        "ExtraHosts",
        "Dns",
    ];
    for name in limited {
        let empty = match &raw[name] {
            Value::Null | Value::Bool(false) => true,
            Value::Number(number) => number.as_i64() == Some(0),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Bool(true) => false,
        };
        if !empty {
            warnings.push(format!("stand-in engine: {name} has no effect"));
        }
    }
    if !config.user.is_empty() {
        warnings.push(format!(
            "stand-in engine: runs as the user of the stand-in, not as {:?}",
            config.user
        ));
    }
    if config.tty {
        warnings.push("stand-in engine: there is no terminal".to_owned());
    }
    if host.mounts.iter().any(|mount| mount.read_only) {
        warnings.push("stand-in engine: mounts can be written to".to_owned());
    }
    Ok((host, warnings))
}
