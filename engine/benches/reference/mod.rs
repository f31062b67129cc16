//! The reference case as the engine records it, for benchmarks.

use std::sync::Arc;

use casebook_engine::case::event::{Position, ProposedEvent, RecordedEvent, Version};
use casebook_engine::case::state::CaseState;
use casebook_engine::definition::Definition;
use casebook_engine::engine::{Engine, Opening, RecordOptions};
use casebook_engine::store::{CaseKey, EventStore, MemoryStore};
use casebook_engine::{definition, workflows};

/// The published case, one event a line.
#[allow(dead_code, reason = "not every benchmark replays")]
const LINES: &str = include_str!("../../../examples/reference-case/2020-146999.jsonl");

/// `police-conduct`, compiled.
pub(crate) fn police_conduct() -> Definition {
    let files = workflows::shipped("police-conduct").expect("the definition ships");
    definition::compile::compile(&files).expect("the shipped definition compiles")
}

/// The canonical bytes of the reference case. Without `dates`, as an office would record it while it happens: no links,
/// no date before one that is recorded already.
#[allow(dead_code, reason = "not every benchmark replays")]
pub(crate) fn recorded_lines(dates: bool) -> Vec<Vec<u8>> {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let engine = Engine::open(Arc::clone(&store), vec![police_conduct()]).expect("a fresh store opens");
    let mut events: Vec<ProposedEvent> = LINES.lines().map(|line| event(line, dates)).collect();
    let first = events.remove(0);
    let opening = Opening {
        reference: "2020/146999".into(),
        workflow: "police-conduct".into(),
        event: first,
        then: events,
    };
    let options = RecordOptions { imported: true, ..RecordOptions::default() };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(engine.open_case(opening, options)).expect("the reference case is lawful");
    let head = store.head_of(&CaseKey::Reference("2020/146999".into())).expect("memory").expect("the case");
    let stored = store.read_case(head.case_id, Version(0), 1_000).expect("memory");
    stored.into_iter().map(|event| event.bytes.to_vec()).collect()
}

#[allow(dead_code, reason = "not every benchmark replays")]
fn event(line: &str, dates: bool) -> ProposedEvent {
    let mut value: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
    let fields = value.as_object_mut().expect("a line is an object");
    fields.remove("case");
    fields.remove("workflow");
    if !dates {
        fields.remove("occurred");
    }
    serde_json::from_value(value).expect("a line is an event")
}

/// The case of these lines.
#[allow(dead_code, reason = "not every benchmark replays")]
pub(crate) fn replay(definition: &Arc<Definition>, lines: &[Vec<u8>]) -> CaseState {
    let events = (1..).zip(lines).map(|(place, line)| (Position(place), decode(line)));
    CaseState::replay(Arc::clone(definition), events)
}

/// One event decoded.
#[allow(dead_code, reason = "not every benchmark decodes")]
pub(crate) fn decode(line: &[u8]) -> RecordedEvent {
    casebook_engine::store::codec::decode(line).expect("canonical bytes")
}
