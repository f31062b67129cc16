//! Event files: JSON Lines, UTF-8, one event a line.
//!
//! A line is what a caller says of one event ([`ProposedEvent`]) and the case it belongs to. A line of an export
//! has more: what the engine added when it recorded the event. Those fields are accepted and left out, except
//! `recorded_at`, which stays readable as `data.originally_recorded_at`: an instant of another record never becomes
//! this record's own.
//!
//! ```text
//! {"case":"2020/146999","type":"case-opened","workflow":"police-conduct","recorded_by":{"id":"intake-1","role":"caseworker"}}
//! {"case":"2020/146999","type":"sentence-passed","scope":{"charge":"C1"},"occurred":"2023-10-04", …}
//! ```

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, Read};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::case::event::{ProposedEvent, engine_types};
use crate::definition::problem::suggestion;
use crate::ledger::seal::LEDGER_REFERENCE;
use crate::store::codec;

/// The longest line, bytes: an event's longest canonical form, and as much again for white space and escapes.
pub const LINE_BYTES_MAX: usize = 2 * crate::store::EVENT_BYTES_MAX;

/// The largest event file that [`read_file`] holds in memory, bytes; [`super::indexed_file`] reads longer ones.
pub const FILE_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The most problems that are collected from one file.
pub const PROBLEMS_MAX: usize = 100;

/// What the caller of [`ProposedEvent`] may say, and the case and workflow beside it.
const LINE_FIELDS: [&str; 14] = [
    "case",
    "type",
    "scope",
    "occurred",
    "data",
    "recorded_by",
    "decided_by",
    "source",
    "asserted",
    "rationale",
    "label",
    "override",
    "workflow",
    "recorded_at",
];

/// What an export adds.
const EXPORT_FIELDS: [&str; 9] =
    ["id", "case_id", "version", "position", "definition", "prev", "salt", "causation_id", "correlation_id"];

/// Where `recorded_at` of another record is kept.
const ORIGINALLY_RECORDED_AT: &str = "originally_recorded_at";

/// One line, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct EventLine {
    /// The case's reference.
    pub case: String,
    /// The workflow, on `case-opened`.
    pub workflow: Option<String>,
    /// The event.
    pub event: ProposedEvent,
    /// The id that an export gave it: later lines may refer to the event by it.
    pub exported_id: Option<String>,
    /// Fields of an export that were left out.
    pub left_out: Vec<&'static str>,
    /// A note that the engine made of another event, and will make again by itself.
    pub is_engine_note: bool,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LineProblem {
    /// The line, from 1.
    pub line: usize,
    /// The case it belongs to, where that could be read.
    pub case: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub help: Option<String>,
}

/// The lines of one case in one file, in the order of the file.
#[derive(Debug, Clone)]
pub struct CaseLines {
    /// The case's reference.
    pub case: String,
    /// Each line: its number from 1, and its text.
    pub lines: Vec<(usize, Box<[u8]>)>,
    /// Whether one of its lines is wrong: then none of it may be recorded.
    pub has_problem: bool,
    /// Notes of the engine's own that were left out.
    pub notes_left_out: usize,
}

/// A file, read to its end and grouped by case.
#[derive(Debug, Clone, Default)]
pub struct EventFile {
    /// The cases, in order of first appearance.
    pub cases: Vec<CaseLines>,
    /// What is wrong, in order of line; at most [`PROBLEMS_MAX`], the rest are counted.
    pub problems: Vec<LineProblem>,
    /// How many problems there are.
    pub problem_count: usize,
    /// Lines that hold something.
    pub line_count: usize,
    /// Fields that an export adds, and that were left out.
    pub left_out: BTreeSet<&'static str>,
    /// Lines of another log's own case, left out: each log speaks of itself.
    pub own_left_out: usize,
    /// A line is wrong whose case cannot be told: any case of the file may lack it.
    pub has_stray_problem: bool,
}

/// Reads a whole file. Every line is checked for its form, so that a mistake in the last line is known before the
/// first event is recorded; rules are asked when the events are recorded.
///
/// # Errors
/// When reading fails, or the file is larger than [`FILE_BYTES_MAX`].
pub fn read_file(mut reader: impl BufRead) -> io::Result<EventFile> {
    let mut file = EventFile::default();
    let mut places = HashMap::<String, usize>::new();
    let mut bytes_read = 0;
    let mut number = 0;
    while let Some(line) = next_line(&mut reader)? {
        number += 1;
        bytes_read += line.length;
        if bytes_read > FILE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!(
                    "the file is larger than {} MiB; divide it, each case whole in one part",
                    FILE_BYTES_MAX >> 20
                ),
            ));
        }
        let parsed = if line.length > LINE_BYTES_MAX {
            Err(too_long(line.length))
        } else {
            parse_line(&line.text, number == 1)
        };
        match parsed {
            Ok(None) => {}
            Ok(Some(parsed)) => file.add(number, &line.text, parsed, &mut places),
            Err(problem) => {
                file.line_count += 1;
                file.add_problem(LineProblem { line: number, ..problem }, &mut places);
            }
        }
    }
    Ok(file)
}

impl EventFile {
    fn add(&mut self, number: usize, text: &[u8], line: EventLine, places: &mut HashMap<String, usize>) {
        self.line_count += 1;
        if line.case == LEDGER_REFERENCE {
            self.own_left_out += 1;
            return;
        }
        self.left_out.extend(line.left_out);
        let case = self.case_lines(&line.case, places);
        if line.is_engine_note {
            case.notes_left_out += 1;
        } else {
            case.lines.push((number, text.into()));
        }
    }

    fn add_problem(&mut self, problem: LineProblem, places: &mut HashMap<String, usize>) {
        match &problem.case {
            Some(case) => self.case_lines(case, places).has_problem = true,
            None => self.has_stray_problem = true,
        }
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    fn case_lines(&mut self, case: &str, places: &mut HashMap<String, usize>) -> &mut CaseLines {
        let place = *places.entry(case.to_owned()).or_insert_with(|| {
            self.cases.push(CaseLines {
                case: case.to_owned(),
                lines: Vec::new(),
                has_problem: false,
                notes_left_out: 0,
            });
            self.cases.len() - 1
        });
        &mut self.cases[place]
    }
}

pub(super) struct RawLine {
    /// The text, its line end included; cut where the line is too long.
    pub(super) text: Vec<u8>,
    /// The length of the whole line.
    pub(super) length: usize,
}

/// The next line, holding no more of it than [`LINE_BYTES_MAX`].
pub(super) fn next_line(reader: &mut impl BufRead) -> io::Result<Option<RawLine>> {
    let mut text = Vec::new();
    let mut length = reader.by_ref().take(LINE_BYTES_MAX as u64 + 2).read_until(b'\n', &mut text)?;
    if length == 0 {
        return Ok(None);
    }
    while text.last() != Some(&b'\n') {
        let rest = reader.fill_buf()?;
        if rest.is_empty() {
            break;
        }
        let (used, ended) = match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (rest.len(), false),
        };
        reader.consume(used);
        length += used;
        if ended {
            break;
        }
    }
    Ok(Some(RawLine { text, length }))
}

/// Reads one line; `None` where it holds only white space. `is_first` allows a byte order mark.
///
/// # Errors
/// When the line is not one event; the problem's line number is 0.
pub fn parse_line(text: &[u8], is_first: bool) -> Result<Option<EventLine>, LineProblem> {
    let text = if is_first { text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text) } else { text };
    if is_first && (text.starts_with(b"\xFF\xFE") || text.starts_with(b"\xFE\xFF")) {
        return Err(problem("the file is UTF-16, not UTF-8", "save it as UTF-8"));
    }
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    if let Err(error) = std::str::from_utf8(text) {
        return Err(problem(
            &format!("byte {} of the line is not UTF-8", error.valid_up_to() + 1),
            "save the file as UTF-8",
        ));
    }
    if text == b"[" || text == b"{" {
        return Err(problem(
            "the line is the beginning of a JSON document that goes on over several lines",
            "write each event on a line of its own, for example with: jq -c '.[]' FILE",
        ));
    }
    match codec::parse_strict(text) {
        Ok(Value::Object(fields)) => event_line(fields).map(Some),
        Ok(Value::Array(_)) => Err(problem(
            "the line is a list, not one event",
            "write each event on a line of its own, without [ ] around them",
        )),
        Ok(_) => Err(problem("the line is not a JSON object", "an event is written {\"case\":…,\"type\":…}")),
        Err(error) => {
            // The document is one line of the file: its own line number would only mislead.
            let problem = error.to_string();
            let problem = problem.strip_prefix("line 1, ").unwrap_or(&problem).to_owned();
            Err(LineProblem { line: 0, case: None, problem, help: None })
        }
    }
}

fn event_line(mut fields: Map<String, Value>) -> Result<EventLine, LineProblem> {
    let case = match fields.remove("case") {
        Some(Value::String(case)) if !case.trim().is_empty() => case,
        Some(_) => {
            return Err(problem("`case` is not a reference", "write it as text: \"case\":\"2020/146999\""));
        }
        None => {
            return Err(problem(
                "`case` is missing",
                "name the case in every line: \"case\":\"2020/146999\"",
            ));
        }
    };
    let of_case = |problem: LineProblem| LineProblem { case: Some(case.clone()), ..problem };
    if let Some(unknown) = fields.keys().find(|name| !is_known(name)) {
        return Err(of_case(unknown_field(unknown)));
    }
    let workflow = match fields.remove("workflow") {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(of_case(problem("`workflow` is not a name", "write NAME or NAME@VERSION"))),
    };
    let exported_id = fields.get("id").and_then(Value::as_str).map(str::to_owned);
    let is_caused = fields.contains_key("causation_id");
    let left_out = EXPORT_FIELDS.into_iter().filter(|name| fields.remove(*name).is_some()).collect();
    if let Some(at) = fields.remove("recorded_at") {
        keep_recorded_at(&mut fields, at).map_err(of_case)?;
    }
    let event: ProposedEvent = serde_json::from_value(Value::Object(fields)).map_err(|error| {
        let help = help_for(&error.to_string());
        of_case(LineProblem { line: 0, case: None, problem: error.to_string(), help })
    })?;
    if workflow.is_some() && event.event_type != engine_types::CASE_OPENED {
        return Err(of_case(problem(
            "`workflow` stands on an event other than case-opened",
            "leave it out here",
        )));
    }
    let is_engine_note = is_caused && event.event_type == engine_types::BREACH_NOTED;
    Ok(EventLine { case, workflow, event, exported_id, left_out, is_engine_note })
}

fn is_known(name: &str) -> bool {
    LINE_FIELDS.contains(&name) || EXPORT_FIELDS.contains(&name)
}

fn keep_recorded_at(fields: &mut Map<String, Value>, at: Value) -> Result<(), LineProblem> {
    if !at.is_string() {
        return Err(problem(
            "`recorded_at` is not an instant",
            "write RFC 3339, such as 2023-10-04T09:30:00Z",
        ));
    }
    match fields.entry("data").or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(data) => {
            data.entry(ORIGINALLY_RECORDED_AT).or_insert(at);
            Ok(())
        }
        _ => Err(problem("`data` is not an object", "write the fields of the event: \"data\":{…}")),
    }
}

fn unknown_field(name: &str) -> LineProblem {
    let help = suggestion(name, LINE_FIELDS).unwrap_or_else(|| {
        format!("fields of the event itself stand inside `data`: \"data\":{{\"{name}\":…}}")
    });
    problem(&format!("`{name}` is no field of an event line"), &help)
}

fn help_for(error: &str) -> Option<String> {
    let help = if error.contains("missing field `recorded_by`") {
        "say who recorded it: \"recorded_by\":{\"id\":\"officer-1\",\"role\":\"caseworker\"}"
    } else if error.contains("missing field `type`") {
        "name the event type: \"type\":\"case-opened\""
    } else {
        return None;
    };
    Some(help.to_owned())
}

pub(super) fn too_long(length: usize) -> LineProblem {
    problem(
        &format!("the line is {length} bytes long; a line may have {LINE_BYTES_MAX}"),
        "keep documents elsewhere and name them in `source`",
    )
}

fn problem(problem: &str, help: &str) -> LineProblem {
    LineProblem { line: 0, case: None, problem: problem.to_owned(), help: Some(help.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: &str =
        r#"{"case":"A","type":"case-opened","workflow":"w","recorded_by":{"id":"o","role":"r"}}"#;

    #[track_caller]
    fn problem_of(text: &[u8]) -> LineProblem {
        parse_line(text, true).expect_err("the line is wrong")
    }

    #[track_caller]
    fn line_of(text: &str) -> EventLine {
        parse_line(text.as_bytes(), true).expect("the line is right").expect("the line holds an event")
    }

    #[test]
    fn a_line_is_an_event_and_its_case() {
        let line = line_of(OPENED);
        assert_eq!((line.case.as_str(), line.workflow.as_deref()), ("A", Some("w")));
        assert_eq!(line.event.event_type, "case-opened");
    }

    #[test]
    fn byte_order_marks_and_carriage_returns_are_no_part_of_a_line() {
        let text = format!("\u{feff}{OPENED}\r\n");
        assert_eq!(line_of(&text), line_of(OPENED));
    }

    #[test]
    fn an_empty_line_is_no_event() {
        assert_eq!(parse_line(b" \t\r\n", false), Ok(None));
    }

    #[test]
    fn a_list_is_refused_with_what_to_write() {
        assert!(problem_of(b"[1,2]").problem.contains("list"));
    }

    #[test]
    fn a_document_over_several_lines_is_recognised() {
        assert!(problem_of(b"[\n").help.is_some_and(|help| help.contains("jq -c")));
    }

    #[test]
    fn text_that_is_not_utf_8_names_the_byte() {
        assert!(problem_of(b"{\"case\":\"\xE9\"}").problem.starts_with("byte 10 "));
    }

    #[test]
    fn utf_16_is_recognised() {
        assert!(problem_of(b"\xFF\xFE{\0").problem.contains("UTF-16"));
    }

    #[test]
    fn a_misspelt_field_is_refused_with_the_nearest_name() {
        let problem =
            problem_of(br#"{"case":"A","type":"x","ocurred":"2021","recorded_by":{"id":"o","role":"r"}}"#);
        assert_eq!(problem.case.as_deref(), Some("A"));
        assert_eq!(problem.help.as_deref(), Some("did you mean `occurred`?"));
    }

    #[test]
    fn a_workflow_stands_on_the_opening_only() {
        let problem =
            problem_of(br#"{"case":"A","type":"x","workflow":"w","recorded_by":{"id":"o","role":"r"}}"#);
        assert!(problem.problem.contains("case-opened"));
    }

    #[test]
    fn the_instant_of_another_record_becomes_a_field() {
        let line = line_of(
            r#"{"case":"A","type":"x","recorded_at":"2020-01-01T00:00:00Z","recorded_by":{"id":"o","role":"r"}}"#,
        );
        assert_eq!(line.event.data["originally_recorded_at"], "2020-01-01T00:00:00Z");
    }

    #[test]
    fn what_an_export_adds_is_left_out() {
        let line = line_of(
            r#"{"case":"A","type":"x","version":3,"id":"i","salt":"s","recorded_by":{"id":"o","role":"r"}}"#,
        );
        assert_eq!(line.left_out, ["id", "version", "salt"]);
        assert_eq!(line.exported_id.as_deref(), Some("i"));
    }

    #[test]
    fn a_breach_that_the_engine_noted_is_its_own_note() {
        let line = line_of(
            r#"{"case":"A","type":"breach-noted","causation_id":"i","recorded_by":{"id":"o","role":"r"}}"#,
        );
        assert!(line.is_engine_note);
    }

    #[test]
    fn a_mistake_in_the_last_line_is_known_before_anything_is_recorded() {
        let mut text = format!("{OPENED}\n").repeat(40_000);
        text.push_str(r#"{"case":"A","type":"x"}"#);
        let file = read_file(text.as_bytes()).expect("it can be read");
        assert_eq!((file.problems.len(), file.problems[0].line), (1, 40_001));
        assert!(file.cases[0].has_problem);
    }

    #[test]
    fn lines_are_grouped_by_case_wherever_they_stand() {
        let other = OPENED.replace("\"A\"", "\"B\"");
        let file = read_file(format!("{OPENED}\n\n{other}\n{OPENED}\n").as_bytes()).expect("it can be read");
        let numbers =
            |index: usize| file.cases[index].lines.iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!((numbers(0), numbers(1)), (vec![1, 4], vec![3]));
    }

    #[test]
    fn a_line_beyond_the_limit_is_passed_over_without_being_held() {
        let text = format!("{{\"case\":\"{}\"}}\n{OPENED}\n", "x".repeat(LINE_BYTES_MAX));
        let file = read_file(text.as_bytes()).expect("it can be read");
        assert!(file.has_stray_problem && file.problems[0].problem.contains("bytes long"));
        assert_eq!(file.cases[0].lines[0].0, 2);
    }
}
