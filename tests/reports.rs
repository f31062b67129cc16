//! What is written for people about one case says what the record says, invents nothing, and survives whatever was typed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::office::Office;

const REFERENCE: &str = "2020/146999";

/// Ends an element, an attribute, a comment, a style sheet and a script; hides letters and turns the line round.
const HOSTILE: &str = "</style></title>\"'><script>alert(1)</script>&amp;<img src=x onerror=alert(1)>]]>-->\u{202e}\u{7}\\22; }";

fn example(path: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples");
    folder.join(path).to_str().unwrap().to_owned()
}

/// The reference case, imported.
fn reference_case() -> Office {
    let office = Office::new();
    office.done(&["import", &example("reference-case/2020-146999.jsonl")]);
    office
}

/// Every document about a case, each with its name.
fn documents(office: &Office, reference: &str) -> Vec<(&'static str, String)> {
    let forms: [(&str, &[&str]); 4] = [
        ("svg", &["export", "svg"]),
        ("report", &["audit", "report"]),
        ("chronology", &["export", "chronology"]),
        ("text", &["export", "chronology", "--format", "text"]),
    ];
    let written = |(name, command): (&'static str, &[&str])| {
        let arguments: Vec<&str> = command.iter().copied().chain([reference]).collect();
        (name, office.done(&arguments))
    };
    forms.into_iter().map(written).collect()
}

/// A page as XML; what browsers repair is not well-formed here.
#[track_caller]
fn parsed(name: &str, text: &str) -> usize {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options)
        .unwrap_or_else(|error| panic!("{name} is not well-formed: {error}"));
    let mut ids = BTreeSet::new();
    for element in document.descendants().filter(roxmltree::Node::is_element) {
        let tag = element.tag_name().name();
        assert!(
            !["script", "img", "link", "iframe", "object", "foreignObject"].contains(&tag),
            "{name}: <{tag}>"
        );
        for attribute in element.attributes() {
            let (key, value) = (attribute.name(), attribute.value());
            assert!(!key.starts_with("on"), "{name}: {key}={value}");
            assert!(!["src", "href"].contains(&key) || value.starts_with('#'), "{name} asks for {value}");
        }
        if let Some(id) = element.attribute("id") {
            assert!(ids.insert(id.to_owned()), "{name}: two elements have the id {id}");
        }
    }
    let links = document.descendants().filter_map(|node| node.attribute("href"));
    for link in links {
        assert!(ids.contains(&link[1..]), "{name}: {link} leads nowhere");
    }
    document.descendants().count()
}

/// The text of a page as a reader sees it, spaces counted once.
fn read(text: &str) -> String {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).unwrap();
    let is_seen = |node: &roxmltree::Node<'_, '_>| {
        !node.ancestors().any(|above| ["style", "head", "svg"].contains(&above.tag_name().name()))
    };
    let words: String = document
        .descendants()
        .filter(|node| node.is_text() && is_seen(node))
        .map(|node| format!("{} ", node.text().unwrap()))
        .collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_says(name: &str, text: &str, phrases: &[&str]) {
    for phrase in phrases {
        assert!(text.contains(phrase), "{name} does not say {phrase:?}: {text}");
    }
}

fn report_json(office: &Office, reference: &str) -> Value {
    serde_json::from_str(&office.done(&["audit", "report", reference, "--json"])).unwrap()
}

#[test]
fn every_document_is_well_formed_and_asks_for_nothing_outside() {
    let office = reference_case();
    for (name, text) in documents(&office, REFERENCE) {
        if name != "text" {
            assert!(parsed(name, &text) > 100, "{name} is empty");
        }
        assert!(!text.replace("http://www.w3.org/", "").contains("http"), "{name} names an address");
    }
}

#[test]
fn the_report_of_the_reference_case_says_what_the_published_text_says() {
    let office = reference_case();
    let report = read(&office.done(&["audit", "report", REFERENCE]));
    check_says(
        "the report",
        &report,
        &[
            "Verified: nothing was changed.",
            "Case 2020/146999",
            "Sexualised text messages sent to member of public - Kent Police, May 2021",
            "December 2020 “in December 2020”",
            "“earlier that month”",
            "“admitted the offence … on 20 July”",
            "4 October 2023 “sentenced on 4 October”",
            "immediate-custody",
            "Southwark Crown Court",
            "Heard, finding not recorded",
            "Decided by court.",
            "No breach was noted.",
            "Nothing was recorded against a rule.",
            "Nothing was corrected or annulled.",
            "IOPC 2020/146999, published 10 January 2024",
        ],
    );
    // Not stated by the source: whoever reads one of these words here read an invention.
    for word in [
        "Dismissed",
        "dismissed",
        "barred list",
        "Former",
        "resigned",
        "bailed",
        "case closed",
        "Case closed",
    ] {
        assert!(!report.contains(word), "the report invents {word:?}");
    }
}

#[test]
fn the_report_of_the_reference_case_counts_what_is_there() {
    let report = report_json(&reference_case(), REFERENCE);
    let counts = json!({
        "events": 42, "overrides": 0, "breaches": 0, "open_gaps": 15, "closed_gaps": 0, "corrections": 0,
        "annulments": 0, "late": 0, "deadlines_missed": 0, "deadlines_ran_out": 4, "deadlines_undecided": 4,
    });
    assert_eq!(report["counts"], counts);
    assert_eq!(report["verification"]["verified"], true);
    assert_eq!(report["checkpoint"]["size"], 42);
    let timeliness =
        report["deadlines"].as_array().unwrap().iter().find(|row| row["deadline"] == "timeliness-report");
    assert_eq!(
        timeliness.unwrap()["answer"],
        "indeterminate",
        "the day on which the clock began is not known"
    );
}

#[test]
fn the_chronology_has_every_event_once_with_reference_checkpoint_and_number_on_every_page() {
    let office = reference_case();
    let page = office.done(&["export", "chronology", REFERENCE]);
    for version in 1..=42 {
        assert_eq!(page.matches(&format!("<tr id=\"event-{version}\"")).count(), 1, "event {version}");
    }
    let root = report_json(&office, REFERENCE)["checkpoint"]["root"].as_str().unwrap().to_owned();
    check_says(
        "the chronology",
        &page,
        &["counter(page)", "counter(pages)", "content: \"Case 2020/146999\"", &root],
    );
    let text = office.done(&["export", "chronology", REFERENCE, "--format", "text"]);
    let sheets: Vec<&str> = text.split('\u{c}').collect();
    assert!(sheets.len() > 2);
    for (index, sheet) in sheets.iter().enumerate() {
        let number = format!("Page {} of {}", index + 1, sheets.len());
        check_says(&number, sheet, &[&number, "Case 2020/146999: chronology", &root]);
        assert!(sheet.lines().all(|line| line.chars().count() <= 78), "{sheet}");
        assert!(sheet.lines().count() <= 62, "a sheet of {} lines", sheet.lines().count());
    }
    let numbers: BTreeSet<u64> = text
        .lines()
        .filter(|line| line.len() > 6 && &line[4..6] == "  ")
        .filter_map(|line| line[..4].trim().parse().ok())
        .collect();
    assert_eq!(numbers, (1..=42).collect());
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    let office = reference_case();
    assert_eq!(documents(&office, REFERENCE), documents(&office, REFERENCE));
    // Ids, salts and instants differ between two stores; a picture shows what happened and none of these.
    let other = reference_case();
    assert_eq!(office.done(&["export", "svg", REFERENCE]), other.done(&["export", "svg", REFERENCE]));
}

/// A case with hostile text in every field that takes text.
fn hostile_case(office: &Office) -> String {
    let by = json!({ "id": HOSTILE, "role": "clerk" });
    let source = json!({ "kind": "document", "ref": HOSTILE });
    let reference = HOSTILE.replace(['\u{7}', '\u{202e}'], "");
    let line = |kind: &str, scope: Value, occurred: Value, data: Value| {
        json!({
            "case": reference, "type": kind, "scope": scope, "occurred": occurred, "data": data, "recorded_by": by,
            "source": source, "rationale": HOSTILE, "decided_by": { "body": "court", "role": HOSTILE, "id": HOSTILE },
        })
    };
    let when = json!({ "edtf": "2020-02", "text": HOSTILE });
    let mut opened = line("case-opened", json!({}), when.clone(), json!({ "title": HOSTILE }));
    opened["workflow"] = json!("small-inquiry");
    opened.as_object_mut().unwrap().remove("decided_by");
    let person = line("person-named", json!({ "person": HOSTILE }), when.clone(), json!({ "name": HOSTILE }));
    let charge = line(
        "charge-brought",
        json!({ "person": HOSTILE, "charge": HOSTILE }),
        when,
        json!({ "offence": HOSTILE }),
    );
    let text = [opened, person, charge].map(|line| line.to_string()).join("\n");
    let file = office.file("hostile.jsonl", text);
    office.done(&["import", &file]);
    office.done(&[
        "correct",
        &reference,
        "3",
        &format!("offence={HOSTILE} again"),
        "--on",
        "2020-03",
        "--reason",
        HOSTILE,
    ]);
    reference
}

#[test]
fn whatever_was_typed_stays_text() {
    let office = Office::new();
    let reference = hostile_case(&office);
    for (name, text) in documents(&office, &reference) {
        let hidden =
            |letter: char| letter == '\u{202e}' || (letter.is_control() && !"\n\u{c}".contains(letter));
        assert!(!text.contains(hidden), "{name} holds hidden letters");
        if name == "text" {
            continue;
        }
        parsed(name, &text);
        assert!(
            !text.contains("<script") && !text.contains("<img"),
            "{name} holds an element that somebody typed"
        );
    }
    let report = office.done(&["audit", "report", &reference]);
    assert_eq!(report.matches("</style>").count(), 1, "the style sheet ends where it should");
    let seen = read(&report);
    assert!(
        seen.matches("<script>alert(1)</script>&amp;<img").count() > 8,
        "what was typed is shown as it was typed: {seen}"
    );
}

/// A small case with one of everything that a report has to tell.
fn eventful_case() -> Office {
    let office = Office::with_a_case();
    office.done(&["correct", "R/1", "3", "--on", "2021-04-02", "--reason", "the sheet says April"]);
    office.done(&[
        "record",
        "R/1",
        "charge-brought",
        "--scope",
        "person=P1",
        "--scope",
        "charge=C2",
        "--on",
        "2021-06-01",
    ]);
    office.done(&["annul", "R/1", "5", "--reason", "the same charge twice"]);
    office
}

#[test]
fn a_correction_and_an_annulment_are_shown_with_what_was_there_before() {
    let office = eventful_case();
    let report = report_json(&office, "R/1");
    assert_eq!((&report["counts"]["corrections"], &report["counts"]["annulments"]), (&json!(1), &json!(1)));
    let page = office.done(&["audit", "report", "R/1"]);
    check_says(
        "the report",
        &page,
        &["<s>1 May 2021</s>", "2 April 2021", "annulled by 6", "corrected by 4"],
    );
    check_says(
        "the report",
        &read(&page),
        &["Reason: the sheet says April", "Reason: the same charge twice"],
    );
    let text = office.done(&["export", "chronology", "R/1", "--format", "text"]);
    check_says("the text", &text, &["[was: 1 May 2021]", "[CORRECTED by 4]", "[ANNULLED by 6]"]);
    let picture = office.done(&["export", "svg", "R/1"]);
    check_says("the picture", &picture, &["; annulled", "; corrected", "A small struck circle"]);
}

#[test]
fn a_late_fact_says_what_it_changed_of_the_past() {
    let office = Office::new();
    let by = |name: &str| vec!["record".to_owned(), "R/1".to_owned(), name.to_owned()];
    office.done(&["open", "R/1", "--workflow", "small-inquiry", "--on", "2021-01-01"]);
    let record = |name: &str, more: &[&str]| {
        let arguments: Vec<String> =
            by(name).into_iter().chain(more.iter().map(ToString::to_string)).collect();
        office.done(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    };
    record("person-named", &["--scope", "person=P1", "--on", "2021-01-02", "name=x"]);
    record("charge-brought", &["--scope", "person=P1", "--scope", "charge=C1", "--on", "2021-05-01"]);
    record("charge-brought", &["--scope", "person=P1", "--scope", "charge=C2", "--on", "2021-02-01"]);
    let report = report_json(&office, "R/1");
    assert_eq!(report["counts"]["late"], 1);
    let late = &report["late"][0];
    assert_eq!((&late["version"], &late["day"]), (&json!(4), &json!("2021-02-01")));
    let changed = late["changed"].as_array().unwrap();
    assert!(changed.iter().any(|change| change["entity"] == "C2"), "{late}");
}

#[test]
fn a_report_on_a_log_that_was_changed_says_so_and_the_exit_code_too() {
    let office = reference_case();
    let checkpoints = office.data().join("keys").join("last-signed");
    office.done(&["audit", "checkpoint"]);
    let note = std::fs::read_to_string(&checkpoints).unwrap();
    std::fs::write(&checkpoints, note.replacen("\n42\n", "\n41\n", 1)).unwrap();
    let answer = office.run(&["audit", "report", REFERENCE]);
    assert_eq!(answer.code, 8, "{}", answer.stderr);
    let page = read(&answer.stdout);
    check_says("the report", &page, &["Not verified: the log is not what it should be.", "No checkpoint"]);
    assert!(!page.contains("nothing was changed"), "{page}");
}

#[test]
fn a_wrong_reference_or_an_impossible_file_is_told_with_what_to_do() {
    let office = Office::with_a_case();
    for command in [&["audit", "report"][..], &["export", "chronology"], &["export", "svg"]] {
        let with =
            |more: &[&'static str]| command.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
        office.wrong(&with(&["R/2"]), 5, &["there is no case R/2", "casebook cases"]);
        office.wrong(
            &with(&["R/1", "-o", "no/such/folder/x"]),
            5,
            &["there is no folder for no/such/folder/x"],
        );
        office.wrong(&with(&["R/1", "-o", "cases"]), 2, &["cases"]);
        office.wrong(&with(&[]), 2, &["REF"]);
    }
    office.wrong(&["export", "chronology", "R/1", "--format", "pdf"], 2, &["html", "text"]);
}

#[test]
fn a_document_replaces_the_file_whole() {
    let office = reference_case();
    let file = office.file("out.html", "what was there");
    let told = office.done(&["export", "chronology", REFERENCE, "-o", &file]);
    assert_eq!(told, format!("Wrote the chronology of {REFERENCE}: {file}\n"));
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("<!DOCTYPE html>"));
    let told = office.done(&["audit", "report", REFERENCE, "-o", &file, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["file"], json!(file));
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(written["format"], "casebook-audit-report/1");
}
