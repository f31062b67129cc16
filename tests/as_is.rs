//! An export is taken over byte for byte into an empty folder, or not at all.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use casebook_engine::case::event::Position;
use casebook_engine::engine::Engine;
use casebook_engine::exchange::as_is::{AsIsError, TakenOver, take_over};
use casebook_engine::exchange::import::{ImportOptions, import_case};
use casebook_engine::exchange::jsonl::read_file;
use casebook_engine::store::{SledOptions, SledStore};
use serde_json::Value;

use crate::desk::{Desk, SMALL, definition, engine_of, small};
use crate::office::{Office, check_told};

/// Two cases, whose events were recorded by turns; each line a file of its own.
const RECORDED: [&str; 8] = [
    r#"{"case":"R/1","type":"case-opened","workflow":"small-inquiry","recorded_by":{"id":"clerk-1","role":"clerk"}}"#,
    r#"{"case":"R/2","type":"case-opened","workflow":"small-inquiry","recorded_by":{"id":"clerk-1","role":"clerk"}}"#,
    r#"{"case":"R/1","type":"person-named","scope":{"person":"P1"},"data":{"name":"x"},"recorded_by":{"id":"clerk-1","role":"clerk"}}"#,
    r#"{"case":"R/1","type":"charge-brought","scope":{"charge":"C1"},"recorded_by":{"id":"clerk-1","role":"clerk"}}"#,
    r#"{"case":"R/1","type":"note-made","data":{"text":"a note — with “signs”"},"recorded_by":{"id":"clerk-1","role":"clerk"}}"#,
    r#"{"case":"R/2","type":"person-named","scope":{"person":"P1"},"data":{"name":"y"},"recorded_by":{"id":"clerk-1","role":"clerk"}}"#,
    r#"{"case":"R/1","type":"plea-entered","scope":{"charge":"C1"},"data":{"plea":"guilty"},"recorded_by":{"id":"clerk-1","role":"clerk"}}"#,
    r#"{"case":"R/2","type":"note-made","recorded_by":{"id":"clerk-2","role":"clerk"}}"#,
];

fn recorded() -> Engine {
    let desk = Desk::of_open_case(engine_of(small()), "R/1");
    for line in RECORDED {
        let file = read_file(line.as_bytes()).unwrap();
        desk.wait(import_case(&desk.engine, &file.cases[0], ImportOptions::default())).unwrap();
    }
    desk.engine
}

/// The lines of an export of everything.
fn lines(engine: &Engine) -> Vec<String> {
    let events = engine.store().read_log(Position(0), 100).unwrap();
    events.iter().map(|event| String::from_utf8(event.bytes.to_vec()).unwrap()).collect()
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn taken_over(lines: &[String], engine: &Engine) -> Result<TakenOver, AsIsError> {
    take_over(engine, Cursor::new(joined(lines)), &[], &|_, _, _| {})
}

#[test]
fn events_taken_over_have_the_same_bytes_places_and_root() {
    let old = recorded();
    let new = engine_of(small());
    let taken = taken_over(&lines(&old), &new).unwrap();
    assert_eq!((taken.cases, taken.events, taken.in_file_order), (2, 8, true));
    assert_eq!(lines(&new), lines(&old));
    let root = |engine: &Engine| casebook_engine::verify::verify(engine, &|_| {}).unwrap().root;
    assert_eq!(taken.root, root(&old));
    assert_eq!(root(&new), root(&old));
    assert!(matches!(taken_over(&lines(&old), &new), Err(AsIsError::NotEmpty { events: 8 })));
}

#[test]
fn cases_in_another_order_are_put_in_the_order_in_which_they_were_recorded() {
    let old = recorded();
    let whole = lines(&old);
    let (first, second): (Vec<String>, Vec<String>) =
        whole.iter().cloned().partition(|line| line.contains("\"case\":\"R/1\""));
    let new = engine_of(small());
    let taken = taken_over(&[second, first].concat(), &new).unwrap();
    assert!(!taken.in_file_order);
    let instants = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| line.split("\"recorded_at\":\"").nth(1).unwrap()[..27].to_owned()).collect()
    };
    assert_eq!(instants(&lines(&new)), instants(&whole));
    assert!(casebook_engine::verify::verify(&new, &|_| {}).unwrap().verified);
}

#[test]
fn every_change_is_refused_with_its_line_and_its_reason() {
    let whole = lines(&recorded());
    let check = |change: &dyn Fn(&mut Vec<String>), line: usize, word: &str| {
        let mut lines = whole.clone();
        change(&mut lines);
        let problem = taken_over(&lines, &engine_of(small())).expect_err(word).to_string();
        assert!(
            problem.starts_with(&format!("line {line}: ")) && problem.contains(word),
            "{word}: {problem}"
        );
    };
    check(&|lines| lines[4] = lines[4].replace("a note", "a vote"), 7, "was changed");
    check(&|lines| lines[4] = lines[4].replace("clerk-1", "clerk-2"), 7, "was changed");
    check(&|lines| _ = lines.remove(4), 6, "lines are missing");
    check(&|lines| lines.insert(4, whole[4].clone()), 6, "twice there");
    check(&|lines| lines.swap(3, 4), 4, "out of order");
    check(&|lines| _ = lines.remove(0), 2, "first events are missing");
    check(&|lines| lines[1] = lines[1].replace("R/2", "R/1"), 2, "belongs to another case");
    check(&|lines| lines[1] = lines[1].replace("{\"case\"", "{ \"case\""), 2, "canonical");
    check(&|lines| lines[1].push('\r'), 2, "canonical");
    let in_capitals = |line: &str| {
        let (before, id) = line.split_once("\"id\":\"").unwrap();
        let (id, after) = id.split_at(36);
        format!("{before}\"id\":\"{}{after}", id.to_uppercase())
    };
    check(&|lines| lines[1] = in_capitals(&whole[1]), 2, "canonical");
    check(&|lines| lines[1] = whole[1].replacen("{", "{\"asserted\":\"stated\",", 1), 2, "canonical");
    check(&|lines| lines[0].insert(0, '\u{feff}'), 1, "no recorded event");
    check(&|lines| lines.insert(2, String::new()), 3, "empty");
    check(&|lines| lines[2] = "{\"case\":\"R/1\"}".to_owned(), 3, "missing field");
    check(&|lines| lines[2] = RECORDED[2].to_owned(), 3, "no recorded event");
    check(&|lines| lines[2] = "[".to_owned(), 3, "no recorded event");
    check(&|lines| lines[2] = "x".repeat(70_000), 3, "longer than");
    check(&|lines| lines[7].truncate(40), 8, "no recorded event");
    // The last event of a case has none after it that would name its hash, but it has to be lawful.
    let unlawful = whole[6]
        .replace("plea-entered", "sentence-passed")
        .replace("\"plea\":\"guilty\"", "\"disposal\":\"fine\"");
    check(&|lines| lines[6].clone_from(&unlawful), 7, "legal");
}

#[test]
fn a_definition_that_is_not_known_with_that_content_is_refused() {
    let whole = lines(&recorded());
    let refused = |text: &str| match taken_over(&whole, &engine_of(definition(text))) {
        Err(AsIsError::UnknownDefinition { line, pin, is_changed, .. }) => (line, pin, is_changed),
        other => panic!("{other:?}"),
    };
    let pin = || "small-inquiry@1".to_owned();
    assert_eq!(refused(&SMALL.replace("A small inquiry", "Another inquiry")), (1, pin(), true));
    assert_eq!(
        refused(&SMALL.replace("workflow: small-inquiry", "workflow: other-inquiry")),
        (1, pin(), false)
    );
}

/// Another folder of the same office.
fn other(office: &Office, name: &str) -> PathBuf {
    office.data().with_file_name(name)
}

#[track_caller]
fn done_on(office: &Office, data: &Path, arguments: &[&str]) -> String {
    let answer = office.run_on(data, arguments);
    assert_eq!(answer.code, 0, "{arguments:?}: {answer:#?}");
    answer.stdout
}

/// The words and the exit code of a refusal; nothing of it was taken over, and nothing is left lying about.
#[track_caller]
fn check_refused(office: &Office, more: &[&str], code: i32, words: &[&str]) {
    let data = other(office, "refused");
    let arguments = [&["import", "--as-is"], more].concat();
    check_told(&arguments, &office.run_on(&data, &arguments), code, words);
    let folder = data.parent().unwrap();
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("refused")), "{left:?}");
}

#[test]
fn an_export_taken_over_by_the_program_is_exported_again_byte_for_byte_and_verifies() {
    let office = Office::with_a_case();
    let export = office.done(&["export", "jsonl"]);
    let file = office.file("all.jsonl", &export);
    let copy = other(&office, "copy");
    let told = done_on(&office, &copy, &["import", &file, "--as-is", "--dry-run"]);
    assert!(told.contains("can be taken over"), "{told}");
    assert!(!copy.exists());
    drop(SledStore::open_or_create(&copy, SledOptions::default()).unwrap());
    let told = done_on(&office, &copy, &["import", &file, "--as-is"]);
    assert!(told.contains("3 events in 1 case taken over"), "{told}");
    assert!(told.contains("empty store that stood there is kept in"), "{told}");
    assert_eq!(done_on(&office, &copy, &["export", "jsonl"]), export);
    // What was taken over goes on as a case does.
    done_on(&office, &copy, &["record", "R/1", "note-made"]);
    done_on(&office, &copy, &["audit", "verify"]);
}

#[test]
fn a_checkpoint_of_the_old_store_shows_what_no_chain_can() {
    let office = Office::with_a_case();
    let note = other(&office, "old.checkpoint");
    let note = note.to_str().unwrap();
    office.done(&["audit", "checkpoint", "-o", note]);
    let key: Value = serde_json::from_str(&office.done(&["audit", "key", "--json"])).unwrap();
    let key = key["vkey"].as_str().unwrap();
    let whole: Vec<String> = office.done(&["export", "jsonl"]).lines().map(str::to_owned).collect();
    let checkpoint = ["--checkpoint", note, "--key", key];
    let with = |file: &str| {
        [&[file], &checkpoint[..]].concat().iter().map(|&word| word.to_owned()).collect::<Vec<_>>()
    };
    let refused = |file: &str, words: &[&str]| {
        let arguments = with(file);
        check_refused(&office, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), 2, words);
    };
    refused(&office.file("cut.jsonl", joined(&whole[..2])), &["checkpoint", "5 events"]);
    let mut changed = whole.clone();
    changed[2] = changed[2].replace("clerk-1", "clerk-9");
    // The seal that came with the export convicts it by itself; without the ledger's own case no chain does.
    check_refused(&office, &[&office.file("sealed.jsonl", joined(&changed))], 2, &["seal", "root"]);
    let changed = office.file("changed.jsonl", joined(&changed[..3]));
    refused(&changed, &["checkpoint", "5 events"]);
    done_on(&office, &other(&office, "b"), &["import", &changed, "--as-is"]);
    let all = office.file("all.jsonl", joined(&whole));
    let arguments = with(&all);
    let arguments: Vec<&str> =
        ["import", "--as-is"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    done_on(&office, &other(&office, "c"), &arguments);
    check_refused(&office, &[&all, "--checkpoint", note, "--key", "nonsense"], 2, &["--key"]);
}

#[test]
fn what_cannot_be_taken_over_is_answered_with_a_sentence_and_an_exit_code() {
    let office = Office::with_a_case();
    let whole = office.done(&["export", "jsonl"]);
    let file = office.file("all.jsonl", &whole);
    office.wrong(&["import", &file, "--as-is"], 4, &["holds 3 events already", "--data"]);
    let changed = office.file("bad.jsonl", whole.replace("person-named", "person-nimed"));
    check_refused(&office, &[&changed], 2, &["bad.jsonl:3", "was changed", "Nothing was taken over"]);
    let digest = whole.split("definition_digest\":\"").nth(1).unwrap()[..64].to_owned();
    let unknown = office.file("unknown.jsonl", whole.replace(&digest, &"0".repeat(64)));
    check_refused(
        &office,
        &[&unknown],
        5,
        &["unknown.jsonl:1", "small-inquiry@1", "another content", "--workflow-dir"],
    );
    let foreign = other(&office, "foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letter.txt"), "x").unwrap();
    let answer = office.run_on(&foreign, &["import", &file, "--as-is"]);
    check_told(&["import"], &answer, 2, &["not a store", "--data"]);
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);
    check_refused(&office, &["nowhere.jsonl"], 5, &["nowhere.jsonl"]);
    check_refused(&office, &["-"], 2, &["standard input", "-o FILE"]);
    check_refused(&office, &["."], 2, &["is a folder"]);
    check_refused(&office, &[&file, &file], 2, &["one file"]);
    check_refused(&office, &[&file, "--keep-going"], 2, &["--keep-going"]);
    check_refused(&office, &[&file, "--checkpoint", "x"], 2, &["--key"]);
}

#[test]
fn an_export_of_what_is_not_there_writes_nothing() {
    let office = Office::with_a_case();
    for form in ["xes", "ocel", "cloudevents", "jsonl"] {
        let answer = office.run(&["export", form, "R/1", "R/9"]);
        check_told(&["export", form], &answer, 5, &["R/9", "casebook cases"]);
        assert_eq!(answer.stdout, "", "{form}");
    }
    office.wrong(&["export", "xes", "-o", "nowhere/file"], 5, &["nowhere/file", "make the folder"]);
    office.wrong(&["export", "ocel", "--by-strand"], 2, &["--by-strand"]);
    office.wrong(&["export", "xml"], 2, &["xml"]);
}

#[test]
fn a_place_that_cannot_hold_the_copy_is_refused_before_anything_is_read() {
    let office = Office::with_a_case();
    let export = office.file("all.jsonl", "");
    office.wrong(&["import", &export, "--as-is", "--dry-run"], 4, &["holds 3 events already"]);
    let into = |data: &str, more: &[&str]| {
        let arguments = [&["import", export.as_str(), "--as-is"], more].concat();
        office.run_on(Path::new(data), &arguments)
    };
    check_told(&["an empty file"], &into("new", &[]), 2, &["holds no event", "export again"]);
    for more in [&[][..], &["--dry-run"]] {
        check_told(&["no folder"], &into("nowhere/new", more), 5, &["no folder for nowhere/new"]);
        check_told(&["this folder"], &into(".", more), 2, &["no store can take the place of ."]);
    }
    assert!(!office.data().with_file_name("new").exists());
}

#[test]
fn a_file_of_an_export_takes_its_place_whole_and_nothing_else_is_touched() {
    let office = Office::with_a_case();
    let beside = |name: &str| office.data().with_file_name(name);
    office.file("target.csv", "before");
    office.file("x.csv.part", "precious");
    let is_left = || {
        std::fs::read_dir(beside(""))
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(".casebook-"))
    };
    std::os::unix::fs::symlink("target.csv", beside("link.csv")).unwrap();
    office.done(&["export", "csv", "R/1", "-o", "link.csv"]);
    assert!(beside("link.csv").is_symlink(), "a link is followed");
    assert!(std::fs::read_to_string(beside("target.csv")).unwrap().contains("person-named"));
    office.done(&["export", "csv", "R/1", "-o", "x.csv"]);
    assert_eq!(std::fs::read_to_string(beside("x.csv.part")).unwrap(), "precious");
    std::fs::create_dir(beside("folder")).unwrap();
    for form in ["jsonl", "csv", "cloudevents", "xes", "ocel"] {
        office.wrong(&["export", form, "-o", "folder"], 2, &["is a folder", "name a file"]);
    }
    assert!(!is_left(), "what was begun is taken away");
    // A device is written to, and stays one.
    office.wrong(&["export", "csv", "-o", "/dev/full"], 7, &["/dev/full could not be written"]);
    office.done(&["export", "csv", "-o", "/dev/null"]);
    assert!(!Path::new("/dev/full").is_file() && !Path::new("/dev/null").is_file());
}

#[test]
fn a_case_that_is_named_twice_is_exported_once() {
    let office = Office::with_a_case();
    for form in ["jsonl", "csv", "cloudevents", "xes", "ocel"] {
        let once = office.done(&["export", form, "R/1"]);
        assert_eq!(office.done(&["export", form, "R/1", "R/1"]), once, "{form}");
    }
}

/// What cannot be written is said on standard error, whatever the command.
#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let office = Office::with_a_case();
    for arguments in [&["cases"][..], &["status", "R/1"], &["export", "jsonl"], &["audit", "verify"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let answer = office.command(arguments).stdout(full).output().unwrap();
        let told = String::from_utf8(answer.stderr).unwrap();
        assert_eq!(answer.status.code(), Some(1), "{arguments:?}");
        assert!(told.contains("the answer could not be written"), "{arguments:?}: {told}");
    }
}
