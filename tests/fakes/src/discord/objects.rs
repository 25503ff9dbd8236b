//! How the stand-in's objects look on the wire: complete enough for the libraries that are strict
//! about it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::world::{Channel, ChannelKind, Interaction, Message, User, World};

/// An emoji as an object: a character, or one of the guild's own as `name:id`.
pub(super) fn emoji_json(emoji: &str) -> Value {
    match emoji.split_once(':') {
        Some((name, id)) => json!({"id": id, "name": name, "animated": false}),
        None => json!({"id": null, "name": emoji}),
    }
}

impl World {
    pub fn user_json(&self, user: &User) -> Value {
        json!({
            "id": user.id.to_string(),
            "username": user.name,
            "discriminator": "0",
            "global_name": user.name,
            "avatar": null,
            "bot": user.bot,
            "system": false,
            "public_flags": 0,
            "flags": 0,
            "banner": null,
            "accent_color": null,
            "avatar_decoration_data": null,
            "clan": null,
        })
    }

    pub fn bot_json(&self) -> Value {
        let mut bot = self
            .users
            .get(&self.bot)
            .map(|user| self.user_json(user))
            .unwrap_or_default();
        if let Value::Object(fields) = &mut bot {
            fields.insert("verified".to_owned(), true.into());
            fields.insert("mfa_enabled".to_owned(), true.into());
            fields.insert("email".to_owned(), Value::Null);
        }
        bot
    }

    pub fn user_of(&self, id: u64) -> Value {
        self.users
            .get(&id)
            .map(|user| self.user_json(user))
            .unwrap_or_default()
    }

    pub fn member_json(&self, user: &User) -> Value {
        let roles: Vec<String> = if user.id == self.bot {
            vec![self.bot_role.to_string()]
        } else {
            Vec::new()
        };
        json!({
            "user": self.user_json(user),
            "nick": null,
            "avatar": null,
            "banner": null,
            "roles": roles,
            "joined_at": "2026-01-01T00:00:00.000000+00:00",
            "premium_since": null,
            "deaf": false,
            "mute": false,
            "flags": 0,
            "pending": false,
            "permissions": "0",
            "communication_disabled_until": null,
            "avatar_decoration_data": null,
        })
    }

    pub fn roles_json(&self) -> Value {
        self.roles
            .iter()
            .enumerate()
            .map(|(position, role)| {
                json!({
                    "id": role.id.to_string(),
                    "name": role.name,
                    "color": 0,
                    "colors": {"primary_color": 0, "secondary_color": null, "tertiary_color": null},
                    "hoist": false,
                    "icon": null,
                    "unicode_emoji": null,
                    "position": position,
                    "permissions": role.permissions.to_string(),
                    "managed": role.id == self.bot_role,
                    "mentionable": false,
                    "flags": 0,
                })
            })
            .collect()
    }

    pub fn guild_json(&self) -> Value {
        json!({
            "id": self.guild.to_string(),
            "name": "Cryptobot",
            "icon": null, "splash": null, "discovery_splash": null, "banner": null, "icon_hash": null,
            "owner_id": self.users.keys().nth(1).unwrap_or(&self.bot).to_string(),
            "afk_channel_id": null, "afk_timeout": 300,
            "widget_enabled": false, "widget_channel_id": null,
            "verification_level": 0,
            "default_message_notifications": 1,
            "explicit_content_filter": 0,
            "roles": self.roles_json(),
            "emojis": [], "features": [], "stickers": [],
            "mfa_level": 0,
            "application_id": null,
            "system_channel_id": null, "system_channel_flags": 0, "rules_channel_id": null,
            "max_presences": null, "max_members": 500_000,
            "vanity_url_code": null, "description": null,
            "premium_tier": 0, "premium_subscription_count": 0,
            "preferred_locale": "en-US",
            "public_updates_channel_id": null, "safety_alerts_channel_id": null,
            "nsfw_level": 0, "nsfw": false,
            "premium_progress_bar_enabled": false,
            "max_video_channel_users": 25, "max_stage_video_channel_users": 50,
            "incidents_data": null, "region": "deprecated", "hub_type": null,
        })
    }

    pub fn channel_json(&self, channel: &Channel) -> Value {
        let id = channel.id.to_string();
        let last = channel.messages.keys().next_back().map(u64::to_string);
        match channel.kind {
            ChannelKind::Direct => json!({
                "id": id, "type": 1, "last_message_id": last, "flags": 0,
                "recipients": [channel.with.map(|user| self.user_of(user))],
            }),
            ChannelKind::Text => {
                let overwrites = match channel.denied {
                    0 => json!([]),
                    denied => json!([{
                        "id": self.bot_role.to_string(), "type": 0,
                        "allow": "0", "deny": denied.to_string(),
                    }]),
                };
                json!({
                    "id": id, "type": 0, "guild_id": self.guild.to_string(), "name": channel.name,
                    "position": 0, "permission_overwrites": overwrites, "nsfw": false,
                    "topic": null, "parent_id": null, "last_message_id": last,
                    "rate_limit_per_user": 0, "flags": 0, "last_pin_timestamp": null,
                    "default_auto_archive_duration": 1440,
                })
            }
            ChannelKind::Thread => json!({
                "id": id, "type": 11, "guild_id": self.guild.to_string(), "name": channel.name,
                "parent_id": channel.parent.map(|id| id.to_string()),
                "owner_id": self.bot.to_string(), "last_message_id": last,
                "message_count": channel.messages.len(), "total_message_sent": channel.messages.len(),
                "member_count": 1, "rate_limit_per_user": 0, "flags": 0,
                "thread_metadata": {
                    "archived": false, "auto_archive_duration": 1440, "locked": false,
                    "archive_timestamp": "2026-01-01T00:00:00.000000+00:00",
                    "create_timestamp": "2026-01-01T00:00:00.000000+00:00",
                },
            }),
        }
    }

    pub fn message_json(&self, message: &Message) -> Value {
        let mut by_emoji: BTreeMap<&str, (u64, u64, bool, bool)> = BTreeMap::new();
        for reaction in &message.reactions {
            let count = by_emoji.entry(&reaction.emoji).or_default();
            if reaction.burst {
                count.1 += 1;
                count.3 |= reaction.user == self.bot;
            } else {
                count.0 += 1;
                count.2 |= reaction.user == self.bot;
            }
        }
        let reactions: Vec<Value> = by_emoji
            .into_iter()
            .map(|(emoji, (normal, burst, me, me_burst))| {
                json!({
                    "emoji": emoji_json(emoji), "count": normal + burst,
                    "count_details": {"normal": normal, "burst": burst},
                    "me": me, "me_burst": me_burst, "burst_me": me_burst, "burst_count": burst,
                    "burst_colors": [],
                })
            })
            .collect();
        let attachments: Vec<Value> = message
            .attachments
            .iter()
            .map(|file| {
                let url = format!("{}/attachments/{}/{}", self.base, file.id, file.name);
                json!({
                    "id": file.id.to_string(), "filename": file.name, "size": file.bytes.len(),
                    "url": url, "proxy_url": url, "content_type": "text/markdown; charset=utf-8",
                })
            })
            .collect();
        let mut json = json!({
            "id": message.id.to_string(),
            "channel_id": message.channel.to_string(),
            "author": self.user_of(message.author),
            "content": message.content,
            "timestamp": "2026-01-01T00:00:00.000000+00:00",
            "edited_timestamp": message.edited_at,
            "tts": false,
            "mention_everyone": false,
            "mentions": [], "mention_roles": [],
            "attachments": attachments,
            "embeds": message.embeds,
            "components": message.components,
            "reactions": reactions,
            "pinned": false,
            "type": if message.answers.is_some() { 20 } else { 0 },
            "flags": message.flags,
        });
        if let Value::Object(fields) = &mut json {
            if message.webhook {
                fields.insert("webhook_id".to_owned(), self.application.to_string().into());
                fields.insert(
                    "application_id".to_owned(),
                    self.application.to_string().into(),
                );
            }
            if let Some(thread) = message.thread.and_then(|id| self.channels.get(&id)) {
                fields.insert("thread".to_owned(), self.channel_json(thread));
            }
        }
        json
    }

    /// As it goes to the bot. `data` is the part that depends on its kind.
    pub fn interaction_json(&self, interaction: &Interaction, data: &Value) -> Value {
        let channel = self
            .channels
            .get(&interaction.channel)
            .map(|channel| self.channel_json(channel))
            .unwrap_or_default();
        let member = self
            .users
            .get(&interaction.user)
            .map(|user| self.member_json(user))
            .unwrap_or_default();
        let permissions = self
            .channels
            .get(&interaction.channel)
            .map(|channel| self.bot_permissions(channel))
            .unwrap_or_default();
        let mut json = json!({
            "id": interaction.id.to_string(),
            "application_id": self.application.to_string(),
            "type": interaction.kind,
            "data": data,
            "guild": {"id": self.guild.to_string(), "locale": "en-US", "features": []},
            "guild_id": self.guild.to_string(),
            "channel": channel,
            "channel_id": interaction.channel.to_string(),
            "member": member,
            "token": interaction.token,
            "version": 1,
            "app_permissions": permissions.to_string(),
            "locale": "en-US",
            "guild_locale": "en-US",
            "entitlements": [],
            "entitlement_sku_ids": [],
            "authorizing_integration_owners": {"0": self.guild.to_string()},
            "context": 0,
            "attachment_size_limit": 10_485_760,
        });
        let message = interaction
            .message
            .and_then(|id| self.message(interaction.channel, id));
        if let (Value::Object(fields), Some(message)) = (&mut json, message) {
            fields.insert("message".to_owned(), self.message_json(message));
        }
        json
    }

    pub fn application_json(&self) -> Value {
        json!({
            "id": self.application.to_string(), "name": "rollbot", "icon": null, "description": "",
            "summary": "", "type": null, "bot_public": false, "bot_require_code_grant": false,
            "verify_key": self.public_key(), "flags": 0, "hook": true,
            "owner": self.user_of(self.bot), "team": null, "bot": self.bot_json(),
            "rpc_origins": [], "redirect_uris": [], "interactions_endpoint_url": self.endpoint,
            "approximate_guild_count": 1, "integration_types_config": {"0": {}},
            "event_webhooks_status": 1,
        })
    }
}
