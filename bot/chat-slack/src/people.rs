//! Who we are, and which team somebody belongs to.

use std::time::{Duration, Instant};

use rollbot_chat::SendError;
use rollbot_core::approval::Account;
use serde::Deserialize;
use serde_json::json;

use crate::pace::Urgency;
use crate::web::{Call, Token};
use crate::{PLATFORM, Slack};

/// What `auth.test` says.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Me {
    pub(crate) user_id: String,
    pub(crate) team_id: String,
    /// Set where the workspace is part of an Enterprise organisation.
    #[serde(default)]
    pub(crate) enterprise_id: Option<String>,
    #[serde(default)]
    pub(crate) team: String,
}

impl Me {
    pub(crate) async fn ask(slack: &Slack) -> Result<Self, SendError> {
        let call = Call::new("auth.test", "", Urgency::High);
        let me: Self = slack.web.post(Token::Bot, call, &json!({})).await?;
        match &slack.config.team {
            Some(team) if *team != me.team_id => {
                let why = format!(
                    "the bot token belongs to the workspace {} ({}), the configuration names {team}: \
                     use the token of that workspace, or change slack.team",
                    me.team_id, me.team
                );
                slack.web.refuse(Token::Bot, &why);
                Err(SendError::Unauthorised(why))
            }
            _ => Ok(me),
        }
    }
}

/// A person, as `users.info` shows them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct User {
    #[serde(default)]
    pub(crate) team_id: Option<String>,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) real_name: Option<String>,
    #[serde(default)]
    pub(crate) deleted: bool,
    #[serde(default)]
    pub(crate) is_bot: bool,
    #[serde(default)]
    pub(crate) is_restricted: bool,
    #[serde(default)]
    pub(crate) is_ultra_restricted: bool,
    /// A member of another organisation, in a shared channel.
    #[serde(default)]
    pub(crate) is_stranger: bool,
}

#[derive(Deserialize)]
struct Known {
    user: User,
}

/// How long a person's team is believed. In an Enterprise organisation people have a team of their
/// own, whichever workspace they act in.
const REMEMBER: Duration = Duration::from_secs(3_600);
/// Of so many people it is remembered, with when it was asked for.
pub(crate) const MOST_TEAMS: usize = 10_000;

impl Slack {
    /// What Slack knows of a person.
    pub(crate) async fn user(&self, user: &str) -> Result<User, SendError> {
        let call = Call::new("users.info", user, Urgency::High);
        let arguments = [("user", Some(user.to_owned()))];
        let known: Known = self.web.get(call, &arguments).await?;
        Ok(known.user)
    }

    /// The account of a person. `said`: the team that Slack named with the event. In an ordinary
    /// workspace that is right; in an organisation the person's own team is asked for, so that all
    /// that they do counts as done by one account.
    pub(crate) async fn account(
        &self,
        user: &str,
        said: Option<&str>,
    ) -> Result<Account, SendError> {
        let me = self.me().await?;
        let team = if me.enterprise_id.is_none() {
            said.unwrap_or(&me.team_id).to_owned()
        } else {
            match self.teams.get(&user.to_owned()) {
                Some((team, at)) if at.elapsed() < REMEMBER => team,
                _ => {
                    let team = self.user(user).await?.team_id;
                    let team = team.unwrap_or_else(|| said.unwrap_or(&me.team_id).to_owned());
                    self.teams
                        .put(user.to_owned(), (team.clone(), Instant::now()));
                    team
                }
            }
        };
        Ok(Account {
            platform: PLATFORM.to_owned(),
            team,
            user: user.to_owned(),
        })
    }
}
