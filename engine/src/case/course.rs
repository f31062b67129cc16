//! The course of a case: its events in the order in which they happened, and between them the states of every strand.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::effective::{EffectiveEvent, missing_of, target_of};
use super::event::{EventId, RecordedEvent, Scope, Version, engine_types};
use super::occurred::{Bounds, Occurred};
use super::state::CaseState;
use super::status::Status;
use crate::definition::condition::EntityId;
use crate::definition::{Definition, DerivedId, State};

/// The course of a case.
#[derive(Debug, Clone, Serialize)]
pub struct Course {
    /// The events of the timeline in its order; after them those that were annulled.
    pub events: Vec<CourseEvent>,
    /// A lane for every strand, derived strand and overlay that ever had a state: the case's first, then by entity.
    pub lanes: Vec<Lane>,
}

/// An event of a course.
#[derive(Debug, Clone, Serialize)]
pub struct CourseEvent {
    /// Its version.
    pub version: Version,
    /// What people call it; of a gap, what people call the missing step.
    pub title: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// When it happened, as it reads now.
    pub occurred: Occurred,
    /// Between which days, as far as its date and the events that it is linked to say.
    #[serde(skip)]
    pub bounds: Bounds,
    /// The days that it was recorded with, where a correction gave it others.
    #[serde(skip)]
    pub was: Option<Bounds>,
    /// It stands for a step of which nobody has the details.
    pub is_gap: bool,
    /// A correction changed it.
    pub is_corrected: bool,
    /// It was said not to have happened: it moves nothing.
    pub is_annulled: bool,
    /// A breach was noted about it.
    pub is_breach: bool,
    /// It was recorded against a rule.
    pub is_override: bool,
}

/// One strand of one entity over time.
#[derive(Debug, Clone, Serialize)]
pub struct Lane {
    /// The strand or derived strand; `strand/overlay` for an overlay.
    pub strand: String,
    /// What people call it.
    pub title: String,
    /// Whose; `None` for the case.
    pub entity: Option<String>,
    /// Kind of that entity.
    pub kind: Option<String>,
    /// Worked out from the others.
    pub is_derived: bool,
    /// Its states, one after the other.
    pub runs: Vec<Run>,
}

/// A state that lasts from one event to the event of the next run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Index of the event that began it.
    pub event: usize,
    /// The state; `None` where the strand has none any more.
    pub state: Option<String>,
    /// What people call the state.
    pub title: String,
    /// Nothing more is expected after it.
    pub is_final: bool,
}

/// Strand, overlay, whose.
type LaneName = (String, Option<String>);

/// The course of a case as its log reads now.
///
/// A pure function of the log: no instant of recording is in it, so two records of the same history give the same course.
#[must_use]
pub fn course(state: &CaseState) -> Course {
    let mut writer = Writer::default();
    writer.tell(state);
    writer.tell_annulled(state);
    mark_notes(state, &mut writer.events);
    let owners: Vec<Option<String>> = writer.owners;
    let place = |lane: &Lane| owners.iter().position(|owner| *owner == lane.entity);
    writer.lanes.sort_by_key(place);
    Course { events: writer.events, lanes: writer.lanes }
}

#[derive(Default)]
struct Writer {
    events: Vec<CourseEvent>,
    lanes: Vec<Lane>,
    known: HashMap<LaneName, usize>,
    owners: Vec<Option<String>>,
}

impl Writer {
    fn tell(&mut self, state: &CaseState) {
        if let Some(earlier) = state.earlier() {
            self.tell(&earlier.case);
        }
        let definition = state.definition();
        let mut status = state.before_first();
        for placed in state.timeline().places() {
            let event = &placed.event;
            let written = event.occurred().displayed_bounds();
            let bounds = Bounds {
                earliest: placed.bounds.earliest.or(written.earliest),
                latest: placed.bounds.latest.or(written.latest),
            };
            self.events.push(course_event(definition, event, bounds));
            status.step(definition, event);
            self.compare(definition, &status);
        }
    }

    /// Begins a run in every lane whose state is not the one that its last run has.
    fn compare(&mut self, definition: &Definition, status: &Status) {
        for (id, entity) in status.entities() {
            let owner = (id != EntityId::CASE).then(|| entity.id.to_string());
            if !self.owners.contains(&owner) {
                self.owners.push(owner.clone());
            }
            let kind = entity.kind.map(|kind| definition.kinds[kind.index()].name.as_str());
            for at in &entity.strands {
                let strand = &definition.strands[at.strand.index()];
                let now = at.state.map(|state| &strand.states[state.index()]);
                self.reach((&strand.name, &strand.title), (&owner, kind), false, now);
                for (index, overlay) in strand.overlays.iter().enumerate() {
                    let set =
                        State { name: overlay.name.clone(), title: overlay.title.clone(), is_final: false };
                    let now = Some(&set).filter(|_| at.overlays & (1 << index) != 0);
                    let name = format!("{}/{}", strand.name, overlay.name);
                    self.reach((&name, &overlay.title), (&owner, kind), false, now);
                }
            }
            for (index, strand) in (0_u16..).zip(&definition.derived) {
                if strand.per == entity.kind {
                    let now = status.derived(definition, id, DerivedId(index));
                    let now = now.map(|state| &strand.states[state.index()]);
                    self.reach((&strand.name, &strand.title), (&owner, kind), true, now);
                }
            }
        }
    }

    fn reach(
        &mut self,
        (name, title): (&str, &str),
        (owner, kind): (&Option<String>, Option<&str>),
        is_derived: bool,
        now: Option<&State>,
    ) {
        let key = (name.to_owned(), owner.clone());
        let lane = self.known.get(&key).copied();
        let before = lane.and_then(|lane| self.lanes[lane].runs.last()).and_then(|run| run.state.as_deref());
        if before == now.map(|state| state.name.as_str()) {
            return;
        }
        let lane = lane.unwrap_or_else(|| {
            self.known.insert(key, self.lanes.len());
            self.lanes.push(Lane {
                strand: name.to_owned(),
                title: title.to_owned(),
                entity: owner.clone(),
                kind: kind.map(str::to_owned),
                is_derived,
                runs: Vec::new(),
            });
            self.lanes.len() - 1
        });
        self.lanes[lane].runs.push(Run {
            event: self.events.len().saturating_sub(1),
            state: now.map(|state| state.name.clone()),
            title: now.map(|state| state.title.clone()).unwrap_or_default(),
            is_final: now.is_some_and(|state| state.is_final),
        });
    }

    fn tell_annulled(&mut self, state: &CaseState) {
        let annulled = &state.effective().annulled;
        for event in state.log().iter().filter(|event| annulled.contains_key(&event.id)) {
            let occurred = event.proposed.occurred.clone().unwrap_or_default();
            self.events.push(CourseEvent {
                version: event.version,
                title: title_of(state.definition_for(event), event),
                scope: event.proposed.scope.clone(),
                bounds: occurred.displayed_bounds(),
                occurred,
                was: None,
                is_gap: event.proposed.event_type == engine_types::GAP_DECLARED,
                is_corrected: false,
                is_annulled: true,
                is_breach: false,
                is_override: event.proposed.override_given.is_some(),
            });
        }
    }
}

fn course_event(definition: &Definition, event: &EffectiveEvent, bounds: Bounds) -> CourseEvent {
    let recorded = event.recorded.proposed.occurred.clone().unwrap_or_default();
    let was = Some(recorded.displayed_bounds()).filter(|was| *was != event.occurred().displayed_bounds());
    let types = std::iter::once(event.event_type).chain(event.other_types().iter().copied());
    let mut titles: Vec<&str> = types.map(|id| definition.event_type(id).title.as_str()).collect();
    titles.dedup();
    CourseEvent {
        version: event.version(),
        title: titles.join(" or "),
        scope: event.scope().clone(),
        occurred: event.occurred().clone(),
        bounds,
        was: was.filter(|_| event.closed_gap().is_none()),
        is_gap: event.is_gap(),
        is_corrected: false,
        is_annulled: false,
        is_breach: false,
        is_override: event.recorded.proposed.override_given.is_some(),
    }
}

/// What people call an event that is no part of the timeline.
fn title_of(definition: &Definition, event: &RecordedEvent) -> String {
    let said = &event.proposed;
    let title = |name: &str| {
        definition.event(name).map(|id| definition.event_type(id).title.clone()).unwrap_or_default()
    };
    if said.event_type != engine_types::GAP_DECLARED {
        return title(&said.event_type);
    }
    let mut titles: Vec<String> = missing_of(&said.data).into_iter().map(|(name, _)| title(name)).collect();
    titles.dedup();
    titles.join(" or ")
}

/// Marks the events that corrections and breaches are about.
fn mark_notes(state: &CaseState, events: &mut [CourseEvent]) {
    let corrected = &state.effective().corrected;
    let breached: HashSet<EventId> = state
        .log()
        .iter()
        .filter(|event| event.proposed.event_type == engine_types::BREACH_NOTED)
        .filter_map(|note| target_of(note, "event"))
        .collect();
    for event in events {
        let Some(id) = state.at_version(event.version).map(|recorded| recorded.id) else { continue };
        event.is_corrected = corrected.contains_key(&id);
        event.is_breach = breached.contains(&id);
    }
}
