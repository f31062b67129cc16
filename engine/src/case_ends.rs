//! The map of case ends (`ledger/head_map.rs`) as a store keeps it: a read model, brought forward by the sealer at each checkpoint from
//! the events since the last one.
//!
//! ```text
//! <0 to 2 bytes of the key> <piece>        a page, cut into pieces that a read model may hold
//! ```
//! Its checkpoint is the size of the log that it speaks of. Losing it loses nothing: it is made again from the log.

use std::collections::HashMap;

use crate::case::event::{CaseId, Position};
use crate::ledger::head_map::{self, BadPage, CaseEnd, MapProof, Pages, Subtree, key_of};
use crate::ledger::seal::Seal;
use crate::ledger::tree::Hash;
use crate::store::{EventStore, MODEL_VALUE_BYTES_MAX, ModelWrite, ReadError, StorageError, StoredEvent};

/// The model's name; the number changes with its shape.
const MODEL: &str = "case-ends-1";

/// Events read at a time.
const PAGE_EVENTS: usize = 20_000;

/// Pages of the map, and those that are about to be written.
struct Kept<'a> {
    store: &'a dyn EventStore,
    fresh: HashMap<Vec<u8>, Vec<u8>>,
}

/// Why the map could not be read.
enum KeptError {
    Bad(BadPage),
    Read(ReadError),
}

impl From<BadPage> for KeptError {
    fn from(bad: BadPage) -> Self {
        Self::Bad(bad)
    }
}

impl From<KeptError> for ReadError {
    fn from(error: KeptError) -> Self {
        match error {
            KeptError::Read(error) => error,
            KeptError::Bad(bad) => {
                Self::Storage(StorageError::new("reading the map of case ends", bad.to_string()))
            }
        }
    }
}

impl Pages for Kept<'_> {
    type Error = KeptError;

    fn page(&self, prefix: &[u8]) -> Result<Vec<u8>, KeptError> {
        if let Some(fresh) = self.fresh.get(prefix) {
            return Ok(fresh.clone());
        }
        let mut page = Vec::new();
        for piece in 0..=u8::MAX {
            let key = piece_key(prefix, piece);
            let value = self.store.models().get(MODEL, &key).map_err(KeptError::Read)?.unwrap_or_default();
            page.extend_from_slice(&value);
            if value.len() < MODEL_VALUE_BYTES_MAX {
                break;
            }
        }
        Ok(page)
    }

    fn put(&mut self, prefix: &[u8], page: Vec<u8>) {
        self.fresh.insert(prefix.to_vec(), page);
    }
}

impl Kept<'_> {
    /// A page never shrinks, so that no piece is left over.
    fn writes(self) -> Vec<ModelWrite> {
        let mut writes = Vec::new();
        for (prefix, page) in self.fresh {
            let ends_full = page.len() % MODEL_VALUE_BYTES_MAX == 0;
            let pieces = page.chunks(MODEL_VALUE_BYTES_MAX).chain(ends_full.then_some(&[] as &[u8]));
            writes.extend(
                (0_u8..)
                    .zip(pieces)
                    .map(|(number, piece)| (piece_key(&prefix, number), Some(piece.to_vec()))),
            );
        }
        writes
    }
}

/// The length tells the levels apart.
fn piece_key(prefix: &[u8], piece: u8) -> Vec<u8> {
    let level = u8::try_from(prefix.len()).unwrap_or(u8::MAX);
    [&[level], prefix, &[piece]].concat()
}

/// The key of a case.
pub(crate) fn key(case_id: CaseId) -> Hash {
    key_of(case_id.0.as_bytes())
}

/// What an event makes of its case's end.
pub(crate) fn end_of(event: &StoredEvent) -> CaseEnd {
    CaseEnd { key: key(event.case_id), events: event.version.0, head: event.leaf }
}

/// The map of the log as it was at a size, brought there from where it is. The log's last seal is what it is trusted by: where the
/// kept map is not the one that was sealed, it is made anew from the log.
///
/// # Errors
/// When the disk fails.
pub(crate) fn brought_to(
    store: &dyn EventStore,
    size: Position,
    last: Option<&Seal>,
) -> Result<Subtree, ReadError> {
    let at = store.models().checkpoint(MODEL)?;
    let kept = || head_map::whole(&Kept { store, fresh: HashMap::new() });
    let is_sealed = |seal: &Seal| {
        at == Position(seal.size)
            && matches!(kept(), Ok(found) if (found.cases, found.hash) == (seal.cases, seal.root))
    };
    if at > Position(0) && last.is_some_and(is_sealed) {
        match forward(store, size) {
            Err(KeptError::Bad(bad)) => {
                tracing::warn!(%bad, "the map of case ends is made anew from the log");
            }
            done => return Ok(done?),
        }
    }
    store.models().drop_model(MODEL)?;
    Ok(forward(store, size)?)
}

fn forward(store: &dyn EventStore, size: Position) -> Result<Subtree, KeptError> {
    let kept = || Kept { store, fresh: HashMap::new() };
    let mut at = store.models().checkpoint(MODEL).map_err(KeptError::Read)?;
    let mut now = head_map::whole(&kept())?;
    while at < size {
        let wanted = usize::try_from(size.0 - at.0).unwrap_or(usize::MAX).min(PAGE_EVENTS);
        let page = store.read_log(at, wanted).map_err(KeptError::Read)?;
        let Some(last) = page.last() else { break };
        let ends: HashMap<CaseId, CaseEnd> =
            page.iter().map(|event| (event.case_id, end_of(event))).collect();
        let mut pages = kept();
        now = head_map::update(&mut pages, ends.into_values().collect())?;
        at = last.position;
        store.models().write(MODEL, at, &pages.writes()).map_err(KeptError::Read)?;
    }
    Ok(now)
}

/// What the map, brought to some size before, says of a case.
///
/// # Errors
/// When the disk fails, or the map is damaged.
pub(crate) fn prove(store: &dyn EventStore, case_id: CaseId) -> Result<MapProof, ReadError> {
    let kept = Kept { store, fresh: HashMap::new() };
    Ok(head_map::prove(&kept, &key(case_id))?)
}
