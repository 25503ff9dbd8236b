//! What every template looks like, and that text of others does nothing.

use std::sync::Arc;

use rollbot_chat::ChatPlatform as _;
use rollbot_notify::{TEMPLATES, Templates};

use crate::house::House;

fn kind(template: &str) -> &str {
    match template {
        "approval" | "live" | "detail" | "question" => template,
        "plan" | "notice" | "answer" => "notice",
        _ => "announcement",
    }
}

fn templates(house: &House) -> Templates {
    let mut templates = Templates::load(None).unwrap();
    let discord = Arc::clone(&house.discord);
    templates.add_platform("discord", Arc::new(move |text: &str| discord.escape(text)));
    templates
}

#[tokio::test]
async fn every_template_looks_well() {
    let house = House::open().await;
    let templates = templates(&house);
    for spec in TEMPLATES {
        let mut values = Templates::sample(spec.name).unwrap();
        if spec.name == "question" {
            // Still open, with what may be answered.
            values["answer"] = serde_json::Value::Null;
        }
        let body = templates.render("discord", spec.name, &values).unwrap();
        let mut message = house.outgoing(spec.name, kind(spec.name), &body);
        if spec.name == "question" {
            message.buttons = vec![
                ("retry".into(), "Retry".into()),
                ("undo".into(), "Undo".into()),
            ];
        }
        if spec.name == "approval" {
            message.reactions = vec!["white_check_mark".into(), "x".into()];
        }
        let id = house.discord.post(&message).await.unwrap();
        let seen = house
            .fake
            .message(house.channel, id.parse().unwrap())
            .unwrap();
        let shown = serde_json::json!({
            "content": seen.content, "embeds": seen.embeds, "components": seen.components,
            "reactions": seen.reactions.iter().map(|(emoji, _)| emoji).collect::<Vec<_>>(),
        });
        insta::assert_json_snapshot!(spec.name, shown);
    }
    let mut values = Templates::sample("approval").unwrap();
    values["decided"] = serde_json::Value::Null;
    let body = templates.render("discord", "approval", &values).unwrap();
    let id = house
        .discord
        .post(&house.outgoing("open", "approval", &body))
        .await
        .unwrap();
    let seen = house
        .fake
        .message(house.channel, id.parse().unwrap())
        .unwrap();
    insta::assert_json_snapshot!("approval-open", seen.embeds);
    house.close().await;
}

/// Replaces every string of the values.
fn everywhere(values: &mut serde_json::Value, text: &str) {
    match values {
        serde_json::Value::String(old) => text.clone_into(old),
        serde_json::Value::Array(all) => all.iter_mut().for_each(|one| everywhere(one, text)),
        serde_json::Value::Object(fields) => {
            fields.values_mut().for_each(|one| everywhere(one, text))
        }
        _ => {}
    }
}

#[tokio::test]
async fn text_of_others_neither_pings_nor_links_nor_formats_in_any_template() {
    let house = House::open().await;
    let templates = templates(&house);
    let nasty = [
        "@everyone <@1234> <@&99> <#12>",
        "https://evil.example/x [a](https://evil.example)",
        "**b** ||s|| ~~d~~ _u_ `c`",
        "# h\n# h\n> q\n- i\n1. n",
        "```\n@everyone\n```",
        "\\<@12> :smile: <a:b:12345> <t:1:R>",
        "&#64;everyone\u{202e}\u{200b}",
    ];
    let mut number = 0;
    for spec in TEMPLATES {
        for text in nasty {
            number += 1;
            let mut values = Templates::sample(spec.name).unwrap();
            let plain = {
                everywhere(&mut values, "word");
                templates.render("discord", spec.name, &values).unwrap()
            };
            everywhere(&mut values, text);
            let body = templates.render("discord", spec.name, &values).unwrap();
            let mut formats = Vec::new();
            for (index, body) in [plain, body].into_iter().enumerate() {
                let identity = format!("{number}-{index}");
                let message = house.outgoing(&identity, kind(spec.name), &body);
                let id = house.discord.post(&message).await.unwrap();
                let seen = house
                    .fake
                    .message(house.channel, id.parse().unwrap())
                    .unwrap();
                assert_eq!(seen.pings, Vec::<String>::new());
                for reading in &seen.readings {
                    assert_eq!(
                        reading.mentions,
                        Vec::<String>::new(),
                        "{}: {text:?}",
                        spec.name
                    );
                    assert_eq!(
                        reading.links,
                        Vec::<String>::new(),
                        "{}: {text:?}",
                        spec.name
                    );
                }
                let all: Vec<String> = seen
                    .readings
                    .iter()
                    .flat_map(|reading| reading.formats.clone())
                    .collect();
                formats.push(all);
            }
            assert_eq!(formats[0], formats[1], "{}: {text:?}", spec.name);
        }
    }
    house.close().await;
}
