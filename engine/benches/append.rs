//! Durable appends: the engine (rules checked, chained, stored) and the store alone, beside a plain file that does the same
//! group commit, in one run.
//!
//! `cargo bench -p casebook-engine --bench append [ROUNDS]` prints events a second (least, median and most of the
//! rounds) and the ratio of the medians to the plain file. The plain file and the store take events of 250 bytes; the engine
//! records police-conduct events, whose canonical bytes are about twice as long. Every caller has a case of its own and waits
//! for each answer. The folder is made under `target/tmp`: the disk that counts is the one below it.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::expect_used, reason = "a benchmark that can't run has nothing to recover")]

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use casebook_engine::case::event::{CaseId, Position, ProposedEvent, Version};
use casebook_engine::engine::{Engine, Opening, RecordOptions};
use casebook_engine::store::{
    Append, CaseKey, EncodedEvent, EventStore, ExpectedVersion, SledOptions, SledStore, leaf_hash,
};
use casebook_engine::yardstick::PlainFile;
use uuid::Uuid;

mod reference;

const EVENT_BYTES: usize = 250;
/// Callers, and appends of each of them.
const LOADS: [(usize, u64); 3] = [(1, 400), (64, 500), (256, 500)];

fn event_bytes(caller: usize, version: u64) -> Vec<u8> {
    let mut bytes = format!(r#"{{"case":"REF-{caller}","version":{version},"text":""#).into_bytes();
    bytes.resize(EVENT_BYTES - 2, b'x');
    bytes.extend_from_slice(b"\"}");
    bytes
}

/// Runs every caller's appends at once and says how many a second were answered.
fn measure<T: Send>(prepared: Vec<Vec<T>>, append: impl Fn(T) + Sync) -> f64 {
    let count: usize = prepared.iter().map(Vec::len).sum();
    let begin = Instant::now();
    thread::scope(|scope| {
        for batch in prepared {
            scope.spawn(|| batch.into_iter().for_each(&append));
        }
    });
    count as f64 / begin.elapsed().as_secs_f64()
}

/// Without the ballast: it would count as bytes on disk.
fn options() -> SledOptions {
    SledOptions { ballast_bytes: 0, ..SledOptions::default() }
}

fn store_round(folder: &Path, callers: usize, appends: u64) -> f64 {
    let store = SledStore::open_or_create(&folder.join("store"), options()).expect("a store");
    let prepared = (0..callers).map(|caller| {
        let case_id = CaseId(Uuid::from_u64_pair(caller as u64, 0x8000_0000_0000_0000));
        let make = |version| {
            let bytes: Arc<[u8]> = Arc::from(event_bytes(caller, version));
            let leaf = leaf_hash(&bytes);
            Append {
                case_id,
                reference: format!("REF-{caller}"),
                expected: ExpectedVersion::Exactly(Version(version - 1)),
                events: vec![EncodedEvent { case_id, version: Version(version), bytes, leaf }],
                idempotency: None,
            }
        };
        (1..=appends).map(make).collect()
    });
    measure(prepared.collect(), |append| {
        store.append(append).expect("an answer");
    })
}

/// An event of the reference workflow, from JSON.
fn event(json: &str) -> ProposedEvent {
    serde_json::from_str(json).expect("an event")
}

/// Every caller records examinations of an exhibit in a case of its own: a strand, its rules, the chain, the disk.
fn engine_round(folder: &Path, callers: usize, appends: u64) -> f64 {
    let store = SledStore::open_or_create(&folder.join("store"), options()).expect("a store");
    let engine = Engine::open(Arc::new(store), vec![reference::police_conduct()]).expect("an engine");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for caller in 0..callers {
            let by = r#""recorded_by":{"id":"officer-1","role":"exhibits-officer"}"#;
            let opening = Opening {
                reference: format!("REF-{caller}"),
                workflow: "police-conduct".into(),
                event: event(
                    r#"{"type":"case-opened","data":{"matter_type":"conduct"},"recorded_by":{"id":"officer-2","role":"caseworker"}}"#,
                ),
                then: vec![event(&format!(
                    r#"{{"type":"exhibit-received","scope":{{"exhibit":"X1"}},"data":{{"how":"seized"}},{by}}}"#
                ))],
            };
            engine.open_case(opening, RecordOptions::default()).await.expect("a case");
        }
        let examined = event(
            r#"{"type":"exhibit-examined","scope":{"exhibit":"X1"},"data":{"method":"download"},"recorded_by":{"id":"officer-1","role":"exhibits-officer"}}"#,
        );
        // Made beforehand, as for the plain file and the store.
        let prepared: Vec<Vec<ProposedEvent>> =
            (0..callers).map(|_| vec![examined.clone(); usize::try_from(appends).expect("a small number")]).collect();
        let begin = Instant::now();
        let tasks: Vec<_> = prepared
            .into_iter()
            .enumerate()
            .map(|(caller, prepared)| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    let case = CaseKey::Reference(format!("REF-{caller}"));
                    for examined in prepared {
                        engine.record(&case, vec![examined], RecordOptions::default()).await.expect("an answer");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a caller");
        }
        (callers as u64 * appends) as f64 / begin.elapsed().as_secs_f64()
    })
}

/// Bytes on disk after a round of the engine and a clean close: journal, index, everything.
fn bytes_on_disk(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        bytes += if is_folder { bytes_on_disk(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// Events and canonical bytes in the store of a round.
fn canonical_bytes(folder: &Path) -> (u64, u64) {
    let store = SledStore::open_or_create(&folder.join("store"), options()).expect("a store");
    let (mut events, mut bytes) = (0, 0);
    let mut after = Position(0);
    loop {
        let page = store.read_log(after, 1_000).expect("a page");
        let Some(last) = page.last() else { return (events, bytes) };
        after = last.position;
        events += page.len() as u64;
        bytes += page.iter().map(|event| event.bytes.len() as u64).sum::<u64>();
    }
}

fn plain_round(folder: &Path, callers: usize, appends: u64) -> f64 {
    let plain = PlainFile::default();
    let file = File::create(folder.join("plain")).expect("a file");
    let prepared = (0..callers)
        .map(|caller| (1..=appends).map(|version| event_bytes(caller, version)).collect())
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| plain.write_until_closed(file));
        let rate = measure(prepared, |bytes| plain.append(bytes).expect("a write"));
        plain.close();
        rate
    })
}

fn sorted(mut rates: Vec<f64>) -> Vec<f64> {
    rates.sort_by(f64::total_cmp);
    rates
}

fn main() -> io::Result<()> {
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(3);
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "durable appends, events a second: least, median, most of {rounds} rounds; ratio to the plain file"
    )?;
    writeln!(
        out,
        "| callers | plain file | store | ratio | engine, enforced | ratio |\n|---|---|---|---|---|---|"
    )?;
    for (callers, appends) in LOADS {
        let mut rates: [Vec<f64>; 3] = Default::default();
        for _ in 0..rounds {
            let measured: [fn(&Path, usize, u64) -> f64; 3] = [plain_round, store_round, engine_round];
            for (rates, round) in rates.iter_mut().zip(measured) {
                let folder = tempfile::tempdir_in(place)?;
                rates.push(round(folder.path(), callers, appends));
            }
        }
        let [plains, stores, engines] = rates.map(sorted);
        let median = |rates: &[f64]| rates[rates.len() / 2];
        let show =
            |rates: &[f64]| format!("{:.0} / {:.0} / {:.0}", rates[0], median(rates), rates[rates.len() - 1]);
        writeln!(
            out,
            "| {callers} | {} | {} | {:.2} | {} | {:.2} |",
            show(&plains),
            show(&stores),
            median(&stores) / median(&plains),
            show(&engines),
            median(&engines) / median(&plains),
        )?;
    }
    let folder = tempfile::tempdir_in(place)?;
    engine_round(folder.path(), 256, 500);
    let disk = bytes_on_disk(folder.path())?;
    let (events, canonical) = canonical_bytes(folder.path());
    writeln!(
        out,
        "\non disk: {} bytes an event, of which {} are canonical: ratio {:.2} ({events} events)",
        disk / events,
        canonical / events,
        disk as f64 / canonical as f64,
    )
}
