//! The envelope of an event: as it is proposed, and as it is recorded for ever.
//!
//! A [`ProposedEvent`] is what a caller says happened. [`decide`](super::decide::decide) turns it into
//! a [`RecordedEvent`], whose canonical bytes (see [`crate::store::codec`]) are hashed, stored and exported.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::occurred::Occurred;

/// A JSON object: the payload of an event.
pub type Payload = serde_json::Map<String, serde_json::Value>;

/// The place of an event in its case: 1, 2, 3 … without holes. 0 stands before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

/// The place of an event in the log of all cases: 1, 2, 3 … in the order of commits. 0 stands before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

/// Identifies a case (UUIDv7). People use the reference instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub Uuid);

/// Identifies an event (UUIDv7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

macro_rules! display_as_inner {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}
display_as_inner!(Version, Position, CaseId, EventId);

impl Version {
    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Position {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The entities that an event is about: entity kind to id, such as `{charge: C1}`. Parents may be left out.
pub type Scope = BTreeMap<String, String>;

/// Who recorded an event, and in which role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorder {
    /// The person's id, opaque.
    pub id: String,
    /// A role of the definition.
    pub role: String,
}

impl FromStr for Recorder {
    type Err = String;

    /// Reads `ID:ROLE`, the form of `--as`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.rsplit_once(':') {
            Some((id, role)) if !id.is_empty() && !role.is_empty() => {
                Ok(Self { id: id.to_owned(), role: role.to_owned() })
            }
            _ => Err(format!("`{text}` is not ID:ROLE, for example officer-1:caseworker")),
        }
    }
}

/// Whose decision the event was: rarely the person who records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decider {
    /// The deciding body, such as `court`.
    pub body: String,
    /// The person, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The role in that body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// Where the knowledge came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The kind of source.
    pub kind: SourceKind,
    /// Where to find it again.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// The kinds of source that an event may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum SourceKind {
    Document,
    HearingNote,
    Email,
    Oral,
    PublicPage,
    System,
    Inferred,
}

/// How firmly the event is asserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asserted {
    /// The source says so.
    #[default]
    Stated,
    /// It follows from what the source says.
    Inferred,
    /// The law implies it.
    ImpliedByLaw,
}

impl Asserted {
    /// Whether it is the default, which JSON leaves out.
    pub(crate) fn is_stated(&self) -> bool {
        *self == Self::Stated
    }
}

/// Why an event was recorded although a logical rule said no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Who allowed it.
    pub authority: String,
    /// Why.
    pub reason: String,
}

/// An event as a caller proposes it. The same shape as a line of an event file, without the case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposedEvent {
    /// Event type, kebab-case.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The entities it is about.
    #[serde(default, skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// When it happened, at the precision that is known. Absent means unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred: Option<Occurred>,
    /// The payload, valid against the type's schema.
    #[serde(default, skip_serializing_if = "Payload::is_empty")]
    pub data: Payload,
    /// Who records it.
    pub recorded_by: Recorder,
    /// Whose decision it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Decider>,
    /// Where the knowledge came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// How firmly it is asserted.
    #[serde(default, skip_serializing_if = "Asserted::is_stated")]
    pub asserted: Asserted,
    /// Why it was decided so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
    /// A name by which later events of the same file may refer to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Authority and reason for recording it against a logical rule.
    #[serde(rename = "override", default, skip_serializing_if = "Option::is_none")]
    pub override_given: Option<Override>,
}

impl ProposedEvent {
    /// An event of this type by this recorder, with everything else left out.
    #[must_use]
    pub fn new(event_type: &str, recorded_by: Recorder) -> Self {
        Self {
            event_type: event_type.to_owned(),
            scope: Scope::new(),
            occurred: None,
            data: Payload::new(),
            recorded_by,
            decided_by: None,
            source: None,
            asserted: Asserted::Stated,
            rationale: None,
            label: None,
            override_given: None,
        }
    }
}

/// An event as it stands in the log. Never edited, never deleted.
///
/// In JSON it is one flat object, these fields beside those of the proposal; [`crate::store::codec`] writes and reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    /// What the caller said.
    pub proposed: ProposedEvent,
    /// The case's reference.
    pub case: String,
    /// The workflow named when the case was opened, `name@version`; on `case-opened` only.
    pub workflow: Option<String>,
    /// The event's own id.
    pub id: EventId,
    /// The case's id.
    pub case_id: CaseId,
    /// The place in the case.
    pub version: Version,
    /// When the engine stored it: RFC 3339, UTC, microseconds.
    pub recorded_at: Timestamp,
    /// The definition it was judged by, `name@version`; of `definition-migrated`, the one adopted.
    pub definition: String,
    /// Leaf hash of the case's previous event, base64; absent on the first.
    pub prev: Option<String>,
    /// 16 random bytes, base64: who holds only hashes cannot confirm a guess.
    pub salt: String,
    /// What it belongs to in the caller's system.
    pub correlation_id: Option<String>,
    /// What caused it: for an event that the engine noted, the id of the event proposed.
    pub causation_id: Option<String>,
}

impl RecordedEvent {
    /// An event that nobody recorded: searches and tests ask what would follow from it.
    pub(crate) fn imagined(proposed: ProposedEvent, version: Version) -> Self {
        Self {
            proposed,
            case: String::new(),
            workflow: None,
            id: EventId(Uuid::nil()),
            case_id: CaseId(Uuid::nil()),
            version,
            recorded_at: Timestamp::UNIX_EPOCH,
            definition: String::new(),
            prev: None,
            salt: String::new(),
            correlation_id: None,
            causation_id: None,
        }
    }
}

/// The engine's own event types: the only ones that Rust code knows.
pub mod engine_types {
    /// The first event of every case.
    pub const CASE_OPENED: &str = "case-opened";
    /// `data: {corrects, fields, reason}`.
    pub const EVENT_CORRECTED: &str = "event-corrected";
    /// `data: {annuls, reason}`.
    pub const EVENT_ANNULLED: &str = "event-annulled";
    /// `data: {missing_type, missing_data?, why_known}` or `data: {one_of: [{missing_type, missing_data?}], why_known}`.
    pub const GAP_DECLARED: &str = "gap-declared";
    /// `data: {rule, event, message, basis?}`.
    pub const BREACH_NOTED: &str = "breach-noted";
    /// Extends, reduces, restarts a deadline or leaves time out of it.
    pub const DEADLINE_ADJUSTED: &str = "deadline-adjusted";
    /// Moves the case to a later version of its definition: `data: {workflow, version, digest, reason}`.
    pub const DEFINITION_MIGRATED: &str = "definition-migrated";
    /// Says whose protected data was erased, by whom and on what ground.
    pub const PROTECTED_DATA_ERASED: &str = "protected-data-erased";
    /// All of them.
    pub const ALL: [&str; 8] = [
        CASE_OPENED,
        EVENT_CORRECTED,
        EVENT_ANNULLED,
        GAP_DECLARED,
        BREACH_NOTED,
        DEADLINE_ADJUSTED,
        DEFINITION_MIGRATED,
        PROTECTED_DATA_ERASED,
    ];
}
