//! The REST side: one gate that every request passes (who asks, how often, what is to go wrong,
//! whether the body is what Discord describes), and the table of routes behind it.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::answers::{Answered, Refusal, Reply};
use super::faults::FaultKind;
use super::multipart::{self, File};
use super::rates::{Told, route};
use super::world::{Request, World};
use super::{Fake, commands, interactions, messages, reactions};

/// A request, read.
pub(super) struct Call<'c> {
    pub method: &'c str,
    pub query: Vec<(String, String)>,
    pub body: Value,
    pub files: Vec<File>,
}

impl Call<'_> {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.query(name)?.parse().ok()
    }
}

pub(super) async fn serve(
    State(fake): State<Fake>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches("/api/v10").to_owned();
    let decoded: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(multipart::percent_decoded)
        .collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let kind = headers
        .get("content-type")
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("");
    let (body, files) = multipart::read(kind, &body);
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes())
            .into_owned()
            .collect();
    let call = Call {
        method: method.as_str(),
        query,
        body,
        files,
    };
    let fault = fake.lock().strike(method.as_str(), &path);
    match fault {
        Some(FaultKind::Hang) => {
            fake.record(&call, &path, &uri, 0);
            tokio::time::sleep(Duration::from_secs(60)).await;
            return StatusCode::GATEWAY_TIMEOUT.into_response();
        }
        Some(FaultKind::ServerError) => {
            fake.record(&call, &path, &uri, 500);
            return (StatusCode::INTERNAL_SERVER_ERROR, "upstream connect error").into_response();
        }
        Some(FaultKind::RateLimited { after, global }) => {
            fake.record(&call, &path, &uri, 429);
            fake.lock().invalid_requests += 1;
            return too_many(None, after, global);
        }
        Some(FaultKind::Slow(time)) => tokio::time::sleep(time).await,
        Some(FaultKind::LostAnswer) | None => {}
    }
    let authorised = {
        let world = fake.lock();
        let given = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bot "));
        !world.revoked && given == Some(world.token.as_str())
    };
    let answered = fake.lock().answer(&call, &segments, authorised);
    let (told, answered) = answered;
    let status = match &answered {
        Ok(Reply::Json(status, _)) => *status,
        Ok(Reply::Empty) => 204,
        Err(refusal) => refusal.status,
    };
    fake.check_body(&call, &path, &segments, status);
    fake.record(&call, &path, &uri, status);
    if matches!(status, 401 | 403 | 429) {
        fake.lock().invalid_requests += 1;
    }
    if fault == Some(FaultKind::LostAnswer) {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    if status == 429 {
        let after = told
            .as_ref()
            .map_or(Duration::from_secs(1), |told| told.reset_after);
        return too_many(told, after, false);
    }
    let mut response = match answered {
        Ok(Reply::Json(status, json)) => (code(status), axum::Json(json)).into_response(),
        Ok(Reply::Empty) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => (code(refusal.status), axum::Json(refusal.json())).into_response(),
    };
    with_headers(&mut response, told.as_ref());
    response
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn with_headers(response: &mut Response, told: Option<&Told>) {
    for (name, value) in told.map(Told::headers).unwrap_or_default() {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
}

fn too_many(told: Option<Told>, after: Duration, global: bool) -> Response {
    let body = json!({
        "message": "You are being rate limited.",
        "retry_after": after.as_secs_f64(),
        "global": global,
    });
    let mut response = (StatusCode::TOO_MANY_REQUESTS, axum::Json(body)).into_response();
    with_headers(&mut response, told.as_ref());
    let headers = response.headers_mut();
    if let Ok(value) = format!("{:.3}", after.as_secs_f64()).parse() {
        headers.insert("retry-after", value);
    }
    if let Ok(scope) = if global { "global" } else { "user" }.parse() {
        headers.insert("x-ratelimit-scope", scope);
    }
    if global && let Ok(value) = "true".parse() {
        headers.insert("x-ratelimit-global", value);
    }
    response
}

impl Fake {
    fn record(&self, call: &Call<'_>, path: &str, uri: &Uri, status: u16) {
        self.lock().requests.push(Request {
            method: call.method.to_owned(),
            path: path.to_owned(),
            query: uri.query().unwrap_or("").to_owned(),
            body: call.body.clone(),
            status,
        });
        self.changed();
    }

    /// What was accepted must also be what Discord describes.
    fn check_body(&self, call: &Call<'_>, path: &str, segments: &[&str], status: u16) {
        if !(200..300).contains(&status) {
            return;
        }
        for why in super::spec::violations(call.method, segments, &call.body) {
            let violation = format!("{} {path}: {why}", call.method);
            self.lock().violations.push(violation);
        }
    }
}

impl World {
    /// The fault that strikes this request, if one does.
    fn strike(&mut self, method: &str, path: &str) -> Option<FaultKind> {
        let at = self.faults.iter().position(|fault| {
            (fault.method.is_empty() || fault.method == method) && path.contains(&fault.path)
        })?;
        let fault = self.faults.get_mut(at)?;
        let kind = fault.kind;
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            self.faults.remove(at);
        }
        Some(kind)
    }

    fn answer(
        &mut self,
        call: &Call<'_>,
        segments: &[&str],
        authorised: bool,
    ) -> (Option<Told>, Answered) {
        // These carry a token of their own in the path, and have limits of their own.
        let own_token = matches!(segments, ["interactions" | "webhooks", ..]);
        let open = own_token || segments == ["gateway"];
        if !authorised && !open {
            return (None, Err(Refusal::unauthorised()));
        }
        let mut told = None;
        if segments.first() != Some(&"interactions") {
            let (template, key) = route(call.method, segments);
            let said = self.rates.count(&template, &key);
            let refused = said.refused;
            told = Some(said);
            if refused {
                return (
                    told,
                    Err(Refusal::new(429, 0, "You are being rate limited.")),
                );
            }
        }
        (told, self.route(call, segments))
    }

    fn route(&mut self, call: &Call<'_>, segments: &[&str]) -> Answered {
        let id = |text: &str| text.parse::<u64>().unwrap_or_default();
        match (call.method, segments) {
            ("GET", ["gateway"]) => Reply::ok(json!({"url": self.gateway_url()})),
            ("GET", ["gateway", "bot"]) => Reply::ok(json!({
                "url": self.gateway_url(), "shards": 1,
                "session_start_limit": {
                    "total": 1000, "remaining": 1000 - self.identifies.min(1000),
                    "reset_after": 3_600_000, "max_concurrency": 1,
                },
            })),
            ("GET", ["users", "@me"]) => Reply::ok(self.bot_json()),
            ("GET", ["users", user]) => match self.users.get(&id(user)) {
                Some(user) => Reply::ok(self.user_json(user)),
                None => Err(Refusal::unknown_user()),
            },
            ("POST", ["users", "@me", "channels"]) => self.open_direct(call),
            ("GET", ["applications", "@me"] | ["oauth2", "applications", "@me"]) => {
                Reply::ok(self.application_json())
            }
            (_, ["applications", application, rest @ ..]) => {
                if id(application) != self.application {
                    return Err(Refusal::new(
                        403,
                        20012,
                        "You are not authorized to perform this action on this application",
                    ));
                }
                commands::route(self, call, rest)
            }
            ("POST", ["interactions", interaction, token, "callback"]) => {
                interactions::callback(self, call, id(interaction), token)
            }
            (_, ["webhooks", application, token, rest @ ..]) => {
                if id(application) != self.application {
                    return Err(Refusal::unknown_webhook());
                }
                interactions::webhook(self, call, token, rest)
            }
            ("GET", ["guilds", guild, rest @ ..]) if id(guild) == self.guild => match rest {
                [] => Reply::ok(self.guild_json()),
                ["roles"] => Reply::ok(self.roles_json()),
                ["channels"] => Reply::ok(
                    self.channels
                        .values()
                        .filter(|channel| channel.kind == super::world::ChannelKind::Text)
                        .map(|channel| self.channel_json(channel))
                        .collect(),
                ),
                ["members", user] => {
                    let user = if *user == "@me" { self.bot } else { id(user) };
                    match self.users.get(&user).filter(|user| user.member) {
                        Some(user) => Reply::ok(self.member_json(user)),
                        None => Err(Refusal::new(404, 10007, "Unknown Member")),
                    }
                }
                _ => Err(Refusal::no_route()),
            },
            (_, ["guilds", ..]) => Err(Refusal::new(404, 10004, "Unknown Guild")),
            (
                _,
                [
                    "channels",
                    channel,
                    "messages",
                    message,
                    "reactions",
                    rest @ ..,
                ],
            ) => reactions::route(self, call, id(channel), id(message), rest),
            (_, ["channels", channel, rest @ ..]) => messages::route(self, call, id(channel), rest),
            _ => Err(Refusal::no_route()),
        }
    }

    fn gateway_url(&self) -> String {
        format!("{}/gateway", self.base.replacen("http", "ws", 1))
    }

    fn open_direct(&mut self, call: &Call<'_>) -> Answered {
        let user = &call.body["recipient_id"];
        let user = user
            .as_u64()
            .or_else(|| user.as_str()?.parse().ok())
            .unwrap_or_default();
        if !self.users.contains_key(&user) {
            return Err(Refusal::new(400, 50033, "Invalid Recipient(s)"));
        }
        let channel = self.direct_channel(user);
        match self.channels.get(&channel) {
            Some(channel) => Reply::ok(self.channel_json(channel)),
            None => Err(Refusal::unknown_channel()),
        }
    }
}
