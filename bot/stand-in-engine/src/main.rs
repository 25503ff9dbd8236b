//! The stand-in engine by itself: `rollbot-stand-in-engine --socket S --state DIR`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let options = match rollbot_stand_in_engine::options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("rollbot-stand-in-engine: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("rollbot-stand-in-engine: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(rollbot_stand_in_engine::run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rollbot-stand-in-engine: {error}");
            ExitCode::FAILURE
        }
    }
}
