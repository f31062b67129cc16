//! A store's folder: what is in it, who holds it, and how it comes to be.
//!
//! ```text
//! format        "casebook store", its format number, the store's id: the file that makes a folder a store
//! lock          held by the process that has the store open; its id is inside
//! journal/      see `journal`
//! sled/         the index: may be deleted, is rebuilt
//! definitions/  <digest>.json, every definition that an event was judged by
//! ballast       see `room`
//! keys/         the key of checkpoints, see `signer`
//! checkpoints/  every checkpoint that was signed
//! ```
//! A folder is made beside its place, synced and renamed: where a store stands, it is whole.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::case::event::Position;
use crate::machine;

use super::StorageError;
use super::files::{Files, read_whole, write_whole};
use super::journal::{JournalFolder, failed, unfit};
use super::sled_store::OpenError;

/// The format that this program writes.
pub const FORMAT: u32 = 1;

const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";
pub(super) const JOURNAL_FOLDER: &str = "journal";
const INDEX_FOLDER: &str = "sled";
const ASIDE_FOLDER: &str = "sled.aside";
pub(super) const DEFINITIONS_FOLDER: &str = "definitions";
pub(super) const KEYS_FOLDER: &str = "keys";
pub(super) const CHECKPOINTS_FOLDER: &str = "checkpoints";
const SUSPECT_FILE: &str = "index.suspect";

/// A store's folder, held by this process.
pub(super) struct Folder {
    pub(super) files: Arc<dyn Files>,
    pub(super) path: PathBuf,
    pub(super) store_id: Uuid,
    _lock: Lock,
}

/// The lock file, held. Unlocked by name when dropped: closing would not do while a process that is just being
/// started still has a copy of the open file.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "can't unlock the store; it stays locked until this process ends");
        }
    }
}

/// What stands where a store is asked for.
enum Found {
    Nothing,
    Store(Uuid),
}

impl Folder {
    /// Takes hold of a store's folder.
    pub(super) fn open(files: Arc<dyn Files>, path: &Path) -> Result<Self, OpenError> {
        match look(&*files, path)? {
            Found::Nothing => Err(OpenError::NotThere { path: path.to_owned() }),
            Found::Store(store_id) => {
                let lock = hold(&path.join(LOCK_FILE), path)?;
                Ok(Self { files, path: path.to_owned(), store_id, _lock: lock })
            }
        }
    }

    /// Takes hold of a store's folder, made if there is nothing there. Says which, and which half-made ones were removed.
    pub(super) fn open_or_create(
        files: Arc<dyn Files>,
        path: &Path,
        store_id: Uuid,
    ) -> Result<(Self, bool, Vec<PathBuf>), OpenError> {
        if let Found::Store(_) = look(&*files, path)? {
            return Ok((Self::open(files, path)?, false, Vec::new()));
        }
        let beside = Beside::of(path)?;
        let leftovers = beside.remove_leftovers(&*files);
        let unfinished = beside.unfinished(store_id);
        let lock = make(&files, &unfinished, store_id).map_err(OpenError::Storage)?;
        beside.put(&*files, &unfinished, path).map_err(OpenError::Storage)?;
        Ok((Self { files, path: path.to_owned(), store_id, _lock: lock }, true, leftovers))
    }

    /// A folder beside the place of a store that is to be made of what others bring: it has all of a store but journal and
    /// format, so that nobody takes it for one. Held by this process.
    pub(super) fn begin(files: Arc<dyn Files>, place: &Path, store_id: Uuid) -> Result<Self, OpenError> {
        let beside = Beside::of(place)?;
        beside.remove_leftovers(&*files);
        let path = beside.unfinished(machine::new_id());
        let lock = lay_out(&*files, &path).map_err(OpenError::Storage)?;
        Ok(Self { files, path, store_id, _lock: lock })
    }

    /// Takes hold of a folder that [`Folder::begin`] made once more.
    pub(super) fn hold_again(files: Arc<dyn Files>, path: &Path, store_id: Uuid) -> Result<Self, OpenError> {
        let lock = hold(&path.join(LOCK_FILE), path)?;
        Ok(Self { files, path: path.to_owned(), store_id, _lock: lock })
    }

    /// Makes it a store, and puts it in its place, where at most an empty folder stands.
    pub(super) fn finish(mut self, place: &Path) -> Result<(), OpenError> {
        let beside = Beside::of(place)?;
        write_format(&*self.files, &self.path, self.store_id)
            .map_err(|error| OpenError::Storage(failed("finishing", &self.path, error)))?;
        beside.put(&*self.files, &self.path, place).map_err(OpenError::Storage)?;
        place.clone_into(&mut self.path);
        Ok(())
    }

    pub(super) fn journal(&self) -> JournalFolder {
        journal_of(&self.files, &self.path, self.store_id)
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.path.join(INDEX_FOLDER)
    }

    /// Whether there is an index at all.
    pub(super) fn has_index(&self) -> Result<bool, StorageError> {
        self.has(INDEX_FOLDER)
    }

    fn has(&self, wanted: &str) -> Result<bool, StorageError> {
        let names = self.files.list(&self.path).map_err(|error| failed("listing", &self.path, error))?;
        Ok(names.iter().any(|name| name == wanted))
    }

    /// Puts the index aside, in the place of one put aside earlier.
    pub(super) fn set_index_aside(&self) -> Result<PathBuf, StorageError> {
        let aside = self.path.join(ASIDE_FOLDER);
        if self.has(ASIDE_FOLDER)? {
            self.files.remove_dir(&aside).map_err(|error| failed("removing", &aside, error))?;
        }
        let index = self.index_path();
        self.files.rename(&index, &aside).map_err(|error| failed("setting aside", &index, error))?;
        Ok(aside)
    }

    /// Leaves word that the index is not to be trusted: the next opening rebuilds it.
    pub(super) fn suspect_index(&self, reason: &str) {
        if let Err(error) = write_whole(&*self.files, &self.path, SUSPECT_FILE, reason.as_bytes()) {
            tracing::warn!(%error, reason, "the index is not to be trusted, and the note that says so can't be written");
        }
    }

    /// Why the index is not to be trusted, where an earlier opening left word.
    pub(super) fn index_suspicion(&self) -> Result<Option<String>, StorageError> {
        if !self.has(SUSPECT_FILE)? {
            return Ok(None);
        }
        let path = self.path.join(SUSPECT_FILE);
        let reason = read_whole(&*self.files, &path).map_err(|error| failed("reading", &path, error))?;
        Ok(Some(String::from_utf8_lossy(&reason).into_owned()))
    }

    /// The index was rebuilt.
    pub(super) fn trust_index(&self) -> Result<(), StorageError> {
        if self.has(SUSPECT_FILE)? {
            let path = self.path.join(SUSPECT_FILE);
            self.files.remove_file(&path).map_err(|error| failed("removing", &path, error))?;
        }
        Ok(())
    }

    /// Keeps a definition under its digest, on disk on return.
    pub(super) fn keep_definition(&self, digest_hex: &str, canonical: &str) -> Result<(), StorageError> {
        let folder = self.path.join(DEFINITIONS_FOLDER);
        let name = format!("{digest_hex}.json");
        if sha256_hex(canonical.as_bytes()) != digest_hex {
            return Err(unfit("keeping", &folder.join(name), "the digest is not that of the definition"));
        }
        let names = self.files.list(&folder).map_err(|error| failed("listing", &folder, error))?;
        if names.contains(&name) {
            return Ok(());
        }
        write_whole(&*self.files, &folder, &name, canonical.as_bytes())
            .map_err(|error| failed("keeping", &folder.join(&name), error))
    }

    /// Every definition kept, checked against its digest.
    pub(super) fn kept_definitions(&self) -> Result<Vec<String>, StorageError> {
        let folder = self.path.join(DEFINITIONS_FOLDER);
        let names = self.files.list(&folder).map_err(|error| failed("listing", &folder, error))?;
        let mut kept = Vec::new();
        for name in &names {
            let Some(digest_hex) = name.strip_suffix(".json") else { continue };
            let path = folder.join(name);
            let bytes = read_whole(&*self.files, &path).map_err(|error| failed("reading", &path, error))?;
            if sha256_hex(&bytes) != digest_hex {
                return Err(unfit(
                    "reading",
                    &path,
                    "the definition does not have the digest it is kept under",
                ));
            }
            kept.push(String::from_utf8(bytes).map_err(|error| unfit("reading", &path, error))?);
        }
        Ok(kept)
    }
}

/// SHA-256 in lower-case hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Says what stands at a path, touching nothing.
fn look(files: &dyn Files, path: &Path) -> Result<Found, OpenError> {
    let names = match files.list(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(OpenError::Foreign { path: path.to_owned() });
        }
        Err(error) => return Err(OpenError::Storage(failed("listing", path, error))),
    };
    if names.is_empty() {
        return Ok(Found::Nothing);
    }
    if !names.iter().any(|name| name == FORMAT_FILE) {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let file = path.join(FORMAT_FILE);
    let bytes =
        read_whole(files, &file).map_err(|error| OpenError::Storage(failed("reading", &file, error)))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    if lines.next() != Some("casebook store") {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let mut number = |name: &str| lines.next().and_then(|line| line.strip_prefix(name).map(str::to_owned));
    let format = number("format = ").and_then(|text| text.parse::<u32>().ok());
    let store_id = number("id = ").and_then(|text| Uuid::parse_str(&text).ok());
    match (format, store_id) {
        (Some(format), _) if format > FORMAT => {
            Err(OpenError::NewerFormat { path: path.to_owned(), found: format, known: FORMAT })
        }
        (Some(FORMAT), Some(store_id)) => Ok(Found::Store(store_id)),
        _ => Err(OpenError::Storage(unfit("reading", &file, "it does not say a format and an id"))),
    }
}

/// Takes the lock file, writing this process's id into it.
fn hold(path: &Path, store: &Path) -> Result<Lock, OpenError> {
    let storage = |error: io::Error| OpenError::Storage(failed("locking", path, error));
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(storage)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.read_to_string(&mut text);
            let pid = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse { path: store.to_owned(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(storage(error)),
    }
    let write = |file: &mut File| -> io::Result<()> {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
    };
    let mut lock = Lock(file);
    write(&mut lock.0).map_err(storage)?;
    Ok(lock)
}

/// Makes a whole store at a path where there is nothing, every part of it synced.
fn make(files: &Arc<dyn Files>, path: &Path, store_id: Uuid) -> Result<Lock, StorageError> {
    let lock = lay_out(&**files, path)?;
    journal_of(files, path, store_id).create_segment(Position(1))?;
    write_format(&**files, path, store_id).map_err(|error| failed("making", path, error))?;
    Ok(lock)
}

/// Makes the folders of a store, synced, and takes hold of it.
fn lay_out(files: &dyn Files, path: &Path) -> Result<Lock, StorageError> {
    let storage = |error: io::Error| failed("making", path, error);
    files.create_dir(path).map_err(storage)?;
    let lock = hold(&path.join(LOCK_FILE), path).map_err(|error| match error {
        OpenError::Storage(error) => error,
        other => unfit("making", path, other),
    })?;
    for folder in [JOURNAL_FOLDER, DEFINITIONS_FOLDER] {
        files.create_dir(&path.join(folder)).map_err(storage)?;
        files.sync_dir(&path.join(folder)).map_err(storage)?;
    }
    Ok(lock)
}

fn write_format(files: &dyn Files, path: &Path, store_id: Uuid) -> io::Result<()> {
    let text = format!("casebook store\nformat = {FORMAT}\nid = {store_id}\n");
    write_whole(files, path, FORMAT_FILE, text.as_bytes())
}

/// The journal of the store in a folder.
pub(super) fn journal_of(files: &Arc<dyn Files>, path: &Path, store_id: Uuid) -> JournalFolder {
    JournalFolder { files: Arc::clone(files), path: path.join(JOURNAL_FOLDER), store_id }
}

/// The id of the store in a folder, which another process may hold.
pub(super) fn store_at(files: &dyn Files, path: &Path) -> Result<Uuid, OpenError> {
    match look(files, path)? {
        Found::Store(store_id) => Ok(store_id),
        Found::Nothing => Err(OpenError::NotThere { path: path.to_owned() }),
    }
}

/// The folder that a store stands in, and the names in it of stores that are being made.
struct Beside {
    parent: PathBuf,
    prefix: String,
}

impl Beside {
    fn of(place: &Path) -> Result<Self, OpenError> {
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let Some(name) = place.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(OpenError::Storage(unfit("making", place, "the path has no name")));
        };
        Ok(Self { parent, prefix: format!(".{name}.unfinished-") })
    }

    fn unfinished(&self, id: Uuid) -> PathBuf {
        self.parent.join(format!("{}{id}", self.prefix))
    }

    fn put(&self, files: &dyn Files, unfinished: &Path, place: &Path) -> Result<(), StorageError> {
        let put = || -> io::Result<()> {
            files.rename(unfinished, place)?;
            files.sync_dir(&self.parent)
        };
        put().map_err(|error| failed("putting the new store at", place, error))
    }

    /// Removes what creations left that were cut off; one that another process is at work on is left alone.
    fn remove_leftovers(&self, files: &dyn Files) -> Vec<PathBuf> {
        let names = files.list(&self.parent).unwrap_or_default();
        let leftovers =
            names.iter().filter(|name| name.starts_with(&self.prefix)).map(|name| self.parent.join(name));
        let mut removed = Vec::new();
        for leftover in leftovers {
            let lock = File::options().read(true).write(true).open(leftover.join(LOCK_FILE));
            if lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock))) {
                continue;
            }
            match files.remove_dir(&leftover) {
                Ok(()) => {
                    tracing::warn!(path = %leftover.display(), "removed a store whose creation was cut off");
                    removed.push(leftover);
                }
                Err(error) => {
                    tracing::warn!(%error, path = %leftover.display(), "can't remove a half-made store");
                }
            }
        }
        removed
    }
}
