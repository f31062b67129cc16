//! What proves that a log was not changed: hashes of events, each named by the next of its case.

pub mod chain;
