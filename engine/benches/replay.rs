//! Replay of 1,000,000 events of police-conduct cases, against parsing the same lines with serde_json into a map.
//!
//!     cargo bench -p casebook-engine --bench replay
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and fails loudly"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod reference;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casebook_engine::definition::Definition;

/// Events replayed in each measurement, unless a number follows the command.
const EVENTS: usize = 1_000_000;
const ROUNDS: usize = 3;

fn main() {
    let events = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(EVENTS);
    let definition = Arc::new(reference::police_conduct());
    println!(
        "| case | parse into a map, events/s | decode | decode and evolve | ratio to parsing | two threads |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, dates) in
        [("as published, vague dates and links", true), ("as recorded while it happens", false)]
    {
        let lines = reference::recorded_lines(dates);
        let cases = events / lines.len();
        let mut rounds: Vec<[f64; 4]> = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push([
                rate(cases, &lines, || {
                    for line in &lines {
                        black_box(
                            serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line)
                                .unwrap(),
                        );
                    }
                }),
                rate(cases, &lines, || {
                    for line in &lines {
                        black_box(reference::decode(line));
                    }
                }),
                rate(cases, &lines, || _ = black_box(reference::replay(&definition, &lines))),
                two_threads(&definition, cases, &lines),
            ]);
        }
        let median = |column: usize| {
            let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
            values.sort_by(f64::total_cmp);
            values[ROUNDS / 2]
        };
        println!(
            "| {name} ({} events) | {:.0} | {:.0} | {:.0} | {:.2} | {:.0} |",
            lines.len(),
            median(0),
            median(1),
            median(2),
            median(2) / median(0),
            median(3),
        );
    }
}

fn rate(cases: usize, lines: &[Vec<u8>], mut one_case: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..cases {
        one_case();
    }
    per_second(cases * lines.len(), start.elapsed())
}

fn two_threads(definition: &Arc<Definition>, cases: usize, lines: &[Vec<u8>]) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..cases / 2 {
                    black_box(reference::replay(definition, lines));
                }
            });
        }
    });
    per_second(cases / 2 * 2 * lines.len(), start.elapsed())
}

#[allow(clippy::cast_precision_loss, reason = "a rate is approximate")]
fn per_second(events: usize, time: Duration) -> f64 {
    events as f64 / time.as_secs_f64()
}
