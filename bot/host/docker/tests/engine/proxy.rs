//! A Unix socket in front of the engine's that passes everything on, except what it is told to
//! spoil.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::lab::SOCKET;

#[derive(Clone, Debug)]
pub enum Fault {
    /// Takes the request and never answers.
    Hang,
    /// Closes the connection before it has read the request.
    Reset,
    /// Answers by itself.
    Answer(u16, String),
    /// Passes on only so many bytes of the answer, and then closes.
    Cut(u64),
    /// Lets the request have its effect and then never answers.
    HangAfterwards,
}

/// Ends with its value.
pub struct Proxy {
    pub socket: PathBuf,
    faults: Arc<Mutex<Vec<(String, Fault)>>>,
    task: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Proxy {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let faults: Arc<Mutex<Vec<(String, Fault)>>> = Arc::default();
        let of_task = Arc::clone(&faults);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&of_task)));
            }
        });
        Self {
            socket,
            faults,
            task,
            _directory: directory,
        }
    }

    /// Spoils requests whose first line contains `part`; the empty string is in every line.
    pub fn spoil(&self, part: &str, fault: Fault) {
        self.faults.lock().unwrap().push((part.to_owned(), fault));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: UnixStream, faults: Arc<Mutex<Vec<(String, Fault)>>>) -> Option<()> {
    let everything = |wanted: fn(&Fault) -> bool| {
        let faults = faults.lock().unwrap();
        faults
            .iter()
            .any(|(part, fault)| part.is_empty() && wanted(fault))
    };
    if everything(|fault| matches!(fault, Fault::Reset)) {
        return None;
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let first = head.lines().next().unwrap_or_default();
    let fault = {
        let faults = faults.lock().unwrap();
        faults
            .iter()
            .find(|(part, _)| first.contains(part))
            .map(|(_, fault)| fault.clone())
    };
    match fault {
        Some(Fault::Reset) => return None,
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Answer(status, body)) => {
            let answer = format!(
                "HTTP/1.1 {status} Odd\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            client.write_all(answer.as_bytes()).await.ok()?;
            return Some(());
        }
        _ => {}
    }
    let mut engine = UnixStream::connect(Path::new(SOCKET)).await.ok()?;
    engine.write_all(head.as_bytes()).await.ok()?;
    match fault {
        Some(Fault::Cut(bytes)) => {
            copy(&mut (&mut engine).take(bytes), &mut client)
                .await
                .ok()?;
        }
        Some(Fault::HangAfterwards) => {
            engine.read_u8().await.ok()?;
            std::future::pending().await
        }
        _ => {
            copy_bidirectional(&mut client, &mut engine).await.ok()?;
        }
    }
    Some(())
}
