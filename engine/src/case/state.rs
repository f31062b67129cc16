//! A case as loaded: its record, its timeline, its status. [`CaseState::evolve`] adds one event and cannot fail.

use std::sync::Arc;

use super::effective::{Effective, EffectiveEvent, closes_any, effective, is_note};
use super::event::{EventId, Position, RecordedEvent, Version, engine_types};
use super::judge::{Judgement, Question, judge};
use super::occurred::Day;
use super::status::Status;
use super::timeline::Timeline;
use crate::definition::Definition;

/// Everything that is known of one case: a pure function of its log and its definition.
#[derive(Debug, Clone)]
pub struct CaseState {
    definition: Arc<Definition>,
    log: Vec<Arc<RecordedEvent>>,
    positions: Vec<Position>,
    effective: Arc<Effective>,
    timeline: Timeline,
    status: Status,
}

impl CaseState {
    /// A case without events.
    #[must_use]
    pub fn before_opening(definition: Arc<Definition>) -> Self {
        let status = Status::before_opening(&definition);
        Self {
            definition,
            log: Vec::new(),
            positions: Vec::new(),
            effective: Arc::default(),
            timeline: Timeline::default(),
            status,
        }
    }

    /// The case that this log tells, in one pass.
    #[must_use]
    pub fn replay(
        definition: Arc<Definition>,
        events: impl IntoIterator<Item = (Position, RecordedEvent)>,
    ) -> Self {
        let mut state = Self::before_opening(definition);
        for (position, event) in events {
            state.positions.push(position);
            state.log.push(Arc::new(event));
        }
        state.compute();
        state
    }

    /// The case after one more event.
    pub fn evolve(&mut self, event: RecordedEvent, position: Position) {
        self.positions.push(position);
        let event = Arc::new(event);
        self.log.push(Arc::clone(&event));
        if !self.try_append(&event) {
            self.compute();
        }
    }

    /// Takes the event at the end of everything, where nothing earlier depends on it.
    fn try_append(&mut self, event: &Arc<RecordedEvent>) -> bool {
        let event_type = &event.proposed.event_type;
        if is_note(event_type) {
            return event_type == engine_types::BREACH_NOTED;
        }
        if event_type == engine_types::GAP_DECLARED || closes_any(&self.definition, &self.effective, event) {
            return false;
        }
        let Some(known) = self.definition.event(event_type) else { return true };
        let plain = Arc::new(EffectiveEvent::plain(known, Arc::clone(event)));
        if !self.timeline.try_append(&plain) {
            return false;
        }
        Arc::make_mut(&mut self.effective).events.push(Arc::clone(&plain));
        self.status.step(&self.definition, &plain);
        true
    }

    fn compute(&mut self) {
        self.effective = Arc::new(effective(&self.definition, &self.log));
        self.timeline = Timeline::of(&self.effective.events);
        self.status = self.fold(&self.timeline);
    }

    /// The definition that the case is pinned to.
    #[must_use]
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// The events as recorded.
    #[must_use]
    pub fn log(&self) -> &[Arc<RecordedEvent>] {
        &self.log
    }

    /// The last version; 0 before the first event.
    #[must_use]
    pub fn version(&self) -> Version {
        self.log.last().map_or(Version(0), |event| event.version)
    }

    /// Position of the last event.
    #[must_use]
    pub fn position(&self) -> Position {
        self.positions.last().copied().unwrap_or_default()
    }

    /// Where the event of this version stands in the log of all cases.
    #[must_use]
    pub fn position_of(&self, version: Version) -> Option<Position> {
        let index = usize::try_from(version.0).ok()?.checked_sub(1)?;
        self.positions.get(index).copied()
    }

    /// The effective events in the order in which they happened.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Where the case stands at the end of its timeline.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What corrections, annulments and closed gaps did.
    pub(crate) fn effective(&self) -> &Effective {
        &self.effective
    }

    /// An event by id.
    #[must_use]
    pub fn event(&self, id: EventId) -> Option<&Arc<RecordedEvent>> {
        self.log.iter().find(|event| event.id == id)
    }

    /// An event by version.
    #[must_use]
    pub fn at_version(&self, version: Version) -> Option<&Arc<RecordedEvent>> {
        let index = usize::try_from(version.0).ok()?.checked_sub(1)?;
        self.log.get(index).filter(|event| event.version == version)
    }

    /// The case as the record told it when these events, and no others, had been recorded.
    #[must_use]
    pub fn known_when(&self, recorded: impl Fn(&RecordedEvent) -> bool) -> Self {
        let mut state = Self::before_opening(Arc::clone(&self.definition));
        let kept = self.log.iter().zip(&self.positions).filter(|(event, _)| recorded(event));
        (state.log, state.positions) = kept.map(|(event, position)| (Arc::clone(event), *position)).unzip();
        state.compute();
        state
    }

    /// The case as it stood in the world at the end of a day, and the events that only may have happened by then.
    #[must_use]
    pub fn as_at(&self, day: Day) -> (Self, std::collections::HashSet<EventId>) {
        let (timeline, uncertain) = self.timeline.cut_at(day);
        let status = self.fold(&timeline);
        (Self { timeline, status, ..self.clone() }, uncertain)
    }

    /// The event as effective, if recording it now would simply add it to the end of the timeline.
    pub(crate) fn at_end(&self, event: &RecordedEvent) -> Option<Arc<EffectiveEvent>> {
        let name = &event.proposed.event_type;
        if is_note(name) || name == engine_types::GAP_DECLARED {
            return None;
        }
        let event = Arc::new(event.clone());
        if closes_any(&self.definition, &self.effective, &event) {
            return None;
        }
        let plain = Arc::new(EffectiveEvent::plain(self.definition.event(name)?, event));
        self.timeline.would_append(&plain).then_some(plain)
    }

    /// The judgement of every event of the timeline at its own place, in timeline order.
    pub(crate) fn judgements(&self) -> Vec<(Arc<EffectiveEvent>, Judgement)> {
        let mut status = self.before_first();
        self.timeline
            .places()
            .iter()
            .map(|placed| {
                let event = &placed.event;
                let judgement = judge(&self.definition, &status, &Question::about(event));
                status.step(&self.definition, event);
                (Arc::clone(event), judgement)
            })
            .collect()
    }

    /// Rules that passed only because something is not known, for the events recorded from this version on.
    pub(crate) fn unproven(&self, from: Version) -> Vec<String> {
        let mut judged = self.judgements();
        judged.retain(|(event, _)| event.version() >= from && !event.is_gap());
        judged.sort_by_key(|(event, _)| event.version());
        let rules = |(event, judgement): &(Arc<EffectiveEvent>, Judgement)| -> Vec<String> {
            let rules = &self.definition.event_type(event.event_type).rules;
            judgement.unproven.iter().map(|rule| rules[*rule].id.clone()).collect()
        };
        judged.iter().flat_map(rules).collect()
    }

    /// The status just before the event's place in the timeline.
    pub(crate) fn status_before(&self, id: EventId) -> Status {
        let mut status = self.before_first();
        for placed in self.timeline.places() {
            if placed.event.id() == id {
                break;
            }
            status.step(&self.definition, &placed.event);
        }
        status
    }

    /// The status before the first event of the timeline. It knows who corrects and annuls: notes have no place there.
    pub(crate) fn before_first(&self) -> Status {
        let mut status = Status::before_opening(&self.definition);
        let notes = self.log.iter().map(AsRef::as_ref).filter(|event: &&RecordedEvent| {
            let name = event.proposed.event_type.as_str();
            matches!(name, engine_types::EVENT_CORRECTED | engine_types::EVENT_ANNULLED)
        });
        status.count_notes(notes);
        status
    }

    /// The status at the end of a timeline.
    fn fold(&self, timeline: &Timeline) -> Status {
        let mut status = self.before_first();
        for placed in timeline.places() {
            status.step(&self.definition, &placed.event);
        }
        status
    }
}
