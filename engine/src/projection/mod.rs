//! Read models: rebuilt from the log whenever they are missing; model and checkpoint in one batch.

pub mod case_list;
pub mod deadlines;
