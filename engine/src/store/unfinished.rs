//! A store that is being made of backups: beside its place, without the file that makes a folder a store, until somebody has
//! verified it. Whatever interrupts that leaves nothing that could be taken for a store; the next restore or creation at the same
//! place removes it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use uuid::Uuid;

use super::StorageError;
use super::backup::{BackupError, COPY_BYTES, End, Entry, Manifest, Step, is_plain};
use super::files::{Files, StoreFile};
use super::folder::{CHECKPOINTS_FOLDER, DEFINITIONS_FOLDER, Folder, JOURNAL_FOLDER, KEYS_FOLDER};
use super::journal::failed;
use super::sled_store::{OpenError, Recovery, SledOptions, SledStore};

/// Why backups were not unpacked. Nothing stands in the place of the store then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// A file is not a backup, or a damaged one, or does not continue the one before.
    #[error("{}: {problem}", file.display())]
    Backup {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The folder beside the place can't be made or written.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// See the module.
pub struct Unfinished {
    files: Arc<dyn Files>,
    path: PathBuf,
    store_id: Uuid,
    /// Held until the store is opened, and again when it is finished.
    folder: Option<Folder>,
    end: End,
}

impl std::fmt::Debug for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unfinished").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Unfinished {
    /// Unpacks a whole backup, and those that continue it in their order, beside the place of the store.
    ///
    /// # Errors
    /// See [`UnpackError`]; nothing is left then, as far as the disk lets it be removed.
    pub fn unpack(
        place: &Path,
        backups: &[PathBuf],
        files: Arc<dyn Files>,
        step: Step<'_>,
    ) -> Result<Self, UnpackError> {
        let mut unfinished: Option<Self> = None;
        for path in backups {
            let wrong = |problem: String| UnpackError::Backup { file: path.clone(), problem };
            let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
            let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
            let mut entries = archive.entries().map_err(|error| wrong(error.to_string()))?;
            let first = entries.next().ok_or_else(|| wrong("this is no backup: it is empty".to_owned()))?;
            let manifest = first.map_err(BackupError::unreadable).and_then(Manifest::of);
            let manifest = manifest.map_err(|error| wrong(error.to_string()))?;
            follows(&manifest, unfinished.as_ref()).map_err(wrong)?;
            let unfinished = match &mut unfinished {
                Some(unfinished) => {
                    unfinished.end = manifest.to.clone();
                    unfinished
                }
                none => {
                    let folder = Folder::begin(Arc::clone(&files), place, manifest.store)?;
                    none.insert(Self {
                        files: Arc::clone(&files),
                        path: folder.path.clone(),
                        store_id: manifest.store,
                        folder: Some(folder),
                        end: manifest.to.clone(),
                    })
                }
            };
            let of = manifest.files.iter().map(|entry| entry.bytes).sum();
            let mut done = 0;
            for wanted in &manifest.files {
                let entry = entries.next().and_then(Result::ok);
                let entry = entry.filter(|entry| entry.path_bytes() == wanted.name().as_bytes());
                let entry = entry.filter(|entry| entry.size() == wanted.bytes);
                let Some(mut entry) = entry else {
                    return Err(wrong(format!("it is damaged or cut off: {} is not whole", wanted.name())));
                };
                unfinished.write(wanted, &mut entry).map_err(|trouble| match trouble {
                    Trouble::Backup(problem) => wrong(problem),
                    Trouble::Storage(error) => error.into(),
                })?;
                done += wanted.bytes;
                step("unpacking", done, of);
            }
            // To its end: the checksum over everything stands there.
            let mut rest = archive.into_inner();
            io::copy(&mut rest, &mut io::sink())
                .map_err(|error| wrong(format!("it is damaged or cut off: {error}")))?;
        }
        let mut unfinished = unfinished.ok_or_else(|| UnpackError::Backup {
            file: PathBuf::new(),
            problem: "no backup was named".to_owned(),
        })?;
        unfinished.sync()?;
        Ok(unfinished)
    }

    /// Where the last backup says that the log ends: a restored store has to be exactly that.
    #[must_use]
    pub fn end(&self) -> &End {
        &self.end
    }

    /// The id that the store was given when it was made.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.store_id
    }

    /// The folder in which it is being made.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it, to verify what is in it: its index is made from the journal.
    ///
    /// # Errors
    /// As [`SledStore::open`]; when it is open already.
    pub fn open(&mut self, options: SledOptions) -> Result<SledStore, OpenError> {
        let held = self.folder.take();
        let folder =
            held.map_or_else(|| Folder::hold_again(Arc::clone(&self.files), &self.path, self.store_id), Ok)?;
        SledStore::start(folder, options, Recovery::default())
    }

    /// Makes it a store and puts it in its place, where at most an empty folder stands. The store has to be closed.
    ///
    /// # Errors
    /// When it is still open, or the disk refuses.
    pub fn finish(mut self, place: &Path) -> Result<(), OpenError> {
        let held = self.folder.take();
        let folder =
            held.map_or_else(|| Folder::hold_again(Arc::clone(&self.files), &self.path, self.store_id), Ok)?;
        folder.finish(place)?;
        // It is elsewhere now: nothing is left to remove.
        self.path = PathBuf::new();
        Ok(())
    }

    fn write(&mut self, wanted: &Entry, bytes: &mut impl Read) -> Result<(), Trouble> {
        if !is_of_a_store(&wanted.path) {
            return Err(Trouble::Backup(format!("{} is no file of a store", wanted.path)));
        }
        let path = self.path.join(&wanted.path);
        let storage = |error: io::Error| Trouble::Storage(failed("writing", &path, error));
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            std::fs::create_dir_all(folder).map_err(storage)?;
        }
        let is_there = path.exists();
        let mut file = if is_there && wanted.path.starts_with(JOURNAL_FOLDER) {
            self.files.open(&path).map_err(storage)?
        } else {
            if is_there {
                self.files.remove_file(&path).map_err(storage)?;
            }
            let is_private = wanted.path.starts_with(KEYS_FOLDER);
            let made = if is_private { self.files.create_private(&path) } else { self.files.create(&path) };
            made.map_err(storage)?
        };
        if file.length().map_err(storage)? != wanted.offset {
            return Err(Trouble::Backup(format!(
                "{} does not follow what was unpacked before",
                wanted.name()
            )));
        }
        copy(bytes, &mut *file, wanted, &path)?;
        file.sync_data().map_err(storage)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        for folder in
            [JOURNAL_FOLDER, DEFINITIONS_FOLDER, KEYS_FOLDER, CHECKPOINTS_FOLDER, "keys/rotations", ""]
        {
            let path = self.path.join(folder);
            if path.is_dir() {
                self.files.sync_dir(&path).map_err(|error| failed("syncing", &path, error))?;
            }
        }
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        self.folder = None;
        if let Err(error) = self.files.remove_dir(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "can't remove a half-made store; it is in nobody's way");
        }
    }
}

enum Trouble {
    Backup(String),
    Storage(StorageError),
}

fn copy(bytes: &mut impl Read, file: &mut dyn StoreFile, wanted: &Entry, path: &Path) -> Result<(), Trouble> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = wanted.offset;
    loop {
        let count = bytes.read(&mut buffer).map_err(|error| {
            Trouble::Backup(format!("it is damaged or cut off in {}: {error}", wanted.name()))
        })?;
        if count == 0 {
            break;
        }
        file.write_at(offset, &buffer[..count])
            .map_err(|error| Trouble::Storage(failed("writing", path, error)))?;
        offset += count as u64;
    }
    if offset != wanted.offset + wanted.bytes {
        return Err(Trouble::Backup(format!("it is damaged or cut off: {} is not whole", wanted.name())));
    }
    Ok(())
}

/// Whether a backup follows on what was unpacked, or is a whole one where nothing was.
fn follows(manifest: &Manifest, before: Option<&Unfinished>) -> Result<(), String> {
    match (before, &manifest.from) {
        (None, None) => Ok(()),
        (None, Some(from)) => Err(format!(
            "it holds what came after position {}: name the backup that it continues before it",
            from.position
        )),
        (Some(_), None) => Err("it is a whole backup, and only the first can be".to_owned()),
        (Some(before), Some(_)) if before.store_id != manifest.store => {
            Err(format!("it is of the store {}, and the one before of {}", manifest.store, before.store_id))
        }
        (Some(before), Some(from)) if before.end != *from => Err(format!(
            "it continues a backup that ends at position {}, and the one before ends at position {}: one is missing, or the \
             order is another",
            from.position, before.end.position
        )),
        _ => Ok(()),
    }
}

/// Whether a path is one that a backup may hold: nothing is written anywhere else.
fn is_of_a_store(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [JOURNAL_FOLDER | DEFINITIONS_FOLDER | KEYS_FOLDER | CHECKPOINTS_FOLDER, name]
        | [KEYS_FOLDER, "rotations", name] => is_plain(name) && !name.is_empty(),
        _ => false,
    }
}
