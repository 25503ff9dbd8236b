//! Works the outbox off: renders, sends, tries again, and never blocks anything else. Each platform
//! has a lane of its own, so that one which does not answer keeps no other waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use rollbot_chat::{ChatPlatform, Outgoing, SendError};
use rollbot_core::outbox::{About, Destination, Message, OutboxRow};
use rollbot_core::store::{Batch, Store, StoreError, Write};
use rollbot_core::{Clock, OperationId};
use tokio::sync::Notify;

use crate::templates::Templates;
use crate::words::NoticeWords;

/// In the identity of a notice that another message did not arrive.
const UNREACHED: &str = "unreached/";

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
    /// Who hears of it where a message cannot be delivered: each of them that is not the one which
    /// failed.
    pub operators: Vec<Destination>,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            send_deadline: Duration::from_secs(10),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            edit_interval: Duration::from_millis(500),
            idle: Duration::from_secs(1),
            operators: Vec::new(),
        }
    }
}

/// How sending goes on a platform, for `/readyz`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reach {
    #[serde(skip)]
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
    config: OutboxConfig,
    lanes: BTreeMap<String, Lane>,
    sent: AtomicU64,
    reach: std::sync::Mutex<BTreeMap<String, Reach>>,
}

/// One platform, and what wakes those who send to it.
struct Lane {
    platform: Arc<dyn ChatPlatform>,
    wake: Notify,
}

/// Rows of one look.
const AT_ONCE: i64 = 64;

/// What became of one row.
enum Sent {
    Delivered,
    /// Its thread's first message is not there yet.
    Waits,
    /// It was edited a moment ago.
    Later(Duration),
    /// `all`: nothing else would arrive there either.
    Failed {
        all: bool,
    },
}

/// What became of one look.
#[derive(Default)]
struct Round {
    progress: usize,
    again_in: Option<Duration>,
}

impl Outbox {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        templates: Arc<Templates>,
        platforms: impl IntoIterator<Item = Arc<dyn ChatPlatform>>,
        config: OutboxConfig,
    ) -> Arc<Self> {
        let lane = |platform: Arc<dyn ChatPlatform>| {
            let wake = Notify::new();
            (platform.name().to_owned(), Lane { platform, wake })
        };
        let lanes = platforms.into_iter().map(lane).collect();
        Arc::new(Self {
            store,
            clock,
            templates,
            config,
            lanes,
            sent: AtomicU64::new(0),
            reach: std::sync::Mutex::default(),
        })
    }

    /// Called after a commit that wrote messages.
    pub fn wake(&self) {
        for lane in self.lanes.values() {
            lane.wake.notify_one();
        }
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

    /// Sends what is due on every platform, for as long as the future is polled.
    pub async fn run(&self) {
        let lanes = self.lanes.values().map(|lane| self.work_off(lane));
        tokio::join!(futures_util::future::join_all(lanes), self.unconfigured());
    }

    async fn work_off(&self, lane: &Lane) {
        let platform = lane.platform.as_ref();
        loop {
            let pause = match self.round(platform).await {
                Ok(Round { progress: 1.., .. }) => continue,
                Ok(round) => round.again_in.unwrap_or(self.config.idle),
                Err(error) => {
                    tracing::error!(platform = platform.name(), %error, "the outbox cannot be read; trying again");
                    self.config.idle
                }
            };
            let _ = tokio::time::timeout(pause.min(self.config.idle), lane.wake.notified()).await;
        }
    }

    /// What was written for a platform that is not configured any more is given up, and said so.
    async fn unconfigured(&self) {
        loop {
            if let Err(error) = self.give_up_unconfigured().await {
                tracing::error!(%error, "the outbox cannot be read; trying again");
            }
            tokio::time::sleep(self.config.idle.saturating_mul(10)).await;
        }
    }

    async fn give_up_unconfigured(&self) -> Result<(), StoreError> {
        for platform in self.store.outbox_platforms().await? {
            if self.lanes.contains_key(&platform) {
                continue;
            }
            let now = self.clock.now();
            for row in self.store.outbox_due(&platform, now, AT_ONCE).await? {
                let why = format!("no platform `{platform}` is configured");
                self.store
                    .outbox_failed(row.id, row.revision, &why, now, true)
                    .await?;
                self.alarm(&row, &why, now).await?;
            }
        }
        Ok(())
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

    /// One look at what is due on a platform.
    async fn round(&self, platform: &dyn ChatPlatform) -> Result<Round, StoreError> {
        let now = self.clock.now();
        let due = self.store.outbox_due(platform.name(), now, AT_ONCE).await?;
        let mut round = Round::default();
        for row in due {
            match self.send(platform, &row).await? {
                Sent::Delivered => round.progress += 1,
                Sent::Later(pause) => {
                    let soonest = round.again_in.unwrap_or(pause).min(pause);
                    round.again_in = Some(soonest);
                }
                Sent::Waits => {}
                // The next would fail alike, and count as one more invalid request.
                Sent::Failed { all: true } => break,
                Sent::Failed { all: false } => {}
            }
        }
        Ok(round)
    }

    async fn send(&self, platform: &dyn ChatPlatform, row: &OutboxRow) -> Result<Sent, StoreError> {
        let message = &row.message;
        let now = self.clock.now();
        if message.about == About::Live
            && let Some(last) = row.delivered_at
        {
            let next = later(last, self.config.edit_interval);
            if now < next {
                // Not a failure: several changes become one edit.
                return Ok(Sent::Later(until(now, next)));
            }
        }
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
                let why = error.to_string();
                self.store
                    .outbox_failed(row.id, row.revision, &why, now, true)
                    .await?;
                self.alarm(row, &why, now).await?;
                return Ok(Sent::Failed { all: false });
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
        let sending = self.deliver(platform, row, &outgoing);
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
                let why = error.to_string();
                self.store
                    .outbox_failed(row.id, row.revision, &why, later(now, pause), abandon)
                    .await?;
                let all = matches!(error, SendError::Unauthorised(_));
                if abandon || all {
                    self.alarm(row, &why, now).await?;
                }
                Ok(Sent::Failed { all })
            }
        }
    }

    /// Tells operators by the ways that are left. One notice for an operation and a way: it says what
    /// the last trouble was, and is not repeated for each message.
    async fn alarm(&self, row: &OutboxRow, why: &str, now: Timestamp) -> Result<(), StoreError> {
        let message = &row.message;
        let failed = &message.destination;
        let tried = format!("{}/{}", failed.platform, failed.channel);
        if message.identity.contains(UNREACHED) {
            // A notice of this kind that fails as well is in the log and in /readyz.
            return Ok(());
        }
        let words = NoticeWords {
            mark: "⚠️".to_owned(),
            title: format!("{}: a message did not reach {tried}", message.operation),
            text: why.to_owned(),
            lines: vec![format!("What it was: {}", message.about.as_str())],
        };
        let variables = serde_json::to_value(words).unwrap_or_default();
        let writes = self
            .config
            .operators
            .iter()
            .filter(|to| *to != failed && self.lanes.contains_key(&to.platform))
            .map(|to| {
                Write::Notify(Box::new(Message {
                    identity: format!(
                        "{}/{UNREACHED}{tried}@{}/{}",
                        message.operation, to.platform, to.channel
                    ),
                    operation: message.operation,
                    about: About::Notice,
                    destination: to.clone(),
                    thread_of: None,
                    template: "notice".to_owned(),
                    variables: variables.clone(),
                    reactions: Vec::new(),
                    buttons: Vec::new(),
                    not_before: now,
                }))
            });
        let batch = Batch::new().writes(writes);
        if batch.writes.is_empty() {
            return Ok(());
        }
        self.store.commit(batch).await?;
        self.wake();
        Ok(())
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
