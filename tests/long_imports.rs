//! An event file of any length is imported whole, case by case: whatever interrupts it, nothing is recorded twice and
//! nothing is missing, and every line that was not recorded is named.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use casebook_engine::store::{SledOptions, SledStore};
use casebook_tests::appends::whole_log;
use casebook_tests::chance::{Numbers, seed};
use serde_json::Value;

use crate::office::{Office, check_told};

/// Events of a case.
const EVENTS: usize = 8;

fn line(case: &str, event_type: &str, more: &str) -> String {
    format!(r#"{{"case":"{case}","type":"{event_type}","recorded_by":{{"id":"c","role":"clerk"}}{more}}}"#)
}

fn opened(case: &str) -> String {
    line(case, "case-opened", r#","workflow":"small-inquiry""#)
}

/// Cases whose lines take turns.
fn scattered(cases: usize) -> String {
    let mut text = String::new();
    for event in 0..EVENTS {
        for number in 0..cases {
            let case = format!("F/{number:05}");
            let said = match event {
                0 => opened(&case),
                _ => line(&case, "note-made", &format!(r#","data":{{"text":"{event}"}}"#)),
            };
            writeln!(text, "{said}").unwrap();
        }
    }
    text
}

/// How many events of each case the log holds.
fn recorded(office: &Office) -> BTreeMap<String, usize> {
    let mut cases = BTreeMap::new();
    if !office.data().exists() {
        return cases;
    }
    let store = SledStore::open(&office.data(), SledOptions::default()).unwrap();
    for stored in whole_log(&store) {
        let event: Value = serde_json::from_slice(&stored.bytes).unwrap();
        *cases.entry(event["case"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    cases
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn an_import_killed_again_and_again_ends_with_every_case_once() {
    let seed = seed();
    let mut numbers = Numbers(seed);
    let office = Office::new();
    let cases = 600;
    let file = office.file("long.jsonl", scattered(cases));
    let mut interrupted = 0;
    for kill in 0..12 {
        let mut child = office
            .command(&["import", &file])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Until the journal has grown by some more, so that the kill comes at another step each time.
        let (before, wanted) = (journal_bytes(&office), 1 + numbers.below(60_000));
        while child.try_wait().unwrap().is_none() && journal_bytes(&office) < before + wanted {
            std::thread::yield_now();
        }
        // SIGKILL: nothing is flushed, no destructor runs.
        child.kill().unwrap();
        child.wait().unwrap();
        let there = recorded(&office);
        assert!(there.values().all(|events| *events == EVENTS), "kill {kill}: half a case");
        interrupted += usize::from(!there.is_empty() && there.len() < cases);
    }
    assert!(interrupted > 0, "no kill came while cases were being recorded");
    office.done(&["import", &file]);
    let all = recorded(&office);
    assert_eq!(all.len(), cases);
    assert!(all.values().all(|events| *events == EVENTS));
    let again = document(&office.done(&["import", &file, "--json"]));
    assert_eq!(again["files"][0]["totals"]["recorded"], 0);
    assert_eq!(again["files"][0]["totals"]["already"], cases * EVENTS);
    assert_eq!(recorded(&office), all);
    office.done(&["audit", "verify"]);
}

/// Bytes in the journal.
fn journal_bytes(office: &Office) -> u64 {
    let Ok(entries) = std::fs::read_dir(office.data().join("journal")) else { return 0 };
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[test]
fn a_stream_is_imported_like_a_file_and_repeated_like_one() {
    let office = Office::new();
    let text = scattered(150);
    let answer = office.run_with(&["import", "-"], text.as_bytes());
    assert_eq!(answer.code, 0, "{answer:#?}");
    assert!(answer.stdout.contains("1200 events recorded in 150 cases"), "{answer:#?}");
    let file = office.file("long.jsonl", &text);
    let told = office.done(&["import", &file]).replace('\n', " ");
    assert!(told.contains("nothing new, 1200 recorded by an earlier import"), "{told}");
    assert_eq!(recorded(&office).len(), 150);
}

#[test]
fn thousands_of_refusals_are_counted_by_reason_and_written_line_by_line() {
    let office = Office::new();
    let mut text = String::new();
    for number in 0..240 {
        let case = format!("F/{number:03}");
        writeln!(text, "{}", opened(&case)).unwrap();
        match number % 4 {
            0 => writeln!(text, "{}", line(&case, "hearing-held", "")).unwrap(),
            1 => writeln!(text, "{}", line(&case, "note-made", r#","data":{"colour":"red"}"#)).unwrap(),
            _ => writeln!(text, "{}", line(&case, "note-made", "")).unwrap(),
        }
    }
    let file = office.file("long.jsonl", &text);
    let report = office.data().with_file_name("refused.jsonl");
    let arguments = ["import", file.as_str(), "--keep-going", "--report", report.to_str().unwrap()];
    let answer = office.run(&arguments);
    check_told(&arguments, &answer, 3, &["long.jsonl:2", "long.jsonl:4"]);
    assert!(answer.stdout.contains("Not recorded, by reason"), "{answer:#?}");
    assert!(answer.stdout.contains("240 events recorded in 120 cases, 120 cases not"), "{answer:#?}");
    assert_eq!(recorded(&office).len(), 120);
    let lines = std::fs::read_to_string(&report).unwrap();
    let lines: Vec<Value> = lines.lines().map(document).collect();
    assert_eq!(lines.len(), 120);
    for failed in &lines {
        let number: u64 = failed["case"].as_str().unwrap()[2..].parse().unwrap();
        assert_eq!(failed["line"], number * 2 + 2, "{failed}");
        let event_type = if number.is_multiple_of(4) { "hearing-held" } else { "note-made" };
        assert_eq!(failed["type"], event_type);
        assert_eq!(failed["rule"].is_string(), number.is_multiple_of(4), "{failed}");
        assert_ne!(failed["message"], "");
    }
    let told = document(&office.run(&["import", &file, "--keep-going", "--json"]).stdout);
    let told = &told["files"][0];
    assert_eq!((&told["failed_count"], told["failed"].as_array().unwrap().len()), (&120.into(), 120));
    assert_eq!(told["cases"].as_array().unwrap().len(), 120);
    let reasons = told["failed_by_reason"].as_array().unwrap();
    assert_eq!(reasons.iter().map(|reason| reason["cases"].as_u64().unwrap()).collect::<Vec<_>>(), [60, 60]);
}

#[test]
fn without_keep_going_the_cases_that_were_not_tried_are_counted() {
    let office = Office::new();
    let mut text = format!("{}\n{}\n", opened("F/bad"), line("F/bad", "hearing-held", ""));
    text.push_str(&scattered(900));
    let file = office.file("long.jsonl", &text);
    let arguments = ["import", file.as_str()];
    let answer = office.run(&arguments);
    check_told(&arguments, &answer, 3, &["long.jsonl:2"]);
    assert!(answer.stdout.contains("not tried: --keep-going"), "{answer:#?}");
    let there = recorded(&office);
    assert!(there.len() < 900 && there.values().all(|events| *events == EVENTS));
}

#[test]
fn a_case_in_two_files_is_continued_or_refused_but_never_opened_twice() {
    let office = Office::new();
    let first = office.file("first.jsonl", format!("{}\n{}\n", opened("F/1"), line("F/1", "note-made", "")));
    let more = office.file("more.jsonl", line("F/1", "note-made", r#","data":{"text":"more"}"#));
    office.done(&["import", &first, &more]);
    assert_eq!(recorded(&office)["F/1"], 3);
    office.done(&["import", &first, &more]);
    assert_eq!(recorded(&office)["F/1"], 3);
    let other = office.file("other.jsonl", opened("F/1").replace("\"c\"", "\"d\""));
    office.wrong(&["import", &other], 4, &["other.jsonl:1", "F/1", "already here"]);
}

#[test]
fn a_file_of_other_line_ends_or_with_nothing_in_it_is_no_mistake() {
    let office = Office::new();
    let text = format!("\u{feff}{}\r\n\r\n{}\r\n", opened("F/1"), line("F/1", "note-made", ""));
    let file = office.file("dos.jsonl", text);
    office.done(&["import", &file]);
    assert_eq!(recorded(&office)["F/1"], 2);
    let empty = office.file("empty.jsonl", "");
    assert!(office.done(&["import", &empty]).contains("0 lines"));
    let folder = office.data().parent().unwrap().to_str().unwrap().to_owned();
    office.wrong(&["import", &folder], 2, &["is a folder", "*.jsonl"]);
}

#[test]
fn a_line_that_is_too_long_and_a_key_that_is_twice_there_are_named_and_nothing_is_recorded() {
    let office = Office::with_a_case();
    let long = line("F/1", "note-made", &format!(r#","data":{{"text":"{}"}}"#, "x".repeat(66_000)));
    let file = office.file("long.jsonl", format!("{}\n{long}\n", opened("F/1")));
    office.wrong(&["import", &file], 2, &["long.jsonl"]);
    let twice = line("F/1", "note-made", r#","type":"note-made""#);
    let file = office.file("twice.jsonl", format!("{}\n{twice}\n", opened("F/1")));
    office.wrong(&["import", &file], 2, &["twice.jsonl:2", "type"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_that_ends_in_the_middle_of_a_line_records_nothing() {
    let office = Office::new();
    let mut child = office
        .command(&["import", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let text = scattered(20);
    pipe.write_all(&text.as_bytes()[..text.len() - 20]).unwrap();
    drop(pipe);
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{told}");
    assert!(told.contains(&format!("/dev/stdin:{}", 20 * EVENTS)), "{told}");
    assert_eq!(recorded(&office).len(), 0);
}
