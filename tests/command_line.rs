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
