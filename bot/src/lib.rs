//! rollbot: rollbacks, driven from chat.
//!
//! The modules follow a command on its way: [`dispatch`] takes it in, [`handlers`] act on it,
//! [`operation`] drives it to its end, [`messages`] says what happened. `ARCHITECTURE.md` has the
//! whole path and the rules that hold everywhere.

pub mod bot;
pub mod catalogue;
pub mod cli;
pub mod control;
pub mod demo;
pub mod dispatch;
pub mod handlers;
pub mod messages;
pub mod operation;
pub mod platforms;
pub mod serve;
