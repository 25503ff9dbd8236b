//! What can go wrong with Slack, on demand.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What becomes of one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Answered with this status and no JSON; nothing was done.
    Status(u16),
    /// Answered after so long, as if nothing were.
    Slow(Duration),
    /// Done, and then the connection is cut before the answer.
    LostAnswer,
    /// 429 with this `Retry-After`, in seconds; nothing was done.
    RateLimited(u64),
    /// `ok: false` with this error; nothing was done.
    Error(String),
}

/// What is arranged.
#[derive(Debug, Default)]
pub struct Faults {
    /// For each method the fates of the next requests; `*` for whichever comes next.
    pub(crate) calls: BTreeMap<String, VecDeque<Fault>>,
    /// Every request to every method fails so, until this is taken away.
    pub everything: Option<Fault>,
    /// New sockets are refused.
    pub refuse_sockets: bool,
    /// Sockets stay open, and nothing is read from them or written to them.
    pub hang_sockets: bool,
    /// So many more times is each event delivered.
    pub duplicates: u32,
    /// Each event waits for the next one and is delivered after it.
    pub reorder: bool,
}

impl Faults {
    /// The next request to `method` (`*`: to any) meets with this.
    pub fn next(&mut self, method: &str, fault: Fault) {
        self.calls
            .entry(method.to_owned())
            .or_default()
            .push_back(fault);
    }

    pub(crate) fn take(&mut self, method: &str) -> Option<Fault> {
        let one = self
            .calls
            .get_mut(method)
            .and_then(VecDeque::pop_front)
            .or_else(|| self.calls.get_mut("*").and_then(VecDeque::pop_front));
        one.or_else(|| self.everything.clone())
    }
}
