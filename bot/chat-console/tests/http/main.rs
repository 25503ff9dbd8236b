//! The console over its real HTTP server, on a real store, with a dispatcher that writes down what
//! it gets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod events;
mod guard;
mod house;
mod messages;
mod platform;
