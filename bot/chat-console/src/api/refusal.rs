//! Why a request is not done, as the one who sent it is told.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rollbot_core::PersonId;
use rollbot_core::store::StoreError;

use crate::acts::Reused;

/// A status, a word for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds.
    retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn query(error: &QueryRejection) -> Self {
        Self::new(error.status(), "query", error.body_text())
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    pub(crate) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "not with this method",
        )
    }

    pub(crate) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(crate) fn not_logged_in() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "not-logged-in",
            "you are not logged in to this console",
        )
    }

    pub(crate) fn only_in_demo() -> Self {
        Self::forbidden(
            "only-in-demo",
            "acting as somebody else exists in the demo only",
        )
    }

    pub(crate) fn not_in_demo(person: &PersonId) -> Self {
        Self::forbidden(
            "not-in-demo",
            format!("`{person}` is none of the people of this demo"),
        )
    }

    pub(crate) fn host(host: Option<&str>, ours: &str) -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host",
            format!(
                "this console is at {ours}, and answers to no other name (the request was for {})",
                host.unwrap_or("none")
            ),
        )
    }

    pub(crate) fn origin(origin: Option<&str>, ours: &str) -> Self {
        Self::forbidden(
            "origin",
            format!(
                "changes are accepted from the console's own pages only: send `Origin: {ours}` (the \
                 request came from {})",
                origin.unwrap_or("nowhere")
            ),
        )
    }

    pub(crate) fn too_fast(seconds: u64) -> Self {
        let mut refusal = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-fast",
            format!("that was too much at once: try again in {seconds} s"),
        );
        refusal.retry_after = Some(seconds);
        refusal
    }

    pub(crate) fn too_slow() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "too-slow",
            "rollbot did not answer in time; sending the same again does no harm",
        )
    }

    pub(crate) fn internal(what: &str) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("{what}; rollbot's log says more"),
        )
    }

    pub(crate) fn is_servers_fault(&self) -> bool {
        self.status.is_server_error()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::not_found(error.to_string()),
            other => {
                // What a database says about itself is for the log, not for the page.
                tracing::error!(error = %other, "the console's store");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store",
                    "rollbot cannot reach its store; sending the same again does no harm",
                )
            }
        }
    }
}

impl From<Reused> for Refusal {
    fn from(_: Reused) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "client-id",
            "this client_id was used for something else: make a new one for each act",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": { "code": self.code, "message": self.message } });
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
