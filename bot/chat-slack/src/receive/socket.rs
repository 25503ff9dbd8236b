//! One socket: envelopes in, acknowledgements out, pings in between.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::sockets::{Keeper, Stream};
use super::{Acknowledge, Incoming};

/// Why a slot needs a socket other than the one it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Slack wants a new one (`warning`, `refresh_requested`); this one is still read for a while.
    Rotated,
    /// Socket Mode was switched off for the app.
    SwitchedOff,
    /// It is gone.
    Ended,
}

/// Acknowledgements that wait to be written: more than events are worked on at a time.
const ACKNOWLEDGEMENTS: usize = 256;

/// How long one frame may take to be written.
const WRITE: Duration = Duration::from_secs(5);

/// Any frame. The SDK has a type for it and does not let others name it; of what is in it, the
/// payload, the SDK's types are used.
#[derive(Deserialize)]
struct Envelope<'f> {
    #[serde(rename = "type")]
    kind: &'f str,
    #[serde(default)]
    envelope_id: Option<String>,
    /// Why a `disconnect` came.
    #[serde(default)]
    reason: Option<String>,
    #[serde(default, borrow)]
    payload: Option<&'f RawValue>,
}

/// Waits for Slack's hello. `None`: the socket ended first.
pub(super) async fn hello(stream: &mut Stream) -> Option<()> {
    loop {
        if let Message::Text(text) = stream.next().await?.ok()?
            && serde_json::from_str::<Envelope<'_>>(&text).is_ok_and(|frame| frame.kind == "hello")
        {
            return Some(());
        }
    }
}

/// What a frame is to us.
enum Frame {
    Event {
        incoming: Incoming,
        envelope_id: String,
    },
    /// Nothing that is understood, yet it must be acknowledged, or it would come again and again.
    Strange {
        envelope_id: String,
    },
    Leave(Leaving),
    Other,
}

fn read(text: &str) -> Frame {
    let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) else {
        return Frame::Other;
    };
    if envelope.kind == "disconnect" {
        return leave(&envelope.reason.unwrap_or_default());
    }
    let Some(envelope_id) = envelope.envelope_id else {
        return Frame::Other;
    };
    let payload = envelope.payload.map_or("null", RawValue::get);
    let incoming = match envelope.kind {
        "slash_commands" => serde_json::from_str(payload).map(Incoming::Command),
        "interactive" => Incoming::interaction(payload),
        "events_api" => serde_json::from_str(payload).map(Incoming::Push),
        _ => return Frame::Strange { envelope_id },
    };
    match incoming {
        Ok(incoming) => Frame::Event {
            incoming,
            envelope_id,
        },
        Err(error) => {
            // Where in the payload, never what: people's words are in it.
            tracing::warn!(
                kind = envelope.kind,
                column = error.column(),
                "a payload of Slack's is not as documented"
            );
            Frame::Strange { envelope_id }
        }
    }
}

fn leave(reason: &str) -> Frame {
    Frame::Leave(match reason {
        "link_disabled" => Leaving::SwitchedOff,
        // Another one would be one more.
        "too_many_websockets" => Leaving::Ended,
        _ => Leaving::Rotated,
    })
}

/// Serves the socket until it ends. `tell` hears when another one is wanted. Returns why it ended.
pub(super) async fn serve(
    keeper: &Keeper,
    stream: Stream,
    tell: oneshot::Sender<Leaving>,
) -> &'static str {
    let config = &keeper.desk.slack.config;
    let (mut sink, mut frames) = stream.split();
    let (to, mut acknowledgements) = mpsc::channel::<String>(ACKNOWLEDGEMENTS);
    // Dropped at the end, so that the queue ends with the last event that is being worked on.
    let (mut to, mut tell) = (Some(to), Some(tell));
    let mut waiting: Option<(Incoming, String, Instant)> = None;
    let mut heard = Instant::now();
    let mut pinged = Instant::now();
    let mut until: Option<Instant> = None;
    let mut ticks = tokio::time::interval(config.ping_every.min(Duration::from_secs(1)));
    loop {
        let write = tokio::select! {
            text = acknowledgements.recv() => match text {
                Some(text) => Message::Text(text.into()),
                // Only at the end: everything is acknowledged.
                None => {
                    let _ = tokio::time::timeout(WRITE, sink.close()).await;
                    return "rollbot ends";
                }
            },
            () = keeper.stop.cancelled(), if to.is_some() => {
                to = None;
                waiting = None;
                continue;
            }
            permit = Arc::clone(&keeper.desk.slack.permits).acquire_owned(), if waiting.is_some() => {
                if let (Some((incoming, envelope_id, _)), Some(to), Ok(permit)) = (waiting.take(), &to, permit) {
                    let to = to.clone();
                    work(keeper, incoming, Acknowledge::Socket { envelope_id, to }, permit);
                }
                continue;
            }
            frame = frames.next(), if waiting.is_none() && to.is_some() => {
                heard = Instant::now();
                match frame {
                    Some(Ok(Message::Text(text))) => match read(&text) {
                        Frame::Event { incoming, envelope_id } => {
                            waiting = Some((incoming, envelope_id, Instant::now()));
                            continue;
                        }
                        Frame::Strange { envelope_id } => {
                            tracing::warn!("Slack sent an event that was not understood");
                            Message::Text(serde_json::json!({"envelope_id": envelope_id}).to_string().into())
                        }
                        Frame::Leave(leaving) => {
                            if let Some(tell) = tell.take() {
                                until = Some(Instant::now() + config.drain);
                                // A slot that is gone needs no socket.
                                let _ = tell.send(leaving);
                            }
                            continue;
                        }
                        Frame::Other => continue,
                    },
                    // The library answers pings by itself with the next write.
                    Some(Ok(Message::Ping(_))) => {
                        if timely(sink.flush()).await { continue; }
                        return "nothing could be written to Slack";
                    }
                    Some(Ok(Message::Close(_))) | None => return "Slack closed the socket",
                    Some(Ok(_)) => continue,
                    Some(Err(_)) => return "the line to Slack broke",
                }
            }
            _ = ticks.tick() => {
                if heard.elapsed() > config.dead_after && waiting.is_none() {
                    return "nothing was heard from Slack";
                }
                if until.is_some_and(|until| Instant::now() > until) {
                    return "Slack did not close the old socket";
                }
                if waiting.as_ref().is_some_and(|(_, _, since)| since.elapsed() > config.answer_within) {
                    // Not acknowledged: Slack brings events again, and tells who typed a command.
                    tracing::warn!("too much at a time from Slack: an event was not taken");
                    waiting = None;
                }
                if pinged.elapsed() < config.ping_every {
                    continue;
                }
                pinged = Instant::now();
                Message::Ping(b"rollbot".to_vec().into())
            }
        };
        if !timely(sink.send(write)).await {
            return "nothing could be written to Slack";
        }
    }
}

async fn timely<E>(write: impl Future<Output = Result<(), E>>) -> bool {
    matches!(tokio::time::timeout(WRITE, write).await, Ok(Ok(())))
}

fn work(keeper: &Keeper, incoming: Incoming, to: Acknowledge, permit: OwnedSemaphorePermit) {
    let desk = keeper.desk.clone();
    keeper.tasks.spawn(async move {
        desk.take(incoming, to).await;
        drop(permit);
    });
}
