//! `cargo run -p casebook-examples --example reference_case`
//!
//! Imports an investigation as the Independent Office for Police Conduct published it (case 2020/146999), the missing
//! steps included that the file declares as gaps, and compares every strand with the status that a reader of the
//! publication would expect.

use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::sync::Arc;

use casebook_engine::case::reading::Cut;
use casebook_engine::definition::compile::compile;
use casebook_engine::engine::Engine;
use casebook_engine::exchange::import::{ImportOptions, import_case};
use casebook_engine::exchange::jsonl::read_file;
use casebook_engine::store::{CaseKey, SledOptions, SledStore};
use casebook_engine::workflows;
use casebook_examples::Outcome;

const EVENTS: &str = include_str!("reference-case/2020-146999.jsonl");
const EXPECTED: &str = include_str!("reference-case/expected-status.json");

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

    let file = read_file(EVENTS.as_bytes())?;
    for lines in &file.cases {
        let imported = import_case(&engine, lines, ImportOptions::default()).await?;
        writeln!(
            out,
            "Case {}: {} events, {} gaps, {} breaches.",
            imported.case, imported.recorded, imported.gaps, imported.breaches
        )?;
    }

    let status = engine.status(&CaseKey::Reference("2020/146999".into()), Cut::default()).await?;
    let stands = status
        .strands
        .iter()
        .map(|s| (s.strand.as_str(), s.entity.as_deref(), s.state.as_deref(), s.title.as_str()));
    let derived = status
        .derived
        .iter()
        .map(|s| (s.strand.as_str(), s.entity.as_deref(), s.state.as_deref(), s.title.as_str()));
    let mut found: BTreeMap<(&str, &str), (&str, &str)> = BTreeMap::new();
    for (strand, entity, state, title) in stands.chain(derived) {
        found.insert((strand, entity.unwrap_or("case")), (state.unwrap_or("not started"), title));
    }
    let expected: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(EXPECTED)?;
    let expected_states = expected
        .iter()
        .flat_map(|(strand, of)| of.iter().map(move |(entity, state)| (strand, entity, state)));
    for (strand, entity, state) in expected_states {
        let Some((stands, title)) = found.get(&(strand.as_str(), entity.as_str())) else {
            return Err(format!("{strand} of {entity} was expected, and is not there").into());
        };
        if stands != state {
            return Err(format!("{strand} of {entity} is {stands}, expected {state}").into());
        }
        writeln!(out, "  {entity}, {strand}: {title}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_published_case_ends_where_a_reader_expects() {
        let mut said = Vec::new();
        super::tell(&mut said).await.expect("every strand stands where it is expected");
        let said = String::from_utf8(said).expect("it writes text");
        assert!(said.contains("C1, charge: Sentenced"), "{said}");
    }
}
