//! Cases kept in memory, with a bound: what is not there is read from the log.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::case::event::{CaseId, Position, RecordedEvent, Version};
use crate::case::state::CaseState;

/// One case in memory: a state that readers share, and the turn of those who want to record.
pub(crate) struct Slot {
    /// Held while an event is decided and stored, so that callers of one process do not get in each other's way.
    pub(crate) turn: tokio::sync::Mutex<()>,
    loaded: RwLock<Option<Loaded>>,
}

/// A case as far as this process knows it. Another process may have gone on: the store's answer tells.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) state: Arc<CaseState>,
    /// Leaf hash of its last event; absent before the first.
    pub(crate) leaf: Option<[u8; 32]>,
}

impl Slot {
    fn empty() -> Self {
        Self { turn: tokio::sync::Mutex::new(()), loaded: RwLock::new(None) }
    }

    /// The case, if it is there.
    pub(crate) fn loaded(&self) -> Option<Loaded> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a case there, unless a newer reading of it is.
    pub(crate) fn put(&self, loaded: Loaded) {
        let mut place = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        if place.as_ref().is_none_or(|known| known.state.version() <= loaded.state.version()) {
            *place = Some(loaded);
        }
    }

    /// Forgets the case: it is read from the log when it is needed next.
    pub(crate) fn forget(&self) {
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Adds events that were stored after `version`, in place unless somebody is reading, and answers with the case as
    /// it is now; forgets it where they do not continue it.
    pub(crate) fn evolve(
        &self,
        version: Version,
        events: &[RecordedEvent],
        first: Position,
        leaf: Option<[u8; 32]>,
    ) -> Option<Arc<CaseState>> {
        let mut place = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        let Some(loaded) = place.as_mut().filter(|loaded| loaded.state.version() == version) else {
            *place = None;
            return None;
        };
        let state = Arc::make_mut(&mut loaded.state);
        for (position, event) in (first.0..).zip(events) {
            state.evolve(event.clone(), Position(position));
        }
        loaded.leaf = leaf;
        Some(Arc::clone(&loaded.state))
    }
}

/// Cases in memory, at most so many; those longest unused leave first.
pub(crate) struct CaseCache {
    slots: Mutex<Recent<CaseId, Arc<Slot>>>,
    references: Mutex<Recent<String, CaseId>>,
}

impl CaseCache {
    pub(crate) fn new(cases_max: usize) -> Self {
        Self { slots: Mutex::new(Recent::new(cases_max)), references: Mutex::new(Recent::new(cases_max)) }
    }

    /// The case's slot, made if need be.
    pub(crate) fn slot(&self, case: CaseId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&case) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot::empty());
        // A slot that somebody holds must stay the only one of its case.
        slots.insert(case, Arc::clone(&slot), |slot| Arc::strong_count(slot) > 1);
        slot
    }

    /// The case of a reference, if it was asked for lately. A reference never changes its case.
    pub(crate) fn case_of(&self, reference: &str) -> Option<CaseId> {
        let mut references = self.references.lock().unwrap_or_else(PoisonError::into_inner);
        references.get(reference).copied()
    }

    /// Remembers which case a reference is.
    pub(crate) fn remember(&self, reference: &str, case: CaseId) {
        let mut references = self.references.lock().unwrap_or_else(PoisonError::into_inner);
        references.insert(reference.to_owned(), case, |_| false);
    }
}

/// A map that remembers the most recently used entries.
struct Recent<K, V> {
    entries: HashMap<K, (u64, V)>,
    uses: u64,
    entries_max: usize,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    fn new(entries_max: usize) -> Self {
        Self { entries: HashMap::new(), uses: 0, entries_max }
    }

    fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.uses += 1;
        let (used, value) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(value)
    }

    /// Where the map is full, first drops the quarter that was used longest ago: one pass for many insertions.
    fn insert(&mut self, key: K, value: V, is_held: impl Fn(&V) -> bool) {
        if self.entries.len() >= self.entries_max {
            let mut uses: Vec<u64> = self.entries.values().map(|(used, _)| *used).collect();
            uses.sort_unstable();
            let limit = uses.get(uses.len() / 4).copied().unwrap_or(u64::MAX);
            self.entries.retain(|_, (used, value)| *used > limit || is_held(value));
        }
        self.uses += 1;
        self.entries.insert(key, (self.uses, value));
    }
}
