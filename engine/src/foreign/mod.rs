//! Logs of other systems: read ([`xes_reader`]), turned into events of a definition by a mapping ([`mapping`],
//! [`mapping_file`], [`translate`]; [`mapping_schema`] for editors), compared with what a definition allows ([`alignment`], [`conformance`],
//! [`deviation`]), and drafted into a definition
//! of their own ([`discover`], [`fields_seen`]).
//!
//! ```text
//! log.xes ── xes_reader ──► Trace ── translate (by mapping) ──► events of one case ──► exchange::import
//!                             │                                        └────────────► conformance ── alignment
//!                             └── discover ──► definition and mapping
//! ```

pub mod alignment;
pub mod conformance;
pub mod deviation;
pub mod discover;
pub mod fields_seen;
pub mod mapping;
pub mod mapping_file;
pub mod mapping_schema;
pub mod translate;
pub mod xes_reader;
pub mod xes_value;
