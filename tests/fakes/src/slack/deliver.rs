//! Brings what people do to the bot: over a socket or to its request URLs, again and again where
//! Slack would.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ring::hmac;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::workspace::{APP_ID, BOT_USER, SIGNING_SECRET, TEAM_ID};
use super::{Inner, lock};

/// Where a bot takes requests, if it does not use Socket Mode.
#[derive(Debug, Clone)]
pub struct RequestUrls {
    pub events: String,
    pub commands: String,
    pub interactivity: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    SlashCommands,
    Interactive,
    EventsApi,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::SlashCommands => "slash_commands",
            Kind::Interactive => "interactive",
            Kind::EventsApi => "events_api",
        }
    }
}

/// What is under way.
#[derive(Default)]
pub(crate) struct Deliveries {
    urls: Option<RequestUrls>,
    acknowledgements: HashMap<String, oneshot::Sender<Value>>,
    waiting: BTreeMap<u64, String>,
    /// An event that waits for the next, when order is disturbed.
    held: Option<Value>,
    next: u64,
}

impl Deliveries {
    pub(crate) fn acknowledged(&mut self, envelope: &str, payload: Value) {
        if let Some(waits) = self.acknowledgements.remove(envelope) {
            // Nobody waits any more: the acknowledgement came too late.
            let _ = waits.send(payload);
        }
    }

    pub(crate) fn waiting(&self) -> Vec<String> {
        let held = self.held.iter().map(|_| "an event held back".to_owned());
        self.waiting.values().cloned().chain(held).collect()
    }

    pub(crate) fn set_urls(&mut self, urls: Option<RequestUrls>) {
        self.urls = urls;
    }

    fn begin(&mut self, what: String) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, what);
        self.next
    }
}

/// One try. `Err`: why there was no acknowledgement, in Slack's words.
async fn once(
    inner: &Arc<Inner>,
    kind: Kind,
    payload: &Value,
    retry: Option<(u32, &str)>,
) -> Result<Value, String> {
    let urls = lock(&inner.deliveries).urls.clone();
    match urls {
        Some(urls) => over_http(inner, &urls, kind, payload, retry).await,
        None => over_socket(inner, kind, payload, retry).await,
    }
}

async fn over_socket(
    inner: &Arc<Inner>,
    kind: Kind,
    payload: &Value,
    retry: Option<(u32, &str)>,
) -> Result<Value, String> {
    let id = format!("{:032x}", rand::random::<u128>());
    let mut envelope = json!({
        "type": kind.as_str(), "envelope_id": id, "payload": payload,
        "accepts_response_payload": kind != Kind::EventsApi,
    });
    if let (Some(map), Kind::EventsApi) = (envelope.as_object_mut(), kind) {
        let (attempt, reason) = retry.unwrap_or((0, ""));
        map.insert("retry_attempt".into(), json!(attempt));
        map.insert("retry_reason".into(), json!(reason));
    }
    let (tell, told) = oneshot::channel();
    lock(&inner.deliveries)
        .acknowledgements
        .insert(id.clone(), tell);
    if !lock(&inner.sockets).give(envelope) {
        lock(&inner.deliveries).acknowledgements.remove(&id);
        return Err("no_socket".to_owned());
    }
    match tokio::time::timeout(inner.settings.ack_within, told).await {
        Ok(Ok(payload)) => Ok(payload),
        Ok(Err(_)) => Err("connection_failed".to_owned()),
        Err(_) => {
            lock(&inner.deliveries).acknowledgements.remove(&id);
            Err("timeout".to_owned())
        }
    }
}

/// The signature of a request, as the header carries it.
pub fn signature(secret: &str, timestamp: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{timestamp}:{body}").as_bytes());
    format!("v0={}", hex::encode(tag.as_ref()))
}

async fn over_http(
    inner: &Arc<Inner>,
    urls: &RequestUrls,
    kind: Kind,
    payload: &Value,
    retry: Option<(u32, &str)>,
) -> Result<Value, String> {
    let form = |pairs: &mut url::form_urlencoded::Serializer<'_, String>| pairs.finish();
    let (url, content_type, body) = match kind {
        Kind::EventsApi => (&urls.events, "application/json", payload.to_string()),
        Kind::Interactive => {
            let mut pairs = url::form_urlencoded::Serializer::new(String::new());
            pairs.append_pair("payload", &payload.to_string());
            (
                &urls.interactivity,
                "application/x-www-form-urlencoded",
                form(&mut pairs),
            )
        }
        Kind::SlashCommands => {
            let mut pairs = url::form_urlencoded::Serializer::new(String::new());
            for (key, value) in payload.as_object().into_iter().flatten() {
                pairs.append_pair(key, value.as_str().unwrap_or_default());
            }
            (
                &urls.commands,
                "application/x-www-form-urlencoded",
                form(&mut pairs),
            )
        }
    };
    let now = jiff::Timestamp::now().as_second();
    let mut request = inner
        .http
        .post(url)
        .header("content-type", content_type)
        .header("x-slack-request-timestamp", now.to_string())
        .header("x-slack-signature", signature(SIGNING_SECRET, now, &body))
        .timeout(inner.settings.ack_within)
        .body(body);
    if let Some((attempt, reason)) = retry {
        request = request
            .header("x-slack-retry-num", attempt.to_string())
            .header("x-slack-retry-reason", reason);
    }
    let response = request.send().await.map_err(|error| {
        let reason = if error.is_timeout() {
            "http_timeout"
        } else {
            "connection_failed"
        };
        reason.to_owned()
    })?;
    if !response.status().is_success() {
        return Err("http_error".to_owned());
    }
    let text = response.text().await.map_err(|_| "http_error".to_owned())?;
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Delivers a command or an interaction: once, or more often where duplicates are arranged. What
/// the first of them was answered, or what the person saw instead.
pub(crate) async fn ask(inner: &Arc<Inner>, kind: Kind, payload: Value) -> Result<Value, String> {
    let number = lock(&inner.deliveries).begin(kind.as_str().to_owned());
    let answer = once(inner, kind, &payload, None).await;
    let duplicates = lock(&inner.faults).duplicates;
    for _ in 0..duplicates {
        // The person sees only the first answer.
        let _ = once(inner, kind, &payload, None).await;
    }
    lock(&inner.deliveries).waiting.remove(&number);
    answer.map_err(|why| {
        let seen = match why.as_str() {
            "timeout" | "http_timeout" => "operation_timeout",
            _ => "dispatch_failed",
        };
        lock(&inner.workspace).seen_failures.push(seen.to_owned());
        seen.to_owned()
    })
}

/// Delivers an event in the background until it is acknowledged or Slack gives up. Returns its id.
pub(crate) fn announce(inner: &Arc<Inner>, event: Value) -> String {
    let event_id = format!("Ev{:09}", lock(&inner.workspace).number());
    let payload = json!({
        "token": "unused", "team_id": TEAM_ID, "api_app_id": APP_ID, "type": "event_callback",
        "event": event, "event_id": event_id, "event_time": jiff::Timestamp::now().as_second(),
        "authorizations": [{
            "enterprise_id": null, "team_id": TEAM_ID, "user_id": BOT_USER, "is_bot": true,
            "is_enterprise_install": false,
        }],
        "is_ext_shared_channel": false, "event_context": format!("4-{event_id}"),
    });
    let (now, duplicates) = {
        let faults = lock(&inner.faults);
        let mut deliveries = lock(&inner.deliveries);
        let held = deliveries.held.take();
        match (faults.reorder, held) {
            (true, None) => {
                deliveries.held = Some(payload);
                return event_id;
            }
            (_, held) => ([Some(payload), held], faults.duplicates),
        }
    };
    let inner = Arc::clone(inner);
    let number = lock(&inner.deliveries).begin(format!("event {event_id}"));
    tokio::spawn(async move {
        for payload in now.into_iter().flatten() {
            for _ in 0..=duplicates {
                until_acknowledged(&inner, &payload).await;
            }
        }
        lock(&inner.deliveries).waiting.remove(&number);
    });
    event_id
}

async fn until_acknowledged(inner: &Arc<Inner>, payload: &Value) {
    let mut pauses = inner.settings.redeliver_after.clone().into_iter();
    let mut reason = match once(inner, Kind::EventsApi, payload, None).await {
        Ok(_) => return,
        Err(reason) => reason,
    };
    let mut attempt = 0;
    for pause in &mut pauses {
        attempt += 1;
        tokio::select! {
            () = inner.gone.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        match once(inner, Kind::EventsApi, payload, Some((attempt, &reason))).await {
            Ok(_) => return,
            Err(why) => reason = why,
        }
    }
    let mut workspace = lock(&inner.workspace);
    workspace.seen_failures.push("event_lost".to_owned());
}
