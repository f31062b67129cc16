//! `casebook import xes`: a log of another system, turned into events by a mapping, and recorded as an event file is.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use casebook_engine::case::event::engine_types;
use casebook_engine::definition::Definition;
use casebook_engine::engine::Engine;
use casebook_engine::exchange::import::{ImportError, ImportOptions, ImportedCase, import_case};
use casebook_engine::exchange::jsonl::{self, CaseLines};
use casebook_engine::foreign::mapping::{Mapping, required_and_not_filled};
use casebook_engine::foreign::translate::{LogProblem, TranslatedCase, TranslatedEvent, Translator};
use casebook_engine::foreign::xes_reader::{Trace, in_words};
use clap::Args;
use serde::Serialize;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::import::failed;
use super::import_report::{FailedCase, tell_case};
use super::log_file::{self, LogFile, activity_words, tell_log_problems, unmapped_json};
use super::page::{Page, Progress, bad, dim};
use super::reading::count_of;
use super::{definition, folder, refusal, workflow};

const EXAMPLES: &str = "The mapping says what activities and attributes mean: docs/foreign-logs.md.
`casebook workflow discover LOG --map-out map.yaml` drafts one.

The whole log is read and translated before the first event is recorded. A trace is recorded whole or not at all; importing
the log again records nothing twice.

Examples:
  casebook import xes log.xes --workflow lost-property --map map.yaml --dry-run
  casebook import xes log.xes.gz --workflow lost-property@2 --map map.yaml --keep-going";

/// `casebook import xes`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ImportXesArgs {
    /// The log in XES, plain or packed with gzip; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The definition under which the cases are opened: NAME, NAME@VERSION, or the file or folder of one of your own
    #[arg(long, value_name = "NAME|PATH")]
    workflow: String,
    /// The mapping of the log onto the definition
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// Where earlier steps are missing and must have happened, record them as gaps
    #[arg(long)]
    declare_gaps: bool,
    /// Say what would happen, and record nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on with the other traces where one is refused or can't be translated
    #[arg(long)]
    keep_going: bool,
}

/// What became of a log.
#[derive(Debug, Default, Serialize)]
struct LogReport {
    traces: usize,
    events: usize,
    ignored: usize,
    cases: Vec<ImportedCase>,
    failed: Vec<FailedTrace>,
    problems: Vec<LogProblem>,
}

/// A trace of which nothing was recorded.
#[derive(Debug, Serialize)]
struct FailedTrace {
    trace: usize,
    event: Option<usize>,
    #[serde(flatten)]
    failed: FailedCase,
}

/// What every trace is imported with.
struct Import<'a> {
    args: &'a ImportXesArgs,
    name: &'a str,
    definition: &'a Arc<Definition>,
    mapping: &'a Mapping,
}

/// Runs the command.
pub(super) async fn run(args: ImportXesArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let mut log = LogFile::open(&args.file)?;
    let definition = workflow::find(&args.workflow, globals, page)?;
    let mapping = log_file::mapping(&args.map, &definition, page)?;
    check_filled(&mapping, &definition, &args)?;
    let name = log.name.clone();
    let import = Import { args: &args, name: &name, definition: &definition, mapping: &mapping };
    let (mut report, unmapped) = import.check(&mut log, page)?;
    let mut first_failure = None;
    if let Some(first) = report.problems.first() {
        let count = count_of(report.problems.len(), "problem", "problems");
        tell_log_problems(&name, &report.problems, page)?;
        let trouble = Trouble::new(format!("{name}: {count}: {}", first.problem));
        first_failure = Some(Failure::Input(trouble));
        if !page.is_json() {
            let consequence = if args.keep_going {
                "Nothing was recorded of the traces concerned."
            } else {
                "Nothing was recorded. Correct the log or the mapping, or repeat with --keep-going to record the other traces."
            };
            let mut stderr = page.stderr();
            stderr.paragraph(0, &format!("{name}: {count}. {consequence}"))?;
            stderr.flush()?;
        }
    }
    if first_failure.is_none() || args.keep_going {
        let own = definition::is_path(&args.workflow)
            .then(|| definition::load(std::path::Path::new(&args.workflow), page))
            .transpose()?;
        let engine = folder::existing_or_new(globals, own, args.dry_run, page)?;
        let failure = import.record(&engine, &mut log, &mut report, page).await?;
        first_failure = first_failure.or(failure);
        import.tell_summary(&report, page)?;
    }
    if page.is_json() {
        let mut answer = serde_json::to_value(&report).unwrap_or_default();
        answer["dry_run"] = args.dry_run.into();
        answer["file"] = name.clone().into();
        answer["workflow"] = definition.pin().into();
        answer["left_out"] = unmapped_json(&unmapped);
        page.json(&answer)?;
    } else if !unmapped.is_empty() {
        let left: Vec<String> = unmapped
            .iter()
            .map(|(activity, events)| format!("{} ({events})", activity_words(activity)))
            .collect();
        page.paragraph(
            0,
            &dim(&format!("Left out, because the mapping does not name them: {}.", left.join(", "))),
        )?;
    }
    first_failure.map_or(Ok(()), |failure| Err(Failure::Told(Box::new(failure))))
}

/// Without a field that the definition requires every event of the type would be refused.
fn check_filled(mapping: &Mapping, definition: &Definition, args: &ImportXesArgs) -> Result<(), Failure> {
    let missing = required_and_not_filled(mapping, definition);
    let Some((event_type, field)) = missing.first() else { return Ok(()) };
    let listed: Vec<String> =
        missing.iter().map(|(event_type, field)| format!("{event_type}: {field}")).collect();
    let trouble = Trouble::new(format!(
        "the mapping fills no field that the definition requires: {}",
        listed.join(", ")
    ));
    let help = format!(
        "name an attribute under `data`, or a constant: `{field}: {{ value: … }}` for {event_type}; where the log can't say, \
         make the field optional in the definition"
    );
    Err(Failure::Input(trouble.at(args.map.display().to_string()).help(help)))
}

impl Import<'_> {
    /// Reads and translates the whole log, so that a mistake in its last trace is known before the first event is recorded.
    fn check(
        &self,
        log: &mut LogFile,
        page: &Page,
    ) -> Result<(LogReport, casebook_engine::foreign::translate::Unmapped), Failure> {
        let mut report = LogReport::default();
        let mut translator = Translator::new(self.mapping, self.definition);
        log.each_trace(&mut |trace| {
            report.traces += 1;
            report.events += trace.events.len();
            match translator.translate(&trace) {
                Ok(case) => {
                    report.ignored += case.ignored;
                    report.problems.extend(not_opened_first(&case));
                }
                Err(problems) => report.problems.extend(problems),
            }
            Ok(())
        })?;
        let unmapped = translator.unmapped;
        if report.traces == 0 {
            return Err(Failure::input(format!("{} holds no trace", self.name), "nothing was recorded"));
        }
        if !unmapped.is_empty() && !self.mapping.leaves_out_unmapped {
            return Err(self.refused_unmapped(&unmapped, page)?);
        }
        Ok((report, unmapped))
    }

    fn refused_unmapped(
        &self,
        unmapped: &casebook_engine::foreign::translate::Unmapped,
        page: &Page,
    ) -> Result<Failure, Failure> {
        let count = count_of(unmapped.len(), "activity", "activities");
        if !page.is_json() {
            let mut stderr = page.stderr();
            for (activity, events) in unmapped {
                let events = count_of(*events, "event", "events");
                stderr.item(0, &bad("not mapped:"), &format!("{}, {events}", activity_words(activity)))?;
            }
            stderr.flush()?;
        }
        let listed: Vec<String> = unmapped.keys().map(activity_words).collect();
        let what = if page.is_json() { format!(": {}", listed.join(", ")) } else { String::new() };
        let trouble = Trouble::new(format!("{}: the mapping does not name {count}{what}", self.name));
        let help = "map each under `activities`, list it under `ignore`, or write `unmapped: leave-out`; nothing was recorded";
        Ok(Failure::Input(trouble.at(self.args.map.display().to_string()).help(help)))
    }

    async fn record(
        &self,
        engine: &Engine,
        log: &mut LogFile,
        report: &mut LogReport,
        page: &mut Page,
    ) -> Result<Option<Failure>, Failure> {
        let wrong: HashSet<usize> = report.problems.iter().map(|problem| problem.trace).collect();
        let options = ImportOptions { declare_gaps: self.args.declare_gaps, dry_run: self.args.dry_run };
        let mut translator = Translator::new(self.mapping, self.definition);
        let mut first_failure = None;
        let mut traces = Traces::of(log)?;
        let progress = Progress::new(page, "importing", report.traces as u64);
        while let Some(trace) = traces.next()? {
            progress.reached(trace.number as u64, report.traces as u64);
            let Ok(case) = translator.translate(&trace) else { continue };
            if wrong.contains(&trace.number) {
                continue;
            }
            let lines = self.lines(&case)?;
            match Box::pin(import_case(engine, &lines, options)).await {
                Ok(imported) => {
                    tell_case(&imported, self.args.dry_run, page)?;
                    report.cases.push(imported);
                }
                Err(error) => {
                    let (failed, failure) = self.failed(&case, &lines, error, engine);
                    self.tell_failed(&failed, &failure, page)?;
                    report.failed.push(failed);
                    first_failure.get_or_insert(failure);
                    if !self.args.keep_going {
                        break;
                    }
                }
            }
        }
        progress.finish();
        Ok(first_failure)
    }

    /// The case as an event file has it: one line for each event.
    fn lines(&self, case: &TranslatedCase) -> Result<CaseLines, Failure> {
        let mut text = Vec::new();
        for event in case.events.iter().filter_map(|event| event.proposed.as_ref()) {
            let mut line =
                serde_json::to_value(event).map_err(|error| Failure::unexpected(error.to_string()))?;
            line["case"] = case.reference.clone().into();
            if event.event_type == engine_types::CASE_OPENED {
                line["workflow"] = self.definition.pin().into();
            }
            text.extend_from_slice(line.to_string().as_bytes());
            text.push(b'\n');
        }
        let mut file =
            jsonl::read_file(text.as_slice()).map_err(|error| Failure::unexpected(error.to_string()))?;
        if let Some(problem) = file.problems.first() {
            let (line, place) = place_of(case, problem.line);
            let trouble = Trouble { help: problem.help.clone(), ..Trouble::new(problem.problem.clone()) };
            let place = in_words(Some(case.trace), place);
            return Err(Failure::Input(trouble.at(format!("{}:{line}{place}", self.name))));
        }
        match file.cases.pop() {
            Some(lines) => Ok(lines),
            None => Err(Failure::unexpected("a trace gave no event")),
        }
    }

    fn failed(
        &self,
        case: &TranslatedCase,
        lines: &CaseLines,
        error: ImportError,
        engine: &Engine,
    ) -> (FailedTrace, Failure) {
        let (mut told, failure) = failed(self.name, lines, error, engine);
        let place = told.line.map(|line| place_of(case, line));
        told.line = place.map(|(line, _)| line);
        let event = place.and_then(|(_, event)| event);
        let failure = match failure {
            Failure::Input(trouble) => {
                let line = place.map_or(case.line, |(line, _)| line);
                Failure::Input(trouble.at(format!(
                    "{}:{line}{}",
                    self.name,
                    in_words(Some(case.trace), event)
                )))
            }
            other => other,
        };
        (FailedTrace { trace: case.trace, event, failed: told }, failure)
    }

    fn tell_failed(&self, failed: &FailedTrace, failure: &Failure, page: &mut Page) -> Result<(), Failure> {
        if page.is_json() {
            return Ok(());
        }
        page.flush()?;
        let mut stderr = page.stderr();
        let line = failed.failed.line.map(|line| format!(":{line}")).unwrap_or_default();
        let place =
            format!("  {} {}{line}{}", dim("at"), self.name, in_words(Some(failed.trace), failed.event));
        if let Failure::Refused(refused) = failure {
            stderr.line(place.trim_start())?;
            refusal::tell(refused, &mut stderr)?;
            stderr.gap()?;
        } else {
            stderr.item(
                0,
                &bad("error:"),
                &format!("case {}: {}", failed.failed.case, failed.failed.message),
            )?;
            stderr.line(&place)?;
            if let Some(help) = &failed.failed.help {
                stderr.item(2, "help:", help)?;
            }
        }
        stderr.flush()
    }

    fn tell_summary(&self, report: &LogReport, page: &mut Page) -> Result<(), Failure> {
        if page.is_json() {
            return Ok(());
        }
        let recorded: usize = report.cases.iter().map(|case| case.recorded).sum();
        let would = if self.args.dry_run { "would be " } else { "" };
        let mut text = format!(
            "{}: {}, {}; {} {would}recorded in {}",
            self.name,
            count_of(report.traces, "trace", "traces"),
            count_of(report.events, "event", "events"),
            count_of(recorded, "event", "events"),
            count_of(report.cases.len(), "case", "cases")
        );
        let concerned: BTreeSet<usize> = report.problems.iter().map(|problem| problem.trace).collect();
        let not = report.failed.len() + concerned.len();
        if not > 0 {
            text.push_str(&format!(", {} not", count_of(not, "case", "cases")));
        }
        if report.ignored > 0 {
            text.push_str(&format!(", {} ignored", count_of(report.ignored, "event", "events")));
        }
        page.paragraph(0, &format!("{text}."))
    }
}

/// The traces of a log one by one, for a caller that waits in between.
struct Traces<'l> {
    reader: casebook_engine::foreign::xes_reader::XesReader<'l>,
    name: String,
}

impl<'l> Traces<'l> {
    fn of(log: &'l mut LogFile) -> Result<Self, Failure> {
        let name = log.name.clone();
        let reader = log_file::reader(log.rewound()?, &name)?;
        Ok(Self { reader, name })
    }

    fn next(&mut self) -> Result<Option<Trace>, Failure> {
        self.reader.next_trace().map_err(|error| log_file::of_xes(error, &self.name))
    }
}

/// The line of the log, and the place in the trace, of a line made of the trace.
fn place_of(case: &TranslatedCase, line: usize) -> (usize, Option<usize>) {
    let event: Option<&TranslatedEvent> = line.checked_sub(1).and_then(|at| case.events.get(at));
    event.map_or((case.line, None), |event| (event.line, event.number))
}

/// The event that opens the case has to stand first.
fn not_opened_first(case: &TranslatedCase) -> Option<LogProblem> {
    let is_opening = |event: &TranslatedEvent| {
        event.proposed.as_ref().is_some_and(|event| event.event_type == engine_types::CASE_OPENED)
    };
    let opening = case.events.iter().position(is_opening).filter(|at| *at > 0)?;
    Some(LogProblem {
        line: case.events[opening].line,
        trace: case.trace,
        event: case.events[opening].number,
        case: Some(case.reference.clone()),
        problem: "the event that opens the case does not stand first in its trace".to_owned(),
        help: Some(
            "map the activity to another event type, or ignore it: a trace without an opening gets one"
                .to_owned(),
        ),
    })
}
