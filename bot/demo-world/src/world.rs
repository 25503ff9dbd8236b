//! Making, finding and ending a world.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bollard::Docker;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use rollbot_host_registry::{JsonFileRegistry, Registry};
use sha2::{Digest, Sha256};

use crate::containers::{self, Surroundings};
use crate::describe::Description;
use crate::detect::{self, Decision};
use crate::error::WorldError;
use crate::layout::Layout;
use crate::observe::{Deployment, Observed, observe};
use crate::options::{EngineKind, OpenOptions, WorldOptions};
use crate::record::{self, Engine, Phase, Record};
use crate::services::{self, DemoService};
use crate::{compose, image, lock, natives, ports, seed, stand_in};

/// How long ago traffic moved to the native services, in the demo's story.
const SINCE_CUTOVER: SignedDuration = SignedDuration::from_hours(30);
/// How often another base is tried when somebody else was faster.
const ATTEMPTS: u32 = 8;

/// A world that stands: its services run, unless they were stopped or rolled back since.
///
/// Dropping it ends nothing; see [`World::stop`].
#[derive(Debug)]
pub struct World {
    layout: Layout,
    record: Record,
    services: Vec<DemoService>,
}

impl World {
    /// Makes a world in a directory, which may exist and may hold other files. Returns when all six
    /// native services answer, and their containers are there and stopped.
    ///
    /// # Errors
    /// [`WorldError::Exists`] when there is a world already. After any other error, what was made
    /// has been taken down again, as far as that was possible.
    pub async fn create(dir: &Path, options: WorldOptions) -> Result<Self, WorldError> {
        fs::create_dir_all(dir).map_err(WorldError::file(dir))?;
        let layout = layout(dir)?;
        fs::create_dir_all(layout.run()).map_err(WorldError::file(&layout.run()))?;
        let _lock = lock::world(&layout).await?;
        if Record::read(&layout)?.is_some() {
            return Err(WorldError::Exists(layout.root().to_owned()));
        }
        // Before anything is made; looked at again when they are taken.
        if options.port_base.is_some() {
            ports::find(options.port_base, 0).await?;
        }
        let Decision {
            kind,
            socket,
            reason,
        } = detect::decide(&options.engine).await?;
        let now = Timestamp::now();
        let cutover = now - SINCE_CUTOVER;
        seed::fill(&layout, cutover, now)?;
        let record = Record {
            phase: Phase::Creating,
            project: project(&layout),
            port_base: 0,
            engine: Engine {
                kind,
                socket: socket.unwrap_or_else(|| stand_in::socket(&layout)),
                reason,
            },
            stand_in_command: options.stand_in_command,
            cutover,
            created: now,
            boot: record::boot(),
            images: Vec::new(),
            gateway: None,
            served_by: BTreeMap::new(),
        };
        let mut world = Self::with(layout, record);
        match world.build(options.port_base).await {
            Ok(()) => Ok(world),
            Err(error) => {
                if let Err(second) = world.take_down().await {
                    tracing::warn!(error = %second, "something of the world is left");
                }
                let _ = fs::remove_file(world.layout.record());
                Err(error)
            }
        }
    }

    async fn build(&mut self, wished: Option<u16>) -> Result<(), WorldError> {
        self.record.write(&self.layout)?;
        let docker = self.engine().await?;
        // Of a world in this directory that was deleted without having been ended.
        containers::remove(&docker, &self.record.project, self.record.engine.kind).await?;
        image::ensure(&docker).await?;
        if self.record.engine.kind == EngineKind::Docker {
            self.record.gateway = containers::gateway(&docker).await;
        }
        let ports = lock::ports().await?;
        if self.record.port_base == 0 {
            self.record.port_base = ports::find(wished, 0).await?;
        }
        let mut attempt = 0;
        loop {
            self.services = Self::list(&self.layout, &self.record);
            self.record.write(&self.layout)?;
            natives::install(&self.layout, &self.services)?;
            let all: Vec<&DemoService> = self.services.iter().collect();
            let error = match natives::start(&self.layout, &self.services, &all).await {
                Ok(()) => break,
                Err(error) => error,
            };
            natives::stop(&self.layout, &self.services).await?;
            attempt += 1;
            // With the ports free, they were not the reason.
            if attempt == ATTEMPTS || wished.is_some() || ports::free(self.record.port_base) {
                return Err(error);
            }
            self.record.port_base = ports::find(None, attempt).await?;
        }
        drop(ports);
        self.settle(&docker).await
    }

    /// Finds a world again, after whatever has happened to the one who made it, and makes up what
    /// is missing: the engine, image, network and containers, the registry, and the services that
    /// should run. A native service that is not running is started
    ///
    /// * after the world was ended with [`World::stop`], if it was running then;
    /// * after the machine was started anew, unless its container runs or the registry leads there;
    /// * if the creation of the world was interrupted.
    ///
    /// Else somebody has stopped it on purpose, and it stays stopped. Containers that were serving
    /// when the world was ended are started again.
    ///
    /// # Errors
    /// [`WorldError::Absent`] when there is no world.
    pub async fn open(dir: &Path) -> Result<Self, WorldError> {
        Self::open_with(dir, OpenOptions::default()).await
    }

    /// Reads what the world is made of, and changes nothing: to look at one, or to end it.
    ///
    /// # Errors
    /// [`WorldError::Absent`] when there is no world.
    pub fn load(dir: &Path) -> Result<Self, WorldError> {
        let layout = layout(dir).map_err(|_| WorldError::Absent(dir.to_owned()))?;
        match Record::read(&layout)? {
            Some(record) => Ok(Self::with(layout, record)),
            None => Err(WorldError::Absent(layout.root().to_owned())),
        }
    }

    /// As [`World::open`], with options.
    ///
    /// # Errors
    /// As [`World::open`].
    pub async fn open_with(dir: &Path, options: OpenOptions) -> Result<Self, WorldError> {
        // Before the lock, whose file must not appear where no world is.
        let layout = Self::load(dir)?.layout;
        let _lock = lock::world(&layout).await?;
        let mut world = Self::load(dir)?;
        if let Some(command) = options.stand_in_command {
            world.record.stand_in_command = command;
        }
        if world.record.phase == Phase::Creating {
            world.build(None).await?;
            return Ok(world);
        }
        let docker = world.engine().await?;
        if world.record.engine.kind == EngineKind::Docker {
            // Another start of the engine may have given the bridge another address. Services
            // that run keep the old one until they are started again.
            world.record.gateway = containers::gateway(&docker).await;
            world.services = Self::list(&world.layout, &world.record);
        }
        natives::install(&world.layout, &world.services)?;
        let revived = world.to_revive(&docker).await?;
        let natives: Vec<&DemoService> = world
            .services
            .iter()
            .filter(|service| revived.native.contains(&service.name))
            .filter(|service| !options.keep_stopped.contains(&service.name))
            .collect();
        natives::start(&world.layout, &world.services, &natives).await?;
        world.settle(&docker).await?;
        for service in &world.services {
            if revived.containers.contains(&service.name) {
                containers::start(&docker, service, &world.record.project).await?;
            }
        }
        Ok(world)
    }

    async fn to_revive(&self, docker: &Docker) -> Result<Revived, WorldError> {
        let mut revived = Revived::default();
        match self.record.phase {
            // Is created to its end instead.
            Phase::Creating => {}
            Phase::Stopped => {
                for (service, deployment) in &self.record.served_by {
                    match deployment {
                        Deployment::Native => revived.native.insert(service.clone()),
                        Deployment::Docker => revived.containers.insert(service.clone()),
                        Deployment::Nobody => false,
                    };
                }
            }
            Phase::Running if self.record.boot != record::boot() => {
                let running = containers::running(docker, &self.record.project).await?;
                let registry = JsonFileRegistry::new(self.layout.registry());
                for service in &self.services {
                    let rolled_back = registry
                        .get(&service.registry_key)
                        .await
                        .is_ok_and(|entry| entry.value == service.registry_docker);
                    if !rolled_back && !running.contains(&service.name) {
                        revived.native.insert(service.name.clone());
                    }
                }
            }
            Phase::Running => {}
        }
        Ok(revived)
    }

    /// Makes what is missing beside the native services, and writes down that all is there.
    async fn settle(&mut self, docker: &Docker) -> Result<(), WorldError> {
        let surroundings = Surroundings::find(
            docker,
            &self.layout,
            &self.record.project,
            self.record.engine.kind,
        )
        .await?;
        let images = surroundings.ensure(docker, &self.services).await?;
        compose::write(&surroundings, &self.services)?;
        let entries: Vec<(String, String)> = self
            .services
            .iter()
            .map(|service| {
                (
                    service.registry_key.clone(),
                    service.registry_native.clone(),
                )
            })
            .collect();
        JsonFileRegistry::new(self.layout.registry())
            .create_if_missing(&entries)
            .await
            .map_err(|error| WorldError::Registry(error.to_string()))?;
        let known: BTreeSet<String> = self.record.images.drain(..).chain(images).collect();
        self.record.images = known.into_iter().collect();
        self.record.phase = Phase::Running;
        self.record.boot = record::boot();
        self.record.served_by.clear();
        self.record.write(&self.layout)
    }

    /// Ends everything that was made: native services, containers, network, image, stand-in engine.
    /// The directory stays, with data, logs and archives; opening it makes the world stand again
    /// as it was. May be repeated.
    ///
    /// # Errors
    /// When something could not be ended; the rest was.
    pub async fn stop(&mut self) -> Result<(), WorldError> {
        let _lock = lock::world(&self.layout).await?;
        // Another process may have changed the record since this one has read it.
        if let Some(record) = Record::read(&self.layout)? {
            self.record = record;
        }
        if self.record.phase == Phase::Running {
            self.record.served_by = self.served_by().await?;
            self.record.phase = Phase::Stopped;
            self.record.write(&self.layout)?;
        }
        self.take_down().await?;
        self.record.images.clear();
        self.record.write(&self.layout)
    }

    async fn served_by(&self) -> Result<BTreeMap<String, Deployment>, WorldError> {
        let native = natives::running(&self.layout, &self.services).await?;
        // With the engine gone its containers are, too.
        let containers = match detect::connect(&self.record.engine.socket).await {
            Ok(docker) => containers::running(&docker, &self.record.project).await?,
            Err(_) => Vec::new(),
        };
        Ok(self
            .services
            .iter()
            .map(|service| {
                let deployment = if native.contains(&service.name) {
                    Deployment::Native
                } else if containers.contains(&service.name) {
                    Deployment::Docker
                } else {
                    Deployment::Nobody
                };
                (service.name.clone(), deployment)
            })
            .collect())
    }

    /// Every part is tried, whatever became of the others; the first error is reported.
    async fn take_down(&self) -> Result<(), WorldError> {
        let mut results = vec![natives::stop(&self.layout, &self.services).await];
        let engine = &self.record.engine;
        if engine.kind == EngineKind::StandIn {
            // Its processes can be ended through it only, so it has to run for that.
            let stand_in = &self.record.stand_in_command;
            results.push(stand_in::ensure(&self.layout, &engine.socket, stand_in).await);
        }
        match detect::connect(&engine.socket).await {
            Ok(docker) => {
                results.push(containers::remove(&docker, &self.record.project, engine.kind).await);
                for image in &self.record.images {
                    results.push(image::remove(&docker, image).await);
                }
            }
            Err(reason) => results.push(Err(WorldError::Engine {
                socket: engine.socket.clone(),
                reason,
            })),
        }
        if engine.kind == EngineKind::StandIn {
            results.push(stand_in::stop(&self.layout, &engine.socket).await);
        }
        results.into_iter().collect()
    }

    /// A connection to the engine; the stand-in is started if it does not answer.
    async fn engine(&self) -> Result<Docker, WorldError> {
        let engine = &self.record.engine;
        if engine.kind == EngineKind::StandIn {
            stand_in::ensure(&self.layout, &engine.socket, &self.record.stand_in_command).await?;
        }
        detect::connect(&engine.socket)
            .await
            .map_err(|reason| WorldError::Engine {
                socket: engine.socket.clone(),
                reason,
            })
    }

    fn with(layout: Layout, record: Record) -> Self {
        Self {
            // Before its ports are known a world has no services.
            services: match record.port_base {
                0 => Vec::new(),
                _ => Self::list(&layout, &record),
            },
            layout,
            record,
        }
    }

    fn list(layout: &Layout, record: &Record) -> Vec<DemoService> {
        services::all(
            layout,
            &record.project,
            record.port_base,
            record.gateway.as_deref(),
        )
    }

    /// The six services, in the order of their ports.
    pub fn services(&self) -> &[DemoService] {
        &self.services
    }

    /// One of them, by its name.
    pub fn service(&self, name: &str) -> Option<&DemoService> {
        self.services.iter().find(|service| service.name == name)
    }

    /// Where things lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Which engine is used.
    pub fn engine_kind(&self) -> EngineKind {
        self.record.engine.kind
    }

    /// Why, in a sentence for people.
    pub fn engine_reason(&self) -> &str {
        &self.record.engine.reason
    }

    /// The Unix socket on which the engine answers.
    pub fn engine_socket(&self) -> &Path {
        &self.record.engine.socket
    }

    /// The compose project's name, unique for the directory.
    pub fn compose_project(&self) -> &str {
        &self.record.project
    }

    /// The image of the containers: `cryptobot/demo-service:0.1.0`.
    pub fn image(&self) -> String {
        image::name()
    }

    /// When traffic moved to the native services, as the demo's story has it: 30 hours before the
    /// world was made. The containers' data ends there.
    pub fn cutover(&self) -> Timestamp {
        self.record.cutover
    }

    /// Asks each service's port who serves there. Takes at most a few seconds.
    pub async fn observe(&self) -> Vec<Observed> {
        join_all(self.services.iter().map(observe)).await
    }

    /// What the world is made of.
    pub fn describe(&self) -> Description {
        Description {
            directory: self.layout.root().to_owned(),
            engine: self.record.engine.kind,
            engine_socket: self.record.engine.socket.clone(),
            engine_reason: self.record.engine.reason.clone(),
            project: self.record.project.clone(),
            image: image::name(),
            cutover: self.record.cutover,
            services: self.services.clone(),
        }
    }
}

/// What is to be started when a world is opened.
#[derive(Default)]
struct Revived {
    native: BTreeSet<String>,
    containers: BTreeSet<String>,
}

/// Absolute and without links, since the same directory must be the same world.
fn layout(dir: &Path) -> Result<Layout, WorldError> {
    let root: PathBuf = dir.canonicalize().map_err(WorldError::file(dir))?;
    Ok(Layout::new(root))
}

fn project(layout: &Layout) -> String {
    let digest = Sha256::digest(layout.root().as_os_str().as_bytes());
    format!("rollbot-demo-{}", &hex::encode(digest)[..6])
}
