//! What the documents say is what the program does: every command in them is run, every picture is drawn again.
//!
//! A page is played from top to bottom in one fresh data folder. `TRYCMD=overwrite` writes what the program says
//! today into the pages; what differs from run to run is written as `[..]` there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").to_owned()
}

fn read(page: &str) -> String {
    let path = root().join(page);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The program under its own name: what it says of its usage begins with how it was called.
fn program() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("program-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the program");
    let built = Path::new(env!("CARGO_BIN_EXE_program"));
    let named = folder.join("casebook").with_extension(std::env::consts::EXE_EXTENSION);
    if !named.exists() && fs::hard_link(built, &named).is_err() && !named.exists() {
        fs::copy(built, &named).expect("the program can be copied");
    }
    named
}

fn casebook(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).current_dir(root()).output().expect("the program starts")
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("it prints UTF-8")
}

/// `export NAME=VALUE` as the page tells its reader to type it.
fn exports(page: &str) -> Vec<(String, String)> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// Plays a page.
#[track_caller]
fn check(page: &str) {
    let data = tempfile::tempdir().expect("a folder for the cases");
    let cases = trycmd::TestCases::new();
    for (name, value) in exports(&read(page)) {
        cases.env(name, value);
    }
    cases
        .register_bin("casebook", program().as_path())
        .env("CASEBOOK_DATA", data.path().join("cases").display().to_string())
        .env("NO_COLOR", "1")
        .case(root().join(page))
        .run();
}

#[test]
fn the_tour_of_the_readme_is_what_the_program_does() {
    check("README.md");
}

#[test]
fn the_tutorial_is_what_the_program_does() {
    check("docs/tutorial.md");
}

#[test]
fn the_picture_of_a_strand_is_what_the_program_draws() {
    let drawn = printed(&casebook(&["workflow", "diagram", "police-conduct", "charge", "--format", "svg"]));
    let path = root().join("docs/images/charge.svg");
    let command = "casebook workflow diagram police-conduct charge --format svg > docs/images/charge.svg";
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(drawn == kept, "docs/images/charge.svg is not up to date: run {command}");
}

#[test]
fn every_code_of_a_finding_is_in_the_reference_of_the_language() {
    let page = read("docs/definition-language.md");
    let sources = root().join("engine/src/definition");
    let (mut missing, mut count) = (Vec::new(), 0);
    for entry in fs::read_dir(sources).expect("the sources are there") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a source is text");
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for name in finding_codes(code) {
            count += 1;
            if !page.contains(&format!("`{name}`")) {
                missing.push(name);
            }
        }
    }
    assert!(count > 50, "the codes were not found in the sources");
    missing.sort();
    missing.dedup();
    assert!(missing.is_empty(), "docs/definition-language.md does not explain {missing:?}");
}

/// The codes that a source file gives to findings: the first text after a call that makes one.
fn finding_codes(code: &str) -> Vec<String> {
    const MAKERS: [&str; 6] = [".add(", ".at(", "code: ", "Finding::new(", "problem(", "(severity, "];
    let mut found = Vec::new();
    for maker in MAKERS {
        for (at, _) in code.match_indices(maker) {
            let rest = &code[at + maker.len()..];
            let window: String = rest.chars().take(120).collect();
            let Some(text) = window.split('"').nth(1) else { continue };
            let before = window.split('"').next().unwrap_or_default();
            let is_name =
                text.contains('-') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            if is_name && !before.contains([';', '}', '|']) {
                found.push(text.to_owned());
            }
        }
    }
    found
}

/// The blocks of a page in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let starts = page.match_indices(&fence).map(|(at, _)| at + fence.len());
    starts.filter_map(|start| page[start..].split("```").next().map(str::to_owned)).collect()
}

#[test]
fn a_chain_can_be_checked_with_a_shell_as_the_format_of_an_event_says() {
    let script = blocks(&read("docs/event-format.md"), "sh").pop().expect("the page has a script");
    let data = tempfile::tempdir().expect("a folder for the cases");
    let cases = data.path().join("cases");
    let file = root().join("examples/reference-case/2020-146999.jsonl");
    let imported = Command::new(program())
        .args(["import", "--data"])
        .arg(&cases)
        .arg(&file)
        .output()
        .expect("the program starts");
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));

    let run = |script: &str| {
        let folder = program().parent().expect("the program lies in a folder").to_owned();
        let setting = format!("PATH=\"{}:$PATH\"\n", folder.display());
        let output = Command::new("sh")
            .args(["-c", &format!("{setting}{script}")])
            .env("CASEBOOK_DATA", &cases)
            .output()
            .expect("a shell starts");
        printed(&output)
    };
    let events = fs::read_to_string(&file).expect("the reference case").lines().count();
    assert_eq!(run(&script), "follows\n".repeat(events));
    let altered = script.replace("| while", "| sed '3s/\"salt\":\"./\"salt\":\"_/' | while");
    assert_eq!(run(&altered).matches("BROKEN").count(), 1, "a changed event is not found");
}

#[test]
fn every_command_and_option_is_in_the_reference_of_the_program() {
    let page = read("docs/cli.md");
    let mut documented: Vec<String> = Vec::new();
    let mut missing = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    let mut options: Vec<String> = Vec::new();
    while let Some(command) = open.pop() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = printed(&casebook(&arguments));
        let listed =
            help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // A name stands at an indentation of two; its text may go on below, further in.
        let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let below: Vec<Vec<String>> = names
            .filter_map(|line| line.split_whitespace().next())
            .map(|name| [command.clone(), vec![name.to_owned()]].concat())
            .collect();
        if below.is_empty() {
            documented.push(format!("casebook {}", command.join(" ")));
        }
        open.extend(below);
        let words = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        options.extend(
            words
                .flat_map(str::split_whitespace)
                .filter(|word| word.starts_with("--"))
                .map(|word| word.trim_matches(',').to_owned()),
        );
    }
    assert!(documented.len() > 10, "the commands were not found: {documented:?}");
    options.sort();
    options.dedup();
    missing.extend(documented.iter().filter(|command| !page.contains(command.as_str())));
    missing.extend(options.iter().filter(|option| *option != "--version" && !page.contains(option.as_str())));
    assert!(missing.is_empty(), "docs/cli.md lacks {missing:?}");

    let named = page.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '-'));
    let gone: Vec<&str> = named
        .filter(|word| {
            word.starts_with("--") && word.len() > 3 && !options.iter().any(|option| option == word)
        })
        .collect();
    assert!(gone.is_empty(), "docs/cli.md has options that are gone: {gone:?}");
}
