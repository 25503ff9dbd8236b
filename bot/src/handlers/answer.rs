//! The answer to a paused operation's question: a button under it, or `rollbot answer`.

use rollbot_chat::MessageAt;
use rollbot_core::approval::{Account, Person};
use rollbot_core::operation::{Chosen, Question};
use rollbot_core::outbox::About;
use rollbot_core::store::{Batch, Guard, Write};
use rollbot_core::{EventKey, OperationId};

use crate::dispatch::{Desk, Handled, Refused, Reply};
use crate::messages;

pub async fn button(
    desk: &Desk,
    key: EventKey,
    account: &Account,
    message: &MessageAt,
    choice: &str,
) -> Handled {
    let Some(row) = desk.sent(message).await? else {
        return Err(Refused::You(
            "Nothing was done: I do not know this message yet. Press again in a moment.".to_owned(),
        ));
    };
    let question = match &row.message.about {
        About::Question { question } => question,
        About::Approval { digest } => {
            let digest = digest.clone();
            return super::vote::button(desk, key, account, row.message.operation, digest, choice)
                .await;
        }
        _ => return Ok(None),
    };
    let person = desk.person(account)?;
    let all = desk.store.questions(row.message.operation).await?;
    let Some(found) = all.into_iter().find(|known| known.key() == *question) else {
        return Err(Refused::You(
            "This question is not open any more.".to_owned(),
        ));
    };
    choose(desk, key, person, found, choice).await
}

/// The newest open question of an operation.
///
/// # Errors
/// There is none.
pub async fn open_question(desk: &Desk, id: OperationId) -> Result<Question, Refused> {
    let operation = desk.load(id).await?;
    let all = desk.store.questions(id).await?;
    all.into_iter()
        .rev()
        .find(|question| question.answer.is_none())
        .ok_or_else(|| {
            Refused::You(format!(
                "{id} asks nothing: it is {}.",
                operation.state.in_words()
            ))
        })
}

/// Records what somebody chose; the question is answered once enough have.
pub async fn choose(
    desk: &Desk,
    key: EventKey,
    person: &Person,
    mut question: Question,
    choice: &str,
) -> Handled {
    let id = question.operation;
    let operation = desk.load(id).await?;
    let Some(entry) = desk.catalogue.service(&operation.service) else {
        return Err(Refused::You(format!(
            "{} is not configured any more.",
            operation.service
        )));
    };
    if let Some(answer) = &question.answer {
        let label = question
            .choice(answer)
            .map_or(answer.as_str(), |c| c.label.as_str());
        return Err(Refused::You(format!("It was answered already: {label}.")));
    }
    let Some(chosen) = question.choice(choice).cloned() else {
        let known: Vec<_> = question
            .choices
            .iter()
            .map(|choice| choice.key.as_str())
            .collect();
        return Err(Refused::You(format!(
            "`{choice}` is no answer to it: choose one of {}.",
            known.join(", ")
        )));
    };
    let policy = &entry.approval;
    if person.groups.is_disjoint(&policy.groups) {
        return Err(Refused::You(format!(
            "Only members of {} may answer this.",
            policy
                .groups
                .iter()
                .cloned()
                .collect::<Vec<_>>()
                .join(" or ")
        )));
    }
    let needed = if chosen.needs_full_count {
        if let Err(why) = policy.may_vote(person, &operation.requester) {
            return Err(Refused::You(format!(
                "\u{201c}{}\u{201d} needs the same approvals as the start: {why}.",
                chosen.label
            )));
        }
        policy.required.max(1) as usize
    } else {
        1
    };
    let at = desk.clock.now();
    let again = question
        .chosen
        .iter()
        .any(|c| c.person == person.id && c.key == choice);
    if !again {
        question.chosen.push(Chosen {
            person: person.id.clone(),
            key: choice.to_owned(),
            at,
        });
    }
    let so_far = question.chosen.iter().filter(|c| c.key == choice).count();
    if so_far >= needed {
        question.answer = Some(choice.to_owned());
        question.answered_at = Some(at);
    }
    let shown = messages::question(
        &operation,
        &question,
        policy,
        &desk.catalogue.people,
        "",
        &desk.catalogue.operators,
        at,
    );
    let facts = serde_json::json!({
        "question": question.key(), "choice": choice, "so-far": so_far, "needed": needed,
    });
    let batch = Batch::new()
        .guard(Guard::NewEvent(key))
        .guard(Guard::QuestionOpen {
            operation: id,
            phase: question.phase,
            seq: question.seq,
            attempt: question.attempt,
        })
        .write(desk.audit(
            id,
            &person.id,
            "chose",
            format!("chooses: {}", chosen.label),
            facts,
        ))
        .write(Write::Question(Box::new(question)))
        .writes(
            shown
                .into_iter()
                .map(|message| Write::Notify(Box::new(message))),
        );
    desk.store
        .commit(batch)
        .await
        .map_err(Refused::from_store)?;
    desk.conductor.drive(id);
    let text = if so_far >= needed {
        format!(
            "{id}: {} chose \u{201c}{}\u{201d}.",
            person.name, chosen.label
        )
    } else {
        format!(
            "{id}: {} chose \u{201c}{}\u{201d}; {so_far} of {needed} have.",
            person.name, chosen.label
        )
    };
    Ok(Some(Reply::say(text)))
}
