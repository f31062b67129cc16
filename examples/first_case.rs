//! `cargo run -p casebook-examples --example first_case`
//!
//! Opens a case, records what is allowed, and is told why a sentence is not.

use std::io::{Write, stdout};
use std::sync::Arc;

use casebook_engine::case::event::{Decider, ProposedEvent, Recorder};
use casebook_engine::case::occurred::Occurred;
use casebook_engine::case::reading::Cut;
use casebook_engine::definition::compile::compile;
use casebook_engine::engine::{Engine, Opening, RecordError, RecordOptions};
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

    let opening = Opening {
        reference: "2024/0017".into(),
        workflow: "police-conduct".into(),
        event: event("case-opened", "2024-03", json!({ "title": "Use of force", "matter_type": "conduct" }))?,
        then: Vec::new(),
    };
    engine.open_case(opening, RecordOptions::default()).await?;
    let case = CaseKey::Reference("2024/0017".into());

    let mut subject = event("subject-identified", "2024-03-04", json!({ "kind": "police-officer" }))?;
    subject.scope.insert("subject".into(), "S1".into());
    let mut charge =
        event("charge-laid", "2024-06-20", json!({ "how": "postal-requisition", "offence": "assault" }))?;
    charge.scope.insert("subject".into(), "S1".into());
    charge.scope.insert("charge".into(), "C1".into());
    // Both or neither: one append, one sync.
    let recorded = engine.record(&case, vec![subject, charge], RecordOptions::default()).await?;
    writeln!(out, "Recorded: the case is at version {}.", recorded.version)?;

    let mut sentence =
        event("sentence-passed", "2024-09-02", json!({ "court": "Maidstone", "disposal": "fine" }))?;
    sentence.scope.insert("charge".into(), "C1".into());
    sentence.decided_by = Some(Decider { body: "court".into(), role: None, id: None });
    match engine.record(&case, vec![sentence], RecordOptions::default()).await {
        Err(RecordError::Refused(refusal)) => {
            writeln!(out, "Refused: {}.", refusal.event_type)?;
            for reason in &refusal.reasons {
                writeln!(out, "  because: {} [{}]", reason.message, reason.rule)?;
            }
            writeln!(out, "  lawful after: {}", refusal.path.unwrap_or_default().join(", "))?;
        }
        other => return Err(format!("a sentence without a conviction was not refused: {other:?}").into()),
    }

    writeln!(out, "Where the case stands:")?;
    for strand in engine.status(&case, Cut::default()).await?.strands {
        if let (Some(entity), Some(since)) = (strand.entity, strand.since) {
            writeln!(out, "  {entity}, {}: {} since event {}", strand.strand, strand.title, since.version)?;
        }
    }
    Ok(())
}

/// An event as a caseworker records it.
fn event(
    event_type: &str,
    on: &str,
    data: serde_json::Value,
) -> Result<ProposedEvent, Box<dyn std::error::Error + Send + Sync>> {
    let by = Recorder { id: "officer-1".into(), role: "caseworker".into() };
    let mut event = ProposedEvent::new(event_type, by);
    event.occurred = Some(Occurred::parse(on)?);
    event.data = serde_json::from_value(data)?;
    Ok(event)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_first_case_ends_with_a_charge_laid() {
        let mut said = Vec::new();
        super::tell(&mut said).await.expect("the example runs");
        let said = String::from_utf8(said).expect("it writes text");
        assert!(said.contains("sentence-needs-conviction"), "{said}");
        assert!(said.contains("C1, charge: Laid since event 3"), "{said}");
    }
}
