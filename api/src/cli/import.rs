//! `casebook import`: event files recorded, a case's lines together or not at all, and only once.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_engine::definition::Definition;
use casebook_engine::engine::Engine;
use casebook_engine::exchange::import::{ImportError, ImportOptions, ImportedCase, import_case};
use casebook_engine::exchange::jsonl::{self, CaseLines, EventFile, LineProblem};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::definition::unreadable;
use super::page::{Page, Progress, bad, dim, good, warn};
use super::reading::count_of;
use super::{as_is, definition, folder, import_xes, refusal};

const EXAMPLES: &str = "An event file is JSON Lines: one event a line, each naming its case.
  {\"case\":\"2024/0017\",\"type\":\"case-opened\",\"workflow\":\"police-conduct\",\"recorded_by\":{\"id\":\"intake-1\",\"role\":\"caseworker\"}}

Importing a file again records nothing twice; lines added at its end since are recorded.
All lines are checked for their form before the first event is recorded.

Examples:
  casebook import 2020-146999.jsonl
  casebook import *.jsonl --declare-gaps            steps that must have happened become gaps
  casebook import history.jsonl --dry-run           ask without recording
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
    /// Take an export over byte for byte, with its ids, instants and hashes, into a folder that holds nothing yet
    #[arg(long, conflicts_with_all = ["declare_gaps", "keep_going"])]
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

/// What became of a file.
#[derive(Debug, Serialize)]
struct FileReport {
    file: String,
    lines: usize,
    cases: Vec<ImportedCase>,
    failed: Vec<FailedCase>,
    problems: Vec<LineProblem>,
    problem_count: usize,
    left_out_fields: Vec<&'static str>,
    /// Lines of another log's own case.
    own_left_out: usize,
}

/// A case of which nothing was recorded.
#[derive(Debug, Serialize)]
pub(super) struct FailedCase {
    pub(super) case: String,
    pub(super) line: Option<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) refusal: Option<Value>,
}

/// The files so far, and the first failure: its exit code is the command's.
#[derive(Debug, Default)]
struct Import {
    reports: Vec<FileReport>,
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
    let is_missing = |path: &&PathBuf| path.as_os_str() != "-" && !path.exists();
    if let Some(missing) = args.files.iter().find(is_missing).filter(|_| !args.keep_going) {
        let trouble = Trouble::new(format!("there is no {}", missing.display()));
        let is_word = missing.as_os_str() == "xes";
        let help = is_word.then(|| "a log is imported with `xes` right behind `import`".to_owned());
        return Err(Failure::NotFound(Trouble { help, ..trouble }));
    }
    let engine = folder::existing_or_new(globals, None, args.dry_run, page)?;
    let mut import = Import::default();
    for path in &args.files {
        if import.first_failure.is_some() && !args.keep_going {
            break;
        }
        match read(path) {
            Ok(file) => import_file(&engine, path, file, &args, &mut import, page).await?,
            Err(failure) => {
                if !page.is_json() {
                    let mut stderr = page.stderr();
                    stderr.item(0, &bad("error:"), &failure.sentence())?;
                    stderr.flush()?;
                }
                let message = failure.sentence();
                import.reports.push(FileReport::unread(path, message));
                import.first_failure.get_or_insert(failure);
            }
        }
    }
    if page.is_json() {
        page.json(&serde_json::json!({ "dry_run": args.dry_run, "files": import.reports }))?;
    }
    match import.first_failure {
        None => Ok(()),
        Some(failure) => Err(Failure::Told(Box::new(failure))),
    }
}

impl FileReport {
    fn of(path: &Path, file: &EventFile) -> Self {
        Self {
            file: name_of(path),
            lines: file.line_count,
            cases: Vec::new(),
            failed: Vec::new(),
            problems: file.problems.clone(),
            problem_count: file.problem_count,
            left_out_fields: file.left_out.iter().copied().collect(),
            own_left_out: file.own_left_out,
        }
    }

    fn unread(path: &Path, message: String) -> Self {
        let problem = LineProblem { line: 0, case: None, problem: message, help: None };
        Self {
            file: name_of(path),
            lines: 0,
            cases: Vec::new(),
            failed: Vec::new(),
            problems: vec![problem],
            problem_count: 1,
            left_out_fields: Vec::new(),
            own_left_out: 0,
        }
    }
}

fn name_of(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

fn read(path: &Path) -> Result<EventFile, Failure> {
    let read = if path.as_os_str() == "-" {
        jsonl::read_file(io::stdin().lock())
    } else if path.is_dir() {
        return Err(Failure::input(format!("{} is a folder", path.display()), "name the event files in it"));
    } else {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        jsonl::read_file(BufReader::new(file))
    };
    read.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => Failure::input(error.to_string(), "divide it by case"),
        _ => unreadable(path, &error),
    })
}

async fn import_file(
    engine: &Engine,
    path: &Path,
    file: EventFile,
    args: &ImportArgs,
    import: &mut Import,
    page: &mut Page,
) -> Result<(), Failure> {
    let name = name_of(path);
    let mut report = FileReport::of(path, &file);
    if !file.problems.is_empty() {
        let trouble = tell_problems(&name, &file, args.keep_going, page)?;
        import.first_failure.get_or_insert(Failure::Input(trouble));
    }
    let is_stopped = !file.problems.is_empty() && (!args.keep_going || file.has_stray_problem);
    if !is_stopped {
        let options = ImportOptions { declare_gaps: args.declare_gaps, dry_run: args.dry_run };
        let progress = Progress::new(page, "importing", file.line_count as u64);
        let mut lines_done = 0;
        for lines in file.cases.iter().filter(|lines| !lines.has_problem) {
            match Box::pin(import_case(engine, lines, options)).await {
                Ok(imported) => {
                    tell_case(&imported, args.dry_run, page)?;
                    report.cases.push(imported);
                }
                Err(error) => {
                    let (failed, failure) = failed(&name, lines, error, engine);
                    tell_failed(&name, &failed, &failure, page)?;
                    report.failed.push(failed);
                    import.first_failure.get_or_insert(failure);
                    if !args.keep_going {
                        break;
                    }
                }
            }
            lines_done += lines.lines.len() as u64;
            progress.reached(lines_done, file.line_count as u64);
        }
        progress.finish();
    }
    tell_summary(&report, args.dry_run, page)?;
    import.reports.push(report);
    Ok(())
}

/// Tells wrong lines, and what follows from them.
fn tell_problems(
    name: &str,
    file: &EventFile,
    keep_going: bool,
    page: &mut Page,
) -> Result<Trouble, Failure> {
    let count = count_of(file.problem_count, "line is wrong", "lines are wrong");
    let trouble = Trouble::new(format!("{name}: {count}"));
    if page.is_json() {
        return Ok(trouble);
    }
    let mut stderr = page.stderr();
    for problem in file.problems.iter().take(PROBLEMS_SHOWN_MAX) {
        stderr.item(0, &bad("error:"), &problem.problem)?;
        stderr.line(&format!("  {} {name}:{}", dim("at"), problem.line))?;
        if let Some(help) = &problem.help {
            stderr.item(2, "help:", help)?;
        }
    }
    let more = file.problem_count.saturating_sub(PROBLEMS_SHOWN_MAX);
    if more > 0 {
        stderr.line(&format!("and {more} more"))?;
    }
    let consequence = if !keep_going {
        "Nothing of the file was recorded. Correct the lines, or repeat with --keep-going to record the cases \
         that have none."
    } else if file.has_stray_problem {
        "Nothing of the file was recorded: of a wrong line it cannot be told which case it belongs to, so any \
         case may lack it."
    } else {
        "Nothing was recorded of the cases that have a wrong line."
    };
    stderr.paragraph(0, &format!("{name}: {count}. {consequence}"))?;
    stderr.flush()?;
    Ok(trouble)
}

/// What to say of a case of which nothing was recorded, and the failure that gives the exit code.
pub(super) fn failed(
    file: &str,
    lines: &CaseLines,
    error: ImportError,
    engine: &Engine,
) -> (FailedCase, Failure) {
    let mut failed = FailedCase {
        case: lines.case.clone(),
        line: None,
        message: error.to_string(),
        help: None,
        refusal: None,
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
    if let Failure::Refused(refused) = &failure {
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

/// The definition that the lines name, for titles.
fn definition_of(lines: &CaseLines, engine: &Engine) -> Option<Arc<Definition>> {
    let (number, text) = lines.lines.first()?;
    let first = jsonl::parse_line(text, *number == 1).ok().flatten()?;
    match &first.workflow {
        Some(workflow) => definition::newest(engine.definitions(), workflow),
        None => engine.definitions().into_iter().find(|one| one.event(&first.event.event_type).is_some()),
    }
}

fn tell_failed(file: &str, failed: &FailedCase, failure: &Failure, page: &mut Page) -> Result<(), Failure> {
    if page.is_json() {
        return Ok(());
    }
    page.flush()?;
    let mut stderr = page.stderr();
    let place = failed.line.map(|line| format!(":{line}")).unwrap_or_default();
    if let Failure::Refused(refused) = failure {
        stderr.line(&format!("{} {file}{place}", dim("at")))?;
        refusal::tell(refused, &mut stderr)?;
        stderr.gap()?;
    } else {
        let names_case = failed.message.contains(&failed.case);
        let case = if names_case { String::new() } else { format!("case {}: ", failed.case) };
        stderr.item(0, &bad("error:"), &format!("{case}{}", failed.message))?;
        stderr.line(&format!("  {} {file}{place}", dim("at")))?;
        if let Some(help) = &failed.help {
            stderr.item(2, "help:", help)?;
        }
    }
    stderr.flush()
}

pub(super) fn tell_case(imported: &ImportedCase, dry_run: bool, page: &mut Page) -> Result<(), Failure> {
    if page.is_json() {
        return Ok(());
    }
    let recorded = count_of(imported.recorded, "event", "events");
    let mut text = match (imported.recorded, dry_run) {
        (0, _) => "nothing new".to_owned(),
        (_, true) => format!("{recorded} would be recorded"),
        (_, false) => format!("{recorded} recorded"),
    };
    if imported.already > 0 {
        text.push_str(&format!(", {} recorded by an earlier import", imported.already));
    }
    if imported.gaps > 0 {
        text.push_str(&format!(", {}", warn(&count_of(imported.gaps, "gap declared", "gaps declared"))));
    }
    if imported.breaches > 0 {
        text.push_str(&format!(", {}", warn(&count_of(imported.breaches, "breach noted", "breaches noted"))));
    }
    if imported.unproven > 0 {
        let rules = count_of(imported.unproven, "rule", "rules");
        text.push_str(&format!(", {rules} unproven because dates are vague"));
    }
    if let Some(version) = imported.version {
        text.push_str(&format!("; version {version}"));
    }
    page.item(0, &good("✓"), &format!("{}: {text}", imported.case))
}

fn tell_summary(report: &FileReport, dry_run: bool, page: &mut Page) -> Result<(), Failure> {
    if page.is_json() {
        return Ok(());
    }
    let recorded: usize = report.cases.iter().map(|case| case.recorded).sum();
    let would = if dry_run { "would be " } else { "" };
    let mut text = format!(
        "{}: {}, {} {would}recorded in {}",
        report.file,
        count_of(report.lines, "line", "lines"),
        count_of(recorded, "event", "events"),
        count_of(report.cases.len(), "case", "cases")
    );
    if !report.failed.is_empty() {
        text.push_str(&format!(", {} not", count_of(report.failed.len(), "case", "cases")));
    }
    page.paragraph(0, &format!("{text}."))?;
    if !report.left_out_fields.is_empty() {
        let fields = report.left_out_fields.join(", ");
        page.paragraph(0, &dim(&format!("Left out, because this record gives its own: {fields}.")))?;
    }
    if report.own_left_out > 0 {
        let lines = count_of(report.own_left_out, "line", "lines");
        let text = format!(
            "Left out: {lines} of the other log's own case; this log keeps its own. --as-is takes them over."
        );
        page.paragraph(0, &dim(&text))?;
    }
    let notes: usize = report.cases.iter().map(|case| case.notes_left_out).sum();
    if notes > 0 {
        let notes = count_of(notes, "breach note", "breach notes");
        page.paragraph(
            0,
            &dim(&format!("Left out: {notes} of the engine's own, which it makes again by itself.")),
        )?;
    }
    Ok(())
}
