//! The embedded registry: one JSON file.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{ChangeReport, Entry, Error, Registry, file};

/// How long another writer may hold the file.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// For all of a read or a change, on a disk that hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// A registry in a JSON file:
///
/// ```json
/// { "services": { "trade": { "value": "http://127.0.0.1:9003", "revision": 3 } } }
/// ```
///
/// Clients read the file; it is replaced as a whole, and keeps its mode, its owner, and every field
/// that is not known here. Writers, also in other processes, wait for each other.
#[derive(Debug, Clone)]
pub struct JsonFileRegistry {
    path: PathBuf,
}

/// What must hold of the file. Parsed in addition to the value that is edited, since only this
/// gives line and column of a value of a wrong type.
#[derive(Deserialize)]
struct Shape {
    services: BTreeMap<String, EntryShape>,
}

#[derive(Deserialize)]
struct EntryShape {
    value: String,
    /// An entry that was written by hand may lack it.
    #[serde(default = "first_revision")]
    revision: u64,
}

fn first_revision() -> u64 {
    1
}

impl JsonFileRegistry {
    /// The file is looked for at the first use, and at every use anew.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Writes the file with these keys and values if there is no file yet. One that is there is left
    /// as it is.
    ///
    /// # Errors
    /// [`Error::Failed`] if it cannot be written.
    pub async fn create_if_missing(&self, entries: &[(String, String)]) -> Result<(), Error> {
        let services: Map<String, Value> = entries
            .iter()
            .map(|(key, value)| {
                let entry = json!({ "value": value, "revision": first_revision() });
                (key.clone(), entry)
            })
            .collect();
        let text = pretty(&json!({ "services": services }))?;
        let path = self.path.clone();
        blocking(move || {
            let failed = |e: io::Error| unusable(&path, "created", &e);
            let _lock = file::Lock::acquire(&path, LOCK_WAIT).map_err(failed)?;
            match path.try_exists().map_err(failed)? {
                true => Ok(()),
                false => file::create(&path, text.as_bytes()).map_err(failed),
            }
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::time::timeout(DEADLINE, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => Err(Error::Failed(format!(
            "The registry could not be used: {error}"
        ))),
        Err(_) => Err(Error::Failed(format!(
            "The disk of the registry file did not answer within {DEADLINE:?}; a change may or may \
             not have been made"
        ))),
    }
}

fn unusable(path: &Path, what: &str, error: &io::Error) -> Error {
    Error::Failed(format!(
        "The registry file {} cannot be {what}: {error}",
        path.display()
    ))
}

fn pretty(content: &Value) -> Result<String, Error> {
    match serde_json::to_string_pretty(content) {
        Ok(text) => Ok(text + "\n"),
        Err(error) => Err(Error::Failed(format!(
            "The registry cannot be written as JSON: {error}"
        ))),
    }
}

fn read(path: &Path) -> Result<(Vec<u8>, Shape), Error> {
    let bytes = file::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Failed(format!(
            "There is no registry file {}: create it with the content {{\"services\": {{}}}}, or \
             correct the path in the configuration",
            path.display()
        )),
        _ => unusable(path, "read", &error),
    })?;
    let shape = serde_json::from_slice(&bytes).map_err(|error| broken(path, &error))?;
    Ok((bytes, shape))
}

/// serde_json's own words end with line and column.
fn broken(path: &Path, error: &serde_json::Error) -> Error {
    Error::Failed(format!(
        "The registry file {} is broken: {error}",
        path.display()
    ))
}

fn entry(path: &Path, shape: &Shape, key: &str) -> Result<Entry, Error> {
    match shape.services.get(key) {
        Some(found) => Ok(Entry {
            key: key.to_owned(),
            value: found.value.clone(),
            revision: found.revision,
        }),
        None => Err(Error::NotFound(format!(
            "The registry file {} has no key {key:?}",
            path.display()
        ))),
    }
}

fn point(
    path: &Path,
    key: &str,
    value: &str,
    expected: Option<u64>,
) -> Result<ChangeReport, Error> {
    // A link is followed, so that it is not the link that is replaced.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let _lock = file::Lock::acquire(&target, LOCK_WAIT)
        .map_err(|error| unusable(path, "locked", &error))?;
    let (bytes, shape) = read(&target)?;
    let current = entry(path, &shape, key);
    let previous = match (&current, expected) {
        (Ok(entry), _) if entry.value == value => {
            return Ok(ChangeReport {
                previous: Some(entry.value.clone()),
                entry: entry.clone(),
            });
        }
        (Ok(entry), Some(expected)) if entry.revision != expected => {
            return Err(Error::Conflict(format!(
                "{key:?} was changed meanwhile: it has revision {} instead of {expected}, and leads \
                 to {:?}; look at it before you go on",
                entry.revision, entry.value
            )));
        }
        (Ok(entry), _) => Some(entry.clone()),
        (Err(_), Some(0)) => None,
        (Err(_), Some(_)) => {
            return Err(Error::Conflict(format!(
                "{key:?} was removed from the registry meanwhile"
            )));
        }
        (Err(error), None) => return Err(error.clone()),
    };

    let mut content: Value =
        serde_json::from_slice(&bytes).map_err(|error| broken(path, &error))?;
    let revision = previous
        .as_ref()
        .map_or(Some(first_revision()), |entry| {
            entry.revision.checked_add(1)
        })
        .ok_or_else(|| Error::Failed(format!("The revision of {key:?} cannot be counted on")))?;
    let services = content
        .get_mut("services")
        .and_then(Value::as_object_mut)
        .ok_or_else(|| Error::NotFound(format!("The registry {} has no keys", path.display())))?;
    let changed = services.entry(key).or_insert_with(|| json!({}));
    if let Some(fields) = changed.as_object_mut() {
        fields.insert("value".to_owned(), value.into());
        fields.insert("revision".to_owned(), revision.into());
    }
    file::replace(&target, pretty(&content)?.as_bytes())
        .map_err(|error| unusable(path, "written", &error))?;

    let (_, shape) = read(path)?;
    Ok(ChangeReport {
        entry: entry(path, &shape, key)?,
        previous: previous.map(|entry| entry.value),
    })
}

#[async_trait]
impl Registry for JsonFileRegistry {
    async fn get(&self, key: &str) -> Result<Entry, Error> {
        let (path, key) = (self.path.clone(), key.to_owned());
        blocking(move || {
            let (_, shape) = read(&path)?;
            entry(&path, &shape, &key)
        })
        .await
    }

    async fn resolve(&self, key: &str) -> Result<String, Error> {
        // A client of this registry reads the file.
        Ok(self.get(key).await?.value)
    }

    async fn point(
        &self,
        key: &str,
        value: &str,
        expected_revision: Option<u64>,
    ) -> Result<ChangeReport, Error> {
        let (path, key, value) = (self.path.clone(), key.to_owned(), value.to_owned());
        blocking(move || point(&path, &key, &value, expected_revision)).await
    }
}
