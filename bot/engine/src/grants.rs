//! What a plugin may touch. The plugin asks (`wants` in its description), the operator grants.

use std::collections::{BTreeMap, BTreeSet};

use rollbot_core::plan::{EffectKind, Plan, Service, WantedState};
use serde::{Deserialize, Serialize};
use url::Url;

/// Everything that a plugin may name, on every host. An empty value grants nothing.
///
/// Part of the plan's digest: other grants need another vote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Grants {
    /// By the host's name: `local`.
    pub hosts: BTreeMap<String, HostGrants>,
    pub registry: RegistryGrants,
    /// Whether it may ask people questions of its own.
    pub ask: bool,
}

/// What a plugin may touch on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct HostGrants {
    pub process: ProcessGrants,
    /// Compose services by compose project.
    pub docker: BTreeMap<String, BTreeSet<String>>,
    pub backup: BackupGrants,
    pub probe: ProbeGrants,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ProcessGrants {
    pub units: BTreeSet<String>,
    pub ports: BTreeSet<u16>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct BackupGrants {
    /// Absolute paths; each covers what is below it.
    pub directories: BTreeSet<String>,
    pub archive_names: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ProbeGrants {
    /// `http://127.0.0.1:9003/health`: same scheme, host and port, and this path or one below it.
    pub urls: BTreeSet<String>,
    /// `127.0.0.1:9003`, for connections without HTTP.
    pub addresses: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct RegistryGrants {
    pub keys: BTreeSet<String>,
}

/// A target that is not granted; the sentence says which, and where grants are given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not among the grants of this plugin; they come from config/services.toml")]
pub struct Denied {
    what: String,
}

fn denied<T>(what: impl Into<String>) -> Result<T, Denied> {
    Err(Denied { what: what.into() })
}

impl Grants {
    /// Exactly what the service's own description names, and questions to people.
    pub fn for_service(service: &Service) -> Self {
        let mut host = HostGrants {
            process: ProcessGrants {
                units: service.units.iter().cloned().collect(),
                ports: service.port.into_iter().collect(),
            },
            ..HostGrants::default()
        };
        if !service.compose_project.is_empty() {
            host.docker.insert(
                service.compose_project.clone(),
                service.compose_services.iter().cloned().collect(),
            );
        }
        if !service.data_directory.is_empty() {
            host.backup
                .directories
                .insert(service.data_directory.clone());
            host.backup
                .archive_names
                .insert(service.archive_name.clone());
        }
        // Where the registry leads, clients go: the checks may follow them.
        let led_to = [&service.registry_native, &service.registry_docker];
        for named in &service.checks {
            host.probe.urls.insert(named.check.url.clone());
            let Ok(url) = Url::parse(&named.check.url) else {
                continue;
            };
            host.probe.addresses.extend(address_of(&url));
            host.probe.urls.extend(
                led_to
                    .iter()
                    .filter_map(|address| at_address(&url, address)),
            );
        }
        if let Some(port) = service.port {
            host.probe.addresses.insert(format!("127.0.0.1:{port}"));
        }
        let mut grants = Self {
            ask: true,
            ..Self::default()
        };
        grants.hosts.insert(service.host.clone(), host);
        if !service.registry_key.is_empty() {
            grants.registry.keys.insert(service.registry_key.clone());
        }
        grants
    }

    /// Both together, for grants that the configuration adds to a service's own.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (name, more) in other.hosts {
            let host = self.hosts.entry(name).or_default();
            host.process.units.extend(more.process.units);
            host.process.ports.extend(more.process.ports);
            for (project, services) in more.docker {
                host.docker.entry(project).or_default().extend(services);
            }
            host.backup.directories.extend(more.backup.directories);
            host.backup.archive_names.extend(more.backup.archive_names);
            host.probe.urls.extend(more.probe.urls);
            host.probe.addresses.extend(more.probe.addresses);
        }
        self.registry.keys.extend(other.registry.keys);
        self.ask |= other.ask;
        self
    }

    fn host(&self, name: &str) -> Result<&HostGrants, Denied> {
        match self.hosts.get(name) {
            Some(host) => Ok(host),
            None => denied(format!("anything on host `{name}`")),
        }
    }

    /// # Errors
    /// The first unit or port that is not granted.
    pub fn allows_processes(
        &self,
        host: &str,
        units: &[String],
        port: Option<u16>,
    ) -> Result<(), Denied> {
        let granted = &self.host(host)?.process;
        if let Some(unit) = units.iter().find(|unit| !granted.units.contains(*unit)) {
            return denied(format!("unit `{unit}` on `{host}`"));
        }
        match port {
            Some(port) if !granted.ports.contains(&port) => {
                denied(format!("port {port} on `{host}`"))
            }
            _ => Ok(()),
        }
    }

    /// An empty list means no service, never all of them.
    ///
    /// # Errors
    /// The project, or the first of its services, that is not granted.
    pub fn allows_containers(
        &self,
        host: &str,
        project: &str,
        services: &[String],
    ) -> Result<(), Denied> {
        let Some(granted) = self.host(host)?.docker.get(project) else {
            return denied(format!("compose project `{project}` on `{host}`"));
        };
        if services.is_empty() {
            return denied(format!(
                "all of compose project `{project}`, as no service is named,"
            ));
        }
        match services.iter().find(|service| !granted.contains(*service)) {
            Some(service) => denied(format!(
                "compose service `{service}` of project `{project}` on `{host}`"
            )),
            None => Ok(()),
        }
    }

    /// # Errors
    /// The directory is neither granted nor below one that is.
    pub fn allows_directory(&self, host: &str, directory: &str) -> Result<(), Denied> {
        let granted = &self.host(host)?.backup.directories;
        let stays_put = !directory
            .split(['/', '\\'])
            .any(|part| part == "." || part == "..");
        if stays_put && granted.iter().any(|base| is_at_or_below(directory, base)) {
            Ok(())
        } else {
            denied(format!("directory `{directory}` on `{host}`"))
        }
    }

    /// # Errors
    /// The name is not granted.
    pub fn allows_archive_name(&self, host: &str, name: &str) -> Result<(), Denied> {
        if self.host(host)?.backup.archive_names.contains(name) {
            Ok(())
        } else {
            denied(format!("archive `{name}` on `{host}`"))
        }
    }

    /// An archive by its path: its file name is a granted name, an underscore and a time. Where
    /// archives may lie is the backup implementation's to say.
    ///
    /// # Errors
    /// The file's name does not begin with a granted one.
    pub fn allows_archive_path(&self, host: &str, path: &str) -> Result<(), Denied> {
        let granted = &self.host(host)?.backup.archive_names;
        let stays_put = !path.split(['/', '\\']).any(|part| part == "..");
        let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let named = granted.iter().any(|name| {
            file.strip_prefix(name.as_str())
                .and_then(|rest| rest.strip_prefix('_'))
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        });
        if stays_put && named {
            Ok(())
        } else {
            denied(format!("archive `{path}` on `{host}`"))
        }
    }

    /// # Errors
    /// No granted URL covers it, or it is none.
    pub fn allows_url(&self, host: &str, url: &str) -> Result<(), Denied> {
        let granted = &self.host(host)?.probe.urls;
        let covered = Url::parse(url).is_ok_and(|wanted| {
            granted
                .iter()
                .any(|grant| Url::parse(grant).is_ok_and(|grant| covers(&grant, &wanted)))
        });
        if covered {
            Ok(())
        } else {
            denied(format!("address `{url}` from `{host}`"))
        }
    }

    /// # Errors
    /// The address is not granted.
    pub fn allows_address(&self, host: &str, address: &str) -> Result<(), Denied> {
        if self.host(host)?.probe.addresses.contains(address) {
            Ok(())
        } else {
            denied(format!("address `{address}` from `{host}`"))
        }
    }

    /// # Errors
    /// The key is not granted.
    pub fn allows_key(&self, key: &str) -> Result<(), Denied> {
        if self.registry.keys.contains(key) {
            Ok(())
        } else {
            denied(format!("registry key `{key}`"))
        }
    }

    /// Whether everything that the effect touches is granted.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn allows_effect(&self, kind: &EffectKind) -> Result<(), Denied> {
        match kind {
            EffectKind::StopProcesses(stop) => {
                self.allows_processes(&stop.host, &stop.units, stop.port)
            }
            EffectKind::StartProcesses(start) => {
                self.allows_processes(&start.host, &start.units, start.port)
            }
            EffectKind::ComposeUp(target) | EffectKind::ComposeDown(target) => {
                self.allows_containers(&target.host, &target.project, &target.services)
            }
            EffectKind::CreateBackup(backup) => {
                self.allows_directory(&backup.host, &backup.directory)?;
                self.allows_archive_name(&backup.host, &backup.archive_name)
            }
            EffectKind::PointRegistry(point) => self.allows_key(&point.key),
            EffectKind::Transact(send) | EffectKind::Submit(send) => {
                self.allows_url(&send.host, &send.check.url)
            }
        }
    }

    /// Whether everything that has to be looked at for a target is granted.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn allows_target(&self, wanted: &WantedState) -> Result<(), Denied> {
        match wanted {
            WantedState::NativeStopped(native) | WantedState::NativeRunning(native) => {
                self.allows_processes(&native.host, &native.units, native.port)
            }
            WantedState::ContainersRunning(target) | WantedState::ContainersStopped(target) => {
                self.allows_containers(&target.host, &target.project, &target.services)
            }
            WantedState::RegistryAt(point) => self.allows_key(&point.key),
        }
    }

    /// Whether a plan stays within the grants.
    ///
    /// # Errors
    /// Name of the first effect or target that does not, and what is not granted.
    pub fn allows_plan(&self, plan: &Plan) -> Result<(), (String, Denied)> {
        for effect in plan.effects() {
            self.allows_effect(&effect.kind)
                .map_err(|denied| (effect.name.clone(), denied))?;
        }
        for target in plan.targets.iter().chain(&plan.undo_targets) {
            self.allows_target(&target.wanted)
                .map_err(|denied| (target.name.clone(), denied))?;
        }
        Ok(())
    }
}

/// `base` itself or a path below it; `/data/trade-2` is not below `/data/trade`.
fn is_at_or_below(path: &str, base: &str) -> bool {
    let base = base.trim_end_matches(['/', '\\']);
    !base.is_empty()
        && path
            .strip_prefix(base)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '\\']))
}

/// Compared as parsed URLs: as text, `http://127.0.0.1:9003@elsewhere/` would begin with
/// `http://127.0.0.1:9003`.
fn covers(grant: &Url, wanted: &Url) -> bool {
    matches!(wanted.scheme(), "http" | "https")
        && grant.scheme() == wanted.scheme()
        && grant.host_str().is_some()
        && grant.host_str() == wanted.host_str()
        && grant.port_or_known_default() == wanted.port_or_known_default()
        && wanted.username() == grant.username()
        && wanted.password() == grant.password()
        && (grant.path() == "/"
            || grant.path() == wanted.path()
            || is_at_or_below(wanted.path(), grant.path()))
}

/// The same URL at another address: `127.0.0.1:9003`, or the scheme and address of a URL.
fn at_address(url: &Url, address: &str) -> Option<String> {
    let there = match address.contains("://") {
        true => Url::parse(address).ok()?,
        false => Url::parse(&format!("{}://{address}", url.scheme())).ok()?,
    };
    let mut moved = url.clone();
    moved.set_scheme(there.scheme()).ok()?;
    moved.set_host(there.host_str()).ok()?;
    moved.set_port(there.port()).ok()?;
    Some(moved.into())
}

fn address_of(url: &Url) -> Option<String> {
    Some(format!(
        "{}:{}",
        url.host_str()?,
        url.port_or_known_default()?
    ))
}
