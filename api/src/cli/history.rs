//! `casebook history`: the events of a case, with what later became of them.

use casebook_engine::case::event::{Version, engine_types};
use casebook_engine::case::reading::HistoryEntry;
use casebook_engine::engine::HistoryOrder;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Globals;
use super::answer::Failure;
use super::page::{Page, bad, dim, good, strong, warn};
use super::point::{self, CutArgs};
use super::reading::{self, Titles};
use super::status::changed_words;
use super::{date, folder};
use crate::narrative::{alternatives_words, as_it_happened, is_note};
pub(super) use crate::narrative::{missing_types, payload_words};

const EXAMPLES: &str = "Examples:
  casebook history 2020/146999
  casebook history 2020/146999 --order timeline       in the order in which things happened
  casebook history 2020/146999 --json | jq .event.type";

/// `casebook history`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HistoryArgs {
    /// The case's reference
    #[arg(value_name = "REF")]
    reference: String,
    /// In which order
    #[arg(long, value_enum, default_value_t = OrderArg::Recorded, value_name = "ORDER")]
    order: OrderArg,
    #[command(flatten)]
    cut: CutArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OrderArg {
    /// As it was recorded
    Recorded,
    /// As it happened
    Timeline,
}

/// Runs the command.
pub(super) async fn run(args: HistoryArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let order = match args.order {
        OrderArg::Recorded => HistoryOrder::Recorded,
        OrderArg::Timeline => HistoryOrder::Timeline,
    };
    let case = folder::key(&args.reference);
    let cut = args.cut.cut();
    point::check_reached(&engine, &case, "--known-at", cut.version).await?;
    let mut history = engine.history(&case, cut, order).await?;
    if order == HistoryOrder::Timeline {
        history = as_it_happened(history);
    }
    if page.is_json() {
        for entry in &history {
            page.json_line(entry)?;
        }
        return Ok(());
    }
    let pin = history.last().map(|entry| entry.event.definition.clone()).unwrap_or_default();
    let titles = Titles::of(folder::pinned(&engine, &pin));
    let cut = args.cut.words().map(|cut| format!(", {cut}")).unwrap_or_default();
    let order = if args.order == OrderArg::Timeline { "as it happened" } else { "as it was recorded" };
    let events = reading::count_of(history.len(), "event", "events");
    page.paragraph(
        0,
        &format!(
            "{} {}",
            strong(&format!("Case {}:", args.reference)),
            dim(&format!("{events}, {order}{cut}"))
        ),
    )?;
    for entry in &history {
        tell_entry(entry, &history, &titles, page)?;
    }
    Ok(())
}

/// Tells one event: what, when, by whom, and what became of it.
pub(super) fn tell_entry(
    entry: &HistoryEntry,
    history: &[HistoryEntry],
    titles: &Titles,
    page: &mut Page,
) -> Result<(), Failure> {
    let said = &entry.event.proposed;
    page.gap()?;
    let title = head_words(entry, titles);
    page.item(0, &format!("{:>3}", entry.event.version.to_string()), &title)?;
    page.paragraph(4, &dim(&provenance(entry)))?;
    let words = payload_words(said, history);
    if !words.is_empty() {
        page.paragraph(4, &words)?;
    }
    if let Some(rationale) = &said.rationale {
        page.item(4, "why:", rationale)?;
    }
    tell_marks(entry, page)
}

/// The event in one line: `Sentence passed, charge C1, 4 October 2023`.
pub(super) fn head_words(entry: &HistoryEntry, titles: &Titles) -> String {
    let said = &entry.event.proposed;
    let title = if entry.title.is_empty() { titles.event(&said.event_type) } else { entry.title.clone() };
    let title = match said.event_type.as_str() {
        _ if entry.annulled_by.is_some() => format!("{} {}", bad("annulled:"), dim(&title)),
        engine_types::GAP_DECLARED => warn(&format!("Gap: {}", alternatives_words(said, titles))),
        engine_types::BREACH_NOTED => warn(&title),
        _ => strong(&title),
    };
    let scope = reading::scope_words(&said.scope);
    let about = if scope.is_empty() { scope } else { format!(", {scope}") };
    let when = if is_note(said) { String::new() } else { format!(", {}", date::in_words(&entry.occurred)) };
    format!("{title}{about}{when}")
}

fn provenance(entry: &HistoryEntry) -> String {
    let event = &entry.event;
    let said = &event.proposed;
    let mut words = format!(
        "recorded {} by {} ({})",
        event.recorded_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        said.recorded_by.id,
        said.recorded_by.role
    );
    if let Some(decider) = &said.decided_by {
        words.push_str(&format!(", decided by {}", decider.body.replace('-', " ")));
    }
    if let Some(reference) = said.source.as_ref().and_then(|source| source.reference.as_ref()) {
        words.push_str(&format!(", source {reference}"));
    }
    if let Ok(Value::String(asserted)) = serde_json::to_value(said.asserted)
        && asserted != "stated"
    {
        words.push_str(&format!(", {}", asserted.replace('-', " ")));
    }
    words
}

fn tell_marks(entry: &HistoryEntry, page: &mut Page) -> Result<(), Failure> {
    if let Some(by) = entry.annulled_by {
        page.item(4, &bad("annulled"), &format!("by event {by}"))?;
    }
    if !entry.corrected_by.is_empty() {
        let by: Vec<String> = entry.corrected_by.iter().map(Version::to_string).collect();
        let now = entry.reads_now.as_ref().map(|now| changed_words(&entry.event.proposed.data, now));
        let now = now.filter(|now| !now.is_empty()).map(|now| format!("; {now}")).unwrap_or_default();
        page.item(4, &good("corrected"), &format!("by event {}{now}", by.join(" and ")))?;
    }
    if let Some(given) = &entry.event.proposed.override_given {
        page.item(
            4,
            &bad("against a rule"),
            &format!("on the authority of {}: {}", given.authority, given.reason),
        )?;
    }
    if entry.uncertain {
        page.item(4, &warn("uncertain"), "the dates leave open whether it had happened by then")?;
    }
    if entry.late {
        page.item(4, &warn("late"), "recorded after events that happened later")?;
    }
    Ok(())
}
