//! `casebook export`: cases written out.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use casebook_engine::case::event::{Position, Version};
use casebook_engine::case::reading::Cut;
use casebook_engine::engine::{CaseFilter, Engine, HistoryOrder, QueryError};
use casebook_engine::exchange::csv::Table;
use casebook_engine::exchange::told::{ToldCase, told};
use casebook_engine::exchange::{cloud_events, ocel, xes};
use casebook_engine::store::{StoredEvent, decode};
use clap::{Args, Subcommand};

use super::Globals;
use super::answer::Failure;
use super::export_chronology::{self, ChronologyArgs};
use super::export_svg::{self, SvgArgs};
use super::folder;
use super::output_file::{OutputFile, unwritable};
use super::page::{Page, Progress};
use super::reading::count_of;

/// How many references are asked for at once.
const CASES_PAGE: usize = 1_000;

/// How many events are read at once.
const EVENTS_PAGE: usize = 1_000;

/// `casebook export`
#[derive(Debug, Subcommand)]
pub(super) enum ExportCommand {
    /// Event files: JSON Lines, one event a line, exactly the bytes that were recorded; `casebook import` reads them
    Jsonl(ExportArgs),
    /// A table, one row an event, for spreadsheets
    Csv(ExportArgs),
    /// CloudEvents 1.0 as a JSON batch, for event brokers
    Cloudevents(ExportArgs),
    /// A log for process mining in XES (IEEE 1849): what happened, in its order, a trace for each case
    Xes(XesArgs),
    /// A log for object-centric process mining in OCEL 2.0 (JSON): entities are objects, scopes are relations
    Ocel(ExportArgs),
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

/// What to write, where, and what a trace is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  casebook export xes -o all-cases.xes
  casebook export xes --by-strand 2020/146999       a trace for each strand of each entity")]
pub(super) struct XesArgs {
    #[command(flatten)]
    export: ExportArgs,
    /// A trace for each strand of each entity, with the states around every event, instead of one for each case
    #[arg(long)]
    by_strand: bool,
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Table,
    CloudEvents,
    Xes(xes::Traces),
    Ocel,
}

/// What was written.
#[derive(Debug, Default)]
struct Written {
    cases: usize,
    events: usize,
    /// Recorded events that the form has no place for.
    left_out: usize,
}

/// Runs the command.
pub(super) async fn run(command: ExportCommand, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let (args, form) = match command {
        ExportCommand::Jsonl(args) => (args, Form::Lines),
        ExportCommand::Csv(args) => (args, Form::Table),
        ExportCommand::Cloudevents(args) => (args, Form::CloudEvents),
        ExportCommand::Xes(args) if args.by_strand => (args.export, Form::Xes(xes::Traces::Strands)),
        ExportCommand::Xes(args) => (args.export, Form::Xes(xes::Traces::Cases)),
        ExportCommand::Ocel(args) => (args, Form::Ocel),
        ExportCommand::Chronology(args) => return export_chronology::run(&args, globals, page).await,
        ExportCommand::Svg(args) => return export_svg::run(&args, globals, page).await,
    };
    let engine = folder::existing(globals, page)?;
    let references = distinct(&engine, &args.references)?;
    let export = Export { engine: &engine, references: &references, form };
    let progress = Progress::new(page, "exporting", 0);
    let Some(path) = &args.output else {
        export.write(&mut PageSink { page }, &progress).await?;
        progress.finish();
        return Ok(());
    };
    let written = export.to_file(path, &progress).await?;
    progress.finish();
    if page.is_json() {
        let Written { cases, events, left_out } = written;
        let document =
            serde_json::json!({"file": path, "cases": cases, "events": events, "left_out": left_out});
        return page.json(&document);
    }
    let text = format!(
        "Wrote {} of {} to {}.",
        count_of(written.events, "event", "events"),
        count_of(written.cases, "case", "cases"),
        path.display()
    );
    page.line(&text)?;
    if written.left_out == 0 {
        return Ok(());
    }
    let notes = count_of(written.left_out, "recorded event", "recorded events");
    let text =
        format!("Left out: {notes} that did not happen themselves (notes, and what was annulled or closed).");
    page.paragraph(0, &text)
}

/// An export to be written.
struct Export<'a> {
    engine: &'a Engine,
    /// The cases; empty: all of them.
    references: &'a [String],
    form: Form,
}

impl Export<'_> {
    /// Nobody finds half an export.
    async fn to_file(&self, path: &Path, progress: &Progress) -> Result<Written, Failure> {
        let mut file = OutputFile::create(path)?;
        let written = self.write(&mut file, progress).await.map_err(|failure| match failure {
            Failure::Output(error) => unwritable(path, &error),
            other => other,
        })?;
        file.finish()?;
        Ok(written)
    }

    async fn write(&self, sink: &mut dyn Write, progress: &Progress) -> Result<Written, Failure> {
        match self.form {
            Form::Lines => {
                let mut add = |stored: &StoredEvent| -> Result<(), Failure> {
                    sink.write_all(&stored.bytes)?;
                    Ok(sink.write_all(b"\n")?)
                };
                let written = self.each_event(&mut add, progress)?;
                sink.flush()?;
                Ok(written)
            }
            Form::CloudEvents => {
                let mut batch = cloud_events::Batch::new(sink);
                let mut add = |stored: &StoredEvent| Ok(batch.add(stored, &decode(stored)?)?);
                let written = self.each_event(&mut add, progress)?;
                batch.finish()?;
                Ok(written)
            }
            Form::Table => self.write_table(sink, progress).await,
            Form::Xes(traces) => {
                let mut log = xes::Log::new(sink, traces)?;
                let mut written = Written::default();
                let mut add = |case: &ToldCase| {
                    let events = log.add(case)?;
                    written.take(case, events);
                    Ok(())
                };
                self.each_told(&mut add, progress).await?;
                log.finish()?;
                Ok(written)
            }
            Form::Ocel => {
                let mut events = ocel::Events::new(sink)?;
                let mut written = Written::default();
                let mut add = |case: &ToldCase| {
                    let count = events.add(case)?;
                    written.take(case, count);
                    Ok(())
                };
                self.each_told(&mut add, progress).await?;
                let mut objects = events.then_objects()?;
                self.each_told(&mut |case| objects.add(case), progress).await?;
                objects.finish()?;
                Ok(written)
            }
        }
    }

    async fn write_table(&self, sink: &mut dyn Write, progress: &Progress) -> Result<Written, Failure> {
        let mut table = Table::new(sink)?;
        let mut written = Written::default();
        let mut cases = Cases::of(self);
        while let Some(reference) = cases.next().await? {
            let key = folder::key(&reference);
            let history = self.engine.history(&key, Cut::default(), HistoryOrder::Recorded).await?;
            table.add(&history)?;
            written.cases += 1;
            written.events += history.len();
            progress.reached(written.events as u64, 0);
        }
        table.finish()?;
        Ok(written)
    }

    async fn each_told(
        &self,
        take: &mut dyn FnMut(&ToldCase) -> io::Result<()>,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let mut cases = Cases::of(self);
        let mut done = 0;
        while let Some(reference) = cases.next().await? {
            let state = self.engine.case(&folder::key(&reference)).await?;
            take(&told(&state))?;
            done += 1;
            progress.reached(done, 0);
        }
        Ok(())
    }

    /// Each event as stored: of all cases in the order of the log, or of the cases named, one after the other.
    fn each_event(
        &self,
        take: &mut dyn FnMut(&StoredEvent) -> Result<(), Failure>,
        progress: &Progress,
    ) -> Result<Written, Failure> {
        let store = self.engine.store();
        let mut written = Written::default();
        let mut take_page = |page: &[StoredEvent]| -> Result<(), Failure> {
            written.events += page.len();
            written.cases += page.iter().filter(|event| event.version == Version(1)).count();
            page.iter().try_for_each(&mut *take)
        };
        if self.references.is_empty() {
            let head = *store.head().borrow();
            let mut after = Position(0);
            while after < head {
                let page = store.read_log(after, EVENTS_PAGE)?;
                let Some(last) = page.last() else { break };
                after = last.position;
                take_page(&page)?;
                progress.reached(after.0, head.0);
            }
        }
        for reference in self.references {
            let case_id = case_id(self.engine, reference)?;
            let mut after = Version(0);
            loop {
                let page = store.read_case(case_id, after, EVENTS_PAGE)?;
                let Some(last) = page.last() else { break };
                after = last.version;
                take_page(&page)?;
            }
        }
        Ok(written)
    }
}

impl Written {
    fn take(&mut self, case: &ToldCase, events: usize) {
        self.cases += 1;
        self.events += events;
        self.left_out += case.left_out;
    }
}

/// The cases named, each once. Asked before the first byte is written: half a document helps nobody.
fn distinct(engine: &Engine, references: &[String]) -> Result<Vec<String>, Failure> {
    let mut seen = BTreeSet::new();
    let mut distinct = Vec::new();
    for reference in references {
        if seen.insert(case_id(engine, reference)?) {
            distinct.push(reference.clone());
        }
    }
    Ok(distinct)
}

fn case_id(engine: &Engine, reference: &str) -> Result<casebook_engine::case::event::CaseId, Failure> {
    let head = engine.store().head_of(&folder::key(reference))?;
    Ok(head.ok_or_else(|| QueryError::NoSuchCase { reference: reference.to_owned() })?.case_id)
}

/// The references to export, one after the other.
struct Cases<'a> {
    export: &'a Export<'a>,
    page: VecDeque<String>,
    after: Option<String>,
    is_done: bool,
}

impl<'a> Cases<'a> {
    fn of(export: &'a Export<'a>) -> Self {
        let is_done = !export.references.is_empty();
        Self { export, page: export.references.iter().cloned().collect(), after: None, is_done }
    }

    async fn next(&mut self) -> Result<Option<String>, Failure> {
        if self.page.is_empty() && !self.is_done {
            let filter = CaseFilter { limit: CASES_PAGE, after: self.after.take(), ..CaseFilter::default() };
            let cases = self.export.engine.cases(filter).await?;
            self.page = cases.into_iter().map(|case| case.reference).collect();
            self.after = self.page.back().cloned();
            self.is_done = self.page.is_empty();
        }
        Ok(self.page.pop_front())
    }
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
