//! The record is put right without touching it.

use casebook_engine::case::event::Version;
use casebook_engine::case::reading::Cut;
use casebook_engine::engine::RecordOptions;
use serde_json::json;

use crate::desk::{Desk, accepted, invalid, refusal, rules, state_in};

fn annulment(version: u64) -> String {
    format!("event-annulled annuls=\"{version}\" reason=error")
}

#[test]
fn a_corrected_field_applies_from_then_on_and_both_values_stay() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty at=Maidstone on=2021-05-01");
    accepted(desk.correct(4, json!({"plea": "not-guilty"})));
    assert_eq!(desk.state("charge", "C1"), "tried");
    assert_eq!(desk.state("position", "P1"), "charged");
    let before = desk.status_at(Cut { version: Some(Version(4)), ..Cut::default() });
    assert_eq!(state_in(&before, "charge", "C1"), "convicted");
    let history = desk.wait(desk.engine.history(&desk.case, Cut::default(), Default::default())).unwrap();
    assert_eq!(history[3].event.proposed.data["plea"], "guilty", "as recorded");
    assert_eq!(history[3].reads_now.as_ref().unwrap()["plea"], "not-guilty", "as it reads");
    assert_eq!(history[3].corrected_by, [Version(5)]);
    assert_eq!(history[4].timeline, None);
}

#[test]
fn the_last_correction_of_a_field_wins_and_others_stay() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty at=Maidstone on=2021-05-01");
    accepted(desk.correct(4, json!({"plea": "not-guilty"})));
    accepted(desk.correct(4, json!({"data.at": "Southwark"})));
    accepted(desk.correct(4, json!({"at": null})));
    assert_eq!(desk.state("charge", "C1"), "tried");
    let history = desk.wait(desk.engine.history(&desk.case, Cut::default(), Default::default())).unwrap();
    let reads = history[3].reads_now.clone().unwrap();
    assert_eq!(reads.get("plea").unwrap(), "not-guilty");
    assert_eq!(reads.get("at"), None, "removed by null");
    assert_eq!(history[3].corrected_by, [5, 6, 7].map(Version));
    accepted(desk.correct(4, json!({"plea": "guilty", "at": "Maidstone"})));
    assert_eq!(desk.state("charge", "C1"), "convicted");
}

#[test]
fn a_corrected_entity_reads_as_corrected() {
    let desk = Desk::charged();
    desk.record("person-described person=P1 born=\"1980\" height=180");
    accepted(desk.correct(2, json!({"name": "P-one", "born": "1979"})));
    accepted(desk.correct(4, json!({"height": 181, "born": null})));
    let person = desk.status().entities.into_iter().find(|entity| entity.id == "P1").unwrap();
    assert_eq!(
        serde_json::Value::Object(person.data),
        json!({"name": "P-one", "born": "1979", "height": 181})
    );
}

#[test]
fn a_corrected_date_moves_the_event() {
    let desk = Desk::new();
    desk.record("hearing-listed on=2021-02-01");
    desk.record("note-made on=2021-03-01");
    accepted(desk.correct(3, json!({"occurred": "2021-01-01"})));
    let versions: Vec<u64> = desk.timeline().into_iter().map(|(version, _)| version).collect();
    assert_eq!(versions, [1, 3, 2]);
}

#[test]
fn a_corrected_date_that_takes_footing_is_refused() {
    let desk = Desk::new();
    desk.record("hearing-listed on=2021-02-01");
    desk.record("hearing-held on=2021-03-01");
    let refused = refusal(desk.correct(2, json!({"occurred": "2021-04-01"})));
    let lost: Vec<_> = refused.loses_footing.iter().map(|lost| lost.version.0).collect();
    assert_eq!(lost, [3]);
    accepted(desk.correct(2, json!({"occurred": "2021-03-01"})));
    let versions: Vec<u64> = desk.timeline().into_iter().map(|(version, _)| version).collect();
    assert_eq!(versions, [1, 2, 3]);
}

#[test]
fn a_correction_must_be_valid_as_the_event_would_have_to_be() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty on=2021-05-01");
    for (fields, place) in [
        (json!({"plea": "perhaps"}), "plea"),
        (json!({"plea": null}), "fields"),
        (json!({"colour": "red"}), "fields"),
        (json!({"occurred": "the first of May"}), "occurred"),
        (json!({}), "fields"),
        (json!({"scope": {"charge": "C2"}}), "fields"),
        (json!({"type": "verdict-returned"}), "fields"),
        (json!({"recorded_by": {"id": "x", "role": "clerk"}}), "fields"),
        (json!({"recorded_at": "2021-01-01T00:00:00Z"}), "fields"),
        (json!({"decided_by": null}), "decided_by"),
        (json!({"decided_by": "court"}), "decided_by"),
    ] {
        let problem = invalid(desk.correct(4, fields.clone()));
        assert!(problem.field.contains(place), "{fields}: {problem:?}");
    }
    let problem = invalid(desk.correct(1, json!({"definition_digest": "00"})));
    assert!(problem.field.contains("fields"), "{problem:?}");
    assert_eq!(desk.case_state().version(), Version(4));
}

#[test]
fn a_wrong_decider_is_corrected_within_the_definition() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty");
    desk.record("sentence-passed charge=C1 disposal=fine decided=court");
    let refused = refusal(desk.correct(5, json!({"decided_by": {"body": "club"}})));
    assert_eq!(refused.loses_footing[0].reasons[0].rule, "engine:decider");
    accepted(desk.correct(5, json!({"decided_by": {"body": "court", "role": "judge"}})));
}

#[test]
fn an_annulled_event_is_left_out_and_shown() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty");
    desk.record(&annulment(4));
    assert_eq!(desk.state("charge", "C1"), "brought");
    let history = desk.wait(desk.engine.history(&desk.case, Cut::default(), Default::default())).unwrap();
    assert_eq!((history[3].annulled_by, history[3].timeline), (Some(Version(5)), None));
    // The step may be taken anew.
    desk.record("plea-entered charge=C1 plea=not-guilty");
    assert_eq!(desk.state("charge", "C1"), "tried");
}

#[test]
fn nothing_corrects_or_annuls_an_annulled_event() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty");
    desk.record(&annulment(4));
    assert!(invalid(desk.correct(4, json!({"plea": "guilty"}))).problem.contains("annulled"));
    assert!(desk.invalid(&annulment(4)).problem.contains("annulled"));
    assert!(desk.invalid(&annulment(5)).problem.contains("stays as it is"), "an annulment is not annulled");
    assert!(desk.invalid(&annulment(1)).problem.contains("opening"));
}

#[test]
fn the_record_only_grows_and_nobody_dates_it_back() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty");
    let written =
        || -> Vec<String> { desk.case_state().log().iter().map(|event| format!("{event:?}")).collect() };
    let before = written();
    let told = invalid(desk.correct(4, json!({"recorded_at": "2001-01-01T00:00:00Z"})));
    assert!(told.problem.contains("recorded_at is what the event is"), "{told:?}");
    assert!(told.help.is_some_and(|help| help.contains("record it again")));
    // Another system's date is kept beside the instant of recording, and is not corrected into it either.
    desk.record("note-made originally_recorded_at=2001-01-01T00:00:00Z");
    assert!(desk.case_state().log()[4].recorded_at >= desk.case_state().log()[3].recorded_at);
    accepted(desk.correct(4, json!({"plea": "not-guilty"})));
    desk.record(&annulment(4));
    assert!(invalid(desk.correct(4, json!({"plea": "guilty"}))).problem.contains("annulled"));
    let after = written();
    assert_eq!((after.len(), &after[..before.len()]), (before.len() + 3, before.as_slice()));
}

#[test]
fn an_annulled_correction_applies_no_more() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty at=Maidstone");
    accepted(desk.correct(4, json!({"plea": "not-guilty"})));
    accepted(desk.correct(4, json!({"at": "Southwark"})));
    assert!(invalid(desk.correct(5, json!({"plea": "guilty"}))).help.is_none());
    desk.record(&annulment(5));
    assert_eq!(desk.state("charge", "C1"), "convicted");
    let history = desk.wait(desk.engine.history(&desk.case, Cut::default(), Default::default())).unwrap();
    assert_eq!(history[3].corrected_by, [Version(6)]);
    assert_eq!(history[4].annulled_by, Some(Version(7)));
    assert_eq!(history[3].reads_now.as_ref().unwrap()["at"], "Southwark");
}

#[test]
fn annulling_what_others_stand_on_is_refused_with_their_names() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty");
    desk.record("sentence-passed charge=C1 disposal=fine decided=court");
    let refused = desk.refused(&annulment(3));
    let lost: Vec<_> = refused.loses_footing.iter().map(|lost| lost.version.0).collect();
    assert_eq!((rules(&refused), lost), (vec!["engine:footing"], vec![4, 5]));
    let refused = desk.refused(&annulment(4));
    assert_eq!(refused.loses_footing[0].version, Version(5));
    let reasons: Vec<&str> =
        refused.loses_footing[0].reasons.iter().map(|reason| reason.rule.as_str()).collect();
    assert_eq!(reasons, ["engine:no-transition", "sentence-needs-conviction"]);
}

#[test]
fn what_stands_on_each_other_is_annulled_in_one_batch_in_any_order() {
    for order in [[4, 5], [5, 4]] {
        let desk = Desk::charged();
        desk.record("plea-entered charge=C1 plea=guilty");
        desk.record("sentence-passed charge=C1 disposal=fine decided=court");
        let lines = order.map(annulment);
        accepted(desk.propose(&[&lines[0], &lines[1]]));
        assert_eq!(desk.state("charge", "C1"), "brought");
        assert!(desk.status().consistent);
    }
}

#[test]
fn an_event_is_replaced_in_one_batch() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty on=2021-05-01");
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2021-06-01");
    let annulled = annulment(4);
    let lines = [annulled.as_str(), "verdict-returned charge=C1 verdict=guilty on=2021-05-02"];
    accepted(desk.propose(&lines));
    assert_eq!(desk.state("charge", "C1"), "sentenced");
    let types: Vec<String> = desk.timeline().into_iter().map(|(_, name)| name).collect();
    assert_eq!(types[3..], ["verdict-returned", "sentence-passed"]);
}

#[test]
fn a_case_accepted_as_inconsistent_says_so_until_it_is_resolved() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty on=2021-05-01");
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2021-06-01");
    let refused = desk.refused("event-annulled annuls=\"4\" reason=error by=clerk-1:clerk override=me");
    assert_eq!(refused.loses_footing.len(), 1);
    desk.record("event-annulled annuls=\"4\" reason=error by=head-1:reviewer override=head-of-office");
    let status = desk.status();
    assert!(!status.consistent);
    let named: Vec<_> = status.inconsistent.iter().map(|mention| mention.version.0).collect();
    assert_eq!(named, [5]);
    assert!(status.inconsistent[0].note.as_ref().unwrap().contains("C1"), "{:?}", status.inconsistent);
    assert_eq!(status.overrides.len(), 1);
    // The case goes on meanwhile, and still says so.
    desk.record("note-made text=meanwhile");
    assert!(!desk.status().consistent);
    desk.record("verdict-returned charge=C1 verdict=guilty on=2021-05-20");
    let status = desk.status();
    assert!(status.consistent, "{:?}", status.inconsistent);
    assert_eq!(status.inconsistent.len(), 0);
    assert_eq!(desk.state("charge", "C1"), "sentenced");
    // As it was known before, it is inconsistent still.
    assert!(!desk.status_at(Cut { version: Some(Version(7)), ..Cut::default() }).consistent);
    assert_eq!(status.overrides.len(), 1, "the override is said for ever");
}

#[test]
fn a_breach_stays_and_says_that_its_ground_is_gone() {
    let desk = Desk::charged();
    let told = desk.record("interview-held person=P1 on=2020-05-01");
    assert_eq!(told.breaches.len(), 1);
    assert!(!desk.status().breaches[0].ground_gone);
    // It turns out that there was a warning.
    desk.record("warning-given person=P1 on=2020-04-01");
    let breaches = desk.status().breaches;
    assert_eq!(breaches.len(), 1);
    assert!(breaches[0].ground_gone);
    let taken_by = |at: Option<u64>| {
        let cut = Cut { version: at.map(Version), ..Cut::default() };
        let taken_by = desk.status_at(cut).breaches[0].ground_taken_by.clone();
        taken_by.map(|event| (event.version.0, event.event_type))
    };
    assert_eq!(taken_by(Some(5)), None);
    assert_eq!(taken_by(None), Some((6, "warning-given".to_owned())));
    assert_eq!((breaches[0].rule.as_str(), breaches[0].event), ("warn-before-interview", Version(4)));
    let then = desk.status_at(Cut { version: Some(Version(5)), ..Cut::default() });
    assert!(!then.breaches[0].ground_gone);
    // And that there was none after all.
    desk.record(&annulment(6));
    assert!(!desk.status().breaches[0].ground_gone);
    desk.record(&annulment(4));
    assert!(desk.status().breaches[0].ground_gone, "the interview did not happen");
    assert_eq!(taken_by(None), Some((9, "event-annulled".to_owned())));
}

#[test]
fn a_correction_that_makes_a_breach_notes_it() {
    let desk = Desk::charged();
    desk.record("warning-given person=P1 on=2020-04-01");
    let told = desk.record("interview-held person=P1 on=2020-05-01");
    assert_eq!(told.breaches.len(), 0);
    let told = accepted(desk.correct(4, json!({"occurred": "2020-06-01"})));
    let noted: Vec<_> = told.breaches.iter().map(|breach| (breach.rule.as_str(), breach.event)).collect();
    assert_eq!(noted, [("warn-before-interview", Version(5))]);
    assert!(!desk.status().breaches[0].ground_gone);
    // The same breach is not noted again by a correction that changes nothing of it.
    let told = accepted(desk.correct(4, json!({"occurred": "2020-06-02"})));
    assert_eq!(told.breaches.len(), 0);
}

#[test]
fn a_breach_note_is_neither_corrected_nor_annulled_nor_recorded_by_people() {
    let desk = Desk::charged();
    desk.record("interview-held person=P1 on=2020-05-01");
    assert!(desk.invalid(&annulment(5)).problem.contains("stays as it is"));
    assert!(invalid(desk.correct(5, json!({"rule": "other"}))).problem.contains("stays as it is"));
    let forged =
        desk.propose(&["breach-noted rule=warn-first event=\"1\" message=forged by=nobody:stranger"]);
    assert!(forged.is_err(), "a note of the engine is not for people to write");
}

#[test]
fn an_annulled_introduction_takes_the_entity_away() {
    let desk = Desk::charged();
    assert_eq!(desk.refused(&annulment(2)).loses_footing.len(), 1);
    let lines = [annulment(2), annulment(3)];
    accepted(desk.propose(&[&lines[0], &lines[1]]));
    assert_eq!(desk.status().entities.len(), 0);
    desk.record("person-named person=P1 name=Other");
    assert_eq!(desk.status().entities[0].introduced_by, Version(6));
}

#[test]
fn corrections_by_role_and_a_dry_run_of_one_change_nothing() {
    let desk = Desk::charged();
    let refused =
        desk.refused("event-corrected corrects=\"2\" fields={\"name\":\"X\"} reason=r by=x:stranger");
    assert_eq!(rules(&refused), ["engine:role"]);
    let lines = ["event-corrected corrects=\"2\" fields={\"name\":\"X\"} reason=r"];
    let dry =
        accepted(desk.propose_with(&lines, RecordOptions { dry_run: true, ..RecordOptions::default() }));
    assert!(!dry.recorded);
    assert_eq!(desk.case_state().version(), Version(3));
    assert_eq!(desk.status().entities[0].data["name"], "P1");
}

#[test]
fn a_correction_counts_the_person_for_separate_duties() {
    let desk = Desk::new();
    desk.record("note-made by=officer-1:investigator");
    let refused = desk.refused("event-annulled annuls=\"2\" reason=r by=officer-1:reviewer");
    assert_eq!(rules(&refused), ["engine:separate-duties"]);
}

#[test]
fn who_only_corrects_or_annuls_has_acted_all_the_same() {
    let desk = Desk::charged();
    desk.record("note-made text=first");
    desk.record("event-annulled annuls=\"4\" reason=r by=officer-1:investigator");
    let refused = desk.refused("note-made by=officer-1:reviewer");
    assert_eq!(rules(&refused), ["engine:separate-duties"]);
    desk.record("note-made by=officer-1:investigator");
    desk.record("note-made by=officer-2:reviewer");
    let refused = desk.refused("event-annulled annuls=\"6\" reason=r by=officer-1:reviewer");
    assert_eq!(rules(&refused), ["engine:separate-duties"]);
    // What was recorded before it stays as lawful as it was.
    let desk = Desk::charged();
    desk.record("note-made by=officer-1:reviewer");
    assert_eq!(
        rules(&desk.refused("event-annulled annuls=\"4\" reason=r by=officer-1:investigator")),
        ["engine:separate-duties"]
    );
    desk.record("event-annulled annuls=\"4\" reason=r");
    desk.record("event-annulled annuls=\"3\" reason=r by=officer-1:reviewer");
    assert!(desk.status().consistent);
}
