//! The searches: the slowest refusal that a scenario of police-conduct asks for, the slowest on the reference case, and the
//! lint of the definition. Least of three askings, so that two programs run one after another can be compared.
//!
//!     cargo bench -p casebook-engine --bench search
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark fails loudly"
)]

mod reference;

use std::sync::Arc;
use std::time::{Duration, Instant};

use casebook_engine::case::asking::may;
use casebook_engine::case::event::{Scope, engine_types};
use casebook_engine::definition::lint::lint;
use casebook_engine::definition::problem::Severity;
use casebook_engine::definition::scenario::{parse, run};
use casebook_engine::definition::{Definition, EventTypeId};
use casebook_engine::workflows;

const ASKED: usize = 3;

fn main() {
    let definition = Arc::new(reference::police_conduct());
    worst_scenarios(&definition);
    worst_refusals(&definition);
    let begin = Instant::now();
    let found = lint(&definition);
    let not_proved = found.iter().filter(|problem| problem.severity == Severity::NotProved).count();
    println!("lint: {:?}, {} findings, {not_proved} not proved", begin.elapsed(), found.len());
}

/// The least time of a few askings, and the last answer.
fn timed<T>(ask: impl Fn() -> T) -> (Duration, T) {
    let once = || {
        let begin = Instant::now();
        let answer = ask();
        (begin.elapsed(), answer)
    };
    (0..ASKED).map(|_| once()).min_by_key(|(time, _)| *time).unwrap()
}

/// How long the scenarios take, the events before the refused one included.
fn worst_scenarios(definition: &Arc<Definition>) {
    let files = workflows::scenarios("police-conduct").unwrap();
    let mut all = Vec::new();
    for scenario in files.iter().flat_map(|file| parse(file).unwrap()) {
        let (time, outcome) = timed(|| run(definition, &scenario));
        assert!(outcome.holds(), "{outcome:?}");
        all.push((time, scenario.title));
    }
    tell("scenarios", all);
}

/// How long it takes to say of each event type why it may not happen on the reference case, and what would make it lawful.
fn worst_refusals(definition: &Arc<Definition>) {
    let state = reference::replay(definition, &reference::recorded_lines(true));
    let mut all = Vec::new();
    for (id, event) in (0..).map(EventTypeId).zip(&definition.events) {
        if engine_types::ALL.contains(&event.name.as_str()) {
            continue;
        }
        let (time, answer) = timed(|| may(&state, id, &Scope::new()));
        if let Err(refusal) = answer {
            let path = refusal.path.as_ref().map(Vec::len);
            all.push((time, format!("{}, path {path:?}, {:?}", event.name, refusal.path_note)));
        }
    }
    tell("refusals on the reference case", all);
}

fn tell(what: &str, mut all: Vec<(Duration, String)>) {
    all.sort();
    let sum: Duration = all.iter().map(|(time, _)| *time).sum();
    println!("{what}: {}, together {sum:?}, median {:?}; the slowest:", all.len(), all[all.len() / 2].0);
    for (time, name) in all.iter().rev().take(6) {
        println!("    {time:?} {name}");
    }
}
