//! Durable appends: the engine, rules, chain and index included, beside a plain file with the same group commit.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use casebook_engine::engine::{Engine, RecordOptions};
use casebook_engine::machine;
use casebook_engine::store::CaseKey;
use casebook_engine::yardstick::PlainFile;
use serde::Serialize;

use super::{
    BenchError, Extent, Spread, definition, engine_in, event, file_error, opening, processors, runtime,
};

/// The length of an event of the plain file, bytes.
const EVENT_BYTES: usize = 250;
/// How many single syncs are timed.
const SYNCS: usize = 200;
/// Above this share of all processors' time the processor is what limits.
const BUSY: f64 = 0.8;
/// Above this share of what one group for each sync would give, the disk's sync is what limits.
const SYNC_BOUND: f64 = 0.4;

const OPENED: &str = r#"{"type":"case-opened","data":{"matter_type":"conduct"},"recorded_by":{"id":"officer-2","role":"caseworker"}}"#;
const RECEIVED: &str = r#"{"type":"exhibit-received","scope":{"exhibit":"X1"},"data":{"how":"seized"},"recorded_by":{"id":"officer-1","role":"exhibits-officer"}}"#;
const EXAMINED: &str = r#"{"type":"exhibit-examined","scope":{"exhibit":"X1"},"data":{"method":"download"},"recorded_by":{"id":"officer-1","role":"exhibits-officer"}}"#;

/// Appends of so many callers, each with a case of its own, who wait for every answer. Rates in events a second.
#[derive(Debug, Clone, Serialize)]
pub struct Appends {
    /// How many ask at once.
    pub callers: usize,
    /// The plain file.
    pub plain_file: Spread,
    /// The engine.
    pub engine: Spread,
    /// The engine's median by the plain file's.
    pub ratio: f64,
    /// What held the engine up.
    pub limit: Limit,
    /// The share of all processors' time that the engine's rounds used.
    pub busy: f64,
}

/// What limits appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The disk: a group can't be acknowledged before it is synced.
    Sync,
    /// The processors.
    Processor,
    /// Neither: groups stay small, because threads wait for each other.
    Queue,
}

/// What single writes with a sync take, seconds.
pub(super) fn sync_times(folder: &Path) -> Result<Spread, BenchError> {
    let path = folder.join("syncs");
    let mut file = File::create(&path).map_err(file_error("making a file"))?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begin = machine::stopwatch();
        file.write_all(&[b'x'; EVENT_BYTES]).map_err(file_error("writing"))?;
        file.sync_data().map_err(file_error("syncing"))?;
        times.push(super::seconds_since(begin));
    }
    Ok(Spread::of(times))
}

/// Measures both, round by round in turn.
pub(super) fn measure(
    folder: &Path,
    callers: usize,
    extent: Extent,
    sync: Spread,
) -> Result<Appends, BenchError> {
    let (mut plain, mut engine) = (Vec::new(), Vec::new());
    let mut busy = 0.0;
    for round in 0..extent.rounds.max(1) {
        plain.push(plain_round(&folder.join(format!("plain-{callers}-{round}")), callers, extent)?);
        let place = folder.join(format!("engine-{callers}-{round}"));
        let used = machine::processor_time();
        let begin = machine::stopwatch();
        engine.push(engine_round(&place, callers, extent)?);
        let spent = (machine::processor_time() - used).as_secs_f64();
        busy += spent / super::seconds_since(begin) / processors() as f64;
        std::fs::remove_dir_all(&place).map_err(file_error("removing a store"))?;
    }
    let (plain_file, engine) = (Spread::of(plain), Spread::of(engine));
    let busy = busy / extent.rounds.max(1) as f64;
    let one_group_a_sync = callers as f64 / sync.median.max(f64::EPSILON);
    let limit = if engine.median > SYNC_BOUND * one_group_a_sync {
        Limit::Sync
    } else if busy > BUSY {
        Limit::Processor
    } else {
        Limit::Queue
    };
    Ok(Appends { callers, plain_file, engine, ratio: engine.median / plain_file.median, limit, busy })
}

fn plain_round(path: &Path, callers: usize, extent: Extent) -> Result<f64, BenchError> {
    let file = File::create(path).map_err(file_error("making a file"))?;
    let plain = PlainFile::default();
    let count = AtomicU64::new(0);
    let begin = machine::stopwatch();
    let outcome = std::thread::scope(|scope| {
        let writer = scope.spawn(|| plain.write_until_closed(file));
        let call = || -> std::io::Result<()> {
            while begin.elapsed() < extent.round {
                plain.append(vec![b'x'; EVENT_BYTES])?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        let outcome = threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())));
        plain.close();
        drop(writer.join());
        outcome
    });
    outcome.map_err(file_error("appending to a plain file"))?;
    Ok(count.into_inner() as f64 / super::seconds_since(begin))
}

fn engine_round(folder: &Path, callers: usize, extent: Extent) -> Result<f64, BenchError> {
    let engine = engine_in(folder, vec![definition()?])?;
    let examined = event(EXAMINED)?;
    runtime()?.block_on(async {
        let mut cases = Vec::new();
        for caller in 0..callers {
            let reference = format!("BENCH/{caller}");
            let opening = opening(reference.clone(), vec![event(OPENED)?, event(RECEIVED)?]);
            let opened = engine.open_case(opening, RecordOptions::default()).await;
            opened.map_err(Box::new)?;
            cases.push(CaseKey::Reference(reference));
        }
        let begin = machine::stopwatch();
        let callers: Vec<_> = cases
            .into_iter()
            .map(|case| tokio::spawn(record_until(engine.clone(), case, examined.clone(), begin, extent)))
            .collect();
        let mut count = 0;
        for caller in callers {
            count += caller.await.map_err(|error| BenchError::Broken(error.to_string()))??;
        }
        Ok(count as f64 / super::seconds_since(begin))
    })
}

async fn record_until(
    engine: Engine,
    case: CaseKey,
    event: casebook_engine::case::event::ProposedEvent,
    begin: Instant,
    extent: Extent,
) -> Result<u64, BenchError> {
    let mut count = 0;
    while begin.elapsed() < extent.round {
        let recorded = engine.record(&case, vec![event.clone()], RecordOptions::default()).await;
        recorded.map_err(Box::new)?;
        count += 1;
    }
    Ok(count)
}
