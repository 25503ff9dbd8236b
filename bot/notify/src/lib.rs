//! Templates and the outbox: the one place that renders, and the one place that sends.
//!
//! A message is stored as template and variables; it becomes text here, with everything that
//! somebody else wrote escaped the way the platform needs it. Templates come from `templates/` and
//! can be overridden file by file from a team's own folder.

mod estimate;
mod outbox;
mod spell;
mod templates;
mod words;

pub use estimate::{Estimate, estimate};
pub use outbox::{Outbox, OutboxConfig, Reach};
pub use spell::{bytes, duration, duration_range, time_of_day};
pub use templates::{TEMPLATES, TemplateError, TemplateErrors, Templates};
pub use words::{
    AnnouncementWords, ApprovalWords, ChoiceWords, ContingencyWords, DetailWords, LiveWords,
    NoticeWords, ObservedWords, QuestionWords, StepLine, StepWords, Words,
};
