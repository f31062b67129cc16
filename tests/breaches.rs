//! What the law required and what happened all the same: accepted, and noted once.

use casebook_engine::case::event::Version;
use casebook_engine::case::occurred::Day;
use casebook_engine::case::reading::Cut;
use casebook_engine::engine::RecordOptions;

use crate::desk::{Desk, accepted, json};

fn imported() -> RecordOptions {
    RecordOptions { imported: true, ..RecordOptions::default() }
}

fn named(desk: &Desk) -> Vec<(String, u64)> {
    desk.status().breaches.iter().map(|breach| (breach.rule.clone(), breach.event.0)).collect()
}

#[test]
fn a_breach_is_noted_in_the_same_batch_and_once() {
    let desk = Desk::charged();
    let told = desk.record("interview-held person=P1 on=2020-05-01");
    let types: Vec<_> = told.events.iter().map(|event| event.proposed.event_type.as_str()).collect();
    assert_eq!(types, ["interview-held", "breach-noted"]);
    assert_eq!(told.version, Version(5));
    assert_eq!(told.id, told.events[0].id, "the id of what was proposed");
    assert_eq!(told.events[1].causation_id.as_deref(), Some(told.events[0].id.to_string().as_str()));
    assert_eq!(told.breaches[0].message, "P1 was interviewed without a warning");
    assert_eq!(told.breaches[0].basis.as_deref(), Some("Code of practice"));
    assert_eq!(named(&desk), [("warn-before-interview".into(), 4)]);
    desk.record("note-made on=2020-01-15");
    desk.record("note-made");
    assert_eq!(named(&desk).len(), 1);
}

#[test]
fn in_a_list_the_breach_stands_after_its_event_and_once() {
    let desk = Desk::charged();
    let lines = [
        "interview-held person=P1 on=2020-05-01",
        "note-made on=2020-01-15",
        "warning-given person=P1 on=2020-06-01",
    ];
    let told = accepted(desk.propose(&lines));
    let types: Vec<_> = told.events.iter().map(|event| event.proposed.event_type.as_str()).collect();
    assert_eq!(types, ["interview-held", "breach-noted", "note-made", "warning-given"]);
    assert_eq!(named(&desk), [("warn-before-interview".into(), 4)]);
}

#[test]
fn a_late_fact_that_makes_a_breach_notes_it_at_the_event_that_broke() {
    let desk = Desk::charged();
    desk.record("warning-given person=P1 on=2020-04-01");
    desk.record("interview-held person=P1 on=2020-05-01");
    desk.record("warning-given person=P1 on=2020-05-01");
    assert_eq!(named(&desk), []);
    // The second warning of the same day stands before nothing. A correction puts both after the interview.
    accepted(desk.correct(4, serde_json::json!({"occurred": "2020-07-01"})));
    assert_eq!(named(&desk), [("warn-before-interview".into(), 5)]);
}

#[test]
fn history_from_elsewhere_breaches_nothing_by_what_it_leaves_out() {
    let desk = Desk::charged();
    accepted(desk.propose_with(&["interview-held person=P1 on=2020-05-01"], imported()));
    assert_eq!(named(&desk), []);
}

#[test]
fn history_from_elsewhere_breaches_by_a_definite_contradiction_of_dates() {
    let desk = Desk::charged();
    let told = accepted(desk.propose_with(&["letter-received on=2031"], imported()));
    let noted: Vec<_> = told.breaches.iter().map(|breach| breach.rule.as_str()).collect();
    assert_eq!(noted, ["letter-in-time"]);
    let told = accepted(desk.propose_with(&["letter-received on=2029/2031"], imported()));
    assert_eq!((told.breaches.len(), told.unproven), (0, vec!["letter-in-time".to_owned()]));
}

#[test]
fn an_order_that_dates_leave_open_passes_and_is_unproven() {
    let desk = Desk::charged();
    desk.record("warning-given person=P1 on=2020-05");
    let told = desk.record("interview-held person=P1 on=2020-05-20");
    assert_eq!(told.unproven, ["warn-first"]);
    assert_eq!(told.breaches.len(), 0);
    let desk = Desk::charged();
    desk.record("warning-given person=P1 on=2020-04");
    let told = desk.record("interview-held person=P1 on=2020-05-20");
    assert_eq!(told.unproven, Vec::<String>::new());
}

#[test]
fn a_breach_is_told_at_a_date_only_if_its_event_had_happened() {
    let desk = Desk::charged();
    desk.record("interview-held person=P1 on=2020-05-01");
    let at = |month| Cut { at: Day::from_ymd(2020, month, 28), ..Cut::default() };
    let before = desk.status_at(at(4));
    assert_eq!(before.breaches.len(), 0, "{}", json(&before));
    let after = desk.status_at(at(5));
    assert_eq!((after.breaches.len(), after.breaches[0].ground_gone), (1, false));
}

#[test]
fn overrides_and_gaps_are_told_at_a_date_only_if_they_had_happened() {
    let desk = Desk::charged();
    desk.record("hearing-held by=head-1:reviewer override=head-of-office on=2020-05-01");
    desk.record_with_gaps("sentence-passed charge=C1 disposal=fine decided=court on=2020-06-01");
    let at = |month| Cut { at: Day::from_ymd(2020, month, 28), ..Cut::default() };
    assert_eq!(desk.status_at(at(4)).overrides.len(), 0);
    assert_eq!(desk.status_at(at(5)).overrides.len(), 1);
    let reading = desk.status_at(at(7));
    assert_eq!((reading.overrides.len(), reading.gaps.len()), (1, 1));
    // The missing step has no date of its own: it may have happened by then.
    let reading = desk.status_at(at(5));
    assert_eq!(reading.gaps.len(), 1);
    assert!(
        reading.uncertain.iter().any(|mention| mention.event_type == "gap-declared"),
        "{:?}",
        reading.uncertain
    );
}

#[test]
fn what_only_the_engine_notes_and_what_has_no_effect_yet_is_not_recorded_for_anybody() {
    let desk = Desk::new();
    for name in ["breach-noted", "protected-data-erased"] {
        let invalid = desk.invalid(name);
        assert_eq!(invalid.field, "type", "{name}: {invalid:?}");
    }
}
