//! The command line answers as `tests/cli/*.trycmd` says: the words, the exit codes, standard output and error.
//!
//! After a wanted change of wording, `TRYCMD=overwrite cargo test -p casebook-tests command_line` rewrites the files;
//! read the difference before it is committed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A command that takes longer than this hangs.
const COMMAND_SECONDS_MAX: u64 = 120;

#[test]
fn the_command_line_answers_as_its_examples_say() {
    trycmd::TestCases::new()
        .register_bin("casebook", program())
        .env("CASEBOOK_AS", "caseworker-1:caseworker")
        .env("CASEBOOK_DATA", "./cases")
        .env("NO_COLOR", "1")
        .timeout(std::time::Duration::from_secs(COMMAND_SECONDS_MAX))
        .case("cli/*.trycmd");
}

/// A reader that goes away is no failure: `casebook … | head` ends quietly.
#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let mut child = Command::new(program())
        .args(["workflow", "show", "police-conduct", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// The program, built in the profile of this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.parent().and_then(Path::parent).expect("a test lies in a profile's folder").to_owned();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "casebook", "--bin", "casebook"]);
    if profile.file_name().is_some_and(|name| name == "release") {
        build.arg("--release");
    }
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts");
    assert!(built.success(), "the program casebook must build");
    profile.join(format!("casebook{}", std::env::consts::EXE_SUFFIX))
}

/// Measuring is real work in a folder that is gone afterwards; the figures are those of the machine.
#[test]
fn what_was_measured_is_told_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let bench = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_program"));
        command.current_dir(folder.path()).args(["bench", "--events", "420", "--rounds", "1"]).args(more);
        command.output().expect("the program starts")
    };
    let output = bench(&["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let callers: Vec<_> =
        figures["appends"].as_array().unwrap().iter().map(|load| &load["callers"]).collect();
    assert_eq!(callers, [1, 64, 256]);
    for load in figures["appends"].as_array().unwrap() {
        assert!(load["engine"]["median"].as_f64().unwrap() > 0.0 && load["ratio"].as_f64().unwrap() > 0.0);
        assert!(["sync", "processor", "queue"].contains(&load["limit"].as_str().unwrap()));
    }
    assert_eq!((&figures["reading"]["events"], &figures["reading"]["cases"]), (&420.into(), &10.into()));
    for figure in ["recording", "parsing", "replay", "hashing", "verify", "disk_bytes"] {
        assert!(figures["reading"][figure].as_f64().unwrap() > 0.0, "{figure}");
    }
    let told = bench(&[]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("limited by") && told.contains("verifying everything"), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let nowhere = bench(&["--in", "nowhere"]);
    assert_eq!(nowhere.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("--in DIR"));
}
