//! `casebook history`: the events of a case, with what later became of them.

use casebook_engine::case::event::{EventId, Payload, ProposedEvent, Version, engine_types};
use casebook_engine::case::reading::HistoryEntry;
use casebook_engine::engine::HistoryOrder;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Globals;
use super::answer::Failure;
use super::page::{Page, bad, dim, good, strong, warn};
use super::point::{self, CutArgs};
use super::reading::{self, Titles};
use super::status::{changed_words, fields_words};
use super::{date, folder};

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

/// Events in the order of the timeline, and what is no part of it where one looks for it: a note after the event that it
/// is about, a gap that was closed before the event that proves it, an annulled event where its date would have put it.
fn as_it_happened(history: Vec<HistoryEntry>) -> Vec<HistoryEntry> {
    let (mut ordered, others): (Vec<_>, Vec<_>) =
        history.into_iter().partition(|entry| entry.timeline.is_some());
    for entry in others {
        let place = place_among(&ordered, &entry);
        ordered.insert(place, entry);
    }
    ordered
}

fn place_among(ordered: &[HistoryEntry], entry: &HistoryEntry) -> usize {
    let said = &entry.event.proposed;
    let position_of = |id: EventId| ordered.iter().position(|other| other.event.id == id);
    if let Some(target) = target_of(said) {
        let Some(at) = position_of(target) else { return ordered.len() };
        let notes =
            ordered[at + 1..].iter().take_while(|other| target_of(&other.event.proposed) == Some(target));
        return at + 1 + notes.count();
    }
    let occurred = said.occurred.clone().unwrap_or_default();
    let proof = occurred.before.iter().find_map(|id| position_of(EventId(id.parse().ok()?)));
    let bounds = occurred.bounds();
    let happened_later = |other: &HistoryEntry| {
        let other = other.event.proposed.occurred.as_ref().and_then(|occurred| occurred.bounds().earliest);
        bounds.latest.zip(other).is_some_and(|(latest, earliest)| earliest > latest)
    };
    proof.or_else(|| ordered.iter().position(happened_later)).unwrap_or(ordered.len())
}

/// The event that a note is about.
fn target_of(said: &ProposedEvent) -> Option<EventId> {
    let field = match said.event_type.as_str() {
        engine_types::EVENT_CORRECTED => "corrects",
        engine_types::EVENT_ANNULLED => "annuls",
        engine_types::BREACH_NOTED => "event",
        _ => return None,
    };
    said.data.get(field)?.as_str()?.parse().ok().map(EventId)
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

/// Notes about other events, or about the case's definition, have no date of their own.
fn is_note(said: &ProposedEvent) -> bool {
    let notes = [
        engine_types::BREACH_NOTED,
        engine_types::EVENT_CORRECTED,
        engine_types::EVENT_ANNULLED,
        engine_types::DEFINITION_MIGRATED,
    ];
    notes.contains(&said.event_type.as_str())
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

/// What the event says, in words; the engine's own events in sentences of their own.
pub(super) fn payload_words(said: &ProposedEvent, history: &[HistoryEntry]) -> String {
    let text = |name: &str| said.data.get(name).and_then(Value::as_str).unwrap_or_default();
    match said.event_type.as_str() {
        engine_types::GAP_DECLARED => {
            let known = said
                .data
                .get("missing_data")
                .and_then(Value::as_object)
                .map(fields_words)
                .unwrap_or_default();
            let known = if known.is_empty() { known } else { format!(" Known of it: {known}.") };
            format!("{}{known}", text("why_known"))
        }
        engine_types::BREACH_NOTED => text("message").to_owned(),
        engine_types::EVENT_CORRECTED => {
            let fields =
                said.data.get("fields").and_then(Value::as_object).map(fields_words).unwrap_or_default();
            format!("{} now reads {fields}. Reason: {}", mentioned(text("corrects"), history), text("reason"))
        }
        engine_types::EVENT_ANNULLED => {
            format!("{} did not happen. Reason: {}", mentioned(text("annuls"), history), text("reason"))
        }
        engine_types::DEFINITION_MIGRATED => {
            let version = said.data.get("version").map(Value::to_string).unwrap_or_default();
            format!("Under {}@{version} from here on. Reason: {}", text("workflow"), text("reason"))
        }
        engine_types::CASE_OPENED => {
            let mut told = said.data.clone();
            told.remove(DEFINITION_DIGEST);
            fields_words(&told)
        }
        _ => fields_words(&said.data),
    }
}

/// What the engine adds to `case-opened` for programs.
const DEFINITION_DIGEST: &str = "definition_digest";

/// An event that another one names by its id, in words.
fn mentioned(id: &str, history: &[HistoryEntry]) -> String {
    let found = history.iter().find(|entry| entry.event.id.to_string() == id);
    found.map_or_else(|| format!("event {id}"), |entry| format!("Event {}", entry.event.version))
}

/// The types that a gap names, each once.
pub(super) fn missing_types(said: &ProposedEvent) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for (name, _) in alternatives(said) {
        if !types.contains(&name) {
            types.push(name);
        }
    }
    types
}

/// What a gap says is missing: a type and what is known of it, or several of which one happened.
fn alternatives(said: &ProposedEvent) -> Vec<(String, Payload)> {
    let one = |fields: &Payload| {
        let name = fields.get("missing_type").and_then(Value::as_str)?;
        let data = fields.get("missing_data").and_then(Value::as_object).cloned().unwrap_or_default();
        Some((name.to_owned(), data))
    };
    match said.data.get("one_of").and_then(Value::as_array) {
        Some(several) => several.iter().filter_map(Value::as_object).filter_map(one).collect(),
        None => one(&said.data).into_iter().collect(),
    }
}

/// A gap in words: `Charge laid`, or `Plea entered (plea=guilty, or plea=guilty-to-alternative)` where several ways
/// of one type are possible.
fn alternatives_words(said: &ProposedEvent, titles: &Titles) -> String {
    let alternatives = alternatives(said);
    let is_one = alternatives.len() == 1;
    let words = missing_types(said).into_iter().map(|name| {
        let title = titles.event(&name);
        let ways: Vec<String> = alternatives
            .iter()
            .filter(|(other, data)| *other == name && !data.is_empty())
            .map(|(_, data)| values_words(data))
            .collect();
        // What is known of a single missing event stands below its title.
        if is_one || ways.is_empty() { title } else { format!("{title} ({})", ways.join(", or ")) }
    });
    words.collect::<Vec<_>>().join(" or ")
}

fn values_words(data: &Payload) -> String {
    let values = data.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    });
    values.collect::<Vec<_>>().join(" ")
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

#[cfg(test)]
mod tests {
    use casebook_engine::case::event::Recorder;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_gap(data: Value, expected: &str) {
        let by = Recorder { id: "officer-1".to_owned(), role: "caseworker".to_owned() };
        let mut said = ProposedEvent::new(engine_types::GAP_DECLARED, by);
        let Value::Object(data) = data else { panic!("a payload is an object") };
        said.data = data;
        assert_eq!(alternatives_words(&said, &Titles::default()), expected);
    }

    #[test]
    fn several_ways_of_one_missing_type_name_it_once() {
        check_gap(
            json!({ "one_of": [
                { "missing_type": "plea-entered", "missing_data": { "plea": "guilty" } },
                { "missing_type": "plea-entered", "missing_data": { "plea": "guilty-to-alternative" } },
            ] }),
            "Plea entered (plea=guilty, or plea=guilty-to-alternative)",
        );
    }

    #[test]
    fn alternatives_of_several_types_are_all_named() {
        check_gap(
            json!({ "one_of": [
                { "missing_type": "plea-entered", "missing_data": { "plea": "guilty" } },
                { "missing_type": "verdict-returned" },
            ] }),
            "Plea entered (plea=guilty) or Verdict returned",
        );
    }

    #[test]
    fn a_single_missing_step_is_called_by_its_title() {
        check_gap(json!({ "missing_type": "charge-laid" }), "Charge laid");
    }
}
