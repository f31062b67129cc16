//! Event to canonical bytes (RFC 8785) and back; strict reading of JSON that comes from outside.
//!
//! Reading what was stored ([`decode`]) trusts the bytes, whose hash the store has checked; reading what comes from
//! outside ([`parse_strict`]) trusts nothing. The limits of both are those of [`super::json`].

use std::fmt;

use jiff::Timestamp;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::EVENT_BYTES_MAX;
pub use super::json::{CodecError, canonical, is_canonical, parse_strict, parse_strict_into};
use super::json::{check_fields, placed};
use crate::case::event::{
    Asserted, CaseId, Decider, EventId, Override, Payload, ProposedEvent, RecordedEvent, Recorder, Scope,
    Source, Version,
};
use crate::case::occurred::Occurred;

/// The event's canonical bytes.
///
/// # Errors
/// When the event has no canonical form (see [`super::json`]) or is longer than 64 KiB.
pub fn encode(event: &RecordedEvent) -> Result<Vec<u8>, CodecError> {
    let bytes = match written_in_order(event)? {
        Some(bytes) => bytes,
        None => canonical(&serde_json::to_value(event).map_err(|error| CodecError::new(error.to_string()))?)?,
    };
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(CodecError::new(format!(
            "the event is {} bytes long, at most {EVENT_BYTES_MAX} are allowed: keep long texts and files outside and \
             refer to them",
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// The event written field by field, without a document in between: canonical because every struct's fields and every map's
/// keys stand in order. `None` where a key or a character needs the canonicaliser.
fn written_in_order(event: &RecordedEvent) -> Result<Option<Vec<u8>>, CodecError> {
    let proposed = &event.proposed;
    if !check_fields("data", &proposed.data)? || !proposed.scope.keys().all(|kind| kind.is_ascii()) {
        return Ok(None);
    }
    let bytes = serde_json::to_vec(event).map_err(|error| CodecError::new(error.to_string()))?;
    // U+0000 would stand there escaped, as may a text that only looks like it: the other way tells them apart.
    Ok((!bytes.windows(6).any(|window| window == b"\\u0000")).then_some(bytes))
}

/// Reads canonical bytes. Only reads: [`is_as_written`] tells whether they are in canonical form.
///
/// # Errors
/// When they are not an event, or have a field that no event has.
pub fn decode(bytes: &[u8]) -> Result<RecordedEvent, CodecError> {
    // Checked once here: serde_json would check every string of a slice by itself.
    let text = std::str::from_utf8(bytes).map_err(|error| CodecError {
        problem: format!("the bytes are not UTF-8 after byte {}", error.valid_up_to()),
    })?;
    serde_json::from_str(text).map_err(|error| placed(&error))
}

/// Whether bytes that were read as this event are the very ones that writing it gives. Canonical JSON alone leaves room: an id
/// in capitals, a field that says what its absence says.
#[must_use]
pub fn is_as_written(event: &RecordedEvent, bytes: &[u8]) -> bool {
    encode(event).is_ok_and(|written| written == bytes)
}

/// A recorded event as one flat object. serde's own flattening keeps every field in a buffer first, which made
/// replay several times slower.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    #[serde(default)]
    asserted: Asserted,
    case: String,
    case_id: CaseId,
    causation_id: Option<String>,
    correlation_id: Option<String>,
    #[serde(default)]
    data: Payload,
    decided_by: Option<Decider>,
    definition: String,
    id: EventId,
    label: Option<String>,
    occurred: Option<Occurred>,
    #[serde(rename = "override")]
    override_given: Option<Override>,
    prev: Option<String>,
    rationale: Option<String>,
    #[serde(deserialize_with = "read_micros")]
    recorded_at: Timestamp,
    recorded_by: Recorder,
    salt: String,
    #[serde(default)]
    scope: Scope,
    source: Option<Source>,
    #[serde(rename = "type")]
    event_type: String,
    version: Version,
    workflow: Option<String>,
}

impl<'de> Deserialize<'de> for RecordedEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flat = Flat::deserialize(deserializer)?;
        Ok(Self {
            proposed: ProposedEvent {
                event_type: flat.event_type,
                scope: flat.scope,
                occurred: flat.occurred,
                data: flat.data,
                recorded_by: flat.recorded_by,
                decided_by: flat.decided_by,
                source: flat.source,
                asserted: flat.asserted,
                rationale: flat.rationale,
                label: flat.label,
                override_given: flat.override_given,
            },
            case: flat.case,
            workflow: flat.workflow,
            id: flat.id,
            case_id: flat.case_id,
            version: flat.version,
            recorded_at: flat.recorded_at,
            definition: flat.definition,
            prev: flat.prev,
            salt: flat.salt,
            correlation_id: flat.correlation_id,
            causation_id: flat.causation_id,
        })
    }
}

/// The same to be written: what was not given is left out. The fields stand in canonical order.
#[derive(Serialize)]
struct FlatRef<'a> {
    #[serde(skip_serializing_if = "Asserted::is_stated")]
    asserted: Asserted,
    case: &'a str,
    case_id: CaseId,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Payload::is_empty")]
    data: &'a Payload,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<&'a Decider>,
    definition: &'a str,
    id: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred: Option<&'a Occurred>,
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    override_given: Option<&'a Override>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rationale: Option<&'a str>,
    #[serde(serialize_with = "write_micros")]
    recorded_at: Timestamp,
    recorded_by: &'a Recorder,
    salt: &'a str,
    #[serde(skip_serializing_if = "Scope::is_empty")]
    scope: &'a Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a Source>,
    #[serde(rename = "type")]
    event_type: &'a str,
    version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<&'a str>,
}

impl Serialize for RecordedEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let proposed = &self.proposed;
        FlatRef {
            asserted: proposed.asserted,
            case: &self.case,
            case_id: self.case_id,
            causation_id: self.causation_id.as_deref(),
            correlation_id: self.correlation_id.as_deref(),
            data: &proposed.data,
            decided_by: proposed.decided_by.as_ref(),
            definition: &self.definition,
            id: self.id,
            label: proposed.label.as_deref(),
            occurred: proposed.occurred.as_ref(),
            override_given: proposed.override_given.as_ref(),
            prev: self.prev.as_deref(),
            rationale: proposed.rationale.as_deref(),
            recorded_at: self.recorded_at,
            recorded_by: &proposed.recorded_by,
            salt: &self.salt,
            scope: &proposed.scope,
            source: proposed.source.as_ref(),
            event_type: &proposed.event_type,
            version: self.version,
            workflow: self.workflow.as_deref(),
        }
        .serialize(serializer)
    }
}

/// RFC 3339 in UTC with exactly six digits of a second, so that order of texts is order of times.
fn write_micros<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.6}"))
}

fn read_micros<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    struct Micros;

    impl Visitor<'_> for Micros {
        type Value = Timestamp;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time such as 2024-01-10T09:30:00.000000Z")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
            const FORM: &[u8] = b"0000-00-00T00:00:00.000000Z";
            let fits = text.len() == FORM.len()
                && text.bytes().zip(FORM).all(|(byte, form)| match form {
                    b'0' => byte.is_ascii_digit(),
                    _ => byte == *form,
                });
            // A sixtieth second would be read as the second before it and so not be written back.
            if !fits || &text[17..19] == "60" {
                return Err(E::invalid_value(serde::de::Unexpected::Str(text), &self));
            }
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::event::{SourceKind, engine_types};
    use crate::store::json::DEPTH_MAX;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use uuid::Uuid;

    fn event() -> RecordedEvent {
        let recorder = Recorder { id: "officer-1".to_owned(), role: "caseworker".to_owned() };
        RecordedEvent {
            proposed: ProposedEvent::new(engine_types::CASE_OPENED, recorder),
            case: "2020/146999".to_owned(),
            workflow: None,
            id: EventId(Uuid::from_u128(1)),
            case_id: CaseId(Uuid::from_u128(2)),
            version: Version(1),
            recorded_at: "2024-01-10T09:30:00Z".parse().unwrap(),
            definition: "police-conduct@1".to_owned(),
            prev: None,
            salt: "AAAAAAAAAAAAAAAAAAAAAA==".to_owned(),
            correlation_id: None,
            causation_id: None,
        }
    }

    fn full_event() -> RecordedEvent {
        let mut full = event();
        full.proposed.scope = [("charge".to_owned(), "C1".to_owned())].into();
        full.proposed.occurred = Some(Occurred::parse("2021-05").unwrap().with_text("earlier that month"));
        full.proposed.data = json!({"plea": "guilty", "élan": [1, null]}).as_object().unwrap().clone();
        full.proposed.decided_by =
            Some(Decider { body: "court".to_owned(), role: Some("judge".to_owned()), id: None });
        full.proposed.source =
            Some(Source { kind: SourceKind::PublicPage, reference: Some("page 2".to_owned()) });
        full.proposed.asserted = Asserted::ImpliedByLaw;
        full.proposed.rationale = Some("said in court".to_owned());
        full.proposed.label = Some("plea".to_owned());
        full.proposed.override_given =
            Some(Override { authority: "senior".to_owned(), reason: "late".to_owned() });
        full.workflow = Some("police-conduct@1".to_owned());
        full.prev = Some("bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=".to_owned());
        full.correlation_id = Some("request-1".to_owned());
        full.causation_id = Some(Uuid::from_u128(3).to_string());
        full
    }

    #[test]
    fn the_shortest_event_is_written_as_one_flat_object_without_what_was_not_given() {
        let expected = concat!(
            r#"{"case":"2020/146999","case_id":"00000000-0000-0000-0000-000000000002","#,
            r#""definition":"police-conduct@1","id":"00000000-0000-0000-0000-000000000001","#,
            r#""recorded_at":"2024-01-10T09:30:00.000000Z","#,
            r#""recorded_by":{"id":"officer-1","role":"caseworker"},"#,
            r#""salt":"AAAAAAAAAAAAAAAAAAAAAA==","type":"case-opened","version":1}"#
        );
        assert_eq!(String::from_utf8(encode(&event()).unwrap()).unwrap(), expected);
        assert_eq!(decode(expected.as_bytes()).unwrap(), event());
    }

    #[test]
    fn every_field_comes_back() {
        let full = full_event();
        let bytes = encode(&full).unwrap();
        assert!(is_canonical(&bytes));
        assert_eq!(decode(&bytes).unwrap(), full);
        let fields = parse_strict_into::<Payload>(&bytes).unwrap();
        assert_eq!(fields.len(), 22, "a field was left out: {fields:?}");
        assert_eq!(parse_strict_into::<RecordedEvent>(&bytes).unwrap(), full);
    }

    #[track_caller]
    fn check_not_encoded(data: Value, says: &str) {
        let mut event = event();
        event.proposed.data = data.as_object().unwrap().clone();
        let problem = encode(&event).unwrap_err().to_string();
        assert!(problem.contains(says), "{problem}");
    }

    #[test]
    fn an_event_beyond_a_limit_is_not_encoded() {
        check_not_encoded(json!({"a": [1.5]}), "data.a[0]: 1.5 is not a whole number");
        check_not_encoded(json!({"a": 9_007_199_254_740_993_u64}), "data.a: 9007199254740993 is beyond");
        check_not_encoded(json!({"a": "\0"}), "data.a: the text has the character U+0000");
        check_not_encoded(json!({"a": "x".repeat(EVENT_BYTES_MAX)}), "at most 65536");
        let deep = (0..DEPTH_MAX).fold(json!(1), |inner, _| json!([inner]));
        check_not_encoded(json!({ "a": deep }), "nested more than 32 deep");
    }

    #[track_caller]
    fn check_not_decoded(field: &str, value: Value, says: &str) {
        let mut fields = serde_json::to_value(event()).unwrap();
        fields[field] = value;
        let problem = decode(fields.to_string().as_bytes()).unwrap_err().to_string();
        assert!(problem.contains(says), "{problem}");
    }

    #[test]
    fn bytes_that_are_not_an_event_are_not_decoded() {
        check_not_decoded("colour", json!("red"), "unknown field `colour`");
        check_not_decoded("occurred", json!("July 2023"), "write 2023-07");
        check_not_decoded("recorded_at", json!("2024-01-10T09:30:00Z"), "2024-01-10T09:30:00.000000Z");
        check_not_decoded("recorded_at", json!("2024-01-10T09:30:60.000000Z"), "invalid value");
        check_not_decoded("recorded_by", json!({"id": "officer-1"}), "missing field `role`");
        assert!(decode(b"{}").unwrap_err().to_string().starts_with("line 1, column 2: missing field `case`"));
    }

    proptest! {
        #[test]
        fn decoding_and_encoding_give_the_same_bytes(
            data in crate::store::json::tests::document(),
            text in "[^\\x00]{0,12}",
            version in 1..1_u64 << 53,
            micros in 0..4_000_000_000_000_000_i64,
            full in any::<bool>(),
        ) {
            let mut event = if full { full_event() } else { event() };
            event.proposed.data.insert("any".to_owned(), data);
            event.case = text;
            event.version = Version(version);
            event.recorded_at = Timestamp::from_microsecond(micros).unwrap();
            let bytes = encode(&event).unwrap();
            prop_assert_eq!(&canonical(&serde_json::to_value(&event).unwrap()).unwrap(), &bytes);
            let decoded = decode(&bytes).unwrap();
            prop_assert_eq!(&decoded, &event);
            prop_assert_eq!(encode(&decoded).unwrap(), bytes);
        }
    }
}
