//! A disk that is nearly full: no further event is taken, the reason is said, nothing is lost, and room is enough to go on.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use casebook_engine::case::event::Position;
use casebook_engine::store::files::Files;
use casebook_engine::store::{AppendError, EventStore, FREE_BYTES_MIN, SledOptions, SledStore};
use casebook_tests::appends::{append, whole_log};

fn reason(answer: Result<casebook_engine::store::Appended, AppendError>) -> String {
    match answer {
        Err(AppendError::ReadOnly { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn below_the_stated_free_space_nothing_is_taken_and_everything_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    {
        let store = SledStore::open_or_create(&path, SledOptions::default()).unwrap();
        store.append(append(1, 0, 2)).unwrap();
    }
    // No disk has as much room as this asks for.
    let options = SledOptions { free_bytes_min: u64::MAX, ..SledOptions::default() };
    {
        let store = SledStore::open(&path, options).unwrap();
        let said = reason(store.append(append(2, 0, 1)));
        assert!(said.contains("free some space") && said.contains("store"), "{said}");
        assert_eq!(store.read_only_reason().unwrap(), said);
        assert_eq!(whole_log(&store).len(), 2);
    }
    let store = SledStore::open(&path, SledOptions::default()).unwrap();
    assert_eq!(store.read_only_reason(), None);
    store.append(append(2, 0, 1)).unwrap();
    assert_eq!(*store.head().borrow(), Position(3));
}

/// The disk, with as much room as is said.
struct SizedFiles(Arc<AtomicU64>);

impl Files for SizedFiles {
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn a_store_goes_on_by_itself_once_there_is_room_and_still_answers_what_it_took_before() {
    let folder = tempfile::tempdir().unwrap();
    let room = Arc::new(AtomicU64::new(FREE_BYTES_MIN));
    let options = SledOptions { files: Arc::new(SizedFiles(Arc::clone(&room))), ..SledOptions::default() };
    let store = SledStore::open_or_create(&folder.path().join("store"), options).unwrap();
    let mut keyed = append(1, 0, 1);
    let idempotency =
        casebook_engine::store::Idempotency { key: "first".to_owned(), request_hash: [7; 32], at_micros: 0 };
    keyed.idempotency = Some(idempotency);
    store.append(keyed.clone()).unwrap();
    room.store(FREE_BYTES_MIN - 1, Ordering::SeqCst);
    let said = reason(store.append(append(2, 0, 1)));
    assert!(said.contains("63 MiB free") && said.contains("below 64 MiB"), "{said}");
    assert!(store.append(keyed).unwrap().replayed);
    room.store(FREE_BYTES_MIN, Ordering::SeqCst);
    store.append(append(2, 0, 1)).unwrap();
    assert_eq!(whole_log(&store).len(), 2);
}

#[test]
fn the_ballast_is_room_set_aside_and_comes_back_after_it_was_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let ballast = path.join("ballast");
    let options = || SledOptions { ballast_bytes: 1024 * 1024, ..SledOptions::default() };
    for _ in 0..2 {
        drop(SledStore::open_or_create(&path, options()).unwrap());
        let kept = fs::metadata(&ballast).unwrap();
        assert_eq!(kept.len(), 1024 * 1024);
        assert!(kept.blocks() * 512 >= 1024 * 1024, "the disk has set nothing aside");
        fs::remove_file(&ballast).unwrap();
    }
    // A disk that has little to spare is not made fuller.
    let options =
        SledOptions { files: Arc::new(SizedFiles(Arc::new(AtomicU64::new(FREE_BYTES_MIN)))), ..options() };
    drop(SledStore::open(&path, options).unwrap());
    assert!(!ballast.exists());
}
