//! What Casebook does on this machine and this disk, each figure beside a yardstick of the same run.
//!
//! Absolute figures say little on a machine that others use too; the ratio beside them says more. Everything is measured in a folder
//! of its own that is removed at the end.

mod appends;
mod reading;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use casebook_engine::case::event::{ProposedEvent, Recorder};
use casebook_engine::definition::Definition;
use casebook_engine::definition::compile::compile;
use casebook_engine::engine::{Engine, Opening, RecordError};
use casebook_engine::machine;
use casebook_engine::store::{OpenError, ReadError, SledOptions, SledStore};
use casebook_engine::workflows;
use serde::Serialize;

pub use appends::{Appends, Limit};
pub use reading::{Opening as OpeningFigure, Reading};

/// The case that is recorded again and again: a published one, with vague dates, links and gaps.
const CASE: &str = include_str!("../../../examples/reference-case/2020-146999.jsonl");
/// Its workflow.
const WORKFLOW: &str = "police-conduct";

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// How often each load of appends is measured.
    pub rounds: usize,
    /// How long each of them lasts.
    pub round: Duration,
    /// How many events the store holds that is read.
    pub events: usize,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A file could not be written or read.
    #[error("{doing}: {source}")]
    File {
        /// What was being done.
        doing: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An event was not recorded.
    #[error(transparent)]
    Record(#[from] Box<RecordError>),
    /// Something that ships with the program is broken.
    #[error("{0}")]
    Broken(String),
}

/// All figures.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Processors that this process may use.
    pub processors: usize,
    /// What one write of 250 bytes and its sync take.
    pub sync: Spread,
    /// Durable appends, by how many ask at once.
    pub appends: Vec<Appends>,
    /// Recording whole cases, and reading them.
    pub reading: Reading,
}

/// The least, the middle and the most of several measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// The middle.
    pub median: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of at least one value.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or_default();
        Self { least: at(0), median: at(values.len() / 2), most: at(values.len().saturating_sub(1)) }
    }
}

/// How often [`measure`] says what it does next.
pub const STEPS: u64 = 9;

/// Measures everything in a folder that is empty.
///
/// # Errors
/// See [`BenchError`].
pub fn measure(folder: &Path, extent: Extent, step: &dyn Fn(String)) -> Result<Figures, BenchError> {
    step("timing syncs".to_owned());
    let sync = appends::sync_times(folder)?;
    let mut loads = Vec::new();
    for callers in [1, 64, 256] {
        step(format!("appends, {callers} at once"));
        loads.push(appends::measure(folder, callers, extent, sync)?);
    }
    let reading = reading::measure(folder, extent, step)?;
    Ok(Figures { processors: processors(), sync, appends: loads, reading })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn file_error(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> BenchError {
    let doing = doing.into();
    move |source| BenchError::File { doing, source }
}

fn runtime() -> Result<tokio::runtime::Runtime, BenchError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(file_error("starting threads"))
}

/// The definition that ships.
fn definition() -> Result<Definition, BenchError> {
    let files = workflows::shipped(WORKFLOW).ok_or_else(|| BenchError::Broken(format!("no {WORKFLOW}")))?;
    compile(&files).map_err(|_| BenchError::Broken(format!("{WORKFLOW} does not compile")))
}

/// The engine over a store in a folder of its own, without the ballast, which would count as bytes on disk.
fn engine_in(folder: &Path, definitions: Vec<Definition>) -> Result<Engine, BenchError> {
    let options = SledOptions { ballast_bytes: 0, ..SledOptions::default() };
    let store = SledStore::open_or_create(folder, options)?;
    Ok(Engine::open(Arc::new(store), definitions)?)
}

fn event(json: &str) -> Result<ProposedEvent, BenchError> {
    serde_json::from_str(json).map_err(|error| BenchError::Broken(error.to_string()))
}

/// The events of the published case.
fn case_events() -> Result<Vec<ProposedEvent>, BenchError> {
    let read = |line: &str| {
        let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
        fields.remove("case");
        fields.remove("workflow");
        serde_json::from_value(fields.into()).ok()
    };
    CASE.lines()
        .map(|line| read(line).ok_or_else(|| BenchError::Broken(format!("no event: {line}"))))
        .collect()
}

/// A case with these events as its beginning.
fn opening(reference: String, mut events: Vec<ProposedEvent>) -> Opening {
    let nobody = || ProposedEvent::new("case-opened", Recorder { id: String::new(), role: String::new() });
    let first = if events.is_empty() { nobody() } else { events.remove(0) };
    Opening { reference, workflow: WORKFLOW.to_owned(), event: first, then: events }
}

fn seconds_since(begin: std::time::Instant) -> f64 {
    machine::stopwatch().duration_since(begin).as_secs_f64()
}
