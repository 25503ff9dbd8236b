//! One of six small services of a trading platform, for demonstrations and tests of rollbacks.
//!
//! The same binary runs as a native process and as the only file of a container image. It keeps its
//! data in one directory, tells which deployment it is, and ends within a second of SIGTERM. What
//! it serves is described by [`config::HELP`].

mod accounts;
mod backtests;
mod catalogue;
mod client;
mod config;
mod faults;
mod journal;
mod log;
mod market;
mod orders;
mod peers;
mod reply;
mod server;
mod signals;

use std::io::Write;
use std::process::ExitCode;

use config::Command;

fn main() -> ExitCode {
    let command = match config::read(std::env::args().skip(1), |name| std::env::var(name).ok()) {
        Ok(command) => command,
        Err(error) => {
            complain(&format!("{error}\n\n{}", config::HELP));
            return ExitCode::from(2);
        }
    };
    match command {
        Command::Help => {
            say(config::HELP);
            ExitCode::SUCCESS
        }
        Command::Version => {
            say(env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Command::Health { host, port } => match client::own_health(host, port) {
            Ok(answer) => {
                say(&answer);
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        },
        Command::Serve(config) => match server::serve(*config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error.to_string());
                ExitCode::FAILURE
            }
        },
    }
}

// A closed standard stream must not end a service, so `println!` and its panic are out.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "rollbot-demo-service: {text}");
}
