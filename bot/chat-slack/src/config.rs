//! What the adapter is told.

use std::fmt;
use std::time::Duration;

/// How Slack reaches the bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The bot opens WebSockets to Slack; as many at a time, at least two so that a rotation leaves
    /// no gap.
    Socket { sockets: usize },
    /// Slack sends requests to [`Slack::router`](crate::Slack::router).
    Http,
}

/// Everything the adapter needs. Credentials are not shown by `Debug`.
#[derive(Clone)]
pub struct SlackConfig {
    /// Without a slash at the end; `https://slack.com/api` unless something stands in for Slack.
    pub api_url: String,
    /// `xoxb-…`
    pub bot_token: String,
    /// `xapp-…`, for Socket Mode.
    pub app_token: Option<String>,
    /// For the HTTP way.
    pub signing_secret: Option<String>,
    pub mode: Mode,
    /// The workspace, `T…`. If the token belongs to another one, nothing is sent or taken. `None`:
    /// whichever the token belongs to.
    pub team: Option<String>,
    /// The channel in which requests made with the shortcut are counted to have been made; `None`:
    /// the conversation with the person who made it.
    pub request_channel: Option<String>,

    /// How long one call of the Web API may take.
    pub call_deadline: Duration,
    /// How long a call may wait for its turn before it is put off; edits of progress wait far less.
    pub longest_wait: Duration,
    /// How long opening a socket may take, up to Slack's hello.
    pub open_deadline: Duration,
    /// How often a socket is pinged, and after how much silence it counts as dead.
    pub ping_every: Duration,
    pub dead_after: Duration,
    /// How long the old socket is still read after Slack asked for a new one.
    pub drain: Duration,
    /// First pause before a new attempt to connect; doubled each time up to `longest_pause`.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// Slack waits three seconds for an acknowledgement: when to stop waiting for what to say.
    pub answer_within: Duration,
    /// As many events are worked on at a time.
    pub in_flight: usize,
    /// A home is drawn anew no more often than this.
    pub home_every: Duration,
    /// How far back a message is looked for.
    pub find_back: Duration,
}

impl SlackConfig {
    /// Socket Mode with two sockets.
    pub fn socket_mode(bot_token: impl Into<String>, app_token: impl Into<String>) -> Self {
        Self {
            app_token: Some(app_token.into()),
            ..Self::bare(bot_token.into(), Mode::Socket { sockets: 2 })
        }
    }

    /// Events, commands and interactivity over HTTP.
    pub fn http(bot_token: impl Into<String>, signing_secret: impl Into<String>) -> Self {
        Self {
            signing_secret: Some(signing_secret.into()),
            ..Self::bare(bot_token.into(), Mode::Http)
        }
    }

    fn bare(bot_token: String, mode: Mode) -> Self {
        Self {
            api_url: "https://slack.com/api".to_owned(),
            bot_token,
            app_token: None,
            signing_secret: None,
            mode,
            team: None,
            request_channel: None,
            call_deadline: Duration::from_secs(5),
            longest_wait: Duration::from_secs(2),
            open_deadline: Duration::from_secs(10),
            ping_every: Duration::from_secs(8),
            dead_after: Duration::from_secs(24),
            drain: Duration::from_secs(30),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            answer_within: Duration::from_millis(2_600),
            in_flight: 64,
            home_every: Duration::from_secs(5),
            find_back: Duration::from_secs(24 * 3_600),
        }
    }

    /// # Errors
    /// A setting that cannot work, and what to write instead.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |what: &str| Err(ConfigError(what.to_owned()));
        match url::Url::parse(&self.api_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => {}
            _ => {
                return wrong("slack.api_url is no web address: write https://slack.com/api");
            }
        }
        if self.api_url.ends_with('/') {
            return wrong("slack.api_url ends with a slash: leave it out");
        }
        if !self.bot_token.starts_with("xoxb-") {
            return wrong(
                "the bot token does not begin with `xoxb-`: take the Bot User OAuth Token from the \
                 app's page OAuth & Permissions",
            );
        }
        match self.mode {
            Mode::Socket { sockets } => {
                if !(2..=10).contains(&sockets) {
                    return wrong("slack.sockets must be 2 to 10: Slack allows ten");
                }
                if !self
                    .app_token
                    .as_deref()
                    .is_some_and(|token| token.starts_with("xapp-"))
                {
                    return wrong(
                        "Socket Mode needs an app-level token, which begins with `xapp-`: make one \
                         with the scope connections:write on the app's page Basic Information",
                    );
                }
            }
            Mode::Http => {
                if self
                    .signing_secret
                    .as_deref()
                    .unwrap_or_default()
                    .is_empty()
                {
                    return wrong(
                        "the HTTP way needs the signing secret from the app's page Basic Information",
                    );
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SlackConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlackConfig")
            .field("api_url", &self.api_url)
            .field("mode", &self.mode)
            .field("team", &self.team)
            .finish_non_exhaustive()
    }
}

/// What is wrong with the configuration, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);
