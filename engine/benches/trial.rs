//! A draft tried on a store of generated cases, beside plain replay of the same cases.
//!
//! `cargo bench -p casebook-engine --bench trial [CASES]` walks through the police-conduct definition from a fixed seed: at
//! each step one of the events that may happen next, filled in from its schema. The histories so found are written over and
//! over, as cases of their own, into a store under `target/tmp`. Then it prints cases a second of a trial that finds nothing
//! to do (each case is read and replayed, and no more), of one whose draft makes every compliance rule logical, their
//! ratio, and the peak of memory. 100,000 cases unless told otherwise.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::expect_used, reason = "a benchmark that can't run has nothing to recover")]

use std::sync::Arc;
use std::time::Instant;

use casebook_engine::case::event::{Decider, Payload, Position, ProposedEvent, Recorder};
use casebook_engine::case::reading::Possible;
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::{Definition, EventType};
use casebook_engine::engine::{Engine, Opening, RecordOptions};
use casebook_engine::store::{CaseKey, MemoryStore, SledOptions, SledStore};
use casebook_engine::trial::{Asked, TrialSummary, trial};
use casebook_engine::workflows;
use serde_json::{Value, json};

mod reference;

const CASES: usize = 100_000;
const HISTORIES: usize = 48;
const STEPS_MAX: usize = 30;
/// Cases opened at the same time while the store is filled.
const CALLERS: usize = 64;

/// xorshift: the same walk on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % sides.max(1)
    }

    fn one_of<'v>(&mut self, values: &'v [Value]) -> &'v Value {
        &values[self.below(values.len())]
    }
}

/// A value that fits a schema, as far as a walk needs it.
fn value(schema: &Value, dice: &mut Dice) -> Value {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return dice.one_of(values).clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => Value::Bool(dice.below(2) == 0),
        Some("integer") => json!(1 + dice.below(9)),
        Some("array") => json!([value(&schema["items"], dice)]),
        Some("object") => Value::Object(payload(schema, dice)),
        _ => match schema.get("format").and_then(Value::as_str) {
            Some("duration") => json!("P6M"),
            Some("edtf" | "date") => json!("2023-10-04"),
            _ => json!("as told"),
        },
    }
}

fn payload(schema: &Value, dice: &mut Dice) -> Payload {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else { return Payload::new() };
    let wanted = fields
        .iter()
        .filter(|(name, field)| required.iter().any(|one| one == *name) || field.get("enum").is_some());
    wanted.map(|(name, field)| (name.clone(), value(field, dice))).collect()
}

/// An event that may happen, filled in; new entities are numbered by the step.
fn fill(definition: &Definition, may: &Possible, step: usize, dice: &mut Dice) -> ProposedEvent {
    let id = definition.event(&may.event_type).expect("the definition's own");
    let event_type: &EventType = definition.event_type(id);
    let role = may.record.get(dice.below(may.record.len())).map_or("caseworker", String::as_str);
    let mut event =
        ProposedEvent::new(&may.event_type, Recorder { id: format!("{role}-1"), role: role.into() });
    for (kind, named) in &may.scope {
        let named = if named.contains(' ') { format!("{kind}-{step}") } else { named.clone() };
        event.scope.insert(kind.clone(), named);
    }
    event.data = payload(&event_type.schema.source, dice);
    event.decided_by = event_type.decide.get(dice.below(event_type.decide.len())).map(|body| Decider {
        body: body.clone(),
        id: None,
        role: None,
    });
    event.rationale = event_type.rationale_required.then(|| "as told".to_owned());
    event
}

/// A history found by walking: the opening, and what followed.
async fn walk(
    engine: &Engine,
    definition: &Definition,
    dice: &mut Dice,
    number: usize,
) -> Vec<ProposedEvent> {
    let by = Recorder { id: "intake-1".into(), role: "caseworker".into() };
    let mut opening = ProposedEvent::new("case-opened", by);
    let id = definition.event("case-opened").expect("every definition's");
    opening.data = payload(&definition.event_type(id).schema.source, dice);
    let reference = format!("WALK-{number}");
    let case = CaseKey::Reference(reference.clone());
    let first =
        Opening { reference, workflow: "police-conduct".into(), event: opening.clone(), then: Vec::new() };
    engine.open_case(first, RecordOptions::default()).await.expect("a case");
    let mut history = vec![opening];
    let length = 4 + dice.below(STEPS_MAX - 4);
    for step in 0..length * 2 {
        if history.len() >= length {
            break;
        }
        let next = engine.next(&case).await.expect("an answer");
        let mut may = next.may;
        // The engine's own events and the closing of the case tell a walk nothing, or end it.
        may.retain(|event| event.part != "engine" && event.event_type != "case-closed");
        if may.is_empty() {
            break;
        }
        let event = fill(definition, &may[dice.below(may.len())], step, dice);
        if engine.record(&case, vec![event.clone()], RecordOptions::default()).await.is_ok() {
            history.push(event);
        }
    }
    history
}

/// Writes the histories as cases, many at a time.
fn fill_store(engine: &Engine, histories: &Arc<Vec<Vec<ProposedEvent>>>, cases: usize) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (engine, histories) = (engine.clone(), Arc::clone(histories));
                tokio::spawn(async move {
                    for number in (caller..cases).step_by(CALLERS) {
                        let history = &histories[number % histories.len()];
                        let opening = Opening {
                            reference: format!("REF-{number:06}"),
                            workflow: "police-conduct".into(),
                            event: history[0].clone(),
                            then: history[1..].to_vec(),
                        };
                        engine.open_case(opening, RecordOptions::default()).await.expect("a case");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a caller");
        }
    });
}

/// The shipped definition as its next version, with every compliance rule made logical.
fn draft() -> Definition {
    let mut files = workflows::shipped("police-conduct").expect("it ships");
    for file in &mut files {
        file.text = file.text.replace("class: compliance", "class: logical");
        let lines = file.text.lines().map(|line| {
            let number = line.strip_prefix("version: ").and_then(|number| number.trim().parse::<u32>().ok());
            number.map_or_else(|| format!("{line}\n"), |number| format!("version: {}\n", number + 1))
        });
        file.text = lines.collect();
    }
    compile(&files).expect("the draft compiles")
}

/// Runs a trial, and says how many cases a second it tried.
fn measure(engine: &Engine, definition: Definition) -> (f64, TrialSummary) {
    let definition = Arc::new(definition);
    let begin = Instant::now();
    let mut tell = |_| true;
    let summary =
        trial(engine, &definition, &Asked::default(), &mut tell, &|_| {}).expect("the store can be read");
    (summary.cases as f64 / begin.elapsed().as_secs_f64(), summary)
}

/// Resident memory, MiB: at its highest since [`forget_peak`], or now. 0 where the system does not tell.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1_024
}

fn forget_peak() {
    // Where the system does not allow it, the peak is of the whole run, and is only too high.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

fn main() {
    let cases = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(CASES);
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let scratch =
        Engine::open(Arc::new(MemoryStore::new()), vec![reference::police_conduct()]).expect("an engine");
    let definition = reference::police_conduct();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let histories: Vec<Vec<ProposedEvent>> = (0..HISTORIES)
        .map(|number| runtime.block_on(walk(&scratch, &definition, &mut dice, number)))
        .collect();
    drop(scratch);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    {
        let store =
            SledStore::open_or_create(&folder.path().join("store"), SledOptions::default()).expect("a store");
        let engine = Engine::open(Arc::new(store), vec![reference::police_conduct()]).expect("an engine");
        let begin = Instant::now();
        fill_store(&engine, &Arc::new(histories), cases);
        println!("{cases} cases written in {:.0} s", begin.elapsed().as_secs_f64());
    }
    let store = SledStore::open(&folder.path().join("store"), SledOptions::default()).expect("the store");
    let engine = Engine::open(Arc::new(store), vec![reference::police_conduct()]).expect("an engine");
    let events: Position = *engine.store().head().borrow();
    println!("{events} events; memory before: {} MiB", memory("VmRSS"));
    let (replayed, _) = measure(&engine, reference::police_conduct());
    println!("plain replay: {replayed:.0} cases a second");
    forget_peak();
    let (tried, summary) = measure(&engine, draft());
    println!("trial: {tried:.0} cases a second, {:.2} of plain replay", tried / replayed);
    println!("peak of memory during the trial: {} MiB", memory("VmHWM"));
    println!("{}", serde_json::to_string(&summary).expect("a summary"));
}
