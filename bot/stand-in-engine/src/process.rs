//! Processes: which one it is, whether it lives, and how to signal it.

use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// The environment variable by which a process is found again whose start was not recorded.
pub const MARK: &str = "ROLLBOT_STAND_IN_CONTAINER";

/// A process id means nothing after the process has ended; with its start time it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    /// Opaque: equal for the same process, and different for any other with this id.
    pub started: String,
}

impl Identity {
    /// `None` when there is no such process, or it has ended and nobody has collected it.
    pub fn of(pid: i32) -> Option<Self> {
        started(pid).map(|started| Self { pid, started })
    }

    pub fn alive(&self) -> bool {
        started(self.pid).is_some_and(|started| started == self.started)
    }

    /// Signals the process, if it is still the same. The group, too, where `group` is set: children
    /// must not outlive a SIGKILL.
    pub fn signal(&self, signal: Signal, group: bool) {
        if !self.alive() {
            return;
        }
        let pid = Pid::from_raw(self.pid);
        if group {
            let _ = killpg(pid, signal);
        }
        let _ = kill(pid, signal);
    }

    /// Returns once the process has ended.
    pub async fn ended(&self) {
        while self.alive() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[cfg(target_os = "linux")]
fn started(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so count from the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{}/{}", boot.trim(), fields.get(19)?))
}

#[cfg(not(target_os = "linux"))]
fn started(pid: i32) -> Option<String> {
    let output = std::process::Command::new("ps")
        .args(["-o", "stat=,lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (state, since) = text.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| since.trim().to_owned())
}

/// The process that carries the mark of a container.
#[cfg(target_os = "linux")]
pub fn find_marked(container: &str) -> Option<Identity> {
    let mark = format!("{MARK}={container}");
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|all| {
                all.split(|byte| *byte == 0)
                    .any(|one| one == mark.as_bytes())
            })
        })
        // A health check carries the mark as well; the container leads its group.
        .filter(|pid| {
            nix::unistd::getpgid(Some(Pid::from_raw(*pid)))
                .is_ok_and(|group| group.as_raw() == *pid)
        })
        .find_map(Identity::of)
}

#[cfg(not(target_os = "linux"))]
pub fn find_marked(_container: &str) -> Option<Identity> {
    None
}

/// `SIGTERM`, `TERM` or `15`.
pub fn signal(text: &str) -> Option<Signal> {
    let text = text.trim().to_ascii_uppercase();
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).ok();
    }
    let name = if text.starts_with("SIG") {
        text
    } else {
        format!("SIG{text}")
    };
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_is_itself_and_a_dead_one_is_nobody() {
        let own = Identity::of(std::process::id() as i32).unwrap();
        assert!(own.alive());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        child.wait().unwrap();
        assert_eq!(Identity::of(pid).filter(|other| other.pid == own.pid), None);
        let stranger = Identity {
            pid: own.pid,
            started: "another time".to_owned(),
        };
        assert!(!stranger.alive());
    }

    #[test]
    fn signals_have_three_spellings() {
        for text in ["SIGTERM", "term", "15"] {
            assert_eq!(signal(text), Some(Signal::SIGTERM));
        }
        assert_eq!(signal("SIGNOTHING"), None);
    }
}
