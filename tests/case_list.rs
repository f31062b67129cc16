//! The list of cases: filtered, and rebuilt equal from the log alone.

use std::sync::Arc;

use casebook_engine::case::reading::CaseSummary;
use casebook_engine::engine::{CaseFilter, Engine};
use casebook_engine::store::{SledOptions, SledStore};

use crate::desk::{Desk, engine_of, small};

fn list(desk: &Desk, filter: CaseFilter) -> Vec<CaseSummary> {
    desk.wait(desk.engine.cases(filter)).unwrap()
}

fn references(desk: &Desk, filter: CaseFilter) -> Vec<String> {
    list(desk, filter).into_iter().map(|summary| summary.reference).collect()
}

fn in_state(states: &[(&str, &str)]) -> CaseFilter {
    let states = states.iter().map(|(strand, state)| ((*strand).to_owned(), (*state).to_owned())).collect();
    CaseFilter { states, ..CaseFilter::default() }
}

/// Twelve cases; every third is closed, every fourth has a conviction.
fn twelve(engine: &Engine) -> Desk {
    for number in 0..12 {
        let desk =
            Desk::at(engine.clone(), &format!("R/{number:02}"), &format!("case-opened title=Title-{number}"));
        if number % 4 == 0 {
            desk.record("person-named person=P1 name=x");
            desk.record("charge-brought charge=C1");
            desk.record("plea-entered charge=C1 plea=guilty");
        }
        if number % 3 == 0 && number % 4 != 0 {
            desk.record("case-closed");
        }
        desk.record("note-made");
    }
    Desk::of_open_case(engine.clone(), "R/00")
}

fn check_list(desk: &Desk) {
    assert_eq!(list(desk, CaseFilter::default()).len(), 12);
    assert_eq!(references(desk, in_state(&[("case", "closed")])), ["R/03", "R/06", "R/09"]);
    assert_eq!(references(desk, in_state(&[("charge", "convicted")])), ["R/00", "R/04", "R/08"]);
    assert_eq!(
        references(desk, in_state(&[("position", "convicted"), ("case", "open")])),
        ["R/00", "R/04", "R/08"]
    );
    assert_eq!(references(desk, in_state(&[("position", "convicted"), ("case", "closed")])), [""; 0]);
    assert_eq!(references(desk, in_state(&[("charge", "brought")])), [""; 0], "it has moved on");
    assert_eq!(references(desk, in_state(&[("no-such", "closed")])), [""; 0]);
    let text = |text: &str| CaseFilter { text: Some(text.into()), ..CaseFilter::default() };
    assert_eq!(references(desk, text("title-1")), ["R/01", "R/10", "R/11"]);
    assert_eq!(references(desk, text("r/05")), ["R/05"]);
    let page = CaseFilter { limit: 2, after: Some("R/03".into()), ..in_state(&[("case", "closed")]) };
    assert_eq!(references(desk, page), ["R/06", "R/09"]);
    let page = CaseFilter { limit: 3, after: Some("R/07".into()), ..CaseFilter::default() };
    assert_eq!(references(desk, page), ["R/08", "R/09", "R/10"]);
}

#[test]
fn a_dropped_list_is_rebuilt_equal() {
    let desk = twelve(&engine_of(small()));
    check_list(&desk);
    let before = list(&desk, CaseFilter::default());
    desk.store().models().drop_model("case-list-1").unwrap();
    assert_eq!(list(&desk, CaseFilter::default()), before);
    check_list(&desk);
}

#[test]
fn the_list_outlives_the_process_and_moves_with_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        || Arc::new(SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap());
    let before = {
        let desk = twelve(&Engine::open(store(), vec![small()]).unwrap());
        check_list(&desk);
        list(&desk, CaseFilter::default())
    };
    let engine = Engine::open(store(), vec![small()]).unwrap();
    let desk = Desk::of_open_case(engine.clone(), "R/03");
    assert_eq!(list(&desk, CaseFilter::default()), before);
    desk.record("case-reopened");
    assert_eq!(references(&desk, in_state(&[("case", "closed")])), ["R/06", "R/09"]);
    desk.record("case-closed");
    check_list(&desk);
    engine.store().models().drop_model("case-list-1").unwrap();
    check_list(&desk);
}

#[test]
fn a_case_of_very_many_entities_is_listed() {
    let desk = Desk::new();
    for group in 0..20 {
        let lines: Vec<String> =
            (0..100).map(|number| format!("person-named person=person-{group}-{number} name=x")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        desk.propose(&lines).unwrap();
    }
    assert_eq!(references(&desk, in_state(&[("position", "clear")])), ["R/1"]);
}
