//! How the adapter is set up.

use std::fmt;
use std::time::Duration;

use url::Url;

/// Everything the adapter needs to know. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct DiscordConfig {
    /// In place of `https://discord.com`: a proxy, or a compatible server.
    pub api_url: Option<Url>,
    /// The bot's token, without `Bot ` before it.
    pub token: String,
    pub application_id: u64,
    /// The guild in which the commands are registered; globally where there is none.
    pub guild: Option<u64>,
    pub mode: Mode,
    pub deadlines: Deadlines,
    /// As many events are worked on at a time; more wait.
    pub most_in_flight: usize,
}

/// How interactions come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Over the gateway, as everything else.
    Gateway,
    /// Discord posts them to [`Discord::router`](crate::Discord::router), signed with this key (64
    /// hexadecimal digits). Reactions still need the gateway, which is connected as well.
    Http { public_key: String },
}

/// Times that something may take. The defaults keep Discord's three seconds and the promise that a
/// dead connection is noticed within 30 s.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// One request, with all waiting for rate limits.
    pub request: Duration,
    /// From the arrival of an interaction to its first answer; Discord allows 3 s.
    pub interaction: Duration,
    /// From the arrival of an interaction to its being handed over.
    pub queue: Duration,
    /// Connecting to the gateway, until it says ready.
    pub connect: Duration,
    /// The longest time between two heartbeats; the server's interval where that is shorter.
    pub heartbeat: Duration,
    /// From a heartbeat to its acknowledgement.
    pub acknowledgement: Duration,
    /// The first pause before a new connection; doubled up to `longest_pause`, with jitter.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// How old what is known of a channel's history may be when a message is looked for.
    pub history: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(8),
            interaction: Duration::from_millis(2_800),
            queue: Duration::from_millis(600),
            connect: Duration::from_secs(15),
            heartbeat: Duration::from_secs(15),
            acknowledgement: Duration::from_secs(10),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            history: Duration::from_secs(60),
        }
    }
}

impl DiscordConfig {
    pub fn new(token: impl Into<String>, application_id: u64) -> Self {
        Self {
            api_url: None,
            token: token.into(),
            application_id,
            guild: None,
            mode: Mode::Gateway,
            deadlines: Deadlines::default(),
            most_in_flight: 64,
        }
    }
}

impl fmt::Debug for DiscordConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscordConfig")
            .field("api_url", &self.api_url.as_ref().map(Url::as_str))
            .field("token", &"(hidden)")
            .field("application_id", &self.application_id)
            .field("guild", &self.guild)
            .field("mode", &self.mode)
            .field("deadlines", &self.deadlines)
            .field("most_in_flight", &self.most_in_flight)
            .finish()
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("discord: the token is empty: copy it from the application's page \"Bot\"")]
    NoToken,
    #[error("discord: the token contains characters that no token has")]
    BadToken,
    #[error(
        "discord: application_id is 0: copy it from the application's page \"General Information\""
    )]
    NoApplication,
    #[error(
        "discord: guild is 0: copy the server's id, or leave it out to register commands globally"
    )]
    NoGuild,
    #[error(
        "discord: public_key is not 64 hexadecimal digits: copy it from the application's page \"General Information\""
    )]
    BadKey,
    #[error("discord: api_url must begin with http:// or https://")]
    BadUrl,
    #[error("discord: no HTTP client can be made: {0}")]
    NoClient(String),
}
