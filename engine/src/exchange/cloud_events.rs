//! Events as CloudEvents 1.0, in the JSON batch format (`application/cloudevents-batch+json`), for event brokers.
//!
//! The envelope is for routing; `data` is the event itself, exactly the bytes that were recorded.
//!
//! | attribute | |
//! |---|---|
//! | `id` | the event's id |
//! | `source` | `urn:uuid:` and the case's id |
//! | `type` | `casebook.`, the workflow, and the event type; the engine's own types without a workflow |
//! | `subject` | the case's reference |
//! | `time` | when it was recorded; when it happened stands in `data.occurred` |
//! | `sequence` | its position in the log, 20 digits, so that the order of texts is the order of events |
//! | `partitionkey` | the case's id: a broker keeps a case's events in order |
//! | `correlationid`, `causationid` | where the event has them |

use std::io;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::case::event::{RecordedEvent, engine_types};
use crate::store::StoredEvent;

/// Writes a batch, event by event.
pub struct Batch<W: io::Write> {
    writer: W,
    is_begun: bool,
}

#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'a str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'a str,
    sequence: String,
    partitionkey: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<&'a str>,
    data: &'a RawValue,
}

impl<W: io::Write> Batch<W> {
    /// A batch with nothing in it yet.
    #[must_use]
    pub fn new(writer: W) -> Self {
        Self { writer, is_begun: false }
    }

    /// Adds an event, as stored and as [decoded](crate::store::decode).
    ///
    /// # Errors
    /// When writing fails.
    pub fn add(&mut self, stored: &StoredEvent, event: &RecordedEvent) -> io::Result<()> {
        let data: &RawValue = serde_json::from_slice(&stored.bytes)?;
        let name = &event.proposed.event_type;
        let workflow = event.definition.split('@').next().unwrap_or_default();
        let event_type = if engine_types::ALL.contains(&name.as_str()) {
            format!("casebook.{name}")
        } else {
            format!("casebook.{workflow}.{name}")
        };
        let envelope = Envelope {
            specversion: "1.0",
            id: event.id.to_string(),
            source: format!("urn:uuid:{}", event.case_id),
            event_type,
            subject: &event.case,
            time: format!("{:.6}", event.recorded_at),
            datacontenttype: "application/json",
            sequence: format!("{:020}", stored.position.0),
            partitionkey: event.case_id.to_string(),
            correlationid: event.correlation_id.as_deref(),
            causationid: event.causation_id.as_deref(),
            data,
        };
        self.writer.write_all(if self.is_begun { b",\n" } else { b"[\n" })?;
        self.is_begun = true;
        serde_json::to_writer(&mut self.writer, &envelope)?;
        Ok(())
    }

    /// Ends the batch.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> io::Result<()> {
        self.writer.write_all(if self.is_begun { b"\n]\n" } else { b"[]\n" })?;
        self.writer.flush()
    }
}
