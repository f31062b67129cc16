//! A fact that arrives late stands where it happened, and is refused where it would make a later event illegal.

use casebook_engine::case::event::Version;
use casebook_engine::case::occurred::Day;
use casebook_engine::case::reading::Cut;
use serde_json::json;

use crate::desk::{Desk, accepted, rules, state_in};

fn types(desk: &Desk) -> Vec<String> {
    desk.timeline().into_iter().map(|(_, name)| name).collect()
}

#[test]
fn a_late_fact_stands_where_it_happened() {
    let desk = Desk::charged();
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2021-06-01 by=judge-1:reviewer override=court");
    let told = desk.record("plea-entered charge=C1 plea=guilty on=2021-05-01");
    assert_eq!(
        types(&desk),
        ["case-opened", "person-named", "charge-brought", "plea-entered", "sentence-passed"]
    );
    assert_eq!(desk.state("charge", "C1"), "sentenced");
    let to: Vec<_> = told.changed.iter().filter_map(|change| change.to.as_deref()).collect();
    assert_eq!(to, ["sentenced", "sentenced"], "the sentence, too, finds its place");
    let history = desk.wait(desk.engine.history(&desk.case, Cut::default(), Default::default())).unwrap();
    assert!(history[4].late && !history[3].late);
    assert_eq!((history[4].timeline, history[3].timeline), (Some(4), Some(5)));
}

#[test]
fn a_late_fact_that_takes_footing_is_refused_and_names_what_would_fall() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty on=2021-05-01");
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2021-06-01");
    // Lawful where it stands, but then the guilty plea has nothing to answer.
    let refusal = desk.refused("verdict-returned charge=C1 verdict=not-guilty on=2021-04-01");
    assert_eq!(rules(&refusal), ["engine:footing"]);
    let lost: Vec<_> =
        refusal.loses_footing.iter().map(|lost| (lost.version.0, lost.event_type.as_str())).collect();
    assert_eq!(lost, [(4, "plea-entered"), (5, "sentence-passed")]);
    for lost in &refusal.loses_footing {
        assert!(!lost.reasons.is_empty());
    }
    assert_eq!(lost_rule(&refusal, 0), "engine:no-transition");
    assert_eq!(lost_rule(&refusal, 1), "engine:no-transition");
}

fn lost_rule(refusal: &casebook_engine::case::refusal::Refusal, index: usize) -> &str {
    &refusal.loses_footing[index].reasons[0].rule
}

#[test]
fn a_refusal_says_between_which_events_it_would_be_lawful_and_a_link_puts_it_there() {
    let desk = Desk::new();
    desk.record("hearing-listed on=2021");
    desk.record("case-closed on=2021-06-01");
    let refusal = desk.refused("hearing-held on=2021");
    assert_eq!(rules(&refusal), ["engine:case-closed"]);
    assert_eq!(refusal.lawful_between, Some((Some(Version(2)), Some(Version(3)))));
    desk.record("hearing-held on=2021 after=2 before=3");
    assert_eq!(types(&desk), ["case-opened", "hearing-listed", "hearing-held", "case-closed"]);
    assert_eq!(desk.state("hearing", ""), "held");
    assert_eq!(desk.state("case", ""), "closed");
}

#[test]
fn every_place_that_a_refusal_names_is_lawful() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=not-guilty on=2021");
    desk.record("verdict-returned charge=C1 verdict=guilty on=2022");
    desk.record("appeal-lodged charge=C1");
    desk.record("note-made text=x");
    let refusal = desk.refused("person-named person=P1 name=Again");
    assert_eq!(refusal.lawful_between, None, "two events would introduce one person");
    let refusal = desk.refused("sentence-passed charge=C2 disposal=fine decided=court");
    assert_eq!(refusal.lawful_between, None);
    desk.record("sentence-passed charge=C1 disposal=fine decided=court");
    desk.record("case-closed");
    let refusal = desk.refused("letter-received");
    let (after, before) = refusal.lawful_between.expect("before the closing");
    let place = format!("letter-received after={} before={}", after.unwrap(), before.unwrap());
    desk.record(&place);
    assert_eq!(desk.state("case", ""), "closed");
}

#[test]
fn where_dates_leave_the_order_open_record_order_stands() {
    let desk = Desk::new();
    desk.record("hearing-listed on=2021");
    desk.record("hearing-held on=2021-03");
    desk.record("note-made on=2021-02 text=late");
    desk.record("note-made text=undated");
    let versions: Vec<u64> = desk.timeline().into_iter().map(|(version, _)| version).collect();
    assert_eq!(versions, [1, 2, 4, 3, 5]);
}

#[test]
fn a_late_event_shows_up_in_the_past_as_known_now_and_not_as_known_then() {
    let desk = Desk::new();
    desk.record("person-named person=P1 name=P1 on=2020-02-01");
    desk.record("hearing-listed on=2021-02-01");
    desk.record("hearing-held on=2021-04-01");
    desk.record("fine-imposed on=2021-01-15");
    let at = Day::from_ymd(2021, 1, 31);
    let now = desk.status_at(Cut { at, ..Cut::default() });
    let then = desk.status_at(Cut { at, version: Some(Version(4)), ..Cut::default() });
    assert_eq!(
        (state_in(&now, "outcome", "").as_str(), state_in(&now, "hearing", "").as_str()),
        ("fined", "none")
    );
    assert_eq!(
        (state_in(&then, "outcome", "").as_str(), state_in(&then, "hearing", "").as_str()),
        ("none", "none")
    );
    let later = desk.status_at(Cut { version: Some(Version(4)), ..Cut::default() });
    assert_eq!(state_in(&later, "hearing", ""), "held");
}

#[test]
fn times_of_day_order_events_of_one_day() {
    let desk = Desk::new();
    desk.record("hearing-listed on=2021-02-01T09:00Z");
    desk.record("note-made on=2021-02-01T17:00Z");
    desk.record("note-made on=2021-02-01T11:00Z");
    desk.record("hearing-held on=2021-02-01T10:00Z");
    let versions: Vec<u64> = desk.timeline().into_iter().map(|(version, _)| version).collect();
    assert_eq!(versions, [1, 2, 5, 4, 3]);
    let refusal = desk.refused("hearing-listed on=2021-02-01T08:00Z");
    assert_eq!(refusal.loses_footing.len(), 1, "{refusal:#?}");
}

#[test]
fn an_event_that_contradicts_its_own_links_is_invalid() {
    let desk = Desk::new();
    desk.record("hearing-listed on=2021-02-01");
    desk.record("note-made on=2021-03-01");
    let invalid = desk.invalid("note-made on=2020-06-01 after=2");
    assert_eq!(invalid.field, "occurred");
    let invalid = desk.invalid("note-made after=3 before=2");
    assert!(invalid.problem.contains("contradict"), "{invalid}");
    let invalid = desk.invalid("note-made after=17");
    assert!(invalid.problem.contains("no event 17"), "{invalid}");
}

#[test]
fn a_history_as_at_a_day_leaves_out_what_happened_later() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty on=2021-05-10");
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2021-06");
    accepted(desk.correct(5, json!({"disposal": "custody"})));
    let versions = |day: &str| {
        let cut = Cut { at: Some(Day::parse(day).unwrap()), ..Cut::default() };
        let history = desk.wait(desk.engine.history(&desk.case, cut, Default::default())).unwrap();
        history.iter().map(|entry| (entry.event.version.0, entry.uncertain)).collect::<Vec<_>>()
    };
    let late = |day: &str| versions(day).into_iter().filter(|(version, _)| *version > 3).collect::<Vec<_>>();
    assert_eq!(late("2021-05-20"), [(4, false)], "neither the sentence nor its correction");
    assert_eq!(late("2021-06-10"), [(4, false), (5, true), (6, false)], "it may have been passed by then");
    assert_eq!(late("2021-07-01"), [(4, false), (5, false), (6, false)]);
}

#[test]
fn a_refusal_for_the_sake_of_later_events_says_where_none_would_fall() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=not-guilty on=2021-05-01");
    desk.record("verdict-returned charge=C1 verdict=guilty on=2021-05-03");
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2021-06-01");
    // Legal at its own place, where a charge may be tried, but the plea would have nothing to answer.
    let line = "trial-opened charge=C1";
    let refusal = desk.refused(&format!("{line} on=2021-07-01"));
    assert_eq!(refusal.lawful_between, Some((Some(Version(4)), Some(Version(5)))));
}

#[test]
fn a_place_where_later_events_would_fall_is_no_lawful_place() {
    let desk = Desk::new();
    desk.record("fine-imposed on=2021-05-01");
    desk.record("matter-settled on=2021-06-01");
    // Before the fine a caution is legal itself, but then the fine is not: no place is left.
    let refusal = desk.refused("caution-given on=2021-04-01");
    assert_eq!((rules(&refusal), refusal.lawful_between), (vec!["engine:footing"], None));
    let desk = Desk::new();
    desk.record("case-closed on=2021-05-01");
    desk.record("case-reopened on=2021-06-01");
    desk.record("case-closed on=2021-07-01");
    // Legal between the two closings in every place but its own.
    let refusal = desk.refused("case-closed on=2021-04-01");
    assert_eq!(rules(&refusal), ["engine:footing"]);
    assert_eq!(refusal.lawful_between, None);
    let refusal = desk.refused("letter-received on=2021-05-10");
    assert_eq!(refusal.lawful_between, Some((Some(Version(3)), Some(Version(4)))));
    desk.record("letter-received after=3 before=4");
}

#[test]
fn in_a_list_the_event_that_takes_footing_is_told_where_it_would_take_none() {
    let desk = Desk::new();
    desk.record("hearing-listed on=2021-02-01");
    desk.record("case-closed on=2021-03-01");
    desk.record("case-reopened on=2021-04-01");
    let refusal = desk.refused_list(&["note-made on=2021-01-02", "case-closed on=2021-01-01"]);
    assert_eq!((rules(&refusal), refusal.index), (vec!["engine:footing"], Some(1)));
    assert_eq!(refusal.lawful_between, Some((Some(Version(4)), None)));
}
