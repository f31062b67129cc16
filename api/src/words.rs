//! What people call things: the titles of a definition, a scope, a number of things, the fields of an event.

use std::sync::Arc;

use casebook_engine::case::event::{Payload, Scope};
use casebook_engine::case::occurred::Occurred;
use casebook_engine::definition::{Definition, State};
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
    let said = fields.iter().filter(|(_, value)| !value.as_array().is_some_and(Vec::is_empty));
    said.map(|(name, value)| format!("{}: {}", name.replace('_', " "), value_words(value)))
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
    use super::*;

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
