//! Deciding one event on a case of about fifty, status in memory; and the refusal with its search for a path.
//!
//!     cargo bench -p casebook-engine --bench decide
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark fails loudly"
)]

mod reference;

use std::sync::Arc;
use std::time::Instant;

use casebook_engine::case::asking::may;
use casebook_engine::case::decide::{CaseName, Supply, Terms, decide};
use casebook_engine::case::event::{CaseId, ProposedEvent, Recorder, Scope, engine_types};
use casebook_engine::case::state::CaseState;
use casebook_engine::definition::{Definition, EventTypeId};
use criterion::{Criterion, criterion_group, criterion_main};
use uuid::Uuid;

fn benches(criterion: &mut Criterion) {
    let definition = Arc::new(reference::police_conduct());
    let lines = reference::recorded_lines(true);
    let state = reference::replay(&definition, &lines);
    let name = CaseName { reference: "2020/146999".into(), case_id: CaseId(Uuid::nil()) };
    let recorder = || Recorder { id: "case-3".into(), role: "caseworker".into() };
    let mut lawful = ProposedEvent::new("sentence-varied", recorder());
    let mut refused = ProposedEvent::new("retrial-decided", recorder());
    for event in [&mut lawful, &mut refused] {
        event.scope.insert("charge".into(), "C1".into());
        event.decided_by = serde_json::from_str(r#"{"body":"court"}"#).ok();
    }
    lawful.data = serde_json::from_str(r#"{"from":"P6M","to":"P4M","varied_by":"same-court"}"#).unwrap();
    refused.data = serde_json::from_str(r#"{"seek":true}"#).unwrap();
    let ask = |event: &ProposedEvent| {
        let (mut id, mut salt) = (Uuid::nil, || String::from("AAAAAAAAAAAAAAAAAAAAAA=="));
        let mut supply = Supply { now: jiff::Timestamp::UNIX_EPOCH, new_id: &mut id, new_salt: &mut salt };
        decide(&state, &name, std::slice::from_ref(event), &Terms::default(), &mut supply)
    };
    println!(
        "a lawful event on {} events: {:?}",
        lines.len(),
        ask(&lawful).map(|decision| decision.events.len()).map_err(|error| format!("{error:?}"))
    );
    println!("{}", worst_refusal(&definition, &state));
    criterion.bench_function("decide: one lawful event on the reference case", |bench| {
        bench.iter(|| ask(&lawful));
    });
    criterion.bench_function("decide: one refusal with its path", |bench| {
        bench.iter(|| ask(&refused));
    });
}

/// The event type whose refusal on this case takes longest, the best of three askings.
fn worst_refusal(definition: &Definition, state: &CaseState) -> String {
    let time = |event: EventTypeId| {
        let once = || {
            let begin = Instant::now();
            let refusal = may(state, event, &Scope::new()).err();
            (begin.elapsed(), refusal)
        };
        (0..3).map(|_| once()).min_by_key(|(time, _)| *time)
    };
    let types = (0..definition.events.len()).filter_map(|index| u16::try_from(index).ok().map(EventTypeId));
    let own = |event: &EventTypeId| engine_types::ALL.contains(&definition.event_type(*event).name.as_str());
    let refusals = types.filter(|event| !own(event)).filter_map(|event| {
        let (time, refusal) = time(event)?;
        Some((time, refusal?))
    });
    let (time, refusal) = refusals.max_by_key(|(time, _)| *time).unwrap();
    let path = refusal.path.as_ref().map(Vec::len);
    format!("the slowest refusal: {} in {time:?}, path {path:?}, {:?}", refusal.event_type, refusal.path_note)
}

criterion_group!(group, benches);
criterion_main!(group);
