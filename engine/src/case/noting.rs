//! What a missed deadline makes the engine record: a breach, or the event that the definition names.
//!
//! Nothing is recorded for what only may have been missed, and nothing twice.

use serde_json::{Value, json};

use super::clock::Mark;
use super::day::Day;
use super::deadline::{Answer, Round, rounds};
use super::event::{EventId, Payload, ProposedEvent, RecordedEvent, Recorder, Scope, engine_types};
use super::occurred::{Basis, Occurred};
use super::state::CaseState;
use crate::definition::Definition;
use crate::definition::condition::EntityId;
use crate::definition::deadline::{Deadline, Missed};

/// A miss that is certain, and what is to be recorded for it.
pub(crate) struct Miss {
    /// The event that it is about: what met the deadline late, or what started it.
    pub(crate) about: EventId,
    /// What is to be recorded.
    pub(crate) proposed: ProposedEvent,
    /// Whether only the engine may record it.
    pub(crate) is_breach: bool,
}

/// Deadlines that an event of the batch met too late or too early, or that the batch shows to have been, and that nobody
/// has noted.
pub(crate) fn broken(
    before: &CaseState,
    after: &CaseState,
    noted: &[RecordedEvent],
    by: &Recorder,
) -> Vec<Miss> {
    let met_late = |state: &CaseState| -> Vec<(EventId, Payload)> {
        // Once met, the answer is the same on every day.
        let rounds = rounds(state, Day(0));
        let late = rounds.iter().filter_map(|round| Some((round, round.met?)));
        late.filter(|(round, _)| {
            deadline_of(state, round).missed.is_breach() && round.answer(Day(0)).0 == Answer::Missed
        })
        .map(|(round, met)| (met.event, breach_data(state, round, Some(met), None)))
        .collect()
    };
    let known: Vec<(EventId, Payload)> = met_late(before);
    let rounds = rounds(after, Day(0));
    let mut found = Vec::new();
    for round in &rounds {
        let Some(met) = round.met else { continue };
        let deadline = deadline_of(after, round);
        if !deadline.missed.is_breach() || round.answer(Day(0)).0 != Answer::Missed {
            continue;
        }
        let data = breach_data(after, round, Some(met), None);
        let is_same = |other: &Payload| same_miss(other, &data);
        let is_known = known.iter().any(|(event, other)| *event == met.event && is_same(other))
            || is_noted(after, noted, &data);
        if !is_known {
            let scope = scope_of(after, round.clock.entity);
            found.push(Miss { about: met.event, proposed: breach(scope, data, by), is_breach: true });
        }
    }
    found
}

/// What has passed silently by `today`, and is not noted yet.
pub(crate) fn passed(state: &CaseState, today: Day, by: &Recorder) -> Vec<Miss> {
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    for round in rounds(state, today) {
        let deadline = deadline_of(state, &round);
        if round.met.is_some() || round.answer(today).0 != Answer::Missed {
            continue;
        }
        let scope = scope_of(state, round.clock.entity);
        let about = round.clock.started_by.event;
        match &deadline.missed {
            Missed::Notice => {}
            Missed::Breach => {
                let data = breach_data(state, &round, None, Some(today));
                if !is_noted(state, &[], &data) {
                    found.push(Miss { about, proposed: breach(scope, data, by), is_breach: true });
                }
            }
            Missed::Event { event, data } => {
                let event = state.definition().event_type(*event);
                let is_named = |kind: &String| {
                    event.scope.iter().any(|known| state.definition().kinds[known.index()].name == *kind)
                };
                let occurred = round.due.latest.map(|day| Occurred::on(day).with_basis(Basis::Computed));
                let proposed = ProposedEvent {
                    scope: scope.into_iter().filter(|(kind, _)| is_named(kind)).collect(),
                    occurred,
                    data: data.clone(),
                    asserted: super::event::Asserted::ImpliedByLaw,
                    ..ProposedEvent::new(&event.name, by.clone())
                };
                lost.push(Miss { about, proposed, is_breach: false });
            }
        }
    }
    found.extend(not_recorded(state, lost));
    found
}

/// Those events of missed deadlines that the log does not have: one start can lose several rights, of several people or one
/// round after the other, so they are counted.
fn not_recorded(state: &CaseState, lost: Vec<Miss>) -> Vec<Miss> {
    let mut missing = Vec::new();
    let mut told: Vec<(EventId, ProposedEvent)> = Vec::new();
    for miss in lost {
        let is_same = |other: &ProposedEvent| {
            other.event_type == miss.proposed.event_type
                && other.scope == miss.proposed.scope
                && other.data == miss.proposed.data
        };
        let start = miss.about.to_string();
        let recorded = state.log().iter().filter(|known| {
            is_same(&known.proposed) && known.causation_id.as_deref() == Some(start.as_str())
        });
        let before = told.iter().filter(|(about, other)| *about == miss.about && is_same(other));
        let is_recorded = before.count() < recorded.count();
        told.push((miss.about, miss.proposed.clone()));
        if !is_recorded {
            missing.push(miss);
        }
    }
    missing
}

fn deadline_of<'s>(state: &'s CaseState, round: &Round<'_>) -> &'s Deadline {
    &state.definition().deadlines[round.clock.deadline.index()]
}

/// The rule under which a missed deadline is noted.
pub(crate) fn rule_of(deadline: &Deadline) -> String {
    format!("deadline:{}", deadline.name)
}

/// The entity with its parents, as a scope names them.
fn scope_of(state: &CaseState, entity: EntityId) -> Scope {
    let definition: &Definition = state.definition();
    let mut scope = Scope::new();
    let mut next = Some(entity).filter(|entity| *entity != EntityId::CASE);
    while let Some(id) = next {
        let entity = state.status().entity(id);
        if let Some(kind) = entity.kind {
            scope.insert(definition.kinds[kind.index()].name.clone(), entity.id.to_string());
        }
        next = entity.parent.filter(|parent| *parent != EntityId::CASE);
    }
    scope
}

fn breach(scope: Scope, data: Payload, by: &Recorder) -> ProposedEvent {
    ProposedEvent {
        scope,
        data,
        asserted: super::event::Asserted::Inferred,
        ..ProposedEvent::new(engine_types::BREACH_NOTED, by.clone())
    }
}

fn breach_data(state: &CaseState, round: &Round<'_>, met: Option<&Mark>, today: Option<Day>) -> Payload {
    let deadline = deadline_of(state, round);
    let entity = state.status().entity(round.clock.entity);
    let whose =
        if round.clock.entity == EntityId::CASE { String::new() } else { format!(" of {}", entity.id) };
    let due = round.due_in_words();
    let title = &deadline.title;
    let message = match (met.and_then(|met| state.at_version(met.version)), today) {
        (Some(event), _) => {
            let event_type = state.definition().event(&event.proposed.event_type);
            let what = event_type.map_or_else(
                || event.proposed.event_type.clone(),
                |id| state.definition().event_type(id).title.clone(),
            );
            let when =
                event.proposed.occurred.as_ref().map_or_else(|| "an unknown day".to_owned(), Occurred::words);
            let why = round.answer(Day(0)).1.unwrap_or_default();
            let early = why.contains("early");
            let (word, due) = match round.due.not_before.filter(|_| early) {
                Some(open) => (
                    "early",
                    format!("not before {}", super::deadline::due_words(open.earliest, open.latest)),
                ),
                None => ("late", format!("due on {due}")),
            };
            format!("{title}{whose} was {due}; {what} on {when} was too {word}")
        }
        (None, Some(today)) => {
            format!("{title}{whose} was due on {due}; nothing had met it by {}", Occurred::on(today).words())
        }
        (None, None) => format!("{title}{whose} was due on {due}"),
    };
    let about = met.map_or(round.clock.started_by.event, |met| met.event);
    let mut data = Payload::new();
    data.insert("rule".into(), json!(rule_of(deadline)));
    data.insert("event".into(), json!(about.to_string()));
    data.insert("message".into(), json!(message));
    if let Some(basis) = &deadline.basis {
        data.insert("basis".into(), json!(basis));
    }
    if let Some(calendar) = deadline.calendar().and_then(|id| state.definition().calendars.get(id.index())) {
        data.insert("calendar".into(), json!(calendar.pin()));
    }
    data.insert("deadline".into(), json!(deadline.name));
    data.insert("due".into(), json!({ "earliest": round.due.earliest, "latest": round.due.latest }));
    data.insert("started_by".into(), json!(round.clock.started_by.event.to_string()));
    data.insert("round".into(), json!(round.number));
    data.insert("whose".into(), json!(entity.id.to_string()));
    data
}

/// Whether two notes are about the same round of the same deadline of the same entity.
fn same_miss(one: &Payload, other: &Payload) -> bool {
    ["rule", "started_by", "round", "whose"].iter().all(|field| one.get(*field) == other.get(*field))
}

fn is_noted(state: &CaseState, batch: &[RecordedEvent], data: &Payload) -> bool {
    let log = state.log().iter().map(AsRef::as_ref);
    log.chain(batch).any(|event| {
        event.proposed.event_type == engine_types::BREACH_NOTED && same_miss(&event.proposed.data, data)
    })
}

/// Whether the case, as it now reads, still shows the miss that a note speaks of.
pub(crate) fn still_missed(state: &CaseState, note: &RecordedEvent, day: Day) -> bool {
    let text = |field: &str| note.proposed.data.get(field).and_then(Value::as_str);
    rounds(state, day).iter().any(|round| {
        text("deadline") == Some(&deadline_of(state, round).name)
            && text("whose") == Some(&state.status().entity(round.clock.entity).id)
            && text("started_by") == Some(&round.clock.started_by.event.to_string())
            && note.proposed.data.get("round") == Some(&json!(round.number))
            && round.answer(day).0 == Answer::Missed
    })
}

impl Missed {
    fn is_breach(&self) -> bool {
        matches!(self, Self::Breach)
    }
}
