//! Where else on the timeline a refused event would be lawful, so that a date or a link can put it there.

use std::sync::Arc;

use super::authority::stands;
use super::effective::{Changed, EffectiveEvent, may_close};
use super::event::{EventId, Version};
use super::judge::{Question, judge};
use super::occurred::Occurred;
use super::state::CaseState;
use super::status::Status;

/// The most places, from the end, at which a refused event is tried.
const PLACES_TRIED_MAX: usize = 64;

/// Where an event stands: between which others, or in whose place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// After so many others.
    After(usize),
    /// In the place of this one, a gap that it closes.
    Of(usize),
}

/// The latest other place of the timeline, of the last 64, at which the event would be legal and leave later events
/// their footing: after the first version, before the second. It is tried without its date, which another place would change.
pub(crate) fn lawful_elsewhere(
    state: &CaseState,
    event: &Arc<EffectiveEvent>,
) -> Option<(Option<Version>, Option<Version>)> {
    let places = state.timeline().places().iter().map(|placed| &placed.event);
    let others: Vec<&Arc<EffectiveEvent>> = places.filter(|other| other.id() != event.id()).collect();
    let line = Line::of(state, &others, event);
    let own = line.own_place(state, event);
    let from = others.len().saturating_sub(PLACES_TRIED_MAX);
    let tried = (from..=others.len()).rev().flat_map(|index| [Place::Of(index), Place::After(index)]);
    tried.filter(|place| *place != own && line.can_be_put(*place)).find(|place| line.is_lawful(*place)).map(
        |place| {
            let (before, after) = match place {
                Place::After(index) => (index, index),
                Place::Of(index) => (index, index + 1),
            };
            let version = |index: usize| others.get(index).map(|other| other.version());
            (before.checked_sub(1).and_then(version), version(after))
        },
    )
}

/// The timeline without the event.
struct Line<'a> {
    state: &'a CaseState,
    others: &'a [&'a Arc<EffectiveEvent>],
    /// The status before each of them, and after the last.
    statuses: Vec<Status>,
    /// Whether each of them stands.
    standing: Vec<bool>,
    /// Indexes of the gaps that the event would close but for its date, in record order.
    gaps: Vec<usize>,
    event: Arc<EffectiveEvent>,
}

impl<'a> Line<'a> {
    fn of(state: &'a CaseState, others: &'a [&'a Arc<EffectiveEvent>], event: &EffectiveEvent) -> Self {
        let definition = state.definition();
        let mut status = state.before_first();
        let (mut statuses, mut standing) = (Vec::new(), Vec::new());
        for other in others {
            let judgement = judge(definition, &status, &Question::about(other));
            standing.push(stands(definition, other, &judgement));
            let next = status.clone();
            statuses.push(std::mem::replace(&mut status, next));
            status.step(definition, other);
        }
        statuses.push(status);
        let closable = state.effective().open_gaps.iter().filter(|gap| may_close(definition, gap, event));
        let gaps = closable.filter_map(|gap| others.iter().position(|other| other.id() == gap.id()));
        Self { state, others, statuses, standing, gaps: gaps.collect(), event: Arc::new(undated(event)) }
    }

    /// Where the event stands as it is proposed; one that nobody has written yet stands at the end.
    fn own_place(&self, state: &CaseState, event: &EffectiveEvent) -> Place {
        let mut next = state.clone();
        if state.event(event.id()).is_none() {
            next.evolve(event.recorded.as_ref().clone(), state.position());
        }
        let places = next.timeline().places();
        let Some(own) = places.iter().position(|placed| placed.event.id() == event.id()) else {
            return Place::After(self.others.len());
        };
        let closed = places[own].event.closed_gap();
        let gap = closed.and_then(|gap| self.others.iter().position(|other| other.id() == gap));
        gap.map_or(Place::After(own), Place::Of)
    }

    /// Whether a date or a link can put the event there: it closes a gap wherever its date does not say that it is another
    /// event, and then stands in the gap's place.
    fn can_be_put(&self, place: Place) -> bool {
        match place {
            Place::After(index) => self.gaps.iter().all(|gap| self.may_be_another(*gap, index)),
            Place::Of(index) => {
                let earlier = self.gaps.iter().take_while(|gap| **gap != index);
                self.gaps.contains(&index) && earlier.into_iter().all(|gap| self.may_be_another(*gap, index))
            }
        }
    }

    /// Whether an event at this place can have a date that the gap, or an event that it is linked to, contradicts.
    fn may_be_another(&self, gap: usize, place: usize) -> bool {
        let occurred = self.others[gap].occurred();
        let linked = |id: &String| self.others.iter().position(|other| other.id().to_string() == *id);
        let starts = |index: usize| self.others[index].occurred().bounds().earliest.is_some();
        let ends = |index: usize| self.others[index].occurred().bounds().latest.is_some();
        let before_what_it_follows =
            || occurred.after.iter().filter_map(linked).any(|other| place <= other && starts(other));
        let after_what_follows_it =
            || occurred.before.iter().filter_map(linked).any(|other| place > other && ends(other));
        (place <= gap && starts(gap))
            || (place > gap && ends(gap))
            || before_what_it_follows()
            || after_what_follows_it()
    }

    /// Whether the event is legal there, and every later event that stands keeps its footing.
    fn is_lawful(&self, place: Place) -> bool {
        let definition = self.state.definition();
        let (at, rest) = match place {
            Place::After(index) => (index, index),
            Place::Of(index) => (index, index + 1),
        };
        let mut status = self.statuses[at].clone();
        if !judge(definition, &status, &Question::about(&self.event)).is_legal() {
            return false;
        }
        status.step(definition, &self.event);
        for (other, stood) in self.others.iter().zip(&self.standing).skip(rest) {
            if *stood {
                let judgement = judge(definition, &status, &Question::about(other));
                if !stands(definition, other, &judgement) {
                    return false;
                }
            }
            status.step(definition, other);
        }
        true
    }
}

/// The event without its date and links: another place would give it others.
fn undated(event: &EffectiveEvent) -> EffectiveEvent {
    let mut undated = event.clone();
    let changed = undated.changed.get_or_insert_with(|| {
        let data = event.recorded.proposed.data.clone();
        Box::new(Changed { known: data.clone(), data, ..Changed::default() })
    });
    changed.occurred = Some(Occurred::unknown());
    changed.closes = None::<EventId>;
    undated
}
