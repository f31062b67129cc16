//! Deadlines: what passes silently is missed in every reading, what happens late is noted, and nothing is ever refused for it.

use std::sync::Arc;

use casebook_engine::case::event::{ProposedEvent, Recorder};
use casebook_engine::case::occurred::{Day, Occurred};
use casebook_engine::case::reading::{Cut, Recorded};
use casebook_engine::definition::Definition;
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::engine::{Engine, Opening, RecordError, RecordOptions};
use casebook_engine::projection::deadlines::DeadlineFilter;
use casebook_engine::store::{CaseKey, MemoryStore};
use tokio::runtime::Runtime;

use crate::office::Office;

const TEXT: &str = r#"
workflow: timed
version: 1
language: casebook/1
timezone: Europe/London
calendars: { england-and-wales: calendars/england-and-wales.yaml }
roles: { clerk: {}, chair: {} }
entities: { person: { introduced-by: person-named } }
events:
  person-named: { scope: person }
  notice-served: { scope: person }
  answer-received: { scope: person }
  right-lost: { scope: person }
  report-issued: {}
deadlines:
  answer:
    title: Answer to the notice
    per: person
    starts: notice-served
    due: { length: 10 working-days, counting: first-working-day-after }
    met-by: answer-received
    adjust: { by: chair, kinds: [extended, left-out] }
    missed: breach
    basis: Rule 4
  appeal:
    per: person
    starts: notice-served
    due: { length: 28 days }
    met-by: answer-received
    void-by: right-lost
    missed: { event: right-lost }
  report:
    starts: case-opened
    due: { length: 12 months, counting: including-that-day }
    then-every: 6 months
    met-by: report-issued
"#;

struct Register {
    runtime: Runtime,
    engine: Engine,
}

impl Register {
    fn new() -> Self {
        Self::of(TEXT)
    }

    fn of(text: &str) -> Self {
        Self::with(&[text.to_owned()])
    }

    /// With several versions of a definition; cases open under the first.
    fn with(texts: &[String]) -> Self {
        let definitions = texts.iter().map(|text| Self::compiled(text)).collect();
        let engine = Engine::open(Arc::new(MemoryStore::default()), definitions).unwrap();
        Self { runtime: Runtime::new().unwrap(), engine }
    }

    fn compiled(text: &str) -> Definition {
        let mut files = vec![SourceFile { name: "timed.yaml".into(), text: text.into() }];
        if text.contains("england-and-wales.yaml") {
            files.extend(casebook_engine::workflows::calendar("calendars/england-and-wales.yaml"));
        }
        compile(&files).unwrap_or_else(|problems| panic!("{}", problems[0].snippet))
    }

    fn with_a_notice(reference: &str) -> Self {
        let register = Self::new();
        register.open(reference, "2021-05-03");
        register.record(reference, "person-named", "2021-05-03", &[]).unwrap();
        register.record(reference, "notice-served", "2021-05-10", &[]).unwrap();
        register
    }

    fn open(&self, reference: &str, on: &str) {
        let opening = Opening {
            reference: reference.into(),
            workflow: "timed@1".into(),
            event: event("case-opened", on, &[]),
            then: vec![],
        };
        self.runtime.block_on(self.engine.open_case(opening, RecordOptions::default())).unwrap();
    }

    fn record(
        &self,
        reference: &str,
        name: &str,
        on: &str,
        data: &[(&str, &str)],
    ) -> Result<Recorded, RecordError> {
        let key = CaseKey::Reference(reference.into());
        let events = vec![event(name, on, data)];
        self.runtime.block_on(self.engine.record(&key, events, RecordOptions::default()))
    }

    /// Each deadline on a day: `name answer latest-due`.
    fn on(&self, reference: &str, day: &str) -> Vec<String> {
        let cut = Cut { at: Some(Day::parse(day).unwrap()), ..Cut::default() };
        let key = CaseKey::Reference(reference.into());
        let status = self.runtime.block_on(self.engine.status(&key, cut)).unwrap();
        status
            .deadlines
            .iter()
            .map(|told| {
                let due = told.due.latest.map_or("?".into(), |day| day.to_string());
                format!("{} {} {due}", told.deadline, told.answer.name())
            })
            .collect()
    }

    fn listed(&self, filter: DeadlineFilter, at: &str) -> Vec<String> {
        let at = format!("{at}T12:00:00Z").parse().unwrap();
        let found = self.runtime.block_on(self.engine.deadlines_at(filter, at)).unwrap();
        found
            .iter()
            .map(|told| {
                let due = told.due.latest.map_or("?".into(), |day| day.to_string());
                format!("{} {} {} {due}", told.reference, told.deadline, told.answer.name())
            })
            .collect()
    }

    fn note_missed(&self, reference: &str) -> Option<Recorded> {
        let key = CaseKey::Reference(reference.into());
        let by = Recorder { id: "clerk-1".into(), role: "clerk".into() };
        self.runtime.block_on(self.engine.note_missed(&key, by, RecordOptions::default())).unwrap()
    }
}

fn event(name: &str, on: &str, data: &[(&str, &str)]) -> ProposedEvent {
    let role = data.iter().find(|(field, _)| *field == "by").map_or("clerk", |(_, role)| role);
    let mut event = ProposedEvent::new(name, Recorder { id: format!("{role}-1"), role: role.into() });
    event.occurred = Some(Occurred::parse(on).unwrap());
    let of_the_case = ["case-opened", "report-issued", "time-set", "definition-migrated", "clock-stopped"];
    if !of_the_case.contains(&name) {
        let person = data.iter().find(|(field, _)| *field == "person").map_or("P1", |(_, person)| person);
        event.scope.insert("person".into(), person.into());
    }
    for (field, value) in data.iter().filter(|(field, _)| !matches!(*field, "by" | "person")) {
        event.data.insert((*field).into(), (*value).into());
    }
    event
}

fn types(recorded: &Recorded) -> Vec<&str> {
    recorded.events.iter().map(|event| event.proposed.event_type.as_str()).collect()
}

#[test]
fn a_day_passes_and_the_answer_is_another() {
    let register = Register::with_a_notice("R/1");
    let report = "report running 2022-05-02".to_owned();
    let on = |day: &str| register.on("R/1", day);
    assert_eq!(
        on("2021-05-24"),
        [report.clone(), "answer running 2021-05-24".into(), "appeal running 2021-06-07".into()]
    );
    assert_eq!(
        on("2021-05-25"),
        [report, "answer missed 2021-05-24".into(), "appeal running 2021-06-07".into()]
    );
    assert_eq!(on("2021-05-05"), ["report running 2022-05-02"]);
}

#[test]
fn what_happens_late_is_accepted_and_noted_in_the_same_batch_once() {
    let register = Register::with_a_notice("R/1");
    let late = register.record("R/1", "answer-received", "2021-05-25", &[]).unwrap();
    assert_eq!(types(&late), ["answer-received", "breach-noted"]);
    assert_eq!(late.breaches[0].rule, "deadline:answer");
    assert_eq!(
        late.breaches[0].message,
        "Answer to the notice of P1 was due on 24 May 2021; Answer received on 25 May 2021 was too late"
    );
    assert_eq!(late.breaches[0].basis.as_deref(), Some("Rule 4"));
    let note = &late.events[1].proposed;
    assert_eq!(note.data["calendar"], "england-and-wales 1");
    assert_eq!(note.scope["person"], "P1");
    assert_eq!(
        types(&register.record("R/1", "report-issued", "2021-06-01", &[]).unwrap()),
        ["report-issued"]
    );
}

#[test]
fn what_is_in_time_or_may_be_is_no_breach() {
    let register = Register::with_a_notice("R/1");
    assert_eq!(
        types(&register.record("R/1", "answer-received", "2021-05", &[]).unwrap()),
        ["answer-received"]
    );
    let register = Register::with_a_notice("R/2");
    assert_eq!(
        types(&register.record("R/2", "answer-received", "2021-05-24", &[]).unwrap()),
        ["answer-received"]
    );
}

#[test]
fn a_correction_that_makes_an_event_late_notes_it_and_one_that_makes_it_timely_takes_the_ground() {
    let register = Register::with_a_notice("R/1");
    register.record("R/1", "answer-received", "2021-05-20", &[]).unwrap();
    let key = CaseKey::Reference("R/1".into());
    let by = Recorder { id: "clerk-1".into(), role: "clerk".into() };
    let correct = |on: &str| {
        let fields = serde_json::json!({ "occurred": on }).as_object().unwrap().clone();
        let version = casebook_engine::case::event::Version(4);
        let correcting =
            register.engine.correct(&key, version, fields, "misread", by.clone(), RecordOptions::default());
        register.runtime.block_on(correcting).unwrap()
    };
    assert_eq!(types(&correct("2021-05-28")), ["event-corrected", "breach-noted"]);
    assert_eq!(types(&correct("2021-05-21")), ["event-corrected"]);
    let status = register.runtime.block_on(register.engine.status(&key, Cut::default())).unwrap();
    assert!(status.breaches[0].ground_gone);
    let taken_by = status.breaches[0].ground_taken_by.as_ref();
    assert_eq!(taken_by.map(|event| event.event_type.as_str()), Some("event-corrected"));
}

#[test]
fn what_passed_silently_is_noted_on_request_and_never_twice() {
    let register = Register::with_a_notice("R/1");
    let noted = register.note_missed("R/1").unwrap();
    assert_eq!(types(&noted), ["breach-noted", "right-lost"]);
    let lost = &noted.events[1].proposed;
    assert_eq!(lost.occurred.as_ref().unwrap().edtf(), Some("2021-06-07"));
    assert!(register.note_missed("R/1").is_none());
    assert!(register.on("R/1", "2022-01-01").contains(&"appeal void 2021-06-07".to_owned()));
    // The answer that comes after all is late, which is known already.
    let late = register.record("R/1", "answer-received", "2021-09-01", &[]).unwrap();
    assert_eq!(types(&late), ["answer-received"]);
}

#[test]
fn an_extension_is_for_those_whom_the_definition_names() {
    let register = Register::with_a_notice("R/1");
    let adjust = |data: &[(&str, &str)]| {
        let reason = [("deadline", "answer"), ("reason", "illness")];
        let data = [&reason[..], data].concat();
        register.record("R/1", "deadline-adjusted", "2021-05-20", &data)
    };
    let refused = |answer: Result<Recorded, RecordError>, words: &str| match answer {
        Err(RecordError::Refused(refusal)) => {
            assert_eq!(refusal.reasons[0].rule, "deadline:answer");
            assert!(refusal.reasons[0].message.contains(words), "{}", refusal.reasons[0].message);
        }
        other => panic!("{other:?}"),
    };
    let invalid = |answer: Result<Recorded, RecordError>, words: &str| match answer {
        Err(RecordError::Invalid(invalid)) => {
            let told = format!("{invalid} {}", invalid.help.clone().unwrap_or_default());
            assert!(told.contains(words), "{told}");
        }
        other => panic!("{other:?}"),
    };
    let longer = ("length", "5 working-days");
    refused(adjust(&[("kind", "extended"), longer]), "clerk may not adjust Answer to the notice: Chair may");
    refused(
        adjust(&[("by", "chair"), ("kind", "reduced"), longer]),
        "may not be reduced, only extended, left-out",
    );
    invalid(adjust(&[("by", "chair"), ("kind", "extended")]), "needs either `length`");
    invalid(adjust(&[("by", "chair"), ("kind", "extended"), ("length", "long")]), "5 working-days");
    invalid(adjust(&[("by", "chair"), ("kind", "left-out"), ("from", "2021-05-12")]), "needs `from`");
    invalid(adjust(&[("by", "chair"), ("kind", "extended"), ("until", "soon")]), "soon");
    let misnamed = [("by", "chair"), ("deadline", "anser"), ("kind", "extended"), ("reason", "x"), longer];
    invalid(register.record("R/1", "deadline-adjusted", "2021-05-20", &misnamed), "did you mean answer?");
    adjust(&[("by", "chair"), ("kind", "extended"), longer]).unwrap();
    // Over the spring bank holiday of 31 May.
    assert!(register.on("R/1", "2021-05-25").contains(&"answer running 2021-06-01".to_owned()));
    assert!(register.on("R/1", "2021-05-19").contains(&"answer running 2021-05-24".to_owned()));
    register.record("R/1", "answer-received", "2021-06-01", &[]).unwrap();
    let over = [("by", "chair"), ("deadline", "answer"), ("kind", "extended"), ("reason", "x"), longer];
    refused(register.record("R/1", "deadline-adjusted", "2021-07-20", &over), "nothing to adjust");
}

#[test]
fn the_list_over_all_cases_stays_right_while_time_passes_without_any_event() {
    let register = Register::with_a_notice("R/1");
    register.open("R/2", "2021-05-06");
    let overdue =
        |day: &str| register.listed(DeadlineFilter { overdue: true, ..DeadlineFilter::default() }, day);
    let within = |day: &str, days: u32| {
        register.listed(DeadlineFilter { within: Some(days), ..DeadlineFilter::default() }, day)
    };
    assert_eq!(overdue("2021-05-24"), Vec::<String>::new());
    assert_eq!(overdue("2021-05-25"), ["R/1 answer missed 2021-05-24"]);
    assert_eq!(within("2021-05-24", 0), ["R/1 answer running 2021-05-24"]);
    assert_eq!(within("2021-05-24", 14), ["R/1 answer running 2021-05-24", "R/1 appeal running 2021-06-07"]);
    assert_eq!(within("2021-05-25", 12), Vec::<String>::new());
    let late = overdue("2022-05-06");
    assert_eq!(late[2..], ["R/1 report missed 2022-05-02", "R/2 report missed 2022-05-05"]);
    // Far beyond what is listed in advance, repeating duties go on.
    let far = overdue("2041-01-01");
    assert_eq!(far.iter().filter(|told| told.starts_with("R/2 report missed")).count(), 38);
    assert_eq!(within("2041-01-01", 365).iter().filter(|told| told.starts_with("R/2")).count(), 2);
    register.record("R/1", "answer-received", "2021-05-20", &[]).unwrap();
    assert!(overdue("2021-06-25").is_empty());
    let all = register.listed(DeadlineFilter::default(), "2021-05-25");
    assert_eq!(all, ["R/1 report running 2022-05-02", "R/2 report running 2022-05-05"]);
    let one = register.listed(DeadlineFilter { limit: 1, ..DeadlineFilter::default() }, "2021-05-25");
    assert_eq!(one.len(), 1);
}

#[test]
fn what_is_vague_is_listed_as_undecided_once_it_may_be_late_and_never_forgotten() {
    let list = |served: &str, day: &str| {
        let register = Register::new();
        register.open("R/1", "2021-05-03");
        register.record("R/1", "person-named", "2021-05-03", &[]).unwrap();
        register.record("R/1", "notice-served", served, &[]).unwrap();
        register.listed(DeadlineFilter { overdue: true, ..DeadlineFilter::default() }, day)
    };
    assert_eq!(list("2021-05", "2021-05-14"), Vec::<String>::new());
    assert_eq!(
        list("2021-05", "2021-06-02"),
        ["R/1 answer indeterminate 2021-06-14", "R/1 appeal indeterminate 2021-06-28"]
    );
    assert_eq!(list("2021-05", "2021-06-16")[0], "R/1 answer missed 2021-06-14");
    // Only the last day on which it can be due is known.
    assert_eq!(list("../2021-05-10", "2021-05-25")[0], "R/1 answer missed 2021-05-24");
    // Nothing is known: it may be late, and comes last.
    assert_eq!(
        list("2021-05-10~", "2021-05-25"),
        ["R/1 answer indeterminate ?", "R/1 appeal indeterminate ?"]
    );
}

#[test]
fn years_after_the_last_event_the_round_that_runs_is_listed_without_any_filter() {
    let register = Register::new();
    register.open("R/1", "2021-05-06");
    let all = register.listed(DeadlineFilter::default(), "2041-01-01");
    assert_eq!(all.last().unwrap(), "R/1 report running 2041-05-05");
    assert_eq!(all.len(), 39);
    // What was listed for a far day changes nothing for a nearer one.
    assert_eq!(register.listed(DeadlineFilter::default(), "2022-05-06").len(), 2);
    register.record("R/1", "report-issued", "2022-05-01", &[]).unwrap();
    assert_eq!(register.listed(DeadlineFilter::default(), "2022-05-06"), ["R/1 report running 2022-11-05"]);
}

const LOST: &str = r#"
workflow: timed
version: 1
language: casebook/1
roles: { clerk: {} }
entities: { person: { introduced-by: person-named } }
events:
  person-named: { scope: person }
  person-left: { scope: person }
  time-set: {}
  answer-received: { scope: person }
  right-lost: { scope: person }
deadlines:
  answer: { per: person, starts: person-named, due: { length: 10 days }, met-by: answer-received, void-by: person-left, missed: breach }
  appeal:
    per: person
    starts: time-set
    due: { length: 28 days }
    met-by: answer-received
    void-by: right-lost
    adjust: { by: clerk, kinds: extended }
    missed: { event: right-lost }
"#;

#[test]
fn a_miss_is_noted_although_the_duty_has_fallen_away_since() {
    let register = Register::of(LOST);
    register.open("R/1", "2021-05-03");
    register.record("R/1", "person-named", "2021-05-03", &[]).unwrap();
    register.record("R/1", "person-left", "2021-06-01", &[]).unwrap();
    let overdue = DeadlineFilter { overdue: true, ..DeadlineFilter::default() };
    assert_eq!(register.listed(overdue, "2021-07-01"), Vec::<String>::new());
    let to_note = || register.runtime.block_on(register.engine.cases_to_note()).unwrap();
    assert_eq!(to_note().into_iter().collect::<Vec<_>>(), ["R/1"]);
    assert_eq!(types(&register.note_missed("R/1").unwrap()), ["breach-noted"]);
    assert!(register.note_missed("R/1").is_none());
}

#[test]
fn one_start_can_lose_the_rights_of_several_people_one_after_the_other() {
    let register = Register::of(LOST);
    register.open("R/1", "2021-05-03");
    for person in ["P1", "P2"] {
        register.record("R/1", "person-named", "2021-05-03", &[("person", person)]).unwrap();
        register.record("R/1", "answer-received", "2021-05-04", &[("person", person)]).unwrap();
    }
    register.record("R/1", "time-set", "2021-05-10", &[]).unwrap();
    let longer = [
        ("person", "P2"),
        ("deadline", "appeal"),
        ("kind", "extended"),
        ("until", "9000-01-01"),
        ("reason", "illness"),
    ];
    let adjusted = register.record("R/1", "deadline-adjusted", "2021-05-20", &longer).unwrap();
    let noted = register.note_missed("R/1").unwrap();
    assert_eq!(noted.events[0].proposed.scope["person"], "P1");
    assert_eq!(noted.events.len(), 1);
    let key = CaseKey::Reference("R/1".into());
    let by = Recorder { id: "clerk-1".into(), role: "clerk".into() };
    let annul = register.engine.annul(&key, adjusted.version, "another case", by, RecordOptions::default());
    register.runtime.block_on(annul).unwrap();
    let noted = register.note_missed("R/1").unwrap();
    assert_eq!(noted.events[0].proposed.scope["person"], "P2");
    assert!(register.note_missed("R/1").is_none());
}

#[test]
fn an_adjustment_that_cannot_be_counted_is_not_taken() {
    let register = Register::of(LOST);
    register.open("R/1", "2021-05-03");
    register.record("R/1", "person-named", "2021-05-03", &[]).unwrap();
    register.record("R/1", "time-set", "2021-05-10", &[]).unwrap();
    let adjust = |data: &[(&str, &str)]| {
        let data = [&[("deadline", "appeal"), ("reason", "illness")][..], data].concat();
        match register.record("R/1", "deadline-adjusted", "2021-05-20", &data) {
            Err(RecordError::Invalid(invalid)) => {
                format!("{invalid} {}", invalid.help.clone().unwrap_or_default())
            }
            other => panic!("{other:?}"),
        }
    };
    let told = adjust(&[("kind", "extended"), ("length", "5 working-days")]);
    assert!(told.contains("counted without a calendar"), "{told}");
    let told = adjust(&[("kind", "left-out"), ("from", "2021-05-20"), ("until", "2021-05-12")]);
    assert!(told.contains("write a later day"), "{told}");
}

const CARRIED: &str = r#"
workflow: timed
version: 1
language: casebook/1
timezone: Europe/London
calendars: { office: { version: "1", covered: { from: 2021-01-01, until: 2023-01-01 }, holidays: {} } }
roles: { clerk: {} }
entities: { person: { introduced-by: person-named } }
events:
  person-named: { scope: person }
  notice-served: { scope: person }
  answer-received: { scope: person }
  report-issued: {}
  clock-stopped: {}
strands:
  clock:
    states: { running: {}, stopped: {} }
    initial: running
    transitions: [{ on: clock-stopped, from: running, to: stopped }]
deadlines:
  answer: { per: person, starts: notice-served, due: { length: 10 working-days }, met-by: answer-received, missed: breach }
  appeal: { per: person, starts: notice-served, due: { length: 28 days }, met-by: answer-received }
  report: { starts: case-opened, due: { length: 12 months }, then-every: 6 months, met-by: report-issued, when: case.state('clock') == 'running' }
"#;

/// Version 2: a holiday more, the answer due after 15 working days, no appeal any more.
fn adopted(mapping: &str) -> Register {
    let later = CARRIED
        .replace("version: 1\n", "version: 2\n")
        .replace("language: casebook/1\n", &format!("language: casebook/1\n{mapping}"))
        .replace("version: \"1\"", "version: \"2\"")
        .replace("holidays: {}", "holidays: { 2021-05-17: A holiday proclaimed late }")
        .replace("length: 10 working-days", "length: 15 working-days");
    let later = later.lines().filter(|line| !line.starts_with("  appeal:")).collect::<Vec<_>>().join("\n");
    let register = Register::with(&[CARRIED.to_owned(), later]);
    register.open("R/1", "2021-05-03");
    register.record("R/1", "person-named", "2021-05-03", &[]).unwrap();
    register.record("R/1", "notice-served", "2021-05-10", &[]).unwrap();
    let before = ["report running 2022-05-03", "answer running 2021-05-24", "appeal running 2021-06-07"];
    assert_eq!(register.on("R/1", "2021-05-24"), before);
    let mut adoption = event("definition-migrated", "2021-05-12", &[]);
    adoption.occurred = None;
    adoption.data.insert("version".into(), 2.into());
    adoption.data.insert("reason".into(), "new rules".into());
    let key = CaseKey::Reference("R/1".into());
    register
        .runtime
        .block_on(register.engine.record(&key, vec![adoption], RecordOptions::default()))
        .unwrap();
    register
}

fn now(register: &Register, day: &str) -> Vec<String> {
    let key = CaseKey::Reference("R/1".into());
    let state = register.runtime.block_on(register.engine.case(&key)).unwrap();
    let told = casebook_engine::case::deadline_reading::deadlines(&state, Day::parse(day).unwrap());
    told.iter()
        .map(|told| {
            let due = told.due.latest.map_or("?".into(), |day| day.to_string());
            format!("{} {} {due}", told.deadline, told.answer.name())
        })
        .collect()
}

#[test]
fn a_round_that_runs_when_a_version_is_adopted_is_read_anew_where_no_states_are_mapped() {
    let register = adopted("");
    // Fifteen working days, and one of them is a holiday now.
    assert_eq!(now(&register, "2021-06-01"), ["report running 2022-05-03", "answer running 2021-06-01"]);
    let overdue = DeadlineFilter { overdue: true, ..DeadlineFilter::default() };
    assert_eq!(register.listed(overdue.clone(), "2021-06-01"), Vec::<String>::new());
    assert_eq!(register.listed(overdue, "2021-06-02"), ["R/1 answer missed 2021-06-01"]);
    let late = register.record("R/1", "answer-received", "2021-06-02", &[]).unwrap();
    assert_eq!(types(&late), ["answer-received", "breach-noted"]);
}

#[test]
fn a_round_that_runs_when_states_are_mapped_runs_on_as_long_as_it_was_and_by_the_new_calendar() {
    let register = adopted("migrates-from: { \"1\": {} }\n");
    assert_eq!(now(&register, "2021-05-25"), ["report running 2022-05-03", "answer running 2021-05-25"]);
    assert_eq!(now(&register, "2021-05-26"), ["report running 2022-05-03", "answer missed 2021-05-25"]);
    let overdue = DeadlineFilter { overdue: true, ..DeadlineFilter::default() };
    assert_eq!(register.listed(overdue, "2021-05-26"), ["R/1 answer missed 2021-05-25"]);
    // What meets it after the adoption meets the round that began before.
    register.record("R/1", "answer-received", "2021-05-25", &[]).unwrap();
    assert_eq!(now(&register, "2021-12-01")[1], "answer met 2021-05-25");
    // What starts after it is as long as the new version says.
    register.record("R/1", "notice-served", "2021-07-01", &[]).unwrap();
    assert_eq!(now(&register, "2021-07-02").last().unwrap(), "answer running 2021-07-22");
    // And the repeating duty ends by a condition of the new version.
    register.record("R/1", "clock-stopped", "2021-08-01", &[]).unwrap();
    assert!(now(&register, "2021-12-01").contains(&"report void 2022-05-03".to_owned()));
}

#[test]
fn a_question_that_cannot_be_answered_says_what_to_write_instead() {
    let office = Office::new();
    office.wrong(&["deadlines"], 5, &["there are no cases", "casebook open"]);
    office.done(&["open", "R/1", "--workflow", "small-inquiry"]);
    assert_eq!(office.done(&["deadlines"]), "No deadlines.\n");
    office.wrong(&["deadlines", "R/9"], 5, &["no case R/9", "casebook cases"]);
    office.wrong(&["deadlines", "--within", "soon"], 2, &["no number of days", "14"]);
    office.wrong(&["deadlines", "--within", "-3"], 2, &["no number of days"]);
    office.wrong(&["deadlines", "--within", "3654"], 2, &["ten years ahead"]);
    office.wrong(&["deadlines", "--limit", "0"], 2, &["1 or more"]);
    office.wrong(&["deadlines", "--note-missed", "--limit", "5"], 2, &["--note-missed"]);
    office.wrong(&["deadlines", "--note-missed", "--overdue"], 2, &["--note-missed"]);
    office.wrong(&["deadlines", "--at", "2020-01-01"], 2, &["none is named", "write the case's reference"]);
}

const DAILY: &str = r#"
workflow: timed
version: 1
language: casebook/1
roles: { clerk: {} }
events:
  report-issued: {}
deadlines:
  daily: { starts: case-opened, due: { length: 1 day }, then-every: 1 day, met-by: report-issued, missed: breach }
"#;

/// A duty of every day goes on for years: no round is passed over.
#[test]
fn a_daily_duty_is_counted_to_its_last_day() {
    let register = Register::of(DAILY);
    register.open("R/1", "2019-01-01");
    let told = register.on("R/1", "2026-01-01");
    assert_eq!(told.last().unwrap(), "daily running 2026-01-01");
    assert_eq!(told.len(), 2_557);
    // Past the limit nothing is made up.
    assert_eq!(register.on("R/1", "2045-01-01").last().unwrap(), "daily indeterminate ?");
}

/// Rounds that begin only within the days that are asked about are listed, of one case as of all.
#[test]
fn one_case_and_all_cases_say_the_same_of_what_falls_due() {
    let register = Register::of(DAILY);
    register.open("R/1", "2026-01-01");
    let key = CaseKey::Reference("R/1".into());
    let of_one: Vec<_> = register.runtime.block_on(register.engine.falling_due(&key, 5)).unwrap();
    let filter = DeadlineFilter { within: Some(5), ..DeadlineFilter::default() };
    let of_all = register.runtime.block_on(register.engine.deadlines(filter)).unwrap();
    let one: Vec<_> = of_one.iter().map(|told| (told.round, told.due.latest)).collect();
    let all: Vec<_> = of_all.iter().map(|told| (told.round, told.due.latest)).collect();
    assert_eq!(one, all);
    assert!(one.len() > 4, "{one:?}");
}

/// A duty that begins in the future is not late, however little is known of its end.
#[test]
fn what_has_not_begun_is_not_overdue() {
    let text = TEXT.replace("then-every: 6 months", "when: case.happened('report-issued')");
    let register = Register::of(&text);
    register.open("R/1", "2021-05-03");
    register.record("R/1", "person-named", "2021-05-03", &[]).unwrap();
    // Outside the years of the calendar no day can be counted.
    register.record("R/1", "notice-served", "2031-05-10", &[]).unwrap();
    let overdue = || DeadlineFilter { overdue: true, ..DeadlineFilter::default() };
    assert_eq!(register.listed(overdue(), "2031-05-01"), Vec::<String>::new());
    assert_eq!(
        register.listed(overdue(), "2031-06-20"),
        ["R/1 appeal missed 2031-06-07", "R/1 answer indeterminate ?"]
    );
}

/// Five working days from a day, by the calendar of that file, as a scenario.
#[track_caller]
fn check_calendar(file: &str, served: &str, due: &str) {
    let text = format!(
        "workflow: counted\nversion: 1\nlanguage: casebook/1\ntimezone: Europe/London\ncalendars: {{ own: calendars/{file} }}\n\
         roles: {{ clerk: {{}} }}\nevents: {{ notice-served: {{}}, answer-received: {{}} }}\n\
         deadlines: {{ answer: {{ starts: notice-served, due: {{ length: 5 working-days }}, met-by: answer-received }} }}\n\
         always-accepted: [notice-served, answer-received]\n"
    );
    let calendar = casebook_engine::workflows::calendar(&format!("calendars/{file}")).unwrap();
    let files = [SourceFile { name: "counted.yaml".to_owned(), text }, calendar];
    let definition = Arc::new(compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}")));
    let scenario = format!(
        "scenario: counted\ngiven case-opened occurred=2023-01-02\nwhen notice-served occurred={served}\nthen accepted\n\
         and deadline answer is running due {due} on {due}\n"
    );
    let file = SourceFile { name: "counted.txt".to_owned(), text: scenario };
    let scenarios = casebook_engine::definition::scenario::parse(&file).unwrap();
    let outcome = casebook_engine::definition::rehearsal::run(&definition, &scenarios[0]);
    assert!(outcome.holds(), "{file:?} {outcome:#?}");
}

#[test]
fn each_part_of_the_united_kingdom_counts_its_own_working_days() {
    let [england, ireland, scotland] = ["england-and-wales.yaml", "northern-ireland.yaml", "scotland.yaml"];
    // Easter Monday is no holiday in Scotland, 2 January is one there alone.
    for (file, easter, new_year) in [
        (england, "2023-04-14", "2024-01-04"),
        (ireland, "2023-04-14", "2024-01-04"),
        (scotland, "2023-04-13", "2024-01-05"),
    ] {
        check_calendar(file, "2023-04-05", easter);
        check_calendar(file, "2023-12-27", new_year);
        // Proclaimed once, for all: the coronation.
        check_calendar(file, "2023-05-04", "2023-05-12");
    }
    // The Battle of the Boyne.
    check_calendar(ireland, "2023-07-10", "2023-07-18");
    check_calendar(england, "2023-07-10", "2023-07-17");
    check_calendar(scotland, "2023-07-10", "2023-07-17");
}
