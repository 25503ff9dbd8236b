//! Units of systemd, over D-Bus.

mod bus;
mod evidence;

use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::{
    ChangeReport, Deadlines, Error, Misconfigured, Processes, StartRequest, StatusReport,
    StopMethod, StopRequest, UnitState, UnitStatus, port, port_owners::free_port, types::seconds,
};
use bus::{Bus, BusError, JobEnd, Observation};

const POLL: Duration = Duration::from_millis(100);

/// Endings of unit names. A name without one of them means a service.
const SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".slice",
    ".scope",
    ".device",
];

/// systemd, wherever its bus is.
///
/// A change waits for the end of its own job and takes systemd's word for it, then looks at the
/// unit. A lost connection is made anew; a job that was under way then is judged by the unit's
/// state.
pub struct Systemd {
    bus: Bus,
    /// Log lines are read where the bus is this machine's own.
    own_machine: bool,
    deadlines: Deadlines,
}

impl Systemd {
    /// `address` is a D-Bus address, `None` the system bus. Connects at the first call.
    ///
    /// # Errors
    /// [`Misconfigured`] for an address that is not one.
    pub fn new(address: Option<String>, deadlines: Deadlines) -> Result<Self, Misconfigured> {
        if let Some(address) = &address {
            zbus::Address::try_from(address.as_str()).map_err(|e| {
                Misconfigured(format!(
                    "{address:?} is not the address of a D-Bus ({e}): it looks like \
                     unix:path=/run/dbus/system_bus_socket"
                ))
            })?;
        }
        Ok(Self {
            own_machine: address.is_none(),
            bus: Bus::new(address, deadlines.call),
            deadlines,
        })
    }

    fn error(&self, doing: &str, error: BusError) -> Error {
        match error {
            BusError::Down(why) => Error::UnknownUnit(format!(
                "No service manager answers at {}: {why}",
                self.bus.label()
            )),
            BusError::NoSuchUnit(why) => Error::UnknownUnit(why),
            BusError::Denied(why) => Error::Failed(format!(
                "systemd did not let user {} {doing}: {why}. Allow this user the action \
                 org.freedesktop.systemd1.manage-units for this unit with a polkit rule in \
                 /etc/polkit-1/rules.d",
                rustix::process::geteuid().as_raw()
            )),
            BusError::Slow(why) => Error::TimedOut(format!(
                "systemd did not answer at {} when asked to {doing}: {why}",
                self.bus.label()
            )),
            BusError::Refused(why) => Error::Failed(format!("systemd refused to {doing}: {why}")),
        }
    }

    async fn observe(&self, unit: &str) -> Result<Observation, Error> {
        self.bus
            .observe(unit)
            .await
            .map_err(|e| self.error(&format!("show {unit}"), e))
    }

    /// The unit, if there is one.
    async fn known(&self, unit: &str) -> Result<Observation, Error> {
        let seen = self.observe(unit).await?;
        match seen.load.as_str() {
            "not-found" => Err(Error::UnknownUnit(format!("systemd knows no unit {unit}"))),
            _ => Ok(seen),
        }
    }

    /// Waits until the unit's state is as wanted; for when there is no job to wait for.
    async fn becomes(
        &self,
        unit: &str,
        wanted: impl Fn(&Observation) -> bool,
        limit: Duration,
    ) -> Result<Observation, Error> {
        let begun = Instant::now();
        loop {
            match self.observe(unit).await {
                Ok(seen) if wanted(&seen) || begun.elapsed() >= limit => return Ok(seen),
                // The bus may be about to come back.
                Err(error) if begun.elapsed() >= limit => return Err(error),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn stop_unit(&self, unit: &str, grace: Duration) -> Result<String, Error> {
        let before = self.known(unit).await?;
        if before.stopped() && !before.job {
            return Ok(format!("{unit} was not running ({})", before.active));
        }
        let begun = Instant::now();
        let doing = format!("stop {unit}");
        let mut job = self
            .bus
            .queue("StopUnit", unit)
            .await
            .map_err(|e| self.error(&doing, e))?;
        let mut killed = false;
        let mut end = job.ended_within(grace).await;
        if end == JobEnd::StillThere {
            killed = true;
            self.bus
                .kill(unit)
                .await
                .map_err(|e| self.error(&format!("kill {unit}"), e))?;
            end = job.ended_within(self.deadlines.kill).await;
        }
        let seen = match end {
            JobEnd::ConnectionLost => {
                self.becomes(unit, Observation::stopped, grace + self.deadlines.kill)
                    .await?
            }
            _ => self.observe(unit).await?,
        };
        if !seen.stopped() {
            let what = format!(
                "{unit} is {} ({}) after {}, its stop job {}",
                seen.active,
                seen.sub,
                seconds(begun.elapsed()),
                verdict(&end)
            );
            return Err(match end {
                JobEnd::StillThere => Error::TimedOut(what),
                _ => Error::Failed(format!("{what}{}", self.evidence(unit, &seen).await)),
            });
        }
        let process = match before.main_pid {
            0 => String::new(),
            pid => format!(" (main process {pid})"),
        };
        let remark = match (killed, seen.result.as_str()) {
            (true, _) => format!(
                "; it had not ended within {} and was killed",
                seconds(grace)
            ),
            (false, "" | "success") => String::new(),
            (false, result) => format!("; it did not end cleanly: {result}"),
        };
        Ok(format!(
            "systemd stopped {unit}{process} in {}{remark}",
            seconds(begun.elapsed())
        ))
    }

    async fn start_unit(&self, unit: &str) -> Result<String, Error> {
        let before = self.known(unit).await?;
        match before.load.as_str() {
            "loaded" => {}
            "masked" => {
                return Err(Error::Failed(format!(
                    "{unit} is masked: `systemctl unmask {unit}` lets it start again"
                )));
            }
            load => {
                return Err(Error::Failed(format!(
                    "systemd could not read {unit} ({load}): `systemctl status {unit}` shows why"
                )));
            }
        }
        let begun = Instant::now();
        let already = before.running() && !before.job;
        let first = match already {
            true => before,
            false => self.job_to_start(unit, begun).await?,
        };
        if first.kind == "oneshot" && first.active == "inactive" && first.result == "success" {
            return Ok(format!(
                "systemd ran {unit} in {}",
                seconds(begun.elapsed())
            ));
        }
        // For most services the job is done as soon as the program was executed, whatever becomes
        // of it a moment later; and one that dies again and again runs at times.
        tokio::time::sleep(self.deadlines.settle).await;
        let seen = self.observe(unit).await?;
        if !seen.running() {
            return Err(self
                .not_up(unit, &seen, "was started, and did not stay up")
                .await);
        }
        if seen.main_pid != first.main_pid || seen.restarts != first.restarts {
            let what = format!("dies and is restarted ({} times so far)", seen.restarts);
            return Err(self.not_up(unit, &seen, &what).await);
        }
        Ok(match already {
            true => format!("{unit} was running already{}", main_process(&seen)),
            false => format!(
                "systemd started {unit}{} in {}",
                main_process(&seen),
                seconds(begun.elapsed())
            ),
        })
    }

    /// Queues the job and waits for its end. Returns the unit as it is right afterwards.
    async fn job_to_start(&self, unit: &str, begun: Instant) -> Result<Observation, Error> {
        let mut job = self
            .bus
            .queue("StartUnit", unit)
            .await
            .map_err(|e| self.error(&format!("start {unit}"), e))?;
        let end = job.ended_within(self.deadlines.start).await;
        match &end {
            JobEnd::Removed(result) if result == "done" => self.observe(unit).await,
            JobEnd::Removed(_) => {
                let seen = self.observe(unit).await?;
                let what = format!("did not start, its job {}", verdict(&end));
                Err(self.not_up(unit, &seen, &what).await)
            }
            JobEnd::ConnectionLost => {
                let left = self.deadlines.start.saturating_sub(begun.elapsed());
                let settled = |seen: &Observation| !seen.job && seen.active != "activating";
                self.becomes(unit, settled, left).await
            }
            JobEnd::StillThere => {
                let seen = self.observe(unit).await?;
                Err(Error::TimedOut(format!(
                    "{unit} is not up after {}: it is {} ({}){}",
                    seconds(self.deadlines.start),
                    seen.active,
                    seen.sub,
                    self.evidence(unit, &seen).await
                )))
            }
        }
    }

    async fn not_up(&self, unit: &str, seen: &Observation, what: &str) -> Error {
        Error::Failed(format!(
            "{unit} {what}: it is {} ({}){}",
            seen.active,
            seen.sub,
            self.evidence(unit, seen).await
        ))
    }

    async fn evidence(&self, unit: &str, seen: &Observation) -> String {
        evidence::of(unit, seen, self.own_machine, self.deadlines.call).await
    }

    async fn unit_status(&self, asked: &str) -> Result<UnitStatus, BusError> {
        let seen = self.bus.observe(&full_name(asked)).await?;
        Ok(UnitStatus {
            unit: asked.to_owned(),
            state: match (seen.load.as_str(), seen.active.as_str()) {
                ("not-found", _) => UnitState::NotFound,
                (_, "active" | "reloading" | "refreshing") => UnitState::Active,
                (_, "activating") => UnitState::Activating,
                (_, "deactivating" | "maintenance") => UnitState::Deactivating,
                (_, "failed") => UnitState::Failed,
                _ => UnitState::Inactive,
            },
            sub_state: match seen.load.as_str() {
                "loaded" => seen.sub,
                load => load.to_owned(),
            },
            pid: Some(seen.main_pid).filter(|pid| *pid != 0),
        })
    }
}

/// `cryptobot-trade` is `cryptobot-trade.service`.
fn full_name(unit: &str) -> String {
    match SUFFIXES.iter().any(|suffix| unit.ends_with(suffix)) {
        true => unit.to_owned(),
        false => format!("{unit}.service"),
    }
}

fn main_process(seen: &Observation) -> String {
    match seen.main_pid {
        0 => String::new(),
        pid => format!(" as {pid}"),
    }
}

fn verdict(end: &JobEnd) -> String {
    match end {
        JobEnd::Removed(result) if result == "canceled" => {
            "was canceled, as somebody else asked for the contrary".to_owned()
        }
        JobEnd::Removed(result) => format!("ended as {result:?}"),
        JobEnd::StillThere => "has not ended".to_owned(),
        JobEnd::ConnectionLost => "was lost sight of, as the bus went away".to_owned(),
    }
}

#[async_trait]
impl Processes for Systemd {
    async fn status(&self, units: &[String], port: Option<u16>) -> Result<StatusReport, Error> {
        let owner = port::owner_of(port, &self.deadlines).await?;
        let mut seen = Vec::with_capacity(units.len());
        for unit in units {
            match self.unit_status(unit).await {
                Ok(status) => seen.push(status),
                Err(BusError::Down(why)) => {
                    tracing::debug!(bus = self.bus.label(), why, "no service manager answers");
                    return Ok(StatusReport {
                        units: Vec::new(),
                        owner,
                        service_manager: false,
                    });
                }
                Err(error) => return Err(self.error(&format!("show {unit}"), error)),
            }
        }
        let service_manager = match units.is_empty() {
            false => true,
            // No unit was asked for; whether a manager answers is still asked.
            true => match self.bus.observe("basic.target").await {
                Ok(_) => true,
                Err(BusError::Down(_)) => false,
                Err(error) => return Err(self.error("show basic.target", error)),
            },
        };
        Ok(StatusReport {
            units: seen,
            owner,
            service_manager,
        })
    }

    async fn stop(&self, request: &StopRequest) -> Result<ChangeReport, Error> {
        let how = match request.method {
            StopMethod::PortOwner => free_port(request, &self.deadlines).await?,
            StopMethod::ServiceManager => {
                let units: Vec<String> = request.units.iter().map(|u| full_name(u)).collect();
                // All names are looked up before anything is stopped: a misspelt one must not leave
                // half of them stopped.
                for unit in &units {
                    self.known(unit).await?;
                }
                let mut done = Vec::new();
                for unit in &units {
                    done.push(self.stop_unit(unit, request.grace).await?);
                }
                port::must_be_free(request.port, &self.deadlines).await?;
                done.join(". ")
            }
        };
        let status = self.status(&request.units, request.port).await?;
        Ok(ChangeReport { status, how })
    }

    async fn start(&self, request: &StartRequest) -> Result<ChangeReport, Error> {
        let units: Vec<String> = request.units.iter().map(|u| full_name(u)).collect();
        for unit in &units {
            self.known(unit).await?;
        }
        let mut done = Vec::new();
        for unit in &units {
            done.push(self.start_unit(unit).await?);
        }
        let mut how = done.join(". ");
        if let Some(port) = request.port {
            match port::owned_within(port, self.deadlines.start, &self.deadlines).await? {
                Some(owner) if owner.is_container() => {
                    return Err(Error::Failed(format!(
                        "{how}; but port {port} belongs to a container ({}); stop the container \
                         first",
                        owner.label()
                    )));
                }
                Some(owner) => {
                    how.push_str(&format!("; port {port} is owned by {}", owner.label()))
                }
                None => {
                    return Err(Error::TimedOut(format!(
                        "{how}; but nothing listens on port {port} after {}",
                        seconds(self.deadlines.start)
                    )));
                }
            }
        }
        let status = self.status(&request.units, request.port).await?;
        Ok(ChangeReport { status, how })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_name_without_a_suffix_is_a_service() {
        assert_eq!(full_name("cryptobot-trade"), "cryptobot-trade.service");
        assert_eq!(
            full_name("cryptobot-trade.socket"),
            "cryptobot-trade.socket"
        );
        assert_eq!(full_name("trade@1.2"), "trade@1.2.service");
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        let refused = Systemd::new(Some("/run/dbus".into()), Deadlines::default());
        assert!(refused.err().unwrap().to_string().contains("unix:path="));
    }

    #[tokio::test]
    async fn without_a_bus_ports_are_still_seen_and_units_are_unknown() {
        let missing = Some("unix:path=/nonexistent/rollbot/bus".to_owned());
        let systemd = Systemd::new(missing, Deadlines::default()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let units = ["cryptobot-trade".to_owned()];
        let seen = systemd.status(&units, Some(port)).await.unwrap();
        assert!(!seen.service_manager);
        assert!(seen.units.is_empty());
        assert_eq!(seen.owner.unwrap().pid, std::process::id());
        let refused = systemd
            .start(&StartRequest {
                units: units.to_vec(),
                port: None,
            })
            .await
            .unwrap_err();
        assert!(matches!(refused, Error::UnknownUnit(_)), "{refused}");
    }

    /// A bus that accepts a connection and then says nothing.
    #[tokio::test]
    async fn a_bus_that_hangs_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus");
        let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let deadlines = Deadlines {
            call: Duration::from_millis(200),
            ..Deadlines::default()
        };
        let address = format!("unix:path={}", path.display());
        let systemd = Systemd::new(Some(address), deadlines).unwrap();
        let error = systemd.status(&["x".to_owned()], None).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut(_)), "{error}");
    }
}
