//! The part of verification that looks at seals: the map of case ends worked out again from the stored bytes, and compared with
//! what each seal of the log says.
//!
//! The map is kept as it grows, at the sizes that seals speak of. Which sizes those are is asked of the index beforehand, only to
//! know where to stop: a seal of another size is found all the same, and is a finding.

use std::collections::{BTreeSet, HashMap};

use crate::case::event::{CaseId, RecordedEvent};
use crate::engine::read_case;
use crate::ledger::chain::to_base64;
use crate::ledger::head_map::{self, CaseEnd, MapInMemory, Subtree};
use crate::ledger::seal::Seal;
use crate::own_case::{self, HEADS_SEALED};
use crate::store::{EventStore, decode};

/// The map in the making.
pub(crate) struct SealCheck {
    /// Sizes that seals are expected to speak of, and that are still to come.
    sizes: BTreeSet<u64>,
    map: MapInMemory,
    changed: HashMap<CaseId, CaseEnd>,
    /// What the map was at those sizes, until the seal has come.
    computed: HashMap<u64, Subtree>,
    seals: u64,
}

/// What is wrong with a seal: what was expected, and found.
pub(crate) type WrongSeal = (String, String);

impl SealCheck {
    pub(crate) fn begin(store: &dyn EventStore) -> Self {
        // What can't be read is found by the reading of the log itself.
        let events = read_case(store, own_case::CASE_ID).unwrap_or_default();
        let seal = |event: &crate::store::StoredEvent| Seal::read(&decode(event).ok()?.proposed.data);
        let sizes = events.iter().filter_map(seal).map(|seal| seal.size).collect();
        Self {
            sizes,
            map: MapInMemory::default(),
            changed: HashMap::new(),
            computed: HashMap::new(),
            seals: 0,
        }
    }

    /// How many seals were found right.
    pub(crate) fn seals(&self) -> u64 {
        self.seals
    }

    /// Takes the next event of the log, after its leaf was hashed again.
    pub(crate) fn push(&mut self, position: u64, event: &RecordedEvent, leaf: [u8; 32]) -> Option<WrongSeal> {
        let wrong = if event.case_id == own_case::CASE_ID && event.proposed.event_type == HEADS_SEALED {
            self.meet(position, event)
        } else {
            None
        };
        if self.sizes.last().is_some_and(|last| position <= *last) {
            let key = crate::case_ends::key(event.case_id);
            self.changed.insert(event.case_id, CaseEnd { key, events: event.version.0, head: leaf });
        }
        if self.sizes.remove(&position) {
            let changes = std::mem::take(&mut self.changed).into_values().collect();
            match head_map::update(&mut self.map, changes) {
                Ok(subtree) => _ = self.computed.insert(position, subtree),
                Err(bad) => return Some(("a map that fits itself".to_owned(), bad.to_string())),
            }
        }
        wrong
    }

    fn meet(&mut self, position: u64, event: &RecordedEvent) -> Option<WrongSeal> {
        let Some(seal) = Seal::read(&event.proposed.data).filter(|seal| seal.size < position) else {
            return Some(("a seal of what stands before it".to_owned(), "another payload".to_owned()));
        };
        let Some(computed) = self.computed.remove(&seal.size) else {
            let expected = "a seal that the index has too, and the only one of its size".to_owned();
            return Some((expected, format!("a seal of {} events", seal.size)));
        };
        if (computed.cases, computed.hash) == (seal.cases, seal.root) {
            self.seals += 1;
            return None;
        }
        let words = |cases: u64, root| {
            format!("the root {} of {cases} cases at {} events", to_base64(root), seal.size)
        };
        Some((words(computed.cases, &computed.hash), words(seal.cases, &seal.root)))
    }
}
