//! The case that a log has of itself, in which the ledger records what a checkpoint rests on.
//!
//! It is a case like any other, under a definition that ships with the engine (`engine/workflows/ledger/`), so that chain, tree,
//! verification, export and replay need no other way for it. Nobody else opens it or records in it, and lists of cases leave it
//! out. It begins with the first checkpoint.

use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use crate::case::event::CaseId;
use crate::definition::Definition;
use crate::definition::compile::compile;
use crate::definition::source::SourceFile;
use crate::store::CaseKey;

pub use crate::ledger::seal::{HEADS_SEALED, LEDGER_CASE_ID, LEDGER_REFERENCE, RESERVED};

/// Its id.
pub const CASE_ID: CaseId = CaseId(Uuid::from_u128(0x6361_7365_626f_8f6b_8000_6c65_6467_6572));

/// Who records in it: id and role.
pub(crate) const RECORDER: &str = "ledger";

const TEXT: &str = include_str!("../workflows/ledger/definition.yaml");

/// Its definition.
///
/// # Panics
/// Never: it ships, and a test compiles it.
pub(crate) fn definition() -> Arc<Definition> {
    static DEFINITION: OnceLock<Arc<Definition>> = OnceLock::new();
    let compiled = DEFINITION.get_or_init(|| {
        let file = SourceFile { name: "ledger/definition.yaml".to_owned(), text: TEXT.to_owned() };
        match compile(&[file]) {
            Ok(definition) => Arc::new(definition),
            Err(problems) => panic!("the ledger's own definition does not compile: {problems:?}"),
        }
    });
    Arc::clone(compiled)
}

/// Whether somebody means it, or another that is the log's own.
pub(crate) fn is_named(case: &CaseKey) -> bool {
    match case {
        CaseKey::Reference(reference) => reference.starts_with(RESERVED),
        CaseKey::Id(id) => *id == CASE_ID,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_definition_compiles_and_has_the_type_that_the_sealer_records() {
        let definition = definition();
        assert!(definition.event(HEADS_SEALED).is_some());
        assert!(definition.role(RECORDER).is_some());
        assert_eq!(CASE_ID.to_string(), LEDGER_CASE_ID);
        assert_eq!(CASE_ID.0.get_version_num(), 8);
    }
}
