//! The adapter against a workspace over the real wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod check;
mod commands;
mod dialog;
mod escaping;
mod house;
mod looks;
mod messages;
mod outage;
mod reactions;
mod requests;
mod sockets;
