//! `docs/write-a-definition.md` and `docs/foreign-logs.md` played from top to bottom: their files written, their commands run,
//! their answers compared.
//!
//! After a wanted change of wording, `CASEBOOK_WRITE=1 cargo test -p casebook-tests written_definition` writes what the
//! program says into the page; what differs from run to run is put back as `[..]` by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A piece of the page.
#[derive(Debug)]
enum Piece<'p> {
    Text(&'p str),
    /// A file to be written: its name, and what stands in it.
    File(&'p str, &'p str),
    /// Commands and their answers.
    Commands(&'p str),
}

/// Cuts a page into pieces. A block of YAML or text is a file where the paragraph before it ends with its name.
fn pieces(page: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find("```") {
        let (before, block) = rest.split_at(at);
        pieces.push(Piece::Text(before));
        let (language, body) = block[3..].split_once('\n').expect("a fence ends its line");
        let (body, after) = body.split_once("```").expect("a block ends");
        let name = before.trim_end().strip_suffix("`:").and_then(|before| before.rsplit('`').next());
        let end = block.len() - after.len();
        match (language, name) {
            ("console", _) => pieces.push(Piece::Commands(body)),
            ("yaml" | "text", Some(name)) => {
                pieces.push(Piece::Text(&block[..3 + language.len() + 1]));
                pieces.push(Piece::File(name, body));
                pieces.push(Piece::Text("```"));
            }
            _ => pieces.push(Piece::Text(&block[..end])),
        }
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// The words of a command line; what stands in quotation marks is one.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("a word").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What a command says, as a page shows it.
fn answer(line: &str, folder: &Path) -> String {
    let words = words(line);
    let output = Command::new(env!("CARGO_BIN_EXE_program"))
        .args(&words[1..])
        .current_dir(folder)
        .env("CASEBOOK_DATA", "cases")
        .env("CASEBOOK_AS", "clerk-1:clerk")
        .env("NO_COLOR", "1")
        .output()
        .expect("the program starts");
    let code = output.status.code().unwrap_or(-1);
    let code = if code == 0 { String::new() } else { format!("? {code}\n") };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{code}{}{}", text(&output.stdout), text(&output.stderr))
}

/// Whether a line is as expected, where `[..]` stands for anything.
fn is_like(found: &str, expected: &str) -> bool {
    let Some((first, others)) = expected.split_once("[..]") else { return found == expected };
    let Some(rest) = found.strip_prefix(first) else { return false };
    (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| is_like(rest, others))
}

#[test]
fn a_line_may_leave_open_what_differs() {
    assert!(is_like("recorded at 10:15, version 2", "recorded at [..], version 2"));
    assert!(is_like("a 1", "a [..]") && is_like("a", "a"));
    assert!(!is_like("recorded at 10:15, version 3", "recorded at [..], version 2"));
    assert!(!is_like("a b", "a") && !is_like("b", "[..]a"));
}

/// Each command of a block with the answer that the block shows.
fn commands(block: &str) -> Vec<(&str, &str)> {
    let starts: Vec<usize> = block.match_indices("$ casebook").map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([block.len()]);
    let pieces = starts.iter().zip(ends).map(|(start, end)| &block[*start + 2..end]);
    pieces.map(|piece| piece.split_once('\n').unwrap_or((piece, ""))).collect()
}

#[test]
fn the_definition_that_is_written_from_nothing_works_as_the_page_says() {
    check("docs/write-a-definition.md", &[]);
}

#[test]
fn a_log_of_another_system_goes_the_way_that_the_page_shows() {
    check("docs/foreign-logs.md", &["examples/foreign-log/lost-property.xes"]);
}

/// Plays a page in a folder that holds these files of the workspace.
#[expect(clippy::disallowed_methods, reason = "who runs a test says so in the environment")]
#[track_caller]
fn check(page: &str, given: &[&str]) {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned();
    let path = workspace.join(page);
    let page = fs::read_to_string(&path).expect("the page");
    let folder = tempfile::tempdir().expect("a folder");
    for file in given {
        let file = workspace.join(file);
        fs::copy(&file, folder.path().join(file.file_name().expect("a name"))).expect("it can be copied");
    }
    let is_writing = std::env::var_os("CASEBOOK_WRITE").is_some();
    let (mut written, mut wrong, mut played) = (String::new(), Vec::new(), 0);
    for piece in pieces(&page) {
        match piece {
            Piece::Text(text) => written.push_str(text),
            Piece::File(name, text) => {
                written.push_str(text);
                let file = folder.path().join(name);
                fs::create_dir_all(file.parent().expect("a folder")).expect("the folder can be made");
                fs::write(file, text).expect("the file can be written");
            }
            Piece::Commands(block) => {
                let mut answers = Vec::new();
                for (line, expected) in commands(block) {
                    let found = answer(line, folder.path());
                    played += 1;
                    let (found, expected) = (found.trim_end(), expected.trim_end());
                    let same = found.lines().count() == expected.lines().count()
                        && found
                            .lines()
                            .zip(expected.lines())
                            .all(|(found, expected)| is_like(found, expected));
                    let kept = if same { expected } else { found };
                    if !same {
                        wrong.push(format!("$ {line}\n{found}\n  where the page has\n{expected}"));
                    }
                    answers.push(format!("$ {line}\n{kept}\n"));
                }
                written.push_str(&format!("```console\n{}\n```", answers.join("\n")));
            }
        }
    }
    assert!(played > 7, "the commands were not found");
    if is_writing {
        fs::write(&path, written).expect("the page can be written");
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}
