//! A process that is killed loses nothing that it acknowledged.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use casebook_engine::case::event::{Position, Version};
use casebook_engine::store::{EventStore, SledOptions, SledStore};
use casebook_tests::appends::{bytes, case_id, leaf, whole_log};
use casebook_tests::chance::{Numbers, seed, times};

/// How often the process is killed in the quick run.
const KILLS: u64 = 20;

/// One answer of success, as the child wrote it.
struct Acknowledged {
    case: u64,
    first: u64,
    last: u64,
    position: u64,
}

impl Acknowledged {
    fn read(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        Some(Self { case: next()?, first: next()?, last: next()?, position: next()? })
    }
}

fn start(path: &Path, seed: u64) -> Child {
    Command::new(env!("CARGO_BIN_EXE_appender"))
        .arg(path)
        .arg(seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Lets a child append until it has acknowledged so much, kills it, and returns all that it acknowledged.
fn kill_after(path: &Path, seed: u64, acknowledgements: u64) -> Vec<Acknowledged> {
    let mut child = start(path, seed);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..acknowledgements {
        seen.push(lines.next().unwrap().unwrap());
    }
    // SIGKILL: nothing is flushed, no destructor runs.
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut off: then nobody was told.
    let mut rest: Vec<String> = lines.map_while(Result::ok).collect();
    seen.append(&mut rest);
    seen.iter().filter_map(|line| Acknowledged::read(line)).collect()
}

#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged() {
    let seed = seed();
    let mut numbers = Numbers(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut all: Vec<Acknowledged> = Vec::new();
    for kill in 0..times(KILLS) {
        let acknowledgements = 1 + numbers.below(1_500);
        all.extend(kill_after(&path, numbers.below(u64::MAX), acknowledgements));
        let store = SledStore::open(&path, SledOptions::default()).unwrap();
        assert_eq!(store.recovery().rebuilt, None, "kill {kill}");
        let log = whole_log(&store);
        for acknowledged in &all {
            let Acknowledged { case, first, last, position } = *acknowledged;
            for version in first..=last {
                let at = usize::try_from(position - (last - version) - 1).unwrap();
                let stored = log.get(at).unwrap_or_else(|| panic!("kill {kill} lost position {position}"));
                assert_eq!(
                    (stored.case_id, stored.version),
                    (case_id(case), Version(version)),
                    "kill {kill}"
                );
                assert_eq!(*stored.bytes, *bytes(case, version), "kill {kill}");
            }
        }
        for (case, version) in [(0, 0), (95, 0), (7, 2)] {
            for event in store.read_case(case_id(case), Version(version), 100_000).unwrap() {
                assert_eq!(event.leaf, leaf(&bytes(case, event.version.0)));
            }
        }
    }
    println!("{} acknowledgements over {} kills", all.len(), times(KILLS));
}

#[test]
fn a_store_killed_while_it_is_made_always_opens() {
    let seed = seed();
    let mut numbers = Numbers(seed);
    let folder = tempfile::tempdir().unwrap();
    for kill in 0..times(15) {
        let path = folder.path().join(format!("store-{kill}"));
        let mut child = start(&path, seed);
        // Some work of a random length, so that the kill comes at another step of the creation each time.
        let mut bytes = Vec::new();
        for _ in 0..numbers.below(6_000) {
            bytes = leaf(&bytes).to_vec();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = SledStore::open_or_create(&path, SledOptions::default()).unwrap();
        whole_log(&store);
        let head = *store.head().borrow();
        let events = store.read_log(Position(0), 10_000).unwrap();
        assert_eq!(events.last().map_or(Position(0), |event| event.position), head);
        drop(store);
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().contains("unfinished")), "{names:?}");
    }
}
