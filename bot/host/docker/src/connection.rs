//! The way to the engine: one client, deadlines on every call, and errors as sentences.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error as ApiError;
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::sync::Mutex;

use crate::error::Error;

/// Docker 20.10. Everything asked for here is in it. Requests carry no version, so an engine answers
/// in its own newest one, and what it adds is not looked at.
const OLDEST: (u32, u32) = (1, 41);

/// Bollard's own limit, which covers only the time until an answer begins; the deadline of each call
/// covers all of it and is shorter.
const CLIENT_TIMEOUT_SECONDS: u64 = 3600;

/// What became of one request.
#[derive(Debug)]
pub(crate) enum CallError {
    Silent { deadline: Duration },
    Api(ApiError),
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: PathBuf,
    deadline: Duration,
    /// Set once an engine has answered.
    client: Mutex<Option<Docker>>,
}

impl Connection {
    pub(crate) fn new(socket: PathBuf, deadline: Duration) -> Self {
        Self {
            socket,
            deadline,
            client: Mutex::new(None),
        }
    }

    /// A client of an engine that has answered once and is new enough.
    pub(crate) async fn client(&self) -> Result<Docker, Error> {
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.as_ref() {
            return Ok(client.clone());
        }
        let path = path_text(&self.socket)?;
        let client = Docker::connect_with_unix(&path, CLIENT_TIMEOUT_SECONDS, API_DEFAULT_VERSION)
            .map_err(|error| self.explain("open its socket", CallError::Api(error)))?;
        let version = self.ask("tell its version", client.version()).await?;
        if let Some(text) = version.api_version
            && parse_version(&text).is_none_or(|version| version < OLDEST)
        {
            return Err(Error::unavailable(
                &self.socket,
                format_args!("speaks API {text}, and 1.41 (Docker 20.10) or newer is needed"),
            ));
        }
        *slot = Some(client.clone());
        Ok(client)
    }

    /// `action` completes "when asked to …".
    pub(crate) async fn ask<T>(
        &self,
        action: &str,
        request: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, Error> {
        call(self.deadline, request)
            .await
            .map_err(|error| self.explain(action, error))
    }

    /// Like [`Self::ask`], where what was asked for may be gone.
    pub(crate) async fn find<T>(
        &self,
        action: &str,
        request: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<Option<T>, Error> {
        match self.ask(action, request).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn explain(&self, action: &str, error: CallError) -> Error {
        let error = match error {
            CallError::Silent { deadline } => return Error::silent(&self.socket, action, deadline),
            CallError::Api(error) => error,
        };
        match error {
            ApiError::DockerResponseServerError {
                status_code: 404,
                message,
            } => Error::NotFound(format!("{} (asked to {action})", message.trim())),
            ApiError::DockerResponseServerError {
                status_code,
                message,
            } if status_code >= 500 => Error::unavailable(
                &self.socket,
                format_args!(
                    "answered {status_code} when asked to {action}: {}",
                    message.trim()
                ),
            ),
            ApiError::DockerResponseServerError {
                status_code,
                message,
            } => Error::Failed(format!(
                "The Docker engine at {} refused to {action} ({status_code}): {}",
                self.socket.display(),
                message.trim()
            )),
            ApiError::SocketNotFoundError(_) => {
                Error::unavailable(&self.socket, "cannot be reached: there is no such socket")
            }
            ApiError::JsonDataError { message, .. } => Error::unavailable(
                &self.socket,
                format_args!(
                    "gave an answer that is not the Docker API's when asked to {action}: {message}"
                ),
            ),
            other => Error::unavailable(
                &self.socket,
                format_args!("broke off when asked to {action}: {}", with_causes(&other)),
            ),
        }
    }
}

pub(crate) async fn call<T>(
    deadline: Duration,
    request: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(deadline, request).await {
        Ok(answer) => answer.map_err(CallError::Api),
        Err(_) => Err(CallError::Silent { deadline }),
    }
}

pub(crate) fn path_text(path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::Failed(format!(
            "The path {} is not valid UTF-8 and cannot be given to the Docker engine; use another",
            path.display()
        ))
    })
}

/// `1.41`
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The HTTP client says no more than "client error"; what happened is in the causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
