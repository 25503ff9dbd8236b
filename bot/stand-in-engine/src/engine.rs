//! The engine's state and who may touch it when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};

use crate::error::ApiError;
use crate::events::Events;
use crate::model::{Container, Image, State};
use crate::store::Store;

/// How long a request waits for another one on the same container.
const PATIENCE: Duration = Duration::from_secs(120);

/// A lock that a broken task does not take along.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Engine {
    pub store: Store,
    pub events: Events,
    state: Mutex<State>,
    /// Counts the changes, for those who wait for one.
    changes: watch::Sender<u64>,
    /// One start, stop or removal of a container at a time.
    operations: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Engine {
    pub fn new(store: Store, state: State) -> Self {
        Self {
            store,
            events: Events::default(),
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
            operations: Mutex::default(),
        }
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&lock(&self.state))
    }

    /// Changes the state and puts it on disk before anybody sees it. When that fails nothing has
    /// changed.
    pub fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, ApiError> {
        let mut state = lock(&self.state);
        let mut next = state.clone();
        let result = change(&mut next);
        self.store.save(&next).map_err(|error| {
            ApiError::internal(format!(
                "the state could not be written to {}: {error}",
                self.store.dir().display()
            ))
        })?;
        *state = next;
        drop(state);
        self.changes.send_modify(|count| *count += 1);
        Ok(result)
    }

    /// Changes what the world has changed already, such as that a process has ended: it is true
    /// even where it cannot be written down, and is written with the next change.
    pub fn observe(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        change(&mut state);
        if let Err(error) = self.store.save(&state) {
            tracing::error!(%error, "the state could not be written");
        }
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Changes one container, if it is still there.
    pub fn observe_container(&self, id: &str, change: impl FnOnce(&mut Container)) {
        self.observe(|state| {
            if let Some(container) = state.containers.get_mut(id) {
                change(container);
            }
        });
    }

    /// Changes what need not survive: it is not written down until something else is.
    pub fn remember_container(&self, id: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = lock(&self.state).containers.get_mut(id) {
            change(container);
        }
    }

    /// A container by its id, its name or the beginning of its id.
    pub fn container(&self, reference: &str) -> Result<Container, ApiError> {
        let name = reference.trim_start_matches('/');
        self.read(|state| {
            if let Some(container) = state
                .containers
                .get(name)
                .or_else(|| state.containers.values().find(|one| one.name == name))
            {
                return Ok(container.clone());
            }
            let mut fitting = state
                .containers
                .values()
                .filter(|one| !name.is_empty() && one.id.starts_with(name));
            match (fitting.next(), fitting.next()) {
                (Some(container), None) => Ok(container.clone()),
                (Some(_), Some(_)) => Err(ApiError::bad_request(format!(
                    "Multiple IDs found with provided prefix: {name}"
                ))),
                (None, _) => Err(ApiError::not_found(format!(
                    "No such container: {reference}"
                ))),
            }
        })
    }

    /// An image by its name, its id or the beginning of its id.
    pub fn image(&self, reference: &str) -> Result<Image, ApiError> {
        self.read(|state| {
            state
                .images
                .values()
                .find(|image| crate::images::is_named(image, reference))
                .cloned()
                .ok_or_else(|| ApiError::not_found(format!("No such image: {reference}")))
        })
    }

    /// Waits for its turn at a container.
    pub async fn turn(&self, id: &str) -> Result<OwnedMutexGuard<()>, ApiError> {
        let operation = Arc::clone(lock(&self.operations).entry(id.to_owned()).or_default());
        tokio::time::timeout(PATIENCE, operation.lock_owned())
            .await
            .map_err(|_| ApiError::conflict(format!("another request is busy with container {id}")))
    }

    /// Forgets the turns of a container that is gone.
    pub fn forget(&self, id: &str) {
        lock(&self.operations).remove(id);
    }

    /// Returns true once `fits` holds for the container (`None` when it is gone), or false when
    /// the time is over.
    pub async fn until(
        &self,
        id: &str,
        patience: Option<Duration>,
        fits: impl Fn(Option<&Container>) -> bool,
    ) -> bool {
        let mut changes = self.changes.subscribe();
        let wait = async {
            while !self.read(|state| fits(state.containers.get(id))) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        match patience {
            Some(patience) => tokio::time::timeout(patience, wait).await.is_ok(),
            None => {
                wait.await;
                true
            }
        }
    }
}
