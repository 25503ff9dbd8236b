//! Real processes: this test binary runs itself again as the services that are stopped and started.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod command_units;
mod port_owners;
mod service;
