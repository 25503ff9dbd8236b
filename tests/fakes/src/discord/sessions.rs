//! The gateway: hello, identify or resume, heartbeats, events with their sequence.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Fake;
use super::world::World;

/// As many events are kept for a resumption.
const KEPT: usize = 512;
/// As many frames wait for a slow reader, before it is cut off.
const QUEUE: usize = 1_024;

/// What goes to a connection.
#[derive(Debug, Clone)]
pub(super) enum Out {
    Frame(Value),
    Close(u16, &'static str),
    /// The socket ends without a word.
    Drop,
}

/// A session: it outlives its connection.
#[derive(Debug)]
pub(super) struct Session {
    pub intents: u64,
    pub sequence: u64,
    log: VecDeque<Value>,
    pub socket: Option<mpsc::Sender<Out>>,
    held: Option<Value>,
    pub duplicates: u32,
    pub reorder: bool,
    pub silent: bool,
}

impl Session {
    pub fn push(&mut self, event: &str, data: Value) {
        self.sequence += 1;
        let frame = json!({"op": 0, "s": self.sequence, "t": event, "d": data});
        self.log.push_back(frame.clone());
        if self.log.len() > KEPT {
            self.log.pop_front();
        }
        if self.silent {
            return;
        }
        if self.reorder {
            match self.held.take() {
                None => {
                    self.held = Some(frame);
                    return;
                }
                Some(earlier) => {
                    self.send(Out::Frame(frame));
                    self.send(Out::Frame(earlier));
                    return;
                }
            }
        }
        for _ in 0..=self.duplicates {
            self.send(Out::Frame(frame.clone()));
        }
    }

    pub fn send(&mut self, out: Out) {
        if let Some(socket) = &self.socket
            && socket.try_send(out).is_err()
        {
            self.socket = None;
        }
    }
}

impl World {
    /// Sends to every connection.
    pub fn broadcast(&mut self, out: &Out) {
        for session in self.sessions.values_mut() {
            session.send(out.clone());
        }
    }
}

pub(super) async fn upgrade(State(fake): State<Fake>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| serve(fake, socket))
}

/// What became of a first frame.
enum Begun {
    Session(String),
    Close(u16, &'static str),
    /// "Invalid session": the client may identify on the same connection.
    Invalid,
}

async fn serve(fake: Fake, mut socket: WebSocket) {
    fake.connections.fetch_add(1, Ordering::Relaxed);
    let (refuse, hang, heartbeat) = {
        let world = fake.lock();
        (world.gateway.refuse, world.gateway.hang, world.heartbeat)
    };
    if refuse {
        return;
    }
    if hang {
        tokio::time::sleep(Duration::from_secs(120)).await;
        return;
    }
    let interval = u64::try_from(heartbeat.as_millis()).unwrap_or(u64::MAX);
    let hello = json!({"op": 10, "s": null, "t": null, "d": {"heartbeat_interval": interval}});
    if send(&mut socket, &hello).await.is_err() {
        return;
    }
    let (sender, mut queue) = mpsc::channel(QUEUE);
    let mut session: Option<String> = None;
    loop {
        tokio::select! {
            out = queue.recv() => match out {
                Some(Out::Frame(frame)) => {
                    if send(&mut socket, &frame).await.is_err() {
                        break;
                    }
                }
                Some(Out::Close(code, reason)) => {
                    close(&mut socket, code, reason).await;
                    break;
                }
                Some(Out::Drop) | None => break,
            },
            frame = socket.next() => {
                let Some(Ok(frame)) = frame else { break };
                let text = match frame {
                    Frame::Text(text) => text.to_string(),
                    Frame::Close(_) => break,
                    _ => continue,
                };
                let Ok(frame) = serde_json::from_str::<Value>(&text) else {
                    close(&mut socket, 4002, "decode error").await;
                    break;
                };
                match frame.get("op").and_then(Value::as_u64) {
                    Some(1) => {
                        let silent = fake.lock().gateway.silent;
                        fake.heartbeats.fetch_add(1, Ordering::Relaxed);
                        let ack = json!({"op": 11, "s": null, "t": null, "d": null});
                        if !silent && send(&mut socket, &ack).await.is_err() {
                            break;
                        }
                    }
                    Some(op @ (2 | 6)) => {
                        if session.is_some() {
                            close(&mut socket, 4005, "already authenticated").await;
                            break;
                        }
                        let data = frame.get("d").cloned().unwrap_or_default();
                        let begun = {
                            let mut world = fake.lock();
                            match op {
                                2 => identify(&mut world, &data, &sender),
                                _ => resume(&mut world, &data, &sender),
                            }
                        };
                        fake.changed();
                        match begun {
                            Begun::Session(id) => session = Some(id),
                            Begun::Close(code, reason) => {
                                close(&mut socket, code, reason).await;
                                break;
                            }
                            Begun::Invalid => {
                                let invalid = json!({"op": 9, "s": null, "t": null, "d": false});
                                if send(&mut socket, &invalid).await.is_err() {
                                    break;
                                }
                            }
                        }
                    }
                    // Presence, voice, members and the like: nothing depends on them here.
                    Some(3 | 4 | 8 | 31) => {}
                    _ => {
                        close(&mut socket, 4001, "unknown opcode").await;
                        break;
                    }
                }
            }
        }
    }
    // Another connection may have taken the session over meanwhile.
    if let Some(id) = session
        && let Some(known) = fake.lock().sessions.get_mut(&id)
        && known
            .socket
            .as_ref()
            .is_some_and(|socket| socket.same_channel(&sender))
    {
        known.socket = None;
    }
    fake.changed();
}

fn token_of(data: &Value) -> &str {
    let token = data.get("token").and_then(Value::as_str).unwrap_or("");
    token.strip_prefix("Bot ").unwrap_or(token)
}

fn identify(world: &mut World, data: &Value, sender: &mpsc::Sender<Out>) -> Begun {
    world.identifies += 1;
    if let Some(code) = world.gateway.close_identify.take() {
        return Begun::Close(code, "as asked for");
    }
    if world.revoked || token_of(data) != world.token {
        return Begun::Close(4004, "Authentication failed.");
    }
    let Some(intents) = data.get("intents").and_then(Value::as_u64) else {
        return Begun::Close(4013, "Invalid intent(s).");
    };
    if data.get("properties").is_none() {
        return Begun::Close(4002, "Error while decoding payload.");
    }
    if intents & !world.allowed_intents != 0 {
        return Begun::Close(4014, "Disallowed intent(s).");
    }
    let id = hex::encode(rand::random::<[u8; 16]>());
    let session = Session {
        intents,
        sequence: 0,
        log: VecDeque::new(),
        socket: Some(sender.clone()),
        held: None,
        duplicates: 0,
        reorder: false,
        silent: false,
    };
    world.sessions.insert(id.clone(), session);
    let ready = json!({
        "v": 10,
        "user": world.bot_json(),
        "guilds": [{"id": world.guild.to_string(), "unavailable": true}],
        "session_id": id,
        "session_type": "normal",
        "resume_gateway_url": format!("{}/gateway-resume", world.base.replacen("http", "ws", 1)),
        "application": {"id": world.application.to_string(), "flags": 0},
        "shard": [0, 1],
        "user_settings": {}, "relationships": [], "private_channels": [], "presences": [],
        "guild_join_requests": [], "geo_ordered_rtc_regions": [], "_trace": [],
    });
    let guild = world.guild_created();
    let faults = world.gateway;
    if let Some(session) = world.sessions.get_mut(&id) {
        session.push("READY", ready);
        if intents & 1 != 0 {
            session.push("GUILD_CREATE", guild);
        }
        session.duplicates = faults.duplicates;
        session.reorder = faults.reorder;
        session.silent = faults.silent;
    }
    Begun::Session(id)
}

fn resume(world: &mut World, data: &Value, sender: &mpsc::Sender<Out>) -> Begun {
    world.resumes += 1;
    if world.revoked || token_of(data) != world.token {
        return Begun::Close(4004, "Authentication failed.");
    }
    let id = data.get("session_id").and_then(Value::as_str).unwrap_or("");
    let Some(sequence) = data.get("seq").and_then(Value::as_u64) else {
        return Begun::Close(4007, "Invalid seq.");
    };
    if std::mem::take(&mut world.gateway.refuse_resume) {
        world.sessions.remove(id);
        return Begun::Invalid;
    }
    let silent = world.gateway.silent;
    let Some(session) = world.sessions.get_mut(id) else {
        return Begun::Invalid;
    };
    if sequence > session.sequence {
        return Begun::Close(4007, "Invalid seq.");
    }
    let first = session.sequence - session.log.len() as u64;
    if sequence < first {
        return Begun::Invalid;
    }
    session.socket = Some(sender.clone());
    session.silent = silent;
    session.held = None;
    let missed: Vec<Value> = session
        .log
        .iter()
        .filter(|frame| frame["s"].as_u64() > Some(sequence))
        .cloned()
        .collect();
    for frame in missed {
        session.send(Out::Frame(frame));
    }
    let reorder = std::mem::take(&mut session.reorder);
    session.push("RESUMED", json!({"_trace": []}));
    session.reorder = reorder;
    Begun::Session(id.to_owned())
}

async fn send(socket: &mut WebSocket, frame: &Value) -> Result<(), axum::Error> {
    socket.send(Frame::Text(frame.to_string().into())).await
}

async fn close(socket: &mut WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    // The other side may be gone already, which is what closing is for.
    let _ = socket.send(Frame::Close(Some(frame))).await;
    // It answers with a close frame of its own; a socket dropped before that is a reset.
    let _ = tokio::time::timeout(Duration::from_secs(1), async {
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
}
