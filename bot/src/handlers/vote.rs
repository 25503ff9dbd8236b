//! ✅ and ❌ under a request for votes, and its buttons. A withdrawn reaction withdraws the vote; what
//! was said by button is taken back by button.

use rollbot_chat::MessageAt;
use rollbot_core::approval::{Account, Ballot, MayNot, Vote, Way};
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
    /// Nothing to cast: both are taken back.
    pub ballot: Option<Ballot>,
    pub way: Way,
    /// `false` takes it back.
    pub on: bool,
}

/// The buttons under a request for votes, on platforms whose people like to press some.
pub const BUTTONS: [(&str, &str); 3] = [
    ("approve", "Approve"),
    ("veto", "Veto"),
    ("withdraw", "Withdraw my vote"),
];

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
    let Some(row) = desk.sent(message).await? else {
        return Ok(None);
    };
    let About::Approval { digest } = row.message.about else {
        return Ok(None);
    };
    let cast = Cast {
        operation: row.message.operation,
        digest,
        account: account.clone(),
        ballot: Some(ballot),
        way: Way::Reaction,
        on,
    };
    cast_vote(desk, key, cast).await
}

/// A button under a request for votes. Unlike a reaction it leaves nothing that its presser could
/// see, so it is answered.
pub async fn button(
    desk: &Desk,
    key: EventKey,
    account: &Account,
    operation: OperationId,
    digest: Digest,
    choice: &str,
) -> Handled {
    let (ballot, on) = match choice {
        "approve" => (Some(Ballot::Approve), true),
        "veto" => (Some(Ballot::Veto), true),
        "withdraw" => (None, false),
        other => {
            return Err(Refused::You(format!(
                "`{other}` is no vote: approve, veto or withdraw."
            )));
        }
    };
    let cast = Cast {
        operation,
        digest,
        account: account.clone(),
        ballot,
        way: Way::Said,
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
        // Once per event: a platform delivers more than once. And a reaction that somebody puts on
        // again and again is refused with the same words only once; a button is always answered.
        let told = match cast.way {
            Way::Reaction => EventKey::new(
                &cast.account.platform,
                &format!("told/{id}/{}/{}/{why}", cast.digest, cast.account.user),
            ),
            Way::Said => key.clone(),
        };
        if !desk.store.seen(&key).await? {
            let entry = desk.entry(actor, "vote-refused", why.clone(), facts.clone());
            let mut batch = Batch::new().guard(Guard::NewEvent(key.clone()));
            if told != key {
                batch = batch.guard(Guard::NewEvent(told));
            }
            let batch = batch.write(Write::Audit {
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
        && !(cast.ballot == Some(Ballot::Veto) && person.id == operation.requester)
    {
        return refuse(
            &person.id.0,
            format!("Your vote on {id} does not count: {why}."),
        )
        .await;
    }
    let vote = |ballot| Vote {
        operation: id,
        digest: cast.digest.clone(),
        account: cast.account.clone(),
        ballot,
        way: cast.way,
        at: desk.clock.now(),
    };
    let (kind, text) = match (cast.on, cast.ballot) {
        (true, Some(Ballot::Approve)) => ("vote", "approves"),
        (true, Some(Ballot::Veto)) => ("vote", "vetoes"),
        (false, Some(Ballot::Approve)) => ("vote-withdrawn", "withdraws the approval"),
        (false, Some(Ballot::Veto)) => ("vote-withdrawn", "withdraws the veto"),
        (_, None) => ("vote-withdrawn", "withdraws every vote given by button"),
    };
    let writes: Vec<Write> = match cast.ballot {
        Some(ballot) if cast.on => vec![Write::Vote(vote(ballot))],
        Some(ballot) => vec![Write::Unvote(vote(ballot))],
        None => [Ballot::Approve, Ballot::Veto]
            .map(|ballot| Write::Unvote(vote(ballot)))
            .into(),
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
        .writes(writes)
        .write(desk.audit(id, &person.id, kind, text, facts.clone()));
    desk.store
        .commit(batch)
        .await
        .map_err(Refused::from_store)?;
    desk.conductor.drive(id);
    Ok(
        Some(Reply::say(format!("{id}: {} {text}.", person.name)))
            .filter(|_| cast.way == Way::Said),
    )
}
