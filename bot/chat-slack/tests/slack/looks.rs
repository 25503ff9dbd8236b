//! What people see: the blocks of every template's sample.

use std::sync::Arc;

use rollbot_chat::{ChatPlatform as _, Outgoing};
use rollbot_notify::{TEMPLATES, Templates};

use crate::house::{House, outgoing};

/// The kind that messages of a template have, and their buttons and reactions.
fn as_sent(
    template: &str,
) -> (
    &'static str,
    Vec<(&'static str, &'static str)>,
    Vec<&'static str>,
) {
    let votes = vec!["white_check_mark", "x"];
    match template {
        "approval" => (
            "approval",
            vec![("approve", "Approve"), ("veto", "Veto")],
            votes,
        ),
        "live" => ("live", vec![], vec![]),
        "detail" => ("detail", vec![], vec![]),
        "question" => (
            "question",
            vec![
                ("retry", "Run it again from where it was"),
                ("skip", "Accept it as it is"),
                ("undo", "Undo"),
                ("abort", "Abort: leave everything as it is"),
            ],
            vec![],
        ),
        "maintenance" | "update" | "restored" | "ended" => ("announcement", vec![], vec![]),
        "answer" => ("answer", vec![], vec![]),
        _ => ("notice", vec![], vec![]),
    }
}

#[tokio::test]
async fn every_template_looks_well_in_slack() {
    let house = House::with(crate::house::settings(), |config| {
        config.longest_wait = std::time::Duration::from_secs(60);
    })
    .await;
    let mut templates = Templates::load(None).unwrap();
    let slack = house.slack.clone();
    templates.add_platform("slack", Arc::new(move |text: &str| slack.escape(text)));
    for spec in TEMPLATES {
        let sample = Templates::sample(spec.name).unwrap();
        let (kind, buttons, reactions) = as_sent(spec.name);
        // Each in a channel of its own, for each has its own limit.
        let channel = format!("C0{}", spec.name.to_uppercase());
        house
            .fake
            .with(|slack| slack.add_channel(&channel, spec.name));
        let message = Outgoing {
            channel: channel.clone(),
            kind: kind.to_owned(),
            buttons: buttons
                .into_iter()
                .map(|(k, l)| (k.to_owned(), l.to_owned()))
                .collect(),
            reactions: reactions.into_iter().map(str::to_owned).collect(),
            ..outgoing(
                spec.name,
                &templates.render("slack", spec.name, &sample).unwrap(),
            )
        };
        let ts = house.slack.post(&message).await.unwrap();
        let posted = house
            .fake
            .with(|slack| slack.message(&channel, &ts).cloned().unwrap());
        insta::assert_json_snapshot!(
            format!("looks_{}", spec.name),
            serde_json::json!({"text": posted.text, "blocks": posted.blocks})
        );
    }
    assert_eq!(house.fake.with(|slack| slack.marked.clone()), []);
}
