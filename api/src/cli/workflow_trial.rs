//! `casebook workflow trial`: what a draft would do to the cases that there are.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use casebook_engine::case::deadline::due_words;
use casebook_engine::case::occurred::Occurred;
use casebook_engine::definition::Definition;
use casebook_engine::engine::Engine;
use casebook_engine::trial::{
    self, Asked, CaseTrial, DeadlineAnswer, Outcome, TrialError, TrialSummary, TriedDeadline,
};
use clap::Args;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::page::{Page, Progress, bad, dim, good, strong, warn};
use super::reading::{Titles, change_words, count_of, unstopped};
use super::{definition, folder};

const EXAMPLES: &str = "Examples:
  casebook workflow trial ./police-conduct-2
  casebook workflow trial ./police-conduct-2 2020/146999 2021/000017
  casebook workflow trial ./police-conduct-2 --json > trial.jsonl      a line for each case that is not unchanged, then the summary

Exit code 9 if the draft would refuse something that happened in any of them.";

/// Cases that may wait to be told: what is found faster than it is written waits no further.
const WAITING_MAX: usize = 64;

/// Events, states and breaches of one case that are told, of each kind; JSON has them all.
const OF_A_CASE_MAX: usize = 8;

/// `casebook workflow trial`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TrialArgs {
    /// The draft: a file or a folder, or NAME or NAME@VERSION
    #[arg(value_name = "DRAFT")]
    draft: String,
    /// These cases only
    #[arg(value_name = "REF")]
    references: Vec<String>,
    /// Cases of this workflow, where it is not the draft's own
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// At most this many cases are told one by one; 0: all, kept in memory until the end
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// Runs the command.
pub(super) fn run(args: &TrialArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let draft = draft(&args.draft, &engine, globals, page)?;
    let asked = Asked {
        workflow: args.workflow.clone(),
        cases: args.references.iter().map(|reference| folder::key(reference)).collect(),
        at: None,
    };
    let mut told = Told { limit: args.limit, cases: Vec::new(), more: 0 };
    let summary = hear(engine, &draft, &asked, &mut told, page)?;
    if summary.cases == 0 {
        return Err(no_cases(&summary, asked.workflow.as_deref().unwrap_or(&draft.name), globals));
    }
    if page.is_json() {
        page.json_line(&serde_json::json!({ "summary": summary }))?;
    } else {
        tell_summary(&summary, page)?;
        told.cases.iter().try_for_each(|case| tell_case(case, &draft, page))?;
        if told.more > 0 {
            page.gap()?;
            let more = count_of(told.more, "more case is", "more cases are");
            page.line(&dim(&format!("{more} not told: --limit 0 tells all, --json streams them.")))?;
        }
    }
    if summary.refused == 0 { Ok(()) } else { Err(Failure::CheckFailed) }
}

/// What is kept of the cases for the page.
struct Told {
    limit: usize,
    cases: Vec<CaseTrial>,
    more: usize,
}

/// Runs the trial on a thread of its own, and takes what it finds as it comes.
fn hear(
    engine: Engine,
    draft: &Arc<Definition>,
    asked: &Asked,
    told: &mut Told,
    page: &mut Page,
) -> Result<TrialSummary, Failure> {
    let progress = Progress::new(page, "trying", 0);
    let (sender, receiver) = sync_channel::<CaseTrial>(WAITING_MAX);
    let answer = std::thread::scope(|scope| {
        let trying = scope.spawn(|| {
            let sender = sender;
            let mut tell = |case: CaseTrial| case.outcome == Outcome::Unchanged || sender.send(case).is_ok();
            trial::trial(&engine, draft, asked, &mut tell, &|at| progress.reached(at.done, at.total))
        });
        let mut written = Ok(());
        for case in receiver {
            if page.is_json() {
                written = page.json_line(&case);
                if written.is_err() {
                    break;
                }
            } else if told.limit == 0 || told.cases.len() < told.limit {
                told.cases.push(case);
            } else {
                told.more.add_assign(1);
            }
        }
        let summary = match trying.join() {
            Ok(summary) => summary,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        written.map(|()| summary)
    })?;
    progress.finish();
    answer.map_err(|error| match error {
        TrialError::NoSuchCase { reference } => Failure::NotFound(
            Trouble::new(format!("there is no case {reference}"))
                .help("`casebook cases` lists those that there are"),
        ),
        TrialError::Read(error) => error.into(),
        error => Failure::unexpected(error.to_string()),
    })
}

/// The draft: at a path, of the store, or shipped.
fn draft(
    name: &str,
    engine: &Engine,
    globals: &Globals,
    page: &mut Page,
) -> Result<Arc<Definition>, Failure> {
    if !definition::is_path(name)
        && let Some(found) = definition::newest(engine.definitions(), name)
    {
        return Ok(found);
    }
    definition::named(name, &globals.workflow_dir, page)
}

fn no_cases(summary: &TrialSummary, workflow: &str, globals: &Globals) -> Failure {
    let data = globals.data.display();
    if summary.others.is_empty() {
        let trouble = Trouble::new(format!("there are no cases in {data}"));
        return Failure::NotFound(trouble.help("`casebook open` or `casebook import` brings some"));
    }
    Failure::NotFound(Trouble::new(format!("no case in {data} is of the workflow {workflow}")).help(format!(
        "there are cases of {}: --workflow NAME tries the draft on them",
        summary.others.join(", ")
    )))
}

fn tell_summary(summary: &TrialSummary, page: &mut Page) -> Result<(), Failure> {
    let head = ["", "cases"];
    let row = |name: &str, count: u64| vec![name.to_owned(), count.to_string()];
    let rows = vec![
        row("looked at", summary.cases),
        row("unchanged", summary.unchanged),
        row("changed", summary.changed),
        row("refused", summary.refused),
        row("could adopt it", summary.could_adopt),
    ];
    page.line(&strong(&format!("Trial of {}: nothing was written", summary.draft)))?;
    page.table(&head, rows)?;
    let deadlines = &summary.deadlines;
    let changes = [
        ("newly missed", &deadlines.newly_missed),
        ("no longer missed", &deadlines.no_longer_missed),
        ("due on another day", &deadlines.due_on_another_day),
        ("day known in one only", &deadlines.day_known_in_one),
    ];
    let rows: Vec<Vec<String>> = changes
        .iter()
        .filter(|(_, of)| of.cases > 0)
        .map(|(what, of)| vec![(*what).to_owned(), of.cases.to_string(), of.examples.join(", ")])
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    page.gap()?;
    page.table(&["deadlines", "cases", "for example"], rows)
}

fn tell_case(case: &CaseTrial, draft: &Arc<Definition>, page: &mut Page) -> Result<(), Failure> {
    let titles = Titles::of(Some(Arc::clone(draft)));
    let outcome = match case.outcome {
        Outcome::Refused => bad("refused"),
        Outcome::Changed => warn("changed"),
        Outcome::Unchanged => good("unchanged"),
    };
    page.heading(&format!("{}, {} ({} events): {outcome}", case.case, case.workflow, case.version))?;
    let refused = case.refused.iter().map(|lost| {
        let reason = lost.reasons.first().map_or("", |reason| reason.message.as_str());
        format!("event {}, {}: {}", lost.version, titles.event(&lost.event_type), unstopped(reason))
    });
    tell_lines(&bad("would refuse"), refused, page)?;
    tell_lines(&bad("no place"), case.no_place.iter().cloned(), page)?;
    let accepted = case.accepted.iter().map(|event| {
        let against = event.against.first().map_or("", |reason| unstopped(reason));
        format!("event {}, {}, although now {against}", event.version, titles.event(&event.event_type))
    });
    tell_lines(&good("would accept"), accepted, page)?;
    let states = case.states.iter().map(|change| change_words(change, &titles));
    tell_lines("state", states, page)?;
    let breach = |breach: &trial::TriedBreach| {
        format!("event {}, {}: {}", breach.event, breach.rule, unstopped(&breach.message))
    };
    tell_lines(&warn("breach comes"), case.breaches_come.iter().map(breach), page)?;
    tell_lines("breach goes", case.breaches_go.iter().map(breach), page)?;
    let deadlines = case.deadlines.iter().map(deadline_words);
    tell_lines("deadline", deadlines, page)?;
    match &case.adoption.why_not {
        None if case.adoption.by_mapping => page.item(2, "adoption:", "would be accepted, its states mapped"),
        None => page.item(2, "adoption:", "would be accepted"),
        Some(why) => page.item(2, "adoption:", &format!("would be refused: {why}")),
    }
}

/// `first-report of P1: running, due on 1 May 2021; under the draft missed, due on 1 April 2021`.
fn deadline_words(deadline: &TriedDeadline) -> String {
    let said = |said: Option<DeadlineAnswer>| {
        let Some(DeadlineAnswer { answer, due }) = said else { return "none".to_owned() };
        let day = match (due.earliest, due.latest, due.not_before) {
            (None, None, Some(open)) => format!(", from {} on", Occurred::on(open).words()),
            (None, None, None) => String::new(),
            (earliest, latest, _) => format!(", due {}", due_words(earliest, latest)),
        };
        format!("{}{day}", answer.name())
    };
    let whose = deadline.entity.as_ref().map_or_else(String::new, |entity| format!(" of {entity}"));
    let round = if deadline.round > 1 { format!(", round {}", deadline.round) } else { String::new() };
    format!(
        "{}{whose}{round}: {}; under the draft {}",
        deadline.deadline,
        said(deadline.before),
        said(deadline.after)
    )
}

fn tell_lines(
    what: &str,
    lines: impl ExactSizeIterator<Item = String>,
    page: &mut Page,
) -> Result<(), Failure> {
    let more = lines.len().saturating_sub(OF_A_CASE_MAX);
    for line in lines.take(OF_A_CASE_MAX) {
        page.item(2, &format!("{what}:"), &line)?;
    }
    if more > 0 {
        page.line(&dim(&format!("    and {more} more; --json has them all")))?;
    }
    Ok(())
}
