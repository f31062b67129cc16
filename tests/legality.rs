//! Verification judges every case: what nobody with authority accepted is found, whatever else was overridden.

use std::sync::Arc;

use casebook_engine::case::event::{EventId, RecordedEvent};
use casebook_engine::engine::{Engine, RecordOptions};
use casebook_engine::store::codec::encode;
use casebook_engine::store::{Append, EncodedEvent, EventStore, ExpectedVersion, MemoryStore};
use casebook_engine::verify::{Finding, verify};
use casebook_tests::appends::leaf;
use casebook_tests::chance::Numbers;
use proptest::prelude::*;
use uuid::Uuid;

use crate::desk::{Desk, accepted, event, rules, small};
use crate::replay::{random_case, random_line};

/// A store of another's making: these events, correctly chained, whoever judged them.
fn foreign(mut log: Vec<RecordedEvent>) -> Engine {
    let store = MemoryStore::new();
    let mut prev: Option<[u8; 32]> = None;
    let mut events = Vec::new();
    for event in &mut log {
        event.prev = prev.as_ref().map(casebook_engine::ledger::chain::to_base64);
        let bytes = encode(event).unwrap();
        prev = Some(leaf(&bytes));
        events.push(EncodedEvent {
            case_id: event.case_id,
            version: event.version,
            leaf: leaf(&bytes),
            bytes: Arc::from(bytes),
        });
    }
    let (case_id, reference) = (log[0].case_id, log[0].case.clone());
    let expected = ExpectedVersion::NoCase;
    store.append(Append { case_id, reference, expected, events, idempotency: None }).unwrap();
    Engine::open(Arc::new(store), vec![small()]).unwrap()
}

fn log(desk: &Desk) -> Vec<RecordedEvent> {
    desk.case_state().log().iter().map(|event| event.as_ref().clone()).collect()
}

/// The log with these events added that nobody judged.
fn slipped_in(desk: &Desk, lines: &[&str]) -> Vec<RecordedEvent> {
    let mut log = log(desk);
    for line in lines {
        let mut added = log.last().unwrap().clone();
        added.proposed = event(&desk.definition, line);
        if let Some(annulled) = added.proposed.data.get_mut("annuls") {
            let version: usize = annulled.to_string().trim_matches('"').parse().unwrap();
            *annulled = log[version - 1].id.to_string().into();
        }
        added.workflow = None;
        added.version = added.version.next();
        added.causation_id = None;
        added.id = EventId(Uuid::from_u128(u128::from(added.version.0) << 64 | 7));
        log.push(added);
    }
    log
}

fn findings(engine: &Engine) -> Vec<Finding> {
    verify(engine, &|_| {}).unwrap().findings
}

#[track_caller]
fn check(log: Vec<RecordedEvent>, illegal: &[u64]) {
    let found = findings(&foreign(log));
    let versions: Vec<u64> = found.iter().map(|finding| finding.version.0).collect();
    assert_eq!(versions, illegal, "{found:#?}");
    for finding in &found {
        assert_eq!((finding.check, finding.position.0), ("legality", finding.version.0));
        assert!(!finding.found.is_empty());
    }
}

const OVERRIDDEN: &str =
    "sentence-passed charge=C1 disposal=fine decided=court by=head-1:reviewer override=head-of-office";

#[test]
fn a_case_that_is_lawful_as_it_was_recorded_verifies() {
    let desk = Desk::charged();
    desk.record(OVERRIDDEN);
    check(log(&desk), &[]);
}

#[test]
fn an_illegal_event_is_found_beside_an_override_that_has_nothing_to_do_with_it() {
    let desk = Desk::charged();
    desk.record(OVERRIDDEN);
    check(slipped_in(&desk, &["hearing-held"]), &[5]);
    check(slipped_in(&desk, &["hearing-held", "note-made", "plea-entered charge=C9 plea=guilty"]), &[5, 7]);
}

#[test]
fn an_override_of_somebody_who_may_not_excuses_nothing() {
    let desk = Desk::charged();
    check(slipped_in(&desk, &["hearing-held by=clerk-1:clerk override=me"]), &[4]);
    // Nor does one of authority's own matters.
    check(slipped_in(&desk, &["interview-held person=P1 by=head-1:reviewer override=head-of-office"]), &[4]);
}

#[test]
fn an_inconsistency_that_was_accepted_is_no_finding_and_one_that_was_not_is() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty on=2021-05-01");
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2021-06-01");
    let annulment = "event-annulled annuls=4 reason=error";
    check(slipped_in(&desk, &[annulment]), &[5]);
    check(slipped_in(&desk, &[&format!("{annulment} by=head-1:reviewer override=head-of-office")]), &[]);
    check(slipped_in(&desk, &[&format!("{annulment} override=me")]), &[5]);
    // An override beside it accepts nothing of it.
    check(slipped_in(&desk, &[annulment, OVERRIDDEN]), &[5]);
    check(slipped_in(&desk, &[OVERRIDDEN, annulment]), &[5]);
}

#[test]
fn footing_that_was_regained_and_lost_again_has_to_be_accepted_again() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty on=2021-05-01");
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2021-06-01");
    desk.record("event-annulled annuls=\"4\" reason=error by=head-1:reviewer override=head-of-office");
    desk.record("verdict-returned charge=C1 verdict=guilty on=2021-05-20");
    check(log(&desk), &[]);
    check(slipped_in(&desk, &["event-annulled annuls=7 reason=error"]), &[5]);
}

#[test]
fn a_correction_or_annulment_against_a_rule_is_found() {
    let desk = Desk::charged();
    desk.record("note-made by=officer-1:investigator");
    check(slipped_in(&desk, &["event-annulled annuls=4 reason=r by=x:stranger"]), &[5]);
}

#[test]
fn an_override_in_a_list_accepts_only_what_its_own_event_causes() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty on=2021-05-01");
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2021-06-01");
    desk.record("charge-brought person=P1 charge=C2");
    let overridden = "sentence-passed charge=C2 disposal=fine decided=court by=head-1:reviewer override=head";
    let annulment = "event-annulled annuls=\"4\" reason=error";
    for (lines, index) in [([overridden, annulment], 1), ([annulment, overridden], 0)] {
        let refused = desk.refused_list(&lines);
        assert_eq!((rules(&refused), refused.index), (vec!["engine:footing"], Some(index)));
        assert_eq!((refused.event_type.as_str(), refused.loses_footing.len()), ("event-annulled", 1));
        let message = &refused.reasons[0].message;
        assert!(message.contains("an override on event-annulled"), "{message}");
    }
    let accepting = format!("{annulment} by=head-1:reviewer override=head");
    accepted(desk.propose(&[overridden, &accepting]));
    assert!(!desk.status().consistent);
    assert_eq!(findings(&desk.engine), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever was decided, verification comes to the same: nothing that was accepted is found.
    #[test]
    fn what_was_recorded_by_the_rules_verifies(seed in any::<u64>()) {
        let desk = random_case(seed, 30);
        let mut numbers = Numbers(seed ^ 1);
        for _ in 0..10 {
            let version = desk.case_state().version().0;
            let lines = [random_line(&mut numbers, version), random_line(&mut numbers, version)];
            let options = RecordOptions { declare_gaps: numbers.below(2) == 0, ..RecordOptions::default() };
            _ = desk.propose_with(&[&lines[0], &lines[1]], options);
        }
        prop_assert_eq!(findings(&desk.engine), []);
    }
}
