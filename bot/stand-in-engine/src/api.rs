//! The requests that are answered: one table, with and without a version in front.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::create::{self, CreateBody};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::lifecycle::{self, Done};
use crate::logs::{self, Wanted};
use crate::query::{Query, decode};
use crate::{API_VERSION, MIN_API_VERSION, SERVER, events, images, inspect, transfer};

pub type Body = BoxBody<Bytes, Infallible>;

enum Answer {
    Json(StatusCode, Value),
    Text(&'static str),
    Empty(StatusCode),
    Stream(&'static str, mpsc::Receiver<Bytes>),
}

/// Answers one request; errors are `{"message": ...}`.
pub async fn handle(engine: Arc<Engine>, request: Request<Incoming>) -> Response<Body> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let head = method == Method::HEAD;
    let answer = dispatch(&engine, request).await;
    let (status, kind, body) = match answer {
        Ok(Answer::Json(status, value)) => {
            let mut text = value.to_string();
            text.push('\n');
            (status, Some("application/json"), full(text))
        }
        Ok(Answer::Text(text)) => (
            StatusCode::OK,
            Some("text/plain; charset=utf-8"),
            full(if head { "" } else { text }),
        ),
        Ok(Answer::Empty(status)) => (status, None, full("")),
        Ok(Answer::Stream(kind, receiver)) => {
            let stream =
                ReceiverStream::new(receiver).map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
            (
                StatusCode::OK,
                Some(kind),
                BodyExt::boxed(StreamBody::new(stream)),
            )
        }
        Err(error) => {
            tracing::debug!(%method, %uri, status = %error.status, message = %error.message);
            (
                error.status,
                Some("application/json"),
                full(format!("{}\n", json!({ "message": error.message }))),
            )
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        ("server", SERVER),
        ("api-version", API_VERSION),
        ("ostype", std::env::consts::OS),
        ("docker-experimental", "false"),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    }
    response
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

/// Takes `/v1.41` off the path, unless it asks for what is not spoken.
fn without_version(path: &str) -> Result<&str, ApiError> {
    let Some((version, _)) = path
        .strip_prefix("/v")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(version, _)| version.starts_with(|first: char| first.is_ascii_digit()))
    else {
        return Ok(path);
    };
    let number = |text: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let asked = number(version)
        .ok_or_else(|| ApiError::bad_request(format!("malformed version {version:?}")))?;
    if number(API_VERSION).is_some_and(|newest| asked > newest) {
        return Err(ApiError::bad_request(format!(
            "client version {version} is too new. Maximum supported API version is {API_VERSION}"
        )));
    }
    if number(MIN_API_VERSION).is_some_and(|oldest| asked < oldest) {
        return Err(ApiError::bad_request(format!(
            "client version {version} is too old. Minimum supported API version is {MIN_API_VERSION}, please upgrade your client to a newer version"
        )));
    }
    Ok(&path[version.len() + 2..])
}

fn grace(query: &Query) -> Result<Option<i64>, ApiError> {
    query
        .get("t")
        .map(|text| {
            text.parse()
                .map_err(|_| ApiError::bad_request(format!("t is not a number: {text}")))
        })
        .transpose()
}

async fn dispatch(engine: &Arc<Engine>, request: Request<Incoming>) -> Result<Answer, ApiError> {
    let (parts, body) = request.into_parts();
    let path = without_version(parts.uri.path())?;
    let query = Query::parse(parts.uri.query());
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| decode(segment, false))
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ok = |value| Ok(Answer::Json(StatusCode::OK, value));
    let done = |done| {
        Ok(Answer::Empty(match done {
            Done::Now => StatusCode::NO_CONTENT,
            Done::Already => StatusCode::NOT_MODIFIED,
        }))
    };
    match (parts.method.as_str(), segments.as_slice()) {
        ("GET" | "HEAD", ["_ping"]) => Ok(Answer::Text("OK")),
        ("GET", ["version"]) => ok(inspect::version()),
        ("GET", ["info"]) => ok(inspect::info(engine)),
        ("GET", ["events"]) => listen(engine, &query),
        // There are none, and none can be made.
        ("GET", ["networks"]) => ok(json!([])),
        ("GET", ["volumes"]) => ok(json!({ "Volumes": [], "Warnings": [] })),

        ("GET", ["images", "json"]) => ok(images::list(engine, &query)?),
        ("POST", ["images", "create"]) => {
            if query.get("fromSrc") != Some("-") {
                return Err(images::no_pull(&query));
            }
            let upload = transfer::upload(body, engine.store.dir()).await?;
            ok(images::import(engine, &query, upload).await?)
        }
        ("GET", ["images", name @ .., "json"]) if !name.is_empty() => {
            ok(images::inspect(&engine.image(&name.join("/"))?))
        }
        ("DELETE", ["images", name @ ..]) if !name.is_empty() => ok(images::remove(
            engine,
            &name.join("/"),
            query.flag("force"),
        )?),

        ("GET", ["containers", "json"]) => ok(inspect::list(engine, &query)?),
        ("POST", ["containers", "create"]) => {
            let body: CreateBody = transfer::json(body).await?;
            let created = create::create(engine, query.get("name"), body)?;
            Ok(Answer::Json(StatusCode::CREATED, created))
        }
        ("GET", ["containers", id, "json"]) => {
            ok(inspect::container(engine, &engine.container(id)?))
        }
        ("GET", ["containers", id, "logs"]) => {
            let id = engine.container(id)?.id;
            let wanted = Wanted::read(&query)?;
            Ok(Answer::Stream(
                "application/vnd.docker.raw-stream",
                logs::stream(engine, &id, wanted),
            ))
        }
        ("POST", ["containers", id, "start"]) => done(lifecycle::start(engine, id).await?),
        ("POST", ["containers", id, "stop"]) => {
            done(lifecycle::stop(engine, id, grace(&query)?).await?)
        }
        ("POST", ["containers", id, "restart"]) => {
            lifecycle::restart_now(engine, id, grace(&query)?).await?;
            done(Done::Now)
        }
        ("POST", ["containers", id, "kill"]) => {
            lifecycle::kill(engine, id, query.get("signal"))?;
            done(Done::Now)
        }
        ("POST", ["containers", id, "wait"]) => wait(engine, id, &query),
        ("DELETE", ["containers", id]) => {
            lifecycle::remove(engine, id, query.flag("force")).await?;
            done(Done::Now)
        }
        (
            method,
            [
                "containers" | "images" | "networks" | "volumes" | "exec" | "build" | "auth",
                ..,
            ],
        ) => Err(ApiError::new(
            StatusCode::NOT_IMPLEMENTED,
            format!("the stand-in engine does not do {method} {path}"),
        )),
        _ => Err(ApiError::not_found("page not found")),
    }
}

/// The headers go out at once, so that a client knows it is being waited for before it acts.
fn wait(engine: &Arc<Engine>, reference: &str, query: &Query) -> Result<Answer, ApiError> {
    let condition = query.get("condition").unwrap_or("not-running").to_owned();
    if !lifecycle::known_condition(&condition) {
        return Err(ApiError::bad_request(format!(
            "invalid condition: {condition:?}"
        )));
    }
    let id = engine.container(reference)?.id;
    let (sender, receiver) = mpsc::channel(1);
    let engine = Arc::clone(engine);
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            result = lifecycle::wait(&engine, &id, &condition) => {
                let value = result.unwrap_or_else(|error| {
                    json!({ "StatusCode": -1, "Error": { "Message": error.message } })
                });
                let _ = sender.send(Bytes::from(format!("{value}\n"))).await;
            }
        }
    });
    Ok(Answer::Stream("application/json", receiver))
}

fn listen(engine: &Arc<Engine>, query: &Query) -> Result<Answer, ApiError> {
    let filters = Filters::read(query, &events::KNOWN)?;
    let since = events::time(query, "since")?;
    let until = events::time(query, "until")?;
    let (past, mut coming) = engine.events.subscribe(since);
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        let line = |event: &events::Event| Bytes::from(format!("{}\n", event.json()));
        for event in past
            .iter()
            .filter(|event| until.is_none_or(|until| event.at() <= until))
            .filter(|event| event.fits(&filters))
        {
            if sender.send(line(event)).await.is_err() {
                return;
            }
        }
        let end = async {
            match until {
                Some(until) => {
                    let left = until.duration_since(Timestamp::now());
                    tokio::time::sleep(left.try_into().unwrap_or_default()).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = &mut end => return,
                event = coming.recv() => match event {
                    Ok(event) if event.fits(&filters) => {
                        if sender.send(line(&event)).await.is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    // A reader that is too slow is cut off, so that it looks again and misses
                    // nothing without noticing.
                    Err(_) => return,
                },
            }
        }
    });
    Ok(Answer::Stream("application/json", receiver))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_version_in_front_is_optional_and_bounded() {
        assert_eq!(without_version("/v1.41/_ping").unwrap(), "/_ping");
        assert_eq!(without_version("/version").unwrap(), "/version");
        assert_eq!(without_version("/volumes").unwrap(), "/volumes");
        assert!(
            without_version("/v1.50/_ping")
                .unwrap_err()
                .message
                .contains("too new")
        );
        assert!(
            without_version("/v1.12/_ping")
                .unwrap_err()
                .message
                .contains("too old")
        );
    }
}
