//! Logs of other systems: read ([`xes_reader`]), turned into events of a definition by a mapping ([`mapping`],
//! [`translate`]), compared with what a definition allows ([`alignment`], [`conformance`]), and drafted into a definition
//! of their own ([`discover`]).
//!
//! ```text
//! log.xes ── xes_reader ──► Trace ── translate (by mapping) ──► events of one case ──► exchange::import
//!                             │                                        └────────────► conformance ── alignment
//!                             └── discover ──► definition and mapping
//! ```

pub mod alignment;
pub mod conformance;
pub mod discover;
pub mod mapping;
pub mod translate;
pub mod xes_reader;
pub mod xes_value;
