//! To users: T1 to T3 of the runbook. A claim is made only where it was observed.

use std::time::Duration;

use jiff::Timestamp;
use rollbot_core::operation::{Operation, Phase, StepRecord, StepState};
use rollbot_core::outbox::{About, Destination, Message};
use rollbot_notify::{AnnouncementWords, Estimate, duration, duration_range};

use super::Envelope;

/// Which of the announcements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcing {
    /// T1: it has begun.
    Maintenance,
    /// T3: it lasts; the how-manieth update.
    Update(u64),
    /// T2: all targets were observed where they should be.
    Restored,
    /// It ended in another way.
    Ended,
}

/// What an announcement is about.
#[derive(Debug, Clone)]
pub struct Occasion<'a> {
    pub operation: &'a Operation,
    pub steps: &'a [StepRecord],
    pub estimate: Option<Estimate>,
    /// The service in users' words: "Trading".
    pub title: &'a str,
    pub product: &'a str,
    pub contact: &'a str,
    /// Time between updates.
    pub every: Duration,
}

/// The announcement, one for each channel that users read.
pub fn announcement(
    which: Announcing,
    occasion: &Occasion<'_>,
    to: &[Destination],
    at: Timestamp,
) -> Vec<Message> {
    let (template, name) = match which {
        Announcing::Maintenance => ("maintenance", "maintenance".to_owned()),
        Announcing::Update(number) => ("update", format!("update/{number}")),
        Announcing::Restored => ("restored", "restored".to_owned()),
        Announcing::Ended => ("ended", "ended".to_owned()),
    };
    let words = words(which, occasion);
    to.iter()
        .map(|to| {
            let operation = occasion.operation.id;
            Envelope {
                operation,
                name: &name,
                about: About::Announcement,
                to,
                at,
            }
            .message(template, &words)
        })
        .collect()
}

fn words(which: Announcing, occasion: &Occasion<'_>) -> AnnouncementWords {
    let estimate = occasion.estimate;
    AnnouncementWords {
        product: occasion.product.to_owned(),
        service: occasion.title.to_owned(),
        duration: estimate
            .filter(|estimate| !estimate.overdue)
            .map(|estimate| duration_range(estimate.from, estimate.to)),
        timeframe: duration(occasion.every),
        doing: occasion
            .steps
            .iter()
            .rev()
            .find(|step| step.state == StepState::Running)
            .and_then(|step| in_users_words(&step.name)),
        overdue: estimate.is_some_and(|estimate| estimate.overdue),
        facts: facts(which, occasion),
        contact: occasion.contact.to_owned(),
        ending: occasion.operation.ending.clone().unwrap_or_default(),
    }
}

/// Steps as somebody sees them who does not know what a unit is.
fn in_users_words(step: &str) -> Option<String> {
    let text = match step {
        "prepare" => "we are checking that everything is ready",
        "stop" => "we are stopping it in an orderly way",
        "back-up" => "we are saving its data",
        "start" => "we are starting it again",
        "verify" => "it runs again, and we are testing it",
        "switch" => "it runs and was tested, and we are giving access back",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Sentences that a step's end or the final observation has established, and no others.
fn facts(which: Announcing, occasion: &Occasion<'_>) -> Vec<String> {
    let done = |name: &str| {
        occasion.steps.iter().any(|step| {
            step.phase == Phase::Run && step.name == name && step.state == StepState::Done
        })
    };
    let title = occasion.title;
    let mut facts = Vec::new();
    match which {
        Announcing::Maintenance | Announcing::Update(_) => {
            if done("stop") && !done("start") {
                facts.push(format!(
                    "{title} is paused: nothing is executed at the moment."
                ));
            }
            if done("back-up") {
                facts.push("The data of before the maintenance was saved, and the copy was read back and compared.".to_owned());
            }
        }
        Announcing::Restored => {
            let all = &occasion.operation.observed;
            if !all.is_empty() && all.iter().all(|seen| seen.holds) && done("verify") {
                facts.push(format!("{title} was tested before access was given back."));
            }
        }
        Announcing::Ended => {}
    }
    facts
}
