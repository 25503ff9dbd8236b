//! The connection over which events come: kept, resumed where that is possible, and given up only
//! when Discord does not accept it at all.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rand::Rng as _;
use rollbot_chat::Connection;
use serde_json::{Value, json};
use serenity::http::Route;
use serenity::model::gateway::GatewayIntents;
use serenity_tungstenite as tungstenite;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tungstenite::tungstenite::Message;
use tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::intake::Intake;
use crate::rest::{Ask, Failed, REFUSED_TOKEN};
use crate::wire::{Frame, Interaction, Reaction};
use crate::{Discord, wire};

/// The guild itself, and reactions on its messages. Interactions need none, and no message of
/// anybody is read.
const INTENTS: GatewayIntents =
    GatewayIntents::GUILDS.union(GatewayIntents::GUILD_MESSAGE_REACTIONS);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What can be resumed.
struct Session {
    id: String,
    url: String,
    sequence: u64,
    /// Attempts to take it up that did not get through.
    failures: u32,
}

/// A session's own address may be gone for good: after as many attempts a new one is begun.
const ATTEMPTS: u32 = 4;

/// Why a connection ended.
enum Ended {
    /// Discord asked for a new one.
    Asked,
    Lost(String),
    /// The session is over: identify anew.
    NewSession(String),
    GivenUp(String),
}

/// Returns only when there is no sense in trying again.
pub(crate) async fn keep_connected(discord: &Discord, intake: &Intake) {
    let deadlines = &discord.config.deadlines;
    let mut session = None;
    let mut pause = deadlines.first_pause;
    loop {
        let mut was_up = false;
        let ended = connection(discord, intake, &mut session, &mut was_up).await;
        if was_up {
            pause = deadlines.first_pause;
        }
        let why = match ended {
            Ended::GivenUp(why) => {
                if why == REFUSED_TOKEN {
                    discord.rest.give_up();
                }
                return discord.set_connection(Connection::GivenUp { why });
            }
            Ended::Asked if was_up => {
                tracing::debug!("Discord asked for a new connection");
                // Should it ask again and again, then not as fast as it can be done.
                tokio::time::sleep(deadlines.first_pause / 5).await;
                continue;
            }
            Ended::Asked => "Discord asked for a new connection".to_owned(),
            Ended::Lost(why) => why,
            Ended::NewSession(why) => {
                session = None;
                why
            }
        };
        discord.set_connection(Connection::Down { why });
        // Everybody lost the connection at the same instant, and not all are to come back at one.
        let jittered = pause.mul_f64(rand::rng().random_range(0.5..1.0));
        tokio::time::sleep(jittered).await;
        pause = (pause * 2).min(deadlines.longest_pause);
    }
}

/// One connection, from its address to its end.
async fn connection(
    discord: &Discord,
    intake: &Intake,
    session: &mut Option<Session>,
    was_up: &mut bool,
) -> Ended {
    let deadlines = &discord.config.deadlines;
    let ready_by = Instant::now() + deadlines.connect;
    if let Err(Failed::Unauthorised) = discord.me().await {
        return Ended::GivenUp(REFUSED_TOKEN.to_owned());
    }
    let url = match session.as_ref() {
        Some(session) => session.url.clone(),
        None => match address(discord).await {
            Ok(url) => url,
            Err(Failed::Unauthorised) => return Ended::GivenUp(REFUSED_TOKEN.to_owned()),
            Err(error) => {
                let error = rollbot_chat::SendError::from(error);
                return Ended::Lost(format!("the gateway's address is not known: {error}"));
            }
        },
    };
    let url = format!("{}/?v=10&encoding=json", url.trim_end_matches('/'));
    let socket = match timeout_at(ready_by, tungstenite::connect_async(url)).await {
        Ok(Ok((socket, _))) => socket,
        Ok(Err(error)) => return lost_before_ready(session, format!("no connection: {error}")),
        Err(_) => {
            return lost_before_ready(
                session,
                "the gateway does not take the connection".to_owned(),
            );
        }
    };
    let mut line = Line {
        discord,
        intake,
        socket,
        session,
        interval: None,
        next_beat: Instant::now() + deadlines.connect,
        unacknowledged: None,
        ready_by: Some(ready_by),
    };
    let ended = line.run().await;
    *was_up = line.ready_by.is_none();
    let _ = timeout(Duration::from_secs(1), line.socket.close(None)).await;
    ended
}

fn lost_before_ready(session: &mut Option<Session>, why: String) -> Ended {
    let spent = session.as_mut().is_some_and(|session| {
        session.failures += 1;
        session.failures >= ATTEMPTS
    });
    if spent {
        *session = None;
    }
    Ended::Lost(why)
}

async fn address(discord: &Discord) -> Result<String, Failed> {
    let said = discord.rest.send(Ask::get(Route::GatewayBot)).await?;
    let limit = &said["session_start_limit"];
    if limit["remaining"].as_u64() == Some(0) {
        let after = limit["reset_after"].as_u64().unwrap_or(60_000);
        return Err(Failed::Limited {
            after: Duration::from_millis(after),
        });
    }
    said["url"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failed::NoAnswer {
            why: "Discord named no gateway".to_owned(),
        })
}

struct Line<'a> {
    discord: &'a Discord,
    intake: &'a Intake,
    socket: Socket,
    session: &'a mut Option<Session>,
    /// Between heartbeats, once the server has said hello.
    interval: Option<Duration>,
    next_beat: Instant,
    /// When a heartbeat that was not acknowledged yet must have been.
    unacknowledged: Option<Instant>,
    /// By when the connection must stand; `None` once it does.
    ready_by: Option<Instant>,
}

impl Line<'_> {
    async fn run(&mut self) -> Ended {
        let far = Instant::now() + Duration::from_secs(86_400);
        loop {
            let give_up = self
                .unacknowledged
                .into_iter()
                .chain(self.ready_by)
                .min()
                .unwrap_or(far);
            tokio::select! {
                message = self.socket.next() => {
                    let ended = match message {
                        None => Some(Ended::Lost("the connection ended".to_owned())),
                        Some(Err(error)) => Some(Ended::Lost(format!("the connection broke: {error}"))),
                        Some(Ok(Message::Text(text))) => self.text(&text).await,
                        Some(Ok(Message::Close(frame))) => {
                            let (code, reason) = frame
                                .map_or((1006, String::new()), |frame| (u16::from(frame.code), frame.reason.into_owned()));
                            Some(closed(code, &reason))
                        }
                        Some(Ok(_)) => None,
                    };
                    if let Some(ended) = ended {
                        return ended;
                    }
                }
                () = sleep_until(self.next_beat), if self.interval.is_some() => {
                    if let Some(ended) = self.beat().await {
                        return ended;
                    }
                }
                () = sleep_until(give_up) => {
                    return Ended::Lost(match self.ready_by {
                        Some(_) => "the gateway did not become ready".to_owned(),
                        None => "the connection is dead: a heartbeat was not answered".to_owned(),
                    });
                }
            }
        }
    }

    async fn send(&mut self, frame: &Value) -> Option<Ended> {
        let sending = self.socket.send(Message::Text(frame.to_string()));
        let deadline = self.discord.config.deadlines.acknowledgement;
        match timeout(deadline, sending).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Ended::Lost(format!("the connection broke: {error}"))),
            Err(_) => Some(Ended::Lost(
                "the connection takes nothing any more".to_owned(),
            )),
        }
    }

    async fn beat(&mut self) -> Option<Ended> {
        let sequence = self.session.as_ref().map(|session| session.sequence);
        let now = Instant::now();
        self.next_beat = now + self.interval.unwrap_or(Duration::from_secs(15));
        let by = now + self.discord.config.deadlines.acknowledgement;
        self.unacknowledged.get_or_insert(by);
        self.send(&json!({"op": 1, "d": sequence})).await
    }

    async fn text(&mut self, text: &str) -> Option<Ended> {
        let frame: Frame = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(%error, "a frame of the gateway cannot be read");
                return None;
            }
        };
        match frame.op {
            0 => {
                self.event(frame);
                None
            }
            1 => self.beat().await,
            7 => Some(Ended::Asked),
            9 if frame.d == true => Some(Ended::Lost("the session was interrupted".to_owned())),
            9 => Some(Ended::NewSession(
                "the session is not valid any more".to_owned(),
            )),
            10 => {
                let said = frame.d["heartbeat_interval"].as_u64().unwrap_or(41_250);
                let ours = self.discord.config.deadlines.heartbeat;
                let interval = Duration::from_millis(said.max(1)).min(ours);
                self.interval = Some(interval);
                self.next_beat =
                    Instant::now() + interval.mul_f64(rand::rng().random_range(0.0..1.0));
                self.introduce().await
            }
            11 => {
                self.unacknowledged = None;
                None
            }
            _ => None,
        }
    }

    /// Resumes what there is to resume, or begins a session.
    async fn introduce(&mut self) -> Option<Ended> {
        let token = &self.discord.config.token;
        let frame = match self.session.as_ref() {
            Some(session) => json!({"op": 6, "d": {
                "token": token, "session_id": session.id, "seq": session.sequence,
            }}),
            None => json!({"op": 2, "d": {
                "token": token,
                "intents": INTENTS.bits(),
                "properties": {"os": std::env::consts::OS, "browser": "rollbot", "device": "rollbot"},
            }}),
        };
        self.send(&frame).await
    }

    fn event(&mut self, frame: Frame) {
        let (Some(name), Some(sequence)) = (frame.t, frame.s) else {
            return;
        };
        if name == "READY" {
            let text = |name: &str| frame.d[name].as_str().map(str::to_owned);
            if let (Some(id), Some(url)) = (text("session_id"), text("resume_gateway_url")) {
                *self.session = Some(Session {
                    id,
                    url,
                    sequence,
                    failures: 0,
                });
            }
        }
        let key = match self.session.as_mut() {
            Some(session) => {
                session.sequence = session.sequence.max(sequence);
                session.failures = 0;
                // The session's id is all that somebody would need besides the token.
                format!(
                    "reaction/{}/{sequence}",
                    crate::message::reference(&session.id)
                )
            }
            None => return,
        };
        match name.as_str() {
            "READY" | "RESUMED" => {
                self.ready_by = None;
                self.discord.set_connection(Connection::Up);
                self.intake.connected();
            }
            "INTERACTION_CREATE" => match serde_json::from_value::<Interaction>(frame.d) {
                Ok(interaction) if interaction.kind != wire::PING => {
                    self.intake.interaction(interaction);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "an interaction cannot be read"),
            },
            "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE" => {
                match serde_json::from_value::<Reaction>(frame.d) {
                    Ok(reaction) => {
                        let on = name == "MESSAGE_REACTION_ADD";
                        self.intake.reaction(key, reaction, on);
                    }
                    Err(error) => tracing::warn!(%error, "a reaction cannot be read"),
                }
            }
            // Whole messages were cleared of reactions: what stands is read again.
            "MESSAGE_REACTION_REMOVE_ALL" | "MESSAGE_REACTION_REMOVE_EMOJI" => {
                self.intake.connected();
            }
            _ => {}
        }
    }
}

fn closed(code: u16, reason: &str) -> Ended {
    match code {
        4004 => Ended::GivenUp(REFUSED_TOKEN.to_owned()),
        4010..=4012 => Ended::GivenUp(format!(
            "Discord does not take the connection (close code {code}: {reason}): this version of rollbot is too old for it, or the bot is on too many servers"
        )),
        4013 | 4014 => Ended::GivenUp(format!(
            "Discord does not grant the intents \"Guilds\" and \"Guild Message Reactions\" (close code {code}): look at the application's page \"Bot\""
        )),
        4007 | 4009 => {
            Ended::NewSession(format!("the session is over (close code {code}: {reason})"))
        }
        _ => Ended::Lost(format!(
            "Discord closed the connection (close code {code}: {reason})"
        )),
    }
}
