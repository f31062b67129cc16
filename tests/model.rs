//! A store under any sequence of calls, reopenings and losses of its index is what plain maps say it is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use casebook_engine::case::event::{Position, Version};
use casebook_engine::ledger::tree::Frontier;
use casebook_engine::store::{
    Append, AppendError, CaseKey, EventStore, ExpectedVersion, LogCopy, LogTree, MemoryStore, ModelWrite,
    SledOptions, SledStore,
};
use casebook_tests::appends::{append, bytes, case_id, event, leaf, under_key};
use proptest::prelude::*;

/// One call.
#[derive(Debug, Clone)]
enum Step {
    Append {
        case: u64,
        expected: Expected,
        count: u64,
        key: Option<u64>,
    },
    /// An event as long as events may be.
    Long {
        case: u64,
    },
    ReadCase {
        case: u64,
        after: u64,
        limit: usize,
    },
    ReadLog {
        after: u64,
        limit: usize,
    },
    Write {
        model: u64,
        checkpoint: u64,
        key: u8,
        value: Option<u8>,
    },
    Scan {
        model: u64,
        prefix: u8,
        after: Option<u8>,
        limit: usize,
    },
    Drop {
        model: u64,
    },
    Reopen,
    LoseIndex,
}

#[derive(Debug, Clone, Copy)]
enum Expected {
    Any,
    NoCase,
    Exists,
    /// The real version and so much.
    Off(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let expected = prop_oneof![
        2 => Just(Expected::Any),
        1 => Just(Expected::NoCase),
        1 => Just(Expected::Exists),
        6 => Just(Expected::Off(0)),
        1 => (1..3_u64).prop_map(Expected::Off),
    ];
    let step = prop_oneof![
        12 => (0..6_u64, expected, 1..30_u64, prop::option::weighted(0.3, 0..8_u64))
            .prop_map(|(case, expected, count, key)| Step::Append { case, expected, count, key }),
        1 => (0..6_u64).prop_map(|case| Step::Long { case }),
        4 => (0..7_u64, 0..60_u64, 1..40_usize)
            .prop_map(|(case, after, limit)| Step::ReadCase { case, after, limit }),
        4 => (0..200_u64, 1..60_usize).prop_map(|(after, limit)| Step::ReadLog { after, limit }),
        3 => (0..3_u64, 0..90_u64, 0..5_u8, prop::option::of(any::<u8>()))
            .prop_map(|(model, checkpoint, key, value)| Step::Write { model, checkpoint, key, value }),
        3 => (0..3_u64, 0..2_u8, prop::option::of(0..5_u8), 1..4_usize)
            .prop_map(|(model, prefix, after, limit)| Step::Scan { model, prefix, after, limit }),
        1 => (0..3_u64).prop_map(|model| Step::Drop { model }),
        2 => Just(Step::Reopen),
        1 => Just(Step::LoseIndex),
    ];
    prop::collection::vec(step, 1..60)
}

type Keys = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a store should be.
#[derive(Debug, Default)]
struct Maps {
    log: Vec<(u64, u64, Vec<u8>)>,
    /// What was asked under a key, and where it went: first and last version, position of the last.
    answers: HashMap<u64, (String, (u64, u64, u64))>,
    models: BTreeMap<u64, (u64, Keys)>,
}

impl Maps {
    fn version(&self, case: u64) -> u64 {
        self.log.iter().filter(|(of, _, _)| *of == case).count() as u64
    }
}

struct Subject<'a> {
    store: Box<dyn EventStore>,
    /// Where it is, if it is on disk.
    path: Option<&'a Path>,
    maps: Maps,
}

fn options() -> SledOptions {
    // Everything that happens now and then in a long life happens often here.
    SledOptions { settle_events: 25, segment_bytes_max: 6_000, ballast_bytes: 0, ..SledOptions::default() }
}

fn name(model: u64) -> String {
    format!("model-{model}")
}

/// Keys with one of two first bytes, so that a prefix means something.
fn model_key(key: u8) -> Vec<u8> {
    vec![key % 2, key]
}

impl Subject<'_> {
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Append { case, expected, count, key } => self.append(case, expected, count, key),
            Step::Long { case } => {
                let after = self.maps.version(case);
                let mut long = append(case, after, 1);
                let content = vec![b'x'; casebook_engine::store::EVENT_BYTES_MAX];
                long.events = vec![event(case, after + 1, content.clone())];
                self.store.append(long).unwrap();
                self.maps.log.push((case, after + 1, content));
            }
            Step::ReadCase { case, after, limit } => {
                let read = self.store.read_case(case_id(case), Version(after), limit).unwrap();
                let read: Vec<_> = read.iter().map(|event| (event.version.0, event.bytes.to_vec())).collect();
                let wanted = self.maps.log.iter().filter(|(of, version, _)| *of == case && *version > after);
                let wanted: Vec<_> =
                    wanted.take(limit).map(|(_, version, bytes)| (*version, bytes.clone())).collect();
                assert_eq!(read, wanted);
            }
            Step::ReadLog { after, limit } => {
                for read in [
                    self.store.read_log(Position(after), limit).unwrap(),
                    self.store.raw_log(LogCopy::Archive, Position(after), limit).unwrap(),
                ] {
                    let places: Vec<_> =
                        read.iter().map(|event| (event.position.0, event.bytes.to_vec())).collect();
                    let wanted = self.maps.log.iter().zip(1_u64..).filter(|(_, position)| *position > after);
                    let wanted: Vec<_> = wanted
                        .take(limit)
                        .map(|((_, _, bytes), position)| (position, bytes.clone()))
                        .collect();
                    assert_eq!(places, wanted);
                }
            }
            Step::Write { model, checkpoint, key, value } => {
                let value = value.map(|value| vec![value; usize::from(value)]);
                let write: ModelWrite = (model_key(key), value.clone());
                self.store.models().write(&name(model), Position(checkpoint), &[write]).unwrap();
                let kept = self.maps.models.entry(model).or_default();
                kept.0 = checkpoint;
                match value {
                    Some(value) => kept.1.insert(model_key(key), value),
                    None => kept.1.remove(&model_key(key)),
                };
            }
            Step::Scan { model, prefix, after, limit } => {
                let after = after.map(model_key);
                let read =
                    self.store.models().scan(&name(model), &[prefix], after.as_deref(), limit).unwrap();
                let none = BTreeMap::new();
                let kept = self.maps.models.get(&model).map_or(&none, |(_, kept)| kept);
                let wanted = kept
                    .iter()
                    .filter(|(key, _)| key[0] == prefix && after.as_ref().is_none_or(|after| *key > after));
                let wanted: Vec<_> =
                    wanted.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect();
                assert_eq!(read, wanted);
            }
            Step::Drop { model } => {
                self.store.models().drop_model(&name(model)).unwrap();
                self.maps.models.remove(&model);
            }
            Step::Reopen => self.reopen(|_| {}),
            Step::LoseIndex => {
                if self.path.is_some() {
                    self.reopen(|path| std::fs::remove_dir_all(path.join("sled")).unwrap());
                    // Read models are in the index: they are made anew from the log by whoever needs them.
                    self.maps.models.clear();
                }
            }
        }
        self.look();
    }

    fn append(&mut self, case: u64, expected: Expected, count: u64, key: Option<u64>) {
        let version = self.maps.version(case);
        let (after, expected) = match expected {
            Expected::Any => (version, ExpectedVersion::Any),
            Expected::NoCase => (0, ExpectedVersion::NoCase),
            Expected::Exists => (version, ExpectedVersion::Exists),
            Expected::Off(off) => (version + off, ExpectedVersion::Exactly(Version(version + off))),
        };
        let mut wanted = Append { expected, ..append(case, after, count) };
        let request = format!("{case} {expected:?} {count}");
        if let Some(key) = key {
            wanted = under_key(wanted, &format!("key-{key}"), &request);
        }
        let answer = self.store.append(wanted);
        let before = key.and_then(|key| self.maps.answers.get(&key));
        match (before, &answer) {
            (Some((asked, _)), Err(AppendError::KeyReused { .. })) if *asked != request => {}
            (Some((asked, (first, last, position))), Ok(answer)) if *asked == request => {
                assert!(answer.replayed);
                let places = (answer.first_version.0, answer.last_version.0, answer.last_position.0);
                assert_eq!(places, (*first, *last, *position));
            }
            (None, Err(AppendError::Conflict { actual, .. })) => {
                assert_eq!(actual.0, version);
                let is_met = match expected {
                    ExpectedVersion::Any => true,
                    ExpectedVersion::NoCase => version == 0,
                    ExpectedVersion::Exists => version > 0,
                    ExpectedVersion::Exactly(wanted) => wanted.0 == version,
                };
                assert!(!is_met, "{expected:?} at {version}");
            }
            (None, Ok(answer)) => {
                assert!(!answer.replayed);
                assert_eq!((answer.first_version.0, answer.last_version.0), (version + 1, version + count));
                self.maps.log.extend(
                    (version + 1..=version + count).map(|version| (case, version, bytes(case, version))),
                );
                assert_eq!(answer.last_position.0, self.maps.log.len() as u64);
                if let Some(key) = key {
                    let places = (version + 1, version + count, self.maps.log.len() as u64);
                    self.maps.answers.insert(key, (request, places));
                }
            }
            (before, answer) => panic!("{answer:?} after {before:?} at version {version}, {expected:?}"),
        }
    }

    fn reopen(&mut self, between: impl Fn(&Path)) {
        let Some(path) = self.path else { return };
        self.store = Box::new(MemoryStore::new());
        between(path);
        self.store = Box::new(SledStore::open(path, options()).unwrap());
    }

    /// What can be asked after every step.
    fn look(&self) {
        assert_eq!(self.store.head().borrow().0, self.maps.log.len() as u64);
        for case in 0..7 {
            let head = self.store.head_of(&CaseKey::Id(case_id(case))).unwrap();
            let by_reference = self.store.head_of(&CaseKey::Reference(format!("REF-{case}"))).unwrap();
            assert_eq!(head, by_reference);
            let last = self.maps.log.iter().rposition(|(of, _, _)| *of == case);
            assert_eq!(head.as_ref().map(|head| head.position.0), last.map(|last| last as u64 + 1));
            if let (Some(head), Some(last)) = (head, last) {
                let (_, version, bytes) = &self.maps.log[last];
                assert_eq!((head.version.0, head.leaf), (*version, leaf(bytes)));
            }
        }
        for (model, (checkpoint, _)) in &self.maps.models {
            assert_eq!(self.store.models().checkpoint(&name(*model)).unwrap().0, *checkpoint);
        }
        let mut frontier = Frontier::default();
        for (_, _, bytes) in &self.maps.log {
            frontier.push(leaf(bytes), &mut |_, _| {});
        }
        assert_eq!(LogTree::at_head(self.store.as_ref()).unwrap().root(), frontier.root());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_store_on_disk_is_what_plain_maps_say(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = SledStore::open_or_create(&path, options()).unwrap();
        let mut subject = Subject { store: Box::new(store), path: Some(&path), maps: Maps::default() };
        for step in &steps {
            subject.take(step);
        }
    }

    #[test]
    fn a_store_in_memory_is_what_plain_maps_say(steps in steps()) {
        let store = Box::new(MemoryStore::new());
        let mut subject = Subject { store, path: None, maps: Maps::default() };
        for step in &steps {
            subject.take(step);
        }
    }
}
