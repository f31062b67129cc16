//! What may happen next, and why not the rest: questions about events that nobody has written yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::candidate::{Universe, Width, candidates, new_entity, universe_for};
use super::effective::EffectiveEvent;
use super::event::{Scope, engine_types};
use super::explain::{explain, refuse};
use super::judge::{Question, Unmet, judge};
use super::reading::{Change, NextReading, NotNow, Possible};
use super::refusal::Refusal;
use super::state::CaseState;
use super::status::Status;
use super::telling::changes;
use crate::definition::condition::EntityId;
use crate::definition::{Definition, EventTypeId, Introduction};

/// The most entities of a kind that `next` tries events about.
const NEXT_ENTITIES_MAX: usize = 50;

/// Every event type, sorted into what may happen now and what may not.
#[must_use]
pub fn next(state: &CaseState) -> NextReading {
    let definition = state.definition();
    let universe = everything(definition, state.status());
    let mut reading = NextReading { may: Vec::new(), may_not: Vec::new() };
    for (index, event) in definition.events.iter().enumerate() {
        if engine_types::ALL.contains(&event.name.as_str()) {
            continue;
        }
        let id = EventTypeId(u16::try_from(index).unwrap_or(u16::MAX));
        let (may, may_not) = asked(state, &universe, id, &Scope::new());
        reading.may.extend(may);
        reading.may_not.extend(may_not.into_iter().map(|(event, unmet)| {
            let question = Question::about(&event);
            let why = unmet.iter().find(|unmet| unmet.blocks());
            NotNow {
                event_type: definition.event_type(id).name.clone(),
                title: definition.event_type(id).title.clone(),
                scope: event.scope().clone(),
                why: why.map_or_else(String::new, |unmet| {
                    explain(definition, state.status(), &question, unmet).message
                }),
            }
        }));
    }
    reading
}

/// Whether an event may happen now, about these entities, for some way of filling it in.
///
/// # Errors
/// The refusal, where none is legal.
pub fn may(state: &CaseState, event: EventTypeId, scope: &Scope) -> Result<Vec<Possible>, Box<Refusal>> {
    let definition = state.definition();
    let mut universe = everything(definition, state.status());
    for (kind, id) in scope {
        if let Some(kind) = definition.kind(kind) {
            universe.insert(kind, vec![id.clone()]);
        }
    }
    let (may, may_not) = asked(state, &universe, event, scope);
    match may_not.into_iter().next() {
        Some((event, unmet)) if may.is_empty() => {
            Err(Box::new(refuse(state, state.status(), &event, &unmet)))
        }
        _ => Ok(may),
    }
}

/// All entities of the case, and a new one of each kind.
fn everything(definition: &Definition, status: &Status) -> Universe {
    let mut universe = universe_for(definition, status, &Scope::new());
    for (kind, ids) in &mut universe {
        let known = status.children(EntityId::CASE, *kind);
        *ids = known
            .iter()
            .take(NEXT_ENTITIES_MAX)
            .map(|entity| status.entity(*entity).id.to_string())
            .collect();
        ids.push(new_entity(&definition.kinds[kind.index()]));
    }
    universe
}

type Refused = (Arc<EffectiveEvent>, Vec<Unmet>);

/// For each scope: possible in some variant, or refused in all (then with what stands in the way of the first).
fn asked(
    state: &CaseState,
    universe: &Universe,
    event: EventTypeId,
    only: &Scope,
) -> (Vec<Possible>, Vec<Refused>) {
    let definition = state.definition();
    let event_type = definition.event_type(event);
    let mut universe = universe.clone();
    for (kind, ids) in &mut universe {
        let introduction = event_type.introduction_of(*kind);
        let introduces = introduction == Introduction::Always;
        let may_introduce = introduction != Introduction::Never;
        let is_new = |id: &String| *id == new_entity(&definition.kinds[kind.index()]);
        ids.retain(|id| {
            only.get(&definition.kinds[kind.index()].name) == Some(id)
                || (is_new(id) && may_introduce)
                || (!is_new(id) && !introduces)
        });
        if ids.is_empty() {
            // Refused for want of an entity, which says so, rather than not asked at all.
            ids.push(new_entity(&definition.kinds[kind.index()]));
        }
    }
    let mut may: Vec<Possible> = Vec::new();
    let mut may_not: Vec<Refused> = Vec::new();
    for candidate in candidates(definition, &universe, &BTreeSet::from([event]), Width::Path) {
        let scope = candidate.event.scope().clone();
        let judgement = judge(definition, state.status(), &Question::about(&candidate.event));
        if !judgement.is_legal() {
            if !may_not.iter().any(|(event, _)| *event.scope() == scope) {
                may_not.push((candidate.event, judgement.unmet));
            }
            continue;
        }
        let mut after = state.status().clone();
        after.step(definition, &candidate.event);
        let leads_to = changes((definition, state.status()), (definition, &after));
        let breached: Vec<String> =
            judgement.breaches().map(|rule| event_type.rules[rule].id.clone()).collect();
        match may.iter_mut().find(|possible| possible.scope == scope) {
            Some(possible) => {
                let new = leads_to.into_iter().filter(|change| !possible.leads_to.contains(change));
                let new: Vec<Change> = new.collect();
                possible.leads_to.extend(new);
                possible.would_breach.retain(|rule| breached.contains(rule));
            }
            None => may.push(Possible {
                event_type: event_type.name.clone(),
                title: event_type.title.clone(),
                part: event_type.part.clone(),
                scope,
                record: event_type
                    .record
                    .iter()
                    .map(|role| definition.roles[role.index()].name.clone())
                    .collect(),
                leads_to,
                would_breach: breached,
            }),
        }
    }
    may_not.retain(|(event, _)| !may.iter().any(|possible| possible.scope == *event.scope()));
    (may, may_not)
}
