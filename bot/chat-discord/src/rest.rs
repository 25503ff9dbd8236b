//! Requests to Discord: one way out, which keeps its rate limits, stops for good when the
//! credentials are refused, and says of every failure whether it helps to try again.
//!
//! Routes and errors are serenity's. The requests are sent here, because serenity's own client
//! loses the time to wait of a 429, and lets many requests run into the same one.

use std::sync::OnceLock;
use std::time::Duration;

use rollbot_chat::SendError;
use serde_json::Value;
use serenity::http::{DiscordJsonError, LightMethod, Route};
use serenity_reqwest as reqwest;
use tokio::time::{Instant, timeout_at};

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use reqwest::multipart::{Form, Part};
use url::Url;

use crate::config::{ConfigError, DiscordConfig};
use crate::pace::{Key, Pace, Verdict};

/// What is sent first when not everything can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Answers, approvals, questions.
    First,
    /// Live edits: the next one replaces this one.
    CanWait,
}

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failed {
    /// Discord said no, with a code of its own; 0 where it gave none.
    Refused {
        status: u16,
        code: isize,
        message: String,
    },
    /// Not before `after`.
    Limited { after: Duration },
    /// The answer did not come: what was asked for may be done all the same.
    NoAnswer { why: String },
    /// The token is not accepted; nothing is sent any more.
    Unauthorised,
}

impl Failed {
    pub fn is(&self, wanted: isize) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }

    /// Whether it may have been done although it is not known.
    pub fn is_unsure(&self) -> bool {
        matches!(self, Self::NoAnswer { .. })
            || matches!(self, Self::Refused { status, .. } if *status >= 500)
    }
}

/// The token is refused: said in the same words everywhere.
pub(crate) const REFUSED_TOKEN: &str = "Discord refuses the bot's token: it was reset or is wrong. Copy the current one from the application's page \"Bot\" into rollbot's secrets and restart rollbot";

impl From<Failed> for SendError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Limited { after } => Self::Again {
                why: format!("Discord's rate limit: wait {:.1} s", after.as_secs_f64()),
                after: Some(after),
            },
            Failed::NoAnswer { why } => Self::Again { why, after: None },
            Failed::Unauthorised => Self::Unauthorised(REFUSED_TOKEN.to_owned()),
            Failed::Refused {
                status,
                code,
                message,
            } if status >= 500 => Self::Again {
                why: format!("Discord is in trouble ({status}, code {code}): {message}"),
                after: None,
            },
            Failed::Refused {
                status,
                code,
                message,
            } => {
                let what_to_do = match code {
                    10003 => "; is the channel's id right, and is the bot on that server?",
                    10008 => "; the message was deleted",
                    50001 => "; give the bot \"View Channel\" there",
                    50007 => "; they take no direct messages from this server",
                    50013 => "; `rollbot check --online` names the permission that is missing",
                    _ => "",
                };
                Self::Refused(format!(
                    "Discord refuses it ({status}, code {code}): {message}{what_to_do}"
                ))
            }
        }
    }
}

/// One request, before it is sent.
pub(crate) struct Ask<'a> {
    route: Route<'a>,
    method: LightMethod,
    body: Option<Value>,
    file: Option<(String, Vec<u8>)>,
    params: Vec<(&'static str, String)>,
    urgency: Urgency,
    until: Option<Instant>,
}

impl<'a> Ask<'a> {
    pub fn new(method: LightMethod, route: Route<'a>) -> Self {
        Self {
            route,
            method,
            body: None,
            file: None,
            params: Vec::new(),
            urgency: Urgency::First,
            until: None,
        }
    }

    pub fn get(route: Route<'a>) -> Self {
        Self::new(LightMethod::Get, route)
    }

    pub fn post(route: Route<'a>) -> Self {
        Self::new(LightMethod::Post, route)
    }

    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub fn file(mut self, file: Option<(String, Vec<u8>)>) -> Self {
        self.file = file;
        self
    }

    pub fn param(mut self, name: &'static str, value: impl ToString) -> Self {
        self.params.push((name, value.to_string()));
        self
    }

    pub fn urgency(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }

    pub fn until(mut self, until: Instant) -> Self {
        self.until = Some(until);
        self
    }
}

pub(crate) struct Rest {
    client: reqwest::Client,
    base: String,
    /// `Bot TOKEN`
    authorization: String,
    deadline: Duration,
    pace: Pace,
    unauthorised: OnceLock<()>,
}

impl Rest {
    pub fn new(config: &DiscordConfig) -> Result<Self, ConfigError> {
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ConfigError::NoClient(error.to_string()))?;
        let base = config
            .api_url
            .as_ref()
            .map_or("https://discord.com", |url| url.as_str());
        Ok(Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
            authorization: format!("Bot {}", config.token),
            deadline: config.deadlines.request,
            pace: Pace::default(),
            unauthorised: OnceLock::new(),
        })
    }

    /// Whether the token was refused.
    pub fn is_unauthorised(&self) -> bool {
        self.unauthorised.get().is_some()
    }

    /// Nothing is sent from now on.
    pub fn give_up(&self) {
        let _ = self.unauthorised.set(());
    }

    /// Sends it, and again where a short wait is all it takes. `null` where the answer has no body.
    pub async fn send(&self, ask: Ask<'_>) -> Result<Value, Failed> {
        let until = ask.until.unwrap_or_else(|| Instant::now() + self.deadline);
        let key = Key::of(&ask.route, ask.method);
        loop {
            if self.is_unauthorised() {
                return Err(Failed::Unauthorised);
            }
            match self.pace.ask(&key, ask.urgency) {
                Verdict::Go => {}
                Verdict::Wait(time)
                    if ask.urgency == Urgency::First && Instant::now() + time < until =>
                {
                    tokio::time::sleep(time).await;
                    continue;
                }
                Verdict::Wait(after) => return Err(Failed::Limited { after }),
            }
            match self.once(&ask, &key, until).await {
                Err(Failed::Limited { after })
                    if ask.urgency == Urgency::First && Instant::now() + after < until =>
                {
                    tokio::time::sleep(after).await;
                }
                other => return other,
            }
        }
    }

    async fn once(&self, ask: &Ask<'_>, key: &Key, until: Instant) -> Result<Value, Failed> {
        let request = self.built(ask).map_err(|why| Failed::Refused {
            status: 0,
            code: 0,
            message: why,
        })?;
        let no_answer = |why: &str| Failed::NoAnswer {
            why: format!("Discord did not answer: {why}"),
        };
        let sent = timeout_at(until, self.client.execute(request)).await;
        let response = match sent {
            Err(_) => return Err(no_answer("the time for it is over")),
            // Without the address: that of a webhook holds a token.
            Ok(Err(error)) => return Err(no_answer(&cause(error))),
            Ok(Ok(response)) => response,
        };
        let status = response.status().as_u16();
        let header = |name: &str| -> Option<String> {
            Some(response.headers().get(name)?.to_str().ok()?.to_owned())
        };
        let global = header("x-ratelimit-global").is_some();
        let retry_after = header("retry-after").and_then(|after| seconds(&after));
        if let (Some(remaining), Some(reset)) = (
            header("x-ratelimit-remaining").and_then(|remaining| remaining.parse().ok()),
            header("x-ratelimit-reset-after").and_then(|after| seconds(&after)),
        ) {
            self.pace.told(key, remaining, reset);
        }
        let body = match timeout_at(until, response.bytes()).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Err(no_answer(&cause(error))),
            Err(_) => return Err(no_answer("the time for it is over")),
        };
        match status {
            200..=299 if body.is_empty() => Ok(Value::Null),
            200..=299 => serde_json::from_slice(&body)
                .map_err(|error| no_answer(&format!("what came is no JSON: {error}"))),
            // Interactions and webhooks have tokens of their own, which end.
            401 if !key.has_own_token() => {
                self.give_up();
                tracing::error!("{REFUSED_TOKEN}");
                Err(Failed::Unauthorised)
            }
            429 => {
                let said: Value = serde_json::from_slice(&body).unwrap_or_default();
                let after = retry_after
                    .or_else(|| said["retry_after"].as_f64().and_then(duration))
                    .unwrap_or(Duration::from_secs(5));
                let global = global || said["global"] == Value::Bool(true);
                self.pace.limited(key, after, global);
                tracing::warn!(
                    global,
                    seconds = after.as_secs_f64(),
                    "Discord's rate limit was hit"
                );
                Err(Failed::Limited { after })
            }
            _ => {
                let said = serde_json::from_slice::<DiscordJsonError>(&body).ok();
                let code = said.as_ref().map_or(0, |error| error.code);
                let message = said.map_or_else(|| "no reason given".to_owned(), in_words);
                Err(Failed::Refused {
                    status,
                    code,
                    message,
                })
            }
        }
    }

    /// Not by serenity's own builder: it writes the whole request, with tokens in its path, into a
    /// span of the log.
    fn built(&self, ask: &Ask<'_>) -> Result<reqwest::Request, String> {
        let path = ask.route.path().replace("https://discord.com", &self.base);
        let mut url = Url::parse(&path).map_err(|error| error.to_string())?;
        if !ask.params.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.params);
        }
        let mut request = self
            .client
            .request(ask.method.reqwest_method(), url)
            .header(USER_AGENT, serenity::constants::USER_AGENT);
        // Whoever holds the token of an interaction needs no other.
        if !Key::of(&ask.route, ask.method).has_own_token() {
            request = request.header(AUTHORIZATION, self.authorization.clone());
        }
        request = match (&ask.body, &ask.file) {
            (None, _) => request.header(CONTENT_LENGTH, 0),
            (Some(body), None) => request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string()),
            (Some(body), Some((name, bytes))) => {
                let file = Part::bytes(bytes.clone())
                    .file_name(name.clone())
                    .mime_str("text/markdown; charset=utf-8")
                    .map_err(cause)?;
                let json = Part::text(body.to_string())
                    .mime_str("application/json")
                    .map_err(cause)?;
                request.multipart(
                    Form::new()
                        .part("payload_json", json)
                        .part("files[0]", file),
                )
            }
        };
        request.build().map_err(cause)
    }
}

fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut inner: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(error) = inner {
        text = error.to_string();
        inner = error.source();
    }
    text
}

fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

fn seconds(text: &str) -> Option<Duration> {
    duration(text.parse().ok()?)
}

/// Discord's message, with the places in the body that it complains about.
fn in_words(error: DiscordJsonError) -> String {
    let mut text = error.message;
    for one in error.errors.iter().take(3) {
        text.push_str(&format!("; {}: {}", one.path, one.message));
    }
    text
}
