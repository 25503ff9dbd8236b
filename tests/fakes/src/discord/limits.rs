//! What Discord refuses in a body, with its codes and the tree that says where.

use serde_json::{Value, json};

use super::answers::Refusal;

/// Collects what is wrong, each under its path.
#[derive(Debug, Default)]
pub(super) struct Wrong(Vec<(Vec<String>, &'static str, String)>);

impl Wrong {
    pub fn add(&mut self, path: &[&str], code: &'static str, message: impl Into<String>) {
        let path = path.iter().map(|&part| part.to_owned()).collect();
        self.0.push((path, code, message.into()));
    }

    fn length(&mut self, path: &[&str], value: Option<&Value>, least: usize, most: usize) -> usize {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            if least > 0 {
                self.add(path, "BASE_TYPE_REQUIRED", "This field is required");
            }
            return 0;
        };
        let Some(text) = value.as_str() else {
            self.add(
                path,
                "STRING_TYPE_CONVERT",
                "Could not interpret as string.",
            );
            return 0;
        };
        let length = text.chars().count();
        if length > most {
            let message = format!("Must be {most} or fewer in length.");
            self.add(path, "BASE_TYPE_MAX_LENGTH", message);
        } else if length < least {
            self.add(path, "BASE_TYPE_REQUIRED", "This field is required");
        }
        length
    }

    /// The refusal with the whole tree, if anything is wrong.
    pub fn end(self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut tree = json!({});
        for (path, code, message) in self.0 {
            let mut at = &mut tree;
            for part in &path {
                at = &mut at[part.as_str()];
            }
            let all = &mut at["_errors"];
            if all.is_null() {
                *all = json!([]);
            }
            if let Value::Array(all) = all {
                all.push(json!({"code": code, "message": message}));
            }
        }
        Err(Refusal {
            status: 400,
            code: 50035,
            message: "Invalid Form Body".to_owned(),
            errors: Some(tree),
        })
    }
}

fn list<'v>(body: &'v Value, name: &str) -> &'v [Value] {
    body.get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A message, as it is created or edited.
pub(super) fn message(body: &Value) -> Result<(), Refusal> {
    let mut wrong = Wrong::default();
    wrong.length(&["content"], body.get("content"), 0, 2000);
    wrong.length(
        &["nonce"],
        body.get("nonce").filter(|n| n.is_string()),
        0,
        25,
    );
    let embeds = list(body, "embeds");
    if embeds.len() > 10 {
        wrong.add(
            &["embeds"],
            "BASE_TYPE_BAD_LENGTH",
            "Must be 10 or fewer in length.",
        );
    }
    let mut total = 0;
    for (index, embed) in embeds.iter().enumerate() {
        total += embed_length(&mut wrong, &index.to_string(), embed);
    }
    if total > 6000 {
        let message = "Embed size exceeds maximum size of 6000";
        wrong.add(&["embeds"], "MAX_EMBED_SIZE_EXCEEDED", message);
    }
    components(&mut wrong, list(body, "components"));
    wrong.end()
}

fn embed_length(wrong: &mut Wrong, index: &str, embed: &Value) -> usize {
    let at = |rest: &'static str| ["embeds", index, rest];
    let mut total = wrong.length(&at("title"), embed.get("title"), 0, 256);
    total += wrong.length(&at("description"), embed.get("description"), 0, 4096);
    let footer = embed.get("footer").and_then(|footer| footer.get("text"));
    total += wrong.length(&["embeds", index, "footer", "text"], footer, 0, 2048);
    let author = embed.get("author").and_then(|author| author.get("name"));
    total += wrong.length(&["embeds", index, "author", "name"], author, 0, 256);
    let fields = list(embed, "fields");
    if fields.len() > 25 {
        wrong.add(
            &at("fields"),
            "BASE_TYPE_BAD_LENGTH",
            "Must be 25 or fewer in length.",
        );
    }
    for (number, field) in fields.iter().enumerate() {
        let number = number.to_string();
        let path = ["embeds", index, "fields", number.as_str(), "name"];
        total += wrong.length(&path, field.get("name"), 1, 256);
        let path = ["embeds", index, "fields", number.as_str(), "value"];
        total += wrong.length(&path, field.get("value"), 1, 1024);
    }
    total
}

fn components(wrong: &mut Wrong, rows: &[Value]) {
    if rows.len() > 5 {
        wrong.add(
            &["components"],
            "BASE_TYPE_BAD_LENGTH",
            "Must be between 1 and 5 in length.",
        );
    }
    let mut ids = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let index = index.to_string();
        let buttons = list(row, "components");
        if row.get("type") != Some(&json!(1)) || buttons.is_empty() || buttons.len() > 5 {
            let path = ["components", index.as_str(), "components"];
            wrong.add(
                &path,
                "BASE_TYPE_BAD_LENGTH",
                "Must be between 1 and 5 in length.",
            );
        }
        for (number, button) in buttons.iter().enumerate() {
            let number = number.to_string();
            let at = |rest: &'static str| {
                ["components", &index, "components", &number, rest].map(str::to_owned)
            };
            let path = at("label");
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if button.get("type") == Some(&json!(2)) {
                wrong.length(&path, button.get("label"), 0, 80);
            }
            let path = at("custom_id");
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            wrong.length(&path, button.get("custom_id"), 1, 100);
            if ids.contains(&button.get("custom_id")) {
                let message = "Component custom id cannot be duplicated";
                wrong.add(&path, "COMPONENT_CUSTOM_ID_DUPLICATED", message);
            }
            ids.push(button.get("custom_id"));
        }
    }
}

/// An application command.
pub(super) fn command(wrong: &mut Wrong, path: &[&str], command: &Value) {
    let kind = command.get("type").and_then(Value::as_u64).unwrap_or(1);
    name(wrong, path, command, kind == 1);
    let at = joined(path, "description");
    let at: Vec<&str> = at.iter().map(String::as_str).collect();
    if kind == 1 {
        wrong.length(&at, command.get("description"), 1, 100);
    }
    options(wrong, path, list(command, "options"));
}

fn joined(path: &[&str], last: &str) -> Vec<String> {
    path.iter()
        .copied()
        .chain([last])
        .map(str::to_owned)
        .collect()
}

fn name(wrong: &mut Wrong, path: &[&str], named: &Value, strict: bool) {
    let at = joined(path, "name");
    let at: Vec<&str> = at.iter().map(String::as_str).collect();
    let text = named.get("name").and_then(Value::as_str).unwrap_or("");
    wrong.length(&at, named.get("name"), 1, 32);
    let fits = |c: char| c.is_alphanumeric() && !c.is_uppercase() || matches!(c, '-' | '_' | '\'');
    if strict && !text.chars().all(fits) {
        let message = "Command name is invalid";
        wrong.add(&at, "APPLICATION_COMMAND_INVALID_NAME", message);
    }
}

fn options(wrong: &mut Wrong, path: &[&str], options: &[Value]) {
    let at = joined(path, "options");
    let at: Vec<&str> = at.iter().map(String::as_str).collect();
    if options.len() > 25 {
        wrong.add(
            &at,
            "BASE_TYPE_BAD_LENGTH",
            "Must be 25 or fewer in length.",
        );
    }
    let is_sub = |option: &Value| matches!(option.get("type").and_then(Value::as_u64), Some(1 | 2));
    if options.iter().any(is_sub) && !options.iter().all(is_sub) {
        let message = "Sub-command and sub-command group option types are mutually exclusive to all other types";
        wrong.add(&at, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", message);
    }
    let mut optional_seen = false;
    let mut names: Vec<&Value> = Vec::new();
    for (index, option) in options.iter().enumerate() {
        let place = joined(&at, &index.to_string());
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        name(wrong, &place, option, true);
        let description = joined(&place, "description");
        let description: Vec<&str> = description.iter().map(String::as_str).collect();
        wrong.length(&description, option.get("description"), 1, 100);
        if let Some(name) = option.get("name") {
            if names.contains(&name) {
                wrong.add(
                    &place,
                    "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS",
                    "Option name already exists",
                );
            }
            names.push(name);
        }
        let required = option.get("required") == Some(&json!(true));
        if required && optional_seen {
            let message = "Required options must be placed before non-required options";
            wrong.add(
                &place,
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                message,
            );
        }
        optional_seen |= !required && !is_sub(option);
        let choices = list(option, "choices");
        if choices.len() > 25 {
            let path = joined(&place, "choices");
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            wrong.add(
                &path,
                "BASE_TYPE_BAD_LENGTH",
                "Must be 25 or fewer in length.",
            );
        }
        choice_lengths(wrong, &place, choices);
        if !choices.is_empty() && option.get("autocomplete") == Some(&json!(true)) {
            let message = "Choices and autocomplete are mutually exclusive";
            wrong.add(
                &place,
                "APPLICATION_COMMAND_OPTION_CHOICES_AUTOCOMPLETE",
                message,
            );
        }
        self::options(wrong, &place, list(option, "options"));
    }
}

/// Choices, of an option or of an autocomplete answer.
pub(super) fn choice_lengths(wrong: &mut Wrong, place: &[&str], choices: &[Value]) {
    for (number, choice) in choices.iter().enumerate() {
        let number = number.to_string();
        for part in ["name", "value"] {
            let mut path = place.to_vec();
            path.extend(["choices", number.as_str(), part]);
            wrong.length(&path, choice.get(part).filter(|v| v.is_string()), 1, 100);
        }
    }
}

/// The choices of an autocomplete answer.
pub(super) fn autocomplete(data: &Value) -> Result<(), Refusal> {
    let mut wrong = Wrong::default();
    let choices = list(data, "choices");
    if choices.len() > 25 {
        wrong.add(
            &["data", "choices"],
            "BASE_TYPE_BAD_LENGTH",
            "Must be 25 or fewer in length.",
        );
    }
    choice_lengths(&mut wrong, &["data"], choices);
    wrong.end()
}
