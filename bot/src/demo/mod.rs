//! `rollbot demo`: the product on a platform of its own, on this machine, with nothing faked that
//! the machine can do.
//!
//! The world (services, containers, data, registry) is `rollbot-demo-world`; the bot is the one that
//! `serve` runs, from a configuration that is written into the demo's directory. The only
//! difference is that the page lets its visitor act as any of the demo's people.

mod configuration;
mod unattended;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use owo_colors::OwoColorize as _;
use rollbot_chat_console::Access;
use rollbot_core::PersonId;
use rollbot_core::operation::{Operation, State};
use rollbot_core::store::{OperationFilter, Store};
use rollbot_demo_world::{EngineChoice, OpenOptions, World, WorldOptions};
use rollbot_store_sqlite::SqliteStore;

use crate::bot::Bot;
use crate::cli::{DemoArgs, Ended, EngineArg, Setup, StandInArgs, print_json, say};
use crate::serve::{load, log_to_stderr, materials, told_to_end};

pub async fn demo(args: DemoArgs, setup: Setup) -> Ended {
    let fresh = args.unattended && args.directory.is_none();
    let directory = match &args.directory {
        Some(directory) => std::path::absolute(directory)?,
        // Kept: the timeline it prints names this place, and a failed demo is worth a look.
        None if fresh => tempfile::Builder::new()
            .prefix("rollbot-demo-")
            .tempdir()?
            .keep(),
        None => default_directory()?,
    };
    if args.clean {
        return clean(&directory).await;
    }
    let told = if args.json {
        Teller::Silent
    } else {
        Teller::Aloud
    };
    told.say(&format!(
        "Everything this demo makes is in {}",
        directory.display().bold()
    ));
    let world = world(&directory, &args, told).await?;
    told.say(&format!(
        "Six services run natively, their containers wait in {}: {}",
        world.engine_kind().name().bold(),
        world.engine_reason()
    ));
    let port = if args.unattended && args.directory.is_none() {
        0
    } else {
        args.port
    };
    let port = if port == 0 { free_port()? } else { port };
    let config_directory = directory.join("config");
    configuration::write(&config_directory, &directory, &world, port)?;
    let config = load(&config_directory)?;
    log_to_file_or_stderr(&config, &directory, args.unattended);
    let access = Access::Demo {
        people: configuration::PEOPLE.map(PersonId::from).to_vec(),
    };
    let bot = Bot::open(materials(&config, &setup, Some(access)).await?).await?;
    let base = format!("http://127.0.0.1:{port}");
    if args.unattended {
        return play(bot, world, &base, &args, &config_directory, fresh, told).await;
    }
    say(&format!(
        "\n  The chat is open: {}\n",
        base.bold().underline()
    ));
    say("  Act as Ana and type   /rollback trade reason: orders failing");
    say("  then act as Ben and as Cleo, and press ✅ under the plan. Dan may not approve.\n");
    say(&format!(
        "  From a shell:  rollbot --config {} show RB-1",
        config_directory.display()
    ));
    say(
        "  Ctrl-C ends the bot; services go on, and the next start resumes. `demo --clean` removes all.\n",
    );
    bot.run(told_to_end()).await?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Teller {
    Aloud,
    Silent,
}

impl Teller {
    fn say(self, text: &str) {
        if self == Teller::Aloud {
            say(text);
        }
    }
}

/// Where a demo lives that nobody named a place for.
fn default_directory() -> anyhow::Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    match state {
        Some(state) => Ok(state.join("rollbot/demo")),
        None => bail!("neither HOME nor XDG_STATE_HOME is set: name a place with --directory"),
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}

/// A world that stands: made, or found again as it was left.
async fn world(directory: &Path, args: &DemoArgs, told: Teller) -> anyhow::Result<World> {
    let own = std::env::current_exe().context("this program does not know its own path")?;
    let stand_in_command = vec![own.display().to_string(), "stand-in-engine".to_owned()];
    if directory.join("world.json").exists() {
        let options = OpenOptions {
            stand_in_command: Some(stand_in_command),
            keep_stopped: under_way(directory).await,
        };
        return Ok(World::open_with(directory, options).await?);
    }
    told.say("Making the demo's world: services, containers, data …");
    let engine = match args.engine {
        EngineArg::Auto => EngineChoice::Auto,
        EngineArg::StandIn => EngineChoice::StandIn,
        EngineArg::Docker => EngineChoice::Docker(docker_socket()),
    };
    let options = WorldOptions {
        engine,
        port_base: args.service_ports,
        stand_in_command,
    };
    Ok(World::create(directory, options).await?)
}

fn docker_socket() -> PathBuf {
    std::env::var("DOCKER_HOST")
        .ok()
        .and_then(|host| host.strip_prefix("unix://").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("/var/run/docker.sock"))
}

/// Services that an operation has its hands on: after a restart of the machine they are not
/// started beside it.
async fn under_way(directory: &Path) -> BTreeSet<String> {
    let path = directory.join("state/rollbot.sqlite");
    let Ok(store) = SqliteStore::open_read_only(&path).await else {
        return BTreeSet::new();
    };
    let states = State::ALL
        .into_iter()
        .filter(|state| state.is_under_way())
        .collect();
    let filter = OperationFilter {
        service: None,
        states,
        limit: 100,
    };
    store
        .operations(filter)
        .await
        .unwrap_or_default()
        .into_iter()
        .map(|operation| operation.service)
        .collect()
}

async fn clean(directory: &Path) -> Ended {
    if !directory.join("world.json").exists() {
        say(&format!("There is no demo in {}.", directory.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let own = std::env::current_exe()?.display().to_string();
    let options = OpenOptions {
        stand_in_command: Some(vec![own, "stand-in-engine".to_owned()]),
        keep_stopped: rollbot_demo_world_services(),
    };
    let mut world = World::open_with(directory, options).await?;
    world.stop().await?;
    std::fs::remove_dir_all(directory).with_context(|| directory.display().to_string())?;
    say(&format!(
        "Services, containers and {} are gone.",
        directory.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// All of them: nothing is started just to be stopped.
fn rollbot_demo_world_services() -> BTreeSet<String> {
    configuration::ALL_SERVICES.map(str::to_owned).into()
}

/// On a terminal that is watched the log would be in the way of what is printed.
fn log_to_file_or_stderr(config: &rollbot_config::Config, directory: &Path, unattended: bool) {
    if !unattended && !std::io::stderr().is_terminal() {
        log_to_stderr(config, None);
        return;
    }
    let path = directory.join("state/rollbot.log");
    let file = std::fs::create_dir_all(directory.join("state")).and_then(|()| {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
    });
    if let Ok(file) = file {
        let _ = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(Arc::new(file))
            .with_env_filter(
                tracing_subscriber::EnvFilter::try_from_env("ROLLBOT_LOG")
                    .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
            )
            .try_init();
    }
}

/// The whole scenario, and the verdict.
async fn play(
    bot: Bot,
    mut world: World,
    base: &str,
    args: &DemoArgs,
    config: &Path,
    fresh: bool,
    told: Teller,
) -> Ended {
    let store = bot.store.clone();
    let outbox = bot.outbox.clone();
    let cast = unattended::Cast::new(base.to_owned(), configuration::OPERATORS)?;
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = bot.run(async move {
        let _ = ended.await;
    });
    let spinner = (told == Teller::Aloud && std::io::stderr().is_terminal()).then(|| {
        let spinner = indicatif::ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    });
    let playing = async {
        let tell = |operation: &Operation| {
            let text = format!(
                "{} {} of {}: {}",
                operation.id,
                operation.procedure,
                operation.service,
                operation.state.in_words()
            );
            match &spinner {
                Some(spinner) => spinner.set_message(text),
                None => told.say(&text),
            }
        };
        let played = cast.play(store.as_ref(), tell).await;
        if let Ok(operation) = &played {
            outbox
                .drained(operation.id, Duration::from_secs(10))
                .await?;
        }
        let _ = end.send(());
        played
    };
    let (ran, played) = tokio::join!(running, playing);
    if let Some(spinner) = &spinner {
        spinner.finish_and_clear();
    }
    ran?;
    let operation = match played {
        Ok(operation) => operation,
        Err(error) => {
            told.say(&format!("Left as it is, for a look: {}", config.display()));
            return Err(error);
        }
    };
    let good = operation.state == State::Closed
        && !operation.observed.is_empty()
        && operation.observed.iter().all(|seen| seen.holds);
    if args.json {
        let report =
            unattended::report(store.as_ref(), operation.id, world.engine_kind().name()).await?;
        print_json(&report)?;
    } else {
        let timeline = crate::cli::timeline(store.as_ref(), operation.id).await?;
        say("");
        say(&crate::cli::in_words(&timeline));
    }
    if !args.keep {
        world
            .stop()
            .await
            .context("the demo's services and containers could not all be ended")?;
    }
    if fresh && good && !args.keep {
        // The record is what is worth keeping; it is printed above.
        let _ = std::fs::remove_dir_all(config.parent().unwrap_or(config));
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// The hidden command with which the demo starts its own engine.
pub async fn stand_in(args: StandInArgs) -> Ended {
    let options = rollbot_stand_in_engine::Options {
        socket: args.socket,
        state: args.state,
    };
    rollbot_stand_in_engine::run(options).await?;
    Ok(ExitCode::SUCCESS)
}
