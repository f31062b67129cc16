//! The event types that exist in every definition, and what the engine itself writes into payloads.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::EventType;
use super::schema::SchemaProblem;
use crate::case::event::{Payload, engine_types};

/// When the event was recorded elsewhere, before it was imported: every payload may say so, whatever its schema.
pub const ORIGINALLY_RECORDED_AT: &str = "originally_recorded_at";
/// The digest of the definition that a case is pinned to: in the data of `case-opened`.
pub const DEFINITION_DIGEST: &str = "definition_digest";

/// The part under which the engine's own event types are listed.
pub(crate) const ENGINE_PART: &str = "engine";

/// The payload schema of an engine type; `None` for `case-opened`, whose payload is the definition's.
pub(crate) fn schema(event_type: &str) -> Option<Value> {
    let text = json!({ "type": "string", "minLength": 1 });
    let missing = json!({ "missing_type": text, "missing_data": { "type": "object" } });
    let schema = match event_type {
        engine_types::EVENT_CORRECTED => json!({
            "properties": { "corrects": text, "fields": { "type": "object" }, "reason": text },
            "required": ["corrects", "fields", "reason"],
        }),
        engine_types::EVENT_ANNULLED => json!({
            "properties": { "annuls": text, "reason": text },
            "required": ["annuls", "reason"],
        }),
        engine_types::GAP_DECLARED => json!({
            "properties": {
                "missing_type": text,
                "missing_data": { "type": "object" },
                "one_of": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "properties": missing,
                        "required": ["missing_type"],
                        "additionalProperties": false,
                    },
                },
                "why_known": text,
            },
            "required": ["why_known"],
            "oneOf": [{ "required": ["missing_type"] }, { "required": ["one_of"] }],
        }),
        engine_types::BREACH_NOTED => json!({
            "properties": { "rule": text, "event": text, "message": text, "basis": text },
            "required": ["rule", "event", "message"],
            "additionalProperties": true,
        }),
        engine_types::DEADLINE_ADJUSTED => json!({
            "properties": {
                "deadline": text,
                "kind": { "enum": ["extended", "reduced", "restarted", "left-out"] },
                "length": text,
                "from": text,
                "until": text,
                "reason": text,
            },
            "required": ["deadline", "kind", "reason"],
        }),
        engine_types::DEFINITION_MIGRATED => json!({
            "properties": {
                "workflow": text,
                "version": { "type": "integer", "minimum": 1 },
                "digest": text,
                "reason": text,
            },
            "required": ["version", "reason"],
        }),
        engine_types::PROTECTED_DATA_ERASED => json!({
            "properties": {
                "entity": text,
                "events": { "type": "array", "items": text },
                "fields": { "type": "array", "items": text },
                "ground": text,
            },
            "required": ["ground"],
        }),
        _ => return None,
    };
    Some(schema)
}

/// Whether the engine knows the type by itself.
pub(crate) fn is_engine_type(event_type: &str) -> bool {
    engine_types::ALL.contains(&event_type)
}

impl EventType {
    /// Everything that is wrong with a payload; empty: valid.
    ///
    /// What the engine writes into payloads beside the schema ([`ORIGINALLY_RECORDED_AT`] everywhere,
    /// [`DEFINITION_DIGEST`] in `case-opened`) is set aside first.
    #[must_use]
    pub fn payload_problems(&self, payload: &Payload) -> Vec<SchemaProblem> {
        let set_aside = [
            Some(ORIGINALLY_RECORDED_AT),
            (self.name == engine_types::CASE_OPENED).then_some(DEFINITION_DIGEST),
        ];
        let mut payload = Cow::Borrowed(payload);
        let mut problems = Vec::new();
        for field in set_aside.into_iter().flatten() {
            if !payload.contains_key(field) {
                continue;
            }
            if let Some(value) = payload.to_mut().remove(field).filter(|value| !value.is_string()) {
                problems.push(SchemaProblem {
                    field: field.to_owned(),
                    problem: format!("{value} is not a text"),
                    help: None,
                });
            }
        }
        problems.extend(self.schema.problems(&payload));
        problems
    }
}
