//! What goes wrong, on demand.

use std::time::Duration;

/// A fault of the REST side; it strikes as often as it says, oldest first.
#[derive(Debug, Clone)]
pub struct Fault {
    /// `POST`; empty for every method.
    pub method: String,
    /// What the path below `/api/v10` contains; empty for every path.
    pub path: String,
    pub kind: FaultKind,
    /// How often it strikes before it is gone.
    pub times: u32,
}

impl Fault {
    pub fn once(method: &str, path: &str, kind: FaultKind) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            kind,
            times: 1,
        }
    }

    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FaultKind {
    /// 500, nothing done.
    ServerError,
    /// What was asked for is done, and the answer never comes.
    LostAnswer,
    /// Nothing is done, and no answer comes.
    Hang,
    /// 429, with the time to wait.
    RateLimited { after: Duration, global: bool },
    /// The answer comes late.
    Slow(Duration),
}

/// How the gateway misbehaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct GatewayFaults {
    /// Takes connections and closes them at once.
    pub refuse: bool,
    /// Takes connections and says nothing.
    pub hang: bool,
    /// Sessions stay, and neither acknowledgements nor events come: a dead connection.
    pub silent: bool,
    /// The next resumption is answered with "invalid session".
    pub refuse_resume: bool,
    /// Every event is sent this many times more.
    pub duplicates: u32,
    /// Of two events in a row the later one comes first.
    pub reorder: bool,
    /// Closes the next identification with this code.
    pub close_identify: Option<u16>,
}
