//! The server around the router: connections, their deadlines and their end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rollbot_chat::Dispatch;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service as _;

use crate::{Console, Health};

/// As many connections at a time; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 512;
/// A client that does not finish its request's head by then is cut off.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Requests under way at the end get this long.
const GRACE: Duration = Duration::from_secs(5);

impl Console {
    /// Serves until `shutdown` completes, then finishes what is under way and returns.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        dispatch: Arc<dyn Dispatch>,
        health: Arc<dyn Health>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> std::io::Result<()> {
        let address = listener.local_addr()?;
        let _ = self.bound.set(address);
        tracing::info!(%address, url = %self.config.public_url, "the console listens");
        let router = self.router(dispatch, health);
        let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let closing = self.closing.subscribe();
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = async {
                // The semaphore is never closed; the slot goes with the connection.
                let slot = Arc::clone(&slots).acquire_owned().await;
                (listener.accept().await, slot)
            };
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                (accepted, slot) = accepted => match accepted {
                    Ok((stream, peer)) => {
                        let connection = connection(stream, peer, router.clone(), closing.clone());
                        connections.spawn(async move {
                            let _slot = slot;
                            connection.await;
                        });
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: others close theirs meanwhile.
                        tracing::warn!(%error, "the console cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                },
            }
        }
        drop(listener);
        self.closing.send_replace(true);
        let all_done = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all_done).await.is_err() {
            tracing::info!("the console closes connections that did not end by themselves");
            connections.shutdown().await;
        }
        Ok(())
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: axum::Router,
    mut closing: watch::Receiver<bool>,
) {
    // Small messages at once, rather than few packets.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection to the console ended early");
    }
}

/// Returns once the server goes down.
pub(crate) async fn closed(closing: &mut watch::Receiver<bool>) {
    // The sender lives as long as the console; without it there is nothing to serve either.
    let _ = closing.wait_for(|closing| *closing).await;
}
