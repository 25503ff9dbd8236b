//! What a run tells of itself, and how it ends.

use async_trait::async_trait;
use jiff::Timestamp;
use rollbot_core::operation::{Decision, Phase, Question};
use rollbot_core::plan::Effect;
use rollbot_core::store::{StoreError, Write};

/// Something that happened in a run. Each event is told once: a replay repeats none of them,
/// but for `Began`.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    /// The plugin runs, or runs again after a restart; then some calls are answered from the
    /// journal first.
    Began {
        phase: Phase,
        replayed: usize,
    },
    /// In the phase `undo`: undoing it begins.
    StepBegan {
        step: String,
        title: String,
    },
    StepEnded {
        step: String,
        title: String,
        began: Timestamp,
    },
    /// It did not end well, and people are asked next.
    StepFailed {
        step: String,
        title: String,
        began: Timestamp,
        summary: String,
        details: Vec<String>,
    },
    /// People decided to go on without it.
    StepSkipped {
        step: String,
        title: String,
        began: Timestamp,
    },
    /// People decided to run it again.
    StepRetried {
        step: String,
        title: String,
    },
    EffectBegan {
        step: String,
        effect: Box<Effect>,
    },
    /// `how` is a sentence for people; `by_hand` is set if a person did it and said so.
    EffectEnded {
        step: String,
        effect: Box<Effect>,
        how: String,
        by_hand: bool,
    },
    /// The failure is handed to the plugin if it has planned this contingency, and to people
    /// otherwise.
    EffectFailed {
        step: String,
        effect: Box<Effect>,
        error: String,
        contingency: Option<String>,
    },
    /// It was begun before a crash, and nothing tells whether it was done; people are asked next.
    EffectUnknown {
        step: String,
        effect: Box<Effect>,
    },
    /// People decided to go on without it.
    EffectSkipped {
        step: String,
        effect: Box<Effect>,
    },
    /// People decided to perform it again.
    EffectRetried {
        step: String,
        effect: Box<Effect>,
    },
    /// A call was refused: outside the plan or the grants. The plugin was told the same.
    Refused {
        function: &'static str,
        reason: String,
    },
    /// The plugin's own words, in the running step where there is one.
    Note {
        step: Option<String>,
        text: String,
    },
    /// Attempt `n` of `of` failed in a way that may pass by itself; another follows.
    Attempt {
        function: &'static str,
        effect: Option<String>,
        n: u32,
        of: u32,
        error: String,
    },
    /// People answered a question of the plugin.
    Answered {
        text: String,
        key: String,
    },
}

/// The run cannot go on in this process: it is being shut down. The operation stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Interrupted(pub String);

/// Hears of everything that happens in a run, and speaks to people.
#[async_trait]
pub trait RunObserver: Send + Sync {
    /// Further writes for the same transaction as the change of the journal that the event belongs
    /// to: steps, audit, messages, state; never the journal.
    fn tell(&self, at: Timestamp, event: &RunEvent) -> Vec<Write>;

    /// Records the pause, waits for people, records their answer and that the run goes on. The
    /// journal is complete when this is called.
    ///
    /// After a restart the same question (operation, phase, call and attempt) is asked again; if it
    /// was answered before, this returns at once.
    ///
    /// # Errors
    /// The process is shutting down.
    async fn decide(&self, question: Question) -> Result<Decision, Interrupted>;

    /// Whether people want the run to stop. Asked before each new effect.
    fn is_abort_requested(&self) -> bool {
        false
    }
}

/// What a guest ran out of, or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrapKind {
    /// It computed too many instructions.
    Fuel,
    /// It computed too long between two host calls.
    Time,
    Memory,
    Stack,
    /// It gave up by itself: a panic, an assertion, an abort.
    Panic,
    /// Anything else that ends a guest.
    Other,
}

impl TrapKind {
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Fuel => "computed too much",
            Self::Time => "computed too long without a host call",
            Self::Memory => "used too much memory",
            Self::Stack => "used up its stack",
            Self::Panic => "panicked",
            Self::Other => "was ended by the sandbox",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RunEnd {
    /// The plugin went through every step. Whether the targets hold is still to be observed.
    #[error("every step was gone through")]
    Finished,
    /// People chose undo.
    #[error("people chose to undo it")]
    Undo,
    /// People chose to abort.
    #[error("people aborted it")]
    Aborted,
    /// The plugin said that it cannot finish.
    #[error("the plugin gave up: {what}")]
    PluginFailed { what: String },
    /// The plugin broke. Nothing of that is in the journal: a mended engine may run it again.
    #[error("the plugin {}: {detail}", .kind.in_words())]
    Trapped { kind: TrapKind, detail: String },
    /// The replay differs from the journal at call `seq`. Nothing was performed since.
    #[error("call {seq} differs from the journal: expected {expected}, found {found}")]
    Diverged {
        seq: i64,
        expected: String,
        found: String,
    },
    /// More calls or output than a plugin may make.
    #[error("the plugin exceeded a limit: {what}")]
    TooMuch { what: String },
    /// What was to be run is not what was approved. Nothing was performed.
    #[error("not started: {why}")]
    NotApproved { why: String },
    /// Somebody else owns the operation now.
    #[error("another process has taken the operation over")]
    Fenced,
    /// Shutting down; a restart goes on from here.
    #[error("interrupted: {why}")]
    Interrupted { why: String },
    #[error("{0}")]
    StoreLost(StoreError),
}
