//! What Slack's refusals mean for a message, and what to do about them.

use std::time::Duration;

use rollbot_chat::SendError;
use slack_morphism::errors::SlackClientError;

/// Errors after which no call with this token can succeed.
const CREDENTIALS: &[&str] = &[
    "invalid_auth",
    "not_authed",
    "token_revoked",
    "token_expired",
    "account_inactive",
    "org_login_required",
    "team_access_not_granted",
    "not_allowed_token_type",
];

/// Errors that pass by themselves.
const PASSING: &[&str] = &[
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
    "accesslimited",
];

/// What a refusal means, and what to do.
const REMEDIES: &[(&str, &str)] = &[
    (
        "channel_not_found",
        "there is no such channel, or it is private and rollbot is not in it: check the id, and invite rollbot there",
    ),
    (
        "not_in_channel",
        "rollbot is not in the channel: type /invite @rollbot there",
    ),
    (
        "is_archived",
        "the channel is archived: name another one in the configuration, or unarchive it",
    ),
    (
        "restricted_action",
        "the workspace's settings do not let rollbot post there: ask an administrator",
    ),
    ("msg_too_long", "the text is longer than Slack allows"),
    (
        "invalid_blocks",
        "Slack does not accept the message's blocks",
    ),
    ("message_not_found", "the message is no longer there"),
    ("cant_update_message", "the message is not rollbot's own"),
    (
        "edit_window_closed",
        "the workspace's settings do not let messages be edited any more",
    ),
    (
        "thread_not_found",
        "the thread's first message is no longer there",
    ),
    ("user_not_in_channel", "the person is not in the channel"),
    ("user_not_found", "Slack knows no such person"),
    (
        "expired_trigger_id",
        "Slack gives three seconds to open a dialog, and they were over",
    ),
];

/// What a call ended with, for whoever sent it. `place` is the channel or what else it was about.
pub(crate) fn explain(method: &str, place: &str, error: &SlackClientError) -> SendError {
    let again = |why: String, after: Option<Duration>| SendError::Again { why, after };
    match error {
        SlackClientError::RateLimitError(limited) => again(
            format!("Slack limits {method}"),
            Some(limited.retry_after.unwrap_or(Duration::from_secs(1))),
        ),
        SlackClientError::ApiError(refused) => {
            let body = refused.http_response_body.as_deref().unwrap_or_default();
            api_error(method, place, &refused.code, body)
        }
        SlackClientError::HttpError(answer) => {
            let status = answer.status_code.as_u16();
            let why = format!("Slack answered {method} with status {status}");
            match status {
                401 | 403 => {
                    SendError::Unauthorised(format!("{why}: it does not accept the token"))
                }
                408 | 429 | 500.. => again(why, None),
                _ => SendError::Refused(format!("{why}: is slack.api_url right?")),
            }
        }
        SlackClientError::HttpProtocolError(broken) => {
            // What is below says why; what is above says only that a request failed.
            let cause = broken.cause.as_deref();
            again(
                unreachable(method, cause.and_then(|cause| cause.source())),
                None,
            )
        }
        SlackClientError::ProtocolError(_) => again(
            format!("Slack's answer to {method} was not understood"),
            None,
        ),
        // The text of these could hold an address with a ticket in it.
        SlackClientError::EndOfStream(_)
        | SlackClientError::SystemError(_)
        | SlackClientError::SocketModeProtocolError(_) => again(unreachable(method, None), None),
    }
}

fn unreachable(method: &str, source: Option<&(dyn std::error::Error + 'static)>) -> String {
    match source {
        Some(source) => format!("Slack could not be reached for {method}: {source}"),
        None => format!("Slack could not be reached for {method}, or the connection broke"),
    }
}

fn api_error(method: &str, place: &str, code: &str, body: &str) -> SendError {
    let about = if place.is_empty() {
        String::new()
    } else {
        format!(" for {place}")
    };
    let refused = format!("Slack refused {method}{about}: {code}");
    if CREDENTIALS.contains(&code) {
        return SendError::Unauthorised(format!(
            "{refused}: install the app anew and put its tokens into the configuration"
        ));
    }
    if PASSING.contains(&code) {
        return SendError::Again {
            why: refused,
            after: None,
        };
    }
    if matches!(
        code,
        "ratelimited" | "rate_limited" | "message_limit_exceeded"
    ) {
        return SendError::Again {
            why: refused,
            after: Some(Duration::from_secs(1)),
        };
    }
    if code == "missing_scope" {
        let needed = serde_json::from_str::<serde_json::Value>(body)
            .ok()
            .and_then(|body| Some(body.get("needed")?.as_str()?.to_owned()))
            .unwrap_or_else(|| "that it did not name".to_owned());
        return SendError::Refused(format!(
            "{refused}: the scope {needed} is missing: add it on the app's page OAuth & Permissions \
             and install the app again"
        ));
    }
    match REMEDIES.iter().find(|(known, _)| *known == code) {
        Some((_, remedy)) => SendError::Refused(format!("{refused}: {remedy}")),
        None => SendError::Refused(refused),
    }
}
