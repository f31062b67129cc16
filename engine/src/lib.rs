//! Casebook's engine: an append-only log per case, state machines as data, every step explained.
//!
//! A *case* is a list of *events* that are never edited. A *definition* says which event may follow which. What may not
//! have happened is refused, with the reasons and the shortest lawful way there.
//!
//! ```
//! use std::sync::Arc;
//! use casebook_engine::case::event::{ProposedEvent, Recorder};
//! use casebook_engine::definition::{compile::compile, source::SourceFile};
//! use casebook_engine::engine::{Engine, Opening, RecordError, RecordOptions};
//! use casebook_engine::store::{CaseKey, MemoryStore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "
//!   { workflow: lost-property, version: 1, language: casebook/1, roles: { clerk: }, events: { found: , returned: },
//!     strands: { item: { states: { missing: , held: , back: { final: true } }, initial: missing, transitions: [
//!       { on: found, from: missing, to: held }, { on: returned, from: held, to: back } ] } } }";
//! let definition = compile(&[SourceFile { name: "lost-property.yaml".into(), text: text.into() }])
//!     .map_err(|problems| problems[0].snippet.clone())?;
//! let engine = Engine::open(Arc::new(MemoryStore::default()), vec![definition])?;
//!
//! let event = |name| ProposedEvent::new(name, Recorder { id: "clerk-1".into(), role: "clerk".into() });
//! let opening = Opening {
//!     reference: "umbrella".into(),
//!     workflow: "lost-property".into(),
//!     event: event("case-opened"),
//!     then: vec![],
//! };
//! engine.open_case(opening, RecordOptions::default()).await?;
//! let umbrella = CaseKey::Reference("umbrella".into());
//! match engine.record(&umbrella, vec![event("returned")], RecordOptions::default()).await {
//!     Err(RecordError::Refused(refusal)) => assert_eq!(refusal.path, Some(vec!["found".to_owned()])),
//!     other => panic!("what was not found was returned: {other:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The modules in reading order: [`definition`] and [`case`] are pure, [`ledger`] is what proves, [`store`] keeps the log,
//! [`engine`] brings them together, [`subscription`] follows the log, [`verify`] checks all of it, [`sealer`] seals it and [`signer`] signs checkpoints of it, [`exchange`] reads and
//! writes files. [`store::SledStore`] is the store on disk, [`workflows`] has the definitions that ship.

pub mod case;
mod case_cache;
mod case_ends;
mod closing_checkpoints;
pub mod definition;
mod definitions;
pub mod engine;
pub mod exchange;
pub mod foreign;
pub mod ledger;
mod ledger_check;
pub mod machine;
pub mod own_case;
pub mod projection;
pub mod restore;
mod seal_check;
pub mod sealer;
pub mod signer;
pub mod spelling;
mod stamping;
pub mod store;
pub mod subscription;
pub mod trial;
pub mod verify;
pub mod workflows;
pub mod yardstick;
