//! People where they are: at the console, in Slack, in Discord. One description of a scenario runs in
//! each of them, and with everybody somewhere else.
//!
//! Slack and Discord are stand-ins over the real wire protocols; the bot is the product's own process
//! and is told nothing but their addresses.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rollbot_fakes::discord::{FakeDiscord, Options};
use rollbot_fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack, OPS, Press, Settings, TEAM_ID};
use serde_json::{Value, json};

use crate::console::{PATIENCE, Visitor};
use crate::demo::Engine;
use crate::eventually;
use crate::serve::Serve;

/// Where people are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Console,
    Slack,
    Discord,
    /// Ana and Dan in Slack, Ben in Discord, Cleo at the console.
    Everywhere,
}

/// Who takes part. Ana asks, Ben and Cleo may approve, Dan may not.
const PEOPLE: [&str; 4] = ["ana", "ben", "cleo", "dan"];
const ANNOUNCEMENTS: &str = "C0NEWS";

/// A bot that serves, and the rooms its people are in.
pub struct Rooms {
    pub serve: Serve,
    place: Place,
    slack: Option<FakeSlack>,
    discord: Option<Guild>,
    console: BTreeMap<&'static str, Visitor>,
}

struct Guild {
    fake: FakeDiscord,
    operations: u64,
    announcements: u64,
    users: BTreeMap<&'static str, u64>,
    /// Interactions with the one who began each: their answers are among what they are told.
    interactions: Mutex<Vec<(&'static str, u64)>>,
}

/// A message as its reader sees it.
#[derive(Debug, Clone)]
pub struct Shown {
    place: Place,
    /// In the platform's own words.
    channel: String,
    id: String,
    /// Without markup.
    pub text: String,
    /// Keys of its buttons.
    pub buttons: Vec<String>,
}

impl Rooms {
    /// # Errors
    /// The world cannot be made, or the bot does not start; with its log.
    pub async fn open(binary: &str, engine: Engine, place: Place) -> anyhow::Result<Self> {
        let serve = Serve::prepare(binary, engine).await?;
        let slack = match place {
            Place::Slack | Place::Everywhere => Some(workspace().await?),
            _ => None,
        };
        let discord = match place {
            Place::Discord | Place::Everywhere => Some(Guild::found().await?),
            _ => None,
        };
        let mut rooms = Self {
            serve,
            place,
            slack,
            discord,
            console: BTreeMap::new(),
        };
        rooms.configure()?;
        rooms.begin().await?;
        Ok(rooms)
    }

    /// Starts the bot, or starts it again, and waits until it is connected everywhere.
    ///
    /// # Errors
    /// It does not; with its log.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        self.serve.begin().await?;
        self.connected().await?;
        for person in PEOPLE {
            let visitor = self.serve.logged_in(person).await?;
            self.console.insert(person, visitor);
        }
        Ok(())
    }

    async fn connected(&self) -> anyhow::Result<()> {
        let up = eventually("the bot in its rooms", Duration::from_secs(60), || async {
            let slack = self
                .slack
                .as_ref()
                .is_none_or(|fake| fake.open_sockets() >= 2);
            let discord = self.discord.as_ref().is_none_or(|guild| {
                let (mine, _) = guild.fake.commands();
                guild.fake.is_connected() && mine.len() == 2
            });
            Ok((slack && discord).then_some(()))
        });
        if let Err(error) = up.await {
            bail!("{error:#}\n{}", self.serve.said());
        }
        Ok(())
    }

    /// The sections of the platforms, their channels, and who everybody is there.
    fn configure(&self) -> anyhow::Result<()> {
        let mut operations = vec!["\"console/ops\"".to_owned()];
        let mut announcements = vec!["\"console/announcements\"".to_owned()];
        let mut sections = String::new();
        let secrets = self.serve.directory().join("secrets");
        std::fs::create_dir_all(&secrets)?;
        let keep = |name: &str, value: &str| -> anyhow::Result<String> {
            let path = secrets.join(name);
            std::fs::write(&path, value)?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
            Ok(format!("{{ file = \"{}\" }}", path.display()))
        };
        let mut accounts: BTreeMap<&str, String> = BTreeMap::new();
        if let Some(slack) = &self.slack {
            sections.push_str(&format!(
                "[slack]\napi_url = \"{}\"\nbot_token = {}\napp_token = {}\n\n",
                slack.api_url(),
                keep("slack-bot", BOT_TOKEN)?,
                keep("slack-app", APP_TOKEN)?,
            ));
            operations.push(format!("\"slack/{OPS}\""));
            announcements.push(format!("\"slack/{ANNOUNCEMENTS}\""));
            for person in PEOPLE {
                let line = format!(
                    "slack = {{ team = \"{TEAM_ID}\", user = \"{}\" }}\n",
                    slack_user(person)
                );
                accounts.entry(person).or_default().push_str(&line);
            }
        }
        if let Some(guild) = &self.discord {
            sections.push_str(&format!(
                "[discord]\napi_url = \"{}\"\ntoken = {}\napplication = \"{}\"\nguild = \"{}\"\n\n",
                guild.fake.url(),
                keep("discord", guild.fake.token())?,
                guild.fake.application(),
                guild.fake.guild(),
            ));
            operations.push(format!("\"discord/{}\"", guild.operations));
            announcements.push(format!("\"discord/{}\"", guild.announcements));
            for (person, user) in &guild.users {
                let line = format!("discord = \"{user}\"\n");
                accounts.entry(person).or_default().push_str(&line);
            }
        }
        self.serve.edit(
            "rollbot.toml",
            "operations = [\"console/ops\"]",
            &format!("operations = [{}]", operations.join(", ")),
        )?;
        self.serve.edit(
            "rollbot.toml",
            "announcements = [\"console/announcements\"]",
            &format!("announcements = [{}]", announcements.join(", ")),
        )?;
        for (person, lines) in accounts {
            let id = format!("id = \"{person}\"\n");
            self.serve
                .edit("people.toml", &id, &format!("{id}{lines}"))?;
        }
        self.serve.append(&sections)
    }

    fn place_of(&self, person: &str) -> Place {
        match (self.place, person) {
            (Place::Everywhere, "ben") => Place::Discord,
            (Place::Everywhere, "cleo") => Place::Console,
            (Place::Everywhere, _) => Place::Slack,
            (place, _) => place,
        }
    }

    fn visitor(&self, person: &str) -> anyhow::Result<&Visitor> {
        self.console
            .get(person)
            .with_context(|| format!("nobody is called {person}"))
    }

    fn slack(&self) -> anyhow::Result<&FakeSlack> {
        self.slack.as_ref().context("nobody is in Slack here")
    }

    fn guild(&self) -> anyhow::Result<&Guild> {
        self.discord.as_ref().context("nobody is in Discord here")
    }

    /// Types a command where this person is. What it is answered: see [`Rooms::is_told`].
    ///
    /// # Errors
    /// The platform showed a failure.
    pub async fn types(&self, person: &'static str, line: &str) -> anyhow::Result<()> {
        match self.place_of(person) {
            Place::Slack => {
                let (command, text) = line.split_once(' ').unwrap_or((line, ""));
                let seen = self
                    .slack()?
                    .slash(&slack_user(person), OPS, command, text)
                    .await;
                ensure!(
                    !matches!(
                        seen,
                        rollbot_fakes::slack::Seen::Failure(_)
                            | rollbot_fakes::slack::Seen::Refused(_)
                    ),
                    "{line}: {seen:?}\n{}",
                    self.serve.said()
                );
            }
            Place::Discord => {
                let guild = self.guild()?;
                let (name, options) = discord_command(line)?;
                let id = guild
                    .fake
                    .command(guild.user(person)?, guild.operations, &name, &options);
                guild.began(person, id);
                let outcome = guild.fake.answered(id).await?;
                ensure!(
                    matches!(outcome, rollbot_fakes::discord::Outcome::Answered { .. }),
                    "{line}: {outcome:?}\n{}",
                    self.serve.said()
                );
            }
            _ => {
                self.visitor(person)?.types("ops", line).await?;
            }
        }
        Ok(())
    }

    /// Waits until this person was told something that holds all of these, seen by nobody else.
    ///
    /// # Errors
    /// It did not come; with what did.
    pub async fn is_told(&self, person: &'static str, parts: &[&str]) -> anyhow::Result<String> {
        let what = format!("{person} to be told {parts:?}");
        let found = eventually(&what, PATIENCE, || async {
            let texts = self.told(person).await?;
            Ok(texts
                .into_iter()
                .rev()
                .find(|text| parts.iter().all(|part| text.contains(part))))
        })
        .await;
        match found {
            Ok(text) => Ok(text),
            Err(error) => bail!(
                "{error:#}; told:\n{}\n{}",
                self.told(person).await.unwrap_or_default().join("\n---\n"),
                self.serve.said()
            ),
        }
    }

    async fn told(&self, person: &'static str) -> anyhow::Result<Vec<String>> {
        Ok(match self.place_of(person) {
            Place::Slack => self.slack()?.with(|slack| {
                slack
                    .whispered_to(&slack_user(person))
                    .iter()
                    .map(|one| plain(&format!("{}\n{}", one.text, texts(&json!(one.blocks)))))
                    .collect()
            }),
            Place::Discord => {
                let guild = self.guild()?;
                let user = guild.user(person)?;
                let mut all: Vec<String> = guild
                    .fake
                    .direct_messages(user)
                    .iter()
                    .map(discord_text)
                    .collect();
                for id in guild.begun_by(person) {
                    all.extend(
                        guild
                            .fake
                            .answers(id)
                            .iter()
                            .filter(|seen| seen.only_for == Some(user))
                            .map(discord_text),
                    );
                }
                all
            }
            _ => self
                .visitor(person)?
                .sees()
                .await?
                .into_iter()
                .filter(|message| message.private)
                .map(|message| message.text)
                .collect(),
        })
    }

    /// All that everybody sees in the rooms where this person is, oldest first.
    ///
    /// # Errors
    /// The console does not answer.
    pub async fn sees(&self, person: &'static str) -> anyhow::Result<Vec<Shown>> {
        Ok(match self.place_of(person) {
            Place::Slack => self.slack()?.with(|slack| {
                [OPS, ANNOUNCEMENTS]
                    .iter()
                    .flat_map(|channel| slack.by_bot(channel))
                    .map(|message| slack_message(&message))
                    .collect()
            }),
            Place::Discord => {
                let guild = self.guild()?;
                [guild.operations, guild.announcements]
                    .iter()
                    .flat_map(|channel| guild.fake.messages(*channel))
                    .filter(|seen| seen.only_for.is_none())
                    .map(|seen| discord_message(&seen))
                    .collect()
            }
            _ => self
                .visitor(person)?
                .sees()
                .await?
                .into_iter()
                .filter(|message| !message.private && message.author.is_none())
                .map(|message| Shown {
                    place: Place::Console,
                    channel: message.channel,
                    id: message.id.to_string(),
                    text: message.text,
                    buttons: message.buttons.into_iter().map(|one| one.key).collect(),
                })
                .collect(),
        })
    }

    /// Waits for a message that holds all of these where this person is; the newest.
    ///
    /// # Errors
    /// None came; with what did.
    pub async fn awaits(&self, person: &'static str, parts: &[&str]) -> anyhow::Result<Shown> {
        self.awaits_where(person, parts, |_| true).await
    }

    async fn awaits_where(
        &self,
        person: &'static str,
        parts: &[&str],
        fits: impl Fn(&Shown) -> bool,
    ) -> anyhow::Result<Shown> {
        let what = format!("{person} to see {parts:?}");
        let found = eventually(&what, PATIENCE, || async {
            let messages = self.sees(person).await?;
            Ok(messages.into_iter().rev().find(|message| {
                fits(message) && parts.iter().all(|part| message.text.contains(part))
            }))
        })
        .await;
        match found {
            Ok(message) => Ok(message),
            Err(error) => {
                let seen: Vec<_> = self
                    .sees(person)
                    .await
                    .unwrap_or_default()
                    .into_iter()
                    .map(|message| message.text)
                    .collect();
                bail!(
                    "{error:#}; seen:\n{}\n{}",
                    seen.join("\n---\n"),
                    self.serve.said()
                )
            }
        }
    }

    /// Puts a reaction on the request for votes on this operation, or takes it off.
    ///
    /// # Errors
    /// There is no such request, or the platform refuses.
    pub async fn reacts(
        &self,
        person: &'static str,
        operation: &str,
        emoji: &str,
        on: bool,
    ) -> anyhow::Result<()> {
        let message = self.awaits(person, &[operation, "of 2 approvals"]).await?;
        match message.place {
            Place::Slack => {
                let (slack, user) = (self.slack()?, slack_user(person));
                let done = match on {
                    true => slack.react(&user, &message.channel, &message.id, emoji),
                    false => slack.unreact(&user, &message.channel, &message.id, emoji),
                };
                done.map_err(|error| anyhow::anyhow!("{person} {emoji} {on}: {error}"))?;
            }
            Place::Discord => {
                let guild = self.guild()?;
                let sign = match emoji {
                    "white_check_mark" => "✅",
                    "x" => "❌",
                    other => other,
                };
                let (channel, id) = (message.channel.parse()?, message.id.parse()?);
                let user = guild.user(person)?;
                let done = match on {
                    true => guild.fake.react(user, channel, id, sign),
                    false => guild.fake.unreact(user, channel, id, sign),
                };
                ensure!(done, "{person} {emoji} {on}: nothing changed");
            }
            _ => {
                self.visitor(person)?
                    .reacts(message.id.parse()?, emoji, on)
                    .await?;
            }
        }
        Ok(())
    }

    /// Presses the button with this key under the newest message that has it and holds all of these.
    ///
    /// # Errors
    /// There is none, or the platform refuses.
    pub async fn presses(
        &self,
        person: &'static str,
        parts: &[&str],
        key: &str,
    ) -> anyhow::Result<()> {
        let has = |message: &Shown| message.buttons.iter().any(|known| known == key);
        let message = self.awaits_where(person, parts, has).await?;
        match message.place {
            Place::Slack => {
                let slack = self.slack()?;
                let user = slack_user(person);
                let action = slack.with(|slack| {
                    let message = slack.message(&message.channel, &message.id)?;
                    slack_actions(&message.blocks)
                        .into_iter()
                        .find(|(_, known)| known == key)
                });
                let (action_id, _) = action.context("the button went away")?;
                let press = Press {
                    user: &user,
                    channel: &message.channel,
                    ts: &message.id,
                    action_id: &action_id,
                };
                let seen = slack.press(press).await;
                ensure!(
                    !matches!(seen, rollbot_fakes::slack::Seen::Failure(_)),
                    "{key}: {seen:?}"
                );
            }
            Place::Discord => {
                let guild = self.guild()?;
                let (channel, id) = (message.channel.parse()?, message.id.parse()?);
                let shown = guild.fake.message(channel, id).context("it went away")?;
                let label = discord_buttons(&shown.components)
                    .into_iter()
                    .find(|(known, _)| known == key)
                    .map(|(_, label)| label)
                    .context("the button went away")?;
                let pressed = guild.fake.press(guild.user(person)?, channel, id, &label)?;
                guild.began(person, pressed);
                guild.fake.answered(pressed).await?;
            }
            _ => {
                self.visitor(person)?
                    .presses(message.id.parse()?, key)
                    .await?;
            }
        }
        Ok(())
    }

    /// That nothing in any room did what nobody meant: no ping, no link, no request outside the
    /// platforms' rules, nothing left unanswered.
    ///
    /// # Errors
    /// What did.
    pub async fn in_order(&self) -> anyhow::Result<()> {
        if let Some(slack) = &self.slack {
            slack.quiet(Duration::from_secs(10)).await?;
            let (failures, refused) = slack.with(|slack| {
                let refused: Vec<_> = slack
                    .calls
                    .iter()
                    .filter(|call| {
                        !["ok", "already_reacted", "ratelimited"].contains(&call.answered.as_str())
                    })
                    .map(|call| format!("{}: {}", call.method, call.answered))
                    .collect();
                (slack.seen_failures.clone(), refused)
            });
            ensure!(failures.is_empty(), "people in Slack saw {failures:?}");
            ensure!(refused.is_empty(), "Slack refused {refused:?}");
        }
        if let Some(guild) = &self.discord {
            let violations = guild.fake.violations();
            ensure!(
                violations.is_empty(),
                "not as Discord describes it: {violations:?}"
            );
            let invalid = guild.fake.invalid_requests();
            ensure!(invalid == 0, "{invalid} requests to Discord were invalid");
            for channel in [guild.operations, guild.announcements] {
                for message in guild.fake.messages(channel) {
                    ensure!(message.pings.is_empty(), "pinged {:?}", message.pings);
                }
            }
        }
        Ok(())
    }
}

async fn workspace() -> anyhow::Result<FakeSlack> {
    let slack = FakeSlack::start(Settings::default()).await?;
    slack.with(|slack| {
        slack.add_channel(ANNOUNCEMENTS, "announcements");
        slack.add_user("U0DAN", "dan", "Dan Duarte");
    });
    Ok(slack)
}

fn slack_user(person: &str) -> String {
    format!("U0{}", person.to_uppercase())
}

impl Guild {
    async fn found() -> anyhow::Result<Self> {
        let fake = FakeDiscord::start(Options::default()).await?;
        let operations = fake.add_channel("operations");
        let announcements = fake.add_channel("announcements");
        let users = PEOPLE
            .iter()
            .map(|person| (*person, fake.add_user(person)))
            .collect();
        Ok(Self {
            fake,
            operations,
            announcements,
            users,
            interactions: Mutex::default(),
        })
    }

    fn user(&self, person: &str) -> anyhow::Result<u64> {
        self.users
            .get(person)
            .copied()
            .with_context(|| format!("nobody is called {person}"))
    }

    fn began(&self, person: &'static str, interaction: u64) {
        if let Ok(mut all) = self.interactions.lock() {
            all.push((person, interaction));
        }
    }

    fn begun_by(&self, person: &str) -> Vec<u64> {
        self.interactions
            .lock()
            .map(|all| {
                all.iter()
                    .filter(|(who, _)| *who == person)
                    .map(|(_, id)| *id)
                    .collect()
            })
            .unwrap_or_default()
    }
}

/// All strings under a key `text` or in a text object, in order.
fn texts(value: &Value) -> String {
    match value {
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
        Value::Array(all) => all.iter().map(|one| texts(one) + " ").collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| match (key.as_str(), value) {
                ("text", Value::String(text)) => format!("{text} "),
                (_, other) => texts(other),
            })
            .collect(),
    }
}

/// Without the marks of any markup, and with blanks evened out.
fn plain(text: &str) -> String {
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let text: String = text
        .chars()
        .filter(|c| !"*`\\\u{200b}\u{2060}".contains(*c))
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn slack_actions(blocks: &[Value]) -> Vec<(String, String)> {
    blocks
        .iter()
        .filter_map(|block| block.get("elements")?.as_array())
        .flatten()
        .filter_map(|element| {
            let id = element.get("action_id")?.as_str()?;
            let key = id.rsplit([':', '/']).next().unwrap_or(id);
            Some((id.to_owned(), key.to_owned()))
        })
        .collect()
}

fn slack_message(message: &rollbot_fakes::slack::Message) -> Shown {
    Shown {
        place: Place::Slack,
        channel: message.channel.clone(),
        id: message.ts.clone(),
        text: plain(&message.shown()),
        buttons: slack_actions(&message.blocks)
            .into_iter()
            .map(|(_, key)| key)
            .collect(),
    }
}

fn discord_text(seen: &rollbot_fakes::discord::Seen) -> String {
    let mut text = seen.content.clone();
    for embed in &seen.embeds {
        let fields = embed
            .get("fields")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .flat_map(|field| [field.get("name"), field.get("value")]);
        let parts = [embed.get("title"), embed.get("description")];
        let footer = embed.pointer("/footer/text");
        for part in parts.into_iter().chain(fields).chain([footer]) {
            text.push(' ');
            text.push_str(part.and_then(Value::as_str).unwrap_or_default());
        }
    }
    for (_, content) in &seen.files {
        text.push(' ');
        text.push_str(content);
    }
    plain(&text)
}

fn discord_buttons(rows: &[Value]) -> Vec<(String, String)> {
    rows.iter()
        .filter_map(|row| row.get("components")?.as_array())
        .flatten()
        .filter_map(|button| {
            let id = button.get("custom_id")?.as_str()?;
            let key = id.rsplit([':', '/']).next().unwrap_or(id);
            Some((key.to_owned(), button.get("label")?.as_str()?.to_owned()))
        })
        .collect()
}

fn discord_message(seen: &rollbot_fakes::discord::Seen) -> Shown {
    Shown {
        place: Place::Discord,
        channel: seen.channel.to_string(),
        id: seen.id.to_string(),
        text: discord_text(seen),
        buttons: discord_buttons(&seen.components)
            .into_iter()
            .map(|(key, _)| key)
            .collect(),
    }
}

/// The command that Discord's client sends for what somebody would type elsewhere.
fn discord_command(line: &str) -> anyhow::Result<(String, Value)> {
    const SUBCOMMAND: u8 = 1;
    const STRING: u8 = 3;
    const BOOLEAN: u8 = 5;
    let line = line.strip_prefix('/').context("a command begins with /")?;
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (rest, dry_run) = match rest.strip_suffix("--dry-run") {
        Some(rest) => (rest.trim_end(), true),
        None => (rest, false),
    };
    let (words, reason) = match rest.split_once("reason:") {
        Some((words, reason)) => (words.trim_end(), Some(reason.trim())),
        None => (rest, None),
    };
    let mut words = words.split_whitespace();
    let text = |name: &str, value: &str| json!({"name": name, "type": STRING, "value": value});
    let mut options = Vec::new();
    if name == "rollback" {
        options.extend(words.next().map(|service| text("service", service)));
        options.extend(reason.map(|reason| text("reason", reason)));
        if dry_run {
            options.push(json!({"name": "dry_run", "type": BOOLEAN, "value": true}));
        }
        return Ok((name.to_owned(), Value::Array(options)));
    }
    let sub = words.next().context("a subcommand")?;
    let argument = match sub {
        "status" | "cancel" => "operation",
        "help" => "topic",
        _ => "service",
    };
    options.extend(words.next().map(|value| text(argument, value)));
    options.extend(reason.map(|reason| text("reason", reason)));
    Ok((
        name.to_owned(),
        json!([{"name": sub, "type": SUBCOMMAND, "options": options}]),
    ))
}
