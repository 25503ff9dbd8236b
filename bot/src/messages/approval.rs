//! The approval request: the plan, what it returns to, what will be missing, and how the vote stands.

use rollbot_core::approval::{People, Policy, Tally};
use rollbot_core::operation::Operation;
use rollbot_core::outbox::{About, Destination, Message};
use rollbot_core::plan::{DataLoss, Effect, EffectKind, Plan};
use rollbot_notify::{ApprovalWords, ContingencyWords, StepWords, bytes, time_of_day};

use super::Envelope;
use crate::handlers::vote::BUTTONS;

const CONSOLE: &str = "console";

/// The vote is over, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    Open,
    /// `approved by Ben, Cleo`, `vetoed by Dan`, `expired`, `replaced: the plan changed`
    Over(String),
}

/// The request for votes, one for each channel of the operators.
pub fn approval(
    operation: &Operation,
    plan: &Plan,
    tally: &Tally,
    policy: &Policy,
    people: &People,
    decided: &Decided,
    to: &[Destination],
) -> Vec<Message> {
    let mut words = plan_words(plan);
    words.operation = operation.id.to_string();
    words.requester = people.name(&operation.requester).to_owned();
    words.reason = operation.reason.clone();
    words.tally = tally_in_words(tally, people);
    words.who_may = format!(
        "Members of {} may vote{}.",
        policy
            .groups
            .iter()
            .cloned()
            .collect::<Vec<_>>()
            .join(" or "),
        if policy.requester_counts {
            ""
        } else {
            ", except who asked"
        },
    );
    words.ends_at = time_of_day(tally.expires_at);
    if let Decided::Over(how) = decided {
        words.decided = Some(how.clone());
    }
    let name = format!("approval/{}", tally.digest.short());
    to.iter()
        .map(|to| {
            let about = About::Approval {
                digest: tally.digest.clone(),
            };
            let envelope = Envelope {
                operation: operation.id,
                name: &name,
                about,
                to,
                at: plan.made_at,
            };
            let mut message = envelope.message("approval", &words);
            if *decided == Decided::Open {
                message.reactions = vec!["white_check_mark".to_owned(), "x".to_owned()];
                // The console's reactions are buttons already.
                if to.platform != CONSOLE {
                    message.buttons = BUTTONS
                        .map(|(key, label)| (key.to_owned(), label.to_owned()))
                        .into();
                }
            }
            message
        })
        .collect()
}

/// The part that only depends on the plan; also shown by a dry run and by `rollbot plan`.
pub fn plan_words(plan: &Plan) -> ApprovalWords {
    ApprovalWords {
        operation: String::new(),
        service: plan.service.name.clone(),
        procedure: plan.procedure.clone(),
        requester: String::new(),
        reason: None,
        steps: plan
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| StepWords {
                number: index + 1,
                title: step.title.clone(),
                lines: step
                    .effects
                    .iter()
                    .map(|effect| format!("{} ({})", effect.title, effect.kind.touches()))
                    .chain(step.checks.iter().map(|check| format!("Checks: {check}")))
                    .collect(),
            })
            .collect(),
        contingencies: plan
            .steps
            .iter()
            .flat_map(|step| &step.contingencies)
            .map(|contingency| ContingencyWords {
                title: format!(
                    "{} ({})",
                    contingency.effect.title,
                    contingency.effect.kind.touches()
                ),
                when: contingency.when.clone(),
            })
            .collect(),
        returns_to: plan.effects().flat_map(returns_to).collect(),
        data_loss: data_loss(&plan.data_loss),
        warnings: plan.warnings.clone(),
        tally: String::new(),
        who_may: String::new(),
        ends_at: String::new(),
        digest: plan.digest().short().to_owned(),
        plugin: plan.plugin.clone(),
        decided: None,
    }
}

/// The last known good container and image of each compose service that will be started.
fn returns_to(effect: &Effect) -> Vec<String> {
    let EffectKind::ComposeUp(target) = &effect.kind else {
        return Vec::new();
    };
    target
        .services
        .iter()
        .map(|service| {
            let container = effect.pinned.containers.get(service).map_or_else(
                || "a new container".to_owned(),
                |name| format!("container {name}"),
            );
            let image = match (
                effect.pinned.image_names.get(service),
                effect.pinned.images.get(service),
            ) {
                (Some(name), Some(digest)) => format!("image {name}, {}", short(digest)),
                (None, Some(digest)) => format!("image {}", short(digest)),
                _ => "an image that is not there yet".to_owned(),
            };
            format!("{service}: {container} ({image})")
        })
        .collect()
}

fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

fn data_loss(loss: &DataLoss) -> String {
    match loss {
        DataLoss::NoneSince { since } => format!(
            "none: the native service has written nothing since {} UTC",
            since.strftime("%Y-%m-%d %H:%M:%S")
        ),
        DataLoss::Window {
            since,
            last_write,
            files,
            bytes: size,
        } => format!(
            "what the native service wrote since {} UTC: {files} {}, {}, the last at {} UTC. It is kept in the archive.",
            since.strftime("%Y-%m-%d %H:%M:%S"),
            if *files == 1 { "file" } else { "files" },
            bytes(*size),
            last_write.strftime("%H:%M:%S"),
        ),
        DataLoss::Unknown { why } => format!("not known: {why}"),
    }
}

/// `1 of 2 approvals: Ben`
pub fn tally_in_words(tally: &Tally, people: &People) -> String {
    let names = |ids: &[rollbot_core::PersonId]| {
        ids.iter()
            .map(|id| people.name(id))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut text = format!("{} of {} approvals", tally.approvals.len(), tally.required);
    if !tally.approvals.is_empty() {
        text.push_str(&format!(": {}", names(&tally.approvals)));
    }
    if !tally.vetoes.is_empty() {
        text.push_str(&format!(" · vetoed by {}", names(&tally.vetoes)));
    }
    text
}
