//! The `rollbot` command. Everything it does is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use owo_colors::OwoColorize as _;

fn main() -> ExitCode {
    let cli = rollbot::cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("{} no runtime: {error}", "error:".red().bold());
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(rollbot::cli::run(cli, rollbot::cli::Setup::default())) {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("{} {error:#}", "error:".red().bold());
            ExitCode::from(2)
        }
    }
}
