//! The log on disk: what every store promises.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use crate::case::event::{CaseId, Position, RecordedEvent, Version};
use crate::ledger::tree::{Hash, MissingHashes, TileId};

/// The longest canonical form of one event, bytes.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// The most events that one append may hold.
pub const BATCH_EVENTS_MAX: usize = 10_000;

/// What an append demands of the case's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Nothing.
    Any,
    /// The case has no events yet.
    NoCase,
    /// The case has events.
    Exists,
    /// The case's last event has exactly this version. A version above the real one is a conflict too.
    Exactly(Version),
}

/// One event ready to be stored: its canonical bytes, and what the store needs to know of it.
#[derive(Debug, Clone)]
pub struct EncodedEvent {
    /// The case.
    pub case_id: CaseId,
    /// Its version, assigned by `decide` on the state it was judged by.
    pub version: Version,
    /// The canonical bytes (RFC 8785), `prev` included.
    pub bytes: Arc<[u8]>,
    /// SHA-256 of 0x00 and the bytes: the leaf hash of RFC 6962, computed by the engine, checked by the store.
    pub leaf: [u8; 32],
}

/// Events of one case to be stored together or not at all.
#[derive(Debug, Clone)]
pub struct Append {
    /// The case.
    pub case_id: CaseId,
    /// Its reference; the store keeps references unique.
    pub reference: String,
    /// What the case's version must be.
    pub expected: ExpectedVersion,
    /// The events, versions consecutive from the case's last; if they continue another version than the real one,
    /// that is a conflict, whatever is expected.
    pub events: Vec<EncodedEvent>,
    /// Makes a repetition harmless.
    pub idempotency: Option<Idempotency>,
}

/// A request's key, the hash of what it asked for, and what it is to be answered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Chosen by the caller, at most 255 bytes.
    pub key: String,
    /// SHA-256 of the request.
    pub request_hash: [u8; 32],
    /// When it was made, microseconds since 1970 (kept so that old keys can be dropped).
    pub at_micros: i64,
}

/// Where an append went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Version of the first event of the batch.
    pub first_version: Version,
    /// Version of the last.
    pub last_version: Version,
    /// Position of the last.
    pub last_position: Position,
    /// The same key was answered before: nothing was stored now; these are the places of then.
    pub replayed: bool,
}

/// An event as read, its hash checked.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its place in the log.
    pub position: Position,
    /// Its place in the case.
    pub version: Version,
    /// The case.
    pub case_id: CaseId,
    /// The canonical bytes.
    pub bytes: Arc<[u8]>,
    /// The leaf hash.
    pub leaf: [u8; 32],
}

/// The last event of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseHead {
    /// The case.
    pub case_id: CaseId,
    /// Its reference.
    pub reference: String,
    /// Its last version.
    pub version: Version,
    /// Position of its last event.
    pub position: Position,
    /// Leaf hash of its last event: the next event's `prev`.
    pub leaf: [u8; 32],
}

/// One write to a read model: `None` removes the key.
pub type ModelWrite = (Vec<u8>, Option<Vec<u8>>);

/// A key of a read model and its value.
pub type ModelEntry = (Vec<u8>, Vec<u8>);

/// Why an append was not made. Nothing of it was stored, except after [`AppendError::Storage`], which says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The case's version is not the expected one.
    #[error("the case is at version {actual}, expected {expected:?}")]
    Conflict {
        /// What was demanded.
        expected: ExpectedVersion,
        /// What it is (0: no such case).
        actual: Version,
    },
    /// Another case has the reference.
    #[error("the reference {reference} is taken by another case")]
    ReferenceTaken {
        /// The reference.
        reference: String,
    },
    /// The key was used for another request.
    #[error("the idempotency key {key} was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// The batch breaks a limit or does not fit the case.
    #[error("the batch is not valid: {problem}")]
    Invalid {
        /// What is wrong.
        problem: String,
    },
    /// More is queued than the writer can take; try again later.
    #[error("the store is overloaded: {queued} appends are waiting")]
    Overloaded {
        /// How many are waiting.
        queued: usize,
    },
    /// The store takes no more writes until it is reopened.
    #[error("the store is read-only: {reason}")]
    ReadOnly {
        /// Why.
        reason: String,
    },
    /// Writing or syncing failed; whether the events are stored is decided by reopening.
    #[error("the store failed while writing")]
    Storage(#[source] StorageError),
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes are not those that were recorded.
    #[error("event {version} of case {case_id} (position {position}) is damaged: {problem}")]
    Damaged {
        /// Its position.
        position: Position,
        /// Its case.
        case_id: CaseId,
        /// Its version.
        version: Version,
        /// What is wrong.
        problem: String,
    },
    /// The disk or the store's library failed.
    #[error("the store failed while reading")]
    Storage(#[source] StorageError),
}

/// A failure of the disk, of the files or of the library that reads them.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{doing}: {problem}")]
pub struct StorageError {
    /// What was being done, with the path.
    pub doing: String,
    /// What went wrong.
    pub problem: String,
    /// The kind of the operating system's error; [`io::ErrorKind::Other`] where it was none of its.
    pub kind: io::ErrorKind,
}

impl StorageError {
    /// Of something that the operating system did not refuse.
    pub(crate) fn new(doing: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { doing: doing.into(), problem: problem.into(), kind: io::ErrorKind::Other }
    }

    /// Of a call on a file that failed.
    pub(crate) fn of_file(doing: &str, path: &Path, error: &io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        Self { doing, problem: error.to_string(), kind: error.kind() }
    }
}

impl From<MissingHashes> for StorageError {
    fn from(missing: MissingHashes) -> Self {
        Self::new("reading the tree", missing.to_string())
    }
}

impl From<MissingHashes> for ReadError {
    fn from(missing: MissingHashes) -> Self {
        Self::Storage(missing.into())
    }
}

fn unreadable(doing: &str, problem: &str) -> ReadError {
    ReadError::Storage(StorageError::new(doing, problem))
}

/// Who is told where an append went, or why nowhere.
pub type Answer = Box<dyn FnOnce(Result<Appended, AppendError>) + Send>;

/// The answer where there is nobody left to give one.
pub(crate) fn writer_gone() -> AppendError {
    let problem = "the writer stopped before it answered".to_owned();
    AppendError::Storage(StorageError::new("appending", problem))
}

/// A log of events, several cases in one order. Blocking: the engine calls it from its own threads.
///
/// The same contract is run against every store in `tests/`.
pub trait EventStore: Send + Sync + 'static {
    /// Stores a batch, all or nothing, and answers when it is on disk: after success the events survive a crash of the
    /// process and of the machine, and every reader sees them. Returns at once; the answer, exactly one, may come from
    /// another thread or before this returns.
    fn submit(&self, append: Append, answer: Answer);

    /// [`EventStore::submit`], waiting for the answer.
    ///
    /// # Errors
    /// See [`AppendError`].
    fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        // The receiver waits below until the answer has come, so that sending it cannot fail.
        self.submit(append, Box::new(move |answer| drop(sender.send(answer))));
        receiver.recv().unwrap_or_else(|_| Err(writer_gone()))
    }

    /// What was stored under an idempotency key, and for which request; `None` where the key is new.
    ///
    /// # Errors
    /// When the disk fails.
    fn answer_to(&self, key: &str) -> Result<Option<(Idempotency, Appended)>, ReadError>;

    /// The last event of a case, by reference or by id; `None` where there is no such case.
    ///
    /// # Errors
    /// When the disk fails.
    fn head_of(&self, case: &CaseKey) -> Result<Option<CaseHead>, ReadError>;

    /// Events of one case after a version, in order of version, at most `limit`.
    ///
    /// # Errors
    /// When the disk fails or an event is damaged.
    fn read_case(&self, case_id: CaseId, after: Version, limit: usize)
    -> Result<Vec<StoredEvent>, ReadError>;

    /// Events of all cases after a position, in order of position without holes, at most `limit`.
    ///
    /// # Errors
    /// When the disk fails or an event is damaged.
    fn read_log(&self, after: Position, limit: usize) -> Result<Vec<StoredEvent>, ReadError>;

    /// Events as one of the store's copies holds them, after a position, in order, at most `limit`: for verification.
    /// Nothing is checked, repaired or taken from another copy, so an event may be missing or changed; only bytes
    /// that can't be read as events at all are an error. Empty at the copy's end, which may lie before the head for
    /// [`LogCopy::Working`]: it follows behind.
    ///
    /// # Errors
    /// When the disk fails, or the copy can't be read at the next event; everything before is returned first.
    fn raw_log(&self, copy: LogCopy, after: Position, limit: usize) -> Result<Vec<StoredEvent>, ReadError>;

    /// How many events the kept tiles of the Merkle tree cover: those up to a position at or before the head. The tree
    /// follows behind; [`LogTree`] adds what it lacks.
    ///
    /// # Errors
    /// When the disk fails.
    fn tree_size(&self) -> Result<u64, ReadError>;

    /// The hashes of a tile of the Merkle tree over the log as the store keeps them: all 256 of a full one, fewer of the
    /// last of its level, none where there is no such tile yet. Hashes once given never change.
    ///
    /// # Errors
    /// When the disk fails.
    fn tile(&self, tile: TileId) -> Result<Vec<Hash>, ReadError>;

    /// Follows the position of the last event on disk. A reader never sees a position beyond it.
    fn head(&self) -> watch::Receiver<Position>;

    /// Read models: see [`Models`].
    fn models(&self) -> &dyn Models;

    /// Keeps a definition's canonical JSON under its digest, on disk before it returns, so that the log can be
    /// replayed by it for ever. Keeping the same one again does nothing.
    ///
    /// # Errors
    /// When the disk fails.
    fn keep_definition(&self, digest_hex: &str, canonical: &str) -> Result<(), ReadError>;

    /// The canonical JSON of every definition kept, in no order.
    ///
    /// # Errors
    /// When the disk fails or a kept definition does not have the digest it is kept under.
    fn kept_definitions(&self) -> Result<Vec<String>, ReadError>;
}

/// A copy of the log that a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogCopy {
    /// What an append is acknowledged from: the journal, all of it up to the head.
    Archive,
    /// What ordinary reads are answered from. The same as the archive where a store has only one copy.
    Working,
}

/// A case by reference or by id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CaseKey {
    /// By the human reference.
    Reference(String),
    /// By id.
    Id(CaseId),
}

/// Small named maps beside the log: read models with their checkpoints, and the definitions in use.
///
/// Keys are at most 1 KiB, values at most 32 KiB. Losing a read model loses nothing: it is rebuilt from the log.
pub trait Models: Send + Sync {
    /// Writes keys and the model's checkpoint together or not at all.
    ///
    /// # Errors
    /// When the disk fails.
    fn write(&self, model: &str, checkpoint: Position, writes: &[ModelWrite]) -> Result<(), ReadError>;

    /// The position up to which the model has read the log; 0 where there is no such model.
    ///
    /// # Errors
    /// When the disk fails.
    fn checkpoint(&self, model: &str) -> Result<Position, ReadError>;

    /// The value of a key.
    ///
    /// # Errors
    /// When the disk fails.
    fn get(&self, model: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// Keys with this prefix after (exclusive) `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// When the disk fails.
    fn scan(
        &self,
        model: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<ModelEntry>, ReadError>;

    /// Removes a model and its checkpoint.
    ///
    /// # Errors
    /// When the disk fails.
    fn drop_model(&self, model: &str) -> Result<(), ReadError>;
}

/// Decodes what was read.
///
/// # Errors
/// [`ReadError::Damaged`] when the bytes are not an event.
pub fn decode(stored: &StoredEvent) -> Result<RecordedEvent, ReadError> {
    codec::decode(&stored.bytes).map_err(|error| ReadError::Damaged {
        position: stored.position,
        case_id: stored.case_id,
        version: stored.version,
        problem: error.to_string(),
    })
}

pub use admission::{KEY_BYTES_MAX, REFERENCE_BYTES_MAX, leaf_hash};
pub use folder::FORMAT;
pub use log_tree::LogTree;
pub use memory::MemoryStore;
pub use sled_store::{
    BALLAST_BYTES, FREE_BYTES_MIN, MODEL_KEY_BYTES_MAX, MODEL_VALUE_BYTES_MAX, OpenError, Recovery,
    SledOptions, SledStore,
};

mod admission;
pub mod backup;
pub mod codec;
pub mod files;
mod folder;
mod frame;
pub mod journal;
pub mod json;
mod log_tree;
pub mod memory;
mod room;
pub mod sled;
mod sled_store;
mod tail;
pub mod unfinished;
pub mod writer;
