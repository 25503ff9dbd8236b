//! Against a real Docker Engine on `/var/run/docker.sock`. Without one these tests fail; they are
//! never skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compose;
mod containers;
mod faults;
mod lab;
mod proxy;
