//! A store full of whole cases: recording them, opening, replaying, verifying, asking for one.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use casebook_engine::case::event::{Position, ProposedEvent};
use casebook_engine::case::reading::Cut;
use casebook_engine::case::state::CaseState;
use casebook_engine::definition::Definition;
use casebook_engine::engine::{Engine, RecordOptions};
use casebook_engine::machine;
use casebook_engine::store::{CaseKey, StoredEvent, decode};
use casebook_engine::verify::verify;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    BenchError, Extent, Spread, case_events, definition, engine_in, file_error, opening, runtime,
    seconds_since,
};

/// How many callers record the cases.
const CALLERS: usize = 64;
/// Events read at a time.
const PAGE: usize = 4_096;
/// Events that are replayed and parsed from memory, at most.
const SAMPLE: usize = 42_000;
/// Cases that are asked for, at most.
const ASKED: usize = 2_000;
/// How often it is opened.
const OPENINGS: usize = 5;
/// How many cases the store has that opening is compared with.
const FEW_CASES: usize = 10;

/// What was measured on a store of whole cases.
#[derive(Debug, Clone, Serialize)]
pub struct Reading {
    /// Cases recorded.
    pub cases: usize,
    /// Events recorded.
    pub events: usize,
    /// Recording them, each case as one list, events a second.
    pub recording: f64,
    /// Bytes on disk for an event, everything included, and canonical bytes of it.
    pub disk_bytes: f64,
    /// Canonical bytes of an event.
    pub canonical_bytes: f64,
    /// Parsing events as JSON into maps, one thread, events a second.
    pub parsing: f64,
    /// Decoding events and replaying the cases, one thread, events a second.
    pub replay: f64,
    /// Hashing the bytes of all events with SHA-256, one thread, seconds.
    pub hashing: f64,
    /// Verifying everything, all processors, seconds.
    pub verify: f64,
    /// The status of one case, none of them in memory, seconds.
    pub status: Status,
    /// Opening the store.
    pub opening: Opening,
    /// What the process holds in memory at the end, bytes, where the system says so.
    pub resident_bytes: Option<u64>,
}

/// Times of a question, seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Status {
    /// How many cases were asked for.
    pub asked: usize,
    /// Half of them took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub most: f64,
}

/// Opening a store, seconds, beside one with few events.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Opening {
    /// All events.
    pub full: Spread,
    /// Ten cases.
    pub few: Spread,
}

pub(super) fn measure(folder: &Path, extent: Extent, step: &dyn Fn(String)) -> Result<Reading, BenchError> {
    let events = case_events()?;
    let cases = extent.events.div_ceil(events.len()).max(1);
    let (few_place, place) = (folder.join("few"), folder.join("full"));
    fill(&few_place, &events, FEW_CASES)?;
    step("recording whole cases".to_owned());
    let recording = fill(&place, &events, cases)?;
    let total = cases * events.len();
    let disk = bytes_in(&place).map_err(file_error("reading a folder"))?;
    step("opening".to_owned());
    let opening = Opening { full: openings(&place)?, few: openings(&few_place)? };
    let engine = engine_in(&place, Vec::new())?;
    step("status".to_owned());
    let status = ask(&engine, cases)?;
    step("replay".to_owned());
    let (canonical, hashing) = hash_all(&engine)?;
    let (parsing, replay) = replay(&engine, &Arc::new(definition()?))?;
    step("verify".to_owned());
    let begin = machine::stopwatch();
    let verification = verify(&engine, &|_| {})?;
    let verify = seconds_since(begin);
    if !verification.verified {
        return Err(BenchError::Broken("the store that was just written does not verify".to_owned()));
    }
    Ok(Reading {
        cases,
        events: total,
        recording,
        disk_bytes: disk as f64 / total as f64,
        canonical_bytes: canonical as f64 / total as f64,
        parsing,
        replay,
        hashing,
        verify,
        status,
        opening,
        resident_bytes: resident_bytes(),
    })
}

/// Records so many cases; events a second.
fn fill(place: &Path, events: &[ProposedEvent], cases: usize) -> Result<f64, BenchError> {
    let engine = engine_in(place, vec![definition()?])?;
    let begin = machine::stopwatch();
    runtime()?.block_on(async {
        let callers: Vec<_> = (0..CALLERS.min(cases))
            .map(|caller| {
                let (engine, events) = (engine.clone(), events.to_vec());
                tokio::spawn(async move {
                    for case in (caller..cases).step_by(CALLERS) {
                        let opening = opening(format!("BENCH/{case}"), events.clone());
                        let options = RecordOptions { imported: true, ..RecordOptions::default() };
                        engine.open_case(opening, options).await.map_err(Box::new)?;
                    }
                    Ok::<(), BenchError>(())
                })
            })
            .collect();
        for caller in callers {
            caller.await.map_err(|error| BenchError::Broken(error.to_string()))??;
        }
        Ok::<(), BenchError>(())
    })?;
    Ok((cases * events.len()) as f64 / seconds_since(begin))
}

fn bytes_in(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        bytes += if is_folder { bytes_in(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

fn openings(place: &Path) -> Result<Spread, BenchError> {
    let mut times = Vec::new();
    for _ in 0..OPENINGS {
        let begin = machine::stopwatch();
        let engine = engine_in(place, Vec::new())?;
        times.push(seconds_since(begin));
        drop(engine);
    }
    Ok(Spread::of(times))
}

/// Asks for cases all over the store, each once.
fn ask(engine: &Engine, cases: usize) -> Result<Status, BenchError> {
    let asked = cases.min(ASKED);
    // Coprime with every number of cases that has no such factor: all over, and none twice.
    let stride = cases / asked;
    let mut times = Vec::with_capacity(asked);
    let runtime = runtime()?;
    for number in 0..asked {
        let case = CaseKey::Reference(format!("BENCH/{}", number * stride));
        let begin = machine::stopwatch();
        let status = runtime.block_on(engine.status(&case, Cut::default()));
        black_box(status.map_err(|error| BenchError::Broken(error.to_string()))?);
        times.push(seconds_since(begin));
    }
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let place = times.len() * percent / 100;
        times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    Ok(Status { asked, p50: at(50), p99: at(99), most: at(100) })
}

/// Canonical bytes of all events, and the seconds that SHA-256 takes over them.
fn hash_all(engine: &Engine) -> Result<(u64, f64), BenchError> {
    let (mut bytes, mut seconds) = (0, 0.0);
    let mut after = Position(0);
    loop {
        let page = engine.store().read_log(after, PAGE)?;
        let Some(last) = page.last() else { return Ok((bytes, seconds)) };
        after = last.position;
        let begin = machine::stopwatch();
        for event in &page {
            black_box(Sha256::digest(&event.bytes));
            bytes += event.bytes.len() as u64;
        }
        seconds += seconds_since(begin);
    }
}

/// Events a second: parsed into maps, and decoded and replayed case by case, from memory.
fn replay(engine: &Engine, definition: &Arc<Definition>) -> Result<(f64, f64), BenchError> {
    let mut sample = Vec::new();
    while sample.len() < SAMPLE {
        let after = Position(sample.len() as u64);
        let page = engine.store().read_log(after, PAGE.min(SAMPLE - sample.len()))?;
        if page.is_empty() {
            break;
        }
        sample.extend(page);
    }
    let begin = machine::stopwatch();
    for event in &sample {
        let map = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&event.bytes);
        black_box(map.map_err(|error| BenchError::Broken(error.to_string()))?);
    }
    let parsing = sample.len() as f64 / seconds_since(begin);
    let begin = machine::stopwatch();
    // Each case was recorded as one list, so that its events stand side by side.
    for case in sample.chunk_by(|one, next: &StoredEvent| one.case_id == next.case_id) {
        let events = case.iter().map(|event| Ok((event.position, decode(event)?)));
        let events = events.collect::<Result<Vec<_>, BenchError>>()?;
        black_box(CaseState::replay(Arc::clone(definition), events));
    }
    Ok((parsing, sample.len() as f64 / seconds_since(begin)))
}

/// What this process holds in memory, where the system has a place that says so.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
