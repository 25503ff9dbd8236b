//! Whether Slack is set up as rollbot needs it, asked of Slack itself.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rollbot_chat::{AccountFacts, Finding, OnlineCheck, SendError};
use rollbot_core::approval::Account;
use serde::Deserialize;

use crate::config::Mode;
use crate::pace::Urgency;
use crate::platform::nothing;
use crate::web::{Call, Token, connector};
use crate::{PLATFORM, Slack};

/// The scopes of the bot token that rollbot needs, and what for.
pub const SCOPES: &[(&str, &str)] = &[
    ("commands", "slash commands and the shortcut"),
    ("chat:write", "messages"),
    ("reactions:read", "votes by reaction"),
    ("reactions:write", "offering the reactions to vote with"),
    (
        "channels:history",
        "finding a message again after a lost answer",
    ),
    ("groups:history", "the same in private channels"),
    ("channels:read", "checking that rollbot is in its channels"),
    ("groups:read", "the same for private channels"),
    ("users:read", "telling people from bots and guests"),
    ("files:write", "texts that are too long for messages"),
];

/// The scope of the app-level token, for Socket Mode.
pub const APP_SCOPE: &str = "connections:write";

#[derive(Deserialize)]
struct Info {
    channel: ChannelInfo,
}

#[derive(Deserialize)]
struct ChannelInfo {
    #[serde(default)]
    name: String,
    #[serde(default)]
    is_member: bool,
    #[serde(default)]
    is_archived: bool,
}

#[derive(Deserialize)]
struct Opened {
    url: String,
}

impl Slack {
    /// What was granted to the bot token. The SDK does not hand out the header that says so.
    async fn granted(&self) -> Result<BTreeSet<String>, String> {
        let connector = connector().map_err(|error| error.to_string())?;
        let client: Client<_, Empty<Bytes>> =
            Client::builder(TokioExecutor::new()).build(connector);
        let request = hyper::Request::post(format!("{}/auth.test", self.config.api_url))
            .header("authorization", format!("Bearer {}", self.config.bot_token))
            .header("content-length", "0")
            .body(Empty::new())
            .map_err(|_| "slack.api_url is no web address".to_owned())?;
        let sent = tokio::time::timeout(self.config.call_deadline, client.request(request));
        let response = match sent.await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => return Err("Slack could not be reached".to_owned()),
            Err(_) => return Err("Slack did not answer in time".to_owned()),
        };
        let scopes = response
            .headers()
            .get("x-oauth-scopes")
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| "Slack did not say which scopes were granted".to_owned())?;
        Ok(scopes
            .split(',')
            .map(|scope| scope.trim().to_owned())
            .collect())
    }

    async fn check_scopes(&self) -> Vec<Finding> {
        let granted = match self.granted().await {
            Ok(granted) => granted,
            Err(why) => {
                return vec![Finding::warn(
                    format!("the scopes could not be checked: {why}"),
                    "try again",
                )];
            }
        };
        let missing: Vec<Finding> = SCOPES
            .iter()
            .filter(|(scope, _)| !granted.contains(*scope))
            .map(|(scope, what_for)| {
                Finding::fail(
                    format!("scope {scope} is missing: it is needed for {what_for}"),
                    "add it on the app's page OAuth & Permissions and install the app again",
                )
            })
            .collect();
        if missing.is_empty() {
            vec![Finding::pass("all scopes are granted")]
        } else {
            missing
        }
    }

    async fn check_app_token(&self) -> Finding {
        let call = Call::new("apps.connections.open", "", Urgency::Normal);
        match self
            .web
            .post::<_, Opened>(Token::App, call, &nothing())
            .await
        {
            Ok(opened) if opened.url.starts_with("ws") => Finding::pass("Socket Mode is on"),
            Ok(_) => Finding::fail(
                "Slack gave no address for a socket",
                "switch Socket Mode on, on the app's page Socket Mode",
            ),
            Err(error) => Finding::fail(
                format!("Socket Mode: {error}"),
                format!(
                    "make an app-level token with the scope {APP_SCOPE} on the app's page Basic \
                     Information, and switch Socket Mode on"
                ),
            ),
        }
    }

    async fn check_channel(&self, channel: &str) -> Finding {
        let call = Call::new("conversations.info", channel, Urgency::Normal);
        let arguments = [("channel", Some(channel.to_owned()))];
        match self.web.get::<Info>(call, &arguments).await {
            Ok(Info { channel: info }) if info.is_archived => Finding::fail(
                format!("channel {channel} (#{}) is archived", info.name),
                "unarchive it, or name another one",
            ),
            Ok(Info { channel: info }) if !info.is_member => Finding::fail(
                format!("rollbot is not in channel {channel} (#{})", info.name),
                "type /invite @rollbot there",
            ),
            Ok(Info { channel: info }) => {
                Finding::pass(format!("rollbot is in channel {channel} (#{})", info.name))
            }
            Err(error) => Finding::fail(
                format!("channel {channel}: {error}"),
                "name channels by their id, C…: it is at the end of the channel's details",
            ),
        }
    }
}

#[async_trait]
impl OnlineCheck for Slack {
    async fn check(&self, channels: &[String]) -> Vec<Finding> {
        let mut findings = Vec::new();
        match self.me().await {
            Ok(me) => findings.push(Finding::pass(format!(
                "the bot token belongs to {} in the workspace {} ({})",
                me.user_id, me.team, me.team_id
            ))),
            Err(error) => {
                findings.push(Finding::fail(
                    format!("the bot token: {error}"),
                    "take the Bot User OAuth Token from the app's page OAuth & Permissions",
                ));
                return findings;
            }
        }
        findings.extend(self.check_scopes().await);
        if let Mode::Socket { .. } = self.config.mode {
            findings.push(self.check_app_token().await);
        }
        for channel in channels {
            findings.push(self.check_channel(channel).await);
        }
        findings
    }

    async fn look_up(&self, account: &Account) -> Result<Option<AccountFacts>, SendError> {
        if account.platform != PLATFORM {
            return Ok(None);
        }
        let user = match self.user(&account.user).await {
            Ok(user) => user,
            Err(SendError::Refused(why)) if why.contains("user_not_found") => return Ok(None),
            Err(error) => return Err(error),
        };
        let elsewhere = user
            .team_id
            .as_ref()
            .is_some_and(|team| !account.team.is_empty() && *team != account.team);
        // The same id under another team would never be matched by anything they do.
        if elsewhere && !user.is_stranger {
            return Ok(None);
        }
        Ok(Some(AccountFacts {
            name: user
                .real_name
                .filter(|name| !name.is_empty())
                .unwrap_or(user.name),
            bot: user.is_bot || account.user == "USLACKBOT",
            gone: user.deleted,
            guest: user.is_restricted || user.is_ultra_restricted || user.is_stranger,
        }))
    }
}
