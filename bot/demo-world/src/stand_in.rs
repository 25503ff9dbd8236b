//! The stand-in engine as a process of its own.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::detect;
use crate::error::WorldError;
use crate::layout::Layout;

/// What the kernel allows for the path of a socket, less a reserve.
const LONGEST: usize = 100;
const START: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(10);
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "USER", "LANG", "TMPDIR", "RUST_LOG"];

/// Where its socket is: in the world's directory, unless that path would be too long for one.
pub fn socket(layout: &Layout) -> PathBuf {
    let path = layout.run().join("engine.sock");
    if path.as_os_str().len() <= LONGEST {
        return path;
    }
    let digest = hex::encode(Sha256::digest(layout.root().as_os_str().as_bytes()));
    let user = nix::unistd::Uid::effective();
    std::env::temp_dir().join(format!("rollbot-demo-{user}-{}.sock", &digest[..12]))
}

/// Starts it unless it answers already.
pub async fn ensure(layout: &Layout, socket: &Path, command: &[String]) -> Result<(), WorldError> {
    if detect::connect(socket).await.is_ok() {
        return Ok(());
    }
    let log = layout.stand_in_log();
    let failed = |reason: String| WorldError::StandIn {
        reason,
        log: log.clone(),
    };
    let Some((program, arguments)) = command.split_first() else {
        return Err(failed("no program is given for it".to_owned()));
    };
    let output = || {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(WorldError::file(&log))
    };
    // It leaves this session by itself, and survives the end of this process.
    let mut child = Command::new(program)
        .args(arguments)
        .arg("--socket")
        .arg(socket)
        .arg("--state")
        .arg(layout.stand_in_state())
        .env_clear()
        .envs(
            PASSED_ON
                .into_iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .stdin(Stdio::null())
        .stdout(output()?)
        .stderr(output()?)
        .kill_on_drop(false)
        .spawn()
        .map_err(|error| failed(format!("{program}: {error}")))?;
    let begin = Instant::now();
    loop {
        if detect::connect(socket).await.is_ok() {
            break;
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(failed(format!("it ended with {status}")));
        }
        if begin.elapsed() > START {
            let _ = child.start_kill();
            return Err(failed(format!("no answer within {} s", START.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Collected when it ends, as long as this process is there to do so.
    tokio::spawn(async move { child.wait().await });
    Ok(())
}

/// Ends it, if it runs. Its containers are not touched.
pub async fn stop(layout: &Layout, socket: &Path) -> Result<(), WorldError> {
    let path = layout.stand_in_state().join("engine.pid");
    let begin = Instant::now();
    loop {
        // Whoever runs holds the lock, so the number cannot be a stranger's.
        let Ok(file) = File::open(&path) else {
            break;
        };
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(WorldError::file(&path)(error)),
            Err(TryLockError::WouldBlock) => {}
        }
        let pid = std::fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.trim().parse::<i32>().ok());
        let waited = begin.elapsed();
        if let Some(pid) = pid {
            let signal = if waited < END / 2 {
                Signal::SIGTERM
            } else {
                Signal::SIGKILL
            };
            let _ = kill(Pid::from_raw(pid), signal);
        }
        if waited > END {
            return Err(WorldError::StandIn {
                reason: "it does not end".to_owned(),
                log: layout.stand_in_log(),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = std::fs::remove_file(socket);
    Ok(())
}
