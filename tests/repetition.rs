//! A request repeated is recorded once and answered the same; a version that was expected is the version there is.

use std::sync::Arc;

use casebook_engine::case::event::Version;
use casebook_engine::case::reading::Recorded;
use casebook_engine::engine::{Engine, Opening, RecordError, RecordOptions};
use casebook_engine::store::{CaseKey, ExpectedVersion, SledOptions, SledStore};

use crate::desk::{Desk, accepted, engine_of, event, small};

fn under(key: &str) -> RecordOptions {
    RecordOptions { idempotency_key: Some(key.into()), ..RecordOptions::default() }
}

fn expecting(expected: ExpectedVersion) -> RecordOptions {
    RecordOptions { expected: Some(expected), ..RecordOptions::default() }
}

/// The same answer, but for the word that it was given before.
#[track_caller]
fn check_repeated(first: &Recorded, again: &Recorded) {
    assert!(!first.repeated && again.repeated);
    assert_eq!(first.events, again.events);
    let [mut first, again] = [first, again].map(|answer| serde_json::to_value(answer).unwrap());
    first["repeated"] = true.into();
    assert_eq!(first, again);
}

#[test]
fn the_same_key_and_request_is_answered_the_same() {
    let desk = Desk::charged();
    let lines = ["interview-held person=P1 on=2020-05-01"];
    let first = accepted(desk.propose_with(&lines, under("a")));
    desk.record("plea-entered charge=C1 plea=guilty");
    let again = accepted(desk.propose_with(&lines, under("a")));
    check_repeated(&first, &again);
    assert_eq!(again.version, Version(5));
    assert_eq!(desk.case_state().version(), Version(6));
    let other = desk.propose_with(&["interview-held person=P1 on=2020-05-02"], under("a"));
    assert!(matches!(other, Err(RecordError::KeyReused { key }) if key == "a"));
}

#[test]
fn a_repetition_tells_gaps_and_what_is_unproven_again() {
    let desk = Desk::charged();
    desk.record("warning-given person=P1 on=2020-05");
    let lines =
        ["sentence-passed charge=C1 disposal=fine decided=court", "interview-held person=P1 on=2020-05-20"];
    let options = RecordOptions { declare_gaps: true, ..under("a") };
    let first = accepted(desk.propose_with(&lines, options.clone()));
    assert_eq!((first.gaps.len(), first.unproven.len()), (1, 1));
    check_repeated(&first, &accepted(desk.propose_with(&lines, options)));
}

#[test]
fn a_repetition_is_answered_before_rules_and_versions_are_asked() {
    let desk = Desk::charged();
    let lines = ["plea-entered charge=C1 plea=guilty"];
    let options = RecordOptions { expected: Some(ExpectedVersion::Exactly(Version(3))), ..under("a") };
    let first = accepted(desk.propose_with(&lines, options.clone()));
    check_repeated(&first, &accepted(desk.propose_with(&lines, options)));
}

#[test]
fn a_key_is_free_after_a_refusal_and_after_a_dry_run() {
    let desk = Desk::charged();
    let lines = ["sentence-passed charge=C1 disposal=fine decided=court"];
    assert!(desk.propose_with(&lines, under("a")).is_err());
    desk.record("plea-entered charge=C1 plea=guilty");
    let dry = RecordOptions { dry_run: true, ..under("a") };
    assert!(!accepted(desk.propose_with(&lines, dry)).recorded);
    assert!(!accepted(desk.propose_with(&lines, under("a"))).repeated);
}

#[test]
fn opening_a_case_is_repeated_too() {
    let desk = Desk::new();
    let opening = |title: &str| Opening {
        reference: "R/2".into(),
        workflow: "small-inquiry".into(),
        event: event(&desk.definition, &format!("case-opened title={title}")),
        then: desk.events(&["note-made text=first"]),
    };
    let open = |title| desk.wait(desk.engine.open_case(opening(title), under("o")));
    let first = open("One").unwrap();
    check_repeated(&first, &open("One").unwrap());
    assert!(matches!(open("Two"), Err(RecordError::KeyReused { .. })));
    let taken = desk.wait(desk.engine.open_case(opening("One"), RecordOptions::default()));
    assert!(matches!(taken, Err(RecordError::ReferenceTaken { reference }) if reference == "R/2"));
}

#[test]
fn keys_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = || SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap();
    let lines = ["note-made text=once"];
    let first = {
        let desk = Desk::at(Engine::open(Arc::new(store()), vec![small()]).unwrap(), "R/1", "case-opened");
        accepted(desk.propose_with(&lines, under("a")))
    };
    let desk = Desk::of_open_case(Engine::open(Arc::new(store()), vec![small()]).unwrap(), "R/1");
    check_repeated(&first, &accepted(desk.propose_with(&lines, under("a"))));
    assert!(matches!(
        desk.propose_with(&["note-made text=other"], under("a")),
        Err(RecordError::KeyReused { .. })
    ));
    assert_eq!(*desk.store().head().borrow(), first.position);
}

/// Fifty callers send one request under one key at the same moment, and one of them does it.
#[test]
fn one_request_sent_by_many_at_once_is_recorded_once_and_answered_alike() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let engine = engine_of(small());
    let definition = engine.definitions().pop().unwrap();
    let desk = Desk::at(engine.clone(), "R/1", "case-opened");
    desk.record("hearing-listed");
    let answers = runtime.block_on(async {
        let asked: Vec<_> = (0..50)
            .map(|_| {
                let (engine, held) = (engine.clone(), event(&definition, "hearing-held"));
                let options =
                    RecordOptions { expected: Some(ExpectedVersion::Exactly(Version(2))), ..under("k") };
                tokio::spawn(async move {
                    engine.record(&CaseKey::Reference("R/1".into()), vec![held], options).await
                })
            })
            .collect();
        let mut answers = Vec::new();
        for task in asked {
            answers.push(task.await.unwrap());
        }
        answers
    });
    let answers: Vec<Recorded> = answers.into_iter().map(|answer| accepted(answer)).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1);
    assert!(answers.iter().all(|answer| answer.events == answers[0].events && answer.version == Version(3)));
    assert_eq!(desk.case_state().version(), Version(3));

    let openings = runtime.block_on(async {
        let asked: Vec<_> = (0..50)
            .map(|_| {
                let opening = Opening {
                    reference: "R/2".into(),
                    workflow: "small-inquiry".into(),
                    event: event(&definition, "case-opened"),
                    then: Vec::new(),
                };
                let engine = engine.clone();
                tokio::spawn(async move { engine.open_case(opening, under("o")).await })
            })
            .collect();
        let mut answers = Vec::new();
        for task in asked {
            answers.push(task.await.unwrap());
        }
        answers
    });
    let answers: Vec<Recorded> = openings.into_iter().map(|answer| accepted(answer)).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1);
    assert!(answers.iter().all(|answer| answer.case_id == answers[0].case_id));
}

#[test]
fn an_expected_version_is_exact() {
    let desk = Desk::charged();
    for wrong in [0, 2, 4, u64::MAX] {
        let answer = desk.propose_with(&["note-made"], expecting(ExpectedVersion::Exactly(Version(wrong))));
        assert!(matches!(answer, Err(RecordError::Conflict { actual: Version(3) })), "{wrong}: {answer:?}");
    }
    let answer = desk.propose_with(&["note-made"], expecting(ExpectedVersion::NoCase));
    assert!(matches!(answer, Err(RecordError::Conflict { actual: Version(3) })));
    accepted(desk.propose_with(&["note-made"], expecting(ExpectedVersion::Exactly(Version(3)))));
    accepted(desk.propose_with(&["note-made"], expecting(ExpectedVersion::Exists)));
    accepted(desk.propose_with(&["note-made"], expecting(ExpectedVersion::Any)));
    assert_eq!(desk.case_state().version(), Version(6));
    let nowhere = Desk::of_open_case(desk.engine.clone(), "R/404");
    for expected in [ExpectedVersion::Exists, ExpectedVersion::NoCase, ExpectedVersion::Exactly(Version(0))] {
        let answer = nowhere.propose_with(&["note-made"], expecting(expected));
        assert!(matches!(answer, Err(RecordError::NoSuchCase { .. })), "{answer:?}");
    }
}

#[test]
fn a_list_with_one_bad_event_records_nothing() {
    let desk = Desk::charged();
    let good = "plea-entered charge=C1 plea=guilty";
    let refused = desk.refused_list(&[good, "note-made", "hearing-held", "note-made"]);
    assert_eq!((refused.index, refused.event_type.as_str()), (Some(2), "hearing-held"));
    let answer = desk.propose(&[good, "note-made text=1 colour=red"]);
    assert!(matches!(answer, Err(RecordError::Invalid(invalid)) if invalid.index == 1));
    let answer = desk.propose(&[good, "no-such-event"]);
    assert!(matches!(answer, Err(RecordError::Invalid(invalid)) if invalid.index == 1));
    assert_eq!(desk.case_state().version(), Version(3));
    assert_eq!(desk.state("charge", "C1"), "brought");
    assert!(desk.propose(&[]).is_err(), "an empty list records nothing");
    // Later events of the list stand on earlier ones, and labels name them.
    let told = accepted(desk.propose(&[
        "plea-entered charge=C1 plea=guilty on=2021 label=plea",
        "sentence-passed charge=C1 disposal=fine decided=court on=2021 after=plea",
    ]));
    assert_eq!((told.version, desk.state("charge", "C1").as_str()), (Version(5), "sentenced"));
}

#[test]
fn a_dry_run_writes_nothing() {
    let desk = Desk::charged();
    let head = *desk.store().head().borrow();
    let dry = RecordOptions { dry_run: true, ..RecordOptions::default() };
    let told = accepted(desk.propose_with(&["plea-entered charge=C1 plea=guilty"], dry.clone()));
    assert_eq!((told.recorded, told.version), (false, Version(4)));
    assert_eq!(told.changed[0].to.as_deref(), Some("convicted"));
    let opening = Opening {
        reference: "R/2".into(),
        workflow: "small-inquiry".into(),
        event: event(&desk.definition, "case-opened"),
        then: Vec::new(),
    };
    assert!(!desk.wait(desk.engine.open_case(opening, dry)).unwrap().recorded);
    assert_eq!(*desk.store().head().borrow(), head);
    assert_eq!(desk.state("charge", "C1"), "brought");
    assert!(desk.wait(desk.engine.case(&CaseKey::Reference("R/2".into()))).is_err());
    let fresh = engine_of(small());
    let opening = Opening {
        reference: "R/2".into(),
        workflow: "small-inquiry".into(),
        event: event(&desk.definition, "case-opened"),
        then: Vec::new(),
    };
    let dry = RecordOptions { dry_run: true, ..RecordOptions::default() };
    desk.wait(fresh.open_case(opening, dry)).unwrap();
    assert!(fresh.store().kept_definitions().unwrap().is_empty(), "not even the definition");
}
