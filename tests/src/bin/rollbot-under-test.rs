//! The product as it is, with a store that can kill the process around one of its commits.
//!
//! `ROLLBOT_CRASH_AT=17:before` or `17:after`: the process kills itself, as hard as can be, right
//! before or right after its 17th commit. `ROLLBOT_COUNT_COMMITS=FILE`: the number of commits so
//! far and what the newest one was for are kept there.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use rollbot::cli::{Cli, Setup, run};
use rollbot_tests::crashing::{CrashingStore, Plan};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let plan = match Plan::from_environment() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    let setup = Setup {
        wrap_store: Arc::new(move |store| Arc::new(CrashingStore::new(store, plan.clone()))),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(run(cli, setup)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
