//! A case keeps the definition under which it was opened, whatever becomes of the files.

use std::sync::Arc;

use casebook_engine::engine::{Engine, Opening, RecordError, RecordOptions};
use casebook_engine::store::{EventStore, MemoryStore, SledOptions, SledStore};

use crate::desk::{Desk, SMALL, definition, event, rules, small};

/// The small definition with a letter that nobody may receive.
fn changed(version: &str) -> String {
    SMALL.replace("version: 1", version).replace(
        "class: compliance\n        require: definitely_before(event.occurred, date('2030-01-01'))",
        "class: logical\n        require: case.happened('hearing-held')",
    )
}

fn open(desk: &Desk, reference: &str, workflow: &str) -> Result<(), RecordError> {
    let opening = Opening {
        reference: reference.into(),
        workflow: workflow.into(),
        event: event(&desk.definition, "case-opened"),
        then: Vec::new(),
    };
    desk.wait(desk.engine.open_case(opening, RecordOptions::default())).map(|_| ())
}

#[test]
fn a_case_is_judged_by_the_definition_it_was_opened_under() {
    assert_ne!(changed("version: 1"), SMALL);
    let folder = tempfile::tempdir().unwrap();
    let store =
        || Arc::new(SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap());
    {
        let desk = Desk::at(Engine::open(store(), vec![small()]).unwrap(), "R/1", "case-opened");
        desk.record("letter-received on=2020");
    }
    let other = definition(&changed("version: 1"));
    assert_ne!(other.digest, small().digest);
    let desk = Desk::of_open_case(Engine::open(store(), vec![other]).unwrap(), "R/1");
    desk.record("letter-received on=2020");
    assert_eq!(desk.case_state().definition().digest, small().digest);
    assert!(
        matches!(open(&desk, "R/2", "small-inquiry"), Err(RecordError::WorkflowChanged { pin }) if pin == "small-inquiry@1")
    );
    assert!(matches!(open(&desk, "R/2", "small-inquiry@1"), Err(RecordError::WorkflowChanged { .. })));
}

#[test]
fn without_its_file_a_definition_serves_its_cases_still() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        || Arc::new(SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap());
    let status = {
        let desk = Desk::at(Engine::open(store(), vec![small()]).unwrap(), "R/1", "case-opened");
        desk.record("hearing-listed");
        crate::desk::json(&desk.status())
    };
    let desk = Desk::of_open_case(Engine::open(store(), Vec::new()).unwrap(), "R/1");
    assert_eq!(crate::desk::json(&desk.status()), status);
    desk.record("hearing-held");
    open(&desk, "R/2", "small-inquiry@1").unwrap();
}

#[test]
fn a_new_version_serves_new_cases_and_old_cases_keep_the_old() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let old = Desk::at(Engine::open(Arc::clone(&store), vec![small()]).unwrap(), "R/1", "case-opened");
    old.record("letter-received on=2020");
    let engine = Engine::open(store, vec![definition(&changed("version: 2"))]).unwrap();
    let new = Desk::at(engine.clone(), "R/2", "case-opened");
    assert_eq!(new.status().workflow, "small-inquiry@2");
    assert_eq!(rules(&new.refused("letter-received on=2020")), ["letter-in-time"]);
    let old = Desk::of_open_case(engine, "R/1");
    old.record("letter-received on=2020");
    assert_eq!(old.status().workflow, "small-inquiry@1");
    open(&old, "R/3", "small-inquiry@1").unwrap();
    match open(&old, "R/4", "small-inquiry@3") {
        Err(RecordError::NoSuchWorkflow { known, .. }) => {
            assert_eq!(known, ["small-inquiry@1", "small-inquiry@2"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn formatting_makes_no_version() {
    let mut text = String::from("# A comment\n");
    for line in SMALL.lines() {
        text.push_str(line);
        text.push_str(if line.len().is_multiple_of(3) { "   \n" } else { "\n\n" });
    }
    let text = text
        .replace("roles:\n", "roles:   # who\n")
        .replace("[investigator, reviewer]", "[ 'investigator',  \"reviewer\" ]");
    let reformatted = definition(&text);
    assert_eq!(reformatted.digest, small().digest);
    assert_eq!(reformatted.canonical, small().canonical);
    let again = casebook_engine::definition::compile::from_canonical(&reformatted.canonical).unwrap();
    assert_eq!(again.digest, small().digest);
    assert_ne!(definition(&SMALL.replace("Office rules 2", "Office rules 3")).digest, small().digest);
}
