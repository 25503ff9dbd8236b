//! The application's commands: what they look like on Discord, and the line that each one is.

use std::time::Duration;

use rollbot_chat::{Dispatch, Place, Suggestion};
use rollbot_command::{Reason, Topic};
use serde_json::{Value, json};
use serenity::http::{LightMethod, Route};
use serenity::model::id::{ApplicationId, GuildId};

use crate::Discord;
use crate::rest::{Ask, Failed};
use crate::wire::{Data, Given};

/// As many choices Discord shows; more are completed as somebody types.
pub(crate) const CHOICES: usize = 25;
const LONGEST: usize = 100;

/// Kinds of options.
const SUBCOMMAND: u8 = 1;
const STRING: u8 = 3;
const BOOLEAN: u8 = 5;

/// Registers the commands where they are not as they should be, and tries again until that is done.
pub(crate) async fn keep_registered(discord: &Discord, dispatch: &dyn Dispatch) {
    let mut pause = discord.config.deadlines.first_pause;
    loop {
        match register(discord, dispatch).await {
            Ok(true) => return tracing::info!("the commands were registered with Discord"),
            Ok(false) => return tracing::debug!("the commands are registered already"),
            Err(Failed::Unauthorised) => return,
            Err(Failed::Refused {
                status,
                code,
                message,
            }) if status < 500 => {
                return tracing::error!(
                    status,
                    code,
                    message,
                    "Discord refuses the commands: was the bot invited with the scope applications.commands, and are application_id and guild right?"
                );
            }
            Err(Failed::Limited { after }) => tokio::time::sleep(after).await,
            Err(error) => {
                tracing::warn!(?error, "the commands cannot be registered; trying again");
                tokio::time::sleep(pause).await;
            }
        }
        pause = (pause * 2).min(discord.config.deadlines.longest_pause);
    }
}

/// Whether they had to be.
async fn register(discord: &Discord, dispatch: &dyn Dispatch) -> Result<bool, Failed> {
    // Nothing depends on the list: without it services are completed as somebody types.
    let listing = dispatch.suggest(Place::Service, "", CHOICES + 1);
    let services = tokio::time::timeout(Duration::from_secs(2), listing)
        .await
        .unwrap_or_default();
    let mut wanted = wanted(&services);
    if discord.config.guild.is_none() {
        in_guilds_only(&mut wanted);
    }
    let application_id = ApplicationId::new(discord.config.application_id);
    let route = || match discord.config.guild {
        Some(guild) => Route::GuildCommands {
            application_id,
            guild_id: GuildId::new(guild),
        },
        None => Route::Commands { application_id },
    };
    let there = discord.rest.send(Ask::get(route())).await?;
    if essence_of_all(&there) == essence_of_all(&wanted) {
        return Ok(false);
    }
    let put = Ask::new(LightMethod::Put, route()).body(wanted);
    discord.rest.send(put).await?;
    Ok(true)
}

fn service(services: &[Suggestion], about: &str, required: bool) -> Value {
    let mut option = json!({
        "type": STRING, "name": "service", "description": about, "required": required,
    });
    if services.is_empty() || services.len() > CHOICES {
        option["autocomplete"] = true.into();
    } else {
        option["choices"] = choices(services);
    }
    option
}

/// Suggestions as Discord wants them.
pub(crate) fn choices(suggestions: &[Suggestion]) -> Value {
    suggestions
        .iter()
        .filter(|one| !one.value.is_empty() && one.value.chars().count() <= LONGEST)
        .take(CHOICES)
        .map(|one| {
            let label = if one.label.is_empty() {
                &one.value
            } else {
                &one.label
            };
            let name: String = match label.chars().count() > LONGEST {
                true => label.chars().take(LONGEST - 1).chain(['…']).collect(),
                false => label.clone(),
            };
            json!({"name": name, "value": one.value})
        })
        .collect()
}

fn wanted(services: &[Suggestion]) -> Value {
    let text = |name: &str, about: &str| json!({"type": STRING, "name": name, "description": about, "required": false});
    let operation = |required: bool| {
        json!({
            "type": STRING, "name": "operation", "description": "RB-17",
            "required": required, "autocomplete": true,
        })
    };
    let reason = || text("reason", "Why, for the record");
    let sub = |topic: Topic, options: Vec<Value>| json!({"type": SUBCOMMAND, "name": topic.as_str(), "description": topic.about(), "options": options});
    let topics: Vec<Suggestion> = Topic::ALL
        .iter()
        .map(|topic| Suggestion {
            value: topic.as_str().to_owned(),
            label: format!("{}: {}", topic.as_str(), topic.about()),
        })
        .collect();
    let mut topic = text("topic", "The command to explain");
    topic["choices"] = choices(&topics);
    // Locks change: those that are there now are offered as somebody types.
    let locked = service(&[], "The service whose lock is released", true);
    let subcommands = vec![
        sub(Topic::Status, vec![operation(false)]),
        sub(
            Topic::Plan,
            vec![service(services, "The service to plan for", true)],
        ),
        sub(Topic::Cancel, vec![operation(true), reason()]),
        sub(
            Topic::History,
            vec![service(services, "Only this service", false)],
        ),
        sub(Topic::Locks, Vec::new()),
        sub(Topic::Unlock, vec![locked, reason()]),
        sub(Topic::Help, vec![topic]),
    ];
    let dry_run = json!({
        "type": BOOLEAN, "name": "dry_run", "required": false,
        "description": "Show the plan and do nothing else",
    });
    json!([
        {
            "type": 1, "name": "rollback", "description": Topic::Rollback.about(),
            "options": [service(services, "What to roll back", true), reason(), dry_run],
        },
        {
            "type": 1, "name": "rollbot",
            "description": "Status, plans, history and locks of rollbacks",
            "options": subcommands,
        },
    ])
}

/// Global commands are offered in direct messages as well, where nobody else sees what is done.
/// Those of a guild have no such choice.
fn in_guilds_only(commands: &mut Value) {
    for command in commands.as_array_mut().into_iter().flatten() {
        command["contexts"] = json!([0]);
        command["integration_types"] = json!([0]);
    }
}

/// What counts when two definitions are compared: Discord fills in some fields and leaves out
/// others.
fn essence_of_all(commands: &Value) -> Vec<Value> {
    let mut all: Vec<Value> = commands
        .as_array()
        .map(|all| all.iter().map(essence).collect())
        .unwrap_or_default();
    all.sort_by_key(|command| command["name"].as_str().unwrap_or_default().to_owned());
    all
}

fn essence(part: &Value) -> Value {
    let options = |name: &str| -> Vec<Value> {
        part[name]
            .as_array()
            .map(|all| all.iter().map(essence).collect())
            .unwrap_or_default()
    };
    json!({
        "type": part["type"], "name": part["name"], "description": part["description"],
        "value": part["value"], "contexts": part["contexts"],
        "required": part["required"] == true, "autocomplete": part["autocomplete"] == true,
        "choices": options("choices"), "options": options("options"),
    })
}

/// The line that somebody would have typed in place of filling the options in.
pub(crate) fn line(data: &Data) -> String {
    let mut line = format!("/{}", data.name);
    add(&mut line, &data.options);
    line
}

fn add(line: &mut String, given: &[Given]) {
    // Discord keeps the order in which they were filled in; the grammar has its own.
    for one in given
        .iter()
        .filter(|one| !one.options.is_empty() || one.value.is_null())
    {
        line.push(' ');
        line.push_str(&one.name);
        add(line, &one.options);
    }
    let value = |name: &str| {
        given
            .iter()
            .find(|one| one.name == name)
            .and_then(|one| one.value.as_str())
    };
    for name in ["service", "operation", "topic"] {
        if let Some(value) = value(name) {
            line.push(' ');
            line.push_str(value.trim());
        }
    }
    if let Some(reason) = value("reason") {
        line.push_str(" reason: ");
        match Reason::new(reason) {
            // Quoted where it would be read as something else.
            Ok(reason) => line.push_str(&reason.to_string()),
            // What is wrong with it is marked by whoever reads the line.
            Err(_) => line.push_str(reason),
        }
    }
    if given
        .iter()
        .any(|one| one.name == "dry_run" && one.value == true)
    {
        line.push_str(" --dry-run");
    }
}

/// The option that somebody is filling in: what may stand there, and what they have typed.
pub(crate) fn focused(data: &Data) -> Option<(Place, &str)> {
    let (sub, given) = match data.options.first() {
        Some(first) if !first.options.is_empty() => (first.name.as_str(), &first.options),
        _ => ("", &data.options),
    };
    let focused = given.iter().find(|one| one.focused)?;
    let typed = focused.value.as_str().unwrap_or_default();
    match focused.name.as_str() {
        "service" if sub == Topic::Unlock.as_str() => Some((Place::LockedService, typed)),
        "service" => Some((Place::Service, typed)),
        "operation" => Some((Place::Operation, typed)),
        _ => None,
    }
}
