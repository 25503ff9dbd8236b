//! Waiting for signals instead of handling them. The first process of a container has no default
//! dispositions, and a blocked signal is delivered to it all the same.

use nix::sys::signal::{SigSet, Signal};

/// Blocks the signals that end the service, for this thread and every one it starts from now on.
pub fn block() -> nix::Result<SigSet> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGINT);
    set.add(Signal::SIGHUP);
    set.thread_block()?;
    Ok(set)
}
