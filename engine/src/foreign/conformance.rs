//! What a log did that a definition does not allow, and what it left out that the definition asks for.
//!
//! Each strand sees those events of a trace that concern it, and is [aligned](super::alignment) with them by itself; the
//! costs are summed. Traces that say the same are judged once. Strands only: rules are asked where events are recorded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use serde::Serialize;
use serde_json::Value;

use super::alignment::{Alignment, Known, StrandNet};
use super::deviation::{Deviation, DeviationKind, Telling, unknown_activity, unknown_entity};
use super::mapping::Mapping;
use super::translate::TranslatedCase;
use crate::case::event::{Payload, ProposedEvent, Scope, Version, engine_types};
use crate::case::status::Status;
use crate::definition::condition::EntityId;
use crate::definition::{Definition, EventTypeId, Introduction, KindId, Ownership, StrandId};

/// The traces of each variant that are named.
const NAMED_MAX: usize = 5;

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ConformanceReport {
    /// `1 − cost / worst` over all traces; 1 where there is nothing to judge.
    pub fitness: f64,
    /// Traces judged.
    pub traces: usize,
    /// Traces without any deviation.
    pub fitting: usize,
    /// Steps that broke a strand's order, over all traces: in the log alone, or missing from it.
    pub broke: usize,
    /// Such steps that an authority allowed.
    pub with_authority: usize,
    /// Steps of which the log does not carry what decides where they led.
    pub cannot_be_known: usize,
    /// Traces in which an event is dated before one that stands before it: the order of the file counts.
    pub backwards: usize,
    /// Rules of the event types seen, which strands do not ask.
    pub rules_not_asked: Vec<String>,
    /// The variants, the most frequent first.
    pub variants: Vec<VariantReport>,
    /// Each trace, in the order of the log, with its variant.
    pub by_trace: Vec<TraceReport>,
}

/// Traces that say the same.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VariantReport {
    /// From 1, the most frequent first.
    pub variant: usize,
    /// How many traces.
    pub count: usize,
    /// The first of them.
    pub cases: Vec<String>,
    /// Its event types, in order.
    pub events: Vec<String>,
    /// `1 − cost / worst`.
    pub fitness: f64,
    /// Steps in the log alone or in the definition alone.
    pub cost: u32,
    /// What it costs to explain nothing: each event in the log alone, and the shortest course in the definition alone.
    pub worst: u32,
    /// Of one trace.
    pub broke: usize,
    /// Of one trace.
    pub with_authority: usize,
    /// Of one trace.
    pub cannot_be_known: usize,
    /// Each strand of each entity.
    pub strands: Vec<StrandReport>,
    /// What deviates, in the order of the trace; line and event are those of the first trace.
    pub deviations: Vec<Deviation>,
}

/// A strand of an entity in a variant.
#[derive(Debug, Clone, Serialize)]
pub struct StrandReport {
    /// The strand.
    pub strand: String,
    /// The entity, by its id; `None`: the case.
    pub entity: Option<String>,
    /// Cost of its alignment.
    pub cost: u32,
    /// See [`VariantReport::worst`].
    pub worst: u32,
    /// The event types that it saw.
    pub events: Vec<String>,
}

/// One trace.
#[derive(Debug, Clone, Serialize)]
pub struct TraceReport {
    /// Its case.
    pub case: String,
    /// The line on which it begins.
    pub line: usize,
    /// Its variant.
    pub variant: usize,
    /// That of its variant.
    pub fitness: f64,
}

/// A trace that is longer than an alignment may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {events} events concern the strand {strand}, more than can be aligned")]
pub struct TooLong {
    /// The trace's line.
    pub line: usize,
    /// The strand.
    pub strand: String,
    /// How many.
    pub events: usize,
}

/// A judge of traces, one after the other.
#[derive(Debug)]
pub struct Conformance<'d> {
    definition: &'d Definition,
    mapping: &'d Mapping,
    to_an_end: bool,
    nets: Vec<StrandNet<'d>>,
    /// By event type: the fields that decide a branch of some strand.
    fields: Vec<Vec<String>>,
    aligned: HashMap<(StrandId, Vec<u32>), Rc<Alignment>>,
    variants: HashMap<String, usize>,
    found: Vec<VariantReport>,
    traces: Vec<(String, usize, usize)>,
    backwards: usize,
    seen: Vec<bool>,
}

/// What one strand of one entity saw: places in the events of the trace.
type Projections = BTreeMap<(EntityId, StrandId), Vec<usize>>;

impl<'d> Conformance<'d> {
    /// A judge by this definition. `to_an_end`: strands that have final states are asked to end in one.
    #[must_use]
    pub fn new(definition: &'d Definition, mapping: &'d Mapping, to_an_end: bool) -> Self {
        let nets: Vec<StrandNet<'d>> = (0..definition.strands.len())
            .map(|index| StrandNet::new(definition, StrandId(u16::try_from(index).unwrap_or(u16::MAX))))
            .collect();
        let fields = (0..definition.events.len()).map(|index| {
            let event = EventTypeId(u16::try_from(index).unwrap_or(u16::MAX));
            let mut fields: Vec<String> = nets.iter().flat_map(|net| net.fields(event)).collect();
            fields.sort();
            fields.dedup();
            fields
        });
        Self {
            definition,
            mapping,
            to_an_end,
            fields: fields.collect(),
            nets,
            aligned: HashMap::new(),
            variants: HashMap::new(),
            found: Vec::new(),
            traces: Vec::new(),
            backwards: 0,
            seen: vec![false; definition.events.len()],
        }
    }

    /// Judges a trace.
    ///
    /// # Errors
    /// When it is longer than an alignment may be.
    pub fn take(&mut self, case: &TranslatedCase) -> Result<(), TooLong> {
        let key = self.key(case);
        let at = match self.variants.get(&key) {
            Some(at) => *at,
            None => {
                let report = self.judged(case)?;
                self.found.push(report);
                self.variants.insert(key, self.found.len() - 1);
                self.found.len() - 1
            }
        };
        let variant = &mut self.found[at];
        variant.count += 1;
        if variant.cases.len() < NAMED_MAX {
            variant.cases.push(case.reference.clone());
        }
        self.backwards += usize::from(case.backwards > 0);
        self.traces.push((case.reference.clone(), case.line, at));
        Ok(())
    }

    /// What the trace says, entities by the order of their appearance: traces with the same key are judged once.
    fn key(&self, case: &TranslatedCase) -> String {
        let mut names = HashMap::<(&str, &str), usize>::new();
        let mut key = String::new();
        for event in &case.events {
            let Some(proposed) = &event.proposed else {
                key.push_str(&format!("?{:?}\n", event.activity));
                continue;
            };
            key.push_str(&proposed.event_type);
            for (kind, id) in &proposed.scope {
                let next = names.len();
                let name = names.entry((kind, id)).or_insert(next);
                key.push_str(&format!(" {kind}#{name}"));
            }
            if let Some(event_type) = self.definition.event(&proposed.event_type) {
                for field in &self.fields[event_type.index()] {
                    key.push_str(&format!(" {field}={:?}", self.known(proposed, field)));
                }
            }
            if let Some(given) = &proposed.override_given {
                key.push_str(&format!(" by {:?}", given.authority));
            }
            key.push(if event.number.is_some() { '\n' } else { '^' });
        }
        key
    }

    fn known(&self, event: &ProposedEvent, field: &str) -> Known {
        let mut value = None;
        let mut fields = Some(&event.data);
        for name in field.split('.') {
            value = fields.and_then(|fields| fields.get(name));
            fields = value.and_then(Value::as_object);
        }
        if let Some(value) = value {
            return Known::Value(Some(value.clone()));
        }
        let path: Vec<String> = field.split('.').map(str::to_owned).collect();
        let schema =
            self.definition.event(&event.event_type).map(|id| &self.definition.event_type(id).schema);
        let is_required = schema.and_then(|schema| schema.field(&path)).is_some_and(|field| field.required);
        let fills = self.mapping.fills(&event.event_type, path.first().map_or(field, String::as_str));
        if is_required || !fills { Known::Unknown } else { Known::Value(None) }
    }

    fn judged(&mut self, case: &TranslatedCase) -> Result<VariantReport, TooLong> {
        let mut report = VariantReport {
            events: case
                .events
                .iter()
                .map(|event| {
                    event
                        .proposed
                        .as_ref()
                        .map_or_else(|| event.activity.clone(), |event| event.event_type.clone())
                })
                .collect(),
            ..VariantReport::default()
        };
        let (status, projections) = self.projections(case, &mut report);
        let mut ordered = Vec::new();
        for ((entity, strand), places) in &projections {
            let alignment = self.aligned(*strand, places, case)?;
            let shortest = self.shortest(*strand);
            let entity = status.entity(*entity);
            let entity = entity.kind.map(|_| entity.id.to_string());
            let worst = u32::try_from(places.len()).unwrap_or(u32::MAX) + shortest;
            report.cost += alignment.cost;
            report.worst += worst;
            report.strands.push(StrandReport {
                strand: self.definition.strands[strand.index()].name.clone(),
                entity: entity.clone(),
                cost: alignment.cost,
                worst,
                events: places.iter().map(|place| report.events[*place].clone()).collect(),
            });
            let telling = Telling {
                definition: self.definition,
                net: &self.nets[strand.index()],
                strand: *strand,
                entity,
                case,
                places,
            };
            ordered.extend(alignment.moves.iter().filter_map(|step| telling.deviation(step, &self.fields)));
        }
        ordered.sort_by_key(|(place, _)| *place);
        report.deviations.extend(ordered.into_iter().map(|(_, deviation)| deviation));
        report.deviations.sort_by_key(|deviation| deviation.event.unwrap_or(usize::MAX));
        for deviation in &report.deviations {
            match (deviation.kind, &deviation.authority) {
                (DeviationKind::CannotBeKnown, _) => report.cannot_be_known += 1,
                (_, Some(_)) => report.with_authority += 1,
                (_, None) => report.broke += 1,
            }
        }
        report.fitness = fitness(u64::from(report.cost), u64::from(report.worst));
        Ok(report)
    }

    fn aligned(
        &mut self,
        strand: StrandId,
        places: &[usize],
        case: &TranslatedCase,
    ) -> Result<Rc<Alignment>, TooLong> {
        let mut symbols = Vec::with_capacity(places.len());
        for place in places {
            let Some(event) = &case.events[*place].proposed else { continue };
            let Some(id) = self.definition.event(&event.event_type) else { continue };
            let known: Vec<(String, Known)> = self.fields[id.index()]
                .iter()
                .map(|field| (field.clone(), self.known(event, field)))
                .collect();
            let value = |name: &str| {
                known
                    .iter()
                    .find(|(field, _)| field == name)
                    .map_or(Known::Unknown, |(_, known)| known.clone())
            };
            symbols.push(self.nets[strand.index()].symbol(id, value));
        }
        self.alignment(strand, symbols).ok_or_else(|| TooLong {
            line: case.line,
            strand: self.definition.strands[strand.index()].name.clone(),
            events: places.len(),
        })
    }

    fn alignment(&mut self, strand: StrandId, symbols: Vec<u32>) -> Option<Rc<Alignment>> {
        let key = (strand, symbols);
        if let Some(known) = self.aligned.get(&key) {
            return Some(Rc::clone(known));
        }
        let alignment = Rc::new(self.nets[strand.index()].align(&key.1, self.to_an_end)?);
        self.aligned.insert(key, Rc::clone(&alignment));
        Some(alignment)
    }

    /// What the shortest course of the strand costs where nothing of it is in the log.
    fn shortest(&mut self, strand: StrandId) -> u32 {
        self.alignment(strand, Vec::new()).map_or(0, |alignment| alignment.cost)
    }

    /// Which strand of which entity sees which events. An entity that is named before anything introduces it is there all
    /// the same: its strands will say that its introduction is missing.
    fn projections(&mut self, case: &TranslatedCase, report: &mut VariantReport) -> (Status, Projections) {
        let definition = self.definition;
        let mut status = Status::before_opening(definition);
        let mut projections = Projections::new();
        for (place, event) in case.events.iter().enumerate() {
            let id = event.proposed.as_ref().and_then(|event| definition.event(&event.event_type));
            let (Some(proposed), Some(id)) = (&event.proposed, id) else {
                report.cost += 1;
                report.worst += 1;
                report.deviations.push(unknown_activity(event));
                continue;
            };
            self.seen[id.index()] = true;
            let (scope, assumed) = whole_scope(definition, &status, id, &proposed.scope);
            for kind in assumed {
                report.deviations.push(unknown_entity(definition, event, id, kind));
            }
            introduce(definition, &mut status, id, &scope, place);
            let named = status.closure(definition, &scope);
            for (strand, ownership) in &definition.event_type(id).moves {
                let per = definition.strands[strand.index()].per;
                let reached = match ownership {
                    Ownership::Observes => status.reached(definition, &scope, per),
                    Ownership::Owns => {
                        named.iter().copied().filter(|entity| status.entity(*entity).kind == per).collect()
                    }
                };
                for entity in reached {
                    projections.entry((entity, *strand)).or_default().push(place);
                }
            }
            for (index, strand) in definition.strands.iter().enumerate() {
                let strand_id = StrandId(u16::try_from(index).unwrap_or(u16::MAX));
                let begins = match strand.per {
                    None => definition.event_type(id).name == engine_types::CASE_OPENED,
                    Some(kind) => definition.event_type(id).introduction_of(kind) != Introduction::Never,
                };
                for entity in
                    named.iter().filter(|entity| begins && status.entity(**entity).kind == strand.per)
                {
                    let places = projections.entry((*entity, strand_id)).or_default();
                    if places.last() != Some(&place) {
                        places.push(place);
                    }
                }
            }
        }
        (status, projections)
    }

    /// What was found, over all traces.
    #[must_use]
    pub fn finish(self) -> ConformanceReport {
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        order.sort_by_key(|at| Reverse(self.found[*at].count));
        let mut rank = vec![0; order.len()];
        let mut variants: Vec<VariantReport> = Vec::with_capacity(order.len());
        for (place, at) in order.iter().enumerate() {
            rank[*at] = place + 1;
            variants.push(VariantReport { variant: place + 1, ..self.found[*at].clone() });
        }
        let sum =
            |of: fn(&VariantReport) -> usize| variants.iter().map(|one| one.count * of(one)).sum::<usize>();
        let total = |of: fn(&VariantReport) -> u32| {
            variants.iter().map(|one| one.count as u64 * u64::from(of(one))).sum::<u64>()
        };
        let seen = self.definition.events.iter().zip(&self.seen).filter(|(_, seen)| **seen);
        let mut rules: Vec<String> =
            seen.flat_map(|(event, _)| event.rules.iter().map(|rule| rule.id.clone())).collect();
        rules.sort();
        ConformanceReport {
            fitness: fitness(total(|one| one.cost), total(|one| one.worst)),
            traces: self.traces.len(),
            fitting: variants.iter().filter(|one| one.cost == 0).map(|one| one.count).sum(),
            broke: sum(|one| one.broke),
            with_authority: sum(|one| one.with_authority),
            cannot_be_known: sum(|one| one.cannot_be_known),
            backwards: self.backwards,
            rules_not_asked: rules,
            by_trace: self
                .traces
                .into_iter()
                .map(|(case, line, at)| TraceReport {
                    case,
                    line,
                    variant: rank[at],
                    fitness: self.found[at].fitness,
                })
                .collect(),
            variants,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of counts that are far below 2^52")]
fn fitness(cost: u64, worst: u64) -> f64 {
    if worst == 0 { 1.0 } else { 1.0 - cost as f64 / worst as f64 }
}

/// The scope with the kinds that the event must name and the log does not: the only one that there is, or an unknown one.
fn whole_scope(
    definition: &Definition,
    status: &Status,
    event: EventTypeId,
    given: &Scope,
) -> (Scope, Vec<KindId>) {
    let mut scope = given.clone();
    let mut assumed = Vec::new();
    for kind in &definition.event_type(event).scope {
        let name = &definition.kinds[kind.index()].name;
        if scope.contains_key(name) {
            continue;
        }
        let all: Vec<String> = status
            .entities()
            .filter(|(_, entity)| entity.kind == Some(*kind))
            .map(|(_, entity)| entity.id.to_string())
            .collect();
        match all.as_slice() {
            [only] => scope.insert(name.clone(), only.clone()),
            several => {
                if !several.is_empty() {
                    assumed.push(*kind);
                }
                scope.insert(name.clone(), several.first().cloned().unwrap_or_else(|| "?".to_owned()))
            }
        };
    }
    (scope, assumed)
}

/// Brings in what the scope names, parents first.
fn introduce(definition: &Definition, status: &mut Status, event: EventTypeId, scope: &Scope, place: usize) {
    let nothing = Payload::new();
    let version = Version(place as u64 + 1);
    for (index, kind) in definition.kinds.iter().enumerate() {
        let id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
        let Some(named) = scope.get(&kind.name).filter(|named| status.find(id, named).is_none()) else {
            continue;
        };
        let own = definition.event_type(event).introduction_of(id) != Introduction::Never;
        let by = if own { Some(event) } else { kind.introduced_by.first().copied() };
        let mut alone: Scope = scope
            .iter()
            .filter(|(name, _)| definition.kind(name).is_some_and(|other| definition.is_ancestor(other, id)))
            .map(|(name, id)| (name.clone(), id.clone()))
            .collect();
        alone.insert(kind.name.clone(), named.clone());
        if let Some(by) = by {
            status.introduce(definition, by, &alone, (&nothing, None), version);
        }
    }
}
