//! `casebook replay`: a case evolving, event by event.

use std::io::{self, BufRead, IsTerminal};

use casebook_engine::case::event::engine_types::CASE_OPENED;
use casebook_engine::case::reading::Cut;
use casebook_engine::engine::HistoryOrder;
use clap::Args;

use super::Globals;
use super::answer::Failure;
use super::folder;
use super::history::{head_words, payload_words};
use super::page::{Page, dim, strong};
use super::reading::{self, Titles};

const EXAMPLES: &str = "Examples:
  casebook replay 2020/146999
  casebook replay 2020/146999 --step        wait for Enter after each event";

/// `casebook replay`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReplayArgs {
    /// The case's reference
    #[arg(value_name = "REF")]
    reference: String,
    /// Wait for Enter after each event, on a terminal
    #[arg(long)]
    step: bool,
}

/// Runs the command.
pub(super) async fn run(args: ReplayArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let case = folder::key(&args.reference);
    let history = engine.history(&case, Cut::default(), HistoryOrder::Recorded).await?;
    if page.is_json() {
        for entry in &history {
            page.json_line(&serde_json::json!({
                "version": entry.event.version,
                "type": entry.event.proposed.event_type,
                "occurred": entry.occurred,
                "late": entry.late,
                "changed": entry.changed,
            }))?;
        }
        return Ok(());
    }
    let pin = history.last().map(|entry| entry.event.definition.clone()).unwrap_or_default();
    let titles = Titles::of(folder::pinned(&engine, &pin));
    let waits = args.step && page.is_terminal() && io::stdin().is_terminal();
    page.line(&strong(&format!("Case {}, event by event", args.reference)))?;
    for entry in &history {
        page.gap()?;
        page.item(0, &format!("{:>3}", entry.event.version.to_string()), &head_words(entry, &titles))?;
        let words = payload_words(&entry.event.proposed, &history);
        if !words.is_empty() {
            page.paragraph(4, &dim(&words))?;
        }
        if entry.late {
            page.paragraph(4, "Recorded late: the timeline puts it before events recorded earlier.")?;
        }
        if entry.changed.is_empty() && entry.event.proposed.event_type != CASE_OPENED {
            page.paragraph(4, &dim("no state changed"))?;
        }
        reading::tell_changes(&entry.changed, 4, &titles, page)?;
        if waits && !wait_for_enter(page)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Waits for Enter; false where the input has ended.
fn wait_for_enter(page: &mut Page) -> Result<bool, Failure> {
    page.line(&dim("    Enter: next event   Ctrl-D: stop"))?;
    page.flush()?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    Ok(read.is_ok_and(|length| length > 0))
}
