//! What `rollbot.toml` says of the machine: Docker, processes, backups, the registry, hosts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rollbot_core::plan::ArchiveFormat;

use super::reader::{Alphabet, Reader, Within, items, rows};
use super::secrets::{Resolved, Secrets};
use crate::config;
use crate::secret::Secret;
use crate::written::{self, Given, Manager, RegistryKind};

/// What compose accepts as the name of a project or service.
pub(crate) const COMPOSE: Alphabet = Alphabet {
    also: "-_.",
    upper_case: true,
    longest: 63,
    in_words: "letters, digits, `-`, `_` and `.`, a letter or digit first",
};

/// What systemd accepts as the name of a unit.
pub(crate) const UNIT: Alphabet = Alphabet {
    also: "-_.@:",
    upper_case: true,
    longest: 200,
    in_words: "letters, digits, `-`, `_`, `.`, `@` and `:`",
};

const HOST: Alphabet = Alphabet {
    also: "-",
    upper_case: false,
    longest: 63,
    in_words: "lower case letters, digits and hyphens",
};

const VARIABLE: Alphabet = Alphabet {
    also: "_",
    upper_case: true,
    longest: 100,
    in_words: "letters, digits and `_`",
};

/// The machine the bot itself runs on.
pub(crate) const LOCAL: &str = "local";

pub(crate) fn docker(reader: &Reader, given: &Given<written::Docker>) -> Option<config::Docker> {
    let (_, docker) = reader.section("docker", given)?;
    let socket = reader.path_or(&docker.socket, Some(PathBuf::from("/var/run/docker.sock")));
    let mut projects = BTreeMap::new();
    let mut good = true;
    for (name, project) in rows(&docker.project) {
        let known = reader.name(name, "a compose project", COMPOSE);
        let within = Within::new(format!("[docker.project.{}]", name.get_ref()), project);
        let made = project
            .get()
            .and_then(|project| compose_project(reader, &within, project));
        match (known, made) {
            (Some(name), Some(project)) => _ = projects.insert(name, project),
            _ => good = false,
        }
    }
    let min_free = docker.min_free.get().map_or(256 << 20, |size| size.0);
    let socket = socket?;
    good.then_some(config::Docker {
        socket,
        min_free,
        projects,
    })
}

fn compose_project(
    reader: &Reader,
    within: &Within,
    project: &written::ComposeProject,
) -> Option<config::ComposeProject> {
    let what = "where its compose files are";
    let directory = reader
        .need(within, "directory", what, &project.directory)
        .and_then(|path| reader.path(path));
    let files = match project.files.spanned() {
        Some(list) if list.get_ref().is_empty() => {
            reader.problem(
                list.span(),
                "this list is empty: leave it out for docker-compose.yml",
            );
            None
        }
        Some(_) => {
            let all: Vec<_> = items(&project.files)
                .map(|file| reader.steady(file))
                .collect();
            all.into_iter().collect()
        }
        None => Some(vec![PathBuf::from("docker-compose.yml")]),
    };
    let env_file = match project.env_file.spanned() {
        Some(path) => Some(reader.path(path)?),
        None => None,
    };
    Some(config::ComposeProject {
        directory: directory?,
        files: files?,
        env_file,
    })
}

pub(crate) fn backup(reader: &Reader, given: &Given<written::Backup>) -> Option<config::Backup> {
    let (within, backup) = reader.section("backup", given)?;
    let directory = reader
        .need(
            &within,
            "directory",
            "where archives are kept",
            &backup.directory,
        )
        .and_then(|path| reader.path(path));
    Some(config::Backup {
        directory: directory?,
        format: backup
            .format
            .get()
            .copied()
            .unwrap_or(ArchiveFormat::TarZst),
        reserve: backup.reserve.get().map_or(1 << 30, |size| size.0),
    })
}

pub(crate) fn registry(
    reader: &Reader,
    given: &Given<written::Registry>,
) -> Option<config::Registry> {
    let (within, registry) = reader.section("registry", given)?;
    match registry
        .kind
        .get()
        .copied()
        .unwrap_or(RegistryKind::JsonFile)
    {
        RegistryKind::JsonFile => {
            let path = reader
                .need(
                    &within,
                    "path",
                    "the file that says where services are",
                    &registry.path,
                )
                .and_then(|path| reader.path(path));
            Some(config::Registry::JsonFile { path: path? })
        }
    }
}

pub(crate) fn process(
    reader: &Reader,
    given: &Given<written::Process>,
    state: Option<&Path>,
    secrets: &Secrets<'_>,
) -> Option<config::Process> {
    let (within, process) = reader.section("process", given)?;
    if reader.was_taken_out(&within, "manager") {
        return None;
    }
    let manager = process.manager.get().copied().unwrap_or(Manager::Auto);
    let only_with =
        |key: &str, span: Option<std::ops::Range<usize>>, needed: Manager, word: &str| {
            if let Some(span) = span.filter(|_| manager != needed) {
                let message = format!("`{key}` only has a meaning with manager = \"{word}\"");
                reader.problem(span, message);
            }
        };
    only_with("bus", process.bus.span(), Manager::Systemd, "systemd");
    only_with(
        "state_directory",
        process.state_directory.span(),
        Manager::Commands,
        "commands",
    );
    only_with("unit", process.unit.span(), Manager::Commands, "commands");
    match manager {
        Manager::Auto => Some(config::Process::Auto),
        Manager::Systemd => {
            let bus = match process.bus.spanned() {
                Some(bus) if !bus.get_ref().contains(':') => {
                    reader.problem_with(
                        bus.span(),
                        format!("`{}` is not a D-Bus address", bus.get_ref()),
                        "write it as unix:path=/run/dbus/system_bus_socket",
                    );
                    return None;
                }
                bus => bus.map(|bus| bus.get_ref().clone()),
            };
            Some(config::Process::Systemd { bus })
        }
        Manager::Commands => {
            let default = state.map(|state| state.join("units"));
            let state_directory = reader.path_or(&process.state_directory, default);
            reader.need(
                &within,
                "unit",
                "at least one [[process.unit]]",
                &process.unit,
            );
            let mut units: Vec<config::Unit> = Vec::new();
            let mut good = true;
            for unit in items(&process.unit) {
                let Some(made) = command(reader, unit, secrets) else {
                    good = false;
                    continue;
                };
                if units.iter().any(|other| other.name == made.name) {
                    let part = unit.get_ref().name.span().unwrap_or(unit.span());
                    reader.problem(part, format!("the unit `{}` is listed twice", made.name));
                }
                if let Some(other) = made
                    .port
                    .and_then(|port| units.iter().find(|other| other.port == Some(port)))
                {
                    let part = unit.get_ref().port.span().unwrap_or(unit.span());
                    reader.problem(
                        part,
                        format!("this already is the port of unit `{}`", other.name),
                    );
                }
                units.push(made);
            }
            let state_directory = state_directory?;
            good.then_some(config::Process::Commands {
                state_directory,
                units,
            })
        }
    }
}

fn command(
    reader: &Reader,
    unit: &toml::Spanned<written::Unit>,
    secrets: &Secrets<'_>,
) -> Option<config::Unit> {
    let written = unit.get_ref();
    let name = match written.name.get() {
        Some(name) => format!("unit `{name}`"),
        None => "[[process.unit]]".to_owned(),
    };
    let within = Within {
        span: Some(unit.span()),
        name,
    };
    let name = reader
        .need(&within, "name", "what the unit is called", &written.name)
        .and_then(|name| reader.name(name, "a unit", UNIT));
    let argv = reader
        .need(&within, "argv", "program and arguments", &written.argv)
        .and_then(|list| {
            let all: Vec<_> = items(&written.argv)
                .map(|word| word.get_ref().clone())
                .collect();
            if all.first().is_none_or(|program| program.trim().is_empty()) {
                reader.problem(list.span(), "the program is missing");
                return None;
            }
            if all.iter().any(|word| word.contains('\0')) {
                reader.problem(list.span(), "an argument cannot hold a zero byte");
                return None;
            }
            Some(all)
        });
    let directory = match written.directory.spanned() {
        Some(path) => reader.path(path).map(Some),
        None => Some(None),
    };
    let log = reader
        .need(
            &within,
            "log",
            "the file that its output is appended to",
            &written.log,
        )
        .and_then(|path| reader.path(path));
    let port = port(reader, &written.port);
    let mut environment = Some(BTreeMap::new());
    for (key, value) in rows(&written.environment) {
        let variable = reader.name(key, "an environment variable", VARIABLE);
        let text = value.spanned().and_then(|value| {
            let resolved = secrets.resolve(reader, key.get_ref(), value.span(), value.get_ref())?;
            Some(match resolved {
                Resolved::Text(text) => Secret::new(text),
                Resolved::Secret { before, secret } => {
                    Secret::new(format!("{before}{}", secret.reveal()))
                }
            })
        });
        match (variable, text, &mut environment) {
            (Some(variable), Some(text), Some(all)) => _ = all.insert(variable, text),
            _ => environment = None,
        }
    }
    Some(config::Unit {
        name: name?,
        argv: argv?,
        directory: directory?,
        environment: environment?,
        log: log?,
        port: port?,
    })
}

/// `Some(None)` where none is given.
pub(crate) fn port(reader: &Reader, given: &Given<u16>) -> Option<Option<u16>> {
    match given.spanned() {
        Some(port) => reader.within(port, 1, u16::MAX).map(Some),
        None => Some(None),
    }
}

pub(crate) fn hosts(
    reader: &Reader,
    file: &written::Rollbot,
) -> Option<BTreeMap<String, config::Host>> {
    let mut hosts = BTreeMap::new();
    let mut good = true;
    for (name, host) in rows(&file.host) {
        if name.get_ref() != LOCAL {
            // Every target names its host already; what is missing is the way to get there.
            if reader.name(name, "a host", HOST).is_some() {
                reader.problem_with(
                    name.span(),
                    format!("the host `{}` cannot be reached yet", name.get_ref()),
                    "only `local`, the machine the bot runs on, can be managed",
                );
            }
            good = false;
            continue;
        }
        let title = match host.get().and_then(|host| host.title.spanned()) {
            Some(title) => reader.line(title),
            None => Some(name.get_ref().clone()),
        };
        match title {
            Some(title) => _ = hosts.insert(name.get_ref().clone(), config::Host { title }),
            None => good = false,
        }
    }
    hosts
        .entry(LOCAL.to_owned())
        .or_insert_with(|| config::Host {
            title: LOCAL.to_owned(),
        });
    good.then_some(hosts)
}

pub(crate) fn log(reader: &Reader, given: &Given<written::Log>) -> Option<config::Log> {
    let (_, log) = reader.section("log", given)?;
    Some(config::Log {
        format: log.format.get().copied().unwrap_or_default(),
        level: log.level.get().copied().unwrap_or_default(),
    })
}
