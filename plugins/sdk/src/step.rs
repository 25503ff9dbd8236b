//! Steps as people see them: they begin, and end or are decided on.

use crate::procedures::Failure;
use crate::progress::{self, Decision};
use crate::trouble::{HostError, StepResult, Trouble};

/// How a step came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// People decided to go on without it; the bot lists it at the end.
    Skipped,
}

/// Runs a step until it ends, or until people say how to go on.
///
/// # Errors
/// What ends the whole run: a [`Trouble::Fatal`] of the step, or a step the plan does not hold.
pub fn step_loop(name: &str, work: &dyn Fn() -> StepResult) -> Result<Ended, Failure> {
    loop {
        progress::begin(name).map_err(|error| refused(name, &error))?;
        match work() {
            Ok(()) => {
                progress::end(name).map_err(|error| refused(name, &error))?;
                return Ok(Ended::Done);
            }
            Err(Trouble::Fatal(failure)) => return Err(failure),
            Err(Trouble::Problem(evidence)) => {
                match progress::failed(name, &evidence).map_err(|error| refused(name, &error))? {
                    Decision::Retry => {}
                    Decision::Skip => return Ok(Ended::Skipped),
                }
            }
        }
    }
}

fn refused(step: &str, error: &progress::Error) -> Failure {
    Failure::Host(format!("Step {step}: {}", error.sentence()))
}

/// A line in the thread of the running step. One that is refused is no reason to end a rollback.
pub fn note(text: impl AsRef<str>) {
    let _refused = progress::note(text.as_ref());
}
