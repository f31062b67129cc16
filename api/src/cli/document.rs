//! What the documents about one case have in common: gathered from the engine, and written where the caller says.

use std::path::Path;

use casebook_engine::case::event::CaseId;
use casebook_engine::case::reading::Cut;
use casebook_engine::engine::{Engine, HistoryOrder};
use casebook_engine::ledger::chain::to_base64;
use casebook_engine::machine;

use super::answer::Failure;
use super::audit::sealer_of;
use super::folder;
use super::output_file::write_file;
use super::page::Page;
use crate::report::account::{Account, Checkpointed, SealedEnd};

/// Everything that is told of a case, as it stands today.
pub(super) async fn account(engine: &Engine, reference: &str) -> Result<Account, Failure> {
    let case = folder::key(reference);
    let state = engine.case(&case).await?;
    let history = engine.history(&case, Cut::default(), HistoryOrder::Timeline).await?;
    let definition = state.definition();
    let day = definition.day_of(machine::now());
    Ok(Account::of(&state, history, std::sync::Arc::clone(definition), day))
}

/// What the log is now, signed.
pub(super) fn checkpointed(engine: &Engine) -> Result<Checkpointed, Failure> {
    let signed = sealer_of(engine)?.checkpoint()?;
    Ok(Checkpointed {
        origin: signed.checkpoint.origin.clone(),
        size: signed.checkpoint.size,
        root: to_base64(&signed.checkpoint.root),
        note: signed.note.to_string(),
        vkey: signed.key.to_string(),
    })
}

/// What the last seal says of a case; `None` where nothing was sealed.
pub(super) fn sealed(engine: &Engine, case_id: CaseId) -> Result<Option<SealedEnd>, Failure> {
    let Some(proof) = sealer_of(engine)?.prove_end(case_id)? else { return Ok(None) };
    let proven = proof.check(None).map_err(|error| Failure::unexpected(error.to_string()))?;
    Ok(Some(SealedEnd {
        events: proven.events,
        head: proven.head.unwrap_or_default(),
        size: proven.sealed_size,
        position: proven.seal.position,
        recorded_at: proven.seal.recorded_at,
    }))
}

/// Writes a document to a file or, without one, to standard output.
pub(super) fn hand_out(
    text: &str,
    output: Option<&Path>,
    told: &str,
    case: &str,
    page: &mut Page,
) -> Result<(), Failure> {
    let Some(path) = output else { return page.bytes(text.as_bytes()) };
    write_file(path, text.as_bytes())?;
    if page.is_json() {
        return page.json(&serde_json::json!({"file": path, "case": case}));
    }
    page.line(&format!("{told} {case}: {}", path.display()))
}
