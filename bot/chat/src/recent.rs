//! A memory of the newest things, bounded.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The newest values by their keys; beyond `most` the oldest is forgotten.
pub struct Recent<K, V> {
    most: usize,
    known: Mutex<Known<K, V>>,
}

struct Known<K, V> {
    by_key: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    /// `most`: how many are remembered.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            known: Mutex::new(Known {
                by_key: HashMap::new(),
                order: VecDeque::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known<K, V>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest value that was put under this key, while it is remembered.
    pub fn get(&self, key: &K) -> Option<V> {
        self.lock().by_key.get(key).cloned()
    }

    /// Whether it was not known before.
    pub fn put(&self, key: K, value: V) -> bool {
        let mut known = self.lock();
        let new = known.by_key.insert(key.clone(), value).is_none();
        if new {
            known.order.push_back(key);
            if known.order.len() > self.most
                && let Some(oldest) = known.order.pop_front()
            {
                known.by_key.remove(&oldest);
            }
        }
        new
    }

    /// As if it had never been known.
    pub fn forget(&self, key: &K) {
        let mut known = self.lock();
        if known.by_key.remove(key).is_some() {
            known.order.retain(|other| other != key);
        }
    }
}
