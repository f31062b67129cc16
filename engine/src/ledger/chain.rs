//! The hash of one event, and its written forms.
//!
//! An event's leaf hash is that of RFC 6962, section 2.1: SHA-256 over a zero byte and the canonical bytes. The next
//! event of the case names it, in base64, as its `prev`.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Bytes of a leaf hash.
pub const LEAF_BYTES: usize = 32;

/// Stands before what is hashed, so that no inner node of a Merkle tree can pass for an event.
const LEAF_PREFIX: [u8; 1] = [0x00];

/// Why a text is not a leaf hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafTextError {
    /// It is not padded base64 of the standard alphabet.
    #[error("`{text}` is not base64 (standard alphabet, padded)")]
    NotBase64 {
        /// The text.
        text: String,
    },
    /// It is base64 of something else.
    #[error("`{text}` holds {bytes} bytes; a leaf hash has {LEAF_BYTES}")]
    Length {
        /// The text.
        text: String,
        /// How many bytes it holds.
        bytes: usize,
    },
}

/// SHA-256 of a zero byte and the event's canonical bytes.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> [u8; LEAF_BYTES] {
    Sha256::new().chain_update(LEAF_PREFIX).chain_update(bytes).finalize().into()
}

/// The hash as it stands in `prev`: standard alphabet, padded, 44 characters.
#[must_use]
pub fn to_base64(leaf: &[u8; LEAF_BYTES]) -> String {
    STANDARD.encode(leaf)
}

/// Reads the form of [`to_base64`], and no other spelling of the same bytes.
///
/// # Errors
/// When the text is not that form.
pub fn from_base64(text: &str) -> Result<[u8; LEAF_BYTES], LeafTextError> {
    let bytes = STANDARD.decode(text).map_err(|_| LeafTextError::NotBase64 { text: text.to_owned() })?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| LeafTextError::Length { text: text.to_owned(), bytes: length })
}

/// The hash as people compare it: 64 lower-case hexadecimal digits.
#[must_use]
pub fn to_hex(leaf: &[u8; LEAF_BYTES]) -> String {
    let mut text = String::with_capacity(2 * LEAF_BYTES);
    for byte in leaf {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_leaf(bytes: &[u8], hex: &str) {
        assert_eq!(to_hex(&leaf_hash(bytes)), hex);
    }

    #[test]
    fn the_hash_of_a_leaf_is_that_of_rfc_6962() {
        check_leaf(b"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        check_leaf(b"\x00", "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7");
    }

    #[test]
    fn what_is_not_a_leaf_is_refused() {
        let leaf = to_base64(&leaf_hash(b""));
        assert_eq!(leaf, "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=");
        assert_eq!(from_base64(&leaf), Ok(leaf_hash(b"")));
        let not_base64 = |text: &str| Err(LeafTextError::NotBase64 { text: text.to_owned() });
        assert_eq!(from_base64(leaf.trim_end_matches('=')), not_base64(leaf.trim_end_matches('=')));
        let other_alphabet = leaf.replace('+', "-");
        assert_eq!(from_base64(&other_alphabet), not_base64(&other_alphabet));
        // The last character carries two bits that belong to no byte: they must be zero.
        let loose = leaf.replace("B0=", "B1=");
        assert_eq!(from_base64(&loose), not_base64(&loose));
        assert_eq!(from_base64("AAAA"), Err(LeafTextError::Length { text: "AAAA".to_owned(), bytes: 3 }));
    }

    proptest! {
        #[test]
        fn a_leaf_comes_back_from_base64(leaf in any::<[u8; LEAF_BYTES]>()) {
            prop_assert_eq!(from_base64(&to_base64(&leaf)), Ok(leaf));
            prop_assert_eq!(to_hex(&leaf).len(), 2 * LEAF_BYTES);
        }
    }
}
