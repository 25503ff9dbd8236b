//! Which engine there is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;

use crate::binary::STATIC_BINARY;
use crate::error::WorldError;
use crate::options::{EngineChoice, EngineKind};

const SOCKET: &str = "/var/run/docker.sock";
/// For a single small request.
const QUICK: Duration = Duration::from_secs(5);
/// For every other one, in seconds.
const REQUEST_SECONDS: u64 = 60;

/// A decision for an engine.
pub struct Decision {
    pub kind: EngineKind,
    /// Of Docker; the stand-in gets one.
    pub socket: Option<PathBuf>,
    pub reason: String,
}

pub async fn decide(choice: &EngineChoice) -> Result<Decision, WorldError> {
    let stand_in = |reason: String| Decision {
        kind: EngineKind::StandIn,
        socket: None,
        reason,
    };
    match choice {
        EngineChoice::StandIn => Ok(stand_in("the stand-in was asked for".to_owned())),
        EngineChoice::Docker(socket) => {
            let version = usable(socket).await.map_err(|reason| WorldError::Engine {
                socket: socket.clone(),
                reason,
            })?;
            Ok(Decision {
                kind: EngineKind::Docker,
                socket: Some(socket.clone()),
                reason: format!("Docker Engine {version} was asked for"),
            })
        }
        EngineChoice::Auto => {
            let host = std::env::var("DOCKER_HOST").unwrap_or_default();
            let socket = match (host.as_str(), host.strip_prefix("unix://")) {
                ("", _) => PathBuf::from(SOCKET),
                (_, Some(path)) => PathBuf::from(path),
                _ => {
                    return Ok(stand_in(format!(
                        "DOCKER_HOST is {host}: the demo needs an engine on this machine, on a Unix socket"
                    )));
                }
            };
            Ok(match usable(&socket).await {
                Ok(version) => Decision {
                    kind: EngineKind::Docker,
                    reason: format!("Docker Engine {version} answers on {}", socket.display()),
                    socket: Some(socket),
                },
                Err(reason) => stand_in(format!("no Docker on {}: {reason}", socket.display())),
            })
        }
    }
}

/// Opens a connection, with the newest API version that both sides speak.
pub async fn connect(socket: &Path) -> Result<Docker, String> {
    let path = socket.display().to_string();
    let docker = Docker::connect_with_unix(&path, REQUEST_SECONDS, bollard::API_DEFAULT_VERSION)
        .map_err(|error| error.to_string())?;
    tokio::time::timeout(QUICK, docker.negotiate_version())
        .await
        .map_err(|_| format!("no answer within {} s", QUICK.as_secs()))?
        .map_err(|error| root(&error))
}

/// The innermost cause: the outer ones only say that a request failed.
pub fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Whether the demo's containers can run there; the engine's version.
async fn usable(socket: &Path) -> Result<String, String> {
    if !STATIC_BINARY {
        return Err(
            "the demo service is not static in this build, so no container can run it".to_owned(),
        );
    }
    let docker = connect(socket).await?;
    let version = tokio::time::timeout(QUICK, docker.version())
        .await
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|error| root(&error))?;
    let text = |value: Option<String>| value.unwrap_or_default();
    let (name, os, arch) = (text(version.version), text(version.os), text(version.arch));
    if name == "stand-in" {
        return Err("what answers there is a stand-in engine".to_owned());
    }
    if os != "linux" || std::env::consts::OS != "linux" {
        return Err(format!(
            "it runs containers of {os}, not programs of this machine"
        ));
    }
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    if arch != own {
        return Err(format!("it runs containers for {arch}, not for {own}"));
    }
    Ok(name)
}
