//! A table of events: one row an event, for spreadsheets. Nothing is read back from it.
//!
//! A cell that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a carriage return)
//! is written with an apostrophe before it.

use std::io;

use super::serialised_name;
use crate::case::event::{Scope, SourceKind, Version};
use crate::case::occurred::Day;
use crate::case::reading::HistoryEntry;

/// The columns, in order.
pub const COLUMNS: [&str; 25] = [
    "case",
    "version",
    "position",
    "type",
    "title",
    "scope",
    "occurred",
    "occurred_text",
    "earliest",
    "latest",
    "recorded_at",
    "recorded_by",
    "role",
    "decided_by",
    "source",
    "source_ref",
    "asserted",
    "rationale",
    "override_authority",
    "override_reason",
    "annulled_by",
    "corrected_by",
    "timeline",
    "definition",
    "data",
];

/// Writes tables of events.
pub struct Table<W: io::Write> {
    writer: csv::Writer<W>,
}

impl<W: io::Write> Table<W> {
    /// A table with its head written.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(writer: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(writer);
        writer.write_record(COLUMNS)?;
        Ok(Self { writer })
    }

    /// Adds a case's events.
    ///
    /// # Errors
    /// When writing fails.
    pub fn add(&mut self, events: &[HistoryEntry]) -> io::Result<()> {
        for entry in events {
            self.writer.write_record(row(entry).map(|cell| guarded(&cell)))?;
        }
        Ok(())
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn row(entry: &HistoryEntry) -> [String; COLUMNS.len()] {
    let event = &entry.event;
    let said = &event.proposed;
    let bounds = said.occurred.as_ref().map(crate::case::occurred::Occurred::bounds).unwrap_or_default();
    [
        event.case.clone(),
        event.version.to_string(),
        entry.position.to_string(),
        said.event_type.clone(),
        entry.title.clone(),
        scope_text(&said.scope),
        said.occurred.as_ref().and_then(|occurred| occurred.edtf().map(str::to_owned)).unwrap_or_default(),
        said.occurred.as_ref().and_then(|occurred| occurred.text.clone()).unwrap_or_default(),
        day_text(bounds.earliest),
        day_text(bounds.latest),
        format!("{:.6}", event.recorded_at),
        said.recorded_by.id.clone(),
        said.recorded_by.role.clone(),
        said.decided_by.as_ref().map(|decider| decider.body.clone()).unwrap_or_default(),
        said.source.as_ref().map(|source| kind_text(source.kind)).unwrap_or_default(),
        said.source.as_ref().and_then(|source| source.reference.clone()).unwrap_or_default(),
        serialised_name(&said.asserted),
        said.rationale.clone().unwrap_or_default(),
        said.override_given.as_ref().map(|given| given.authority.clone()).unwrap_or_default(),
        said.override_given.as_ref().map(|given| given.reason.clone()).unwrap_or_default(),
        version_text(entry.annulled_by),
        entry.corrected_by.iter().map(Version::to_string).collect::<Vec<_>>().join(" "),
        entry.timeline.map(|place| place.to_string()).unwrap_or_default(),
        event.definition.clone(),
        if said.data.is_empty() {
            String::new()
        } else {
            serde_json::Value::Object(said.data.clone()).to_string()
        },
    ]
}

fn scope_text(scope: &Scope) -> String {
    scope.iter().map(|(kind, id)| format!("{kind}={id}")).collect::<Vec<_>>().join(" ")
}

fn kind_text(kind: SourceKind) -> String {
    serialised_name(&kind)
}

fn version_text(version: Option<Version>) -> String {
    version.map(|version| version.to_string()).unwrap_or_default()
}

fn day_text(day: Option<Day>) -> String {
    let Some(day) = day else { return String::new() };
    let (year, month, day) = day.to_ymd();
    format!("{year:04}-{month:02}-{day:02}")
}

fn guarded(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_a_spreadsheet_would_run_is_made_text() {
        assert_eq!(guarded("=1+1"), "'=1+1");
        assert_eq!(guarded("@SUM(A1)"), "'@SUM(A1)");
        assert_eq!(guarded("misconduct"), "misconduct");
    }

    #[test]
    fn a_day_is_written_as_its_date() {
        assert_eq!(day_text(Some(Day(0))), "1970-01-01");
        assert_eq!(day_text(Some(Day(19_634))), "2023-10-04");
        assert_eq!(day_text(None), "");
    }
}
