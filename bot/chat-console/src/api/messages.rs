//! Reading messages, and what people do with them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use rollbot_chat::{Answer, ChatEvent, MessageAt, console_account};
use rollbot_core::approval::Person;
use rollbot_core::console::{ConsoleMessage, NewConsoleMessage};
use rollbot_core::{EventKey, PersonId};
use serde::{Deserialize, Serialize};

use super::{Actor, Body, Refusal, Served, Visitor};
use crate::acts::{Act, Outcome};
use crate::marks::emoji;
use crate::platform::PLATFORM;
use crate::view::{MessageView, may_see, view};

/// Messages in one answer.
const PAGE: i64 = 400;
/// Characters of a message that a person writes.
const LONGEST_TEXT: usize = 4_000;
/// The dispatcher answers within two seconds. Whoever takes longer is not waited for: the answer
/// becomes a message when it is there.
const PATIENCE: Duration = Duration::from_secs(6);

#[derive(Deserialize)]
pub(super) struct Since {
    since: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct Page {
    messages: Vec<MessageView>,
    /// Where to go on.
    change: i64,
    more: bool,
}

pub(super) async fn list(
    State(served): State<Served>,
    Visitor(person): Visitor,
    query: Result<Query<Since>, QueryRejection>,
) -> Result<Json<Page>, Refusal> {
    let console = &served.console;
    let since = query
        .map_err(|error| Refusal::query(&error))?
        .since
        .unwrap_or(0)
        .max(0);
    let found = if since == 0 {
        console.store.console_recent(PAGE).await?
    } else {
        console.store.console_changes(since, PAGE).await?
    };
    let change = found
        .iter()
        .map(|message| message.change)
        .max()
        .unwrap_or(since);
    let more = since > 0 && i64::try_from(found.len()).is_ok_and(|count| count >= PAGE);
    let messages = found
        .iter()
        .filter(|message| may_see(message, &person.id))
        .filter(|message| console.config.channel(&message.channel).is_some())
        .map(|message| view(message, &console.people, &person.id))
        .collect();
    Ok(Json(Page {
        messages,
        change,
        more,
    }))
}

/// What an act led to.
#[derive(Serialize)]
pub(super) struct Acted {
    message: Option<MessageView>,
    answer: Option<MessageView>,
    pending: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    channel: String,
    text: String,
    client_id: String,
    thread_of: Option<i64>,
}

pub(super) async fn say(
    State(served): State<Served>,
    Actor(person): Actor,
    Body(said): Body<Said>,
) -> Result<Json<Acted>, Refusal> {
    check_client_id(&said.client_id)?;
    let console = &served.console;
    let channel = console
        .config
        .channel(&said.channel)
        .ok_or_else(|| Refusal::not_found(format!("there is no channel `{}`", said.channel)))?;
    if channel.announcements {
        return Err(Refusal::forbidden(
            "announcements",
            format!("only rollbot posts in {}", channel.name),
        ));
    }
    let text = said.text.trim().to_owned();
    if text.is_empty() {
        return Err(Refusal::bad("empty", "there is nothing to send"));
    }
    if text.chars().count() > LONGEST_TEXT {
        return Err(Refusal::bad(
            "too-long",
            format!("at most {LONGEST_TEXT} characters fit"),
        ));
    }
    if let Some(root) = said.thread_of {
        let root = visible(&served, root, &person).await?;
        if root.channel != said.channel || root.thread_of.is_some() || root.only_for.is_some() {
            return Err(Refusal::bad(
                "thread",
                "a thread is that of a public message in the channel",
            ));
        }
    }
    let thread = said.thread_of.map_or_else(String::new, |id| id.to_string());
    let what = format!("say {} {thread} {text}", said.channel);
    let act = console.acts.claim(&said.client_id, &person.id, what)?;
    let (deed, who) = (served.clone(), person.clone());
    settle(&served, &person, Arc::clone(&act), async move {
        deed.say(&who, &text, &said).await
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reacted {
    emoji: String,
    on: bool,
    client_id: String,
}

pub(super) async fn react(
    State(served): State<Served>,
    Actor(person): Actor,
    path: Result<Path<i64>, PathRejection>,
    Body(reacted): Body<Reacted>,
) -> Result<Json<Acted>, Refusal> {
    check_client_id(&reacted.client_id)?;
    let id = message_id(path.ok())?;
    let message = visible(&served, id, &person).await?;
    let offered = message
        .reactions
        .iter()
        .any(|reaction| reaction.emoji == reacted.emoji);
    if !offered && emoji(&reacted.emoji).is_none() {
        return Err(Refusal::bad(
            "emoji",
            "the console does not know this reaction",
        ));
    }
    let what = format!("react {id} {} {}", reacted.emoji, reacted.on);
    let act = served
        .console
        .acts
        .claim(&reacted.client_id, &person.id, what)?;
    let (deed, who) = (served.clone(), person.clone());
    settle(&served, &person, Arc::clone(&act), async move {
        deed.react(&who, &message, &reacted).await
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pressed {
    client_id: String,
}

pub(super) async fn press(
    State(served): State<Served>,
    Actor(person): Actor,
    path: Result<Path<(i64, String)>, PathRejection>,
    Body(pressed): Body<Pressed>,
) -> Result<Json<Acted>, Refusal> {
    check_client_id(&pressed.client_id)?;
    let (id, key) = path
        .map_err(|_| Refusal::not_found("there is no such button"))?
        .0;
    let message = visible(&served, id, &person).await?;
    let act =
        served
            .console
            .acts
            .claim(&pressed.client_id, &person.id, format!("press {id} {key}"))?;
    // A repetition is answered even when the button is gone by now.
    if !act.outcome.initialized() && !message.buttons.iter().any(|(known, _)| *known == key) {
        return Err(Refusal::new(
            axum::http::StatusCode::GONE,
            "button",
            "this button is not there any more: somebody was faster, or things have moved on",
        ));
    }
    let (deed, who) = (served.clone(), person.clone());
    settle(&served, &person, Arc::clone(&act), async move {
        deed.press(&who, &message, &key, &pressed.client_id).await
    })
    .await
}

fn check_client_id(id: &str) -> Result<(), Refusal> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (8..=64).contains(&id.len()) && id.chars().all(fits) {
        return Ok(());
    }
    Err(Refusal::bad(
        "client-id",
        "client_id: 8 to 64 letters, digits, `-` and `_`",
    ))
}

fn message_id(path: Option<Path<i64>>) -> Result<i64, Refusal> {
    path.map(|Path(id)| id)
        .ok_or_else(|| Refusal::not_found("there is no such message"))
}

/// The message, if there is one that this person may see.
async fn visible(served: &Served, id: i64, person: &Person) -> Result<ConsoleMessage, Refusal> {
    let console = &served.console;
    console
        .message(id)
        .await?
        .filter(|message| may_see(message, &person.id))
        .filter(|message| console.config.channel(&message.channel).is_some())
        .ok_or_else(|| Refusal::not_found(format!("there is no message {id}")))
}

/// Does the deed unless it is done already, and says what came of it. It goes on when whoever
/// asked for it hangs up: half of it may be in the store by then.
async fn settle(
    served: &Served,
    person: &Person,
    act: Arc<Act>,
    deed: impl Future<Output = Result<Outcome, Refusal>> + Send + 'static,
) -> Result<Json<Acted>, Refusal> {
    let doing = tokio::spawn(async move { act.outcome.get_or_try_init(|| deed).await.copied() });
    let outcome = match tokio::time::timeout(PATIENCE, doing).await {
        Ok(Ok(outcome)) => outcome?,
        Ok(Err(error)) => {
            tracing::error!(%error, "an act on the console broke off");
            return Err(Refusal::internal("this was not finished"));
        }
        Err(_) => {
            return Ok(Json(Acted {
                message: None,
                answer: None,
                pending: true,
            }));
        }
    };
    let console = &served.console;
    let look = async |id: Option<i64>| match id {
        Some(id) => Ok::<_, Refusal>(
            console
                .message(id)
                .await?
                .map(|message| view(&message, &console.people, &person.id)),
        ),
        None => Ok(None),
    };
    let message = look(Some(outcome.message)).await?;
    let answer = look(outcome.answer).await?;
    Ok(Json(Acted {
        message,
        answer,
        pending: false,
    }))
}

impl Served {
    async fn say(&self, person: &Person, text: &str, said: &Said) -> Result<Outcome, Refusal> {
        let console = &self.console;
        let identity = format!("said:{}:{}", person.id, said.client_id);
        let is_command = text.starts_with('/');
        let body = crate::escape(text);
        let message = match console.store.console_find(&identity).await? {
            // Said before the process was started anew.
            Some(known) if known.body == body && known.channel == said.channel => known,
            Some(_) => return Err(crate::acts::Reused.into()),
            None => {
                let message = console
                    .store
                    .console_post(NewConsoleMessage {
                        identity,
                        channel: said.channel.clone(),
                        thread_of: said.thread_of,
                        author: Some(person.id.clone()),
                        only_for: None,
                        body,
                        kind: if is_command { "command" } else { "said" }.to_owned(),
                        buttons: Vec::new(),
                        at: console.clock.now(),
                    })
                    .await?;
                console.tell(message.change);
                message
            }
        };
        let answer = if is_command {
            let event = ChatEvent::Command {
                key: EventKey::new(PLATFORM, &said.client_id),
                account: console_account(&person.id),
                channel: said.channel.clone(),
                text: text.to_owned(),
            };
            self.dispatch(event, person, &message, &said.client_id)
                .await?
        } else {
            None
        };
        Ok(Outcome {
            message: message.id,
            answer,
        })
    }

    async fn react(
        &self,
        person: &Person,
        message: &ConsoleMessage,
        reacted: &Reacted,
    ) -> Result<Outcome, Refusal> {
        let console = &self.console;
        let (changed, _) = console
            .store
            .console_react(
                message.id,
                &reacted.emoji,
                Some(&person.id),
                reacted.on,
                console.clock.now(),
            )
            .await?;
        console.tell(changed.change);
        // Dispatched even if it stood like that before: the process may have ended in between, and
        // the dispatcher knows its events.
        let event = ChatEvent::Reaction {
            key: EventKey::new(PLATFORM, &reacted.client_id),
            account: console_account(&person.id),
            message: at(message),
            emoji: reacted.emoji.clone(),
            on: reacted.on,
        };
        let answer = self
            .dispatch(event, person, message, &reacted.client_id)
            .await?;
        Ok(Outcome {
            message: message.id,
            answer,
        })
    }

    async fn press(
        &self,
        person: &Person,
        message: &ConsoleMessage,
        key: &str,
        client_id: &str,
    ) -> Result<Outcome, Refusal> {
        let event = ChatEvent::Button {
            key: EventKey::new(PLATFORM, client_id),
            account: console_account(&person.id),
            message: at(message),
            choice: key.to_owned(),
        };
        let answer = self.dispatch(event, person, message, client_id).await?;
        Ok(Outcome {
            message: message.id,
            answer,
        })
    }

    /// Hands the event over and posts what is answered to it, beside the message it is about.
    async fn dispatch(
        &self,
        event: ChatEvent,
        person: &Person,
        about: &ConsoleMessage,
        client_id: &str,
    ) -> Result<Option<i64>, Refusal> {
        let identity = format!("answer:{}:{client_id}", person.id);
        if let Some(answered) = self.console.store.console_find(&identity).await? {
            return Ok(Some(answered.id));
        }
        // What a reaction is answered with is between rollbot and the one who reacted.
        let reaction = matches!(event, ChatEvent::Reaction { .. });
        let Some(Answer { body, private }) = self.dispatch.dispatch(event).await else {
            return Ok(None);
        };
        let only_for: Option<PersonId> = (private || reaction).then(|| person.id.clone());
        let place = (about.channel.as_str(), about.thread_of);
        let answer = self.console.answer(identity, place, only_for, body).await?;
        Ok(Some(answer.id))
    }
}

fn at(message: &ConsoleMessage) -> MessageAt {
    MessageAt {
        platform: PLATFORM.to_owned(),
        channel: message.channel.clone(),
        message_ref: message.id.to_string(),
    }
}
