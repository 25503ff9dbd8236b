//! Real directories, real archives, and what can happen to either.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod creating;
mod damage;
mod foreign;
mod hostile;
mod lab;
mod listing;
mod round_trip;
