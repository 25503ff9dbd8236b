//! What goes in and comes out. The shapes follow the plugin API's `types` and `probe` interfaces.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

/// An HTTP request and what its answer must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HttpCheck {
    pub method: HttpMethod,
    /// `http` or `https`, absolute.
    pub url: String,
    /// `{secret:NAME}` in a value stands for the secret of that name.
    pub headers: Vec<Header>,
    /// Body of a POST, a JSON text, sent as `application/json`.
    pub body: Option<String>,
    /// The expected status. A redirect is a status like any other.
    pub status: u16,
    /// Expectations on a JSON answer, all of which must hold.
    pub expect: Vec<JsonExpectation>,
    /// The whole answer must have arrived within this time.
    pub within: Duration,
    /// Whether the server recognises a repeated request by its `Idempotency-Key` header. Of use to
    /// the caller, who decides whether to give a key.
    pub idempotency_key: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Header {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct JsonExpectation {
    /// RFC 6901: `/orders/0/state`. The empty pointer is the whole answer.
    pub pointer: String,
    pub test: JsonTest,
}

/// How the value at the pointer is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JsonTest {
    /// There is a value, and it is not null.
    Exists,
    /// A JSON text: `"filled"`, `3`, `true`. Numbers are compared by value: 3 equals 3.0.
    Equals(String),
    AtLeast(f64),
    AtMost(f64),
    /// An RFC 3339 time, or seconds or milliseconds since 1970, no older than this. A time up to
    /// 60 s in the future is taken for a difference between clocks.
    YoungerThan(Duration),
}

/// What a check saw. `passed` is the judgement, the rest is the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckReport {
    pub passed: bool,
    /// `None` when no answer came.
    pub status: Option<u16>,
    pub took: Duration,
    /// What was expected and not seen, one sentence each; empty when it passed.
    pub problems: Vec<String>,
    /// The beginning of the answer's body: at most 2,000 bytes, secrets redacted, control characters
    /// made visible.
    pub excerpt: String,
}

/// Why a check cannot be made at all. Each holds a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    /// The check itself is wrong: a malformed URL or header, an unknown secret.
    #[error("{0}")]
    Invalid(String),
    /// This machine cannot make it: a certificate file that cannot be read.
    #[error("{0}")]
    Failed(String),
}

/// Limits that hold for every check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Settings {
    /// A check that wants to wait longer than this is refused.
    pub longest_wait: Duration,
    /// No more than this much of an answer's body is read.
    pub most_body_bytes: usize,
    /// PEM files with certificate authorities that are trusted in addition to the system's.
    pub certificate_authorities: Vec<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            longest_wait: Duration::from_secs(300),
            most_body_bytes: 64 * 1024,
            certificate_authorities: Vec::new(),
        }
    }
}
