//! A store of every format that was ever released opens, verifies, and goes on.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use casebook_engine::case::event::{ProposedEvent, Recorder, Version};
use casebook_engine::case::reading::Cut;
use casebook_engine::engine::{Engine, RecordOptions};
use casebook_engine::store::{CaseKey, SledOptions, SledStore};
use casebook_engine::verify::verify;

/// Copies a store as it is kept here: without its index, which is rebuilt from the journal.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_store_of_format_1_opens_verifies_and_takes_further_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format-1"), &path);
    let store = SledStore::open(&path, SledOptions::default()).unwrap();
    let engine = Engine::open(Arc::new(store), Vec::new()).unwrap();
    let case = CaseKey::Reference("2024/0017".into());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let status = runtime.block_on(engine.status(&case, Cut::default())).unwrap();
    assert_eq!(status.version, Version(7));
    let charge = status.strands.iter().find(|strand| strand.strand == "charge").unwrap();
    assert_eq!(charge.state.as_deref(), Some("sentenced"));
    assert_eq!(status.gaps.len(), 2);
    let verified = verify(&engine, &|_| {}).unwrap();
    assert!(verified.verified && verified.events == 7, "{verified:?}");
    let by = Recorder { id: "officer-1".into(), role: "caseworker".into() };
    let mut noted = ProposedEvent::new("sentence-varied", by);
    noted.scope.insert("charge".into(), "C1".into());
    noted.decided_by = serde_json::from_str(r#"{"body":"court"}"#).unwrap();
    noted.data =
        serde_json::from_str(r#"{"from":"fine","to":"conditional discharge","varied_by":"same-court"}"#)
            .unwrap();
    let recorded = runtime.block_on(engine.record(&case, vec![noted], RecordOptions::default())).unwrap();
    assert_eq!(recorded.version, Version(8));
    assert!(verify(&engine, &|_| {}).unwrap().verified);
}
