//! `cargo run -p casebook-examples --example follow_the_log`
//!
//! Reacts to events of all cases, in order of position, after they are on disk. A reaction may happen twice after a
//! crash, so it keeps its own place and is harmless when repeated.

use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::sync::Arc;

use casebook_engine::case::event::{Position, ProposedEvent, Recorder};
use casebook_engine::definition::compile::compile;
use casebook_engine::engine::{Engine, Opening, RecordOptions};
use casebook_engine::store::{SledOptions, SledStore, decode};
use casebook_engine::workflows;
use casebook_examples::Outcome;
use serde_json::json;

#[tokio::main]
async fn main() -> Outcome {
    tell(&mut stdout()).await
}

async fn tell(out: &mut (impl Write + Send)) -> Outcome {
    let folder = tempfile::tempdir()?;
    let store = SledStore::open_or_create(&folder.path().join("cases"), SledOptions::default())?;
    let files = workflows::shipped("police-conduct").ok_or("the definition ships with the engine")?;
    let definition = compile(&files).map_err(|problems| problems[0].snippet.clone())?;
    let engine = Engine::open(Arc::new(store), vec![definition])?;

    // Follows from the beginning; a real follower starts after the position that it stored with its last effect.
    let mut subscription = engine.subscribe(Position(0));
    let follower = tokio::spawn(async move {
        let mut cases: BTreeMap<String, u64> = BTreeMap::new();
        let mut lines = Vec::new();
        while lines.len() < 4 {
            let Some(stored) = subscription.next().await? else { break };
            let event = decode(&stored)?;
            *cases.entry(event.case.clone()).or_default() += 1;
            lines.push(format!("{}: {} of case {}", stored.position, event.proposed.event_type, event.case));
        }
        Ok::<_, casebook_engine::store::ReadError>((cases, lines))
    });

    for number in 1..=2 {
        let by = Recorder { id: "officer-1".into(), role: "caseworker".into() };
        let mut opened = ProposedEvent::new("case-opened", by.clone());
        opened.data = serde_json::from_value(json!({ "title": "A matter", "matter_type": "conduct" }))?;
        let mut subject = ProposedEvent::new("subject-identified", by);
        subject.scope.insert("subject".into(), "S1".into());
        subject.data = serde_json::from_value(json!({ "kind": "police-officer" }))?;
        let opening = Opening {
            reference: format!("2024/{number}"),
            workflow: "police-conduct".into(),
            event: opened,
            then: vec![subject],
        };
        engine.open_case(opening, RecordOptions::default()).await?;
    }

    let (cases, lines) = follower.await??;
    for line in lines {
        writeln!(out, "{line}")?;
    }
    for (case, events) in cases {
        writeln!(out, "{case} has {events} events")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_follower_sees_every_event_once_and_in_order() {
        let mut said = Vec::new();
        super::tell(&mut said).await.expect("the example runs");
        let said = String::from_utf8(said).expect("it writes text");
        let expected = "1: case-opened of case 2024/1\n2: subject-identified of case 2024/1\n\
                        3: case-opened of case 2024/2\n4: subject-identified of case 2024/2\n\
                        2024/1 has 2 events\n2024/2 has 2 events\n";
        assert_eq!(said, expected);
    }
}
