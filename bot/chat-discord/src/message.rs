//! What a message looks like on Discord.
//!
//! Messages are embeds: nothing in an embed notifies anybody, it has room for 4,096 characters, a
//! colour, and fields. Lines of a thread (`detail`) are plain messages, since a row of embeds would
//! bury them. The looks are taken from a few habits of the templates: the first line is the title
//! where it has something bold; a later paragraph that begins with something bold is a field; the
//! last line of an approval, of a live message and of what has fields is the footer, if it is
//! plain; the last part of the title is the state.
//!
//! # How a message of ours is found again
//!
//! The footer (the small print of a plain message) ends in a reference made from the message's
//! identity. It is the only part of a message that is sure to come back as it was sent and that
//! needs no button: a nonce does not come back with the history, and an address in the embed would
//! make a link that leads nowhere. It is honest as well: people can quote it.

use rollbot_chat::{Outgoing, unescape};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::markdown::{Block, Line, blocks, cut, length, pieces};

/// Discord's limits.
const TITLE: usize = 256;
const DESCRIPTION: usize = 4_096;
const FIELD: usize = 1_024;
const FIELDS: usize = 25;
const EMBED: usize = 6_000;
pub(crate) const CONTENT: usize = 2_000;
const BUTTONS: usize = 25;
const LABEL: usize = 80;
const CUSTOM_ID: usize = 100;

/// Before the choice in a button's id.
const BUTTON: &str = "rb:";

/// A message, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    pub body: Value,
    /// The whole text, where it does not fit.
    pub file: Option<(String, Vec<u8>)>,
}

/// Twelve letters and digits that stand for an identity.
pub(crate) fn reference(identity: &str) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let hash = Sha256::digest(identity.as_bytes());
    hash.iter()
        .take(12)
        .filter_map(|byte| DIGITS.get(usize::from(byte % 32)))
        .map(|digit| char::from(*digit))
        .collect()
}

/// The same for every attempt: within some minutes Discord answers a repetition with the message
/// that is there already.
pub(crate) fn nonce(identity: &str) -> String {
    hex::encode(Sha256::digest(identity.as_bytes()))
        .chars()
        .take(24)
        .collect()
}

/// The reference in a message as it comes from the history.
pub(crate) fn reference_in(message: &Value) -> Option<String> {
    let footer = message["embeds"][0]["footer"]["text"].as_str();
    let small = || {
        message["content"]
            .as_str()
            .and_then(|text| text.rsplit_once("\n-# "))
    };
    let text = footer.or_else(|| small().map(|(_, small)| small))?;
    let last = text.rsplit(' ').next()?;
    (last.len() == 12 && last.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| last.to_owned())
}

/// Nobody is notified, whatever a text says.
pub(crate) fn no_mentions() -> Value {
    json!({"parse": [], "users": [], "roles": [], "replied_user": false})
}

/// The choice that a button stands for.
pub(crate) fn choice(custom_id: &str) -> Option<&str> {
    custom_id.strip_prefix(BUTTON)
}

/// # Errors
/// It has more buttons than Discord shows, or one whose key is too long.
pub(crate) fn written(message: &Outgoing) -> Result<Written, String> {
    let components = components(&message.buttons)?;
    let reference = reference(&message.identity);
    let (mut body, whole) = if message.kind == "detail" {
        line(message, &reference)
    } else {
        let (embed, whole) = embed(message, &reference);
        (json!({"content": "", "embeds": [embed]}), whole)
    };
    body["components"] = components;
    body["allowed_mentions"] = no_mentions();
    let file = (!whole).then(|| {
        (
            "message.md".to_owned(),
            unescape(&message.body).into_bytes(),
        )
    });
    // An edit that brings no file takes the one away that an earlier one brought.
    body["attachments"] = match &file {
        Some((name, _)) => json!([{"id": "0", "filename": name}]),
        None => json!([]),
    };
    Ok(Written { body, file })
}

/// A line of a thread, and whether all of it is there.
fn line(message: &Outgoing, reference: &str) -> (Value, bool) {
    let small = format!("\n-# {reference}");
    let mut all = pieces(&message.body, CONTENT - small.len() - CUT.len());
    let whole = all.len() <= 1;
    let mut text = if all.is_empty() {
        String::new()
    } else {
        all.swap_remove(0)
    };
    if !whole {
        text.push_str(CUT);
    }
    text.push_str(&small);
    (json!({"content": text, "embeds": []}), whole)
}

const CUT: &str = "\n\u{2026} the whole text is in the attached file.";

struct Field {
    name: String,
    value: String,
}

#[derive(Default)]
struct Card {
    title: String,
    description: Vec<String>,
    fields: Vec<Field>,
    footer: String,
}

/// The embed, and whether all of the text is in it.
fn embed(message: &Outgoing, reference: &str) -> (Value, bool) {
    let card = card(&message.body, &message.kind);
    let footer = match card.footer.is_empty() {
        true => reference.to_owned(),
        false => format!("{} · {reference}", card.footer),
    };
    let color = color(&message.kind, &card.title);
    let mut embed = json!({"color": color, "footer": {"text": footer}});
    if !card.title.is_empty() {
        embed["title"] = card.title.clone().into();
    }
    let used = length(&card.title) + length(&footer);
    let description = card.description.join("\n\n");
    let in_fields: usize = card
        .fields
        .iter()
        .map(|field| length(&field.name) + length(&field.value))
        .sum();
    let fits = card.fields.len() <= FIELDS
        && card
            .fields
            .iter()
            .all(|field| length(&field.name) <= TITLE && length(&field.value) <= FIELD)
        && length(&description) <= DESCRIPTION
        && used + length(&description) + in_fields <= EMBED;
    if fits {
        if !description.is_empty() {
            embed["description"] = description.into();
        }
        if !card.fields.is_empty() {
            let fields = card.fields.into_iter();
            embed["fields"] = fields
                .map(|field| json!({"name": field.name, "value": field.value, "inline": false}))
                .collect();
        }
        return (embed, true);
    }
    // As one text, which has more room than fields.
    let mut parts = card.description;
    for field in card.fields {
        parts.push(match field.name.as_str() {
            BLANK => field.value,
            name => format!("**{name}**\n{}", field.value),
        });
    }
    let text = parts.join("\n\n");
    let room = DESCRIPTION.min(EMBED.saturating_sub(used));
    if length(&text) <= room {
        embed["description"] = text.into();
        return (embed, true);
    }
    let mut first = cut(&text, room - CUT.len())
        .into_iter()
        .next()
        .unwrap_or_default();
    // What was cut within code must not leave it open.
    if first.matches("```").count() % 2 == 1 {
        first.truncate(first.rfind("```").unwrap_or(first.len()));
    }
    first.push_str(CUT);
    embed["description"] = first.into();
    (embed, false)
}

/// The name of a field that has none: Discord wants one.
const BLANK: &str = "\u{200b}";

fn card(body: &str, kind: &str) -> Card {
    let mut all = blocks(body);
    let mut card = Card::default();
    if let Some(Block::Paragraph(lines)) = all.first_mut()
        && let Some(first) = lines.first()
        && first.has_bold
        && length(&first.bare) <= TITLE
    {
        card.title = lines.remove(0).bare.trim().to_owned();
    }
    // A plan that is only shown has fields and ends as an approval does.
    let has_fields = all.iter().any(|block| match block {
        Block::Paragraph(lines) => lines.first().is_some_and(|line| line.lead.is_some()),
        _ => false,
    });
    if (matches!(kind, "approval" | "live") || has_fields)
        && let Some(Block::Paragraph(lines)) = all.last_mut()
        && lines.last().is_some_and(|line| !line.has_bold)
        && let Some(last) = lines.pop()
    {
        if length(&last.raw) <= FIELD {
            card.footer = last.raw.trim().to_owned();
        } else {
            lines.push(last);
        }
    }
    all.retain(|block| *block != Block::Paragraph(Vec::new()));
    let mut open_field = false;
    for block in all {
        let lead = match &block {
            Block::Paragraph(lines) => lines.first().and_then(|line| line.lead.clone()),
            _ => None,
        };
        match (lead, block) {
            (Some((label, after)), Block::Paragraph(lines)) => {
                let rest = lines.iter().skip(1).map(|line: &Line| line.text.clone());
                let value: Vec<String> = std::iter::once(begin(&after))
                    .chain(rest)
                    .filter(|line| !line.trim().is_empty())
                    .collect();
                open_field = value.is_empty();
                card.fields.push(Field {
                    name: label.trim().trim_end_matches(':').to_owned(),
                    value: value.join("\n"),
                });
            }
            (_, block) if card.fields.is_empty() => match card.description.last_mut() {
                Some(last) if block.is_close() => {
                    last.push('\n');
                    last.push_str(&block.text());
                }
                _ => card.description.push(block.text()),
            },
            (_, block) => match card.fields.last_mut() {
                Some(field) if open_field => {
                    field.value = block.text();
                    open_field = false;
                }
                _ => card.fields.push(Field {
                    name: BLANK.to_owned(),
                    value: block.text(),
                }),
            },
        }
    }
    for field in &mut card.fields {
        for part in [&mut field.name, &mut field.value] {
            if part.trim().is_empty() {
                BLANK.clone_into(part);
            }
        }
    }
    card
}

/// What follows a label. Where a dash joined them it begins a sentence now; unless what comes would
/// count as the beginning of a list or heading.
fn begin(after: &str) -> String {
    let text = after.trim_start();
    let rest = text
        .strip_prefix("\u{2014} ")
        .filter(|rest| rest.starts_with(char::is_alphabetic));
    let Some(rest) = rest else {
        return text.to_owned();
    };
    let mut chars = rest.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

const BLUE: u32 = 0x0058_65f2;
const GREEN: u32 = 0x0023_a55a;
const AMBER: u32 = 0x00f0_b232;
const ORANGE: u32 = 0x00e6_7e22;
const RED: u32 = 0x00da_373c;
const VIOLET: u32 = 0x009b_59b6;
const GREY: u32 = 0x0080_848e;

fn color(kind: &str, title: &str) -> u32 {
    let state = title.rsplit(" · ").next().unwrap_or_default();
    let begins = |words: &[&str]| words.iter().any(|word| state.starts_with(word));
    match kind {
        "approval" if begins(&["approved", "started"]) => GREEN,
        "approval" if begins(&["vetoed"]) => RED,
        "approval" if begins(&["expired", "replaced", "cancelled"]) => GREY,
        "approval" => AMBER,
        "live" if state == "closed with exceptions" => ORANGE,
        "live" if begins(&["verified", "closed"]) => GREEN,
        "live" if begins(&["paused"]) => AMBER,
        "live" if begins(&["undone"]) => VIOLET,
        "live" if begins(&["failed", "cancelled", "vetoed", "expired"]) => RED,
        "question" if begins(&["answered"]) => GREY,
        "question" => AMBER,
        _ if title.starts_with('⚠') => AMBER,
        _ if title.starts_with(['❌', '🛑', '🚨']) => RED,
        _ if title.starts_with('✅') => GREEN,
        _ => BLUE,
    }
}

fn components(buttons: &[(String, String)]) -> Result<Value, String> {
    if buttons.len() > BUTTONS {
        return Err(format!(
            "the message has {} buttons, and Discord shows {BUTTONS}",
            buttons.len()
        ));
    }
    let mut rows = Vec::new();
    for row in buttons.chunks(5) {
        let mut shown = Vec::new();
        for (key, label) in row {
            let id = format!("{BUTTON}{key}");
            if length(&id) > CUSTOM_ID {
                return Err(format!(
                    "the key `{key}` is too long for a button on Discord"
                ));
            }
            let label: String = match length(label) > LABEL {
                true => label.chars().take(LABEL / 2 - 1).chain(['…']).collect(),
                false => label.clone(),
            };
            shown.push(json!({"type": 2, "style": style(key), "label": label, "custom_id": id}));
        }
        rows.push(json!({"type": 1, "components": shown}));
    }
    Ok(rows.into())
}

/// Blurple, grey, green or red.
fn style(key: &str) -> u8 {
    match key {
        "retry" => 1,
        "approve" | "white_check_mark" => 3,
        "abort" | "undo" | "veto" | "x" | "cancel" => 4,
        _ => 2,
    }
}
