//! `services.toml`

use std::path::PathBuf;

use rollbot_core::plan::{ArchiveFormat, HttpMethod};
use serde::{Deserialize, Serialize};

use super::{Approval, Given, Period, Table, Value};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Services {
    pub service: Given<Vec<Given<Service>>>,
}

/// A service that can be rolled back.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// The word people type: lower case letters, digits and hyphens.
    pub name: Given<String>,
    /// Service type: decides which plugin plans and runs its rollback.
    #[serde(rename = "type")]
    pub kind: Given<String>,
    /// What users call it. Default: the name.
    pub title: Given<String>,
    /// Whether the product is unusable without it. Default: no.
    pub critical: Given<bool>,
    /// The machine its targets live on. Default: `local`.
    pub host: Given<String>,
    /// Units of the native deployment, in the order in which they are stopped.
    pub units: Given<Vec<Given<String>>>,
    /// TCP port that the native deployment and the container share.
    pub port: Given<u16>,
    /// A project of `[docker.project]`.
    pub compose_project: Given<String>,
    /// In the order in which they are started.
    pub compose_services: Given<Vec<Given<String>>>,
    /// The native deployment's data, archived before anything replaces it.
    pub data_directory: Given<PathBuf>,
    /// What its archives are called; time and ending are added. Default: the name and `_service`.
    pub archive_name: Given<String>,
    /// Default: the format of `[backup]`.
    pub archive_format: Given<ArchiveFormat>,
    /// When traffic moved to the native deployment, or its data was last synchronised back: a time,
    /// or `{ file = "/path" }` with one in it; of an empty file, the time of its last change.
    pub cutover: Given<toml::Value>,
    pub registry: Given<ServiceRegistry>,
    /// By name: `health` and what the service type asks for.
    pub checks: Given<Table<Check>>,
    /// Limits and other settings of the service type. Durations become milliseconds.
    pub settings: Given<Table<toml::Value>>,
    pub grants: Given<Grants>,
    /// What differs from `[approval]`.
    pub approval: Given<Approval>,
}

/// How the service registry leads to either deployment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceRegistry {
    pub key: Given<String>,
    /// The key's value while the native deployment serves.
    pub native: Given<String>,
    /// The key's value while the containers serve.
    pub docker: Given<String>,
}

/// An HTTP request, and what its answer must be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// Default: `get`.
    pub method: Given<HttpMethod>,
    pub url: Given<String>,
    /// The expected status. Default: 200.
    pub status: Given<u16>,
    /// Within this time the whole answer must be there. Default: 5 seconds.
    pub within: Given<Period>,
    /// Body of a POST: a JSON text, or a table that becomes one.
    pub body: Given<toml::Value>,
    /// Whether the server recognises a repeated request by its `Idempotency-Key`. Default: no; then
    /// a POST is never repeated without asking people.
    pub idempotency_key: Given<bool>,
    pub headers: Given<Table<Value>>,
    /// All of these must hold.
    pub expect: Given<Vec<Given<Expectation>>>,
}

/// What must hold for one value of a JSON answer: at least one of the tests.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expectation {
    /// RFC 6901: `/orders/0/state`; empty for the whole answer.
    pub pointer: Given<String>,
    /// There is a value, and it is not null.
    pub exists: Given<bool>,
    pub equals: Given<toml::Value>,
    pub at_least: Given<f64>,
    pub at_most: Given<f64>,
    /// A time no older than this.
    pub younger_than: Given<Period>,
}

/// What the plugin may touch, where that is not what the service's own description names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Whether the plugin may ask people questions of its own. Default: yes.
    pub ask: Given<bool>,
    /// Granted as well.
    pub also: Given<GrantList>,
    /// Not granted although the description names it.
    pub without: Given<GrantList>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrantList {
    pub units: Given<Vec<Given<String>>>,
    pub ports: Given<Vec<Given<u16>>>,
    /// With everything below them.
    pub directories: Given<Vec<Given<PathBuf>>>,
    pub archive_names: Given<Vec<Given<String>>>,
    /// With everything below them.
    pub urls: Given<Vec<Given<String>>>,
    /// `127.0.0.1:9003`, for connections without HTTP.
    pub addresses: Given<Vec<Given<String>>>,
    pub registry_keys: Given<Vec<Given<String>>>,
    /// By compose project.
    pub compose_services: Given<Table<Vec<Given<String>>>>,
}
