//! Events that have not been written yet: every type that can matter, about every entity that can matter, in each way of
//! filling it in that a transition or a condition tells apart. What they leave open counts as possible.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::effective::{Changed, EffectiveEvent};
use super::event::{Payload, ProposedEvent, RecordedEvent, Recorder, Scope, Version};
use super::refusal::Step;
use super::status::Status;
use crate::definition::condition::{Cause, EntityId};
use crate::definition::mentions::Mentions;
use crate::definition::{Definition, EntityKind, EventTypeId, Introduction, KindId, RuleClass};

/// The most ways of filling in one event type that are told apart.
const VARIANTS_MAX: usize = 48;

/// The most entities of a kind that a search tries events about.
const ENTITIES_TRIED_MAX: usize = 3;

/// Versions of events that are only thought of start here.
const IMAGINED_VERSION: u64 = 1 << 48;

/// An event that might be written: what it would be about, and the values that matter.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) event: Arc<EffectiveEvent>,
}

impl Candidate {
    pub(crate) fn new(
        definition: &Definition,
        event_type: EventTypeId,
        scope: Scope,
        data: Payload,
        number: usize,
    ) -> Self {
        let name = &definition.event_type(event_type).name;
        let nobody = Recorder { id: String::new(), role: String::new() };
        let number = u64::try_from(number).unwrap_or(u64::MAX - IMAGINED_VERSION);
        let proposed = ProposedEvent { scope, ..ProposedEvent::new(name, nobody) };
        let recorded = RecordedEvent::imagined(proposed, Version(IMAGINED_VERSION + number));
        let changed = Changed { known: data.clone(), data, absent: Some(Cause::Open), ..Changed::default() };
        let event =
            EffectiveEvent { event_type, recorded: Arc::new(recorded), changed: Some(Box::new(changed)) };
        Self { event: Arc::new(event) }
    }

    /// As a step of a path, for people.
    pub(crate) fn step(&self, definition: &Definition) -> Step {
        let event = &self.event;
        MissingEvent {
            event_type: event.event_type,
            scope: event.scope().clone(),
            data: event.data().clone(),
        }
        .step(definition)
    }
}

impl MissingEvent {
    /// As a step of a path, for people.
    pub(crate) fn step(&self, definition: &Definition) -> Step {
        Step {
            event_type: definition.event_type(self.event_type).name.clone(),
            scope: self.scope.clone(),
            with: self.data.iter().map(|(field, value)| format!("{field}={}", spoken(value))).collect(),
        }
    }
}

fn spoken(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The ids that a search tries, by kind.
pub(crate) type Universe = BTreeMap<KindId, Vec<String>>;

/// What stands before the kind in the place of an id where an entity is yet to come.
const TO_COME: &str = "new ";

/// An entity of this kind that is yet to come, in the place of an id.
pub(crate) fn new_entity(kind: &EntityKind) -> String {
    format!("{TO_COME}{}", kind.name)
}

/// Whether this stands for an entity that is yet to come.
pub(crate) fn is_to_come(id: &str) -> bool {
    id.starts_with(TO_COME)
}

/// The entities that can matter for an event: those that it names, their families, and a few of every other kind.
pub(crate) fn universe_for(definition: &Definition, status: &Status, scope: &Scope) -> Universe {
    let mut universe = Universe::new();
    let closure = status.closure(definition, scope);
    for (index, kind) in definition.kinds.iter().enumerate() {
        let kind_id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
        let named = scope.get(&kind.name).cloned().or_else(|| {
            let entity = closure.iter().find(|entity| status.entity(**entity).kind == Some(kind_id))?;
            Some(status.entity(*entity).id.to_string())
        });
        let ids = match named {
            Some(id) => vec![id],
            None => {
                let parent = kind.parent.and_then(|parent| {
                    closure.iter().find(|entity| status.entity(**entity).kind == Some(parent))
                });
                let known = status.children(parent.copied().unwrap_or(EntityId::CASE), kind_id);
                let ids: Vec<String> = known
                    .iter()
                    .take(ENTITIES_TRIED_MAX)
                    .map(|entity| status.entity(*entity).id.to_string())
                    .collect();
                if ids.is_empty() { vec![new_entity(kind)] } else { ids }
            }
        };
        universe.insert(kind_id, ids);
    }
    universe
}

/// The field values that transitions and conditions tell apart, by event type.
pub(crate) struct Distinctions {
    fields: HashMap<EventTypeId, BTreeMap<String, Vec<Value>>>,
}

impl Distinctions {
    /// Reads a whole definition.
    pub(crate) fn of(definition: &Definition) -> Self {
        let mut mentions = Mentions::default();
        for (index, event) in definition.events.iter().enumerate() {
            let id = EventTypeId(u16::try_from(index).unwrap_or(u16::MAX));
            for rule in &event.rules {
                let mut asked = Mentions::default();
                asked.of_rule(id, rule);
                // What a rule that never refuses asks of its own event stays open, and open it breaks nothing.
                if rule.class == RuleClass::Compliance {
                    asked.event_values.retain(|(event, _), _| *event != id);
                }
                mentions.join(asked);
            }
        }
        for condition in definition.derived.iter().flat_map(|derived| &derived.conditions) {
            mentions.of_condition(None, condition);
        }
        let mut fields: HashMap<EventTypeId, BTreeMap<String, Vec<Value>>> = HashMap::new();
        let mut tell_apart = |event: EventTypeId, field: &str, values: &[Value]| {
            let known = fields.entry(event).or_default().entry(field.to_owned()).or_default();
            for value in values {
                if !known.contains(value) {
                    known.push(value.clone());
                }
            }
        };
        for ((event, field), values) in &mentions.event_values {
            tell_apart(*event, field, values);
        }
        for ((kind, field), values) in &mentions.entity_values {
            for (index, event) in definition.events.iter().enumerate() {
                let id = EventTypeId(u16::try_from(index).unwrap_or(u16::MAX));
                if event.introduction_of(*kind) != Introduction::Never || event.amends.contains(kind) {
                    tell_apart(id, field, values);
                }
            }
        }
        for strand in &definition.strands {
            let rows = strand
                .rows
                .iter()
                .flat_map(|(event, rows)| rows.iter().map(move |row| (*event, &row.branches)));
            let starts = strand.initial.iter().filter_map(|initial| Some((initial.on?, &initial.branches)));
            for (event, branches) in rows.chain(starts) {
                for (field, values) in branches.iter().flat_map(|branch| &branch.matches) {
                    tell_apart(event, field, values);
                }
            }
        }
        let mut distinctions = Self { fields };
        distinctions.add_other_values(definition);
        distinctions
    }

    /// For each listed field, one value beside those that are told apart; fields that the schema lacks are dropped.
    fn add_other_values(&mut self, definition: &Definition) {
        for (event, fields) in &mut self.fields {
            let schema = &definition.event_type(*event).schema;
            fields.retain(|name, values| {
                let path: Vec<String> = name.split('.').map(str::to_owned).collect();
                let Some(field) = schema.field(&path) else { return false };
                // A field that is only compared with other fields stays open.
                if path.len() > 1 || values.is_empty() {
                    return false;
                }
                let listed = field.enumeration.unwrap_or_else(|| match field.kind {
                    crate::definition::schema::FieldKind::Boolean => {
                        vec![Value::Bool(true), Value::Bool(false)]
                    }
                    _ => Vec::new(),
                });
                if !listed.is_empty() {
                    values.retain(|value| listed.contains(value));
                    values.extend(listed.into_iter().find(|value| !values.contains(value)));
                }
                values.sort_by_key(Value::to_string);
                !values.is_empty()
            });
        }
    }

    /// Whether [`Self::variants`] are all that matter, and none was left out for their number.
    pub(crate) fn is_complete(&self, event: EventTypeId) -> bool {
        let counts = self.fields.get(&event).into_iter().flatten().map(|(_, values)| values.len());
        counts.product::<usize>() <= VARIANTS_MAX
    }

    /// The ways of filling in an event of this type that matter.
    pub(crate) fn variants(&self, event: EventTypeId) -> Vec<Payload> {
        let mut variants = vec![Payload::new()];
        for (field, values) in self.fields.get(&event).into_iter().flatten() {
            if variants.len() * values.len() > VARIANTS_MAX {
                break;
            }
            variants = variants
                .iter()
                .flat_map(|variant| {
                    values.iter().map(move |value| {
                        let mut variant = variant.clone();
                        variant.insert(field.clone(), value.clone());
                        variant
                    })
                })
                .collect();
        }
        variants
    }
}

/// Events of these types about every entity of the universe, in every way that matters.
pub(crate) fn candidates(
    definition: &Definition,
    distinctions: &Distinctions,
    universe: &Universe,
    types: &BTreeSet<EventTypeId>,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for &event in types {
        let event_type = definition.event_type(event);
        let mut scopes = vec![Scope::new()];
        for kind in &event_type.scope {
            let ids = universe.get(kind).map_or(&[][..], Vec::as_slice);
            scopes = scopes
                .iter()
                .flat_map(|scope| {
                    ids.iter().map(|id| {
                        let mut scope = scope.clone();
                        scope.insert(definition.kinds[kind.index()].name.clone(), id.clone());
                        name_parents(definition, universe, *kind, &mut scope);
                        scope
                    })
                })
                .collect();
        }
        for scope in scopes {
            for data in distinctions.variants(event) {
                candidates.push(Candidate::new(definition, event, scope.clone(), data, candidates.len()));
            }
        }
    }
    candidates
}

/// A new entity needs its parents named; where the universe has one only, it is that one.
fn name_parents(definition: &Definition, universe: &Universe, kind: KindId, scope: &mut Scope) {
    let mut next = definition.kinds[kind.index()].parent;
    while let Some(parent) = next {
        let kind = &definition.kinds[parent.index()];
        if let Some([only]) = universe.get(&parent).map(Vec::as_slice) {
            scope.entry(kind.name.clone()).or_insert_with(|| only.clone());
        }
        next = kind.parent;
    }
}

/// A missing event: type, scope, and the values that it must have had.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MissingEvent {
    pub(crate) event_type: EventTypeId,
    pub(crate) scope: Scope,
    pub(crate) data: Payload,
}
