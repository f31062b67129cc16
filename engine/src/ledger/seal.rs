//! What the log says of itself at a checkpoint: how many events and cases it had, and the root of the map of case ends.

use serde_json::{Value, json};

use super::chain::{from_base64, to_base64};
use super::tree::Hash;

/// What the references of the log's own cases begin with.
pub const RESERVED: &str = "casebook:";

/// The reference of the ledger's case.
pub const LEDGER_REFERENCE: &str = "casebook:ledger";

/// Its id, the same in every log (a UUID of version 8).
pub const LEDGER_CASE_ID: &str = "63617365-626f-8f6b-8000-6c6564676572";

/// The type of an event that seals the ends of all cases.
pub const HEADS_SEALED: &str = "heads-sealed";

/// A seal: what `heads-sealed` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// How many events the log had: the seal speaks of positions 1 to this one, and stands behind it.
    pub size: u64,
    /// How many cases, the ledger's own included where it had begun.
    pub cases: u64,
    /// The root of the map (`ledger/head_map.rs`).
    pub root: Hash,
}

impl Seal {
    /// The payload.
    #[must_use]
    pub fn payload(&self) -> Value {
        json!({ "size": self.size, "cases": self.cases, "root": to_base64(&self.root) })
    }

    /// Reads a payload.
    #[must_use]
    pub fn read(payload: &serde_json::Map<String, Value>) -> Option<Self> {
        let number = |name: &str| payload.get(name).and_then(Value::as_u64);
        let root = payload.get("root").and_then(Value::as_str)?;
        Some(Self { size: number("size")?, cases: number("cases")?, root: from_base64(root).ok()? })
    }

    /// Reads a recorded event, which has to be a seal in the ledger's case.
    #[must_use]
    pub fn of_event(event: &Value) -> Option<Self> {
        let says = |name: &str, text: &str| event.get(name).and_then(Value::as_str) == Some(text);
        let is_one =
            says("case", LEDGER_REFERENCE) && says("case_id", LEDGER_CASE_ID) && says("type", HEADS_SEALED);
        event.get("data").and_then(Value::as_object).filter(|_| is_one).and_then(Self::read)
    }
}
