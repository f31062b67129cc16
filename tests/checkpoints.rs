//! Checkpoints: signed when asked and when a case closes; never one that contradicts an earlier one.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use casebook_engine::case::event::{Position, Version};
use casebook_engine::engine::{Engine, RecordOptions};
use casebook_engine::ledger::checkpoint::{Checkpoint, successors};
use casebook_engine::ledger::key::VerifierKey;
use casebook_engine::ledger::note::Note;
use casebook_engine::ledger::proof::{EventProof, ProofError};
use casebook_engine::signer::{SignError, Signer, believed};
use casebook_engine::store::{EventStore, LogTree, MemoryStore, SledOptions, SledStore};
use casebook_engine::verify::verify;
use casebook_tests::appends::append;
use casebook_tests::folders::copy;

use crate::desk::{self, Desk};

fn store(path: &Path) -> SledStore {
    SledStore::open_or_create(path, SledOptions::default()).unwrap()
}

fn signer(store: &SledStore) -> Signer {
    Signer::new(store.path(), store.store_id())
}

fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// An engine over a folder, signing.
fn engine(path: &Path) -> Engine {
    let store = store(path);
    let signer = signer(&store);
    let engine = Engine::open(Arc::new(store), vec![desk::small()]).unwrap();
    engine.sign_with(signer);
    engine
}

#[test]
fn a_checkpoint_covers_exactly_what_is_acknowledged_and_is_signed_by_the_key_that_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder.path().join("store"));
    let signer = signer(&store);
    let empty = signer.sign(&store).unwrap();
    assert_eq!(empty.checkpoint.size, 0);
    for case in 0..30 {
        store.append(append(case, 0, 20)).unwrap();
        let signed = signer.sign(&store).unwrap();
        assert_eq!(signed.checkpoint.size, (case + 1) * 20);
        assert_eq!(signed.checkpoint.root, LogTree::at_head(&store).unwrap().root());
        let known = [signer.public_key().unwrap()];
        assert_eq!(believed(&signed.note.to_string(), &known).unwrap(), signed.checkpoint);
        assert_eq!(signer.sign(&store).unwrap(), signed, "a log that has not grown has the same checkpoint");
    }
    assert_eq!(signer.kept().unwrap().len(), 32, "the last one, and all thirty-one");
}

#[test]
fn the_key_is_made_once_and_readable_by_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let first = signer(&store(&path)).public_key().unwrap();
    assert_eq!(signer(&store(&path)).public_key().unwrap(), first);
    assert_eq!(first.to_string().parse::<VerifierKey>().unwrap(), first);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path.join("keys/signing-key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let other = tempfile::tempdir().unwrap();
    assert_ne!(signer(&store(&other.path().join("store"))).public_key().unwrap(), first);
}

#[test]
fn a_key_that_is_gone_or_changed_or_another_log_s_signs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = store(&path);
    let signer = signer(&store);
    signer.sign(&store).unwrap();
    let key = path.join("keys/signing-key");
    let text = fs::read_to_string(&key).unwrap();
    let other = Signer::new(&folder.path().join("other"), uuid::Uuid::nil());
    other.public_key().unwrap();
    let foreign = fs::read_to_string(folder.path().join("other/keys/signing-key")).unwrap();
    for wrong in ["", "no key", &text[..text.len() / 2], &foreign] {
        fs::write(&key, wrong).unwrap();
        let refused = signer.sign(&store);
        assert!(matches!(refused, Err(SignError::Key { .. })), "{refused:?}");
    }
    fs::remove_file(&key).unwrap();
    assert!(
        matches!(signer.sign(&store), Err(SignError::Key { .. })),
        "a new key would hide that the old one is gone"
    );
    fs::write(&key, text).unwrap();
    signer.sign(&store).unwrap();
}

#[test]
fn the_signer_signs_nothing_that_contradicts_what_it_signed_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let first = store(&path);
    first.append(append(1, 0, 5)).unwrap();
    drop(first);
    let earlier = folder.path().join("earlier");
    copy(&path, &earlier).unwrap();
    let first = store(&path);
    first.append(append(2, 0, 5)).unwrap();
    signer(&first).sign(&first).unwrap();
    drop(first);
    // The store is brought back to the earlier moment; keys and checkpoints stay.
    for kept in ["keys", "checkpoints"] {
        copy(&path.join(kept), &earlier.join(kept)).unwrap();
    }
    let back = store(&earlier);
    let refused = signer(&back).sign(&back);
    assert!(matches!(refused, Err(SignError::Shorter { signed: 10, size: 5 })), "{refused:?}");
    back.append(append(3, 0, 9)).unwrap();
    let refused = signer(&back).sign(&back);
    assert!(matches!(refused, Err(SignError::Rewritten { signed: 10 })), "{refused:?}");
    assert!(matches!(signer(&back).rotate(&back), Err(SignError::Rewritten { .. })), "nor does a new key");
}

#[test]
fn a_new_key_is_announced_by_the_old_one_and_both_are_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let log = store(&path);
    let signer = signer(&log);
    log.append(append(1, 0, 3)).unwrap();
    let old = signer.sign(&log).unwrap();
    let rotation = signer.rotate(&log).unwrap();
    assert_eq!((rotation.from.clone(), rotation.size), (old.key.clone(), 3));
    let again = signer.sign(&log).unwrap();
    assert_eq!((again.checkpoint.clone(), again.key), (old.checkpoint.clone(), rotation.to.clone()));
    assert_eq!(names(&path.join("checkpoints")).len(), 2, "what the old key signed is kept beside it");
    log.append(append(1, 3, 3)).unwrap();
    let new = signer.sign(&log).unwrap();
    assert_eq!(new.key, rotation.to);
    assert_eq!(signer.known_keys().unwrap(), [new.key.clone(), old.key.clone()]);
    for signed in [&old, &new] {
        assert!(believed(&signed.note.to_string(), &signer.known_keys().unwrap()).is_ok());
    }
    // Whoever knows the old key alone follows the announcement; whoever knows the new one alone does not go back.
    let rotations: Vec<_> = signer.rotations().unwrap().into_iter().map(|(_, rotation)| rotation).collect();
    assert!(believed(&new.note.to_string(), &successors(&old.key, &rotations)).is_ok());
    assert!(believed(&old.note.to_string(), &successors(&new.key, &rotations)).is_err());
    assert!(!path.join("keys/signing-key.next").exists());
    // A change of keys that was cut off before it was announced did not happen.
    fs::copy(path.join("keys/signing-key"), path.join("keys/signing-key.next")).unwrap();
    let text = fs::read_to_string(path.join("keys/rotations/0001")).unwrap();
    assert_eq!(signer.public_key().unwrap(), rotation.to, "one that was announced did");
    fs::write(path.join("keys/signing-key.next"), "cut off").unwrap();
    assert_eq!(signer.public_key().unwrap(), rotation.to);
    assert!(!path.join("keys/signing-key.next").exists());
    fs::write(path.join("keys/rotations/0001"), text.replacen("\n3\n", "\n2\n", 1)).unwrap();
    assert!(matches!(signer.known_keys(), Err(SignError::Kept { .. })));
}

#[test]
fn a_case_that_closes_is_followed_by_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let desk = Desk::at(engine(&path), "R/1", "case-opened on=2020-01-01 title=One");
    desk.record("note-made text=first");
    drop(desk);
    assert!(!path.join("checkpoints").exists(), "nothing closed, nothing is signed");
    let desk = Desk::of_open_case(engine(&path), "R/1");
    desk.record("case-closed on=2020-05-01");
    desk.record("note-made text=more");
    // Dropping the engine waits for what is being signed.
    drop(desk);
    let opened = store(&path);
    let kept = signer(&opened).kept().unwrap();
    let last = kept[0].checkpoint.clone().unwrap();
    assert!((5..=6).contains(&last.size), "signed behind the answer: {last:?}");
    assert_eq!(LogTree::at_head(&opened).unwrap().root_at(last.size).unwrap(), last.root);
}

#[test]
fn what_an_import_closes_gets_one_checkpoint_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let desk = Desk::at(engine(&path), "R/1", "case-opened on=2020-01-01 title=One");
    for line in ["case-closed on=2020-05-01", "case-reopened on=2020-06-01", "case-closed on=2020-07-01"] {
        let options = RecordOptions { imported: true, ..RecordOptions::default() };
        desk::accepted(desk.propose_with(&[line], options));
    }
    assert!(!path.join("checkpoints").exists(), "nothing is signed while the import goes on");
    drop(desk);
    let opened = store(&path);
    let names: Vec<String> = signer(&opened).kept().unwrap().into_iter().map(|kept| kept.name).collect();
    assert_eq!(names, ["keys/last-signed", "checkpoints/00000000000000000006"]);
}

#[test]
fn verification_meets_every_checkpoint_that_lies_beside_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::at(engine(&folder.path().join("store")), "R/1", "case-opened on=2020-01-01 title=One");
    for _ in 0..5 {
        desk.record("note-made text=more");
        desk.engine.signer().unwrap().sign(desk.store().as_ref()).unwrap();
    }
    let verified = verify(&desk.engine, &|_| {}).unwrap();
    assert!(verified.verified, "{verified:?}");
    assert_eq!(verified.checkpoints_met, 5);
}

#[test]
fn the_proof_of_any_event_holds_without_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder.path().join("store"));
    let desk = Desk::at(engine, "R/1", "case-opened on=2020-01-01 title=One");
    for number in 0..20 {
        desk.record(&format!("note-made text=number{number}"));
    }
    let signer = desk.engine.signer().unwrap();
    let key = signer.public_key().unwrap();
    let log = desk.store().read_log(Position(0), 100).unwrap();
    for event in &log {
        let proof = signer.prove(desk.store().as_ref(), event).unwrap();
        let text = serde_json::to_string(&proof).unwrap();
        let proven = EventProof::read(&text).unwrap().check(Some(&key)).unwrap();
        assert_eq!((proven.version, proven.position), (event.version.0, event.position.0));
        assert_eq!(proven.size, 21);
    }
    let stranger = Signer::new(&folder.path().join("other"), uuid::Uuid::nil()).public_key().unwrap();
    let proof = signer.prove(desk.store().as_ref(), &log[4]).unwrap();
    assert!(matches!(proof.check(Some(&stranger)), Err(ProofError::DoesNotHold { check: "checkpoint", .. })));
    assert_eq!(log[4].version, Version(5));
}

#[test]
fn any_byte_of_a_proof_that_is_changed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::at(engine(&folder.path().join("store")), "R/1", "case-opened on=2020-01-01 title=One");
    for _ in 0..6 {
        desk.record("note-made text=more");
    }
    let signer = desk.engine.signer().unwrap();
    let key = signer.public_key().unwrap();
    let event = desk.store().read_log(Position(2), 1).unwrap().remove(0);
    let text = serde_json::to_string(&signer.prove(desk.store().as_ref(), &event).unwrap()).unwrap();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let held = EventProof::read(&changed).and_then(|proof| proof.check(Some(&key)));
        assert!(
            held.is_err(),
            "byte {at}: {}",
            &changed[at.saturating_sub(20)..(at + 20).min(changed.len())]
        );
    }
}

#[test]
fn a_log_in_memory_is_signed_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let store = MemoryStore::new();
    store.append(append(1, 0, 300)).unwrap();
    let signer = Signer::new(folder.path(), uuid::Uuid::nil());
    let signed = signer.sign(&store).unwrap();
    let read = Checkpoint::read(&Note::parse(&signed.note.to_string()).unwrap()).unwrap();
    assert_eq!((read.size, read.root), (300, LogTree::at_head(&store).unwrap().root()));
}
