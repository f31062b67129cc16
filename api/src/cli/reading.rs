//! What the engine answers, in words: changes, breaches, gaps, mentions of events.

use std::sync::Arc;

use casebook_engine::case::event::Scope;
use casebook_engine::case::reading::{BreachReading, Change, EventMention, GapReading};
use casebook_engine::definition::{Definition, State};

use super::answer::Failure;
use super::date;
use super::page::{Page, dim, strong, warn};

/// The titles that a definition gives to what it names; the names themselves where it is not known.
#[derive(Debug, Clone, Default)]
pub(super) struct Titles {
    definition: Option<Arc<Definition>>,
}

impl Titles {
    /// The titles of a definition.
    pub(super) const fn of(definition: Option<Arc<Definition>>) -> Self {
        Self { definition }
    }

    /// The definition.
    pub(super) fn definition(&self) -> Option<&Definition> {
        self.definition.as_deref()
    }

    /// The definition, to keep.
    pub(super) fn shared(&self) -> Option<Arc<Definition>> {
        self.definition.clone()
    }

    /// What people call an event type.
    pub(super) fn event(&self, name: &str) -> String {
        let known = self.definition().and_then(|definition| {
            let title = &definition.event_type(definition.event(name)?).title;
            (!title.is_empty()).then(|| title.clone())
        });
        known.unwrap_or_else(|| spoken(name))
    }

    /// What people call a strand.
    pub(super) fn strand(&self, name: &str) -> String {
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
    pub(super) fn state(&self, strand: &str, name: &str) -> String {
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
fn spoken(name: &str) -> String {
    capitalised(&name.replace('-', " "))
}

/// What an event is about: `charge C1, subject SUB-1`; empty where it is about the case.
pub(super) fn scope_words(scope: &Scope) -> String {
    let words = scope.iter().map(|(kind, id)| {
        // An entity that is not there yet says its kind itself: `new charge`.
        if id.starts_with("new ") { format!("a {id}") } else { format!("{kind} {id}") }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A change in words: `Charge of C1: Laid → Sent`.
pub(super) fn change_words(change: &Change, titles: &Titles) -> String {
    let whose = change.entity.as_ref().map(|entity| format!(" of {entity}")).unwrap_or_default();
    let strand = titles.strand(&change.strand);
    let is_overlay = change.strand.contains('/');
    let state = |name: &String| if is_overlay { spoken(name) } else { titles.state(&change.strand, name) };
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{strand}{whose}: {} → {}", state(from), strong(&state(to))),
        (None, Some(to)) => format!("{strand}{whose}: {}", strong(&state(to))),
        (Some(from), None) => format!("{strand}{whose}: no longer {}", state(from)),
        (None, None) => format!("{strand}{whose}: nothing"),
    }
}

/// Tells changes, one a line.
pub(super) fn tell_changes(
    changes: &[Change],
    indent: usize,
    titles: &Titles,
    page: &mut Page,
) -> Result<(), Failure> {
    for change in changes {
        page.item(indent, "•", &change_words(change, titles))?;
    }
    Ok(())
}

/// Tells breaches, one an item.
pub(super) fn tell_breaches(
    breaches: &[BreachReading],
    indent: usize,
    page: &mut Page,
) -> Result<(), Failure> {
    for breach in breaches {
        let basis = breach.basis.as_ref().map(|basis| format!(" ({basis})")).unwrap_or_default();
        let gone = if breach.ground_gone { " A later correction took its ground away." } else { "" };
        let place = dim(&format!("[{}, event {}, noted as {}]", breach.rule, breach.event, breach.version));
        page.item(
            indent,
            &warn("breach:"),
            &format!("{}{basis}.{gone} {place}", unstopped(&breach.message)),
        )?;
    }
    Ok(())
}

/// Tells gaps, one an item: steps that happened, and of which nobody has the details.
pub(super) fn tell_gaps(
    gaps: &[GapReading],
    indent: usize,
    titles: &Titles,
    page: &mut Page,
) -> Result<(), Failure> {
    for gap in gaps {
        let about = match scope_words(&gap.scope) {
            words if words.is_empty() => String::new(),
            words => format!(", {words}"),
        };
        let missing = gap_words(&gap.missing, titles);
        let (mark, closed) = match gap.closed_by {
            Some(version) => (dim("gap:"), format!(" Closed by event {version}.")),
            None => (warn("gap:"), String::new()),
        };
        let place = dim(&format!("[event {}]", gap.version));
        page.item(
            indent,
            &mark,
            &format!("{missing}{about}. {}.{closed} {place}", unstopped(&gap.why_known)),
        )?;
    }
    Ok(())
}

/// What is missing, in words: `Charge laid`, or `Plea entered or Verdict returned`.
pub(super) fn gap_words(missing: &[String], titles: &Titles) -> String {
    missing.iter().map(|name| titles.event(name)).collect::<Vec<_>>().join(" or ")
}

/// Tells events that are mentioned, one an item. Gaps among them are called by what is missing.
pub(super) fn tell_mentions(
    mentions: &[EventMention],
    gaps: &[GapReading],
    indent: usize,
    titles: &Titles,
    page: &mut Page,
) -> Result<(), Failure> {
    for mention in mentions {
        page.item(indent, "•", &mention_words(mention, gaps, titles))?;
    }
    Ok(())
}

/// An event in words: `event 12, Sentence passed, 4 October 2023`.
fn mention_words(mention: &EventMention, gaps: &[GapReading], titles: &Titles) -> String {
    let note = mention.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    let title = match gaps.iter().find(|gap| gap.version == mention.version) {
        Some(gap) => format!("gap: {}", gap_words(&gap.missing, titles)),
        None => titles.event(&mention.event_type),
    };
    format!("event {}, {title}, {}{note}", mention.version, date::in_words(&mention.occurred))
}

/// A sentence with a capital first letter.
pub(super) fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A sentence without its full stop, so that more may follow.
pub(super) fn unstopped(sentence: &str) -> &str {
    sentence.trim_end().trim_end_matches('.')
}

/// A number of things: `1 event`, `3 events`.
pub(super) fn count_of(count: usize, one: &str, several: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
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
}
