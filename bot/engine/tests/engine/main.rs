//! Plugins at work under the engine, with the real components and the real store, in a world that
//! is kept in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bounds;
mod cache;
mod crash;
mod grants;
mod host_functions;
mod observing;
mod people;
mod planning;
mod refusing;
mod running;
mod support;
