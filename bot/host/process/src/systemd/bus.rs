//! systemd's D-Bus interface, as far as units are started, stopped and looked at.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::Mutex;
use zbus::{
    Connection, DynamicType, MatchRule, Message, MessageStream, OwnedObjectPath, OwnedVariant,
    connection::Builder, fdo, message::Type,
};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A machine that boots removes many jobs at once.
const QUEUED_SIGNALS: NonZeroUsize = match NonZeroUsize::new(256) {
    Some(n) => n,
    None => NonZeroUsize::MIN,
};

/// What the bus or systemd said instead of an answer.
#[derive(Debug)]
pub(super) enum BusError {
    /// There is no bus, or no systemd on it.
    Down(String),
    /// The bus's policy or polkit.
    Denied(String),
    NoSuchUnit(String),
    Slow(String),
    Refused(String),
}

impl From<zbus::Error> for BusError {
    fn from(error: zbus::Error) -> Self {
        let text = error.to_string();
        match error {
            zbus::Error::InputOutput(e) if e.kind() == std::io::ErrorKind::TimedOut => {
                Self::Slow(text)
            }
            zbus::Error::InputOutput(_)
            | zbus::Error::Connection(..)
            | zbus::Error::Handshake(_)
            | zbus::Error::Address(_) => Self::Down(text),
            zbus::Error::FDO(e) => match *e {
                fdo::Error::AccessDenied(m)
                | fdo::Error::InteractiveAuthorizationRequired(m)
                | fdo::Error::AuthFailed(m) => Self::Denied(m),
                fdo::Error::ServiceUnknown(m)
                | fdo::Error::NameHasNoOwner(m)
                | fdo::Error::SpawnChildExited(m)
                | fdo::Error::Disconnected(m)
                | fdo::Error::NoServer(m) => Self::Down(m),
                fdo::Error::NoReply(m) | fdo::Error::TimedOut(m) | fdo::Error::Timeout(m) => {
                    Self::Slow(m)
                }
                other => Self::Refused(other.to_string()),
            },
            zbus::Error::MethodError(name, message, _) => {
                let message = message.unwrap_or_else(|| name.to_string());
                match name.as_str() {
                    "org.freedesktop.systemd1.NoSuchUnit" => Self::NoSuchUnit(message),
                    _ => Self::Refused(message),
                }
            }
            _ => Self::Refused(text),
        }
    }
}

/// The properties of a unit that say how it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Observation {
    /// `loaded`, `not-found`, `masked`, `error`, `bad-setting`
    pub load: String,
    /// `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`
    pub active: String,
    pub sub: String,
    /// Whether a job for the unit is queued or runs.
    pub job: bool,
    /// 0 where there is none.
    pub main_pid: u32,
    /// `success`, `exit-code`, `signal`, `timeout`, …; empty for units that are no services.
    pub result: String,
    /// `simple`, `oneshot`, …
    pub kind: String,
    /// How the main process ended last: 1 exited, 2 killed, 3 dumped core; 0 if it did not.
    pub exit_code: i32,
    pub exit_status: i32,
    pub restarts: u32,
}

impl Observation {
    pub fn stopped(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }

    pub fn running(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JobEnd {
    /// systemd's word: `done`, `failed`, `timeout`, `canceled`, `dependency`, `skipped`, …
    Removed(String),
    StillThere,
    /// The connection was lost. Whether the job is done shows in the unit's state only.
    ConnectionLost,
}

/// A job in systemd's queue.
pub(super) struct Job {
    path: String,
    signals: Signals,
}

/// The jobs that were removed, as systemd announces them.
struct Signals {
    stream: MessageStream,
    /// Path and result of jobs that ended before we knew which one is ours.
    seen: VecDeque<(String, String)>,
}

impl Signals {
    async fn next(&mut self) -> Option<()> {
        let message = self.stream.next().await?.ok()?;
        let (_, path, _, result): (u32, OwnedObjectPath, String, String) =
            match message.body().deserialize() {
                Ok(arguments) => arguments,
                Err(error) => {
                    tracing::warn!(%error, "systemd announced the end of a job in an unknown form");
                    return Some(());
                }
            };
        if self.seen.len() == QUEUED_SIGNALS.get() {
            self.seen.pop_front();
        }
        self.seen.push_back((path.to_string(), result));
        Some(())
    }
}

impl Job {
    /// Waits for the end of this very job.
    pub async fn ended_within(&mut self, limit: Duration) -> JobEnd {
        let begun = Instant::now();
        loop {
            if let Some((_, result)) = self.signals.seen.iter().find(|(p, _)| *p == self.path) {
                return JobEnd::Removed(result.clone());
            }
            let left = limit.saturating_sub(begun.elapsed());
            match tokio::time::timeout(left, self.signals.next()).await {
                Ok(Some(())) => {}
                Ok(None) => return JobEnd::ConnectionLost,
                Err(_) => return JobEnd::StillThere,
            }
        }
    }
}

/// A connection to systemd that is made anew when it was lost.
pub(super) struct Bus {
    /// `None` for the system bus.
    address: Option<String>,
    deadline: Duration,
    connection: Mutex<Option<Connection>>,
}

impl Bus {
    pub fn new(address: Option<String>, deadline: Duration) -> Self {
        Self {
            address,
            deadline,
            connection: Mutex::new(None),
        }
    }

    pub fn label(&self) -> &str {
        self.address.as_deref().unwrap_or("the system bus")
    }

    async fn connected(&self) -> Result<Connection, BusError> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref().filter(|c| !c.is_closed()) {
            return Ok(connection.clone());
        }
        *held = None;
        let builder = match &self.address {
            Some(address) => Builder::address(address.as_str()),
            None => Builder::system(),
        };
        let connection = self
            .in_time(builder.method_timeout(self.deadline).build())
            .await?;
        // Without a subscriber systemd announces no jobs. It forgets a subscriber that leaves.
        self.in_time(connection.call_method(
            Some(SYSTEMD),
            MANAGER_PATH,
            Some(MANAGER),
            "Subscribe",
            &(),
        ))
        .await?;
        *held = Some(connection.clone());
        Ok(connection)
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, BusError> {
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(BusError::Slow(format!(
                "no answer within {:?}",
                self.deadline
            ))),
        }
    }

    /// Calls systemd; once more on a new connection if the old one turns out to be dead. All calls
    /// that are made may be repeated.
    async fn call<B>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<Message, BusError>
    where
        B: Serialize + DynamicType,
    {
        let mut connection = self.connected().await?;
        let mut again = true;
        loop {
            let answer = self
                .in_time(connection.call_method(Some(SYSTEMD), path, Some(interface), method, body))
                .await;
            match answer {
                Err(_) if again && connection.is_closed() => {
                    again = false;
                    connection = self.connected().await?;
                }
                answer => return answer,
            }
        }
    }

    async fn path(&self, unit: &str) -> Result<String, BusError> {
        // LoadUnit, not GetUnit: systemd drops units that do nothing from its memory.
        let answer = self
            .call(MANAGER_PATH, MANAGER, "LoadUnit", &(unit,))
            .await?;
        let path: OwnedObjectPath = answer.body().deserialize()?;
        Ok(path.to_string())
    }

    async fn properties(
        &self,
        path: &str,
        interface: &str,
    ) -> Result<HashMap<String, OwnedVariant>, BusError> {
        let answer = self.call(path, PROPERTIES, "GetAll", &(interface,)).await?;
        Ok(answer.body().deserialize()?)
    }

    /// The unit as it is now. A unit that does not exist has the load state `not-found`.
    pub async fn observe(&self, unit: &str) -> Result<Observation, BusError> {
        let path = match self.path(unit).await {
            Err(BusError::NoSuchUnit(_)) => {
                return Ok(Observation {
                    load: "not-found".to_owned(),
                    ..Observation::default()
                });
            }
            path => path?,
        };
        let mut of_unit = self.properties(&path, UNIT).await?;
        let mut seen = Observation {
            load: take(&mut of_unit, "LoadState"),
            active: take(&mut of_unit, "ActiveState"),
            sub: take(&mut of_unit, "SubState"),
            job: of_unit
                .remove("Job")
                .and_then(|job| <(u32, OwnedObjectPath)>::try_from(job).ok())
                .is_some_and(|(id, _)| id != 0),
            ..Observation::default()
        };
        if unit.ends_with(".service") && seen.load == "loaded" {
            let mut of_service = self.properties(&path, SERVICE).await?;
            seen.main_pid = take(&mut of_service, "MainPID");
            seen.result = take(&mut of_service, "Result");
            seen.kind = take(&mut of_service, "Type");
            seen.exit_code = take(&mut of_service, "ExecMainCode");
            seen.exit_status = take(&mut of_service, "ExecMainStatus");
            seen.restarts = take(&mut of_service, "NRestarts");
        }
        Ok(seen)
    }

    /// Puts a job into the queue, in mode "replace": it takes the place of a contrary one.
    ///
    /// `method` is `StartUnit` or `StopUnit`.
    pub async fn queue(&self, method: &str, unit: &str) -> Result<Job, BusError> {
        let connection = self.connected().await?;
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .path(MANAGER_PATH)
            .interface(MANAGER)
            .member("JobRemoved")
            .build()?;
        // Listening begins before the job does: a short job ends before its own reply is read.
        let stream = self
            .in_time(MessageStream::for_match_rule(
                rule,
                &connection,
                Some(QUEUED_SIGNALS),
            ))
            .await?;
        let mut signals = Signals {
            stream,
            seen: VecDeque::new(),
        };
        let body = (unit, "replace");
        let call = self.in_time(connection.call_method(
            Some(SYSTEMD),
            MANAGER_PATH,
            Some(MANAGER),
            method,
            &body,
        ));
        tokio::pin!(call);
        // The queue is emptied during the call too: a full one would hold up the reply behind it.
        let mut listening = true;
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut call => break answer?,
                more = signals.next(), if listening => listening = more.is_some(),
            }
        };
        let path: OwnedObjectPath = answer.body().deserialize()?;
        Ok(Job {
            path: path.to_string(),
            signals,
        })
    }

    /// SIGKILL to all processes of the unit.
    pub async fn kill(&self, unit: &str) -> Result<(), BusError> {
        const SIGKILL: i32 = 9;
        self.call(MANAGER_PATH, MANAGER, "KillUnit", &(unit, "all", SIGKILL))
            .await
            .map(|_| ())
    }
}

/// A property that this systemd is too old to have, or that has another type, is as if unset.
fn take<T: TryFrom<OwnedVariant> + Default>(
    properties: &mut HashMap<String, OwnedVariant>,
    name: &str,
) -> T {
    properties
        .remove(name)
        .and_then(|value| T::try_from(value).ok())
        .unwrap_or_default()
}
