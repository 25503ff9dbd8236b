//! The adapter against the stand-in for Discord: real HTTP, a real WebSocket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod check;
mod commands;
mod gateway;
mod house;
mod limits;
mod looks;
mod messages;
mod over_http;
mod reactions;
