//! What the log says once corrections, annulments and closed gaps are taken into account.
//!
//! Record order is kept; [`super::timeline`] puts the result in the order in which things happened.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::event::{EventId, Payload, RecordedEvent, Scope, Version, engine_types};
use super::occurred::{Occurred, Order};
use crate::definition::condition::{Cause, EventFacts};
use crate::definition::{Definition, EventTypeId, KindId};

/// An event of the timeline: as recorded, as corrected, or standing for a missing one.
#[derive(Debug, Clone)]
pub struct EffectiveEvent {
    /// Its type in the definition; for a gap, the missing type (the first of the alternatives).
    pub event_type: EventTypeId,
    /// The event as recorded.
    pub recorded: Arc<RecordedEvent>,
    pub(crate) changed: Option<Box<Changed>>,
}

/// Where an effective event differs from what was recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changed {
    /// The payload that moves strands.
    pub(crate) data: Payload,
    /// The payload that conditions may read: in a gap with alternatives, what all of them share.
    pub(crate) known: Payload,
    /// When, if it differs.
    pub(crate) occurred: Option<Occurred>,
    /// Whose decision, if it differs.
    pub(crate) decided_by: Option<String>,
    /// Why fields may be absent.
    pub(crate) absent: Option<Cause>,
    /// Further types that the missing event may have been.
    pub(crate) other_types: Vec<EventTypeId>,
    /// Whether it stands for a missing event.
    pub(crate) is_gap: bool,
    /// The gap that it closed, and whose links to other events, and theirs to it, it takes over.
    pub(crate) closes: Option<EventId>,
}

static UNKNOWN: std::sync::LazyLock<Occurred> = std::sync::LazyLock::new(Occurred::unknown);

impl EffectiveEvent {
    /// An event of this type as recorded.
    #[must_use]
    pub fn plain(event_type: EventTypeId, recorded: Arc<RecordedEvent>) -> Self {
        Self { event_type, recorded, changed: None }
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.recorded.version
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.recorded.id
    }

    /// The entities that it names.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.recorded.proposed.scope
    }

    /// Whether it stands for a missing event.
    #[must_use]
    pub fn is_gap(&self) -> bool {
        self.changed.as_ref().is_some_and(|changed| changed.is_gap)
    }

    /// The payload that moves strands.
    #[must_use]
    pub fn data(&self) -> &Payload {
        self.changed.as_ref().map_or(&self.recorded.proposed.data, |changed| &changed.data)
    }

    /// When it happened.
    #[must_use]
    pub fn occurred(&self) -> &Occurred {
        self.changed
            .as_ref()
            .and_then(|changed| changed.occurred.as_ref())
            .or(self.recorded.proposed.occurred.as_ref())
            .unwrap_or(&UNKNOWN)
    }

    /// Further types that the missing event may have been.
    #[must_use]
    pub fn other_types(&self) -> &[EventTypeId] {
        self.changed.as_ref().map_or(&[], |changed| &changed.other_types)
    }

    /// The gap that it closed.
    pub(crate) fn closed_gap(&self) -> Option<EventId> {
        self.changed.as_ref().and_then(|changed| changed.closes)
    }

    /// As conditions see it.
    #[must_use]
    pub fn facts(&self) -> EventFacts<'_> {
        let proposed = &self.recorded.proposed;
        let changed = self.changed.as_deref();
        let absent = changed.and_then(|changed| changed.absent);
        let written = absent != Some(Cause::Open);
        EventFacts {
            data: changed.map_or(&proposed.data, |changed| &changed.known),
            absent,
            occurred: self.occurred(),
            recorder_role: written.then_some(proposed.recorded_by.role.as_str()),
            recorder_id: written.then_some(proposed.recorded_by.id.as_str()),
            decider_body: changed
                .and_then(|changed| changed.decided_by.as_deref())
                .or(proposed.decided_by.as_ref().map(|decider| decider.body.as_str())),
        }
    }
}

/// The log as it now reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effective {
    /// Events of the timeline, in record order.
    pub(crate) events: Vec<Arc<EffectiveEvent>>,
    /// Annulled event and the annulment's version.
    pub(crate) annulled: HashMap<EventId, Version>,
    /// Corrected event and the versions of the corrections that apply.
    pub(crate) corrected: HashMap<EventId, Vec<Version>>,
    /// Gap and the event that closed it.
    pub(crate) closed_gaps: HashMap<EventId, Version>,
    /// Gaps that no event has closed.
    pub(crate) open_gaps: Vec<Arc<EffectiveEvent>>,
}

impl Effective {
    /// Takes over what is said of events that stand before a mapping of states.
    pub(crate) fn include(&mut self, earlier: &Self) {
        self.annulled.extend(&earlier.annulled);
        self.corrected.extend(earlier.corrected.iter().map(|(id, versions)| (*id, versions.clone())));
        self.closed_gaps.extend(&earlier.closed_gaps);
    }
}

/// Whether the event is a note about other events, or about the case's definition, rather than a thing that happened: no
/// part of the timeline.
pub(crate) fn is_note(event_type: &str) -> bool {
    matches!(
        event_type,
        engine_types::EVENT_CORRECTED
            | engine_types::EVENT_ANNULLED
            | engine_types::BREACH_NOTED
            | engine_types::DEFINITION_MIGRATED
    )
}

/// Reads the log: leaves out notes and what was annulled, applies corrections, lets events close gaps.
pub(crate) fn effective(definition: &Definition, log: &[Arc<RecordedEvent>]) -> Effective {
    let annulled = annulments(log);
    let mut corrections: HashMap<EventId, Vec<&RecordedEvent>> = HashMap::new();
    for event in log {
        if event.proposed.event_type == engine_types::EVENT_CORRECTED
            && !annulled.contains_key(&event.id)
            && let Some(target) = target_of(event, "corrects")
        {
            corrections.entry(target).or_default().push(event);
        }
    }
    let mut reading = Effective { annulled, ..Effective::default() };
    let mut open_gaps: Vec<usize> = Vec::new();
    for event in log {
        if is_note(&event.proposed.event_type) || reading.annulled.contains_key(&event.id) {
            continue;
        }
        let Some(mut read) = read_event(definition, event) else { continue };
        if let Some(list) = corrections.get(&event.id) {
            reading.corrected.insert(event.id, list.iter().map(|correction| correction.version).collect());
            apply_corrections(&mut read, list);
        }
        if read.is_gap() {
            open_gaps.push(reading.events.len());
            reading.events.push(Arc::new(read));
            continue;
        }
        let closed = open_gaps
            .iter()
            .position(|gap| closes(definition, &reading.events, &reading.events[*gap], &read))
            .map(|place| open_gaps.remove(place));
        match closed {
            Some(gap) => {
                reading.closed_gaps.insert(reading.events[gap].id(), event.version);
                take_place_of(&mut read, &reading.events[gap]);
                reading.events[gap] = Arc::new(read);
            }
            None => reading.events.push(Arc::new(read)),
        }
    }
    reading.open_gaps = open_gaps.iter().map(|gap| Arc::clone(&reading.events[*gap])).collect();
    reading
}

/// Which events are annulled, and by which version: annulments stand in record order, and none can be annulled.
fn annulments(log: &[Arc<RecordedEvent>]) -> HashMap<EventId, Version> {
    log.iter()
        .filter(|event| event.proposed.event_type == engine_types::EVENT_ANNULLED)
        .filter_map(|event| Some((target_of(event, "annuls")?, event.version)))
        .collect()
}

/// The event that a correction or annulment names.
pub(crate) fn target_of(event: &RecordedEvent, field: &str) -> Option<EventId> {
    event.proposed.data.get(field)?.as_str()?.parse().ok().map(EventId)
}

/// An event as the timeline holds it before corrections; `None` for a type that the definition does not have.
fn read_event(definition: &Definition, event: &Arc<RecordedEvent>) -> Option<EffectiveEvent> {
    if event.proposed.event_type == engine_types::GAP_DECLARED {
        return read_gap(definition, event);
    }
    let event_type = definition.event(&event.proposed.event_type)?;
    Some(EffectiveEvent::plain(event_type, Arc::clone(event)))
}

/// The alternatives that a gap names: type and the values that the step must have had.
pub(crate) fn missing_of(data: &Payload) -> Vec<(&str, Payload)> {
    let one = |value: &'_ Payload| {
        value.get("missing_data").and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let name = |value| Payload::get(value, "missing_type").and_then(Value::as_str);
    match data.get("one_of").and_then(Value::as_array) {
        Some(list) => list
            .iter()
            .filter_map(Value::as_object)
            .filter_map(|alternative| Some((name(alternative)?, one(alternative))))
            .collect(),
        None => name(data).map(|missing| (missing, one(data))).into_iter().collect(),
    }
}

fn read_gap(definition: &Definition, event: &Arc<RecordedEvent>) -> Option<EffectiveEvent> {
    let alternatives: Vec<(EventTypeId, Payload)> = missing_of(&event.proposed.data)
        .into_iter()
        .filter_map(|(name, data)| Some((definition.event(name)?, data)))
        .collect();
    let (event_type, data) = alternatives.first()?.clone();
    let known = data
        .iter()
        .filter(|(field, value)| alternatives.iter().all(|(_, other)| other.get(*field) == Some(value)))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    let mut other_types: Vec<EventTypeId> =
        alternatives.iter().map(|(other, _)| *other).filter(|other| *other != event_type).collect();
    other_types.dedup();
    let changed = Changed {
        data,
        known,
        absent: Some(Cause::Missing),
        other_types,
        is_gap: true,
        ..Changed::default()
    };
    Some(EffectiveEvent { event_type, recorded: Arc::clone(event), changed: Some(Box::new(changed)) })
}

fn apply_corrections(event: &mut EffectiveEvent, corrections: &[&RecordedEvent]) {
    let mut changed = event.changed.take().unwrap_or_else(|| {
        let data = event.recorded.proposed.data.clone();
        Box::new(Changed { known: data.clone(), data, ..Changed::default() })
    });
    let links = event.recorded.proposed.occurred.clone().unwrap_or_default();
    for correction in corrections {
        let Some(fields) = correction.proposed.data.get("fields").and_then(Value::as_object) else {
            continue;
        };
        for (field, value) in fields {
            match field.as_str() {
                "occurred" => changed.occurred = redated(&links, value),
                "decided_by" => {
                    changed.decided_by = value.get("body").and_then(Value::as_str).map(str::to_owned);
                }
                name => {
                    let name = name.strip_prefix("data.").unwrap_or(name);
                    set_or_remove(&mut changed.data, name, value);
                    set_or_remove(&mut changed.known, name, value);
                }
            }
        }
    }
    event.changed = Some(changed);
}

/// The corrected date; links that the correction does not replace stay.
fn redated(before: &Occurred, value: &Value) -> Option<Occurred> {
    let mut occurred: Occurred = serde_json::from_value(value.clone()).ok()?;
    if occurred.after.is_empty() && occurred.before.is_empty() {
        occurred.after.clone_from(&before.after);
        occurred.before.clone_from(&before.before);
    }
    Some(occurred)
}

fn set_or_remove(data: &mut Payload, field: &str, value: &Value) {
    if value.is_null() {
        data.remove(field);
    } else {
        data.insert(field.to_owned(), value.clone());
    }
}

/// Whether a real event is the step that the gap stands for: one of its types, the same scope, no value that the
/// gap rules out, no date that contradicts the gap's own or those of the events between which it stands.
fn closes(
    definition: &Definition,
    events: &[Arc<EffectiveEvent>],
    gap: &EffectiveEvent,
    event: &EffectiveEvent,
) -> bool {
    may_close(definition, gap, event)
        && gap.occurred().order(event.occurred()) == Order::Indeterminate
        && fits_between(events, gap, event)
}

/// The same but for dates.
pub(crate) fn may_close(definition: &Definition, gap: &EffectiveEvent, event: &EffectiveEvent) -> bool {
    if gap.event_type != event.event_type && !gap.other_types().contains(&event.event_type) {
        return false;
    }
    let alternatives = missing_of(&gap.recorded.proposed.data);
    let name = event.recorded.proposed.event_type.as_str();
    own_scope(definition, gap.scope()) == own_scope(definition, event.scope())
        && alternatives.iter().any(|(missing, data)| {
            *missing == name && data.iter().all(|(field, value)| event.data().get(field) == Some(value))
        })
}

/// Whether the event's date leaves it between the events that the gap is linked to. What proves a gap does not close it.
fn fits_between(events: &[Arc<EffectiveEvent>], gap: &EffectiveEvent, event: &EffectiveEvent) -> bool {
    let links = gap.occurred();
    let order_to = |id: &String| {
        let linked = events.iter().find(|other| other.id().to_string() == *id);
        linked.map_or(Order::Indeterminate, |linked| event.occurred().order(linked.occurred()))
    };
    !links.before.contains(&event.id().to_string())
        && !links.after.iter().any(|id| order_to(id) == Order::Before)
        && !links.before.iter().any(|id| order_to(id) == Order::After)
}

/// The scope without the parents that its entities bring along anyway.
fn own_scope<'s>(definition: &Definition, scope: &'s Scope) -> Vec<(&'s str, &'s str)> {
    let named: Vec<KindId> = scope.keys().filter_map(|name| definition.kind(name)).collect();
    let is_parent = |name: &str| {
        definition
            .kind(name)
            .is_some_and(|kind| named.iter().any(|other| definition.is_ancestor(kind, *other)))
    };
    let own = scope.iter().filter(|(name, _)| !is_parent(name));
    own.map(|(name, id)| (name.as_str(), id.as_str())).collect()
}

/// Whether the event, recorded now, would close a gap that is open.
pub(crate) fn closes_any(definition: &Definition, reading: &Effective, event: &Arc<RecordedEvent>) -> bool {
    if reading.open_gaps.is_empty() {
        return false;
    }
    let Some(event_type) = definition.event(&event.proposed.event_type) else { return false };
    let proof = EffectiveEvent::plain(event_type, Arc::clone(event));
    reading.open_gaps.iter().any(|gap| closes(definition, &reading.events, gap, &proof))
}

/// The event takes over the gap's place among the events, its links, and the links of others to it.
fn take_place_of(event: &mut EffectiveEvent, gap: &EffectiveEvent) {
    let links = gap.occurred();
    let mut occurred = event.occurred().clone();
    occurred.after.extend(links.after.iter().cloned());
    occurred.before.extend(links.before.iter().cloned());
    let changed = event.changed.get_or_insert_with(|| {
        let data = event.recorded.proposed.data.clone();
        Box::new(Changed { known: data.clone(), data, ..Changed::default() })
    });
    changed.occurred = Some(occurred);
    changed.closes = Some(gap.id());
}
