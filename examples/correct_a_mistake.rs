//! `cargo run -p casebook-examples --example correct_a_mistake`
//!
//! A date was typed wrongly. The event stays as it was recorded; a correction says how it should read, and both the
//! old and the new reading can be asked for.

use std::io::{Write, stdout};
use std::sync::Arc;

use casebook_engine::case::event::{ProposedEvent, Recorder, Version};
use casebook_engine::case::occurred::{Day, Occurred};
use casebook_engine::case::reading::Cut;
use casebook_engine::definition::compile::compile;
use casebook_engine::engine::{Engine, HistoryOrder, Opening, Point, RecordOptions};
use casebook_engine::store::{CaseKey, SledOptions, SledStore};
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
    let by = Recorder { id: "officer-1".into(), role: "caseworker".into() };

    let mut opened = ProposedEvent::new("case-opened", by.clone());
    opened.data = serde_json::from_value(json!({ "title": "A matter", "matter_type": "conduct" }))?;
    let mut subject = ProposedEvent::new("subject-identified", by.clone());
    subject.scope.insert("subject".into(), "S1".into());
    subject.data = serde_json::from_value(json!({ "kind": "police-officer" }))?;
    let mut charge = ProposedEvent::new("charge-laid", by.clone());
    charge.scope.insert("subject".into(), "S1".into());
    charge.scope.insert("charge".into(), "C1".into());
    charge.occurred = Some(Occurred::parse("2024-07-20")?);
    charge.data = serde_json::from_value(json!({ "how": "postal-requisition" }))?;
    let opening = Opening {
        reference: "2024/0017".into(),
        workflow: "police-conduct".into(),
        event: opened,
        then: vec![subject, charge],
    };
    engine.open_case(opening, RecordOptions::default()).await?;
    let case = CaseKey::Reference("2024/0017".into());

    // The requisition says June.
    let fields = serde_json::from_value(json!({ "occurred": "2024-06-20" }))?;
    let reason = "the requisition is dated 20 June";
    engine.correct(&case, Version(3), fields, reason, by, RecordOptions::default()).await?;

    for entry in engine.history(&case, Cut::default(), HistoryOrder::Recorded).await? {
        write!(out, "{} {}, {}", entry.event.version, entry.title, entry.occurred)?;
        if let Some(by) = entry.corrected_by.last() {
            write!(out, " (corrected by event {by})")?;
        }
        writeln!(out)?;
    }
    let first_of_july = Day::parse("2024-07-01")?;
    let before = Cut { version: Some(Version(3)), at: Some(first_of_july), ..Cut::default() };
    let now = Cut { at: Some(first_of_july), ..Cut::default() };
    for (when, cut) in [("before the correction", before), ("with the correction", now)] {
        let status = engine.status(&case, cut).await?;
        let charge = status.strands.iter().find(|strand| strand.strand == "charge");
        let state = charge.map_or("not there yet", |charge| charge.title.as_str());
        writeln!(out, "The charge on 1 July 2024, {when}: {state}")?;
    }
    let diff = engine.diff(&case, Point::Version(Version(3)), Point::Version(Version(4))).await?;
    writeln!(out, "States that the correction changed at the end of the timeline: {}", diff.changed.len())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn both_readings_of_the_first_of_july_are_there() {
        let mut said = Vec::new();
        super::tell(&mut said).await.expect("the example runs");
        let said = String::from_utf8(said).expect("it writes text");
        assert!(said.contains("before the correction: not there yet"), "{said}");
        assert!(said.contains("with the correction: Laid"), "{said}");
    }
}
