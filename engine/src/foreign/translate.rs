//! A trace as the events of a case, by a [mapping](super::mapping).

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::mapping::{ActivityMapping, Conversion, FieldMapping, From, Mapping, Meaning, RecordedBy};
use super::xes_reader::Trace;
use super::xes_value::{Attribute, attribute, boolean, integer, log_date};
use crate::case::event::{
    Asserted, Decider, Override, Payload, ProposedEvent, Recorder, Scope, Source, SourceKind, engine_types,
};
use crate::case::occurred::{Basis, Occurred};
use crate::definition::Definition;

/// The events that a trace becomes.
#[derive(Debug, Clone, Default)]
pub struct TranslatedCase {
    /// The case's reference.
    pub reference: String,
    /// The trace, from 1.
    pub trace: usize,
    /// The line on which it begins.
    pub line: usize,
    /// Its events, the opening first where the trace has none.
    pub events: Vec<TranslatedEvent>,
    /// Events whose activity the mapping ignores.
    pub ignored: usize,
    /// Events whose activity the mapping does not name.
    pub unmapped: usize,
    /// Events dated before one that stands before them in the trace.
    pub backwards: usize,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct TranslatedEvent {
    /// The line of the log.
    pub line: usize,
    /// The event's place in the trace, from 1; `None`: the trace has none, the case had to be opened.
    pub number: Option<usize>,
    /// What the log calls it.
    pub activity: String,
    /// As it would be recorded; `None`: the mapping does not know the activity.
    pub proposed: Option<ProposedEvent>,
}

/// What is wrong with a trace, or with one of its events.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LogProblem {
    /// The line of the log.
    pub line: usize,
    /// The trace, from 1.
    pub trace: usize,
    /// The event of it, from 1.
    pub event: Option<usize>,
    /// The case, where that could be told.
    pub case: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub help: Option<String>,
}

/// Activities, with their lifecycle transitions, that a mapping does not name: and how many events each has.
pub type Unmapped = BTreeMap<(String, Option<String>), usize>;

/// A log's activities and values become events and fields.
#[derive(Debug)]
pub struct Translator<'m> {
    mapping: &'m Mapping,
    definition: &'m Definition,
    /// Activities that the mapping does not name.
    pub unmapped: Unmapped,
    references: HashSet<String>,
}

impl<'m> Translator<'m> {
    /// A translator of one log.
    #[must_use]
    pub fn new(mapping: &'m Mapping, definition: &'m Definition) -> Self {
        Self { mapping, definition, unmapped: Unmapped::new(), references: HashSet::new() }
    }

    /// Translates the next trace of the log. Activities that the mapping does not name are counted, and stand in the
    /// answer without an event.
    ///
    /// # Errors
    /// Everything that is wrong with the trace: a missing name, a date that is none, a value that does not fit, a
    /// reference that an earlier trace has.
    pub fn translate(&mut self, trace: &Trace) -> Result<TranslatedCase, Vec<LogProblem>> {
        let mut problems = Vec::new();
        let mut case = TranslatedCase { trace: trace.number, line: trace.line, ..TranslatedCase::default() };
        match attribute(&trace.attributes, &self.mapping.reference_key) {
            Some(found) if !found.value.trim().is_empty() => {
                case.reference = format!("{}{}", self.mapping.prefix, found.value.trim());
                if !self.references.insert(case.reference.clone()) {
                    let help = "a case is one trace: join them, or name by `case: { reference: KEY }` an attribute that tells them apart";
                    problems.push(problem_of(
                        trace,
                        None,
                        format!("an earlier trace has the reference {} too", case.reference),
                        Some(help),
                    ));
                }
            }
            _ => {
                let key = &self.mapping.reference_key;
                let help = "name another attribute of the traces under `case: { reference: KEY }`";
                problems.push(problem_of(
                    trace,
                    None,
                    format!("the trace has no `{key}`, which names its case"),
                    Some(help),
                ));
            }
        }
        let mut latest: Option<jiff::Timestamp> = None;
        for (index, event) in trace.events.iter().enumerate() {
            let mut one = OneEvent { translator: self, trace, index, problems: &mut problems };
            let translated = one.translate(&event.attributes);
            match translated {
                Some(Translated::Event(event)) => {
                    let occurred = event.proposed.as_ref().and_then(|event| event.occurred.as_ref());
                    if let Some(at) = occurred.and_then(Occurred::instant) {
                        case.backwards += usize::from(latest.is_some_and(|latest| at < latest));
                        latest = latest.max(Some(at));
                    }
                    case.unmapped += usize::from(event.proposed.is_none());
                    case.events.push(*event);
                }
                Some(Translated::Ignored) => case.ignored += 1,
                None => {}
            }
        }
        self.open(trace, &mut case, &mut problems);
        if problems.is_empty() {
            Ok(case)
        } else {
            let reference = (!case.reference.is_empty()).then_some(case.reference);
            problems.iter_mut().for_each(|problem| problem.case.clone_from(&reference));
            Err(problems)
        }
    }

    /// A trace that has no event of the opening of its case gets one: no later than the first day of the trace.
    fn open(&self, trace: &Trace, case: &mut TranslatedCase, problems: &mut Vec<LogProblem>) {
        let is_opening = |event: &TranslatedEvent| {
            event.proposed.as_ref().is_some_and(|event| event.event_type == engine_types::CASE_OPENED)
        };
        if case.events.iter().any(is_opening) {
            return;
        }
        let mut values = Values { trace, event: None, problems, line: trace.line };
        let recorded_by = Recorder {
            id: values.otherwise(&self.mapping.recorded_by),
            role: values.role(&self.mapping.recorded_by),
        };
        let mut opening = ProposedEvent::new(engine_types::CASE_OPENED, recorded_by);
        opening.data = if self.mapping.is_by_name {
            by_prefix(&trace.attributes, "data.", None)
        } else {
            values.payload(&self.mapping.case_data)
        };
        opening.asserted = Asserted::Inferred;
        opening.source = Some(Source { kind: SourceKind::System, reference: None });
        let dates =
            trace.events.iter().filter_map(|event| attribute(&event.attributes, &self.mapping.time_key));
        let first = dates.filter_map(|date| log_date(&date.value).ok()).map(|date| date.day).min();
        opening.occurred = first
            .and_then(|day| Occurred::parse(&format!("../{day}")).ok())
            .map(|date| date.with_basis(Basis::Inferred));
        let opening = TranslatedEvent {
            line: trace.line,
            number: None,
            activity: String::new(),
            proposed: Some(opening),
        };
        case.events.insert(0, opening);
    }
}

enum Translated {
    Event(Box<TranslatedEvent>),
    Ignored,
}

struct OneEvent<'t, 'm, 'p> {
    translator: &'t mut Translator<'m>,
    trace: &'t Trace,
    index: usize,
    problems: &'p mut Vec<LogProblem>,
}

impl OneEvent<'_, '_, '_> {
    fn translate(&mut self, attributes: &[Attribute]) -> Option<Translated> {
        let mapping = self.translator.mapping;
        let line = self.trace.events[self.index].line;
        let number = self.index + 1;
        let Some(activity) = attribute(attributes, &mapping.activity_key).map(|found| found.value.as_str())
        else {
            let key = &mapping.activity_key;
            let help = "every event needs the attribute that says what was done; another is named by `activity: KEY` in the mapping";
            self.problems.push(problem_of(
                self.trace,
                Some(self.index),
                format!("the event has no `{key}`"),
                Some(help),
            ));
            return None;
        };
        let lifecycle = attribute(attributes, &mapping.lifecycle_key).map(|found| found.value.as_str());
        let proposed = if mapping.is_by_name {
            let is_known = self.translator.definition.event(activity).is_some();
            is_known.then(|| self.by_name(activity, attributes))
        } else {
            match mapping.meaning(activity, lifecycle) {
                Some(Meaning::Ignored) => return Some(Translated::Ignored),
                Some(Meaning::Mapped(entry)) => Some(self.mapped(&mapping.activities[entry], attributes)),
                None if mapping.leaves_out_unmapped => {
                    self.count(activity, lifecycle);
                    return Some(Translated::Ignored);
                }
                None => None,
            }
        };
        if proposed.is_none() {
            self.count(activity, lifecycle);
        }
        let proposed = proposed.map(|mut event| {
            event.occurred = self.occurred(attributes);
            let reference = attribute(attributes, "identity:id").map(|id| id.value.clone());
            event.source = Some(Source { kind: SourceKind::System, reference });
            event
        });
        Some(Translated::Event(Box::new(TranslatedEvent {
            line,
            number: Some(number),
            activity: activity.to_owned(),
            proposed,
        })))
    }

    fn count(&mut self, activity: &str, lifecycle: Option<&str>) {
        let key = (activity.to_owned(), lifecycle.map(str::to_owned));
        *self.translator.unmapped.entry(key).or_default() += 1;
    }

    fn values(&mut self) -> Values<'_> {
        Values {
            trace: self.trace,
            event: Some(self.index),
            line: self.trace.events[self.index].line,
            problems: self.problems,
        }
    }

    fn mapped(&mut self, entry: &ActivityMapping, _attributes: &[Attribute]) -> ProposedEvent {
        let by = entry.recorded_by.as_ref().unwrap_or(&self.translator.mapping.recorded_by);
        let mut values = self.values();
        let recorded_by = values.recorder(by);
        let mut event = ProposedEvent::new(&entry.event_type, recorded_by);
        event.scope = values.scope(&entry.scope);
        event.data = values.payload(&entry.data);
        event.decided_by = entry.decided_by.as_ref().and_then(|(body, id)| {
            let body = values.text(body)?;
            Some(Decider { body, id: id.as_ref().and_then(|id| values.text(id)), role: None })
        });
        event.rationale = entry.rationale.as_ref().and_then(|why| values.text(why));
        event.override_given = entry.override_given.as_ref().and_then(|(authority, reason)| {
            let authority = values.text(authority)?;
            Some(Override {
                authority,
                reason: values.text(reason).unwrap_or_else(|| "none is given in the log".to_owned()),
            })
        });
        event
    }

    fn by_name(&mut self, activity: &str, attributes: &[Attribute]) -> ProposedEvent {
        let text = |key: &str| attribute(attributes, key).map(|found| found.value.clone());
        let recorded_by = Recorder {
            id: text("org:resource").unwrap_or_else(|| "unknown".to_owned()),
            role: text("org:role").unwrap_or_else(|| "unknown".to_owned()),
        };
        let mut event = ProposedEvent::new(activity, recorded_by);
        event.scope = attributes
            .iter()
            .filter_map(|one| Some((one.key.strip_prefix("scope.")?.to_owned(), one.value.clone())))
            .collect();
        let definition = self.translator.definition;
        event.data = by_prefix(
            attributes,
            "data.",
            definition.event(activity).map(|id| &definition.event_type(id).schema),
        );
        event.override_given = text("override.authority")
            .map(|authority| Override { authority, reason: text("override.reason").unwrap_or_default() });
        event
    }

    fn occurred(&mut self, attributes: &[Attribute]) -> Option<Occurred> {
        let mapping = self.translator.mapping;
        // An export of cases carries each date as it is known.
        if mapping.is_by_name
            && let Some(edtf) = attribute(attributes, "edtf")
            && let Ok(date) = Occurred::parse(&edtf.value)
        {
            return Some(date);
        }
        let date = attribute(attributes, &mapping.time_key)?;
        match log_date(&date.value) {
            Ok(read) => Some(read.occurred(mapping.with_time, &mapping.zone, &date.value)),
            Err(problem) => {
                let problem = format!("`{}`: {problem}", mapping.time_key);
                self.problems.push(problem_of(self.trace, Some(self.index), problem, None));
                None
            }
        }
    }
}

/// Attributes whose keys begin so, as a payload; dots in a key lead into objects.
fn by_prefix(
    attributes: &[Attribute],
    prefix: &str,
    schema: Option<&crate::definition::schema::Schema>,
) -> Payload {
    let mut data = Payload::new();
    for one in attributes {
        let Some(path) = one.key.strip_prefix(prefix) else { continue };
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if schema.is_some_and(|schema| schema.field(&path).is_none()) {
            continue;
        }
        let value = match one.kind.name() {
            "int" => integer(&one.value).unwrap_or_else(|_| Value::from(one.value.as_str())),
            "boolean" => boolean(&one.value).unwrap_or_else(|_| Value::from(one.value.as_str())),
            _ => Value::from(one.value.as_str()),
        };
        insert(&mut data, &path, value);
    }
    data
}

fn insert(data: &mut Payload, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            data.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            if let Value::Object(inner) =
                data.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()))
            {
                insert(inner, rest, value);
            }
        }
    }
}

/// Finds values in a trace and one of its events, and converts them.
struct Values<'t> {
    trace: &'t Trace,
    event: Option<usize>,
    line: usize,
    problems: &'t mut Vec<LogProblem>,
}

impl Values<'_> {
    fn found(&mut self, mapping: &FieldMapping) -> Option<Value> {
        let attribute = match &mapping.from {
            From::Constant(value) => return Some(value.clone()),
            From::Trace(key) => attribute(&self.trace.attributes, key)?,
            From::Event(key) => attribute(&self.trace.events[self.event?].attributes, key)?,
        };
        match converted(&attribute.value, &mapping.conversion) {
            Ok(value) => Some(value),
            Err((problem, help)) => {
                let problem = format!("`{}`, for `{}`: {problem}", attribute.key, mapping.field);
                self.problems.push(LogProblem {
                    line: self.line,
                    ..problem_of(self.trace, self.event, problem, help.as_deref())
                });
                None
            }
        }
    }

    fn text(&mut self, mapping: &FieldMapping) -> Option<String> {
        let value = self.found(mapping)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (!text.is_empty()).then_some(text)
    }

    fn payload(&mut self, mappings: &[FieldMapping]) -> Payload {
        mappings.iter().filter_map(|one| Some((one.field.clone(), self.found(one)?))).collect()
    }

    fn scope(&mut self, mappings: &[FieldMapping]) -> Scope {
        mappings.iter().filter_map(|one| Some((one.field.clone(), self.text(one)?))).collect()
    }

    fn recorder(&mut self, by: &RecordedBy) -> Recorder {
        let id = by.id.as_ref().and_then(|id| self.text(id));
        Recorder { id: id.unwrap_or_else(|| self.otherwise(by)), role: self.role(by) }
    }

    fn otherwise(&mut self, by: &RecordedBy) -> String {
        if let Some(otherwise) = &by.otherwise {
            return otherwise.clone();
        }
        if self.event.is_some() {
            let problem = "the log does not say who recorded the event".to_owned();
            let help = "give an id for such events under `recorded-by: { otherwise: ID }`";
            self.problems.push(problem_of(self.trace, self.event, problem, Some(help)));
        }
        "unknown".to_owned()
    }

    fn role(&mut self, by: &RecordedBy) -> String {
        if let Some(role) = self.text(&by.role) {
            return role;
        }
        if self.event.is_some() {
            let problem = "the log does not say in which role the event was recorded".to_owned();
            let help = "name one role for all: `recorded-by: { role: ROLE }`";
            self.problems.push(problem_of(self.trace, self.event, problem, Some(help)));
        }
        "unknown".to_owned()
    }
}

/// A value, or what is wrong with it and what to do.
fn converted(written: &str, conversion: &Conversion) -> Result<Value, (String, Option<String>)> {
    let plain = |problem| (problem, None);
    match conversion {
        Conversion::Text => Ok(Value::from(written)),
        Conversion::Integer => integer(written).map_err(plain),
        Conversion::Boolean => boolean(written).map_err(plain),
        Conversion::Day => log_date(written).map(|date| Value::from(date.day.to_string())).map_err(plain),
        Conversion::Values(values) => {
            let found = values.iter().find(|(known, _)| known == written).map(|(_, value)| value.clone());
            found.ok_or_else(|| {
                let shown: String = written.chars().take(60).collect();
                let problem = format!("the mapping has no value for `{}`", shown.escape_debug());
                (problem, Some("add it under `values`".to_owned()))
            })
        }
    }
}

fn problem_of(trace: &Trace, event: Option<usize>, problem: String, help: Option<&str>) -> LogProblem {
    let line = event.and_then(|event| trace.events.get(event)).map_or(trace.line, |event| event.line);
    LogProblem {
        line,
        trace: trace.number,
        event: event.map(|event| event + 1),
        case: None,
        problem,
        help: help.map(str::to_owned),
    }
}
