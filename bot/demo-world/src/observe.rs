//! Who answers at a port.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::services::DemoService;

const PATIENCE: Duration = Duration::from_secs(3);
const LIMIT: u64 = 64 * 1024;

/// Which of its two deployments a service runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deployment {
    /// A process of this machine.
    Native,
    /// A container.
    Docker,
    /// Neither.
    Nobody,
}

/// What a service's port answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Observed {
    /// `trade`
    pub service: String,
    /// Who answered.
    pub deployment: Deployment,
    /// Whether it says of itself that it is well.
    pub healthy: bool,
    /// Its answer, or why there is none.
    pub detail: String,
}

/// Asks the service for its health. An answer of somebody else counts as nobody's.
pub async fn observe(service: &DemoService) -> Observed {
    let answer = tokio::time::timeout(PATIENCE, health(service.port)).await;
    let (deployment, healthy, detail) = match answer {
        Ok(Ok((status, body))) => {
            let said: Value = serde_json::from_str(&body).unwrap_or_default();
            let deployment = match said["deployment"].as_str() {
                _ if said["service"] != service.name.as_str() => Deployment::Nobody,
                // Another world's service may have the same name and the same port.
                Some("native") if said["data"] != *service.data_directory.to_string_lossy() => {
                    Deployment::Nobody
                }
                Some("native") => Deployment::Native,
                Some("docker") => Deployment::Docker,
                _ => Deployment::Nobody,
            };
            (deployment, status == 200, body)
        }
        Ok(Err(error)) => (Deployment::Nobody, false, error.to_string()),
        Err(_) => (Deployment::Nobody, false, "no answer in time".to_owned()),
    };
    Observed {
        service: service.name.clone(),
        deployment,
        healthy: healthy && deployment != Deployment::Nobody,
        detail,
    }
}

async fn health(port: u16) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream
        .write_all(b"GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok());
    match (status, answer.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
        _ => Err(std::io::Error::other("the answer is not HTTP")),
    }
}
