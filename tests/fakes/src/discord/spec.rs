//! Bodies against Discord's public description of its API (see `tests/fakes/spec/`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

const DESCRIPTION: &str = include_str!("../../spec/discord-openapi.json");

/// The validator of a body, by method and path template.
static VALIDATORS: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
    let mut description: Value = serde_json::from_str(DESCRIPTION).unwrap_or_default();
    // Discord's documentation says that ids are taken as numbers as well.
    description["components"]["schemas"]["SnowflakeType"]["type"] = json!(["string", "integer"]);
    let mut validators = BTreeMap::new();
    let Some(paths) = description["paths"].as_object() else {
        return validators;
    };
    for (path, methods) in paths {
        for (method, schema) in methods.as_object().into_iter().flatten() {
            let mut whole = json!({"components": description["components"]});
            if let (Value::Object(whole), Some(schema)) = (&mut whole, schema.as_object()) {
                whole.extend(schema.clone());
            }
            if let Ok(validator) = jsonschema::draft202012::new(&whole) {
                validators.insert(format!("{} {path}", method.to_uppercase()), validator);
            }
        }
    }
    validators
});

/// How many bodies can be checked; for a test that the description was understood.
pub fn described() -> usize {
    VALIDATORS.len()
}

/// `/channels/{}/messages/{}`
fn template(segments: &[&str]) -> String {
    let mut template = String::new();
    let first = segments.first().copied().unwrap_or("");
    for (index, segment) in segments.iter().enumerate() {
        let id = segment.bytes().all(|b| b.is_ascii_digit());
        let token = index == 2 && matches!(first, "webhooks" | "interactions");
        template.push('/');
        template.push_str(if id || token { "{}" } else { segment });
    }
    template
}

/// What in a body is not as described; nothing where the path takes no body.
pub(super) fn violations(method: &str, segments: &[&str], body: &Value) -> Vec<String> {
    let key = format!("{method} {}", template(segments));
    let Some(validator) = VALIDATORS.get(&key) else {
        return Vec::new();
    };
    validator
        .iter_errors(body)
        .take(5)
        .map(|error| format!("at `{}`: {error}", error.instance_path()))
        .collect()
}
