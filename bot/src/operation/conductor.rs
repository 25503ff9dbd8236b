//! Drives operations: one task each, from whatever state the store says it is in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollbot_chat::ChatPlatform;
use rollbot_core::approval::{Approved, People, Policy};
use rollbot_core::audit::AuditEntry;
use rollbot_core::operation::{Operation, State};
use rollbot_core::outbox::About;
use rollbot_core::store::{Batch, Guard, GuardFailed, OperationFilter, Store, StoreError, Write};
use rollbot_core::{Clock, EventKey, OperationId, PersonId};
use rollbot_notify::Outbox;
use tokio::sync::Notify;

use super::{ROLLBOT, Workshop};
use rollbot_config::Service;

use crate::catalogue::Catalogue;

/// Runs operations. Cheap to clone.
#[derive(Clone)]
pub struct Conductor {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub catalogue: Arc<Catalogue>,
    pub workshop: Arc<Workshop>,
    pub outbox: Arc<Outbox>,
    pub platforms: BTreeMap<String, Arc<dyn ChatPlatform>>,
    driven: Mutex<BTreeMap<OperationId, Driven>>,
}

#[derive(Clone)]
struct Driven {
    /// Something about the operation changed in the store.
    wake: Arc<Notify>,
    /// People want the run to stop where it is.
    halt: Arc<Notify>,
    alive: bool,
}

/// What driving on has led to.
pub(super) enum Next {
    /// Look at the state again at once.
    Again,
    /// Nothing to do until somebody wakes it, or this much time has passed.
    Wait(Option<Duration>),
    /// Over.
    Done,
}

/// How an operation ended, for whoever waits for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    pub operation: Operation,
}

impl Conductor {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        catalogue: Arc<Catalogue>,
        workshop: Arc<Workshop>,
        outbox: Arc<Outbox>,
        platforms: impl IntoIterator<Item = Arc<dyn ChatPlatform>>,
    ) -> Self {
        let platforms = platforms
            .into_iter()
            .map(|platform| (platform.name().to_owned(), platform))
            .collect();
        Self {
            inner: Arc::new(Inner {
                store,
                clock,
                catalogue,
                workshop,
                outbox,
                platforms,
                driven: Mutex::default(),
            }),
        }
    }

    /// Goes on with everything that has not ended. Called once, at start.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn resume(&self) -> Result<usize, StoreError> {
        let open = State::ALL
            .into_iter()
            .filter(|state| !state.is_final())
            .collect();
        let filter = OperationFilter {
            service: None,
            states: open,
            limit: 10_000,
        };
        let operations = self.inner.store.operations(filter).await?;
        for operation in &operations {
            tracing::info!(operation = %operation.id, state = %operation.state, "resuming");
            self.drive(operation.id);
        }
        Ok(operations.len())
    }

    /// A platform is there again: votes may have been given and taken back on it unseen, and
    /// messages for it may wait.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn look_again(&self, platform: &str) -> Result<(), StoreError> {
        let filter = OperationFilter {
            service: None,
            states: vec![State::AwaitingApproval],
            limit: 10_000,
        };
        let voted_on = self.inner.store.operations(filter).await?;
        tracing::info!(
            platform,
            open_votes = voted_on.len(),
            "the platform is there again"
        );
        for operation in voted_on {
            self.drive(operation.id);
        }
        self.inner.outbox.wake();
        Ok(())
    }

    /// Begins to drive an operation, or wakes the task that does.
    pub fn drive(&self, id: OperationId) {
        let Ok(mut all) = self.inner.driven.lock() else {
            return;
        };
        let driven = all.entry(id).or_insert_with(|| Driven {
            wake: Arc::new(Notify::new()),
            halt: Arc::new(Notify::new()),
            alive: false,
        });
        driven.wake.notify_one();
        if !driven.alive {
            driven.alive = true;
            let conductor = self.clone();
            let driven = driven.clone();
            tokio::spawn(async move { conductor.task(id, driven).await });
        }
    }

    /// Stops the run of an operation where it is; it then pauses and asks what next.
    /// Returns whether anything is being driven under that number.
    pub fn halt(&self, id: OperationId) -> bool {
        let Ok(all) = self.inner.driven.lock() else {
            return false;
        };
        match all.get(&id) {
            Some(driven) if driven.alive => {
                driven.halt.notify_one();
                true
            }
            _ => false,
        }
    }

    /// Ends an operation that has not started, because somebody wants it to.
    ///
    /// # Errors
    /// It started in the meantime, the event was worked on before, or the store did not answer.
    pub async fn cancel(
        &self,
        operation: &Operation,
        event: EventKey,
        person: &PersonId,
        ending: &str,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        inner
            .end_with(operation, State::Cancelled, ending, &person.0, Some(event))
            .await?;
        self.drive(operation.id);
        Ok(())
    }

    /// Starts an operation by the standing break-glass policy.
    ///
    /// # Errors
    /// It is not waiting for votes any more, or the store did not answer.
    pub async fn break_glass(
        &self,
        operation: Operation,
        approved: Approved,
    ) -> Result<(), StoreError> {
        let Some(entry) = self.inner.catalogue.service(&operation.service).cloned() else {
            return Err(StoreError::NotFound {
                what: "service",
                which: operation.service,
            });
        };
        let id = operation.id;
        self.begin(operation, &entry, approved).await?;
        self.drive(id);
        Ok(())
    }

    /// Waits until the operation has ended.
    ///
    /// # Errors
    /// The store did not answer, or there is no such operation.
    pub async fn ended(&self, id: OperationId) -> Result<Ending, StoreError> {
        loop {
            let operation = self.inner.load(id).await?;
            if operation.state.is_final() {
                return Ok(Ending { operation });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn task(&self, id: OperationId, driven: Driven) {
        let mut pause = Duration::from_millis(200);
        loop {
            let next = match self.step(id, &driven).await {
                Ok(next) => {
                    pause = Duration::from_millis(200);
                    next
                }
                Err(StoreError::Guard(GuardFailed::Fenced { .. })) => {
                    tracing::warn!(operation = %id, "another process has taken this operation over");
                    Next::Done
                }
                // Somebody was faster: look again.
                Err(StoreError::Guard(reason)) => {
                    tracing::debug!(operation = %id, %reason, "looking again");
                    Next::Wait(Some(Duration::from_millis(20)))
                }
                Err(error) => {
                    tracing::error!(operation = %id, %error, "cannot go on now; trying again");
                    pause = (pause * 2).min(Duration::from_secs(10));
                    Next::Wait(Some(pause))
                }
            };
            self.inner.outbox.wake();
            match next {
                Next::Again => {}
                Next::Wait(None) => driven.wake.notified().await,
                Next::Wait(Some(time)) => {
                    let _ = tokio::time::timeout(time, driven.wake.notified()).await;
                }
                Next::Done => break,
            }
        }
        if let Ok(mut all) = self.inner.driven.lock() {
            all.remove(&id);
        }
    }

    /// One look at the operation, and what its state asks for.
    async fn step(&self, id: OperationId, driven: &Driven) -> Result<Next, StoreError> {
        let operation = self.inner.load(id).await?;
        if operation.state.is_final() {
            return Ok(Next::Done);
        }
        let Some(entry) = self.inner.catalogue.service(&operation.service).cloned() else {
            let why = format!(
                "The configuration has no service `{}` any more.",
                operation.service
            );
            if operation.state.is_under_way() {
                tracing::error!(operation = %id, why, "an operation under way cannot go on");
                return Ok(Next::Wait(Some(Duration::from_secs(60))));
            }
            self.inner
                .end(&operation, State::Failed, &why, ROLLBOT)
                .await?;
            return Ok(Next::Done);
        };
        match operation.state {
            State::Requested => self.plan(operation, &entry).await,
            State::AwaitingApproval => {
                let unsent = self.inner.unsent_request(&operation).await?;
                let next = self.vote(operation, &entry).await?;
                // Somebody may react to the request in the instant before it is on record where it
                // stands; nobody could tell then what the reaction is about. So reactions are read
                // once more when it is.
                Ok(match (next, unsent) {
                    (Next::Wait(Some(left)), Some(soon)) => Next::Wait(Some(left.min(soon))),
                    (next, _) => next,
                })
            }
            State::Running | State::Paused => {
                self.run(operation, &entry, &driven.wake, &driven.halt)
                    .await
            }
            State::Verified => self.close(operation, &entry).await,
            _ => Ok(Next::Done),
        }
    }
}

impl Inner {
    pub async fn load(&self, id: OperationId) -> Result<Operation, StoreError> {
        self.store
            .operation(id)
            .await?
            .ok_or_else(|| StoreError::NotFound {
                what: "operation",
                which: id.to_string(),
            })
    }

    /// While a request for votes on the plan is not known to have arrived: how soon to look again.
    async fn unsent_request(&self, operation: &Operation) -> Result<Option<Duration>, StoreError> {
        const SOON: Duration = Duration::from_millis(100);
        const AT_THE_LATEST: Duration = Duration::from_secs(5);
        let rows = self.store.outbox_of(operation.id).await?;
        let unsent = rows.iter().any(|row| {
            row.message_ref.is_none()
                && !row.abandoned
                && matches!(&row.message.about, About::Approval { digest } if Some(digest) == operation.digest.as_ref())
        });
        // A platform that is away for long is not worth a hurry.
        let waited = self.clock.now().as_millisecond() - operation.since.as_millisecond();
        let waited = Duration::from_millis(u64::try_from(waited).unwrap_or(0));
        Ok(unsent.then(|| (waited / 4).clamp(SOON, AT_THE_LATEST)))
    }

    pub fn people(&self) -> &People {
        &self.catalogue.people
    }

    pub fn policy<'a>(&self, entry: &'a Service) -> &'a Policy {
        &entry.approval
    }

    pub fn audit(
        &self,
        operation: OperationId,
        actor: &str,
        kind: &str,
        text: impl Into<String>,
        facts: serde_json::Value,
    ) -> Write {
        Write::Audit {
            operation,
            entry: AuditEntry {
                at: self.clock.now(),
                actor: actor.to_owned(),
                kind: kind.to_owned(),
                text: text.into(),
                facts,
            },
        }
    }

    /// Ends an operation that never started an effect, and gives its lock back.
    pub async fn end(
        &self,
        operation: &Operation,
        state: State,
        ending: &str,
        actor: &str,
    ) -> Result<(), StoreError> {
        self.end_with(operation, state, ending, actor, None).await
    }

    async fn end_with(
        &self,
        operation: &Operation,
        state: State,
        ending: &str,
        actor: &str,
        event: Option<EventKey>,
    ) -> Result<(), StoreError> {
        let at = self.clock.now();
        let id = operation.id;
        let mut batch = Batch::new();
        if let Some(event) = event {
            batch = batch.guard(Guard::NewEvent(event));
        }
        batch = batch
            .guard(Guard::State {
                operation: id,
                one_of: vec![operation.state],
            })
            .write(Write::State {
                operation: id,
                state,
                at,
            })
            .write(Write::Ending {
                operation: id,
                ending: ending.to_owned(),
            })
            .write(self.audit(id, actor, state.as_str(), ending, serde_json::Value::Null));
        if !operation.dry_run {
            batch = batch.write(Write::Unlock {
                service: operation.service.clone(),
                host: operation.host.clone(),
            });
        }
        batch = batch.writes(self.frozen_approval(operation, &state.in_words()).await?);
        if operation.plan.is_none() {
            batch = batch.writes(self.notice(
                operation,
                "ended",
                "❌",
                &format!(
                    "{id}: {} of {} {}",
                    operation.procedure,
                    operation.service,
                    state.in_words()
                ),
                ending,
                Vec::new(),
            ));
        }
        self.store.commit(batch).await
    }

    /// A notice to the operators.
    pub fn notice(
        &self,
        operation: &Operation,
        name: &str,
        mark: &str,
        title: &str,
        text: &str,
        lines: Vec<String>,
    ) -> Vec<Write> {
        use rollbot_core::outbox::Message;
        let words = rollbot_notify::NoticeWords {
            mark: mark.to_owned(),
            title: title.to_owned(),
            text: text.to_owned(),
            lines,
        };
        self.catalogue
            .operators
            .iter()
            .map(|to| Message {
                identity: format!(
                    "{}/notice/{name}@{}/{}",
                    operation.id, to.platform, to.channel
                ),
                operation: operation.id,
                about: About::Notice,
                destination: to.clone(),
                thread_of: None,
                template: "notice".to_owned(),
                variables: serde_json::to_value(&words).unwrap_or_default(),
                reactions: Vec::new(),
                buttons: Vec::new(),
                not_before: self.clock.now(),
            })
            .map(|message| Write::Notify(Box::new(message)))
            .collect()
    }
}
