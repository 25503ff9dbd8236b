//! Time, injected: nothing in rollbot asks the operating system for it but through this.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Where the time comes from.
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Returns when `now` has reached `until`; at once when it already has.
    async fn sleep_until(&self, until: Timestamp);
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    /// To the millisecond, which is what the store keeps: a time read back equals the one written.
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    async fn sleep_until(&self, until: Timestamp) {
        // In pieces, so that a clock which is set forward during the night ends the sleep.
        loop {
            let left = until.as_millisecond() - self.now().as_millisecond();
            let Ok(left) = u64::try_from(left) else {
                return;
            };
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(left.min(1_000))).await;
        }
    }
}
