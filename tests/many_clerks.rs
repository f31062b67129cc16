//! Many record at once: no hole, no fork, nothing twice, and whoever follows the log sees all of it in order.

use std::sync::Arc;

use casebook_engine::case::event::{Position, Version};
use casebook_engine::engine::{Engine, Opening, RecordOptions};
use casebook_engine::ledger::chain::to_base64;
use casebook_engine::store::{CaseKey, SledOptions, SledStore, StoredEvent, decode};
use casebook_tests::appends::whole_log;

use crate::desk::{Desk, engine_of, event, small};

const CLERKS: u64 = 100;

fn reference(number: u64) -> CaseKey {
    CaseKey::Reference(format!("R/{number}"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap()
}

async fn open(engine: &Engine, number: u64) {
    let definition = engine.definitions().pop().unwrap();
    let opening = Opening {
        reference: format!("R/{number}"),
        workflow: "small-inquiry".into(),
        event: event(&definition, "case-opened"),
        then: Vec::new(),
    };
    engine.open_case(opening, RecordOptions::default()).await.unwrap();
}

/// Every event names the hash of its case's event before it.
#[track_caller]
fn check_chain(log: &[StoredEvent]) {
    let mut last = std::collections::HashMap::new();
    for stored in log {
        let event = decode(stored).unwrap();
        assert_eq!((event.version, event.case_id), (stored.version, stored.case_id));
        let before = last.insert(event.case_id, stored.leaf);
        assert_eq!(event.prev, before.as_ref().map(to_base64), "position {}", stored.position);
    }
}

#[test]
fn a_hundred_clerks_on_one_case_leave_no_hole_and_no_fork() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    {
        let store = Arc::new(SledStore::open_or_create(&path, SledOptions::default()).unwrap());
        let engine = Engine::open(store, vec![small()]).unwrap();
        runtime().block_on(async {
            open(&engine, 1).await;
            let clerks: Vec<_> = (0..CLERKS)
                .map(|clerk| {
                    let engine = engine.clone();
                    tokio::spawn(async move {
                        let definition = engine.definitions().pop().unwrap();
                        let note = event(
                            &definition,
                            &format!("note-made text=note-{clerk} by=clerk-{clerk}:clerk"),
                        );
                        engine
                            .record(&reference(1), vec![note.clone()], RecordOptions::default())
                            .await
                            .unwrap();
                        engine
                            .record(&reference(1), vec![note; 2], RecordOptions::default())
                            .await
                            .unwrap()
                            .version
                    })
                })
                .collect();
            let mut versions = Vec::new();
            for clerk in clerks {
                versions.push(clerk.await.unwrap());
            }
            versions.sort_unstable();
            versions.dedup();
            assert_eq!(versions.len() as u64, CLERKS);
        });
        let log = whole_log(engine.store().as_ref());
        assert_eq!(log.len() as u64, 1 + CLERKS * 3);
        check_chain(&log);
    }
    let store = SledStore::open(&path, SledOptions::default()).unwrap();
    check_chain(&whole_log(&store));
    let desk = Desk::of_open_case(Engine::open(Arc::new(store), vec![small()]).unwrap(), "R/1");
    assert_eq!(desk.case_state().version(), Version(1 + CLERKS * 3));
}

#[test]
fn a_hundred_clerks_on_as_many_cases_each_find_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        Arc::new(SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap());
    let engine = Engine::open_with(store, vec![small()], 10).unwrap();
    runtime().block_on(async {
        let clerks: Vec<_> = (0..CLERKS)
            .map(|clerk| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    open(&engine, clerk).await;
                    let definition = engine.definitions().pop().unwrap();
                    for line in ["hearing-listed", "hearing-held", "note-made"] {
                        let event = event(&definition, line);
                        engine
                            .record(&reference(clerk), vec![event], RecordOptions::default())
                            .await
                            .unwrap();
                    }
                    let status = engine.status(&reference(clerk), Default::default()).await.unwrap();
                    assert_eq!((status.version, status.reference), (Version(4), format!("R/{clerk}")));
                })
            })
            .collect();
        for clerk in clerks {
            clerk.await.unwrap();
        }
    });
    let log = whole_log(engine.store().as_ref());
    assert_eq!(log.len() as u64, CLERKS * 4);
    check_chain(&log);
}

#[test]
fn of_many_who_take_the_one_step_that_is_left_one_does() {
    let desk = Desk::new();
    desk.record("hearing-listed");
    let engine = desk.engine.clone();
    let done = runtime().block_on(async {
        let clerks: Vec<_> = (0..CLERKS)
            .map(|_| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    let held = event(&engine.definitions()[0], "hearing-held");
                    engine.record(&reference(1), vec![held], RecordOptions::default()).await.is_ok()
                })
            })
            .collect();
        let mut done = 0;
        for clerk in clerks {
            done += u64::from(clerk.await.unwrap());
        }
        done
    });
    assert_eq!((done, desk.case_state().version()), (1, Version(3)));
}

#[test]
fn one_opening_of_many_under_one_reference_wins() {
    let engine = engine_of(small());
    let opened = runtime().block_on(async {
        let clerks: Vec<_> = (0..20)
            .map(|_| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    let opening = Opening {
                        reference: "R/1".into(),
                        workflow: "small-inquiry".into(),
                        event: event(&engine.definitions()[0], "case-opened"),
                        then: Vec::new(),
                    };
                    engine.open_case(opening, RecordOptions::default()).await.is_ok()
                })
            })
            .collect();
        let mut opened = 0;
        for clerk in clerks {
            opened += u32::from(clerk.await.unwrap());
        }
        opened
    });
    assert_eq!((opened, whole_log(engine.store().as_ref()).len()), (1, 1));
}

#[test]
fn whoever_follows_the_log_sees_every_position_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        Arc::new(SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap());
    let engine = Engine::open(store, vec![small()]).unwrap();
    runtime().block_on(async {
        let total = 20 * 26;
        let follow = |after: u64| {
            let mut subscription = engine.subscribe(Position(after));
            tokio::spawn(async move {
                let mut last = std::collections::HashMap::new();
                for position in after + 1..=total {
                    let stored = subscription.next().await.unwrap().unwrap();
                    assert_eq!(stored.position, Position(position));
                    let event = decode(&stored).unwrap();
                    let before = last.insert(event.case_id, event.recorded_at);
                    assert!(
                        before.is_none_or(|before| event.recorded_at >= before),
                        "backwards at {position}"
                    );
                }
                assert_eq!(subscription.position(), Position(total));
                assert!(subscription.is_caught_up());
            })
        };
        let early = follow(0);
        let clerks: Vec<_> = (0..20)
            .map(|clerk| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    open(&engine, clerk).await;
                    let note = event(&engine.definitions()[0], "note-made");
                    for _ in 0..25 {
                        engine
                            .record(&reference(clerk), vec![note.clone()], RecordOptions::default())
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        let meanwhile = follow(100);
        for clerk in clerks {
            clerk.await.unwrap();
        }
        early.await.unwrap();
        meanwhile.await.unwrap();
        follow(total - 1).await.unwrap();
        // From the end it waits for what comes.
        let mut subscription = engine.subscribe(Position(total));
        let next = tokio::spawn(async move { subscription.next().await.unwrap().unwrap().position });
        tokio::task::yield_now().await;
        open(&engine, 999).await;
        assert_eq!(next.await.unwrap(), Position(total + 1));
    });
}
