//! Damage is detected or harmless: always an error or the truth, never a panic or a wrong answer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use casebook_engine::case::event::{Position, Version};
use casebook_engine::store::files::{DiskFiles, Files, StoreFile};
use casebook_engine::store::{
    AppendError, CaseKey, EventStore, LogCopy, OpenError, ReadError, SledOptions, SledStore,
};
use casebook_tests::appends::{append, bytes, case_id, whole_log};
use casebook_tests::chance::{Numbers, seed, times};
use casebook_tests::folders::copy;

/// Where the first segment's groups begin.
const HEADER_BYTES: u64 = 36;

fn open(path: &Path) -> Result<SledStore, OpenError> {
    SledStore::open(path, SledOptions::default())
}

/// A closed store of ten groups of two events: ten cases.
fn closed_store(folder: &Path) -> PathBuf {
    let path = folder.join("store");
    let store = SledStore::open_or_create(&path, SledOptions::default()).unwrap();
    for case in 0..10 {
        store.append(append(case, 0, 2)).unwrap();
    }
    path
}

fn segment(store: &Path) -> PathBuf {
    store.join("journal/00000000000000000001.log")
}

/// A copy of a closed store without its index: all there is of it is the journal.
fn journal_alone(store: &Path, name: &str) -> PathBuf {
    let alone = store.with_file_name(name);
    copy(store, &alone).unwrap();
    fs::remove_dir_all(alone.join("sled")).unwrap();
    alone
}

/// Where each group of the first segment ends, found by reading the frames.
fn group_ends(segment: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut offset = usize::try_from(HEADER_BYTES).unwrap();
    while offset < segment.len() {
        let length = u32::from_le_bytes(segment[offset..offset + 4].try_into().unwrap()) as usize;
        let is_trailer = segment[offset + 8] == 2;
        offset += 8 + length;
        if is_trailer {
            ends.push(offset);
        }
    }
    ends
}

fn flip(path: &Path, offset: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

/// Every event that is read is the one that was recorded.
#[track_caller]
fn check_true(store: &dyn EventStore) -> usize {
    let log = whole_log(store);
    for event in &log {
        let case = (0..200).find(|case| case_id(*case) == event.case_id).unwrap();
        assert_eq!(*event.bytes, *bytes(case, event.version.0));
    }
    log.len()
}

#[test]
fn a_group_cut_off_anywhere_is_truncated_and_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    let whole = fs::read(segment(&store)).unwrap();
    let ends = group_ends(&whole);
    assert_eq!(ends.len(), 10);
    let alone = journal_alone(&store, "alone");
    for length in (ends[8] + 1..ends[9]).step_by(7) {
        let _ = fs::remove_dir_all(alone.join("sled"));
        fs::write(segment(&alone), &whole[..length]).unwrap();
        let opened = open(&alone).unwrap();
        let torn = opened.recovery().torn.clone().unwrap();
        assert_eq!((torn.offset, torn.bytes), (ends[8] as u64, (length - ends[8]) as u64));
        assert_eq!(fs::read(torn.kept_as.unwrap()).unwrap(), whole[ends[8]..length]);
        assert_eq!(check_true(&opened), 18);
        opened.append(append(9, 0, 3)).unwrap();
        assert_eq!(check_true(&opened), 21);
    }
}

#[test]
fn a_flipped_bit_in_the_last_group_is_taken_for_torn_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    let whole = fs::read(segment(&store)).unwrap();
    let ends = group_ends(&whole);
    for offset in (ends[8]..ends[9]).step_by(13) {
        let alone = journal_alone(&store, "alone");
        flip(&segment(&alone), offset, u8::try_from(offset % 8).unwrap());
        let opened = open(&alone).unwrap();
        assert!(opened.recovery().torn.is_some());
        assert_eq!(check_true(&opened), 18);
        drop(opened);
        fs::remove_dir_all(alone).unwrap();
    }
}

#[test]
fn a_flipped_bit_before_the_last_group_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    let whole = fs::read(segment(&store)).unwrap();
    let ends = group_ends(&whole);
    let alone = journal_alone(&store, "alone");
    for offset in (0..ends[8]).step_by(11) {
        let mut damaged = whole.clone();
        damaged[offset] ^= 1 << (offset % 8);
        fs::write(segment(&alone), &damaged).unwrap();
        let _ = fs::remove_dir_all(alone.join("sled"));
        match open(&alone) {
            Err(OpenError::Damaged { damage, .. }) => {
                assert_eq!(damage.segment, segment(&alone));
                let group = ends.iter().filter(|end| **end <= offset).count();
                assert_eq!(damage.after, Position(2 * group as u64), "byte {offset}");
                let start =
                    if offset < 36 { 0 } else { group.checked_sub(1).map_or(36, |before| ends[before]) };
                assert_eq!(damage.offset, start as u64);
            }
            other => panic!("byte {offset}: {other:?}"),
        }
        assert_eq!(fs::read(segment(&alone)).unwrap(), damaged, "nothing is repaired by guessing");
    }
}

#[test]
fn damage_in_the_archive_is_found_by_reading_it_and_the_index_still_answers() {
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    let ends = group_ends(&fs::read(segment(&store)).unwrap());
    flip(&segment(&store), ends[4] + 100, 3);
    let opened = open(&store).unwrap();
    assert_eq!(check_true(&opened), 20);
    assert_eq!(opened.raw_log(LogCopy::Archive, Position(0), 100).unwrap().len(), 10);
    let damage = opened.raw_log(LogCopy::Archive, Position(10), 100);
    assert!(matches!(damage, Err(ReadError::Damaged { position: Position(11), .. })), "{damage:?}");
    assert_eq!(opened.raw_log(LogCopy::Working, Position(0), 100).unwrap().len(), 20);
}

#[test]
fn a_journal_shorter_than_the_index_is_refused_and_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    let whole = fs::read(segment(&store)).unwrap();
    let ends = group_ends(&whole);
    for length in [ends[8], ends[8] + 50, ends[2], 36, 10] {
        fs::write(segment(&store), &whole[..length]).unwrap();
        let refused = open(&store);
        assert!(
            matches!(refused, Err(OpenError::Damaged { index_has: Some(Position(20)), .. })),
            "{length}: {refused:?}"
        );
        let options = SledOptions { read_damaged: true, ..SledOptions::default() };
        let opened = SledStore::open(&store, options).unwrap();
        assert!(opened.recovery().damage.is_some());
        assert_eq!(check_true(&opened), 20);
        let answer = opened.append(append(50, 0, 1));
        assert!(matches!(answer, Err(AppendError::ReadOnly { .. })), "{answer:?}");
        assert_eq!(fs::read(segment(&store)).unwrap(), whole[..length]);
    }
    fs::remove_file(segment(&store)).unwrap();
    assert!(matches!(open(&store), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_missing_segment_in_the_middle_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let options = SledOptions { segment_bytes_max: 1_000, ..SledOptions::default() };
    let store = SledStore::open_or_create(&path, options).unwrap();
    for case in 0..20 {
        store.append(append(case, 0, 3)).unwrap();
    }
    drop(store);
    let mut segments: Vec<_> =
        fs::read_dir(path.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    assert!(segments.len() > 5, "{segments:?}");
    fs::remove_file(&segments[3]).unwrap();
    fs::remove_dir_all(path.join("sled")).unwrap();
    match open(&path) {
        Err(OpenError::Damaged { damage, .. }) => assert_eq!(damage.segment, segments[2]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn something_else_in_its_place_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holiday");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("photo.jpg"), b"not a store").unwrap();
    for opened in [open(&path), SledStore::open_or_create(&path, SledOptions::default())] {
        assert!(matches!(opened, Err(OpenError::Foreign { .. })), "{opened:?}");
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    let file = path.join("photo.jpg");
    assert!(matches!(open(&file), Err(OpenError::Foreign { .. })));
    fs::write(path.join("format"), b"a file of another program\n").unwrap();
    assert!(matches!(open(&path), Err(OpenError::Foreign { .. })));
}

#[test]
fn a_store_that_is_not_there_is_made_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    assert!(matches!(open(&path), Err(OpenError::NotThere { .. })));
    assert!(!path.exists());
    fs::create_dir(&path).unwrap();
    assert!(matches!(open(&path), Err(OpenError::NotThere { .. })));
    let made = SledStore::open_or_create(&path, SledOptions::default()).unwrap();
    assert!(made.recovery().created);
}

#[test]
fn a_newer_format_is_refused_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    let format = fs::read_to_string(store.join("format")).unwrap();
    fs::write(store.join("format"), format.replace("format = 1", "format = 2\nsomething = new")).unwrap();
    let refused = open(&store);
    assert!(matches!(refused, Err(OpenError::NewerFormat { found: 2, known: 1, .. })), "{refused:?}");
    for text in [b"".as_slice(), b"casebook store\n", b"casebook store\nformat = x\nid = y\n"] {
        fs::write(store.join("format"), text).unwrap();
        assert!(open(&store).is_err());
    }
}

#[test]
fn a_store_in_use_names_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    let held = open(&store).unwrap();
    let second = open(&store);
    let own = std::process::id();
    assert!(matches!(second, Err(OpenError::InUse { pid: Some(pid), .. }) if pid == own), "{second:?}");
    let other = Command::new(env!("CARGO_BIN_EXE_appender")).arg(&store).arg("1").output().unwrap();
    assert!(!other.status.success());
    let message = String::from_utf8(other.stderr).unwrap();
    assert!(message.contains(&format!("in use by process {own}")), "{message}");
    assert_eq!(check_true(&held), 20);
    drop(held);
    open(&store).unwrap();
}

#[test]
fn a_half_made_store_is_never_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let half_made = folder.path().join(".store.unfinished-0192");
    fs::create_dir_all(half_made.join("journal")).unwrap();
    fs::write(half_made.join("lock"), b"1\n").unwrap();
    assert!(matches!(open(&path), Err(OpenError::NotThere { .. })));
    let made = SledStore::open_or_create(&path, SledOptions::default()).unwrap();
    assert!(made.recovery().created);
    assert_eq!(made.recovery().leftovers, std::slice::from_ref(&half_made));
    assert!(!half_made.exists());
}

#[test]
fn an_index_that_is_gone_or_garbage_is_rebuilt_from_the_journal() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 5] = [
        ("deleted", |sled| fs::remove_dir_all(sled).unwrap()),
        ("emptied", |sled| fs::write(sled.join("db"), b"").unwrap()),
        ("garbage", |sled| fs::write(sled.join("db"), vec![0xa5; 9_000_000]).unwrap()),
        ("conf", |sled| fs::write(sled.join("conf"), b"nonsense in the configuration").unwrap()),
        ("another store's", |sled| {
            fs::remove_dir_all(sled).unwrap();
            let other = tempfile::tempdir().unwrap();
            copy(&closed_store(other.path()).join("sled"), sled).unwrap();
        }),
    ];
    for (name, harm) in harms {
        let folder = tempfile::tempdir().unwrap();
        let store = closed_store(folder.path());
        harm(&store.join("sled"));
        let opened = open(&store).unwrap();
        let rebuilt = opened.recovery().rebuilt.clone().unwrap_or_else(|| panic!("{name}"));
        assert_eq!(rebuilt.events, 20, "{name}");
        assert_eq!(rebuilt.aside.is_some(), name != "deleted");
        assert_eq!(check_true(&opened), 20);
        opened.append(append(3, 2, 1)).unwrap();
        drop(opened);
        let again = open(&store).unwrap();
        assert_eq!(again.recovery().rebuilt, None, "{name}");
        assert_eq!(check_true(&again), 21);
    }
}

/// Changes the value of sled's key that holds the first events.
fn change_index(store: &Path, change: impl Fn(&mut Vec<u8>)) {
    let config = sled::Config::new().path(store.join("sled")).segment_size(8 * 1024 * 1024);
    let db = config.open().unwrap();
    let key = [b"l/".as_slice(), &1_u64.to_be_bytes()].concat();
    let packed = db.get(&key).unwrap().unwrap();
    let mut run = lz4_flex::block::decompress_size_prepended(&packed).unwrap();
    change(&mut run);
    db.insert(key, lz4_flex::block::compress_prepend_size(&run)).unwrap();
    db.flush().unwrap();
}

#[test]
fn a_changed_event_in_the_index_is_read_from_the_journal_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    change_index(&store, |run| run[100] ^= 1);
    let opened = open(&store).unwrap();
    assert_eq!(*opened.read_case(case_id(0), Version(0), 1).unwrap()[0].bytes, *bytes(0, 1));
    assert_eq!(check_true(&opened), 20);
    assert_eq!(*opened.raw_log(LogCopy::Working, Position(0), 1).unwrap()[0].bytes, *bytes(0, 1));
}

#[test]
fn an_event_missing_from_the_index_is_read_from_the_journal_and_the_index_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    change_index(&store, |run| run.truncate(150));
    let opened = open(&store).unwrap();
    assert_eq!(check_true(&opened), 20);
    drop(opened);
    let again = open(&store).unwrap();
    assert!(again.recovery().rebuilt.is_some());
    assert_eq!(again.raw_log(LogCopy::Working, Position(0), 100).unwrap().len(), 20);
}

#[test]
fn an_event_damaged_in_both_copies_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    change_index(&store, |run| run[100] ^= 1);
    flip(&segment(&store), 150, 0);
    let opened = open(&store).unwrap();
    let read = opened.read_case(case_id(0), Version(0), 5);
    assert!(
        matches!(&read, Err(ReadError::Damaged { position: Position(1), version: Version(1), case_id: id, .. }) if *id == case_id(0)),
        "{read:?}"
    );
    assert_eq!(opened.read_case(case_id(5), Version(0), 5).unwrap().len(), 2);
}

#[test]
fn a_bit_flipped_anywhere_in_the_index_never_gives_a_wrong_answer() {
    let seed = seed();
    let mut numbers = Numbers(seed);
    let folder = tempfile::tempdir().unwrap();
    let store = closed_store(folder.path());
    let db = fs::read(store.join("sled/db")).unwrap();
    let live = db.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    for round in 0..times(25) {
        let mut flipped = db.clone();
        let offset = usize::try_from(numbers.below(live)).unwrap();
        flipped[offset] ^= 1 << numbers.below(8);
        let image = folder.path().join(format!("image-{round}"));
        copy(&store, &image).unwrap();
        fs::write(image.join("sled/db"), &flipped).unwrap();
        let opened = open(&image).unwrap();
        assert_eq!(check_true(&opened), 20, "byte {offset}");
        for case in 0..10 {
            if let Ok(events) = opened.read_case(case_id(case), Version(0), 9) {
                assert_eq!(events.len(), 2, "byte {offset}");
            }
            if let Ok(head) = opened.head_of(&CaseKey::Id(case_id(case))) {
                assert_eq!(head.unwrap().version, Version(2), "byte {offset}");
            }
        }
        drop(opened);
        fs::remove_dir_all(image).unwrap();
    }
}

#[test]
fn a_changed_definition_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = closed_store(folder.path());
    let store = open(&path).unwrap();
    let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    store.keep_definition(digest, "{}").unwrap();
    assert_eq!(store.kept_definitions().unwrap(), ["{}"]);
    flip(&path.join(format!("definitions/{digest}.json")), 1, 0);
    assert!(matches!(store.kept_definitions(), Err(ReadError::Storage(_))));
}

/// Files whose n-th changing call fails: a write after its first half, everything else wholly.
struct FailingFiles {
    calls: Arc<Calls>,
}

#[derive(Default)]
struct Calls {
    made: AtomicU64,
    failing: AtomicU64,
    failed: Mutex<Option<&'static str>>,
}

impl Calls {
    fn pass(&self, name: &'static str) -> io::Result<()> {
        let number = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.failing.load(Ordering::SeqCst) {
            *self.failed.lock().unwrap() = Some(name);
            return Err(io::Error::other("injected"));
        }
        Ok(())
    }
}

struct FailingFile {
    file: Box<dyn StoreFile>,
    calls: Arc<Calls>,
}

impl FailingFiles {
    fn wrap(&self, file: Box<dyn StoreFile>) -> Box<dyn StoreFile> {
        Box::new(FailingFile { file, calls: Arc::clone(&self.calls) })
    }
}

impl Files for FailingFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        self.calls.pass("create")?;
        DiskFiles.create(path).map(|file| self.wrap(file))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        DiskFiles.open(path).map(|file| self.wrap(file))
    }
    fn create_dir(&self, folder: &Path) -> io::Result<()> {
        self.calls.pass("create_dir")?;
        DiskFiles.create_dir(folder)
    }
    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        self.calls.pass("sync_dir")?;
        DiskFiles.sync_dir(folder)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.calls.pass("rename")?;
        DiskFiles.rename(from, to)
    }
}

impl StoreFile for FailingFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.calls.pass("write_at") {
            self.file.write_at(offset, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write_at(offset, bytes)
    }
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn length(&mut self) -> io::Result<u64> {
        self.file.length()
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.calls.pass("truncate")?;
        self.file.truncate(length)
    }
    fn sync_data(&mut self) -> io::Result<()> {
        self.calls.pass("sync_data")?;
        self.file.sync_data()
    }
}

/// Appends twelve cases; after a failure the store must stay silent and readable. Returns how many were acknowledged.
fn append_until_failure(store: &SledStore) -> u64 {
    let mut acknowledged = 0;
    for case in 0..12 {
        match store.append(append(case, 0, 2)) {
            Ok(_) => acknowledged += 1,
            Err(AppendError::Storage(_)) => {
                for _ in 0..3 {
                    let answer = store.append(append(100, 0, 1));
                    assert!(matches!(answer, Err(AppendError::ReadOnly { .. })), "{answer:?}");
                }
                assert!(store.read_only_reason().unwrap().contains("injected"));
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(check_true(store) as u64, 2 * acknowledged);
    acknowledged
}

#[test]
fn every_file_call_that_fails_is_a_clear_error_and_loses_nothing() {
    let mut kinds = std::collections::BTreeSet::new();
    for failing in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let calls = Arc::new(Calls::default());
        calls.failing.store(failing, Ordering::SeqCst);
        let files = Arc::new(FailingFiles { calls: Arc::clone(&calls) });
        let options = SledOptions { files, segment_bytes_max: 1_500, ..SledOptions::default() };
        let mut acknowledged = 0;
        if let Ok(store) = SledStore::open_or_create(&path, options) {
            acknowledged = append_until_failure(&store);
        }
        let failed = *calls.failed.lock().unwrap();
        let reopened = SledStore::open_or_create(&path, SledOptions::default()).unwrap();
        let found = check_true(&reopened) as u64;
        assert!(found >= 2 * acknowledged, "call {failing} ({failed:?}): {found} of {}", 2 * acknowledged);
        assert!(found <= 2 * acknowledged + 2);
        reopened.append(append(150, 0, 1)).unwrap();
        match failed {
            Some(kind) => kinds.insert(kind),
            None => break,
        };
    }
    assert!(
        kinds.contains("write_at") && kinds.contains("sync_data") && kinds.contains("sync_dir"),
        "{kinds:?}"
    );
}
