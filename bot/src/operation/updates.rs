//! T3 by itself: while an operation lasts, users hear of it at the latest every so often.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rollbot_core::OperationId;
use rollbot_core::operation::Operation;
use rollbot_core::operation::State;
use rollbot_core::store::{Batch, Guard, StoreError, Write};

use super::conductor::Inner;
use crate::messages::{self, Announcing, Occasion};
use rollbot_config::Service;

/// Ends with the run it belongs to.
pub(super) struct Updates(tokio::task::JoinHandle<()>);

impl Drop for Updates {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Updates {
    pub fn start(inner: Arc<Inner>, entry: Service, id: OperationId) -> Self {
        Self(tokio::spawn(async move {
            loop {
                let wait = match inner.update(&entry, id).await {
                    Ok(wait) => wait,
                    Err(error) => {
                        tracing::warn!(operation = %id, %error, "an update for users waits for the store");
                        Duration::from_secs(2)
                    }
                };
                tokio::time::sleep(wait).await;
            }
        }))
    }
}

/// Which update is due at `now`, counted from 1, and how long until the next; 0 before the first.
fn due(started: Timestamp, now: Timestamp, after: Duration, every: Duration) -> (u64, Duration) {
    let every = every.max(Duration::from_secs(1));
    let lasted = u64::try_from(now.as_millisecond() - started.as_millisecond()).unwrap_or(0);
    let lasted = Duration::from_millis(lasted);
    match lasted.checked_sub(after) {
        None => (0, after - lasted),
        Some(over) => {
            let number = over.as_millis() / every.as_millis();
            let into = Duration::from_millis(
                u64::try_from(over.as_millis() % every.as_millis()).unwrap_or(0),
            );
            (
                u64::try_from(number).unwrap_or(u64::MAX - 1) + 1,
                every - into,
            )
        }
    }
}

impl Inner {
    /// Writes the update that is due, unless it was written before: its identity is its number, so
    /// a restart neither repeats nor forgets one.
    async fn update(&self, entry: &Service, id: OperationId) -> Result<Duration, StoreError> {
        let operation: Operation = self.load(id).await?;
        let Some(started) = operation.started_at else {
            return Ok(Duration::from_secs(1));
        };
        let now = self.clock.now();
        let catalogue = &self.catalogue;
        let (number, next) = due(
            started,
            now,
            catalogue.updates_after,
            catalogue.updates_every,
        );
        if number == 0 || catalogue.users.is_empty() {
            return Ok(next);
        }
        let steps = self.store.steps(id).await?;
        let estimate = self
            .live_state(&operation, steps.clone(), 0)
            .await?
            .estimate;
        let occasion = Occasion {
            operation: &operation,
            steps: &steps,
            estimate,
            title: &entry.title,
            product: &catalogue.product,
            contact: &catalogue.contact,
            every: catalogue.updates_every,
        };
        let messages =
            messages::announcement(Announcing::Update(number), &occasion, &catalogue.users, now);
        let mut batch = Batch::new().guard(Guard::State {
            operation: id,
            one_of: vec![State::Running, State::Paused],
        });
        for message in messages {
            if self
                .store
                .outbox_by_identity(&message.identity)
                .await?
                .is_none()
            {
                batch = batch.write(Write::Notify(Box::new(message)));
            }
        }
        if !batch.writes.is_empty() {
            let text = format!("update {number} to users");
            batch = batch.write(self.audit(
                id,
                super::ROLLBOT,
                "update",
                text,
                serde_json::Value::Null,
            ));
            self.store.commit(batch).await?;
            self.outbox.wake();
        }
        Ok(next)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn updates_come_on_schedule_and_an_overdue_one_at_once() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (after, every) = (Duration::from_secs(300), Duration::from_secs(900));
        let look = |second| due(at(0), at(second), after, every);
        assert_eq!(look(0), (0, Duration::from_secs(300)));
        assert_eq!(look(299), (0, Duration::from_secs(1)));
        assert_eq!(look(300), (1, Duration::from_secs(900)));
        assert_eq!(look(1_199), (1, Duration::from_secs(1)));
        // After a long outage the newest one is due, and those it missed are not made up for.
        assert_eq!(look(9_000), (10, Duration::from_secs(300)));
    }
}
