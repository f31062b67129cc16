//! What a seal costs at a size of the log, how big the proof of a case's end is, and what verification takes beside SHA-256 over the
//! same bytes: `cargo bench -p casebook-engine --bench seal -- EVENTS EVENTS_PER_CASE` (1,000,000 and 10 where left out).
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use casebook_engine::case::event::{
    CaseId, EventId, Position, ProposedEvent, RecordedEvent, Recorder, Version,
};
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::engine::Engine;
use casebook_engine::ledger::chain::{leaf_hash, to_base64};
use casebook_engine::signer::Signer;
use casebook_engine::store::{
    Append, EncodedEvent, EventStore, ExpectedVersion, LogCopy, SledOptions, SledStore, codec,
};
use casebook_engine::verify::verify;
use sha2::{Digest, Sha256};
use uuid::Uuid;

const TEXT: &str = "{ workflow: notes, version: 1, language: casebook/1, roles: { clerk: }, \
    events: { noted: { data: { properties: { text: { type: string } } } } }, always-accepted: [noted] }";

struct Writer<'a> {
    store: &'a dyn EventStore,
    digest: String,
    heads: Vec<Option<[u8; 32]>>,
}

impl Writer<'_> {
    /// Adds so many events to a case; its first is the opening.
    fn append(&mut self, case: usize, from: u64, count: u64, sender: &mpsc::Sender<()>) {
        let case_id = CaseId(Uuid::from_u64_pair(0x0192_0000_0000_7000, 0x8000_0000_0000_0000 | case as u64));
        let reference = format!("2024/{case:07}");
        let by = Recorder { id: "clerk-1".into(), role: "clerk".into() };
        let mut events = Vec::new();
        for version in from..from + count {
            let opens = version == 1;
            let mut proposed = ProposedEvent::new(if opens { "case-opened" } else { "noted" }, by.clone());
            match opens {
                true => proposed.data.insert("definition_digest".into(), self.digest.clone().into()),
                false => proposed.data.insert("text".into(), "what somebody wrote down that day".into()),
            };
            let event = RecordedEvent {
                proposed,
                case: reference.clone(),
                workflow: opens.then(|| "notes@1".to_owned()),
                id: EventId(Uuid::from_u64_pair(0x0192_0000_0000_7001, 0x8000_0000_0000_0000 | version)),
                case_id,
                version: Version(version),
                // Ahead of the ledger's own events, whose time may not go back.
                recorded_at: "2126-01-01T00:00:00Z".parse().unwrap(),
                definition: "notes@1".into(),
                prev: self.heads[case].as_ref().map(to_base64),
                salt: "AAAAAAAAAAAAAAAAAAAAAA==".into(),
                correlation_id: None,
                causation_id: None,
            };
            let bytes = codec::encode(&event).unwrap();
            let leaf = leaf_hash(&bytes);
            self.heads[case] = Some(leaf);
            events.push(EncodedEvent { case_id, version: Version(version), bytes: Arc::from(bytes), leaf });
        }
        let expected = ExpectedVersion::Exactly(Version(from - 1));
        let append = Append { case_id, reference, expected, events, idempotency: None };
        let sender = sender.clone();
        self.store.submit(
            append,
            Box::new(move |answer| {
                answer.unwrap();
                sender.send(()).unwrap();
            }),
        );
    }

    fn append_all(&mut self, cases: impl Iterator<Item = usize>, from: u64, count: u64) {
        let (sender, answers) = mpsc::channel();
        let mut waiting = 0;
        for case in cases {
            self.append(case, from, count, &sender);
            waiting += 1;
            if waiting == 256 {
                answers.recv().unwrap();
                waiting -= 1;
            }
        }
        (0..waiting).for_each(|_| answers.recv().unwrap());
    }
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, f64) {
    let begun = Instant::now();
    let done = work();
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what}: {:.1} ms", seconds * 1_000.0);
    (done, seconds)
}

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let (events, each) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(10));
    let cases = usize::try_from(events / each).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).unwrap();
    let signer = Signer::new(store.path(), store.store_id());
    let definition = compile(&[SourceFile { name: "notes.yaml".into(), text: TEXT.into() }]).unwrap();
    let digest = definition.digest_hex();
    store.keep_definition(&digest, &definition.canonical).unwrap();
    let store: Arc<dyn EventStore> = Arc::new(store);
    let mut writer = Writer { store: store.as_ref(), digest, heads: vec![None; cases] };
    timed("appending", || writer.append_all(0..cases, 1, each));
    let engine = Engine::open(Arc::clone(&store), vec![definition]).unwrap();
    engine.sign_with(signer);
    let sealer = engine.sealer().unwrap();
    println!("{events} events, {cases} cases");
    timed("first checkpoint, the map made from the log", || sealer.checkpoint().unwrap());
    timed("checkpoint, nothing came", || sealer.checkpoint().unwrap());
    writer.append_all(0..1, each + 1, 1);
    timed("checkpoint, 1 case changed", || sealer.checkpoint().unwrap());
    writer.append_all(1..1_001.min(cases), each + 1, 1);
    timed("checkpoint, 1000 cases changed", || sealer.checkpoint().unwrap());
    let case_id = CaseId(Uuid::from_u64_pair(0x0192_0000_0000_7000, 0x8000_0000_0000_0007));
    let (proof, _) = timed("proof of a case's end", || sealer.prove_end(case_id).unwrap().unwrap());
    println!(
        "its file: {} bytes, {} siblings",
        serde_json::to_vec(&proof).unwrap().len(),
        proof.siblings.len()
    );
    timed("checking it", || proof.check(None).unwrap());
    let hash = || {
        let (mut after, mut hash, mut length) = (Position(0), Sha256::new(), 0);
        let mut seconds = 0.0;
        loop {
            let page = store.raw_log(LogCopy::Archive, after, 4_096).unwrap();
            let Some(last) = page.last() else { break };
            after = last.position;
            let begun = Instant::now();
            for event in &page {
                hash.update(&event.bytes);
                length += event.bytes.len();
            }
            seconds += begun.elapsed().as_secs_f64();
        }
        black_box(hash.finalize());
        (seconds, length)
    };
    let before = resident_mib();
    let (seconds, length) = hash();
    println!("SHA-256 over {length} bytes: {:.1} ms", seconds * 1_000.0);
    let (verified, took) = timed("verify", || verify(&engine, &|_| {}).unwrap());
    assert!(verified.verified, "{verified:?}");
    println!(
        "verify is {:.1} times SHA-256; peak memory {} MiB, {before} before",
        took / seconds,
        resident_mib()
    );
}
