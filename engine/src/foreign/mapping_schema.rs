//! The shape of a mapping file as a JSON Schema (draft 2020-12), for editors.
//!
//! It says what a file may look like; which names a definition has, only [`read_mapping`](super::mapping_file::read_mapping) says.

use serde_json::{Value, json};

use super::mapping::MAP_LANGUAGE;

/// The schema of mapping files.
#[must_use]
pub fn mapping_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("A mapping of a log onto a Casebook workflow ({MAP_LANGUAGE})"),
        "type": "object",
        "required": ["map", "recorded-by", "activities"],
        "additionalProperties": false,
        "properties": {
            "map": { "const": MAP_LANGUAGE },
            "timezone": text("time zone of times without an offset; left out: the definition's"),
            "dates": { "description": "with the time of day, or the day alone", "enum": ["instant", "day"] },
            "activity": text("key of the attribute that says what was done"),
            "lifecycle": text("key of the attribute that says how far it is done"),
            "time": text("key of the attribute that says when"),
            "case": { "$ref": "#/$defs/case" },
            "recorded-by": { "$ref": "#/$defs/recorded-by" },
            "activities": { "type": "array", "items": { "$ref": "#/$defs/activity" } },
            "ignore": { "type": ["array", "null"], "items": { "anyOf": [
                text("an activity that does not concern the case"),
                object(&["activity"], &json!({ "activity": names("activities"), "lifecycle": names("lifecycle transitions") })),
            ] } },
            "unmapped": { "description": "what to do with activities that are neither mapped nor ignored", "enum": ["refuse", "leave-out"] },
        },
        "$defs": {
            "case": object(&[], &json!({
                "reference": text("the trace's attribute that names the case"),
                "prefix": text("what stands before each reference"),
                "data": { "$ref": "#/$defs/values" },
            })),
            "recorded-by": object(&["role"], &json!({
                "id": { "$ref": "#/$defs/value" },
                "otherwise": text("the id where the log has none"),
                "role": { "$ref": "#/$defs/value" },
            })),
            "activity": object(&["activity", "event"], &json!({
                "activity": names("what the log calls it"),
                "lifecycle": names("lifecycle transitions; left out: any"),
                "event": text("the event type"),
                "scope": { "$ref": "#/$defs/values" },
                "data": { "$ref": "#/$defs/values" },
                "recorded-by": { "$ref": "#/$defs/recorded-by" },
                "decided-by": object(&["body"], &json!({ "body": { "$ref": "#/$defs/value" }, "id": { "$ref": "#/$defs/value" } })),
                "rationale": { "$ref": "#/$defs/value" },
                "override": object(&["authority", "reason"], &json!({ "authority": { "$ref": "#/$defs/value" }, "reason": { "$ref": "#/$defs/value" } })),
            })),
            "values": { "type": ["object", "null"], "additionalProperties": { "$ref": "#/$defs/value" } },
            "value": {
                "description": "the key of an attribute, or where the value comes from and what is done to it; for roles and bodies a text is the name itself",
                "anyOf": [{ "type": "string" }, object(&[], &json!({
                    "attribute": text("key of an attribute of the event"),
                    "trace": text("key of an attribute of the trace"),
                    "value": { "description": "a constant" },
                    "as": { "description": "how it is read; left out: as the definition's field asks", "enum": ["text", "integer", "boolean", "day"] },
                    "values": { "description": "what each value of the log becomes", "type": "object" },
                }))],
            },
        },
    })
}

fn text(about: &str) -> Value {
    json!({ "description": about, "type": "string" })
}

fn names(about: &str) -> Value {
    json!({ "description": about, "type": ["string", "array"], "items": { "type": "string" } })
}

fn object(required: &[&str], properties: &Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::mapping_file::{ACTIVITY_KEYS, CASE_KEYS, MAP_KEYS, RECORDED_BY_KEYS, VALUE_KEYS};

    #[track_caller]
    fn check(place: &str, known: &[&str]) {
        let schema = mapping_schema();
        let properties = schema.pointer(place).and_then(Value::as_object).expect("it is there");
        let mut named: Vec<&str> = properties.keys().map(String::as_str).collect();
        let mut known = known.to_vec();
        named.sort_unstable();
        known.sort_unstable();
        assert_eq!(named, known, "{place}");
    }

    #[test]
    fn the_schema_has_the_keys_that_are_read() {
        check("/properties", &MAP_KEYS);
        check("/$defs/case/properties", &CASE_KEYS);
        check("/$defs/recorded-by/properties", &RECORDED_BY_KEYS);
        check("/$defs/activity/properties", &ACTIVITY_KEYS);
        check("/$defs/value/anyOf/1/properties", &VALUE_KEYS);
        jsonschema::validator_for(&mapping_schema()).expect("it is a schema");
    }
}
