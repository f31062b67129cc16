//! The signer: the key of a log, the checkpoints that it signed, and its refusal to sign what contradicts them.
//!
//! ```text
//! keys/signing-key        the private key, readable by its owner alone; made at the first use
//! keys/signing-key.next   a new key whose announcement is being written
//! keys/rotations/0001     announcements of keys, each signed by the old key and the new one
//! keys/last-signed        the last checkpoint: what the next one has to agree with
//! checkpoints/<size>      every checkpoint that was signed
//! ```
//! The folders lie in the store's own, beside the log and outside of it: a store stays one folder. Whoever has that folder has
//! the key; so a checkpoint convicts only as long as a copy of it is kept elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use crate::ledger::chain::to_base64;
use crate::ledger::checkpoint::{Checkpoint, CheckpointError, Rotation, predecessors};
use crate::ledger::key::{KeyError, SignerKey, VerifierKey};
use crate::ledger::note::{NOTE_BYTES_MAX, Note};
use crate::ledger::proof::{EventProof, PROOF_FORMAT};
use crate::machine;
use crate::store::files::{DiskFiles, write_whole};
use crate::store::{AppendError, EventStore, LogTree, ReadError, StorageError, StoredEvent, decode};

/// Signs for one log. Only the process that has the store open uses it.
#[derive(Debug)]
pub struct Signer {
    keys: PathBuf,
    checkpoints: PathBuf,
    origin: String,
    turn: Mutex<()>,
}

/// A checkpoint, and the note that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The signed note.
    pub note: Note,
    /// The key that signed.
    pub key: VerifierKey,
}

/// A file that the signer keeps, and what it should hold.
#[derive(Debug)]
pub struct KeptCheckpoint {
    /// Its name below the store's folder.
    pub name: String,
    /// The checkpoint, or why it can't be read or believed.
    pub checkpoint: Result<Checkpoint, CheckpointError>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The log is shorter than when it was signed last.
    #[error(
        "the log has {size} events, and had {signed} when its last checkpoint was signed: its end was cut off, and nothing is signed"
    )]
    Shorter {
        /// Its size then.
        signed: u64,
        /// Its size now.
        size: u64,
    },
    /// The log is not what it was when it was signed last.
    #[error(
        "the first {signed} events are not those that the last checkpoint was signed for: the log was rewritten, and nothing is signed"
    )]
    Rewritten {
        /// Its size then.
        signed: u64,
    },
    /// The key is gone, or is not that of this log.
    #[error("{}: {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The last checkpoint, or an announcement, can't be believed.
    #[error("{}: {source}", path.display())]
    Kept {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: CheckpointError,
    },
    /// The log does not take the seal that has to stand before the checkpoint.
    #[error("what a checkpoint rests on can't be recorded: {0}")]
    Append(#[from] AppendError),
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Signer {
    /// The signer of the store in a folder. Nothing is made or read yet.
    #[must_use]
    pub fn new(folder: &Path, store_id: Uuid) -> Self {
        Self {
            keys: folder.join("keys"),
            checkpoints: folder.join("checkpoints"),
            origin: format!("casebook/{store_id}"),
            turn: Mutex::new(()),
        }
    }

    /// The name of the log in its checkpoints.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The public key that signs now; made where there is none yet.
    ///
    /// # Errors
    /// When the key can't be read or made.
    pub fn public_key(&self) -> Result<VerifierKey, SignError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.key()?.public())
    }

    /// The announcements of keys, oldest first, each checked.
    ///
    /// # Errors
    /// When one can't be read or believed.
    pub fn rotations(&self) -> Result<Vec<(Note, Rotation)>, SignError> {
        let folder = self.keys.join("rotations");
        let mut found = Vec::new();
        for name in names(&folder)? {
            let path = folder.join(name);
            let kept = |source| SignError::Kept { path: path.clone(), source };
            let note = Note::parse(&read(&path)?).map_err(|error| kept(error.into()))?;
            let rotation = Rotation::read(&note).map_err(kept)?;
            found.push((note, rotation));
        }
        Ok(found)
    }

    /// Every key that this log's checkpoints were ever signed by; none where there is no key yet.
    ///
    /// # Errors
    /// When a key or an announcement can't be read or believed.
    pub fn known_keys(&self) -> Result<Vec<VerifierKey>, SignError> {
        if !self.key_path().exists() {
            return Ok(Vec::new());
        }
        let rotations: Vec<Rotation> = self.rotations()?.into_iter().map(|(_, rotation)| rotation).collect();
        Ok(predecessors(&self.public_key()?, &rotations))
    }

    /// Whether it may go on: the key is there, and the log agrees with the last checkpoint.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn check(&self, store: &dyn EventStore) -> Result<(), SignError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.key()?;
        self.check_last(&LogTree::at_head(store)?).map(drop)
    }

    /// Signs what the log is now: all that is acknowledged, without a seal ([`crate::sealer::Sealer`] does both). Where it has not grown, gives the last checkpoint again.
    ///
    /// # Errors
    /// When the log contradicts the last checkpoint, or key, log or disk fail.
    pub fn sign(&self, store: &dyn EventStore) -> Result<SignedCheckpoint, SignError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.sign_tree(&LogTree::at_head(store)?)
    }

    /// Signs what the log is now, and proves that an event is in it.
    ///
    /// # Errors
    /// As [`Signer::sign`]; when the event is not an event of the log.
    pub fn prove(&self, store: &dyn EventStore, event: &StoredEvent) -> Result<EventProof, SignError> {
        let recorded = decode(event)?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let tree = LogTree::at_head(store)?;
        let signed = self.sign_tree(&tree)?;
        let path = tree.inclusion_proof(event.position)?;
        let rotations = self.rotations()?.into_iter().map(|(note, _)| note.to_string());
        Ok(EventProof {
            format: PROOF_FORMAT.to_owned(),
            case: recorded.case,
            version: event.version.0,
            position: event.position.0,
            event: String::from_utf8_lossy(&event.bytes).into_owned(),
            event_base64: STANDARD.encode(&event.bytes),
            leaf_hash: to_base64(&event.leaf),
            inclusion: path.iter().map(to_base64).collect(),
            checkpoint: signed.note.to_string(),
            vkey: signed.key.to_string(),
            rotations: rotations.collect(),
        })
    }

    fn sign_tree(&self, tree: &LogTree<'_>) -> Result<SignedCheckpoint, SignError> {
        let key = self.key()?;
        let last = self.check_last(tree)?;
        let public = key.public();
        if let Some((note, checkpoint)) = last
            && checkpoint.size == tree.size()
            && note.signed_by(std::slice::from_ref(&public)).is_ok()
        {
            return Ok(SignedCheckpoint { checkpoint, note, key: public });
        }
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: tree.size(), root: tree.root() };
        let note = Note::sign(checkpoint.text(), &[&key]);
        let text = note.to_string();
        // First what the signer holds itself to, then the copy: a crash in between leaves a promise that nobody has seen.
        write(&self.keys, "last-signed", text.as_bytes())?;
        write(&self.checkpoints, &self.free_name(checkpoint.size)?, text.as_bytes())?;
        Ok(SignedCheckpoint { checkpoint, note, key: public })
    }

    /// A name for a checkpoint of this size: where another key signed one before, with a number behind it.
    fn free_name(&self, size: u64) -> Result<String, StorageError> {
        let taken = names(&self.checkpoints)?;
        let plain = format!("{size:020}");
        let numbered = (2_u32..).map(|number| format!("{plain}-{number}"));
        let mut free = std::iter::once(plain.clone()).chain(numbered).filter(|name| !taken.contains(name));
        Ok(free.next().unwrap_or(plain))
    }

    /// Makes a new key and announces it, signed by both. From then on it signs.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn rotate(&self, store: &dyn EventStore) -> Result<Rotation, SignError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.key()?;
        let tree = LogTree::at_head(store)?;
        self.check_last(&tree)?;
        let new = self.make_key("signing-key.next")?;
        let note = Rotation::announce(&old, &new, tree.size(), tree.root());
        let folder = self.keys.join("rotations");
        let number = names(&folder)?.len() + 1;
        write(&folder, &format!("{number:04}"), note.to_string().as_bytes())?;
        self.take_next_key()?;
        Ok(Rotation { from: old.public(), to: new.public(), size: tree.size(), root: tree.root() })
    }

    /// The checkpoints that lie beside the log, each read and its signature checked; the last signed first.
    ///
    /// # Errors
    /// When keys or folder can't be read.
    pub fn kept(&self) -> Result<Vec<KeptCheckpoint>, SignError> {
        let known = self.known_keys()?;
        let last = self.keys.join("last-signed");
        let mut files = vec![("keys/last-signed".to_owned(), last.clone())];
        files.retain(|_| last.exists());
        let more = names(&self.checkpoints)?.into_iter();
        files.extend(more.map(|name| (format!("checkpoints/{name}"), self.checkpoints.join(name))));
        let mut kept = Vec::new();
        for (name, path) in files {
            let text = read(&path)?;
            kept.push(KeptCheckpoint { name, checkpoint: believed(&text, &known) });
        }
        Ok(kept)
    }

    /// The last checkpoint, where there is one, after the log was found to agree with it.
    fn check_last(&self, tree: &LogTree<'_>) -> Result<Option<(Note, Checkpoint)>, SignError> {
        let path = self.keys.join("last-signed");
        if !path.exists() {
            return Ok(None);
        }
        let kept = |source| SignError::Kept { path: path.clone(), source };
        let note = Note::parse(&read(&path)?).map_err(|error| kept(error.into()))?;
        let rotations: Vec<Rotation> = self.rotations()?.into_iter().map(|(_, rotation)| rotation).collect();
        note.signed_by(&predecessors(&self.key()?.public(), &rotations))
            .map_err(|error| kept(error.into()))?;
        let checkpoint = Checkpoint::read(&note).map_err(kept)?;
        if tree.size() < checkpoint.size {
            return Err(SignError::Shorter { signed: checkpoint.size, size: tree.size() });
        }
        if tree.root_at(checkpoint.size)? != checkpoint.root {
            return Err(SignError::Rewritten { signed: checkpoint.size });
        }
        Ok(Some((note, checkpoint)))
    }

    fn key_path(&self) -> PathBuf {
        self.keys.join("signing-key")
    }

    /// The key, made where nothing was ever signed.
    fn key(&self) -> Result<SignerKey, SignError> {
        let path = self.key_path();
        let next = self.keys.join("signing-key.next");
        if next.exists() {
            self.finish_rotation(&next)?;
        }
        if path.exists() {
            return self.read_key(&path);
        }
        let has_signed = self.keys.join("last-signed").exists()
            || !names(&self.checkpoints)?.is_empty()
            || !names(&self.keys.join("rotations"))?.is_empty();
        if has_signed {
            let problem =
                "the key is gone, and checkpoints were signed with it: put it back from a copy".to_owned();
            return Err(SignError::Key { path, problem });
        }
        self.make_key("signing-key")
    }

    fn read_key(&self, path: &Path) -> Result<SignerKey, SignError> {
        let wrong = |problem: String| SignError::Key { path: path.to_owned(), problem };
        let key = SignerKey::from_private_text(&read(path)?);
        let key = key.map_err(|error: KeyError| wrong(error.to_string()))?;
        if key.public().name() == self.origin {
            return Ok(key);
        }
        Err(wrong(format!("it is the key of {}, and this log is {}", key.public().name(), self.origin)))
    }

    fn make_key(&self, name: &str) -> Result<SignerKey, SignError> {
        let path = self.keys.join(name);
        let wrong = |error: KeyError| SignError::Key { path: path.clone(), problem: error.to_string() };
        let key = SignerKey::from_seed(&self.origin, &machine::key_seed()).map_err(wrong)?;
        write_private(&self.keys, name, &key.to_private_text())?;
        Ok(key)
    }

    /// A new key that was announced takes the old one's place; one that was not is forgotten.
    fn finish_rotation(&self, next: &Path) -> Result<(), SignError> {
        let announced = match self.read_key(next) {
            Ok(key) => self.rotations()?.last().is_some_and(|(_, rotation)| rotation.to == key.public()),
            Err(SignError::Key { .. }) => false,
            Err(error) => return Err(error),
        };
        if announced {
            return self.take_next_key();
        }
        fs::remove_file(next).map_err(|error| failed("removing", next, &error)).map_err(SignError::from)
    }

    fn take_next_key(&self) -> Result<(), SignError> {
        let (next, path) = (self.keys.join("signing-key.next"), self.key_path());
        let take = || {
            fs::rename(&next, &path)?;
            sync_folder(&self.keys)
        };
        take().map_err(|error| failed("putting the new key at", &path, &error)).map_err(SignError::from)
    }
}

/// Reads a checkpoint that one of the keys must have signed.
///
/// # Errors
/// When it is not a checkpoint, or is not signed by one of the keys.
pub fn believed(text: &str, known: &[VerifierKey]) -> Result<Checkpoint, CheckpointError> {
    let note = Note::parse(text)?;
    let checkpoint = Checkpoint::read(&note)?;
    note.signed_by(known)?;
    Ok(checkpoint)
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> StorageError {
    StorageError::of_file(doing, path, error)
}

/// The whole names in a folder, sorted; none where there is no folder.
fn names(folder: &Path) -> Result<Vec<String>, StorageError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| !name.ends_with(".unfinished"));
        names.sort_unstable();
        Ok(names)
    };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|error| failed("listing", folder, &error)),
    }
}

/// Reads a small file as text; what is longer than a note can be is cut, and will not be one.
fn read(path: &Path) -> Result<String, StorageError> {
    let text = || -> io::Result<String> {
        let mut bytes = Vec::new();
        File::open(path)?.take(NOTE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    text().map_err(|error| failed("reading", path, &error))
}

/// Writes a small file whole or not at all, on disk on return.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
    let path = folder.join(name);
    make_folder(folder)
        .and_then(|()| write_whole(&DiskFiles, folder, name, bytes))
        .map_err(|error| failed("writing", &path, &error))
}

/// As [`write`], a new file that nobody but its owner may read from the moment it exists.
fn write_private(folder: &Path, name: &str, text: &str) -> Result<(), StorageError> {
    let (path, unfinished) = (folder.join(name), folder.join(format!("{name}.unfinished")));
    let write = || -> io::Result<()> {
        make_folder(folder)?;
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        sync_folder(folder)
    };
    write().map_err(|error| failed("writing", &path, &error))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    crate::store::files::Files::sync_dir(&DiskFiles, folder)
}
