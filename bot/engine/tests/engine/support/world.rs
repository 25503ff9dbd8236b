//! Units, ports, containers, archives, a registry and HTTP servers, in memory. Stateful, instant,
//! and able to fail on demand.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollbot_engine::{Backups, Host, Hosts, Probes, Redactor};
use rollbot_host::backup::{
    self, Archive, Archives, Control, CreateRequest, RestoreReport, Written,
};
use rollbot_host::docker::{
    self, ChangeReport as ContainersChange, Container, Containers, Health, LogLine, Readiness,
};
use rollbot_host::probe::{self, CheckReport};
use rollbot_host::process::{
    self, ChangeReport, PortOwner, Processes, StartRequest, StatusReport, StopMethod, StopRequest,
    UnitState, UnitStatus,
};
use rollbot_host::registry::{self, Entry, Registry};

pub const UNIT: &str = "cryptobot-trade";
pub const PORT: u16 = 9003;
pub const IMAGE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
pub const KEY: &str = "services/trade";

/// What a call does instead of what it should.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Fails for good.
    Failed(&'static str),
    /// Fails in a way that may pass.
    Passing(&'static str),
    /// A process of the unit keeps running, or the port stays taken.
    Ineffective,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub struct State {
    /// By unit, whether it is active.
    pub units: BTreeMap<String, bool>,
    /// A native process without a unit.
    pub stray: bool,
    /// By compose service: state and image.
    pub containers: BTreeMap<String, (String, String)>,
    pub archives: Vec<(String, i64)>,
    pub registry: BTreeMap<String, (String, u64)>,
    /// Orders placed, by idempotency key or number.
    pub orders: Vec<String>,
    pub in_flight: bool,
}

#[derive(Default)]
struct Inner {
    state: State,
    faults: BTreeMap<&'static str, VecDeque<Fault>>,
    /// Calls that change something, in their order.
    changes: Vec<String>,
    queries: usize,
    secret_in_answers: Option<String>,
    images_asked_for: Vec<BTreeMap<String, String>>,
    requests: u64,
}

#[derive(Clone, Default)]
pub struct World {
    inner: Arc<Mutex<Inner>>,
}

impl World {
    /// The native deployment runs, the container is stopped.
    pub fn native() -> Self {
        let world = Self::default();
        {
            let mut inner = world.lock();
            inner.state.units.insert(UNIT.into(), true);
            inner
                .state
                .containers
                .insert("trade".into(), ("exited".into(), IMAGE.into()));
            inner
                .state
                .registry
                .insert(KEY.into(), ("127.0.0.1:9003".into(), 1));
        }
        world
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn state(&self) -> State {
        self.lock().state.clone()
    }

    pub fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.lock().state);
    }

    pub fn fail(&self, function: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.lock()
            .faults
            .entry(function)
            .or_default()
            .extend(faults);
    }

    pub fn changes(&self) -> Vec<String> {
        self.lock().changes.clone()
    }

    pub fn queries(&self) -> usize {
        self.lock().queries
    }

    pub fn images_asked_for(&self) -> Vec<BTreeMap<String, String>> {
        self.lock().images_asked_for.clone()
    }

    /// Answers of `docker.logs` and HTTP requests will show this.
    pub fn show_secret(&self, secret: &str) {
        self.lock().secret_in_answers = Some(secret.into());
    }

    pub fn hosts(&self) -> Hosts {
        self.hosts_redacting([])
    }

    pub fn hosts_redacting(&self, secrets: impl IntoIterator<Item = String>) -> Hosts {
        let host = Host {
            processes: Arc::new(self.clone()),
            containers: Arc::new(self.clone()),
            backups: Backups {
                archives: Arc::new(self.clone()),
                directory: "/backups".into(),
            },
            prober: Arc::new(self.clone()),
            registry: Arc::new(self.clone()),
        };
        Hosts::new([("local".to_owned(), host)], Redactor::new(secrets))
    }

    fn asked(&self, function: &'static str) -> Option<Fault> {
        let mut inner = self.lock();
        inner.queries += 1;
        inner.faults.get_mut(function).and_then(VecDeque::pop_front)
    }

    fn changed(&self, function: &'static str, what: &str) -> Option<Fault> {
        let mut inner = self.lock();
        inner.changes.push(format!("{function} {what}"));
        inner.faults.get_mut(function).and_then(VecDeque::pop_front)
    }

    fn status_now(&self, units: &[String], port: Option<u16>) -> StatusReport {
        let inner = self.lock();
        let state = &inner.state;
        let active = |unit: &String| state.units.get(unit).copied();
        let native = state.stray || units.iter().any(|unit| active(unit) == Some(true));
        let container = state
            .containers
            .values()
            .any(|(state, _)| state == "running");
        StatusReport {
            units: units
                .iter()
                .map(|unit| UnitStatus {
                    unit: unit.clone(),
                    state: match active(unit) {
                        Some(true) => UnitState::Active,
                        Some(false) => UnitState::Inactive,
                        None => UnitState::NotFound,
                    },
                    sub_state: match active(unit) {
                        Some(true) => "running".into(),
                        _ => "dead".into(),
                    },
                    pid: (active(unit) == Some(true)).then_some(4711),
                })
                .collect(),
            owner: port.and_then(|port| match (native, container) {
                (true, _) => Some(PortOwner {
                    port,
                    pid: 4711,
                    name: "trade-native".into(),
                    in_container: false,
                }),
                (false, true) => Some(PortOwner {
                    port,
                    pid: 12,
                    name: "docker-proxy".into(),
                    in_container: false,
                }),
                (false, false) => None,
            }),
            service_manager: true,
        }
    }

    fn containers_now(&self, services: &[String]) -> Vec<Container> {
        let inner = self.lock();
        services
            .iter()
            .filter_map(|service| {
                let (state, image) = inner.state.containers.get(service)?;
                Some(Container {
                    service: service.clone(),
                    name: format!("cryptobot_{service}_1"),
                    id: "a".repeat(64),
                    state: state.clone(),
                    health: if state == "running" {
                        Health::Healthy
                    } else {
                        Health::None
                    },
                    exit_code: (state == "exited").then_some(0),
                    image_digest: image.clone(),
                    image: format!("cryptobot/{service}:1.4.2"),
                })
            })
            .collect()
    }
}

#[async_trait]
impl Processes for World {
    async fn status(
        &self,
        units: &[String],
        port: Option<u16>,
    ) -> Result<StatusReport, process::Error> {
        match self.asked("process.status") {
            Some(Fault::Passing(text)) => Err(process::Error::TimedOut(text.into())),
            Some(Fault::Failed(text)) => Err(process::Error::Failed(text.into())),
            _ => Ok(self.status_now(units, port)),
        }
    }

    async fn stop(&self, request: &StopRequest) -> Result<ChangeReport, process::Error> {
        let by = match request.method {
            StopMethod::ServiceManager => "units",
            StopMethod::PortOwner => "port",
        };
        match self.changed("process.stop", by) {
            Some(Fault::Passing(text)) => return Err(process::Error::TimedOut(text.into())),
            Some(Fault::Failed(text)) => return Err(process::Error::Failed(text.into())),
            Some(Fault::Ineffective) => {}
            None => self.change(|state| {
                for unit in &request.units {
                    state.units.insert(unit.clone(), false);
                }
                state.stray = false;
            }),
        }
        Ok(ChangeReport {
            status: self.status_now(&request.units, request.port),
            how: format!("stopped by {by}"),
        })
    }

    async fn start(&self, request: &StartRequest) -> Result<ChangeReport, process::Error> {
        match self.changed("process.start", &request.units.join(",")) {
            Some(Fault::Passing(text)) => return Err(process::Error::TimedOut(text.into())),
            Some(Fault::Failed(text)) => return Err(process::Error::Failed(text.into())),
            Some(Fault::Ineffective) => {}
            None => self.change(|state| {
                for unit in &request.units {
                    state.units.insert(unit.clone(), true);
                }
            }),
        }
        Ok(ChangeReport {
            status: self.status_now(&request.units, request.port),
            how: "started".into(),
        })
    }
}

fn docker_fault(fault: Option<Fault>) -> Result<(), docker::Error> {
    match fault {
        Some(Fault::Passing(text)) => Err(docker::Error::Unavailable(text.into())),
        Some(Fault::Failed(text)) => Err(docker::Error::Failed(text.into())),
        _ => Ok(()),
    }
}

#[async_trait]
impl Containers for World {
    async fn status(&self, _: &str, services: &[String]) -> Result<Vec<Container>, docker::Error> {
        docker_fault(self.asked("docker.status"))?;
        Ok(self.containers_now(services))
    }

    async fn ready(&self, _: &str, services: &[String]) -> Result<Vec<Readiness>, docker::Error> {
        docker_fault(self.asked("docker.ready"))?;
        let containers = self.containers_now(services);
        Ok(services
            .iter()
            .map(|service| Readiness {
                service: service.clone(),
                ready: true,
                container: containers.iter().find(|c| c.service == *service).cloned(),
                problems: Vec::new(),
            })
            .collect())
    }

    async fn logs(
        &self,
        _: &str,
        services: &[String],
        lines: u32,
    ) -> Result<Vec<LogLine>, docker::Error> {
        docker_fault(self.asked("docker.logs"))?;
        let secret = self.lock().secret_in_answers.clone();
        Ok(services
            .iter()
            .flat_map(|service| (0..lines.min(3)).map(move |n| (service, n)))
            .map(|(service, n)| LogLine {
                service: service.clone(),
                text: match &secret {
                    Some(secret) => format!("line {n}: password is {secret}"),
                    None => format!("line {n}"),
                },
            })
            .collect())
    }

    async fn health(
        &self,
        _: &str,
        services: &[String],
        _: Duration,
    ) -> Result<Vec<Container>, docker::Error> {
        docker_fault(self.asked("docker.health"))?;
        Ok(self.containers_now(services))
    }

    async fn up(
        &self,
        _: &str,
        services: &[String],
        expected_images: &BTreeMap<String, String>,
    ) -> Result<ContainersChange, docker::Error> {
        self.lock().images_asked_for.push(expected_images.clone());
        let fault = self.changed("docker.up", &services.join(","));
        let ineffective = matches!(fault, Some(Fault::Ineffective));
        docker_fault(fault)?;
        if !ineffective {
            self.change(|state| {
                for service in services {
                    state.containers.entry(service.clone()).or_default().0 = "running".into();
                }
            });
        }
        Ok(ContainersChange {
            containers: self.containers_now(services),
            how: "started through the engine".into(),
        })
    }

    async fn down(&self, _: &str, services: &[String]) -> Result<ContainersChange, docker::Error> {
        docker_fault(self.changed("docker.down", &services.join(",")))?;
        self.change(|state| {
            for service in services {
                state.containers.entry(service.clone()).or_default().0 = "exited".into();
            }
        });
        Ok(ContainersChange {
            containers: self.containers_now(services),
            how: "stopped through the engine".into(),
        })
    }
}

fn archive(name: &str, created: i64) -> Archive {
    Archive {
        name: name.into(),
        path: format!("/backups/{name}"),
        created: Timestamp::from_millisecond(created).unwrap(),
        bytes: 4_096,
        files: 7,
        sha256: "b".repeat(64),
        verified: true,
        changed: Vec::new(),
    }
}

#[async_trait]
impl Archives for World {
    async fn create(&self, request: &CreateRequest, _: &Control) -> Result<Archive, backup::Error> {
        match self.changed("backup.create", &request.archive_name) {
            Some(Fault::Passing(text) | Fault::Failed(text)) => {
                return Err(backup::Error::Failed(text.into()));
            }
            Some(Fault::Ineffective) => {
                let made = archive("unread", 0);
                return Ok(Archive {
                    verified: false,
                    ..made
                });
            }
            None => {}
        }
        let millis = request.now.as_millisecond();
        let name = format!(
            "{}_{}.tar.zst",
            request.archive_name,
            request.now.strftime("%Y%m%d%H%M%S")
        );
        self.change(|state| state.archives.push((name.clone(), millis)));
        Ok(archive(&name, millis))
    }

    async fn verify(&self, path: &Path, _: &Control) -> Result<Archive, backup::Error> {
        self.asked("backup.verify");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let known = self
            .state()
            .archives
            .into_iter()
            .find(|(known, _)| *known == name);
        match known {
            Some((name, created)) => Ok(archive(&name, created)),
            None => Err(backup::Error::Failed(format!(
                "there is no {}",
                path.display()
            ))),
        }
    }

    async fn list(&self, _: &Path, name: &str) -> Result<Vec<Archive>, backup::Error> {
        self.asked("backup.list");
        let prefix = format!("{name}_");
        let archives = self.state().archives;
        let ours = archives
            .iter()
            .rev()
            .filter(|(name, _)| name.starts_with(&prefix));
        Ok(ours
            .map(|(name, created)| archive(name, *created))
            .collect())
    }

    async fn written_since(&self, _: &Path, since: Timestamp) -> Result<Written, backup::Error> {
        self.asked("backup.written-since");
        Ok(Written {
            files: 7,
            bytes: 2_048,
            last_write: since,
        })
    }

    async fn restore(
        &self,
        _: &Path,
        _: &Path,
        _: &Control,
    ) -> Result<RestoreReport, backup::Error> {
        Err(backup::Error::Failed("nothing is restored here".into()))
    }
}

#[async_trait]
impl Probes for World {
    async fn http(
        &self,
        check: &probe::HttpCheck,
        key: Option<&str>,
    ) -> Result<CheckReport, probe::Error> {
        let post = check.method == probe::HttpMethod::Post;
        let fault = if post {
            self.changed("probe.post", key.unwrap_or("without a key"))
        } else {
            self.asked("probe.http")
        };
        if let Some(Fault::Failed(text) | Fault::Passing(text)) = &fault {
            return Err(probe::Error::Failed((*text).into()));
        }
        let mut inner = self.lock();
        inner.requests += 1;
        if post {
            let order = key.map_or_else(|| format!("order {}", inner.requests), Into::into);
            if !inner.state.orders.contains(&order) {
                inner.state.orders.push(order);
            }
        }
        let busy = check.url.ends_with("/orders/open") && inner.state.in_flight;
        let passed = fault.is_none() && !busy;
        Ok(CheckReport {
            passed,
            status: Some(check.status),
            took: Duration::from_millis(1),
            problems: if passed {
                Vec::new()
            } else {
                vec!["it is not as expected".into()]
            },
            excerpt: inner.secret_in_answers.clone().unwrap_or_default(),
        })
    }

    async fn tcp(&self, _: &str, _: Duration) -> Result<CheckReport, probe::Error> {
        self.asked("probe.tcp");
        Ok(CheckReport {
            passed: true,
            status: None,
            took: Duration::from_millis(1),
            problems: Vec::new(),
            excerpt: String::new(),
        })
    }
}

#[async_trait]
impl Registry for World {
    async fn get(&self, key: &str) -> Result<Entry, registry::Error> {
        self.asked("registry.get");
        let state = self.state();
        let (value, revision) = state
            .registry
            .get(key)
            .ok_or_else(|| registry::Error::NotFound(format!("there is no {key}")))?;
        Ok(Entry {
            key: key.into(),
            value: value.clone(),
            revision: *revision,
        })
    }

    async fn resolve(&self, key: &str) -> Result<String, registry::Error> {
        Ok(self.get(key).await?.value)
    }

    async fn point(
        &self,
        key: &str,
        value: &str,
        expected_revision: Option<u64>,
    ) -> Result<registry::ChangeReport, registry::Error> {
        match self.changed("registry.point", value) {
            Some(Fault::Passing(text) | Fault::Failed(text)) => {
                return Err(registry::Error::Failed(text.into()));
            }
            Some(Fault::Ineffective) | None => {}
        }
        let before = self.state().registry.get(key).cloned();
        let revision = before.as_ref().map_or(0, |(_, revision)| *revision);
        let same = before.as_ref().is_some_and(|(before, _)| before == value);
        if !same && expected_revision.is_some_and(|expected| expected != revision) {
            return Err(registry::Error::Conflict("somebody else changed it".into()));
        }
        if !same {
            self.change(|state| {
                state
                    .registry
                    .insert(key.into(), (value.into(), revision + 1));
            });
        }
        Ok(registry::ChangeReport {
            entry: self.get(key).await?,
            previous: before.map(|(before, _)| before),
        })
    }
}
