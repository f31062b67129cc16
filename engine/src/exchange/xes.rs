//! Logs in XES (IEEE 1849-2016), for process mining: a trace for each case, or for each strand of each entity.
//!
//! What stands in a trace is [told](super::told): the events of the timeline as they read now, in its order. Standard
//! extensions carry what they have a name for; everything else has keys without a prefix.
//!
//! | key | |
//! |---|---|
//! | `concept:name` | the event type; of a trace, the case (and strand and entity) |
//! | `identity:id` | the event's id; of a trace, the case's |
//! | `time:timestamp` | when it happened; `time_basis` says how well that is known |
//! | `lifecycle:transition` | `complete`: every event is a thing done |
//! | `org:resource`, `org:role`, `org:group` | who recorded it, in which role; whose decision it was |
//! | `edtf`, `occurred_text` | the date as it is known, and the words of the source |
//! | `scope.KIND`, `data.FIELD` | the entities that it names; its payload, each field that is no list or object by itself |
//! | `strand`, `entity_kind`, `entity`, `from`, `to` | in a log by strand: whose trace it is, and the states around the event |

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, Event};
use serde_json::Value;

use super::serialised_name;
use super::told::{StrandMove, ToldCase, ToldEvent};

/// The extensions that the log uses: name, prefix, where each is defined.
const EXTENSIONS: [(&str, &str, &str); 5] = [
    ("Concept", "concept", "http://www.xes-standard.org/concept.xesext"),
    ("Lifecycle", "lifecycle", "http://www.xes-standard.org/lifecycle.xesext"),
    ("Organizational", "org", "http://www.xes-standard.org/org.xesext"),
    ("Time", "time", "http://www.xes-standard.org/time.xesext"),
    ("ID", "identity", "http://www.xes-standard.org/identity.xesext"),
];

/// What every trace has, with a value that stands for none (IEEE 1849-2016, 4.3): element, key, value.
const TRACE_GLOBALS: [(&str, &str, &str); 2] =
    [("string", "concept:name", "unknown"), ("id", "identity:id", NO_ID)];

/// What every event has.
const EVENT_GLOBALS: [(&str, &str, &str); 7] = [
    ("string", "concept:name", "unknown"),
    ("id", "identity:id", NO_ID),
    ("date", "time:timestamp", "1970-01-01T00:00:00.000Z"),
    ("string", "lifecycle:transition", "complete"),
    ("string", "org:resource", "unknown"),
    ("string", "org:role", "unknown"),
    ("string", "time_basis", "recorded"),
];

const NO_ID: &str = "00000000-0000-0000-0000-000000000000";

/// What a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traces {
    /// A case.
    Cases,
    /// One strand of one entity of a case: what moved it, or was taken by a row of it.
    Strands,
}

/// Writes a log, case by case.
pub struct Log<W: io::Write> {
    writer: Writer<W>,
    traces: Traces,
}

impl<W: io::Write> Log<W> {
    /// A log with its head written.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(writer: W, traces: Traces) -> io::Result<Self> {
        let mut writer = Writer::new_with_indent(writer, b' ', 1);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let log = BytesStart::new("log").with_attributes([
            ("xes.version", "1849.2016"),
            ("xes.features", ""),
            ("xmlns", "http://www.xes-standard.org/"),
        ]);
        writer.write_event(Event::Start(log))?;
        let mut log = Self { writer, traces };
        for (name, prefix, uri) in EXTENSIONS {
            log.element("extension", &[("name", name), ("prefix", prefix), ("uri", uri)])?;
        }
        for (scope, attributes) in [("trace", &TRACE_GLOBALS[..]), ("event", &EVENT_GLOBALS)] {
            log.start_with("global", &[("scope", scope)])?;
            for (element, key, value) in attributes {
                log.element(element, &[("key", key), ("value", value)])?;
            }
            log.end("global")?;
        }
        log.element("classifier", &[("name", "Event type"), ("scope", "event"), ("keys", "concept:name")])?;
        log.text("lifecycle:model", "standard")?;
        Ok(log)
    }

    /// Adds a case, and answers how many events were written: in a log by strand, one event may stand in several traces.
    ///
    /// # Errors
    /// When writing fails.
    pub fn add(&mut self, case: &ToldCase) -> io::Result<usize> {
        match self.traces {
            Traces::Cases => {
                self.start_trace(case, None)?;
                for event in &case.events {
                    self.event(event, None, &case.zone)?;
                }
                self.end("trace")?;
                Ok(case.events.len())
            }
            Traces::Strands => self.add_strands(case),
        }
    }

    fn add_strands(&mut self, case: &ToldCase) -> io::Result<usize> {
        let mut strands = BTreeMap::<_, Vec<(&ToldEvent, &StrandMove)>>::new();
        for event in &case.events {
            for moved in &event.moves {
                strands.entry((&moved.entity, &moved.strand)).or_default().push((event, moved));
            }
        }
        let mut written = 0;
        for events in strands.into_values() {
            let Some((_, first)) = events.first() else { continue };
            self.start_trace(case, Some(first))?;
            for (event, moved) in &events {
                self.event(event, Some(moved), &case.zone)?;
            }
            self.end("trace")?;
            written += events.len();
        }
        Ok(written)
    }

    /// Ends the log.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> io::Result<()> {
        self.end("log")?;
        let mut writer = self.writer.into_inner();
        writer.write_all(b"\n")?;
        writer.flush()
    }

    fn start_trace(&mut self, case: &ToldCase, strand: Option<&StrandMove>) -> io::Result<()> {
        self.start_with("trace", &[])?;
        let Some(moved) = strand else {
            self.text("concept:name", &case.reference)?;
            self.id(&case.case_id.to_string())?;
            return self.text("workflow", &case.workflow);
        };
        let (name, entity) = match &moved.entity {
            Some((kind, id)) => {
                (format!("{} {kind} {id} {}", case.reference, moved.strand), Some((kind, id)))
            }
            None => (format!("{} {}", case.reference, moved.strand), None),
        };
        self.text("concept:name", &name)?;
        self.id(&case.case_id.to_string())?;
        self.text("workflow", &case.workflow)?;
        self.text("case", &case.reference)?;
        self.text("strand", &moved.strand)?;
        if let Some((kind, id)) = entity {
            self.text("entity_kind", kind)?;
            self.text("entity", id)?;
        }
        Ok(())
    }

    fn event(&mut self, told: &ToldEvent, moved: Option<&StrandMove>, zone: &TimeZone) -> io::Result<()> {
        let event = &told.event;
        let recorded = &event.recorded;
        let said = &recorded.proposed;
        self.start_with("event", &[])?;
        self.text("concept:name", &told.name)?;
        self.id(&recorded.id.to_string())?;
        self.date("time:timestamp", told.time, zone)?;
        self.text("lifecycle:transition", "complete")?;
        self.text("org:resource", &said.recorded_by.id)?;
        self.text("org:role", &said.recorded_by.role)?;
        if let Some(body) = event.facts().decider_body {
            self.text("org:group", body)?;
        }
        self.text("time_basis", told.basis.name())?;
        self.optional("edtf", event.occurred().edtf())?;
        self.optional("occurred_text", event.occurred().text.as_deref())?;
        self.text("title", &told.title)?;
        self.int("version", recorded.version.0)?;
        self.int("position", told.position.0)?;
        self.date("recorded_at", recorded.recorded_at, &TimeZone::UTC)?;
        self.text("asserted", &serialised_name(&said.asserted))?;
        if event.is_gap() {
            self.boolean("gap", true)?;
        }
        if let Some(source) = &said.source {
            self.text("source.kind", &serialised_name(&source.kind))?;
            self.optional("source.ref", source.reference.as_deref())?;
        }
        self.optional("rationale", said.rationale.as_deref())?;
        if let Some(given) = &said.override_given {
            self.text("override.authority", &given.authority)?;
            self.text("override.reason", &given.reason)?;
        }
        if let Some(moved) = moved {
            self.optional("from", moved.from.as_deref())?;
            self.optional("to", moved.to.as_deref())?;
        }
        for (kind, id) in event.scope() {
            self.text(&format!("scope.{kind}"), id)?;
        }
        for (field, value) in event.data() {
            self.value(&format!("data.{field}"), value)?;
        }
        self.end("event")
    }

    /// A field; of a list or an object, each part by itself, because few tools look into attributes of attributes.
    fn value(&mut self, key: &str, value: &Value) -> io::Result<()> {
        match value {
            Value::Null => Ok(()),
            Value::Bool(value) => self.boolean(key, *value),
            Value::Number(number) => {
                self.element("int", &[("key", &name_of(key)), ("value", &number.to_string())])
            }
            Value::String(text) => self.text(key, text),
            Value::Array(list) => list
                .iter()
                .enumerate()
                .try_for_each(|(index, part)| self.value(&format!("{key}.{index}"), part)),
            Value::Object(fields) => {
                fields.iter().try_for_each(|(field, part)| self.value(&format!("{key}.{field}"), part))
            }
        }
    }

    fn text(&mut self, key: &str, value: &str) -> io::Result<()> {
        self.element("string", &[("key", &name_of(key)), ("value", &allowed(value))])
    }

    fn optional(&mut self, key: &str, value: Option<&str>) -> io::Result<()> {
        value.map_or(Ok(()), |value| self.text(key, value))
    }

    fn id(&mut self, value: &str) -> io::Result<()> {
        self.element("id", &[("key", "identity:id"), ("value", value)])
    }

    fn int(&mut self, key: &str, value: u64) -> io::Result<()> {
        self.element("int", &[("key", key), ("value", &value.to_string())])
    }

    fn boolean(&mut self, key: &str, value: bool) -> io::Result<()> {
        self.element("boolean", &[("key", &name_of(key)), ("value", if value { "true" } else { "false" })])
    }

    fn date(&mut self, key: &str, at: Timestamp, zone: &TimeZone) -> io::Result<()> {
        let offset = zone.to_offset(at);
        let text = if *zone == TimeZone::UTC {
            format!("{at:.6}")
        } else {
            at.display_with_offset(offset).to_string()
        };
        self.element("date", &[("key", key), ("value", &text)])
    }

    fn element(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        let element = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.writer.write_event(Event::Empty(element))
    }

    fn start_with(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        let element = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.writer.write_event(Event::Start(element))
    }

    fn end(&mut self, name: &str) -> io::Result<()> {
        self.writer.write_event(Event::End(BytesEnd::new(name)))
    }
}

/// A key as XES wants it, an XML name: what may not stand in one becomes `_`.
fn name_of(key: &str) -> String {
    let is_allowed = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | ':');
    key.chars().map(|letter| if is_allowed(letter) { letter } else { '_' }).collect()
}

/// A text without the control characters that XML 1.0 has no way to write: each becomes U+FFFD.
fn allowed(text: &str) -> String {
    let is_allowed = |letter: char| matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    text.chars().map(|letter| if is_allowed(letter) { letter } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_an_xml_name() {
        assert_eq!(name_of("data.home address"), "data.home_address");
        assert_eq!(name_of("data.colour"), "data.colour");
    }

    #[test]
    fn what_xml_cannot_write_is_replaced() {
        assert_eq!(allowed("a\u{1}b\n\u{FFFF}"), "a\u{FFFD}b\n\u{FFFD}");
    }

    #[test]
    fn texts_come_back_as_they_were() {
        let mut written = Vec::new();
        let mut log = Log::new(&mut written, Traces::Cases).expect("memory takes it");
        log.text("note", "a \"quoted\" <text> & two\nlines\t'").expect("memory takes it");
        log.finish().expect("memory takes it");
        let text = String::from_utf8(written).expect("it is UTF-8");
        let line = text.lines().find(|line| line.contains("\"note\"")).expect("it is there");
        assert!(line.contains("&lt;text&gt; &amp; two&#10;lines&#9;"), "{line}");
    }
}
