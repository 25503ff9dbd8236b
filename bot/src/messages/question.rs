//! A paused operation's question, open or answered.

use jiff::Timestamp;
use rollbot_core::approval::{People, Policy};
use rollbot_core::operation::{Operation, Question};
use rollbot_core::outbox::{About, Destination, Message};
use rollbot_notify::{ChoiceWords, QuestionWords};

use super::Envelope;

/// The question for each channel of the operators. `state` says how the service stands meanwhile.
pub fn question(
    operation: &Operation,
    question: &Question,
    policy: &Policy,
    people: &People,
    state: &str,
    to: &[Destination],
    at: Timestamp,
) -> Vec<Message> {
    let answer = question
        .answer
        .as_deref()
        .and_then(|key| question.choice(key));
    let words = QuestionWords {
        operation: operation.id.to_string(),
        service: operation.service.clone(),
        text: question.text.clone(),
        details: question.details.clone(),
        choices: question
            .choices
            .iter()
            .map(|choice| {
                let chosen = question
                    .chosen
                    .iter()
                    .filter(|c| c.key == choice.key)
                    .count();
                ChoiceWords {
                    key: choice.key.clone(),
                    label: choice.label.clone(),
                    needs_full_count: choice.needs_full_count,
                    chosen: (chosen > 0).then_some(chosen),
                }
            })
            .collect(),
        first_choice: question
            .choices
            .first()
            .map(|c| c.key.clone())
            .unwrap_or_default(),
        required: policy.required,
        state: state.to_owned(),
        who_may: format!(
            "Members of {} may answer.",
            policy
                .groups
                .iter()
                .cloned()
                .collect::<Vec<_>>()
                .join(" or ")
        ),
        answer: answer.map(|choice| choice.label.clone()),
        answered_by: answer.map(|choice| {
            question
                .chosen
                .iter()
                .filter(|chosen| chosen.key == choice.key)
                .map(|chosen| people.name(&chosen.person))
                .collect::<Vec<_>>()
                .join(", ")
        }),
    };
    let name = format!("question/{}", question.key());
    to.iter()
        .map(|to| {
            let about = About::Question {
                question: question.key(),
            };
            let envelope = Envelope {
                operation: operation.id,
                name: &name,
                about,
                to,
                at,
            };
            let mut message = envelope.message("question", &words);
            // In the channel, not in the thread: nobody may miss that it waits.
            if question.answer.is_none() {
                message.buttons = question
                    .choices
                    .iter()
                    .map(|choice| (choice.key.clone(), choice.label.clone()))
                    .collect();
            }
            message
        })
        .collect()
}
