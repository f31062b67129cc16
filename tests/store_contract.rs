//! What every store promises: the same checks against each of them.

use std::io;
use std::path::Path;
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::thread;

use casebook_engine::case::event::{Position, Version};
use casebook_engine::store::files::{DiskFiles, Files, StoreFile};
use casebook_engine::store::{
    Append, AppendError, Appended, BATCH_EVENTS_MAX, CaseKey, EVENT_BYTES_MAX, EventStore, ExpectedVersion,
    KEY_BYTES_MAX, LogCopy, MODEL_KEY_BYTES_MAX, MODEL_VALUE_BYTES_MAX, MemoryStore, REFERENCE_BYTES_MAX,
    ReadError, SledOptions, SledStore,
};
use sha2::{Digest, Sha256};

use casebook_tests::appends::{append, bytes, case_id, event, leaf, under_key, whole_log};

/// Runs a check against every store.
fn check(promise: impl Fn(&dyn EventStore)) {
    promise(&MemoryStore::new());
    let folder = tempfile::tempdir().unwrap();
    promise(&SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap());
}

fn appended(first: u64, last: u64, position: u64) -> Appended {
    Appended {
        first_version: Version(first),
        last_version: Version(last),
        last_position: Position(position),
        replayed: false,
    }
}

fn expecting(expected: ExpectedVersion, append: Append) -> Append {
    Append { expected, ..append }
}

#[track_caller]
fn check_conflict(store: &dyn EventStore, wanted: Append, actual: u64) {
    match store.append(wanted) {
        Err(AppendError::Conflict { actual: found, .. }) => assert_eq!(found, Version(actual)),
        other => panic!("expected a conflict at {actual}, got {other:?}"),
    }
}

#[track_caller]
fn check_invalid(store: &dyn EventStore, wanted: Append) {
    let answer = store.append(wanted);
    assert!(matches!(answer, Err(AppendError::Invalid { .. })), "{answer:?}");
    assert_eq!(*store.head().borrow(), Position(0), "nothing of it was stored");
}

#[test]
fn everything_appended_is_read_back() {
    check(|store| {
        assert_eq!(store.append(append(1, 0, 3)).unwrap(), appended(1, 3, 3));
        assert_eq!(store.append(append(2, 0, 1)).unwrap(), appended(1, 1, 4));
        assert_eq!(store.append(append(1, 3, 2)).unwrap(), appended(4, 5, 6));
        let log = whole_log(store);
        let places: Vec<_> = log.iter().map(|event| (event.case_id, event.version.0)).collect();
        let [one, two] = [case_id(1), case_id(2)];
        assert_eq!(places, [(one, 1), (one, 2), (one, 3), (two, 1), (one, 4), (one, 5)]);
        for stored in &log {
            let number = if stored.case_id == one { 1 } else { 2 };
            assert_eq!(*stored.bytes, *bytes(number, stored.version.0));
        }
        let head = store.head_of(&CaseKey::Id(one)).unwrap().unwrap();
        assert_eq!(
            (head.version, head.position, head.reference.as_str()),
            (Version(5), Position(6), "REF-1")
        );
        assert_eq!(head.leaf, leaf(&bytes(1, 5)));
        assert_eq!(store.head_of(&CaseKey::Reference("REF-1".to_owned())).unwrap(), Some(head));
        assert_eq!(store.head_of(&CaseKey::Reference("REF-3".to_owned())).unwrap(), None);
        assert_eq!(store.head_of(&CaseKey::Id(case_id(3))).unwrap(), None);
    });
}

#[test]
fn a_case_is_read_by_pages_in_order_of_version() {
    check(|store| {
        for round in 0..300 {
            store.append(append(1, round, 1)).unwrap();
            store.append(append(2, round * 2, 2)).unwrap();
        }
        for (number, last) in [(1, 300), (2, 600)] {
            let mut version = 0;
            while version < last {
                let page = store.read_case(case_id(number), Version(version), 97).unwrap();
                assert_eq!(page.len() as u64, 97.min(last - version));
                for stored in page {
                    version += 1;
                    assert_eq!(stored.version, Version(version));
                    assert_eq!(*stored.bytes, *bytes(number, version));
                }
            }
            assert!(store.read_case(case_id(number), Version(last), 10).unwrap().is_empty());
            assert!(store.read_case(case_id(number), Version(last + 5), 10).unwrap().is_empty());
            assert!(store.read_case(case_id(number), Version(0), 0).unwrap().is_empty());
        }
        assert!(store.read_case(case_id(9), Version(0), 10).unwrap().is_empty());
    });
}

#[test]
fn the_log_is_read_by_pages_in_order_of_position() {
    check(|store| {
        for number in 0..50 {
            store.append(append(number, 0, 7)).unwrap();
        }
        assert_eq!(whole_log(store).len(), 350);
        let page = store.read_log(Position(348), 10).unwrap();
        assert_eq!(page.iter().map(|event| event.position.0).collect::<Vec<_>>(), [349, 350]);
        assert!(store.read_log(Position(350), 10).unwrap().is_empty());
        assert!(store.read_log(Position(u64::MAX - 1), 10).unwrap().is_empty());
        assert!(store.read_log(Position(0), 0).unwrap().is_empty());
    });
}

#[test]
fn the_archive_holds_what_the_log_holds() {
    check(|store| {
        for number in 0..40 {
            store.append(append(number, 0, 30)).unwrap();
        }
        let log = whole_log(store);
        let mut archive = Vec::new();
        loop {
            let page = store.raw_log(LogCopy::Archive, Position(archive.len() as u64), 17).unwrap();
            if page.is_empty() {
                break;
            }
            archive.extend(page);
        }
        assert_eq!(log.len(), archive.len());
        for (logged, archived) in log.iter().zip(&archive) {
            assert_eq!(
                (logged.position, logged.version, logged.leaf),
                (archived.position, archived.version, archived.leaf)
            );
            assert_eq!((logged.case_id, &logged.bytes), (archived.case_id, &archived.bytes));
        }
        let working = store.raw_log(LogCopy::Working, Position(0), 10_000).unwrap();
        for (logged, copied) in log.iter().zip(&working) {
            assert_eq!((logged.position, &logged.bytes), (copied.position, &copied.bytes));
        }
    });
}

#[test]
fn an_expectation_that_is_not_met_is_a_conflict() {
    use ExpectedVersion::{Any, Exactly, Exists, NoCase};
    check(|store| {
        check_conflict(store, expecting(Exists, append(1, 0, 1)), 0);
        check_conflict(store, expecting(Exactly(Version(1)), append(1, 0, 1)), 0);
        check_conflict(store, append(1, 4, 1), 0);
        store.append(expecting(NoCase, append(1, 0, 2))).unwrap();
        check_conflict(store, expecting(NoCase, append(1, 2, 1)), 2);
        check_conflict(store, append(1, 1, 1), 2);
        check_conflict(store, append(1, 0, 1), 2);
        check_conflict(store, append(1, 7, 1), 2);
        check_conflict(store, expecting(Exactly(Version(3)), append(1, 2, 1)), 2);
        store.append(expecting(Any, append(1, 2, 1))).unwrap();
        store.append(expecting(Exists, append(1, 3, 1))).unwrap();
        assert_eq!(whole_log(store).len(), 4);
    });
}

#[test]
fn a_batch_that_continues_another_version_is_a_conflict_whatever_is_expected() {
    use ExpectedVersion::{Any, Exists};
    check(|store| {
        store.append(append(1, 0, 3)).unwrap();
        for expected in [Any, Exists] {
            check_conflict(store, expecting(expected, append(1, 2, 1)), 3);
            check_conflict(store, expecting(expected, append(1, 4, 1)), 3);
        }
        assert_eq!(whole_log(store).len(), 3);
    });
}

#[test]
fn a_reference_belongs_to_one_case() {
    check(|store| {
        store.append(append(1, 0, 1)).unwrap();
        let taken = store.append(Append { reference: "REF-1".to_owned(), ..append(2, 0, 1) });
        assert!(matches!(taken, Err(AppendError::ReferenceTaken { reference }) if reference == "REF-1"));
        let renamed = store.append(Append { reference: "REF-2".to_owned(), ..append(1, 1, 1) });
        assert!(matches!(renamed, Err(AppendError::Invalid { .. })));
        store.append(append(2, 0, 1)).unwrap();
        assert_eq!(whole_log(store).len(), 2);
    });
}

#[test]
fn a_batch_that_breaks_a_limit_is_refused_whole() {
    check(|store| {
        check_invalid(store, append(1, 0, 0));
        check_invalid(store, append(1, 0, BATCH_EVENTS_MAX as u64 + 1));
        check_invalid(store, Append { reference: String::new(), ..append(1, 0, 1) });
        check_invalid(store, Append { reference: "r".repeat(REFERENCE_BYTES_MAX + 1), ..append(1, 0, 1) });
        check_invalid(store, under_key(append(1, 0, 1), "", "a"));
        check_invalid(store, under_key(append(1, 0, 1), &"k".repeat(KEY_BYTES_MAX + 1), "a"));
        let with = |events| Append { events, ..append(1, 0, 1) };
        check_invalid(store, with(vec![event(1, 1, vec![b'x'; EVENT_BYTES_MAX + 1])]));
        check_invalid(store, with(vec![event(1, 1, Vec::new())]));
        check_invalid(store, with(vec![event(1, 0, bytes(1, 0))]));
        check_invalid(store, with(vec![event(2, 1, bytes(2, 1))]));
        check_invalid(store, with(vec![event(1, 1, bytes(1, 1)), event(1, 3, bytes(1, 3))]));
        check_invalid(store, with(vec![event(1, 1, bytes(1, 1)), event(1, 1, bytes(1, 1))]));
        let mut forged = event(1, 1, bytes(1, 1));
        forged.leaf[7] ^= 1;
        check_invalid(store, with(vec![forged]));
    });
}

#[test]
fn the_largest_batch_and_the_largest_events_are_taken() {
    check(|store| {
        let largest = (1..=60).map(|version| event(1, version, vec![b'a'; EVENT_BYTES_MAX])).collect();
        store.append(Append { events: largest, ..append(1, 0, 1) }).unwrap();
        store.append(append(2, 0, BATCH_EVENTS_MAX as u64)).unwrap();
        assert_eq!(whole_log(store).len(), 60 + BATCH_EVENTS_MAX);
        assert_eq!(store.read_case(case_id(1), Version(58), 9).unwrap().len(), 2);
    });
}

#[test]
fn the_same_key_and_request_is_answered_again() {
    check(|store| {
        let first = store.append(under_key(append(1, 0, 2), "key", "request")).unwrap();
        store.append(append(1, 2, 1)).unwrap();
        let again = store.append(under_key(append(1, 0, 2), "key", "request")).unwrap();
        assert_eq!(again, Appended { replayed: true, ..first });
        let other = store.append(under_key(append(1, 3, 1), "key", "another request"));
        assert!(matches!(other, Err(AppendError::KeyReused { key }) if key == "key"));
        let (kept, answer) = store.answer_to("key").unwrap().unwrap();
        assert_eq!(answer, again);
        assert_eq!(kept.at_micros, 1_700_000_000_000_000);
        assert_eq!(kept.request_hash, <[u8; 32]>::from(Sha256::digest("request")));
        assert_eq!(store.answer_to("other").unwrap(), None);
        assert_eq!(whole_log(store).len(), 3);
    });
}

#[test]
fn a_refused_append_leaves_its_key_free() {
    check(|store| {
        assert!(store.append(under_key(append(1, 4, 1), "key", "early")).is_err());
        assert_eq!(store.answer_to("key").unwrap(), None);
        assert!(!store.append(under_key(append(1, 0, 1), "key", "now")).unwrap().replayed);
    });
}

#[test]
fn of_many_writers_on_one_version_exactly_one_wins() {
    check(|store| {
        let start = Barrier::new(200);
        for after in 0..3 {
            let wins: usize = thread::scope(|scope| {
                let writers: Vec<_> = (0..200)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            match store.append(append(1, after, 1)) {
                                Ok(_) => 1,
                                Err(AppendError::Conflict { actual, .. }) => {
                                    assert_eq!(actual, Version(after + 1));
                                    0
                                }
                                Err(error) => panic!("{error}"),
                            }
                        })
                    })
                    .collect();
                writers.into_iter().map(|writer| writer.join().unwrap()).sum()
            });
            assert_eq!(wins, 1);
        }
        assert_eq!(whole_log(store).len(), 3);
    });
}

#[test]
fn two_hundred_writers_leave_no_hole() {
    check(|store| {
        thread::scope(|scope| {
            for writer in 0..200 {
                scope.spawn(move || {
                    // Ten writers share a case and race for its versions; every one of them adds five events.
                    let number = writer / 10;
                    for _ in 0..5 {
                        loop {
                            let head = store.head_of(&CaseKey::Id(case_id(number))).unwrap();
                            let after = head.map_or(0, |head| head.version.0);
                            match store.append(append(number, after, 1)) {
                                Ok(answer) => {
                                    // Read your own write, at once.
                                    let read = store.read_case(case_id(number), Version(after), 1).unwrap();
                                    assert_eq!(read[0].position, answer.last_position);
                                    assert!(*store.head().borrow() >= answer.last_position);
                                    break;
                                }
                                Err(AppendError::Conflict { actual, .. }) => assert!(actual.0 > after),
                                Err(error) => panic!("{error}"),
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(whole_log(store).len(), 1_000);
    });
}

#[test]
fn the_head_moves_with_what_readers_see() {
    check(|store| {
        let done = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..400 {
                    store.append(append(number, 0, 2)).unwrap();
                }
                done.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            scope.spawn(|| {
                let head = store.head();
                let mut seen = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let before = head.borrow().0;
                    let page = store.read_log(Position(seen), 1_000).unwrap();
                    let last = page.last().map_or(seen, |event| event.position.0);
                    let after = head.borrow().0;
                    assert!(last >= before.min(seen + 1_000), "what the head says can be read");
                    assert!(last <= after, "nobody reads beyond the head");
                    assert_eq!(page.len() as u64, last - seen, "positions have no holes");
                    seen = last;
                }
            });
        });
        assert_eq!(*store.head().borrow(), Position(800));
    });
}

#[test]
fn a_model_and_its_checkpoint_are_written_together() {
    check(|store| {
        let models = store.models();
        let put = |key: &str, value: &str| (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
        assert_eq!(models.checkpoint("cases").unwrap(), Position(0));
        models
            .write("cases", Position(7), &[put("b", "2"), put("a", "1"), put("c/1", "3"), put("c/2", "4")])
            .unwrap();
        assert_eq!(models.checkpoint("cases").unwrap(), Position(7));
        assert_eq!(models.get("cases", b"a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(models.get("other", b"a").unwrap(), None);
        models.write("cases", Position(8), &[(b"a".to_vec(), None), put("b", "5")]).unwrap();
        assert_eq!(models.get("cases", b"a").unwrap(), None);
        assert_eq!(models.get("cases", b"b").unwrap(), Some(b"5".to_vec()));
        let keys = |prefix: &[u8], after: Option<&[u8]>, limit| {
            let found = models.scan("cases", prefix, after, limit).unwrap();
            found.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(keys(b"", None, 10), ["b", "c/1", "c/2"]);
        assert_eq!(keys(b"c/", None, 10), ["c/1", "c/2"]);
        assert_eq!(keys(b"c/", Some(b"c/1"), 10), ["c/2"]);
        assert_eq!(keys(b"c/", Some(b"a"), 1), ["c/1"]);
        assert_eq!(keys(b"", Some(b"b"), 10), ["c/1", "c/2"]);
        assert!(keys(b"c/", Some(b"d"), 10).is_empty());
        models.write("case", Position(1), &[put("z", "other model")]).unwrap();
        models.drop_model("cases").unwrap();
        assert_eq!(models.checkpoint("cases").unwrap(), Position(0));
        assert!(keys(b"", None, 10).is_empty());
        assert_eq!(models.get("case", b"z").unwrap(), Some(b"other model".to_vec()));
    });
}

#[test]
fn a_model_keeps_to_its_limits() {
    check(|store| {
        let models = store.models();
        let write = |key: usize, value: usize| {
            models.write("cases", Position(1), &[(vec![b'k'; key], Some(vec![b'v'; value]))])
        };
        write(MODEL_KEY_BYTES_MAX, MODEL_VALUE_BYTES_MAX).unwrap();
        assert!(matches!(write(MODEL_KEY_BYTES_MAX + 1, 1), Err(ReadError::Storage(_))));
        assert!(matches!(write(1, MODEL_VALUE_BYTES_MAX + 1), Err(ReadError::Storage(_))));
        assert!(models.write("a\0b", Position(1), &[]).is_err());
        let many: Vec<_> =
            (0..200_u8).map(|key| (vec![key], Some(vec![key; MODEL_VALUE_BYTES_MAX]))).collect();
        models.write("large", Position(2), &many).unwrap();
        assert_eq!(models.scan("large", b"", None, 500).unwrap().len(), 200);
    });
}

#[test]
fn a_definition_is_kept_under_its_digest_only() {
    check(|store| {
        let text = r#"{"name":"police-conduct"}"#;
        let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        store.keep_definition(&digest, text).unwrap();
        store.keep_definition(&digest, text).unwrap();
        assert_eq!(store.kept_definitions().unwrap(), [text]);
        assert!(store.keep_definition(&digest, "{}").is_err());
        assert!(store.keep_definition("../evil", "{}").is_err());
        assert_eq!(store.kept_definitions().unwrap(), [text]);
    });
}

#[test]
fn nothing_is_forgotten_over_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let open = || SledStore::open_or_create(&path, SledOptions::default()).unwrap();
    let mut versions = [0_u64; 5];
    let mut made: Vec<(String, Appended)> = Vec::new();
    for round in 0..6_u64 {
        let store = open();
        assert_eq!(store.recovery().created, round == 0);
        assert_eq!((store.recovery().replayed, &store.recovery().rebuilt), (0, &None));
        assert_eq!(whole_log(&store).len() as u64, versions.iter().sum::<u64>());
        for (key, answer) in &made {
            let again = under_key(append(0, 0, 1), key, key);
            assert_eq!(&store.append(again).unwrap(), answer);
        }
        for (number, version) in (0..).zip(&mut versions) {
            let key = format!("{round}-{number}");
            let answer = store.append(under_key(append(number, *version, round + 1), &key, &key)).unwrap();
            made.push((key, Appended { replayed: true, ..answer }));
            *version += round + 1;
        }
        let taken = store.append(Append { reference: "REF-1".to_owned(), ..append(77, 0, 1) });
        assert!(matches!(taken, Err(AppendError::ReferenceTaken { .. })));
        check_conflict(&store, append(3, 0, 1), versions[3]);
    }
    let store = open();
    for (number, version) in (0..).zip(versions) {
        let events = store.read_case(case_id(number), Version(0), 1_000).unwrap();
        assert_eq!(events.len() as u64, version);
        for stored in events {
            assert_eq!(*stored.bytes, *bytes(number, stored.version.0));
        }
    }
}

#[test]
fn a_long_log_is_settled_into_the_index_and_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let options = || SledOptions { segment_bytes_max: 1024 * 1024, ..SledOptions::default() };
    let store = SledStore::open_or_create(&path, options()).unwrap();
    for round in 0..20 {
        thread::scope(|scope| {
            for number in 0..8 {
                let store = &store;
                scope.spawn(move || store.append(append(number, round * 300, 300)).unwrap());
            }
        });
    }
    let check = |store: &SledStore| {
        assert_eq!(whole_log(store).len(), 48_000);
        for number in 0..8 {
            let events = store.read_case(case_id(number), Version(1_234), 10_000).unwrap();
            assert_eq!(events.len(), 6_000 - 1_234);
            assert_eq!(*events[0].bytes, *bytes(number, 1_235));
        }
    };
    check(&store);
    assert!(!store.raw_log(LogCopy::Working, Position(0), 1).unwrap().is_empty());
    drop(store);
    let store = SledStore::open(&path, options()).unwrap();
    assert_eq!((store.recovery().replayed, &store.recovery().rebuilt), (0, &None));
    check(&store);
    assert_eq!(store.raw_log(LogCopy::Working, Position(0), 50_000).unwrap().len(), 48_000);
    assert_eq!(store.raw_log(LogCopy::Archive, Position(0), 50_000).unwrap().len(), 48_000);
}

/// Files that sync only while a gate is open.
struct GatedFiles(Arc<Gate>);

#[derive(Default)]
struct Gate {
    is_closed: Mutex<bool>,
    moved: Condvar,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.is_closed.lock().unwrap() = closed;
        self.moved.notify_all();
    }
}

struct GatedFile(Box<dyn StoreFile>, Arc<Gate>);

impl Files for GatedFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        Ok(Box::new(GatedFile(DiskFiles.create(path)?, Arc::clone(&self.0))))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        Ok(Box::new(GatedFile(DiskFiles.open(path)?, Arc::clone(&self.0))))
    }
}

impl StoreFile for GatedFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
    fn length(&mut self) -> io::Result<u64> {
        self.0.length()
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
    fn sync_data(&mut self) -> io::Result<()> {
        let mut is_closed = self.1.is_closed.lock().unwrap();
        while *is_closed {
            is_closed = self.1.moved.wait(is_closed).unwrap();
        }
        self.0.sync_data()
    }
}

#[test]
fn more_than_may_wait_is_refused_at_once_and_nothing_shows_before_the_sync() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let files = Arc::new(GatedFiles(Arc::clone(&gate)));
    let options = SledOptions { queue_appends_max: 2, files, ..SledOptions::default() };
    let store = SledStore::open_or_create(&folder.path().join("store"), options).unwrap();
    gate.set(true);
    let (answered, answers) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..64 {
            let (store, answered) = (&store, answered.clone());
            scope.spawn(move || answered.send(store.append(append(number, 0, 100))).unwrap());
        }
        // While the first group syncs, two may wait; the first group itself has gathered two at most.
        for _ in 0..60 {
            let answer = answers.recv().unwrap();
            assert!(matches!(answer, Err(AppendError::Overloaded { queued: 2 })), "{answer:?}");
        }
        assert_eq!(*store.head().borrow(), Position(0));
        assert!(store.read_log(Position(0), 10).unwrap().is_empty());
        gate.set(false);
    });
    let taken = answers.try_iter().filter(Result::is_ok).count();
    assert!(taken > 0);
    assert_eq!(whole_log(&store).len(), taken * 100);
}

#[test]
fn a_store_is_shared_between_threads_as_a_trait_object() {
    let stores: [Arc<dyn EventStore>; 1] = [Arc::new(MemoryStore::new())];
    for store in stores {
        let other = Arc::clone(&store);
        thread::spawn(move || other.append(append(1, 0, 1)).unwrap()).join().unwrap();
        assert_eq!(whole_log(&*store).len(), 1);
    }
}
