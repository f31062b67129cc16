//! The audit report of a case as JSON.

use casebook_engine::case::deadline_reading::DeadlineReading;
use casebook_engine::case::event::Version;
use casebook_engine::case::reading::{
    BreachReading, DerivedReading, EntityReading, EventMention, GapReading, HistoryEntry, StrandReading,
};
use casebook_engine::verify::Verification;
use serde::Serialize;

use super::account::{Account, Checkpointed, Counts, LateFact, RecordedOn, SealedEnd};
use super::audit_page::NOT_COVERED;

/// The report, for machines. Names never change their meaning; new ones may be added.
#[derive(Debug, Serialize)]
pub struct AuditDocument<'a> {
    format: &'static str,
    reference: &'a str,
    case_id: String,
    title: Option<&'a str>,
    workflow: &'a str,
    version: Version,
    answered_for: String,
    journal_damage: Option<&'a str>,
    verification: Option<&'a Verification>,
    checkpoint: Option<&'a Checkpointed>,
    sealed: Option<&'a SealedEnd>,
    counts: Counts,
    consistent: bool,
    inconsistent: &'a [EventMention],
    overrides: &'a [EventMention],
    breaches: &'a [BreachReading],
    gaps: &'a [GapReading],
    late: &'a [LateFact],
    deadlines: Vec<&'a DeadlineReading>,
    strands: &'a [StrandReading],
    derived: &'a [DerivedReading],
    entities: &'a [EntityReading],
    recorders: Vec<(String, usize)>,
    deciders: Vec<(String, Vec<Version>)>,
    recorded_on: &'a [RecordedOn],
    events: &'a [HistoryEntry],
    not_covered: [&'static str; 4],
}

/// The audit report as a document.
#[must_use]
pub fn audit_document(account: &Account) -> AuditDocument<'_> {
    let status = &account.status;
    AuditDocument {
        format: "casebook-audit-report/1",
        reference: &status.reference,
        case_id: status.case_id.to_string(),
        title: status.title.as_deref(),
        workflow: &status.workflow,
        version: status.version,
        answered_for: account.day.to_string(),
        journal_damage: account.damage.as_deref(),
        verification: account.verification.as_ref(),
        checkpoint: account.checkpoint.as_ref(),
        sealed: account.sealed.as_ref(),
        counts: account.counts(),
        consistent: status.consistent,
        inconsistent: &status.inconsistent,
        overrides: &status.overrides,
        breaches: &status.breaches,
        gaps: &status.gaps,
        late: &account.late,
        deadlines: account.deadlines(),
        strands: &status.strands,
        derived: &status.derived,
        entities: &status.entities,
        recorders: account.recorders(),
        deciders: account.deciders(),
        recorded_on: &account.recorded,
        events: &account.entries,
        not_covered: NOT_COVERED,
    }
}
