//! Rules about the code itself: what no compiler holds.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").to_owned()
}

/// Every file below a folder of the workspace with one of these extensions, by path from the root, sorted.
fn files(below: &str, extensions: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|own| extensions.iter().any(|wanted| own == *wanted)) {
                let path = path.strip_prefix(root()).expect("it lies in the workspace");
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no files below {below}: the rule would hold for nothing");
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lines of a source file that are code: tests at its end and comments left out. Number from 1, and text.
fn code(path: &str) -> Vec<(usize, String)> {
    let text = read(path);
    let tests = text.lines().collect::<Vec<_>>().windows(2).position(|pair| {
        pair[0].trim() == "#[cfg(test)]" && has_word(pair[1], "mod") && pair[1].trim().ends_with('{')
    });
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate().take(tests.unwrap_or(usize::MAX)) {
        let line = line.split("//").next().unwrap_or_default();
        if !line.trim().is_empty() {
            lines.push((index + 1, line.to_owned()));
        }
    }
    lines
}

/// Whether the word stands in the line by itself.
fn has_word(line: &str, word: &str) -> bool {
    let is_letter =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    line.match_indices(word).any(|(at, _)| {
        !is_letter(line[..at].chars().next_back()) && !is_letter(line[at + word.len()..].chars().next())
    })
}

/// No line of code of these files has one of the words.
#[track_caller]
fn check_absent(files: &[String], words: &[&str], rule: &str) {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in code(file) {
            if let Some(word) = words.iter().find(|word| has_word(&line, word)) {
                found.push(format!("{file}:{number}: {word}"));
            }
        }
    }
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn the_rules_about_code_can_fail() {
    assert!(has_word("let x = machine::now();", "machine::now"));
    assert!(has_word("use sled::Db;", "sled"));
    assert!(!has_word("use super::sled_store;", "sled"));
    let this = code("tests/tidy.rs");
    assert!(
        this.iter().any(|(_, line)| has_word(line, "fn"))
            && !this.iter().any(|(_, line)| line.contains("//!"))
    );
}

#[test]
fn the_pure_modules_do_not_wait_or_touch_the_machine() {
    let pure: Vec<String> = ["definition", "case", "ledger"]
        .iter()
        .flat_map(|part| files(&format!("engine/src/{part}"), &["rs"]))
        .collect();
    let words =
        ["async", "await", "tokio", "std::fs", "std::io", "std::net", "std::env", "std::thread", "tracing"];
    check_absent(&pure, &words, "definition, case and ledger neither wait, log nor touch a file");
    let machine = ["crate::machine", "machine::now", "machine::new_id", "SystemTime", "Instant", "getrandom"];
    check_absent(&pure, &machine, "time, ids and randomness are arguments");
}

#[test]
fn the_arrow_never_runs_back() {
    let definition_and_case: Vec<String> = ["definition", "case"]
        .iter()
        .flat_map(|part| files(&format!("engine/src/{part}"), &["rs"]))
        .collect();
    let outward =
        ["crate::engine", "crate::store", "crate::projection", "crate::subscription", "crate::exchange"];
    check_absent(&definition_and_case, &outward, "the pure modules know nothing of those that use them");
    let ledger = files("engine/src/ledger", &["rs"]);
    check_absent(
        &ledger,
        &["crate::engine", "crate::projection", "crate::exchange"],
        "the ledger knows no engine",
    );
    let store = files("engine/src/store", &["rs"]);
    check_absent(
        &store,
        &["crate::engine", "crate::projection", "crate::definition"],
        "the store knows no rules",
    );
    check_absent(&files("engine", &["rs"]), &["casebook::", "axum", "clap"], "the engine knows no surface");
    let dependencies = read("engine/Cargo.toml");
    assert!(!dependencies.contains("\ncasebook."), "the engine does not depend on the program");
}

#[test]
fn one_file_names_sled() {
    let mut others = files("engine/src", &["rs"]);
    others.extend(files("api/src", &["rs"]));
    others.retain(|file| file != "engine/src/store/sled.rs");
    // `super::sled` is that file; these are the crate.
    let words = [
        "::sled",
        "use sled",
        "extern crate sled",
        "sled::Db",
        "sled::Tree",
        "sled::Config",
        "sled::Batch",
        "sled::IVec",
        "sled::Error",
        "sled::open",
    ];
    check_absent(&others, &words, "only store/sled.rs calls sled");
    assert!(code("engine/src/store/sled.rs").iter().any(|(_, line)| line.contains("::sled::")));
}

#[test]
fn no_code_of_the_engine_knows_a_field_of_work() {
    let words = ["charge", "charges", "hearing", "plea", "allegation", "sentence", "police", "court"];
    let mut found = Vec::new();
    for file in files("engine/src", &["rs"]).iter().filter(|file| *file != "engine/src/workflows.rs") {
        for (number, line) in code(file) {
            let line = without_examples(&line);
            if let Some(word) = words.iter().find(|word| has_word(&line, word)) {
                found.push(format!("{file}:{number}: {word}"));
            }
        }
    }
    assert!(found.is_empty(), "the domain is data, it stands in engine/workflows:\n{}", found.join("\n"));
}

/// The line without what a help text shows between back ticks or quotation marks: an example knows nothing.
fn without_examples(line: &str) -> String {
    let outside_ticks: String = line.split('`').step_by(2).collect();
    outside_ticks.split("\\\"").step_by(2).collect()
}

#[test]
fn nothing_is_left_for_later() {
    let every: Vec<String> =
        ["engine/src", "api/src", "examples", "tests"].iter().flat_map(|part| files(part, &["rs"])).collect();
    let others: Vec<String> = every.into_iter().filter(|file| file != "tests/tidy.rs").collect();
    check_absent(
        &others,
        &["todo!", "unimplemented!", "TODO", "FIXME", "XXX"],
        "what is in the tree is whole",
    );
}

#[test]
fn no_file_is_named_after_nothing() {
    const NAMES: [&str; 9] =
        ["util", "utils", "helper", "helpers", "common", "manager", "misc", "types", "prelude"];
    let every: Vec<String> =
        ["engine", "api", "examples", "tests"].iter().flat_map(|part| files(part, &["rs"])).collect();
    let named: Vec<&String> =
        every.iter().filter(|file| file.split(['/', '.']).any(|part| NAMES.contains(&part))).collect();
    assert!(named.is_empty(), "a file holds one noun and is named after it: {named:?}");
}

#[test]
fn the_top_level_holds_what_it_should() {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root()).expect("the workspace") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_local = ["target", "casebook-data", ".git"].contains(&name.as_str());
        if entry.path().is_dir() && !is_local {
            folders.push(name);
        }
    }
    folders.sort();
    let allowed = [".ci", ".config", "api", "docs", "engine", "examples", "tests"];
    let strange: Vec<&String> = folders.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "the top level has no folder {strange:?}");
}

#[test]
fn every_page_of_the_documentation_is_found_from_its_index() {
    let index = read("docs/README.md");
    let pages = files("docs", &["md"]);
    let lost: Vec<&String> = pages
        .iter()
        .filter(|page| *page != "docs/README.md")
        .filter(|page| !index.contains(&format!("({})", page.trim_start_matches("docs/"))))
        .collect();
    assert!(lost.is_empty(), "docs/README.md does not link {lost:?}");
}

#[test]
fn the_map_names_every_file_of_the_pure_modules() {
    let map = read("ARCHITECTURE.md");
    let pure = ["definition", "case"].iter().flat_map(|part| files(&format!("engine/src/{part}"), &["rs"]));
    let lost: Vec<String> = pure
        .filter(|file| !file.ends_with("/mod.rs"))
        .filter(|file| !map.contains(&format!("`{}`", file.rsplit('/').next().unwrap_or_default())))
        .collect();
    assert!(lost.is_empty(), "ARCHITECTURE.md does not name {lost:?}");
}

#[test]
fn every_link_between_pages_leads_to_a_file() {
    let mut pages = files("docs", &["md"]);
    pages.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned));
    let mut broken = Vec::new();
    for page in &pages {
        let folder = Path::new(page).parent().unwrap_or(Path::new("")).to_owned();
        let text = read(page);
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap_or_default();
            let is_outside = target.is_empty() || target.contains("://") || target.contains([' ', '\n']);
            if !is_outside && !root().join(&folder).join(target).exists() {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_limit_of_the_workspace_applies_to_every_member() {
    for member in ["engine", "api", "examples", "tests"] {
        let manifest = read(&format!("{member}/Cargo.toml"));
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{member} does not take the lints of the workspace"
        );
    }
}
