//! `casebook workflow discover`: a definition drafted from a log, and the mapping that goes with it.

use std::path::{Path, PathBuf};

use casebook_engine::definition::source::SourceFile;
use casebook_engine::foreign::conformance::ConformanceReport;
use casebook_engine::foreign::discover::{Discovery, Draft, DraftOptions};
use casebook_engine::foreign::mapping_file::read_mapping;
use casebook_engine::foreign::xes_reader::in_words;
use clap::Args;

use super::answer::{Failure, Trouble};
use super::conformance::{judged, share};
use super::definition::compiled;
use super::log_file::LogFile;
use super::output_file::write_file;
use super::page::Page;
use super::reading::count_of;

const EXAMPLES: &str = "The draft has one strand, whose states say what was done last. By it the log replays without a deviation; with --min-share
rare steps are left out, and what that costs is said. Next: `casebook workflow check`, `casebook conformance`,
`casebook import xes`. docs/foreign-logs.md goes through all of it.

Examples:
  casebook workflow discover log.xes -o draft.yaml --map-out map.yaml
  casebook workflow discover log.xes.gz --name lost-property --min-share 0.05 -o draft.yaml";

/// What to draft.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DiscoverArgs {
    /// The log in XES, plain or packed with gzip; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The workflow's name; left out: made of the file's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Leave out steps that are a smaller share than this of what follows an activity, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = a_share)]
    min_share: f64,
    /// Write the definition to this file; left out: standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the mapping of the log onto it to this file
    #[arg(long, value_name = "FILE")]
    map_out: Option<PathBuf>,
}

fn a_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "write a share such as 0.05".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share lies between 0 and 1".to_owned()) }
}

/// Runs the command.
pub(super) fn run(args: &DiscoverArgs, page: &mut Page) -> Result<(), Failure> {
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.file));
    let mut log = LogFile::open(&args.file)?;
    let mut discovery = Discovery::default();
    let file = log.name.clone();
    log.each_trace(&mut |trace| {
        discovery.take(&trace).map_err(|problem| {
            let trouble = Trouble { help: problem.help, ..Trouble::new(problem.problem) };
            Failure::Input(trouble.at(format!(
                "{file}:{}{}",
                problem.line,
                in_words(Some(problem.trace), problem.event)
            )))
        })
    })?;
    let source =
        args.file.file_name().map_or_else(|| file.clone(), |name| name.to_string_lossy().into_owned());
    let options = DraftOptions { name, source, min_share: args.min_share };
    let Some(draft) = discovery.draft(&options) else {
        return Err(Failure::input(format!("{file} holds no event"), "nothing can be drafted of it"));
    };
    let fits = replayed(&draft, &mut log, page)?;
    if let Some(path) = &args.output {
        write_file(path, draft.definition.as_bytes())?;
    }
    if let Some(path) = &args.map_out {
        write_file(path, draft.mapping.as_bytes())?;
    }
    tell(&draft, &fits, args, page)
}

/// The log, replayed by what was drafted from it.
fn replayed(draft: &Draft, log: &mut LogFile, page: &mut Page) -> Result<ConformanceReport, Failure> {
    let file = SourceFile { name: "the draft".to_owned(), text: draft.definition.clone() };
    let definition = compiled(&[file], "the draft", page)?;
    let file = SourceFile { name: "the mapping".to_owned(), text: draft.mapping.clone() };
    let mapping = read_mapping(&file, &definition).map_err(|problems| {
        Failure::unexpected(problems.first().map(|problem| problem.message.clone()).unwrap_or_default())
    })?;
    judged(log, &definition, &mapping, true, page).map(|(report, _)| report)
}

fn tell(
    draft: &Draft,
    fits: &ConformanceReport,
    args: &DiscoverArgs,
    page: &mut Page,
) -> Result<(), Failure> {
    if page.is_json() {
        return page.json(&serde_json::json!({
            "definition": draft.definition,
            "mapping": draft.mapping,
            "traces": draft.traces,
            "events": draft.events,
            "variants": fits.variants.len(),
            "event_types": draft.event_types,
            "left_out": { "steps": draft.left_out.0, "times": draft.left_out.1 },
            "fitness": fits.fitness,
            "fitting": fits.fitting,
        }));
    }
    if args.output.is_none() {
        page.bytes(draft.definition.as_bytes())?;
        page.flush()?;
    }
    let mut about = format!(
        "{}, {}, {}: {} drafted. By it the log replays with fitness {}, {} of {} traces without a deviation.",
        count_of(draft.traces, "trace", "traces"),
        count_of(draft.events, "event", "events"),
        count_of(fits.variants.len(), "variant", "variants"),
        count_of(draft.event_types, "event type", "event types"),
        share(fits.fitness),
        fits.fitting,
        fits.traces,
    );
    if draft.left_out.0 > 0 {
        let steps = count_of(draft.left_out.0, "kind of step", "kinds of steps");
        about.push_str(&format!(" Left out as rare: {steps}, which happened {} times.", draft.left_out.1));
    }
    let mut stderr = page.stderr();
    let written = if args.output.is_some() { &mut *page } else { &mut stderr };
    written.paragraph(0, &about)?;
    stderr.flush()
}

/// A workflow's name, made of a file's.
fn name_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let stem = name.trim_end_matches(".gz").trim_end_matches(".xes").to_owned();
    let words: Vec<&str> =
        stem.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let joined = words.join("-");
    match joined.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => joined,
        Some(_) => format!("log-{joined}"),
        None => "log".to_owned(),
    }
}
