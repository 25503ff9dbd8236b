//! The chat platforms that need credentials: made from the configuration, kept connected, asked.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use rollbot_chat::{ChatPlatform, Dispatch, OnlineCheck};
use rollbot_chat_discord::{Discord, DiscordConfig};
use rollbot_chat_slack::{Slack, SlackConfig};
use rollbot_config::{self as config, Config};
use rollbot_core::outbox::Destination;
use tokio::sync::watch;

/// Those that are configured.
#[derive(Clone, Default)]
pub struct Platforms {
    pub slack: Option<Arc<Slack>>,
    pub discord: Option<Arc<Discord>>,
    /// Where they reach the bot, if one of them calls it.
    webhooks: Option<SocketAddr>,
}

impl Platforms {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// A setting that cannot work.
    pub fn from_config(config: &Config) -> anyhow::Result<Self> {
        let slack = match &config.slack {
            Some(slack) => Some(Slack::new(slack_config(slack, &config.chat))?),
            None => None,
        };
        let discord = match &config.discord {
            Some(discord) => Some(Discord::new(discord_config(discord))?),
            None => None,
        };
        Ok(Self {
            slack,
            discord,
            webhooks: config.has_webhooks().then_some(config.webhooks),
        })
    }

    pub fn all(&self) -> Vec<Arc<dyn ChatPlatform>> {
        let slack = self
            .slack
            .iter()
            .cloned()
            .map(|it| it as Arc<dyn ChatPlatform>);
        let discord = self
            .discord
            .iter()
            .cloned()
            .map(|it| it as Arc<dyn ChatPlatform>);
        slack.chain(discord).collect()
    }

    /// With the name of each.
    pub fn checks(&self) -> Vec<(&'static str, Arc<dyn OnlineCheck>)> {
        let slack = self
            .slack
            .iter()
            .cloned()
            .map(|it| ("slack", it as Arc<dyn OnlineCheck>));
        let discord = self
            .discord
            .iter()
            .cloned()
            .map(|it| ("discord", it as Arc<dyn OnlineCheck>));
        slack.chain(discord).collect()
    }

    /// Opens the door for platforms that call the bot, if any does.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub async fn bind(&self) -> anyhow::Result<Option<tokio::net::TcpListener>> {
        match self.webhooks {
            Some(address) => tokio::net::TcpListener::bind(address)
                .await
                .with_context(|| format!("[webhooks] cannot listen on {address}"))
                .map(Some),
            None => Ok(None),
        }
    }

    /// Keeps the ways in open until `stopped`. A platform that does not answer is tried again by
    /// itself and keeps nothing else from its work.
    pub async fn run(
        self,
        listener: Option<tokio::net::TcpListener>,
        dispatch: Arc<dyn Dispatch>,
        stopped: watch::Receiver<bool>,
    ) {
        let until = |mut stopped: watch::Receiver<bool>| async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let mut router = axum::Router::new();
        if let Some(slack) = &self.slack {
            router = router.merge(slack.clone().router(dispatch.clone()));
        }
        if let Some(discord) = &self.discord {
            router = router.merge(discord.clone().router(dispatch.clone()));
        }
        let webhooks = async {
            let Some(listener) = listener else { return };
            let serving =
                axum::serve(listener, router).with_graceful_shutdown(until(stopped.clone()));
            if let Err(error) = serving.await {
                tracing::error!(%error, "the door for webhooks is closed");
            }
        };
        let slack = async {
            if let Some(slack) = self.slack.clone() {
                slack.run(dispatch.clone(), until(stopped.clone())).await;
            }
        };
        let discord = async {
            if let Some(discord) = self.discord.clone() {
                discord.run(dispatch.clone(), until(stopped.clone())).await;
            }
        };
        tokio::join!(webhooks, slack, discord);
    }
}

fn slack_config(slack: &config::Slack, chat: &config::Chat) -> SlackConfig {
    let bot_token = slack.bot_token.reveal();
    let mut made = match &slack.way {
        config::SlackWay::Socket { app_token, sockets } => {
            let mut made = SlackConfig::socket_mode(bot_token, app_token.reveal());
            made.mode = rollbot_chat_slack::Mode::Socket {
                sockets: usize::try_from(*sockets).unwrap_or(2),
            };
            made
        }
        config::SlackWay::Http { signing_secret } => {
            SlackConfig::http(bot_token, signing_secret.reveal())
        }
    };
    made.api_url = slack.api_url.as_str().trim_end_matches('/').to_owned();
    made.request_channel = first_channel(&chat.operations, "slack");
    made
}

fn discord_config(discord: &config::Discord) -> DiscordConfig {
    let mode = match &discord.way {
        config::DiscordWay::Gateway => rollbot_chat_discord::Mode::Gateway,
        config::DiscordWay::Http { public_key } => rollbot_chat_discord::Mode::Http {
            public_key: public_key.clone(),
        },
    };
    DiscordConfig {
        api_url: Some(discord.api_url.clone()),
        guild: discord.guild,
        mode,
        ..DiscordConfig::new(discord.token.reveal(), discord.application)
    }
}

/// The first channel of a platform among these.
fn first_channel(destinations: &[Destination], platform: &str) -> Option<String> {
    destinations
        .iter()
        .find(|to| to.platform == platform)
        .map(|to| to.channel.clone())
}
