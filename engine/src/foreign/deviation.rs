//! A finding of a comparison, in words.

use serde::Serialize;

use super::alignment::{Move, Place, StrandNet};
use super::translate::{TranslatedCase, TranslatedEvent};
use crate::definition::{Definition, EventTypeId, KindId, StrandId};

/// Event types that are listed as what may happen instead.
const LISTED_MAX: usize = 5;

/// What a step is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviationKind {
    /// It happened, and may not have.
    NotAllowed,
    /// It is missing.
    Missing,
    /// The definition knows no such event.
    UnknownActivity,
    /// The log does not carry what decides it: no deviation.
    CannotBeKnown,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deviation {
    /// What it is.
    pub kind: DeviationKind,
    /// The event of the trace, from 1: the one that deviates, or before which something is missing. `None`: the end, or
    /// the opening that the trace itself does not have.
    pub event: Option<usize>,
    /// Its line.
    pub line: Option<usize>,
    /// The event type, or the activity that is none.
    pub event_type: String,
    /// The strand.
    pub strand: Option<String>,
    /// The entity.
    pub entity: Option<String>,
    /// The strand's state.
    pub state: Option<String>,
    /// Who allowed it.
    pub authority: Option<String>,
    /// All of it, in words.
    pub words: String,
}

/// An event that the definition does not have.
pub(super) fn unknown_activity(event: &TranslatedEvent) -> Deviation {
    let number = event.number.unwrap_or_default();
    Deviation {
        kind: DeviationKind::UnknownActivity,
        event: event.number,
        line: Some(event.line),
        event_type: event.activity.clone(),
        strand: None,
        entity: None,
        state: None,
        authority: None,
        words: format!(
            "event {number}, “{}”: it is no event of the definition, or the mapping does not name it",
            event.activity
        ),
    }
}

/// An event of which the log does not say which entity it is about.
pub(super) fn unknown_entity(
    definition: &Definition,
    event: &TranslatedEvent,
    id: EventTypeId,
    kind: KindId,
) -> Deviation {
    let number = event.number.unwrap_or_default();
    let (event_type, kind) = (definition.event_type(id), &definition.kinds[kind.index()]);
    Deviation {
        kind: DeviationKind::CannotBeKnown,
        event: event.number,
        line: Some(event.line),
        event_type: event_type.name.clone(),
        strand: None,
        entity: None,
        state: None,
        authority: None,
        words: format!(
            "event {number}, “{}”: the log does not say which {} it is about; the first is taken",
            event_type.title, kind.name
        ),
    }
}

/// Puts steps of one strand's alignment into words.
pub(super) struct Telling<'t, 'd> {
    pub(super) definition: &'d Definition,
    pub(super) net: &'t StrandNet<'d>,
    pub(super) strand: StrandId,
    pub(super) entity: Option<String>,
    pub(super) case: &'t TranslatedCase,
    pub(super) places: &'t [usize],
}

impl Telling<'_, '_> {
    /// With the place in the trace; `None`: nothing is to be said.
    pub(super) fn deviation(&self, step: &Move, fields: &[Vec<String>]) -> Option<(usize, Deviation)> {
        match step {
            Move::Both { is_known: true, .. } => None,
            Move::Both { at, from, to, .. } => {
                let (event, id) = self.event(*at)?;
                let decisive = fields[id.index()]
                    .iter()
                    .map(|field| format!("`{field}`"))
                    .collect::<Vec<_>>()
                    .join(", ");
                let words = format!(
                    "{}: the log does not carry what decides where {} goes from {} ({decisive}); taken as {}",
                    self.named(event, id),
                    self.whose(),
                    self.place(*from),
                    self.place(*to)
                );
                Some((
                    self.places[*at],
                    self.found(DeviationKind::CannotBeKnown, Some(event), id, *from, words),
                ))
            }
            Move::InLogAlone { at, from } => {
                let (event, id) = self.event(*at)?;
                let mut words = format!(
                    "{} may not follow where {} is {}",
                    self.named(event, id),
                    self.whose(),
                    self.place(*from)
                );
                let accepted = self.net.accepts(*from);
                if !accepted.is_empty() {
                    words.push_str(&format!("; there may follow {}", self.listed(&accepted)));
                }
                self.told_authority(event, &mut words);
                Some((self.places[*at], self.found(DeviationKind::NotAllowed, Some(event), id, *from, words)))
            }
            Move::Missing { before, event: id, with, from, to } => {
                let next = self.event(*before);
                let place = self.places.get(*before).copied().unwrap_or(usize::MAX);
                let with = if with.is_empty() { String::new() } else { format!(", {}", with.join(", ")) };
                let event_type = self.definition.event_type(*id);
                let missing = format!("“{}” ({}{with})", event_type.title, event_type.name);
                let (whose, from_words, to_words) = (self.whose(), self.place(*from), self.place(*to));
                let mut words = match next {
                    Some((event, next)) => format!(
                        "before {}, {missing} is missing: it brings {whose} from {from_words} to {to_words}",
                        self.named(event, next)
                    ),
                    None => format!(
                        "the log ends where {whose} is {from_words}, which is no end; {missing} would bring it to {to_words}"
                    ),
                };
                if let Some((event, _)) = next {
                    self.told_authority(event, &mut words);
                }
                Some((
                    place,
                    self.found(DeviationKind::Missing, next.map(|(event, _)| event), *id, *from, words),
                ))
            }
        }
    }

    fn event(&self, at: usize) -> Option<(&TranslatedEvent, EventTypeId)> {
        let event = &self.case.events[*self.places.get(at)?];
        Some((event, self.definition.event(&event.proposed.as_ref()?.event_type)?))
    }

    fn found(
        &self,
        kind: DeviationKind,
        event: Option<&TranslatedEvent>,
        id: EventTypeId,
        from: Place,
        words: String,
    ) -> Deviation {
        let strand = &self.definition.strands[self.strand.index()];
        let given = event.and_then(|event| event.proposed.as_ref()?.override_given.as_ref());
        Deviation {
            kind,
            event: event.and_then(|event| event.number),
            line: event.map(|event| event.line),
            event_type: self.definition.event_type(id).name.clone(),
            strand: Some(strand.name.clone()),
            entity: self.entity.clone(),
            state: match from {
                Place::In(state) => Some(strand.states[state.index()].name.clone()),
                Place::Absent | Place::Waiting => None,
            },
            authority: given
                .filter(|_| kind != DeviationKind::CannotBeKnown)
                .map(|given| given.authority.clone()),
            words,
        }
    }

    fn told_authority(&self, event: &TranslatedEvent, words: &mut String) {
        if let Some(given) = event.proposed.as_ref().and_then(|event| event.override_given.as_ref()) {
            words.push_str(&format!(" (allowed by {}: {})", given.authority, given.reason));
        }
    }

    fn named(&self, event: &TranslatedEvent, id: EventTypeId) -> String {
        let event_type = self.definition.event_type(id);
        match event.number {
            Some(number) => format!("event {number}, “{}” ({})", event_type.title, event_type.name),
            None => format!("the opening of the case ({})", event_type.name),
        }
    }

    fn whose(&self) -> String {
        let title = &self.definition.strands[self.strand.index()].title;
        self.entity.as_ref().map_or_else(|| format!("“{title}”"), |id| format!("“{title}” of {id}"))
    }

    fn place(&self, place: Place) -> String {
        match place {
            Place::Absent => "not there yet".to_owned(),
            Place::Waiting => "not begun".to_owned(),
            Place::In(state) => {
                format!("“{}”", self.definition.strands[self.strand.index()].states[state.index()].title)
            }
        }
    }

    fn listed(&self, events: &[EventTypeId]) -> String {
        let mut named: Vec<String> =
            events.iter().take(LISTED_MAX).map(|id| self.definition.event_type(*id).name.clone()).collect();
        if events.len() > LISTED_MAX {
            named.push(format!("and {} more", events.len() - LISTED_MAX));
        }
        named.join(", ")
    }
}
