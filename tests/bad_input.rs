//! What is handed in wrong is answered with a sentence and an exit code, and nothing of it is recorded.

use std::fmt::Write;
use std::io::Read;
use std::process::Stdio;

use casebook_engine::store::{SledOptions, SledStore};

use crate::office::{Office, check_json, check_told};

#[test]
fn an_event_that_is_not_in_the_definition_is_answered_with_a_suggestion() {
    let office = Office::with_a_case();
    office.wrong(
        &["record", "R/1", "plea-enterd", "--scope", "charge=C1"],
        2,
        &["plea-enterd", "plea-entered"],
    );
    office.wrong(&["next", "R/1", "plea-enterd"], 5, &["plea-entered"]);
    office.wrong(
        &["record", "R/1", "plea-entered", "--scope", "chrage=C1", "plea=guilty"],
        2,
        &["chrage", "charge"],
    );
    office.wrong(&["open", "R/2", "--workflow", "smal-inquiry"], 5, &["smal-inquiry", "small-inquiry"]);
    office.wrong(&["recrod", "R/1"], 2, &["recrod"]);
    office.wrong(&["status", "R/9"], 5, &["R/9", "casebook cases"]);
    office.wrong(&["record", "R/9", "note-made"], 5, &["R/9"]);
}

#[test]
fn what_an_event_is_about_is_checked() {
    let office = Office::with_a_case();
    office.done(&["record", "R/1", "person-named", "--scope", "person=P2", "name=x"]);
    let plea = ["record", "R/1", "plea-entered", "plea=guilty"];
    let with = |more: &[&'static str]| -> Vec<&'static str> { plea.iter().chain(more).copied().collect() };
    office.wrong(&plea, 2, &["charge"]);
    office.wrong(&["record", "R/1", "note-made", "--scope", "charge=C1"], 2, &["note-made", "charge"]);
    office.wrong(&with(&["--scope", "charge=C9"]), 3, &["C9", "charge-brought"]);
    office.wrong(&with(&["--scope", "charge=C1", "--scope", "person=P2"]), 3, &["C1", "P1", "P2"]);
    office.wrong(&with(&["--scope", "charge"]), 2, &["charge"]);
}

#[test]
fn fields_are_checked_against_the_schema() {
    let office = Office::with_a_case();
    let plea = |fields: &[&'static str]| -> Vec<&'static str> {
        ["record", "R/1", "plea-entered", "--scope", "charge=C1"].iter().chain(fields).copied().collect()
    };
    office.wrong(&plea(&["plea=perhaps"]), 2, &["plea", "guilty", "perhaps"]);
    office.wrong(&plea(&[]), 2, &["plea"]);
    office.wrong(&plea(&["plea=guilty", "colour=red"]), 2, &["colour"]);
    office.wrong(&plea(&["plea=guilty", "at:=5"]), 2, &["at"]);
    office.wrong(&plea(&["plea:={"]), 2, &["plea"]);
    office.wrong(
        &["record", "R/1", "person-described", "--scope", "person=P1", "height=tall"],
        2,
        &["height", "tall"],
    );
    office.wrong(
        &["record", "R/1", "person-described", "--scope", "person=P1", "height:=1.5"],
        2,
        &["height"],
    );
    office.wrong(&["correct", "R/1", "2", "colour=red", "--reason", "r"], 2, &["colour"]);
    office.wrong(&["correct", "R/1", "77", "name=x", "--reason", "r"], 5, &["no event 77"]);
    office.wrong(&["annul", "R/1", "1", "--reason", "r"], 2, &["opening"]);
}

#[test]
fn a_refusal_says_what_stands_in_the_way_and_what_would_help() {
    let office = Office::with_a_case();
    let sentence = [
        "record",
        "R/1",
        "sentence-passed",
        "--scope",
        "charge=C1",
        "disposal=fine",
        "--decided-by",
        "court",
    ];
    office.wrong(&sentence, 3, &["C1 has no conviction to sentence", "Sentencing Act 2020", "plea-entered"]);
    office.wrong(&["record", "R/1", "decision-made", "--rationale", "x"], 3, &["clerk", "reviewer"]);
    office.wrong(&["record", "R/1", "decision-made", "--as", "x:reviewer"], 2, &["rationale"]);
    office.wrong(&["record", "R/1", "note-made", "--as", "x:stranger"], 3, &["stranger", "clerk"]);
}

#[test]
fn references_versions_and_dates_are_checked() {
    let office = Office::with_a_case();
    office.wrong(&["open", "R/1", "--workflow", "small-inquiry"], 4, &["R/1", "taken"]);
    office.wrong(&["open", " ", "--workflow", "small-inquiry"], 2, &["reference"]);
    for expected in ["2", "4", "18446744073709551615"] {
        office.wrong(&["record", "R/1", "note-made", "--expect", expected], 4, &["version 3"]);
    }
    office.wrong(&["record", "R/1", "note-made", "--expect", "-1"], 2, &["-1"]);
    for date in ["first of May", "2021-13-01", "2021-02-30", "01/05/2021", "2021-06/2021-05", "20210501", ""]
    {
        office.wrong(&["record", "R/1", "note-made", "--on", date], 2, &["2021"]);
    }
    office.wrong(&["status", "R/1", "--at", "2021-02-30"], 2, &["2021-02-30"]);
    office.wrong(&["status", "R/1", "--known-at", "yesterday"], 2, &["yesterday"]);
    office.wrong(&["diff", "R/1", "--from", "x", "--to", "3"], 2, &["x"]);
    office.wrong(&["diff", "R/1", "--from", "99", "--to", "3"], 2, &["--from 99", "version 3"]);
    office.wrong(&["status", "R/1", "--known-at", "99"], 2, &["--known-at 99", "version 3"]);
    office.wrong(&["history", "R/1", "--known-at", "4"], 2, &["--known-at 4", "version 3"]);
    office.wrong(&["cases", "--limit", "0"], 2, &["0", "1 or more"]);
    office.wrong(&["cases", "--strand", "chrage=laid"], 2, &["strand chrage", "did you mean charge?"]);
    office.wrong(
        &["cases", "--strand", "charge=sentencd"],
        2,
        &["state sentencd", "did you mean sentenced?"],
    );
}

#[test]
fn links_in_a_circle_are_refused() {
    let office = Office::with_a_case();
    office.done(&["record", "R/1", "note-made", "--after", "3"]);
    office.wrong(
        &["record", "R/1", "note-made", "--after", "4", "--before", "3"],
        2,
        &["contradict", "link"],
    );
    office.wrong(&["record", "R/1", "note-made", "--after", "9"], 5, &["no event 9"]);
    office.wrong(
        &["correct", "R/1", "3", "occurred:={\"after\":[\"4\"]}", "--reason", "r"],
        2,
        &["contradict"],
    );
}

fn line(case: &str, event_type: &str, more: &str) -> String {
    format!(r#"{{"case":"{case}","type":"{event_type}","recorded_by":{{"id":"c","role":"clerk"}}{more}}}"#)
}

const WORKFLOW: &str = r#","workflow":"small-inquiry""#;

#[test]
fn one_wrong_line_in_forty_thousand_keeps_its_whole_case_out() {
    let office = Office::new();
    let mut text = String::new();
    for number in 0..5 {
        writeln!(text, "{}", line(&format!("F/{number}"), "case-opened", WORKFLOW)).unwrap();
    }
    for number in 5..39_999 {
        let case = if number < 39_000 { "F/0" } else { "F/1" };
        writeln!(text, "{}", line(case, "note-made", "")).unwrap();
    }
    let wrong = line("F/0", "note-made", "").replace("\"type\"", "\"tpye\"");
    writeln!(text, "{wrong}").unwrap();
    let file = office.file("long.jsonl", &text);
    let arguments = ["import", file.as_str()];
    check_told(&arguments, &office.run(&arguments), 2, &["long.jsonl:40000", "tpye", "nothing"]);
    assert_eq!(office.head(), []);
    let arguments = ["import", file.as_str(), "--keep-going"];
    check_told(&arguments, &office.run(&arguments), 2, &["long.jsonl:40000"]);
    let recorded = office.head();
    let names: Vec<&str> = recorded.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["F/1", "F/2", "F/3", "F/4"], "nothing of F/0");
    assert_eq!(recorded[0].1, 1_000);
}

#[test]
fn a_refused_line_keeps_its_whole_case_out() {
    let office = Office::new();
    let lines = [
        line("F/1", "case-opened", WORKFLOW),
        line("F/2", "case-opened", WORKFLOW),
        line("F/1", "hearing-listed", ""),
        line("F/2", "hearing-held", ""),
        line("F/1", "hearing-held", ""),
    ];
    let file = office.file("events.jsonl", lines.join("\n"));
    let arguments = ["import", file.as_str()];
    let answer = office.run(&arguments);
    check_told(&arguments, &answer, 3, &["events.jsonl:4", "hearing"]);
    assert!(!office.head().iter().any(|(name, _)| name == "F/2"), "{:?}", office.head());
}

#[test]
fn event_files_of_other_kinds_are_refused_with_their_line() {
    let office = Office::with_a_case();
    let opened = line("F/1", "case-opened", WORKFLOW);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (name, text, words) in [
        (
            "latin.jsonl",
            [opened.as_bytes(), b"\n{\"case\":\"F/1\",\"type\":\"caf\xe9\"}\n"].concat(),
            ["latin.jsonl:2", "UTF-8"],
        ),
        ("utf16.jsonl", b"\xff\xfe{\x00}\x00".to_vec(), ["utf16.jsonl:1", "UTF-16"]),
        ("deep.jsonl", format!("{opened}\n{deep}\n").into_bytes(), ["deep.jsonl:2", "deep"]),
        ("array.jsonl", b"[1, 2]\n".to_vec(), ["array.jsonl:1", "one event"]),
        (
            "twice.jsonl",
            br#"{"case":"F/1","case":"F/2","type":"note-made"}"#.to_vec(),
            ["twice.jsonl:1", "case"],
        ),
        (
            "long.jsonl",
            format!("{opened}\n\"{}\"\n", "x".repeat(300_000)).into_bytes(),
            ["long.jsonl:2", "long"],
        ),
        ("null.jsonl", b"null\n".to_vec(), ["null.jsonl:1", "null"]),
        ("cut.jsonl", format!("{opened}\n{{\"case\":\"F/1\",").into_bytes(), ["cut.jsonl:2", "line"]),
    ] {
        let file = office.file(name, text);
        office.wrong(&["import", &file], 2, &words);
    }
    office.wrong(&["import", "not-there.jsonl"], 5, &["not-there.jsonl"]);
    let answer = office.run_with(&["import", "-"], b"not json");
    check_told(&["import", "-"], &answer, 2, &["1"]);
    assert_eq!(office.head(), [("R/1".to_owned(), 3)]);
}

#[test]
fn arguments_that_are_not_text_are_refused() {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let office = Office::with_a_case();
        let mut command = office.command(&["record", "R/1"]);
        let output = command.arg(std::ffi::OsStr::from_bytes(b"note-\xff")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn hostile_definitions_are_refused_in_time() {
    let office = Office::new();
    let head = "workflow: hostile\nversion: 1\nlanguage: casebook/1\ntitle: Hostile\n";
    let mut bomb = format!("{head}roles:\n  a0: &a0 {{ title: x }}\n");
    for number in 1..30 {
        let before = number - 1;
        writeln!(bomb, "  a{number}: &a{number} [*a{before}, *a{before}, *a{before}, *a{before}]").unwrap();
    }
    let condition = |text: &str| {
        format!(
            "{head}roles: {{ clerk: {{ title: Clerk }} }}\nevents:\n  done:\n    rules:\n      - {{ id: r, class: logical, require: \"{text}\", message: m }}\n"
        )
    };
    let nested = format!("{}true{}", "(".repeat(20_000), ")".repeat(20_000));
    let negated = format!("{}true", "!".repeat(20_000));
    let joined = format!("true{}", " && true".repeat(20_000));
    for (name, text) in [
        ("deep.yaml", format!("{head}roles: {}{}\n", "{a: ".repeat(10_000), "}".repeat(10_000))),
        ("brackets.yaml", "[".repeat(2 * 1024 * 1024)),
        ("bomb.yaml", bomb),
        ("nested.yaml", condition(&nested)),
        ("negated.yaml", condition(&negated)),
        ("joined.yaml", condition(&joined)),
        ("twice.yaml", format!("{head}{head}")),
        ("empty.yaml", String::new()),
        ("tabs.yaml", "\t\tworkflow: x\n".to_owned()),
        ("null.yaml", "null".to_owned()),
        ("scalar.yaml", "workflow".to_owned()),
    ] {
        let file = office.file(name, text);
        let arguments = ["workflow", "check", file.as_str()];
        let answer = office.run(&arguments);
        assert!([2, 9].contains(&answer.code), "{name}: {answer:#?}");
        let told = format!("{}{}", answer.stdout, answer.stderr);
        assert!(told.contains(name), "{name}: {told}");
        assert!(told.len() < 20_000, "{name} is answered with {} bytes", told.len());
        let machine = ["workflow", "check", file.as_str(), "--json"];
        check_json(&machine, &office.run(&machine), answer.code);
    }
    let file = office.file("binary.yaml", b"workflow: \xff\xfe\x00".as_slice());
    office.wrong(&["workflow", "check", &file], 2, &["binary.yaml"]);
    office.wrong(&["workflow", "check", "not-there.yaml"], 5, &["not-there.yaml"]);
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let office = Office::new();
    let foreign = office.data();
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("holiday.txt"), "sun").unwrap();
    let open = ["open", "R/1", "--workflow", "small-inquiry"];
    for arguments in [&open[..], &["cases"], &["status", "R/1"]] {
        let answer = office.run(arguments);
        assert!([2, 5].contains(&answer.code), "{answer:#?}");
        check_told(arguments, &answer, answer.code, &["cases", "--data"]);
    }
    let names: Vec<_> =
        std::fs::read_dir(&foreign).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["holiday.txt"]);
    let file = office.file("a-file", "text");
    let answer = office.run_on(file.as_ref(), &open);
    assert!([2, 7].contains(&answer.code), "{answer:#?}");
    check_told(&open, &answer, answer.code, &["a-file"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
    let answer = office.run_on("/proc/no-such-place/cases".as_ref(), &open);
    check_told(&open, &answer, answer.code, &["/proc/no-such-place"]);
    assert!([2, 5, 6, 7].contains(&answer.code), "{answer:#?}");
}

#[test]
fn a_torn_folder_is_a_storage_failure_and_stays_as_it_is() {
    let office = Office::with_a_case();
    let journal = std::fs::read_dir(office.data()).unwrap().map(|entry| entry.unwrap().path());
    let format = journal.into_iter().find(|path| path.is_file() && path.to_string_lossy().contains("format"));
    let Some(format) = format else { panic!("the folder says its format in a file") };
    let text = std::fs::read_to_string(&format).unwrap();
    std::fs::write(&format, text.replace(|letter: char| letter.is_ascii_digit(), "9")).unwrap();
    for arguments in [&["status", "R/1"][..], &["record", "R/1", "note-made"], &["cases"]] {
        let answer = office.run(arguments);
        assert!([2, 7].contains(&answer.code), "{answer:#?}");
        check_told(arguments, &answer, answer.code, &["format"]);
    }
    std::fs::write(&format, text).unwrap();
    assert_eq!(office.head(), [("R/1".to_owned(), 3)]);
}

#[test]
fn a_second_process_is_told_that_the_folder_is_in_use() {
    let office = Office::with_a_case();
    let store = SledStore::open(&office.data(), SledOptions::default()).unwrap();
    for arguments in [
        &["status", "R/1"][..],
        &["record", "R/1", "note-made"],
        &["open", "R/2", "--workflow", "small-inquiry"],
    ] {
        let answer = office.run(arguments);
        check_told(arguments, &answer, 7, &["in use", "other program"]);
    }
    drop(store);
    assert_eq!(office.head(), [("R/1".to_owned(), 3)]);
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let office = Office::with_a_case();
    let lines = vec![line("R/1", "note-made", ""); 3_000].join("\n");
    let file = office.file("notes.jsonl", lines);
    office.done(&["import", &file]);
    for arguments in [&["history", "R/1"][..], &["history", "R/1", "--json"], &["export", "jsonl", "R/1"]] {
        let mut child =
            office.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut first = [0; 64];
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn nobody_acting_and_half_an_override_are_bad_input() {
    let office = Office::with_a_case();
    office.wrong(&["record", "R/1", "note-made", "--as", "clerk"], 2, &["ID:ROLE"]);
    office.wrong(&["record", "R/1", "note-made", "--override", "me"], 2, &["--reason"]);
    office.wrong(
        &["record", "R/1", "note-made", "--override", "head", "--reason", "r", "--as", "h:reviewer"],
        2,
        &["nothing to override"],
    );
    let huge = format!("text={}", "x".repeat(70_000));
    office.wrong(&["record", "R/1", "note-made", &huge], 2, &["65536 are allowed"]);
}

/// A folder that the operating system does not let this user into is not a broken disk.
#[cfg(unix)]
#[test]
fn a_folder_that_this_user_may_not_use_is_answered_as_not_allowed() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    /// Who owns nothing.
    const NOBODY: u32 = 65_534;

    let office = Office::with_a_case();
    let data = office.data();
    let allow = |mode: u32| {
        std::fs::set_permissions(data.join("journal"), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(0o000);
    // Root may do everything: for it the program is run as somebody else, who may look at the folder and no further.
    let is_root = std::fs::metadata(&data).unwrap().uid() == 0;
    if is_root && office.command(&["--version"]).uid(NOBODY).output().is_err() {
        allow(0o755);
        println!("skipped: the program can't be run as somebody else from where it is");
        return;
    }
    for arguments in [&["status", "R/1"][..], &["record", "R/1", "note-made"], &["cases"]] {
        let mut command = office.command(arguments);
        if is_root {
            for folder in data.ancestors().take(2) {
                std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            command.uid(NOBODY);
        }
        let answer = crate::office::answer(command, b"");
        assert_eq!(answer.code, 6, "{arguments:?}: {answer:#?}");
        assert!(
            answer.stderr.contains("denied") && answer.stderr.contains("right to read and write"),
            "{answer:#?}"
        );
    }
    allow(0o755);
    assert!(office.done(&["status", "R/1"]).contains("R/1"));
}

#[test]
fn what_is_wrong_with_the_words_is_broken_into_lines() {
    let office = Office::new();
    for arguments in [
        &[
            "cases",
            "--as",
            "a person without any role who writes a very long name indeed, much longer than the page is wide",
        ][..],
        &[
            "export",
            "jsonl",
            "--color",
            "as the reader of this very long sentence likes it best, which is not one of three",
        ],
    ] {
        let answer = office.run(arguments);
        assert_eq!(answer.code, 2, "{answer:#?}");
        assert!(answer.stderr.lines().all(|line| line.chars().count() <= 100), "{}", answer.stderr);
        assert!(answer.stderr.lines().count() > 2, "{}", answer.stderr);
    }
}
