//! `casebook workflow test`: the scenarios beside a definition, played, and what of the definition they drive.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_engine::definition::driven::{Coverage, Drivable, Driven, Measure};
use casebook_engine::definition::rehearsal::{self, ScenarioOutcome};
use casebook_engine::definition::scenario::{self, Scenario};
use casebook_engine::definition::source::SourceFile;
use casebook_engine::workflows;
use clap::Args;

use super::answer::{Failure, Trouble};
use super::definition;
use super::page::{Page, Progress, bad, dim, good, strong};
use super::reading::count_of;

/// What to play.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  casebook workflow test police-conduct
  casebook workflow test ./my-workflow         its scenarios/*.txt
  casebook workflow test ./my-workflow --coverage
  casebook workflow test ./my-workflow --coverage --require 100")]
pub(super) struct TestArgs {
    /// NAME, NAME@VERSION, a file or a folder
    #[arg(value_name = "NAME|PATH")]
    name: String,
    /// Say which events, transitions, derived states and rules no scenario drives
    #[arg(long)]
    coverage: bool,
    /// Exit code 9 if less than this share of the transitions, of the rules met, or of the rules unmet is driven
    #[arg(long, value_name = "PERCENT", requires = "coverage", value_parser = clap::value_parser!(u8).range(0..=100))]
    require: Option<u8>,
}

/// Runs the command.
pub(super) fn run(args: &TestArgs, page: &mut Page) -> Result<(), Failure> {
    let name = &args.name;
    let sources = definition::sources(name)?;
    let definition = definition::compiled(&sources, name, page).map(Arc::new)?;
    let files = scenario_files(name)?;
    if files.is_empty() {
        return Err(Failure::NotFound(
            Trouble::new(format!("there are no scenarios beside {name}"))
                .help("they stand in scenarios/*.txt"),
        ));
    }
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut problems = Vec::new();
    for file in &files {
        match scenario::parse(file) {
            Ok(found) => scenarios.extend(found),
            Err(found) => problems.extend(found),
        }
    }
    let mut outcomes = Vec::with_capacity(scenarios.len());
    let mut driven = args.coverage.then(Driven::default);
    let progress = Progress::new(page, "scenarios", scenarios.len() as u64);
    for one in &scenarios {
        let outcome = match &mut driven {
            Some(driven) => rehearsal::run_driving(&definition, one, driven),
            None => rehearsal::run(&definition, one),
        };
        if !page.is_json() {
            tell_outcome(&outcome, page)?;
        }
        outcomes.push(outcome);
        progress.reached(outcomes.len() as u64, scenarios.len() as u64);
    }
    progress.finish();
    let coverage = driven.map(|driven| Coverage::of(&definition, &sources, &driven));
    let is_enough = match (&coverage, args.require) {
        (Some(coverage), Some(percent)) => coverage.reaches(usize::from(percent)),
        _ => true,
    };
    let failed = outcomes.iter().filter(|outcome| !outcome.holds()).count();
    let holds = failed == 0 && problems.is_empty() && is_enough;
    if page.is_json() {
        let mut answer = serde_json::json!({
            "ok": holds,
            "scenarios": outcomes.len(),
            "failed": failed,
            "outcomes": outcomes,
            "problems": problems,
        });
        if let Some(coverage) = &coverage {
            answer["coverage"] = serde_json::json!(coverage);
        }
        page.json(&answer)?;
    } else {
        definition::tell_problems(&problems, page)?;
        if let Some(coverage) = &coverage {
            tell_coverage(coverage, page)?;
        }
        if let Some(percent) = args.require.filter(|_| !is_enough) {
            page.line(&bad(&format!("Less than the {percent} % that is required is driven.")))?;
        }
        let summary = format!("{}, {failed} failed.", count_of(outcomes.len(), "scenario", "scenarios"));
        page.line(&if holds { good(&summary) } else { bad(&summary) })?;
    }
    if holds { Ok(()) } else { Err(Failure::CheckFailed) }
}

fn tell_coverage(coverage: &Coverage, page: &mut Page) -> Result<(), Failure> {
    page.gap()?;
    let row = |measure: &Measure| {
        vec![
            words(measure.what).to_owned(),
            measure.driven.to_string(),
            measure.of.to_string(),
            format!("{} %", measure.percent()),
        ]
    };
    page.table(
        &["driven by scenarios", "driven", "of", "share"],
        coverage.measures.iter().map(row).collect(),
    )?;
    let mut told = None;
    // Hundreds of lines in a real definition; whoever wants them asks for JSON.
    let listed = coverage.missing.iter().filter(|missing| missing.what != Drivable::TransitionFrom);
    for missing in listed {
        if told != Some(missing.what) {
            page.heading(&format!("No scenario drives these {}", words(missing.what)))?;
            told = Some(missing.what);
        }
        let place = dim(&format!("{}:{}", missing.file, missing.line));
        page.item(2, "•", &format!("{}  {place}", missing.name))?;
    }
    let unlisted = coverage.missing.iter().filter(|missing| missing.what == Drivable::TransitionFrom).count();
    if unlisted > 0 {
        let what = count_of(unlisted, "transition", "transitions");
        page.gap()?;
        page.paragraph(0, &dim(&format!("{what} from one state or another not driven: --json lists them.")))?;
    }
    page.gap()
}

const fn words(what: Drivable) -> &'static str {
    match what {
        Drivable::Event => "events",
        Drivable::Transition => "transitions",
        Drivable::TransitionFrom => "transitions, from each state",
        Drivable::DerivedState => "derived states",
        Drivable::RuleMet => "rules, met",
        Drivable::RuleUnmet => "rules, not met",
        Drivable::DeadlineStarted => "deadlines, started",
        Drivable::DeadlineMet => "deadlines, met",
        Drivable::DeadlineMissed => "deadlines, missed",
    }
}

/// The scenario files of a definition: shipped with it, or beside it.
fn scenario_files(name: &str) -> Result<Vec<SourceFile>, Failure> {
    let path = Path::new(name);
    if !definition::is_path(name) && !path.is_dir() {
        return Ok(workflows::scenarios(name).unwrap_or_default());
    }
    let beside =
        if path.is_dir() { path.to_owned() } else { path.parent().map(PathBuf::from).unwrap_or_default() };
    let folder = beside.join("scenarios");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.exists() => return Ok(Vec::new()),
        Err(error) => return Err(definition::unreadable(&folder, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| definition::unreadable(&folder, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let text =
                std::fs::read_to_string(&path).map_err(|error| definition::unreadable(&path, &error))?;
            files.push(SourceFile { name: path.display().to_string(), text });
        }
    }
    files.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(files)
}

fn tell_outcome(outcome: &ScenarioOutcome, page: &mut Page) -> Result<(), Failure> {
    if outcome.holds() {
        return page.item(0, &good("✓"), &outcome.scenario);
    }
    page.item(0, &bad("✗"), &strong(&outcome.scenario))?;
    for failure in &outcome.failures {
        page.item(2, "expected:", &failure.expected)?;
        page.item(2, "found:   ", &failure.found)?;
        page.line(&dim(&format!("  at {}:{}", outcome.file, failure.line)))?;
    }
    Ok(())
}
