//! `cargo run -p casebook-examples --example own_workflow`
//!
//! Another field altogether: inspections of kitchens. The workflow is the YAML below; no line of Rust knows a kitchen.

use std::io::{Write, stdout};
use std::sync::Arc;

use casebook_engine::case::event::{ProposedEvent, Recorder};
use casebook_engine::case::occurred::Occurred;
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::lint;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::engine::{Engine, Opening, RecordError, RecordOptions};
use casebook_engine::store::{CaseKey, SledOptions, SledStore};
use casebook_examples::Outcome;
use serde_json::json;

const KITCHEN: &str = r#"
workflow: kitchen-inspection
version: 1
language: casebook/1
title: Food-safety inspection of a kitchen

roles:
  inspector: { title: Inspector }
  lead: { title: Lead inspector, may-override: true }

entities:
  defect: { introduced-by: defect-found }

events:
  visit-made:
    record: [inspector]
  defect-found:
    scope: [defect]
    record: [inspector]
    data:
      properties: { kind: { type: string }, risk: { enum: [low, high] } }
      required: [kind, risk]
  defect-remedied:
    scope: [defect]
    record: [inspector]
    rules:
      - id: remedy-within-the-period
        class: compliance
        require: "!definitely_before(date('2026-04-30'), event.occurred)"
        message: "{defect.id} was remedied after the period that the notice gave"
  kitchen-cleared:
    record: [lead]
    rules:
      - id: no-high-risk-left
        class: logical
        require: case.defects.all(d, d.data.risk != 'high' || d.state('defect') == 'remedied')
        message: A high-risk defect is still open
        basis: Inspection code, section 12

strands:
  inspection:
    states: { announced: {}, visited: {}, cleared: { final: true } }
    initial: announced
    transitions:
      - { on: visit-made, from: [announced, visited], to: visited }
      - { on: kitchen-cleared, from: visited, to: cleared }
  defect:
    per: defect
    states: { open: {}, remedied: { final: true } }
    initial: open
    transitions:
      - { on: defect-remedied, from: open, to: remedied }

derived:
  outcome:
    states:
      - passed: case.state('inspection') == 'cleared'
      - in-doubt: case.defects.exists(d, d.state('defect') == 'open')
      - in-order: true
"#;

#[tokio::main]
async fn main() -> Outcome {
    tell(&mut stdout()).await
}

async fn tell(out: &mut (impl Write + Send)) -> Outcome {
    let file = SourceFile { name: "kitchen-inspection.yaml".into(), text: KITCHEN.into() };
    let definition = compile(&[file]).map_err(|problems| problems[0].snippet.clone())?;
    writeln!(out, "{}: {} findings of the lint.", definition.pin(), lint::lint(&definition).len())?;

    let folder = tempfile::tempdir()?;
    let store = SledStore::open_or_create(&folder.path().join("cases"), SledOptions::default())?;
    let engine = Engine::open(Arc::new(store), vec![definition])?;
    let opening = Opening {
        reference: "KITCHEN-7".into(),
        workflow: "kitchen-inspection".into(),
        event: event("case-opened", "inspector", "2026-03-30")?,
        then: vec![event("visit-made", "inspector", "2026-04-01")?],
    };
    engine.open_case(opening, RecordOptions::default()).await?;
    let case = CaseKey::Reference("KITCHEN-7".into());

    let mut found = event("defect-found", "inspector", "2026-04-01")?;
    found.scope.insert("defect".into(), "D1".into());
    found.data = serde_json::from_value(json!({ "kind": "no hot water", "risk": "high" }))?;
    engine.record(&case, vec![found], RecordOptions::default()).await?;

    let cleared = event("kitchen-cleared", "lead", "2026-04-02")?;
    let answer = engine.record(&case, vec![cleared.clone()], RecordOptions::default()).await;
    let Err(RecordError::Refused(refusal)) = answer else {
        return Err("a kitchen with a high-risk defect was cleared".into());
    };
    writeln!(out, "Refused: {}.", refusal.reasons[0].message)?;
    writeln!(out, "Lawful after: {}.", refusal.path.unwrap_or_default().join(", "))?;

    let mut remedied = event("defect-remedied", "inspector", "2026-05")?;
    remedied.scope.insert("defect".into(), "D1".into());
    let cleared = ProposedEvent { occurred: Some(Occurred::parse("2026-06-01")?), ..cleared };
    let recorded = engine.record(&case, vec![remedied, cleared], RecordOptions::default()).await?;
    for change in &recorded.changed {
        writeln!(out, "{}: {:?} -> {:?}", change.strand, change.from, change.to)?;
    }
    for breach in &recorded.breaches {
        writeln!(out, "Breach noted: {}.", breach.message)?;
    }
    Ok(())
}

fn event(
    event_type: &str,
    role: &str,
    on: &str,
) -> Result<ProposedEvent, Box<dyn std::error::Error + Send + Sync>> {
    let mut event = ProposedEvent::new(event_type, Recorder { id: format!("{role}-1"), role: role.into() });
    event.occurred = Some(Occurred::parse(on)?);
    Ok(event)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn a_kitchen_is_cleared_once_its_defect_is_remedied() {
        let mut said = Vec::new();
        super::tell(&mut said).await.expect("the example runs");
        let said = String::from_utf8(said).expect("it writes text");
        assert!(said.contains("0 findings"), "{said}");
        assert!(said.contains("Refused: A high-risk defect is still open."), "{said}");
        assert!(said.contains("Lawful after: defect-remedied."), "{said}");
        assert!(said.contains("Breach noted: D1 was remedied after the period"), "{said}");
    }
}
