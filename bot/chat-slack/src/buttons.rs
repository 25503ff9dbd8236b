//! Buttons under a message: what they look like, and which choice they stand for.

use slack_morphism::SlackActionId;
use slack_morphism::prelude::*;

use crate::message::{cut, literal, visible};

/// Slack's limits (docs.slack.dev, "Block Kit reference").
const LABEL: usize = 75;
const VALUE: usize = 2_000;
const ACTION_ID: usize = 255;
const IN_ROW: usize = 25;

/// What the actions of rollbot's buttons begin with; the rest is the choice.
pub(crate) const CHOICE: &str = "choice:";

/// Buttons in rows, styled by what they do.
pub(crate) fn rows(buttons: &[(String, String)]) -> Vec<SlackBlock> {
    buttons
        .chunks(IN_ROW)
        .map(|row| {
            let elements = row
                .iter()
                .map(|(key, label)| button(key, label).into())
                .collect();
            SlackActionsBlock::new(elements).into()
        })
        .collect()
}

fn button(key: &str, label: &str) -> SlackBlockButtonElement {
    let action = format!("{CHOICE}{}", cut(key, ACTION_ID - CHOICE.len()));
    let label = &visible(label);
    let button = SlackBlockButtonElement::new(literal(&cut(label, LABEL)))
        .with_action_id(SlackActionId(action))
        .with_value(cut(key, VALUE));
    match key {
        "approve" => button.with_style(SlackBlockButtonStyle::Primary),
        "veto" => button.with_style(SlackBlockButtonStyle::Danger),
        "abort" | "undo" => button
            .with_style(SlackBlockButtonStyle::Danger)
            .with_confirm(confirm(label)),
        _ => button,
    }
}

/// Asks once more before what cannot be taken back.
fn confirm(label: &str) -> SlackBlockConfirmItem {
    SlackBlockConfirmItem::new(
        literal("Are you sure?"),
        SlackBlockPlainText::new(cut(&format!("{label}. This cannot be taken back."), 300))
            .with_emoji(false)
            .into(),
        literal("Yes"),
        literal("No"),
    )
    .with_style("danger".to_owned())
}
