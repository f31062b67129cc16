//! Everything of Casebook that faces outward: the program `casebook`.

pub mod cli;
