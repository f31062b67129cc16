//! Dates as people read them.

pub(super) use crate::words::in_words;
