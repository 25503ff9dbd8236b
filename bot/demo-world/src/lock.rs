//! One process at a time creates, opens or ends a world, and one at a time looks for ports.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::WorldError;
use crate::layout::Layout;

const PATIENCE: Duration = Duration::from_secs(60);

/// Held until it is dropped, also by the end of the process.
pub struct Lock(#[allow(dead_code, reason = "it is held, not read")] File);

/// The lock of a world.
pub async fn world(layout: &Layout) -> Result<Lock, WorldError> {
    let busy = || WorldError::Busy(layout.root().to_owned());
    wait(&layout.lock(), busy).await
}

/// The lock of all this user's worlds: from the search for ports until they are held, so that two
/// worlds do not find the same ones.
pub async fn ports() -> Result<Lock, WorldError> {
    let user = nix::unistd::Uid::effective();
    let path = std::env::temp_dir().join(format!("rollbot-demo-ports-{user}.lock"));
    let busy = || {
        WorldError::Ports(
            "another world has been looking for ports for a minute: try again".to_owned(),
        )
    };
    wait(&path, busy).await
}

async fn wait(path: &Path, busy: impl Fn() -> WorldError) -> Result<Lock, WorldError> {
    let file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(WorldError::file(path))?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::Error(error)) => return Err(WorldError::file(path)(error)),
            Err(TryLockError::WouldBlock) if begin.elapsed() > PATIENCE => return Err(busy()),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
