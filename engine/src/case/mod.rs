//! A case: what has happened.

pub mod adoption;
pub mod asking;
pub(crate) mod authority;
pub(crate) mod candidate;
mod date_words;
pub mod day;
pub mod decide;
pub mod draft;
pub mod effective;
mod elsewhere;
pub mod event;
pub(crate) mod explain;
pub(crate) mod footing;
pub(crate) mod judge;
pub(crate) mod notes;
pub mod occurred;
pub mod path;
pub mod reading;
pub mod refusal;
mod remaining;
mod search;
pub mod state;
pub mod status;
pub mod telling;
pub mod timeline;
mod told_apart;
