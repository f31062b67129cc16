//! Logs in OCEL 2.0 (JSON), for object-centric process mining: entities become objects, scopes become relations.
//!
//! What happened is [told](super::told). Each case is an object too, of type `case`. Events are written in one pass over the
//! cases and objects in a second one, so that nothing is held but the names of types and their attributes, which stand at
//! the end.
//!
//! | OCEL | |
//! |---|---|
//! | object | the case (its reference, with `case:` before it), and each entity: `REFERENCE/KIND:ID` |
//! | attribute of an object | its data; and for each strand of it the state, with a value for every time at which it changed |
//! | relation between objects | an entity to its parent, qualified `of` |
//! | event | its id, its type, the instant that stands for when it happened |
//! | relation of an event | to the case, qualified `case`, and to each entity that it names, qualified by the kind |
//!
//! Types are declared for each name once; where values of two types meet under one name, it is declared a string.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::serialised_name;
use super::told::{ToldCase, ToldEntity, ToldEvent};

/// The type of the objects that are cases. An entity kind of the same name is told apart by the ids.
const CASE: &str = "case";

/// Type, attribute, and the type of its values.
type Attributes = BTreeMap<String, BTreeMap<String, &'static str>>;

/// The first half of a log: events, case by case.
pub struct Events<W: io::Write> {
    writer: W,
    is_begun: bool,
    event_types: Attributes,
}

/// The second half of a log: objects, case by case.
pub struct Objects<W: io::Write> {
    writer: W,
    is_begun: bool,
    event_types: Attributes,
    object_types: Attributes,
}

#[derive(Serialize)]
struct Attribute {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    value: Value,
}

impl<W: io::Write> Events<W> {
    /// A log with its head written.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut writer: W) -> io::Result<Self> {
        writer.write_all(b"{\"events\":[")?;
        Ok(Self { writer, is_begun: false, event_types: Attributes::new() })
    }

    /// Adds the events of a case, and answers how many.
    ///
    /// # Errors
    /// When writing fails.
    pub fn add(&mut self, case: &ToldCase) -> io::Result<usize> {
        for event in &case.events {
            let attributes = event_attributes(event);
            declare(self.event_types.entry(event.name.clone()).or_default(), &attributes);
            let mut relationships = vec![json!({"objectId": case_object(case), "qualifier": CASE})];
            for (kind, id) in event.event.scope() {
                relationships.push(json!({"objectId": entity_object(case, kind, id), "qualifier": kind}));
            }
            let written = json!({
                "id": event.event.recorded.id,
                "type": event.name,
                "time": utc(event.time),
                "attributes": attributes,
                "relationships": relationships,
            });
            separate(&mut self.writer, &mut self.is_begun)?;
            serde_json::to_writer(&mut self.writer, &written)?;
        }
        Ok(case.events.len())
    }

    /// Goes on to the objects.
    ///
    /// # Errors
    /// When writing fails.
    pub fn then_objects(mut self) -> io::Result<Objects<W>> {
        self.writer.write_all(b"\n],\n\"objects\":[")?;
        Ok(Objects {
            writer: self.writer,
            is_begun: false,
            event_types: self.event_types,
            object_types: Attributes::new(),
        })
    }
}

impl<W: io::Write> Objects<W> {
    /// Adds the objects of a case: itself and its entities.
    ///
    /// # Errors
    /// When writing fails.
    pub fn add(&mut self, case: &ToldCase) -> io::Result<()> {
        let begun = case.events.first().map(|event| event.time);
        let mut attributes = vec![
            attribute("reference", begun, Value::from(case.reference.as_str())),
            attribute("workflow", begun, Value::from(case.workflow.as_str())),
        ];
        attributes.extend(states(case, None, begun));
        self.object(&case_object(case), CASE, attributes, Vec::new())?;
        for entity in &case.entities {
            self.entity(case, entity)?;
        }
        Ok(())
    }

    fn entity(&mut self, case: &ToldCase, entity: &ToldEntity) -> io::Result<()> {
        let owner = (entity.kind.clone(), entity.id.clone());
        let is_of = |event: &&ToldEvent| event.event.scope().get(&entity.kind) == Some(&entity.id);
        let begun = case.events.iter().find(is_of).or(case.events.first()).map(|event| event.time);
        let mut attributes = Vec::new();
        for (field, value) in &entity.data {
            flat(field, value, &mut |name, value| attributes.push(attribute(name, begun, value)));
        }
        attributes.extend(states(case, Some(&owner), begun));
        let parent = match &entity.parent {
            Some((kind, id)) => entity_object(case, kind, id),
            None => case_object(case),
        };
        let relationships = vec![json!({"objectId": parent, "qualifier": "of"})];
        self.object(&entity_object(case, &entity.kind, &entity.id), &entity.kind, attributes, relationships)
    }

    fn object(
        &mut self,
        id: &str,
        object_type: &str,
        attributes: Vec<Attribute>,
        relationships: Vec<Value>,
    ) -> io::Result<()> {
        declare(self.object_types.entry(object_type.to_owned()).or_default(), &attributes);
        let written =
            json!({"id": id, "type": object_type, "attributes": attributes, "relationships": relationships});
        separate(&mut self.writer, &mut self.is_begun)?;
        serde_json::to_writer(&mut self.writer, &written)?;
        Ok(())
    }

    /// Ends the log with its types.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> io::Result<()> {
        self.writer.write_all(b"\n],\n\"eventTypes\":")?;
        serde_json::to_writer(&mut self.writer, &types(&self.event_types))?;
        self.writer.write_all(b",\n\"objectTypes\":")?;
        serde_json::to_writer(&mut self.writer, &types(&self.object_types))?;
        self.writer.write_all(b"}\n")?;
        self.writer.flush()
    }
}

fn case_object(case: &ToldCase) -> String {
    format!("case:{}", case.reference)
}

fn entity_object(case: &ToldCase, kind: &str, id: &str) -> String {
    format!("{}/{kind}:{id}", case.reference)
}

fn event_attributes(told: &ToldEvent) -> Vec<Attribute> {
    let event = &told.event;
    let said = &event.recorded.proposed;
    let mut attributes = Vec::new();
    let mut add = |name: &str, value: Option<Value>| {
        attributes.extend(value.map(|value| Attribute { name: name.to_owned(), time: None, value }));
    };
    let text = |text: Option<&str>| text.map(Value::from);
    add("time_basis", Some(Value::from(told.basis.name())));
    add("edtf", text(event.occurred().edtf()));
    add("occurred_text", text(event.occurred().text.as_deref()));
    add("recorded_by", text(Some(&said.recorded_by.id)));
    add("role", text(Some(&said.recorded_by.role)));
    add("decided_by", text(event.facts().decider_body));
    add("version", Some(Value::from(event.recorded.version.0)));
    add("position", Some(Value::from(told.position.0)));
    add("recorded_at", Some(Value::from(utc(event.recorded.recorded_at))));
    add("asserted", Some(Value::from(serialised_name(&said.asserted))));
    add("gap", Some(Value::from(event.is_gap())));
    add("source_kind", said.source.as_ref().map(|source| Value::from(serialised_name(&source.kind))));
    add("source_ref", text(said.source.as_ref().and_then(|source| source.reference.as_deref())));
    add("rationale", text(said.rationale.as_deref()));
    add("override_authority", text(said.override_given.as_ref().map(|given| given.authority.as_str())));
    add("override_reason", text(said.override_given.as_ref().map(|given| given.reason.as_str())));
    for (field, value) in event.data() {
        flat(&format!("data.{field}"), value, &mut |name, value| {
            attributes.push(Attribute { name: name.to_owned(), time: None, value });
        });
    }
    attributes
}

/// The states of the strands of one entity (`None`: the case) over time, from the instant at which it is first there; one
/// value for each instant, the last.
fn states(case: &ToldCase, owner: Option<&(String, String)>, begun: Option<Timestamp>) -> Vec<Attribute> {
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut put = |strand: &str, time: Option<Timestamp>, state: Option<&str>, is_first: bool| {
        let name = format!("state.{strand}");
        if is_first && attributes.iter().any(|known| known.name == name) {
            return;
        }
        let Some(state) = state else { return };
        let own = attribute(&name, time, Value::from(state));
        match attributes.iter_mut().find(|known| known.name == name && known.time == own.time) {
            Some(known) => known.value = own.value,
            None => attributes.push(own),
        }
    };
    for event in &case.events {
        for moved in event.moves.iter().filter(|moved| moved.entity.as_ref() == owner) {
            put(&moved.strand, begun, moved.from.as_deref(), true);
            if moved.from != moved.to {
                put(&moved.strand, Some(event.time), moved.to.as_deref(), false);
            }
        }
    }
    // What no event has moved stands where it began.
    for at in case.now.iter().filter(|at| at.entity.as_ref() == owner) {
        put(&at.strand, begun, at.to.as_deref(), true);
    }
    attributes
}

fn attribute(name: &str, time: Option<Timestamp>, value: Value) -> Attribute {
    Attribute { name: name.to_owned(), time: Some(utc(time.unwrap_or_default())), value }
}

/// The parts of a field that are no list or object themselves: OCEL has no others.
fn flat(name: &str, value: &Value, take: &mut impl FnMut(&str, Value)) {
    match value {
        Value::Null => {}
        Value::Array(list) => {
            for (index, part) in list.iter().enumerate() {
                flat(&format!("{name}.{index}"), part, take);
            }
        }
        Value::Object(fields) => {
            for (field, part) in fields {
                flat(&format!("{name}.{field}"), part, take);
            }
        }
        single => take(name, single.clone()),
    }
}

fn declare(declared: &mut BTreeMap<String, &'static str>, attributes: &[Attribute]) {
    for attribute in attributes {
        let own = match attribute.value {
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            _ if attribute.name == "recorded_at" => "time",
            _ => "string",
        };
        declared
            .entry(attribute.name.clone())
            .and_modify(|known| *known = if *known == own { own } else { "string" })
            .or_insert(own);
    }
}

fn types(types: &Attributes) -> Value {
    let attributes = |attributes: &BTreeMap<String, &str>| {
        attributes.iter().map(|(name, of)| json!({"name": name, "type": of})).collect::<Vec<_>>()
    };
    types.iter().map(|(name, declared)| json!({"name": name, "attributes": attributes(declared)})).collect()
}

fn separate(writer: &mut impl io::Write, is_begun: &mut bool) -> io::Result<()> {
    writer.write_all(if *is_begun { b",\n" } else { b"\n" })?;
    *is_begun = true;
    Ok(())
}

fn utc(at: Timestamp) -> String {
    format!("{at:.6}")
}
