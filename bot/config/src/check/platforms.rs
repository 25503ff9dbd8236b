//! The chat platforms of `rollbot.toml`.

use std::net::SocketAddr;

use toml::Spanned;
use url::Url;

use super::reader::{Reader, Within};
use super::rollbot::listen_address;
use super::secrets::Secrets;
use crate::config;
use crate::secret::Secret;
use crate::written::{self, DiscordWay, Given, SecretSource, SlackWay};

/// `Some(None)` where the section is not there.
pub(crate) fn slack(
    reader: &Reader,
    given: &Given<written::Slack>,
    secrets: &Secrets<'_>,
) -> Option<Option<config::Slack>> {
    let (within, slack) = reader.section("slack", given)?;
    if !given.is_given() {
        return Some(None);
    }
    let bot_token = token(
        reader,
        &within,
        "bot_token",
        "the app's bot token, xoxb-…",
        &slack.bot_token,
        secrets,
    );
    let api_url = address(reader, &slack.api_url, "https://slack.com/api");
    let way = match slack.way.get().copied().unwrap_or(SlackWay::Socket) {
        SlackWay::Socket => {
            only_with(
                reader,
                "signing_secret",
                &slack.signing_secret,
                "way = \"http\"",
            );
            let app_token = token(
                reader,
                &within,
                "app_token",
                "the app-level token, xapp-…",
                &slack.app_token,
                secrets,
            );
            let sockets = match slack.sockets.spanned() {
                // One alone has a gap whenever Slack rotates it; Slack allows ten.
                Some(sockets) => reader.within(sockets, 2, 10),
                None => Some(2),
            };
            app_token
                .zip(sockets)
                .map(|(app_token, sockets)| config::SlackWay::Socket { app_token, sockets })
        }
        SlackWay::Http => {
            only_with(reader, "app_token", &slack.app_token, "way = \"socket\"");
            only_with(reader, "sockets", &slack.sockets, "way = \"socket\"");
            token(
                reader,
                &within,
                "signing_secret",
                "what Slack signs its requests with",
                &slack.signing_secret,
                secrets,
            )
            .map(|signing_secret| config::SlackWay::Http { signing_secret })
        }
    };
    Some(Some(config::Slack {
        api_url: api_url?,
        bot_token: bot_token?,
        way: way?,
    }))
}

/// `Some(None)` where the section is not there.
pub(crate) fn discord(
    reader: &Reader,
    given: &Given<written::Discord>,
    secrets: &Secrets<'_>,
) -> Option<Option<config::Discord>> {
    let (within, discord) = reader.section("discord", given)?;
    if !given.is_given() {
        return Some(None);
    }
    let token = token(
        reader,
        &within,
        "token",
        "the bot's token",
        &discord.token,
        secrets,
    );
    let api_url = address(reader, &discord.api_url, "https://discord.com");
    let application = reader
        .need(
            &within,
            "application",
            "the application's id",
            &discord.application,
        )
        .and_then(|id| snowflake(reader, id, "application"));
    let guild = match discord.guild.spanned() {
        Some(guild) => snowflake(reader, guild, "server").map(Some),
        None => Some(None),
    };
    let way = match discord.way.get().copied().unwrap_or(DiscordWay::Gateway) {
        DiscordWay::Gateway => {
            only_with(reader, "public_key", &discord.public_key, "way = \"http\"");
            Some(config::DiscordWay::Gateway)
        }
        DiscordWay::Http => {
            let what = "what Discord signs its requests with";
            let key = reader.need(&within, "public_key", what, &discord.public_key);
            key.and_then(|key| public_key(reader, key))
                .map(|public_key| config::DiscordWay::Http { public_key })
        }
    };
    Some(Some(config::Discord {
        api_url: api_url?,
        token: token?,
        application: application?,
        guild: guild?,
        way: way?,
    }))
}

pub(crate) fn webhooks(reader: &Reader, given: &Given<written::Webhooks>) -> Option<SocketAddr> {
    let (_, webhooks) = reader.section("webhooks", given)?;
    match webhooks.listen.spanned() {
        Some(listen) => listen_address(reader, listen),
        None => Some(SocketAddr::from(([127, 0, 0, 1], 8701))),
    }
}

fn only_with<T>(reader: &Reader, key: &str, given: &Given<T>, with: &str) {
    if let Some(span) = given.span() {
        reader.problem(span, format!("`{key}` only has a meaning with {with}"));
    }
}

fn token(
    reader: &Reader,
    within: &Within,
    key: &str,
    what: &str,
    given: &Given<SecretSource>,
    secrets: &Secrets<'_>,
) -> Option<Secret> {
    let source = reader.need(within, key, what, given)?;
    secrets.secret(reader, source.span(), source.get_ref())
}

/// Without a slash at the end.
fn address(reader: &Reader, given: &Given<String>, default: &str) -> Option<Url> {
    let Some(text) = given.spanned() else {
        return Url::parse(default).ok();
    };
    let good = Url::parse(text.get_ref()).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if good.is_none() {
        reader.problem_with(
            text.span(),
            "this is not the address of a service",
            format!("write it as {default}"),
        );
    }
    good
}

fn snowflake(reader: &Reader, text: &Spanned<String>, what: &str) -> Option<u64> {
    let id = text.get_ref().parse().ok().filter(|id| *id > 0);
    if id.is_none() {
        reader.problem_with(
            text.span(),
            format!(
                "`{}` is not the id of a Discord {what}",
                text.get_ref()
            ),
            "it is a number such as \"302050872383242240\": switch on developer mode in Discord, and \
             copy the id from the menu",
        );
    }
    id
}

fn public_key(reader: &Reader, text: &Spanned<String>) -> Option<String> {
    let good = text.get_ref().len() == 64 && text.get_ref().chars().all(|c| c.is_ascii_hexdigit());
    if !good {
        reader.problem(
            text.span(),
            "this is not a public key: it has 64 hexadecimal digits",
        );
    }
    good.then(|| text.get_ref().to_ascii_lowercase())
}
