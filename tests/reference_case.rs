//! The reference case: what the published text says, and nothing that it does not say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use casebook_engine::case::event::Version;
use casebook_engine::case::occurred::Day;
use casebook_engine::case::reading::{Cut, StatusReading};
use casebook_engine::exchange::import::{ImportOptions, import_case};
use casebook_engine::exchange::jsonl::{parse_line, read_file};
use casebook_engine::store::CaseKey;
use serde_json::{Value, json};

use crate::desk::{Desk, engine_of, police_conduct, state_in};

const REFERENCE: &str = "2020/146999";

fn file(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/reference-case");
    std::fs::read(folder.join(name)).unwrap()
}

/// Every state by strand and entity, as `expected-status.json` writes them.
fn states(reading: &StatusReading) -> Value {
    let mut states: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    let strands = reading.strands.iter().map(|row| (&row.strand, &row.entity, &row.state));
    let derived = reading.derived.iter().map(|row| (&row.strand, &row.entity, &row.state));
    for (strand, entity, state) in strands.chain(derived) {
        let owner = entity.as_deref().unwrap_or("case");
        states.entry(strand).or_default().insert(owner, state.as_deref().unwrap_or("-"));
    }
    serde_json::to_value(states).unwrap()
}

#[track_caller]
fn check_states(desk: &Desk) {
    let expected: Value = serde_json::from_slice(&file("expected-status.json")).unwrap();
    let found = states(&desk.status());
    for (strand, owners) in expected.as_object().unwrap() {
        let none = json!({});
        assert_eq!(found.get(strand).unwrap_or(&none), owners, "strand {strand}");
    }
}

/// The case imported, all lines in one batch.
fn imported() -> Desk {
    let engine = engine_of(police_conduct());
    let desk = Desk::of_open_case(engine, REFERENCE);
    let lines = read_file(&file("2020-146999.jsonl")[..]).unwrap();
    assert_eq!((lines.problems.len(), lines.cases.len()), (0, 1));
    desk.wait(import_case(&desk.engine, &lines.cases[0], ImportOptions::default())).unwrap();
    desk
}

#[test]
fn event_by_event_it_ends_where_it_should() {
    let desk = Desk::of_open_case(engine_of(police_conduct()), REFERENCE);
    let options = || casebook_engine::engine::RecordOptions { imported: true, ..Default::default() };
    let mut recorded = 0;
    for (index, text) in file("2020-146999.jsonl").split(|byte| *byte == b'\n').enumerate() {
        let Some(line) = parse_line(text, index == 0).unwrap() else { continue };
        recorded += 1;
        let told = match line.workflow {
            Some(workflow) => {
                let (reference, then) = (line.case, Vec::new());
                let opening =
                    casebook_engine::engine::Opening { reference, workflow, event: line.event, then };
                desk.wait(desk.engine.open_case(opening, options()))
            }
            None => desk.wait(desk.engine.record(&desk.case, vec![line.event], options())),
        };
        let told = told.unwrap_or_else(|error| panic!("line {}: {error:?}", index + 1));
        assert_eq!(told.events.len(), 1, "line {}: nothing is added to what was published", index + 1);
    }
    assert_eq!(desk.case_state().version(), Version(recorded));
    check_states(&desk);
    let status = desk.status();
    assert!(status.consistent);
    assert_eq!((status.breaches.len(), status.overrides.len()), (0, 0));
    assert!(status.gaps.iter().all(|gap| gap.closed_by.is_none() && !gap.why_known.is_empty()));
}

#[test]
fn imported_in_one_batch_it_is_the_same_case_and_an_import_again_adds_nothing() {
    let desk = imported();
    check_states(&desk);
    let before = desk.case_state().version();
    let lines = read_file(&file("2020-146999.jsonl")[..]).unwrap();
    let again = desk.wait(import_case(&desk.engine, &lines.cases[0], ImportOptions::default())).unwrap();
    assert_eq!((again.recorded, desk.case_state().version()), (0, before));
}

#[test]
fn nothing_is_invented() {
    let desk = imported();
    let state = desk.case_state();
    let types: Vec<&str> = state.log().iter().map(|event| event.proposed.event_type.as_str()).collect();
    for name in &types {
        assert!(!name.contains("finding") && !name.contains("outcome"), "{name}");
    }
    let held = state.log().iter().find(|event| event.proposed.event_type.contains("hearing-held")).unwrap();
    let occurred = held.proposed.occurred.clone().unwrap_or_default();
    assert_eq!(occurred.bounds().earliest, None, "nobody says when it was held");
    assert!(
        !held.proposed.data.keys().any(|field| field.contains("outcome") || field.contains("finding")),
        "{held:?}"
    );
    let text = serde_json::to_string(&held.proposed).unwrap();
    assert!(!text.contains("dismiss"), "{text}");
}

#[test]
fn it_replays_as_at_earlier_days() {
    let desk = imported();
    let at = |year, month, day| desk.status_at(Cut { at: Day::from_ymd(year, month, day), ..Cut::default() });
    let summer = at(2022, 6, 30);
    assert_eq!(state_in(&summer, "investigation", "I1"), "concluded");
    assert_eq!(state_in(&summer, "criminal", "SUB-1"), expected_criminal(&summer));
    assert_ne!(state_in(&summer, "disciplinary", "SUB-1"), "sentenced");
    let before_sentence = at(2023, 8, 1);
    assert_eq!(state_in(&before_sentence, "charge", "C1"), "convicted");
    assert_eq!(state_in(&before_sentence, "criminal", "SUB-1"), "convicted-awaiting-sentence");
    assert_eq!(state_in(&at(2023, 12, 31), "charge", "C1"), "sentenced");
    let first = at(2020, 1, 1);
    assert!(first.uncertain.len() >= first.entities.len(), "what has no date may have happened by then");
}

/// Without a charge that is certain by then, the criminal position does not go beyond a decision to charge.
fn expected_criminal(reading: &StatusReading) -> String {
    let state = state_in(reading, "criminal", "SUB-1");
    let charged = reading.strands.iter().any(|strand| strand.strand == "charge");
    assert!(charged || !["before-court", "convicted", "sentenced"].contains(&state.as_str()), "{state}");
    state
}

#[test]
fn its_history_is_exported_and_imported_elsewhere_alike() {
    let desk = imported();
    let state = desk.case_state();
    let mut text = Vec::new();
    for event in state.log() {
        text.extend(casebook_engine::store::codec::encode(event).unwrap());
        text.push(b'\n');
    }
    let other = Desk::of_open_case(engine_of(police_conduct()), REFERENCE);
    let lines = read_file(&text[..]).unwrap();
    assert_eq!(lines.problems.len(), 0, "{:?}", lines.problems);
    other.wait(import_case(&other.engine, &lines.cases[0], ImportOptions::default())).unwrap();
    check_states(&other);
    let mut readings = [&desk, &other].map(|desk| serde_json::to_value(desk.status()).unwrap());
    for reading in &mut readings {
        for field in ["case_id", "position"] {
            reading.as_object_mut().unwrap().remove(field);
        }
    }
    assert_eq!(readings[0], readings[1]);
    assert_eq!(CaseKey::Reference(REFERENCE.into()), other.case);
}
