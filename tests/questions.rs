//! A question that cannot be answered says why, instead of answering something else.

use casebook_engine::case::event::{Scope, Version};
use casebook_engine::case::reading::Cut;
use casebook_engine::engine::QueryError;

use crate::desk::{Desk, engine_of, police_conduct, rules};

fn unopened() -> Desk {
    Desk::at(engine_of(police_conduct()), "Q/1", "case-opened by=officer-1:caseworker matter_type=conduct")
}

#[test]
fn an_event_about_an_entity_that_the_case_does_not_have_is_refused_and_not_promised() {
    let desk = unopened();
    let asked = desk.wait(desk.engine.may(&desk.case, "sentence-passed", &Scope::new())).unwrap();
    let refusal = asked.expect_err("there is no charge to sentence");
    assert!(rules(&refusal).iter().all(|rule| *rule == "engine:scope"), "{refusal:?}");
    assert!(refusal.reasons.iter().any(|reason| reason.message.contains("no charge yet")), "{refusal:?}");
}

#[test]
fn a_kind_of_entity_that_does_not_exist_is_named_with_a_suggestion() {
    let desk = unopened();
    let scope = Scope::from([("chrage".to_owned(), "C1".to_owned())]);
    let problem = desk.wait(desk.engine.may(&desk.case, "sentence-passed", &scope)).unwrap_err();
    assert!(problem.to_string().contains("did you mean charge?"), "{problem}");
}

#[test]
fn the_record_before_the_opening_of_a_case_says_nothing_of_it() {
    let desk = unopened();
    let cuts = [
        Cut { version: Some(Version(0)), ..Cut::default() },
        Cut { known_at: Some("2000-01-01T00:00:00Z".parse().unwrap()), ..Cut::default() },
    ];
    for cut in cuts {
        let answer = desk.wait(desk.engine.status(&desk.case, cut));
        assert!(matches!(answer, Err(QueryError::Unknown { .. })), "{answer:?}");
    }
}
