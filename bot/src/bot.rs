//! The bot put together: store, engine, console, control socket, and the tasks that keep it going.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use rollbot_chat::{ChatPlatform, Connection};
use rollbot_chat_console::{Console, ConsoleConfig, Health, HealthReport};
use rollbot_core::Clock;
use rollbot_core::console::ConsoleStore;
use rollbot_core::store::Store;
use rollbot_engine::{Engine, EngineConfig, Hosts};
use rollbot_notify::{Outbox, OutboxConfig, Reach, Templates};

use crate::catalogue::Catalogue;
use crate::control::{ControlServer, bind};
use crate::dispatch::Desk;
use crate::operation::{Conductor, Workshop};
use crate::platforms::Platforms;

/// What a bot is made of.
pub struct Materials {
    pub store: Arc<dyn Store>,
    pub console_store: Arc<dyn ConsoleStore>,
    pub clock: Arc<dyn Clock>,
    pub catalogue: Catalogue,
    pub hosts: Hosts,
    pub engine: EngineConfig,
    pub templates: Option<PathBuf>,
    pub console: Option<ConsoleConfig>,
    pub platforms: Platforms,
    pub control: rollbot_config::Control,
    pub state_directory: PathBuf,
    pub outbox: OutboxConfig,
}

/// A bot that is ready to run.
pub struct Bot {
    pub store: Arc<dyn Store>,
    pub conductor: Conductor,
    pub desk: Arc<Desk>,
    pub outbox: Arc<Outbox>,
    pub console: Option<Arc<Console>>,
    /// Where the console listens, once bound.
    pub address: Option<SocketAddr>,
    console_listener: Option<tokio::net::TcpListener>,
    connected: Platforms,
    webhooks: Option<tokio::net::TcpListener>,
    control: ControlServer,
    health: Arc<Readiness>,
    /// Held for as long as the bot lives: one bot a state directory.
    _lock: std::fs::File,
}

impl Bot {
    /// Opens everything that can fail, before anything is begun.
    ///
    /// # Errors
    /// What is not as it must be, and where.
    pub async fn open(materials: Materials) -> anyhow::Result<Self> {
        let lock = lock(&materials.state_directory)?;
        let Materials {
            store,
            clock,
            catalogue,
            ..
        } = materials;
        let catalogue = Arc::new(catalogue);
        let console = match materials.console {
            Some(config) => {
                let people = catalogue.people.clone();
                Some(Console::new(
                    config,
                    materials.console_store,
                    people,
                    clock.clone(),
                )?)
            }
            None => None,
        };
        let platforms: Vec<Arc<dyn ChatPlatform>> = console
            .iter()
            .map(|console| console.clone() as Arc<dyn ChatPlatform>)
            .chain(materials.platforms.all())
            .collect();
        let mut templates = Templates::load(materials.templates.as_deref())?;
        for platform in &platforms {
            let escape = platform.clone();
            templates.add_platform(
                platform.name(),
                Arc::new(move |text: &str| escape.escape(text)),
            );
        }
        let templates = Arc::new(templates);
        let components: Vec<_> = rollbot_plugins::components()
            .iter()
            .map(|component| (component.name, component.bytes))
            .collect();
        let engine = Engine::new(materials.engine)?;
        let workshop = Workshop::open(
            engine,
            materials.hosts,
            clock.clone(),
            store.clone(),
            &components,
        )
        .await?;
        let outbox = Outbox::new(
            store.clone(),
            clock.clone(),
            templates.clone(),
            platforms.iter().cloned(),
            materials.outbox,
        );
        let conductor = Conductor::new(
            store.clone(),
            clock.clone(),
            catalogue.clone(),
            Arc::new(workshop),
            outbox.clone(),
            platforms.clone(),
        );
        let desk = Arc::new(Desk::new(
            store.clone(),
            clock,
            catalogue,
            conductor.clone(),
            templates,
        ));
        let console_listener = match &console {
            Some(console) => Some(
                tokio::net::TcpListener::bind(console.config().listen)
                    .await
                    .with_context(|| {
                        format!("the console cannot listen on {}", console.config().listen)
                    })?,
            ),
            None => None,
        };
        let address = console_listener
            .as_ref()
            .map(|listener| listener.local_addr())
            .transpose()?;
        let webhooks = materials.platforms.bind().await?;
        let rollbot_config::Control { socket, group } = materials.control;
        let listener = bind(&socket, group.as_deref())
            .with_context(|| format!("the control socket {} cannot be opened", socket.display()))?;
        let control = ControlServer::new(desk.clone(), console.clone(), listener, socket);
        let health = Arc::new(Readiness {
            store: store.clone(),
            outbox: outbox.clone(),
            platforms,
        });
        Ok(Self {
            store,
            conductor,
            desk,
            outbox,
            console,
            address,
            console_listener,
            connected: materials.platforms,
            webhooks,
            control,
            health,
            _lock: lock,
        })
    }

    /// Goes on with what was under way, and serves until `shutdown` completes.
    ///
    /// # Errors
    /// The store did not answer at start, or the console ended.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        let resumed = self.conductor.resume().await?;
        tracing::info!(resumed, "rollbot is ready");
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let console = async {
            match (self.console, self.console_listener) {
                (Some(console), Some(listener)) => {
                    let mut stopped = stopped.clone();
                    let until = async move {
                        let _ = stopped.wait_for(|stop| *stop).await;
                    };
                    console
                        .serve(listener, self.desk.clone(), self.health.clone(), until)
                        .await
                }
                _ => {
                    let mut stopped = stopped.clone();
                    let _ = stopped.wait_for(|stop| *stop).await;
                    Ok(())
                }
            }
        };
        let platforms = self
            .connected
            .run(self.webhooks, self.desk.clone(), stopped.clone());
        let outbox = self.outbox.clone();
        let ending = async {
            shutdown.await;
            tracing::info!("rollbot ends; whatever is under way goes on at the next start");
            // What was written a moment ago is sent yet, if that is quick.
            self.outbox.wake();
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = stop.send(true);
        };
        tokio::select! {
            (served, (), ()) = async { tokio::join!(console, platforms, ending) } => {
                served.context("the console ended")?;
            }
            () = self.control.run() => {}
            () = outbox.run() => {}
        }
        Ok(())
    }
}

/// One bot a state directory: two would both answer.
fn lock(directory: &Path) -> anyhow::Result<std::fs::File> {
    let path = directory.join("lock");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("{} cannot be opened", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => anyhow::bail!(
            "another rollbot works in {}: end it first, or give this one a state_directory of its own",
            directory.display()
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", path.display()))
        }
    }
}

struct Readiness {
    store: Arc<dyn Store>,
    outbox: Arc<Outbox>,
    platforms: Vec<Arc<dyn ChatPlatform>>,
}

/// How a platform stands, both ways.
#[derive(serde::Serialize)]
struct Standing {
    platform: String,
    #[serde(flatten)]
    connection: Connection,
    sending: Option<Reach>,
}

#[async_trait]
impl Health for Readiness {
    async fn live(&self) -> HealthReport {
        HealthReport {
            ok: true,
            details: serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }),
        }
    }

    async fn ready(&self) -> HealthReport {
        let store = self.store.check_writable().await;
        let reach = self.outbox.reach();
        let platforms: Vec<_> = self
            .platforms
            .iter()
            .map(|platform| Standing {
                platform: platform.name().to_owned(),
                connection: platform.connection(),
                sending: reach
                    .iter()
                    .find(|reach| reach.platform == platform.name())
                    .cloned(),
            })
            .collect();
        let chat = platforms.iter().all(|standing| {
            let sends = standing.sending.as_ref();
            standing.connection == Connection::Up
                && sends.is_none_or(|reach| reach.last_error.is_none())
        });
        HealthReport {
            ok: store.is_ok() && chat,
            details: serde_json::json!({
                "store": store.err().map(|error| error.to_string()),
                "platforms": platforms,
            }),
        }
    }
}
