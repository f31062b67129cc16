//! A log compared with a definition, beside plain reading of the same log.
//!
//! `cargo bench -p casebook-engine --bench conformance [TRACES]` makes a log of walks with noise from a fixed seed, of a
//! workshop with three strands, two parts a trace. Then it prints what reading alone takes, what reading and comparing
//! take, the ratio, and microseconds for each trace judged, where every trace is a variant of its own, and for each trace
//! of a log whose traces repeat. 20,000 traces unless told otherwise.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::expect_used, reason = "a benchmark that can't run has nothing to recover")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use casebook_engine::definition::Definition;
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::foreign::conformance::Conformance;
use casebook_engine::foreign::mapping::Mapping;
use casebook_engine::foreign::translate::Translator;
use casebook_engine::foreign::xes_reader::XesReader;

const TRACES: usize = 20_000;
const ROUNDS: usize = 5;
const ORDER: [&str; 5] = ["order-placed", "order-checked", "order-checked", "order-paid", "order-shipped"];
const PART: [&str; 4] = ["part-received", "part-tested", "part-tested", "part-fitted"];

/// xorshift: the same walk on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % sides.max(1)
    }
}

/// Traces of 20 events, three of which are as they should be for every one that is anything.
fn log(traces: usize, distinct: usize) -> String {
    let mut text = String::from("<log>");
    for trace in 0..traces {
        let mut dice =
            Dice(0x9E37_79B9_7F4A_7C15 ^ ((trace % distinct) as u64 + 1).wrapping_mul(0x2545_F491_4F6C_DD1D));
        let _ = write!(text, "<trace><string key='concept:name' value='{trace}'/>");
        let mut done = [0; 3];
        for _ in 0..20 {
            let who = dice.below(3);
            let row: &[&str] = if who == 0 { &ORDER } else { &PART };
            let step = if dice.below(4) == 0 { dice.below(row.len()) } else { done[who] };
            done[who] = (step + 1).min(row.len() - 1);
            let _ = write!(text, "<event><string key='concept:name' value='{}'/>", row[step]);
            let _ = write!(
                text,
                "<date key='time:timestamp' value='2024-03-05T11:02:00.000+01:00'/><string key='org:resource' value='clerk-1'/>"
            );
            if who > 0 {
                let _ = write!(text, "<string key='scope.part' value='P{who}'/>");
            }
            text.push_str("</event>");
        }
        text.push_str("</trace>");
    }
    text + "</log>"
}

fn read(text: &str) -> Duration {
    let started = Instant::now();
    let mut reader = XesReader::open(text.as_bytes()).expect("it is a log");
    while reader.next_trace().expect("it is whole").is_some() {}
    started.elapsed()
}

fn compare(text: &str, definition: &Definition) -> (Duration, Duration, usize) {
    let started = Instant::now();
    let mapping = Mapping::by_name(&definition.timezone);
    let mut translator = Translator::new(&mapping, definition);
    let mut conformance = Conformance::new(definition, &mapping, false);
    let mut reader = XesReader::open(text.as_bytes()).expect("it is a log");
    let mut judging = Duration::ZERO;
    while let Some(trace) = reader.next_trace().expect("it is whole") {
        let case = translator.translate(&trace).expect("nothing is wrong with it");
        let begun = Instant::now();
        conformance.take(&case).expect("it is short");
        judging += begun.elapsed();
    }
    let variants = conformance.finish().variants.len();
    (started.elapsed(), judging, variants)
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

fn main() {
    let traces = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(TRACES);
    let source = SourceFile {
        name: "workshop.yaml".to_owned(),
        text: include_str!("../../tests/workshop.yaml").to_owned(),
    };
    let definition = compile(&[source]).expect("it compiles");
    for (name, distinct) in [("every trace its own variant", traces), ("50 variants", 50)] {
        let text = log(traces, distinct);
        let reading = median((0..ROUNDS).map(|_| read(&text)).collect());
        let rounds: Vec<_> = (0..ROUNDS).map(|_| compare(&text, &definition)).collect();
        let (whole, judging) = (
            median(rounds.iter().map(|round| round.0).collect()),
            median(rounds.iter().map(|round| round.1).collect()),
        );
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6 / traces as f64;
        println!(
            "{name}: {traces} traces of 20 events, {} variants found; a trace: reading {:.1} µs, reading and comparing {:.1} µs (ratio {:.2}), of it judging {:.2} µs",
            rounds[0].2,
            micros(reading),
            micros(whole),
            whole.as_secs_f64() / reading.as_secs_f64(),
            micros(judging),
        );
    }
}
