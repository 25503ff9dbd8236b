//! Servers that stand in for chat platforms in tests. Each keeps state, speaks the platform's real
//! wire protocol, and refuses what the real one refuses.

pub mod discord;
pub mod slack;
