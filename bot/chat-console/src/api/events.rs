//! Server-sent events: changes of messages as they happen.
//!
//! A reader is a position in the changes of the store. It is woken when there may be more and then
//! reads on from its position; nothing is handed to it directly, so there is no queue that could
//! overflow and no gap between what was loaded and what is sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use rollbot_core::PersonId;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::{Refusal, Served, Visitor};
use crate::access::Claim;
use crate::assets;
use crate::serve::closed;
use crate::view::{may_see, view};

/// A reader that hears nothing for a few of these is cut off and connects anew. With each, the
/// store is looked at as well, and whether the reader is still logged in.
const BEAT: Duration = Duration::from_secs(10);
/// Read from the store at a time.
const BATCH: i64 = 64;

#[derive(Deserialize)]
pub(super) struct From {
    since: Option<i64>,
    #[serde(rename = "as")]
    act_as: Option<String>,
}

pub(super) async fn events(
    State(served): State<Served>,
    Visitor(person): Visitor,
    query: Result<Query<From>, QueryRejection>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(from) = query.map_err(|error| Refusal::query(&error))?;
    let console = &served.console;
    let slot = std::sync::Arc::clone(&console.readers)
        .try_acquire_owned()
        .map_err(|_| {
            Refusal::new(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                "readers",
                "too many pages are open on this console: close some",
            )
        })?;
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.parse().ok())
        .or(from.since)
        .unwrap_or(0)
        .max(0);
    let mut reader = Reader {
        changed: console.changed.subscribe(),
        closing: console.closing.subscribe(),
        reader: person.id,
        headers,
        act_as: from.act_as,
        peer: peer.map(|Extension(ConnectInfo(peer))| peer),
        position: last,
        ready: VecDeque::new(),
        next_beat: Instant::now() + BEAT,
        ended: false,
        served: served.clone(),
        _slot: slot,
    };
    reader.greet().await?;
    let stream = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    let mut response = Sse::new(stream).into_response();
    response.headers_mut().insert(
        // Proxies that collect answers would keep the events to themselves.
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    Ok(response)
}

struct Reader {
    served: Served,
    reader: PersonId,
    headers: HeaderMap,
    act_as: Option<String>,
    peer: Option<SocketAddr>,
    /// The last change that was sent, or passed over because it is not for this reader.
    position: i64,
    ready: VecDeque<Event>,
    changed: watch::Receiver<i64>,
    closing: watch::Receiver<bool>,
    next_beat: Instant,
    ended: bool,
    _slot: OwnedSemaphorePermit,
}

fn event(name: &str, data: &serde_json::Value) -> Event {
    Event::default().event(name).data(data.to_string())
}

impl Reader {
    async fn greet(&mut self) -> Result<(), Refusal> {
        let console = &self.served.console;
        let hello = serde_json::json!({
            "instance": console.instance,
            "version": *assets::VERSION,
            "change": self.position,
        });
        self.ready.push_back(event("hello", &hello));
        // A position is a change that was made. One that is not in the store, with none after it,
        // comes from another store: a restored one, or that of another demo.
        if self.position > 0 {
            let there = console.store.console_changes(self.position - 1, 1).await?;
            if there.is_empty() {
                self.position = 0;
                self.ready.push_back(event("reset", &serde_json::json!({})));
                self.ended = true;
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended || *self.closing.borrow() {
                return None;
            }
            // Marked as seen before the store is read: what comes in between wakes us again.
            self.changed.borrow_and_update();
            match self.read_on().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    // The reader comes again, from where it is.
                    tracing::warn!(%error, "the console cannot read its messages");
                    return None;
                }
            }
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                () = closed(&mut self.closing) => return None,
                () = tokio::time::sleep_until(self.next_beat) => {
                    self.next_beat = Instant::now() + BEAT;
                    if !self.is_still_allowed().await {
                        return None;
                    }
                    self.ready.push_back(event("beat", &serde_json::json!({})));
                }
            }
        }
    }

    /// Whether there was more.
    async fn read_on(&mut self) -> Result<bool, rollbot_core::store::StoreError> {
        let console = &self.served.console;
        let changes = console.store.console_changes(self.position, BATCH).await?;
        for message in &changes {
            self.position = self.position.max(message.change);
            if may_see(message, &self.reader) && console.config.channel(&message.channel).is_some()
            {
                let data = view(message, &console.people, &self.reader);
                let Ok(data) = serde_json::to_string(&data) else {
                    continue;
                };
                let id = message.change.to_string();
                self.ready
                    .push_back(Event::default().event("message").id(id).data(data));
            }
        }
        Ok(!changes.is_empty())
    }

    /// Sessions end while somebody reads.
    async fn is_still_allowed(&self) -> bool {
        let claim = Claim {
            headers: &self.headers,
            act_as: self.act_as.as_deref(),
            peer: self.peer,
        };
        match self.served.console.person_of(claim).await {
            Ok(person) => person.id == self.reader,
            Err(refusal) => refusal.is_servers_fault(),
        }
    }
}
