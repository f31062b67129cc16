//! One strand as a finite automaton: what may happen to it, one event after another, rules left aside.
//!
//! Its alphabet is the [`Variant`]s: an event type together with the field values on which some branch depends.
//! Two definitions share one alphabet, so that their automata can be walked side by side.

use serde_json::Value;

use super::schema::{Field, FieldKind};
use super::{Branch, Definition, EventTypeId, Ownership, StateId, Strand, StrandId};
use crate::case::event::{Scope, engine_types};
use crate::case::refusal::Step;

/// Variants of one event type that are told apart. Past it a search is not complete, and says so.
pub(crate) const VARIANTS_MAX: usize = 256;

/// An event type, and the values on which a branch depends; `None` is an absent field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) event: String,
    pub(crate) values: Vec<(String, Option<Value>)>,
}

/// Where a strand's instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// The entity is not introduced, or the case not opened.
    Absent,
    /// It is, and the strand has not started.
    Waiting,
    /// In a state.
    In(StateId),
}

/// The variants of every event that the strand mentions in one of the definitions, and whether those are all.
pub(crate) fn variants(definitions: &[(&Definition, StrandId)]) -> (Vec<Variant>, bool) {
    let mut names: Vec<&str> = Vec::new();
    for (definition, strand) in definitions {
        for event in mentioned(definition, *strand) {
            let name = definition.event_type(event).name.as_str();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let mut complete = true;
    let mut variants = Vec::new();
    for name in names {
        let (of_event, all) = variants_of(definitions, name);
        complete &= all;
        variants.extend(of_event);
    }
    (variants, complete)
}

/// What introduces the strand's owner: its kind's events, or the opening of the case.
pub(crate) fn introducing(definition: &Definition, strand: &Strand) -> Vec<EventTypeId> {
    match strand.per {
        Some(kind) => definition.kinds[kind.index()].introduced_by.clone(),
        None => definition.event(engine_types::CASE_OPENED).into_iter().collect(),
    }
}

fn mentioned(definition: &Definition, id: StrandId) -> Vec<EventTypeId> {
    let strand = &definition.strands[id.index()];
    let mut events = introducing(definition, strand);
    events.extend(strand.initial.iter().filter_map(|initial| initial.on));
    events.extend(strand.rows.keys());
    events.sort_unstable();
    events.dedup();
    events
}

fn variants_of(definitions: &[(&Definition, StrandId)], name: &str) -> (Vec<Variant>, bool) {
    let mut fields: Vec<(String, Vec<Option<Value>>)> = Vec::new();
    for (definition, strand) in definitions {
        let Some(event) = definition.event(name) else { continue };
        for branch in branches(definition, *strand, event) {
            for (field, constants) in &branch.matches {
                let at = fields.iter().position(|(known, _)| known == field).unwrap_or_else(|| {
                    fields.push((field.clone(), Vec::new()));
                    fields.len() - 1
                });
                for constant in constants {
                    add(&mut fields[at].1, Some(constant.clone()));
                }
            }
        }
    }
    for (field, values) in &mut fields {
        for (definition, _) in definitions {
            let Some(event) = definition.event(name) else { continue };
            let described = definition.event_type(event).schema.field(&path(field));
            for value in beside(described.as_ref(), values) {
                add(values, value);
            }
        }
    }
    let mut found = vec![Variant { event: name.to_owned(), values: Vec::new() }];
    for (field, values) in &fields {
        let longer = found.iter().flat_map(|variant| {
            values.iter().map(|value| {
                let mut longer = variant.clone();
                longer.values.push((field.clone(), value.clone()));
                longer
            })
        });
        let longer: Vec<Variant> = longer.take(VARIANTS_MAX + 1).collect();
        if longer.len() > VARIANTS_MAX {
            return (found, false);
        }
        found = longer;
    }
    (found, true)
}

/// The values that a field may have beside the constants that branches name.
fn beside(field: Option<&Field>, constants: &[Option<Value>]) -> Vec<Option<Value>> {
    let Some(field) = field else { return vec![None] };
    let mut values: Vec<Option<Value>> = match (&field.enumeration, field.kind) {
        (Some(listed), _) => listed.iter().cloned().map(Some).collect(),
        (None, FieldKind::Boolean) => vec![Some(Value::Bool(false)), Some(Value::Bool(true))],
        (None, FieldKind::Integer) => {
            let free = (0_u64..).map(Value::from).find(|value| !constants.contains(&Some(value.clone())));
            vec![free]
        }
        (None, _) => vec![Some(Value::from("other"))],
    };
    if !field.required {
        values.push(None);
    }
    values
}

fn add(values: &mut Vec<Option<Value>>, value: Option<Value>) {
    if !values.contains(&value) {
        values.push(value);
    }
}

fn branches(definition: &Definition, strand: StrandId, event: EventTypeId) -> impl Iterator<Item = &Branch> {
    let strand = &definition.strands[strand.index()];
    let starts = strand.initial.iter().filter(move |initial| match initial.on {
        Some(on) => on == event,
        None => introducing(definition, strand).contains(&event),
    });
    let rows = strand.rows.get(&event).into_iter().flatten();
    starts.flat_map(|initial| &initial.branches).chain(rows.flat_map(|row| &row.branches))
}

fn path(field: &str) -> Vec<String> {
    field.split('.').map(str::to_owned).collect()
}

impl Variant {
    /// Whether an event of this variant is valid in the definition at all.
    fn is_valid(&self, definition: &Definition, event: EventTypeId) -> bool {
        let schema = &definition.event_type(event).schema;
        self.values.iter().all(|(name, value)| match (schema.field(&path(name)), value) {
            (None, value) => value.is_none(),
            (Some(field), None) => !field.required,
            (Some(field), Some(value)) => field.enumeration.is_none_or(|listed| listed.contains(value)),
        })
    }

    fn chosen<'b>(&self, branches: &'b [Branch]) -> Option<&'b Branch> {
        let value = |name: &str| {
            self.values.iter().find(|(field, _)| field == name).and_then(|(_, value)| value.as_ref())
        };
        branches.iter().find(|branch| branch.matches(value))
    }

    /// As a step about one entity.
    pub(crate) fn step(&self, scope: &Scope) -> Step {
        let with = self.values.iter().filter_map(|(field, value)| {
            let value = value.as_ref()?;
            Some(format!("{field}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        });
        Step { event_type: self.event.clone(), scope: scope.clone(), with: with.collect() }
    }
}

/// Where the event leads; `None` where the strand does not let it happen, or the definition does not know it.
pub(crate) fn advance(
    definition: &Definition,
    id: StrandId,
    at: Standing,
    variant: &Variant,
) -> Option<Standing> {
    let event = definition.event(&variant.event)?;
    if !variant.is_valid(definition, event) {
        return None;
    }
    let strand = &definition.strands[id.index()];
    let introduces = introducing(definition, strand).contains(&event);
    match at {
        Standing::Absent if introduces => {
            let start = strand.initial.iter().find(|initial| initial.on.is_none());
            let branches = match start.and_then(|initial| initial.branches.first()?.to) {
                Some(state) => {
                    return Some(Standing::In(moved(strand, state, event, variant).unwrap_or(state)));
                }
                None => begins(strand, event).map_or(&[][..], |initial| &initial.branches),
            };
            let to = variant.chosen(branches).and_then(|branch| branch.to);
            Some(to.map_or(Standing::Waiting, Standing::In))
        }
        Standing::Absent => None,
        Standing::Waiting => match begins(strand, event) {
            Some(initial) => {
                let branch = variant.chosen(&initial.branches)?;
                Some(branch.to.map_or(Standing::Waiting, Standing::In))
            }
            None => may_stay(definition, id, event).then_some(Standing::Waiting),
        },
        Standing::In(state) if strand.row(event, state).is_some() => {
            moved(strand, state, event, variant).map(Standing::In)
        }
        Standing::In(_) => (may_stay(definition, id, event) && !introduces).then_some(at),
    }
}

/// The state after a row; `None` where no branch of it matches.
fn moved(strand: &Strand, state: StateId, event: EventTypeId, variant: &Variant) -> Option<StateId> {
    let branch = variant.chosen(&strand.row(event, state)?.branches)?;
    Some(branch.to.unwrap_or(state))
}

fn begins(strand: &Strand, event: EventTypeId) -> Option<&super::Initial> {
    strand.initial.iter().find(|initial| initial.on == Some(event))
}

/// A strand refuses only what it owns.
fn may_stay(definition: &Definition, strand: StrandId, event: EventTypeId) -> bool {
    let event = definition.event_type(event);
    event.always_accepted || !event.moves.contains(&(strand, Ownership::Owns))
}

/// The scope of an entity of the strand's kind, and the steps that introduce its parents.
pub(crate) fn owner(definition: &Definition, strand: &Strand) -> (Scope, Vec<Step>) {
    let mut chain = Vec::new();
    let mut kind = strand.per;
    while let Some(at) = kind {
        chain.insert(0, at);
        kind = definition.kinds[at.index()].parent;
    }
    let mut steps = Vec::new();
    let mut scope = Scope::new();
    for kind in &chain {
        let kind = &definition.kinds[kind.index()];
        scope.insert(kind.name.clone(), format!("{}-1", kind.name));
        if let Some(event) = kind.introduced_by.first().filter(|_| scope.len() < chain.len()) {
            let event_type = definition.event_type(*event).name.clone();
            steps.push(Step { event_type, scope: scope.clone(), with: Vec::new() });
        }
    }
    (scope, steps)
}
