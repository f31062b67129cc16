//! What an event says, in words, and the order in which a history is told.

use casebook_engine::case::event::{EventId, Payload, ProposedEvent, engine_types};
use casebook_engine::case::reading::HistoryEntry;
use serde_json::Value;

use crate::words::{Titles, fields_words_by};

/// Events in the order of the timeline, and what is no part of it where one looks for it: a note after the event that it
/// is about, a gap that was closed before the event that proves it, an annulled event where its date would have put it.
pub(crate) fn as_it_happened(history: Vec<HistoryEntry>) -> Vec<HistoryEntry> {
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
pub(crate) fn target_of(said: &ProposedEvent) -> Option<EventId> {
    let field = match said.event_type.as_str() {
        engine_types::EVENT_CORRECTED => "corrects",
        engine_types::EVENT_ANNULLED => "annuls",
        engine_types::BREACH_NOTED => "event",
        _ => return None,
    };
    said.data.get(field)?.as_str()?.parse().ok().map(EventId)
}

/// Notes about other events, or about the case's definition, have no date of their own.
pub(crate) fn is_note(said: &ProposedEvent) -> bool {
    let notes = [
        engine_types::BREACH_NOTED,
        engine_types::EVENT_CORRECTED,
        engine_types::EVENT_ANNULLED,
        engine_types::DEFINITION_MIGRATED,
    ];
    notes.contains(&said.event_type.as_str())
}

/// What the event says, in words; the engine's own events in sentences of their own.
pub(crate) fn payload_words(said: &ProposedEvent, history: &[HistoryEntry]) -> String {
    titled_payload_words(said, history, &Titles::default())
}

/// As [`payload_words`], with the titles of listed values instead of their codes.
pub(crate) fn titled_payload_words(
    said: &ProposedEvent,
    history: &[HistoryEntry],
    titles: &Titles,
) -> String {
    let fields_words = |fields: &Payload| {
        fields_words_by(fields, |field, value| titles.value(&said.event_type, field, value))
    };
    let text = |name: &str| said.data.get(name).and_then(Value::as_str).unwrap_or_default();
    match said.event_type.as_str() {
        engine_types::GAP_DECLARED => {
            let known = said
                .data
                .get("missing_data")
                .and_then(Value::as_object)
                .map(crate::words::fields_words)
                .unwrap_or_default();
            let known = if known.is_empty() { known } else { format!(" Known of it: {known}.") };
            format!("{}{known}", text("why_known"))
        }
        engine_types::BREACH_NOTED => text("message").to_owned(),
        engine_types::EVENT_CORRECTED => {
            let fields = said
                .data
                .get("fields")
                .and_then(Value::as_object)
                .map(crate::words::fields_words)
                .unwrap_or_default();
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
pub(crate) const DEFINITION_DIGEST: &str = "definition_digest";

/// An event that another one names by its id, in words.
fn mentioned(id: &str, history: &[HistoryEntry]) -> String {
    let found = history.iter().find(|entry| entry.event.id.to_string() == id);
    found.map_or_else(|| format!("event {id}"), |entry| format!("Event {}", entry.event.version))
}

/// The types that a gap names, each once.
pub(crate) fn missing_types(said: &ProposedEvent) -> Vec<String> {
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
pub(crate) fn alternatives_words(said: &ProposedEvent, titles: &Titles) -> String {
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
