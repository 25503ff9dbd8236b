//! From what is written to what is meant. Every check of one file goes on after an error, and
//! returns `None` only for what could not be made out.

pub(crate) mod across;
pub(crate) mod machine;
pub(crate) mod people;
pub(crate) mod platforms;
pub(crate) mod policy;
pub(crate) mod probes;
pub(crate) mod reader;
pub(crate) mod rollbot;
pub(crate) mod secrets;
pub(crate) mod services;
