//! What several tests need.

pub mod appends;
pub mod folders;
