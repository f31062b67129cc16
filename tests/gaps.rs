//! What must have happened although nobody has its details.

use casebook_engine::case::event::{Asserted, Recorder, Version};
use casebook_engine::engine::RecordOptions;
use serde_json::json;

use crate::desk::{Desk, accepted, definition, engine_of, police_conduct, refusal, rules};

const SENTENCE: &str = "sentence-passed charge=C1 disposal=fine decided=court on=2021-06-01";

fn types(desk: &Desk) -> Vec<String> {
    desk.timeline().into_iter().map(|(_, name)| name).collect()
}

#[test]
fn the_shortest_gap_is_declared_in_the_same_batch_and_stands_before_its_proof() {
    let desk = Desk::charged();
    let refused = desk.refused(SENTENCE);
    assert_eq!(refused.gaps, ["plea-entered or verdict-returned"]);
    let told = desk.record_with_gaps(SENTENCE);
    let recorded: Vec<_> = told.events.iter().map(|event| event.proposed.event_type.as_str()).collect();
    assert_eq!(recorded, ["gap-declared", "sentence-passed"]);
    let gap = &told.events[0];
    assert_eq!(gap.proposed.asserted, Asserted::Inferred);
    assert_eq!(
        gap.proposed.data["one_of"],
        json!([
            {"missing_type": "plea-entered", "missing_data": {"plea": "guilty"}},
            {"missing_type": "verdict-returned", "missing_data": {"verdict": "guilty"}},
        ])
    );
    assert_eq!(gap.causation_id.as_deref(), Some(told.events[1].id.to_string().as_str()));
    let occurred = gap.proposed.occurred.as_ref().unwrap();
    assert_eq!((occurred.edtf(), &occurred.before), (None, &vec![told.events[1].id.to_string()]));
    assert_eq!(told.gaps[0].missing, ["plea-entered", "verdict-returned"]);
    assert_eq!(types(&desk)[3..], ["plea-entered", "sentence-passed"]);
    assert_eq!(desk.state("charge", "C1"), "sentenced");
    assert!(desk.status().consistent);
}

#[test]
fn a_gap_rule_is_met_by_a_declared_gap() {
    let desk = Desk::new();
    let refused = desk.refused("report-finished on=2021-06-01");
    assert_eq!(rules(&refused), ["report-needs-inquiry"]);
    assert_eq!(refused.gaps, ["inquiry-begun"]);
    let told = desk.record_with_gaps("report-finished on=2021-06-01");
    assert_eq!(told.events[0].proposed.data["missing_type"], "inquiry-begun");
    // By hand, as people would.
    let desk = Desk::new();
    desk.record("gap-declared missing_type=inquiry-begun why_known=hearsay");
    desk.record("report-finished on=2021-06-01");
}

#[test]
fn where_the_ways_lead_to_different_states_nothing_is_guessed() {
    let desk = Desk::new();
    let options = RecordOptions { declare_gaps: true, ..RecordOptions::default() };
    let refused = refusal(desk.propose_with(&["matter-settled"], options));
    assert_eq!(rules(&refused), ["engine:no-transition"]);
    assert_eq!(desk.case_state().version(), Version(1), "nothing was recorded");
    assert!(refused.path.is_some());
    desk.record("gap-declared missing_type=caution-given why_known=letter");
    desk.record("matter-settled");
    assert_eq!(desk.state("outcome", ""), "settled");
}

#[test]
fn a_step_that_may_not_be_a_gap_is_never_declared() {
    let desk = Desk::new();
    let options = RecordOptions { declare_gaps: true, ..RecordOptions::default() };
    let refused = refusal(desk.propose_with(&["hearing-held"], options));
    assert_eq!((refused.gaps, refused.path), (vec![], Some(vec!["hearing-listed".to_owned()])));
    let problem = desk.invalid("gap-declared missing_type=hearing-listed why_known=hearsay");
    assert_eq!(problem.field, "data.missing_type");
    let problem = desk.invalid("gap-declared missing_type=hearing-lost why_known=hearsay");
    assert!(problem.help.unwrap().contains("hearing-l") || problem.field == "type");
}

#[test]
fn a_gap_introduces_an_entity_and_moves_it() {
    let desk = Desk::new();
    desk.record("person-named person=P1 name=P1 on=2020-02-01");
    let told = desk.record_with_gaps("plea-entered charge=C7 person=P1 plea=guilty on=2020-06-01");
    assert_eq!(told.gaps[0].missing, ["charge-brought"]);
    assert_eq!(desk.state("charge", "C7"), "convicted");
    let entity = desk.status().entities.into_iter().find(|entity| entity.id == "C7").unwrap();
    assert_eq!((entity.parent.as_deref(), entity.introduced_by), (Some("P1"), told.events[0].version));
    // Two missing steps at once, the parent being the only person there is.
    let told = desk.record_with_gaps("sentence-passed charge=C8 disposal=fine decided=court on=2020-06-01");
    assert_eq!(told.gaps.len(), 2);
    assert_eq!(told.gaps[0].missing, ["charge-brought"]);
    assert_eq!(types(&desk).len(), 7);
    assert_eq!(desk.state("charge", "C8"), "sentenced");
}

#[test]
fn a_real_event_recorded_later_closes_the_gap() {
    let desk = Desk::charged();
    desk.record_with_gaps(SENTENCE);
    assert_eq!(desk.status().gaps[0].closed_by, None);
    // Without its parents, as people write it.
    desk.record("verdict-returned charge=C1 verdict=guilty on=2021-05-01");
    let gaps = desk.status().gaps;
    assert_eq!((gaps.len(), gaps[0].closed_by), (1, Some(Version(6))));
    assert_eq!(types(&desk)[3..], ["verdict-returned", "sentence-passed"]);
    assert_eq!(desk.state("charge", "C1"), "sentenced");
    // Annulled again, the gap is open again.
    desk.record("event-annulled annuls=\"6\" reason=error");
    assert_eq!(desk.status().gaps[0].closed_by, None);
    assert_eq!(desk.state("charge", "C1"), "sentenced");
    // With its parents it closes too.
    desk.record("plea-entered charge=C1 person=P1 plea=guilty");
    assert_eq!(desk.status().gaps[0].closed_by, Some(Version(8)));
    assert_eq!(types(&desk)[3..], ["plea-entered", "sentence-passed"]);
}

#[test]
fn an_event_that_the_gap_rules_out_does_not_close_it() {
    let desk = Desk::charged();
    desk.record_with_gaps(SENTENCE);
    desk.refused("verdict-returned charge=C1 verdict=not-guilty on=2021-05-01");
    assert_eq!(desk.status().gaps[0].closed_by, None);
    // Nor does one that happened after what proves the gap.
    desk.refused("plea-entered charge=C1 plea=guilty on=2022-01-01");
    assert_eq!(desk.status().gaps[0].closed_by, None);
}

#[test]
fn a_gap_that_is_not_lawful_is_refused_and_an_annulled_gap_takes_footing() {
    let desk = Desk::charged();
    desk.refused("gap-declared charge=C9 missing_type=plea-entered missing_data={\"plea\":\"guilty\"} why_known=hearsay");
    let problem = desk.invalid(
        "gap-declared charge=C1 missing_type=plea-entered missing_data={\"plea\":\"maybe\"} why_known=h",
    );
    assert!(problem.field.starts_with("data.missing_data"), "{problem:?}");
    desk.record_with_gaps(SENTENCE);
    let refused = desk.refused("event-annulled annuls=\"4\" reason=error");
    assert_eq!(refused.loses_footing[0].version, Version(5));
    accepted(
        desk.propose(&[
            "event-annulled annuls=\"4\" reason=error",
            "event-annulled annuls=\"5\" reason=error",
        ]),
    );
    assert_eq!(desk.status().gaps.len(), 0);
}

#[test]
fn of_a_gap_only_the_date_is_corrected() {
    let desk = Desk::new();
    desk.record("gap-declared missing_type=inquiry-begun why_known=hearsay");
    let problem = crate::desk::invalid(desk.correct(2, json!({"missing_type": "inquiry-lost"})));
    assert!(problem.help.unwrap().contains("annul"));
    accepted(desk.correct(2, json!({"occurred": "2020-05"})));
    assert_eq!(types(&desk), ["case-opened", "inquiry-begun"]);
}

#[test]
fn a_dry_run_with_gaps_tells_them_and_writes_nothing() {
    let desk = Desk::charged();
    let options = RecordOptions { declare_gaps: true, dry_run: true, ..RecordOptions::default() };
    let told = accepted(desk.propose_with(&[SENTENCE], options));
    assert_eq!((told.recorded, told.gaps.len()), (false, 1));
    assert_eq!(desk.case_state().version(), Version(3));
}

/// A sentence on a charge that was only laid: the first appearance and the plea are gaps, one linked after the other.
fn sentenced_over_gaps() -> Desk {
    let desk = Desk::at(
        engine_of(police_conduct()),
        "G/1",
        "case-opened by=officer-1:caseworker matter_type=conduct",
    );
    desk.record("subject-identified subject=S1 kind=police-officer by=officer-2:investigator");
    desk.record("charge-laid subject=S1 charge=C1 how=postal-requisition offence=theft triable=summary on=2024-06-20 by=officer-1:caseworker");
    let told = desk.record_with_gaps(
        "sentence-passed charge=C1 court=Maidstone disposal=fine decided=court on=2024-09-02 by=officer-1:caseworker",
    );
    assert_eq!(told.gaps.len(), 2);
    desk
}

const APPEARANCE: &str =
    "first-appearance-held charge=C1 court=Maidstone decided=court on=2024-07-02 by=officer-1:caseworker";
const PLEA: &str = "plea-entered charge=C1 plea=guilty decided=court on=2024-08-01 by=officer-1:caseworker";

#[test]
fn linked_gaps_are_closed_one_by_one_in_any_order() {
    for order in [[APPEARANCE, PLEA], [PLEA, APPEARANCE]] {
        let desk = sentenced_over_gaps();
        for event in order {
            desk.record(event);
        }
        assert_eq!(desk.state("charge", "C1"), "sentenced");
        assert!(desk.status().gaps.iter().all(|gap| gap.closed_by.is_some()));
        assert_eq!(
            types(&desk)[2..],
            ["charge-laid", "first-appearance-held", "plea-entered", "sentence-passed"]
        );
    }
}

#[test]
fn an_event_that_its_date_puts_outside_a_gap_does_not_close_it() {
    let desk = sentenced_over_gaps();
    let refused = desk.refused(&PLEA.replace("2024-08-01", "2024-10-02"));
    assert_eq!(rules(&refused), ["engine:no-transition"]);
    assert!(desk.status().gaps.iter().all(|gap| gap.closed_by.is_none()));
}

#[test]
fn a_gap_whose_proof_was_annulled_says_that_its_ground_has_gone() {
    let desk = sentenced_over_gaps();
    let by = Recorder { id: "officer-3".into(), role: "decision-maker".into() };
    let options = RecordOptions::default();
    accepted(desk.wait(desk.engine.annul(&desk.case, Version(6), "misread", by, options)));
    let gaps = desk.status().gaps;
    assert!(gaps.len() == 2 && gaps.iter().all(|gap| gap.ground_gone && gap.closed_by.is_none()));
}

/// A plea too early for the gap is another plea, and has no place; with another date it is the one that is missing.
#[test]
fn a_refusal_says_that_the_event_would_close_a_gap_elsewhere() {
    let desk = Desk::charged();
    desk.record_with_gaps("sentence-passed charge=C1 disposal=fine decided=court on=2021-06-01");
    let gap = desk.status().gaps[0].version;
    let refused = desk.refused("plea-entered charge=C1 plea=guilty on=2021-07-01");
    let (after, before) = refused.lawful_between.unwrap();
    let order: Vec<u64> = desk.timeline().into_iter().map(|(version, _)| version).collect();
    let place = order.iter().position(|version| *version == gap.0).unwrap();
    assert_eq!(after.unwrap().0, order[place - 1], "{order:?}");
    assert_eq!(before.unwrap().0, order[place + 1], "{order:?}");
    desk.record("plea-entered charge=C1 plea=guilty on=2021-05-01");
    assert_eq!(desk.state("charge", "C1"), "sentenced");
}

/// Where the gap would take it up, no second event can stand beside it.
#[test]
fn beside_a_gap_that_it_would_close_an_event_has_no_place_of_its_own() {
    let desk = Desk::new();
    desk.record_with_gaps("report-finished on=2021-06-01");
    desk.record("case-closed on=2021-07-01");
    let gap = desk.status().gaps[0].version;
    let refused = desk.refused("inquiry-begun on=2021-08-01");
    let (after, before) = refused.lawful_between.unwrap();
    let order: Vec<u64> = desk.timeline().into_iter().map(|(version, _)| version).collect();
    let place = order.iter().position(|version| *version == gap.0).unwrap();
    let report = order[place + 1];
    // The latest place is its own, between the report and the closing: dated after the report it is another beginning.
    assert_eq!((after.unwrap().0, before.unwrap().0), (report, order[place + 2]), "{order:?}");
}

const VISITS: &str = "
workflow: visits
version: 1
language: casebook/1
title: Visits
timezone: Europe/London
roles: { clerk: { title: Clerk } }
entities: { house: { title: House, introduced-by: house-found } }
events:
  case-opened: { title: Opened }
  house-found: { title: Found, scope: [house] }
  house-visited: { title: Visited, scope: [house], gap: true }
  form-sent: { title: Sent, gap: true }
  form-read: { title: Read, gap: true }
  call-made: { title: Called, gap: true }
  call-answered: { title: Answered, gap: true }
  report-written:
    title: Written
    rules: [{ id: visit-first, class: gap, require: \"case.happened('house-visited')\", message: no visit }]
  matter-closed: { title: Closed }
strands:
  matter:
    title: Matter
    states: { open: {}, sent: {}, called: {}, known: {}, closed: { final: true } }
    initial: open
    transitions:
      - { on: form-sent, from: open, to: sent }
      - { on: form-read, from: sent, to: known }
      - { on: call-made, from: open, to: called }
      - { on: call-answered, from: called, to: known }
      - { on: matter-closed, from: known, to: closed }
";

fn visits() -> Desk {
    let desk = Desk::at(engine_of(definition(VISITS)), "R/1", "case-opened");
    desk.record("house-found house=H1");
    desk
}

#[test]
fn which_entity_a_missing_step_was_about_is_not_guessed() {
    let desk = visits();
    let told = desk.record_with_gaps("report-written");
    assert_eq!(told.gaps[0].missing, ["house-visited"], "there is but one house");
    let desk = visits();
    desk.record("house-found house=H2");
    let options = RecordOptions { declare_gaps: true, ..RecordOptions::default() };
    let refused = refusal(desk.propose_with(&["report-written"], options));
    assert_eq!((rules(&refused), refused.gaps.len()), (vec!["visit-first"], 0));
    desk.record("gap-declared missing_type=house-visited house=H2 why_known=letter");
    desk.record("report-written");
}

#[test]
fn which_way_it_went_is_not_guessed_where_two_are_as_short() {
    let desk = visits();
    let options = RecordOptions { declare_gaps: true, ..RecordOptions::default() };
    let refused = refusal(desk.propose_with(&["matter-closed"], options));
    assert_eq!((refused.gaps.len(), refused.path.map(|path| path.len())), (0, Some(2)));
    desk.record("call-made");
    let told = desk.record_with_gaps("matter-closed");
    assert_eq!(told.gaps[0].missing, ["call-answered"]);
}
