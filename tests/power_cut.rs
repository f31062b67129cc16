//! A machine that loses power loses nothing that was acknowledged.
//!
//! Every file call of journal and folder is recorded. From the record, images are built of what a disk may hold when
//! power fails at some moment: what was synced, and of the rest any part, in any order, torn within a write; names
//! that were not synced may be missing. The index, which is never synced before an answer, is missing, stale or
//! half-copied. Each image is opened and compared with what had been acknowledged.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use casebook_engine::case::event::Version;
use casebook_engine::store::files::{DiskFiles, Files, StoreFile};
use casebook_engine::store::{EventStore, OpenError, SledOptions, SledStore};
use casebook_tests::appends::{append, bytes, case_id, whole_log};
use casebook_tests::chance::{Numbers, seed, times};
use casebook_tests::folders::copy;
use sha2::{Digest, Sha256};

/// How many runs are recorded.
const RUNS: u64 = 4;
/// How many images are built from each.
const IMAGES: u64 = 30;
/// A write is torn between pieces of this length.
const SECTOR: usize = 512;
/// Threads that append.
const THREADS: u64 = 6;
/// Appends of each.
const APPENDS: u64 = 30;

/// One file call that has returned, or something that was acknowledged.
#[derive(Debug, Clone)]
enum Step {
    Create(PathBuf),
    Write(PathBuf, u64, Vec<u8>),
    Truncate(PathBuf, u64),
    Sync(PathBuf),
    SyncDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Acknowledged { case: u64, version: u64, position: u64 },
    Kept(String),
}

/// What the recording forgets to do, for the negative controls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    NoSync,
    NoSyncDir,
}

type Record = Arc<Mutex<Vec<Step>>>;

struct RecordingFiles {
    record: Record,
    fault: Fault,
}

impl RecordingFiles {
    fn wrap(&self, path: &Path, file: Box<dyn StoreFile>) -> Box<dyn StoreFile> {
        Box::new(RecordingFile {
            file,
            path: path.to_owned(),
            record: Arc::clone(&self.record),
            fault: self.fault,
        })
    }

    fn note(&self, step: Step) {
        self.record.lock().unwrap().push(step);
    }
}

impl Files for RecordingFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        let file = DiskFiles.create(path)?;
        self.note(Step::Create(path.to_owned()));
        Ok(self.wrap(path, file))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoreFile>> {
        DiskFiles.open(path).map(|file| self.wrap(path, file))
    }
    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        DiskFiles.sync_dir(folder)?;
        if self.fault != Fault::NoSyncDir {
            self.note(Step::SyncDir(folder.to_owned()));
        }
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Step::Rename(from.to_owned(), to.to_owned()));
        DiskFiles.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        DiskFiles.remove_file(path)?;
        self.note(Step::Remove(path.to_owned()));
        Ok(())
    }
}

struct RecordingFile {
    file: Box<dyn StoreFile>,
    path: PathBuf,
    record: Record,
    fault: Fault,
}

impl StoreFile for RecordingFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // Noted first: a cut may come while the write is under way.
        self.record.lock().unwrap().push(Step::Write(self.path.clone(), offset, bytes.to_vec()));
        self.file.write_at(offset, bytes)
    }
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn length(&mut self) -> io::Result<u64> {
        self.file.length()
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.record.lock().unwrap().push(Step::Truncate(self.path.clone(), length));
        self.file.truncate(length)
    }
    fn sync_data(&mut self) -> io::Result<()> {
        // The real sync is left out: the images are made from the record, and the test is about order.
        if self.fault != Fault::NoSync {
            self.record.lock().unwrap().push(Step::Sync(self.path.clone()));
        }
        Ok(())
    }
}

/// A file as the disk may hold it: what was synced, and the calls since.
#[derive(Debug, Clone, Default)]
struct DiskFile {
    synced: Vec<u8>,
    since: Vec<(u64, Vec<u8>)>,
}

impl DiskFile {
    fn whole(&self) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for (offset, written) in &self.since {
            put(&mut bytes, *offset, written);
        }
        bytes
    }

    /// What may be left of it: of the writes since the sync any sectors, and any length up to the whole.
    fn remains(&self, numbers: &mut Numbers) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        let whole = self.whole();
        if self.since.is_empty() {
            return bytes;
        }
        let kind = numbers.below(4);
        for (offset, written) in &self.since {
            for (index, sector) in written.chunks(SECTOR).enumerate() {
                let kept = match kind {
                    0 => false,
                    1 => true,
                    _ => numbers.below(2) == 0,
                };
                if kept {
                    put(&mut bytes, offset + (index * SECTOR) as u64, sector);
                }
            }
        }
        // The length is written apart from the bytes: it may be the new one over bytes that never came.
        if numbers.below(2) == 0 {
            bytes.resize(whole.len(), 0);
        } else if numbers.below(2) == 0 && bytes.len() > self.synced.len() {
            let added = (bytes.len() - self.synced.len()) as u64;
            bytes.truncate(self.synced.len() + usize::try_from(numbers.below(added + 1)).unwrap());
        }
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let start = usize::try_from(offset).unwrap();
    if bytes.len() < start + written.len() {
        bytes.resize(start + written.len(), 0);
    }
    bytes[start..start + written.len()].copy_from_slice(written);
}

/// The disk at a moment: files by number, names as synced and as seen.
#[derive(Default)]
struct Disk {
    files: Vec<DiskFile>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
}

impl Disk {
    /// A disk that holds what stands in the folders, synced.
    fn of(store: &Path) -> Self {
        let mut disk = Self::default();
        for folder in ["journal", "definitions"] {
            for entry in fs::read_dir(store.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let synced = fs::read(&path).unwrap();
                disk.names.insert(path, disk.files.len());
                disk.files.push(DiskFile { synced, since: Vec::new() });
            }
        }
        disk.synced_names = disk.names.clone();
        disk
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Create(path) => {
                self.names.insert(path.clone(), self.files.len());
                self.files.push(DiskFile::default());
            }
            Step::Write(path, offset, bytes) => {
                let file = &mut self.files[self.names[path]];
                file.since.push((*offset, bytes.clone()));
            }
            Step::Truncate(path, length) => {
                let file = &mut self.files[self.names[path]];
                file.synced.truncate(usize::try_from(*length).unwrap());
                file.since.clear();
            }
            Step::Sync(path) => {
                let file = &mut self.files[self.names[path]];
                file.synced = file.whole();
                file.since.clear();
            }
            Step::SyncDir(folder) => {
                self.synced_names.retain(|path, _| path.parent() != Some(folder));
                let seen = self.names.iter().filter(|(path, _)| path.parent() == Some(folder));
                self.synced_names.extend(seen.map(|(path, file)| (path.clone(), *file)));
            }
            Step::Rename(from, to) => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Step::Remove(path) => {
                self.names.remove(path);
            }
            Step::Acknowledged { .. } | Step::Kept(_) => {}
        }
    }

    /// Writes what may be left of it into a copy of the store.
    fn write_image(&self, store: &Path, image: &Path, numbers: &mut Numbers) {
        for folder in ["journal", "definitions"] {
            fs::create_dir_all(image.join(folder)).unwrap();
        }
        fs::copy(store.join("format"), image.join("format")).unwrap();
        let names = if numbers.below(2) == 0 { &self.names } else { &self.synced_names };
        for (path, file) in names {
            let remains = self.files[*file].remains(numbers);
            fs::write(image.join(path.strip_prefix(store).unwrap()), remains).unwrap();
        }
    }
}

/// What was recorded of one run, and copies of the index with the step that each one is not newer than.
struct Run {
    store: PathBuf,
    before: Disk,
    steps: Vec<Step>,
    indexes: Vec<(usize, PathBuf)>,
}

/// Appends from several threads and keeps a definition now and then, recording everything.
fn run(folder: &Path, fault: Fault) -> Run {
    let path = folder.join("store");
    let options = || SledOptions { segment_bytes_max: 8 * 1024, settle_events: 64, ..SledOptions::default() };
    let store = SledStore::open_or_create(&path, options()).unwrap();
    for case in 0..THREADS {
        store.append(append(case, 0, 2)).unwrap();
    }
    drop(store);
    let before = Disk::of(&path);
    let stale = folder.join("index-0");
    copy(&path.join("sled"), &stale).unwrap();
    let indexes = Mutex::new(vec![(0, stale)]);
    let record = Record::default();
    let files = Arc::new(RecordingFiles { record: Arc::clone(&record), fault });
    let store = SledStore::open(&path, SledOptions { files, ..options() }).unwrap();
    let note = |step| record.lock().unwrap().push(step);
    thread::scope(|scope| {
        for case in 0..THREADS {
            let (store, note, indexes, record, path) = (&store, &note, &indexes, &record, &path);
            scope.spawn(move || {
                let mut version = 2;
                for round in 0..APPENDS {
                    let count = 1 + (case + round) % 4;
                    let answer = store.append(append(case, version, count)).unwrap();
                    for behind in 0..count {
                        let position = answer.last_position.0 - behind;
                        note(Step::Acknowledged { case, version: version + count - behind, position });
                    }
                    version += count;
                    if round % 10 == 9 {
                        let text = format!("{{\"case\":{case},\"round\":{round}}}");
                        let digest: String =
                            Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
                        store.keep_definition(&digest, &text).unwrap();
                        note(Step::Kept(text));
                    }
                    if case == 0 && round % 8 == 7 {
                        let target = path.with_file_name(format!("index-{}", round + 1));
                        copy(&path.join("sled"), &target).unwrap();
                        let step = record.lock().unwrap().len();
                        indexes.lock().unwrap().push((step, target));
                    }
                }
            });
        }
    });
    let steps = record.lock().unwrap().clone();
    drop(store);
    Run { store: path, before, steps, indexes: indexes.into_inner().unwrap() }
}

/// What is wrong with the store that opens from an image, if anything.
fn problem_with(image: &Path, acknowledged: &[Step]) -> Option<String> {
    let store = match SledStore::open(image, SledOptions::default()) {
        Ok(store) => store,
        Err(OpenError::Damaged { damage, .. }) => return Some(format!("it is taken for damaged: {damage}")),
        Err(error) => return Some(format!("it does not open: {error:?}")),
    };
    let log = whole_log(&store);
    let kept = match store.kept_definitions() {
        Ok(kept) => kept,
        Err(error) => return Some(format!("a kept definition does not read: {error}")),
    };
    for step in acknowledged {
        match step {
            Step::Acknowledged { case, version, position } => {
                let stored = log.get(usize::try_from(position - 1).unwrap());
                let same = stored.is_some_and(|event| {
                    event.case_id == case_id(*case)
                        && event.version == Version(*version)
                        && *event.bytes == *bytes(*case, *version)
                });
                if !same {
                    return Some(format!("position {position} is lost, the log ends at {}", log.len()));
                }
            }
            Step::Kept(text) if !kept.contains(text) => return Some(format!("{text} is lost")),
            _ => {}
        }
    }
    for case in 0..THREADS {
        let events = store.read_case(case_id(case), Version(0), 1_000).unwrap();
        let logged = log.iter().filter(|event| event.case_id == case_id(case)).count();
        if events.len() != logged {
            return Some(format!("case {case} has {} events, {logged} are in the log", events.len()));
        }
        let version = events.last().map_or(0, |event| event.version.0);
        if let Err(error) = store.append(append(case, version, 1)) {
            return Some(format!("case {case} can't be continued: {error:?}"));
        }
    }
    None
}

/// Builds images of cuts at random moments and says what is wrong with them.
fn problems(seed: u64, fault: Fault, images: u64) -> Vec<String> {
    let mut numbers = Numbers(seed);
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), fault);
    let mut cuts: Vec<usize> =
        (0..images).map(|_| usize::try_from(numbers.below(run.steps.len() as u64 + 1)).unwrap()).collect();
    cuts.sort_unstable();
    let mut disk = run.before;
    let mut taken = 0;
    let mut problems = Vec::new();
    for (number, cut) in cuts.into_iter().enumerate() {
        for step in &run.steps[taken..cut] {
            disk.take(step);
        }
        taken = cut;
        let image = folder.path().join(format!("image-{number}"));
        disk.write_image(&run.store, &image, &mut numbers);
        let possible: Vec<_> = run.indexes.iter().filter(|(step, _)| *step <= cut).collect();
        let chosen = usize::try_from(numbers.below(possible.len() as u64 + 1)).unwrap();
        // Without sync the journal may be behind the index, which is no news: the controls go without one.
        if let Some((_, index)) = possible.get(chosen).filter(|_| fault == Fault::None) {
            copy(index, &image.join("sled")).unwrap();
        }
        let acknowledged = &run.steps[..cut];
        if let Some(problem) = problem_with(&image, acknowledged) {
            problems.push(format!("cut at step {cut} of {}: {problem}", run.steps.len()));
        }
        fs::remove_dir_all(image).unwrap();
    }
    problems
}

#[test]
fn no_power_cut_loses_what_was_acknowledged() {
    let seed = seed();
    for run in 0..times(RUNS) {
        println!("seed {}", seed + run);
        let problems = problems(seed + run, Fault::None, IMAGES);
        assert_eq!(problems, Vec::<String>::new(), "seed {}", seed + run);
    }
}

#[test]
fn a_store_that_answers_before_the_sync_is_caught() {
    let seed = seed();
    let problems = problems(seed, Fault::NoSync, IMAGES);
    let lost =
        problems.iter().filter(|problem| problem.contains("is lost") || problem.contains("damaged")).count();
    println!("caught in {lost} of {IMAGES} images");
    assert!(lost > 5, "{problems:?}");
}

#[test]
fn a_store_that_does_not_sync_its_folder_is_caught() {
    let seed = seed();
    let problems = problems(seed, Fault::NoSyncDir, IMAGES);
    let lost = problems.iter().filter(|problem| problem.contains("is lost")).count();
    println!("caught in {lost} of {IMAGES} images");
    assert!(lost > 5, "{problems:?}");
}
