//! `casebook deadlines`: what is due when, of one case or of all.

use casebook_engine::case::deadline::{Answer, due_words};
use casebook_engine::case::deadline_reading::{
    DeadlineReading, DueReading, answer_word, falls_due, may_be_late,
};
use casebook_engine::case::occurred::Day;
use casebook_engine::case::reading::Cut;
use casebook_engine::engine::{Engine, RecordOptions};
use casebook_engine::projection::deadlines::{CaseDeadline, DeadlineFilter, WITHIN_DAYS_MAX};
use clap::Args;

use super::Globals;
use super::answer::Failure;
use super::page::{Page, dim};
use super::point::{self, CutArgs};
use super::reading::count_of;
use super::{folder, record};

const EXAMPLES: &str = "Examples:
  casebook deadlines                                what is open in all cases, soonest first
  casebook deadlines --overdue
  casebook deadlines --within 14
  casebook deadlines 2020/146999                    one case, with what was met and what fell away
  casebook deadlines 2020/146999 --at 2022-06-30    as they stood on that day
  casebook deadlines --note-missed --as clerk-1:caseworker";

/// How many are listed where no other number is given.
const LIMIT: usize = 100;

/// `casebook deadlines`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DeadlinesArgs {
    /// Of this case alone; otherwise of all cases, and only what is still open
    #[arg(value_name = "REF")]
    reference: Option<String>,
    /// Only what is missed, or may be: where dates are vague, what is not certain is shown as indeterminate
    #[arg(long)]
    overdue: bool,
    /// Only what falls due within so many days, today included, by the earliest day on which it can be due
    #[arg(long, value_name = "DAYS", conflicts_with = "overdue", allow_negative_numbers = true, value_parser = within)]
    within: Option<u32>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = LIMIT, value_parser = limit)]
    limit: usize,
    /// Record what has become certain: a breach for each deadline that was missed silently, or the event that the
    /// definition names; never twice
    #[arg(long, conflicts_with_all = ["overdue", "within", "limit", "known_at", "at"])]
    note_missed: bool,
    /// With --note-missed: only say what would be recorded
    #[arg(long, requires = "note_missed")]
    dry_run: bool,
    #[command(flatten)]
    cut: CutArgs,
}

/// Runs the command.
pub(super) async fn run(args: DeadlinesArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let cut = args.cut.cut();
    if args.reference.is_none() && (cut.known_at.is_some() || cut.version.is_some() || cut.at.is_some()) {
        return Err(Failure::input(
            "--at and --known-at are about one case, and none is named",
            "write the case's reference: casebook deadlines 2020/146999 --at 2022-06-30",
        ));
    }
    let engine = folder::existing(globals, page)?;
    if args.note_missed {
        return note_missed(&engine, &args, globals, page).await;
    }
    match &args.reference {
        Some(reference) => of_case(&engine, reference, &args, page).await,
        None => of_all(&engine, &args, page).await,
    }
}

async fn of_case(
    engine: &Engine,
    reference: &str,
    args: &DeadlinesArgs,
    page: &mut Page,
) -> Result<(), Failure> {
    let case = folder::key(reference);
    point::check_reached(engine, &case, "--known-at", args.cut.cut().version).await?;
    let cut = args.cut.cut();
    let mut told = match args.within {
        Some(days) if cut == Cut::default() => engine.falling_due(&case, days).await?,
        _ => engine.status(&case, cut).await?.deadlines,
    };
    told.retain(|deadline| is_wanted(deadline, args));
    let due = |told: &DeadlineReading| told.due.earliest.or(told.due.latest);
    told.sort_by_key(|told| (due(told).is_none(), due(told)));
    let has_more = told.len() > args.limit;
    told.truncate(args.limit);
    if page.is_json() {
        for deadline in &told {
            page.json_line(deadline)?;
        }
        return Ok(());
    }
    if let Some(words) = args.cut.words() {
        page.line(&dim(&format!("Case {reference}, {words}")))?;
    }
    if told.is_empty() {
        return page.line("No deadlines.");
    }
    tell(&told, page)?;
    if has_more { tell_more(args, page) } else { Ok(()) }
}

/// How to see the rest.
fn tell_more(args: &DeadlinesArgs, page: &mut Page) -> Result<(), Failure> {
    let mut words = vec!["casebook deadlines".to_owned()];
    words.extend(args.reference.clone());
    words.extend(args.overdue.then(|| "--overdue".to_owned()));
    words.extend(args.within.map(|days| format!("--within {days}")));
    words.push(format!("--limit {}", args.limit.saturating_mul(10)));
    page.line(&dim(&format!("More: {}", words.join(" "))))
}

/// As the list over all cases chooses: what is met, or has fallen away, is nobody's to do any more.
fn is_wanted(deadline: &DeadlineReading, args: &DeadlinesArgs) -> bool {
    let is_unmet = deadline.met_by.is_none() && deadline.void_by.is_none();
    match args.within {
        _ if args.overdue => {
            is_unmet && may_be_late(deadline.answer, deadline.due, deadline.begins, deadline.on)
        }
        Some(days) => is_unmet && falls_due(deadline.due, deadline.on, days),
        None => true,
    }
}

/// Tells the deadlines of one case.
pub(super) fn tell(deadlines: &[DeadlineReading], page: &mut Page) -> Result<(), Failure> {
    let rows = deadlines.iter().map(|deadline| {
        let whose = deadline.entity.clone().unwrap_or_else(|| "case".to_owned());
        let mut notes = Vec::new();
        notes.extend(deadline.met_by.as_ref().map(|met| match met.occurred.as_str() {
            "unknown" => format!("event {}, date unknown", met.version),
            occurred => format!("event {} of {occurred}", met.version),
        }));
        notes.extend(deadline.void_by.as_ref().map(|void| format!("fell away with event {}", void.version)));
        notes.extend(deadline.why.clone());
        if !deadline.adjusted_by.is_empty() {
            let events: Vec<String> = deadline.adjusted_by.iter().map(ToString::to_string).collect();
            notes.push(format!("adjusted by event {}", events.join(", ")));
        }
        notes.extend(left_words(deadline.answer, deadline.due, deadline.days_left));
        vec![
            due_cell(&deadline.due),
            whose,
            deadline.title.clone(),
            answer_word(deadline.answer, deadline.ran_out).to_owned(),
            notes.join("; "),
        ]
    });
    page.table(&["due", "whose", "deadline", "answer", "note"], rows.collect())
}

async fn of_all(engine: &Engine, args: &DeadlinesArgs, page: &mut Page) -> Result<(), Failure> {
    // One more tells whether there are more.
    let filter =
        DeadlineFilter { overdue: args.overdue, within: args.within, limit: args.limit.saturating_add(1) };
    let mut found = engine.deadlines(filter).await?;
    let has_more = found.len() > args.limit;
    found.truncate(args.limit);
    if page.is_json() {
        for deadline in &found {
            page.json_line(deadline)?;
        }
        return Ok(());
    }
    if found.is_empty() {
        return page.line("No deadlines.");
    }
    page.table(&["due", "case", "whose", "deadline", "answer", "note"], found.iter().map(row).collect())?;
    if has_more {
        tell_more(args, page)?;
    }
    Ok(())
}

fn row(deadline: &CaseDeadline) -> Vec<String> {
    let note = deadline.why.clone().or_else(|| left_words(deadline.answer, deadline.due, deadline.days_left));
    vec![
        due_cell(&deadline.due),
        deadline.reference.clone(),
        deadline.entity.clone().unwrap_or_else(|| "case".to_owned()),
        deadline.title.clone(),
        answer_word(deadline.answer, deadline.ran_out).to_owned(),
        note.unwrap_or_default(),
    ]
}

fn due_cell(due: &DueReading) -> String {
    let day = |day: Option<Day>| day.map_or("…".to_owned(), |day| day.to_string());
    match (due.not_before, due.earliest == due.latest) {
        _ if due.earliest.is_none() && due.latest.is_none() => match due.not_before {
            Some(open) => format!("from {open}"),
            None => "not known".to_owned(),
        },
        (Some(open), true) => format!("{open} to {}", day(due.latest)),
        (None, true) => day(due.latest),
        (_, false) => due_words(due.earliest, due.latest),
    }
}

fn left_words(answer: Answer, due: DueReading, days_left: Option<i32>) -> Option<String> {
    let days =
        |days: i32| count_of(usize::try_from(days.unsigned_abs()).unwrap_or(usize::MAX), "day", "days");
    match (answer, days_left?) {
        (Answer::Running, left) if due.earliest != due.latest => {
            Some(format!("in {} at the latest", days(left)))
        }
        (Answer::Running, 0) => Some("today".to_owned()),
        (Answer::Running, left) if left > 0 => Some(format!("in {}", days(left))),
        (Answer::Missed, left) if left < 0 => Some(format!("{} ago", days(left))),
        _ => None,
    }
}

async fn note_missed(
    engine: &Engine,
    args: &DeadlinesArgs,
    globals: &Globals,
    page: &mut Page,
) -> Result<(), Failure> {
    let by = folder::acting(globals)?;
    let references = match &args.reference {
        Some(reference) => vec![reference.clone()],
        None => engine.cases_to_note().await?.into_iter().collect(),
    };
    let mut noted = 0;
    for reference in references {
        let case = folder::key(&reference);
        let definition = folder::definition_of(engine, &case).await?;
        let options = RecordOptions { dry_run: args.dry_run, ..RecordOptions::default() };
        let told = engine
            .note_missed(&case, by.clone(), options)
            .await
            .map_err(|error| Failure::of_record(error, &reference, definition.clone()))?;
        if let Some(recorded) = told {
            noted += 1;
            if page.is_json() {
                page.json_line(&recorded)?;
            } else {
                record::tell(&recorded, &reference, definition, page)?;
            }
        }
    }
    if noted == 0 && !page.is_json() {
        return page.line("Nothing to record: what was missed is noted, or its definition records nothing.");
    }
    Ok(())
}

fn within(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(days) if days <= WITHIN_DAYS_MAX => Ok(days),
        Ok(_) => Err(format!("a list reaches ten years ahead; write at most {WITHIN_DAYS_MAX}")),
        Err(_) => {
            Err(format!("`{text}` is no number of days; write for example 14, or 0 for what is due today"))
        }
    }
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a list of 0 deadlines says nothing; write 1 or more".to_owned()),
        Ok(limit) => Ok(limit),
        Err(_) => Err(format!("`{text}` is no number of deadlines; write for example 20")),
    }
}
