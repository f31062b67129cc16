//! What people call things: the titles of a definition, a scope, a number of things, the fields of an event.

use std::sync::Arc;

use casebook_engine::case::event::{Payload, Scope, engine_types};
use casebook_engine::case::occurred::Occurred;
use casebook_engine::case::reading::EventMention;
use casebook_engine::definition::{Definition, EventType, State};
use serde_json::Value;

/// The titles that a definition gives to what it names; the names themselves where it is not known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Titles {
    definition: Option<Arc<Definition>>,
}

impl Titles {
    /// The titles of a definition.
    pub(crate) const fn of(definition: Option<Arc<Definition>>) -> Self {
        Self { definition }
    }

    /// The definition.
    pub(crate) fn definition(&self) -> Option<&Definition> {
        self.definition.as_deref()
    }

    /// The definition, to keep.
    pub(crate) fn shared(&self) -> Option<Arc<Definition>> {
        self.definition.clone()
    }

    /// What people call an event type.
    pub(crate) fn event(&self, name: &str) -> String {
        let known = self.definition().and_then(|definition| {
            let title = &definition.event_type(definition.event(name)?).title;
            (!title.is_empty()).then(|| title.clone())
        });
        known.unwrap_or_else(|| spoken(name))
    }

    /// What people call a strand.
    pub(crate) fn strand(&self, name: &str) -> String {
        let (name, overlay) = match name.split_once('/') {
            Some((name, overlay)) => (name, Some(overlay)),
            None => (name, None),
        };
        let known = self.definition().and_then(|definition| {
            let strand = definition.strand(name).map(|id| &definition.strands[id.index()]);
            let derived = definition.derived_strand(name).map(|id| &definition.derived[id.index()]);
            let title = strand.map(|strand| &strand.title).or(derived.map(|derived| &derived.title))?;
            Some(match overlay {
                Some(overlay) => {
                    let overlays = strand.map(|strand| strand.overlays.as_slice()).unwrap_or_default();
                    let found = overlays.iter().find(|known| known.name == overlay);
                    format!("{title}, {}", found.map_or(overlay, |found| found.title.as_str()))
                }
                None => title.clone(),
            })
        });
        known.unwrap_or_else(|| spoken(name))
    }

    /// A value of a field of an event, in words: of a listed value its title under `x-titles` beside the list, or the value as
    /// people say it.
    pub(crate) fn value(&self, event_type: &str, field: &str, value: &Value) -> String {
        let titled = self.definition().and_then(|definition| {
            if event_type == engine_types::DEADLINE_ADJUSTED && field == "deadline" {
                return Some(
                    definition.deadlines[definition.deadline(value.as_str()?)?.index()].title.clone(),
                );
            }
            listed_words(definition.event_type(definition.event(event_type)?), field, value)
        });
        titled.unwrap_or_else(|| value_words(value))
    }

    /// A value of a field of an entity, in words: listed values are those of the events that say them about its kind.
    pub(crate) fn entity_value(&self, kind: &str, field: &str, value: &Value) -> String {
        let titled = self.definition().and_then(|definition| {
            let is_about = |event: &&EventType| {
                let kinds = event.scope.iter().chain(&event.scope_optional);
                kinds.into_iter().any(|id| definition.kinds[id.index()].name == kind)
            };
            definition.events.iter().filter(is_about).find_map(|event| listed_words(event, field, value))
        });
        titled.unwrap_or_else(|| value_words(value))
    }

    /// What people call a state of a strand.
    pub(crate) fn state(&self, strand: &str, name: &str) -> String {
        let states: &[State] = self.definition().map_or(&[], |definition| {
            let of_strand =
                definition.strand(strand).map(|id| definition.strands[id.index()].states.as_slice());
            let of_derived =
                definition.derived_strand(strand).map(|id| definition.derived[id.index()].states.as_slice());
            of_strand.or(of_derived).unwrap_or_default()
        });
        states
            .iter()
            .find(|state| state.name == name && !state.title.is_empty())
            .map_or_else(|| spoken(name), |state| state.title.clone())
    }
}

/// One of the listed values of a field, in words; `None` where the field lists none, or not this one.
fn listed_words(event: &EventType, field: &str, value: &Value) -> Option<String> {
    let listed = event.schema.field(&[field.to_owned()])?.enumeration?;
    let code = value.as_str().filter(|_| listed.contains(value))?;
    let title = event.schema.source["properties"][field]["x-titles"][code].as_str();
    Some(title.map_or_else(|| code.replace('-', " "), str::to_owned))
}

/// A name as people would say it: `case-opened` is `Case opened`.
pub(crate) fn spoken(name: &str) -> String {
    capitalised(&name.replace('-', " "))
}

/// What an event is about: `charge C1, subject SUB-1`; empty where it is about the case.
pub(crate) fn scope_words(scope: &Scope) -> String {
    let words = scope.iter().map(|(kind, id)| {
        // An entity that is not there yet says its kind itself: `new charge`.
        if id.starts_with("new ") { format!("a {id}") } else { format!("{kind} {id}") }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// What is missing, in words: `Charge laid`, or `Plea entered or Verdict returned`.
pub(crate) fn gap_words(missing: &[String], titles: &Titles) -> String {
    missing.iter().map(|name| titles.event(name)).collect::<Vec<_>>().join(" or ")
}

/// What took the ground of a breach away: `a later correction (event 6) took its ground away`.
pub(crate) fn ground_gone_words(taken_by: Option<&EventMention>) -> String {
    let what = taken_by.map(|event| {
        let what = match event.event_type.as_str() {
            engine_types::EVENT_CORRECTED => "correction",
            engine_types::EVENT_ANNULLED => "annulment",
            engine_types::DEFINITION_MIGRATED => "version of the definition",
            _ => "event",
        };
        format!("a later {what} (event {})", event.version)
    });
    format!("{} took its ground away", what.as_deref().unwrap_or("what was recorded later"))
}

/// A sentence with a capital first letter.
pub(crate) fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A sentence without its full stop, so that more may follow.
pub(crate) fn unstopped(sentence: &str) -> &str {
    sentence.trim_end().trim_end_matches('.')
}

/// A number of things: `1 event`, `3 events`.
pub(crate) fn count_of(count: usize, one: &str, several: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
}

/// Fields of a payload in one line: `rank: constable; force: Kent Police`.
pub(crate) fn fields_words(fields: &Payload) -> String {
    fields_words_by(fields, |_, value| value_words(value))
}

/// As [`fields_words`], with values put into words by a function of the field's name and value.
pub(crate) fn fields_words_by(fields: &Payload, words: impl Fn(&str, &Value) -> String) -> String {
    let said = fields.iter().filter(|(_, value)| !value.as_array().is_some_and(Vec::is_empty));
    said.map(|(name, value)| format!("{}: {}", name.replace('_', " "), words(name, value)))
        .collect::<Vec<_>>()
        .join("; ")
}

/// A value of a field, in words.
pub(crate) fn value_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => items.iter().map(value_words).collect::<Vec<_>>().join(" and "),
        other => other.to_string(),
    }
}

/// A date in words: `2022-04` is `April 2022`. The source's own words stay as they are.
pub(crate) fn in_words(occurred: &str) -> String {
    if occurred == "unknown" || occurred.is_empty() {
        return "date unknown".to_owned();
    }
    Occurred::parse(occurred).map_or_else(|_| occurred.to_owned(), |occurred| occurred.words())
}

#[cfg(test)]
mod tests {
    use casebook_engine::definition::compile::compile;
    use casebook_engine::definition::source::SourceFile;

    use super::*;

    fn titles(data: &str) -> Titles {
        let text = format!(
            "workflow: w\nversion: 1\nlanguage: casebook/1\ntitle: W\ntimezone: Europe/London\nroles: {{ clerk: {{ title: Clerk }} }}\nentities: {{ person: {{ title: Person, introduced-by: noted }} }}\nevents:\n  noted:\n    title: Noted\n    scope: [person]\n    record: [clerk]\n    data: {{ properties: {{ {data} }} }}\n"
        );
        let files = [SourceFile { name: "w.yaml".to_owned(), text }];
        Titles::of(Some(Arc::new(compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}")))))
    }

    #[test]
    fn a_listed_value_is_called_by_its_title_or_spoken() {
        let titles = titles(
            "form: { enum: [misconduct-hearing, rprp], x-titles: { rprp: Reflective practice } }, code: { type: string }",
        );
        let words = |field: &str, value: &str| {
            let value = Value::from(value);
            assert_eq!(titles.value("noted", field, &value), titles.entity_value("person", field, &value));
            titles.value("noted", field, &value)
        };
        assert_eq!(words("form", "misconduct-hearing"), "misconduct hearing");
        assert_eq!(words("form", "rprp"), "Reflective practice");
        assert_eq!(words("code", "as-written"), "as-written");
        assert_eq!(Titles::default().value("noted", "form", &Value::from("rprp")), "rprp");
    }

    #[test]
    fn what_took_the_ground_of_a_breach_is_named() {
        let taken = |event_type: &str| {
            let event = EventMention {
                version: casebook_engine::case::event::Version(6),
                event_type: event_type.to_owned(),
                occurred: "unknown".to_owned(),
                note: None,
            };
            ground_gone_words(Some(&event))
        };
        assert_eq!(taken("event-corrected"), "a later correction (event 6) took its ground away");
        assert_eq!(taken("event-annulled"), "a later annulment (event 6) took its ground away");
        assert_eq!(taken("notice-served"), "a later event (event 6) took its ground away");
        assert_eq!(ground_gone_words(None), "what was recorded later took its ground away");
    }

    #[test]
    fn a_name_without_a_title_is_spoken() {
        assert_eq!(spoken("case-opened"), "Case opened");
    }

    #[test]
    fn one_thing_is_singular() {
        assert_eq!(count_of(1, "breach", "breaches"), "1 breach");
        assert_eq!(count_of(2, "breach", "breaches"), "2 breaches");
    }

    #[track_caller]
    fn check(occurred: &str, words: &str) {
        assert_eq!(in_words(occurred), words);
    }

    #[test]
    fn a_month_reads_as_a_month() {
        check("2022-04", "April 2022");
    }

    #[test]
    fn the_words_of_the_source_stay() {
        check("earlier that month", "earlier that month");
    }

    #[test]
    fn an_unknown_date_says_so() {
        check("unknown", "date unknown");
    }
}
