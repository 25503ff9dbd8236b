//! An operation from its request to its end.
//!
//! [`Conductor`] drives each operation in a task of its own. It holds nothing that is not in the
//! store: every wait is a look at the store and a wake-up, so a restart just begins to drive again.

mod conductor;
mod planning;
mod running;
mod story;
mod updates;
mod voting;
mod workshop;

pub use conductor::{Conductor, Ending};
pub(crate) use voting::ballot;
pub use workshop::{PlanFailed, Workshop};

/// Who writes audit entries that no person caused.
pub(crate) const ROLLBOT: &str = "rollbot";
