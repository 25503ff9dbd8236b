//! Keeps sockets open: as many as configured, a new one before an old one ends.
//!
//! The SDK's own listener is not used: on a `disconnect` it ends the socket before it opens the next
//! one, it takes 75 s to notice a dead one, waits a fixed 30 s between attempts, queues without
//! bounds, and does not tell when sockets are open again. Its call and its types are.

use std::time::Duration;

use rand::Rng as _;
use rollbot_chat::SendError;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Desk;
use super::socket::{self, Leaving, hello};
use crate::pace::Urgency;
use crate::platform::nothing;
use crate::web::{Call, Token};

pub(super) type Stream = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// A socket that lived so long was a good one: the next pause is the first again.
const GOOD: Duration = Duration::from_secs(10);

/// Opening a socket is tried no more often than this where it is refused. Ten invalid requests are
/// too many, and there are two sockets.
const MOST_REFUSALS: u32 = 4;

/// What all sockets share.
#[derive(Clone)]
pub(super) struct Keeper {
    pub(super) desk: Desk,
    pub(super) stop: CancellationToken,
    /// Everything that is being worked on.
    pub(super) tasks: TaskTracker,
}

#[derive(Deserialize)]
struct Opened {
    url: String,
}

pub(super) async fn keep(desk: Desk, count: usize, shutdown: impl Future<Output = ()> + Send) {
    let keeper = Keeper {
        desk,
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let mut slots = JoinSet::new();
    for _ in 0..count {
        slots.spawn(keeper.clone().slot());
    }
    tokio::select! {
        () = shutdown => {}
        // Slack refused us, and the slots ended by themselves.
        () = async { while slots.join_next().await.is_some() {} } => {}
    }
    keeper.stop.cancel();
    keeper.tasks.close();
    let patience = keeper.desk.slack.config.answer_within * 2;
    if tokio::time::timeout(patience, keeper.tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!("some events from Slack were still being worked on at the end");
    }
    slots.shutdown().await;
}

impl Keeper {
    /// One of the sockets, again and again.
    async fn slot(self) {
        let config = &self.desk.slack.config;
        let mut pause = config.first_pause;
        let mut refusals = 0;
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let mut least = Duration::ZERO;
            match self.open().await {
                Ok(stream) => {
                    if self.desk.slack.door.opened() {
                        tracing::info!("a socket to Slack is open");
                        let desk = self.desk.clone();
                        self.tasks.spawn(async move { desk.connected().await });
                    }
                    refusals = 0;
                    let leaving = self.serve_in_background(stream).await;
                    if leaving == Leaving::SwitchedOff {
                        self.give_up(
                            "Socket Mode was switched off for the app: switch it on and restart \
                             rollbot",
                        );
                        return;
                    }
                    if began.elapsed() > GOOD {
                        pause = config.first_pause;
                        // The old one is read until the new one is there.
                        if leaving == Leaving::Rotated {
                            continue;
                        }
                    }
                }
                Err(SendError::Again { why, after }) => {
                    tracing::warn!(why, "no socket to Slack");
                    self.desk.slack.door.failed(&why);
                    least = after.unwrap_or_default();
                }
                Err(SendError::Unauthorised(why)) => {
                    self.give_up(&why);
                    return;
                }
                // What stands in front of Slack may refuse for a while what Slack would not.
                Err(SendError::Refused(why)) => {
                    refusals += 1;
                    if refusals >= MOST_REFUSALS {
                        self.give_up(&why);
                        return;
                    }
                    tracing::warn!(why, "no socket to Slack");
                    self.desk.slack.door.failed(&why);
                    least = config.longest_pause / 2;
                }
            }
            let jittered = pause.mul_f64(rand::rng().random_range(0.5..1.0)).max(least);
            pause = (pause * 2).min(config.longest_pause);
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(jittered) => {}
            }
        }
    }

    fn give_up(&self, why: &str) {
        self.desk.slack.door.give_up(why);
        self.stop.cancel();
    }

    /// Opens a socket and waits for Slack's hello.
    async fn open(&self) -> Result<Stream, SendError> {
        let slack = &self.desk.slack;
        let call = Call::new("apps.connections.open", "", Urgency::High);
        let opened: Opened = slack.web.post(Token::App, call, &nothing()).await?;
        let again = |why: &str| SendError::Again {
            why: why.to_owned(),
            after: None,
        };
        let connecting = async {
            // What went wrong is not logged as it is: the address holds a ticket.
            let (mut stream, _) = tokio_tungstenite::connect_async(opened.url.as_str())
                .await
                .map_err(|_| again("Slack's socket could not be opened"))?;
            hello(&mut stream)
                .await
                .ok_or_else(|| again("Slack's socket ended before it said hello"))?;
            Ok(stream)
        };
        tokio::time::timeout(slack.config.open_deadline, connecting)
            .await
            .unwrap_or_else(|_| Err(again("Slack's socket did not say hello in time")))
    }

    /// Serves the socket in a task of its own, which outlives a rotation. Returns as soon as another
    /// socket is wanted.
    async fn serve_in_background(&self, stream: Stream) -> Leaving {
        let (tell, told) = tokio::sync::oneshot::channel();
        let keeper = self.clone();
        self.tasks.spawn(async move {
            let why = socket::serve(&keeper, stream, tell).await;
            keeper.desk.slack.door.closed(why);
            if !keeper.stop.is_cancelled() {
                tracing::debug!(why, "a socket to Slack ended");
            }
        });
        told.await.unwrap_or(Leaving::Ended)
    }
}
