//! The machines that a plugin's targets live on, and the secrets that no answer of theirs may show.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollbot_host::docker::Containers;
use rollbot_host::probe::{self, CheckReport, HttpCheck, Prober};
use rollbot_host::process::Processes;
use rollbot_host::registry::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backups::Backups;

/// What can be done on one machine.
#[derive(Clone)]
pub struct Host {
    pub processes: Arc<dyn Processes>,
    pub containers: Arc<dyn Containers>,
    pub backups: Backups,
    pub prober: Arc<dyn Probes>,
    pub registry: Arc<dyn Registry>,
}

/// Requests from one machine: [`Prober`] makes real ones.
#[async_trait]
pub trait Probes: Send + Sync {
    /// Makes the request, with this `Idempotency-Key` if there is one, and judges the answer.
    ///
    /// # Errors
    /// The check cannot be made. No answer, or a wrong one, is no error.
    async fn http(
        &self,
        check: &HttpCheck,
        idempotency_key: Option<&str>,
    ) -> Result<CheckReport, probe::Error>;

    /// Opens and closes a connection to `HOST:PORT`.
    ///
    /// # Errors
    /// The address is none.
    async fn tcp(&self, address: &str, within: Duration) -> Result<CheckReport, probe::Error>;
}

#[async_trait]
impl Probes for Prober {
    async fn http(
        &self,
        check: &HttpCheck,
        idempotency_key: Option<&str>,
    ) -> Result<CheckReport, probe::Error> {
        Self::http(self, check, idempotency_key).await
    }

    async fn tcp(&self, address: &str, within: Duration) -> Result<CheckReport, probe::Error> {
        Self::tcp(self, address, within).await
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

/// Machines by name, and what is to be redacted from their answers.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    machines: BTreeMap<String, Host>,
    redactor: Redactor,
}

impl Hosts {
    pub fn new(machines: impl IntoIterator<Item = (String, Host)>, redactor: Redactor) -> Self {
        Self {
            machines: machines.into_iter().collect(),
            redactor,
        }
    }

    /// The machine of that name: `local`.
    pub fn get(&self, name: &str) -> Option<&Host> {
        self.machines.get(name)
    }

    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

/// Takes secrets out of texts.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Arc<[Secret]>,
}

struct Secret {
    plain: String,
    /// As it looks inside a JSON string.
    escaped: String,
}

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

impl Redactor {
    /// Empty secrets are left out: they would be found everywhere.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<_> = secrets
            .into_iter()
            .filter(|secret| !secret.is_empty())
            .map(|plain| {
                let quoted = serde_json::Value::String(plain.clone()).to_string();
                let escaped = quoted
                    .trim_start_matches('"')
                    .trim_end_matches('"')
                    .to_owned();
                Secret { plain, escaped }
            })
            .collect();
        // One secret may be part of another: the longer goes first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.plain.len()));
        Self {
            secrets: secrets.into(),
        }
    }

    /// The text without secrets.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter() {
            if text.contains(&secret.plain) {
                text = text.replace(&secret.plain, REDACTED);
            }
        }
        text
    }

    /// The value as JSON, and the value itself, both without secrets in any of its texts.
    pub(crate) fn encode<T>(&self, value: T) -> Result<(T, String), serde_json::Error>
    where
        T: Serialize + DeserializeOwned,
    {
        let json = serde_json::to_string(&value)?;
        if !self
            .secrets
            .iter()
            .any(|secret| json.contains(&secret.escaped))
        {
            return Ok((value, json));
        }
        let mut parsed: serde_json::Value = serde_json::from_str(&json)?;
        self.redact_value(&mut parsed);
        let json = parsed.to_string();
        Ok((serde_json::from_str(&json)?, json))
    }

    fn redact_value(&self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => *text = self.redact(text),
            serde_json::Value::Array(items) => {
                items.iter_mut().for_each(|item| self.redact_value(item));
            }
            serde_json::Value::Object(map) => {
                map.values_mut().for_each(|item| self.redact_value(item));
            }
            _ => {}
        }
    }
}
