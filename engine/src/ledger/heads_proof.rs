//! The proof that a case had exactly so many events when a seal was made, or that there was no such case: a file that is checked
//! with nothing else at hand.
//!
//! It holds the proof that the seal is an event of the log, the way of the case through the map whose root the seal names, and the
//! case's last event.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::chain::{from_base64, leaf_hash, to_base64};
use super::head_map::{CaseEnd, MapProof, key_of};
use super::key::VerifierKey;
use super::proof::{EventProof, ProofError, Proven, fails};
use super::seal::Seal;
use super::tree::Hash;

/// The form of the file.
pub const HEADS_PROOF_FORMAT: &str = "casebook-heads-proof/1";

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadsProof {
    /// [`HEADS_PROOF_FORMAT`].
    pub format: String,
    /// The case's reference; left out where there was no such case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The case's id.
    pub case_id: Uuid,
    /// How many events it had; 0: there was no such case.
    pub events: u64,
    /// The canonical bytes of its last event, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_base64: Option<String>,
    /// The hashes beside the way through the map, from the root down, base64.
    pub siblings: Vec<String>,
    /// What stands at the end of the way, where anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<EndText>,
    /// The proof that the seal is in the log.
    pub seal: EventProof,
}

/// A case in the map, in text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndText {
    /// SHA-256 of the sixteen bytes of the case's id, base64.
    pub key: String,
    /// How many events.
    pub events: u64,
    /// Leaf hash of the last, base64.
    pub head: String,
}

/// What such a proof proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProvenEnd {
    /// The case's reference.
    pub case: Option<String>,
    /// The case's id.
    pub case_id: Uuid,
    /// How many events it had; 0: there was no such case.
    pub events: u64,
    /// How many events the log had then.
    pub sealed_size: u64,
    /// How many cases, the ledger's own included.
    pub sealed_cases: u64,
    /// Leaf hash of the case's last event, base64.
    pub head: Option<String>,
    /// The seal as an event of the log: when it was recorded, and who signed.
    pub seal: Proven,
}

impl HeadsProof {
    /// The file of a way through the map.
    #[must_use]
    pub fn of(
        (case, case_id): (Option<String>, Uuid),
        way: &MapProof,
        last: Option<&[u8]>,
        seal: EventProof,
    ) -> Self {
        let key = key_of(case_id.as_bytes());
        Self {
            format: HEADS_PROOF_FORMAT.to_owned(),
            case,
            case_id,
            events: way.end.filter(|end| end.key == key).map_or(0, |end| end.events),
            last_event_base64: last.map(|bytes| STANDARD.encode(bytes)),
            siblings: way.siblings.iter().map(to_base64).collect(),
            end: way.end.map(|end| EndText {
                key: to_base64(&end.key),
                events: end.events,
                head: to_base64(&end.head),
            }),
            seal,
        }
    }

    /// Whether a text says that it is such a file.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        let file: Option<Value> = serde_json::from_str(text).ok();
        let format = file.as_ref().and_then(|file| file.get("format")?.as_str());
        format.is_some_and(|format| format.starts_with("casebook-heads-proof/"))
    }

    /// Reads a file; nothing is checked yet.
    ///
    /// # Errors
    /// [`ProofError::NotAProof`].
    pub fn read(text: &str) -> Result<Self, ProofError> {
        let not_one = |problem: String| ProofError::NotAProof { problem };
        let proof: Self = serde_json::from_str(text).map_err(|error| not_one(error.to_string()))?;
        if proof.format != HEADS_PROOF_FORMAT {
            return Err(not_one(format!("`format` is {}, not {HEADS_PROOF_FORMAT}", proof.format)));
        }
        Ok(proof)
    }

    /// Checks everything; with a key, the checkpoint has to be signed by it or by one that it announced.
    ///
    /// # Errors
    /// [`ProofError::DoesNotHold`], with the first check that failed: those of an event's proof, of the seal; `seal`, `map`, `end`.
    pub fn check(&self, trusted: Option<&VerifierKey>) -> Result<ProvenEnd, ProofError> {
        let proven = self.seal.check(trusted)?;
        let event: Value = serde_json::from_str(&self.seal.event).map_err(|error| fails("seal", error))?;
        let seal = Seal::of_event(&event)
            .ok_or_else(|| fails("seal", "the proven event is no seal in the ledger's own case"))?;
        if seal.size >= proven.position {
            return Err(fails("seal", "it speaks of events behind itself"));
        }
        let key = key_of(self.case_id.as_bytes());
        let root = self.way()?.root(&key);
        if root != Some(seal.root) {
            return Err(fails(
                "map",
                "the way through the map does not lead from this case to the root of the seal",
            ));
        }
        let end = self.own_end(&key)?;
        self.check_end(end.as_ref())?;
        Ok(ProvenEnd {
            case: self.case.clone(),
            case_id: self.case_id,
            events: self.events,
            sealed_size: seal.size,
            sealed_cases: seal.cases,
            head: end.map(|end| to_base64(&end.head)),
            seal: proven,
        })
    }

    fn way(&self) -> Result<MapProof, ProofError> {
        let hash = |text: &String| from_base64(text).map_err(|error| fails("map", error));
        let siblings = self.siblings.iter().map(hash).collect::<Result<Vec<Hash>, _>>()?;
        let end = self
            .end
            .as_ref()
            .map(|end| Ok(CaseEnd { key: hash(&end.key)?, events: end.events, head: hash(&end.head)? }));
        Ok(MapProof { siblings, end: end.transpose()? })
    }

    /// The end of the way, where it is the case's own.
    fn own_end(&self, key: &Hash) -> Result<Option<CaseEnd>, ProofError> {
        Ok(self.way()?.end.filter(|end| end.key == *key))
    }

    fn check_end(&self, end: Option<&CaseEnd>) -> Result<(), ProofError> {
        let found = end.map_or(0, |end| end.events);
        if found != self.events {
            return Err(fails("end", format!("the file says {} events, and the map {found}", self.events)));
        }
        let (Some(end), Some(case), Some(last)) = (end, &self.case, &self.last_event_base64) else {
            let is_bare = end.is_none() && self.case.is_none() && self.last_event_base64.is_none();
            let problem = "a case that there was has a reference and a last event, and one that there was not has neither";
            return if is_bare { Ok(()) } else { Err(fails("end", problem)) };
        };
        let bytes = STANDARD.decode(last).map_err(|_| fails("end", "`last_event_base64` is not base64"))?;
        if leaf_hash(&bytes) != end.head {
            return Err(fails("end", "the last event is not the one that the map names"));
        }
        let event: Value = serde_json::from_slice(&bytes)
            .map_err(|_| fails("end", "the last event's bytes are not JSON"))?;
        let is_of = event.get("case").and_then(Value::as_str) == Some(case)
            && event.get("case_id").and_then(Value::as_str) == Some(self.case_id.to_string().as_str())
            && event.get("version").and_then(Value::as_u64) == Some(self.events);
        if is_of {
            Ok(())
        } else {
            Err(fails("end", "the last event is of another case, or has another version"))
        }
    }

    /// Holds an export of the case against a proof that was checked: every event, in order, from the first to the last that it
    /// had. Lines of other cases are passed over.
    ///
    /// # Errors
    /// [`ProofError::DoesNotHold`] with the check `events`.
    pub fn check_events(&self, lines: &str) -> Result<(), ProofError> {
        let own_id = self.case_id.to_string();
        let (mut count, mut head) = (0, None);
        for (number, line) in (1..).zip(lines.lines().filter(|line| !line.trim().is_empty())) {
            let event: Value = serde_json::from_str(line)
                .map_err(|_| fails("events", format!("line {number} is not JSON")))?;
            if event.get("case_id").and_then(Value::as_str) != Some(own_id.as_str()) {
                continue;
            }
            count += 1;
            if event.get("version").and_then(Value::as_u64) != Some(count) {
                return Err(fails("events", format!("line {number} is not event {count} of the case")));
            }
            if event.get("prev").and_then(Value::as_str) != head.as_ref().map(to_base64).as_deref() {
                return Err(fails("events", format!("line {number} does not follow the event before it")));
            }
            head = Some(leaf_hash(line.as_bytes()));
        }
        if count != self.events {
            let problem = format!("the file has {count} events of the case, and it had {}", self.events);
            return Err(fails("events", problem));
        }
        let sealed = self.own_end(&key_of(self.case_id.as_bytes()))?.map(|end| end.head);
        if head == sealed {
            Ok(())
        } else {
            Err(fails("events", "the last event is not the one that was sealed"))
        }
    }
}
