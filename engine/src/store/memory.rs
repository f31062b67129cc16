//! [`MemoryStore`]: the contract without a disk, for tests and for embedding. What it holds is gone when it is dropped.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::case::event::{CaseId, Position, Version};
use crate::ledger::tree::{Frontier, Hash, TileId};

use super::admission::{answer_again, check_shape, check_versions, is_whole};
use super::folder::sha256_hex;
use super::frame::KeptAnswer;
use super::sled_store::check_model_writes;
use super::{
    Answer, Append, AppendError, Appended, CaseHead, CaseKey, EventStore, Idempotency, LogCopy, ModelEntry,
    ModelWrite, Models, ReadError, StorageError, StoredEvent,
};

/// A store in memory. Nothing bounds it.
#[derive(Debug)]
pub struct MemoryStore {
    held: Mutex<Held>,
    models: Mutex<HashMap<String, Model>>,
    head: watch::Sender<Position>,
}

#[derive(Debug, Default)]
struct Held {
    log: Vec<StoredEvent>,
    frontier: Frontier,
    tiles: HashMap<TileId, Vec<Hash>>,
    cases: HashMap<CaseId, HeldCase>,
    references: HashMap<String, CaseId>,
    answers: HashMap<String, KeptAnswer>,
    definitions: BTreeMap<String, String>,
}

#[derive(Debug)]
struct HeldCase {
    head: CaseHead,
    positions: Vec<Position>,
}

#[derive(Debug, Default)]
struct Model {
    checkpoint: Position,
    values: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { held: Mutex::default(), models: Mutex::default(), head: watch::Sender::new(Position(0)) }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn models_held(&self) -> MutexGuard<'_, HashMap<String, Model>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, append: Append) -> Appended {
        let Append { case_id, reference, events, idempotency, .. } = append;
        let first_version = events.first().map(|event| event.version).unwrap_or_default();
        if first_version.0 == 1 {
            self.references.insert(reference.clone(), case_id);
        }
        let case = self.cases.entry(case_id).or_insert_with(|| HeldCase {
            head: CaseHead { case_id, reference, version: Version(0), position: Position(0), leaf: [0; 32] },
            positions: Vec::new(),
        });
        for event in events {
            let position = Position(self.log.len() as u64 + 1);
            case.positions.push(position);
            (case.head.version, case.head.position, case.head.leaf) = (event.version, position, event.leaf);
            let (version, bytes, leaf) = (event.version, event.bytes, event.leaf);
            self.frontier.push(leaf, &mut |tile, hashes| _ = self.tiles.insert(tile, hashes.to_vec()));
            self.log.push(StoredEvent { position, version, case_id, bytes, leaf });
        }
        let last_version = case.head.version;
        let appended =
            Appended { first_version, last_version, last_position: case.head.position, replayed: false };
        if let Some(idempotency) = idempotency {
            let kept = KeptAnswer { idempotency, appended: appended.clone() };
            self.answers.insert(kept.idempotency.key.clone(), kept);
        }
        appended
    }

    fn at(&self, position: Position) -> Option<&StoredEvent> {
        self.log.get(usize::try_from(position.0.checked_sub(1)?).ok()?)
    }
}

fn checked(events: Vec<StoredEvent>) -> Result<Vec<StoredEvent>, ReadError> {
    match events.iter().find(|event| !is_whole(event)) {
        None => Ok(events),
        Some(event) => Err(ReadError::Damaged {
            position: event.position,
            case_id: event.case_id,
            version: event.version,
            problem: "the bytes do not have the leaf hash that was recorded".to_owned(),
        }),
    }
}

fn skip(after: u64) -> usize {
    usize::try_from(after).unwrap_or(usize::MAX)
}

impl MemoryStore {
    fn store(&self, append: Append) -> Result<Appended, AppendError> {
        check_shape(&append)?;
        let mut held = self.held();
        if let Some(asked) = &append.idempotency
            && let Some(kept) = held.answers.get(&asked.key)
        {
            return answer_again(asked, &kept.idempotency, &kept.appended);
        }
        let head = held.cases.get(&append.case_id).map(|case| &case.head);
        check_versions(&append, head)?;
        if head.is_none() && held.references.contains_key(&append.reference) {
            return Err(AppendError::ReferenceTaken { reference: append.reference });
        }
        let appended = held.add(append);
        self.head.send_replace(appended.last_position);
        Ok(appended)
    }
}

impl EventStore for MemoryStore {
    fn submit(&self, append: Append, answer: Answer) {
        answer(self.store(append));
    }

    fn answer_to(&self, key: &str) -> Result<Option<(Idempotency, Appended)>, ReadError> {
        let kept = self.held().answers.get(key).cloned();
        Ok(kept.map(|kept| (kept.idempotency, Appended { replayed: true, ..kept.appended })))
    }

    fn head_of(&self, case: &CaseKey) -> Result<Option<CaseHead>, ReadError> {
        let held = self.held();
        let case_id = match case {
            CaseKey::Id(case_id) => Some(*case_id),
            CaseKey::Reference(reference) => held.references.get(reference).copied(),
        };
        Ok(case_id.and_then(|case_id| held.cases.get(&case_id)).map(|case| case.head.clone()))
    }

    fn read_case(
        &self,
        case_id: CaseId,
        after: Version,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        let held = self.held();
        let Some(case) = held.cases.get(&case_id) else { return Ok(Vec::new()) };
        let positions = case.positions.iter().skip(skip(after.0)).take(limit);
        checked(positions.filter_map(|position| held.at(*position).cloned()).collect())
    }

    fn read_log(&self, after: Position, limit: usize) -> Result<Vec<StoredEvent>, ReadError> {
        checked(self.held().log.iter().skip(skip(after.0)).take(limit).cloned().collect())
    }

    fn raw_log(&self, _copy: LogCopy, after: Position, limit: usize) -> Result<Vec<StoredEvent>, ReadError> {
        Ok(self.held().log.iter().skip(skip(after.0)).take(limit).cloned().collect())
    }

    fn tree_size(&self) -> Result<u64, ReadError> {
        Ok(self.held().frontier.size())
    }

    fn tile(&self, tile: TileId) -> Result<Vec<Hash>, ReadError> {
        let held = self.held();
        let part = held.frontier.parts().find(|(part, _)| *part == tile).map(|(_, hashes)| hashes.to_vec());
        Ok(part.or_else(|| held.tiles.get(&tile).cloned()).unwrap_or_default())
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn models(&self) -> &dyn Models {
        self
    }

    fn keep_definition(&self, digest_hex: &str, canonical: &str) -> Result<(), ReadError> {
        if sha256_hex(canonical.as_bytes()) != digest_hex {
            let problem = "the digest is not that of the definition".to_owned();
            return Err(ReadError::Storage(StorageError::new(format!("keeping {digest_hex}"), problem)));
        }
        self.held().definitions.insert(digest_hex.to_owned(), canonical.to_owned());
        Ok(())
    }

    fn kept_definitions(&self) -> Result<Vec<String>, ReadError> {
        Ok(self.held().definitions.values().cloned().collect())
    }
}

impl Models for MemoryStore {
    fn write(&self, model: &str, checkpoint: Position, writes: &[ModelWrite]) -> Result<(), ReadError> {
        check_model_writes(model, writes)?;
        let mut models = self.models_held();
        let model = models.entry(model.to_owned()).or_default();
        model.checkpoint = checkpoint;
        for (key, value) in writes {
            match value {
                Some(value) => model.values.insert(key.clone(), value.clone()),
                None => model.values.remove(key),
            };
        }
        Ok(())
    }

    fn checkpoint(&self, model: &str) -> Result<Position, ReadError> {
        Ok(self.models_held().get(model).map(|model| model.checkpoint).unwrap_or_default())
    }

    fn get(&self, model: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.models_held().get(model).and_then(|model| model.values.get(key).cloned()))
    }

    fn scan(
        &self,
        model: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<ModelEntry>, ReadError> {
        let models = self.models_held();
        let Some(model) = models.get(model) else { return Ok(Vec::new()) };
        let start = after.map_or(prefix, |after| after.max(prefix)).to_vec();
        let entries =
            model.values.range(start..).filter(|(key, _)| after.is_none_or(|after| key.as_slice() > after));
        let wanted = entries.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(wanted.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn drop_model(&self, model: &str) -> Result<(), ReadError> {
        self.models_held().remove(model);
        Ok(())
    }
}
