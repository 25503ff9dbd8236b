//! `rollbot serve`: the configuration becomes a bot, and the bot runs until it is told to end.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use rollbot_chat_console::{Access, Channel, ConsoleConfig};
use rollbot_config as config;
use rollbot_config::Config;
use rollbot_core::SystemClock;
use rollbot_engine::{Backups, EngineConfig, Host, Hosts, Redactor};
use rollbot_host::{backup, docker, probe, process, registry};
use rollbot_notify::OutboxConfig;
use rollbot_store_sqlite::SqliteStore;

use crate::bot::{Bot, Materials};
use crate::catalogue::Catalogue;
use crate::cli::{Ended, LogFormat, ServeArgs, Setup};
use crate::platforms::Platforms;

/// Reads the configuration; what is wrong is said with file and line.
///
/// # Errors
/// Everything that is wrong in any of the files.
pub fn load(directory: &Path) -> anyhow::Result<Config> {
    Config::load(directory).map_err(anyhow::Error::new)
}

/// The store, to look into while the bot runs or does not.
///
/// # Errors
/// There is none, or it cannot be read.
pub async fn open_to_read(directory: &Path) -> anyhow::Result<SqliteStore> {
    let config = load(directory)?;
    let config::Store::Sqlite { path } = &config.store;
    SqliteStore::open_read_only(path)
        .await
        .with_context(|| format!("the store {} cannot be read", path.display()))
}

/// What a plan needs: the hosts with their real implementations, and the engine's set-up.
pub struct Parts {
    pub catalogue: Catalogue,
    pub hosts: Hosts,
    pub engine: EngineConfig,
}

impl Parts {
    /// # Errors
    /// A part that cannot be set up as configured.
    pub fn from_config(config: &Config) -> anyhow::Result<Self> {
        let secrets: Vec<String> = config
            .secrets
            .values()
            .map(|secret| secret.reveal().to_owned())
            .collect();
        let by_name = config
            .secrets
            .iter()
            .map(|(name, secret)| (name.clone(), secret.reveal().to_owned()))
            .collect();
        let redactor = probe::Redactor::new(secrets.clone());
        let host = Host {
            processes: service_manager(&config.process).open(process::Deadlines::default())?,
            containers: Arc::new(docker::Engine::new(engine_of(&config.docker))),
            backups: Backups {
                archives: Arc::new(backup::Archiver::new(backup::ArchiverConfig {
                    reserve: config.backup.reserve,
                    ..backup::ArchiverConfig::default()
                })),
                directory: config.backup.directory.clone(),
            },
            prober: Arc::new(probe::Prober::new(
                probe::Settings::default(),
                by_name,
                redactor,
            )?),
            registry: match &config.registry {
                config::Registry::JsonFile { path } => {
                    Arc::new(registry::JsonFileRegistry::new(path))
                }
            },
        };
        let names: Vec<_> = config.hosts.keys().cloned().collect();
        Ok(Self {
            catalogue: Catalogue::new(config),
            // One machine so far: every name in the configuration is this one.
            hosts: Hosts::new(
                names.into_iter().map(|name| (name, host.clone())),
                Redactor::new(secrets),
            ),
            engine: config.engine.clone(),
        })
    }
}

fn service_manager(process: &config::Process) -> process::ServiceManager {
    match process {
        config::Process::Auto => process::ServiceManager::Auto,
        config::Process::Systemd { bus } => process::ServiceManager::Systemd { bus: bus.clone() },
        config::Process::Commands {
            state_directory,
            units,
        } => process::ServiceManager::Commands {
            state_directory: state_directory.clone(),
            units: units
                .iter()
                .map(|unit| process::CommandUnit {
                    name: unit.name.clone(),
                    argv: unit.argv.clone(),
                    working_directory: unit.directory.clone(),
                    environment: unit
                        .environment
                        .iter()
                        .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
                        .collect(),
                    log_file: unit.log.clone(),
                    port: unit.port,
                })
                .collect(),
        },
    }
}

fn engine_of(docker: &config::Docker) -> docker::EngineConfig {
    let mut engine = docker::EngineConfig::new(&docker.socket);
    engine.min_free_bytes = docker.min_free;
    engine.projects = docker
        .projects
        .iter()
        .map(|(name, project)| {
            let project = docker::ProjectConfig {
                directory: project.directory.clone(),
                files: project.files.clone(),
                env_file: project.env_file.clone(),
            };
            (name.clone(), project)
        })
        .collect();
    engine
}

/// Everything a bot is made of, as configured. `access` is the demo's own where it is given.
///
/// # Errors
/// A part that cannot be set up as configured.
pub async fn materials(
    config: &Config,
    setup: &Setup,
    demo: Option<Access>,
) -> anyhow::Result<Materials> {
    std::fs::create_dir_all(&config.state_directory)
        .with_context(|| config.state_directory.display().to_string())?;
    let config::Store::Sqlite { path } = &config.store;
    let store = Arc::new(
        SqliteStore::open(path)
            .await
            .with_context(|| format!("the store {} cannot be opened", path.display()))?,
    );
    let parts = Parts::from_config(config)?;
    let console = match &config.console {
        Some(console) => Some(console_of(config, console, demo)?),
        None => None,
    };
    Ok(Materials {
        store: (setup.wrap_store)(store.clone()),
        console_store: store,
        clock: Arc::new(SystemClock),
        catalogue: parts.catalogue,
        hosts: parts.hosts,
        engine: parts.engine,
        templates: config.templates.clone(),
        console,
        platforms: Platforms::from_config(config)?,
        control: config.control.clone(),
        state_directory: config.state_directory.clone(),
        outbox: OutboxConfig {
            operators: config.chat.operations.clone(),
            ..OutboxConfig::default()
        },
    })
}

fn console_of(
    config: &Config,
    console: &config::Console,
    demo: Option<Access>,
) -> anyhow::Result<ConsoleConfig> {
    let access = match (demo, &console.access) {
        (Some(demo), _) => demo,
        (None, config::Access::Login) => Access::Login,
        (None, config::Access::TrustedHeader { header, from }) => Access::TrustedHeader {
            header: header.clone(),
            from: from
                .iter()
                .map(|network| network.parse())
                .collect::<Result<_, _>>()?,
        },
    };
    Ok(ConsoleConfig {
        listen: console.listen,
        public_url: console.public_url.clone(),
        channels: console
            .channels
            .iter()
            .map(|channel| Channel {
                name: channel.name.clone(),
                about: channel.about.clone(),
                announcements: channel.announcements,
            })
            .collect(),
        access,
        title: config.bot.name.clone(),
        product: vec![format!(
            "Rollbacks of {}, driven from here.",
            config.bot.product
        )],
    })
}

/// The control socket of the configured bot.
///
/// # Errors
/// The configuration cannot be read.
pub fn control_socket(directory: &Path) -> anyhow::Result<PathBuf> {
    Ok(load(directory)?.control.socket)
}

pub async fn serve(directory: &Path, args: ServeArgs, setup: Setup) -> Ended {
    let config = load(directory)?;
    log_to_stderr(&config, args.log_format);
    let bot = Bot::open(materials(&config, &setup, None).await?).await?;
    if let Some(address) = bot.address {
        tracing::info!(%address, "the console is open");
    }
    bot.run(told_to_end()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Log lines go to standard error, each with the operation it belongs to.
pub fn log_to_stderr(config: &Config, format: Option<LogFormat>) {
    use tracing_subscriber::EnvFilter;
    let json = match format {
        Some(format) => format == LogFormat::Json,
        None => config.log.format == config::LogFormat::Json,
    };
    let level = config.log.level.as_str();
    let filter = EnvFilter::try_from_env("ROLLBOT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second subscriber is refused; the first one is as good.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.compact().try_init()
    };
}

/// Completes when the process is asked to end, by SIGTERM or by Ctrl-C.
pub async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = interrupted => {}
            _ = terminate.recv() => {}
        },
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be handled");
            let _ = interrupted.await;
        }
    }
}
