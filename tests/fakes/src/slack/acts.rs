//! What people do in the workspace.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::Refusal;
use super::deliver::{self, Kind, RequestUrls};
use super::workspace::{APP_ID, BOT_ID, TEAM_ID, View};
use super::{FakeSlack, Inner, api, lock};

/// What somebody saw at once of what they did.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It was taken, and nothing was said.
    Nothing,
    /// The bot's answer, as it was sent.
    Answer(Value),
    /// `operation_timeout`, `dispatch_failed`: the bot did not take it.
    Failure(String),
    /// The bot answered what Slack does not show.
    Refused(String),
}

impl Seen {
    fn of(answer: Result<Value, String>) -> Self {
        match answer {
            Ok(Value::Null) => Seen::Nothing,
            Ok(Value::Object(map)) if map.is_empty() => Seen::Nothing,
            Ok(answer) => Seen::Answer(answer),
            Err(why) => Seen::Failure(why),
        }
    }
}

/// A press of a button: on which message, with which action.
#[derive(Debug, Clone, Copy)]
pub struct Press<'a> {
    pub user: &'a str,
    pub channel: &'a str,
    pub ts: &'a str,
    pub action_id: &'a str,
}

fn username(inner: &Inner, user: &str) -> String {
    lock(&inner.workspace)
        .users
        .get(user)
        .map(|user| user.name.clone())
        .unwrap_or_default()
}

fn sender(inner: &Inner, user: &str) -> Value {
    let name = username(inner, user);
    let team = lock(&inner.workspace)
        .users
        .get(user)
        .map_or_else(|| TEAM_ID.to_owned(), |user| user.team.clone());
    json!({"id": user, "username": name, "name": name, "team_id": team})
}

fn refused(refusal: &Refusal) -> Seen {
    Seen::Refused(format!("{} {:?}", refusal.error, refusal.more))
}

impl FakeSlack {
    /// From now on the bot is reached at these URLs, or over sockets again.
    pub fn use_request_urls(&self, urls: Option<RequestUrls>) {
        lock(&self.inner.deliveries).set_urls(urls);
    }

    /// Somebody types a slash command. `text` is as typed: it is sent as Slack sends it, with `&`,
    /// `<` and `>` escaped.
    pub async fn slash(&self, user: &str, channel: &str, command: &str, text: &str) -> Seen {
        let escaped = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        self.slash_as_sent(user, channel, command, &escaped).await
    }

    /// The same, with the text as Slack would send it after resolving names: `<@U0BEN|ben>`.
    pub async fn slash_as_sent(
        &self,
        user: &str,
        channel: &str,
        command: &str,
        text: &str,
    ) -> Seen {
        let inner = &self.inner;
        let (trigger, url, channel_name) = {
            let mut workspace = lock(&inner.workspace);
            let name = workspace
                .channels
                .get(channel)
                .map(|known| known.name.clone());
            let url = workspace.response_url(user, channel, None);
            (workspace.trigger(user), url, name.unwrap_or_default())
        };
        let payload = json!({
            "token": "unused", "team_id": TEAM_ID, "team_domain": "cryptobot-ops",
            "channel_id": channel, "channel_name": channel_name, "user_id": user,
            "user_name": username(inner, user), "command": command, "text": text,
            "api_app_id": APP_ID, "is_enterprise_install": "false",
            "response_url": format!("{}/response/{url}", inner.base), "trigger_id": trigger,
        });
        let answer = deliver::ask(inner, Kind::SlashCommands, payload).await;
        let seen = Seen::of(answer);
        if let Seen::Answer(answer) = &seen {
            let mut workspace = lock(&inner.workspace);
            if let Err(refusal) = api::show_answer(&mut workspace, channel, user, answer) {
                return refused(&refusal);
            }
        }
        seen
    }

    /// Puts somebody's reaction on a message and lets the bot know. Returns the event's id.
    ///
    /// # Errors
    /// `message_not_found`, `already_reacted`.
    pub fn react(
        &self,
        user: &str,
        channel: &str,
        ts: &str,
        emoji: &str,
    ) -> Result<String, String> {
        let (name, author) = self.change_reaction(user, channel, ts, emoji, true)?;
        Ok(self.announce_reaction("reaction_added", user, channel, ts, &name, &author))
    }

    /// Takes somebody's reaction off a message and lets the bot know.
    ///
    /// # Errors
    /// `message_not_found`, `no_reaction`.
    pub fn unreact(
        &self,
        user: &str,
        channel: &str,
        ts: &str,
        emoji: &str,
    ) -> Result<String, String> {
        let (name, author) = self.change_reaction(user, channel, ts, emoji, false)?;
        Ok(self.announce_reaction("reaction_removed", user, channel, ts, &name, &author))
    }

    /// Changes a reaction without an event: as one that is lost.
    ///
    /// # Errors
    /// `message_not_found`, `already_reacted`, `no_reaction`.
    pub fn change_reaction(
        &self,
        user: &str,
        channel: &str,
        ts: &str,
        emoji: &str,
        on: bool,
    ) -> Result<(String, String), String> {
        let mut workspace = lock(&self.inner.workspace);
        let message = workspace
            .message_mut(channel, ts)
            .ok_or_else(|| "message_not_found".to_owned())?;
        let changed = if on {
            api::put_reaction(message, emoji, user)
        } else {
            api::take_reaction(message, emoji, user)
        };
        changed.map_err(|refusal| refusal.error)?;
        Ok((emoji.to_owned(), message.user.clone()))
    }

    fn announce_reaction(
        &self,
        kind: &str,
        user: &str,
        channel: &str,
        ts: &str,
        emoji: &str,
        author: &str,
    ) -> String {
        let event_ts = lock(&self.inner.workspace).ts();
        let event = json!({
            "type": kind, "user": user, "reaction": emoji, "item_user": author,
            "item": {"type": "message", "channel": channel, "ts": ts}, "event_ts": event_ts,
        });
        deliver::announce(&self.inner, event)
    }

    /// Somebody presses a button under a message.
    pub async fn press(&self, press: Press<'_>) -> Seen {
        let inner = &self.inner;
        let payload = {
            let user = sender(inner, press.user);
            let mut workspace = lock(&inner.workspace);
            let Some(message) = workspace.message(press.channel, press.ts).cloned() else {
                return Seen::Refused("message_not_found".to_owned());
            };
            let button = message.blocks.iter().find_map(|block| {
                let elements = block.get("elements")?.as_array()?;
                let wanted = |one: &&Value| {
                    one.get("action_id").and_then(Value::as_str) == Some(press.action_id)
                };
                let found = elements.iter().find(wanted)?;
                Some((block.get("block_id").cloned(), found.clone()))
            });
            let Some((block_id, mut action)) = button else {
                return Seen::Refused(format!("no button {}", press.action_id));
            };
            let action_ts = workspace.ts();
            if let Some(map) = action.as_object_mut() {
                let block_id = block_id.unwrap_or_else(|| json!("b1"));
                map.insert("block_id".into(), block_id);
                map.insert("action_ts".into(), json!(action_ts));
            }
            let url = workspace.response_url(press.user, press.channel, Some(press.ts));
            json!({
                "type": "block_actions", "user": user, "api_app_id": APP_ID, "token": "unused",
                "container": {
                    "type": "message", "message_ts": press.ts, "channel_id": press.channel,
                    "is_ephemeral": false,
                },
                "trigger_id": workspace.trigger(press.user),
                "team": {"id": TEAM_ID, "domain": "cryptobot-ops"}, "enterprise": null,
                "is_enterprise_install": false,
                "channel": {"id": press.channel, "name": "ops"},
                "message": message.json(&[], false, 0), "state": {"values": {}},
                "response_url": format!("{}/response/{url}", inner.base),
                "actions": [action],
            })
        };
        Seen::of(deliver::ask(inner, Kind::Interactive, payload).await)
    }

    /// Somebody chooses the app's global shortcut.
    pub async fn shortcut(&self, user: &str, callback_id: &str) -> Seen {
        let payload = json!({
            "type": "shortcut", "token": "unused", "team": {"id": TEAM_ID, "domain": "cryptobot-ops"},
            "user": sender(&self.inner, user), "is_enterprise_install": false, "enterprise": null,
            "callback_id": callback_id, "action_ts": lock(&self.inner.workspace).ts(),
            "trigger_id": lock(&self.inner.workspace).trigger(user),
        });
        Seen::of(deliver::ask(&self.inner, Kind::Interactive, payload).await)
    }

    /// The newest modal that is open before somebody.
    pub fn open_view(&self, user: &str) -> Option<View> {
        let workspace = lock(&self.inner.workspace);
        let mut open: Vec<&View> = workspace
            .views
            .values()
            .filter(|view| view.user == user && view.open)
            .collect();
        open.sort_by(|a, b| a.id.cmp(&b.id));
        open.last().map(|view| (*view).clone())
    }

    /// Somebody presses the modal's button, with these values: block, action, value as it is in the
    /// view's state.
    pub async fn submit(&self, user: &str, values: &[(&str, &str, Value)]) -> Seen {
        let Some(view) = self.open_view(user) else {
            return Seen::Refused("no view is open".to_owned());
        };
        let mut state = serde_json::Map::new();
        for (block, action, value) in values {
            state.insert((*block).to_owned(), json!({*action: value}));
        }
        let mut shown = api::shown_view(&view);
        if let Some(map) = shown.as_object_mut() {
            map.insert("state".into(), json!({"values": state}));
        }
        let payload = json!({
            "type": "view_submission", "team": {"id": TEAM_ID, "domain": "cryptobot-ops"},
            "user": sender(&self.inner, user), "api_app_id": APP_ID, "token": "unused",
            "trigger_id": lock(&self.inner.workspace).trigger(user), "view": shown,
            "response_urls": [], "is_enterprise_install": false, "enterprise": null,
        });
        let seen = Seen::of(deliver::ask(&self.inner, Kind::Interactive, payload).await);
        let mut workspace = lock(&self.inner.workspace);
        let answer = match &seen {
            Seen::Answer(answer) => answer.clone(),
            Seen::Nothing => Value::Null,
            _ => return seen,
        };
        match answer.get("response_action").and_then(Value::as_str) {
            Some("errors") => {
                let errors = answer.get("errors").cloned().unwrap_or_default();
                let blocks = view.view.get("blocks").and_then(Value::as_array).cloned();
                let known: Vec<String> = blocks
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|block| Some(block.get("block_id")?.as_str()?.to_owned()))
                    .collect();
                for block in errors.as_object().into_iter().flat_map(|map| map.keys()) {
                    if !known.contains(block) {
                        return Seen::Refused(format!("error for the unknown block {block}"));
                    }
                }
                if let Some(view) = workspace.views.get_mut(&view.id) {
                    view.errors = errors;
                }
            }
            Some("update") => {
                let new = answer.get("view").cloned().unwrap_or_default();
                if let Err(refusal) = api::replace_view(&mut workspace, &view.id, new) {
                    return refused(&refusal);
                }
            }
            Some("clear") | None => {
                if let Some(view) = workspace.views.get_mut(&view.id) {
                    view.open = false;
                }
            }
            Some(other) => return Seen::Refused(format!("response_action {other}")),
        }
        seen
    }

    /// Somebody opens the app's home. Returns the event's id.
    pub fn open_home(&self, user: &str) -> String {
        let (channel, ts) = {
            let mut workspace = lock(&self.inner.workspace);
            (workspace.im(user), workspace.ts())
        };
        let event = json!({
            "type": "app_home_opened", "user": user, "channel": channel, "tab": "home", "event_ts": ts,
        });
        deliver::announce(&self.inner, event)
    }

    /// Somebody writes into a channel. Returns the message's time.
    pub fn write(&self, user: &str, channel: &str, text: &str) -> String {
        let mut workspace = lock(&self.inner.workspace);
        let ts = workspace.ts();
        workspace.messages.push(super::Message {
            channel: channel.to_owned(),
            ts: ts.clone(),
            user: user.to_owned(),
            by_bot: user == BOT_ID,
            text: text.to_owned(),
            blocks: Vec::new(),
            metadata: None,
            thread_ts: None,
            edited: 0,
            reactions: Vec::new(),
            files: Vec::new(),
        });
        ts
    }

    /// Waits until everything was acknowledged.
    ///
    /// # Errors
    /// What was not, after `patience`.
    pub async fn quiet(&self, patience: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + patience;
        loop {
            let waiting = self.unacknowledged();
            if waiting.is_empty() {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < until,
                "not acknowledged: {}",
                waiting.join(", ")
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
