//! The folder that holds the cases: opened for a command.

use std::path::Path;
use std::sync::Arc;

use casebook_engine::case::event::Recorder;
use casebook_engine::case::reading::Cut;
use casebook_engine::definition::Definition;
use casebook_engine::engine::Engine;
use casebook_engine::signer::Signer;
use casebook_engine::store::{CaseKey, MemoryStore, OpenError, Recovery, SledOptions, SledStore};

use super::Globals;
use super::answer::{Failure, NOT_ALLOWED, Trouble};
use super::definition;
use super::page::Page;

/// The engine over the cases that there are.
pub(super) fn existing(globals: &Globals, page: &mut Page) -> Result<Engine, Failure> {
    existing_with(globals, None, page)
}

/// As [`existing`], with one more definition where one is given.
pub(super) fn existing_with(
    globals: &Globals,
    more: Option<Definition>,
    page: &mut Page,
) -> Result<Engine, Failure> {
    check_there(&globals.data)?;
    let mut definitions = definition::all(&globals.workflow_dir, page)?;
    definitions.extend(more);
    let store = SledStore::open(&globals.data, SledOptions::default()).map_err(|error| unopened(&error))?;
    over(store, definitions, page)
}

/// As [`existing`], and where the journal is damaged the engine over what can be read, with what is wrong.
pub(super) fn existing_even_damaged(
    globals: &Globals,
    page: &mut Page,
) -> Result<(Engine, Option<String>), Failure> {
    check_there(&globals.data)?;
    let definitions = definition::all(&globals.workflow_dir, page)?;
    let options = SledOptions { read_damaged: true, ..SledOptions::default() };
    let store = SledStore::open(&globals.data, options).map_err(|error| unopened(&error))?;
    let damage = store.recovery().damage.as_ref().map(ToString::to_string);
    Ok((over(store, definitions, page)?, damage))
}

fn check_there(data: &Path) -> Result<(), Failure> {
    match std::fs::metadata(data) {
        Ok(found) if found.is_dir() => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let trouble = Trouble::new(format!("{} can't be looked at: {error}", data.display()));
            return Err(Failure::NotAllowed(trouble.help(NOT_ALLOWED)));
        }
        _ => {}
    }
    let trouble = Trouble::new(format!("there are no cases in {}", data.display()));
    Err(Failure::NotFound(trouble.help(MAKES_A_FOLDER)))
}

/// The engine over the folder, made where it is not there yet, with one more definition where one is given. A dry run
/// makes no folder.
pub(super) fn existing_or_new(
    globals: &Globals,
    more: Option<Definition>,
    dry_run: bool,
    page: &mut Page,
) -> Result<Engine, Failure> {
    let mut definitions = definition::all(&globals.workflow_dir, page)?;
    definitions.extend(more);
    if dry_run && !globals.data.exists() {
        return Engine::open(Arc::new(MemoryStore::new()), definitions).map_err(Failure::from);
    }
    open_or_create(&globals.data, definitions, page)
}

/// The engine over a folder that is made where it is not there.
pub(super) fn open_or_create(
    data: &Path,
    definitions: Vec<Definition>,
    page: &Page,
) -> Result<Engine, Failure> {
    let store = SledStore::open_or_create(data, SledOptions::default()).map_err(|error| unopened(&error))?;
    over(store, definitions, page)
}

fn over(store: SledStore, definitions: Vec<Definition>, page: &Page) -> Result<Engine, Failure> {
    tell_recovery(store.recovery(), page)?;
    let signer = Signer::new(store.path(), store.store_id());
    let engine = Engine::open(Arc::new(store), definitions)?;
    engine.sign_with(signer);
    Ok(engine)
}

/// What opening had to do beside opening, for somebody who wonders later.
fn tell_recovery(recovery: &Recovery, page: &Page) -> Result<(), Failure> {
    let mut notes = Vec::new();
    if let Some(torn) = &recovery.torn {
        let kept =
            torn.kept_as.as_ref().map(|kept| format!("; what there was of it is kept in {}", kept.display()));
        notes.push(format!(
            "the journal ended within a write, as a crash leaves it; the write is taken out{}",
            kept.unwrap_or_default()
        ));
    }
    if let Some(rebuilt) = &recovery.rebuilt {
        let aside =
            rebuilt.aside.as_ref().map(|aside| format!("; the old one is kept in {}", aside.display()));
        notes.push(format!(
            "the index was made anew from the journal, {} events ({}){}",
            rebuilt.events,
            rebuilt.reason,
            aside.unwrap_or_default()
        ));
    }
    if notes.is_empty() {
        return Ok(());
    }
    let mut stderr = page.stderr();
    notes.iter().try_for_each(|note| stderr.item(0, "note:", note))?;
    stderr.flush()
}

const MAKES_A_FOLDER: &str =
    "`casebook open` or `casebook import` makes the folder; --data DIR or CASEBOOK_DATA names another";

/// Why a folder was not opened, in words.
pub(super) fn unopened(error: &OpenError) -> Failure {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let trouble = Trouble::new(format!("{error}{source}"));
    match error {
        OpenError::InUse { .. } => {
            Failure::Storage(trouble.help("wait until the other program is done, or end it"))
        }
        OpenError::Foreign { .. } => Failure::Input(trouble.help("name another folder with --data DIR")),
        OpenError::NotThere { .. } => Failure::NotFound(trouble.help(MAKES_A_FOLDER)),
        OpenError::Damaged { .. } => {
            Failure::Storage(trouble.help("`casebook audit verify` says what can still be read"))
        }
        OpenError::Storage(source) => Failure::of_storage(source, trouble),
        _ => Failure::Storage(trouble),
    }
}

/// A case by reference, or by id.
pub(super) fn key(reference: &str) -> CaseKey {
    match reference.parse() {
        Ok(id) => CaseKey::Id(casebook_engine::case::event::CaseId(id)),
        Err(_) => CaseKey::Reference(reference.to_owned()),
    }
}

/// The definition that a case is pinned to.
pub(super) async fn definition_of(
    engine: &Engine,
    case: &CaseKey,
) -> Result<Option<Arc<Definition>>, Failure> {
    let status = engine.status(case, Cut::default()).await?;
    Ok(pinned(engine, &status.workflow))
}

/// The definition of this `name@version`.
pub(super) fn pinned(engine: &Engine, pin: &str) -> Option<Arc<Definition>> {
    engine.definitions().into_iter().find(|definition| definition.pin() == pin)
}

/// Who is acting.
pub(super) fn acting(globals: &Globals) -> Result<Recorder, Failure> {
    globals.acting.clone().ok_or_else(|| {
        Failure::input(
            "nobody said who is acting",
            "add --as ID:ROLE, for example --as officer-1:caseworker, or set CASEBOOK_AS",
        )
    })
}
