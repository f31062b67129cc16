//! sled 0.34.7: every call of it is here. The index over the journal: the working copy of all events, what finds
//! them, and the read models.
//!
//! One tree. Numbers in keys are big-endian, so that order is order; numbers in values are little-endian.
//!
//! ```text
//! l/<first position>        a run of the log, an LZ4 block behind its length u32; in it case id (16), version, leaf (32),
//!                           length u32, bytes; again and again
//! c/<case id>               head: version, position, leaf (32), reference, then the last positions of the case
//! i/<case id><first version>  [`POSITIONS_PER_CHUNK`] earlier positions of the case
//! r/<reference>             case id
//! k/<idempotency key>       request hash, what it was answered, when
//! m/<level u8><index>       a tile of the Merkle tree, up to 256 hashes; the last of a level is the part that there is so far
//! p/<model>/0<key>          read models         q/<model>   their checkpoints
//! x/format  x/store  x/settled  x/checked
//! ```
//! sled costs per key, not per byte; so a run holds many events and a case's positions stand in few values.
//! A value stays below sled's blob threshold even when a whole leaf of sixteen of them is written at once.

use std::collections::HashMap;
use std::fmt;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::case::event::{CaseId, Position, Version};
use crate::ledger::tree::{Frontier, Hash, TileId};

use super::frame::{self, Fields, Group, KeptAnswer};
use super::journal::Mark;
use super::{CaseHead, ModelEntry, ModelWrite, StorageError, StoredEvent};

pub use super::sled_store::{OpenError, Progress, Rebuilt, Recovery, SledOptions, SledStore};

/// A run of the log is closed when it has reached this length before compression, bytes. Reading one event undoes the
/// compression of its whole run.
const RUN_BYTES_MAX: usize = 16 * 1024;
/// No run is longer than this before compression: one that claims more is damaged. A run that is nearly full and an
/// event of the longest kind come first, a run that was continued for one more event next.
const RUN_BYTES_LIMIT: usize = 2 * (RUN_BYTES_MAX + 64 * 1024 + 64);
/// How many positions of a case go into one chunk.
const POSITIONS_PER_CHUNK: usize = 256;
/// A quarter of this is sled's blob threshold: above a leaf of 17 events of 64 KiB.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// How many keys of a dropped model go into one batch.
const DROP_KEYS_MAX: usize = 1_000;
/// The format of the keys above. An index of another format is made anew. 1: runs were not compressed; 2: no tree.
const INDEX_FORMAT: u8 = 3;

/// The index: see the module.
pub(super) struct Index {
    db: ::sled::Db,
    path: PathBuf,
    /// The edge of the tree over what is settled; read from its tiles when it is first needed.
    frontier: Mutex<Option<Frontier>>,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Calls sled: its errors and its panics become errors that say what was being done.
fn call<T>(doing: &str, act: impl FnOnce() -> Result<T, ::sled::Error>) -> Result<T, StorageError> {
    let fail = |problem: String| StorageError::new(format!("{doing} in the index"), problem);
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let kind = if let ::sled::Error::Io(error) = &error { error.kind() } else { ErrorKind::Other };
            Err(StorageError { kind, ..fail(error.to_string()) })
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(fail(format!("sled panicked: {}", text.unwrap_or_default())))
        }
    }
}

fn garbled(doing: &str) -> StorageError {
    StorageError::new(format!("{doing} in the index"), "a value does not have its shape")
}

fn log_key(first: Position) -> [u8; 10] {
    let mut key = *b"l/\0\0\0\0\0\0\0\0";
    key[2..].copy_from_slice(&first.0.to_be_bytes());
    key
}

fn case_key(case_id: CaseId) -> [u8; 18] {
    let mut key = [0; 18];
    key[..2].copy_from_slice(b"c/");
    key[2..].copy_from_slice(case_id.0.as_bytes());
    key
}

fn chunk_key(case_id: CaseId, first: Version) -> [u8; 26] {
    let mut key = [0; 26];
    key[..2].copy_from_slice(b"i/");
    key[2..18].copy_from_slice(case_id.0.as_bytes());
    key[18..].copy_from_slice(&first.0.to_be_bytes());
    key
}

fn tile_key(tile: TileId) -> [u8; 11] {
    let mut key = *b"m/\0\0\0\0\0\0\0\0\0";
    key[2] = tile.level;
    key[3..].copy_from_slice(&tile.index.to_be_bytes());
    key
}

fn text_key(prefix: &[u8; 2], text: &str) -> Vec<u8> {
    [prefix.as_slice(), text.as_bytes()].concat()
}

fn model_key(model: &str, key: &[u8]) -> Vec<u8> {
    [b"p/".as_slice(), model.as_bytes(), &[0], key].concat()
}

/// A value of `c/`.
struct CaseEntry {
    head: CaseHead,
    /// The positions of the case's last versions.
    positions: Vec<Position>,
}

impl CaseEntry {
    fn read(case_id: CaseId, value: &[u8]) -> Option<Self> {
        let mut fields = Fields(value);
        let version = Version(fields.u64()?);
        let position = Position(fields.u64()?);
        let leaf = fields.array()?;
        let reference = fields.text()?;
        let head = CaseHead { case_id, reference, version, position, leaf };
        Some(Self { head, positions: read_positions(fields.0)? })
    }

    fn write(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(64 + self.head.reference.len() + self.positions.len() * 8);
        value.extend_from_slice(&self.head.version.0.to_le_bytes());
        value.extend_from_slice(&self.head.position.0.to_le_bytes());
        value.extend_from_slice(&self.head.leaf);
        frame::put_text(&mut value, &self.head.reference);
        put_positions(&mut value, &self.positions);
        value
    }

    /// The version of the first of the positions.
    fn first_version(&self) -> Version {
        Version((self.head.version.0 + 1).saturating_sub(self.positions.len() as u64))
    }
}

fn put_positions(value: &mut Vec<u8>, positions: &[Position]) {
    for position in positions {
        value.extend_from_slice(&position.0.to_le_bytes());
    }
}

fn read_positions(value: &[u8]) -> Option<Vec<Position>> {
    let (numbers, rest) = value.as_chunks::<8>();
    rest.is_empty().then(|| numbers.iter().map(|bytes| Position(u64::from_le_bytes(*bytes))).collect())
}

fn write_mark(mark: Mark) -> Vec<u8> {
    [mark.position.0, mark.segment.0, mark.offset].iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn read_mark(value: &[u8]) -> Option<Mark> {
    let mut fields = Fields(value);
    Some(Mark { position: Position(fields.u64()?), segment: Position(fields.u64()?), offset: fields.u64()? })
}

fn put_event(run: &mut Vec<u8>, event: &StoredEvent) {
    run.extend_from_slice(event.case_id.0.as_bytes());
    run.extend_from_slice(&event.version.0.to_le_bytes());
    run.extend_from_slice(&event.leaf);
    run.extend_from_slice(&u32::try_from(event.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    run.extend_from_slice(&event.bytes);
}

/// A run as it is kept.
fn pack(run: &[u8]) -> Vec<u8> {
    lz4_flex::block::compress_prepend_size(run)
}

/// A run as it was before it was packed.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, StorageError> {
    let (length, block) = lz4_flex::block::uncompressed_size(packed).map_err(|_| garbled("reading a run"))?;
    if length > RUN_BYTES_LIMIT {
        return Err(garbled("reading a run"));
    }
    lz4_flex::block::decompress(block, length).map_err(|_| garbled("reading a run"))
}

/// Reads events of the log out of their runs, one lookup for each run that is entered.
pub(super) struct RunReader<'a> {
    index: &'a Index,
    run: Vec<u8>,
    /// The next event of the run, and where in it it stands.
    next: Position,
    offset: usize,
}

impl RunReader<'_> {
    /// The event at a position as stored, unchecked; `None` where the index has none there.
    pub(super) fn event(&mut self, position: Position) -> Result<Option<StoredEvent>, StorageError> {
        if position < self.next || self.offset >= self.run.len() {
            self.enter(position)?;
        }
        if let Some(event) = self.walk(position)? {
            return Ok(Some(event));
        }
        self.enter(position)?;
        self.walk(position)
    }

    fn enter(&mut self, position: Position) -> Result<(), StorageError> {
        let db = &self.index.db;
        let exact = call("looking up a run", || db.get(log_key(position)))?;
        if let Some(run) = exact {
            (self.run, self.next, self.offset) = (unpack(&run)?, position, 0);
            return Ok(());
        }
        let below = call("looking up a run", || db.get_lt(log_key(position)))?;
        match below.and_then(|(key, run)| Some((key.strip_prefix(b"l/")?.try_into().ok()?, run))) {
            Some((first, run)) => {
                (self.run, self.next, self.offset) = (unpack(&run)?, Position(u64::from_be_bytes(first)), 0);
            }
            None => (self.run, self.next, self.offset) = (Vec::new(), position, 0),
        }
        Ok(())
    }

    /// Walks the run on to a position; `None` where the run ends before.
    fn walk(&mut self, position: Position) -> Result<Option<StoredEvent>, StorageError> {
        while self.offset < self.run.len() {
            let mut fields = Fields(&self.run[self.offset..]);
            let read = |fields: &mut Fields<'_>| {
                let case_id = fields.case_id()?;
                let version = Version(fields.u64()?);
                let leaf = fields.array()?;
                let length = fields.u32()?;
                Some((case_id, version, leaf, length as usize))
            };
            let Some((case_id, version, leaf, length)) = read(&mut fields) else {
                return Err(garbled("reading a run"));
            };
            let Some(bytes) = fields.take(length) else {
                return Err(garbled("reading a run"));
            };
            let here = self.next;
            self.offset = self.run.len() - fields.0.len();
            self.next = here.next();
            if here == position {
                return Ok(Some(StoredEvent { position, version, case_id, bytes: Arc::from(bytes), leaf }));
            }
        }
        Ok(None)
    }
}

impl Index {
    /// Opens the index, making it where there is none.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self, StorageError> {
        let config = ::sled::Config::new().path(path).cache_capacity(cache_bytes).segment_size(SEGMENT_BYTES);
        let db = call("opening", || config.open())?;
        Ok(Self { db, path: path.to_owned(), frontier: Mutex::default() })
    }

    fn get(&self, doing: &str, key: &[u8]) -> Result<Option<::sled::IVec>, StorageError> {
        call(doing, || self.db.get(key))
    }

    /// The store that this is the index of; `None` where it is new.
    pub(super) fn store_id(&self) -> Result<Option<Uuid>, StorageError> {
        let format = self.get("reading the format", b"x/format")?;
        if let Some(format) = format
            && *format != [INDEX_FORMAT]
        {
            let found = format.first().copied().unwrap_or_default();
            let problem = format!("it has format {found}, and this program writes format {INDEX_FORMAT}");
            return Err(StorageError::new("reading the format of the index", problem));
        }
        let id = self.get("reading the store's id", b"x/store")?;
        id.map(|id| Uuid::from_slice(&id).map_err(|_| garbled("reading the store's id"))).transpose()
    }

    /// Makes a new index that of a store.
    pub(super) fn begin(&self, store_id: Uuid) -> Result<(), StorageError> {
        let mut batch = ::sled::Batch::default();
        batch.insert(b"x/format", &[INDEX_FORMAT]);
        batch.insert(b"x/store", store_id.as_bytes());
        batch.insert(b"x/settled", write_mark(Mark::start()));
        batch.insert(b"x/checked", write_mark(Mark::start()));
        call("making the first entries", || self.db.apply_batch(batch))
    }

    /// Up to where the index has taken the journal.
    pub(super) fn settled(&self) -> Result<Mark, StorageError> {
        self.mark(b"x/settled")
    }

    /// Up to where the index is known to be on disk.
    pub(super) fn checked(&self) -> Result<Mark, StorageError> {
        self.mark(b"x/checked")
    }

    fn mark(&self, key: &[u8]) -> Result<Mark, StorageError> {
        let value = self.get("reading a mark", key)?;
        value.and_then(|value| read_mark(&value)).ok_or_else(|| garbled("reading a mark"))
    }

    pub(super) fn head_of(&self, case_id: CaseId) -> Result<Option<CaseHead>, StorageError> {
        Ok(self.case_entry(case_id)?.map(|entry| entry.head))
    }

    fn case_entry(&self, case_id: CaseId) -> Result<Option<CaseEntry>, StorageError> {
        let Some(value) = self.get("reading a case", &case_key(case_id))? else { return Ok(None) };
        CaseEntry::read(case_id, &value).map(Some).ok_or_else(|| garbled("reading a case"))
    }

    pub(super) fn case_of(&self, reference: &str) -> Result<Option<CaseId>, StorageError> {
        let Some(value) = self.get("reading a reference", &text_key(b"r/", reference))? else {
            return Ok(None);
        };
        Fields(&value).case_id().map(Some).ok_or_else(|| garbled("reading a reference"))
    }

    pub(super) fn answer_to(&self, key: &str) -> Result<Option<KeptAnswer>, StorageError> {
        let Some(value) = self.get("reading an answer", &text_key(b"k/", key))? else { return Ok(None) };
        Fields(&value).answer().map(Some).ok_or_else(|| garbled("reading an answer"))
    }

    /// Where the case's events after a version stand, at most `limit`, in order of version.
    pub(super) fn positions(
        &self,
        case_id: CaseId,
        after: Version,
        limit: usize,
    ) -> Result<Vec<(Version, Position)>, StorageError> {
        let Some(entry) = self.case_entry(case_id)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut wanted = after.next();
        while wanted <= entry.head.version && found.len() < limit {
            let (mut version, positions) = if wanted >= entry.first_version() {
                (entry.first_version(), entry.positions.clone())
            } else {
                self.chunk(case_id, wanted)?
            };
            let before = found.len();
            for position in positions {
                if version >= wanted && found.len() < limit {
                    found.push((version, position));
                }
                version = version.next();
            }
            if found.len() == before {
                return Err(garbled("reading a case's positions"));
            }
            wanted = version;
        }
        Ok(found)
    }

    /// The chunk of positions that holds a version; chunks begin at 1, 1 + n, 1 + 2n …
    fn chunk(&self, case_id: CaseId, version: Version) -> Result<(Version, Vec<Position>), StorageError> {
        let size = POSITIONS_PER_CHUNK as u64;
        let first = Version((version.0 - 1) / size * size + 1);
        let value = self.get("reading a case's positions", &chunk_key(case_id, first))?;
        let positions = value.and_then(|value| read_positions(&value));
        Ok((first, positions.ok_or_else(|| garbled("reading a case's positions"))?))
    }

    pub(super) fn runs(&self) -> RunReader<'_> {
        RunReader { index: self, run: Vec::new(), next: Position(0), offset: 0 }
    }

    /// Takes groups of the journal, in order, up to a mark: all of it or nothing.
    pub(super) fn settle(
        &self,
        groups: &[Arc<Group>],
        settled: Mark,
        checked: Option<Mark>,
    ) -> Result<(), StorageError> {
        let mut batch = ::sled::Batch::default();
        self.put_runs(&mut batch, groups)?;
        self.put_cases(&mut batch, groups)?;
        let mut frontier = self.hold_frontier();
        let grown = self.put_tiles(&mut batch, &frontier, groups)?;
        for answer in groups.iter().flat_map(|group| &group.answers) {
            let mut value = Vec::new();
            frame::put_answer(&mut value, answer);
            batch.insert(text_key(b"k/", &answer.idempotency.key), value);
        }
        batch.insert(b"x/settled", write_mark(settled));
        if let Some(checked) = checked {
            batch.insert(b"x/checked", write_mark(checked));
        }
        call("taking events", || self.db.apply_batch(batch))?;
        *frontier = Some(grown);
        Ok(())
    }

    fn hold_frontier(&self) -> MutexGuard<'_, Option<Frontier>> {
        self.frontier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many events the tiles cover.
    pub(super) fn tree_size(&self) -> Result<u64, StorageError> {
        Ok(self.settled()?.position.0)
    }

    /// A tile, or the part of it that there is so far.
    pub(super) fn tile(&self, tile: TileId) -> Result<Vec<Hash>, StorageError> {
        let Some(value) = self.get("reading a tile", &tile_key(tile))? else { return Ok(Vec::new()) };
        let (hashes, rest) = value.as_chunks::<32>();
        if rest.is_empty() { Ok(hashes.to_vec()) } else { Err(garbled("reading a tile")) }
    }

    /// Adds the events' leaves to the tree: the tiles that they fill, and the parts that they leave.
    fn put_tiles(
        &self,
        batch: &mut ::sled::Batch,
        before: &Option<Frontier>,
        groups: &[Arc<Group>],
    ) -> Result<Frontier, StorageError> {
        let mut frontier = match before {
            Some(frontier) => frontier.clone(),
            None => Frontier::load(self.tree_size()?, &mut |tile| self.tile(tile))?,
        };
        // A level changes when the tile below it is full.
        let mut levels_changed = 0;
        for event in groups.iter().flat_map(|group| &group.events) {
            if event.position.0 != frontier.size() + 1 {
                return Err(garbled("continuing the tree"));
            }
            levels_changed = levels_changed.max(1);
            frontier.push(event.leaf, &mut |tile, hashes| {
                batch.insert(&tile_key(tile), hashes.as_flattened());
                levels_changed = levels_changed.max(tile.level + 2);
            });
        }
        for (tile, hashes) in frontier.parts().filter(|(tile, _)| tile.level < levels_changed) {
            batch.insert(&tile_key(tile), hashes.as_flattened());
        }
        Ok(frontier)
    }

    fn put_runs(&self, batch: &mut ::sled::Batch, groups: &[Arc<Group>]) -> Result<(), StorageError> {
        let mut events = groups.iter().flat_map(|group| &group.events).peekable();
        let Some(mut first) = events.peek().map(|event| event.position) else { return Ok(()) };
        let mut run = Vec::with_capacity(RUN_BYTES_MAX * 2);
        // A short last run is continued, or stores that are opened for one event at a time would hold one event a key.
        if let Some((key, last)) = call("looking up the last run", || self.db.get_lt(log_key(first)))?
            && let Some(Ok(number)) = key.strip_prefix(b"l/").map(<[u8; 8]>::try_from)
            && let Ok(last) = unpack(&last)
            && last.len() < RUN_BYTES_MAX / 2
        {
            first = Position(u64::from_be_bytes(number));
            run = last;
        }
        for event in events {
            if run.is_empty() {
                first = event.position;
            }
            put_event(&mut run, event);
            if run.len() >= RUN_BYTES_MAX {
                batch.insert(&log_key(first), pack(&run));
                run.clear();
            }
        }
        if !run.is_empty() {
            batch.insert(&log_key(first), pack(&run));
        }
        Ok(())
    }

    fn put_cases(&self, batch: &mut ::sled::Batch, groups: &[Arc<Group>]) -> Result<(), StorageError> {
        let mut cases: HashMap<CaseId, CaseEntry> = HashMap::new();
        for group in groups {
            for opening in &group.openings {
                batch.insert(text_key(b"r/", &opening.reference), opening.case_id.0.as_bytes());
                let head = CaseHead {
                    case_id: opening.case_id,
                    reference: opening.reference.clone(),
                    version: Version(0),
                    position: Position(0),
                    leaf: [0; 32],
                };
                cases.insert(opening.case_id, CaseEntry { head, positions: Vec::new() });
            }
            for event in &group.events {
                let entry = match cases.entry(event.case_id) {
                    std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::hash_map::Entry::Vacant(place) => {
                        let stored = self.case_entry(event.case_id)?;
                        place.insert(stored.ok_or_else(|| garbled("continuing a case"))?)
                    }
                };
                if event.version != entry.head.version.next() {
                    return Err(garbled("continuing a case"));
                }
                entry.head.version = event.version;
                entry.head.position = event.position;
                entry.head.leaf = event.leaf;
                entry.positions.push(event.position);
                if entry.positions.len() == POSITIONS_PER_CHUNK {
                    let mut value = Vec::with_capacity(POSITIONS_PER_CHUNK * 8);
                    put_positions(&mut value, &entry.positions);
                    batch.insert(&chunk_key(event.case_id, entry.first_version()), value);
                    entry.positions.clear();
                }
            }
        }
        for (case_id, entry) in cases {
            batch.insert(&case_key(case_id), entry.write());
        }
        Ok(())
    }

    /// Puts the journal's copy of an event in the place of one that was damaged here. Runs that can't be walked are
    /// written anew by a rebuild only.
    pub(super) fn repair(&self, whole: &StoredEvent) -> Result<bool, StorageError> {
        let below = call("looking up a run", || self.db.get_lt(log_key(whole.position.next())))?;
        let Some((key, run)) = below else { return Ok(false) };
        let Some(Ok(first)) = key.strip_prefix(b"l/").map(<[u8; 8]>::try_from) else { return Ok(false) };
        let run = unpack(&run)?;
        let mut reader = RunReader { index: self, run, next: Position(u64::from_be_bytes(first)), offset: 0 };
        let mut repaired = Vec::with_capacity(reader.run.len());
        let mut found = false;
        while reader.offset < reader.run.len() {
            let here = reader.next;
            let Some(event) = reader.walk(here)? else { break };
            found |= here == whole.position;
            put_event(&mut repaired, if here == whole.position { whole } else { &event });
        }
        if found {
            call("repairing an event", || self.db.insert(key, pack(&repaired)))?;
        }
        Ok(found)
    }

    /// Puts all that was taken on disk. sled's own flush ends in `sync_file_range`, which promises nothing; so its
    /// file is synced here too.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        call("flushing", || self.db.flush())?;
        let file = self.path.join("db");
        let sync = || std::fs::File::options().write(true).open(&file)?.sync_data();
        sync().map_err(|error| super::journal::failed("syncing", &file, error))
    }

    pub(super) fn write_model(
        &self,
        model: &str,
        checkpoint: Position,
        writes: &[ModelWrite],
    ) -> Result<(), StorageError> {
        let mut batch = ::sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(model_key(model, key), value.as_slice()),
                None => batch.remove(model_key(model, key)),
            }
        }
        batch.insert(text_key(b"q/", model), &checkpoint.0.to_le_bytes());
        call("writing a read model", || self.db.apply_batch(batch))
    }

    pub(super) fn model_checkpoint(&self, model: &str) -> Result<Position, StorageError> {
        let Some(value) = self.get("reading a checkpoint", &text_key(b"q/", model))? else {
            return Ok(Position(0));
        };
        Fields(&value).u64().map(Position).ok_or_else(|| garbled("reading a checkpoint"))
    }

    pub(super) fn model_value(&self, model: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.get("reading a read model", &model_key(model, key))?.map(|value| value.to_vec()))
    }

    pub(super) fn model_scan(
        &self,
        model: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<ModelEntry>, StorageError> {
        let stem = model_key(model, &[]);
        let full_prefix = model_key(model, prefix);
        // The first key after `after` is `after` with a zero byte behind it.
        let start = after.map(|after| [model_key(model, after), vec![0]].concat());
        let start = start.map_or_else(|| full_prefix.clone(), |start| start.max(full_prefix.clone()));
        call("scanning a read model", || {
            let mut found = Vec::new();
            for entry in self.db.range(start..).take(limit) {
                let (key, value) = entry?;
                if !key.starts_with(&full_prefix) {
                    break;
                }
                found.push((key[stem.len()..].to_vec(), value.to_vec()));
            }
            Ok(found)
        })
    }

    pub(super) fn drop_model(&self, model: &str) -> Result<(), StorageError> {
        // The checkpoint goes first: a half-dropped model is one that has read nothing.
        call("dropping a read model", || self.db.remove(text_key(b"q/", model)))?;
        loop {
            let keys = call("dropping a read model", || {
                self.db
                    .scan_prefix(model_key(model, &[]))
                    .keys()
                    .take(DROP_KEYS_MAX)
                    .collect::<Result<Vec<_>, _>>()
            })?;
            if keys.is_empty() {
                return Ok(());
            }
            let mut batch = ::sled::Batch::default();
            for key in keys {
                batch.remove(key);
            }
            call("dropping a read model", || self.db.apply_batch(batch))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_kept_smaller_and_comes_back_exactly() {
        let run = br#"{"definition":"lost-property@1","type":"item-handed-in"}"#.repeat(200);
        let packed = pack(&run);
        assert!(packed.len() < run.len() / 4, "{} of {}", packed.len(), run.len());
        assert_eq!(unpack(&packed).unwrap(), run);
    }

    #[test]
    fn a_run_that_is_cut_off_or_claims_more_than_a_run_holds_is_damaged() {
        let packed = pack(&[7; 4_000]);
        let mut claiming = packed.clone();
        claiming[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        for damaged in [&packed[..packed.len() - 1], &packed[..3], &[], &claiming] {
            assert!(unpack(damaged).is_err());
        }
    }
}
