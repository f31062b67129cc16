//! Ed25519 keys as signed notes name them (C2SP signed-note): the public key as a vkey, the private one in the form that Go's
//! `sumdb/note` writes.
//!
//! ```text
//! vkey      casebook/<store id>+1f0a93c2+<base64 of 0x01 and the public key>
//! private   PRIVATE+KEY+casebook/<store id>+1f0a93c2+<base64 of 0x01 and the seed>
//! ```
//! The eight digits are the first four bytes of SHA-256 over the name, a line feed, 0x01 and the public key.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// The kind of a key: Ed25519.
const ED25519: u8 = 0x01;

const PRIVATE: &str = "PRIVATE+KEY+";

/// Four bytes that tell keys of one name apart.
pub type KeyId = [u8; 4];

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not have the parts of a key.
    #[error("a key is written NAME+ID+KEY, with an id of eight hexadecimal digits and the key in base64")]
    Shape,
    /// The name can't stand in a signature line.
    #[error("“{name}” can't name a key: a name is not empty and has neither space nor `+`")]
    Name {
        /// The name.
        name: String,
    },
    /// It is another kind of key, or not the bytes of one.
    #[error("it is not an Ed25519 key")]
    Kind,
    /// The id is not that of name and key.
    #[error("its id is {found}, and name and key have {expected}: a part of it was changed")]
    Id {
        /// The id that it should have.
        expected: String,
        /// The id that it has.
        found: String,
    },
}

/// A public key and its name.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: VerifyingKey,
}

/// A private key and its name. Its bytes are wiped when it is dropped, and never shown.
pub struct SignerKey {
    name: String,
    key: SigningKey,
}

impl VerifierKey {
    /// Its name: the origin of the log that it signs for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let hash = Sha256::new().chain_update(&self.name).chain_update([b'\n', ED25519]);
        let hash = hash.chain_update(self.key.as_bytes()).finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Whether this is its signature over the text; the strict rules of RFC 8032, so that nobody can make a second one.
    #[must_use]
    pub fn has_signed(&self, text: &str, signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519], self.key.as_bytes().as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, id_text(self.id()))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, id, bytes) = parts(text.trim())?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Kind)?;
        let key = Self { name, key };
        check_id(&key, &id)?;
        Ok(key)
    }
}

impl SignerKey {
    /// The key of a name that grows from 32 random bytes.
    ///
    /// # Errors
    /// When the name can't name a key.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) })
    }

    /// Reads what [`SignerKey::to_private_text`] wrote.
    ///
    /// # Errors
    /// When it is not such a text. The error does not show it.
    pub fn from_private_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim().strip_prefix(PRIVATE).ok_or(KeyError::Shape)?;
        let (name, id, seed) = parts(text)?;
        let key = Self { name, key: SigningKey::from_bytes(&seed) };
        check_id(&key.public(), &id)?;
        Ok(key)
    }

    /// The key as its file holds it: whoever has this can sign.
    #[must_use]
    pub fn to_private_text(&self) -> String {
        let key = STANDARD.encode([&[ED25519], self.key.as_bytes().as_slice()].concat());
        format!("{PRIVATE}{}+{}+{key}\n", self.name, id_text(self.public().id()))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// Signs a text.
    #[must_use]
    pub fn sign(&self, text: &str) -> [u8; 64] {
        self.key.sign(text.as_bytes()).to_bytes()
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the private half of {}", self.public())
    }
}

/// A key's id as eight hexadecimal digits.
#[must_use]
pub fn id_text(id: KeyId) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

fn parts(text: &str) -> Result<(String, String, [u8; 32]), KeyError> {
    let mut fields = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(KeyError::Shape);
    };
    check_name(name)?;
    let bytes = STANDARD.decode(key).map_err(|_| KeyError::Shape)?;
    let (kind, bytes) = bytes.split_first().ok_or(KeyError::Shape)?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Kind)?;
    if *kind != ED25519 {
        return Err(KeyError::Kind);
    }
    Ok((name.to_owned(), id.to_owned(), bytes))
}

fn check_id(key: &VerifierKey, found: &str) -> Result<(), KeyError> {
    let expected = id_text(key.id());
    if expected == found { Ok(()) } else { Err(KeyError::Id { expected, found: found.to_owned() }) }
}

/// Whether a name can stand in a signature line.
pub(super) fn check_name(name: &str) -> Result<(), KeyError> {
    if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '+') {
        return Err(KeyError::Name { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the example in the documentation of Go's `sumdb/note`.
    const GO_PRIVATE: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const GO_PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_key_written_by_another_program_is_read_and_written_the_same() {
        let key = SignerKey::from_private_text(GO_PRIVATE).unwrap();
        assert_eq!(key.public().to_string(), GO_PUBLIC);
        assert_eq!(key.to_private_text().trim_end(), GO_PRIVATE);
        assert_eq!(GO_PUBLIC.parse::<VerifierKey>().unwrap(), key.public());
        assert!(!format!("{key:?}").contains("AYEKFALV"), "a private key is never shown");
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        let read = |text: &str| text.parse::<VerifierKey>().unwrap_err();
        assert_eq!(read(""), KeyError::Shape);
        assert_eq!(read("a+b"), KeyError::Shape);
        assert_eq!(read("a+c74f20a3+not base64"), KeyError::Shape);
        assert_eq!(read("a+c74f20a3+AQ=="), KeyError::Kind);
        assert!(matches!(read(&GO_PUBLIC.replace("Peter", "Paul")), KeyError::Id { .. }));
        assert!(matches!(read(&GO_PUBLIC.replace("Peter", "Peter ")), KeyError::Name { .. }));
        assert_eq!(read(&GO_PUBLIC.replace("+AR", "+BR")), KeyError::Kind);
        assert!(SignerKey::from_private_text(GO_PUBLIC).is_err());
        assert!(SignerKey::from_seed("a b", &[7; 32]).is_err());
    }

    #[test]
    fn a_signature_is_that_of_one_text_and_one_key() {
        let (one, other) =
            (SignerKey::from_seed("a", &[1; 32]).unwrap(), SignerKey::from_seed("a", &[2; 32]).unwrap());
        let signature = one.sign("text\n");
        assert!(one.public().has_signed("text\n", &signature));
        assert!(!one.public().has_signed("text", &signature));
        assert!(!one.public().has_signed("text\n", &signature[1..]));
        assert!(!other.public().has_signed("text\n", &signature));
    }
}
