//! The command line: one file per subcommand, named as the user types it.
//!
//! A command reads its arguments, asks the engine and tells the answer on a page; every failure travels to
//! `answer`, the one place where it becomes a sentence, a hint and an exit code.

mod annul;
mod answer;
mod as_is;
mod audit;
mod audit_checkpoint;
mod audit_key;
mod audit_proof;
mod audit_report;
mod backup;
mod bench;
mod cases;
mod completions;
mod conformance;
mod correct;
mod date;
mod deadlines;
mod definition;
mod demo;
mod diff;
mod document;
mod export;
mod export_chronology;
mod export_svg;
mod folder;
mod history;
mod import;
mod import_report;
mod import_source;
mod import_xes;
mod log_file;
mod man;
mod migrate;
mod next;
mod open;
mod output_file;
mod page;
mod payload;
mod point;
mod reading;
mod record;
mod refusal;
mod replay;
mod restore;
mod status;
mod workflow;
mod workflow_diff;
mod workflow_discover;
mod workflow_page;
mod workflow_test;
mod workflow_trial;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use casebook_engine::case::event::Recorder;
use clap::{Args, Parser, Subcommand, ValueEnum};

use answer::Failure;
use page::Page;

const ABOUT: &str = "Casebook keeps investigations as append-only logs: what happened, when, who recorded it, and \
whether it was allowed to happen then.

Each case is a list of events that are never edited and never deleted. Its status is worked out from them, now, as it \
was known at an earlier time, or as it stood at an earlier date. An event that the workflow does not allow is refused, \
and the refusal says which rule stood in the way and what would make the event lawful.";

const EXAMPLES: &str = "Examples:
  casebook demo                                         see a whole investigation in a few seconds
  casebook open 2024/0017 --workflow police-conduct --as intake-1:caseworker
  casebook record 2024/0017 matter-recorded --on 2024-03-05 --as intake-1:caseworker
  casebook status 2024/0017
  casebook next 2024/0017 sentence-passed               may it be recorded, and if not, why?

Exit codes:
  0 done   1 unexpected failure   2 usage or bad input   3 refused by a rule or a state
  4 not at the expected version   5 not found   6 not allowed   7 storage failure
  8 audit verify found the log damaged   9 a check said no";

/// The arguments of the program.
#[derive(Debug, Parser)]
#[command(
    name = "casebook",
    version,
    about = "Investigations as append-only logs: what happened, and whether it was allowed to",
    long_about = ABOUT,
    after_help = EXAMPLES,
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
struct Globals {
    /// The folder that holds the cases
    #[arg(long, global = true, value_name = "DIR", env = "CASEBOOK_DATA", default_value = "./casebook-data")]
    data: PathBuf,
    /// Answer in JSON, and print nothing else on standard output
    #[arg(long, global = true)]
    json: bool,
    /// When to colour the answer (NO_COLOR is honoured)
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    color: Colour,
    /// Who is acting, and in which role: officer-1:caseworker
    #[arg(long = "as", global = true, value_name = "ID:ROLE", env = "CASEBOOK_AS")]
    acting: Option<Recorder>,
    /// A definition of your own, as a file or a folder; may be given several times
    #[arg(long, global = true, value_name = "PATH", env = "CASEBOOK_WORKFLOW_DIR", value_delimiter = ':')]
    workflow_dir: Vec<PathBuf>,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a whole investigation in a fresh folder, refusals included
    Demo(demo::DemoArgs),
    /// Open a case
    Open(open::OpenArgs),
    /// Record an event, or be told why it may not be recorded
    Record(record::RecordArgs),
    /// Correct fields of a recorded event; both values stay visible
    Correct(correct::CorrectArgs),
    /// Say that a recorded event did not happen; it stays in the history, struck through
    Annul(annul::AnnulArgs),
    /// Bring a case under a later version of its workflow, if its history is legal there
    Migrate(migrate::MigrateArgs),
    /// Record event files: a case's lines together or not at all, and only once
    Import(import::ImportArgs),
    /// Compare a log of another system with what a workflow allows; exit code 9 where it broke the order of things
    Conformance(conformance::ConformanceArgs),
    /// List cases
    Cases(cases::CasesArgs),
    /// List deadlines: what is due when, what is missed, what falls due soon
    Deadlines(deadlines::DeadlinesArgs),
    /// Show where a case stands, stood, or was thought to stand
    Status(status::StatusArgs),
    /// List the events of a case, with corrections, gaps and breaches
    History(history::HistoryArgs),
    /// Watch a case evolve: after each event, what changed
    Replay(replay::ReplayArgs),
    /// Show what changed in a case between two points
    Diff(diff::DiffArgs),
    /// Show what may happen next, or whether one event may, and if not, why
    Next(next::NextArgs),
    /// Check that nothing recorded was changed, sign what there is, prove single events
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Write cases out
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Write everything, or what is new, into one file, while others go on working
    Backup(backup::BackupArgs),
    /// Make a store out of backups, verified before it takes its place
    Restore(restore::RestoreArgs),
    /// Measure what this machine and this disk give, beside yardsticks
    Bench(bench::BenchArgs),
    /// Read, check and compare workflow definitions
    #[command(subcommand)]
    Workflow(workflow::WorkflowCommand),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page
    Man(man::ManArgs),
}

/// Runs the program on the process's own arguments.
#[must_use]
pub fn main() -> ExitCode {
    answer::calm_panics();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match std::panic::catch_unwind(|| run(&arguments)) {
        Ok(code) => ExitCode::from(code),
        Err(_) => ExitCode::from(answer::UNEXPECTED),
    }
}

fn run(arguments: &[OsString]) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return answer::usage(&error, arguments.iter().any(|argument| argument == "--json")),
    };
    let mut page = Page::stdout(cli.globals.color, cli.globals.json);
    let done = runtime().and_then(|runtime| {
        runtime.block_on(Box::pin(perform(cli.command, &cli.globals, &mut page)))?;
        page.flush()
    });
    match done {
        Ok(()) => 0,
        Err(failure) => answer::tell(failure, &mut page),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unexpected(format!("no threads could be started: {error}")))
}

async fn perform(command: Command, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => Box::pin(demo::run(args, page)).await,
        Command::Open(args) => open::run(args, globals, page).await,
        Command::Record(args) => Box::pin(record::run(args, globals, page)).await,
        Command::Correct(args) => correct::run(args, globals, page).await,
        Command::Annul(args) => annul::run(args, globals, page).await,
        Command::Migrate(args) => migrate::run(args, globals, page).await,
        Command::Import(args) => Box::pin(import::run(args, globals, page)).await,
        Command::Conformance(args) => conformance::run(&args, globals, page),
        Command::Cases(args) => cases::run(args, globals, page).await,
        Command::Deadlines(args) => Box::pin(deadlines::run(args, globals, page)).await,
        Command::Status(args) => status::run(args, globals, page).await,
        Command::History(args) => history::run(args, globals, page).await,
        Command::Replay(args) => replay::run(args, globals, page).await,
        Command::Diff(args) => diff::run(args, globals, page).await,
        Command::Next(args) => next::run(args, globals, page).await,
        Command::Audit(command) => Box::pin(audit::run(command, globals, page)).await,
        Command::Export(command) => Box::pin(export::run(command, globals, page)).await,
        Command::Backup(args) => backup::run(args, globals, page).await,
        Command::Bench(args) => bench::run(args, globals, page).await,
        Command::Restore(args) => restore::run(args, globals, page).await,
        Command::Workflow(command) => workflow::run(command, globals, page),
        Command::Completions(args) => completions::run(&args, page),
        Command::Man(args) => man::run(&args, page),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_argument_is_declared_without_contradiction() {
        Cli::command().debug_assert();
    }
}
