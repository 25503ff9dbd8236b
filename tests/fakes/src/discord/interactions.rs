//! Answers to interactions, and what may follow them with their token.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::answers::{Answered, Refusal, Reply};
use super::limits;
use super::rest::Call;
use super::world::{ANSWER_WITHIN, Interaction, TOKEN_LASTS, World};

const EPHEMERAL: u64 = 1 << 6;

const UNKNOWN: (u16, u32, &str) = (404, 10062, "Unknown interaction");

fn unknown() -> Refusal {
    Refusal::new(UNKNOWN.0, UNKNOWN.1, UNKNOWN.2)
}

pub(super) fn callback(world: &mut World, call: &Call<'_>, id: u64, token: &str) -> Answered {
    let found = world
        .interactions
        .get(&id)
        .filter(|interaction| interaction.token == token)
        .ok_or_else(unknown)?;
    if found.answer.is_some() {
        return Err(Refusal::new(
            400,
            40060,
            "Interaction has already been acknowledged.",
        ));
    }
    if found.age() > ANSWER_WITHIN {
        return Err(unknown());
    }
    let message = answer(world, id, call)?;
    // Libraries write a boolean in several ways.
    if matches!(call.query("with_response"), Some("true" | "True" | "1")) {
        let shown = message.and_then(|message| {
            let interaction = world.interactions.get(&id)?;
            Some(world.message_json(world.message(interaction.channel, message)?))
        });
        let (kind, asked) = world
            .interactions
            .get(&id)
            .map(|found| (found.answer.as_ref().map(|(kind, _)| *kind), found.kind))
            .unwrap_or_default();
        let mut said = json!({
            "interaction": {
                "id": id.to_string(), "type": asked,
                "response_message_id": message.map(|id| id.to_string()),
                "response_message_loading": kind == Some(5),
                "response_message_ephemeral": call.body["data"]["flags"] == json!(EPHEMERAL),
            },
        });
        if shown.is_some() {
            said["resource"] = json!({"type": kind, "message": shown});
        }
        return Reply::ok(said);
    }
    Ok(Reply::Empty)
}

/// Applies a first answer, however it came. Returns the message it made.
pub(super) fn answer(world: &mut World, id: u64, call: &Call<'_>) -> Result<Option<u64>, Refusal> {
    let interaction = world.interactions.get(&id).cloned().ok_or_else(unknown)?;
    let kind = call.body["type"].as_u64().unwrap_or(0);
    let data = call.body.get("data").cloned().unwrap_or_default();
    let fits = match interaction.kind {
        4 => kind == 8,
        2 => matches!(kind, 4 | 5 | 9),
        _ => matches!(kind, 4 | 5 | 6 | 7 | 9),
    };
    if !fits {
        let mut wrong = limits::Wrong::default();
        wrong.add(
            &["type"],
            "BASE_TYPE_CHOICES",
            "This type of answer does not fit the interaction.",
        );
        wrong.end()?;
    }
    let mut made = None;
    match kind {
        8 => limits::autocomplete(&data)?,
        4 => {
            let mut message = written(world, &interaction, call, &data)?;
            message.answers = Some(id);
            made = Some(message.id);
            world.put(message);
        }
        5 => {
            // "… is thinking": a message that is filled in later.
            let filler = json!({"content": "\u{2026}", "flags": data["flags"]});
            let mut message = written(world, &interaction, call, &filler)?;
            message.answers = Some(id);
            made = Some(message.id);
            world.put(message);
        }
        7 => {
            let edited = Call {
                method: call.method,
                query: Vec::new(),
                body: data.clone(),
                files: call.files.clone(),
            };
            world.edit(
                interaction.channel,
                interaction.message.unwrap_or(0),
                &edited,
            )?;
        }
        _ => {}
    }
    if let Some(found) = world.interactions.get_mut(&id) {
        found.answered_after = Some(found.age());
        found.answer = Some((kind, data));
        found.original = made;
    }
    Ok(made)
}

fn written(
    world: &mut World,
    interaction: &Interaction,
    call: &Call<'_>,
    data: &Value,
) -> Result<super::world::Message, Refusal> {
    let inner = Call {
        method: call.method,
        query: Vec::new(),
        body: data.clone(),
        files: call.files.clone(),
    };
    let mut message = world.written(interaction.channel, &inner, true)?;
    message.only_for = (message.flags & EPHEMERAL != 0).then_some(interaction.user);
    Ok(message)
}

pub(super) fn webhook(world: &mut World, call: &Call<'_>, token: &str, rest: &[&str]) -> Answered {
    let interaction = world
        .interaction_by_token(token)
        .cloned()
        .ok_or_else(Refusal::unknown_webhook)?;
    if interaction.age() > TOKEN_LASTS {
        return Err(Refusal::new(401, 50027, "Invalid Webhook Token"));
    }
    if interaction.answer.is_none() {
        return Err(Refusal::unknown_webhook());
    }
    let channel = interaction.channel;
    match (call.method, rest) {
        ("POST", []) => {
            let mut message = written(world, &interaction, call, &call.body)?;
            message.answers = Some(interaction.id);
            let id = message.id;
            world.put(message);
            if let Some(found) = world.interactions.get_mut(&interaction.id) {
                found.follow_ups.push(id);
            }
            let message = world
                .message(channel, id)
                .ok_or_else(Refusal::unknown_message)?;
            Reply::ok(world.message_json(message))
        }
        (method, ["messages", message]) => {
            let id = match *message {
                "@original" => interaction.original,
                other => other.parse().ok(),
            };
            let id = id.ok_or_else(Refusal::unknown_message)?;
            let found = world
                .message(channel, id)
                .filter(|message| message.answers == Some(interaction.id))
                .ok_or_else(Refusal::unknown_message)?;
            match method {
                "GET" => Reply::ok(world.message_json(found)),
                "PATCH" => world.edit(channel, id, call),
                "DELETE" => {
                    world.delete(channel, id);
                    Ok(Reply::Empty)
                }
                _ => Err(Refusal::no_route()),
            }
        }
        _ => Err(Refusal::no_route()),
    }
}

/// Posts an interaction to the endpoint, signed; the answer comes in the response.
pub(super) async fn post(fake: super::Fake, id: u64, payload: Value, forged: bool) {
    let body = payload.to_string();
    let timestamp = jiff::Timestamp::now().as_second().to_string();
    let (endpoint, signature) = {
        let world = fake.lock();
        let Some(endpoint) = world.endpoint.clone() else {
            return;
        };
        let signed = format!("{timestamp}{body}");
        let mut signature = world.key.sign(signed.as_bytes()).as_ref().to_vec();
        if forged && let Some(first) = signature.first_mut() {
            *first ^= 1;
        }
        (endpoint, hex::encode(signature))
    };
    let headers = [
        ("x-signature-ed25519", signature.as_str()),
        ("x-signature-timestamp", timestamp.as_str()),
    ];
    let sent = super::plain::post(&endpoint, &headers, &body);
    let answered = tokio::time::timeout(ANSWER_WITHIN, sent).await;
    let Ok(Ok((status, text))) = answered else {
        fake.changed();
        return;
    };
    fake.endpoint_status
        .store(u64::from(status), Ordering::Relaxed);
    if status == 200 {
        let call = Call {
            method: "POST",
            query: Vec::new(),
            body: serde_json::from_str(&text).unwrap_or_default(),
            files: Vec::new(),
        };
        let segments = ["interactions", "0", "token", "callback"];
        let violations = super::spec::violations("POST", &segments, &call.body);
        let mut world = fake.lock();
        world.violations.extend(violations);
        if id != 0
            && let Err(refusal) = answer(&mut world, id, &call)
        {
            world
                .violations
                .push(format!("the endpoint's answer: {}", refusal.json()));
        }
    }
    fake.changed();
}
