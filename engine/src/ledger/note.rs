//! Signed notes (C2SP signed-note): a text, an empty line, and a line for each signature.
//!
//! ```text
//! some text
//!
//! — casebook/<store id> <base64 of the key's id and the signature over the text>
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key::{KeyId, SignerKey, VerifierKey, check_name, id_text};

/// The longest note that is read, bytes.
pub const NOTE_BYTES_MAX: usize = 1_000_000;

/// The most signatures that are read.
const SIGNATURES_MAX: usize = 100;

/// Stands before each signature.
const DASH: &str = "\u{2014} ";

/// A text and its signatures, not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is signed; ends with a line feed.
    pub text: String,
    signatures: Vec<NoteSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    id: KeyId,
    bytes: Vec<u8>,
}

/// Why a text is not a signed note, or why its signatures do not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It does not have the form of a note.
    #[error("it is not a signed note: {problem}")]
    NotANote {
        /// What is wrong.
        problem: &'static str,
    },
    /// A known key is named, and the signature is not its own.
    #[error("the signature of {name} (key {id}) does not fit the text: one of the two was changed")]
    BadSignature {
        /// The key's name.
        name: String,
        /// The key's id.
        id: String,
    },
    /// No signature is by a known key.
    #[error("it is signed by {}, and by no key that is known here", signers.join(", "))]
    UnknownKey {
        /// Name and id of each key that signed.
        signers: Vec<String>,
    },
}

impl Note {
    /// Signs a text, which ends with a line feed.
    #[must_use]
    pub fn sign(text: String, keys: &[&SignerKey]) -> Self {
        let signatures = keys.iter().map(|key| {
            let public = key.public();
            NoteSignature { name: public.name().to_owned(), id: public.id(), bytes: key.sign(&text).to_vec() }
        });
        Self { signatures: signatures.collect(), text }
    }

    /// Reads a note; nothing is checked yet.
    ///
    /// # Errors
    /// [`NoteError::NotANote`].
    pub fn parse(whole: &str) -> Result<Self, NoteError> {
        let wrong = |problem| NoteError::NotANote { problem };
        if whole.len() > NOTE_BYTES_MAX {
            return Err(wrong("it is longer than a megabyte"));
        }
        if whole.chars().any(|letter| letter.is_control() && letter != '\n') {
            return Err(wrong("it has control characters"));
        }
        let end = whole.rfind("\n\n").ok_or_else(|| wrong("it has no empty line before its signatures"))?;
        let (text, rest) = (&whole[..=end], &whole[end + 2..]);
        let lines = rest.strip_suffix('\n').ok_or_else(|| wrong("it does not end with a whole line"))?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            let fields = line.strip_prefix(DASH).and_then(|line| line.split_once(' '));
            let (name, bytes) = fields.ok_or_else(|| wrong("a line after the text is not a signature"))?;
            check_name(name).map_err(|_| wrong("a signature has no proper name"))?;
            let bytes = STANDARD.decode(bytes).map_err(|_| wrong("a signature is not base64"))?;
            let (id, bytes) =
                bytes.split_first_chunk::<4>().ok_or_else(|| wrong("a signature is too short"))?;
            signatures.push(NoteSignature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() });
        }
        if signatures.len() > SIGNATURES_MAX {
            return Err(wrong("it has more than a hundred signatures"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Which of the known keys have signed: at least one. Signatures of unknown keys say nothing.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`], [`NoteError::UnknownKey`].
    pub fn signed_by<'a>(&self, known: &'a [VerifierKey]) -> Result<Vec<&'a VerifierKey>, NoteError> {
        let mut signed = Vec::new();
        for signature in &self.signatures {
            let by = known.iter().find(|key| key.name() == signature.name && key.id() == signature.id);
            let Some(key) = by else { continue };
            if !key.has_signed(&self.text, &signature.bytes) {
                return Err(NoteError::BadSignature {
                    name: signature.name.clone(),
                    id: id_text(signature.id),
                });
            }
            signed.push(key);
        }
        if signed.is_empty() {
            let signers = self.signatures.iter();
            let signers =
                signers.map(|signature| format!("{} (key {})", signature.name, id_text(signature.id)));
            return Err(NoteError::UnknownKey { signers: signers.collect() });
        }
        Ok(signed)
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            let bytes = STANDARD.encode([signature.id.as_slice(), &signature.bytes].concat());
            writeln!(f, "{DASH}{} {bytes}", signature.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The note of the documentation of Go's `sumdb/note`.
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_note_signed_by_another_program_is_read_and_believed() {
        let note = Note::parse(GO_NOTE).unwrap();
        assert_eq!(note.to_string(), GO_NOTE);
        let known = [GO_KEY.parse().unwrap()];
        assert_eq!(note.signed_by(&known), Ok(vec![&known[0]]));
        let changed = Note::parse(&GO_NOTE.replace("answer", "answar")).unwrap();
        assert!(matches!(changed.signed_by(&known), Err(NoteError::BadSignature { .. })));
        let stranger = SignerKey::from_seed("PeterNeumann", &[3; 32]).unwrap().public();
        assert!(matches!(note.signed_by(&[stranger]), Err(NoteError::UnknownKey { .. })));
    }

    #[test]
    fn what_is_not_a_note_is_refused() {
        for text in [
            "",
            "text\n",
            "text\n\n",
            "text\n\nno signature\n",
            "text\n\n\u{2014} name\n",
            "text\n\n\u{2014} name AAAA\n",
            "text\n\n\u{2014} name !!!!\n",
            "text\r\n\n\u{2014} name AAAAAAAA\n",
            GO_NOTE.trim_end(),
            &GO_NOTE[..GO_NOTE.len() - 40],
            &format!("{}\n\n{}", "x".repeat(NOTE_BYTES_MAX), GO_NOTE),
        ] {
            assert!(matches!(Note::parse(text), Err(NoteError::NotANote { .. })), "{text:.60}");
        }
    }

    proptest! {
        #[test]
        fn a_signed_text_comes_back_and_a_changed_one_does_not(text in "[a-z \n]{0,80}", place in any::<prop::sample::Index>()) {
            let text = format!("{text}\n");
            let keys = [SignerKey::from_seed("a", &[1; 32]).unwrap(), SignerKey::from_seed("a", &[2; 32]).unwrap()];
            let known = [keys[0].public(), keys[1].public()];
            let note = Note::sign(text.clone(), &[&keys[0], &keys[1]]);
            let read = Note::parse(&note.to_string()).unwrap();
            prop_assert_eq!(&read, &note);
            prop_assert_eq!(read.signed_by(&known).unwrap().len(), 2);
            let mut bytes = text.into_bytes();
            let place = place.index(bytes.len());
            bytes[place] = if bytes[place] == b'z' { b'y' } else { b'z' };
            let changed = Note { text: String::from_utf8(bytes).unwrap(), ..note };
            prop_assert!(changed.signed_by(&known).is_err());
        }

        #[test]
        fn any_text_is_read_without_panic(text in "(.|\n|\u{2014} )*") {
            let _ = Note::parse(&text);
        }
    }
}
