//! Units without a service manager: each is a configured command.

mod record;
mod spawn;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::{
    ChangeReport, Deadlines, Error, Misconfigured, PortOwner, Processes, StartRequest,
    StatusReport, StopMethod, StopRequest, UnitState, UnitStatus,
    identity::{Identity, Stat},
    log_tail, port,
    port_owners::free_port,
    types::seconds,
};
use record::{Found, Record};
use spawn::Spawned;

const POLL: Duration = Duration::from_millis(50);

/// A command that ended without an error may have left a daemon behind, which gets this long to
/// take its port.
const DAEMON: Duration = Duration::from_secs(10);

/// A unit that is a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandUnit {
    /// What the unit is called: letters, digits, and `-_.@`.
    pub name: String,
    /// Program and arguments. No shell sees them. The program is an absolute path, or a name that
    /// is looked up in `PATH`.
    pub argv: Vec<String>,
    /// Where the command runs; the bot's own directory if it is not given.
    #[serde(default)]
    pub working_directory: Option<PathBuf>,
    /// Added to the few harmless variables that are passed on (`PATH`, `HOME`, `LANG`, …). The
    /// bot's own environment holds secrets, and is not passed on.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Standard output and error are appended to this file.
    pub log_file: PathBuf,
    /// The TCP port which the command listens on when it is ready.
    #[serde(default)]
    pub port: Option<u16>,
}

/// Units that are started as commands, each in a session of its own, so that they outlive the bot.
///
/// A unit runs if the process that was noted at its start runs, or if its port has an owner that is
/// not a container's. Where the bot itself is a systemd service, that service needs
/// `KillMode=process`: otherwise systemd ends the units together with the bot.
pub struct CommandUnits {
    units: Vec<Unit>,
    deadlines: Deadlines,
}

struct Unit {
    command: CommandUnit,
    record: Record,
    /// Held while the unit is changed, so that two starts do not both find it stopped.
    changing: Mutex<()>,
}

impl CommandUnits {
    /// # Errors
    /// [`Misconfigured`] names the unit and what is wrong with it.
    pub fn new(
        state_directory: PathBuf,
        units: Vec<CommandUnit>,
        deadlines: Deadlines,
    ) -> Result<Self, Misconfigured> {
        let directory = std::path::absolute(&state_directory).map_err(|e| {
            Misconfigured(format!(
                "state-directory {} cannot be used: {e}",
                state_directory.display()
            ))
        })?;
        let mut names = BTreeSet::new();
        let mut ports = BTreeMap::new();
        for unit in &units {
            check(unit)?;
            if !names.insert(plain(&unit.name)) {
                return Err(Misconfigured(format!(
                    "Two units are called {}: each name may be used once",
                    unit.name
                )));
            }
            if let Some(port) = unit.port
                && let Some(other) = ports.insert(port, &unit.name)
            {
                return Err(Misconfigured(format!(
                    "The units {other} and {} both have port {port}: a port has one owner",
                    unit.name
                )));
            }
        }
        Ok(Self {
            units: units
                .into_iter()
                .map(|command| Unit {
                    record: Record::new(&directory, plain(&command.name)),
                    command,
                    changing: Mutex::new(()),
                })
                .collect(),
            deadlines,
        })
    }

    fn unit(&self, name: &str) -> Option<&Unit> {
        self.units
            .iter()
            .find(|unit| plain(&unit.command.name) == plain(name))
    }

    /// All units by these names, or the error for the first one that is not configured: nothing is
    /// done by halves because of a misspelt name.
    fn all(&self, names: &[String]) -> Result<Vec<&Unit>, Error> {
        names
            .iter()
            .map(|name| {
                self.unit(name).ok_or_else(|| {
                    Error::UnknownUnit(format!(
                        "No unit {name} is configured; configured are: {}",
                        match self.units.is_empty() {
                            true => "none".to_owned(),
                            false => self
                                .units
                                .iter()
                                .map(|u| u.command.name.as_str())
                                .collect::<Vec<_>>()
                                .join(", "),
                        }
                    ))
                })
            })
            .collect()
    }
}

/// The name without the ending that people write out of habit.
fn plain(name: &str) -> &str {
    name.strip_suffix(".service").unwrap_or(name)
}

fn check(unit: &CommandUnit) -> Result<(), Misconfigured> {
    let wrong = |what: String| Err(Misconfigured(format!("Unit {:?}: {what}", unit.name)));
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if plain(&unit.name).is_empty() || unit.name.starts_with('.') || !unit.name.chars().all(allowed)
    {
        return wrong("a name consists of letters, digits and -_.@".to_owned());
    }
    let Some(program) = unit.argv.first().filter(|p| !p.is_empty()) else {
        return wrong("argv needs at least the program".to_owned());
    };
    if program.contains('/') && !Path::new(program).is_absolute() {
        return wrong(format!(
            "the program {program} is a relative path: give an absolute one, or a name in PATH"
        ));
    }
    if unit.port == Some(0) {
        return wrong("port 0 is no port; leave it out if the unit has none".to_owned());
    }
    Ok(())
}

impl Unit {
    fn name(&self) -> &str {
        &self.command.name
    }

    async fn owner(&self, deadlines: &Deadlines) -> Result<Option<PortOwner>, Error> {
        port::owner_of(self.command.port, deadlines).await
    }

    async fn status(&self, asked: &str, deadlines: &Deadlines) -> Result<UnitStatus, Error> {
        let owner = self.owner(deadlines).await?.filter(|o| !o.is_container());
        let (state, sub_state, pid) = match (self.record.find().await?, owner) {
            (Found::Running(process), Some(_)) => (UnitState::Active, "running", Some(process.pid)),
            (Found::Running(process), None) if self.command.port.is_some() => {
                (UnitState::Activating, "not-listening", Some(process.pid))
            }
            (Found::Running(process), None) => (UnitState::Active, "running", Some(process.pid)),
            (_, Some(owner)) => (
                UnitState::Active,
                "running",
                Some(owner.pid).filter(|pid| *pid != 0),
            ),
            (Found::Gone, None) => (UnitState::Failed, "gone", None),
            (Found::Nothing, None) => (UnitState::Inactive, "dead", None),
        };
        Ok(UnitStatus {
            unit: asked.to_owned(),
            state,
            sub_state: sub_state.to_owned(),
            pid,
        })
    }

    async fn stop(&self, grace: Duration, deadlines: &Deadlines) -> Result<String, Error> {
        let _changing = self.changing.lock().await;
        let mut done = Vec::new();
        if let Found::Running(process) = self.record.find().await? {
            let name = Stat::read(process.pid).map_or_else(String::new, |stat| stat.name);
            done.push(process.terminate(&name, grace, deadlines.kill).await?);
        }
        self.record.remove()?;
        if let Some(port) = self.command.port
            && self
                .owner(deadlines)
                .await?
                .is_some_and(|owner| !owner.is_container())
        {
            done.push(port::free(port, grace, deadlines).await?);
        }
        Ok(match done.is_empty() {
            true => format!("{} was not running", self.name()),
            false => format!("{}: {}", self.name(), done.join("; ")),
        })
    }

    async fn start(&self, deadlines: &Deadlines) -> Result<String, Error> {
        let _changing = self.changing.lock().await;
        match self.owner(deadlines).await? {
            Some(owner) if owner.is_container() => {
                return Err(Error::Failed(format!(
                    "{} cannot start: its port {} belongs to a container ({}); stop the container \
                     first",
                    self.name(),
                    owner.port,
                    owner.label()
                )));
            }
            Some(owner) => {
                return Ok(format!(
                    "{} was running already: port {} is owned by {}",
                    self.name(),
                    owner.port,
                    owner.label()
                ));
            }
            None => {}
        }
        let log = &self.command.log_file;
        if let Found::Running(process) = self.record.find().await? {
            let begun = Begun {
                process,
                child: None,
                log_from: std::fs::metadata(log).map_or(0, |m| m.len()),
                how: format!("{} was running already as {}", self.name(), process.pid),
            };
            return self.ready(begun, deadlines).await;
        }
        let Spawned {
            child,
            process,
            log_from,
        } = spawn::spawn(&self.command, &self.record.marker()).map_err(|e| {
            Error::Failed(format!(
                "{} cannot be started: {e}; the command is {:?}",
                self.name(),
                self.command.argv
            ))
        })?;
        let begun = Begun {
            process,
            child: Some(child),
            log_from,
            how: format!("Started {} as {}", self.name(), process.pid),
        };
        self.record.write(&process)?;
        self.ready(begun, deadlines).await
    }

    /// Waits until the unit runs, or until it is clear that it does not.
    async fn ready(&self, mut begun: Begun, deadlines: &Deadlines) -> Result<String, Error> {
        let clock = Instant::now();
        let mut left_a_daemon: Option<Instant> = None;
        loop {
            // The owner is looked at last, so that a process that ended because its port was taken
            // before it finds that port owned.
            let ended = begun.ended();
            let owner = self.owner(deadlines).await?;
            match &owner {
                Some(owner) if owner.is_container() => {
                    return Err(Error::Failed(format!(
                        "{} lost its port {} to a container ({}){}",
                        self.name(),
                        owner.port,
                        owner.label(),
                        self.evidence(begun.log_from)
                    )));
                }
                Some(owner) => {
                    let how = format!(
                        "{}; port {} is owned by {} after {}",
                        begun.how,
                        owner.port,
                        owner.label(),
                        seconds(clock.elapsed())
                    );
                    begun.let_go(self.name());
                    return Ok(how);
                }
                None => {}
            }
            match ended {
                Some(how) if how.daemon_possible && self.command.port.is_some() => {
                    let since = *left_a_daemon.get_or_insert_with(Instant::now);
                    if since.elapsed() > DAEMON.min(deadlines.start) {
                        return Err(self.died(&how.text, begun.log_from));
                    }
                }
                Some(how) => return Err(self.died(&how.text, begun.log_from)),
                None if self.command.port.is_none() && clock.elapsed() >= deadlines.settle => {
                    let how = begun.how.clone();
                    begun.let_go(self.name());
                    return Ok(how);
                }
                None => {}
            }
            if clock.elapsed() > deadlines.start {
                let evidence = self.evidence(begun.log_from);
                begun.let_go(self.name());
                return Err(Error::TimedOut(format!(
                    "{} runs as {}, but nothing listens on port {} after {}{evidence}",
                    self.name(),
                    begun.process.pid,
                    self.command.port.unwrap_or_default(),
                    seconds(deadlines.start),
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn died(&self, how: &str, log_from: u64) -> Error {
        // Kept on failure: the message matters more than a stale note, which is recognised anyway.
        if let Err(error) = self.record.remove() {
            tracing::warn!(unit = self.name(), %error, "a note about an ended process remains");
        }
        Error::Failed(format!(
            "{} ended right after its start ({how}){}",
            self.name(),
            self.evidence(log_from)
        ))
    }

    fn evidence(&self, log_from: u64) -> String {
        let log = &self.command.log_file;
        match log_tail::since(log, log_from) {
            Ok(lines) => log_tail::appended(&lines),
            Err(error) => format!("; its log {} cannot be read: {error}", log.display()),
        }
    }
}

/// A start under way.
struct Begun {
    process: Identity,
    /// Present if this bot process started it.
    child: Option<tokio::process::Child>,
    log_from: u64,
    how: String,
}

struct Ended {
    text: String,
    daemon_possible: bool,
}

impl Begun {
    fn ended(&mut self) -> Option<Ended> {
        match self.child.as_mut().map(tokio::process::Child::try_wait) {
            Some(Ok(Some(status))) => Some(Ended {
                text: status.to_string(),
                daemon_possible: status.success(),
            }),
            Some(Ok(None)) => None,
            _ => (!self.process.alive()).then(|| Ended {
                text: "how is not known, as it was started earlier".to_owned(),
                daemon_possible: false,
            }),
        }
    }

    /// Leaves the process to itself. Somebody still has to take note of its end, or it would
    /// remain in the process table.
    fn let_go(&mut self, name: &str) {
        if let Some(mut child) = self.child.take() {
            let name = name.to_owned();
            let pid = self.process.pid;
            tokio::spawn(async move {
                match child.wait().await {
                    Ok(status) => tracing::info!(unit = name, pid, %status, "a unit ended"),
                    Err(error) => tracing::warn!(unit = name, pid, %error, "a unit was lost"),
                }
            });
        }
    }
}

#[async_trait]
impl Processes for CommandUnits {
    async fn status(&self, units: &[String], port: Option<u16>) -> Result<StatusReport, Error> {
        let mut seen = Vec::with_capacity(units.len());
        for name in units {
            seen.push(match self.unit(name) {
                Some(unit) => unit.status(name, &self.deadlines).await?,
                None => UnitStatus {
                    unit: name.clone(),
                    state: UnitState::NotFound,
                    sub_state: "not-configured".to_owned(),
                    pid: None,
                },
            });
        }
        Ok(StatusReport {
            units: seen,
            owner: port::owner_of(port, &self.deadlines).await?,
            service_manager: true,
        })
    }

    async fn stop(&self, request: &StopRequest) -> Result<ChangeReport, Error> {
        let how = match request.method {
            StopMethod::ServiceManager => {
                let mut done = Vec::new();
                for unit in self.all(&request.units)? {
                    done.push(unit.stop(request.grace, &self.deadlines).await?);
                }
                port::must_be_free(request.port, &self.deadlines).await?;
                done.join(". ")
            }
            StopMethod::PortOwner => {
                let how = free_port(request, &self.deadlines).await?;
                // What was stopped on purpose must not look as if it had failed.
                for unit in &self.units {
                    let _changing = unit.changing.lock().await;
                    if matches!(unit.record.find().await?, Found::Gone)
                        && (unit.command.port == request.port
                            || request.units.iter().any(|n| plain(n) == plain(unit.name())))
                    {
                        unit.record.remove()?;
                    }
                }
                how
            }
        };
        let status = self.status(&request.units, request.port).await?;
        Ok(ChangeReport { status, how })
    }

    async fn start(&self, request: &StartRequest) -> Result<ChangeReport, Error> {
        let mut done = Vec::new();
        for unit in self.all(&request.units)? {
            done.push(unit.start(&self.deadlines).await?);
        }
        if let Some(port) = request.port
            && port::owned_within(port, self.deadlines.start, &self.deadlines)
                .await?
                .is_none()
        {
            return Err(Error::TimedOut(format!(
                "{}; but nothing listens on port {port} after {}",
                done.join(". "),
                seconds(self.deadlines.start)
            )));
        }
        let status = self.status(&request.units, request.port).await?;
        Ok(ChangeReport {
            status,
            how: done.join(". "),
        })
    }
}
