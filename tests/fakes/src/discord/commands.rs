//! Application commands: global ones and those of the guild.

use serde_json::{Value, json};

use super::answers::{Answered, Refusal, Reply};
use super::limits::{self, Wrong};
use super::rest::Call;
use super::world::World;

pub(super) fn route(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Answered {
    let (in_guild, rest) = match rest {
        ["commands", rest @ ..] => (false, rest),
        ["guilds", guild, "commands", rest @ ..] => {
            if guild.parse() != Ok(world.guild) {
                return Err(Refusal::missing_access());
            }
            (true, rest)
        }
        _ => return Err(Refusal::no_route()),
    };
    match (call.method, rest) {
        ("GET", []) => {
            let all = if in_guild {
                &world.guild_commands
            } else {
                &world.global_commands
            };
            Reply::ok(all.iter().cloned().collect())
        }
        ("PUT", []) => {
            let Some(wanted) = call.body.as_array() else {
                return Err(Refusal::new(400, 50035, "Invalid Form Body"));
            };
            let mut wrong = Wrong::default();
            for (index, command) in wanted.iter().enumerate() {
                limits::command(&mut wrong, &[&index.to_string()], command);
            }
            wrong.end()?;
            let made: Vec<Value> = wanted
                .iter()
                .map(|command| world.registered(command, in_guild))
                .collect();
            if in_guild {
                world.guild_commands.clone_from(&made);
            } else {
                world.global_commands.clone_from(&made);
            }
            Reply::ok(made.into_iter().collect())
        }
        ("POST", []) => {
            let mut wrong = Wrong::default();
            limits::command(&mut wrong, &[], &call.body);
            wrong.end()?;
            let made = world.registered(&call.body, in_guild);
            let all = if in_guild {
                &mut world.guild_commands
            } else {
                &mut world.global_commands
            };
            all.retain(|known| known["name"] != made["name"]);
            all.push(made.clone());
            Ok(Reply::Json(201, made))
        }
        _ => Err(Refusal::no_route()),
    }
}

impl World {
    /// A command as it comes back: the id of the one it replaces, what was left out filled in, and
    /// what is false or empty left out.
    fn registered(&mut self, command: &Value, in_guild: bool) -> Value {
        let known = if in_guild {
            &self.guild_commands
        } else {
            &self.global_commands
        };
        let known = known
            .iter()
            .find(|known| known["name"] == command["name"])
            .map(|known| known["id"].clone());
        let id = known.unwrap_or_else(|| self.new_id().to_string().into());
        let mut made = json!({
            "id": id,
            "application_id": self.application.to_string(),
            "version": self.new_id().to_string(),
            "type": command.get("type").cloned().unwrap_or_else(|| json!(1)),
            "name": command["name"],
            "name_localizations": null,
            "description": command.get("description").cloned().unwrap_or_else(|| json!("")),
            "description_localizations": null,
            "default_member_permissions": command["default_member_permissions"],
            "dm_permission": true,
            "contexts": command["contexts"],
            "integration_types": command.get("integration_types").cloned().unwrap_or_else(|| json!([0])),
            "nsfw": false,
        });
        if let Value::Object(fields) = &mut made {
            if in_guild {
                // Only global commands have them.
                fields.remove("contexts");
                fields.remove("integration_types");
                fields.insert("guild_id".to_owned(), self.guild.to_string().into());
            }
            let options = shown_options(&command["options"]);
            if options.as_array().is_some_and(|all| !all.is_empty()) {
                fields.insert("options".to_owned(), options);
            }
        }
        made
    }
}

fn shown_options(options: &Value) -> Value {
    let all = options.as_array().cloned().unwrap_or_default();
    all.into_iter()
        .map(|mut option| {
            if let Value::Object(fields) = &mut option {
                fields.retain(|name, value| {
                    !(value.is_null()
                        || (name == "required" && *value == json!(false))
                        || value.as_array().is_some_and(Vec::is_empty))
                });
                if let Some(inner) = fields.get("options").cloned() {
                    fields.insert("options".to_owned(), shown_options(&inner));
                }
            }
            option
        })
        .collect()
}
