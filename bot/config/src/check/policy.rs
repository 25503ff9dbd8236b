//! Who may approve, and whether those are enough.

use std::collections::BTreeSet;
use std::ops::Range;

use rollbot_core::approval::{BreakGlass, People, Policy};

use super::people::Groups;
use super::reader::{Reader, Within, items};
use crate::written::{self, Given, Period};

const DEFAULT_EXPIRY_SECONDS: u64 = 15 * 60;
const MOST_APPROVALS: u32 = 50;

/// Who there is, as far as `people.toml` could be read.
pub(crate) struct Electors<'a> {
    pub groups: Option<&'a Groups>,
    pub people: Option<&'a People>,
}

/// The policy of `[approval]`, or with `inherited` that of a service.
pub(crate) fn policy(
    reader: &Reader,
    within: &Within,
    written: &written::Approval,
    inherited: Option<&Policy>,
    electors: &Electors<'_>,
) -> Option<Policy> {
    let required = match (inherited, written.required.spanned()) {
        (Some(policy), None) => Some(policy.required),
        _ => reader
            .need(
                within,
                "required",
                "how many people must approve",
                &written.required,
            )
            .and_then(|required| reader.within(required, 1, MOST_APPROVALS)),
    };
    let groups = match (inherited, written.groups.is_given()) {
        (Some(policy), false) => Some(policy.groups.clone()),
        _ => reader
            .need(
                within,
                "groups",
                "members of which groups may approve",
                &written.groups,
            )
            .and_then(|list| groups(reader, list.span(), &written.groups, electors)),
    };
    let requester_counts = written
        .requester_counts
        .get()
        .copied()
        .unwrap_or(inherited.is_some_and(|policy| policy.requester_counts));
    let expiry_seconds = match written.expiry.spanned() {
        Some(expiry) => {
            let (least, most) = (Period::seconds(10), Period::seconds(7 * 24 * 3600));
            reader
                .within(expiry, least, most)
                .map(|expiry| expiry.0.as_secs())
        }
        None => Some(inherited.map_or(DEFAULT_EXPIRY_SECONDS, |policy| policy.expiry_seconds)),
    };
    let policy = Policy {
        required: required?,
        groups: groups?,
        requester_counts,
        expiry_seconds: expiry_seconds?,
    };
    if let Some(people) = electors.people {
        let part = [
            written.required.span(),
            written.groups.span(),
            written.requester_counts.span(),
        ]
        .into_iter()
        .flatten()
        .next();
        can_be_reached(
            reader,
            part.or_else(|| within.span.clone()),
            &policy,
            people,
        )?;
    }
    Some(policy)
}

/// Whoever asks, enough others must be able to approve: found out here, and not when it burns.
fn can_be_reached(
    reader: &Reader,
    part: Option<Range<usize>>,
    policy: &Policy,
    people: &People,
) -> Option<()> {
    let fewest = people
        .iter()
        .map(|requester| (policy.electorate(people, &requester.id), requester))
        .min_by_key(|(electorate, _)| *electorate);
    let Some((electorate, requester)) = fewest else {
        return Some(());
    };
    if electorate >= policy.required as usize {
        return Some(());
    }
    let groups: Vec<_> = policy.groups.iter().map(String::as_str).collect();
    let groups = groups.join(", ");
    let approvals = match policy.required {
        1 => "1 approval is".to_owned(),
        required => format!("{required} approvals are"),
    };
    let others = match electorate {
        0 => format!("nobody in {groups} may approve"),
        1 => format!("only 1 member of {groups} may approve"),
        count => format!("only {count} members of {groups} may approve"),
    };
    let message = format!(
        "{approvals} required, but when `{}` asks, {others}",
        requester.id
    );
    let help = "add people to the groups, or lower `required`; who asks does not count unless \
                `requester_counts` is true";
    let within = Within {
        span: part,
        name: String::new(),
    };
    reader.problem_in(&within, message, Some(help.to_owned()));
    None
}

/// Groups that must have members.
fn groups(
    reader: &Reader,
    part: Range<usize>,
    list: &Given<Vec<Given<String>>>,
    electors: &Electors<'_>,
) -> Option<BTreeSet<String>> {
    if items(list).next().is_none() {
        reader.problem(
            part,
            "this list is empty, so nobody could do it: name at least one group",
        );
        return None;
    }
    let mut good = true;
    if let Some(known) = electors.groups {
        for group in items(list).filter(|group| !known.contains(group.get_ref().as_str())) {
            let names = known.iter().map(String::as_str);
            reader.unknown(
                group,
                "group",
                names,
                "groups that somebody in people.toml is in",
            );
            good = false;
        }
    }
    good.then(|| items(list).map(|group| group.get_ref().clone()).collect())
}

pub(crate) fn break_glass(
    reader: &Reader,
    within: &Within,
    written: &written::BreakGlass,
    electors: &Electors<'_>,
) -> Option<BreakGlass> {
    let enabled = written.enabled.get().copied().unwrap_or(false);
    let groups = match written.groups.spanned() {
        // Switched off it may well be empty.
        Some(list) if enabled || !list.get_ref().is_empty() => {
            groups(reader, list.span(), &written.groups, electors)
        }
        Some(_) => Some(BTreeSet::new()),
        None if enabled => {
            let what = "members of which groups may start alone";
            reader.need(within, "groups", what, &written.groups);
            None
        }
        None => Some(BTreeSet::new()),
    };
    Some(BreakGlass {
        enabled,
        groups: groups?,
    })
}
