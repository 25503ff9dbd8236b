//! The HTTP API; its shapes are in the crate's documentation.

mod events;
mod messages;
mod refusal;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rollbot_chat::Dispatch;
use rollbot_core::approval::Person;
use serde::de::DeserializeOwned;

use crate::access::Claim;
use crate::health::HealthReport;
use crate::{Console, Health, assets, guard};

pub(crate) use refusal::Refusal;

/// Bytes of a request's body. The longest text fits several times.
const LONGEST_BODY: usize = 64 * 1024;
const HEALTH_WITHIN: Duration = Duration::from_secs(2);

/// What the handlers work with.
#[derive(Clone)]
pub(crate) struct Served {
    pub console: Arc<Console>,
    pub dispatch: Arc<dyn Dispatch>,
    pub health: Arc<dyn Health>,
}

pub(crate) fn router(served: Served) -> axum::Router {
    axum::Router::new()
        .route("/", get(assets::index))
        .route("/assets/{name}", get(assets::asset))
        .route("/login", get(session::login_page).post(session::log_in))
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .route("/api/me", get(session::me))
        .route("/api/people", get(session::people))
        .route("/api/act-as", post(session::act_as))
        .route("/api/logout", post(session::log_out))
        .route("/api/completions", get(completions))
        .route("/api/messages", get(messages::list).post(messages::say))
        .route("/api/messages/{id}/reactions", post(messages::react))
        .route("/api/messages/{id}/buttons/{key}", post(messages::press))
        .route("/api/events", get(events::events))
        .fallback(async || Refusal::not_found("there is nothing under this address"))
        .method_not_allowed_fallback(async || Refusal::method())
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(middleware::from_fn_with_state(served.clone(), guard::guard))
        .with_state(served)
}

/// Whoever sent the request, known and listed.
pub(crate) struct Visitor(pub Person);

impl FromRequestParts<Served> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Refusal> {
        let act_as = query_value(parts, "as");
        let claim = Claim {
            headers: &parts.headers,
            act_as: act_as.as_deref(),
            peer: parts
                .extensions
                .get::<ConnectInfo<SocketAddr>>()
                .map(|peer| peer.0),
        };
        served.console.person_of(claim).await.map(Visitor)
    }
}

/// A value of the query. Ids of people and numbers need no decoding; what does is refused later,
/// as an unknown name.
fn query_value(parts: &Parts, key: &str) -> Option<String> {
    parts
        .uri
        .query()?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value.to_owned())
}

/// A person who may act now: not faster than a person acts.
pub(crate) struct Actor(pub Person);

impl FromRequestParts<Served> for Actor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Refusal> {
        let Visitor(person) = Visitor::from_request_parts(parts, served).await?;
        let now = served.console.clock.now();
        served
            .console
            .rates
            .take(&person.id.0, guard::ACTS, now)
            .map_err(Refusal::too_fast)?;
        Ok(Self(person))
    }
}

/// A JSON body whose errors are answered like all others.
pub(crate) struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Served> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, served: &Served) -> Result<Self, Refusal> {
        match Json::<T>::from_request(request, served).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(error) => Err(unreadable(&error)),
        }
    }
}

fn unreadable(error: &JsonRejection) -> Refusal {
    let code = match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => "too-large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "not-json",
        _ => "body",
    };
    Refusal::new(error.status(), code, error.body_text())
}

async fn completions(State(served): State<Served>, _visitor: Visitor) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "completions": served.dispatch.completions() }))
}

async fn live(State(served): State<Served>) -> Response {
    report(served.health.live()).await
}

async fn ready(State(served): State<Served>) -> Response {
    report(served.health.ready()).await
}

async fn report(asked: impl Future<Output = HealthReport>) -> Response {
    let report = tokio::time::timeout(HEALTH_WITHIN, asked)
        .await
        .unwrap_or_else(|_| {
            let details = serde_json::json!({ "error": "no answer within two seconds" });
            HealthReport { ok: false, details }
        });
    let status = if report.ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::json!({ "ok": report.ok, "details": report.details });
    (status, Json(body)).into_response()
}
