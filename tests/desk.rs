//! A desk: one case of a small definition, at which events are recorded that a test writes as one line each.
//!
//! ```text
//! plea-entered charge=C1 plea=guilty on=2023-04-01 by=officer-1:clerk decided=court after=3 label=plea
//! ```

use std::sync::Arc;

use casebook_engine::case::event::{Decider, Override, ProposedEvent, Recorder, Version};
use casebook_engine::case::occurred::Occurred;
use casebook_engine::case::reading::{Cut, Recorded, StatusReading};
use casebook_engine::case::refusal::Refusal;
use casebook_engine::case::state::CaseState;
use casebook_engine::definition::Definition;
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::engine::{Engine, InvalidEvent, Opening, RecordError, RecordOptions};
use casebook_engine::store::{CaseKey, EventStore, MemoryStore};
use serde_json::Value;

/// A definition with one of everything that the engine tells apart.
pub(crate) const SMALL: &str = include_str!("small-inquiry.yaml");

/// The definition that a text compiles to.
#[track_caller]
pub(crate) fn definition(text: &str) -> Definition {
    compile(&[SourceFile { name: "definition.yaml".into(), text: text.into() }])
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The small definition.
pub(crate) fn small() -> Definition {
    definition(SMALL)
}

/// The definition of police conduct cases that ships.
pub(crate) fn police_conduct() -> Definition {
    compile(&casebook_engine::workflows::shipped("police-conduct").unwrap())
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// An engine over a store in memory.
pub(crate) fn engine_of(definition: Definition) -> Engine {
    Engine::open(Arc::new(MemoryStore::new()), vec![definition]).unwrap()
}

/// Reads an event from one line.
#[track_caller]
pub(crate) fn event(definition: &Definition, line: &str) -> ProposedEvent {
    let mut words = line.split_whitespace();
    let clerk = Recorder { id: "clerk-1".into(), role: "clerk".into() };
    let mut event = ProposedEvent::new(words.next().unwrap(), clerk);
    let mut occurred: Option<Occurred> = None;
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or_else(|| panic!("{word} in {line}"));
        match key {
            "on" => {
                let (date, time) =
                    value.split_once('T').map_or((value, None), |(date, time)| (date, Some(time)));
                let linked = occurred.take().unwrap_or_default();
                let mut new = Occurred::parse(date).unwrap();
                if let Some(time) = time {
                    new = new.with_time(time).unwrap();
                }
                new.after = linked.after;
                new.before = linked.before;
                occurred = Some(new);
            }
            "after" => occurred.get_or_insert_default().after.push(value.into()),
            "before" => occurred.get_or_insert_default().before.push(value.into()),
            "by" => event.recorded_by = value.parse().unwrap(),
            "decided" => event.decided_by = Some(Decider { body: value.into(), role: None, id: None }),
            "label" => event.label = Some(value.into()),
            "rationale" => event.rationale = Some(value.into()),
            "override" => {
                event.override_given =
                    Some(Override { authority: value.into(), reason: "in the public interest".into() });
            }
            kind if definition.kind(kind).is_some() => _ = event.scope.insert(kind.into(), value.into()),
            field => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
                event.data.insert(field.into(), value);
            }
        }
    }
    event.occurred = occurred;
    event
}

/// One case and the engine that keeps it.
pub(crate) struct Desk {
    runtime: tokio::runtime::Runtime,
    pub(crate) engine: Engine,
    pub(crate) definition: Arc<Definition>,
    pub(crate) case: CaseKey,
}

impl Desk {
    /// A case of the small definition, opened on 1 January 2020.
    pub(crate) fn new() -> Self {
        Self::at(engine_of(small()), "R/1", "case-opened on=2020-01-01 title=Inquiry")
    }

    /// A case that is opened now by this line.
    #[track_caller]
    pub(crate) fn at(engine: Engine, reference: &str, opening: &str) -> Self {
        let desk = Self::of_open_case(engine, reference);
        let event = event(&desk.definition, opening);
        let workflow = desk.definition.name.clone();
        let opening = Opening { reference: reference.into(), workflow, event, then: Vec::new() };
        desk.runtime.block_on(desk.engine.open_case(opening, RecordOptions::default())).unwrap();
        desk
    }

    /// A case that is open already, or will be.
    pub(crate) fn of_open_case(engine: Engine, reference: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let definition = engine.definitions().pop().unwrap();
        Self { runtime, engine, definition, case: CaseKey::Reference(reference.into()) }
    }

    /// A case of the small definition with a person P1, warned, and a charge C1.
    pub(crate) fn charged() -> Self {
        let desk = Self::new();
        desk.record("person-named person=P1 name=P1 on=2020-02-01");
        desk.record("charge-brought person=P1 charge=C1 on=2020-03-01 offence=theft");
        desk
    }

    pub(crate) fn store(&self) -> &Arc<dyn EventStore> {
        self.engine.store()
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn events(&self, lines: &[&str]) -> Vec<ProposedEvent> {
        lines.iter().map(|line| event(&self.definition, line)).collect()
    }

    /// Proposes a list of events on these terms.
    pub(crate) fn propose_with(
        &self,
        lines: &[&str],
        options: RecordOptions,
    ) -> Result<Recorded, RecordError> {
        let events = self.events(lines);
        self.wait(self.engine.record(&self.case, events, options))
    }

    pub(crate) fn propose(&self, lines: &[&str]) -> Result<Recorded, RecordError> {
        self.propose_with(lines, RecordOptions::default())
    }

    /// Records an event that has to be accepted.
    #[track_caller]
    pub(crate) fn record(&self, line: &str) -> Recorded {
        accepted(self.propose(&[line]))
    }

    /// Records an event and whatever is missing before it.
    #[track_caller]
    pub(crate) fn record_with_gaps(&self, line: &str) -> Recorded {
        accepted(self.propose_with(&[line], RecordOptions { declare_gaps: true, ..RecordOptions::default() }))
    }

    /// The refusal of an event that must not be accepted; nothing of it is recorded.
    #[track_caller]
    pub(crate) fn refused(&self, line: &str) -> Refusal {
        self.refused_list(&[line])
    }

    #[track_caller]
    pub(crate) fn refused_list(&self, lines: &[&str]) -> Refusal {
        let before = *self.store().head().borrow();
        let answer = refusal(self.propose(lines));
        assert_eq!(*self.store().head().borrow(), before, "a refusal records nothing");
        answer
    }

    /// What is wrong with an event that is not valid; nothing of it is recorded.
    #[track_caller]
    pub(crate) fn invalid(&self, line: &str) -> InvalidEvent {
        let before = *self.store().head().borrow();
        let answer = invalid(self.propose(&[line]));
        assert_eq!(*self.store().head().borrow(), before, "an invalid event records nothing");
        answer
    }

    /// Corrects fields of an event, as a clerk.
    pub(crate) fn correct(&self, version: u64, fields: Value) -> Result<Recorded, RecordError> {
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        let by = Recorder { id: "clerk-1".into(), role: "clerk".into() };
        let options = RecordOptions::default();
        self.wait(self.engine.correct(&self.case, Version(version), fields, "it was wrong", by, options))
    }

    #[track_caller]
    pub(crate) fn case_state(&self) -> Arc<CaseState> {
        self.wait(self.engine.case(&self.case)).unwrap()
    }

    #[track_caller]
    pub(crate) fn status(&self) -> StatusReading {
        self.status_at(Cut::default())
    }

    #[track_caller]
    pub(crate) fn status_at(&self, cut: Cut) -> StatusReading {
        self.wait(self.engine.status(&self.case, cut)).unwrap()
    }

    /// The state of a strand or derived strand; `-` where it has none.
    #[track_caller]
    pub(crate) fn state(&self, strand: &str, entity: &str) -> String {
        state_in(&self.status(), strand, entity)
    }

    /// Types of the events of the timeline, in its order.
    pub(crate) fn timeline(&self) -> Vec<(u64, String)> {
        let state = self.case_state();
        let places = state.timeline().places().iter();
        places
            .map(|placed| {
                let name = &state.definition().event_type(placed.event.event_type).name;
                (placed.event.version().0, name.clone())
            })
            .collect()
    }
}

/// The state of a strand or derived strand in a reading; the case's own where `entity` is empty.
#[track_caller]
pub(crate) fn state_in(reading: &StatusReading, strand: &str, entity: &str) -> String {
    let entity = Some(entity).filter(|entity| !entity.is_empty());
    let strands = reading.strands.iter().map(|row| (&row.strand, &row.entity, &row.state));
    let derived = reading.derived.iter().map(|row| (&row.strand, &row.entity, &row.state));
    let mut all = strands.chain(derived);
    let found = all.find(|(name, of, _)| *name == strand && of.as_deref() == entity);
    let (_, _, state) = found.unwrap_or_else(|| panic!("no strand {strand} of {entity:?}"));
    state.clone().unwrap_or_else(|| "-".to_owned())
}

#[track_caller]
pub(crate) fn accepted(answer: Result<Recorded, RecordError>) -> Recorded {
    match answer {
        Ok(recorded) => recorded,
        Err(RecordError::Refused(refusal)) => {
            panic!("refused: {}", serde_json::to_string_pretty(&refusal).unwrap())
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[track_caller]
pub(crate) fn refusal(answer: Result<Recorded, RecordError>) -> Refusal {
    match answer {
        Err(RecordError::Refused(refusal)) => *refusal,
        Ok(recorded) => panic!("accepted: {:#?}", recorded.changed),
        Err(error) => panic!("{error:?}"),
    }
}

#[track_caller]
pub(crate) fn invalid(answer: Result<Recorded, RecordError>) -> InvalidEvent {
    match answer {
        Err(RecordError::Invalid(invalid)) => invalid,
        Ok(recorded) => panic!("accepted: {:#?}", recorded.changed),
        Err(error) => panic!("{error:?}"),
    }
}

/// The rules that a refusal names.
pub(crate) fn rules(refusal: &Refusal) -> Vec<&str> {
    refusal.reasons.iter().map(|reason| reason.rule.as_str()).collect()
}

/// A reading as its published JSON.
pub(crate) fn json(reading: &StatusReading) -> Value {
    serde_json::to_value(reading).unwrap()
}
