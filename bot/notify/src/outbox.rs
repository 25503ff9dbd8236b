//! Works the outbox off: renders, sends, tries again, and never blocks anything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use rollbot_chat::{ChatPlatform, Outgoing, SendError};
use rollbot_core::outbox::{About, OutboxRow};
use rollbot_core::store::{Store, StoreError};
use rollbot_core::{Clock, OperationId};
use tokio::sync::Notify;

use crate::templates::Templates;

/// How the outbox behaves.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// How long one send may take.
    pub send_deadline: Duration,
    /// First pause after a failed send; doubled each time up to `longest_pause`.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// The live message is edited no more often than this: changes in between are one edit.
    pub edit_interval: Duration,
    /// How often to look when nobody calls.
    pub idle: Duration,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            send_deadline: Duration::from_secs(10),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            edit_interval: Duration::from_millis(500),
            idle: Duration::from_secs(1),
        }
    }
}

/// How sending goes on a platform, for `/readyz`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reach {
    pub platform: String,
    pub sent: u64,
    pub failed: u64,
    pub last_error: Option<String>,
}

/// The worker, and what wakes it.
pub struct Outbox {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    templates: Arc<Templates>,
    platforms: BTreeMap<String, Arc<dyn ChatPlatform>>,
    config: OutboxConfig,
    wake: Notify,
    sent: AtomicU64,
    reach: std::sync::Mutex<BTreeMap<String, Reach>>,
}

/// What became of one row.
enum Sent {
    Delivered,
    /// Its thread's first message is not there yet.
    Waits,
    Failed,
}

impl Outbox {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        templates: Arc<Templates>,
        platforms: impl IntoIterator<Item = Arc<dyn ChatPlatform>>,
        config: OutboxConfig,
    ) -> Arc<Self> {
        let platforms = platforms
            .into_iter()
            .map(|platform| (platform.name().to_owned(), platform))
            .collect();
        Arc::new(Self {
            store,
            clock,
            templates,
            platforms,
            config,
            wake: Notify::new(),
            sent: AtomicU64::new(0),
            reach: std::sync::Mutex::default(),
        })
    }

    /// Called after a commit that wrote messages.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// How many messages and edits were sent since the start.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub fn reach(&self) -> Vec<Reach> {
        self.reach
            .lock()
            .map(|reach| reach.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Sends what is due, for as long as the future is polled.
    pub async fn run(&self) {
        loop {
            match self.round().await {
                Ok(0) => {
                    let _ = tokio::time::timeout(self.config.idle, self.wake.notified()).await;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read; trying again");
                    tokio::time::sleep(self.config.idle).await;
                }
            }
        }
    }

    /// Sends until nothing is due any more or `deadline` is over; for the end of a run that
    /// nobody stays to watch. Returns whether everything of the operation was delivered.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn drained(
        &self,
        operation: OperationId,
        deadline: Duration,
    ) -> Result<bool, StoreError> {
        let until = tokio::time::Instant::now() + deadline;
        loop {
            let open = self
                .store
                .outbox_of(operation)
                .await?
                .into_iter()
                .any(|row| row.delivered < row.revision && !row.abandoned);
            if !open || tokio::time::Instant::now() >= until {
                return Ok(!open);
            }
            self.wake();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One look at what is due. Returns how many rows made progress.
    async fn round(&self) -> Result<usize, StoreError> {
        let due = self.store.outbox_due(self.clock.now(), 64).await?;
        let mut progress = 0;
        for row in due {
            match self.send(&row).await? {
                Sent::Delivered => progress += 1,
                Sent::Waits | Sent::Failed => {}
            }
        }
        Ok(progress)
    }

    async fn send(&self, row: &OutboxRow) -> Result<Sent, StoreError> {
        let message = &row.message;
        let now = self.clock.now();
        if message.about == About::Live
            && let Some(last) = row.delivered_at
        {
            let next = later(last, self.config.edit_interval);
            if now < next {
                // Not a failure: several changes become one edit.
                tokio::time::sleep(until(now, next)).await;
            }
        }
        let Some(platform) = self.platforms.get(&message.destination.platform) else {
            let error = format!(
                "no platform `{}` is configured",
                message.destination.platform
            );
            self.store.outbox_failed(row.id, &error, now, true).await?;
            return Ok(Sent::Failed);
        };
        let thread_of = match &message.thread_of {
            None => None,
            Some(parent) => match self.store.outbox_by_identity(parent).await? {
                Some(parent) if parent.message_ref.is_some() => parent.message_ref,
                // Given up on the parent: better a message outside its thread than none.
                Some(parent) if parent.abandoned => None,
                None => None,
                Some(_) => return Ok(Sent::Waits),
            },
        };
        let body = match self.templates.render(
            &message.destination.platform,
            &message.template,
            &message.variables,
        ) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(identity = message.identity, %error, "a message cannot be rendered");
                self.store
                    .outbox_failed(row.id, &error.to_string(), now, true)
                    .await?;
                return Ok(Sent::Failed);
            }
        };
        let outgoing = Outgoing {
            identity: message.identity.clone(),
            channel: message.destination.channel.clone(),
            thread_of,
            body,
            kind: message.about.as_str().to_owned(),
            reactions: message.reactions.clone(),
            buttons: message.buttons.clone(),
        };
        let sending = self.deliver(platform.as_ref(), row, &outgoing);
        let result = tokio::time::timeout(self.config.send_deadline, sending)
            .await
            .unwrap_or_else(|_| {
                Err(SendError::Again {
                    why: format!("no answer within {} s", self.config.send_deadline.as_secs()),
                    after: None,
                })
            });
        self.account(row, &result);
        let now = self.clock.now();
        match result {
            Ok(message_ref) => {
                self.store
                    .outbox_delivered(row.id, row.revision, &message_ref, now)
                    .await?;
                self.sent.fetch_add(1, Ordering::Relaxed);
                Ok(Sent::Delivered)
            }
            Err(error) => {
                let abandon = matches!(error, SendError::Refused(_));
                let pause = match &error {
                    SendError::Again {
                        after: Some(after), ..
                    } => *after,
                    SendError::Unauthorised(_) => self.config.longest_pause,
                    _ => self.pause(row.attempts),
                };
                tracing::warn!(
                    operation = %message.operation,
                    identity = message.identity,
                    %error,
                    abandon,
                    "a message did not arrive"
                );
                self.store
                    .outbox_failed(row.id, &error.to_string(), later(now, pause), abandon)
                    .await?;
                Ok(Sent::Failed)
            }
        }
    }

    async fn deliver(
        &self,
        platform: &dyn ChatPlatform,
        row: &OutboxRow,
        outgoing: &Outgoing,
    ) -> Result<String, SendError> {
        if let Some(message_ref) = &row.message_ref {
            platform.edit(message_ref, outgoing).await?;
            return Ok(message_ref.clone());
        }
        // A crash between the send and its record leaves a message that nobody remembers: look for
        // it, so that people see it once.
        if let Some(found) = platform.find(&outgoing.channel, &outgoing.identity).await? {
            platform.edit(&found, outgoing).await?;
            return Ok(found);
        }
        platform.post(outgoing).await
    }

    fn account(&self, row: &OutboxRow, result: &Result<String, SendError>) {
        let Ok(mut all) = self.reach.lock() else {
            return;
        };
        let platform = &row.message.destination.platform;
        let reach = all.entry(platform.clone()).or_insert_with(|| Reach {
            platform: platform.clone(),
            ..Reach::default()
        });
        match result {
            Ok(_) => {
                reach.sent += 1;
                reach.last_error = None;
            }
            Err(error) => {
                reach.failed += 1;
                reach.last_error = Some(error.to_string());
            }
        }
    }

    fn pause(&self, attempts: i64) -> Duration {
        let doubled = u32::try_from(attempts.clamp(0, 16)).unwrap_or(16);
        let pause = self
            .config
            .first_pause
            .saturating_mul(1_u32.checked_shl(doubled).unwrap_or(u32::MAX))
            .min(self.config.longest_pause);
        // Not all at the same instant after an outage.
        pause.mul_f64(rand::rng().random_range(0.75..1.25))
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(at)
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    let left = then.as_millisecond() - now.as_millisecond();
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}
