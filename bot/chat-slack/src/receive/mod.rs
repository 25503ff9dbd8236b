//! What comes in, whichever way: turned into events, handed to dispatch, acknowledged, answered.

mod answer;
mod door;
pub(crate) mod http;
mod signature;
mod socket;
mod sockets;
mod typed;

use std::sync::Arc;
use std::time::Duration;

use rollbot_chat::{Answer, ChatEvent, Dispatch, MessageAt, SendError};
use rollbot_core::EventKey;
use rollbot_core::approval::Account;
use serde_json::Value;
use slack_morphism::events::{
    SlackCommandEvent, SlackEventCallbackBody, SlackInteractionActionContainer,
    SlackInteractionBlockActionsEvent, SlackInteractionEvent, SlackPushEventCallback,
    SlackReactionAddedEvent,
};
use slack_morphism::{SlackReactionsItem, SlackResponseUrl};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::buttons::CHOICE;
use crate::config::Mode;
use crate::platform::plain_emoji;
use crate::{PLATFORM, Slack};

pub(crate) use door::Door;

/// How long an answer that missed Slack's three seconds is still waited for.
const LATE: Duration = Duration::from_secs(60);

/// Something that Slack brought.
#[derive(Debug)]
pub(crate) enum Incoming {
    Command(Box<SlackCommandEvent>),
    Interaction(Box<SlackInteractionEvent>),
    Push(Box<SlackPushEventCallback>),
}

impl Incoming {
    /// An interaction, from its JSON. The message under which a button was pressed is left out: it
    /// can hold whatever Slack thinks of next, and nothing of it is needed.
    pub(crate) fn interaction(json: &str) -> serde_json::Result<Self> {
        let mut payload: Value = serde_json::from_str(json)?;
        if let Some(map) = payload.as_object_mut() {
            map.remove("message");
        }
        let event: SlackInteractionEvent = serde_json::from_value(payload)?;
        Ok(Incoming::Interaction(Box::new(event)))
    }
}

/// Where the acknowledgement goes.
#[derive(Debug)]
pub(crate) enum Acknowledge {
    Socket {
        envelope_id: String,
        to: mpsc::Sender<String>,
    },
    Request(oneshot::Sender<Value>),
}

impl Acknowledge {
    /// False: the one who would take it is gone.
    pub(crate) async fn give(self, payload: Value) -> bool {
        match self {
            Acknowledge::Request(to) => to.send(payload).is_ok(),
            Acknowledge::Socket { envelope_id, to } => {
                let mut frame = serde_json::json!({"envelope_id": envelope_id});
                if let (Some(map), false) = (frame.as_object_mut(), payload.is_null()) {
                    map.insert("payload".to_owned(), payload);
                }
                to.send(frame.to_string()).await.is_ok()
            }
        }
    }
}

/// The adapter and what it hands events to.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) slack: Arc<Slack>,
    pub(crate) dispatch: Arc<dyn Dispatch>,
}

/// What dispatch said, if it said it in time.
pub(crate) enum Said {
    InTime(Option<Answer>),
    /// It is still being worked on.
    NotYet(JoinHandle<Option<Answer>>),
    /// It broke; the log says how.
    Never,
}

pub(crate) async fn run(
    slack: Arc<Slack>,
    dispatch: Arc<dyn Dispatch>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let desk = Desk { slack, dispatch };
    match desk.slack.config.mode {
        Mode::Socket { sockets } => sockets::keep(desk, sockets, shutdown).await,
        Mode::Http => {
            desk.connected().await;
            shutdown.await;
        }
    }
}

impl Desk {
    /// Tells that the way in stands anew.
    async fn connected(&self) {
        let event = ChatEvent::Connected {
            platform: PLATFORM.to_owned(),
        };
        // What dispatch would say to it is for nobody. Meanwhile it is found out who we are, for the
        // first events to be worked on at once.
        let (me, _) = tokio::join!(self.slack.me(), self.dispatch.dispatch(event));
        if let Err(error) = me {
            tracing::warn!(%error, "Slack did not say whose token this is");
        }
    }

    /// Takes one thing from Slack.
    pub(crate) async fn take(&self, incoming: Incoming, acknowledge: Acknowledge) {
        match incoming {
            Incoming::Command(event) => self.command(*event, acknowledge).await,
            Incoming::Push(event) => self.push(*event, acknowledge).await,
            Incoming::Interaction(event) => match *event {
                SlackInteractionEvent::BlockActions(event) => {
                    self.actions(event, acknowledge).await;
                }
                SlackInteractionEvent::Shortcut(event) => {
                    // The dialog must be open within three seconds, which the acknowledgement
                    // would not wait for.
                    acknowledge.give(Value::Null).await;
                    self.open_request(event).await;
                }
                SlackInteractionEvent::ViewSubmission(event) => {
                    self.submitted(event, acknowledge).await;
                }
                _ => {
                    acknowledge.give(Value::Null).await;
                }
            },
        }
    }

    /// The account that did something. Where Slack cannot be asked, what the event says counts.
    pub(crate) async fn who(&self, user: &str, said: &str) -> Account {
        let asked = self.slack.account(user, Some(said));
        match tokio::time::timeout(Duration::from_millis(700), asked).await {
            Ok(Ok(account)) => account,
            Ok(Err(_)) | Err(_) => Account {
                platform: PLATFORM.to_owned(),
                team: said.to_owned(),
                user: user.to_owned(),
            },
        }
    }

    /// Events go on being worked on where the answer comes too late, so nothing is half-done.
    pub(crate) async fn say(&self, event: ChatEvent) -> Said {
        let dispatch = Arc::clone(&self.dispatch);
        let mut working = tokio::spawn(async move { dispatch.dispatch(event).await });
        match tokio::time::timeout(self.slack.config.answer_within, &mut working).await {
            Ok(Ok(answer)) => Said::InTime(answer),
            Ok(Err(error)) => {
                tracing::error!(%error, "an event from Slack could not be worked on");
                Said::Never
            }
            Err(_) => Said::NotYet(working),
        }
    }

    pub(crate) async fn late(&self, working: JoinHandle<Option<Answer>>) -> Option<Answer> {
        match tokio::time::timeout(LATE, working).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Has an event worked on and acknowledges it without a word; what is to be said comes another
    /// way. What is not recorded in time is not acknowledged: Slack brings it again where it does,
    /// under the same key, or tells its people that nothing was answered.
    async fn acknowledged(&self, event: ChatEvent, acknowledge: Acknowledge) -> Option<Answer> {
        match self.say(event).await {
            Said::InTime(answer) => {
                acknowledge.give(Value::Null).await;
                answer
            }
            Said::NotYet(working) => self.late(working).await,
            Said::Never => None,
        }
    }

    async fn command(&self, event: SlackCommandEvent, acknowledge: Acknowledge) {
        let account = self.who(&event.user_id.0, &event.team_id.0).await;
        let channel = event.channel_id.0;
        let typed = ChatEvent::Command {
            key: EventKey::new(PLATFORM, &event.trigger_id.0),
            account: account.clone(),
            channel: channel.clone(),
            text: typed::line(&event.command.0, event.text.as_deref().unwrap_or_default()),
        };
        let to = answer::To {
            channel,
            account,
            url: Some(event.response_url),
        };
        match self.say(typed).await {
            Said::InTime(None) => {
                acknowledge.give(Value::Null).await;
            }
            Said::InTime(Some(answer)) => {
                let (payload, rest) = answer::payload(&answer);
                if acknowledge.give(payload).await {
                    self.tell_rest(&to, &answer, rest).await;
                } else {
                    self.tell(&to, &answer).await;
                }
            }
            Said::NotYet(working) => {
                if let Some(answer) = self.late(working).await {
                    self.tell(&to, &answer).await;
                }
            }
            Said::Never => {}
        }
    }

    async fn actions(&self, event: SlackInteractionBlockActionsEvent, acknowledge: Acknowledge) {
        let pressed = event.actions.iter().flatten().find_map(|action| {
            let choice = action.action_id.0.strip_prefix(CHOICE)?;
            Some(action.value.clone().unwrap_or_else(|| choice.to_owned()))
        });
        let place = match &event.container {
            SlackInteractionActionContainer::Message(place) => {
                let channel = place.channel_id.clone().map(|id| id.0);
                let channel = channel.or_else(|| event.channel.as_ref().map(|c| c.id.0.clone()));
                channel.map(|channel| (channel, place.message_ts.0.clone()))
            }
            _ => None,
        };
        let (Some(choice), Some((channel, ts)), Some(user)) = (pressed, place, &event.user) else {
            acknowledge.give(Value::Null).await;
            return;
        };
        let team = user.team_id.as_ref().unwrap_or(&event.team.id);
        let account = self.who(&user.id.0, &team.0).await;
        let press = ChatEvent::Button {
            key: EventKey::new(PLATFORM, &event.trigger_id.0),
            account: account.clone(),
            message: MessageAt {
                platform: PLATFORM.to_owned(),
                channel: channel.clone(),
                message_ref: ts,
            },
            choice,
        };
        if let Some(answer) = self.acknowledged(press, acknowledge).await {
            let url: Option<SlackResponseUrl> = event.response_url;
            let to = answer::To {
                channel,
                account,
                url,
            };
            self.tell(&to, &answer).await;
        }
    }

    async fn push(&self, event: SlackPushEventCallback, acknowledge: Acknowledge) {
        let key = EventKey::new(PLATFORM, &event.event_id.0);
        let (reaction, on) = match event.event {
            SlackEventCallbackBody::ReactionAdded(reaction) => (reaction, true),
            SlackEventCallbackBody::ReactionRemoved(gone) => (
                SlackReactionAddedEvent {
                    user: gone.user,
                    reaction: gone.reaction,
                    item_user: gone.item_user,
                    item: gone.item,
                    event_ts: gone.event_ts,
                },
                false,
            ),
            SlackEventCallbackBody::AppHomeOpened(opened) => {
                acknowledge.give(Value::Null).await;
                if opened.tab.as_deref() != Some("messages") {
                    let dispatch = self.dispatch.as_ref();
                    self.slack.draw_home(dispatch, &opened.user.0).await;
                }
                return;
            }
            SlackEventCallbackBody::Unknown(event) => {
                let kind = event.get("type").and_then(Value::as_str);
                if kind.is_some_and(|kind| kind.starts_with("reaction_")) {
                    tracing::warn!(
                        "a reaction in Slack was not understood: it counts after the next reading"
                    );
                }
                acknowledge.give(Value::Null).await;
                return;
            }
            _ => {
                acknowledge.give(Value::Null).await;
                return;
            }
        };
        let Some(message) = self.ours(&reaction).await else {
            acknowledge.give(Value::Null).await;
            return;
        };
        let account = self.who(&reaction.user.0, &event.team_id.0).await;
        let to = answer::To {
            channel: message.channel.clone(),
            account: account.clone(),
            url: None,
        };
        let changed = ChatEvent::Reaction {
            key,
            account,
            message,
            emoji: plain_emoji(&reaction.reaction.0).to_owned(),
            on,
        };
        if let Some(answer) = self.acknowledged(changed, acknowledge).await {
            self.tell(&to, &answer).await;
        }
    }

    /// The message a reaction is on, if it is one of rollbot's and not its own reaction.
    async fn ours(&self, reaction: &SlackReactionAddedEvent) -> Option<MessageAt> {
        let SlackReactionsItem::Message(item) = &reaction.item else {
            return None;
        };
        let me = tokio::time::timeout(Duration::from_millis(700), self.slack.me()).await;
        if let Ok(Ok(me)) = me {
            let by_us = reaction.user.0 == me.user_id;
            let of_others = reaction
                .item_user
                .as_ref()
                .is_some_and(|author| author.0 != me.user_id);
            if by_us || of_others {
                return None;
            }
        }
        Some(MessageAt {
            platform: PLATFORM.to_owned(),
            channel: item.origin.channel.as_ref()?.0.clone(),
            message_ref: item.origin.ts.0.clone(),
        })
    }

    /// Logs what could not be shown to somebody.
    pub(crate) fn unheard(what: &str, error: &SendError) {
        tracing::warn!(%error, "{what} could not be shown in Slack");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_press_is_understood_whatever_the_message_is_like() {
        let press = serde_json::json!({
            "type": "block_actions", "api_app_id": "A1", "trigger_id": "1.2.x",
            "team": {"id": "T1", "domain": "d"}, "user": {"id": "U1", "team_id": "T1"},
            "container": {"type": "message", "message_ts": "1.2", "channel_id": "C1"},
            "message": {"new": ["kind"], "ts": 7, "reactions": "many"},
            "actions": [{"type": "button", "action_id": "choice:veto", "value": "veto"}],
        });
        let Incoming::Interaction(event) = Incoming::interaction(&press.to_string()).unwrap()
        else {
            panic!("it is an interaction");
        };
        assert!(matches!(*event, SlackInteractionEvent::BlockActions(_)));
    }
}
