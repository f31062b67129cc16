//! Whatever bytes come from outside, everything that reads them answers: soon, without a panic, and what it accepts it can write
//! again.
//!
//! Inputs grow from seeds (this repository's own files, and `fixtures/fuzz`) by changes that `CASEBOOK_SEED` repeats. An input
//! that fails is kept under `target/tmp`; once understood it goes to `fixtures/fuzz/found` and is tried in every run.
#![expect(clippy::disallowed_methods, reason = "how long an input takes is what is looked at")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use casebook_engine::case::occurred::Occurred;
use casebook_engine::definition::compile::{compile, from_canonical};
use casebook_engine::definition::lint::lint;
use casebook_engine::definition::scenario;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::exchange::jsonl::parse_line;
use casebook_engine::ledger::checkpoint::{Checkpoint, Rotation};
use casebook_engine::ledger::key::VerifierKey;
use casebook_engine::ledger::note::Note;
use casebook_engine::ledger::proof::EventProof;
use casebook_engine::store::backup::Manifest;
use casebook_engine::store::{EventStore, SledOptions, SledStore, codec, json};
use casebook_tests::appends::{append, whole_log};
use casebook_tests::chance::{Numbers, seed, times};

use crate::desk::SMALL;

/// No input of these lengths may take longer, in a debug build on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(20);
/// Inputs longer than this are cut: length has tests of its own.
const BYTES_MAX: usize = 64 * 1024;

/// What is put in where something is changed: bytes that mean something to one reader or another.
const TOKENS: [&[u8]; 40] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"'",
    b"\\",
    b"\0",
    b"\xff",
    b"\xc3",
    "\u{feff}".as_bytes(),
    "\u{202e}".as_bytes(),
    "e\u{301}".as_bytes(),
    b"\\u0000",
    b"\\ud800",
    b"0",
    b"-1",
    b"9007199254740993",
    b"1e400",
    b"0.1",
    b"99999999999999999999",
    b"null",
    b"true",
    b"- ",
    b"? ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!binary ",
    b"|\n",
    b"((((((((",
    b"!!!!!!!!",
    b"../..",
    b"XXXX",
];

/// Changes of a seed: few of them, so that most of it still means something.
fn changed(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let below =
        |numbers: &mut Numbers, bound: usize| usize::try_from(numbers.below(bound.max(1) as u64)).unwrap();
    let mut bytes = seeds[below(numbers, seeds.len())].clone();
    for _ in 0..=numbers.below(5) {
        let at = below(numbers, bytes.len() + 1);
        let to = (at + below(numbers, 40)).min(bytes.len());
        match numbers.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 => _ = bytes.drain(at..to),
            2 => {
                let slice = bytes[at..to].to_vec();
                let there = below(numbers, bytes.len() + 1);
                bytes.splice(there..there, slice);
            }
            3 => {
                let token = TOKENS[below(numbers, TOKENS.len())];
                bytes.splice(at..at, token.repeat(1 + below(numbers, 3)));
            }
            4 => {
                let token = TOKENS[below(numbers, TOKENS.len())];
                bytes.splice(at..to, token.iter().copied());
            }
            5 => {
                let other = &seeds[below(numbers, seeds.len())];
                let from = below(numbers, other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.truncate(bytes.len().saturating_sub(below(numbers, 30))),
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(name)
}

/// What failed once.
fn found(name: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(fixtures("found")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let of_name =
        paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&format!("{name}-")));
    of_name.map(|path| fs::read(path).unwrap()).collect()
}

/// Reads the seeds, what was found before, and what grows from them. `read` says whether it accepted the input.
fn fuzz(name: &str, seeds: &[Vec<u8>], rounds: u64, read: impl Fn(&[u8]) -> bool) {
    let mut numbers = Numbers(seed());
    let found = found(name);
    let mut accepted = 0;
    let mut refused = 0;
    let grown = (0..times(rounds)).map(|_| changed(seeds, &mut numbers)).collect::<Vec<_>>();
    for bytes in seeds.iter().chain(&found).chain(&grown) {
        let begin = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| read(bytes)));
        let took = begin.elapsed();
        match outcome {
            Ok(true) if took < TIME_MAX => accepted += 1,
            Ok(false) if took < TIME_MAX => refused += 1,
            outcome => {
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-failed"));
                fs::write(&kept, bytes).unwrap();
                let what = if outcome.is_ok() { format!("took {took:?}") } else { "panicked".to_owned() };
                panic!("{name} {what}; the input is kept in {}", kept.display());
            }
        }
    }
    // A run in which nothing is refused, or nothing accepted, tries only one half.
    assert!(accepted > 0 && refused > 0, "{name}: {accepted} accepted, {refused} refused");
}

fn lines_of(name: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(fixtures(name)).unwrap();
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

fn repository(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// Lines of the reference case, and one of everything that a line may have.
fn event_lines() -> Vec<Vec<u8>> {
    let file = repository("examples/reference-case/2020-146999.jsonl");
    let mut lines: Vec<Vec<u8>> = file.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.retain(|line| !line.is_empty());
    lines.push(
        br#"{"case":"R/1","type":"note-made","scope":{"person":"P1"},"occurred":{"edtf":"2021-05","time":"10:30","text":"in May","basis":"inferred","after":["x"],"before":["y"]},"data":{"a":[1,-2,{"b":null}],"c":"\u00e9"},"recorded_by":{"id":"officer-1","role":"clerk"},"decided_by":{"body":"court","role":"judge","id":"judge-1"},"source":{"kind":"oral","ref":"r"},"asserted":"stated","rationale":"because","label":"l","override":{"authority":"a","reason":"r"},"workflow":"w@1","recorded_at":"2021-05-01T00:00:00Z"}"#
            .to_vec(),
    );
    lines
}

#[test]
fn dates() {
    fuzz("dates", &lines_of("dates.txt"), 6_000, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let Ok(occurred) = Occurred::parse(text) else { return false };
        // What is accepted has an order with itself and words, and reads the same from its own text.
        let again = Occurred::parse(occurred.edtf().unwrap()).unwrap();
        assert_eq!((again.to_string(), again.bounds()), (occurred.to_string(), occurred.bounds()));
        let _ = occurred.order(&again);
        true
    });
}

#[test]
fn event_lines_of_a_file() {
    fuzz("event-lines", &event_lines(), 3_000, |bytes| matches!(parse_line(bytes, true), Ok(Some(_))));
}

#[test]
fn canonical_events() {
    let seeds = canonical_seeds();
    fuzz("canonical", &seeds, 3_000, |bytes| {
        let is_canonical = json::is_canonical(bytes);
        let value = json::parse_strict(bytes);
        if let Ok(value) = &value {
            // Canonical bytes are those that canonical writing gives, and reading them again changes nothing.
            let written = json::canonical(value);
            if let Ok(written) = &written {
                assert!(json::is_canonical(written));
                assert_eq!(json::parse_strict(written).as_ref(), Ok(value));
            }
            // Text from outside is normalised (NFC); stored text is compared as it is.
            assert!(is_canonical || written.is_ok_and(|written| written != bytes));
        } else {
            assert!(!is_canonical);
        }
        let Ok(event) = codec::decode(bytes) else { return false };
        // What an event writes is canonical, and the same event again; what only reads as one is told from it.
        let Ok(written) = codec::encode(&event) else {
            assert!(!codec::is_as_written(&event, bytes));
            return true;
        };
        assert!(json::is_canonical(&written));
        assert_eq!(codec::encode(&codec::decode(&written).unwrap()).unwrap(), written);
        assert!(!codec::is_as_written(&event, bytes) || is_canonical);
        true
    });
}

/// Recorded events.
fn canonical_seeds() -> Vec<Vec<u8>> {
    let desk = crate::desk::Desk::new();
    desk.record("person-named person=P1 name=Å on=2020-02");
    desk.record("charge-brought charge=C1 on=2020-03-01T10:00Z rationale=so");
    desk.record("note-made text=x by=officer-1:clerk after=2");
    let log = whole_log(desk.engine.store().as_ref());
    log.iter().map(|event| event.bytes.to_vec()).collect()
}

fn compiles(text: &[u8]) -> bool {
    let Ok(text) = String::from_utf8(text.to_vec()) else { return false };
    match compile(&[SourceFile { name: "definition.yaml".into(), text }]) {
        Ok(definition) => {
            // What compiles can be kept, read back as the same, and looked at.
            let again = from_canonical(&definition.canonical).unwrap();
            assert_eq!(again.digest_hex(), definition.digest_hex());
            true
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            problems.iter().for_each(|problem| assert!(!problem.message.is_empty()));
            false
        }
    }
}

#[test]
fn definitions() {
    let seeds =
        [SMALL.as_bytes().to_vec(), repository("engine/workflows/whistleblowing-inquiry/definition.yaml")];
    fuzz("definitions", &seeds, 500, compiles);
}

#[test]
fn conditions() {
    let with = |condition: &[u8]| {
        let condition = String::from_utf8_lossy(condition);
        let quoted = serde_json::Value::String(condition.into_owned()).to_string();
        let rule = format!(
            "    rules:\n      - {{ id: tried, class: logical, require: {quoted}, message: m, basis: b }}\n  person-named:"
        );
        SMALL.replacen("  person-named:", &rule, 1).into_bytes()
    };
    fuzz("conditions", &lines_of("conditions.txt"), 250, |bytes| compiles(&with(bytes)));
}

#[test]
fn small_definitions_are_linted() {
    let small = "workflow: tiny\nversion: 1\nlanguage: casebook/1\ntitle: Tiny\ntimezone: Europe/London\nroles:\n  clerk: { title: Clerk }\nevents:\n  case-opened:\n    title: Opened\n  begun:\n    title: Begun\n  ended:\n    title: Ended\nstrands:\n  inquiry:\n    title: Inquiry\n    initial: idle\n    states:\n      idle: { title: Idle }\n      open: { title: Open }\n      done: { title: Done, final: true }\n    transitions:\n      - { from: idle, on: begun, to: open }\n      - { from: open, on: ended, to: done }\n";
    assert!(compiles(small.as_bytes()), "the seed is a definition");
    fuzz("lint", &[small.as_bytes().to_vec()], 300, |bytes| {
        let Ok(text) = String::from_utf8(bytes.to_vec()) else { return false };
        let Ok(definition) = compile(&[SourceFile { name: "definition.yaml".into(), text }]) else {
            return false;
        };
        let _ = lint(&definition);
        true
    });
}

#[test]
fn scenarios() {
    let seeds = ["deadlines.txt", "interim-orders.txt"]
        .map(|name| repository(&format!("engine/workflows/fitness-to-practise/scenarios/{name}")));
    fuzz("scenarios", &seeds, 400, |bytes| {
        let Ok(text) = String::from_utf8(bytes.to_vec()) else { return false };
        scenario::parse(&SourceFile { name: "scenarios.txt".into(), text }).is_ok()
    });
}

#[test]
fn notes_keys_and_proofs() {
    let note = fs::read(fixtures("notes.txt")).unwrap();
    fuzz("notes", &[note], 4_000, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let _ = EventProof::read(text);
        let _ = text.lines().next().unwrap_or_default().parse::<VerifierKey>();
        let Ok(note) = Note::parse(text) else { return false };
        assert_eq!(note.to_string(), text);
        let _ = Rotation::read(&note);
        Checkpoint::read(&note).is_ok()
    });
}

#[test]
fn manifests_of_backups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store =
        SledStore::open_or_create(&path, SledOptions { ballast_bytes: 0, ..SledOptions::default() }).unwrap();
    (0..20).for_each(|case| _ = store.append(append(case, 0, 3)).unwrap());
    let files: std::sync::Arc<dyn casebook_engine::store::files::Files> =
        std::sync::Arc::new(casebook_engine::store::files::DiskFiles);
    let mut backup = Vec::new();
    casebook_engine::store::backup::back_up(&path, None, &files, &mut backup, &|_, _, _| {}).unwrap();
    let mut seeds = vec![backup.clone()];
    // Without compression more of a change reaches the reader behind it.
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(backup.as_slice()), &mut plain).unwrap();
    let packed = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    seeds.push(plain);
    fuzz("manifests", &seeds, 500, |bytes| {
        let straight = Manifest::read(bytes);
        let behind = Manifest::read(packed(bytes).as_slice());
        straight.is_ok() || behind.is_ok()
    });
}

#[test]
fn journals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let options = || SledOptions { ballast_bytes: 0, ..SledOptions::default() };
    let store = SledStore::open_or_create(&path, options()).unwrap();
    (0..8).for_each(|case| _ = store.append(append(case, 0, 2)).unwrap());
    drop(store);
    let segment = path.join("journal/00000000000000000001.log");
    let whole = fs::read(&segment).unwrap();
    fuzz("journals", &[whole], 60, |bytes| {
        fs::remove_dir_all(path.join("sled")).unwrap();
        fs::write(&segment, bytes).unwrap();
        match SledStore::open(&path, options()) {
            Ok(store) => {
                // A cut tail is no damage; what is left is what was written.
                let log = whole_log(&store);
                assert!(log.len() <= 16 && store.read_only_reason().is_none());
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                fs::create_dir_all(path.join("sled")).unwrap();
                false
            }
        }
    });
}
