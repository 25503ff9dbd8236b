//! When a call may be made: each method has its tier, and messages have one for each channel. What
//! is urgent goes first; what would have to wait for long is put off instead.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// What somebody waits for: answers, votes, questions.
    High,
    Normal,
    /// What the next edit replaces.
    Low,
}

impl Urgency {
    pub(crate) fn of(kind: &str) -> Self {
        match kind {
            "approval" | "question" | "answer" => Urgency::High,
            "live" | "detail" => Urgency::Low,
            _ => Urgency::Normal,
        }
    }
}

/// How often a method may be called: one call in `every`, after `burst` at once.
#[derive(Debug, Clone, Copy)]
struct Pace {
    every: Duration,
    burst: u32,
}

/// Slack's tiers (docs.slack.dev, "Rate limits"), with bursts that it tolerates: tier 2 is 20 calls a
/// minute, tier 3 50, tier 4 100; messages are one a second in each channel, and a little less is asked
/// for, since requests do not all take equally long to arrive.
fn pace(method: &str) -> Pace {
    let (every, burst) = match method {
        "chat.postMessage" => (1_050, 3),
        "reactions.remove" => (3_000, 10),
        "chat.update"
        | "reactions.add"
        | "reactions.get"
        | "conversations.history"
        | "conversations.replies"
        | "conversations.info" => (1_200, 20),
        _ => (600, 40),
    };
    Pace {
        every: Duration::from_millis(every),
        burst,
    }
}

#[derive(Debug, Default)]
struct Lane {
    /// When the burst is used up no further than before its first call.
    free_at: Option<Instant>,
    /// Nothing before this: Slack said so.
    held_until: Option<Instant>,
    waiting: [usize; 3],
}

#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: Mutex<HashMap<String, Lane>>,
}

/// More lanes than any configuration has channels; beyond it the idle ones are forgotten.
const MOST_LANES: usize = 1_000;

/// Counts somebody as waiting until they are gone, also where their call is given up.
struct Waiting<'l> {
    lanes: &'l Lanes,
    key: &'l str,
    urgency: Urgency,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.lanes.with(self.key, |lane| {
            if let Some(count) = lane.waiting.get_mut(self.urgency as usize) {
                *count = count.saturating_sub(1);
            }
        });
    }
}

impl Lanes {
    fn with<T>(&self, key: &str, change: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() > MOST_LANES {
            let now = Instant::now();
            lanes.retain(|_, lane| {
                lane.waiting != [0; 3]
                    || lane.held_until.is_some_and(|until| until > now)
                    || lane.free_at.is_some_and(|at| at > now)
            });
        }
        change(lanes.entry(key.to_owned()).or_default())
    }

    /// Waits for this call's turn.
    ///
    /// # Errors
    /// How long it would have to wait, where that is longer than `longest`.
    pub(crate) async fn turn(
        &self,
        method: &str,
        key: &str,
        urgency: Urgency,
        longest: Duration,
    ) -> Result<(), Duration> {
        let Pace { every, burst } = pace(method);
        let slack = every * burst.saturating_sub(1);
        let give_up = Instant::now() + longest;
        self.with(key, |lane| {
            if let Some(count) = lane.waiting.get_mut(urgency as usize) {
                *count += 1;
            }
        });
        let _waiting = Waiting {
            lanes: self,
            key,
            urgency,
        };
        loop {
            let now = Instant::now();
            let wait = self.with(key, |lane| {
                let free_at = lane.free_at.unwrap_or(now).max(now);
                let mut ready = now.max(free_at.checked_sub(slack).unwrap_or(now));
                if let Some(until) = lane.held_until {
                    ready = ready.max(until);
                }
                let more_urgent: usize = lane.waiting.iter().take(urgency as usize).sum();
                if ready <= now && more_urgent == 0 {
                    lane.free_at = Some(free_at + every);
                    return None;
                }
                let least = Duration::from_millis(if more_urgent > 0 { 20 } else { 1 });
                Some(ready.duration_since(now).max(least))
            });
            match wait {
                None => return Ok(()),
                Some(wait) if now + wait > give_up => return Err(wait),
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Nothing in this lane for so long.
    pub(crate) fn hold(&self, key: &str, time: Duration) {
        self.with(key, |lane| {
            let until = Instant::now() + time;
            lane.held_until = Some(lane.held_until.map_or(until, |held| held.max(until)));
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_burst_goes_at_once_and_then_one_a_second() {
        let lanes = Lanes::default();
        let start = Instant::now();
        for _ in 0..3 {
            lanes
                .turn("chat.postMessage", "C1", Urgency::Normal, LONG)
                .await
                .unwrap();
        }
        assert!(start.elapsed() < Duration::from_millis(500));
        lanes
            .turn("chat.postMessage", "C1", Urgency::Normal, LONG)
            .await
            .unwrap();
        assert!(start.elapsed() >= Duration::from_millis(990));
    }

    #[tokio::test]
    async fn what_would_wait_too_long_is_put_off() {
        let lanes = Lanes::default();
        lanes.hold("chat.update", Duration::from_secs(30));
        let wait = lanes
            .turn(
                "chat.update",
                "chat.update",
                Urgency::High,
                Duration::from_secs(4),
            )
            .await
            .unwrap_err();
        assert!(wait > Duration::from_secs(29));
        lanes
            .turn("chat.update", "other", Urgency::High, Duration::ZERO)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn the_urgent_goes_first() {
        let lanes = std::sync::Arc::new(Lanes::default());
        lanes.hold("C1", Duration::from_millis(200));
        let order = std::sync::Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for urgency in [Urgency::Low, Urgency::Normal, Urgency::High] {
            let (lanes, order) = (lanes.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                lanes
                    .turn("chat.update", "C1", urgency, LONG)
                    .await
                    .unwrap();
                order.lock().unwrap().push(urgency);
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(
            *order.lock().unwrap(),
            [Urgency::High, Urgency::Normal, Urgency::Low]
        );
    }
}
