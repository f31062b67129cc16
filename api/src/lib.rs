//! Everything of Casebook that faces outward: the program `casebook`, and what it writes for people to read.

pub mod bench;
pub mod cli;
mod narrative;
pub mod report;
mod words;
