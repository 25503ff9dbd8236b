//! What a service must have configured before anything is planned for it. Every message names what
//! is missing and where it belongs.

use crate::names::{check, setting};
use crate::procedures::Failure;
use crate::types::{HttpCheck, HttpMethod, Service};

/// A check that a plugin cannot do without.
#[derive(Debug, Clone, Copy)]
pub struct RequiredCheck {
    /// `paper-order`
    pub name: &'static str,
    /// What it does, to be read after its name: "places an order on the paper endpoint".
    pub does: &'static str,
    /// Whether it only reads, and must be GET or HEAD.
    pub reads_only: bool,
}

/// Required of every service.
const HEALTH: RequiredCheck = RequiredCheck {
    name: check::HEALTH,
    does: "says whether the service works",
    reads_only: true,
};

/// Time limits of the common steps, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub stop_grace: u64,
    pub port_free: u64,
    pub health: u64,
}

impl Limits {
    /// From the settings of a service, with the defaults that the crate's documentation lists.
    ///
    /// # Errors
    /// [`Failure::Misconfigured`] for a setting that is no number.
    pub fn of(service: &Service) -> Result<Self, Failure> {
        Ok(Self {
            stop_grace: service.millis(setting::STOP_GRACE, 20_000)?,
            port_free: service.millis(setting::PORT_FREE_LIMIT, 30_000)?,
            health: service.millis(setting::HEALTH_LIMIT, 60_000)?,
        })
    }
}

impl Service {
    /// The check of that name.
    pub fn check(&self, name: &str) -> Option<&HttpCheck> {
        self.checks
            .iter()
            .find(|named| named.name == name)
            .map(|named| &named.check)
    }

    /// The check of that name, which the plugin has required.
    ///
    /// # Errors
    /// [`Failure::Misconfigured`] when it is missing all the same.
    pub fn required_check(&self, required: &RequiredCheck) -> Result<&HttpCheck, Failure> {
        let name = required.name;
        let check = self.check(name).ok_or_else(|| {
            self.misconfigured(&format!(
                "there is no check `{name}` ({}); add it to the checks of {}",
                required.does, self.name
            ))
        })?;
        if required.reads_only && check.method == HttpMethod::Post {
            return Err(self.misconfigured(&format!(
                "check `{name}` is a POST; it may only read, so make it a GET or a HEAD"
            )));
        }
        Ok(check)
    }

    /// Checks whose names begin so, in the order of the configuration.
    pub fn checks_named(&self, prefix: &str) -> impl Iterator<Item = (&str, &HttpCheck)> {
        self.checks
            .iter()
            .filter(move |named| named.name.starts_with(prefix))
            .map(|named| (named.name.as_str(), &named.check))
    }

    /// The setting of that name.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings
            .iter()
            .find(|setting| setting.name == name)
            .map(|setting| setting.value.as_str())
    }

    /// A setting in milliseconds.
    ///
    /// # Errors
    /// [`Failure::Misconfigured`] when it is no whole number.
    pub fn millis(&self, name: &str, default: u64) -> Result<u64, Failure> {
        match self.setting(name) {
            None => Ok(default),
            Some(value) => value.trim().parse().map_err(|_| {
                self.misconfigured(&format!(
                    "setting `{name}` is {value:?}; it must be a whole number of milliseconds"
                ))
            }),
        }
    }

    fn misconfigured(&self, what: &str) -> Failure {
        Failure::Misconfigured(format!(
            "Service {} in config/services.toml: {what}.",
            self.name
        ))
    }
}

/// Checks that everything is there which the common steps and the plugin's own need.
pub fn validate(service: &Service, required: &[RequiredCheck]) -> Result<(), Failure> {
    let needed = [
        (service.compose_project.is_empty(), "the compose project"),
        (service.compose_services.is_empty(), "the compose services"),
        (service.data_directory.is_empty(), "the data directory"),
        (service.archive_name.is_empty(), "the archive's name"),
        (service.registry_key.is_empty(), "the registry key"),
        (
            service.registry_native.is_empty(),
            "the registry's value for the native deployment",
        ),
        (
            service.registry_docker.is_empty(),
            "the registry's value for Docker",
        ),
        (
            service.units.is_empty() && service.port.is_none(),
            "the native deployment's units, or its port",
        ),
    ];
    if let Some((_, what)) = needed.iter().find(|(missing, _)| *missing) {
        return Err(service.misconfigured(&format!("{what} must be given")));
    }
    for required in std::iter::once(&HEALTH).chain(required) {
        service.required_check(required)?;
    }
    for prefix in [check::API, check::PEER, check::REACH] {
        if let Some((name, _)) = service
            .checks_named(prefix)
            .find(|(_, check)| check.method == HttpMethod::Post)
        {
            return Err(service.misconfigured(&format!(
                "check `{name}` is a POST; checks that begin with `{prefix}` only read, so make it \
                 a GET or a HEAD"
            )));
        }
    }
    Limits::of(service).map(|_| ())
}
