//! From the plan to the start: votes are counted, read again, and the plan is made again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rollbot_core::approval::{Approved, Ballot, Ballots, Tally, Verdict, Vote, Way, tally};
use rollbot_core::operation::{ApprovedBy, Operation, State};
use rollbot_core::outbox::About;
use rollbot_core::store::{Batch, Guard, StoreError, Write};
use rollbot_core::{Digest, PersonId};

use super::conductor::{Conductor, Inner, Next};
use super::{PlanFailed, ROLLBOT};
use crate::messages::{self, Announcing, Decided, Occasion};
use rollbot_config::Service;

/// How long a platform may take to say which reactions stand.
const REACTIONS_DEADLINE: Duration = Duration::from_secs(10);

/// The ballot behind a reaction, if it is one.
pub(crate) fn ballot(emoji: &str) -> Option<Ballot> {
    match emoji {
        "white_check_mark" | "heavy_check_mark" | "✅" | "✔️" => Some(Ballot::Approve),
        "x" | "negative_squared_cross_mark" | "❌" | "❎" => Some(Ballot::Veto),
        _ => None,
    }
}

impl Conductor {
    /// Looks at the vote: goes on waiting, ends it, or starts the run.
    pub(super) async fn vote(
        &self,
        operation: Operation,
        entry: &Service,
    ) -> Result<Next, StoreError> {
        let inner = &self.inner;
        let (Some(digest), Some(expires_at)) = (operation.digest.clone(), operation.expires_at)
        else {
            return Err(StoreError::Corrupt {
                what: operation.id.to_string(),
                why: "it asks for votes and has no plan".to_owned(),
            });
        };
        // Reactions were put on and taken off while nobody listened: the message is the truth.
        inner.read_reactions_again(&operation, &digest).await?;
        let count = inner
            .tally(&operation, entry, &digest, &BTreeSet::new())
            .await?;
        match count.verdict {
            Verdict::Waiting => {
                inner
                    .show_tally(&operation, entry, &count, &Decided::Open)
                    .await?;
                let left = expires_at.as_millisecond() - inner.clock.now().as_millisecond();
                let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
                Ok(Next::Wait(Some(left.max(Duration::from_millis(10)))))
            }
            Verdict::Vetoed => {
                let by = inner.names(&count.vetoes);
                inner
                    .end(
                        &operation,
                        State::Vetoed,
                        &format!("Vetoed by {by}; nothing was done."),
                        ROLLBOT,
                    )
                    .await?;
                Ok(Next::Done)
            }
            Verdict::Expired => {
                let why = format!(
                    "The vote ended with {}; nothing was done.",
                    messages::tally_in_words(&count, inner.people())
                );
                inner.end(&operation, State::Expired, &why, ROLLBOT).await?;
                Ok(Next::Done)
            }
            Verdict::Approved => self.start(operation, entry, &digest).await,
        }
    }

    /// Everything is looked at once more; then, in one commit, the run may begin.
    async fn start(
        &self,
        operation: Operation,
        entry: &Service,
        digest: &Digest,
    ) -> Result<Next, StoreError> {
        let inner = &self.inner;
        let unreadable = inner.read_reactions_again(&operation, digest).await?;
        let count = inner.tally(&operation, entry, digest, &unreadable).await?;
        let Some(approved) = count.approved() else {
            let Some(platform) = unreadable.first() else {
                return Ok(Next::Again);
            };
            tracing::warn!(operation = %operation.id, platform, "votes cannot be read again, so they do not count now");
            return Ok(Next::Wait(Some(Duration::from_secs(2))));
        };
        self.begin(operation, entry, approved).await
    }

    /// Starts what was approved, unless the plan would be another one now.
    pub(super) async fn begin(
        &self,
        operation: Operation,
        entry: &Service,
        approved: Approved,
    ) -> Result<Next, StoreError> {
        let inner = &self.inner;
        let id = operation.id;
        let fresh = match inner
            .workshop
            .plan(entry, inner.policy(entry), &operation.procedure)
            .await
        {
            Ok(plan) => plan,
            Err(PlanFailed::Store(error)) => return Err(error),
            Err(error) => {
                let why = format!(
                    "It was approved, but the plan could not be made again right before the start, so nothing was done: {error}"
                );
                inner.end(&operation, State::Failed, &why, ROLLBOT).await?;
                return Ok(Next::Done);
            }
        };
        let digest = fresh.digest();
        if digest != *approved.digest() {
            let frozen = inner
                .frozen_approval(&operation, "replaced: the plan changed")
                .await?;
            let text = format!(
                "The plan changed between the vote and the start: {} became {}. The votes are void; a new vote follows.",
                approved.digest().short(),
                digest.short()
            );
            let batch = Batch::new()
                .guard(Guard::State {
                    operation: id,
                    one_of: vec![State::AwaitingApproval],
                })
                .write(inner.audit(
                    id,
                    ROLLBOT,
                    "plan-changed",
                    text.clone(),
                    serde_json::json!({ "was": approved.digest(), "is": digest }),
                ))
                .writes(frozen)
                .writes(inner.notice(
                    &operation,
                    &format!("replanned/{}", digest.short()),
                    "⚠️",
                    &format!("{id}: a new vote is needed"),
                    &text,
                    Vec::new(),
                ));
            inner.store.commit(batch).await?;
            inner.ask_for_votes(&operation, entry, fresh).await?;
            return Ok(Next::Again);
        }
        inner.record_start(&operation, entry, &approved).await?;
        Ok(Next::Again)
    }
}

impl Inner {
    /// Counts, leaving out the approvals of platforms whose reactions could not be read.
    pub async fn tally(
        &self,
        operation: &Operation,
        entry: &Service,
        digest: &Digest,
        unreadable: &BTreeSet<String>,
    ) -> Result<Tally, StoreError> {
        let mut votes = self.store.votes(operation.id).await?;
        // A veto that was seen stands, even where it cannot be read again.
        votes.retain(|vote| {
            vote.way == Way::Said
                || vote.ballot == Ballot::Veto
                || !unreadable.contains(&vote.account.platform)
        });
        let ballots = Ballots {
            operation: operation.id,
            digest,
            requester: &operation.requester,
            expires_at: operation.expires_at.unwrap_or(operation.requested_at),
            votes: &votes,
        };
        Ok(tally(
            self.policy(entry),
            self.people(),
            ballots,
            self.clock.now(),
        ))
    }

    pub fn names(&self, ids: &[PersonId]) -> String {
        ids.iter()
            .map(|id| self.people().name(id))
            .collect::<Vec<_>>()
            .join(", ")
    }

    async fn show_tally(
        &self,
        operation: &Operation,
        entry: &Service,
        count: &Tally,
        decided: &Decided,
    ) -> Result<(), StoreError> {
        let writes = self.approval_writes(operation, entry, count, decided);
        if writes.is_empty() {
            return Ok(());
        }
        let batch = Batch::new()
            .guard(Guard::Digest {
                operation: operation.id,
                digest: count.digest.clone(),
            })
            .guard(Guard::State {
                operation: operation.id,
                one_of: vec![State::AwaitingApproval],
            })
            .writes(writes);
        self.store.commit(batch).await
    }

    fn approval_writes(
        &self,
        operation: &Operation,
        entry: &Service,
        count: &Tally,
        decided: &Decided,
    ) -> Vec<Write> {
        let Some(plan) = &operation.plan else {
            return Vec::new();
        };
        messages::approval(
            operation,
            plan,
            count,
            self.policy(entry),
            self.people(),
            decided,
            &self.catalogue.operators,
        )
        .into_iter()
        .map(|message| Write::Notify(Box::new(message)))
        .collect()
    }

    /// The approval message as it stays: with the last count and how it was decided.
    pub async fn frozen_approval(
        &self,
        operation: &Operation,
        how: &str,
    ) -> Result<Vec<Write>, StoreError> {
        let (Some(entry), Some(digest)) = (
            self.catalogue.service(&operation.service),
            &operation.digest,
        ) else {
            return Ok(Vec::new());
        };
        if operation.dry_run {
            return Ok(Vec::new());
        }
        let count = self
            .tally(operation, entry, digest, &BTreeSet::new())
            .await?;
        Ok(self.approval_writes(operation, entry, &count, &Decided::Over(how.to_owned())))
    }

    /// Makes the stored votes of each platform what its reactions are now. Returns the platforms
    /// that could not be read.
    async fn read_reactions_again(
        &self,
        operation: &Operation,
        digest: &Digest,
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut unreadable = BTreeSet::new();
        let mut standing: BTreeMap<String, Vec<Vote>> = BTreeMap::new();
        for row in self.store.outbox_of(operation.id).await? {
            let About::Approval { digest: about } = &row.message.about else {
                continue;
            };
            let (true, Some(message_ref)) = (about == digest, &row.message_ref) else {
                continue;
            };
            let to = &row.message.destination;
            let Some(platform) = self.platforms.get(&to.platform) else {
                continue;
            };
            let reading = platform.reactions(&to.channel, message_ref);
            let seen = match tokio::time::timeout(REACTIONS_DEADLINE, reading).await {
                Ok(Ok(seen)) => seen,
                Ok(Err(error)) => {
                    tracing::warn!(operation = %operation.id, platform = to.platform, %error, "reactions cannot be read");
                    unreadable.insert(to.platform.clone());
                    continue;
                }
                Err(_) => {
                    tracing::warn!(operation = %operation.id, platform = to.platform, "reactions were not answered in time");
                    unreadable.insert(to.platform.clone());
                    continue;
                }
            };
            let at = self.clock.now();
            let votes = seen.into_iter().filter_map(|reaction| {
                Some(Vote {
                    operation: operation.id,
                    digest: digest.clone(),
                    ballot: ballot(&reaction.emoji)?,
                    account: reaction.account,
                    way: Way::Reaction,
                    at,
                })
            });
            // A platform may hold more than one message of this vote: a reaction on any counts.
            standing
                .entry(to.platform.clone())
                .or_default()
                .extend(votes);
        }
        for (name, seen) in &standing {
            self.correct_votes(operation, digest, name, seen, unreadable.contains(name))
                .await?;
        }
        Ok(unreadable)
    }

    /// Writes what is new on a platform, and takes back what is not there any more. Where only a
    /// part of its messages could be read, nothing is known to be gone.
    async fn correct_votes(
        &self,
        operation: &Operation,
        digest: &Digest,
        name: &str,
        seen: &[Vote],
        in_part: bool,
    ) -> Result<(), StoreError> {
        let mut stored = self.store.votes(operation.id).await?;
        stored.retain(|vote| {
            vote.digest == *digest && vote.way == Way::Reaction && vote.account.platform == name
        });
        let same = |a: &Vote, b: &Vote| a.account == b.account && a.ballot == b.ballot;
        let new = seen
            .iter()
            .filter(|vote| !stored.iter().any(|known| same(known, vote)))
            .map(|vote| (vote, true));
        let gone = stored
            .iter()
            .filter(|known| !in_part && !seen.iter().any(|vote| same(known, vote)))
            .map(|vote| (vote, false));
        let mut batch = Batch::new();
        for (vote, on) in new.chain(gone) {
            let (write, kind) = if on {
                (Write::Vote(vote.clone()), "vote")
            } else {
                (Write::Unvote(vote.clone()), "vote-withdrawn")
            };
            batch = batch.write(write).write(self.audit(
                operation.id,
                &vote.account.user,
                kind,
                format!("{} (read again on {name})", vote.ballot.as_str()),
                serde_json::json!({ "digest": digest, "account": vote.account }),
            ));
        }
        if batch.writes.is_empty() {
            return Ok(());
        }
        let batch = batch.guard(Guard::Digest {
            operation: operation.id,
            digest: digest.clone(),
        });
        self.store.commit(batch).await
    }

    /// The commit with which a run begins: state, approval on record, messages to operators and
    /// users.
    async fn record_start(
        &self,
        operation: &Operation,
        entry: &Service,
        approved: &Approved,
    ) -> Result<(), StoreError> {
        let at = self.clock.now();
        let id = operation.id;
        let (how, actor) = match approved.by() {
            ApprovedBy::People { people } => (
                format!("approved by {}", self.names(people)),
                ROLLBOT.to_owned(),
            ),
            ApprovedBy::BreakGlass { person, reason } => (
                format!(
                    "started by {} alone, breaking the glass: {reason}",
                    self.people().name(person)
                ),
                person.0.clone(),
            ),
        };
        let mut started = operation.clone();
        started.state = State::Running;
        started.started_at = Some(at);
        started.approved_by = Some(approved.by().clone());
        let live = self.live_state(&started, Vec::new(), 0).await?;
        let occasion = Occasion {
            operation: &started,
            steps: &[],
            estimate: live.estimate,
            title: &entry.title,
            product: &self.catalogue.product,
            contact: &self.catalogue.contact,
            every: self.catalogue.updates_every,
        };
        let mut batch = Batch::new()
            .guard(Guard::State {
                operation: id,
                one_of: vec![State::AwaitingApproval],
            })
            .guard(Guard::Digest {
                operation: id,
                digest: approved.digest().clone(),
            })
            .write(Write::Started {
                operation: id,
                by: approved.by().clone(),
                at,
            })
            .write(Write::State {
                operation: id,
                state: State::Running,
                at,
            })
            .write(self.audit(
                id,
                &actor,
                "started",
                how.clone(),
                serde_json::json!({ "digest": approved.digest(), "approved": approved.by() }),
            ))
            .writes(self.frozen_approval(operation, &how).await?);
        let live = messages::live(&live, self.people(), &self.catalogue.operators, at);
        let users = messages::announcement(
            Announcing::Maintenance,
            &occasion,
            &self.catalogue.users,
            at,
        );
        batch = batch.writes(
            live.into_iter()
                .chain(users)
                .map(|message| Write::Notify(Box::new(message))),
        );
        if let ApprovedBy::BreakGlass { person, reason } = approved.by() {
            let skipped: Vec<_> = self
                .people()
                .iter()
                .filter(|other| {
                    other.id != *person
                        && self
                            .policy(entry)
                            .may_vote(other, &operation.requester)
                            .is_ok()
                })
                .map(|other| other.name.clone())
                .collect();
            batch = batch.writes(self.notice(
                operation,
                "break-glass",
                "🚨",
                &format!("{id} was started without a vote"),
                &format!(
                    "{} broke the glass to roll back {}: {reason}",
                    self.people().name(person),
                    operation.service
                ),
                vec![format!("Not asked: {}", skipped.join(", "))],
            ));
        }
        self.store.commit(batch).await
    }
}
