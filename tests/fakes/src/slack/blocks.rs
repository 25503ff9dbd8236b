//! The limits of Block Kit, as Slack enforces them: what breaks one is `invalid_blocks`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::api::Refusal;

/// Where blocks are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    Message,
    View,
}

fn refuse(place: &str, problem: &str) -> Refusal {
    let said = format!("[ERROR] {problem} [json-pointer:{place}]");
    let mut more = Map::new();
    more.insert("errors".to_owned(), json!([said]));
    more.insert("response_metadata".to_owned(), json!({"messages": [said]}));
    Refusal {
        error: "invalid_blocks".to_owned(),
        more,
    }
}

struct Checker {
    surface: Surface,
    block_ids: BTreeSet<String>,
}

pub(crate) fn check(blocks: &[Value], surface: Surface) -> Result<(), Refusal> {
    let most = match surface {
        Surface::Message => 50,
        Surface::View => 100,
    };
    if blocks.len() > most {
        return Err(refuse(
            "/blocks",
            &format!("no more than {most} items allowed"),
        ));
    }
    let mut checker = Checker {
        surface,
        block_ids: BTreeSet::new(),
    };
    for (index, block) in blocks.iter().enumerate() {
        checker.block(block, &format!("/blocks/{index}"))?;
    }
    Ok(())
}

fn text_of<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A text object: of which types, and how long.
fn text(value: Option<&Value>, plain_only: bool, most: usize, place: &str) -> Result<(), Refusal> {
    let value = value.ok_or_else(|| refuse(place, "missing required field: text"))?;
    match text_of(value, "type") {
        "plain_text" => {}
        "mrkdwn" if !plain_only => {
            if value.get("emoji").is_some() {
                return Err(refuse(place, "`emoji` is only for plain_text"));
            }
        }
        other => return Err(refuse(place, &format!("unsupported type: {other}"))),
    }
    let length = text_of(value, "text").chars().count();
    if length == 0 {
        return Err(refuse(place, "must be more than 0 characters"));
    }
    if length > most {
        return Err(refuse(
            place,
            &format!("must be less than {} characters", most + 1),
        ));
    }
    Ok(())
}

impl Checker {
    fn block(&mut self, block: &Value, place: &str) -> Result<(), Refusal> {
        let id = text_of(block, "block_id");
        if id.chars().count() > 255 {
            return Err(refuse(place, "`block_id` has at most 255 characters"));
        }
        if !id.is_empty() && !self.block_ids.insert(id.to_owned()) {
            return Err(refuse(place, &format!("`block_id` {id} occurs twice")));
        }
        match text_of(block, "type") {
            "section" => section(block, place),
            "header" => text(block.get("text"), true, 150, place),
            "divider" => Ok(()),
            "context" => context(block, place),
            "actions" => actions(block, place),
            "rich_text" => rich_text(block, place),
            "image" => match text_of(block, "alt_text") {
                "" => Err(refuse(place, "missing required field: alt_text")),
                _ => Ok(()),
            },
            "input" if self.surface == Surface::View || self.surface == Surface::Message => {
                input(block, place)
            }
            other => Err(refuse(place, &format!("unsupported type: {other}"))),
        }
    }
}

fn section(block: &Value, place: &str) -> Result<(), Refusal> {
    let fields = list(block, "fields");
    if block.get("text").is_none() && fields.is_empty() {
        return Err(refuse(place, "a section needs text or fields"));
    }
    if block.get("text").is_some() {
        text(block.get("text"), false, 3_000, place)?;
    }
    if fields.len() > 10 {
        return Err(refuse(place, "no more than 10 fields allowed"));
    }
    for field in fields {
        text(Some(field), false, 2_000, place)?;
    }
    match block.get("accessory") {
        Some(accessory) => element(accessory, &mut BTreeSet::new(), place),
        None => Ok(()),
    }
}

fn context(block: &Value, place: &str) -> Result<(), Refusal> {
    let elements = list(block, "elements");
    if elements.is_empty() || elements.len() > 10 {
        return Err(refuse(place, "a context has 1 to 10 elements"));
    }
    for one in elements {
        if text_of(one, "type") != "image" {
            text(Some(one), false, 3_000, place)?;
        }
    }
    Ok(())
}

fn actions(block: &Value, place: &str) -> Result<(), Refusal> {
    let elements = list(block, "elements");
    if elements.is_empty() || elements.len() > 25 {
        return Err(refuse(place, "actions have 1 to 25 elements"));
    }
    let mut ids = BTreeSet::new();
    for one in elements {
        element(one, &mut ids, place)?;
    }
    Ok(())
}

fn input(block: &Value, place: &str) -> Result<(), Refusal> {
    text(block.get("label"), true, 2_000, place)?;
    if block.get("hint").is_some() {
        text(block.get("hint"), true, 2_000, place)?;
    }
    let inner = block
        .get("element")
        .ok_or_else(|| refuse(place, "missing required field: element"))?;
    element(inner, &mut BTreeSet::new(), place)
}

fn element(one: &Value, ids: &mut BTreeSet<String>, place: &str) -> Result<(), Refusal> {
    let id = text_of(one, "action_id");
    if id.chars().count() > 255 {
        return Err(refuse(place, "`action_id` has at most 255 characters"));
    }
    if !id.is_empty() && !ids.insert(id.to_owned()) {
        return Err(refuse(place, &format!("`action_id` {id} occurs twice")));
    }
    match text_of(one, "type") {
        "button" => {
            text(one.get("text"), true, 75, place)?;
            if text_of(one, "value").chars().count() > 2_000 {
                return Err(refuse(
                    place,
                    "a button's value has at most 2000 characters",
                ));
            }
            match text_of(one, "style") {
                "" | "primary" | "danger" => {}
                other => return Err(refuse(place, &format!("unsupported style: {other}"))),
            }
            match one.get("confirm") {
                Some(confirm) => confirmation(confirm, place),
                None => Ok(()),
            }
        }
        "static_select" | "radio_buttons" => {
            let options = list(one, "options");
            let most = if text_of(one, "type") == "radio_buttons" {
                10
            } else {
                100
            };
            if options.is_empty() || options.len() > most {
                return Err(refuse(place, &format!("1 to {most} options")));
            }
            let mut values = BTreeSet::new();
            for option in options {
                text(option.get("text"), false, 75, place)?;
                let value = text_of(option, "value");
                if value.is_empty() || value.chars().count() > 150 {
                    return Err(refuse(place, "an option's value has 1 to 150 characters"));
                }
                if !values.insert(value.to_owned()) {
                    return Err(refuse(place, "an option's value occurs twice"));
                }
                if option.get("description").is_some() {
                    text(option.get("description"), false, 75, place)?;
                }
            }
            let initial = one.get("initial_option");
            if initial.is_some_and(|initial| !options.contains(initial)) {
                return Err(refuse(place, "`initial_option` is none of the options"));
            }
            match one.get("placeholder") {
                Some(placeholder) => text(Some(placeholder), true, 150, place),
                None => Ok(()),
            }
        }
        "plain_text_input" => match one.get("placeholder") {
            Some(placeholder) => text(Some(placeholder), true, 150, place),
            None => Ok(()),
        },
        other => Err(refuse(place, &format!("unsupported element: {other}"))),
    }
}

fn confirmation(confirm: &Value, place: &str) -> Result<(), Refusal> {
    text(confirm.get("title"), true, 100, place)?;
    text(confirm.get("text"), false, 300, place)?;
    text(confirm.get("confirm"), true, 30, place)?;
    text(confirm.get("deny"), true, 30, place)
}

fn rich_text(block: &Value, place: &str) -> Result<(), Refusal> {
    let elements = list(block, "elements");
    if elements.is_empty() {
        return Err(refuse(place, "rich text needs elements"));
    }
    for one in elements {
        match text_of(one, "type") {
            "rich_text_section" | "rich_text_preformatted" | "rich_text_quote" => runs(one, place)?,
            "rich_text_list" => {
                if !["bullet", "ordered"].contains(&text_of(one, "style")) {
                    return Err(refuse(place, "a list is `bullet` or `ordered`"));
                }
                let indent = one.get("indent").and_then(Value::as_u64).unwrap_or(0);
                if indent > 8 {
                    return Err(refuse(place, "`indent` is at most 8"));
                }
                for item in list(one, "elements") {
                    if text_of(item, "type") != "rich_text_section" {
                        return Err(refuse(place, "a list holds sections"));
                    }
                    runs(item, place)?;
                }
            }
            other => return Err(refuse(place, &format!("unsupported element: {other}"))),
        }
    }
    Ok(())
}

fn runs(one: &Value, place: &str) -> Result<(), Refusal> {
    let elements = one.get("elements").and_then(Value::as_array);
    let elements = elements.ok_or_else(|| refuse(place, "missing required field: elements"))?;
    for run in elements {
        match text_of(run, "type") {
            "text" if text_of(run, "text").is_empty() => {
                return Err(refuse(place, "must be more than 0 characters"));
            }
            "link" if text_of(run, "url").is_empty() => {
                return Err(refuse(place, "missing required field: url"));
            }
            "text" | "link" | "emoji" | "user" | "channel" | "usergroup" | "broadcast" | "date" => {
            }
            other => return Err(refuse(place, &format!("unsupported element: {other}"))),
        }
    }
    Ok(())
}
