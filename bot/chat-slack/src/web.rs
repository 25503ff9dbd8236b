//! Calls of the Web API: in turn, within a deadline, and none any more once Slack refused the token.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use rollbot_chat::SendError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use slack_morphism::api::SlackApiPostWebhookMessageRequest;
use slack_morphism::hyper_tokio::SlackClientHyperConnector;
use slack_morphism::{
    ClientResult, SlackApiToken, SlackApiTokenValue, SlackClient, SlackClientSession,
    SlackResponseUrl,
};

use crate::config::{ConfigError, SlackConfig};
use crate::failure;
use crate::pace::{Lanes, Urgency};

type Https = HttpsConnector<HttpConnector>;
type Session<'s> = SlackClientSession<'s, SlackClientHyperConnector<Https>>;

/// How long the least urgent wait for their turn.
const SHORT_WAIT: Duration = Duration::from_millis(300);

/// A token, and what Slack said when it refused it.
struct Credential {
    token: SlackApiToken,
    refused: Mutex<Option<String>>,
}

impl Credential {
    fn new(token: &str) -> Self {
        Self {
            token: SlackApiToken::new(SlackApiTokenValue(token.to_owned())),
            refused: Mutex::new(None),
        }
    }

    fn refusal(&self) -> Option<String> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn refuse(&self, why: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.is_none() {
            tracing::error!(
                why,
                "Slack does not accept a token: nothing is sent with it until a restart"
            );
            *refused = Some(why.to_owned());
        }
    }
}

/// Which token a call is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Bot,
    App,
}

/// One call: what is called, what it is about, and how urgent it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'c> {
    pub(crate) method: &'c str,
    /// The channel, person or message, for errors; for `chat.postMessage` its lane as well.
    pub(crate) place: &'c str,
    pub(crate) urgency: Urgency,
}

impl<'c> Call<'c> {
    pub(crate) fn new(method: &'c str, place: &'c str, urgency: Urgency) -> Self {
        Self {
            method,
            place,
            urgency,
        }
    }

    fn lane(&self) -> String {
        match self.method {
            "chat.postMessage" => format!("{} {}", self.method, self.place),
            other => other.to_owned(),
        }
    }
}

pub(crate) struct Web {
    client: SlackClient<SlackClientHyperConnector<Https>>,
    bot: Credential,
    app: Option<Credential>,
    lanes: Lanes,
    deadline: Duration,
    longest_wait: Duration,
}

/// A connector for `http` and `https`.
pub(crate) fn connector() -> Result<Https, ConfigError> {
    let roots = hyper_rustls::HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| {
            ConfigError(format!(
                "the machine's certificate authorities cannot be read: {error}: install the package \
                 ca-certificates"
            ))
        })?;
    Ok(roots.https_or_http().enable_http1().enable_http2().build())
}

impl Web {
    pub(crate) fn new(config: &SlackConfig) -> Result<Self, ConfigError> {
        let connector = SlackClientHyperConnector::with_connector(connector()?)
            .with_slack_api_url(&config.api_url);
        Ok(Self {
            client: SlackClient::new(connector),
            bot: Credential::new(&config.bot_token),
            app: config.app_token.as_deref().map(Credential::new),
            lanes: Lanes::default(),
            deadline: config.call_deadline,
            longest_wait: config.longest_wait,
        })
    }

    fn credential(&self, token: Token) -> Result<&Credential, SendError> {
        match token {
            Token::Bot => Ok(&self.bot),
            Token::App => self.app.as_ref().ok_or_else(|| {
                SendError::Refused("there is no app-level token in the configuration".to_owned())
            }),
        }
    }

    /// What Slack said when it refused a token.
    pub(crate) fn refusal(&self, token: Token) -> Option<String> {
        self.credential(token).ok()?.refusal()
    }

    pub(crate) fn refuse(&self, token: Token, why: &str) {
        if let Ok(credential) = self.credential(token) {
            credential.refuse(why);
        }
    }

    async fn made<'w, RS, F>(
        &'w self,
        token: Token,
        call: Call<'_>,
        make: impl FnOnce(Session<'w>) -> F,
    ) -> Result<RS, SendError>
    where
        F: Future<Output = ClientResult<RS>>,
    {
        let credential = self.credential(token)?;
        if let Some(why) = credential.refusal() {
            return Err(SendError::Unauthorised(why));
        }
        let lane = call.lane();
        // Whoever sends progress sends other things after it, which must not wait for its turn.
        let longest = match call.urgency {
            Urgency::Low => self.longest_wait.min(SHORT_WAIT),
            Urgency::High | Urgency::Normal => self.longest_wait,
        };
        let turn = self
            .lanes
            .turn(call.method, &lane, call.urgency, longest)
            .await;
        if let Err(wait) = turn {
            return Err(SendError::Again {
                why: format!("{} has to wait for Slack's limit", call.method),
                after: Some(wait),
            });
        }
        // Again: others may have been refused while this one waited.
        if let Some(why) = credential.refusal() {
            return Err(SendError::Unauthorised(why));
        }
        let session = self.client.open_session(&credential.token);
        let answer = match tokio::time::timeout(self.deadline, make(session)).await {
            Ok(answer) => answer,
            Err(_) => {
                return Err(SendError::Again {
                    why: format!(
                        "Slack did not answer {} within {} s",
                        call.method,
                        self.deadline.as_secs_f32()
                    ),
                    after: None,
                });
            }
        };
        answer.map_err(|error| {
            let failure = failure::explain(call.method, call.place, &error);
            match &failure {
                SendError::Again {
                    after: Some(time), ..
                } => self.lanes.hold(&lane, *time),
                SendError::Unauthorised(why) => credential.refuse(why),
                SendError::Again { .. } | SendError::Refused(_) => {}
            }
            failure
        })
    }

    /// Sends a request as JSON.
    pub(crate) async fn post<RQ, RS>(
        &self,
        token: Token,
        call: Call<'_>,
        request: &RQ,
    ) -> Result<RS, SendError>
    where
        RQ: Serialize + Send + Sync,
        RS: DeserializeOwned + Send,
    {
        self.made(token, call, |session| async move {
            session
                .http_session_api
                .http_post(call.method, request, None)
                .await
        })
        .await
    }

    /// Asks with arguments in the query, as methods that only read expect them.
    pub(crate) async fn get<RS>(
        &self,
        call: Call<'_>,
        arguments: &[(&'static str, Option<String>)],
    ) -> Result<RS, SendError>
    where
        RS: DeserializeOwned + Send,
    {
        let arguments: Vec<(&'static str, Option<String>)> = arguments.to_vec();
        self.made(Token::Bot, call, |session| async move {
            session
                .http_session_api
                .http_get(call.method, &arguments, None)
                .await
        })
        .await
    }

    /// Uploads a file to the address that Slack gave for it.
    pub(crate) async fn upload(&self, url: url::Url, text: &[u8]) -> Result<(), SendError> {
        let call = Call::new("the upload of a file", "", Urgency::Normal);
        let sent = self.made(Token::Bot, call, |session| async move {
            session
                .http_session_api
                .http_post_uri_binary::<serde_json::Value>(
                    url,
                    "text/plain; charset=utf-8".to_owned(),
                    text,
                    None,
                )
                .await
        });
        sent.await.map(|_| ())
    }

    /// Uses a `response_url`. It may answer with an empty body, which the SDK takes for an error.
    pub(crate) async fn respond(
        &self,
        url: &SlackResponseUrl,
        message: &SlackApiPostWebhookMessageRequest,
    ) -> Result<(), SendError> {
        let sent = tokio::time::timeout(self.deadline, self.client.respond_to_event(url, message));
        match sent.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(slack_morphism::errors::SlackClientError::ProtocolError(answer)))
                if answer
                    .json_body
                    .as_deref()
                    .is_none_or(|body| body.trim().is_empty()) =>
            {
                Ok(())
            }
            Ok(Err(error)) => Err(failure::explain("the response address", "", &error)),
            Err(_) => Err(SendError::Again {
                why: "Slack's response address did not answer".to_owned(),
                after: None,
            }),
        }
    }
}
