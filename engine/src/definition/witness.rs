//! Case histories as two versions of a definition are asked about them: written out as steps, proposed, and played.
//!
//! A step says all that both versions have to be told; what only one of them needs is completed as in every scenario. So
//! whatever is found can be played from its text.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::rehearsal::{LastAnswer, Rehearsed, complete, placeholder, proposed, rehearse};
use super::scenario::Scenario;
use super::{Definition, EventType};
use crate::case::candidate::Candidate;
use crate::case::effective::EffectiveEvent;
use crate::case::event::{Payload, RecordedEvent, Scope, Version, engine_types};
use crate::case::refusal::Step;
use crate::case::status::Status;

/// Two versions of a definition, the earlier first.
pub(crate) type Pair<'d> = (&'d Arc<Definition>, &'d Arc<Definition>);

/// The most ways of filling in the last event that are tried.
const LAST_STEPS_MAX: usize = 160;

/// The scenario that plays these steps. The opening of a case is never proposed to an open case.
pub(crate) fn scenario(title: &str, steps: &[Step]) -> Scenario {
    let mut scenario = Scenario::playing(title, steps);
    if scenario.when.as_ref().is_some_and(|when| when.event_type == engine_types::CASE_OPENED) {
        scenario.given.extend(scenario.when.take());
    }
    scenario
}

/// What both versions answer to these steps.
pub(crate) fn play((old, new): Pair<'_>, steps: &[Step]) -> (Rehearsed, Rehearsed) {
    let scenario = scenario("witness", steps);
    (rehearse(old, &scenario), rehearse(new, &scenario))
}

/// Whether the last event was accepted.
pub(crate) fn is_accepted(rehearsed: &Rehearsed) -> bool {
    matches!(rehearsed.answer, LastAnswer::Accepted(_))
}

/// The step as an event of a search; `None` where the definition does not know it, or its fields are not valid.
pub(crate) fn candidate(
    definition: &Arc<Definition>,
    step: &Step,
    is_given: bool,
    number: u64,
) -> Option<Candidate> {
    let scenario = Scenario::playing("", std::slice::from_ref(step));
    let proposed = proposed(definition, scenario.when.as_ref()?, is_given)?;
    let event_type = definition.event(&step.event_type)?;
    let described = definition.event_type(event_type);
    let lacks_rationale = described.rationale_required && proposed.rationale.is_none();
    if lacks_rationale || !described.schema.problems(&proposed.data).is_empty() {
        return None;
    }
    let recorded = RecordedEvent::imagined(proposed, Version(1 + number));
    Some(Candidate { event: Arc::new(EffectiveEvent::plain(event_type, Arc::new(recorded))) })
}

/// What is said of who acts, where the versions would not take the same for granted; `None`: nobody may under both.
fn common_terms((old, new): Pair<'_>, name: &str) -> Option<Vec<String>> {
    let types = (old.event(name), new.event(name));
    let (Some(before), Some(now)) = types else { return Some(Vec::new()) };
    let (before, now) = (old.event_type(before), new.event_type(now));
    let (roles, more) = (roles(old, before), self::roles(new, now));
    let mut terms = Vec::new();
    if roles.first() != more.first() {
        terms.push(format!("by={}", roles.iter().find(|role| more.contains(role))?));
    }
    if before.decide.first() != now.decide.first() && !before.decide.is_empty() {
        let body = before.decide.iter().find(|body| now.decide.is_empty() || now.decide.contains(body))?;
        terms.push(format!("decided_by={body}"));
    }
    Some(terms)
}

/// The roles that may record an event, the one that a scenario takes for granted first.
fn roles(definition: &Definition, event: &EventType) -> Vec<String> {
    let name = |role: &super::RoleId| definition.roles[role.index()].name.clone();
    if event.record.is_empty() {
        definition.roles.iter().map(|role| role.name.clone()).collect()
    } else {
        event.record.iter().map(name).collect()
    }
}

/// A step before the last, with what both versions have to be told of it; `None` where no way of telling it serves both.
pub(crate) fn earlier_step(pair: Pair<'_>, mut step: Step) -> Option<Step> {
    step.with.extend(common_terms(pair, &step.event_type)?);
    Some(step)
}

/// The ways of writing the event that the versions are to answer differently, by scope and fields that may matter.
///
/// `told_apart` says whether the change tells roles apart, and whether it does bodies.
pub(crate) fn last_steps(
    pair: Pair<'_>,
    name: &str,
    filled: &[(Scope, Payload)],
    told_apart: (bool, bool),
    values: &[(String, Value)],
) -> Vec<Step> {
    let types: Vec<(&Arc<Definition>, &EventType)> = [pair.0, pair.1]
        .into_iter()
        .filter_map(|definition| Some((definition, definition.event_type(definition.event(name)?))))
        .collect();
    let mut payloads: Vec<(Scope, Payload)> = Vec::new();
    for (scope, data) in filled {
        for order in [&[0][..], &[1], &[0, 1]] {
            let mut data = data.clone();
            for (_, event) in order.iter().filter_map(|at| types.get(*at)) {
                complete(&event.schema.source, &mut data);
            }
            if !payloads.contains(&(scope.clone(), data.clone())) {
                payloads.push((scope.clone(), data));
            }
        }
    }
    let first: Vec<(Scope, Payload)> = payloads.iter().take(3).cloned().collect();
    for (scope, data) in first {
        for (field, value) in only_in_one(&types).into_iter().chain(values.iter().cloned()) {
            let mut data = data.clone();
            data.insert(field, value);
            payloads.push((scope.clone(), data));
        }
    }
    let mut terms: Vec<Vec<String>> = vec![common_terms(pair, name).unwrap_or_default()];
    if let [(old, before), (new, now)] = types.as_slice() {
        let (were, are) = (roles(old, before), roles(new, now));
        let differing =
            were.iter().chain(&are).filter(|role| told_apart.0 || were.contains(role) != are.contains(role));
        terms.extend(differing.map(|role| vec![format!("by={role}")]));
        let bodies = before.decide.iter().chain(&now.decide);
        let differing =
            bodies.filter(|body| told_apart.1 || before.decide.contains(body) != now.decide.contains(body));
        terms.extend(differing.map(|body| vec![format!("decided_by={body}")]));
    }
    let needs: Vec<bool> = types.iter().map(|(_, event)| event.rationale_required).collect();
    let mut steps = Vec::new();
    for term in &terms {
        for rationale in [false, true] {
            if needs.contains(&rationale) {
                let rationale = rationale.then(|| "rationale=given".to_owned());
                for (scope, data) in &payloads {
                    let with = data.iter().map(|(field, value)| format!("{field}={}", written(value)));
                    let with = with.chain(term.iter().cloned()).chain(rationale.clone()).collect();
                    steps.push(Step { event_type: name.to_owned(), scope: scope.clone(), with });
                }
            }
        }
    }
    steps.truncate(LAST_STEPS_MAX);
    steps
}

/// Fields, and values of listed fields, that one version alone has.
fn only_in_one(types: &[(&Arc<Definition>, &EventType)]) -> Vec<(String, Value)> {
    let [(_, before), (_, now)] = types else { return Vec::new() };
    let mut found = Vec::new();
    for (one, other) in [(before, now), (now, before)] {
        let fields =
            |event: &EventType| event.schema.source["properties"].as_object().cloned().unwrap_or_default();
        let others = fields(other);
        for (name, schema) in fields(one) {
            let Some(there) = others.get(&name) else {
                found.push((name, placeholder(&schema)));
                continue;
            };
            let listed = schema["enum"].as_array().cloned().unwrap_or_default();
            let is_missing =
                |value: &Value| there["enum"].as_array().is_none_or(|known| !known.contains(value));
            found.extend(listed.into_iter().filter(is_missing).map(|value| (name.clone(), value)));
        }
    }
    found
}

/// The step, and the same with each of these values in its field.
pub(crate) fn with_values(step: Step, values: &[(String, Value)]) -> Vec<Step> {
    let filled = values.iter().map(|(field, value)| {
        let mut step = step.clone();
        step.with.retain(|with| !with.starts_with(&format!("{field}=")));
        step.with.push(format!("{field}={}", written(value)));
        step
    });
    let filled: Vec<Step> = filled.collect();
    std::iter::once(step).chain(filled).collect()
}

/// A value as a step writes it.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => format!("[{}]", values.iter().map(written).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The same steps, each with a day on which it happened.
pub(crate) fn dated(steps: &[Step], day: impl std::fmt::Display) -> Vec<Step> {
    let date = format!("occurred={day}");
    let on = |step: &Step| {
        let mut step = step.clone();
        step.with.push(date.clone());
        step
    };
    steps.iter().map(on).collect()
}

/// Where every strand and derived strand stands, by entity and name, with the overlays that are set.
pub(crate) fn standings(definition: &Definition, status: &Status) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for (id, entity) in status.entities() {
        let whose = if entity.kind.is_some() { entity.id.to_string() } else { String::new() };
        for at in &entity.strands {
            let strand = &definition.strands[at.strand.index()];
            let state = at.state.map_or("not started", |state| strand.states[state.index()].name.as_str());
            let set = strand.overlays.iter().enumerate().filter(|(index, _)| at.overlays & (1 << index) != 0);
            let set = set.map(|(_, overlay)| format!(" + {}", overlay.name)).collect::<String>();
            found.insert((whose.clone(), strand.name.clone()), format!("{state}{set}"));
        }
        for (index, derived) in (0_u16..).map(super::DerivedId).zip(&definition.derived) {
            if derived.per == entity.kind {
                let state = status.derived(definition, id, index);
                let state = state.map_or("not known", |state| derived.states[state.index()].name.as_str());
                found.insert((whose.clone(), derived.name.clone()), state.to_owned());
            }
        }
    }
    found
}
