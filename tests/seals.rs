//! Seals: what the log says at each checkpoint of how every case ends, and the proof for somebody who has one case alone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use casebook_engine::case::event::{CaseId, Position, ProposedEvent, Recorder};
use casebook_engine::engine::{CaseFilter, Engine, Opening, RecordError, RecordOptions};
use casebook_engine::exchange::as_is::take_over;
use casebook_engine::ledger::heads_proof::HeadsProof;
use casebook_engine::ledger::proof::ProofError;
use casebook_engine::own_case::{CASE_ID, LEDGER_REFERENCE};
use casebook_engine::signer::Signer;
use casebook_engine::store::{CaseKey, MemoryStore, SledOptions, SledStore};
use casebook_engine::verify::verify;
use uuid::Uuid;

use crate::desk::{self, Desk};

fn engine(path: &Path) -> Engine {
    let store = SledStore::open_or_create(path, SledOptions::default()).unwrap();
    let signer = Signer::new(store.path(), store.store_id());
    let engine = Engine::open(Arc::new(store), vec![desk::small()]).unwrap();
    engine.sign_with(signer);
    engine
}

/// Cases R/1 to R/n, the first with three events, the others with one.
fn desk_of(path: &Path, cases: usize) -> Desk {
    let desk = Desk::at(engine(path), "R/1", "case-opened on=2020-01-01 title=One");
    desk.record("note-made text=first");
    desk.record("note-made text=second");
    for case in 2..=cases {
        let event = desk::event(&desk::small(), "case-opened on=2020-01-01 title=More");
        let workflow = "small-inquiry".to_owned();
        let opening = Opening { reference: format!("R/{case}"), workflow, event, then: Vec::new() };
        desk.wait(desk.engine.open_case(opening, RecordOptions::default())).unwrap();
    }
    desk
}

fn id_of(engine: &Engine, reference: &str) -> CaseId {
    engine.store().head_of(&CaseKey::Reference(reference.into())).unwrap().unwrap().case_id
}

fn prove(engine: &Engine, case: CaseId) -> HeadsProof {
    let proof = engine.sealer().unwrap().prove_end(case).unwrap().unwrap();
    HeadsProof::read(&serde_json::to_string(&proof).unwrap()).unwrap()
}

fn lines(engine: &Engine) -> Vec<String> {
    let log = engine.store().read_log(Position(0), 1_000).unwrap();
    log.iter().map(|event| String::from_utf8(event.bytes.to_vec()).unwrap()).collect()
}

#[track_caller]
fn check_fails<T: std::fmt::Debug>(answer: Result<T, ProofError>, wanted: &str) {
    match answer {
        Err(ProofError::DoesNotHold { check, .. }) => assert_eq!(check, wanted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_log_gets_no_seal_and_one_in_which_nothing_happened_gets_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let empty = engine(&path);
    assert_eq!(empty.sealer().unwrap().checkpoint().unwrap().checkpoint.size, 0);
    assert!(empty.sealer().unwrap().prove_end(CASE_ID).unwrap().is_none());
    drop(empty);
    let desk = desk_of(&path, 2);
    let sealer = desk.engine.sealer().unwrap();
    let first = sealer.checkpoint().unwrap();
    assert_eq!(first.checkpoint.size, 6, "four events, the ledger's opening, the seal");
    assert_eq!(sealer.checkpoint().unwrap(), first);
    desk.record("note-made text=third");
    assert_eq!(sealer.checkpoint().unwrap().checkpoint.size, 8);
    let verified = verify(&desk.engine, &|_| {}).unwrap();
    assert!(verified.verified, "{verified:?}");
    assert_eq!((verified.seals_met, verified.cases, verified.events), (2, 2, 8));
}

#[test]
fn one_file_proves_how_many_events_a_case_has_and_convicts_an_export_whose_end_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk_of(&folder.path().join("store"), 40);
    let key = desk.engine.signer().unwrap().public_key().unwrap();
    let case_id = id_of(&desk.engine, "R/1");
    let export = lines(&desk.engine).join("\n");
    let proof = prove(&desk.engine, case_id);
    let proven = proof.check(Some(&key)).unwrap();
    assert_eq!((proven.case.as_deref(), proven.events), (Some("R/1"), 3));
    assert_eq!((proven.sealed_size, proven.sealed_cases), (42, 40));
    proof.check_events(&export).unwrap();
    let own: Vec<&str> = export.lines().filter(|line| line.contains("R/1\"")).collect();
    proof.check_events(&own.join("\n")).unwrap();
    check_fails(proof.check_events(&own[..2].join("\n")), "events");
    check_fails(proof.check_events(&own[1..].join("\n")), "events");
    check_fails(proof.check_events(&own.join("\n").replace("second", "Second")), "events");
    check_fails(proof.check_events(""), "events");
    let stranger = Signer::new(&folder.path().join("other"), Uuid::nil()).public_key().unwrap();
    check_fails(proof.check(Some(&stranger)), "checkpoint");
    // Whoever claims that the case ended earlier has no way through the map.
    let mut shorter = proof.clone();
    shorter.events = 2;
    check_fails(shorter.check(None), "end");
    shorter.end.as_mut().unwrap().events = 2;
    check_fails(shorter.check(None), "map");
    let mut gone = proof.clone();
    (gone.events, gone.end, gone.case, gone.last_event_base64) = (0, None, None, None);
    check_fails(gone.check(None), "map");
    let other = prove(&desk.engine, id_of(&desk.engine, "R/2"));
    check_fails(HeadsProof { case: other.case.clone(), ..proof.clone() }.check(None), "end");
    check_fails(
        HeadsProof { last_event_base64: other.last_event_base64.clone(), ..proof.clone() }.check(None),
        "end",
    );
    check_fails(HeadsProof { case_id: other.case_id, ..proof.clone() }.check(None), "map");
    // An event that is no seal proves nothing of ends.
    let event = desk.store().read_log(Position(1), 1).unwrap().remove(0);
    let seal = desk.engine.sealer().unwrap().prove(&event).unwrap();
    check_fails(HeadsProof { seal, ..proof }.check(None), "seal");
}

#[test]
fn every_case_every_stranger_and_the_ledger_itself_are_proven_as_the_log_grows() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk_of(&folder.path().join("store"), 30);
    for round in 0..3 {
        for case in 1..=30_u64 {
            let proven = prove(&desk.engine, id_of(&desk.engine, &format!("R/{case}"))).check(None).unwrap();
            assert_eq!(proven.events, if case == 1 { 3 + round } else { 1 });
        }
        let stranger = prove(&desk.engine, CaseId(Uuid::from_u128(u128::from(round) << 60)));
        let proven = stranger.check(None).unwrap();
        assert_eq!((proven.case, proven.events), (None, 0));
        let own = prove(&desk.engine, CASE_ID).check(None).unwrap();
        assert_eq!(own.events, if round == 0 { 0 } else { 1 + round }, "as it stood before the seal");
        desk.record("note-made text=more");
    }
}

#[test]
fn a_stranger_confirms_it_with_hashes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk_of(&folder.path().join("store"), 25);
    let check = |proof: &HeadsProof| {
        let file = folder.path().join("proof.json");
        fs::write(&file, serde_json::to_string(proof).unwrap()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("outside/ends.py");
        let output = Command::new("python3").arg(script).arg(&file).output();
        let output = output.expect("python3 is needed: install it with the system's package manager");
        (output.status.success(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let proof = prove(&desk.engine, id_of(&desk.engine, "R/1"));
    assert_eq!(check(&proof), (true, "R/1 3 27".to_owned()));
    let stranger = prove(&desk.engine, CaseId(Uuid::nil()));
    assert_eq!(check(&stranger), (true, "None 0 27".to_owned()));
    let mut forged = proof.clone();
    forged.end.as_mut().unwrap().events = 2;
    assert!(!check(&forged).0);
    assert!(!check(&HeadsProof { siblings: proof.siblings[1..].to_vec(), ..proof }).0);
}

#[test]
fn nobody_opens_or_records_in_the_ledgers_own_case_and_lists_leave_it_out() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk_of(&folder.path().join("store"), 2);
    desk.engine.sealer().unwrap().checkpoint().unwrap();
    let event = |name| ProposedEvent::new(name, Recorder { id: "ledger".into(), role: "ledger".into() });
    for reference in [LEDGER_REFERENCE, "casebook:", "casebook:mine"] {
        let opening = Opening {
            reference: reference.into(),
            workflow: "small-inquiry".into(),
            event: event("case-opened"),
            then: Vec::new(),
        };
        let refused = desk.wait(desk.engine.open_case(opening, RecordOptions::default()));
        assert!(matches!(refused, Err(RecordError::Invalid(_))), "{refused:?}");
        let opening = Opening {
            reference: "R/9".into(),
            workflow: "casebook-ledger".into(),
            event: event("case-opened"),
            then: Vec::new(),
        };
        let refused = desk.wait(desk.engine.open_case(opening, RecordOptions::default()));
        assert!(matches!(refused, Err(RecordError::NoSuchWorkflow { .. })), "{refused:?}");
    }
    for case in [CaseKey::Reference(LEDGER_REFERENCE.into()), CaseKey::Id(CASE_ID)] {
        let refused =
            desk.wait(desk.engine.record(&case, vec![event("heads-sealed")], RecordOptions::default()));
        assert!(matches!(refused, Err(RecordError::Invalid(_))), "{refused:?}");
        assert_eq!(
            desk.wait(desk.engine.case(&case)).unwrap().version().0,
            2,
            "but it is read like any other"
        );
    }
    let listed = desk.wait(desk.engine.cases(CaseFilter::default())).unwrap();
    let listed: Vec<&str> = listed.iter().map(|case| case.reference.as_str()).collect();
    assert_eq!(listed, ["R/1", "R/2"]);
    assert!(desk.engine.definitions().iter().all(|definition| definition.name != "casebook-ledger"));
}

#[test]
fn an_export_of_everything_is_taken_over_with_its_seals_and_the_map_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk_of(&folder.path().join("store"), 5);
    desk.engine.sealer().unwrap().checkpoint().unwrap();
    desk.record("note-made text=later");
    let signed = desk.engine.sealer().unwrap().checkpoint().unwrap();
    let export = lines(&desk.engine).join("\n") + "\n";
    let other = folder.path().join("other");
    let fresh = engine(&other);
    let taken = take_over(&fresh, std::io::Cursor::new(export.as_bytes()), &[], &|_, _, _| {}).unwrap();
    assert_eq!(taken.root, casebook_engine::ledger::chain::to_base64(&signed.checkpoint.root));
    assert_eq!(
        fresh.sealer().unwrap().checkpoint().unwrap().checkpoint.size,
        signed.checkpoint.size,
        "sealed already"
    );
    let desk = Desk::of_open_case(fresh, "R/1");
    desk.record("note-made text=there");
    let proven = prove(&desk.engine, id_of(&desk.engine, "R/1")).check(None).unwrap();
    assert_eq!(proven.events, 5);
    assert!(verify(&desk.engine, &|_| {}).unwrap().verified);
}

#[test]
fn the_map_is_made_again_when_the_index_is_gone_and_others_may_record_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let desk = desk_of(&path, 5);
    desk.engine.sealer().unwrap().checkpoint().unwrap();
    drop(desk);
    fs::remove_dir_all(path.join("sled")).unwrap();
    let desk = Desk::of_open_case(engine(&path), "R/1");
    assert_eq!(
        prove(&desk.engine, id_of(&desk.engine, "R/1")).check(None).unwrap().events,
        3,
        "no new seal is needed"
    );
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sealing = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                desk.engine.sealer().unwrap().checkpoint().unwrap();
            }
        });
        let other = Desk::of_open_case(desk.engine.clone(), "R/2");
        for _ in 0..40 {
            other.record("note-made text=meanwhile");
        }
        is_done.store(true, Ordering::Relaxed);
        sealing.join().unwrap();
    });
    desk.engine.sealer().unwrap().checkpoint().unwrap();
    let verified = verify(&desk.engine, &|_| {}).unwrap();
    assert!(verified.verified, "{verified:?}");
    assert!(verified.seals_met >= 2);
}

#[test]
fn a_map_that_was_damaged_in_the_index_is_never_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let desk = desk_of(&path, 20);
    desk.engine.sealer().unwrap().checkpoint().unwrap();
    drop(desk);
    let pages = |change: &dyn Fn(&sled::Db, sled::IVec, Vec<u8>)| {
        let config = sled::Config::new().path(path.join("sled")).segment_size(8 * 1024 * 1024);
        let db = config.open().unwrap();
        let found: Vec<_> = db.scan_prefix(b"p/case-ends-1\0").map(Result::unwrap).collect();
        assert!(found.len() > 20, "{}", found.len());
        found.into_iter().for_each(|(key, page)| change(&db, key, page.to_vec()));
        db.flush().unwrap();
    };
    pages(&|db, key, mut page| {
        let last = page.len() - 1;
        page[last] ^= 1;
        db.insert(key, page).unwrap();
    });
    let desk = Desk::of_open_case(engine(&path), "R/1");
    desk.record("note-made text=more");
    assert_eq!(prove(&desk.engine, id_of(&desk.engine, "R/1")).check(None).unwrap().events, 4);
    let verified = verify(&desk.engine, &|_| {}).unwrap();
    assert!(verified.verified && verified.seals_met == 2, "{verified:?}");
}

#[test]
fn a_log_in_memory_is_sealed_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(Arc::new(MemoryStore::new()), vec![desk::small()]).unwrap();
    engine.sign_with(Signer::new(folder.path(), Uuid::nil()));
    let desk = Desk::at(engine, "R/1", "case-opened on=2020-01-01 title=One");
    assert_eq!(prove(&desk.engine, id_of(&desk.engine, "R/1")).check(None).unwrap().events, 1);
}
