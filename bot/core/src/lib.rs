//! Domain types of rollbot, and the traits of its store and its clock.
//!
//! Nothing here talks to the outside. The rules that decide (who has approved, which state follows
//! which, what a digest covers, whether an audit chain holds) are pure functions over plain data, so
//! that every adapter and every store obeys the same ones.

pub mod approval;
pub mod audit;
pub mod clock;
pub mod console;
pub mod id;
pub mod journal;
pub mod operation;
pub mod outbox;
pub mod plan;
pub mod store;

pub use clock::{Clock, SystemClock};
pub use id::{Digest, EventKey, OperationId, PersonId};
