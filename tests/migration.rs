//! A case adopts a later version of its definition when its history is legal there, or its states are mapped; never blindly,
//! and what it was before stays readable for ever.

use std::sync::Arc;

use casebook_engine::case::event::{Position, Version};
use casebook_engine::case::reading::{Cut, Recorded};
use casebook_engine::case::state::CaseState;
use casebook_engine::definition::Definition;
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::engine::{
    CaseFilter, Engine, HistoryOrder, InvalidEvent, Opening, RecordError, RecordOptions,
};
use casebook_engine::exchange::import::{ImportOptions, import_case};
use casebook_engine::exchange::jsonl;
use casebook_engine::store::{CaseKey, MemoryStore, SledOptions, SledStore, codec};
use casebook_engine::verify::verify;

use crate::desk::{Desk, SMALL, accepted, definition, event, invalid, json, refusal, rules, small, state_in};
use crate::office::Office;

/// The small definition as another version, with these texts replaced; each must be there.
pub(crate) fn version(number: u32, changes: &[(&str, &str)]) -> String {
    let mut text = SMALL.replace("version: 1", &format!("version: {number}"));
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

/// A hearing that was held is called heard.
const HEARD: [(&str, &str); 2] =
    [("held: { final: true }", "heard: { final: true }"), ("to: held }", "to: heard }")];

/// A letter needs a hearing before it.
pub(crate) const STRICT: [(&str, &str); 1] = [(
    "class: compliance\n        require: definitely_before(event.occurred, date('2030-01-01'))",
    "class: logical\n        require: case.happened('hearing-held')",
)];

/// The verdict's word is another, and version 1 says which it was.
fn found_guilty(mapping: &str) -> String {
    version(2, &[("convicted", "found-guilty"), ("language: casebook/1", mapping)])
}

const MAPPED: &str =
    "language: casebook/1\nmigrates-from: { \"1\": { strands: { charge: { convicted: found-guilty } } } }";

/// An engine over a store in memory, with the small definition and these versions of it.
fn engine(later: &[String]) -> Engine {
    let definitions = std::iter::once(small()).chain(later.iter().map(|text| definition(text)));
    Engine::open(Arc::new(MemoryStore::new()), definitions.collect()).unwrap()
}

/// A case opened under version 1.
fn desk(engine: Engine) -> Desk {
    let desk = Desk::of_open_case(engine, "R/1");
    let event = event(&desk.definition, "case-opened on=2020-01-01 title=Inquiry");
    let opening =
        Opening { reference: "R/1".into(), workflow: "small-inquiry@1".into(), event, then: Vec::new() };
    desk.wait(desk.engine.open_case(opening, RecordOptions::default())).unwrap();
    desk
}

fn convicted(engine: Engine) -> Desk {
    let desk = desk(engine);
    desk.record("person-named person=P1 name=P1 on=2020-02-01");
    desk.record("charge-brought person=P1 charge=C1 on=2020-03-01");
    desk.record("plea-entered charge=C1 plea=guilty on=2020-04-01");
    desk
}

const ADOPT: &str = "definition-migrated version=2 reason=new-rules";

fn pins(desk: &Desk) -> Vec<String> {
    desk.case_state().log().iter().map(|event| event.definition.clone()).collect()
}

#[test]
fn a_case_adopts_a_later_version_and_reads_all_of_its_history_under_it() {
    let desk = desk(engine(&[version(2, &HEARD)]));
    desk.record("hearing-listed on=2020-02-01");
    let held = desk.record("hearing-held on=2020-03-01");
    assert_eq!(desk.state("hearing", ""), "held");
    let adopted = desk.record(ADOPT);
    let moved: Vec<_> =
        adopted.changed.iter().map(|change| (&*change.strand, change.to.as_deref())).collect();
    assert_eq!(moved, [("hearing", Some("heard"))]);
    let status = desk.status();
    assert_eq!(
        (status.workflow.as_str(), state_in(&status, "hearing", "").as_str()),
        ("small-inquiry@2", "heard")
    );
    let data = &adopted.events[0].proposed.data;
    assert_eq!(data["workflow"], "small-inquiry");
    assert_eq!(data["digest"], desk.definition.digest_hex());
    desk.record("letter-received on=2020-04-01");
    assert_eq!(
        pins(&desk),
        ["small-inquiry@1", "small-inquiry@1", "small-inquiry@1", "small-inquiry@2", "small-inquiry@2"]
    );
    // What was known before the adoption is told in the words of then.
    let before = desk.status_at(Cut { version: Some(held.version), ..Cut::default() });
    assert_eq!(
        (before.workflow.as_str(), state_in(&before, "hearing", "").as_str()),
        ("small-inquiry@1", "held")
    );
    let history = desk.wait(desk.engine.history(&desk.case, Cut::default(), HistoryOrder::Recorded)).unwrap();
    let told: Vec<_> = history.iter().map(|entry| entry.timeline).collect();
    assert_eq!(told, [Some(1), Some(2), Some(3), None, Some(4)]);
    assert_eq!(history[2].changed[0].to.as_deref(), Some("held"));
    assert_eq!(history[3].changed[0].to.as_deref(), Some("heard"));
}

#[test]
fn an_adoption_is_on_disk_with_its_definition_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        || Arc::new(SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap());
    let before = {
        let engine = Engine::open(store(), vec![small(), definition(&version(2, &HEARD))]).unwrap();
        let desk = desk(engine);
        desk.record("hearing-listed on=2020-02-01");
        desk.record("hearing-held on=2020-03-01");
        desk.record(ADOPT);
        json(&desk.status())
    };
    let engine = Engine::open(store(), Vec::new()).unwrap();
    let verified = verify(&engine, &|_| {}).unwrap();
    assert!(verified.verified, "{:?}", verified.findings);
    let desk = Desk::of_open_case(engine, "R/1");
    assert_eq!(json(&desk.status()), before);
    let cases = desk.wait(desk.engine.cases(CaseFilter::default())).unwrap();
    assert_eq!(cases[0].workflow, "small-inquiry@2");
    assert!(cases[0].states.contains(&("hearing".into(), "heard".into())));
    desk.record("note-made");
}

#[test]
fn a_version_that_would_make_history_illegal_is_refused_and_the_refusal_names_each_event() {
    let desk = desk(engine(&[version(2, &STRICT)]));
    desk.record("letter-received on=2020-02-01");
    desk.record("hearing-listed on=2020-03-01");
    desk.record("letter-received on=2020-04-01");
    let told = desk.refused(ADOPT);
    assert_eq!(rules(&told), ["engine:adoption"]);
    let lost: Vec<_> =
        told.loses_footing.iter().map(|lost| (lost.version.0, &*lost.reasons[0].rule)).collect();
    assert_eq!(lost, [(2, "letter-in-time"), (4, "letter-in-time")]);
    let dry = RecordOptions { dry_run: true, ..RecordOptions::default() };
    assert_eq!(refusal(desk.propose_with(&[ADOPT], dry)).loses_footing.len(), 2);
    assert_eq!(desk.status().workflow, "small-inquiry@1");
    desk.record("letter-received on=2020-05-01");
}

#[test]
fn a_dry_run_of_an_adoption_says_what_would_change_and_changes_nothing() {
    let desk = desk(engine(&[version(2, &HEARD)]));
    desk.record("hearing-listed");
    desk.record("hearing-held");
    let dry = RecordOptions { dry_run: true, ..RecordOptions::default() };
    let told = accepted(desk.propose_with(&[ADOPT], dry));
    assert!(!told.recorded);
    assert_eq!(told.changed[0].to.as_deref(), Some("heard"));
    assert_eq!((desk.case_state().version(), desk.state("hearing", "").as_str()), (Version(3), "held"));
}

#[test]
fn a_version_without_an_event_type_or_a_field_of_the_history_is_refused() {
    let without = version(2, &[("caution-given", "warning-issued")]);
    let desk = desk(engine(&[without]));
    desk.record("caution-given");
    let told = desk.refused(ADOPT);
    assert_eq!(told.loses_footing[0].version, Version(2));
    assert!(told.loses_footing[0].reasons[0].message.contains("no event type caution-given"));

    let demanding = version(
        2,
        &[(
            "properties: { text: { type: string } } }",
            "properties: { text: { type: string } }, required: [text] }",
        )],
    );
    let desk = self::desk(engine(&[demanding]));
    desk.record("note-made");
    assert!(desk.refused(ADOPT).loses_footing[0].reasons[0].message.contains("text"));
}

#[test]
fn what_authority_excused_stands_in_no_adoptions_way() {
    let desk = convicted(engine(&[version(2, &[])]));
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2020-06-01");
    desk.record("appeal-lodged charge=C1");
    desk.record("hearing-held by=judge-1:reviewer override=court");
    // The plea goes, and the sentence stays without ground, on authority.
    let plea = desk.case_state().log()[3].id.to_string();
    accepted(desk.propose(&[&format!(
        "event-annulled annuls={plea} reason=mistaken by=judge-1:reviewer override=court"
    )]));
    assert!(!desk.status().consistent);
    desk.record(ADOPT);
    let status = desk.status();
    assert_eq!(
        (status.workflow.as_str(), status.consistent, status.overrides.len()),
        ("small-inquiry@2", false, 2)
    );
}

#[test]
fn a_gap_and_a_breach_are_carried_along_and_nobody_is_accused_anew() {
    let stricter = version(
        2,
        &[
            ("date('2030-01-01')", "date('2010-01-01')"),
            ("warn-before-interview", "caution-before-interview"),
        ],
    );
    let desk = desk(engine(&[stricter]));
    desk.record("person-named person=P1 name=P1");
    desk.record("interview-held person=P1");
    desk.record("letter-received on=2020-01-01");
    desk.record_with_gaps("report-finished");
    let adopted = desk.record(ADOPT);
    assert_eq!(adopted.events.len(), 1, "an adoption notes no breach of what was lawful");
    let status = desk.status();
    assert_eq!((status.gaps.len(), status.breaches.len()), (1, 1));
    assert!(!status.breaches[0].ground_gone, "a version that drops a rule takes no breach back");
}

#[test]
fn states_are_mapped_where_the_version_says_so_and_history_is_not_read_anew() {
    let desk = convicted(engine(&[found_guilty(MAPPED)]));
    desk.record("appeal-lodged charge=C1");
    let adopted = desk.record(ADOPT);
    assert_eq!(adopted.changed[0].to.as_deref(), Some("found-guilty"));
    assert_eq!(desk.state("charge", "C1"), "found-guilty");
    let status = desk.status();
    let charge = status.strands.iter().find(|row| row.strand == "charge").unwrap();
    assert_eq!(charge.overlays, ["appeal-pending"]);
    assert_eq!(charge.since.as_ref().unwrap().version, Version(4));
    // The case goes on from there, conditions over what happened before included.
    desk.record("sentence-passed charge=C1 disposal=fine decided=court on=2020-06-01");
    assert_eq!(desk.state("charge", "C1"), "sentenced");
    let history = desk.wait(desk.engine.history(&desk.case, Cut::default(), HistoryOrder::Recorded)).unwrap();
    let told: Vec<_> = history.iter().map(|entry| entry.timeline).collect();
    assert_eq!(told, [Some(1), Some(2), Some(3), Some(4), Some(5), None, Some(6)]);
    assert_eq!(history[3].changed[0].to.as_deref(), Some("convicted"));
    let verified = verify(&desk.engine, &|_| {}).unwrap();
    assert!(verified.verified, "{:?}", verified.findings);
}

#[test]
fn an_event_before_a_mapping_can_still_be_put_right() {
    let desk = convicted(engine(&[found_guilty(MAPPED)]));
    desk.record(ADOPT);
    accepted(desk.correct(4, serde_json::json!({ "plea": "not-guilty" })));
    assert_eq!(desk.state("charge", "C1"), "tried");
    let footing = refusal(desk.propose(&["event-annulled annuls=\"3\" reason=mistaken"]));
    assert_eq!(rules(&footing), ["engine:footing"]);
    assert_eq!(footing.loses_footing[0].version, Version(4));
}

#[test]
fn a_state_that_is_neither_mapped_nor_kept_is_refused_by_name() {
    let mapping = "language: casebook/1\nmigrates-from: { \"1\": {} }";
    let desk = convicted(engine(&[found_guilty(mapping)]));
    let told = desk.refused(ADOPT);
    assert_eq!(rules(&told), ["engine:adoption", "engine:state"]);
    let state = &told.reasons[1];
    let place = (state.strand.as_deref(), state.entity.as_deref(), state.state.as_deref());
    assert_eq!(place, (Some("charge"), Some("C1"), Some("convicted")));
}

#[test]
fn after_a_mapping_an_earlier_day_is_told_by_the_version_of_then() {
    let desk = convicted(engine(&[found_guilty(MAPPED)]));
    desk.record(ADOPT);
    let at =
        |day: &str| Cut { at: Some(casebook_engine::case::day::Day::parse(day).unwrap()), ..Cut::default() };
    let then = desk.status_at(at("2020-03-15"));
    assert_eq!(
        (then.workflow.as_str(), state_in(&then, "charge", "C1").as_str()),
        ("small-inquiry@1", "brought")
    );
    let now = desk.status_at(at("9999-01-01"));
    assert_eq!(
        (now.workflow.as_str(), state_in(&now, "charge", "C1").as_str()),
        ("small-inquiry@2", "found-guilty")
    );
}

#[test]
fn a_case_adopts_one_version_after_another() {
    let third = version(
        3,
        &[
            ("convicted", "found-guilty"),
            ("held: { final: true }", "heard: { final: true }"),
            ("to: held }", "to: heard }"),
        ],
    );
    let desk = convicted(engine(&[found_guilty(MAPPED), third]));
    desk.record(ADOPT);
    desk.record("hearing-listed");
    desk.record("hearing-held");
    desk.record("definition-migrated version=3 reason=again");
    let status = desk.status();
    assert_eq!(status.workflow, "small-inquiry@3");
    assert_eq!(
        (state_in(&status, "charge", "C1"), state_in(&status, "hearing", "")),
        ("found-guilty".into(), "heard".into())
    );
    check_stepped(&desk);
}

/// Event by event gives the same as all at once.
#[track_caller]
fn check_stepped(desk: &Desk) {
    let whole = desk.case_state();
    let last = whole.known_when(|event| event.version <= whole.version());
    let told = |state: &CaseState| json(&casebook_engine::case::telling::status(state, Cut::default()));
    assert_eq!(told(&last), told(&whole));
    let opened = desk.engine.definitions().into_iter().find(|known| known.version == 1).unwrap();
    let library = casebook_engine::case::adoption::Library::of(desk.engine.definitions());
    let mut evolved = CaseState::before_opening(opened).knowing(library);
    for (position, event) in (1..).map(Position).zip(whole.log()) {
        evolved.evolve(event.as_ref().clone(), position);
    }
    assert_eq!(told(&evolved), told(&whole));
}

#[test]
fn an_adoption_and_what_follows_it_go_into_one_batch() {
    let desk = desk(engine(&[version(2, &HEARD)]));
    let recorded = accepted(desk.propose(&["hearing-listed", ADOPT, "hearing-held"]));
    let pins: Vec<_> = recorded.events.iter().map(|event| event.definition.as_str()).collect();
    assert_eq!(pins, ["small-inquiry@1", "small-inquiry@2", "small-inquiry@2"]);
    assert_eq!(desk.state("hearing", ""), "heard");
}

fn export(desk: &Desk) -> String {
    let history = desk.wait(desk.engine.history(&desk.case, Cut::default(), HistoryOrder::Recorded)).unwrap();
    let lines =
        history.iter().map(|entry| String::from_utf8(codec::encode(&entry.event).unwrap()).unwrap() + "\n");
    lines.collect()
}

#[test]
fn an_exported_case_that_has_adopted_a_version_imports_again() {
    for later in [version(2, &HEARD), found_guilty(MAPPED)] {
        let from = convicted(engine(std::slice::from_ref(&later)));
        from.record("hearing-listed on=2020-05-01");
        from.record("hearing-held on=2020-06-01");
        from.record(ADOPT);
        from.record("sentence-passed charge=C1 disposal=fine decided=court on=2020-06-01");
        let text = export(&from);
        let to = Desk::of_open_case(engine(&[later]), "R/1");
        let lines = jsonl::read_file(text.as_bytes()).unwrap().cases.remove(0);
        let imported = to.wait(import_case(&to.engine, &lines, ImportOptions::default())).unwrap();
        assert_eq!((imported.recorded, imported.added), (from.case_state().log().len(), 0));
        let states = |desk: &Desk| {
            let status = desk.status();
            (
                status.workflow,
                serde_json::to_value(status.derived).unwrap(),
                desk.state("charge", "C1"),
                desk.state("hearing", ""),
            )
        };
        assert_eq!(states(&to), states(&from));
        let again = to.wait(import_case(&to.engine, &lines, ImportOptions::default())).unwrap();
        assert_eq!(again.recorded, 0);
    }
}

fn wrong(desk: &Desk, line: &str) -> InvalidEvent {
    desk.invalid(line)
}

#[test]
fn what_no_case_adopts_is_refused_with_what_to_do() {
    let desk = desk(engine(&[version(2, &HEARD), version(3, &[])]));
    let check = |line: &str, field: &str, words: &str| {
        let told = wrong(&desk, line);
        assert_eq!(told.field, field, "{line}: {told:?}");
        assert!(told.problem.contains(words), "{line}: {told:?}");
        assert!(
            told.help.is_some() || line.contains("=two") || ["data.reason", "data.annuls"].contains(&field),
            "{line}: {told:?}"
        );
    };
    check("definition-migrated version=1 reason=r", "data.version", "under small-inquiry@1 already");
    check("definition-migrated version=9 reason=r", "data.version", "no small-inquiry@9 here");
    check(
        "definition-migrated version=2 workflow=other reason=r",
        "data.workflow",
        "never comes under other",
    );
    check("definition-migrated version=2 digest=00 reason=r", "data.digest", "another content");
    check("definition-migrated version=2 reason=r on=2020", "occurred", "when that is recorded");
    check(
        "definition-migrated version=2 reason=r by=judge-1:reviewer override=court",
        "override",
        "no authority",
    );
    check("definition-migrated version=two reason=r", "data.version", "two");
    check("definition-migrated version=2", "data.reason", "reason");
    desk.record("definition-migrated version=3 reason=r");
    check(ADOPT, "data.version", "never goes back");
    let adopted = desk.case_state().log()[1].id;
    check(&format!("event-annulled annuls={adopted} reason=r"), "data.annuls", "adopt a later one");
}

#[test]
fn a_version_that_cases_use_is_not_adopted_with_another_content() {
    let store = Arc::new(MemoryStore::new());
    {
        let engine =
            Engine::open(Arc::clone(&store) as _, vec![small(), definition(&version(2, &HEARD))]).unwrap();
        let other = Desk::of_open_case(engine.clone(), "R/2");
        let event = event(&other.definition, "case-opened");
        let opening =
            Opening { reference: "R/2".into(), workflow: "small-inquiry@2".into(), event, then: Vec::new() };
        other.wait(engine.open_case(opening, RecordOptions::default())).unwrap();
    }
    let changed = definition(&version(2, &[]));
    let digest = changed.digest_hex();
    let desk = desk(Engine::open(store, vec![small(), changed]).unwrap());
    match desk.propose(&[ADOPT]) {
        Err(RecordError::WorkflowChanged { pin }) => assert_eq!(pin, "small-inquiry@2"),
        other => panic!("{other:?}"),
    }
    let told = invalid(desk.propose(&[&format!("{ADOPT} digest={digest}")]));
    assert!(told.field == "data.digest" && told.problem.contains("another content"), "{told:?}");
}

#[test]
fn the_same_adoption_is_recorded_once_under_its_key() {
    let desk = desk(engine(&[version(2, &HEARD)]));
    let under = || RecordOptions { idempotency_key: Some("k".into()), ..RecordOptions::default() };
    let first: Recorded = accepted(desk.propose_with(&[ADOPT], under()));
    let again = accepted(desk.propose_with(&[ADOPT], under()));
    assert!(again.repeated && first.events == again.events);
}

#[track_caller]
fn problem_of(head: &str) -> String {
    let text =
        version(2, &[("language: casebook/1", &format!("language: casebook/1\nmigrates-from: {head}"))]);
    let compiled: Result<Definition, _> = compile(&[SourceFile { name: "definition.yaml".into(), text }]);
    let problems = compiled.expect_err("it is wrong");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    format!("{} {}", problems[0].code, problems[0].message)
}

#[test]
fn a_mapping_is_checked_against_the_version_that_gives_it() {
    assert!(problem_of("{ \"1\": { strands: { charges: {} } } }").contains("`charges` is no strand"));
    assert!(
        problem_of("{ \"1\": { strands: { charge: { brought: guilty } } } }")
            .contains("`guilty` is no state of `charge`")
    );
    assert!(problem_of("{ \"2\": {} }").contains("no earlier version"));
    assert!(problem_of("{ one: {} }").contains("no earlier version"));
    assert!(problem_of("[1]").contains("is a map"));
    assert!(problem_of("{ \"1\": { states: {} } }").contains("has no `states`"));
}

#[test]
fn an_event_of_another_case_is_no_reason_to_load_a_definition_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    {
        let store = Arc::new(SledStore::open_or_create(&path, SledOptions::default()).unwrap());
        let desk = desk(Engine::open(store, vec![small(), definition(&version(2, &HEARD))]).unwrap());
        desk.record(ADOPT);
    }
    // Without the definition that it adopted, a case says so rather than reading under the wrong one.
    let gone =
        path.join("definitions").join(format!("{}.json", definition(&version(2, &HEARD)).digest_hex()));
    std::fs::remove_file(gone).unwrap();
    let store = Arc::new(SledStore::open(&path, SledOptions::default()).unwrap());
    let desk = Desk::of_open_case(Engine::open(store, Vec::new()).unwrap(), "R/1");
    let error = desk.wait(desk.engine.case(&CaseKey::Reference("R/1".into()))).unwrap_err();
    let told = format!(
        "{error}: {}",
        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
    );
    assert!(told.contains("small-inquiry@2"), "{told}");
}

#[test]
fn the_program_brings_a_case_under_a_definition_at_a_path() {
    let office = Office::with_a_case();
    let heard = office.file("heard.yaml", version(2, &HEARD));
    let dry = office.done(&["migrate", "R/1", &heard, "--reason", "r", "--dry-run"]);
    assert!(dry.contains("Would be recorded"), "{dry}");
    let done = office.done(&["migrate", "R/1", &heard, "--reason", "r"]);
    assert!(done.contains("small-inquiry@2"), "{done}");
    let history = office.done(&["history", "R/1"]);
    assert!(history.contains("Under small-inquiry@2 from here on. Reason: r"), "{history}");
    assert!(office.done(&["status", "R/1"]).contains("small-inquiry@2"));
    office.done(&["replay", "R/1"]);
    office.done(&["diff", "R/1", "--from", "2", "--to", "4"]);
    office.done(&["audit", "verify"]);
    office.wrong(&["migrate", "R/1", "small-inquiry@1", "--reason", "r"], 2, &["never goes back"]);
}

#[test]
fn the_program_says_why_a_case_does_not_come_under_a_version() {
    let office = Office::with_a_case();
    office.done(&["record", "R/1", "letter-received"]);
    let strict = office.file("strict.yaml", version(2, &STRICT));
    let words = ["letter received", "event 4", "would not accept", "small-inquiry@2"];
    office.wrong(&["migrate", "R/1", &strict, "--reason", "new rules"], 3, &words);
    let words = ["no small-inquiry@2 here", "small-inquiry@1"];
    office.wrong(&["migrate", "R/1", "small-inquiry@2", "--reason", "r"], 2, &words);
    office.wrong(&["migrate", "R/1", "small-inquiry", "--reason", "r"], 2, &["NAME@VERSION"]);
    office.wrong(&["migrate", "R/1", "./gone.yaml", "--reason", "r"], 5, &["gone.yaml"]);
    office.wrong(&["migrate", "R/9", &strict, "--reason", "r"], 5, &["no case R/9"]);
    office.wrong(&["migrate", "R/1", &strict], 2, &["--reason"]);
    let broken = office.file("broken.yaml", "workflow: small-inquiry\nversion: two\n");
    office.wrong(&["migrate", "R/1", &broken, "--reason", "r"], 2, &["problem"]);
}
