//! The definitions that an engine knows: those given to it, and those that its store keeps for the cases that use them.

use std::sync::{Arc, PoisonError, RwLock};

use crate::case::adoption::{Library, bytes_of};
use crate::definition::Definition;
use crate::definition::compile::from_canonical;
use crate::own_case;
use crate::store::{EventStore, ReadError, StorageError};

/// Definitions by name, version and digest. A definition that a case uses is kept by the store for ever.
pub(crate) struct Definitions {
    known: RwLock<Vec<Known>>,
}

struct Known {
    definition: Arc<Definition>,
    kept: bool,
}

/// Why a workflow cannot be used for a new case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotUsable {
    /// None of this name and version.
    Unknown(Vec<String>),
    /// Cases use this name and version with another content.
    Changed { pin: String },
}

impl Definitions {
    /// The store's and those given.
    pub(crate) fn load(store: &dyn EventStore, given: Vec<Definition>) -> Result<Self, ReadError> {
        let mut known = Vec::new();
        for canonical in store.kept_definitions()? {
            let definition = from_canonical(&canonical).map_err(|problems| {
                let first = problems.into_iter().next().map(|problem| problem.message).unwrap_or_default();
                ReadError::Storage(StorageError::new("reading a kept definition", first))
            })?;
            known.push(Known { definition: Arc::new(definition), kept: true });
        }
        let own = own_case::definition();
        if !known.iter().any(|other| other.definition.digest == own.digest) {
            known.push(Known { definition: own, kept: false });
        }
        for definition in given {
            if !known.iter().any(|other| other.definition.digest == definition.digest) {
                known.push(Known { definition: Arc::new(definition), kept: false });
            }
        }
        known.sort_by(|a, b| {
            (&a.definition.name, a.definition.version).cmp(&(&b.definition.name, b.definition.version))
        });
        Ok(Self { known: RwLock::new(known) })
    }

    /// All that cases may be opened under, by name, then version.
    pub(crate) fn all(&self) -> Vec<Arc<Definition>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|known| !is_own(known)).map(|known| Arc::clone(&known.definition)).collect()
    }

    /// The one with this digest (hexadecimal).
    pub(crate) fn by_digest(&self, digest: &str) -> Option<Arc<Definition>> {
        let wanted = bytes_of(digest)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|known| known.definition.digest == wanted);
        found.map(|known| Arc::clone(&known.definition))
    }

    /// What cases of a workflow may adopt: of a version that the store keeps with one content, no other content.
    pub(crate) fn library(&self, workflow: &str) -> Library {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let of_workflow = || known.iter().filter(|known| known.definition.name == workflow);
        let is_kept = |version| of_workflow().any(|known| known.kept && known.definition.version == version);
        let usable = of_workflow().filter(|known| known.kept || !is_kept(known.definition.version));
        Library::of(usable.map(|known| Arc::clone(&known.definition)).collect())
    }

    /// The one that a new case of this workflow (`name` or `name@version`) is to use.
    pub(crate) fn for_new_case(&self, workflow: &str) -> Result<Arc<Definition>, NotUsable> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (name, version) = match workflow.split_once('@') {
            Some((name, version)) => (name, version.parse::<u32>().ok()),
            None => (workflow, None),
        };
        let named = |known: &&Known| {
            !is_own(known)
                && known.definition.name == name
                && version.is_none_or(|version| known.definition.version == version)
                && (version.is_some() || !workflow.contains('@'))
        };
        let Some(newest) = known.iter().rfind(named) else {
            let mut pins: Vec<String> =
                known.iter().filter(|known| !is_own(known)).map(|known| known.definition.pin()).collect();
            pins.dedup();
            return Err(NotUsable::Unknown(pins));
        };
        let pin = newest.definition.pin();
        let same: Vec<&Known> = known.iter().filter(|known| known.definition.pin() == pin).collect();
        if same.len() > 1 {
            return Err(NotUsable::Changed { pin });
        }
        Ok(Arc::clone(&newest.definition))
    }

    /// Has the store keep the definition, if it does not yet.
    pub(crate) fn keep(&self, store: &dyn EventStore, definition: &Definition) -> Result<(), ReadError> {
        let is_kept = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.iter().any(|known| known.kept && known.definition.digest == definition.digest)
        };
        if is_kept {
            return Ok(());
        }
        store.keep_definition(&definition.digest_hex(), &definition.canonical)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for known in known.iter_mut().filter(|known| known.definition.digest == definition.digest) {
            known.kept = true;
        }
        Ok(())
    }
}

/// The definition of the log's own case is nobody else's.
fn is_own(known: &Known) -> bool {
    known.definition.name == own_case::definition().name
}
