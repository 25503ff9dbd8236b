//! How calls and their outcomes are written, and what all errors of the interfaces share.

use std::future::Future;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::authority::Refusal;
use crate::bindings::rollbot::plugin::{
    ask, backup, docker, probe, process, progress, registry, types,
};

/// A WIT result as JSON: `{"ok":…}` or `{"err":…}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wire<T, E> {
    Ok(T),
    Err(E),
}

impl<T, E> From<Result<T, E>> for Wire<T, E> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Ok(value),
            Err(error) => Self::Err(error),
        }
    }
}

impl<T, E> From<Wire<T, E>> for Result<T, E> {
    fn from(wire: Wire<T, E>) -> Self {
        match wire {
            Wire::Ok(value) => Ok(value),
            Wire::Err(error) => Err(error),
        }
    }
}

/// Everything that can be journaled.
pub(crate) trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Record for T {}

/// An error variant of an interface.
pub(crate) trait CallError: Record + Clone {
    fn refused(refusal: &Refusal) -> Self;
    /// The host did not keep its own deadlines.
    fn overdue(text: String) -> Self;
    /// One sentence.
    fn text(&self) -> String;
    /// Whether it may pass by itself: worth another attempt before anybody is bothered.
    fn may_pass(&self) -> bool;
}

/// An error variant of an interface with effects.
pub(crate) trait EffectError: CallError {
    fn skipped() -> Self;
    fn is_skipped(&self) -> bool;
    /// The effect was not allowed, and so did not begin.
    fn is_refusal(&self) -> bool;
}

macro_rules! effect_error {
    ($error:ty) => {
        impl EffectError for $error {
            fn skipped() -> Self {
                Self::Skipped
            }
            fn is_skipped(&self) -> bool {
                matches!(self, Self::Skipped)
            }
            fn is_refusal(&self) -> bool {
                matches!(self, Self::AccessDenied(_) | Self::NotInPlan(_))
            }
        }
    };
}

macro_rules! call_error {
    ($error:ty, overdue: $overdue:ident, invalid: $invalid:ident, may_pass: [$($passes:ident),*], others: [$($other:ident),*]) => {
        impl CallError for $error {
            fn refused(refusal: &Refusal) -> Self {
                match refusal {
                    Refusal::Denied(text) => Self::AccessDenied(text.clone()),
                    Refusal::NotInPlan(text) => Self::NotInPlan(text.clone()),
                    Refusal::Invalid(text) => Self::$invalid(text.clone()),
                }
            }
            fn overdue(text: String) -> Self {
                Self::$overdue(text)
            }
            fn text(&self) -> String {
                match self {
                    Self::AccessDenied(text) | Self::NotInPlan(text) $(| Self::$other(text))* => {
                        text.clone()
                    }
                    Self::Skipped => "people decided to go on without it".into(),
                }
            }
            fn may_pass(&self) -> bool {
                matches!(self, $(Self::$passes(_))|*)
            }
        }
        effect_error!($error);
    };
}

call_error!(process::Error, overdue: TimedOut, invalid: Failed, may_pass: [TimedOut],
    others: [UnknownUnit, Failed, TimedOut]);
call_error!(docker::Error, overdue: TimedOut, invalid: Failed, may_pass: [Unavailable, TimedOut],
    others: [Unavailable, NotFound, Failed, TimedOut]);
call_error!(registry::Error, overdue: Failed, invalid: Failed, may_pass: [Failed],
    others: [NotFound, Conflict, Failed]);

impl CallError for backup::Error {
    fn refused(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Denied(text) => Self::AccessDenied(text.clone()),
            Refusal::NotInPlan(text) => Self::NotInPlan(text.clone()),
            Refusal::Invalid(text) => Self::Failed(text.clone()),
        }
    }
    fn overdue(text: String) -> Self {
        Self::Failed(text)
    }
    fn text(&self) -> String {
        match self {
            Self::AccessDenied(text)
            | Self::NotInPlan(text)
            | Self::Empty(text)
            | Self::NoSpace(text)
            | Self::Mismatch(text)
            | Self::Failed(text) => text.clone(),
            Self::Skipped => "people decided to go on without it".into(),
        }
    }
    fn may_pass(&self) -> bool {
        // Each attempt reads everything again, and neither space nor files come by themselves.
        false
    }
}

effect_error!(backup::Error);

impl CallError for probe::Error {
    fn refused(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Denied(text) => Self::AccessDenied(text.clone()),
            Refusal::NotInPlan(text) => Self::NotInPlan(text.clone()),
            Refusal::Invalid(text) => Self::Invalid(text.clone()),
        }
    }
    fn overdue(text: String) -> Self {
        Self::Failed(text)
    }
    fn text(&self) -> String {
        match self {
            Self::AccessDenied(text)
            | Self::NotInPlan(text)
            | Self::Invalid(text)
            | Self::Failed(text) => text.clone(),
            Self::Skipped => "people decided to go on without it".into(),
        }
    }
    fn may_pass(&self) -> bool {
        // An answer that did not come is a report, and the plugin's to judge.
        false
    }
}

effect_error!(probe::Error);

impl CallError for ask::Error {
    fn refused(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Denied(text) => Self::AccessDenied(text.clone()),
            Refusal::NotInPlan(text) | Refusal::Invalid(text) => Self::Invalid(text.clone()),
        }
    }
    fn overdue(text: String) -> Self {
        Self::Invalid(text)
    }
    fn text(&self) -> String {
        match self {
            Self::AccessDenied(text) | Self::Invalid(text) => text.clone(),
        }
    }
    fn may_pass(&self) -> bool {
        false
    }
}

impl CallError for progress::Error {
    fn refused(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Denied(text) => Self::AccessDenied(text.clone()),
            Refusal::NotInPlan(text) | Refusal::Invalid(text) => Self::NotInPlan(text.clone()),
        }
    }
    fn overdue(text: String) -> Self {
        Self::AccessDenied(text)
    }
    fn text(&self) -> String {
        match self {
            Self::AccessDenied(text) | Self::NotInPlan(text) => text.clone(),
        }
    }
    fn may_pass(&self) -> bool {
        false
    }
}

/// The host's answer, or an error if it does not come in time.
pub(crate) async fn in_time<T, E: CallError>(
    function: &str,
    deadline: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(answer) => answer,
        Err(_) => {
            let seconds = deadline.as_secs_f64();
            Err(E::overdue(format!(
                "{function} did not end within {seconds:.1} s"
            )))
        }
    }
}

// Records as arguments: fields in alphabetical order, which makes their JSON canonical without
// going through a map.

#[derive(Serialize)]
pub(crate) struct CheckArgument<'a> {
    body: Option<&'a str>,
    expect: &'a [types::JsonExpectation],
    headers: &'a [types::Header],
    idempotency_key: bool,
    method: types::HttpMethod,
    status: u16,
    url: &'a str,
    within: u64,
}

impl<'a> From<&'a types::HttpCheck> for CheckArgument<'a> {
    fn from(check: &'a types::HttpCheck) -> Self {
        Self {
            body: check.body.as_deref(),
            expect: &check.expect,
            headers: &check.headers,
            idempotency_key: check.idempotency_key,
            method: check.method,
            status: check.status,
            url: &check.url,
            within: check.within,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct EvidenceArgument<'a> {
    details: &'a [String],
    summary: &'a str,
}

impl<'a> From<&'a types::Evidence> for EvidenceArgument<'a> {
    fn from(evidence: &'a types::Evidence) -> Self {
        Self {
            details: &evidence.details,
            summary: &evidence.summary,
        }
    }
}
