//! The socket, the connections and the end.

use std::convert::Infallible;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::error::RunError;
use crate::store::Store;
use crate::{Options, api, restart};

/// More wait in the socket's backlog.
const CONNECTIONS: usize = 256;
const HEADERS_WITHIN: Duration = Duration::from_secs(30);

pub async fn run(options: Options) -> Result<(), RunError> {
    // Whoever started this may end, and its terminal with it; a group's leader cannot leave and
    // need not.
    let _ = nix::unistd::setsid();
    let (store, state) = Store::open(&options.state)?;
    let listen = |source| RunError::Listen {
        path: options.socket.clone(),
        source,
    };
    let engine = Arc::new(Engine::new(store, state));
    restart::adopt(&engine).await;
    let listener = bind(&options.socket).await.map_err(listen)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(listen)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(listen)?;
    tracing::info!(
        socket = %options.socket.display(),
        state = %options.state.display(),
        "stand-in engine: plain processes, no containers"
    );
    tokio::select! {
        () = accept(&engine, &listener) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let _ = std::fs::remove_file(&options.socket);
    tracing::info!("stand-in engine ends; what it runs goes on");
    Ok(())
}

/// The lock on the state directory is held, so a socket that is there already is nobody's, unless
/// another directory's stand-in was given the same path: then it answers and is left alone.
async fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if path.exists() {
        let answers = tokio::time::timeout(Duration::from_secs(1), UnixStream::connect(path)).await;
        if matches!(answers, Ok(Ok(_))) {
            return Err(std::io::Error::new(
                std::io::ErrorKind::AddrInUse,
                "another process listens there",
            ));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(engine: &Arc<Engine>, listener: &UnixListener) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: it passes.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let engine = Arc::clone(engine);
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(move |request| {
                let engine = Arc::clone(&engine);
                async move { Ok::<_, Infallible>(api::handle(engine, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS_WITHIN)
                // The docker client ends its half of a connection before it has the answer.
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection");
            }
        });
    }
}
