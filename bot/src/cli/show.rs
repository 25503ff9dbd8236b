//! `rollbot show RB-n`: the timeline of an operation, from the store alone.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use owo_colors::OwoColorize as _;
use rollbot_core::OperationId;
use rollbot_core::audit::AuditRow;
use rollbot_core::operation::{Operation, Phase, Question, State, StepRecord, StepState};
use rollbot_core::outbox::OutboxRow;
use rollbot_core::store::Store;
use rollbot_notify::duration;
use serde::Serialize;

use super::Ended;
use super::args::ShowArgs;
use super::style::{harmless, print_json, say};

/// Everything on record of an operation.
#[derive(Debug, Clone, Serialize)]
pub struct Timeline {
    pub operation: Operation,
    pub steps: Vec<StepRecord>,
    /// What people were asked while it was paused, oldest first.
    pub questions: Vec<Question>,
    pub audit: Vec<AuditRow>,
    pub messages: Vec<Told>,
}

/// A message, and whether it arrived.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Told {
    pub identity: String,
    pub about: String,
    pub platform: String,
    pub channel: String,
    pub first_written_at: jiff::Timestamp,
    pub delivered: bool,
    pub delivered_at: Option<jiff::Timestamp>,
    pub last_error: Option<String>,
}

impl From<OutboxRow> for Told {
    fn from(row: OutboxRow) -> Self {
        Self {
            identity: row.message.identity,
            about: row.message.about.as_str().to_owned(),
            platform: row.message.destination.platform,
            channel: row.message.destination.channel,
            first_written_at: row.created_at,
            delivered: row.delivered == row.revision,
            delivered_at: row.delivered_at,
            last_error: row.last_error,
        }
    }
}

/// Reads it.
///
/// # Errors
/// There is no such operation, or the store cannot be read.
pub async fn timeline(store: &dyn Store, id: OperationId) -> anyhow::Result<Timeline> {
    let operation = store
        .operation(id)
        .await?
        .with_context(|| format!("there is no operation {id}: `rollbot operations` lists them"))?;
    Ok(Timeline {
        operation,
        steps: store.steps(id).await?,
        questions: store.questions(id).await?,
        audit: store.audit(id).await?,
        messages: store
            .outbox_of(id)
            .await?
            .into_iter()
            .map(Told::from)
            .collect(),
    })
}

pub async fn show(config: &Path, args: ShowArgs) -> Ended {
    let store = crate::serve::open_to_read(config).await?;
    let timeline = timeline(&store, args.operation).await?;
    if args.json {
        print_json(&timeline)?;
    } else {
        say(&in_words(&timeline));
    }
    Ok(ExitCode::SUCCESS)
}

/// The timeline as people read it.
pub fn in_words(timeline: &Timeline) -> String {
    let operation = &timeline.operation;
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!(
        "{} {} of {} · {}",
        operation.id.to_string().bold(),
        operation.procedure,
        operation.service.bold(),
        operation.state.in_words().bold(),
    ));
    line(format!(
        "asked for by {} on {} UTC{}",
        operation.requester,
        operation.requested_at.strftime("%Y-%m-%d %H:%M:%S"),
        operation
            .reason
            .as_ref()
            .map(|reason| format!(": {}", harmless(reason)))
            .unwrap_or_default(),
    ));
    if let Some(digest) = &operation.digest {
        let plugin = operation
            .plan
            .as_ref()
            .map(|plan| plan.plugin.as_str())
            .unwrap_or_default();
        line(format!("plan {} by {plugin}", digest.short()));
    }
    line(String::new());
    for row in &timeline.audit {
        let entry = &row.entry;
        // What a step does is indented below it.
        let inner = matches!(
            entry.kind.as_str(),
            "effect-begun"
                | "effect-ended"
                | "effect-failed"
                | "effect-unknown"
                | "effect-skipped"
                | "effect-retried"
                | "note"
                | "attempt-failed"
                | "refused"
        );
        let indent = if inner { "    " } else { "" };
        line(format!(
            "{}  {indent}{}  {}",
            entry.at.strftime("%H:%M:%S%.3f").to_string().dimmed(),
            harmless(&entry.text),
            entry.actor.dimmed(),
        ));
    }
    if !timeline.steps.is_empty() {
        line(String::new());
        line("Steps".bold().to_string());
        for step in &timeline.steps {
            let took = step
                .took()
                .map(|ms| duration(Duration::from_millis(ms)))
                .unwrap_or_default();
            let undo = match step.phase {
                Phase::Run => "",
                Phase::Undo => "Undo: ",
            };
            let title = format!("{undo}{}", harmless(&step.title));
            line(
                format!("  {:<10} {title:<44} {took}", stands(step, operation.state))
                    .trim_end()
                    .to_owned(),
            );
        }
    }
    if !operation.observed.is_empty() {
        line(String::new());
        line("Observed".bold().to_string());
        for seen in &operation.observed {
            let mark = if seen.holds { "ok " } else { "NOT" };
            line(format!(
                "  {mark} {}: {} (wanted: {})",
                harmless(&seen.name),
                harmless(&seen.observed),
                harmless(&seen.wanted)
            ));
        }
    }
    if operation.state == State::Paused
        && let Some(open) = timeline.questions.iter().rev().find(|q| q.answer.is_none())
    {
        line(String::new());
        line(format!(
            "{} {}",
            "Waits for people:".bold(),
            harmless(&open.text)
        ));
        for detail in &open.details {
            line(format!("  {}", harmless(detail)));
        }
        for choice in &open.choices {
            let chosen: Vec<_> = open
                .chosen
                .iter()
                .filter(|chosen| chosen.key == choice.key)
                .map(|chosen| chosen.person.to_string())
                .collect();
            let so_far = match chosen.is_empty() {
                true => String::new(),
                false => format!(" (chosen by {})", chosen.join(", ")),
            };
            line(format!(
                "  rollbot answer {} {:<10} {}{so_far}",
                operation.id,
                choice.key,
                harmless(&choice.label)
            ));
        }
    }
    let (told, waiting): (Vec<_>, Vec<_>) = timeline
        .messages
        .iter()
        .partition(|message| message.delivered);
    line(String::new());
    line(format!(
        "{} messages delivered, {} not yet",
        told.len(),
        waiting.len()
    ));
    for message in waiting {
        line(format!(
            "  {} to {}/{}: {}",
            message.identity,
            message.platform,
            message.channel,
            harmless(message.last_error.as_deref().unwrap_or("not tried yet"))
        ));
    }
    if let Some(ending) = &operation.ending {
        line(String::new());
        line(harmless(ending).bold().to_string());
    }
    for exception in &operation.exceptions {
        line(format!("  exception: {}", harmless(exception)));
    }
    out.trim_end().to_owned()
}

/// How a step stands, seen together with its operation: a step that has not ended goes on only
/// while the operation runs.
fn stands(step: &StepRecord, operation: State) -> &'static str {
    match (step.state, operation) {
        (StepState::Running, State::Paused) => "paused",
        (StepState::Running, ended) if ended.is_final() => "broken off",
        (state, _) => state.as_str(),
    }
}
