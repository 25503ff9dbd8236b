//! Interactions over HTTP: Discord posts them, signed with the application's key.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use ring::signature::{ED25519, UnparsedPublicKey};
use rollbot_chat::Dispatch;
use serde_json::json;

use crate::Discord;
use crate::config::{ConfigError, Mode};
use crate::intake::Intake;
use crate::wire::{Interaction, PING};

/// No interaction is larger.
const LARGEST: usize = 1 << 20;
/// How old a signature may be, either way: what somebody recorded is not taken later.
const WINDOW_SECONDS: i64 = 300;

/// The key, if it is one.
pub(crate) fn key(text: &str) -> Result<[u8; 32], ConfigError> {
    let mut key = [0; 32];
    hex::decode_to_slice(text.trim(), &mut key).map_err(|_| ConfigError::BadKey)?;
    Ok(key)
}

#[derive(Clone)]
struct Served {
    intake: Intake,
    key: Arc<UnparsedPublicKey<[u8; 32]>>,
}

impl Discord {
    /// `POST /discord/interactions`, for the application's "Interactions Endpoint URL". Empty unless
    /// the mode is [`Mode::Http`].
    pub fn router(self: &Arc<Self>, dispatch: Arc<dyn Dispatch>) -> Router {
        let Mode::Http { public_key } = &self.config().mode else {
            return Router::new();
        };
        let Ok(key) = key(public_key) else {
            return Router::new();
        };
        Router::new()
            .route("/discord/interactions", post(interaction))
            .layer(DefaultBodyLimit::max(LARGEST))
            .with_state(Served {
                intake: Intake::new(Arc::clone(self), dispatch),
                key: Arc::new(UnparsedPublicKey::new(&ED25519, key)),
            })
    }
}

async fn interaction(State(served): State<Served>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = header("x-signature-timestamp")
        .zip(header("x-signature-ed25519"))
        .is_some_and(|(time, signature)| served.is_signed(time, signature, &body));
    if !signed {
        return (StatusCode::UNAUTHORIZED, "invalid request signature").into_response();
    }
    let interaction: Interaction = match serde_json::from_slice(&body) {
        Ok(interaction) => interaction,
        Err(error) => {
            tracing::warn!(%error, "an interaction cannot be read");
            return (StatusCode::BAD_REQUEST, "not an interaction").into_response();
        }
    };
    if interaction.kind == PING {
        return axum::Json(json!({"type": 1})).into_response();
    }
    match served.intake.interaction_over_http(interaction).await {
        Some(answer) => axum::Json(answer).into_response(),
        // The first delivery is answered; this one is not to be shown.
        None => StatusCode::CONFLICT.into_response(),
    }
}

impl Served {
    fn is_signed(&self, time: &str, signature: &str, body: &[u8]) -> bool {
        let now = jiff::Timestamp::now().as_second();
        let recent = time
            .parse::<i64>()
            .is_ok_and(|time| now.abs_diff(time) <= WINDOW_SECONDS.unsigned_abs());
        let Ok(signature) = hex::decode(signature) else {
            return false;
        };
        let mut message = time.as_bytes().to_vec();
        message.extend_from_slice(body);
        recent && self.key.verify(&message, &signature).is_ok()
    }
}
