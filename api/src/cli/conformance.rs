//! `casebook conformance`: a log of another system, compared with what a definition allows.

use std::io::BufReader;
use std::path::PathBuf;

use casebook_engine::definition::Definition;
use casebook_engine::exchange::jsonl;
use casebook_engine::foreign::conformance::{Conformance, ConformanceReport, TooLong, VariantReport};
use casebook_engine::foreign::deviation::DeviationKind;
use casebook_engine::foreign::mapping::Mapping;
use casebook_engine::foreign::translate::{
    LogProblem, TranslatedCase, TranslatedEvent, Translator, Unmapped,
};
use clap::Args;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::log_file::{self, LogFile, activity_words, tell_log_problems, unmapped_json};
use super::page::{Page, bad, dim, good, warn};
use super::reading::count_of;
use super::workflow;

const EXAMPLES: &str = "Each strand of each entity is compared by itself, and the deviations are summed: what happened and may not have, and what
should have happened and is not in the log. Traces that say the same are judged once. Rules are not asked here:
`casebook import xes --dry-run` asks them. docs/foreign-logs.md says more.

Without --map the activities of the log are event types, and its attributes are named as `casebook export xes` names them.

Examples:
  casebook conformance log.xes --workflow lost-property --map map.yaml
  casebook conformance log.xes --workflow ./draft.yaml --map map.yaml --complete
  casebook export xes -o cases.xes && casebook conformance cases.xes --workflow police-conduct";

/// Variants of which deviations are told in text, and deviations of each; JSON has all of them.
const VARIANTS_SHOWN_MAX: usize = 20;
const DEVIATIONS_SHOWN_MAX: usize = 20;

/// `casebook conformance`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ConformanceArgs {
    /// The log: XES, plain or packed with gzip, or an event file; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The definition: NAME, NAME@VERSION, or the file or folder of one of your own
    #[arg(long, value_name = "NAME|PATH")]
    workflow: String,
    /// The mapping of the log onto the definition
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// The cases are over: strands have to come to a final state
    #[arg(long)]
    complete: bool,
}

/// Runs the command.
pub(super) fn run(args: &ConformanceArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let mut log = LogFile::open(&args.file)?;
    let definition = workflow::find(&args.workflow, globals, page)?;
    let mapping = match &args.map {
        Some(path) => log_file::mapping(path, &definition, page)?,
        None => Mapping::by_name(&definition.timezone),
    };
    let (report, unmapped) = judged(&mut log, &definition, &mapping, args.complete, page)?;
    if page.is_json() {
        let mut answer = serde_json::to_value(&report).unwrap_or_default();
        answer["file"] = log.name.into();
        answer["workflow"] = definition.pin().into();
        answer["complete"] = args.complete.into();
        answer["unmapped"] = unmapped_json(&unmapped);
        page.json(&answer)?;
    } else {
        tell(&report, &unmapped, &mapping, &log.name, &definition, page)?;
    }
    if report.broke > 0 { Err(Failure::CheckFailed) } else { Ok(()) }
}

/// Judges a whole log.
pub(super) fn judged(
    log: &mut LogFile,
    definition: &Definition,
    mapping: &Mapping,
    to_an_end: bool,
    page: &Page,
) -> Result<(ConformanceReport, Unmapped), Failure> {
    let name = log.name.clone();
    let mut conformance = Conformance::new(definition, mapping, to_an_end);
    let too_long = |error: TooLong| {
        Failure::input(
            format!("{name}: {error}"),
            "compare the longest traces with a smaller definition, or cut them",
        )
    };
    let mut unmapped = Unmapped::new();
    if log.is_json_lines()? {
        for case in event_file(log)? {
            conformance.take(&case).map_err(too_long)?;
        }
    } else {
        let mut translator = Translator::new(mapping, definition);
        let mut problems: Vec<LogProblem> = Vec::new();
        log.each_trace(&mut |trace| {
            match translator.translate(&trace) {
                Ok(case) => conformance.take(&case).map_err(too_long)?,
                Err(found) => problems.extend(found),
            }
            Ok(())
        })?;
        unmapped = translator.unmapped;
        if let Some(first) = problems.first() {
            tell_log_problems(&name, &problems, page)?;
            let count = count_of(problems.len(), "problem", "problems");
            let message = format!("{name} has {count}, the first: {}", first.problem);
            return Err(Failure::input(message, "correct the log or the mapping; nothing was judged"));
        }
    }
    let report = conformance.finish();
    if report.traces == 0 {
        return Err(Failure::input(format!("{name} holds no trace"), "nothing was judged"));
    }
    Ok((report, unmapped))
}

/// The cases of an event file, as it is written: corrections and annulments are not applied.
fn event_file(log: &mut LogFile) -> Result<Vec<TranslatedCase>, Failure> {
    let name = log.name.clone();
    let wrong = |line: usize, problem: String, help: Option<String>| {
        Failure::Input(Trouble { help, ..Trouble::new(problem) }.at(format!("{name}:{line}")))
    };
    let file = jsonl::read_file(BufReader::new(log.rewound()?))
        .map_err(|error| wrong(1, error.to_string(), None))?;
    if let Some(problem) = file.problems.first() {
        return Err(wrong(problem.line, problem.problem.clone(), problem.help.clone()));
    }
    let mut cases = Vec::with_capacity(file.cases.len());
    for (index, lines) in file.cases.iter().enumerate() {
        let mut case = TranslatedCase {
            reference: lines.case.clone(),
            trace: index + 1,
            line: lines.lines.first().map_or(1, |(line, _)| *line),
            ..TranslatedCase::default()
        };
        for (number, (line, text)) in lines.lines.iter().enumerate() {
            let parsed = jsonl::parse_line(text, *line == 1)
                .map_err(|problem| wrong(*line, problem.problem.clone(), problem.help.clone()))?;
            let Some(parsed) = parsed else { continue };
            case.events.push(TranslatedEvent {
                line: *line,
                number: Some(number + 1),
                activity: parsed.event.event_type.clone(),
                proposed: Some(parsed.event),
            });
        }
        cases.push(case);
    }
    Ok(cases)
}

fn tell(
    report: &ConformanceReport,
    unmapped: &Unmapped,
    mapping: &Mapping,
    name: &str,
    definition: &Definition,
    page: &mut Page,
) -> Result<(), Failure> {
    let deviating: Vec<&VariantReport> =
        report.variants.iter().filter(|variant| !variant.deviations.is_empty()).collect();
    for variant in deviating.iter().take(VARIANTS_SHOWN_MAX) {
        tell_variant(variant, page)?;
    }
    if deviating.len() > VARIANTS_SHOWN_MAX {
        page.line(&format!(
            "and {} more variants with deviations: --json has them all",
            deviating.len() - VARIANTS_SHOWN_MAX
        ))?;
        page.gap()?;
    }
    let traces = count_of(report.traces, "trace", "traces");
    let variants = count_of(report.variants.len(), "variant", "variants");
    let summary = format!(
        "{name} against {}: fitness {}. {traces} in {variants}; {} without a deviation.",
        definition.pin(),
        share(report.fitness),
        report.fitting
    );
    page.line(&if report.broke == 0 { good(&summary) } else { bad(&summary) })?;
    page.line(&format!("  broke the order: {}", report.broke))?;
    page.line(&format!("  with authority: {}", report.with_authority))?;
    page.line(&format!("  cannot be known: {}", report.cannot_be_known))?;
    if report.backwards > 0 {
        let traces = count_of(report.backwards, "trace has", "traces have");
        page.paragraph(
            2,
            &warn(&format!("{traces} events whose dates run backwards; the order of the file counts.")),
        )?;
    }
    if !unmapped.is_empty() {
        let left: Vec<String> = unmapped
            .iter()
            .map(|(activity, events)| format!("{} ({events})", activity_words(activity)))
            .collect();
        let what = if mapping.leaves_out_unmapped { "left out" } else { "not in the definition" };
        page.paragraph(2, &format!("activities {what}: {}", left.join(", ")))?;
    }
    if !report.rules_not_asked.is_empty() {
        let rules = count_of(report.rules_not_asked.len(), "rule", "rules");
        page.paragraph(2, &dim(&format!("{rules} of these event types are asked only where events are recorded: casebook import xes --dry-run")))?;
    }
    Ok(())
}

fn tell_variant(variant: &VariantReport, page: &mut Page) -> Result<(), Failure> {
    let of = if variant.count > variant.cases.len() { ", …" } else { "" };
    page.paragraph(
        0,
        &format!(
            "Variant {}, {}, fitness {}: {}{of}",
            variant.variant,
            count_of(variant.count, "trace", "traces"),
            share(variant.fitness),
            variant.cases.join(", ")
        ),
    )?;
    for deviation in variant.deviations.iter().take(DEVIATIONS_SHOWN_MAX) {
        let mark = match (deviation.kind, &deviation.authority) {
            (DeviationKind::CannotBeKnown, _) => dim("not known:"),
            (_, Some(_)) => warn("authority:"),
            (DeviationKind::Missing, None) => bad("missing:"),
            (DeviationKind::NotAllowed | DeviationKind::UnknownActivity, None) => bad("not allowed:"),
        };
        let line = deviation.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        page.item(2, &mark, &format!("{}{line}", deviation.words))?;
    }
    if variant.deviations.len() > DEVIATIONS_SHOWN_MAX {
        page.line(&format!(
            "  and {} more: --json has them all",
            variant.deviations.len() - DEVIATIONS_SHOWN_MAX
        ))?;
    }
    page.gap()
}

/// Rounded down, so that only what fits whole is 1.
pub(super) fn share(fitness: f64) -> String {
    format!("{:.3}", (fitness * 1000.0).floor() / 1000.0)
}
