//! Messages as one reader gets them.

use jiff::Timestamp;
use rollbot_core::PersonId;
use rollbot_core::approval::{People, Person};
use rollbot_core::console::ConsoleMessage;
use serde::Serialize;

use crate::markdown::{Steps, Votes, render};
use crate::marks::emoji;

/// The `Message` of the crate's documentation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct MessageView {
    id: i64,
    channel: String,
    thread_of: Option<i64>,
    author: Option<Named>,
    private: bool,
    kind: String,
    html: String,
    text: String,
    votes: Option<Votes>,
    steps: Option<Steps>,
    buttons: Vec<ButtonView>,
    reactions: Vec<ReactionView>,
    created_at: Timestamp,
    edited_at: Option<Timestamp>,
    change: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Named {
    id: PersonId,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ButtonView {
    key: String,
    label: String,
    confirm: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ReactionView {
    emoji: String,
    sign: Option<&'static str>,
    /// By the bot, for people to press.
    offered: bool,
    people: Vec<Named>,
    mine: bool,
}

/// A person, to be picked or greeted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PersonView {
    id: PersonId,
    name: String,
    groups: Vec<String>,
}

impl From<&Person> for PersonView {
    fn from(person: &Person) -> Self {
        Self {
            id: person.id.clone(),
            name: person.name.clone(),
            groups: person.groups.iter().cloned().collect(),
        }
    }
}

fn named(people: &People, id: &PersonId) -> Named {
    Named {
        id: id.clone(),
        name: people.name(id).to_owned(),
    }
}

pub(crate) fn may_see(message: &ConsoleMessage, reader: &PersonId) -> bool {
    message.only_for.as_ref().is_none_or(|only| only == reader)
}

/// What to ask before a button is pressed that gives something up. Keys may have a prefix.
fn confirmation(key: &str) -> Option<&'static str> {
    match key.rsplit([':', '/', '.']).next().unwrap_or(key) {
        "abort" => Some(
            "This ends the operation where it stands. Nothing is put back by itself, and what was \
             begun stays as it is.",
        ),
        "skip" => Some(
            "The operation goes on without this step, and will close with exceptions instead of \
             verified.",
        ),
        "done" | "mark-done" | "mark-as-done" => Some(
            "rollbot will go on as if this step had been done. Say so only if you have seen it.",
        ),
        "undo" => Some("The steps done so far are taken back, one by one."),
        "unlock" => Some("Others can change the service as soon as it is unlocked."),
        _ => None,
    }
}

pub(crate) fn view(message: &ConsoleMessage, people: &People, reader: &PersonId) -> MessageView {
    let rendered = render(&message.body, &message.kind);
    let mut reactions: Vec<ReactionView> = Vec::new();
    for reaction in &message.reactions {
        let index = reactions
            .iter()
            .position(|known| known.emoji == reaction.emoji);
        let index = index.unwrap_or_else(|| {
            reactions.push(ReactionView {
                emoji: reaction.emoji.clone(),
                sign: emoji(&reaction.emoji),
                offered: false,
                people: Vec::new(),
                mine: false,
            });
            reactions.len() - 1
        });
        let Some(entry) = reactions.get_mut(index) else {
            continue;
        };
        match &reaction.person {
            None => entry.offered = true,
            Some(person) => {
                entry.mine |= person == reader;
                entry.people.push(named(people, person));
            }
        }
    }
    reactions.sort_by_key(|reaction| match reaction.emoji.as_str() {
        "white_check_mark" => 0,
        "x" => 1,
        _ => 2,
    });
    MessageView {
        id: message.id,
        channel: message.channel.clone(),
        thread_of: message.thread_of,
        author: message.author.as_ref().map(|id| named(people, id)),
        private: message.only_for.is_some(),
        kind: message.kind.clone(),
        html: rendered.html,
        text: rendered.text,
        votes: rendered.votes,
        steps: rendered.steps,
        buttons: message
            .buttons
            .iter()
            .map(|(key, label)| ButtonView {
                key: key.clone(),
                label: label.clone(),
                confirm: confirmation(key),
            })
            .collect(),
        reactions,
        created_at: message.created_at,
        edited_at: message.edited_at,
        change: message.change,
    }
}
