//! The caller's side.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::{LONGEST_LINE, Request, Response};

/// The bot answers within two seconds; a little more for a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no rollbot listens at {}: start it with `rollbot serve`, or name its socket with --socket ({why})", .socket.display())]
    NotThere {
        socket: PathBuf,
        why: std::io::Error,
    },
    #[error("rollbot at {} has not answered within {} s: whether it was recorded is not known, see `rollbot operations`", .socket.display(), DEADLINE.as_secs())]
    Late { socket: PathBuf },
    #[error("rollbot at {} broke off: {why}", .socket.display())]
    Broken { socket: PathBuf, why: String },
}

/// Asks the bot at that socket.
///
/// # Errors
/// There is none, or it does not answer properly.
pub async fn call(socket: &Path, request: &Request) -> Result<Response, ClientError> {
    let broken = |why: String| ClientError::Broken {
        socket: socket.to_owned(),
        why,
    };
    let talk = async {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|why| ClientError::NotThere {
                socket: socket.to_owned(),
                why,
            })?;
        let (read, mut write) = stream.into_split();
        let mut line = serde_json::to_string(request).map_err(|error| broken(error.to_string()))?;
        line.push('\n');
        write
            .write_all(line.as_bytes())
            .await
            .map_err(|error| broken(error.to_string()))?;
        let mut answer = String::new();
        BufReader::new(read.take(LONGEST_LINE))
            .read_line(&mut answer)
            .await
            .map_err(|error| broken(error.to_string()))?;
        serde_json::from_str(&answer).map_err(|error| broken(error.to_string()))
    };
    tokio::time::timeout(DEADLINE, talk)
        .await
        .unwrap_or_else(|_| {
            Err(ClientError::Late {
                socket: socket.to_owned(),
            })
        })
}
