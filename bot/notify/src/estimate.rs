//! How long an operation will still take, from what the same steps took before.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rollbot_core::operation::{Phase, StepRecord, StepState};

/// What is left, as a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    pub from: Duration,
    pub to: Duration,
    /// The slowest past run would be over by now: the range is what the steps not begun took.
    pub overdue: bool,
}

/// `steps`: names of the plan's steps, in order. `done`: this run's records. `past`: records of
/// past runs of the same service. `None` where a step that is left was never run before.
pub fn estimate(
    steps: &[String],
    done: &[StepRecord],
    past: &[StepRecord],
    now: Timestamp,
) -> Option<Estimate> {
    let mut seen: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for record in past {
        // Skipped and failed steps say nothing about how long it takes to do them.
        if record.phase != Phase::Run || record.state != StepState::Done {
            continue;
        }
        let Some(took) = record.took() else { continue };
        let range = seen.entry(record.name.as_str()).or_insert((took, took));
        range.0 = range.0.min(took);
        range.1 = range.1.max(took);
    }
    let (mut from, mut to, mut overdue) = (0_u64, 0_u64, false);
    for name in steps {
        let record = done.iter().find(|record| record.name == *name);
        if record.is_some_and(|r| matches!(r.state, StepState::Done | StepState::Skipped)) {
            continue;
        }
        let &(least, most) = seen.get(name.as_str())?;
        let spent = record.map_or(0, |record| {
            u64::try_from(now.as_millisecond() - record.started_at.as_millisecond()).unwrap_or(0)
        });
        overdue |= spent > most;
        from += least.saturating_sub(spent);
        to += most.saturating_sub(spent);
    }
    Some(Estimate {
        from: Duration::from_millis(from),
        to: Duration::from_millis(to),
        overdue,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rollbot_core::OperationId;

    use super::*;

    fn record(name: &str, started: i64, ended: Option<i64>, state: StepState) -> StepRecord {
        StepRecord {
            operation: OperationId::new(1).unwrap(),
            phase: Phase::Run,
            name: name.into(),
            title: name.into(),
            state,
            started_at: Timestamp::from_second(started).unwrap(),
            ended_at: ended.map(|at| Timestamp::from_second(at).unwrap()),
        }
    }

    fn past() -> Vec<StepRecord> {
        vec![
            record("stop", 0, Some(2), StepState::Done),
            record("stop", 100, Some(110), StepState::Done),
            record("start", 2, Some(62), StepState::Done),
            record("start", 110, Some(510), StepState::Failed),
        ]
    }

    fn left(done: &[StepRecord], now: i64) -> Option<Estimate> {
        let steps = ["stop".to_owned(), "start".to_owned()];
        estimate(&steps, done, &past(), Timestamp::from_second(now).unwrap())
    }

    #[test]
    fn the_range_is_made_of_the_fastest_and_the_slowest_past_steps() {
        let estimate = left(&[], 1_000).unwrap();
        assert_eq!(estimate.from, Duration::from_secs(62));
        assert_eq!(estimate.to, Duration::from_secs(70));
    }

    #[test]
    fn what_is_done_and_what_was_spent_is_taken_off() {
        let done = [
            record("stop", 1_000, Some(1_003), StepState::Done),
            record("start", 1_003, None, StepState::Running),
        ];
        let estimate = left(&done, 1_023).unwrap();
        assert_eq!(
            (estimate.from, estimate.to),
            (Duration::from_secs(40), Duration::from_secs(40))
        );
        assert!(!estimate.overdue);
    }

    #[test]
    fn a_step_that_outlasts_all_others_is_admitted_to_be_overdue() {
        let done = [record("start", 1_003, None, StepState::Running)];
        assert!(left(&done, 1_103).unwrap().overdue);
    }

    #[test]
    fn without_past_runs_there_is_no_estimate() {
        let steps = ["verify".to_owned()];
        assert_eq!(estimate(&steps, &[], &past(), Timestamp::UNIX_EPOCH), None);
    }
}
