//! The configuration that chooses between the implementations.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{CommandUnit, CommandUnits, Deadlines, Processes, Systemd};

/// How this machine runs its services.
///
/// ```toml
/// [service-manager]
/// kind = "commands"
/// state-directory = "/var/lib/rollbot/units"
///
/// [[service-manager.unit]]
/// name = "cryptobot-trade"
/// argv = ["/opt/cryptobot/trade", "--port", "9003"]
/// log-file = "/var/log/cryptobot/trade.log"
/// port = 9003
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum ServiceManager {
    /// systemd, if it answers on the system bus; otherwise there are no units, only ports. Asked
    /// anew at every call: a bus that comes up later, or goes away, is noticed.
    #[default]
    Auto,
    Systemd {
        /// A D-Bus address such as `unix:path=/run/dbus/system_bus_socket`. The system bus if it is
        /// not given.
        #[serde(default)]
        bus: Option<String>,
    },
    /// No service manager: each unit is a command that is started here.
    Commands {
        /// Where it is noted which process a unit is. Must survive a restart of the bot.
        state_directory: PathBuf,
        #[serde(rename = "unit", default)]
        units: Vec<CommandUnit>,
    },
}

/// The configuration of the service manager cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(pub String);

impl ServiceManager {
    /// The implementation for this machine. Connects to nothing yet.
    ///
    /// # Errors
    /// [`Misconfigured`] says which unit or address is wrong, and why.
    pub fn open(&self, deadlines: Deadlines) -> Result<Arc<dyn Processes>, Misconfigured> {
        Ok(match self {
            Self::Auto => Arc::new(Systemd::new(None, deadlines)?),
            Self::Systemd { bus } => Arc::new(Systemd::new(bus.clone(), deadlines)?),
            Self::Commands {
                state_directory,
                units,
            } => Arc::new(CommandUnits::new(
                state_directory.clone(),
                units.clone(),
                deadlines,
            )?),
        })
    }
}
