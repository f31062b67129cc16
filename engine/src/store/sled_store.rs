//! [`SledStore`]: the store on disk. Journal first, index behind it; opening brings the two together.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::watch;
use uuid::Uuid;

use crate::case::event::{CaseId, Position, Version};
use crate::ledger::tree::{Hash, TILE_HASHES, TileId};
use crate::machine;

use super::admission::{check_shape, is_whole};
use super::files::{DiskFiles, Files};
use super::folder::Folder;
use super::frame::Group;
use super::journal::{
    Journal, JournalDamage, JournalEnd, JournalError, JournalFolder, Mark, SEGMENT_BYTES_MAX, TornGroup,
    find_event,
};
use super::sled::Index;
use super::writer::{
    CHECK_BYTES, Limits, QUEUE_APPENDS_MAX, SETTLE_EVENTS, Shared, settle_until_closed, write_until_closed,
};
use super::{
    Answer, Append, Appended, CaseHead, CaseKey, EventStore, Idempotency, LogCopy, ModelEntry, ModelWrite,
    Models, ReadError, StorageError, StoredEvent,
};

/// The longest key of a read model, bytes.
pub const MODEL_KEY_BYTES_MAX: usize = 1024;
/// The longest value of a read model, bytes.
pub const MODEL_VALUE_BYTES_MAX: usize = 32 * 1024;
/// The store takes no events while its disk has less free than this, bytes: what is acknowledged still reaches the index.
pub const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// The length of the ballast file, bytes: what sled needs to open, and some more.
pub const BALLAST_BYTES: u64 = 32 * 1024 * 1024;
/// How often opening waits for sled's own lock, which its threads may hold a moment after the last close.
const INDEX_LOCK_TRIES: u32 = 100;
const INDEX_LOCK_WAIT_MS: u64 = 20;

/// How far a rebuild of the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Events taken so far.
    pub events: u64,
    /// Bytes of the journal read so far, of all its segments.
    pub bytes: u64,
    /// Bytes of the journal.
    pub bytes_of: u64,
}

/// How to open a store.
#[derive(Clone)]
pub struct SledOptions {
    /// What sled may keep in memory of its pages, bytes.
    pub cache_bytes: u64,
    /// The id of a store that is made; drawn where it is left out.
    pub store_id: Option<Uuid>,
    /// Called while the index is rebuilt.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    /// Where the journal is damaged before its end: open for reading what the index holds, instead of not at all.
    pub read_damaged: bool,
    /// Appends that may wait.
    pub queue_appends_max: usize,
    /// How many events the index may be behind the journal before it takes a batch. More makes batches cheaper, and
    /// takes more memory and more to replay after a crash.
    pub settle_events: usize,
    /// A segment of the journal that has reached this length gets no further group, bytes.
    pub segment_bytes_max: u64,
    /// The store takes no events while its disk has less than this free, bytes; 0: it never looks.
    pub free_bytes_min: u64,
    /// The length of the file `ballast`, which an operator deletes to have room on a full disk; 0: none is made.
    pub ballast_bytes: u64,
    /// The file calls of journal and folder.
    pub files: Arc<dyn Files>,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 128 * 1024 * 1024,
            store_id: None,
            progress: None,
            read_damaged: false,
            queue_appends_max: QUEUE_APPENDS_MAX,
            settle_events: SETTLE_EVENTS,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            free_bytes_min: FREE_BYTES_MIN,
            ballast_bytes: BALLAST_BYTES,
            files: Arc::new(DiskFiles),
        }
    }
}

impl fmt::Debug for SledOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledOptions")
            .field("cache_bytes", &self.cache_bytes)
            .field("store_id", &self.store_id)
            .field("read_damaged", &self.read_damaged)
            .field("queue_appends_max", &self.queue_appends_max)
            .field("settle_events", &self.settle_events)
            .field("segment_bytes_max", &self.segment_bytes_max)
            .field("free_bytes_min", &self.free_bytes_min)
            .field("ballast_bytes", &self.ballast_bytes)
            .finish_non_exhaustive()
    }
}

/// Why a store was not opened. Nothing that was in its place has been changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open, or this one a second time.
    #[error("the store {} is in use by {}", path.display(), match pid { Some(pid) => format!("process {pid}"), None => "another process".to_owned() })]
    InUse {
        /// The store.
        path: PathBuf,
        /// The process, where it said so.
        pid: Option<u32>,
    },
    /// A newer program made it.
    #[error("the store {} has format {found}, and this program knows formats up to {known}: use a newer one", path.display())]
    NewerFormat {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// Something else is in its place.
    #[error("{} is not a store, and not empty: nothing in it was touched", path.display())]
    Foreign {
        /// The folder or file.
        path: PathBuf,
    },
    /// There is nothing in its place.
    #[error("there is no store at {}", path.display())]
    NotThere {
        /// The place.
        path: PathBuf,
    },
    /// The journal is damaged before its end, so that what was acknowledged can't be shown whole.
    #[error("the journal is damaged: {damage}; {}; restore the segment from a backup, or open for reading only", match index_has { Some(position) => format!("the index holds events up to position {position}"), None => "the index can't help".to_owned() })]
    Damaged {
        /// Where and how.
        damage: JournalDamage,
        /// The last position that the index holds.
        index_has: Option<Position>,
    },
    /// The disk is full.
    #[error(
        "the disk of {} is full: free some space, for which the file `ballast` in it may be deleted, and open it again",
        path.display()
    )]
    Full {
        /// The store.
        path: PathBuf,
        /// What could not be done.
        source: StorageError,
    },
    /// The disk or sled failed.
    #[error("the store can't be opened")]
    Storage(#[source] StorageError),
}

impl From<StorageError> for OpenError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<JournalError> for OpenError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Damaged(damage) => Self::Damaged { damage, index_has: None },
            JournalError::Storage(error) => Self::Storage(error),
        }
    }
}

/// What opening did beside opening.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The store was made.
    pub created: bool,
    /// Half-made stores beside its place that were removed.
    pub leftovers: Vec<PathBuf>,
    /// Events that were in the journal and not yet in the index: the last close was not a clean one.
    pub replayed: u64,
    /// A group that was being written when the machine stopped; cut off, it was never acknowledged.
    pub torn: Option<TornGroup>,
    /// The index was made anew from the journal.
    pub rebuilt: Option<Rebuilt>,
    /// The journal is damaged; the store was opened for reading all the same.
    pub damage: Option<JournalDamage>,
}

/// A rebuild of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Why.
    pub reason: String,
    /// Where the old one was put, if there was one.
    pub aside: Option<PathBuf>,
    /// How many events were taken from the journal.
    pub events: u64,
}

/// The store on disk. One process at a time has it open. Dropping it closes it cleanly.
pub struct SledStore {
    shared: Arc<Shared>,
    recovery: Recovery,
    writer: Option<JoinHandle<()>>,
    settler: Option<JoinHandle<()>>,
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore").field("path", &self.shared.folder.path).finish_non_exhaustive()
    }
}

impl SledStore {
    /// Opens a store that exists.
    ///
    /// What the journal has beyond the index is replayed; a torn group at its end is cut off; an index that does not
    /// open or does not agree with the journal is set aside and rebuilt. [`SledStore::recovery`] says what was done.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, options: SledOptions) -> Result<Self, OpenError> {
        let folder = Folder::open(Arc::clone(&options.files), path)?;
        Self::start(folder, options, Recovery::default())
    }

    /// Opens a store, made if there is nothing in its place. A store is whole from the moment it stands there.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_or_create(path: &Path, options: SledOptions) -> Result<Self, OpenError> {
        let store_id = options.store_id.unwrap_or_else(machine::new_id);
        let (folder, created, leftovers) =
            Folder::open_or_create(Arc::clone(&options.files), path, store_id)?;
        Self::start(folder, options, Recovery { created, leftovers, ..Recovery::default() })
    }

    /// Opens a store in a folder that this process holds already.
    pub(super) fn start(
        folder: Folder,
        options: SledOptions,
        mut recovery: Recovery,
    ) -> Result<Self, OpenError> {
        let limits = Limits {
            queue_appends: options.queue_appends_max,
            settle_events: options.settle_events.max(1),
            free_bytes_min: options.free_bytes_min,
        };
        let ballast_bytes = options.ballast_bytes;
        let opening = Opening { folder: &folder, journal: folder.journal(), options: &options };
        match opening.bring_together(&mut recovery) {
            Ok((index, end)) => {
                let journal = Journal::open(folder.journal(), end, options.segment_bytes_max)?;
                let shared = Arc::new(Shared::new(folder, index, end.position, limits));
                shared.room().keep_ballast(ballast_bytes);
                let writer =
                    spawn("casebook-writer", &shared, move |shared| write_until_closed(shared, journal))?;
                let settler =
                    spawn("casebook-settler", &shared, move |shared| settle_until_closed(shared, end));
                let mut store = Self { shared, recovery, writer: Some(writer), settler: None };
                store.settler = Some(settler?);
                Ok(store)
            }
            Err(OpenError::Damaged { damage, .. }) if options.read_damaged => {
                let index = opening.open_index()?;
                let settled = index.settled()?;
                recovery.damage = Some(damage.clone());
                let shared = Shared::new(folder, index, settled.position, limits);
                shared.stop_writing(format!("the journal is damaged: {damage}"));
                Ok(Self { shared: Arc::new(shared), recovery, writer: None, settler: None })
            }
            Err(OpenError::Storage(source)) if is_full(&source) => {
                Err(OpenError::Full { path: folder.path.clone(), source })
            }
            Err(error) => Err(error),
        }
    }

    /// What opening did beside opening.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The id that the store was given when it was made.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.shared.folder.store_id
    }

    /// The store's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.folder.path
    }

    /// Why the store takes no more writes: a failure, until it is reopened, or a disk that is nearly full, until there is
    /// room. `None` where it does.
    #[must_use]
    pub fn read_only_reason(&self) -> Option<String> {
        self.shared.fault().map(str::to_owned).or_else(|| self.shared.room().lacking())
    }
}

fn spawn(
    name: &str,
    shared: &Arc<Shared>,
    run: impl FnOnce(&Shared) + Send + 'static,
) -> Result<JoinHandle<()>, StorageError> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared)).map_err(|error| StorageError {
        doing: format!("starting {name}"),
        problem: error.to_string(),
        kind: error.kind(),
    })
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.shared.close_queue();
        let writer = self.writer.take().map(JoinHandle::join);
        self.shared.close_settling();
        let settler = self.settler.take().map(JoinHandle::join);
        if matches!(writer, Some(Err(_))) || matches!(settler, Some(Err(_))) {
            tracing::error!("a thread of the store panicked; the next opening replays the journal");
        }
    }
}

/// Brings index and journal together.
struct Opening<'a> {
    folder: &'a Folder,
    journal: JournalFolder,
    options: &'a SledOptions,
}

/// Why the index can't be used as it is.
enum IndexTrouble {
    /// It has to be made anew.
    Rebuild(String),
    Fatal(OpenError),
}

impl From<JournalError> for IndexTrouble {
    fn from(error: JournalError) -> Self {
        Self::Fatal(error.into())
    }
}

/// A failure of the index while it is brought up to date.
impl From<StorageError> for IndexTrouble {
    fn from(error: StorageError) -> Self {
        if is_full(&error) { Self::Fatal(error.into()) } else { Self::Rebuild(error.to_string()) }
    }
}

/// A full disk keeps sled from opening and is no reason to distrust it.
fn is_full(error: &StorageError) -> bool {
    error.problem.contains("os error 28") || error.problem.contains("No space left")
}

impl Opening<'_> {
    fn bring_together(&self, recovery: &mut Recovery) -> Result<(Index, Mark), OpenError> {
        let (index, mut end) = match self.with_old_index(recovery) {
            Ok(together) => together,
            Err(IndexTrouble::Fatal(error)) => return Err(error),
            Err(IndexTrouble::Rebuild(reason)) => self.rebuild(reason, recovery)?,
        };
        if let Some(mut torn) = end.torn.take() {
            self.journal.cut(&mut torn)?;
            tracing::warn!(
                segment = %torn.segment.display(), offset = torn.offset, bytes = torn.bytes,
                "cut off a group that was being written when the machine stopped"
            );
            recovery.torn = Some(torn);
        }
        if let Some(last_group) = end.last_group {
            self.journal.write_again(last_group, end.mark)?;
        }
        Ok((index, end.mark))
    }

    fn open_index(&self) -> Result<Index, StorageError> {
        let path = self.folder.index_path();
        let mut tries = 0;
        loop {
            match Index::open(&path, self.options.cache_bytes) {
                Err(error)
                    if error.problem.contains("could not acquire lock") && tries < INDEX_LOCK_TRIES =>
                {
                    tries += 1;
                    thread::sleep(std::time::Duration::from_millis(INDEX_LOCK_WAIT_MS));
                }
                opened => return opened,
            }
        }
    }

    /// Opens the index that is there, compares its last part with the journal and replays what it lacks.
    fn with_old_index(&self, recovery: &mut Recovery) -> Result<(Index, JournalEnd), IndexTrouble> {
        if let Some(reason) = self.folder.index_suspicion()? {
            return Err(IndexTrouble::Rebuild(reason));
        }
        if !self.folder.has_index()? {
            return Err(IndexTrouble::Rebuild("there is none".to_owned()));
        }
        let index = self.open_index()?;
        match index.store_id()? {
            Some(store_id) if store_id == self.folder.store_id => {}
            Some(_) => return Err(IndexTrouble::Rebuild("it is another store's".to_owned())),
            None => return Err(IndexTrouble::Rebuild("it is empty".to_owned())),
        }
        let (settled, checked) = (index.settled()?, index.checked()?);
        let mut batch = Batch::new(&index);
        let end = self.journal.replay(checked, |group, mark| -> Result<(), IndexTrouble> {
            if mark.position <= settled.position {
                return agrees(&index, &group);
            }
            batch.take(group, mark)?;
            Ok(())
        });
        let end = end.map_err(|trouble| name_index(trouble, settled.position))?;
        if end.mark.position < settled.position {
            let damage = JournalDamage {
                segment: self.journal.segment_path(end.mark.segment),
                offset: end.mark.offset,
                after: end.mark.position,
                problem: format!(
                    "the journal ends here, and the index knows of position {}",
                    settled.position
                ),
            };
            return Err(IndexTrouble::Fatal(OpenError::Damaged {
                damage,
                index_has: Some(settled.position),
            }));
        }
        recovery.replayed = batch.finish(end.mark)?;
        if recovery.replayed > 0 {
            tracing::warn!(events = recovery.replayed, "replayed events that the index did not have yet");
        }
        Ok((index, end))
    }

    fn rebuild(&self, reason: String, recovery: &mut Recovery) -> Result<(Index, JournalEnd), OpenError> {
        let aside = if self.folder.has_index()? { Some(self.folder.set_index_aside()?) } else { None };
        let index = self.open_index()?;
        index.begin(self.folder.store_id)?;
        let bytes_of = self.journal.bytes()?;
        let mut bytes_before = 0;
        let mut last = Mark::start();
        let mut batch = Batch::new(&index);
        let end = self.journal.replay(Mark::start(), |group, mark| -> Result<(), OpenError> {
            if mark.segment != last.segment {
                bytes_before += last.offset;
            }
            last = mark;
            let has_settled = batch.take(group, mark)?;
            if let Some(progress) = self.options.progress.as_ref().filter(|_| has_settled) {
                progress(Progress { events: mark.position.0, bytes: bytes_before + mark.offset, bytes_of });
            }
            Ok(())
        })?;
        let events = batch.finish(end.mark)?;
        index.sync()?;
        self.folder.trust_index()?;
        if let Some(progress) = &self.options.progress {
            progress(Progress { events, bytes: bytes_of, bytes_of });
        }
        if events > 0 || aside.is_some() {
            tracing::warn!(events, reason, "rebuilt the index from the journal");
            recovery.rebuilt = Some(Rebuilt { reason, aside, events });
        }
        Ok((index, end))
    }
}

/// Says of damage what the index could give back.
fn name_index(trouble: IndexTrouble, settled: Position) -> IndexTrouble {
    match trouble {
        IndexTrouble::Fatal(OpenError::Damaged { damage, .. }) => {
            IndexTrouble::Fatal(OpenError::Damaged { damage, index_has: Some(settled) })
        }
        other => other,
    }
}

/// Groups on their way from the journal to the index.
struct Batch<'a> {
    index: &'a Index,
    groups: Vec<Arc<Group>>,
    waiting: usize,
    events: u64,
    last: Mark,
    synced: Mark,
    announce: Option<Mark>,
}

impl<'a> Batch<'a> {
    fn new(index: &'a Index) -> Self {
        let start = Mark::start();
        Self { index, groups: Vec::new(), waiting: 0, events: 0, last: start, synced: start, announce: None }
    }

    /// Takes a group; says whether that made a batch.
    fn take(&mut self, group: Group, mark: Mark) -> Result<bool, StorageError> {
        self.waiting += group.events.len();
        self.events += group.events.len() as u64;
        self.groups.push(Arc::new(group));
        self.last = mark;
        if self.waiting < SETTLE_EVENTS {
            return Ok(false);
        }
        self.settle()?;
        if mark.segment != self.synced.segment || mark.offset - self.synced.offset >= CHECK_BYTES {
            self.index.sync()?;
            (self.synced, self.announce) = (mark, Some(mark));
        }
        Ok(true)
    }

    fn settle(&mut self) -> Result<(), StorageError> {
        if self.groups.is_empty() {
            return Ok(());
        }
        self.index.settle(&self.groups, self.last, self.announce.take())?;
        self.groups.clear();
        self.waiting = 0;
        Ok(())
    }

    /// Settles the rest and puts the index on disk; says how many events were taken.
    fn finish(mut self, end: Mark) -> Result<u64, StorageError> {
        self.settle()?;
        if self.events > 0 {
            self.index.sync()?;
            self.index.settle(&[], end, Some(end))?;
        }
        Ok(self.events)
    }
}

/// Whether the index holds what a group of the journal brought.
fn agrees(index: &Index, group: &Group) -> Result<(), IndexTrouble> {
    let differs = |what: &str, position: Position| {
        IndexTrouble::Rebuild(format!("it differs from the journal at position {position}: {what}"))
    };
    let mut runs = index.runs();
    for event in &group.events {
        let found = runs.event(event.position)?;
        let same = found.is_some_and(|found| {
            found.bytes == event.bytes
                && found.leaf == event.leaf
                && found.case_id == event.case_id
                && found.version == event.version
        });
        if !same {
            return Err(differs("the event", event.position));
        }
        let place = index.positions(event.case_id, Version(event.version.0 - 1), 1)?;
        if place.first() != Some(&(event.version, event.position)) {
            return Err(differs("the case", event.position));
        }
    }
    leaves_agree(index, group)?;
    for opening in &group.openings {
        if index.case_of(&opening.reference)? != Some(opening.case_id) {
            return Err(differs("a reference", group.last()));
        }
    }
    for answer in &group.answers {
        if index.answer_to(&answer.idempotency.key)?.as_ref() != Some(answer) {
            return Err(differs("an idempotency key", group.last()));
        }
    }
    Ok(())
}

/// Whether the tree of the index has the leaves of a group.
fn leaves_agree(index: &Index, group: &Group) -> Result<(), IndexTrouble> {
    let mut tile = TileId { level: 0, index: u64::MAX };
    let mut hashes = Vec::new();
    for event in &group.events {
        let leaf = event.position.0 - 1;
        let its_tile = TileId { level: 0, index: leaf / TILE_HASHES as u64 };
        if its_tile != tile {
            (tile, hashes) = (its_tile, index.tile(its_tile)?);
        }
        let place = usize::try_from(leaf % TILE_HASHES as u64).unwrap_or(usize::MAX);
        if hashes.get(place) != Some(&event.leaf) {
            let reason = format!("it differs from the journal at position {}: the tree", event.position);
            return Err(IndexTrouble::Rebuild(reason));
        }
    }
    Ok(())
}

/// What a reader wants at a position: the case and version too, where they are known.
struct Wanted {
    position: Position,
    of_case: Option<(CaseId, Version)>,
}

impl Shared {
    /// Events of the index, each one checked; one that is damaged or missing is read from the journal, which also
    /// repairs the index.
    fn settled_events(&self, wanted: impl Iterator<Item = Wanted>) -> Result<Vec<StoredEvent>, ReadError> {
        let mut runs = self.index.runs();
        let mut events = Vec::new();
        for Wanted { position, of_case } in wanted {
            let fits = |event: &StoredEvent| {
                is_whole(event) && of_case.is_none_or(|of_case| of_case == (event.case_id, event.version))
            };
            let found = runs.event(position);
            match found {
                Ok(Some(event)) if fits(&event) => events.push(event),
                other => {
                    let (problem, run_is_sound) = match &other {
                        Ok(Some(_)) => ("the index's copy is not what was recorded".to_owned(), true),
                        Ok(None) => ("the index has no copy".to_owned(), false),
                        Err(error) => (error.to_string(), false),
                    };
                    let found = other.ok().flatten();
                    events.push(self.read_from_journal(position, of_case, found, &problem, run_is_sound)?);
                    runs = self.index.runs();
                }
            }
        }
        Ok(events)
    }

    fn read_from_journal(
        &self,
        position: Position,
        of_case: Option<(CaseId, Version)>,
        found: Option<StoredEvent>,
        problem: &str,
        run_is_sound: bool,
    ) -> Result<StoredEvent, ReadError> {
        let fits = |event: &StoredEvent| {
            is_whole(event) && of_case.is_none_or(|of_case| of_case == (event.case_id, event.version))
        };
        let copy = find_event(&self.journal, position);
        if let Ok(Some(event)) = copy.as_ref()
            && fits(event)
        {
            let repaired = run_is_sound && self.index.repair(event).unwrap_or(false);
            tracing::warn!(%position, problem, repaired, "read an event from the journal");
            if !repaired {
                self.folder.suspect_index(&format!("position {position}: {problem}"));
            }
            return Ok(event.clone());
        }
        let in_journal = match copy {
            Ok(Some(_)) => "the journal's copy is damaged too".to_owned(),
            Ok(None) => "the journal does not have it".to_owned(),
            Err(error) => error.to_string(),
        };
        let place = of_case.or_else(|| found.map(|event| (event.case_id, event.version)));
        let (case_id, version) = place.unwrap_or((CaseId(Uuid::nil()), Version(0)));
        Err(ReadError::Damaged { position, case_id, version, problem: format!("{problem}; {in_journal}") })
    }
}

impl EventStore for SledStore {
    fn submit(&self, append: Append, answer: Answer) {
        match check_shape(&append) {
            Ok(()) => self.shared.submit(append, answer),
            Err(error) => answer(Err(error)),
        }
    }

    fn answer_to(&self, key: &str) -> Result<Option<(Idempotency, Appended)>, ReadError> {
        let kept = self.shared.kept_answer(key).map_err(ReadError::Storage)?;
        Ok(kept.map(|kept| (kept.idempotency, Appended { replayed: true, ..kept.appended })))
    }

    fn head_of(&self, case: &CaseKey) -> Result<Option<CaseHead>, ReadError> {
        let case_id = match case {
            CaseKey::Id(case_id) => Some(*case_id),
            CaseKey::Reference(reference) => self.shared.case_of(reference).map_err(ReadError::Storage)?,
        };
        let Some(case_id) = case_id else { return Ok(None) };
        self.shared.head_of(case_id).map_err(ReadError::Storage)
    }

    fn read_case(
        &self,
        case_id: CaseId,
        after: Version,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        // The tail first: what it has forgotten by then, the index has.
        let in_tail = self.shared.tail().case_events(case_id, after, limit);
        let first_in_tail = in_tail.as_ref().map(|(first, _)| *first);
        if first_in_tail.is_some_and(|first| after.next() >= first) {
            return checked(in_tail.map(|(_, events)| events).unwrap_or_default());
        }
        let places = self.shared.index.positions(case_id, after, limit).map_err(ReadError::Storage)?;
        let wanted = places
            .into_iter()
            .take_while(|(version, _)| first_in_tail.is_none_or(|first| *version < first))
            .map(|(version, position)| Wanted { position, of_case: Some((case_id, version)) });
        let mut events = self.shared.settled_events(wanted)?;
        if let Some((_, more)) = in_tail {
            let room = limit.saturating_sub(events.len());
            events.extend(checked(more)?.into_iter().take(room));
        }
        Ok(events)
    }

    fn read_log(&self, after: Position, limit: usize) -> Result<Vec<StoredEvent>, ReadError> {
        let (first_in_tail, more) = {
            let tail = self.shared.tail();
            let head = *self.shared.head().borrow();
            (tail.first().unwrap_or_else(|| head.next()), tail.events_after(after, limit))
        };
        let in_index = first_in_tail.0.saturating_sub(after.0 + 1);
        let count = in_index.min(u64::try_from(limit).unwrap_or(u64::MAX));
        let positions = after.0 + 1..after.0.saturating_add(1).saturating_add(count);
        let wanted = positions.map(|position| Wanted { position: Position(position), of_case: None });
        let mut events = self.shared.settled_events(wanted)?;
        let room = limit.saturating_sub(events.len());
        events.extend(checked(more)?.into_iter().take(room));
        Ok(events)
    }

    fn raw_log(&self, copy: LogCopy, after: Position, limit: usize) -> Result<Vec<StoredEvent>, ReadError> {
        let head = *self.shared.head().borrow();
        match copy {
            LogCopy::Archive => self.shared.raw_journal(after, limit, head),
            LogCopy::Working => {
                let mut runs = self.shared.index.runs();
                let mut events = Vec::new();
                let in_tail = self.shared.tail().first();
                let settled = in_tail.map_or(head.0, |first| first.0 - 1);
                let mut position = after.next();
                while position.0 <= settled && events.len() < limit {
                    events.extend(runs.event(position).map_err(ReadError::Storage)?);
                    position = position.next();
                }
                Ok(events)
            }
        }
    }

    fn tree_size(&self) -> Result<u64, ReadError> {
        self.shared.index.tree_size().map_err(ReadError::Storage)
    }

    fn tile(&self, tile: TileId) -> Result<Vec<Hash>, ReadError> {
        self.shared.index.tile(tile).map_err(ReadError::Storage)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.shared.head()
    }

    fn models(&self) -> &dyn Models {
        self
    }

    fn keep_definition(&self, digest_hex: &str, canonical: &str) -> Result<(), ReadError> {
        self.shared.folder.keep_definition(digest_hex, canonical).map_err(ReadError::Storage)
    }

    fn kept_definitions(&self) -> Result<Vec<String>, ReadError> {
        self.shared.folder.kept_definitions().map_err(ReadError::Storage)
    }
}

/// Events of the tail, checked like all others.
fn checked(events: Vec<StoredEvent>) -> Result<Vec<StoredEvent>, ReadError> {
    match events.iter().find(|event| !is_whole(event)) {
        None => Ok(events),
        Some(event) => Err(ReadError::Damaged {
            position: event.position,
            case_id: event.case_id,
            version: event.version,
            problem: "the copy in memory is not what was recorded".to_owned(),
        }),
    }
}

impl Shared {
    /// Events as the journal holds them. Reading on where the last call ended costs nothing extra.
    fn raw_journal(
        &self,
        after: Position,
        limit: usize,
        head: Position,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        let start = self.journal.start_of(after.next()).map_err(ReadError::Storage)?;
        let nearer = |place: &Mark| place.position <= after && place.position >= start.position;
        let from = self.reading_place().filter(nearer).unwrap_or(start);
        let mut events = Vec::new();
        let mut before = from;
        let read = self.journal.read_some(from, head, |group, mark| {
            let wanted = group.events.into_iter().filter(|event| event.position > after);
            events.extend(wanted.take(limit - events.len()));
            if events.last().is_none_or(|event| event.position == mark.position) {
                before = mark;
            }
            events.len() < limit
        });
        self.keep_reading_place(before);
        match read {
            Ok(()) => Ok(events),
            Err(_) if !events.is_empty() => Ok(events),
            Err(JournalError::Storage(error)) => Err(ReadError::Storage(error)),
            Err(JournalError::Damaged(damage)) => Err(ReadError::Damaged {
                position: damage.after.next(),
                case_id: CaseId(Uuid::nil()),
                version: Version(0),
                problem: damage.to_string(),
            }),
        }
    }
}

fn check_model(model: &str) -> Result<(), ReadError> {
    if model.is_empty() || model.len() > 255 || model.contains('\0') {
        let problem = "a model's name has 1 to 255 bytes and no zero byte".to_owned();
        return Err(ReadError::Storage(StorageError::new(
            format!("using the read model {model:?}"),
            problem,
        )));
    }
    Ok(())
}

/// Checks a read model's name and the limits of what is written to it.
pub(super) fn check_model_writes(model: &str, writes: &[ModelWrite]) -> Result<(), ReadError> {
    check_model(model)?;
    for (key, value) in writes {
        let length = value.as_ref().map_or(0, Vec::len);
        if key.len() > MODEL_KEY_BYTES_MAX || length > MODEL_VALUE_BYTES_MAX {
            let problem = format!(
                "a key of {} bytes or a value of {length} bytes is over the limit of {MODEL_KEY_BYTES_MAX} and {MODEL_VALUE_BYTES_MAX}",
                key.len()
            );
            let doing = format!("writing the read model {model}");
            return Err(ReadError::Storage(StorageError::new(doing, problem)));
        }
    }
    Ok(())
}

impl Models for SledStore {
    fn write(&self, model: &str, checkpoint: Position, writes: &[ModelWrite]) -> Result<(), ReadError> {
        check_model_writes(model, writes)?;
        self.shared.index.write_model(model, checkpoint, writes).map_err(ReadError::Storage)
    }

    fn checkpoint(&self, model: &str) -> Result<Position, ReadError> {
        check_model(model)?;
        self.shared.index.model_checkpoint(model).map_err(ReadError::Storage)
    }

    fn get(&self, model: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        check_model(model)?;
        self.shared.index.model_value(model, key).map_err(ReadError::Storage)
    }

    fn scan(
        &self,
        model: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<ModelEntry>, ReadError> {
        check_model(model)?;
        self.shared.index.model_scan(model, prefix, after, limit).map_err(ReadError::Storage)
    }

    fn drop_model(&self, model: &str) -> Result<(), ReadError> {
        check_model(model)?;
        self.shared.index.drop_model(model).map_err(ReadError::Storage)
    }
}
