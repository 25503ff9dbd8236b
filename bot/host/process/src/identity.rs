//! Which process a pid means. A pid alone means nothing: the kernel gives it to another process
//! once its owner has ended. Pid and start time together name one process until the next boot.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::types::{Error, seconds};

/// How often a process that was told to end is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What `/proc/PID/stat` says, as far as it is needed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    pub name: String,
    pub state: char,
    pub parent: u32,
    pub session: u32,
    /// Clock ticks between boot and the start of the process.
    pub started: u64,
}

impl Stat {
    /// `None` when there is no such process.
    pub fn read(pid: u32) -> Option<Self> {
        // A process may call itself what it likes, UTF-8 or not.
        let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&line))
    }

    /// The name is in parentheses and may itself hold parentheses and spaces, so fields are counted
    /// from the last one.
    fn parse(line: &str) -> Option<Self> {
        let (head, tail) = line.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        Some(Self {
            name: name.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// A zombie has ended: it only waits for its parent to take note.
    fn ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// One process, and no other that is given its pid later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub pid: u32,
    pub started: u64,
}

/// What came of sending a signal.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Yes,
    /// The process had ended already.
    Gone,
}

impl Identity {
    /// `None` when no such process runs.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        (!stat.ended()).then_some(Self {
            pid,
            started: stat.started,
        })
    }

    pub fn alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now == *self)
    }

    fn signal(&self, signal: Signal) -> io::Result<Sent> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(Sent::Gone);
        };
        let sent = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => {
                // The descriptor holds whatever has the pid now; only the comparison after it was
                // opened shows that this is the process that was meant.
                if !self.alive() {
                    return Ok(Sent::Gone);
                }
                pidfd_send_signal(process, signal)
            }
            Err(rustix::io::Errno::NOSYS) => {
                if !self.alive() {
                    return Ok(Sent::Gone);
                }
                kill_process(pid, signal)
            }
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => Ok(Sent::Yes),
            Err(rustix::io::Errno::SRCH) => Ok(Sent::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it ended within the time.
    async fn ends_within(&self, limit: Duration) -> bool {
        let begun = Instant::now();
        while self.alive() {
            let Some(left) = limit.checked_sub(begun.elapsed()) else {
                return false;
            };
            tokio::time::sleep(POLL.min(left)).await;
        }
        true
    }

    /// SIGTERM, at most `grace` of waiting, SIGKILL, at most `kill` of waiting. Returns one sentence
    /// that says what was done.
    pub async fn terminate(
        &self,
        name: &str,
        grace: Duration,
        kill: Duration,
    ) -> Result<String, Error> {
        let label = format!("{} ({name})", self.pid);
        if self.pid <= 1 || self.pid == std::process::id() {
            return Err(Error::Failed(format!(
                "{label} is never signalled: it is the system's first process or this bot itself; \
                 look at how the service is configured"
            )));
        }
        let begun = Instant::now();
        let refused = |error: io::Error| {
            Error::Failed(format!(
                "Process {label} cannot be signalled: {error}. Run the bot as the process's user, \
                 or grant it CAP_KILL"
            ))
        };
        if self.signal(Signal::TERM).map_err(refused)? == Sent::Gone {
            return Ok(format!("{label} had already ended"));
        }
        if self.ends_within(grace).await {
            return Ok(format!(
                "SIGTERM to {label}, ended after {}",
                seconds(begun.elapsed())
            ));
        }
        let killed = Instant::now();
        if self.signal(Signal::KILL).map_err(refused)? == Sent::Gone || self.ends_within(kill).await
        {
            return Ok(format!(
                "SIGTERM to {label} without effect for {}, then SIGKILL, ended after another {}",
                seconds(grace),
                seconds(killed.elapsed())
            ));
        }
        Err(Error::TimedOut(format!(
            "Process {label} did not end within {} after SIGKILL: it waits in the kernel, most often \
             for a disk or a network file system; look at /proc/{}/stack and the kernel's log",
            seconds(kill),
            self.pid
        )))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "4711 (a) b (c) S 12 4711 4700 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        assert_eq!(
            Stat::parse(line).unwrap(),
            Stat {
                name: "a) b (c".into(),
                state: 'S',
                parent: 12,
                session: 4700,
                started: 98765
            }
        );
    }

    #[test]
    fn a_damaged_line_is_no_process() {
        assert_eq!(Stat::parse(""), None);
        assert_eq!(Stat::parse("4711 (a) S 1 2"), None);
    }

    #[tokio::test]
    async fn a_reused_pid_is_not_signalled() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let real = Identity::of(child.id()).unwrap();
        let earlier = Identity {
            started: real.started.wrapping_sub(1),
            ..real
        };
        let how = earlier
            .terminate("sleep", Duration::ZERO, Duration::ZERO)
            .await
            .unwrap();
        assert!(how.contains("already ended"), "{how}");
        assert!(real.alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn the_first_process_and_this_one_are_never_signalled() {
        for pid in [1, std::process::id()] {
            let identity = Identity::of(pid).unwrap();
            let refused = identity
                .terminate("x", Duration::ZERO, Duration::ZERO)
                .await
                .unwrap_err();
            assert!(refused.to_string().contains("never signalled"), "{refused}");
        }
    }
}
