//! Starting a command so that it lives on by itself.

use std::{
    fs::{self, OpenOptions},
    io,
    process::Stdio,
};

use tokio::process::{Child, Command};

use super::{CommandUnit, record::MARK};
use crate::identity::{Identity, Stat};

/// What a program needs to find its way about. Everything else of the bot's environment stays.
const PASSED_ON: [&str; 8] = [
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR",
];

pub(super) struct Spawned {
    pub child: Child,
    pub process: Identity,
    /// Length of the log before the start: what comes after it was written by this process.
    pub log_from: u64,
}

/// Starts the command in a session of its own.
pub(super) fn spawn(unit: &CommandUnit, marker: &str) -> io::Result<Spawned> {
    let (program, arguments) = unit
        .argv
        .split_first()
        .ok_or_else(|| io::Error::other("no program is given"))?;
    let at = |what: &str, path: &std::path::Path, e: io::Error| {
        io::Error::new(e.kind(), format!("{what} {}: {e}", path.display()))
    };
    if let Some(directory) = unit.log_file.parent() {
        fs::create_dir_all(directory).map_err(|e| at("directory of the log", directory, e))?;
    }
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&unit.log_file)
        .map_err(|e| at("log", &unit.log_file, e))?;
    let log_from = log.metadata()?.len();
    // Checked here, since a missing directory and a missing program give the same error.
    if let Some(directory) = &unit.working_directory {
        fs::read_dir(directory).map_err(|e| at("working directory", directory, e))?;
    }

    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(
            PASSED_ON
                .into_iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .envs(&unit.environment)
        .env(MARK, marker)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(false);
    if let Some(directory) = &unit.working_directory {
        command.current_dir(directory);
    }
    own_session(&mut command);

    let child = command.spawn()?;
    let pid = child
        .id()
        .ok_or_else(|| io::Error::other("the process ended before it had begun"))?;
    // Its pid cannot be reused before it is waited for, so this is its own start time even if it
    // has ended.
    let started = Stat::read(pid)
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat cannot be read")))?
        .started;
    Ok(Spawned {
        child,
        process: Identity { pid, started },
        log_from,
    })
}

/// In a session of its own a process hears nothing of the bot's terminal: neither an interrupt from
/// the keyboard nor a hang-up ends it.
#[allow(unsafe_code)]
fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec only async-signal-safe functions may be called. setsid(2) is one,
    // and the conversion of its error neither allocates nor locks.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()
                .map(|_| ())
                .map_err(|errno| io::Error::from_raw_os_error(errno.raw_os_error()))
        });
    }
}
