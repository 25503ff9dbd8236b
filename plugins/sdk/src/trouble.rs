//! What can go wrong in a step, and who deals with it.

use crate::procedures::Failure;
use crate::types::Evidence;
use crate::{ask, backup, docker, probe, process, progress, registry};

/// Why a step did not end.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// People look at the evidence and choose: again, or on without it.
    Problem(Evidence),
    /// This run cannot go on.
    Fatal(Failure),
}

/// What a step comes to.
pub type StepResult = Result<(), Trouble>;

impl Trouble {
    /// A problem with one sentence and nothing else to show.
    pub fn problem(summary: impl Into<String>) -> Self {
        Self::with_details(summary, Vec::new())
    }

    /// A problem with one sentence and what helps to judge it.
    pub fn with_details(summary: impl Into<String>, details: Vec<String>) -> Self {
        Self::Problem(Evidence {
            summary: summary.into(),
            details,
        })
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Fatal(failure)
    }
}

/// An error of a host interface, as far as the common steps care about it.
pub trait HostError {
    /// One sentence, for people.
    fn sentence(&self) -> String;
    /// People decided to go on without the effect.
    fn is_skipped(&self) -> bool {
        false
    }
    /// The call named something that the approved plan does not hold: the plugin is wrong, and
    /// must not go on.
    fn is_not_in_plan(&self) -> bool {
        false
    }
}

/// `Variant => "what it means"`: the variant's text follows after a colon.
macro_rules! host_error {
    ($error:ty { $($variant:ident => $meaning:literal),* $(,)? }) => {
        impl HostError for $error {
            fn sentence(&self) -> String {
                match self {
                    Self::AccessDenied(what) => format!("not granted in the configuration: {what}"),
                    Self::NotInPlan(what) => format!("not in the approved plan: {what}"),
                    Self::Skipped => "skipped".to_owned(),
                    $(Self::$variant(what) => format!(concat!($meaning, "{}"), what),)*
                }
            }
            fn is_skipped(&self) -> bool {
                matches!(self, Self::Skipped)
            }
            fn is_not_in_plan(&self) -> bool {
                matches!(self, Self::NotInPlan(_))
            }
        }
    };
}

host_error!(process::Error {
    UnknownUnit => "unknown to the service manager: ",
    Failed => "",
    TimedOut => "not in time: ",
});
host_error!(docker::Error {
    Unavailable => "Docker does not answer: ",
    NotFound => "not found: ",
    Failed => "",
    TimedOut => "not in time: ",
});
host_error!(backup::Error {
    Empty => "nothing to archive: ",
    NoSpace => "not enough disk space: ",
    Mismatch => "the archive does not hold what was read: ",
    Failed => "",
});
host_error!(probe::Error {
    Invalid => "the check cannot be made: ",
    Failed => "",
});
host_error!(registry::Error {
    NotFound => "not in the registry: ",
    Conflict => "changed by somebody else: ",
    Failed => "",
});

impl HostError for ask::Error {
    fn sentence(&self) -> String {
        match self {
            Self::AccessDenied(what) => format!("not granted in the configuration: {what}"),
            Self::Invalid(what) => format!("the question cannot be asked: {what}"),
        }
    }
}

impl HostError for progress::Error {
    fn sentence(&self) -> String {
        match self {
            Self::AccessDenied(what) => format!("not granted in the configuration: {what}"),
            Self::NotInPlan(what) => format!("not in the approved plan: {what}"),
        }
    }
    fn is_not_in_plan(&self) -> bool {
        matches!(self, Self::NotInPlan(_))
    }
}

/// The answer of a query, or a problem which begins with `what`: "The containers' state".
pub fn query<T, E: HostError>(what: &str, answer: Result<T, E>) -> Result<T, Trouble> {
    answer.map_err(|error| trouble(what, &error))
}

/// The report of an effect; `None` when people decided to go on without it, which the bot has
/// recorded. `what` begins the sentence of a problem.
pub fn perform<T, E: HostError>(what: &str, answer: Result<T, E>) -> Result<Option<T>, Trouble> {
    match answer {
        Ok(report) => Ok(Some(report)),
        Err(error) if error.is_skipped() => Ok(None),
        Err(error) => Err(trouble(what, &error)),
    }
}

fn trouble(what: &str, error: &impl HostError) -> Trouble {
    let said = format!("{what}: {}", error.sentence());
    if error.is_not_in_plan() {
        Trouble::Fatal(Failure::Host(said))
    } else {
        Trouble::problem(said)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[test]
    fn a_skipped_effect_lets_the_step_go_on() {
        assert!(matches!(
            perform::<(), _>("Stop", Err(process::Error::Skipped)),
            Ok(None)
        ));
    }

    #[test]
    fn an_effect_that_is_not_in_the_plan_ends_the_run() {
        match perform::<(), _>("Stop", Err(process::Error::NotInPlan("x".into()))) {
            Err(Trouble::Fatal(Failure::Host(said))) => {
                assert_eq!(said, "Stop: not in the approved plan: x");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_query_that_fails_is_put_before_people() {
        match query::<(), _>("Containers", Err(docker::Error::Unavailable("500".into()))) {
            Err(Trouble::Problem(evidence)) => {
                assert_eq!(evidence.summary, "Containers: Docker does not answer: 500");
            }
            other => panic!("{other:?}"),
        }
    }
}
