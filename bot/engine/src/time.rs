//! The only time that a plugin has: what the journal says it was told.

use std::time::Duration;

use jiff::Timestamp;
use rollbot_core::journal::Outcome;

use crate::guest::Stop;
use crate::running::{NO_ARGUMENTS, Never, Place, Run};
use crate::wire::Wire;

impl Run {
    /// The time. What it said is written with whatever comes next: nothing can depend on it before.
    pub fn now(&mut self) -> Result<u64, Stop> {
        match self.place::<u64, Never>("clock.now", &NO_ARGUMENTS)? {
            Place::Returned(Ok(now)) => Ok(now),
            Place::Returned(Err(never)) => match never {},
            Place::Failed { error, .. } => match error {},
            Place::Open { seq, .. } => self.tell_time(seq, None),
            Place::New { seq, arguments } => self.tell_time(seq, Some(arguments)),
        }
    }

    fn tell_time(&mut self, seq: i64, fresh: Option<String>) -> Result<u64, Stop> {
        let now = crate::convert::millis_of(self.clock.now());
        let (_, json) = self.encode(Wire::<u64, Never>::Ok(now))?;
        let begun = fresh.map(|arguments| self.intent(seq, "clock.now", arguments));
        let ended = self.outcome(seq, Outcome::Returned(json));
        self.defer(begun.into_iter().chain([ended]));
        Ok(now)
    }

    /// Sleeps until so long after the first call, however often the process was restarted since.
    pub async fn sleep(&mut self, millis: u64) -> Result<(), Stop> {
        const FUNCTION: &str = "clock.sleep";
        let (seq, begun_at, begun) = match self.place::<(), Never>(FUNCTION, &(millis,))? {
            Place::Returned(Ok(())) => return Ok(()),
            Place::Returned(Err(never)) => match never {},
            Place::Failed { error, .. } => match error {},
            Place::Open { seq, intent_at, .. } => (seq, intent_at, None),
            Place::New { seq, arguments } => {
                let now = self.clock.now();
                (
                    seq,
                    now,
                    Some(self.intent_at(seq, FUNCTION, arguments, now)),
                )
            }
        };
        let until = wake_up(begun_at, millis, self.limits.longest_sleep)?;
        self.commit(begun.into_iter().collect()).await?;
        self.clock.sleep_until(until).await;
        let (_, json) = self.encode(Wire::<(), Never>::Ok(()))?;
        let ended = self.outcome(seq, Outcome::Returned(json));
        self.defer([ended]);
        Ok(())
    }
}

/// When a sleep ends.
pub(crate) fn wake_up(
    begun_at: Timestamp,
    millis: u64,
    longest: Duration,
) -> Result<Timestamp, Stop> {
    i64::try_from(millis)
        .ok()
        .filter(|_| Duration::from_millis(millis) <= longest)
        .and_then(|millis| begun_at.as_millisecond().checked_add(millis))
        .and_then(|until| Timestamp::from_millisecond(until).ok())
        .ok_or_else(|| {
            Stop::TooMuch(format!(
                "a sleep of {millis} ms, {} ms are allowed",
                longest.as_millis()
            ))
        })
}
