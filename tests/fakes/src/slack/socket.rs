//! Socket Mode: sockets that were opened with a ticket, and envelopes to one of them at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::workspace::APP_ID;
use super::{FakeSlack, Inner, lock};

/// What is written to a socket, in order.
enum Word {
    Frame(Value),
    Close,
    /// The TCP connection ends without a close frame.
    Drop,
}

struct Socket {
    words: mpsc::Sender<Word>,
    /// Envelopes still go to it.
    takes: bool,
}

/// The open sockets.
#[derive(Default)]
pub(crate) struct Sockets {
    open: BTreeMap<u64, Socket>,
    ever: u64,
    turn: usize,
}

impl Sockets {
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn ever(&self) -> u64 {
        self.ever
    }

    /// Gives an envelope to the next socket in turn. False: there is none, or it is too slow.
    pub(crate) fn give(&mut self, envelope: Value) -> bool {
        let takers: Vec<&Socket> = self.open.values().filter(|socket| socket.takes).collect();
        if takers.is_empty() {
            return false;
        }
        self.turn = self.turn.wrapping_add(1);
        takers
            .get(self.turn % takers.len())
            .is_some_and(|socket| socket.words.try_send(Word::Frame(envelope)).is_ok())
    }
}

pub(super) fn router() -> Router<Arc<Inner>> {
    Router::new().route("/link/", get(link))
}

async fn link(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<BTreeMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if lock(&inner.faults).refuse_sockets {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let ticket = query.get("ticket").cloned().unwrap_or_default();
    // A ticket is good for one socket.
    if !lock(&inner.workspace).tickets.remove(&ticket) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    upgrade.on_upgrade(move |socket| serve(inner, socket))
}

async fn serve(inner: Arc<Inner>, mut socket: WebSocket) {
    let (words, mut to_write) = mpsc::channel(1_024);
    let (id, count) = {
        let mut sockets = lock(&inner.sockets);
        if sockets.open.len() >= 10 {
            return;
        }
        sockets.ever += 1;
        let id = sockets.ever;
        sockets.open.insert(id, Socket { words, takes: true });
        (id, sockets.open.len())
    };
    let hello = json!({
        "type": "hello", "num_connections": count, "connection_info": {"app_id": APP_ID},
        "debug_info": {
            "host": "applink-fake", "build_number": 1,
            "approximate_connection_time": inner.settings.connection_seconds,
        },
    });
    let mut well = say(&mut socket, &hello).await;
    let mut pings = tokio::time::interval(inner.settings.ping_every);
    pings.tick().await;
    while well {
        while lock(&inner.faults).hang_sockets {
            tokio::select! {
                () = inner.gone.cancelled() => break,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            if inner.gone.is_cancelled() {
                break;
            }
        }
        tokio::select! {
            () = inner.gone.cancelled() => break,
            word = to_write.recv() => match word {
                Some(Word::Frame(frame)) => well = say(&mut socket, &frame).await,
                Some(Word::Close) => {
                    let _ = socket.send(Message::Close(None)).await;
                    well = false;
                }
                Some(Word::Drop) | None => well = false,
            },
            frame = socket.recv() => match frame {
                Some(Ok(Message::Text(text))) => acknowledged(&inner, &text),
                Some(Ok(Message::Close(_)) | Err(_)) | None => well = false,
                Some(Ok(_)) => {}
            },
            _ = pings.tick() => {
                well = socket.send(Message::Ping(b"Ping from applink-fake".to_vec().into())).await.is_ok();
            }
        }
    }
    lock(&inner.sockets).open.remove(&id);
}

async fn say(socket: &mut WebSocket, frame: &Value) -> bool {
    socket
        .send(Message::Text(frame.to_string().into()))
        .await
        .is_ok()
}

fn acknowledged(inner: &Inner, text: &str) {
    let Ok(frame) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let Some(id) = frame.get("envelope_id").and_then(Value::as_str) else {
        return;
    };
    let payload = frame.get("payload").cloned().unwrap_or(Value::Null);
    lock(&inner.deliveries).acknowledged(id, payload);
}

fn goodbye(reason: &str) -> Value {
    json!({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-fake"}})
}

impl FakeSlack {
    fn each(&self, mut word: impl FnMut() -> Word, only: Option<u64>) {
        for (id, socket) in &lock(&self.inner.sockets).open {
            if only.is_none_or(|only| only == *id) {
                // A full queue is that of a socket that hangs.
                let _ = socket.words.try_send(word());
            }
        }
    }

    /// Ids of the open sockets, oldest first.
    pub fn socket_ids(&self) -> Vec<u64> {
        lock(&self.inner.sockets).open.keys().copied().collect()
    }

    /// Ends every socket as a broken line does.
    pub fn drop_sockets(&self) {
        self.each(|| Word::Drop, None);
    }

    /// Rotates one socket as Slack does: a warning, then `refresh_requested`, then the end. Envelopes
    /// go to it until `refresh_requested`.
    pub async fn rotate(&self, id: u64) {
        self.each(|| Word::Frame(goodbye("warning")), Some(id));
        tokio::time::sleep(self.inner.settings.rotation_warning).await;
        if let Some(socket) = lock(&self.inner.sockets).open.get_mut(&id) {
            socket.takes = false;
        }
        self.each(|| Word::Frame(goodbye("refresh_requested")), Some(id));
        tokio::time::sleep(self.inner.settings.rotation_grace).await;
        self.each(|| Word::Close, Some(id));
        for _ in 0..200 {
            if !lock(&self.inner.sockets).open.contains_key(&id) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Tells every socket that Socket Mode was switched off, and ends them.
    pub fn switch_off_socket_mode(&self) {
        self.each(|| Word::Frame(goodbye("link_disabled")), None);
        self.each(|| Word::Close, None);
    }

    /// Sends text as it is to one socket.
    pub fn send_raw(&self, frame: Value) -> bool {
        lock(&self.inner.sockets).give(frame)
    }
}
