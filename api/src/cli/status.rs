//! `casebook status`: where a case stands, stood, or was thought to stand.

use casebook_engine::case::deadline::Answer;
use casebook_engine::case::event::Payload;
use casebook_engine::case::reading::{EntityReading, StatusReading, StrandReading};
use clap::Args;

use super::Globals;
use super::answer::Failure;
use super::page::{Page, bad, dim, strong};
use super::point::{self, CutArgs};
use super::reading::{self, Titles};
use super::{date, deadlines, folder};
pub(super) use crate::words::fields_words;
use crate::words::value_words;

const EXAMPLES: &str = "Examples:
  casebook status 2020/146999
  casebook status 2020/146999 --at 2022-06-30            where it stood in the world, as we know it now
  casebook status 2020/146999 --known-at 2022-06-30      what the record said by the end of that day (UTC)
  casebook status 2020/146999 --known-at 12              what the record said after version 12";

/// `casebook status`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatusArgs {
    /// The case's reference
    #[arg(value_name = "REF")]
    reference: String,
    #[command(flatten)]
    cut: CutArgs,
}

/// Runs the command.
pub(super) async fn run(args: StatusArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let case = folder::key(&args.reference);
    let cut = args.cut.cut();
    point::check_reached(&engine, &case, "--known-at", cut.version).await?;
    let status = engine.status(&case, cut).await?;
    if page.is_json() {
        return page.json(&status);
    }
    let titles = Titles::of(folder::pinned(&engine, &status.workflow));
    tell(&status, args.cut.words().as_deref(), &titles, page)
}

/// Tells a status.
pub(super) fn tell(
    status: &StatusReading,
    cut: Option<&str>,
    titles: &Titles,
    page: &mut Page,
) -> Result<(), Failure> {
    tell_head(status, cut, page)?;
    tell_inconsistency(status, titles, page)?;
    tell_strands(status, titles, page)?;
    tell_entities(&status.entities, page)?;
    let (open, over): (Vec<_>, Vec<_>) = status
        .deadlines
        .iter()
        .cloned()
        .partition(|deadline| deadline.met_by.is_none() && deadline.answer != Answer::Void);
    if !open.is_empty() {
        page.heading("Deadlines")?;
        deadlines::tell(&open, page)?;
    }
    if !over.is_empty() {
        page.gap()?;
        let words = reading::count_of(over.len(), "deadline is", "deadlines are");
        page.line(&dim(&format!("{words} over: `casebook deadlines {}` shows them too.", status.reference)))?;
    }
    if !status.breaches.is_empty() {
        page.heading("Breaches: the law required something else, and it happened all the same")?;
        reading::tell_breaches(&status.breaches, 2, page)?;
    }
    if !status.gaps.is_empty() {
        page.heading("Gaps: steps that happened, and of which nobody has the details")?;
        reading::tell_gaps(&status.gaps, 2, titles, page)?;
    }
    if !status.overrides.is_empty() {
        page.heading("Recorded against a rule")?;
        reading::tell_mentions(&status.overrides, &status.gaps, 2, titles, page)?;
    }
    if !status.uncertain.is_empty() {
        page.heading("Counted here, though the dates leave open whether it had happened by then")?;
        reading::tell_mentions(&status.uncertain, &status.gaps, 2, titles, page)?;
    }
    Ok(())
}

fn tell_head(status: &StatusReading, cut: Option<&str>, page: &mut Page) -> Result<(), Failure> {
    let title = status.title.as_ref().map(|title| format!(": {title}")).unwrap_or_default();
    page.paragraph(0, &format!("{}{title}", strong(&format!("Case {}", status.reference))))?;
    let which = cut.map(|cut| format!(", {cut}")).unwrap_or_default();
    page.paragraph(0, &dim(&format!("{}, version {}{which}", status.workflow, status.version)))
}

fn tell_inconsistency(status: &StatusReading, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    if status.consistent {
        return Ok(());
    }
    page.gap()?;
    page.item(0, &bad("Inconsistent:"), "a correction was accepted that took the ground from these events:")?;
    reading::tell_mentions(&status.inconsistent, &status.gaps, 2, titles, page)
}

fn tell_strands(status: &StatusReading, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    page.heading("Where it stands")?;
    let owners = std::iter::once(None).chain(status.entities.iter().map(|entity| Some(entity.id.as_str())));
    let mut rows = Vec::new();
    for owner in owners {
        let strands = status.strands.iter().filter(|strand| strand.entity.as_deref() == owner);
        let strands =
            strands.filter(|strand| strand.state.is_some()).map(|strand| row(strand, status, titles));
        let derived = status.derived.iter().filter(|derived| derived.entity.as_deref() == owner);
        let derived = derived.filter(|derived| derived.state.is_some()).map(|derived| {
            [titles.strand(&derived.strand), derived.title.clone(), "(worked out from the others)".to_owned()]
        });
        for (index, [strand, state, since]) in strands.chain(derived).enumerate() {
            // A reader's eye wants the owner once, a program wants it in every row.
            let is_repeated = index > 0 && page.is_terminal();
            let owner = if is_repeated { String::new() } else { owner.unwrap_or("case").to_owned() };
            rows.push(vec![owner, strand, state, since]);
        }
    }
    if rows.is_empty() {
        return page.line("  Nothing has started.");
    }
    let has_marks = rows.iter().any(|row| row[2].contains(MAYBE));
    page.table(&["whose", "strand", "state", "since"], rows)?;
    if has_marks {
        page.line(&dim(&format!("{MAYBE} rests on an event that may have happened only after that day")))?;
    }
    let waiting = status.strands.iter().filter(|strand| strand.state.is_none()).count();
    if waiting > 0 {
        page.line(&dim(&format!(
            "{} not started.",
            reading::count_of(waiting, "strand has", "strands have")
        )))?;
    }
    Ok(())
}

/// Nothing more is expected.
const FINAL: &str = "■";

/// It may have been so.
pub(super) const MAYBE: &str = "(?)";

/// Whether a strand's state rests on an event that may have happened only after the day asked for.
pub(super) fn is_uncertain(strand: &StrandReading, status: &StatusReading) -> bool {
    strand
        .since
        .as_ref()
        .is_some_and(|since| status.uncertain.iter().any(|uncertain| uncertain.version == since.version))
}

fn row(strand: &StrandReading, status: &StatusReading, titles: &Titles) -> [String; 3] {
    let name = strand.state.as_deref().unwrap_or_default();
    let mut state =
        if strand.title.is_empty() { titles.state(&strand.strand, name) } else { strand.title.clone() };
    if strand.is_final {
        state = format!("{state} {FINAL}");
    }
    if is_uncertain(strand, status) {
        state = format!("{state} {MAYBE}");
    }
    for overlay in &strand.overlays {
        state = format!("{state}\n+ {}", overlay.replace('-', " "));
    }
    let since = strand.since.as_ref().map_or_else(String::new, |since| {
        format!("{} (event {})", date::in_words(&since.occurred), since.version)
    });
    [titles.strand(&strand.strand), state, since]
}

fn tell_entities(entities: &[EntityReading], page: &mut Page) -> Result<(), Failure> {
    if entities.is_empty() {
        return Ok(());
    }
    page.heading("Who and what it is about")?;
    let rows = entities.iter().map(|entity| {
        let parent = entity.parent.as_ref().map(|parent| format!(" of {parent}")).unwrap_or_default();
        vec![entity.id.clone(), format!("{}{parent}", entity.kind), fields_words(&entity.data)]
    });
    page.table(&["id", "kind", "known of it"], rows.collect())
}

/// Fields that read otherwise now, in one line: `term: P5M, now P6M`.
pub(super) fn changed_words(before: &Payload, now: &Payload) -> String {
    let changed = now.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let changed = changed.map(|(name, value)| match before.get(name) {
        Some(before) => format!(
            "{}: {}, now {}",
            name.replace('_', " "),
            value_words(before),
            strong(&value_words(value))
        ),
        None => format!("{}: now {}", name.replace('_', " "), strong(&value_words(value))),
    });
    changed.collect::<Vec<_>>().join("; ")
}
