//! `people.toml`

use serde::{Deserialize, Serialize};

use super::Given;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct People {
    pub person: Given<Vec<Given<Person>>>,
}

/// One human, with all accounts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Person {
    /// Never changes: votes and the audit log name people by it. Lower case letters, digits, `-`,
    /// `.` and `_`.
    pub id: Given<String>,
    /// What people call them.
    pub name: Given<String>,
    pub email: Given<String>,
    pub groups: Given<Vec<Given<String>>>,
    /// Whether they may log in to the web console. Default: no.
    pub console: Given<bool>,
    /// Login name on the bot's machine, for the command line.
    pub unix: Given<String>,
    /// Discord's user id: `302050872383242240`.
    pub discord: Given<String>,
    pub slack: Given<SlackAccount>,
}

/// A Slack account. The ids, not the names: those can be changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlackAccount {
    /// `T024BE7LD`
    pub team: Given<String>,
    /// `U023BECGF`
    pub user: Given<String>,
}
