//! What people do, each of it once.
//!
//! A page that got no answer sends its request again. Within this process the first request and its
//! repetitions share one result; after a restart the messages' identities and the dispatcher's own
//! memory of events do the same.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use rollbot_core::PersonId;
use tokio::sync::OnceCell;

/// As many acts are remembered. A repetition comes within seconds, and who may act is rate limited.
const MOST: usize = 4096;

#[derive(Default)]
pub(crate) struct Acts {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<String, Arc<Act>>,
    order: VecDeque<String>,
}

/// One act of one person.
pub(crate) struct Act {
    person: PersonId,
    /// What was done, so that a `client_id` cannot be used for two things.
    what: String,
    /// Filled once it is done; whoever comes meanwhile waits for it.
    pub outcome: OnceCell<Outcome>,
}

/// The messages that an act made or touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub message: i64,
    pub answer: Option<i64>,
}

/// The `client_id` stands for another act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reused;

impl Acts {
    pub(crate) fn claim(
        &self,
        client_id: &str,
        person: &PersonId,
        what: String,
    ) -> Result<Arc<Act>, Reused> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(act) = known.by_id.get(client_id) {
            return if act.person == *person && act.what == what {
                Ok(Arc::clone(act))
            } else {
                Err(Reused)
            };
        }
        if known.order.len() >= MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.by_id.remove(&oldest);
        }
        let act = Arc::new(Act {
            person: person.clone(),
            what,
            outcome: OnceCell::new(),
        });
        known.order.push_back(client_id.to_owned());
        known.by_id.insert(client_id.to_owned(), Arc::clone(&act));
        Ok(act)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_stands_for_one_act_of_one_person() {
        let acts = Acts::default();
        let first = acts.claim("id-1", &"ana".into(), "say x".into()).unwrap();
        let again = acts.claim("id-1", &"ana".into(), "say x".into()).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert!(acts.claim("id-1", &"ana".into(), "say y".into()).is_err());
        assert!(acts.claim("id-1", &"ben".into(), "say x".into()).is_err());
    }

    #[test]
    fn the_memory_is_bounded() {
        let acts = Acts::default();
        for number in 0..2 * MOST {
            acts.claim(&format!("id-{number}"), &"ana".into(), String::new())
                .unwrap();
        }
        let known = acts.known.lock().unwrap();
        assert_eq!((known.by_id.len(), known.order.len()), (MOST, MOST));
    }
}
