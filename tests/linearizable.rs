//! Whatever many do to one case at once, there is an order in which they could have done it one after the other, and it agrees
//! with the clock: who was answered before another began comes first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use casebook_engine::case::event::{CaseId, Position, Version};
use casebook_engine::engine::{Engine, RecordError, RecordOptions};
use casebook_engine::ledger::tree::{Hash, TileId};
use casebook_engine::store::{
    Answer, Append, AppendError, Appended, CaseHead, CaseKey, EventStore, ExpectedVersion, Idempotency,
    LogCopy, MemoryStore, Models, ReadError, SledOptions, SledStore, StoredEvent,
};
use casebook_tests::appends::{append, case_id};
use casebook_tests::chance::{Numbers, seed};
use tokio::sync::watch;

use crate::desk::{Desk, event, small};

const WRITERS: u64 = 1_000;
const ATTEMPTS: u64 = 4;

/// One call on the case, between two ticks of a clock that all share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Call {
    begun: u64,
    answered: u64,
    saw: Saw,
}

/// What a call found, or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saw {
    /// It made this version out of the one before.
    Made(u64),
    /// The case was at this version.
    At(u64),
}

/// Whether calls could have been made one after the other, from a case at version `first`; if not, why.
///
/// Such an order goes by version: who made one, then all who saw it, then who made the next. Each call happens at one tick
/// between its two; the earliest that the ones before it allow leaves most room to those after.
fn check(calls: &[Call], first: u64) -> Result<(), String> {
    let mut order = calls.to_vec();
    order.sort_by_key(|call| match call.saw {
        Saw::Made(version) => (version, 0),
        Saw::At(version) => (version, 1),
    });
    let (mut tick, mut version) = (0, first);
    let mut seen_until = 0;
    for call in &order {
        match call.saw {
            Saw::Made(made) if made != version + 1 => {
                return Err(format!("version {made} was made after version {version}"));
            }
            Saw::Made(made) => {
                tick = call.begun.max(tick).max(seen_until);
                version = made;
                if tick > call.answered {
                    return Err(format!("{call:?} was answered before what it follows had begun"));
                }
            }
            Saw::At(seen) if seen != version => {
                return Err(format!("{call:?}: nobody made version {seen}"));
            }
            Saw::At(_) => {
                let at = call.begun.max(tick);
                seen_until = seen_until.max(at);
                if at > call.answered {
                    return Err(format!("{call:?} saw what had not begun when it was answered"));
                }
            }
        }
        seen_until = seen_until.max(tick);
    }
    Ok(())
}

/// Many who read the case and try to make the next version of what they saw.
fn contest(store: &dyn EventStore) -> Vec<Call> {
    store.append(append(7, 0, 1)).unwrap();
    let clock = AtomicU64::new(1);
    let tick = || clock.fetch_add(1, Ordering::SeqCst);
    let key = CaseKey::Id(case_id(7));
    let write = || {
        let mut calls = Vec::new();
        for _ in 0..ATTEMPTS {
            let begun = tick();
            let version = store.head_of(&key).unwrap().unwrap().version.0;
            calls.push(Call { begun, answered: tick(), saw: Saw::At(version) });
            let begun = tick();
            let saw = match store.append(append(7, version, 1)) {
                Ok(appended) => Saw::Made(appended.last_version.0),
                Err(AppendError::Conflict { actual, expected }) => {
                    assert_eq!(expected, ExpectedVersion::Exactly(Version(version)));
                    assert_ne!(actual, Version(version), "refused for what it expected");
                    Saw::At(actual.0)
                }
                Err(other) => panic!("{other}"),
            };
            calls.push(Call { begun, answered: tick(), saw });
        }
        calls
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    })
}

/// How many versions were made: each by one.
fn made(calls: &[Call]) -> usize {
    calls.iter().filter(|call| matches!(call.saw, Saw::Made(_))).count()
}

#[test]
fn a_thousand_writers_of_one_case_are_as_if_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let options = SledOptions { settle_events: 40, ..SledOptions::default() };
    let store = SledStore::open_or_create(&folder.path().join("store"), options).unwrap();
    for store in [&store as &dyn EventStore, &MemoryStore::new()] {
        let calls = contest(store);
        check(&calls, 1).unwrap();
        let head = store.head_of(&CaseKey::Id(case_id(7))).unwrap().unwrap();
        assert_eq!(head.version.0, 1 + made(&calls) as u64);
        assert!(made(&calls) > 1);
    }
}

#[test]
fn a_thousand_clerks_of_one_case_are_as_if_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap();
    let desk = Desk::at(Engine::open(Arc::new(store), vec![small()]).unwrap(), "R/1", "case-opened");
    let clock = Arc::new(AtomicU64::new(1));
    let note = event(&desk.definition, "note-made");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let calls = runtime.block_on(async {
        let clerk = |_| {
            let (engine, case, note, clock) =
                (desk.engine.clone(), desk.case.clone(), note.clone(), Arc::clone(&clock));
            tokio::spawn(async move {
                let tick = || clock.fetch_add(1, Ordering::SeqCst);
                let mut calls = Vec::new();
                for _ in 0..ATTEMPTS {
                    let begun = tick();
                    let version = engine.status(&case, Default::default()).await.unwrap().version;
                    calls.push(Call { begun, answered: tick(), saw: Saw::At(version.0) });
                    let expected = Some(ExpectedVersion::Exactly(version));
                    let options = RecordOptions { expected, ..RecordOptions::default() };
                    let begun = tick();
                    let saw = match engine.record(&case, vec![note.clone()], options).await {
                        Ok(recorded) => Saw::Made(recorded.version.0),
                        Err(RecordError::Conflict { actual }) => Saw::At(actual.0),
                        Err(other) => panic!("{other}"),
                    };
                    calls.push(Call { begun, answered: tick(), saw });
                    tokio::task::yield_now().await;
                }
                calls
            })
        };
        let mut calls = Vec::new();
        for clerk in (0..WRITERS).map(clerk).collect::<Vec<_>>() {
            calls.extend(clerk.await.unwrap());
        }
        calls
    });
    check(&calls, 1).unwrap();
    assert_eq!(desk.case_state().version().0, 1 + made(&calls) as u64);
    assert!(made(&calls) > 1);
}

/// Who expects no version is never sent away, however many others there are: each records once.
#[test]
fn a_thousand_clerks_who_expect_nothing_all_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap();
    let desk = Desk::at(Engine::open(Arc::new(store), vec![small()]).unwrap(), "R/1", "case-opened");
    let note = event(&desk.definition, "note-made");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let mut versions = runtime.block_on(async {
        let clerk = |_| {
            let (engine, case, note) = (desk.engine.clone(), desk.case.clone(), note.clone());
            tokio::spawn(async move {
                engine.record(&case, vec![note], RecordOptions::default()).await.unwrap().version.0
            })
        };
        let mut versions = Vec::new();
        for clerk in (0..WRITERS).map(clerk).collect::<Vec<_>>() {
            versions.push(clerk.await.unwrap());
        }
        versions
    });
    versions.sort_unstable();
    assert_eq!(versions, (2..=WRITERS + 1).collect::<Vec<_>>());
}

/// A store that now and then answers what the case was a moment ago.
struct Stale {
    store: MemoryStore,
    before: std::sync::Mutex<(Option<CaseHead>, Numbers)>,
}

impl EventStore for Stale {
    fn submit(&self, append: Append, answer: Answer) {
        self.store.submit(append, answer);
    }

    fn head_of(&self, case: &CaseKey) -> Result<Option<CaseHead>, ReadError> {
        let mut before = self.before.lock().unwrap();
        let now = self.store.head_of(case)?;
        let is_stale = before.1.below(3) == 0 && before.0.is_some();
        let old = before.0.clone();
        before.0.clone_from(&now);
        Ok(if is_stale { old } else { now })
    }

    fn answer_to(&self, key: &str) -> Result<Option<(Idempotency, Appended)>, ReadError> {
        self.store.answer_to(key)
    }

    fn read_case(&self, case: CaseId, after: Version, limit: usize) -> Result<Vec<StoredEvent>, ReadError> {
        self.store.read_case(case, after, limit)
    }

    fn read_log(&self, after: Position, limit: usize) -> Result<Vec<StoredEvent>, ReadError> {
        self.store.read_log(after, limit)
    }

    fn raw_log(&self, copy: LogCopy, after: Position, limit: usize) -> Result<Vec<StoredEvent>, ReadError> {
        self.store.raw_log(copy, after, limit)
    }

    fn tree_size(&self) -> Result<u64, ReadError> {
        self.store.tree_size()
    }

    fn tile(&self, tile: TileId) -> Result<Vec<Hash>, ReadError> {
        self.store.tile(tile)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.store.head()
    }

    fn models(&self) -> &dyn Models {
        self.store.models()
    }

    fn keep_definition(&self, digest: &str, canonical: &str) -> Result<(), ReadError> {
        self.store.keep_definition(digest, canonical)
    }

    fn kept_definitions(&self) -> Result<Vec<String>, ReadError> {
        self.store.kept_definitions()
    }
}

#[test]
fn a_store_that_answers_what_is_over_is_caught() {
    let seed = seed();
    let store = Stale { store: MemoryStore::new(), before: std::sync::Mutex::new((None, Numbers(seed))) };
    assert!(check(&contest(&store), 1).is_err());
}

#[test]
fn histories_that_no_order_explains_are_told_from_those_that_one_does() {
    let made = |begun, answered, version| Call { begun, answered, saw: Saw::Made(version) };
    let at = |begun, answered, version| Call { begun, answered, saw: Saw::At(version) };
    for (calls, word) in [
        (vec![made(1, 2, 2), made(3, 4, 2)], "was made after"),
        (vec![made(1, 2, 3)], "was made after"),
        (vec![made(3, 4, 2), made(1, 2, 3)], "before what it follows"),
        (vec![at(1, 2, 2)], "nobody made"),
        (vec![at(1, 2, 2), made(3, 4, 2)], "saw what had not begun"),
        (vec![made(1, 2, 2), at(3, 4, 1)], "before what it follows"),
        (vec![at(3, 8, 1), made(1, 2, 2)], "before what it follows"),
        (vec![made(1, 9, 2), at(2, 3, 2), at(4, 5, 1)], "saw what had not begun"),
    ] {
        let problem = check(&calls, 1).expect_err(word);
        assert!(problem.contains(word), "{word}: {problem}");
    }
    for calls in [
        vec![],
        vec![at(1, 2, 1), made(3, 4, 2), at(5, 6, 2)],
        vec![made(1, 4, 2), at(2, 3, 1), made(5, 8, 3), at(6, 7, 3)],
        vec![made(1, 9, 2), at(2, 3, 2), at(4, 5, 2)],
        vec![made(1, 9, 2), made(2, 8, 3), at(3, 4, 1), at(5, 6, 3)],
    ] {
        check(&calls, 1).unwrap();
    }
}
