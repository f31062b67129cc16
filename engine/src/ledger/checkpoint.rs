//! Checkpoints (C2SP tlog-checkpoint): what a log was, in three signed lines; and the announcement of a new key.
//!
//! ```text
//! casebook/<store id>          the origin: which log
//! 4021                         its size: how many events
//! qP0Qd…=                      the root of its Merkle tree, base64
//! ```

use super::chain::{from_base64, to_base64};
use super::key::{KeyError, SignerKey, VerifierKey};
use super::note::{Note, NoteError};
use super::tree::Hash;

/// The first line of an announcement. Its second is no number, so that it can't pass for a checkpoint.
const ROTATION: &str = "casebook key rotation";

/// What a log was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the name of its keys too.
    pub origin: String,
    /// How many events it had: the position of the last.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

/// Why a text is no checkpoint or announcement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note or its signatures.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note says something else.
    #[error("it is a signed note, and not {wanted}")]
    NotThat {
        /// What was wanted.
        wanted: &'static str,
    },
    /// A key in it is not one.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, to_base64(&self.root))
    }

    /// Reads the text of a note. Further lines, which the format allows, are left to others.
    ///
    /// # Errors
    /// [`CheckpointError::NotThat`].
    pub fn read(note: &Note) -> Result<Self, CheckpointError> {
        let mut lines = note.text.split('\n');
        let mut next = || lines.next().unwrap_or_default();
        let (origin, size, root) = (next(), next(), next());
        let read = || {
            let number: u64 = size.parse().ok()?;
            let is_plain = number.to_string() == size && !origin.is_empty();
            let root = from_base64(root).ok()?;
            is_plain.then(|| Self { origin: origin.to_owned(), size: number, root })
        };
        read().ok_or(CheckpointError::NotThat { wanted: "a checkpoint: origin, size and root" })
    }
}

/// The announcement of a new key, signed by the old one and the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The key until then.
    pub from: VerifierKey,
    /// The key from then on.
    pub to: VerifierKey,
    /// What the log was then: what the old key may still have signed ends here.
    pub size: u64,
    /// The root of the tree then.
    pub root: Hash,
}

impl Rotation {
    /// Announces a new key.
    #[must_use]
    pub fn announce(from: &SignerKey, to: &SignerKey, size: u64, root: Hash) -> Note {
        let (old, new) = (from.public(), to.public());
        let text = format!("{ROTATION}\n{old}\n{new}\n{size}\n{}\n", to_base64(&root));
        Note::sign(text, &[from, to])
    }

    /// Reads an announcement and checks that both keys have signed it.
    ///
    /// # Errors
    /// When it is not one, or a signature is missing or wrong.
    pub fn read(note: &Note) -> Result<Self, CheckpointError> {
        let wrong = || CheckpointError::NotThat { wanted: "the announcement of a key" };
        let lines: Vec<&str> = note.text.split('\n').collect();
        let [ROTATION, from, to, size, root, ""] = lines.as_slice() else { return Err(wrong()) };
        let (from, to): (VerifierKey, VerifierKey) = (from.parse()?, to.parse()?);
        let size = size.parse().map_err(|_| wrong())?;
        let root = from_base64(root).map_err(|_| wrong())?;
        for key in [&from, &to] {
            note.signed_by(std::slice::from_ref(key))?;
        }
        Ok(Self { from, to, size, root })
    }
}

/// The keys that a key vouches for: itself, and each that one of them announced.
#[must_use]
pub fn successors(key: &VerifierKey, rotations: &[Rotation]) -> Vec<VerifierKey> {
    let mut known = vec![key.clone()];
    for rotation in rotations {
        if known.contains(&rotation.from) && !known.contains(&rotation.to) {
            known.push(rotation.to.clone());
        }
    }
    known
}

/// The keys that led to a key: itself, and each that announced one of them.
#[must_use]
pub fn predecessors(key: &VerifierKey, rotations: &[Rotation]) -> Vec<VerifierKey> {
    let mut known = vec![key.clone()];
    for rotation in rotations.iter().rev() {
        if known.contains(&rotation.to) && !known.contains(&rotation.from) {
            known.push(rotation.from.clone());
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SignerKey {
        SignerKey::from_seed("casebook/test", &[seed; 32]).unwrap()
    }

    #[test]
    fn a_checkpoint_comes_back_and_anything_else_is_refused() {
        let checkpoint = Checkpoint { origin: "casebook/test".into(), size: 4021, root: [7; 32] };
        let note = Note::sign(checkpoint.text(), &[&key(1)]);
        assert_eq!(Checkpoint::read(&note), Ok(checkpoint.clone()));
        let extended = Note::sign(format!("{}an extension\n", checkpoint.text()), &[&key(1)]);
        assert_eq!(Checkpoint::read(&extended), Ok(checkpoint.clone()));
        let text = checkpoint.text();
        for wrong in [
            "a text\n".to_owned(),
            text.replace("4021", "04021"),
            text.replace("4021", "+4021"),
            text.replace("4021", "-1"),
            text.replace("4021", "99999999999999999999"),
            text.replace("Bwc", "B"),
            text.replacen("casebook/test", "", 1),
            Rotation::announce(&key(1), &key(2), 1, [0; 32]).text,
        ] {
            assert!(Checkpoint::read(&Note::sign(wrong.clone(), &[&key(1)])).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_announced_by_the_old_one_and_the_new_one_together() {
        let note = Rotation::announce(&key(1), &key(2), 9, [3; 32]);
        let rotation = Rotation::read(&note).unwrap();
        assert_eq!((rotation.from.clone(), rotation.to.clone()), (key(1).public(), key(2).public()));
        for signers in [vec![key(1)], vec![key(2)], vec![key(3)]] {
            let signers: Vec<&SignerKey> = signers.iter().collect();
            assert!(Rotation::read(&Note::sign(note.text.clone(), &signers)).is_err());
        }
        let next = Rotation::read(&Rotation::announce(&key(2), &key(3), 12, [4; 32])).unwrap();
        let stray = Rotation::read(&Rotation::announce(&key(8), &key(9), 12, [4; 32])).unwrap();
        let all = [rotation, stray, next];
        let publics = |seeds: &[u8]| seeds.iter().map(|seed| key(*seed).public()).collect::<Vec<_>>();
        assert_eq!(successors(&key(1).public(), &all), publics(&[1, 2, 3]));
        assert_eq!(successors(&key(2).public(), &all), publics(&[2, 3]));
        assert_eq!(predecessors(&key(3).public(), &all), publics(&[3, 2, 1]));
    }
}
