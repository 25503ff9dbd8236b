//! What every request has to pass before anything looks at it, and what every answer carries.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use crate::Console;
use crate::api::{Refusal, Served};

/// A request that is not answered by then is given up. Streams of events answer at once.
const DEADLINE: Duration = Duration::from_secs(15);

/// No script, style or picture but our own files; no frame around us; forms go to us only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; manifest-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // A login link must not travel to whatever is linked from the page it leads to.
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    ),
];

pub(crate) async fn guard(State(served): State<Served>, request: Request, next: Next) -> Response {
    let mut response = match admit(&served.console, &request) {
        Ok(()) => match tokio::time::timeout(DEADLINE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Refusal::too_slow().into_response(),
        },
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    // What is not a file of ours is somebody's business only.
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Host and origin. A page of another site that got its name to point at us (DNS rebinding) sends
/// its own name as the host; a form or script of another site sends its own origin.
fn admit(console: &Console, request: &Request) -> Result<(), Refusal> {
    // Asked by machines, by address; they tell little and change nothing.
    if matches!(request.uri().path(), "/healthz" | "/readyz") {
        return Ok(());
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (request.uri().authority(), hosts.next(), hosts.next()) {
        (Some(authority), _, _) => Some(authority.as_str().to_ascii_lowercase()),
        (None, Some(host), None) => host.to_str().ok().map(str::to_ascii_lowercase),
        _ => None,
    };
    if !host
        .as_deref()
        .is_some_and(|host| console.is_our_host(host))
    {
        return Err(Refusal::host(host.as_deref(), &console.config().public_url));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    let mut origins = request.headers().get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (Some(origin), None) => origin.to_str().ok(),
        _ => None,
    };
    if !origin.is_some_and(|origin| console.is_our_origin(origin)) {
        return Err(Refusal::origin(origin, &console.config().public_url));
    }
    Ok(())
}

impl Console {
    /// Names under which we are reached: the public one, and this machine's own while we listen
    /// there.
    fn is_our_host(&self, host: &str) -> bool {
        if self.config.public_authority().as_deref() == Some(host) {
            return true;
        }
        let listen = self.bound.get().copied().unwrap_or(self.config.listen);
        let port = listen.port();
        let loopback = listen.ip().is_loopback() || listen.ip().is_unspecified();
        loopback
            && ["127.0.0.1", "localhost", "[::1]"]
                .iter()
                .any(|name| host == format!("{name}:{port}") || (port == 80 && host == *name))
    }

    fn is_our_origin(&self, origin: &str) -> bool {
        let Ok(uri) = origin.to_ascii_lowercase().parse::<Uri>() else {
            return false;
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return false;
        };
        if !uri.path().trim_end_matches('/').is_empty() || uri.query().is_some() {
            return false;
        }
        let public = self.config.public_authority();
        if public.as_deref() == Some(authority.as_str()) {
            return (scheme == "https") == self.config.is_https();
        }
        scheme == "http" && self.is_our_host(authority.as_str())
    }
}

/// How fast somebody may act: so many at once, then one every so often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub burst: f64,
    pub per_second: f64,
}

/// For what a person does.
pub(crate) const ACTS: Rate = Rate {
    burst: 30.0,
    per_second: 4.0,
};
/// For attempts to log in, of everybody together.
pub(crate) const LOGINS: Rate = Rate {
    burst: 20.0,
    per_second: 1.0,
};

/// What each has left. One entry a person, and people are listed: it cannot grow without bound.
#[derive(Default)]
pub(crate) struct Rates {
    left: Mutex<HashMap<String, (f64, Timestamp)>>,
}

impl Rates {
    /// # Errors
    /// The seconds after which it is worth trying again.
    pub(crate) fn take(&self, who: &str, rate: Rate, now: Timestamp) -> Result<(), u64> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = left.entry(who.to_owned()).or_insert((rate.burst, now));
        let passed = now.duration_since(entry.1).as_secs_f64().max(0.0);
        *entry = ((entry.0 + passed * rate.per_second).min(rate.burst), now);
        if entry.0 < 1.0 {
            // Rounded up; a small positive number.
            return Err(((1.0 - entry.0) / rate.per_second).ceil() as u64);
        }
        entry.0 -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_time_must_pass() {
        let rates = Rates::default();
        let rate = Rate {
            burst: 3.0,
            per_second: 0.5,
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        for _ in 0..3 {
            rates.take("ana", rate, at(100)).unwrap();
        }
        assert_eq!(rates.take("ana", rate, at(100)), Err(2));
        assert_eq!(rates.take("ben", rate, at(100)), Ok(()));
        assert_eq!(rates.take("ana", rate, at(102)), Ok(()));
        assert!(rates.take("ana", rate, at(102)).is_err());
        // A clock that goes back gives nothing away and breaks nothing.
        assert!(rates.take("ana", rate, at(50)).is_err());
    }
}
