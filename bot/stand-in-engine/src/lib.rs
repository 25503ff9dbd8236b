//! A stand-in for the Docker Engine, for machines that have none.
//!
//! It speaks the part of the Engine API 1.41 that a rollback needs, over a Unix socket, so that the
//! same client code meets the same answers: states, health, logs, events, status codes, messages.
//! What it calls a container is a plain process of the image's entry point. There is no isolation
//! whatever: no namespaces, no limits, no network of its own. It says so in `/info`, `/version`, the
//! `Server` header and in the warnings of `containers/create`; it pulls nothing and never pretends.
//!
//! What differs from a container, and how it is bridged:
//!
//! * **Files.** The image's files lie in the state directory, and an absolute entry point is looked
//!   up there. The process sees the machine's own file system. Arguments and values of environment
//!   variables that are a path below the target of a mount are therefore rewritten to the path
//!   below its source: `DATA=/data` with the mount `/srv/trade:/data` becomes `DATA=/srv/trade`.
//! * **Ports.** A process cannot be given a port from outside, so it is told: `PORT` is the host
//!   port of the lowest published container port, `HOST` the host address, and `PORT_9003` the host
//!   port of container port 9003, for each. They win over the container's own environment.
//!   Where a real engine's `docker-proxy` holds the port, here the process does, under the name
//!   [`PROCESS_NAME`].
//! * **Life.** Processes outlive the stand-in. After a restart it finds them again by process id
//!   and start time. The exit code of one that ended meanwhile, or that was found again, cannot be
//!   known: it is reported as 255 with an explanation in `State.Error`.
//! * **Log times.** A process writes its logs itself, so their times are those at which the
//!   stand-in saw the lines, four times a second. A log that has grown to 8 MiB starts anew.

mod api;
mod commands;
mod create;
mod engine;
mod error;
mod events;
mod filters;
mod health;
mod images;
mod inspect;
mod lifecycle;
mod logs;
mod model;
mod process;
mod query;
mod restart;
mod serve;
mod store;
mod transfer;

use std::path::PathBuf;

pub use error::RunError;

/// The `Server` header, by which a client can tell the stand-in from an engine.
pub const SERVER: &str = "rollbot-stand-in";

/// The name of the processes it runs, as the kernel has it (there cut after 15 characters): by it
/// they can be told from a service that runs natively, as `docker-proxy` is with a real engine.
pub const PROCESS_NAME: &str = "stand-in-container";

/// The newest version of the Engine API that is spoken.
pub const API_VERSION: &str = "1.41";

/// The oldest one.
pub const MIN_API_VERSION: &str = "1.24";

/// Where the stand-in listens, and where it keeps images, logs and what it knows.
#[derive(Debug, Clone)]
pub struct Options {
    /// The Unix socket; made with mode 0600. A socket left by a dead process is replaced.
    pub socket: PathBuf,
    /// The state directory; made with mode 0700. One stand-in at a time may use it.
    pub state: PathBuf,
}

/// Serves until SIGTERM or SIGINT. The processes it runs go on; the next one finds them.
///
/// # Errors
/// When the state directory is in use or cannot be read, or the socket cannot be listened on.
pub async fn run(options: Options) -> Result<(), RunError> {
    serve::run(options).await
}

/// Reads `--socket S --state DIR`, in any order.
///
/// # Errors
/// A sentence that says which argument is missing or unknown.
pub fn options(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut socket, mut state) = (None, None);
    let mut arguments = arguments;
    while let Some(word) = arguments.next() {
        let slot = match word.as_str() {
            "--socket" => &mut socket,
            "--state" => &mut state,
            _ => return Err(format!("{word:?} is not an option: --socket S --state DIR")),
        };
        *slot = Some(PathBuf::from(
            arguments
                .next()
                .ok_or_else(|| format!("{word} needs a value"))?,
        ));
    }
    Ok(Options {
        socket: socket.ok_or("--socket is missing")?,
        state: state.ok_or("--state is missing")?,
    })
}
