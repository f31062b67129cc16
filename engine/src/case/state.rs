//! A case as loaded: its record, its timeline, its status. [`CaseState::evolve`] adds one event and cannot fail.

use std::sync::Arc;

use super::adoption::{Adoption, Earlier, Library, adoptions, notes_about};
use super::clock::{Clocks, Mark};
use super::effective::{Effective, EffectiveEvent, closes_any, effective, is_note};
use super::event::{EventId, Position, RecordedEvent, Version, engine_types};
use super::judge::{Judgement, Question, judge};
use super::occurred::{Bounds, Day};
use super::status::Status;
use super::timeline::Timeline;
use crate::definition::Definition;

/// Everything that is known of one case: a pure function of its log and the definitions that the log names.
#[derive(Debug, Clone)]
pub struct CaseState {
    /// The definition that the case is under now.
    definition: Arc<Definition>,
    opened_under: Arc<Definition>,
    library: Library,
    /// What stands before an adoption that mapped states; timeline and status are of what was recorded since.
    earlier: Option<Arc<Earlier>>,
    log: Vec<Arc<RecordedEvent>>,
    positions: Vec<Position>,
    effective: Arc<Effective>,
    timeline: Timeline,
    status: Status,
    clocks: Clocks,
}

impl CaseState {
    /// A case without events.
    #[must_use]
    pub fn before_opening(definition: Arc<Definition>) -> Self {
        let status = Status::before_opening(&definition);
        Self {
            opened_under: Arc::clone(&definition),
            definition,
            library: Library::default(),
            earlier: None,
            log: Vec::new(),
            positions: Vec::new(),
            effective: Arc::default(),
            timeline: Timeline::default(),
            status,
            clocks: Clocks::default(),
        }
    }

    /// The same case, with the definitions that later events of it may adopt.
    #[must_use]
    pub fn knowing(self, library: Library) -> Self {
        Self { library, ..self }
    }

    /// The case that this log tells, in one pass. For a log that adopts another version see [`CaseState::replay_with`].
    #[must_use]
    pub fn replay(
        definition: Arc<Definition>,
        events: impl IntoIterator<Item = (Position, RecordedEvent)>,
    ) -> Self {
        Self::replay_with(definition, Library::default(), events)
    }

    /// The case that this log tells: opened under the definition, the versions that it adopted taken from the library.
    #[must_use]
    pub fn replay_with(
        definition: Arc<Definition>,
        library: Library,
        events: impl IntoIterator<Item = (Position, RecordedEvent)>,
    ) -> Self {
        let mut state = Self::before_opening(definition).knowing(library);
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
            // A correction, an annulment, another version of the definition: the case is read anew.
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
        self.clocks.step(&self.definition, &self.status, &plain);
        true
    }

    fn compute(&mut self) {
        let adopted = adoptions(&self.opened_under, &self.log, &self.library);
        let last = adopted.last().map_or(&self.opened_under, |adoption| &adoption.definition);
        self.definition = Arc::clone(last);
        let mapped = adopted.iter().rposition(|adoption| adoption.mapping().is_some());
        self.earlier = mapped.map(|index| Arc::new(self.earlier_part(&adopted[index..])));
        let since = mapped.map_or(0, |index| adopted[index].at);
        let mut read = effective(&self.definition, &self.log[since..]);
        if let Some(earlier) = &self.earlier {
            read.include(earlier.case.effective());
        }
        self.effective = Arc::new(read);
        self.timeline = Timeline::of(&self.effective.events);
        (self.status, self.clocks) = self.fold(&self.timeline);
    }

    /// The case before an adoption that mapped its states, the first of these.
    fn earlier_part(&self, adopted: &[Adoption]) -> Earlier {
        let at = adopted[0].at;
        let (before, since) = self.log.split_at(at);
        let mut case = Self::before_opening(Arc::clone(&self.opened_under)).knowing(self.library.clone());
        let kept = (0..at).chain(notes_about(before, since).into_iter().map(|index| at + index));
        (case.log, case.positions) =
            kept.map(|index| (Arc::clone(&self.log[index]), self.positions[index])).unzip();
        case.compute();
        Earlier::of(case, &self.log[at], adopted)
    }

    /// What stands before an adoption that mapped states.
    pub(crate) fn earlier(&self) -> Option<&Earlier> {
        self.earlier.as_deref()
    }

    /// The effective events of the whole case in the order in which they happened, those before a mapping first.
    pub(crate) fn told(&self) -> Vec<&Arc<EffectiveEvent>> {
        let mut told = self.earlier().map(|earlier| earlier.case.told()).unwrap_or_default();
        told.extend(self.timeline.places().iter().map(|placed| &placed.event));
        told
    }

    /// The effective events of the whole case in record order.
    pub(crate) fn effective_events(&self) -> Vec<&Arc<EffectiveEvent>> {
        let mut events = self.earlier().map(|earlier| earlier.case.effective_events()).unwrap_or_default();
        events.extend(&self.effective.events);
        events
    }

    /// The case before anything was recorded, ready to hear its log again.
    pub(crate) fn untold(&self) -> Self {
        Self::before_opening(Arc::clone(&self.opened_under)).knowing(self.library.clone())
    }

    /// The definitions that the case's log may name.
    pub(crate) fn library(&self) -> &Library {
        &self.library
    }

    /// The definition that an event was recorded under; the present one where it is not known.
    pub(crate) fn definition_for(&self, event: &RecordedEvent) -> &Arc<Definition> {
        if event.definition == self.definition.pin() {
            return &self.definition;
        }
        let opened = Some(&self.opened_under).filter(|opened| opened.pin() == event.definition);
        opened.or_else(|| self.library.pinned(&event.definition)).unwrap_or(&self.definition)
    }

    /// The same log, as it would read had the case been under this definition from its opening. Nothing is adopted.
    #[must_use]
    pub fn read_under(&self, definition: Arc<Definition>) -> Self {
        let mut state = Self::before_opening(definition);
        state.log.clone_from(&self.log);
        state.positions.clone_from(&self.positions);
        state.compute();
        state
    }

    /// The definition that the case is under: the one it was opened under, or the last it adopted.
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

    /// What started, met and adjusted each deadline, up to the end of its timeline.
    #[must_use]
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
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
        let mut state = self.untold();
        let kept = self.log.iter().zip(&self.positions).filter(|(event, _)| recorded(event));
        (state.log, state.positions) = kept.map(|(event, position)| (Arc::clone(event), *position)).unzip();
        state.compute();
        state
    }

    /// The case as it stood in the world at the end of a day, and the events that only may have happened by then.
    #[must_use]
    pub fn as_at(&self, day: Day) -> (Self, std::collections::HashSet<EventId>) {
        if let Some(earlier) = self.earlier().filter(|earlier| earlier.until.is_some_and(|until| day < until))
        {
            let (case, uncertain) = earlier.case.as_at(day);
            return (Self { log: self.log.clone(), positions: self.positions.clone(), ..case }, uncertain);
        }
        let (timeline, uncertain) = self.timeline.cut_at(day);
        let (status, clocks) = self.fold(&timeline);
        (Self { timeline, status, clocks, ..self.clone() }, uncertain)
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

    /// The status before the first event of the timeline: before the opening, or with the states that an adoption mapped. It
    /// knows who corrects and annuls: notes have no place there.
    pub(crate) fn before_first(&self) -> Status {
        let mut status = match &self.earlier {
            Some(earlier) => earlier.start.clone(),
            None => Status::before_opening(&self.definition),
        };
        let notes = self.log.iter().map(AsRef::as_ref).filter(|event: &&RecordedEvent| {
            let name = event.proposed.event_type.as_str();
            matches!(name, engine_types::EVENT_CORRECTED | engine_types::EVENT_ANNULLED)
        });
        status.count_notes(notes);
        status
    }

    /// The status and the clocks at the end of a timeline.
    fn fold(&self, timeline: &Timeline) -> (Status, Clocks) {
        let mut status = self.before_first();
        // What ran before an adoption that mapped states runs on.
        let mut clocks = self.earlier().map_or_else(Clocks::default, |earlier| {
            let adopted = Mark {
                event: self.at_version(earlier.ended_by).map_or(EventId(uuid::Uuid::nil()), |event| event.id),
                version: earlier.ended_by,
                when: earlier
                    .until
                    .map_or(Bounds::OPEN, |day| Bounds { earliest: Some(day), latest: Some(day) }),
            };
            earlier.case.clocks.carried(earlier.case.definition(), &self.definition, &status, &adopted)
        });
        for placed in timeline.places() {
            status.step(&self.definition, &placed.event);
            clocks.step(&self.definition, &status, &placed.event);
        }
        (status, clocks)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::super::decide::{CaseName, Supply, Terms, decide};
    use super::super::event::{CaseId, ProposedEvent, Recorder};
    use super::super::occurred::Occurred;
    use super::super::status::work;
    use super::*;
    use crate::definition::compile::compile;
    use crate::definition::source::SourceFile;

    const NOTES: &str = "
workflow: notes
version: 1
language: casebook/1
title: Notes
timezone: Europe/London
roles: { clerk: { title: Clerk } }
events:
  case-opened: { title: Opened }
  note-made:
    title: Note made
    rules: [{ id: not-many, class: compliance, require: case.count('note-made') < 5000, message: too many }]
";

    /// The decision on an event of a day of January 2020, taken into the case.
    fn record(state: &mut CaseState, event_type: &str, day: u8) {
        let name = CaseName { reference: "R/1".into(), case_id: CaseId(Uuid::nil()) };
        let by = Recorder { id: "clerk-1".into(), role: "clerk".into() };
        let mut event = ProposedEvent::new(event_type, by);
        event.occurred = Some(Occurred::parse(&format!("2020-01-{day:02}")).expect("a date"));
        let id = Uuid::from_u128(u128::from(state.version().0) + 1);
        let (mut new_id, mut salt) = (|| id, || String::from("AAAAAAAAAAAAAAAAAAAAAA=="));
        let mut supply = Supply { now: Timestamp::UNIX_EPOCH, new_id: &mut new_id, new_salt: &mut salt };
        let decision =
            decide(state, &name, &[event], &Terms::default(), &mut supply).expect("a lawful event");
        for event in decision.events {
            let position = state.position().next();
            state.evolve(event, position);
        }
    }

    /// The steps that deciding and taking one more note costs, after so many.
    fn cost_after(count: usize, day: u8) -> usize {
        let files = [SourceFile { name: "definition.yaml".into(), text: NOTES.into() }];
        let definition = compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let mut state = CaseState::before_opening(Arc::new(definition));
        record(&mut state, "case-opened", 1);
        for _ in 1..count {
            record(&mut state, "note-made", 2);
        }
        let before = work::STEPS.get();
        record(&mut state, "note-made", day);
        work::STEPS.get() - before
    }

    #[test]
    fn an_append_at_the_end_costs_the_same_however_long_the_case_is() {
        assert_eq!((cost_after(10, 3), cost_after(1_000, 3)), (1, 1));
        // What is counted does grow where the event is late.
        assert!(cost_after(10, 1) > 10);
    }
}
