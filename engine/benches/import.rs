//! An event file imported, beside parsing the same lines with `serde_json`.
//!
//! `cargo bench -p casebook-engine --bench import [EVENTS]` writes a file of copies of the reference case under `target/tmp`,
//! 64 cases at a time with their lines in turn, so that no case's lines stand together. Then it prints, each with the
//! peak of resident memory: parsing every line into a map; importing the file; importing it again; writing everything
//! out as it is; and taking that over into another store. 1,000,000 events unless told otherwise.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::expect_used, reason = "a benchmark that can't run has nothing to recover")]

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use casebook_engine::case::event::Position;
use casebook_engine::definition::compile::compile;
use casebook_engine::engine::Engine;
use casebook_engine::exchange::as_is::take_over;
use casebook_engine::exchange::import::ImportOptions;
use casebook_engine::exchange::import_window::ImportWindow;
use casebook_engine::exchange::indexed_file::{IndexedFile, NextCase, Watching};
use casebook_engine::store::{SledOptions, SledStore};
use casebook_engine::workflows;

const EVENTS: usize = 1_000_000;
const CASE: &str = include_str!("../../examples/reference-case/2020-146999.jsonl");
const REFERENCE: &str = "2020/146999";
const TURNS: usize = 64;

/// Writes whole cases until there are so many events; answers how many there are.
fn write_file(path: &Path, events: usize) -> usize {
    let lines: Vec<&str> = CASE.lines().filter(|line| !line.trim().is_empty()).collect();
    let cases = events.div_ceil(lines.len());
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let numbers: Vec<usize> = (0..cases).collect();
    for group in numbers.chunks(TURNS) {
        for line in &lines {
            for number in group {
                writeln!(file, "{}", line.replace(REFERENCE, &format!("B/{number:07}"))).expect("room");
            }
        }
    }
    file.flush().expect("room");
    cases * lines.len()
}

fn engine(path: &Path) -> Engine {
    let definition = compile(&workflows::shipped("police-conduct").expect("it ships")).expect("it compiles");
    let store = SledStore::open_or_create(path, SledOptions::default()).expect("a store");
    Engine::open(Arc::new(store), vec![definition]).expect("an engine")
}

fn parse(path: &Path) -> usize {
    let lines = BufReader::new(File::open(path).expect("the file")).lines();
    lines
        .filter(|line| serde_json::from_str::<serde_json::Value>(line.as_ref().expect("a line")).is_ok())
        .count()
}

async fn import(engine: &Engine, path: &Path) -> (usize, usize) {
    let mut wrong = |problem| panic!("{problem}");
    let watching = Watching { problem: &mut wrong, bytes: &|_| {} };
    let mut file = IndexedFile::read(File::open(path).expect("the file"), watching).expect("it can be read");
    let mut window = ImportWindow::new(engine.clone(), ImportOptions::default());
    let (mut recorded, mut already, mut is_read) = (0, 0, false);
    loop {
        while !is_read && !window.is_full() {
            match file.next_case().expect("it can be read") {
                Some(NextCase::Lines(lines)) => window.begin(lines),
                Some(NextCase::TooLarge { case, .. }) => panic!("{case} is too large"),
                None => is_read = true,
            }
        }
        let Some(finished) = window.next().await else { return (recorded, already) };
        let imported = finished.answer.expect("it is lawful");
        recorded += imported.recorded;
        already += imported.already;
    }
}

fn export(engine: &Engine, path: &Path) -> usize {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let (mut after, mut count) = (Position(0), 0);
    loop {
        let page = engine.store().read_log(after, 1_000).expect("the log");
        let Some(last) = page.last() else { break };
        after = last.position;
        count += page.len();
        for stored in &page {
            file.write_all(&stored.bytes).and_then(|()| file.write_all(b"\n")).expect("room");
        }
    }
    file.flush().expect("room");
    count
}

/// Runs something, prints how fast it was and how high memory rose, and answers with events a second.
fn measure(what: &str, parsing: Option<f64>, work: impl FnOnce() -> usize) -> f64 {
    // Where the system does not allow it, the peak is of the whole run, and is only too high.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
    let begin = Instant::now();
    let events = work();
    let rate = events as f64 / begin.elapsed().as_secs_f64();
    let ratio = parsing.map(|parsing| format!(", {:.3} of parsing", rate / parsing)).unwrap_or_default();
    println!("{what}: {events} events, {rate:.0} a second{ratio}; peak {} MiB", memory("VmHWM"));
    rate
}

/// Resident memory, MiB; 0 where the system does not tell.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1_024
}

fn main() {
    let events = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(EVENTS);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (path, all) = (folder.path().join("events.jsonl"), folder.path().join("all.jsonl"));
    let (store, copy) = (folder.path().join("store"), folder.path().join("copy"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let events = write_file(&path, events);
    let bytes = std::fs::metadata(&path).expect("the file").len();
    println!("{events} events, {} MiB; memory before {} MiB", bytes >> 20, memory("VmRSS"));
    let parsing = measure("parsing with serde_json", None, || parse(&path));
    let old = engine(&store);
    measure("import", Some(parsing), || runtime.block_on(import(&old, &path)).0);
    measure("import again", Some(parsing), || runtime.block_on(import(&old, &path)).1);
    std::fs::remove_file(&path).expect("it is there");
    measure("export jsonl", Some(parsing), || export(&old, &all));
    drop(old);
    std::fs::remove_dir_all(&store).expect("it is there");
    let new = engine(&copy);
    measure("import --as-is", Some(parsing), || {
        let file = File::open(&all).expect("the export");
        let taken = take_over(&new, file, &[], &|_, _, _| {}).expect("it is an export");
        usize::try_from(taken.events).expect("a number")
    });
}
