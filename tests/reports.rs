//! What is written for people about one case says what the record says, invents nothing, and survives whatever was typed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use casebook::report::account::{Account, Checkpointed};
use casebook::report::audit_document::audit_document;
use casebook::report::audit_page::audit_page;
use casebook::report::chronology::{chronology_page, chronology_text};
use casebook::report::picture::{Picture, picture};
use casebook_engine::case::event::{Decider, ProposedEvent, Source, SourceKind, Version};
use casebook_engine::case::occurred::{Day, Occurred};
use casebook_engine::case::reading::Cut;
use casebook_engine::engine::{HistoryOrder, Opening, RecordOptions};
use casebook_engine::exchange::import::{ImportOptions, import_case};
use casebook_engine::exchange::jsonl::read_file;
use casebook_engine::verify::verify;
use serde_json::{Value, json};

use crate::desk::{Desk, engine_of, police_conduct, small};
use crate::office::Office;

const REFERENCE: &str = "2020/146999";

/// Ends an element, an attribute, a comment, a style sheet and a script; hides letters and turns the line round.
const HOSTILE: &str = "</style></title>\"'><script>alert(1)</script>&amp;<img src=x onerror=alert(1)>]]>-->\u{202e}\u{7}\\22; }";

const ROOT: &str = "5fEvoPA3hLEhI/UUZiVLgsUBLXwvO0fpL8SgVhZs82k=";

fn example() -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/reference-case");
    std::fs::read(folder.join("2020-146999.jsonl")).unwrap()
}

/// The reference case, imported.
fn reference_case() -> Desk {
    let desk = Desk::of_open_case(engine_of(police_conduct()), REFERENCE);
    let lines = read_file(&example()[..]).unwrap();
    desk.wait(import_case(&desk.engine, &lines.cases[0], ImportOptions::default())).unwrap();
    desk
}

/// Everything that is told of a desk's case on a certain day.
fn account(desk: &Desk) -> Account {
    let state = desk.case_state();
    let history = desk.wait(desk.engine.history(&desk.case, Cut::default(), HistoryOrder::Timeline)).unwrap();
    let day = Day::parse("2026-11-24").unwrap();
    let mut account = Account::of(&state, history, Arc::clone(state.definition()), day);
    account.verification = Some(verify(&desk.engine, &|_| {}).unwrap());
    account.checkpoint = Some(Checkpointed {
        origin: "casebook/test".to_owned(),
        size: state.version().0,
        root: ROOT.to_owned(),
        note: "a note".to_owned(),
        vkey: "a key".to_owned(),
    });
    account
}

fn drawn(account: &Account) -> String {
    picture(Picture { reference: &account.status.reference, course: &account.course, is_linked: false })
}

/// Every document about a case, each with its name.
fn documents(account: &Account) -> [(&'static str, String); 4] {
    [
        ("svg", drawn(account)),
        ("report", audit_page(account)),
        ("chronology", chronology_page(account)),
        ("text", chronology_text(account)),
    ]
}

fn report_json(account: &Account) -> Value {
    serde_json::to_value(audit_document(account)).unwrap()
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

#[test]
fn every_document_is_well_formed_and_asks_for_nothing_outside() {
    for (name, text) in documents(&account(&reference_case())) {
        if name != "text" {
            assert!(parsed(name, &text) > 100, "{name} is empty");
        }
        assert!(
            !text.replace("http-equiv", "").replace("http://www.w3.org/", "").contains("http"),
            "{name} names an address"
        );
    }
}

#[test]
fn the_report_of_the_reference_case_says_what_the_published_text_says() {
    let report = read(&audit_page(&account(&reference_case())));
    let phrases = [
        "Verified: nothing was changed.",
        "Case 2020/146999",
        "Sexualised text messages sent to member of public - Kent Police, May 2021",
        "December 2020 “in December 2020”",
        "“earlier that month”",
        "“admitted the offence … on 20 July”",
        "4 October 2023 “sentenced on 4 October”",
        "immediate custody",
        "Southwark Crown Court",
        "Heard, finding not recorded",
        "Decided by court.",
        "No breach was noted.",
        "Nothing was recorded against a rule.",
        "Nothing was corrected or annulled.",
        "IOPC 2020/146999, published 10 January 2024",
    ];
    check_says("the report", &report, &phrases);
    // Not stated by the source: whoever reads one of these words here reads an invention.
    for word in ["ismissed", "barred list", "Former", "resigned", "ase closed"] {
        assert!(!report.contains(word), "the report invents {word:?}");
    }
}

#[test]
fn the_report_of_the_reference_case_counts_what_is_there() {
    let report = report_json(&account(&reference_case()));
    let counts = json!({
        "events": 42, "overrides": 0, "breaches": 0, "open_gaps": 15, "closed_gaps": 0, "corrections": 0,
        "annulments": 0, "late": 0, "deadlines_missed": 0, "deadlines_ran_out": 4, "deadlines_undecided": 5,
    });
    assert_eq!(report["counts"], counts);
    assert_eq!(report["verification"]["verified"], true);
    let answer = |name: &str| {
        let rows = report["deadlines"].as_array().unwrap();
        rows.iter().find(|row| row["deadline"] == name).map(|row| row["answer"].clone())
    };
    // The day on which its clock began is not known.
    assert_eq!(answer("timeliness-report"), Some(json!("indeterminate")), "{:#}", report["deadlines"]);
    let gaps = report["gaps"].as_array().unwrap();
    assert!(
        gaps.iter().all(|gap| gap["closed_by"].is_null() && !gap["why_known"].as_str().unwrap().is_empty())
    );
}

#[test]
fn the_chronology_has_every_event_once_with_reference_checkpoint_and_number_on_every_page() {
    let account = account(&reference_case());
    let page = chronology_page(&account);
    for version in 1..=42 {
        assert_eq!(page.matches(&format!("id=\"event-{version}\"")).count(), 1, "event {version}");
    }
    let phrases = ["counter(page)", "counter(pages)", "content: \"Case 2020/146999\"", ROOT];
    check_says("the chronology", &page, &phrases);
    let text = chronology_text(&account);
    let sheets: Vec<&str> = text.split('\u{c}').collect();
    assert!(sheets.len() > 2);
    for (index, sheet) in sheets.iter().enumerate() {
        let number = format!("Page {} of {}", index + 1, sheets.len());
        check_says(&number, sheet, &[&number, "Case 2020/146999: chronology", ROOT]);
        assert!(sheet.lines().all(|line| line.chars().count() <= 78), "{sheet}");
        assert!(sheet.lines().count() <= 62, "a sheet of {} lines", sheet.lines().count());
    }
    let number = |line: &str| line.get(..6)?.strip_suffix("  ")?.trim_start().parse::<u64>().ok();
    assert_eq!(text.lines().filter_map(number).collect::<BTreeSet<_>>(), (1..=42).collect());
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    let desk = reference_case();
    assert_eq!(documents(&account(&desk)), documents(&account(&desk)));
    // Ids, salts and instants differ between two stores; a picture shows what happened and none of these.
    assert_eq!(drawn(&account(&desk)), drawn(&account(&reference_case())));
}

/// A case with hostile text in every field that takes text.
fn hostile_case() -> Desk {
    // A reference may not hold what nobody sees.
    let reference = HOSTILE.replace(['\u{7}', '\u{202e}'], "");
    let desk = Desk::of_open_case(engine_of(small()), &reference);
    let said = |line: &str| -> ProposedEvent {
        let mut event = crate::desk::event(&desk.definition, line);
        event.recorded_by.id = HOSTILE.to_owned();
        event.source = Some(Source { kind: SourceKind::Document, reference: Some(HOSTILE.to_owned()) });
        event.rationale = Some(HOSTILE.to_owned());
        event.occurred = Some(Occurred::parse("2020-02").unwrap().with_text(HOSTILE));
        for id in event.scope.values_mut() {
            HOSTILE.clone_into(id);
        }
        for value in event.data.values_mut() {
            *value = json!(HOSTILE);
        }
        event
    };
    let opening = said("case-opened title=x");
    let mut charge = said("charge-brought person=x charge=x offence=x");
    let (role, id) = (Some(HOSTILE.to_owned()), Some(HOSTILE.to_owned()));
    charge.decided_by = Some(Decider { body: HOSTILE.to_owned(), role, id });
    let then = vec![said("person-named person=x name=x"), charge];
    let workflow = desk.definition.name.clone();
    let opening = Opening { reference, workflow, event: opening, then };
    desk.wait(desk.engine.open_case(opening, RecordOptions::default())).unwrap();
    desk.correct(3, json!({ "offence": format!("{HOSTILE} again"), "occurred": "2020-03" })).unwrap();
    desk
}

#[test]
fn whatever_was_typed_stays_text() {
    let account = account(&hostile_case());
    for (name, text) in documents(&account) {
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
    let report = audit_page(&account);
    assert_eq!(report.matches("</style>").count(), 1, "the style sheet ends where it should");
    let seen = read(&report).matches("<script>alert(1)</script>&amp;<img").count();
    assert!(seen > 12, "what was typed is shown as it was typed, {seen} times");
}

#[test]
fn a_correction_and_an_annulment_are_shown_with_what_was_there_before() {
    let desk = Desk::new();
    desk.record("person-named person=P1 name=P1 on=2020-02-01");
    desk.record("charge-brought person=P1 charge=C1 on=2020-05-01 offence=theft");
    desk.correct(3, json!({ "occurred": "2020-04-02", "offence": "fraud" })).unwrap();
    desk.record("charge-brought person=P1 charge=C2 on=2020-06-01 offence=theft");
    let by = "clerk-1:clerk".parse().unwrap();
    let reason = "the same charge twice";
    desk.wait(desk.engine.annul(&desk.case, Version(5), reason, by, RecordOptions::default())).unwrap();
    let account = account(&desk);
    let counts = account.counts();
    assert_eq!((counts.corrections, counts.annulments), (1, 1));
    let page = audit_page(&account);
    let phrases = ["<s>1 May 2020</s>", "2 April 2020", "<s>theft</s> <strong>fraud</strong>"];
    check_says("the report", &page, &phrases);
    let phrases = ["annulled by 6", "corrected by 4", "Reason: the same charge twice"];
    check_says("the report", &read(&page), &phrases);
    let text = chronology_text(&account);
    check_says(
        "the text",
        &text,
        &["[was: 1 May 2020]", "[CORRECTED by 4]", "[ANNULLED by 6]", "Reads now: offence: fraud"],
    );
    check_says("the picture", &drawn(&account), &["; annulled", "; corrected", "A small struck circle"]);
}

#[test]
fn a_late_fact_says_what_it_changed_of_the_past() {
    let desk = Desk::charged();
    desk.record("charge-brought person=P1 charge=C2 on=2020-02-10 offence=theft");
    let report = report_json(&account(&desk));
    assert_eq!(report["counts"]["late"], 1);
    let late = &report["late"][0];
    assert_eq!((&late["version"], &late["day"]), (&json!(4), &json!("2020-02-10")));
    let changed = late["changed"].as_array().unwrap();
    assert!(changed.iter().any(|change| change["entity"] == "C2"), "{late}");
}

fn imported() -> Office {
    let office = Office::new();
    let file = office.file("case.jsonl", example());
    office.done(&["import", &file]);
    office
}

#[test]
fn a_report_on_a_log_that_was_changed_says_so_and_the_exit_code_too() {
    let office = Office::with_a_case();
    office.done(&["audit", "checkpoint"]);
    let kept = office.data().join("keys").join("last-signed");
    let note = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, note.replacen("\n5\n", "\n4\n", 1)).unwrap();
    let answer = office.run(&["audit", "report", "R/1"]);
    assert_eq!(answer.code, 8, "{}", answer.stderr);
    let page = read(&answer.stdout);
    check_says("the report", &page, &["Not verified: the log is not what it should be.", "No checkpoint"]);
    assert!(!page.contains("nothing was changed"), "{page}");
}

#[test]
fn a_wrong_reference_or_an_impossible_file_is_told_with_what_to_do() {
    let office = Office::with_a_case();
    office.wrong(&["export", "svg", "R/2"], 5, &["there is no case R/2", "casebook cases"]);
    office.wrong(&["export", "chronology", "R/2"], 5, &["there is no case R/2", "casebook cases"]);
    office.wrong(&["audit", "report", "R/2"], 5, &["there is no case R/2", "casebook cases"]);
    let nowhere = "no/such/folder/x";
    office.wrong(
        &["audit", "report", "R/1", "-o", nowhere],
        5,
        &["there is no folder for no/such/folder/x", "make the folder"],
    );
    office.wrong(&["export", "svg", "R/1", "-o", "cases"], 2, &["cases is a folder", "name a file"]);
    office.wrong(&["export", "chronology"], 2, &["REF"]);
    office.wrong(&["export", "chronology", "R/1", "--format", "pdf"], 2, &["html", "text"]);
    assert!(!office.data().with_extension("part").exists(), "half a file is left behind");
}

#[test]
fn a_document_replaces_the_file_whole() {
    let office = imported();
    let file = office.file("out.html", "what was there");
    let told = office.done(&["export", "chronology", REFERENCE, "-o", &file]);
    assert_eq!(told, format!("Wrote the chronology of {REFERENCE}: {file}\n"));
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("<!DOCTYPE html>"));
    let told = office.done(&["audit", "report", REFERENCE, "-o", &file, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["file"], json!(file));
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(written["format"], "casebook-audit-report/1");
    // The case's 42 events, and the two of the log's own case that seal them.
    assert_eq!(written["checkpoint"]["size"], 44);
}
