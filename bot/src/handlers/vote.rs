//! ✅ and ❌ under a request for votes. A withdrawn reaction withdraws the vote.

use rollbot_chat::MessageAt;
use rollbot_core::approval::{Account, Ballot, MayNot, Vote};
use rollbot_core::operation::State;
use rollbot_core::outbox::About;
use rollbot_core::store::{Batch, Guard, GuardFailed, StoreError, Write};
use rollbot_core::{Digest, EventKey, OperationId};

use crate::dispatch::{Desk, Handled, Refused, Reply};
use crate::operation::ballot;

/// A vote, wherever it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    pub operation: OperationId,
    pub digest: Digest,
    pub account: Account,
    pub ballot: Ballot,
    /// `false` takes it back.
    pub on: bool,
}

/// A reaction. Those under other messages, and other emoji, mean nothing to us.
pub async fn reaction(
    desk: &Desk,
    key: EventKey,
    account: &Account,
    message: &MessageAt,
    emoji: &str,
    on: bool,
) -> Handled {
    let Some(ballot) = ballot(emoji) else {
        return Ok(None);
    };
    let row = desk
        .store
        .outbox_by_message(&message.platform, &message.channel, &message.message_ref)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let About::Approval { digest } = row.message.about else {
        return Ok(None);
    };
    let cast = Cast {
        operation: row.message.operation,
        digest,
        account: account.clone(),
        ballot,
        on,
    };
    cast_vote(desk, key, cast).await
}

/// Records a vote if it may be cast, and says why where it may not.
pub async fn cast_vote(desk: &Desk, key: EventKey, cast: Cast) -> Handled {
    let operation = desk.load(cast.operation).await?;
    let id = operation.id;
    let facts = serde_json::json!({
        "digest": cast.digest, "account": cast.account, "ballot": cast.ballot, "on": cast.on,
    });
    let refuse = async |actor: &str, why: String| -> Handled {
        // Once per event: a platform delivers more than once.
        if !desk.store.seen(&key).await? {
            let entry = desk.entry(actor, "vote-refused", why.clone(), facts.clone());
            let batch = Batch::new()
                .guard(Guard::NewEvent(key.clone()))
                .write(Write::Audit {
                    operation: id,
                    entry,
                });
            match desk.store.commit(batch).await {
                Ok(()) => {}
                Err(StoreError::Guard(GuardFailed::SeenBefore)) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            return Err(Refused::You(why));
        }
        Ok(None)
    };
    let Some(person) = desk.catalogue.people.of(&cast.account) else {
        return refuse(
            &cast.account.user,
            format!("Your vote on {id} does not count: {}.", MayNot::Unmapped),
        )
        .await;
    };
    let Some(entry) = desk.catalogue.service(&operation.service) else {
        return Err(Refused::You(format!(
            "{} is not configured any more.",
            operation.service
        )));
    };
    let over = match &operation.digest {
        Some(digest) if *digest != cast.digest => Some(format!(
            "Your vote does not count: {id} asks for votes on another plan now."
        )),
        _ if operation.state != State::AwaitingApproval => Some(format!(
            "Your vote does not count: the vote on {id} is over, it is {}.",
            operation.state.in_words()
        )),
        _ => None,
    };
    if let Some(why) = over {
        return refuse(&person.id.0, why).await;
    }
    if cast.on
        && let Err(why) = entry.approval.may_vote(person, &operation.requester)
        && !(cast.ballot == Ballot::Veto && person.id == operation.requester)
    {
        return refuse(
            &person.id.0,
            format!("Your vote on {id} does not count: {why}."),
        )
        .await;
    }
    let vote = Vote {
        operation: id,
        digest: cast.digest.clone(),
        account: cast.account.clone(),
        ballot: cast.ballot,
        at: desk.clock.now(),
    };
    let (kind, text) = match (cast.on, cast.ballot) {
        (true, Ballot::Approve) => ("vote", "approves"),
        (true, Ballot::Veto) => ("vote", "vetoes"),
        (false, Ballot::Approve) => ("vote-withdrawn", "withdraws the approval"),
        (false, Ballot::Veto) => ("vote-withdrawn", "withdraws the veto"),
    };
    let write = if cast.on {
        Write::Vote(vote)
    } else {
        Write::Unvote(vote)
    };
    let batch = Batch::new()
        .guard(Guard::NewEvent(key.clone()))
        .guard(Guard::State {
            operation: id,
            one_of: vec![State::AwaitingApproval],
        })
        .guard(Guard::Digest {
            operation: id,
            digest: cast.digest.clone(),
        })
        .write(write)
        .write(desk.audit(id, &person.id, kind, text, facts.clone()));
    desk.store
        .commit(batch)
        .await
        .map_err(Refused::from_store)?;
    desk.conductor.drive(id);
    Ok(Some(Reply::say(format!("{id}: {} {text}.", person.name)))
        .filter(|_| cast.account.platform == "unix"))
}
