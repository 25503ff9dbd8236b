//! The dialog in which a rollback is asked for without typing a command.

use std::collections::HashMap;

use rollbot_chat::{ChatEvent, ChatPlatform as _, Place};
use rollbot_command::{Command, Reason};
use rollbot_core::EventKey;
use serde_json::Value;
use slack_morphism::api::SlackApiViewsOpenRequest;
use slack_morphism::events::{SlackInteractionShortcutEvent, SlackInteractionViewSubmissionEvent};
use slack_morphism::prelude::*;
use slack_morphism::{SlackActionId, SlackCallbackId};

use crate::PLATFORM;
use crate::message::{cut, lay, literal, visible};
use crate::pace::Urgency;
use crate::receive::{Acknowledge, Desk, Said};
use crate::web::{Call, Token};

/// The shortcut's callback id, in the app's manifest.
pub const SHORTCUT: &str = "rollbot_request";

const SERVICE: &str = "service";
const REASON: &str = "reason";
const SEVERITY: &str = "severity";
const ROW: &str = "matrix";
/// Every input's action; they are told apart by their blocks.
const INPUT: &str = "input";

/// A select has at most 100 options of 75 characters.
const OPTIONS: usize = 100;
const LABEL: usize = 75;

/// Severity levels, lowest first, with what they mean to an operator.
const SEVERITIES: &[(&str, &str)] = &[
    ("low", "a nuisance, with a way around it"),
    ("medium", "some users are hindered"),
    ("high", "a service is down or wrong"),
    ("critical", "money, data or access is at stake"),
];

/// Rows of the decision matrix: key, its words, and when it applies.
const ROWS: &[(&str, &str, &str)] = &[
    (
        "M1",
        "service not starting",
        "3 attempts to start it failed",
    ),
    ("M2", "service crashes", "more than 3 crashes in an hour"),
    ("M3", "data inconsistency", "data disagree between services"),
    (
        "M4",
        "performance degradation",
        "response times more than 300 % up",
    ),
    (
        "M5",
        "authentication failure",
        "no login for more than 5 minutes",
    ),
    ("M6", "trade execution", "any order failed to execute"),
    (
        "M7",
        "multiple service failures",
        "2 or more critical services down",
    ),
    ("M8", "data corruption", "any evidence of it"),
    ("M9", "security breach", "any evidence of it"),
];

type Choice = SlackBlockChoiceItem<SlackBlockPlainTextOnly>;

fn choice(value: &str, label: &str, about: &str) -> Choice {
    let choice = Choice::new(literal(&cut(label, LABEL)), value.to_owned());
    if about.is_empty() {
        choice
    } else {
        choice.with_description(literal(&cut(about, LABEL)))
    }
}

fn select(block: &str, label: &str, placeholder: &str, options: Vec<Choice>) -> SlackInputBlock {
    let select = SlackBlockStaticSelectElement::new()
        .with_action_id(SlackActionId(INPUT.to_owned()))
        .with_placeholder(literal(placeholder))
        .with_options(options);
    SlackInputBlock::new(literal(label), select.into())
        .with_block_id(SlackBlockId(block.to_owned()))
}

/// The dialog, for these services.
fn dialog(services: Vec<Choice>) -> SlackView {
    let severities = SEVERITIES
        .iter()
        .map(|(key, about)| choice(key, key, about))
        .collect();
    let rows = ROWS
        .iter()
        .map(|(key, words, when)| choice(key, &format!("{key} {words}"), when))
        .collect();
    let reason = SlackBlockPlainTextInputElement::new()
        .with_action_id(SlackActionId(INPUT.to_owned()))
        .with_multiline(true)
        .with_max_length(400)
        .with_placeholder(literal("What is seen, and since when"));
    let blocks: Vec<SlackBlock> = vec![
        select(SERVICE, "Service", "Choose a service", services).into(),
        SlackInputBlock::new(literal("Reason"), reason.into())
            .with_block_id(SlackBlockId(REASON.to_owned()))
            .with_hint(literal("Everybody who is asked to approve reads it."))
            .into(),
        select(SEVERITY, "Severity", "Choose a severity", severities).into(),
        select(ROW, "What happened", "Choose what fits best", rows).into(),
    ];
    let view = SlackModalView::new(literal("Ask for a rollback"), blocks)
        .with_callback_id(SlackCallbackId(SHORTCUT.to_owned()))
        .with_submit(literal("Ask"))
        .with_close(literal("Cancel"));
    SlackView::Modal(view)
}

/// A dialog that only says something.
fn saying(body: &str) -> SlackView {
    let view = SlackModalView::new(literal("rollbot"), lay(body, "answer", &[]).first.blocks)
        .with_callback_id(SlackCallbackId("rollbot_answer".to_owned()))
        .with_close(literal("Close"));
    SlackView::Modal(view)
}

/// What was filled in.
struct Filled {
    service: String,
    /// With severity and row of the matrix before it.
    reason: Reason,
}

impl Filled {
    /// What was filled in, or what is wrong with each field.
    fn read(event: &SlackInteractionViewSubmissionEvent) -> Result<Self, HashMap<String, String>> {
        let value = |block: &str| {
            let values = &event.view.state_params.state.as_ref()?.values;
            let value = values
                .get(&SlackBlockId(block.to_owned()))?
                .get(&SlackActionId(INPUT.to_owned()))?;
            let chosen = value.selected_option.as_ref();
            chosen
                .map(|option| option.value.clone())
                .or_else(|| value.value.clone())
        };
        let mut errors = HashMap::new();
        let mut wrong = |block: &str, what: String| {
            errors.insert(block.to_owned(), what);
            String::new()
        };
        let service = match value(SERVICE) {
            Some(name) if rollbot_command::is_service_name(&name) || name == "full" => name,
            _ => wrong(SERVICE, "Choose a service.".to_owned()),
        };
        let severity = match value(SEVERITY) {
            Some(key) if SEVERITIES.iter().any(|(known, _)| *known == key) => key,
            _ => wrong(SEVERITY, "Choose a severity.".to_owned()),
        };
        let row = match value(ROW) {
            Some(key) => match ROWS.iter().find(|(known, _, _)| *known == key) {
                Some((key, words, _)) => format!("{key} {words}"),
                None => wrong(ROW, "Choose what fits best.".to_owned()),
            },
            None => wrong(ROW, "Choose what fits best.".to_owned()),
        };
        let said = value(REASON).unwrap_or_default();
        let reason = match Reason::new(&said) {
            Ok(reason) => {
                // With the words before it, it must still be a reason.
                match Reason::new(&tagged(&severity, &row, reason.as_str())) {
                    Ok(reason) => Some(reason),
                    Err(why) => {
                        wrong(REASON, format!("With severity and row, {why}."));
                        None
                    }
                }
            }
            Err(why) => {
                wrong(REASON, format!("Say what is wrong: {why}."));
                None
            }
        };
        match reason {
            Some(reason) if errors.is_empty() => Ok(Self { service, reason }),
            _ => Err(errors),
        }
    }

    /// As it would be typed: what the reason says is never an option of the command.
    fn command(self) -> String {
        let command = Command::Rollback {
            service: self.service,
            reason: Some(self.reason),
            dry_run: false,
        };
        command.to_string()
    }
}

fn tagged(severity: &str, row: &str, reason: &str) -> String {
    format!("[{severity} · {row}] {reason}")
}

fn response(response: SlackViewSubmissionResponse) -> Value {
    serde_json::to_value(response).unwrap_or(Value::Null)
}

impl Desk {
    /// Opens the dialog for whoever chose the shortcut.
    pub(crate) async fn open_request(&self, event: SlackInteractionShortcutEvent) {
        if event.callback_id.0 != SHORTCUT {
            return;
        }
        let services = self.dispatch.suggest(Place::Service, "", OPTIONS).await;
        let services: Vec<Choice> = services
            .iter()
            .map(|service| choice(&service.value, &visible(&service.label), ""))
            .collect();
        let view = if services.is_empty() {
            saying(
                "There is no service that could be rolled back, or rollbot's store did not answer. Try again in a moment.",
            )
        } else {
            dialog(services)
        };
        let request = SlackApiViewsOpenRequest::new(event.trigger_id, view);
        let call = Call::new("views.open", &event.user.id.0, Urgency::High);
        let opened = self.slack.web.post::<_, Value>(Token::Bot, call, &request);
        if let Err(error) = opened.await {
            tracing::warn!(%error, "the dialog could not be opened");
        }
    }

    /// Asks for what was filled in; the answer is shown in the dialog's place.
    pub(crate) async fn submitted(
        &self,
        event: SlackInteractionViewSubmissionEvent,
        acknowledge: Acknowledge,
    ) {
        let is_ours = match &event.view.view {
            SlackView::Modal(modal) => modal
                .callback_id
                .as_ref()
                .is_some_and(|id| id.0 == SHORTCUT),
            SlackView::Home(_) => false,
        };
        if !is_ours {
            acknowledge.give(Value::Null).await;
            return;
        }
        let filled = match Filled::read(&event) {
            Ok(filled) => filled,
            Err(errors) => {
                let errors = SlackViewSubmissionErrorsResponse::new(errors);
                acknowledge
                    .give(response(SlackViewSubmissionResponse::Errors(errors)))
                    .await;
                return;
            }
        };
        let team = event.user.team_id.as_ref().unwrap_or(&event.team.id);
        let account = self.who(&event.user.id.0, &team.0).await;
        let channel = self.slack.config.request_channel.clone();
        let channel = channel.unwrap_or_else(|| event.user.id.0.clone());
        let typed = ChatEvent::Command {
            // A dialog is submitted once; what stays in it with errors was not handed on.
            key: EventKey::new(PLATFORM, &event.view.state_params.id.0),
            account: account.clone(),
            channel: channel.clone(),
            text: filled.command(),
        };
        match self.say(typed).await {
            Said::InTime(None) => {
                acknowledge.give(Value::Null).await;
            }
            Said::InTime(Some(answer)) => {
                let update = SlackViewSubmissionUpdateResponse::new(saying(&answer.body));
                acknowledge
                    .give(response(SlackViewSubmissionResponse::Update(update)))
                    .await;
            }
            // Not acknowledged: Slack tells them that it took too long. If they press again, it is
            // the same request.
            Said::NotYet(working) => {
                if let Some(answer) = self.late(working).await
                    && let Err(error) = self.slack.whisper(&channel, &account, &answer.body).await
                {
                    Self::unheard("an answer", &error);
                }
            }
            Said::Never => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_a_command_of_the_grammar() {
        for said in [
            "orders failing",
            "they \"fail\" --dry-run",
            "reason: none",
            "\"",
            "--help",
        ] {
            for (key, words, _) in ROWS {
                let said = tagged("high", &format!("{key} {words}"), said);
                let filled = Filled {
                    service: "trade".to_owned(),
                    reason: Reason::new(&said).unwrap(),
                };
                let line = filled.command();
                match rollbot_command::parse(&line, &["trade".to_owned()]) {
                    Ok(Command::Rollback {
                        reason: Some(reason),
                        dry_run: false,
                        ..
                    }) => {
                        assert_eq!(reason.as_str(), said);
                    }
                    other => panic!("{line}: {other:?}"),
                }
            }
        }
    }
}
