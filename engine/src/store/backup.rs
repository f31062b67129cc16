//! A backup of a store's folder: one file, taken while another process writes, whole or since an earlier backup.
//!
//! ```text
//! a tar archive, compressed with gzip; any tool opens it
//!   backup.json               the manifest: which store, from where to where, the root of the tree there, what follows
//!   journal/<first>.log       segments of the journal; of one that an earlier backup has a part of, the rest, as
//!   journal/<first>.log.from-<offset>
//!   definitions/…  keys/…  checkpoints/…
//! ```
//! The journal is only ever appended to, so a copy of it up to the end of a group is what the store was at that moment. No lock is
//! needed. A group that was just being written, and not yet acknowledged, may be in the backup.
//!
//! Every group's checksums are verified while it is read; the hashes of events, chains, tree and legality when it is restored.
//! The signing key is in the backup: keep it as safe as the store.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::case::event::Position;
use crate::ledger::chain::{from_base64, to_base64};
use crate::ledger::tree::{Frontier, Hash, MissingHashes, TileId};
use crate::machine;

use super::StorageError;
use super::files::{Files, read_whole};
use super::folder::{self, CHECKPOINTS_FOLDER, DEFINITIONS_FOLDER, KEYS_FOLDER};
use super::frame::Group;
use super::journal::{JournalDamage, JournalError, JournalFolder, Mark, failed};
use super::sled_store::OpenError;

/// The format of backups that this program writes.
const BACKUP_FORMAT: u32 = 1;
/// The name of the first entry.
pub(super) const MANIFEST: &str = "backup.json";
/// The longest manifest that is read, bytes: far above what a store of any size needs.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How much is copied at once, bytes.
pub(super) const COPY_BYTES: usize = 256 * 1024;
/// How often a place that does not read is read again: a group may have been half written a moment ago.
const TRIES: u32 = 3;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `casebook backup`.
    kind: String,
    /// The format of the backup.
    format: u32,
    /// The store's id.
    pub store: Uuid,
    /// When it was taken.
    pub made_at: Timestamp,
    /// Where the backup that this one continues ends; none where it holds the whole journal.
    pub from: Option<End>,
    /// Where this one ends.
    pub to: End,
    /// The right edge of the tree at its end: what the next backup goes on from. The tiles that are not full.
    edge: Vec<Tile>,
    /// The files that follow, in this order.
    pub(super) files: Vec<Entry>,
}

/// A place in the journal after a whole group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The last position.
    pub position: Position,
    /// Root of the tree over the events up to there, base64.
    pub root: String,
    segment: Position,
    offset: u64,
    last_group: Option<GroupStart>,
}

/// Where the last group begins, and what its last event hashes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupStart {
    after: Position,
    segment: Position,
    offset: u64,
    leaf: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tile {
    level: u8,
    index: u64,
    hashes: Vec<String>,
}

/// A file, or the end of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Where it stands in the store's folder.
    pub(super) path: String,
    /// Where in the file these bytes begin.
    pub(super) offset: u64,
    /// How many there are.
    pub(super) bytes: u64,
    /// The bytes, of a file that may be replaced at any moment.
    #[serde(skip)]
    content: Option<Vec<u8>>,
}

impl Entry {
    /// Its name in the archive.
    pub(super) fn name(&self) -> String {
        if self.offset == 0 { self.path.clone() } else { format!("{}.from-{}", self.path, self.offset) }
    }
}

impl Manifest {
    /// Events in this backup.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.to.position.0 - self.from.as_ref().map_or(0, |from| from.position.0)
    }

    /// Reads the manifest of a backup, and no more of it.
    ///
    /// # Errors
    /// [`BackupError::NotABackup`] where it is none, or none that this program knows; when reading fails.
    pub fn read(backup: impl Read) -> Result<Self, BackupError> {
        let mut archive = tar::Archive::new(MultiGzDecoder::new(backup));
        let mut entries = archive.entries().map_err(|error| no_backup(&error))?;
        let first = entries.next().ok_or_else(|| BackupError::NotABackup("it is empty".to_owned()))?;
        Self::of(first.map_err(|error| no_backup(&error))?)
    }

    /// Reads the manifest out of the archive's first entry.
    pub(super) fn of(entry: tar::Entry<'_, impl Read>) -> Result<Self, BackupError> {
        if entry.path().map_err(|error| no_backup(&error))? != Path::new(MANIFEST) {
            return Err(BackupError::NotABackup(format!("it does not begin with {MANIFEST}")));
        }
        let mut text = Vec::new();
        entry.take(MANIFEST_BYTES_MAX).read_to_end(&mut text).map_err(|error| no_backup(&error))?;
        // First what it is, so that a newer one is called newer and not wrong.
        let head: serde_json::Value = serde_json::from_slice(&text).map_err(|error| no_backup(&error))?;
        let format = head.get("format").and_then(serde_json::Value::as_u64);
        if head.get("kind").and_then(serde_json::Value::as_str) != Some("casebook backup") {
            return Err(BackupError::NotABackup(format!("its {MANIFEST} is something else's")));
        }
        if format != Some(u64::from(BACKUP_FORMAT)) {
            let found = format.map_or_else(|| "none".to_owned(), |format| format.to_string());
            return Err(BackupError::NotABackup(format!(
                "it has format {found}, and this program knows format {BACKUP_FORMAT}"
            )));
        }
        let manifest: Self = serde_json::from_value(head).map_err(|error| no_backup(&error))?;
        if manifest.from.as_ref().is_some_and(|from| from.position > manifest.to.position) {
            return Err(BackupError::NotABackup("it ends before it begins".to_owned()));
        }
        Ok(manifest)
    }

    fn frontier(&self) -> Result<Frontier, BackupError> {
        let read = |tile: TileId| -> Result<Vec<Hash>, MissingHashes> {
            let kept = self.edge.iter().find(|kept| (kept.level, kept.index) == (tile.level, tile.index));
            let kept = kept.ok_or(MissingHashes { tile })?;
            let hashes = kept.hashes.iter().map(|hash| from_base64(hash));
            hashes.collect::<Result<_, _>>().map_err(|_| MissingHashes { tile })
        };
        let mut read = read;
        Frontier::load(self.to.position.0, &mut read).map_err(|error| no_backup(&error))
    }
}

fn no_backup(error: &dyn std::fmt::Display) -> BackupError {
    BackupError::NotABackup(error.to_string())
}

impl BackupError {
    pub(super) fn unreadable(error: io::Error) -> Self {
        no_backup(&error)
    }
}

/// Why no backup was taken, or why a file is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is no store, or it can't be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal is damaged.
    #[error("the journal is damaged: {0}")]
    Damaged(JournalDamage),
    /// The earlier backup is not of this store, or not of what it holds now.
    #[error("the store does not go on where the earlier backup ends: {0}")]
    NotContinued(String),
    /// The file is not a backup that this program can read.
    #[error("this is no backup that can be read: {0}")]
    NotABackup(String),
    /// The store's folder can't be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The backup can't be written.
    #[error("the backup can't be written: {0}")]
    Write(io::Error),
}

impl From<JournalError> for BackupError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Damaged(damage) => Self::Damaged(damage),
            JournalError::Storage(error) => Self::Storage(error),
        }
    }
}

/// How far a backup or a restore is: the step, how much of it is done, and of how much (0 where that is not known).
pub type Step<'a> = &'a (dyn Fn(&'static str, u64, u64) + Send + Sync);

/// Writes a backup of the store in a folder, which another process may have open: everything, or what came after an earlier
/// backup. On success the caller has to bring what it wrote to disk.
///
/// # Errors
/// See [`BackupError`]. What was written until then is not a backup, and is not taken for one.
pub fn back_up(
    store: &Path,
    since: Option<&Manifest>,
    files: &Arc<dyn Files>,
    out: impl Write,
    step: Step<'_>,
) -> Result<Manifest, BackupError> {
    let store_id = folder::store_at(&**files, store)?;
    if let Some(since) = since.filter(|since| since.store != store_id) {
        return Err(BackupError::NotContinued(format!(
            "it is of the store {}, and this is {store_id}",
            since.store
        )));
    }
    let journal = folder::journal_of(files, store, store_id);
    // Before the journal: a checkpoint that is signed meanwhile may cover more than the backup holds.
    let beside = beside_the_journal(&**files, store, since)?;
    let mut survey = Survey::begin(&journal, since)?;
    survey.read_on(step)?;
    let mut manifest = survey.manifest(store_id, since)?;
    manifest.files.extend(beside);
    write(&manifest, store, &**files, out, step)?;
    Ok(manifest)
}

/// Reads whole groups to the journal's end.
struct Survey<'a> {
    journal: &'a JournalFolder,
    mark: Mark,
    last_group: Option<GroupStart>,
    frontier: Frontier,
}

impl<'a> Survey<'a> {
    /// Begins at the start, or where an earlier backup ends, which has to be what the store holds there.
    fn begin(journal: &'a JournalFolder, since: Option<&Manifest>) -> Result<Self, BackupError> {
        let Some(since) = since else {
            return Ok(Self {
                journal,
                mark: Mark::start(),
                last_group: None,
                frontier: Frontier::default(),
            });
        };
        let End { position, segment, offset, last_group, .. } = since.to.clone();
        let mark = Mark { position, segment, offset };
        if let Some(group) = &last_group {
            let before = Mark { position: group.after, segment: group.segment, offset: group.offset };
            let mut found = None;
            let read = journal.read_some(before, position, |group, mark| {
                found = group.events.last().map(|event| (mark, to_base64(&event.leaf)));
                false
            });
            let is_same = found.is_some_and(|(end, leaf)| end == mark && leaf == group.leaf);
            if read.is_err() || !is_same {
                return Err(BackupError::NotContinued(format!(
                    "position {position} is not what was backed up; the store was restored or changed since"
                )));
            }
        }
        Ok(Self { journal, mark, last_group, frontier: since.frontier()? })
    }

    fn read_on(&mut self, step: Step<'_>) -> Result<(), BackupError> {
        let mut tries = 0;
        loop {
            let from = self.mark;
            let replayed = self.journal.replay(from, |group, mark| -> Result<(), JournalError> {
                self.take(&group, mark);
                step("reading", mark.position.0, 0);
                Ok(())
            });
            match replayed {
                Ok(_) => return Ok(()),
                Err(JournalError::Damaged(_)) if self.mark != from || tries < TRIES => {
                    tries = if self.mark == from { tries + 1 } else { 0 };
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, group: &Group, mark: Mark) {
        let Mark { position, segment, offset } = self.mark;
        for event in &group.events {
            self.frontier.push(event.leaf, &mut |_, _| {});
        }
        let begins = if segment == mark.segment { (segment, offset) } else { start_of(mark.segment) };
        self.last_group = group.events.last().map(|last| GroupStart {
            after: position,
            segment: begins.0,
            offset: begins.1,
            leaf: to_base64(&last.leaf),
        });
        self.mark = mark;
    }

    fn manifest(self, store: Uuid, since: Option<&Manifest>) -> Result<Manifest, BackupError> {
        let Self { journal, mark, last_group, frontier } = self;
        let begin = since.map(|since| (since.to.segment, since.to.offset));
        let mut files = Vec::new();
        for first in journal.segments()? {
            let is_wanted = first <= mark.segment && begin.is_none_or(|(segment, _)| first >= segment);
            if !is_wanted {
                continue;
            }
            let offset = begin.filter(|(segment, _)| *segment == first).map_or(0, |(_, offset)| offset);
            let end = if first == mark.segment { mark.offset } else { journal.segment_bytes(first)? };
            if end > offset {
                files.push(Entry {
                    path: format!("journal/{}", JournalFolder::segment_name(first)),
                    offset,
                    bytes: end - offset,
                    content: None,
                });
            }
        }
        let tile = |(tile, hashes): (TileId, &[Hash])| Tile {
            level: tile.level,
            index: tile.index,
            hashes: hashes.iter().map(to_base64).collect(),
        };
        let Mark { position, segment, offset } = mark;
        Ok(Manifest {
            kind: "casebook backup".to_owned(),
            format: BACKUP_FORMAT,
            store,
            made_at: machine::now(),
            from: since.map(|since| since.to.clone()),
            to: End { position, root: to_base64(&frontier.root()), segment, offset, last_group },
            edge: frontier.parts().map(tile).collect(),
            files,
        })
    }
}

fn start_of(segment: Position) -> (Position, u64) {
    (segment, Mark::start().offset)
}

/// What else is in the folder: all definitions and keys; checkpoints of more events than the earlier backup has.
fn beside_the_journal(
    files: &dyn Files,
    store: &Path,
    since: Option<&Manifest>,
) -> Result<Vec<Entry>, BackupError> {
    let mut entries = Vec::new();
    for folder in [DEFINITIONS_FOLDER, KEYS_FOLDER, "keys/rotations", CHECKPOINTS_FOLDER] {
        let path = store.join(folder);
        let names = match files.list(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            listed => listed.map_err(|error| failed("listing", &path, error))?,
        };
        for name in names {
            let size = name.split('-').next().and_then(|size| size.parse::<u64>().ok());
            let is_old = folder == CHECKPOINTS_FOLDER
                && since.is_some_and(|since| size.is_some_and(|size| size <= since.to.position.0));
            let path = path.join(&name);
            if is_old || path.is_dir() || !is_plain(&name) {
                continue;
            }
            let content = read_whole(files, &path).map_err(|error| failed("reading", &path, error))?;
            entries.push(Entry {
                path: format!("{folder}/{name}"),
                offset: 0,
                bytes: content.len() as u64,
                content: (folder == KEYS_FOLDER).then_some(content),
            });
        }
    }
    Ok(entries)
}

/// A name of a file that a store makes, and not one that is just being written.
pub(super) fn is_plain(name: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.starts_with('.') && !name.ends_with(".unfinished") && name.bytes().all(is_name)
}

fn write(
    manifest: &Manifest,
    store: &Path,
    files: &dyn Files,
    out: impl Write,
    step: Step<'_>,
) -> Result<(), BackupError> {
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| BackupError::Write(error.into()))?;
    let of = manifest.files.iter().map(|entry| entry.bytes).sum();
    let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::fast()));
    archive
        .append_data(&mut header(manifest, text.len() as u64), MANIFEST, text.as_slice())
        .map_err(BackupError::Write)?;
    let mut done = 0;
    for entry in &manifest.files {
        let mut header = header(manifest, entry.bytes);
        if let Some(content) = &entry.content {
            archive.append_data(&mut header, entry.name(), content.as_slice()).map_err(BackupError::Write)?;
        } else {
            let path = store.join(&entry.path);
            let mut file = files.open(&path).map_err(|error| failed("opening", &path, error))?;
            let mut slice =
                Slice { file: &mut *file, offset: entry.offset, left: entry.bytes, failure: None };
            let written = archive.append_data(&mut header, entry.name(), &mut slice);
            if let Some(error) = slice.failure {
                return Err(failed("reading", &path, error).into());
            }
            written.map_err(BackupError::Write)?;
        }
        done += entry.bytes;
        step("writing", done, of);
    }
    let encoder = archive.into_inner().map_err(BackupError::Write)?;
    encoder.finish().and_then(|mut out| out.flush()).map_err(BackupError::Write)
}

fn header(manifest: &Manifest, bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(manifest.made_at.as_second()).unwrap_or_default());
    header
}

/// So many bytes of a file from an offset on.
struct Slice<'a> {
    file: &'a mut dyn super::files::StoreFile,
    offset: u64,
    left: u64,
    failure: Option<io::Error>,
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(self.offset, &mut buffer[..wanted]).and_then(|count| match count {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            count => Ok(count),
        });
        match read {
            Ok(count) => {
                self.offset += count as u64;
                self.left -= count as u64;
                Ok(count)
            }
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}
