//! Requests that find out whether a service works: HTTP with expectations on the answer, and TCP.
//!
//! An answer that is not as expected, or none at all, is a [`CheckReport`] that did not pass. Errors
//! are kept for checks that cannot be made. Every request is made on a connection of its own, follows
//! no redirect, obeys no proxy from the environment, and ends within the time the check gives.

mod fault;
mod judge;
mod prober;
mod redactor;
mod request;
mod types;

pub use prober::Prober;
pub use redactor::Redactor;
pub use types::{
    CheckReport, Error, Header, HttpCheck, HttpMethod, JsonExpectation, JsonTest, Settings,
};
