//! The one way in. Every event of every platform, of the console and of the command line comes
//! through here: who acts is found out once, what they may do is decided once, and a second
//! delivery of the same event changes nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollbot_chat::{
    Answer, ChatEvent, Completion, Dispatch, MessageAt, Overview, Place, Suggestion,
};
use rollbot_command::{Command, Reason, completions, help, parse};
use rollbot_core::approval::{Account, Person};
use rollbot_core::operation::Origin;
use rollbot_core::outbox::OutboxRow;
use rollbot_core::store::{GuardFailed, Store, StoreError};
use rollbot_core::{Clock, EventKey};
use rollbot_notify::{NoticeWords, Templates};

use crate::catalogue::Catalogue;
use crate::handlers;
use crate::operation::Conductor;

/// Platforms give three seconds for the first answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How long a message may be there before it is noted that it is; within [`ANSWER_WITHIN`].
const NOTED_WITHIN: Duration = Duration::from_millis(1_200);

/// As somebody types, a late list is of no use.
const SUGGEST_WITHIN: Duration = Duration::from_secs(1);

/// What handlers work with.
pub struct Desk {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub catalogue: Arc<Catalogue>,
    pub conductor: Conductor,
    pub templates: Arc<Templates>,
    services: Vec<String>,
}

/// What a handler says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    pub title: String,
    pub text: String,
    pub lines: Vec<String>,
    /// Shown as a block of its own, with its line breaks and columns kept.
    pub block: Option<String>,
    /// Whether everybody sees it.
    pub public: bool,
}

impl Reply {
    pub fn say(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    #[must_use]
    pub fn lines(mut self, lines: Vec<String>) -> Self {
        self.lines = lines;
        self
    }

    #[must_use]
    pub fn public(mut self) -> Self {
        self.public = true;
        self
    }
}

/// Why a handler did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The one who asked can mend it; said to them as it is.
    #[error("{0}")]
    You(String),
    /// What was typed is no command; the text marks the place, so its columns must stay columns.
    #[error("{0}")]
    Slip(String),
    /// We broke. Said in general terms; the cause is in the log.
    #[error(transparent)]
    Us(#[from] StoreError),
    /// The event was worked on before; there is nothing to say twice.
    #[error("seen before")]
    SeenBefore,
}

impl Refused {
    /// A store's answer, as far as it is about what somebody asked for.
    pub fn from_store(error: StoreError) -> Self {
        match error {
            StoreError::Guard(GuardFailed::SeenBefore) => Refused::SeenBefore,
            StoreError::Guard(other) => Refused::You(format!("{other}.")),
            other => Refused::Us(other),
        }
    }
}

pub type Handled = Result<Option<Reply>, Refused>;

impl Desk {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        catalogue: Arc<Catalogue>,
        conductor: Conductor,
        templates: Arc<Templates>,
    ) -> Self {
        let services = catalogue.names();
        Self {
            store,
            clock,
            catalogue,
            conductor,
            templates,
            services,
        }
    }

    /// The person behind an account.
    ///
    /// # Errors
    /// It belongs to nobody.
    pub fn person(&self, account: &Account) -> Result<&Person, Refused> {
        self.catalogue.people.of(account).ok_or_else(|| {
            Refused::You(format!(
                "I do not know who you are: the {} account `{}` belongs to nobody in people.toml. Ask whoever looks after rollbot to add it there.",
                account.platform, account.user
            ))
        })
    }

    /// What we know of a message on a platform. People can be faster than our own note that it
    /// arrived: while something for the platform is on its way, this waits for the note.
    pub(crate) async fn sent(&self, at: &MessageAt) -> Result<Option<OutboxRow>, StoreError> {
        let until = tokio::time::Instant::now() + NOTED_WITHIN;
        loop {
            // Asked before the message is looked for: what is noted between the two is found then.
            let on_its_way = self.store.outbox_platforms().await?.contains(&at.platform);
            let row = self
                .store
                .outbox_by_message(&at.platform, &at.channel, &at.message_ref)
                .await?;
            if row.is_some() || !on_its_way || tokio::time::Instant::now() >= until {
                return Ok(row);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    async fn handle(&self, event: ChatEvent) -> Handled {
        match event {
            ChatEvent::Command {
                key,
                account,
                channel,
                text,
            } => {
                let person = self.person(&account)?;
                let command = match parse(&text, &self.services) {
                    Ok(command) => command,
                    Err(error) => return Err(Refused::Slip(error.to_string())),
                };
                let origin = Origin {
                    platform: account.platform.clone(),
                    channel,
                };
                self.command(key, person, origin, command).await
            }
            ChatEvent::Reaction {
                key,
                account,
                message,
                emoji,
                on,
            } => handlers::vote::reaction(self, key, &account, &message, &emoji, on).await,
            ChatEvent::Button {
                key,
                account,
                message,
                choice,
            } => handlers::answer::button(self, key, &account, &message, &choice).await,
            ChatEvent::Connected { platform } => {
                self.conductor.look_again(&platform).await?;
                Ok(None)
            }
        }
    }

    async fn command(
        &self,
        key: EventKey,
        person: &Person,
        origin: Origin,
        command: Command,
    ) -> Handled {
        match command {
            Command::Rollback {
                service,
                reason,
                dry_run,
            } => {
                let reason = reason.map(Reason::into_string);
                let request = handlers::rollback::Request {
                    service,
                    reason,
                    dry_run,
                    origin,
                };
                handlers::rollback::handle(self, key, person, request).await
            }
            Command::Plan { service } => {
                let request = handlers::rollback::Request {
                    service,
                    reason: None,
                    dry_run: true,
                    origin,
                };
                handlers::rollback::handle(self, key, person, request).await
            }
            Command::Status { operation } => handlers::status::handle(self, operation).await,
            Command::Cancel { operation, reason } => {
                let reason = reason.map(Reason::into_string);
                handlers::cancel::handle(self, key, person, operation, reason).await
            }
            Command::History { service } => handlers::history::handle(self, service).await,
            Command::Locks => handlers::locks::handle(self).await,
            Command::Unlock { service, reason } => {
                let reason = reason.map(Reason::into_string);
                handlers::unlock::handle(self, key, person, service, reason).await
            }
            Command::Help { topic } => Ok(Some(Reply {
                block: Some(help(topic, &self.services)),
                ..Reply::default()
            })),
        }
    }

    /// Hands an event over and says what came of it; for ways in that show text without markup.
    ///
    /// # Errors
    /// What to tell the one who acted, where nothing was done.
    pub async fn plainly(&self, event: ChatEvent) -> Result<Option<Reply>, String> {
        self.worked_on(event)
            .await
            .map_err(|refusal| refusal.block.unwrap_or(refusal.text))
    }

    /// What to say, where it was done and where it was not.
    async fn worked_on(&self, event: ChatEvent) -> Result<Option<Reply>, Reply> {
        match tokio::time::timeout(ANSWER_WITHIN, self.handle(event)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(Refused::SeenBefore)) => Ok(None),
            Ok(Err(Refused::You(why))) => Err(Reply::say(why)),
            Ok(Err(Refused::Slip(marked))) => Err(Reply {
                block: Some(marked),
                ..Reply::default()
            }),
            Ok(Err(Refused::Us(error))) => Err(Reply::say(self.broke(&error))),
            Err(_) => Err(Reply::say(LATE)),
        }
    }

    fn broke(&self, error: &StoreError) -> String {
        tracing::error!(%error, "an event could not be worked on");
        "Not recorded: rollbot's store does not answer properly. Try again in a moment; if it stays like this, the operator finds the cause in rollbot's log.".to_owned()
    }

    fn rendered(&self, platform: &str, reply: &Reply) -> Answer {
        let words = NoticeWords {
            mark: String::new(),
            title: reply.title.clone(),
            text: reply.text.clone(),
            lines: reply.lines.clone(),
        };
        let variables = serde_json::to_value(words).unwrap_or_default();
        let mut body = match self.templates.render(platform, "answer", &variables) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "an answer cannot be rendered");
                "Done, but the answer cannot be shown: the template `answer` is broken.".to_owned()
            }
        };
        if let Some(block) = &reply.block {
            if !body.is_empty() {
                body.push_str("\n\n");
            }
            body.push_str(&fenced(block));
        }
        Answer {
            body,
            private: !reply.public,
        }
    }
}

const LATE: &str = "The store has not answered within two seconds, so it is not certain that this was recorded. Look at `/rollbot status`, and try again if it is not there.";

/// A code block which nothing inside can close: the fence is longer than any run of backticks.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    let text: String = text
        .chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    format!("{fence}\n{}\n{fence}", text.trim_end())
}

#[async_trait]
impl Dispatch for Desk {
    async fn dispatch(&self, event: ChatEvent) -> Option<Answer> {
        let platform = match &event {
            ChatEvent::Command { account, .. }
            | ChatEvent::Reaction { account, .. }
            | ChatEvent::Button { account, .. } => account.platform.clone(),
            ChatEvent::Connected { platform } => platform.clone(),
        };
        let reply = match self.worked_on(event).await {
            Ok(reply) => reply?,
            Err(refusal) => refusal,
        };
        Some(self.rendered(&platform, &reply))
    }

    fn completions(&self) -> Vec<Completion> {
        completions(&self.services)
            .into_iter()
            .map(|line| Completion {
                text: line.text,
                rest: line.rest,
                about: line.about,
            })
            .collect()
    }

    async fn suggest(&self, place: Place, typed: &str, limit: usize) -> Vec<Suggestion> {
        let found = handlers::suggest::suggest(self, place, typed, limit);
        match tokio::time::timeout(SUGGEST_WITHIN, found).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "suggestions could not be read");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    async fn overview(&self) -> Overview {
        match tokio::time::timeout(ANSWER_WITHIN, handlers::status::overview(self)).await {
            Ok(Ok(overview)) => overview,
            Ok(Err(error)) => Overview {
                trouble: Some(self.broke(&error)),
                ..Overview::default()
            },
            Err(_) => Overview {
                trouble: Some("rollbot's store has not answered within two seconds.".to_owned()),
                ..Overview::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inside_closes_a_code_block() {
        assert_eq!(fenced("a ``` b"), "````\na ``` b\n````");
        assert_eq!(fenced("plain\n"), "```\nplain\n```");
        assert_eq!(fenced("\u{1b}[2J"), "```\n\u{fffd}[2J\n```");
    }
}
