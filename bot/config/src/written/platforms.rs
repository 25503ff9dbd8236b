//! The chat platforms of `rollbot.toml`.

use serde::{Deserialize, Serialize};

use super::{Given, SecretSource};

/// A Slack app. There, or Slack is not used.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slack {
    /// Default: `https://slack.com/api`.
    pub api_url: Given<String>,
    /// How Slack reaches the bot. Default: `socket`.
    pub way: Given<SlackWay>,
    /// `xoxb-…`
    pub bot_token: Given<SecretSource>,
    /// With `socket`: `xapp-…`, with the scope `connections:write`.
    pub app_token: Given<SecretSource>,
    /// With `socket`: how many connections are open. Default: 2.
    pub sockets: Given<u32>,
    /// With `http`: what requests are signed with.
    pub signing_secret: Given<SecretSource>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlackWay {
    Socket,
    Http,
}

/// A Discord application with a bot. There, or Discord is not used.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discord {
    /// Default: `https://discord.com`.
    pub api_url: Given<String>,
    /// How Discord reaches the bot. Default: `gateway`.
    pub way: Given<DiscordWay>,
    pub token: Given<SecretSource>,
    pub application: Given<String>,
    /// The server whose members see the commands. Default: everybody the bot shares a server with.
    pub guild: Given<String>,
    /// With `http`: what requests are signed with, 64 hexadecimal digits.
    pub public_key: Given<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiscordWay {
    Gateway,
    Http,
}

/// Where platforms that call the bot over HTTP reach it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Address and port. Default: `127.0.0.1:8701`, for a proxy with https in front.
    pub listen: Given<String>,
}
