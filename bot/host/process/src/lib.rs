//! Units of a service manager, and processes that own a port.
//!
//! One trait, [`Processes`], and an implementation for each way in which a machine runs its
//! services: [`Systemd`] over D-Bus, [`CommandUnits`] where commands are configured and there is no
//! service manager, [`PortOwners`] where there is neither. [`ServiceManager`] is the configuration
//! that chooses. Other service managers are further implementations of the same trait.
//!
//! Two rules hold for all of them. A change ends with an observation: what is returned is what was
//! seen afterwards, never what was asked for. And a change is an *ensure*: to stop what is stopped
//! and to start what runs succeeds, so that a caller that does not know whether its last call got
//! through may repeat it.

mod commands;
mod identity;
mod log_tail;
mod port;
mod port_owners;
mod service_manager;
mod systemd;
mod types;

pub use commands::{CommandUnit, CommandUnits};
pub use port_owners::PortOwners;
pub use service_manager::{Misconfigured, ServiceManager};
pub use systemd::Systemd;
pub use types::{
    ChangeReport, Deadlines, Error, PortOwner, StartRequest, StatusReport, StopMethod, StopRequest,
    UnitState, UnitStatus,
};

use async_trait::async_trait;

/// Sees, stops and starts the processes of services on one machine.
#[async_trait]
pub trait Processes: Send + Sync {
    /// The state of the units, and who listens on the port.
    ///
    /// A unit that is not known is reported as [`UnitState::NotFound`]. Where no service manager
    /// answers, the report has no units and says so.
    ///
    /// # Errors
    /// [`Error::Failed`] or [`Error::TimedOut`] when the state cannot be found out. "Not found out"
    /// is never reported as "stopped" or "free".
    async fn status(&self, units: &[String], port: Option<u16>) -> Result<StatusReport, Error>;

    /// Stops the units, one after the other in the given order, or the owner of the port. Returns
    /// when all of it was observed to have ended.
    ///
    /// A port that belongs to a container is left alone: nothing native is there to be stopped,
    /// and [`PortOwner::is_container`] tells the caller.
    ///
    /// # Errors
    /// [`Error::UnknownUnit`] when no service manager answers or it does not know a unit;
    /// [`Error::Failed`] with the reason, also when a process still owns the port after the units
    /// were stopped; [`Error::TimedOut`] when a process does not end even when it is killed.
    async fn stop(&self, request: &StopRequest) -> Result<ChangeReport, Error>;

    /// Starts the units, one after the other in the given order, and waits until they run and, if
    /// a port is given, until it has an owner.
    ///
    /// # Errors
    /// [`Error::UnknownUnit`] as for [`stop`](Processes::stop); [`Error::Failed`] with the last log
    /// lines or the service manager's verdict when a unit ends instead of running;
    /// [`Error::TimedOut`] when it is not ready within [`Deadlines::start`].
    async fn start(&self, request: &StartRequest) -> Result<ChangeReport, Error>;
}
