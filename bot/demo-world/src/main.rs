//! A world by itself, for tests and for trying things by hand.

use std::path::PathBuf;
use std::process::ExitCode;

use rollbot_demo_world::{EngineChoice, OpenOptions, World, WorldOptions};

const HELP: &str = "\
rollbot-demo-world create DIR [--engine auto|stand-in|SOCKET] [--port-base PORT]
rollbot-demo-world open DIR      find it again, and make up what is missing
rollbot-demo-world show DIR      tell who serves
rollbot-demo-world stop DIR      end everything that it made";

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .init();
    let result = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(run(std::env::args().skip(1).collect())));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rollbot-demo-world: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(words: Vec<String>) -> Result<(), String> {
    let Some((command, rest)) = words.split_first() else {
        return Err(HELP.to_owned());
    };
    if command == "stand-in-engine" {
        let options = rollbot_stand_in_engine::options(rest.iter().cloned())?;
        return rollbot_stand_in_engine::run(options)
            .await
            .map_err(|error| error.to_string());
    }
    let (dir, rest) = rest.split_first().ok_or(HELP)?;
    let dir = PathBuf::from(dir);
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let stand_in_command = vec![own.display().to_string(), "stand-in-engine".to_owned()];
    match command.as_str() {
        "create" => {
            let mut options = WorldOptions {
                engine: EngineChoice::Auto,
                port_base: None,
                stand_in_command: stand_in_command.clone(),
            };
            for pair in rest.chunks(2) {
                match pair {
                    [name, value] if name == "--engine" => {
                        options.engine = match value.as_str() {
                            "auto" => EngineChoice::Auto,
                            "stand-in" => EngineChoice::StandIn,
                            socket => EngineChoice::Docker(socket.into()),
                        };
                    }
                    [name, value] if name == "--port-base" => {
                        options.port_base = Some(value.parse().map_err(|_| HELP)?);
                    }
                    _ => return Err(HELP.to_owned()),
                }
            }
            let world = World::create(&dir, options)
                .await
                .map_err(|error| error.to_string())?;
            print!("{}", world.describe());
        }
        "open" => {
            let options = OpenOptions {
                stand_in_command: Some(stand_in_command),
                ..OpenOptions::default()
            };
            let world = World::open_with(&dir, options)
                .await
                .map_err(|error| error.to_string())?;
            print!("{}", world.describe());
        }
        "show" => {
            let world = World::load(&dir).map_err(|error| error.to_string())?;
            print!("{}", world.describe());
            for seen in world.observe().await {
                println!(
                    "{:<11} {:?}, {}",
                    seen.service, seen.deployment, seen.detail
                );
            }
        }
        "stop" => World::load(&dir)
            .map_err(|error| error.to_string())?
            .stop()
            .await
            .map_err(|error| error.to_string())?,
        _ => return Err(HELP.to_owned()),
    }
    Ok(())
}
