//! What people read of a case: status, history and changes, as values that serialise to the published JSON.

use jiff::Timestamp;
use serde::Serialize;

use super::deadline_reading::DeadlineReading;
use super::event::{CaseId, EventId, Payload, Position, RecordedEvent, Scope, Version};

/// Which reading of the log is asked for. Both cuts may be given together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// Only events recorded up to this instant.
    pub known_at: Option<Timestamp>,
    /// Only events up to this version.
    pub version: Option<Version>,
    /// The timeline cut at the end of this day in the world.
    pub at: Option<super::occurred::Day>,
}

/// The status of a case: a pure function of its timeline.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReading {
    /// The human reference.
    pub reference: String,
    /// The case's id.
    pub case_id: CaseId,
    /// Its title, where `case-opened` gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The last version read.
    pub version: Version,
    /// Position of that event.
    pub position: Position,
    /// `name@version` of the definition.
    pub workflow: String,
    /// The reading asked for.
    #[serde(rename = "as")]
    pub as_of: AsOf,
    /// False where an accepted correction left events without footing that still have none.
    pub consistent: bool,
    /// Those events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inconsistent: Vec<EventMention>,
    /// Every strand, the case's first, then by entity.
    pub strands: Vec<StrandReading>,
    /// Every derived strand.
    pub derived: Vec<DerivedReading>,
    /// Every entity, in order of introduction.
    pub entities: Vec<EntityReading>,
    /// Deadlines. The definition language has none yet: always empty.
    pub deadlines: Vec<DeadlineReading>,
    /// Breaches noted.
    pub breaches: Vec<BreachReading>,
    /// Gaps declared.
    pub gaps: Vec<GapReading>,
    /// Events recorded against a logical rule.
    pub overrides: Vec<EventMention>,
    /// Under an `at` cut: events that only may have happened by then, and are counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uncertain: Vec<EventMention>,
}

/// The cuts of a reading, as text.
#[derive(Debug, Clone, Serialize)]
pub struct AsOf {
    /// Instant, RFC 3339.
    pub known_at: Option<String>,
    /// Date.
    pub at: Option<String>,
}

/// An event, mentioned.
#[derive(Debug, Clone, Serialize)]
pub struct EventMention {
    /// Its version.
    pub version: Version,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it happened, in EDTF or the source's words; `unknown` where it is.
    pub occurred: String,
    /// A sentence more: the reason of an override, for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A strand's state.
#[derive(Debug, Clone, Serialize)]
pub struct StrandReading {
    /// The strand.
    pub strand: String,
    /// Whose: `SUB-1`; absent for the case.
    pub entity: Option<String>,
    /// Kind of that entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The state; `null` where the strand has not started.
    pub state: Option<String>,
    /// What people call it.
    pub title: String,
    /// The event that brought it there.
    pub since: Option<EventMention>,
    /// Nothing more is expected.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Overlays that are set.
    pub overlays: Vec<String>,
}

/// A derived strand's state.
#[derive(Debug, Clone, Serialize)]
pub struct DerivedReading {
    /// The derived strand.
    pub strand: String,
    /// Whose.
    pub entity: Option<String>,
    /// The state.
    pub state: Option<String>,
    /// What people call it.
    pub title: String,
}

/// An entity.
#[derive(Debug, Clone, Serialize)]
pub struct EntityReading {
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its parent's id.
    pub parent: Option<String>,
    /// Version of the event that introduced it.
    pub introduced_by: Version,
    /// As introduced and since amended.
    pub data: Payload,
}

/// A breach.
#[derive(Debug, Clone, Serialize)]
pub struct BreachReading {
    /// Version of the `breach-noted` event.
    pub version: Version,
    /// The rule.
    pub rule: String,
    /// The event that broke it.
    pub event: Version,
    /// In words.
    pub message: String,
    /// The law or policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// The case as it reads now no longer shows a breach: something recorded later took its ground away. The note stays.
    pub ground_gone: bool,
    /// What took its ground away: a correction, an annulment, or an event that was recorded late. Not sought in a case of more
    /// than a thousand events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ground_taken_by: Option<EventMention>,
}

/// A gap.
#[derive(Debug, Clone, Serialize)]
pub struct GapReading {
    /// Version of the `gap-declared` event.
    pub version: Version,
    /// The missing type, or the alternatives.
    pub missing: Vec<String>,
    /// What it was about.
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// Why it is known.
    pub why_known: String,
    /// The event that closed it, where one was recorded later.
    pub closed_by: Option<Version>,
    /// The event that proved it was annulled: whether the step happened is open again. The gap stays until it is annulled.
    pub ground_gone: bool,
}

/// One line of a history.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryEntry {
    /// The event as recorded.
    pub event: RecordedEvent,
    /// Its position in the log.
    pub position: Position,
    /// What people call the type.
    pub title: String,
    /// When it happened, in EDTF or the source's words; `unknown` where it is.
    pub occurred: String,
    /// The version that annulled it.
    pub annulled_by: Option<Version>,
    /// The versions that corrected it, in order.
    pub corrected_by: Vec<Version>,
    /// The fields as they now read, where corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads_now: Option<Payload>,
    /// Its place in the timeline, from 1; absent for events that are no part of it (corrections, annulled events, notes).
    pub timeline: Option<usize>,
    /// Recorded after events that happened later: the timeline put it before these versions.
    pub late: bool,
    /// Under an `as at` cut: the dates leave open whether it had happened by then.
    pub uncertain: bool,
    /// What it changed when it came into the record.
    pub changed: Vec<Change>,
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The strand, derived strand, or `strand/overlay`.
    pub strand: String,
    /// Whose.
    pub entity: Option<String>,
    /// From this state; `null` where it had not started.
    pub from: Option<String>,
    /// To this state.
    pub to: Option<String>,
}

/// What recording did.
#[derive(Debug, Clone, Serialize)]
pub struct Recorded {
    /// Always true; false in a dry run.
    pub recorded: bool,
    /// The case's last version now.
    pub version: Version,
    /// Position of that event.
    pub position: Position,
    /// Id of the (last) event proposed.
    pub id: EventId,
    /// The case's id.
    pub case_id: CaseId,
    /// Every event appended, the engine's notes included.
    pub events: Vec<RecordedEvent>,
    /// What changed in the status.
    pub changed: Vec<Change>,
    /// Breaches noted by this batch.
    pub breaches: Vec<BreachReading>,
    /// Gaps declared by this batch.
    pub gaps: Vec<GapReading>,
    /// Rules that passed only because dates do not decide an order.
    pub unproven: Vec<String>,
    /// The same idempotency key was answered before; nothing was recorded now.
    pub repeated: bool,
}

/// What may happen next.
#[derive(Debug, Clone, Serialize)]
pub struct NextReading {
    /// Events that would be accepted, each with what it would be about.
    pub may: Vec<Possible>,
    /// Events that would be refused, and why.
    pub may_not: Vec<NotNow>,
}

/// An event that would be accepted.
#[derive(Debug, Clone, Serialize)]
pub struct Possible {
    /// Event type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What people call it.
    pub title: String,
    /// Where in the definition it stands.
    pub part: String,
    /// What it would be about (a new id is shown as `new charge`).
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// Roles that may record it; empty means any.
    pub record: Vec<String>,
    /// States it would lead to, for at least one way of filling it in.
    pub leads_to: Vec<Change>,
    /// Compliance rules that it would break now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_breach: Vec<String>,
}

/// An event that would be refused.
#[derive(Debug, Clone, Serialize)]
pub struct NotNow {
    /// Event type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What people call it.
    pub title: String,
    /// What it would be about.
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// The first reason, in words.
    pub why: String,
}

/// What changed between two points.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReading {
    /// Changes of state.
    pub changed: Vec<Change>,
    /// Entities of the second that the first does not have.
    pub entities_added: Vec<EntityReading>,
    /// Entities of the first that the second does not have.
    pub entities_removed: Vec<EntityReading>,
    /// Breaches of the second that the first does not have.
    pub breaches_added: Vec<BreachReading>,
    /// Gaps of the second that the first does not have.
    pub gaps_added: Vec<GapReading>,
    /// Events that are in one and not in the other, by version.
    pub events: Vec<EventMention>,
}

/// A case in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct CaseSummary {
    /// The reference.
    pub reference: String,
    /// The id.
    pub case_id: CaseId,
    /// Its title, where given.
    pub title: Option<String>,
    /// `name@version` of the definition.
    pub workflow: String,
    /// Last version.
    pub version: Version,
    /// When the last event was recorded.
    pub updated: String,
    /// Every strand's state: `strand` or `strand/entity`, and the state.
    pub states: Vec<(String, String)>,
    /// Breaches noted.
    pub breaches: usize,
    /// Gaps still open.
    pub open_gaps: usize,
}
