//! Who may set which rule aside, and that the event says so for ever.

use casebook_engine::definition::RuleClass;

use crate::desk::{Desk, accepted, invalid, refusal, rules};

const SENTENCE: &str = "sentence-passed charge=C1 disposal=fine decided=court";

#[test]
fn a_role_that_may_override_records_against_a_logical_rule() {
    let desk = Desk::charged();
    let refused = desk.refused(SENTENCE);
    assert_eq!(rules(&refused), ["engine:no-transition", "sentence-needs-conviction"]);
    let told = desk.record(&format!("{SENTENCE} by=head-1:reviewer override=head-of-office"));
    let given = told.events[0].proposed.override_given.as_ref().unwrap();
    assert_eq!(
        (given.authority.as_str(), given.reason.as_str()),
        ("head-of-office", "in the public interest")
    );
    let status = desk.status();
    assert_eq!(status.overrides.len(), 1);
    let note = status.overrides[0].note.as_ref().unwrap();
    assert!(note.contains("head-of-office") && note.contains("in the public interest"), "{note}");
    assert!(status.consistent, "an override is not an inconsistency: {:?}", status.inconsistent);
    desk.record("note-made text=later");
    assert_eq!(desk.status().overrides.len(), 1);
}

#[test]
fn a_role_that_may_not_override_is_told_who_may() {
    let desk = Desk::charged();
    let refused = desk.refused(&format!("{SENTENCE} override=me"));
    assert_eq!(rules(&refused), ["engine:no-transition", "sentence-needs-conviction", "engine:override"]);
    let last = refused.reasons.last().unwrap();
    assert!(last.message.contains("reviewer"), "{}", last.message);
    assert_eq!(last.class, RuleClass::Authority);
}

#[test]
fn a_gap_rule_may_be_overridden() {
    let desk = Desk::new();
    assert_eq!(rules(&desk.refused("report-finished")), ["report-needs-inquiry"]);
    desk.record("report-finished by=head-1:reviewer override=head-of-office");
}

#[test]
fn authority_is_never_overridden() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty");
    let by = "by=head-1:reviewer override=head-of-office";
    let refused = desk.refused(&format!("sentence-passed charge=C1 disposal=fine decided=club {by}"));
    assert_eq!(rules(&refused), ["engine:decider", "engine:override"]);
    let refused = desk.refused(&format!("interview-held person=P1 {by}"));
    assert_eq!(rules(&refused)[0], "engine:role");
    desk.record("note-made by=officer-1:investigator");
    let refused = desk.refused("note-made by=officer-1:reviewer override=head-of-office");
    assert_eq!(rules(&refused)[0], "engine:separate-duties");
    let refused = desk.refused("seal-broken by=clerk-1:clerk override=me");
    assert_eq!(rules(&refused)[0], "only-reviewers-break-seals");
    // Not even together with a logical rule that could be.
    let refused = desk.refused(&format!("verdict-returned charge=C9 verdict=guilty {by}"));
    assert_eq!(rules(&refused), ["engine:scope", "engine:override"]);
}

#[test]
fn an_override_with_nothing_to_override_is_invalid() {
    let desk = Desk::charged();
    let problem = desk.invalid("note-made by=head-1:reviewer override=head-of-office");
    assert_eq!(problem.field, "override");
    let problem = desk.invalid("interview-held person=P1 override=head-of-office");
    assert_eq!(problem.field, "override", "a breach is noted, not overridden");
    // Nor does it ride along with one that is needed.
    let needed = format!("{SENTENCE} by=head-1:reviewer override=head-of-office");
    let problem = invalid(desk.propose(&[&needed, "note-made by=head-1:reviewer override=head-of-office"]));
    assert_eq!((problem.index, problem.field.as_str()), (1, "override"));
}

#[test]
fn an_override_without_authority_or_reason_is_invalid() {
    let desk = Desk::charged();
    let mut events = desk.events(&[&format!("{SENTENCE} by=head-1:reviewer override=x")]);
    events[0].override_given.as_mut().unwrap().reason = "  ".into();
    let problem = invalid(desk.wait(desk.engine.record(&desk.case, events, Default::default())));
    assert_eq!(problem.field, "override");
}

#[test]
fn an_event_recorded_by_override_is_a_fact_for_what_follows() {
    let desk = Desk::charged();
    desk.record(&format!("{SENTENCE} by=head-1:reviewer override=head-of-office on=2021-06-01"));
    assert_eq!(desk.state("charge", "C1"), "brought", "no transition: it happened, and the strand stays");
    let dry = refusal(desk.propose(&["case-closed"]));
    assert_eq!(rules(&dry), ["every-charge-is-over"]);
    accepted(desk.propose(&["note-made on=2021-01-01"]));
}
