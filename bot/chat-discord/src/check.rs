//! Whether everything is as rollbot needs it, for `rollbot check --online` and `people check`.

use async_trait::async_trait;
use rollbot_chat::{AccountFacts, Finding, OnlineCheck, SendError};
use rollbot_core::approval::Account;
use serde_json::Value;
use serenity::http::Route;
use serenity::model::Permissions;
use serenity::model::id::{ApplicationId, ChannelId, GuildId, UserId};

use crate::platform::PLATFORM;
use crate::rest::{Ask, Failed};
use crate::{Discord, PERMISSIONS, invite_url, wire};

fn in_words(error: Failed) -> String {
    SendError::from(error).to_string()
}

#[async_trait]
impl OnlineCheck for Discord {
    async fn check(&self, channels: &[String]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let me = match self.me().await {
            Ok(me) => me,
            Err(Failed::Unauthorised) => {
                return vec![Finding::fail(
                    "Discord refuses the bot's token",
                    "copy the current one from the application's page \"Bot\" into rollbot's secrets",
                )];
            }
            Err(error) => {
                return vec![Finding::fail(
                    in_words(error),
                    "is Discord reachable from here?",
                )];
            }
        };
        findings.push(Finding::pass("the bot's token is accepted"));
        findings.push(self.check_application().await);
        findings.push(self.check_commands().await);
        for channel in channels {
            findings.extend(self.check_channel(channel, me).await);
        }
        findings
    }

    async fn look_up(&self, account: &Account) -> Result<Option<AccountFacts>, SendError> {
        if account.platform != PLATFORM {
            return Ok(None);
        }
        let Some(id) = account.user.parse().ok().filter(|id| *id != 0) else {
            return Ok(None);
        };
        let user_id = UserId::new(id);
        let user = match self.rest.send(Ask::get(Route::User { user_id })).await {
            Ok(user) => user,
            Err(error) if error.is(10013) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let text = |name: &str| user[name].as_str().unwrap_or_default().to_owned();
        let name = match text("global_name") {
            name if name.is_empty() => text("username"),
            name => name,
        };
        let guest = match self.config().guild {
            None => false,
            Some(guild) => {
                let route = Route::GuildMember {
                    guild_id: GuildId::new(guild),
                    user_id,
                };
                match self.rest.send(Ask::get(route)).await {
                    Ok(_) => false,
                    Err(error) if error.is(10007) => true,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        Ok(Some(AccountFacts {
            bot: user["bot"] == true,
            gone: text("username").starts_with("deleted_user"),
            guest,
            name,
        }))
    }
}

impl Discord {
    async fn check_application(&self) -> Finding {
        let configured = self.config().application_id;
        match self
            .rest
            .send(Ask::get(Route::Oauth2ApplicationCurrent))
            .await
        {
            Ok(said) => match wire::id(&said["id"]) {
                Some(id) if id == configured => {
                    Finding::pass("application_id belongs to the token")
                }
                Some(id) => Finding::fail(
                    format!("application_id is {configured}, and the token belongs to {id}"),
                    format!("set application_id to {id}, or use that application's token"),
                ),
                None => Finding::warn("Discord did not name the application", "try again"),
            },
            Err(error) => Finding::warn(in_words(error), "try again"),
        }
    }

    async fn check_commands(&self) -> Finding {
        let application_id = ApplicationId::new(self.config().application_id);
        let route = match self.config().guild {
            Some(guild) => Route::GuildCommands {
                application_id,
                guild_id: GuildId::new(guild),
            },
            None => Route::Commands { application_id },
        };
        match self.rest.send(Ask::get(route)).await {
            Ok(Value::Array(all)) if all.iter().any(|command| command["name"] == "rollback") => {
                Finding::pass("the commands are registered")
            }
            Ok(_) => Finding::warn(
                "the commands are not registered yet",
                "`rollbot serve` registers them when it starts",
            ),
            Err(error) => Finding::fail(
                format!("the commands cannot be read: {}", in_words(error)),
                format!(
                    "invite the bot again: {}",
                    invite_url(self.config().application_id)
                ),
            ),
        }
    }

    async fn check_channel(&self, channel: &str, me: u64) -> Vec<Finding> {
        let Some(id) = channel.parse().ok().filter(|id| *id != 0) else {
            return vec![Finding::fail(
                format!("channel `{channel}` is no id of Discord's"),
                "switch \"Developer Mode\" on in Discord, then \"Copy Channel ID\"",
            )];
        };
        match self.missing_in(id, me).await {
            Ok(missing) if missing.is_empty() => {
                vec![Finding::pass(format!("channel {channel}: every permission is there"))]
            }
            Ok(missing) => missing
                .get_permission_names()
                .into_iter()
                .map(|name| {
                    Finding::fail(
                        format!("channel {channel}: permission \"{name}\" is missing"),
                        format!(
                            "grant it to the bot's role in the channel's settings, or invite the bot again: {}",
                            invite_url(self.config().application_id)
                        ),
                    )
                })
                .collect(),
            Err(error) if error.is(10003) => vec![Finding::fail(
                format!("channel {channel} does not exist"),
                "look at the id in rollbot's configuration",
            )],
            Err(error) if error.is(50001) => vec![Finding::fail(
                format!("channel {channel}: permission \"View Channel\" is missing"),
                "add the bot's role to the channel",
            )],
            Err(error) => vec![Finding::warn(format!("channel {channel}: {}", in_words(error)), "try again")],
        }
    }

    /// The permissions that the bot needs in a channel and does not have.
    async fn missing_in(&self, channel: u64, me: u64) -> Result<Permissions, Failed> {
        let channel_id = ChannelId::new(channel);
        let channel = self
            .rest
            .send(Ask::get(Route::Channel { channel_id }))
            .await?;
        let Some(guild) = wire::id(&channel["guild_id"]) else {
            // A direct channel has no permissions.
            return Ok(Permissions::empty());
        };
        let guild_id = GuildId::new(guild);
        let roles = self
            .rest
            .send(Ask::get(Route::GuildRoles { guild_id }))
            .await?;
        let route = Route::GuildMember {
            guild_id,
            user_id: UserId::new(me),
        };
        let member = self.rest.send(Ask::get(route)).await?;
        let mine: Vec<u64> = member["roles"]
            .as_array()
            .map(|all| all.iter().filter_map(wire::id).collect())
            .unwrap_or_default();
        let bits = |value: &Value| {
            let bits = value.as_str().and_then(|bits| bits.parse().ok());
            Permissions::from_bits_truncate(bits.unwrap_or(0))
        };
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut granted = Permissions::empty();
        for role in list(&roles) {
            let id = wire::id(&role["id"]);
            if id == Some(guild) || id.is_some_and(|id| mine.contains(&id)) {
                granted |= bits(&role["permissions"]);
            }
        }
        if granted.contains(Permissions::ADMINISTRATOR) {
            return Ok(Permissions::empty());
        }
        // Everyone's overwrite first, those of the roles together, the member's own last.
        let (mut of_roles, mut own) = ((Permissions::empty(), Permissions::empty()), None);
        for overwrite in list(&channel["permission_overwrites"]) {
            let (allow, deny) = (bits(&overwrite["allow"]), bits(&overwrite["deny"]));
            match wire::id(&overwrite["id"]) {
                Some(id) if id == guild => granted = (granted - deny) | allow,
                Some(id) if id == me => own = Some((allow, deny)),
                Some(id) if mine.contains(&id) => {
                    of_roles.0 |= allow;
                    of_roles.1 |= deny;
                }
                _ => {}
            }
        }
        granted = (granted - of_roles.1) | of_roles.0;
        if let Some((allow, deny)) = own {
            granted = (granted - deny) | allow;
        }
        Ok(PERMISSIONS - granted)
    }
}
