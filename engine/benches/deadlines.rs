//! The list of deadlines over many open cases, while days pass and nothing is recorded.
//!
//! `cargo bench -p casebook-engine --bench deadlines [CASES]` writes cases whose deadlines run into a store under
//! `target/tmp`. Then it prints how long the first question takes, which builds the list, beside plain replay of the same
//! cases; how long questions take on one day after another, beside two baselines that give the same answers: a plain scan,
//! which computes every case's deadlines anew, and a range over a map in memory that holds the same entries; the first
//! question about days beyond those that are listed; and what the list takes. 100,000 cases unless told otherwise.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::expect_used, reason = "a benchmark that can't run has nothing to recover")]

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casebook_engine::case::deadline::Answer;
use casebook_engine::case::deadline_reading::{DeadlineReading, deadlines};
use casebook_engine::case::event::{CaseId, Position, ProposedEvent, Recorder};
use casebook_engine::case::occurred::{Day, Occurred};
use casebook_engine::case::state::CaseState;
use casebook_engine::definition::Definition;
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::engine::{Engine, Opening, RecordOptions};
use casebook_engine::projection::deadlines::{DeadlineFilter, MODEL};
use casebook_engine::store::{CaseKey, SledOptions, SledStore};
use tokio::runtime::Runtime;

const CASES: usize = 100_000;
/// Cases opened at the same time while the store is filled.
const CALLERS: usize = 64;
/// Days on which each question is asked.
const DAYS: i32 = 60;
/// Cases of which the plain scan computes the deadlines; its time is told for all.
const SCANNED: usize = 5_000;

const TEXT: &str = "
workflow: timed
version: 1
language: casebook/1
timezone: Europe/London
calendars: { england-and-wales: calendars/england-and-wales.yaml }
roles: { clerk: {} }
entities: { person: { introduced-by: notice-served } }
events: { notice-served: { scope: person }, answer-received: { scope: person }, report-issued: {} }
deadlines:
  answer:
    per: person
    starts: notice-served
    due: { length: 10 working-days, counting: first-working-day-after }
    met-by: answer-received
    missed: breach
  appeal: { per: person, starts: notice-served, due: { length: 28 days }, met-by: answer-received }
  report:
    starts: case-opened
    due: { length: 12 months, counting: including-that-day }
    then-every: 6 months
    met-by: report-issued
    missed: breach
";

fn definition() -> Definition {
    let mut files = vec![SourceFile { name: "timed.yaml".into(), text: TEXT.into() }];
    files.extend(casebook_engine::workflows::calendar("calendars/england-and-wales.yaml"));
    compile(&files).expect("it compiles")
}

fn first_day() -> Day {
    Day::parse("2026-11-01").expect("a day")
}

/// A case that was opened in the two years before the first day; three quarters have been answered, or reported.
fn opening(number: usize) -> Opening {
    let days = i32::try_from(number % 730).expect("few");
    let on = Day(first_day().0 - 729 + days);
    let event = |name: &str, on: Day| {
        let mut event = ProposedEvent::new(name, Recorder { id: "clerk-1".into(), role: "clerk".into() });
        event.occurred = Some(Occurred::on(on));
        if matches!(name, "notice-served" | "answer-received") {
            event.scope.insert("person".into(), "P1".into());
        }
        event
    };
    let mut then = vec![event("notice-served", on)];
    if !number.is_multiple_of(4) {
        then.push(event("answer-received", Day(on.0 + 7)));
    }
    if number % 4 != 1 && days < 360 {
        then.push(event("report-issued", Day(on.0 + 350)));
    }
    let reference = format!("REF-{number:06}");
    Opening { reference, workflow: "timed".into(), event: event("case-opened", on), then }
}

fn fill(runtime: &Runtime, engine: &Engine, cases: usize) {
    runtime.block_on(async {
        let tasks: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    for number in (caller..cases).step_by(CALLERS) {
                        engine.open_case(opening(number), RecordOptions::default()).await.expect("a case");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a caller");
        }
    });
}

/// Noon of a day, UTC.
fn noon(day: Day) -> jiff::Timestamp {
    jiff::Timestamp::from_second(i64::from(day.0) * 86_400 + 43_200).expect("an instant")
}

struct Asked {
    median: Duration,
    most: Duration,
    answers: usize,
}

/// Asks once on each of many days, and says how long it took.
fn over_days(mut ask: impl FnMut(Day) -> usize) -> Asked {
    let (mut times, mut answers) = (Vec::new(), 0);
    for number in 0..DAYS {
        let begin = Instant::now();
        answers += ask(Day(first_day().0 + number));
        times.push(begin.elapsed());
    }
    times.sort();
    Asked { median: times[times.len() / 2], most: times[times.len() - 1], answers: answers / times.len() }
}

fn tell(what: &str, asked: &Asked) {
    let Asked { median, most, answers } = asked;
    let words = format!("median {:.2} ms, most {:.2} ms", millis(*median), millis(*most));
    println!("{what:<58} {words}; {answers} deadlines a day");
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Whether somebody who asks wants to see it: as the list answers.
fn is_wanted(told: &DeadlineReading, filter: &DeadlineFilter, today: Day) -> bool {
    let is_unmet = told.met_by.is_none() && told.void_by.is_none();
    let Some(earliest) = told.due.earliest.filter(|_| is_unmet) else { return false };
    match filter.within {
        Some(days) => today <= earliest && earliest.0 <= today.0 + i32::try_from(days).expect("few"),
        None => told.answer == Answer::Missed,
    }
}

/// Resident memory now, KiB; 0 where the system does not tell.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// Every entry of the list that has a due day: key, value.
fn entries(engine: &Engine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    loop {
        let after = entries.last().map(|(key, _)| key.clone());
        let page = engine.store().models().scan(MODEL, b"", after.as_deref(), 5_000).expect("a page");
        if page.is_empty() {
            return entries;
        }
        entries.extend(page);
    }
}

/// What a list that keeps nothing would take: the deadlines of some cases worked out, and the time counted up to all.
fn scan<C: Deref<Target = CaseState>>(
    what: &str,
    ids: &[CaseId],
    cases: usize,
    filter: &DeadlineFilter,
    case: impl Fn(CaseId) -> C,
) {
    let scanned = &ids[..SCANNED.min(ids.len())];
    let begin = Instant::now();
    let found: usize = scanned
        .iter()
        .map(|id| {
            let told = deadlines(&case(*id), first_day());
            told.iter().filter(|told| is_wanted(told, filter, first_day())).count()
        })
        .sum();
    let time = begin.elapsed().as_secs_f64() * cases as f64 / scanned.len() as f64;
    println!("{what}, a plain scan of all cases: {time:.1} s; {found} found in {}", scanned.len());
}

fn main() {
    let cases = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(CASES);
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("store");
    {
        let store = SledStore::open_or_create(&path, SledOptions::default()).expect("a store");
        let engine = Engine::open(Arc::new(store), vec![definition()]).expect("an engine");
        let begin = Instant::now();
        fill(&runtime, &engine, cases);
        println!("{cases} cases written in {:.0} s", begin.elapsed().as_secs_f64());
    }
    let store = SledStore::open(&path, SledOptions::default()).expect("the store");
    let engine = Engine::open(Arc::new(store), vec![definition()]).expect("an engine");
    let ids: Vec<_> = {
        let log = engine.store().read_log(Position(0), usize::MAX);
        let log = log.expect("the log");
        log.iter().filter(|event| event.version.0 == 1).map(|event| event.case_id).collect()
    };
    let begin = Instant::now();
    let case = |id: CaseId| runtime.block_on(engine.case(&CaseKey::Id(id))).expect("a case");
    ids.iter().for_each(|id| drop(case(*id)));
    let replayed = begin.elapsed();
    let ask = |day: Day, filter: &DeadlineFilter| {
        runtime.block_on(engine.deadlines_at(filter.clone(), noon(day))).expect("an answer").len()
    };
    let overdue = |limit| DeadlineFilter { overdue: true, within: None, limit };
    let within = |limit| DeadlineFilter { overdue: false, within: Some(14), limit };

    let (begin, before) = (Instant::now(), memory());
    ask(first_day(), &overdue(1));
    let built = begin.elapsed();
    println!(
        "built in {:.1} s, {:.0} cases a second; plain replay of the same cases {:.1} s: {:.2} of its speed",
        built.as_secs_f64(),
        cases as f64 / built.as_secs_f64(),
        replayed.as_secs_f64(),
        replayed.as_secs_f64() / built.as_secs_f64()
    );
    let grown = memory().saturating_sub(before);
    let listed = entries(&engine);
    let bytes: usize = listed.iter().map(|(key, value)| key.len() + value.len()).sum();
    println!(
        "{} keys, {} bytes a case in the index; memory grew by {} bytes a case",
        listed.len(),
        bytes / cases,
        grown * 1_024 / cases as u64
    );

    // The same entries in memory, by due day: what a range over them and reading them cannot be faster than.
    let map: BTreeMap<Vec<u8>, Vec<u8>> =
        listed.into_iter().filter(|(key, _)| key.starts_with(b"d/")).collect();
    let of_map = |from: Option<Day>, to: Day| {
        let key = |day: Day| format!("d/{:08x}", i64::from(day.0) - i64::from(i32::MIN)).into_bytes();
        let range = map.range(from.map_or_else(|| b"d/".to_vec(), key)..key(Day(to.0 + 1)));
        range.filter(|(_, value)| serde_json::from_slice::<serde_json::Value>(value).is_ok()).count()
    };
    tell("overdue, the first 100", &over_days(|day| ask(day, &overdue(100))));
    tell("overdue, all of them", &over_days(|day| ask(day, &overdue(usize::MAX))));
    tell("  a range over a map in memory", &over_days(|day| of_map(None, Day(day.0 - 1))));
    tell("within 14 days, the first 100", &over_days(|day| ask(day, &within(100))));
    tell("within 14 days, all of them", &over_days(|day| ask(day, &within(usize::MAX))));
    tell("  a range over a map in memory", &over_days(|day| of_map(Some(day), Day(day.0 + 14))));
    for (what, filter) in [("overdue", overdue(0)), ("within 14 days", within(0))] {
        scan(what, &ids, cases, &filter, case);
    }

    let far = Day(first_day().0 + 1_100);
    let begin = Instant::now();
    ask(far, &within(100));
    println!("the first question three years later: {:.1} s", begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    ask(Day(far.0 + 1), &within(100));
    println!("the next, a day later: {:.2} ms", millis(begin.elapsed()));
}
