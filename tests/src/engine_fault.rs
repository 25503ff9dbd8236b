//! A Unix socket in front of the Docker Engine's that passes everything on while all is well, and
//! otherwise plays an engine in trouble.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    Well,
    /// Takes requests and never answers, nor goes on with the answers it has begun.
    Hangs,
    /// Answers every request with this status and this text.
    Answers(u16, String),
}

/// Stands between a bot and its engine. Dropping it closes the socket.
pub struct Front {
    socket: PathBuf,
    state: watch::Sender<Engine>,
    asked: Arc<std::sync::Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// No request that a bot makes has a longer head.
const LONGEST_HEAD: usize = 64 * 1024;

impl Front {
    /// Listens at `socket`, for an engine at `behind` that is well.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn before(behind: &Path, socket: &Path) -> anyhow::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let (state, states) = watch::channel(Engine::Well);
        let asked: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let (behind, of_task) = (behind.to_owned(), asked.clone());
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while open.try_join_next().is_some() {}
                open.spawn(serve(
                    client,
                    behind.clone(),
                    states.clone(),
                    of_task.clone(),
                ));
            }
        });
        Ok(Self {
            socket: socket.to_owned(),
            state,
            asked,
            task,
        })
    }

    /// Where a bot finds it.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// From now on the engine is like this, for requests that are under way as well.
    pub fn becomes(&self, state: Engine) {
        self.state.send_replace(state);
    }

    /// First lines of the requests that met an engine in trouble.
    pub fn spoiled(&self) -> Vec<String> {
        self.asked
            .lock()
            .map(|asked| asked.clone())
            .unwrap_or_default()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut client: UnixStream,
    behind: PathBuf,
    mut states: watch::Receiver<Engine>,
    asked: Arc<std::sync::Mutex<Vec<String>>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
        if head.len() > LONGEST_HEAD {
            return None;
        }
    }
    let state = states.borrow().clone();
    if state != Engine::Well {
        let first = String::from_utf8_lossy(&head);
        let first = first.lines().next().unwrap_or_default().to_owned();
        asked.lock().ok()?.push(first);
    }
    match state {
        Engine::Hangs => std::future::pending().await,
        Engine::Answers(status, text) => {
            let body = serde_json::json!({ "message": text }).to_string();
            let answer = format!(
                "HTTP/1.1 {status} In Trouble\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            client.write_all(answer.as_bytes()).await.ok()?;
            Some(())
        }
        Engine::Well => {
            let mut engine = UnixStream::connect(&behind).await.ok()?;
            engine.write_all(&head).await.ok()?;
            let trouble = async {
                let state = states.wait_for(|state| *state != Engine::Well).await;
                state.map(|state| state.clone()).ok()
            };
            // Connections are kept for more than one request: what is open is in trouble, too.
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut engine) => Some(()),
                state = trouble => match state? {
                    Engine::Hangs => std::future::pending().await,
                    _ => None,
                },
            }
        }
    }
}
