//! `rollbot people check`: whether everybody in `people.toml` is who the platforms say they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rollbot_chat::{AccountFacts, Level, OnlineCheck, SendError};
use rollbot_core::approval::{Account, Person};

use super::Ended;
use super::args::PeopleCheckArgs;
use super::check::{Finding, approvals, finish};
use crate::platforms::Platforms;

/// How long a platform may take for one account.
const DEADLINE: Duration = Duration::from_secs(20);

pub async fn check(directory: &Path, args: PeopleCheckArgs) -> Ended {
    let config = crate::serve::load(directory)?;
    let checks: BTreeMap<_, _> = Platforms::from_config(&config)?
        .checks()
        .into_iter()
        .collect();
    let mut findings = approvals(&config);
    if checks.is_empty() {
        findings.push(Finding::new(
            "platforms",
            Level::Warn,
            "neither [slack] nor [discord] is configured, so no account can be looked up",
        ));
    }
    // One after the other: platforms limit how fast they answer, and this is not urgent.
    for person in config.people.iter() {
        for account in &person.accounts {
            if let Some(platform) = checks.get(account.platform.as_str()) {
                findings.push(account_of(platform.as_ref(), person, account).await);
            }
        }
    }
    finish(&findings, args.json)
}

async fn account_of(platform: &dyn OnlineCheck, person: &Person, account: &Account) -> Finding {
    let what = format!("{} on {}", person.name, account.platform);
    let found = tokio::time::timeout(DEADLINE, platform.look_up(account))
        .await
        .unwrap_or_else(|_| {
            Err(SendError::Again {
                why: format!("no answer within {} s", DEADLINE.as_secs()),
                after: None,
            })
        });
    let (level, text) = match found {
        Ok(Some(facts)) => judged(&account.user, &facts),
        Ok(None) => (
            Level::Fail,
            format!(
                "nobody has the id {}: copy it anew from the person's profile",
                account.user
            ),
        ),
        Err(error) => (
            Level::Fail,
            format!("{} was not found out: {error}", account.user),
        ),
    };
    Finding::new(&what, level, text)
}

fn judged(user: &str, facts: &AccountFacts) -> (Level, String) {
    let name = &facts.name;
    match facts {
        AccountFacts { gone: true, .. } => (
            Level::Fail,
            format!("{user} ({name}) was deactivated: remove the account, or the person"),
        ),
        AccountFacts { bot: true, .. } => (
            Level::Fail,
            format!("{user} ({name}) is a bot, and bots count for nothing"),
        ),
        AccountFacts { guest: true, .. } => (
            Level::Warn,
            format!("{user} is {name}, a guest there: is that meant?"),
        ),
        AccountFacts { .. } => (Level::Pass, format!("{user} is {name}")),
    }
}
