//! A log of another system as a file, and the mapping that says what it means.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use casebook_engine::definition::Definition;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::foreign::mapping::Mapping;
use casebook_engine::foreign::mapping_file::read_mapping;
use casebook_engine::foreign::translate::{LogProblem, Unmapped};
use casebook_engine::foreign::xes_reader::{Trace, XesError, XesReader, in_words};

use super::answer::{Failure, Trouble};
use super::definition::{self, tell_problems, unreadable};
use super::page::{Page, bad, dim};
use super::reading::count_of;

/// Problems of a log that are told.
const PROBLEMS_SHOWN_MAX: usize = 20;

/// A log that can be read more than once.
pub(super) struct LogFile {
    /// What people call it.
    pub(super) name: String,
    file: File,
}

impl LogFile {
    /// Opens it; `-` is standard input, which is kept in a file without a name until the program ends.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            let mut file = tempfile::tempfile().map_err(not_kept)?;
            io::copy(&mut io::stdin().lock(), &mut file).map_err(not_kept)?;
            return Ok(Self { name: "standard input".to_owned(), file });
        }
        if path.is_dir() {
            return Err(Failure::input(format!("{} is a folder", path.display()), "name the log in it"));
        }
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        Ok(Self { name: path.display().to_string(), file })
    }

    /// The file from its beginning.
    pub(super) fn rewound(&mut self) -> Result<&File, Failure> {
        self.file.seek(SeekFrom::Start(0)).map_err(|error| unreadable(Path::new(&self.name), &error))?;
        Ok(&self.file)
    }

    /// Whether the first thing in it is a JSON object.
    pub(super) fn is_json_lines(&mut self) -> Result<bool, Failure> {
        let mut first = [0; 512];
        let name = self.name.clone();
        let read = self.rewound()?.read(&mut first).map_err(|error| unreadable(Path::new(&name), &error))?;
        let text = first[..read].strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&first[..read]);
        Ok(text.trim_ascii_start().first() == Some(&b'{'))
    }

    /// Hands over each trace.
    pub(super) fn each_trace(
        &mut self,
        take: &mut dyn FnMut(Trace) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let name = self.name.clone();
        let file = self.rewound()?;
        let mut reader = reader(file, &name)?;
        while let Some(trace) = reader.next_trace().map_err(|error| of_xes(error, &name))? {
            take(trace)?;
        }
        Ok(())
    }
}

fn not_kept(error: io::Error) -> Failure {
    Failure::Storage(Trouble::new(format!("standard input could not be kept in a file: {error}")))
}

/// A reader of a log, from where its file stands.
pub(super) fn reader<'f>(file: &'f File, name: &str) -> Result<XesReader<'f>, Failure> {
    XesReader::open(file).map_err(|error| of_xes(error, name))
}

/// From a log that can't be read.
pub(super) fn of_xes(error: XesError, name: &str) -> Failure {
    match error {
        XesError::File(error) => unreadable(Path::new(name), &error),
        XesError::Content { line, trace, event, problem, help } => {
            let trouble = Trouble { help, ..Trouble::new(problem) };
            Failure::Input(trouble.at(format!("{name}:{line}{}", in_words(trace, event))))
        }
    }
}

/// A mapping file, read against a definition. What is wrong with it is told on standard error.
pub(super) fn mapping(path: &Path, definition: &Definition, page: &Page) -> Result<Mapping, Failure> {
    let text = definition::read_file(path, &path.display().to_string())?;
    let file = SourceFile { name: path.display().to_string(), ..text };
    read_mapping(&file, definition).map_err(|problems| {
        let first = problems.first();
        let count = count_of(problems.len(), "problem", "problems");
        let trouble = Trouble::new(format!("the mapping {} has {count}", path.display()));
        if page.is_json() {
            let message = first.map(|problem| problem.message.clone()).unwrap_or_default();
            let place = first.map(|problem| format!("{}:{}", problem.file, problem.line));
            return Failure::Input(Trouble { message, place, help: Some(trouble.message) });
        }
        let mut stderr = page.stderr();
        match tell_problems(&problems, &mut stderr).and_then(|()| stderr.flush()) {
            Ok(()) => Failure::Input(trouble),
            Err(failure) => failure,
        }
    })
}

/// Tells what is wrong with traces, on standard error.
pub(super) fn tell_log_problems(name: &str, problems: &[LogProblem], page: &Page) -> Result<(), Failure> {
    if page.is_json() {
        return Ok(());
    }
    let mut stderr = page.stderr();
    for problem in problems.iter().take(PROBLEMS_SHOWN_MAX) {
        stderr.item(0, &bad("error:"), &problem.problem)?;
        let case = problem.case.as_ref().map(|case| format!(", case {case}")).unwrap_or_default();
        let place = in_words(Some(problem.trace), problem.event);
        stderr.line(&format!("  {} {name}:{}{place}{case}", dim("at"), problem.line))?;
        if let Some(help) = &problem.help {
            stderr.item(2, "help:", help)?;
        }
    }
    if problems.len() > PROBLEMS_SHOWN_MAX {
        stderr.line(&format!("and {} more", problems.len() - PROBLEMS_SHOWN_MAX))?;
    }
    stderr.flush()
}

/// An activity as people read it: `Check stock (start)`.
pub(super) fn activity_words((name, lifecycle): &(String, Option<String>)) -> String {
    let shown = name.escape_debug();
    lifecycle.as_ref().map_or_else(|| shown.to_string(), |lifecycle| format!("{shown} ({lifecycle})"))
}

/// The activities that a mapping does not name, for machines.
pub(super) fn unmapped_json(unmapped: &Unmapped) -> serde_json::Value {
    unmapped
        .iter()
        .map(|((activity, lifecycle), events)| {
            serde_json::json!({ "activity": activity, "lifecycle": lifecycle, "events": events })
        })
        .collect()
}
