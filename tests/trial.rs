//! A trial says what a draft would do to every case, writes nothing, and says of an adoption what the engine would say.

use std::sync::Arc;

use casebook_engine::case::day::Day;
use casebook_engine::case::deadline::Answer;
use casebook_engine::case::deadline_reading::DueReading;
use casebook_engine::definition::Definition;
use casebook_engine::engine::{Engine, Opening, RecordError, RecordOptions};
use casebook_engine::store::{CaseKey, EventStore, MemoryStore, SledOptions, SledStore};
use casebook_engine::trial::{
    Asked, CASES_AT_ONCE, CaseTrial, DeadlineAnswer, DeadlineChanges, Outcome, TrialError, TrialSummary,
    TriedDeadline, trial,
};
use serde_json::Value;

use crate::desk::{Desk, SMALL, definition, event, small};
use crate::migration::{STRICT, version};
use crate::office::Office;

/// Opens a case under version 1, with these events in one batch.
fn open(engine: &Engine, reference: &str, lines: &[&str]) {
    open_under(engine, "small-inquiry@1", "case-opened on=2020-01-01", reference, lines);
}

fn open_under(engine: &Engine, pin: &str, opening: &str, reference: &str, lines: &[&str]) {
    let desk = Desk::of_open_case(engine.clone(), reference);
    let under = engine.definitions().into_iter().find(|known| known.pin() == pin).unwrap();
    let opening = Opening {
        reference: reference.into(),
        workflow: under.pin(),
        event: event(&under, opening),
        then: lines.iter().map(|line| event(&under, line)).collect(),
    };
    desk.wait(engine.open_case(opening, RecordOptions::default())).unwrap();
}

/// Cases of every kind that a draft tells apart.
fn some_cases(engine: &Engine) {
    open(engine, "R/1", &["note-made"]);
    open(engine, "R/2", &["letter-received on=2020-02-01"]);
    open(engine, "R/3", &["hearing-listed", "hearing-held", "letter-received on=2020-02-01"]);
    let charged =
        ["person-named person=P1 name=P1", "charge-brought charge=C1", "plea-entered charge=C1 plea=guilty"];
    open(engine, "R/4", &charged);
    open(engine, "R/5", &["hearing-held by=judge-1:reviewer override=court"]);
    open(engine, "R/6", &["letter-received on=2031-01-01"]);
}

fn try_all(engine: &Engine, draft: Definition, asked: &Asked) -> (Vec<CaseTrial>, TrialSummary) {
    let before = *engine.store().head().borrow();
    let mut cases = Vec::new();
    let mut tell = |case| {
        cases.push(case);
        true
    };
    let summary = trial(engine, &Arc::new(draft), asked, &mut tell, &|_| {}).unwrap();
    assert_eq!(*engine.store().head().borrow(), before, "a trial writes nothing");
    (cases, summary)
}

fn all(engine: &Engine, draft: Definition) -> (Vec<CaseTrial>, TrialSummary) {
    try_all(engine, draft, &Asked::default())
}

fn memory(definitions: Vec<Definition>) -> Engine {
    Engine::open(Arc::new(MemoryStore::new()), definitions).unwrap()
}

fn outcomes(cases: &[CaseTrial]) -> Vec<(&str, Outcome)> {
    cases.iter().map(|case| (case.case.as_str(), case.outcome)).collect()
}

#[test]
fn a_trial_tells_case_by_case_what_would_be_refused_and_what_would_change() {
    let engine = memory(vec![small()]);
    some_cases(&engine);
    let lenient = [
        (
            "{ on: hearing-held, from: listed, to: held }",
            "{ on: hearing-held, from: [none, listed], to: held }",
        ),
        ("convicted", "found-guilty"),
    ];
    let (cases, summary) = all(&engine, definition(&version(2, &[&STRICT[..], &lenient].concat())));
    assert_eq!(
        outcomes(&cases),
        [
            ("R/1", Outcome::Unchanged),
            ("R/2", Outcome::Refused),
            ("R/3", Outcome::Unchanged),
            ("R/4", Outcome::Changed),
            ("R/5", Outcome::Changed),
            ("R/6", Outcome::Refused),
        ]
    );
    let counts = (summary.cases, summary.unchanged, summary.changed, summary.refused, summary.could_adopt);
    assert_eq!(counts, (6, 2, 2, 2, 4));
    assert_eq!(cases[1].refused[0].version.0, 2);
    assert_eq!(cases[1].refused[0].reasons[0].rule, "letter-in-time");
    assert!(!cases[1].adoption.accepted && cases[1].adoption.why_not.is_some());
    let moved: Vec<_> = cases[3]
        .states
        .iter()
        .map(|change| {
            (&*change.strand, change.entity.as_deref(), change.from.as_deref(), change.to.as_deref())
        })
        .collect();
    assert_eq!(
        moved,
        [
            ("charge", Some("C1"), Some("convicted"), Some("found-guilty")),
            ("position", Some("P1"), Some("convicted"), Some("found-guilty")),
        ]
    );
    assert_eq!((cases[4].accepted[0].version.0, cases[4].states[0].to.as_deref()), (2, Some("held")));
    // What was late under the old rule is no longer late under the new one: that breach goes.
    assert_eq!(cases[5].breaches_go[0].rule, "letter-in-time");
}

#[test]
fn breaches_that_come_and_go_are_told_with_their_events() {
    let engine = memory(vec![small()]);
    some_cases(&engine);
    let (cases, _) = all(&engine, definition(&version(2, &[("date('2030-01-01')", "date('2020-01-15')")])));
    let coming: Vec<_> = cases
        .iter()
        .flat_map(|case| case.breaches_come.iter().map(|breach| (&*case.case, breach.event.0)))
        .collect();
    assert_eq!(coming, [("R/2", 2), ("R/3", 4)]);
    assert!(cases.iter().all(|case| case.outcome != Outcome::Refused && case.adoption.accepted));
    let (cases, _) = all(&engine, definition(&version(2, &[("date('2030-01-01')", "date('2040-01-01')")])));
    let going: Vec<_> =
        cases.iter().filter(|case| !case.breaches_go.is_empty()).map(|case| &*case.case).collect();
    assert_eq!(going, ["R/6"]);
}

#[test]
fn a_trial_says_of_every_adoption_what_the_engine_says() {
    let mapped = version(
        2,
        &[
            ("convicted", "found-guilty"),
            (
                "language: casebook/1",
                "language: casebook/1\nmigrates-from: { \"1\": { strands: { charge: { brought: tried } } } }",
            ),
        ],
    );
    for draft in
        [version(2, &STRICT), version(2, &[("hearing-listed", "hearing-planned")]), version(2, &[]), mapped]
    {
        let engine = memory(vec![small(), definition(&draft)]);
        some_cases(&engine);
        let (cases, summary) = all(&engine, definition(&draft));
        for case in &cases {
            let desk = Desk::of_open_case(engine.clone(), &case.case);
            let dry = RecordOptions { dry_run: true, ..RecordOptions::default() };
            let said = match desk.propose_with(&["definition-migrated version=2 reason=r"], dry) {
                Ok(recorded) => {
                    assert_eq!(recorded.changed, case.states, "{}", case.case);
                    true
                }
                Err(RecordError::Refused(refusal)) => {
                    let lost: Vec<_> = refusal.loses_footing.iter().map(|lost| lost.version).collect();
                    let refused: Vec<_> = case.refused.iter().map(|lost| lost.version).collect();
                    assert_eq!(lost, refused, "{}", case.case);
                    false
                }
                Err(error) => panic!("{error:?}"),
            };
            assert_eq!(said, case.adoption.accepted, "{}", case.case);
        }
        assert_eq!(summary.could_adopt, cases.iter().filter(|case| case.adoption.accepted).count() as u64);
    }
}

#[test]
fn a_draft_of_the_same_version_is_tried_though_no_case_could_adopt_it() {
    let engine = memory(vec![small()]);
    some_cases(&engine);
    let (cases, summary) = all(&engine, definition(&version(1, &STRICT)));
    assert_eq!((summary.refused, summary.could_adopt), (2, 0));
    assert!(cases[0].adoption.why_not.as_ref().unwrap().contains("later one"));
    let (_, summary) = all(&engine, small());
    assert_eq!((summary.unchanged, summary.could_adopt), (6, 0));
}

#[test]
fn cases_of_a_workflow_or_by_name_are_tried_and_the_others_are_named() {
    let other = SMALL.replace("workflow: small-inquiry", "workflow: other-inquiry");
    let engine = memory(vec![small(), definition(&other)]);
    some_cases(&engine);
    let draft = || definition(&other.replace("convicted", "found-guilty"));
    let (cases, summary) = all(&engine, draft());
    assert_eq!((cases.len(), summary.others), (0, vec!["small-inquiry".to_owned()]));
    let asked = Asked { workflow: Some("small-inquiry".into()), ..Asked::default() };
    let (cases, _) = try_all(&engine, draft(), &asked);
    assert_eq!(cases.len(), 6);
    assert!(cases[0].adoption.why_not.as_ref().unwrap().contains("never comes under"));
    let key = |reference: &str| CaseKey::Reference(reference.into());
    let asked = Asked { cases: vec![key("R/4"), key("R/1")], ..Asked::default() };
    let (cases, _) = try_all(&engine, draft(), &asked);
    assert_eq!(outcomes(&cases), [("R/4", Outcome::Changed), ("R/1", Outcome::Unchanged)]);
    let asked = Asked { cases: vec![key("R/9")], ..Asked::default() };
    let told = trial(&engine, &Arc::new(small()), &asked, &mut |_| true, &|_| {});
    assert!(matches!(told, Err(TrialError::NoSuchCase { reference }) if reference == "R/9"));
}

#[test]
fn more_cases_than_are_in_hand_at_once_are_told_in_order_from_a_store_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn EventStore> =
        Arc::new(SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap());
    let engine = Engine::open(store, vec![small()]).unwrap();
    let count = CASES_AT_ONCE * 2 + 7;
    for number in 0..count {
        let lines: &[&str] =
            if number % 3 == 0 { &["letter-received on=2020-02-01"] } else { &["note-made"] };
        open(&engine, &format!("R/{number:04}"), lines);
    }
    let (cases, summary) = all(&engine, definition(&version(2, &STRICT)));
    assert!(cases.is_sorted_by_key(|case| case.case.clone()));
    assert_eq!((cases.len(), summary.refused), (count, count.div_ceil(3) as u64));
    let mut heard = 0;
    let mut tell = |_| {
        heard += 1;
        heard < 3
    };
    let stopped = trial(&engine, &Arc::new(small()), &Asked::default(), &mut tell, &|_| {});
    assert!(matches!(stopped, Err(TrialError::Stopped)));
    assert_eq!(heard, 3);
}

#[test]
fn the_program_tells_a_trial_as_a_page_and_as_json_lines() {
    let office = Office::with_a_case();
    office.done(&["record", "R/1", "letter-received"]);
    office.done(&["open", "R/2", "--workflow", "small-inquiry"]);
    let strict = office.file("strict.yaml", version(2, &STRICT));
    let same = office.file("same.yaml", version(2, &[]));
    let told = office.run(&["workflow", "trial", &strict]);
    assert_eq!(told.code, 9, "{told:?}");
    for words in ["looked at", "R/1", "event 4", "would refuse", "adoption"] {
        assert!(told.stdout.contains(words), "{words}: {}", told.stdout);
    }
    assert!(!told.stdout.contains("R/2"), "{}", told.stdout);
    let told = office.run(&["workflow", "trial", &strict, "--json"]);
    let lines: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((told.code, lines.len()), (9, 2));
    assert_eq!((&lines[0]["case"], &lines[0]["outcome"]), (&"R/1".into(), &"refused".into()));
    assert_eq!((&lines[1]["summary"]["cases"], &lines[1]["summary"]["refused"]), (&2.into(), &1.into()));
    office.done(&["workflow", "trial", &strict, "R/2"]);
    office.done(&["workflow", "trial", &same]);
}

#[test]
fn a_trial_that_cannot_be_made_says_why() {
    let office = Office::new();
    let same = office.file("same.yaml", version(2, &[]));
    office.wrong(&["workflow", "trial", &same], 5, &["there are no cases"]);
    office.done(&["open", "R/1", "--workflow", "small-inquiry"]);
    let broken = office.file("broken.yaml", "workflow: small-inquiry\nversion: two\n");
    office.wrong(&["workflow", "trial", &broken], 2, &["problem"]);
    office.wrong(&["workflow", "trial", "./gone.yaml"], 5, &["gone.yaml"]);
    office.wrong(&["workflow", "trial", "no-such"], 5, &["no-such"]);
    office.wrong(&["workflow", "trial", &same, "R/9"], 5, &["no case R/9"]);
    office.wrong(&["workflow", "trial", &same, "--workflow", "unused"], 5, &["unused", "small-inquiry"]);
    office.wrong(&["workflow", "trial", "police-conduct"], 5, &["police-conduct", "small-inquiry"]);
    office.wrong(&["workflow", "trial", &same, "--limit", "many"], 2, &["many"]);
}

const TIMED: &str = "workflow: timed
version: 1
language: casebook/1
roles: { clerk: {} }
events: { notice-served: {}, answer-received: {}, report-issued: {} }
deadlines:
  answer: { starts: notice-served, due: { length: 10 days }, met-by: answer-received, missed: breach }
  report: { starts: case-opened, due: { length: 12 months }, then-every: 6 months, met-by: report-issued }
";

/// The same as version 2, with the answer due after so many days.
fn answer_within(days: &str) -> Definition {
    definition(&TIMED.replace("version: 1", "version: 2").replace("10 days", days))
}

fn timed() -> Engine {
    let engine = memory(vec![definition(TIMED)]);
    let cases: [(&str, &[&str]); 4] = [
        ("R/1", &["notice-served on=2021-05-10", "answer-received on=2021-05-18"]),
        ("R/2", &["notice-served on=2021-05-10"]),
        ("R/3", &[]),
        ("R/4", &["notice-served on=2021-05-10", "answer-received on=2021-05-25"]),
    ];
    for (reference, lines) in cases {
        open_under(&engine, "timed@1", "case-opened on=2021-05-03", reference, lines);
    }
    engine
}

fn at(instant: &str) -> Asked {
    Asked { at: Some(instant.parse().unwrap()), ..Asked::default() }
}

/// Each deadline that differs: `case deadline before latest -> after latest`.
fn deadlines_of(cases: &[CaseTrial]) -> Vec<String> {
    let said = |said: Option<DeadlineAnswer>| {
        said.map_or("none".to_owned(), |said| {
            format!(
                "{} {}",
                said.answer.name(),
                said.due.latest.map_or("?".to_owned(), |day| day.to_string())
            )
        })
    };
    let told = cases.iter().flat_map(|case| {
        case.deadlines.iter().map(move |one| {
            format!("{} {} {} -> {}", case.case, one.deadline, said(one.before), said(one.after))
        })
    });
    told.collect()
}

#[test]
fn deadlines_that_would_change_are_told_case_by_case_and_counted() {
    let engine = timed();
    let (cases, summary) = try_all(&engine, answer_within("5 days"), &at("2021-06-01T12:00:00Z"));
    assert_eq!(
        deadlines_of(&cases),
        [
            "R/1 answer met 2021-05-20 -> missed 2021-05-15",
            "R/2 answer missed 2021-05-20 -> missed 2021-05-15",
            "R/4 answer missed 2021-05-20 -> missed 2021-05-15",
        ]
    );
    let counts = |changes: &DeadlineChanges| {
        (changes.newly_missed.cases, changes.no_longer_missed.cases, changes.due_on_another_day.cases)
    };
    assert_eq!(counts(&summary.deadlines), (1, 0, 3));
    assert_eq!(summary.deadlines.newly_missed.examples, ["R/1"]);
    assert_eq!(outcomes(&cases)[2], ("R/3", Outcome::Unchanged));
    assert_eq!((summary.changed, summary.refused, summary.could_adopt), (3, 0, 4));
    // Sooner, what is still running now would be missed.
    let (_, summary) = try_all(&engine, answer_within("5 days"), &at("2021-05-18T12:00:00Z"));
    assert_eq!(summary.deadlines.newly_missed.examples, ["R/1", "R/2"]);
    let (cases, summary) = try_all(&engine, answer_within("20 days"), &at("2021-06-01T12:00:00Z"));
    assert_eq!(counts(&summary.deadlines), (0, 1, 3));
    assert_eq!(summary.deadlines.no_longer_missed.examples, ["R/4"]);
    assert!(deadlines_of(&cases).contains(&"R/4 answer missed 2021-05-20 -> met 2021-05-30".to_owned()));
    let (cases, summary) = try_all(&engine, answer_within("10 days"), &at("2021-06-01T12:00:00Z"));
    assert_eq!((deadlines_of(&cases).len(), summary.unchanged), (0, 4));
}

#[test]
fn a_deadline_that_the_draft_adds_or_leaves_out_is_told() {
    let engine = timed();
    let without = TIMED.replace("version: 1", "version: 2");
    let without =
        without.lines().filter(|line| !line.starts_with("  answer:")).collect::<Vec<_>>().join("\n");
    let (cases, summary) = try_all(&engine, definition(&without), &at("2021-06-01T12:00:00Z"));
    assert_eq!(deadlines_of(&cases)[1], "R/2 answer missed 2021-05-20 -> none");
    assert_eq!(summary.deadlines.no_longer_missed.examples, ["R/2", "R/4"]);
    let more = format!(
        "{}  referral: {{ starts: case-opened, due: {{ counting: following-day }}, met-by: report-issued }}\n",
        TIMED.replace("version: 1", "version: 2")
    );
    let (cases, summary) = try_all(&engine, definition(&more), &at("2021-06-01T12:00:00Z"));
    assert_eq!(deadlines_of(&cases)[2], "R/3 referral none -> missed 2021-05-04");
    assert_eq!((summary.deadlines.newly_missed.cases, summary.deadlines.due_on_another_day.cases), (4, 0));
}

#[test]
fn the_program_tells_the_deadlines_that_would_change() {
    let office = Office::new();
    let one = office.file("timed-1.yaml", TIMED);
    let two =
        office.file("timed-2.yaml", TIMED.replace("version: 1", "version: 2").replace("10 days", "5 days"));
    office.done(&["open", "R/1", "--workflow", &one, "--on", "2021-05-03"]);
    office.done(&["record", "R/1", "notice-served", "--on", "2021-05-10"]);
    office.done(&["record", "R/1", "answer-received", "--on", "2021-05-18"]);
    let told = office.done(&["workflow", "trial", &two]);
    for words in [
        "newly missed",
        "due on another day",
        "answer: met, due 20 May 2021; under the draft missed, due 15 May 2021",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("no longer missed"), "{told}");
    let told = office.done(&["workflow", "trial", &two, "--json"]);
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let deadline = &lines[0]["deadlines"][0];
    assert_eq!((&deadline["deadline"], &deadline["round"]), (&"answer".into(), &1.into()));
    assert_eq!(deadline["after"]["answer"], "missed");
    assert_eq!(deadline["before"]["due"]["latest"], "2021-05-20");
    assert_eq!(lines[1]["summary"]["deadlines"]["newly_missed"]["examples"][0], "R/1");
}

#[test]
fn a_day_that_is_known_in_one_only_is_not_another_day() {
    let day = |day: i8| Day::parse(&format!("2021-05-{day:02}")).ok();
    let said = |latest: Option<Day>| {
        let due = DueReading { earliest: latest, latest, not_before: None };
        Some(DeadlineAnswer { answer: Answer::Running, due })
    };
    let tried = |before, after| TriedDeadline {
        deadline: "answer".to_owned(),
        entity: None,
        round: 1,
        before,
        after,
    };
    let words = |one: TriedDeadline| (one.is_due_on_another_day(), one.is_day_known_in_one());
    assert_eq!(words(tried(said(day(20)), said(day(21)))), (true, false));
    assert_eq!(words(tried(said(day(20)), said(day(20)))), (false, false));
    assert_eq!(words(tried(said(None), said(day(20)))), (false, true));
    assert_eq!(words(tried(said(day(20)), said(None))), (false, true));
    assert_eq!(words(tried(None, said(day(20)))), (false, false));
}
