//! What several tests need.

pub mod appends;
pub mod chance;
pub mod folders;
