//! `casebook import`: event files recorded, a case's lines together or not at all, and only once.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_engine::definition::Definition;
use casebook_engine::engine::Engine;
use casebook_engine::exchange::import::{ImportError, ImportOptions};
use casebook_engine::exchange::import_window::ImportWindow;
use casebook_engine::exchange::indexed_file::{CASE_BYTES_MAX, IndexedFile, NextCase};
use casebook_engine::exchange::jsonl::{self, CaseLines, LineProblem, PROBLEMS_MAX};
use clap::{Args, Subcommand};

use super::Globals;
use super::answer::{Failure, Trouble};
use super::import_report::{FailedCase, FileReport, RefusalFile};
use super::import_source::{is_stdin, looked_at, name_of, unread};
use super::page::{Page, Progress, bad, dim};
use super::reading::count_of;
use super::{as_is, definition, folder, import_xes};

const EXAMPLES: &str = "An event file is JSON Lines: one event a line, each naming its case.
  {\"case\":\"2024/0017\",\"type\":\"case-opened\",\"workflow\":\"police-conduct\",\"recorded_by\":{\"id\":\"intake-1\",\"role\":\"caseworker\"}}

Importing a file again records nothing twice; lines added at its end since are recorded.
An import that was interrupted goes on when it is started again.
All lines are checked for their form before the first event is recorded.

Examples:
  casebook import 2020-146999.jsonl
  casebook import *.jsonl --declare-gaps            steps that must have happened become gaps
  casebook import history.jsonl --dry-run           ask without recording
  casebook import all.jsonl --keep-going --report refused.jsonl
  casebook export jsonl --data old | casebook import - --data new
  casebook import xes log.xes --workflow NAME --map map.yaml        a log of another system
  casebook import all.jsonl --as-is --data copy     the same bytes and hashes, into a new folder";

/// How many wrong lines are shown of one file.
const PROBLEMS_SHOWN_MAX: usize = 20;

/// `casebook import`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    form: Option<ImportForm>,
    /// Event files; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// Where earlier steps are missing and must have happened, record them as gaps
    #[arg(long)]
    declare_gaps: bool,
    /// Say what would happen, and record nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Go on with the other cases where one is refused or has wrong lines
    #[arg(long)]
    keep_going: bool,
    /// Write every wrong line and every case that was not recorded to this file, as JSON Lines
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Take an export over byte for byte, with its ids, instants and hashes, into a folder that holds nothing yet
    #[arg(long, conflicts_with_all = ["declare_gaps", "keep_going", "report"])]
    as_is: bool,
    /// With --as-is: a checkpoint of the store that the export comes from, which the copy has to meet
    #[arg(long, value_name = "FILE", requires = "as_is", requires = "key")]
    pub(super) checkpoint: Option<PathBuf>,
    /// With --checkpoint: the key that signed it, as `casebook audit key` prints it
    #[arg(long, value_name = "VKEY", requires = "checkpoint")]
    pub(super) key: Option<String>,
}

/// What is no event file.
#[derive(Debug, Subcommand)]
enum ImportForm {
    /// Record a log of another system, in XES, by a mapping; a file called xes is named ./xes
    Xes(import_xes::ImportXesArgs),
}

/// The files so far, and the first failure: its exit code is the command's.
struct Import<'a> {
    engine: Engine,
    args: &'a ImportArgs,
    reports: Vec<FileReport>,
    refusals: RefusalFile<'a>,
    first_failure: Option<Failure>,
}

/// Runs the command.
pub(super) async fn run(args: ImportArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    if let Some(ImportForm::Xes(args)) = args.form {
        return import_xes::run(args, globals, page).await;
    }
    if args.as_is {
        return as_is::run(args, globals, page).await;
    }
    let is_missing = |path: &&PathBuf| !is_stdin(path) && !path.exists();
    if let Some(missing) = args.files.iter().find(is_missing).filter(|_| !args.keep_going) {
        let trouble = Trouble::new(format!("there is no {}", missing.display()));
        let is_word = missing.as_os_str() == "xes";
        let help = if is_word {
            "a log is imported with `xes` right behind `import`"
        } else {
            "nothing was recorded of any file"
        };
        return Err(Failure::NotFound(trouble.help(help)));
    }
    let refusals = RefusalFile::create(args.report.as_deref())?;
    let engine = folder::existing_or_new(globals, None, args.dry_run, page)?;
    let mut import = Import { engine, args: &args, reports: Vec::new(), refusals, first_failure: None };
    for path in &args.files {
        if import.first_failure.is_some() && !args.keep_going {
            break;
        }
        import.file(path, page).await?;
    }
    import.refusals.finish()?;
    if page.is_json() {
        page.bytes(format!("{{\"dry_run\":{},\"files\":[", args.dry_run).as_bytes())?;
        for (index, report) in import.reports.into_iter().enumerate() {
            page.bytes(if index == 0 { b"" } else { b",\n" })?;
            report.write(page)?;
        }
        page.bytes(b"]}\n")?;
    }
    match import.first_failure {
        None => Ok(()),
        Some(failure) => Err(Failure::Told(Box::new(failure))),
    }
}

impl Import<'_> {
    async fn file(&mut self, path: &Path, page: &mut Page) -> Result<(), Failure> {
        let name = name_of(path);
        let mut report = FileReport::new(name.clone());
        let mut unwritten = None;
        let (problems, refusals) = (&mut report.problems, &mut self.refusals);
        let mut problem = |problem: LineProblem| {
            if let Err(failure) = refusals.add_problem(&name, &problem) {
                unwritten = Some(failure);
                return Err(io::ErrorKind::Other.into());
            }
            if problems.len() < PROBLEMS_MAX {
                problems.push(problem);
            }
            Ok(())
        };
        let looked_at = looked_at(path, &mut problem, page);
        if let Some(failure) = unwritten {
            return Err(failure);
        }
        let mut file = match looked_at {
            Ok(file) => file,
            Err(failure) => return self.unread(name, failure, page),
        };
        report.lines = file.line_count;
        report.case_count = file.case_count;
        report.problem_count = file.problem_count;
        report.left_out.clone_from(&file.left_out);
        report.own_left_out = file.own_left_out;
        if file.problem_count > 0 {
            let trouble = tell_problems(&report, file.has_stray_problem, self.args.keep_going, page)?;
            self.first_failure.get_or_insert(Failure::Input(trouble));
        }
        let is_stopped = file.problem_count > 0 && (!self.args.keep_going || file.has_stray_problem);
        if !is_stopped && let Err(failure) = self.cases(path, &mut file, &mut report, page).await? {
            tell_trouble(&failure, page)?;
            report.problems.push(LineProblem {
                line: 0,
                case: None,
                problem: failure.sentence(),
                help: None,
            });
            report.problem_count += 1;
            self.first_failure.get_or_insert(failure);
        }
        report.tell(self.args.dry_run, self.args.keep_going, page)?;
        self.reports.push(report);
        Ok(())
    }

    fn unread(&mut self, name: String, failure: Failure, page: &mut Page) -> Result<(), Failure> {
        tell_trouble(&failure, page)?;
        let problem = LineProblem { line: 0, case: None, problem: failure.sentence(), help: None };
        self.refusals.add_problem(&name, &problem)?;
        self.reports.push(FileReport::unread(name, problem.problem));
        self.first_failure.get_or_insert(failure);
        Ok(())
    }

    /// Imports the cases of a file, many at a time. The inner failure is that of reading the file.
    async fn cases(
        &mut self,
        path: &Path,
        file: &mut IndexedFile,
        report: &mut FileReport,
        page: &mut Page,
    ) -> Result<Result<(), Failure>, Failure> {
        let options = ImportOptions { declare_gaps: self.args.declare_gaps, dry_run: self.args.dry_run };
        let mut window = ImportWindow::new(self.engine.clone(), options);
        let progress = Progress::new(page, "importing", file.line_count);
        let (mut lines_done, lines) = (0, file.line_count);
        let mut is_going = true;
        let mut answer = Ok(());
        loop {
            while is_going && !window.is_full() {
                match file.next_case() {
                    Ok(Some(NextCase::Lines(lines))) if lines.has_problem => {}
                    Ok(Some(NextCase::Lines(lines))) => window.begin(lines),
                    Ok(Some(NextCase::TooLarge { case, line, bytes })) => {
                        let (failed, failure) = too_large(&report.file, case, line, bytes);
                        is_going = self.failed(&failed, failure, report, page)?;
                    }
                    Ok(None) => is_going = false,
                    Err(error) => {
                        answer = Err(unread(path, &error));
                        is_going = false;
                    }
                }
            }
            let Some(finished) = window.next().await else { break };
            lines_done += (finished.lines.lines.len() + finished.lines.notes_left_out) as u64;
            match finished.answer {
                Ok(imported) => report.add(&imported, self.args.dry_run, page)?,
                Err(error) => {
                    let (failed, failure) = failed(&report.file, &finished.lines, error, &self.engine);
                    is_going &= progress.suspend(|| self.failed(&failed, failure, report, page))?;
                }
            }
            progress.reached(lines_done, lines);
        }
        progress.finish();
        Ok(answer)
    }

    /// Tells a case of which nothing was recorded; answers whether to go on with the others.
    fn failed(
        &mut self,
        failed: &FailedCase,
        failure: Failure,
        report: &mut FileReport,
        page: &mut Page,
    ) -> Result<bool, Failure> {
        report.add_failed(failed, &failure, &mut self.refusals, page)?;
        // A disk that fails once fails again.
        let is_hopeless = matches!(failure, Failure::Storage(_) | Failure::Unexpected(_));
        self.first_failure.get_or_insert(failure);
        Ok(self.args.keep_going && !is_hopeless)
    }
}

/// Tells why a file was not read.
fn tell_trouble(failure: &Failure, page: &mut Page) -> Result<(), Failure> {
    if page.is_json() {
        return Ok(());
    }
    page.flush()?;
    let mut stderr = page.stderr();
    stderr.item(0, &bad("error:"), &failure.sentence())?;
    if let Failure::Input(trouble) | Failure::NotFound(trouble) | Failure::Storage(trouble) = failure {
        if let Some(place) = &trouble.place {
            stderr.line(&format!("  {} {place}", dim("at")))?;
        }
        if let Some(help) = &trouble.help {
            stderr.item(2, "help:", help)?;
        }
    }
    stderr.flush()
}

/// Tells wrong lines, and what follows from them.
fn tell_problems(
    report: &FileReport,
    has_stray_problem: bool,
    keep_going: bool,
    page: &mut Page,
) -> Result<Trouble, Failure> {
    let name = &report.file;
    let problem_count = usize::try_from(report.problem_count).unwrap_or(usize::MAX);
    let count = count_of(problem_count, "line is wrong", "lines are wrong");
    let trouble = Trouble::new(format!("{name}: {count}"));
    if page.is_json() {
        return Ok(trouble);
    }
    let mut stderr = page.stderr();
    for problem in report.problems.iter().take(PROBLEMS_SHOWN_MAX) {
        stderr.item(0, &bad("error:"), &problem.problem)?;
        stderr.line(&format!("  {} {name}:{}", dim("at"), problem.line))?;
        if let Some(help) = &problem.help {
            stderr.item(2, "help:", help)?;
        }
    }
    let more = problem_count.saturating_sub(PROBLEMS_SHOWN_MAX);
    if more > 0 {
        stderr.line(&format!("and {more} more; --report FILE writes all of them"))?;
    }
    let consequence = if !keep_going {
        "Nothing of the file was recorded. Correct the lines, or repeat with --keep-going to record the cases \
         that have none."
    } else if has_stray_problem {
        "Nothing of the file was recorded: of a wrong line it cannot be told which case it belongs to, so any \
         case may lack it."
    } else {
        "Nothing was recorded of the cases that have a wrong line."
    };
    stderr.paragraph(0, &format!("{name}: {count}. {consequence}"))?;
    stderr.flush()?;
    Ok(trouble)
}

fn too_large(file: &str, case: String, line: usize, bytes: u64) -> (FailedCase, Failure) {
    let message = format!(
        "case {case} has {} MiB of lines, and at most {} MiB of one case are imported at a time",
        bytes >> 20,
        CASE_BYTES_MAX >> 20
    );
    let help = "divide the case's lines into several files, imported one after the other".to_owned();
    let failure =
        Failure::Input(Trouble::new(message.clone()).help(help.clone()).at(format!("{file}:{line}")));
    let file = file.to_owned();
    (FailedCase { file, line: Some(line), case, message, help: Some(help), ..FailedCase::default() }, failure)
}

/// What to say of a case of which nothing was recorded, and the failure that gives the exit code.
pub(super) fn failed(
    file: &str,
    lines: &CaseLines,
    error: ImportError,
    engine: &Engine,
) -> (FailedCase, Failure) {
    let mut failed = FailedCase {
        file: file.to_owned(),
        case: lines.case.clone(),
        message: error.to_string(),
        ..FailedCase::default()
    };
    let failure = match error {
        ImportError::Line(problem) => {
            failed.line = Some(problem.line);
            failed.message.clone_from(&problem.problem);
            failed.help.clone_from(&problem.help);
            Failure::Input(Trouble { help: problem.help, ..Trouble::new(problem.problem) })
        }
        ImportError::Record { line, source } => {
            failed.line = Some(line);
            let definition = definition_of(lines, engine);
            Failure::of_record(source, &lines.case, definition)
        }
        ImportError::TooManyLines { .. } => {
            failed.help =
                Some("divide the case's lines into several files, imported one after the other".to_owned());
            Failure::Input(Trouble::new(failed.message.clone()))
        }
        ImportError::OpenedElsewhere { line, .. } => {
            failed.line = Some(line);
            failed.help = Some(format!(
                "if the file continues that case, leave out the lines it has already (casebook history {}); \
                 if it is another case, give it another reference",
                lines.case
            ));
            Failure::Conflict(Trouble::new(failed.message.clone()))
        }
        ImportError::Read(error) => error.into(),
        other => Failure::unexpected(other.to_string()),
    };
    failed.event_type = failed.line.and_then(|line| type_of(lines, line));
    if let Failure::Refused(refused) = &failure {
        failed.event_type = Some(refused.refusal.event_type.clone());
        let reasons = &refused.refusal.reasons;
        // A rule of the definition says more than the strand that does not move.
        let own = reasons.iter().find(|reason| !reason.rule.starts_with("engine:"));
        failed.rule = own.or(reasons.first()).map(|reason| reason.rule.clone());
        failed.refusal = serde_json::to_value(&refused.refusal).ok();
    }
    if let Failure::Input(trouble) | Failure::NotFound(trouble) | Failure::Conflict(trouble) = &failure {
        failed.message.clone_from(&trouble.message);
        failed.help = failed.help.or_else(|| trouble.help.clone());
    } else {
        failed.message = failure.sentence();
    }
    let failure = match failure {
        Failure::Input(trouble) => {
            let line = failed.line.map(|line| format!(":{line}")).unwrap_or_default();
            Failure::Input(trouble.at(format!("{file}{line}")))
        }
        other => other,
    };
    (failed, failure)
}

fn type_of(lines: &CaseLines, line: usize) -> Option<String> {
    let (number, text) = lines.lines.iter().find(|(number, _)| *number == line)?;
    jsonl::parse_line(text, *number == 1).ok().flatten().map(|line| line.event.event_type)
}

/// The definition that the lines name, for titles.
fn definition_of(lines: &CaseLines, engine: &Engine) -> Option<Arc<Definition>> {
    let (number, text) = lines.lines.first()?;
    let first = jsonl::parse_line(text, *number == 1).ok().flatten()?;
    match &first.workflow {
        Some(workflow) => definition::newest(engine.definitions(), workflow),
        None => engine.definitions().into_iter().find(|one| one.event(&first.event.event_type).is_some()),
    }
}
