//! The real program, as a process, on a folder of its own.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No wrong input may take longer, in a debug build on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(20);

/// The program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_program");

/// What the program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A folder in which the program keeps its cases, of the small definition unless something else is named.
pub(crate) struct Office {
    folder: tempfile::TempDir,
    /// Commands and exit codes whose JSON was looked at.
    checked: RefCell<HashSet<(String, i32)>>,
}

impl Office {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), checked: RefCell::default() }
    }

    /// With the case R/1, a person P1 and a charge C1 of P1.
    pub(crate) fn with_a_case() -> Self {
        let office = Self::new();
        office.done(&["open", "R/1", "--workflow", "small-inquiry"]);
        office.done(&["record", "R/1", "person-named", "--scope", "person=P1", "name=x"]);
        office.done(&["record", "R/1", "charge-brought", "--scope", "charge=C1", "--on", "2021-05-01"]);
        office
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("cases")
    }

    /// Writes a file into the folder.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_on(&self.data(), arguments)
    }

    pub(crate) fn command_on(&self, data: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().current_dir(self.folder.path());
        command.arg("--data").arg(data).args(["--as", "clerk-1:clerk", "--workflow-dir"]);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("small-inquiry.yaml"));
        command.args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        answer(self.command(arguments), b"")
    }

    pub(crate) fn run_on(&self, data: &Path, arguments: &[&str]) -> Answer {
        answer(self.command_on(data, arguments), b"")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Answer {
        answer(self.command(arguments), stdin)
    }

    /// Runs what has to succeed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let answer = self.run(arguments);
        assert_eq!(answer.code, 0, "{arguments:?}: {answer:#?}");
        answer.stdout
    }

    /// Runs what has to fail: with this exit code and these words, in JSON too (once for each command and code), and
    /// nothing recorded.
    #[track_caller]
    pub(crate) fn wrong(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let before = self.journal();
        check_told(arguments, &self.run(arguments), code, words);
        if self.checked.borrow_mut().insert((arguments[0].to_owned(), code)) {
            let machine: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
            check_json(&machine, &self.run(&machine), code);
        }
        assert!(self.journal() == before, "{arguments:?} recorded something");
    }

    /// Names and bytes of the journal's files: all that was ever recorded.
    fn journal(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let Ok(entries) = std::fs::read_dir(self.data().join("journal")) else { return Vec::new() };
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    /// References and versions of all cases; none where there is no folder.
    pub(crate) fn head(&self) -> Vec<(String, u64)> {
        let answer = self.run(&["cases", "--json"]);
        if answer.code != 0 {
            return Vec::new();
        }
        let rows = answer.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| (row["reference"].as_str().unwrap().to_owned(), row["version"].as_u64().unwrap()))
            .collect()
    }
}

/// In words: a sentence on standard error that names what is wrong.
#[track_caller]
pub(crate) fn check_told(arguments: &[&str], answer: &Answer, code: i32, words: &[&str]) {
    assert_eq!(answer.code, code, "{arguments:?}: {answer:#?}");
    let told = answer.stderr.to_lowercase();
    for word in words {
        assert!(told.contains(&word.to_lowercase()), "{arguments:?} does not say “{word}”: {answer:#?}");
    }
    assert!(!told.contains("unexpected failure") && !told.contains("panicked"), "{arguments:?}: {answer:#?}");
    assert!(!told.contains("fault of casebook"), "{arguments:?}: {answer:#?}");
}

/// In JSON: every line of standard output, or all of it, is a document.
#[track_caller]
pub(crate) fn check_json(arguments: &[&str], answer: &Answer, code: i32) {
    assert_eq!(answer.code, code, "{arguments:?}: {answer:#?}");
    let whole = serde_json::from_str::<Value>(&answer.stdout).is_ok();
    let lines = !answer.stdout.trim().is_empty()
        && answer.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok());
    assert!(whole || lines, "{arguments:?} does not answer in JSON: {answer:#?}");
}

/// Runs to the end, within a time limit.
#[track_caller]
pub(crate) fn answer(mut command: Command, stdin: &[u8]) -> Answer {
    #[expect(clippy::disallowed_methods, reason = "a wrong input must not take for ever")]
    let started = Instant::now();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let text = stdin.to_vec();
    let writer = std::thread::spawn(move || _ = pipe.write_all(&text));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(started.elapsed() < TIME_MAX, "it took {:?}", started.elapsed());
    Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
