//! `casebook diff`: what changed in a case between two points.

use casebook_engine::case::reading::DiffReading;
use casebook_engine::engine::Point;
use clap::Args;

use super::Globals;
use super::answer::Failure;
use super::page::{Page, strong};
use super::reading::{self, Titles};
use super::status::fields_words;
use super::{folder, point};

const EXAMPLES: &str =
    "A point is a version (12), a date (2023-08-01: as it stood in the world on that day), or an
instant (2023-08-01T09:00:00Z: as it was known then).

Examples:
  casebook diff 2020/146999 --from 20 --to 30
  casebook diff 2020/146999 --from 2022-06-30 --to 2023-08-01";

/// `casebook diff`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DiffArgs {
    /// The case's reference
    #[arg(value_name = "REF")]
    reference: String,
    /// From here
    #[arg(long, value_name = "POINT", value_parser = point::point)]
    from: Point,
    /// To here
    #[arg(long, value_name = "POINT", value_parser = point::point)]
    to: Point,
}

/// Runs the command.
pub(super) async fn run(args: DiffArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let case = folder::key(&args.reference);
    for (option, point) in [("--from", args.from), ("--to", args.to)] {
        if let Point::Version(version) = point {
            point::check_reached(&engine, &case, option, Some(version)).await?;
        }
    }
    let diff = engine.diff(&case, args.from, args.to).await?;
    if page.is_json() {
        return page.json(&diff);
    }
    let titles = Titles::of(folder::definition_of(&engine, &case).await?);
    page.line(&strong(&format!("Case {}: what changed", args.reference)))?;
    tell(&diff, &titles, page)
}

/// Tells a difference.
pub(super) fn tell(diff: &DiffReading, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    if diff.changed.is_empty() && diff.events.is_empty() {
        return page.line("Nothing.");
    }
    if !diff.changed.is_empty() {
        page.heading("States")?;
        reading::tell_changes(&diff.changed, 2, titles, page)?;
    }
    for (title, entities) in [("New", &diff.entities_added), ("No longer there", &diff.entities_removed)] {
        if !entities.is_empty() {
            page.heading(title)?;
            for entity in entities {
                let known = fields_words(&entity.data);
                let known = if known.is_empty() { known } else { format!(": {known}") };
                page.item(2, "•", &format!("{} {}{known}", entity.kind, entity.id))?;
            }
        }
    }
    if !diff.breaches_added.is_empty() || !diff.gaps_added.is_empty() {
        page.heading("Breaches and gaps")?;
        reading::tell_breaches(&diff.breaches_added, 2, page)?;
        reading::tell_gaps(&diff.gaps_added, 2, titles, page)?;
    }
    if !diff.events.is_empty() {
        page.heading("Events in one and not in the other")?;
        reading::tell_mentions(&diff.events, &diff.gaps_added, 2, titles, page)?;
    }
    Ok(())
}
