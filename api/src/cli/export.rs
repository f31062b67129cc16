//! `casebook export`: cases written out.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use casebook_engine::case::reading::{Cut, HistoryEntry};
use casebook_engine::engine::{CaseFilter, Engine, HistoryOrder};
use casebook_engine::exchange::csv::Table;
use casebook_engine::store::codec;
use clap::{Args, Subcommand};

use super::Globals;
use super::answer::{Failure, Trouble};
use super::definition::unreadable;
use super::export_chronology::{self, ChronologyArgs};
use super::export_svg::{self, SvgArgs};
use super::folder;
use super::page::Page;
use super::reading::count_of;

/// How many references are asked for at once.
const CASES_PAGE: usize = 1_000;

/// `casebook export`
#[derive(Debug, Subcommand)]
pub(super) enum ExportCommand {
    /// Event files: JSON Lines, one event a line, exactly the bytes that were recorded; `casebook import` reads them
    Jsonl(ExportArgs),
    /// A table, one row an event, for spreadsheets
    Csv(ExportArgs),
    /// A picture of one case: strands as lanes over time, with gaps, breaches and corrections marked
    Svg(SvgArgs),
    /// One case as a document to hand over: events in order, dates in the words of their sources, gaps and corrections
    Chronology(ChronologyArgs),
}

/// What to write, and where.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  casebook export jsonl 2020/146999 -o 2020-146999.jsonl
  casebook export csv > all-cases.csv")]
pub(super) struct ExportArgs {
    /// The cases; left out: all of them
    #[arg(value_name = "REF")]
    references: Vec<String>,
    /// Write to this file, which appears when it is whole; left out: standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(super) async fn run(command: ExportCommand, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let (args, is_table) = match command {
        ExportCommand::Jsonl(args) => (args, false),
        ExportCommand::Csv(args) => (args, true),
        ExportCommand::Chronology(args) => return export_chronology::run(&args, globals, page).await,
        ExportCommand::Svg(args) => return export_svg::run(&args, globals, page).await,
    };
    let engine = folder::existing(globals, page)?;
    let Some(path) = &args.output else {
        let mut sink = PageSink { page };
        let written = write(&engine, &args.references, is_table, &mut sink).await;
        return written.map(|_| ());
    };
    let (cases, events) = to_file(&engine, &args.references, is_table, path).await?;
    if page.is_json() {
        return page.json(&serde_json::json!({"file": path, "cases": cases, "events": events}));
    }
    let text = format!(
        "Wrote {} of {} to {}.",
        count_of(events, "event", "events"),
        count_of(cases, "case", "cases"),
        path.display()
    );
    page.line(&text)
}

/// Writes beside the file and puts it in place when it is whole: nobody finds half an export.
async fn to_file(
    engine: &Engine,
    references: &[String],
    is_table: bool,
    path: &Path,
) -> Result<(usize, usize), Failure> {
    let failed = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::NotFound(Trouble::new(format!("there is no folder for {}", path.display())))
        }
        _ => unreadable(path, error),
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let mut file = BufWriter::new(File::create(&beside).map_err(|error| failed(&error))?);
    let counted = match write(engine, references, is_table, &mut file).await {
        Ok(counted) => counted,
        Err(failure) => {
            // What was written so far helps nobody; the failure is what is told.
            let _ = std::fs::remove_file(&beside);
            return Err(match failure {
                Failure::Output(error) => failed(&error),
                other => other,
            });
        }
    };
    let file = file.into_inner().map_err(|error| failed(error.error()))?;
    file.sync_all().and_then(|()| std::fs::rename(&beside, path)).map_err(|error| failed(&error))?;
    Ok(counted)
}

async fn write(
    engine: &Engine,
    references: &[String],
    is_table: bool,
    sink: &mut dyn Write,
) -> Result<(usize, usize), Failure> {
    let mut writer = if is_table { Writer::Table(Box::new(Table::new(sink)?)) } else { Writer::Lines(sink) };
    let mut counted = (0, 0);
    if references.is_empty() {
        let mut after = None;
        loop {
            let filter = CaseFilter { limit: CASES_PAGE, after: after.clone(), ..CaseFilter::default() };
            let cases = engine.cases(filter).await?;
            let Some(last) = cases.last() else { break };
            after = Some(last.reference.clone());
            for case in &cases {
                counted.1 += write_case(engine, &case.reference, &mut writer).await?;
                counted.0 += 1;
            }
        }
    }
    for reference in references {
        counted.1 += write_case(engine, reference, &mut writer).await?;
        counted.0 += 1;
    }
    match writer {
        Writer::Table(table) => table.finish()?,
        Writer::Lines(sink) => sink.flush()?,
    }
    Ok(counted)
}

enum Writer<'a> {
    Table(Box<Table<&'a mut dyn Write>>),
    Lines(&'a mut dyn Write),
}

async fn write_case(engine: &Engine, reference: &str, writer: &mut Writer<'_>) -> Result<usize, Failure> {
    let history = engine.history(&folder::key(reference), Cut::default(), HistoryOrder::Recorded).await?;
    match writer {
        Writer::Table(table) => table.add(&history)?,
        Writer::Lines(sink) => {
            for entry in &history {
                sink.write_all(&line(entry)?)?;
            }
        }
    }
    Ok(history.len())
}

fn line(entry: &HistoryEntry) -> Result<Vec<u8>, Failure> {
    let mut bytes = codec::encode(&entry.event).map_err(|error| Failure::unexpected(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The page as a place to write bytes to.
struct PageSink<'a> {
    page: &'a mut Page,
}

impl Write for PageSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.page.bytes(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(Failure::Output(error)) => Err(error),
            Err(other) => Err(io::Error::other(other.sentence())),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
