//! Adopting another version of the definition: what a case's log says of it, and what it does to states.
//!
//! ```text
//! case-opened ── under version 1 ──┬── definition-migrated to 2 ──┬── under version 2 ──►
//!                                  │                              │
//!   without a state mapping:       └── the whole timeline is read under 2
//!   with one (`migrates-from`):    read under 1, its states mapped ┴── what is recorded from here on is read under 2
//! ```
//!
//! The definitions that a log may name are handed in as a [`Library`], so that `decide` and `evolve` ask nobody for them.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::draft::misfit;
use super::effective::{EffectiveEvent, target_of};
use super::event::{EventId, ProposedEvent, RecordedEvent, Version, engine_types};
use super::explain::plain;
use super::footing::{Judged, compare};
use super::occurred::Day;
use super::refusal::{LosesFooting, Reason};
use super::state::CaseState;
use super::status::{Status, Stranded};
use crate::definition::engine_events::ORIGINALLY_RECORDED_AT;
use crate::definition::{Definition, RuleClass, StateMapping};

/// The field of `definition-migrated` that says which version is adopted.
pub(crate) const VERSION: &str = "version";
/// The field that names the workflow: always the case's own.
pub(crate) const WORKFLOW: &str = "workflow";
/// The field that holds the digest of the version adopted.
pub(crate) const DIGEST: &str = "digest";

/// The definitions that a case's log may name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Library {
    definitions: Arc<[Arc<Definition>]>,
}

impl Library {
    /// A library of these definitions.
    #[must_use]
    pub fn of(definitions: Vec<Arc<Definition>>) -> Self {
        Self { definitions: definitions.into() }
    }

    /// The same with one more definition.
    #[must_use]
    pub fn with(&self, definition: &Arc<Definition>) -> Self {
        let known = self.definitions.iter().chain(std::iter::once(definition));
        Self { definitions: known.map(Arc::clone).collect() }
    }

    /// The definition with this digest (hexadecimal).
    #[must_use]
    pub fn by_digest(&self, digest: &str) -> Option<&Arc<Definition>> {
        let wanted = bytes_of(digest)?;
        self.definitions.iter().find(|definition| definition.digest == wanted)
    }

    /// The definitions of a workflow.
    pub(crate) fn of_workflow<'l>(&'l self, name: &'l str) -> impl Iterator<Item = &'l Arc<Definition>> {
        self.definitions.iter().filter(move |definition| definition.name == name)
    }

    /// The definition of this `name@version`.
    pub(crate) fn pinned(&self, pin: &str) -> Option<&Arc<Definition>> {
        self.definitions.iter().find(|definition| definition.pin() == pin)
    }
}

/// The digest that hexadecimal digits write.
pub(crate) fn bytes_of(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// One adoption that a log tells of.
#[derive(Debug, Clone)]
pub(crate) struct Adoption {
    /// Index of the event in the log.
    pub(crate) at: usize,
    /// What was adopted.
    pub(crate) definition: Arc<Definition>,
    /// The version before it.
    pub(crate) from: Arc<Definition>,
}

impl Adoption {
    /// Whether the version adopted says which state becomes which: then nothing before it is read anew.
    pub(crate) fn mapping(&self) -> Option<&StateMapping> {
        self.definition.migration_from(self.from.version)
    }
}

/// The adoptions that a log tells of, in its order. One of which the library does not have the definition is passed over.
pub(crate) fn adoptions(
    opened_under: &Arc<Definition>,
    log: &[Arc<RecordedEvent>],
    library: &Library,
) -> Vec<Adoption> {
    let mut from = Arc::clone(opened_under);
    let mut adoptions = Vec::new();
    for (at, event) in log.iter().enumerate() {
        if event.proposed.event_type != engine_types::DEFINITION_MIGRATED {
            continue;
        }
        if let Some(definition) = adopted_by(event).and_then(|digest| library.by_digest(digest)) {
            let before = std::mem::replace(&mut from, Arc::clone(definition));
            adoptions.push(Adoption { at, definition: Arc::clone(definition), from: before });
        }
    }
    adoptions
}

/// The digest that a `definition-migrated` event names; `None` for every other event.
#[must_use]
pub fn adopted_by(event: &RecordedEvent) -> Option<&str> {
    let is_adoption = event.proposed.event_type == engine_types::DEFINITION_MIGRATED;
    is_adoption.then(|| event.proposed.data.get(DIGEST)?.as_str())?
}

/// What a case was under versions whose states were mapped: read for ever as they read it.
#[derive(Debug, Clone)]
pub(crate) struct Earlier {
    /// The case as recorded up to the adoption, with the corrections and annulments made since.
    pub(crate) case: CaseState,
    /// Its status in the terms of the definition that the case has now.
    pub(crate) start: Status,
    /// The day of the adoption.
    pub(crate) until: Option<Day>,
    /// The event that adopted the next version.
    pub(crate) ended_by: Version,
}

impl Earlier {
    /// The part of a log before its last adoption with a mapping; the adoptions are that one and those after it.
    pub(crate) fn of(case: CaseState, event: &RecordedEvent, adoptions: &[Adoption]) -> Self {
        let mut start = case.status().clone();
        for adoption in adoptions {
            start = start.carried_over(&adoption.from, &adoption.definition, adoption.mapping()).0;
        }
        Self { case, start, until: day_of(event), ended_by: event.version }
    }
}

/// The corrections and annulments among `later` that speak of events in `earlier`.
pub(crate) fn notes_about(earlier: &[Arc<RecordedEvent>], later: &[Arc<RecordedEvent>]) -> Vec<usize> {
    let told: HashSet<EventId> = earlier.iter().map(|event| event.id).collect();
    let is_about = |event: &RecordedEvent| {
        let target = match event.proposed.event_type.as_str() {
            engine_types::EVENT_CORRECTED => target_of(event, "corrects"),
            engine_types::EVENT_ANNULLED => target_of(event, "annuls"),
            _ => None,
        };
        target.is_some_and(|target| told.contains(&target))
    };
    later.iter().enumerate().filter(|(_, event)| is_about(event)).map(|(index, _)| index).collect()
}

/// When a version was adopted: when that was recorded, here or in the system that the history comes from.
fn day_of(event: &RecordedEvent) -> Option<Day> {
    let imported = event.proposed.data.get(ORIGINALLY_RECORDED_AT).and_then(Value::as_str);
    let instant: Timestamp = imported.and_then(|text| text.parse().ok()).unwrap_or(event.recorded_at);
    // The date stands in front of an instant written in UTC.
    Day::parse(instant.to_string().get(..10)?).ok()
}

/// What stands in the way of reading a case under another version.
#[derive(Debug, Clone, Default)]
pub struct Obstacles {
    /// Events that would be illegal at their places, or that the version cannot read.
    pub events: Vec<LosesFooting>,
    /// States, under a mapping, that the version neither has nor maps, in words.
    pub states: Vec<Reason>,
}

/// The case as it would be once it had adopted a definition, whatever that one's version: nothing is checked.
#[must_use]
pub fn as_adopted(state: &CaseState, definition: &Arc<Definition>) -> CaseState {
    let mut after = state.clone().knowing(state.library().with(definition));
    if let Some(last) = state.log().last() {
        let mut event = last.as_ref().clone();
        event.id = EventId(uuid::Uuid::nil());
        event.version = last.version.next();
        event.definition = definition.pin();
        event.proposed =
            ProposedEvent::new(engine_types::DEFINITION_MIGRATED, last.proposed.recorded_by.clone());
        event.proposed.data.insert(DIGEST.to_owned(), Value::String(definition.digest_hex()));
        after.evolve(event, state.position());
    }
    after
}

impl Obstacles {
    /// Whether nothing does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.states.is_empty()
    }

    /// How many of what, as the middle of a sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        let count = |number: usize, one: &str, many: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            number => Some(format!("{number} {many}")),
        };
        let events = count(
            self.events.len(),
            "event would be illegal at its place",
            "events would be illegal at their places",
        );
        let states = count(self.states.len(), "state has no place", "states have no place");
        events.into_iter().chain(states).collect::<Vec<_>>().join(", and ")
    }
}

/// What stands in the way of a case's adopting a version: `after` is the case once it has.
///
/// What an event's own override sets aside stands in nobody's way, nor do events that have no footing now because somebody
/// with authority accepted that. Gaps are judged as gaps. Breaches stand in nobody's way.
#[must_use]
pub fn obstacles(before: &CaseState, after: &CaseState, mapping: Option<&StateMapping>) -> Obstacles {
    let judged = |state: &CaseState| if mapping.is_some() { Vec::new() } else { state.judgements() };
    obstacles_between((before, &judged(before)), (after, &judged(after)), mapping)
}

/// The same where both timelines have been judged already; under a mapping nothing is.
pub(crate) fn obstacles_between(
    (before, judged): (&CaseState, &[Judged]),
    (after, judged_anew): (&CaseState, &[Judged]),
    mapping: Option<&StateMapping>,
) -> Obstacles {
    let (old, new) = (before.definition(), after.definition());
    if mapping.is_some() {
        let (_, stranded) = before.status().carried_over(old, new, mapping);
        let states = stranded.iter().map(|stranded| left_without(stranded, old, new)).collect();
        return Obstacles { events: Vec::new(), states };
    }
    let mut events = unreadable(before, after);
    let known: HashSet<Version> = events.iter().map(|lost| lost.version).collect();
    let lost = compare((before, judged), (after, judged_anew)).lost.into_iter().map(|(_, lost)| lost);
    events.extend(lost.filter(|lost| !known.contains(&lost.version)));
    events.sort_by_key(|lost| lost.version);
    // What an earlier mapping brought along has to find its place as well.
    let states = match before.earlier() {
        Some(earlier) => {
            let (_, stranded) = earlier.start.carried_over(old, new, None);
            stranded.iter().map(|stranded| left_without(stranded, old, new)).collect()
        }
        None => Vec::new(),
    };
    Obstacles { events, states }
}

/// Events that the new version has no type for, or whose scope or payload it does not take.
fn unreadable(before: &CaseState, after: &CaseState) -> Vec<LosesFooting> {
    let new = after.definition();
    before
        .effective()
        .events
        .iter()
        .filter_map(|event| {
            let problem = misfit_under(before, after, event)?;
            let reason = plain("engine:event", RuleClass::Logical, format!("{}: {problem}", new.pin()));
            Some(LosesFooting {
                version: event.version(),
                event_type: event.recorded.proposed.event_type.clone(),
                reasons: vec![reason],
            })
        })
        .collect()
}

/// Why an event, as it now reads, cannot be read under another version; `None`: it can, or could not be before.
fn misfit_under(old: &CaseState, new: &CaseState, event: &EffectiveEvent) -> Option<String> {
    if event.is_gap() {
        let types = std::iter::once(&event.event_type).chain(event.other_types());
        let mut names = types.map(|id| old.definition().event_type(*id).name.as_str());
        let lacking = names.find(|name| new.definition().event(name).is_none());
        return lacking.map(|name| format!("there is no event type {name}, which the gap names"));
    }
    let name = &event.recorded.proposed.event_type;
    let problem = misfit(new, name, event.scope(), event.data())?;
    // What the old version does not take either was accepted then, and is not asked again.
    misfit(old, name, event.scope(), event.data()).is_none().then_some(problem)
}

fn left_without(stranded: &Stranded, old: &Definition, new: &Definition) -> Reason {
    let (message, place) = match stranded {
        Stranded::State { strand, entity, state } => {
            let machine = &old.strands[strand.index()];
            let state = &machine.states[state.index()].name;
            let of = entity.as_ref().map(|entity| format!(" of {entity}")).unwrap_or_default();
            let message = format!(
                "{}{of} is {state}: {} has no such state of {}, and does not say which state it becomes",
                machine.name,
                new.pin(),
                machine.name
            );
            (message, Some((machine.name.clone(), entity.as_ref().map(ToString::to_string), state.clone())))
        }
        Stranded::Entity { kind, id } => {
            let kind = &old.kinds[kind.index()].name;
            (format!("the case has {kind} {id}, and {} has no {kind}", new.pin()), None)
        }
    };
    let mut reason = plain("engine:state", RuleClass::Logical, message);
    if let Some((strand, entity, state)) = place {
        (reason.strand, reason.entity, reason.state) = (Some(strand), entity, Some(state));
    }
    reason
}
