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

/// A value as a sentence or a step says it.
pub(crate) fn spoken(value: &Value) -> String {
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
#[derive(Debug)]
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

/// How widely events are thought of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// As a path names them: no entity that may be left out, and a parent where there is only one that it can be.
    Path,
    /// In every way that rows and conditions tell apart: with and without what may be left out, under every parent.
    Every {
        /// Also without fields that are required, as a gap stands for an event of which nobody knows what it said.
        with_gaps: bool,
    },
}

impl Width {
    /// In every way in which an event itself can be written.
    pub(crate) const EVERY: Self = Self::Every { with_gaps: false };
}

/// Events of these types about every entity of the universe, in every way that matters.
pub(crate) fn candidates(
    definition: &Definition,
    universe: &Universe,
    types: &BTreeSet<EventTypeId>,
    width: Width,
) -> Vec<Candidate> {
    let distinctions = definition.distinctions();
    let mut candidates = Vec::new();
    for &event in types {
        let mut variants = distinctions.variants(event);
        if let Width::Every { with_gaps } = width {
            leave_fields_out(definition, (event, with_gaps), &mut variants);
        }
        for scope in scopes(definition, universe, event, width) {
            for data in &variants {
                let number = candidates.len();
                candidates.push(Candidate::new(definition, event, scope.clone(), data.clone(), number));
            }
        }
    }
    candidates
}

/// The scopes of candidates, each once, and which of them each candidate has.
pub(crate) fn scopes_of(candidates: &[Candidate]) -> (Vec<&Scope>, Vec<usize>) {
    let mut known: HashMap<&Scope, usize> = HashMap::new();
    let mut scopes = Vec::new();
    let scope_of = candidates.iter().map(|candidate| {
        *known.entry(candidate.event.scope()).or_insert_with(|| {
            scopes.push(candidate.event.scope());
            scopes.len() - 1
        })
    });
    let scope_of = scope_of.collect();
    (scopes, scope_of)
}

/// Adds to the variants those without a field that rows look at and that may be lacking.
fn leave_fields_out(
    definition: &Definition,
    (event, with_gaps): (EventTypeId, bool),
    variants: &mut Vec<Payload>,
) {
    let rows = definition.strands.iter().flat_map(|strand| strand.rows.get(&event).into_iter().flatten());
    let starts = definition.strands.iter().flat_map(|strand| &strand.initial);
    let starts = starts.filter(|initial| initial.on == Some(event)).flat_map(|initial| &initial.branches);
    let branches = rows.flat_map(|row| &row.branches).chain(starts);
    let fields: BTreeSet<&String> =
        branches.flat_map(|branch| &branch.matches).map(|(field, _)| field).collect();
    let schema = &definition.event_type(event).schema;
    for field in fields {
        let may_lack = |required: bool| !required || (with_gaps && definition.event_type(event).may_be_gap);
        if schema.field(std::slice::from_ref(field)).is_none_or(|described| !may_lack(described.required)) {
            continue;
        }
        for mut variant in variants.clone() {
            if variant.remove(field).is_some() && !variants.contains(&variant) {
                variants.push(variant);
            }
        }
    }
}

/// What an event of a type may be about. A new entity's parents are named with it.
fn scopes(definition: &Definition, universe: &Universe, event: EventTypeId, width: Width) -> Vec<Scope> {
    let event_type = definition.event_type(event);
    let is_path = width == Width::Path;
    let mut named: Vec<(KindId, bool)> = Vec::new();
    for kind in &event_type.scope {
        let mut next = Some(*kind);
        while let Some(kind) = next {
            let is_known = named.iter().any(|(known, _)| *known == kind);
            let is_asked = event_type.scope.contains(&kind);
            let are_many = universe.get(&kind).is_none_or(|ids| ids.len() != 1);
            let is_left_open = is_path && !is_asked && are_many;
            if !is_known && !is_left_open {
                named.push((kind, false));
            }
            let introduces = event_type.introduction_of(kind) != Introduction::Never;
            next = definition.kinds[kind.index()].parent.filter(|_| is_path || introduces);
        }
    }
    if !is_path {
        let optional = event_type.scope_optional.iter();
        let optional = optional.filter(|kind| !named.iter().any(|(known, _)| known == *kind));
        let optional: Vec<(KindId, bool)> = optional.map(|kind| (*kind, true)).collect();
        named.extend(optional);
    }
    let mut scopes = vec![Scope::new()];
    for (kind, may_be_left_out) in named {
        let name = &definition.kinds[kind.index()].name;
        let ids = universe.get(&kind).map_or(&[][..], Vec::as_slice);
        let with = |scope: &Scope| -> Vec<Scope> {
            let with_id = |id: &String| {
                let mut scope = scope.clone();
                scope.insert(name.clone(), id.clone());
                scope
            };
            may_be_left_out.then(|| scope.clone()).into_iter().chain(ids.iter().map(with_id)).collect()
        };
        scopes = scopes.iter().flat_map(with).collect();
    }
    scopes
}

/// A missing event: type, scope, and the values that it must have had.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MissingEvent {
    pub(crate) event_type: EventTypeId,
    pub(crate) scope: Scope,
    pub(crate) data: Payload,
}
