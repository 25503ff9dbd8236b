//! Who has approved what. The one place that authorises a start.
//!
//! [`Approved`] can be made nowhere else, and the engine starts nothing without one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::id::{Digest, OperationId, PersonId};
use crate::operation::ApprovedBy;

/// An account on a platform, by its immutable ids. Display names identify nobody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Account {
    /// `slack`, `discord`, `console`, `unix`.
    pub platform: String,
    /// Slack's team id; empty where the platform has none.
    pub team: String,
    pub user: String,
}

/// One human, with all accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub id: PersonId,
    pub name: String,
    pub email: Option<String>,
    pub accounts: Vec<Account>,
    pub groups: BTreeSet<String>,
}

/// Everybody who can be told from anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    by_id: BTreeMap<PersonId, Person>,
    by_account: BTreeMap<Account, PersonId>,
}

/// The list of people contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    #[error("`{0}` is listed twice")]
    Twice(PersonId),
    #[error(
        "account {user} on {platform} belongs to both `{first}` and `{second}`: one human counts once, so an account has one owner"
    )]
    Shared {
        platform: String,
        user: String,
        first: PersonId,
        second: PersonId,
    },
}

impl People {
    /// # Errors
    /// A person listed twice, or an account with two owners.
    pub fn new(people: impl IntoIterator<Item = Person>) -> Result<Self, PeopleError> {
        let mut all = Self::default();
        for person in people {
            for account in &person.accounts {
                if let Some(first) = all.by_account.insert(account.clone(), person.id.clone()) {
                    return Err(PeopleError::Shared {
                        platform: account.platform.clone(),
                        user: account.user.clone(),
                        first,
                        second: person.id,
                    });
                }
            }
            let id = person.id.clone();
            if all.by_id.insert(id.clone(), person).is_some() {
                return Err(PeopleError::Twice(id));
            }
        }
        Ok(all)
    }

    /// The person behind an account; `None` for unmapped accounts and bots, which count zero.
    pub fn of(&self, account: &Account) -> Option<&Person> {
        self.by_account
            .get(account)
            .and_then(|id| self.by_id.get(id))
    }

    pub fn get(&self, id: &PersonId) -> Option<&Person> {
        self.by_id.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Person> {
        self.by_id.values()
    }

    /// The name people know them by; the id where they are no longer listed.
    pub fn name<'a>(&'a self, id: &'a PersonId) -> &'a str {
        self.by_id
            .get(id)
            .map_or(id.0.as_str(), |person| person.name.as_str())
    }
}

/// What it takes to approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// How many distinct people.
    pub required: u32,
    /// Members of any of these count. An empty list means that nobody can approve.
    pub groups: BTreeSet<String>,
    /// Whether the one who asked counts as well.
    pub requester_counts: bool,
    /// Seconds a vote stays open.
    pub expiry_seconds: u64,
}

impl Policy {
    /// Part of the digest: a changed policy voids the votes.
    pub fn version(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        Digest::of(crate::plan::canonical_json(&value).as_bytes())
            .short()
            .to_owned()
    }

    pub fn expires(&self, from: Timestamp) -> Timestamp {
        let seconds = i64::try_from(self.expiry_seconds).unwrap_or(i64::MAX);
        from.checked_add(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MAX)
    }

    /// Whether this person may vote on an operation of `requester`, and if not, why not.
    ///
    /// # Errors
    /// The reason, as it is told to them.
    pub fn may_vote(&self, person: &Person, requester: &PersonId) -> Result<(), MayNot> {
        if self.groups.is_empty() {
            return Err(MayNot::NobodyCan);
        }
        if person.groups.is_disjoint(&self.groups) {
            return Err(MayNot::NotInGroup {
                groups: self.groups.iter().cloned().collect::<Vec<_>>().join(", "),
            });
        }
        if person.id == *requester && !self.requester_counts {
            return Err(MayNot::OwnRequest);
        }
        Ok(())
    }

    /// How many people could approve an operation of `requester`.
    pub fn electorate(&self, people: &People, requester: &PersonId) -> usize {
        people
            .iter()
            .filter(|person| self.may_vote(person, requester).is_ok())
            .count()
    }
}

/// Why a vote does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum MayNot {
    #[error("this account belongs to nobody in people.toml, so its vote counts zero")]
    Unmapped,
    #[error("only members of {groups} may vote here")]
    NotInGroup { groups: String },
    #[error("who asks for an operation cannot approve it")]
    OwnRequest,
    #[error("no group of approvers is configured, so nobody can approve")]
    NobodyCan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ballot {
    Approve,
    Veto,
}

impl Ballot {
    pub fn as_str(self) -> &'static str {
        match self {
            Ballot::Approve => "approve",
            Ballot::Veto => "veto",
        }
    }
}

/// How a vote was given, which says where its truth is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// A reaction under the request: the platform knows whether it still stands.
    Reaction,
    /// By button or on the command line: the store knows.
    Said,
}

impl Way {
    pub fn as_str(self) -> &'static str {
        match self {
            Way::Reaction => "reaction",
            Way::Said => "said",
        }
    }
}

/// A vote as it stands: one per account, ballot and way on a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    pub operation: OperationId,
    pub digest: Digest,
    pub account: Account,
    pub ballot: Ballot,
    pub way: Way,
    pub at: Timestamp,
}

/// How a vote stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub operation: OperationId,
    pub digest: Digest,
    /// Distinct people whose approval counts, in order of their votes.
    pub approvals: Vec<PersonId>,
    pub vetoes: Vec<PersonId>,
    pub required: u32,
    /// Votes that do not count, and why.
    pub ignored: Vec<(Account, MayNot)>,
    pub expires_at: Timestamp,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Waiting,
    Approved,
    Vetoed,
    Expired,
}

/// What is voted on.
#[derive(Debug, Clone, Copy)]
pub struct Ballots<'a> {
    pub operation: OperationId,
    pub digest: &'a Digest,
    pub requester: &'a PersonId,
    pub expires_at: Timestamp,
    /// All votes of the operation; those on another digest are left out here.
    pub votes: &'a [Vote],
}

/// Counts people, not accounts. A veto wins over everything, an expiry over approvals.
pub fn tally(policy: &Policy, people: &People, ballots: Ballots<'_>, now: Timestamp) -> Tally {
    let mut approvals = Vec::new();
    let mut vetoes = Vec::new();
    let mut ignored = Vec::new();
    let mut votes: Vec<_> = ballots
        .votes
        .iter()
        .filter(|vote| vote.operation == ballots.operation && vote.digest == *ballots.digest)
        .collect();
    votes.sort_by_key(|vote| vote.at);
    for vote in votes {
        let Some(person) = people.of(&vote.account) else {
            ignored.push((vote.account.clone(), MayNot::Unmapped));
            continue;
        };
        // Stopping is always safe: who asked may veto their own request.
        let own_veto = vote.ballot == Ballot::Veto && person.id == *ballots.requester;
        if let Err(why) = policy.may_vote(person, ballots.requester)
            && !own_veto
        {
            ignored.push((vote.account.clone(), why));
            continue;
        }
        let side = match vote.ballot {
            Ballot::Approve => &mut approvals,
            Ballot::Veto => &mut vetoes,
        };
        if !side.contains(&person.id) {
            side.push(person.id.clone());
        }
    }
    let verdict = if !vetoes.is_empty() {
        Verdict::Vetoed
    } else if now >= ballots.expires_at {
        Verdict::Expired
    } else if policy.required > 0 && approvals.len() >= policy.required as usize {
        Verdict::Approved
    } else {
        Verdict::Waiting
    };
    Tally {
        operation: ballots.operation,
        digest: ballots.digest.clone(),
        approvals,
        vetoes,
        required: policy.required,
        ignored,
        expires_at: ballots.expires_at,
        verdict,
    }
}

/// Proof that exactly this digest of this operation may be performed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    operation: OperationId,
    digest: Digest,
    by: ApprovedBy,
}

impl Approved {
    pub fn operation(&self) -> OperationId {
        self.operation
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub fn by(&self) -> &ApprovedBy {
        &self.by
    }

    /// An operation that was started before, as the store remembers it: a restart asks nobody
    /// again. `None` when it was never approved, or the plan is not the approved one any more.
    pub fn resumed(operation: &crate::operation::Operation) -> Option<Self> {
        let plan = operation.plan.as_ref()?;
        let digest = operation.digest.clone()?;
        if !operation.state.is_under_way() || plan.digest() != digest {
            return None;
        }
        Some(Self {
            operation: operation.id,
            digest,
            by: operation.approved_by.clone()?,
        })
    }

    /// By the standing break-glass policy, which is off unless the configuration names it.
    ///
    /// # Errors
    /// Why it may not be used.
    pub fn break_glass(
        policy: &BreakGlass,
        person: &Person,
        reason: &str,
        operation: OperationId,
        digest: &Digest,
    ) -> Result<Self, BreakGlassRefused> {
        if !policy.enabled {
            return Err(BreakGlassRefused::Off);
        }
        if person.groups.is_disjoint(&policy.groups) {
            return Err(BreakGlassRefused::NotInGroup {
                groups: policy.groups.iter().cloned().collect::<Vec<_>>().join(", "),
            });
        }
        if reason.trim().is_empty() {
            return Err(BreakGlassRefused::NoReason);
        }
        Ok(Self {
            operation,
            digest: digest.clone(),
            by: ApprovedBy::BreakGlass {
                person: person.id.clone(),
                reason: reason.trim().to_owned(),
            },
        })
    }
}

impl Tally {
    /// The proof, if the verdict is that it was approved.
    pub fn approved(&self) -> Option<Approved> {
        (self.verdict == Verdict::Approved).then(|| Approved {
            operation: self.operation,
            digest: self.digest.clone(),
            by: ApprovedBy::People {
                people: self.approvals.clone(),
            },
        })
    }
}

/// One person may start alone, for a reason, and everybody who was skipped is alerted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    pub enabled: bool,
    pub groups: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BreakGlassRefused {
    #[error("break-glass is off: it is switched on in rollbot.toml, under [break_glass]")]
    Off,
    #[error("only members of {groups} may break the glass")]
    NotInGroup { groups: String },
    #[error("breaking the glass needs a reason")]
    NoReason,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn account(platform: &str, user: &str) -> Account {
        Account {
            platform: platform.into(),
            team: String::new(),
            user: user.into(),
        }
    }

    fn person(id: &str, groups: &[&str]) -> Person {
        Person {
            id: id.into(),
            name: id.to_uppercase(),
            email: None,
            accounts: vec![account("console", id), account("unix", id)],
            groups: groups.iter().map(|&g| g.to_owned()).collect(),
        }
    }

    fn people() -> People {
        People::new([
            person("ana", &["approvers"]),
            person("ben", &["approvers"]),
            person("cleo", &["approvers"]),
            person("dan", &["support"]),
        ])
        .unwrap()
    }

    fn policy() -> Policy {
        Policy {
            required: 2,
            groups: ["approvers".to_owned()].into(),
            requester_counts: false,
            expiry_seconds: 900,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn vote(platform: &str, user: &str, ballot: Ballot, digest: &Digest, second: i64) -> Vote {
        Vote {
            operation: OperationId::new(1).unwrap(),
            digest: digest.clone(),
            account: account(platform, user),
            ballot,
            way: Way::Reaction,
            at: at(second),
        }
    }

    fn count(policy: &Policy, votes: &[Vote], digest: &Digest, now: i64) -> Tally {
        let requester = "ana".into();
        let ballots = Ballots {
            operation: OperationId::new(1).unwrap(),
            digest,
            requester: &requester,
            expires_at: at(900),
            votes,
        };
        tally(policy, &people(), ballots, at(now))
    }

    #[test]
    fn a_person_with_two_accounts_counts_once() {
        let digest = Digest::of(b"plan");
        let votes = [
            vote("console", "ben", Ballot::Approve, &digest, 1),
            vote("unix", "ben", Ballot::Approve, &digest, 2),
        ];
        let tally = count(&policy(), &votes, &digest, 3);
        assert_eq!(tally.approvals, vec!["ben".into()]);
        assert_eq!(tally.verdict, Verdict::Waiting);
        assert!(tally.approved().is_none());
    }

    #[test]
    fn the_requester_strangers_and_outsiders_count_zero_and_are_told_why() {
        let digest = Digest::of(b"plan");
        let votes = [
            vote("console", "ana", Ballot::Approve, &digest, 1),
            vote("console", "dan", Ballot::Approve, &digest, 2),
            vote("console", "nobody", Ballot::Approve, &digest, 3),
        ];
        let tally = count(&policy(), &votes, &digest, 4);
        assert!(tally.approvals.is_empty());
        let reasons: Vec<_> = tally.ignored.iter().map(|(_, why)| why.clone()).collect();
        assert_eq!(
            reasons,
            vec![
                MayNot::OwnRequest,
                MayNot::NotInGroup {
                    groups: "approvers".into()
                },
                MayNot::Unmapped
            ]
        );
    }

    #[test]
    fn two_people_approve_exactly_the_digest_they_saw() {
        let digest = Digest::of(b"plan");
        let other = Digest::of(b"another plan");
        let votes = [
            vote("console", "ben", Ballot::Approve, &digest, 1),
            vote("console", "cleo", Ballot::Approve, &other, 2),
        ];
        assert_eq!(
            count(&policy(), &votes, &digest, 3).verdict,
            Verdict::Waiting
        );
        let votes = [
            votes[0].clone(),
            vote("unix", "cleo", Ballot::Approve, &digest, 2),
        ];
        let approved = count(&policy(), &votes, &digest, 3).approved().unwrap();
        assert_eq!(approved.digest(), &digest);
    }

    #[test]
    fn a_veto_wins_and_expiry_voids() {
        let digest = Digest::of(b"plan");
        let mut votes = vec![
            vote("console", "ben", Ballot::Approve, &digest, 1),
            vote("console", "cleo", Ballot::Approve, &digest, 2),
        ];
        assert_eq!(
            count(&policy(), &votes, &digest, 899).verdict,
            Verdict::Approved
        );
        assert_eq!(
            count(&policy(), &votes, &digest, 900).verdict,
            Verdict::Expired
        );
        votes.push(vote("console", "ana", Ballot::Veto, &digest, 3));
        assert_eq!(
            count(&policy(), &votes, &digest, 4).verdict,
            Verdict::Vetoed
        );
    }

    #[test]
    fn an_empty_list_of_approvers_means_that_nobody_can_approve() {
        let digest = Digest::of(b"plan");
        let nobody = Policy {
            groups: BTreeSet::new(),
            ..policy()
        };
        let none_required = Policy {
            required: 0,
            ..policy()
        };
        let votes = [
            vote("console", "ben", Ballot::Approve, &digest, 1),
            vote("console", "cleo", Ballot::Approve, &digest, 2),
        ];
        assert_eq!(count(&nobody, &votes, &digest, 3).verdict, Verdict::Waiting);
        assert_eq!(
            count(&none_required, &votes, &digest, 3).verdict,
            Verdict::Waiting
        );
    }

    #[test]
    fn an_account_has_one_owner() {
        let mut double = person("eve", &["approvers"]);
        double.accounts.push(account("console", "ana"));
        let error = People::new([person("ana", &[]), double]).unwrap_err();
        assert!(matches!(error, PeopleError::Shared { .. }), "{error}");
    }

    #[test]
    fn break_glass_is_off_unless_configured_and_needs_a_reason() {
        let digest = Digest::of(b"plan");
        let id = OperationId::new(1).unwrap();
        let ana = person("ana", &["approvers"]);
        let off = BreakGlass::default();
        let on = BreakGlass {
            enabled: true,
            groups: ["approvers".to_owned()].into(),
        };
        assert_eq!(
            Approved::break_glass(&off, &ana, "fire", id, &digest),
            Err(BreakGlassRefused::Off)
        );
        assert_eq!(
            Approved::break_glass(&on, &ana, " ", id, &digest),
            Err(BreakGlassRefused::NoReason)
        );
        assert!(Approved::break_glass(&on, &person("dan", &[]), "fire", id, &digest).is_err());
        assert!(Approved::break_glass(&on, &ana, "fire", id, &digest).is_ok());
    }
}
