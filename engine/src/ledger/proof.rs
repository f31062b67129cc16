//! The proof that one event is in the log: a file that is checked with nothing else at hand.
//!
//! It holds the event's bytes, the way from its leaf to the root of the tree, and the signed checkpoint that names the root.
//! What has to come from elsewhere is trust in the key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chain::{from_base64, leaf_hash, to_base64};
use super::checkpoint::{Checkpoint, CheckpointError, Rotation, successors};
use super::key::VerifierKey;
use super::note::{Note, NoteError};
use super::tree::{Hash, NotProven, check_inclusion};

/// The form of the file.
pub const PROOF_FORMAT: &str = "casebook-proof/1";

/// The longest file that is read, bytes: an event twice, its path, a checkpoint and many announcements.
pub const PROOF_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventProof {
    /// [`PROOF_FORMAT`].
    pub format: String,
    /// The case's reference.
    pub case: String,
    /// The event's place in the case.
    pub version: u64,
    /// Its place in the log, from 1. Tools that count leaves from 0 call it one less.
    pub position: u64,
    /// Its canonical bytes as text.
    pub event: String,
    /// The same bytes in base64: these are hashed.
    pub event_base64: String,
    /// SHA-256 of a zero byte and the bytes, base64.
    pub leaf_hash: String,
    /// The hashes from the leaf up (RFC 6962, section 2.1.1), base64.
    pub inclusion: Vec<String>,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The key that signed it.
    pub vkey: String,
    /// The announcements of keys, oldest first: for somebody who knows an earlier one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotations: Vec<String>,
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// The case's reference.
    pub case: String,
    /// The event's place in the case.
    pub version: u64,
    /// Its place in the log.
    pub position: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it was recorded.
    pub recorded_at: String,
    /// The log.
    pub origin: String,
    /// How many events the log had when the checkpoint was signed.
    pub size: u64,
    /// The root, base64.
    pub root: String,
    /// The key that signed.
    pub vkey: String,
    /// Whether that key is vouched for by one that the checker named. Otherwise it came with the file.
    pub key_is_known: bool,
}

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It is not a proof.
    #[error("it is not a proof of an event: {problem}")]
    NotAProof {
        /// What is wrong, and where in the file.
        problem: String,
    },
    /// It is one, and does not hold.
    #[error("{check}: {problem}")]
    DoesNotHold {
        /// The check that failed: `event`, `leaf`, `checkpoint`, `inclusion`.
        check: &'static str,
        /// What is wrong.
        problem: String,
    },
}

pub(super) fn fails(check: &'static str, problem: impl ToString) -> ProofError {
    ProofError::DoesNotHold { check, problem: problem.to_string() }
}

impl EventProof {
    /// Reads a file; nothing is checked yet.
    ///
    /// # Errors
    /// [`ProofError::NotAProof`].
    pub fn read(text: &str) -> Result<Self, ProofError> {
        let not_one = |problem: String| ProofError::NotAProof { problem };
        let proof: Self = serde_json::from_str(text).map_err(|error| not_one(error.to_string()))?;
        if proof.format != PROOF_FORMAT {
            return Err(not_one(format!(
                "its format is “{}”, and this program reads {PROOF_FORMAT}",
                proof.format
            )));
        }
        Ok(proof)
    }

    /// Checks everything: the event is what the file says of it, its leaf leads to the root, and the checkpoint of that root is
    /// signed, by a key that `trusted` vouches for where one is given.
    ///
    /// # Errors
    /// [`ProofError::DoesNotHold`].
    pub fn check(&self, trusted: Option<&VerifierKey>) -> Result<Proven, ProofError> {
        let (event, leaf) = self.check_event()?;
        let (checkpoint, key) = self.check_checkpoint(trusted)?;
        let path = self.inclusion.iter().map(|hash| from_base64(hash));
        let path = path.collect::<Result<Vec<Hash>, _>>().map_err(|error| fails("inclusion", error))?;
        let before = self.position.checked_sub(1);
        let included = match before {
            Some(index) => check_inclusion(index, &leaf, checkpoint.size, &checkpoint.root, &path),
            None => Err(NotProven::NoSuchLeaf { position: 0, size: checkpoint.size }),
        };
        included.map_err(|error| fails("inclusion", error))?;
        let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Proven {
            case: self.case.clone(),
            version: self.version,
            position: self.position,
            event_type: text("type"),
            recorded_at: text("recorded_at"),
            origin: checkpoint.origin,
            size: checkpoint.size,
            root: to_base64(&checkpoint.root),
            vkey: key.to_string(),
            key_is_known: trusted.is_some(),
        })
    }

    fn check_event(&self) -> Result<(Value, Hash), ProofError> {
        let bytes = STANDARD.decode(&self.event_base64);
        let bytes = bytes.map_err(|_| fails("event", "`event_base64` is not base64"))?;
        if bytes != self.event.as_bytes() {
            return Err(fails("event", "`event` and `event_base64` are not the same bytes"));
        }
        let event: Value =
            serde_json::from_slice(&bytes).map_err(|_| fails("event", "the event's bytes are not JSON"))?;
        let case = event.get("case").and_then(Value::as_str);
        let version = event.get("version").and_then(Value::as_u64);
        if case != Some(self.case.as_str()) || version != Some(self.version) {
            let problem = format!(
                "the file says version {} of case {}, and the event says version {} of case {}",
                self.version,
                self.case,
                version.map_or_else(|| "?".to_owned(), |version| version.to_string()),
                case.unwrap_or("?")
            );
            return Err(fails("event", problem));
        }
        let leaf = leaf_hash(&bytes);
        if to_base64(&leaf) != self.leaf_hash {
            let problem =
                format!("the event's bytes have the leaf hash {}, not {}", to_base64(&leaf), self.leaf_hash);
            return Err(fails("leaf", problem));
        }
        Ok((event, leaf))
    }

    fn check_checkpoint(
        &self,
        trusted: Option<&VerifierKey>,
    ) -> Result<(Checkpoint, VerifierKey), ProofError> {
        let wrong = |error: CheckpointError| fails("checkpoint", error);
        let note = Note::parse(&self.checkpoint).map_err(|error| wrong(error.into()))?;
        let own: VerifierKey =
            self.vkey.parse().map_err(|error| fails("checkpoint", format!("`vkey`: {error}")))?;
        let known = match trusted {
            None => vec![own.clone()],
            Some(trusted) => {
                let read = |text: &String| Rotation::read(&Note::parse(text)?);
                let rotations =
                    self.rotations.iter().map(read).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
                successors(trusted, &rotations)
            }
        };
        let signers = note.signed_by(&known).map_err(|error| match (&error, trusted) {
            (NoteError::UnknownKey { .. }, Some(trusted)) => {
                fails("checkpoint", format!("{error}: you named {trusted}"))
            }
            _ => wrong(error.into()),
        })?;
        if !signers.contains(&&own) {
            return Err(fails("checkpoint", "it is not signed by the key that the file names as `vkey`"));
        }
        let checkpoint = Checkpoint::read(&note).map_err(wrong)?;
        if checkpoint.origin != own.name() {
            let problem = format!("it is of the log {}, and signed by {}", checkpoint.origin, own.name());
            return Err(fails("checkpoint", problem));
        }
        Ok((checkpoint, own))
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::SignerKey;
    use super::super::tree::{Frontier, MissingHashes, TileId, inclusion_proof};
    use super::*;

    fn key(seed: u8) -> SignerKey {
        SignerKey::from_seed("casebook/test", &[seed; 32]).unwrap()
    }

    /// The proof of event 5 of 11.
    fn proof() -> EventProof {
        let bytes = |number: u64| {
            format!(
                r#"{{"case":"R/1","recorded_at":"2026-01-01T00:00:00Z","type":"noted","version":{number}}}"#
            )
        };
        let leaves: Vec<Hash> = (1..=11).map(|number| leaf_hash(bytes(number).as_bytes())).collect();
        let mut frontier = Frontier::default();
        leaves.iter().for_each(|leaf| frontier.push(*leaf, &mut |_, _| {}));
        let mut read = |_: TileId| Ok::<_, MissingHashes>(leaves.clone());
        let path = inclusion_proof(4, 11, &mut read).unwrap();
        let checkpoint = Checkpoint { origin: "casebook/test".into(), size: 11, root: frontier.root() };
        EventProof {
            format: PROOF_FORMAT.into(),
            case: "R/1".into(),
            version: 5,
            position: 5,
            event: bytes(5),
            event_base64: STANDARD.encode(bytes(5)),
            leaf_hash: to_base64(&leaves[4]),
            inclusion: path.iter().map(to_base64).collect(),
            checkpoint: Note::sign(checkpoint.text(), &[&key(2)]).to_string(),
            vkey: key(2).public().to_string(),
            rotations: vec![Rotation::announce(&key(1), &key(2), 3, [0; 32]).to_string()],
        }
    }

    #[track_caller]
    fn check_fails(proof: &EventProof, trusted: Option<&VerifierKey>, check: &str) {
        match proof.check(trusted) {
            Err(ProofError::DoesNotHold { check: found, problem }) => assert_eq!(found, check, "{problem}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_proof_holds_under_its_own_key_a_known_one_and_one_that_announced_it() {
        let proof = proof();
        let text = serde_json::to_string_pretty(&proof).unwrap();
        assert_eq!(EventProof::read(&text).unwrap(), proof);
        assert!(!proof.check(None).unwrap().key_is_known);
        assert!(proof.check(Some(&key(2).public())).unwrap().key_is_known);
        let proven = proof.check(Some(&key(1).public())).unwrap();
        assert_eq!((proven.position, proven.size, proven.event_type.as_str()), (5, 11, "noted"));
        check_fails(&proof, Some(&key(3).public()), "checkpoint");
    }

    #[test]
    fn a_proof_with_anything_changed_does_not_hold_and_says_where() {
        let whole = proof();
        check_fails(&EventProof { case: "R/2".into(), ..whole.clone() }, None, "event");
        check_fails(&EventProof { version: 6, ..whole.clone() }, None, "event");
        check_fails(
            &EventProof { event: whole.event.replace("noted", "noten"), ..whole.clone() },
            None,
            "event",
        );
        check_fails(&EventProof { event_base64: "!".into(), ..whole.clone() }, None, "event");
        let event = whole.event.replace("noted", "noten");
        let event_base64 = STANDARD.encode(&event);
        let forged = EventProof { event, event_base64, ..whole.clone() };
        check_fails(&forged, None, "leaf");
        let leaf_hash = to_base64(&leaf_hash(forged.event.as_bytes()));
        check_fails(&EventProof { leaf_hash, ..forged }, None, "inclusion");
        for position in [0, 4, 6, 12, u64::MAX] {
            check_fails(&EventProof { position, ..whole.clone() }, None, "inclusion");
        }
        let mut path = whole.inclusion.clone();
        path.swap(0, 1);
        check_fails(&EventProof { inclusion: path, ..whole.clone() }, None, "inclusion");
        check_fails(&EventProof { inclusion: vec!["AAAA".into()], ..whole.clone() }, None, "inclusion");
        check_fails(&EventProof { inclusion: Vec::new(), ..whole.clone() }, None, "inclusion");
        let checkpoint = whole.checkpoint.replace("\n11\n", "\n12\n");
        check_fails(&EventProof { checkpoint, ..whole.clone() }, None, "checkpoint");
        check_fails(&EventProof { checkpoint: "no note".into(), ..whole.clone() }, None, "checkpoint");
        check_fails(&EventProof { vkey: key(1).public().to_string(), ..whole.clone() }, None, "checkpoint");
        check_fails(&EventProof { vkey: "no key".into(), ..whole.clone() }, None, "checkpoint");
        let foreign = Checkpoint { origin: "other".into(), size: 11, root: [0; 32] };
        let checkpoint = Note::sign(foreign.text(), &[&key(2)]).to_string();
        check_fails(&EventProof { checkpoint, ..whole.clone() }, None, "checkpoint");
        let rotations = vec![whole.rotations[0].replace("\n3\n", "\n4\n")];
        check_fails(&EventProof { rotations, ..whole }, Some(&key(1).public()), "checkpoint");
    }

    #[test]
    fn what_is_not_a_proof_is_refused() {
        let text = serde_json::to_string(&proof()).unwrap();
        for wrong in [
            "",
            "{}",
            "[]",
            &text[..text.len() / 2],
            &text.replace("proof/1", "proof/2"),
            &text.replace("\"position\"", "\"place\""),
        ] {
            assert!(matches!(EventProof::read(wrong), Err(ProofError::NotAProof { .. })), "{wrong:.80}");
        }
    }
}
