//! Conditions, checked: what a path leads to, such as `charge.last('plea-entered').data.plea`.

use std::ops::Range;

use serde_json::Value;

use super::condition::{EntityRef, Expr};
use super::grammar::{Form, Syntax};
use super::schema::{Field, FieldKind};
use super::typing::{Checker, Finding, Sort, Typed, mismatch, unknown, written};
use super::{EventTypeId, KindId};
use crate::case::event::engine_types;

/// What a path has led to.
pub(super) enum Subject {
    Event,
    EventRecorder,
    EventDecider,
    EventData(Vec<String>),
    Entity(EntityRef, Option<KindId>),
    EntityData(EntityRef, Option<KindId>, Vec<String>),
    Children(EntityRef, KindId),
    Last(EntityRef, EventTypeId),
    LastRecorder(EntityRef, EventTypeId),
    LastDecider(EntityRef, EventTypeId),
    LastData(EntityRef, EventTypeId, Vec<String>),
    Value(Typed),
}

impl Checker<'_, '_> {
    pub(super) fn subject(&mut self, syntax: &Syntax) -> Result<Subject, Finding> {
        match &syntax.form {
            Form::Name(name) => self.root(name, &syntax.span),
            Form::Field(of, field, at) => {
                let of = self.subject(of)?;
                self.field(of, field, at)
            }
            Form::Call(None, function, at, arguments) => {
                self.function(function, at, arguments).map(Subject::Value)
            }
            Form::Call(Some(of), function, at, arguments) => {
                let target = self.subject(of)?;
                self.method(target, function, at, arguments)
            }
            _ => self.value(syntax).map(Subject::Value),
        }
    }

    pub(super) fn root(&self, name: &str, span: &Range<usize>) -> Result<Subject, Finding> {
        if let Some(slot) = self.variables.iter().rposition(|(variable, _)| variable == name) {
            let reference = EntityRef::Variable(u8::try_from(slot).unwrap_or(u8::MAX));
            return Ok(Subject::Entity(reference, Some(self.variables[slot].1)));
        }
        match name {
            "case" => return Ok(Subject::Entity(EntityRef::Case, None)),
            "event" if self.scene.event.is_some() => return Ok(Subject::Event),
            "event" => {
                let message = "a derived strand is computed from the case alone: there is no `event`";
                return Err(unknown(span, message.to_owned(), name, []));
            }
            _ => {}
        }
        let kinds = &self.definition().kinds;
        let in_scene = |kind: &KindId| written(&kinds[kind.index()].name) == name;
        if let Some(kind) = self.scene.kinds.iter().copied().find(in_scene) {
            return Ok(Subject::Entity(EntityRef::InScope(kind), Some(kind)));
        }
        if kinds.iter().any(|kind| written(&kind.name) == name) {
            let message = format!("no `{name}` is given here: the scope does not name one");
            return Err(unknown(span, message, "", []));
        }
        let names: Vec<String> =
            self.scene.kinds.iter().map(|kind| written(&kinds[kind.index()].name)).collect();
        let known = names.iter().map(String::as_str).chain(["case"]).chain(self.scene.event.map(|_| "event"));
        Err(unknown(span, format!("`{name}` is not known here"), name, known))
    }

    pub(super) fn field(&self, of: Subject, field: &str, at: &Range<usize>) -> Result<Subject, Finding> {
        let event = self.scene.event;
        let known: &[&str] = match (of, field) {
            (Subject::Event, "data") => return Ok(Subject::EventData(Vec::new())),
            (Subject::Event, "occurred") => return Ok(value(Expr::EventOccurred, Sort::Date)),
            (Subject::Event, "recorded_by") => return Ok(Subject::EventRecorder),
            (Subject::Event, "decided_by") => return Ok(Subject::EventDecider),
            (Subject::Event, _) => &["data", "occurred", "recorded_by", "decided_by"],
            (Subject::EventRecorder, "role") => return Ok(value(Expr::EventRecorderRole, Sort::Role)),
            (Subject::EventRecorder, "id") => return Ok(value(Expr::EventRecorderId, Sort::Text)),
            (Subject::EventRecorder, _) | (Subject::LastRecorder(..), _)
                if !matches!(field, "role" | "id") =>
            {
                &["role", "id"]
            }
            (Subject::EventDecider, "body") => {
                let event = event.unwrap_or(EventTypeId(0));
                self.decided(event, at)?;
                return Ok(value(Expr::EventDeciderBody, Sort::Body(event)));
            }
            (Subject::EventDecider | Subject::LastDecider(..), other) if other != "body" => &["body"],
            (Subject::EventData(path), _) => {
                return self.deeper(event, path, field, at).map(Subject::EventData);
            }
            (Subject::Entity(of, kind), _) => return self.entity_member(of, kind, field, at),
            (Subject::EntityData(of, kind, mut path), _) => {
                path.push(field.to_owned());
                self.entity_field_exists(kind, &path, at)?;
                return Ok(Subject::EntityData(of, kind, path));
            }
            (Subject::Last(of, event), "data") => return Ok(Subject::LastData(of, event, Vec::new())),
            (Subject::Last(of, event), "occurred") => {
                return Ok(value(Expr::LastOccurred(of, event), Sort::Date));
            }
            (Subject::Last(of, event), "recorded_by") => return Ok(Subject::LastRecorder(of, event)),
            (Subject::Last(of, event), "decided_by") => return Ok(Subject::LastDecider(of, event)),
            (Subject::Last(..), _) => &["data", "occurred", "recorded_by", "decided_by"],
            (Subject::LastRecorder(of, event), "role") => {
                return Ok(value(Expr::LastRecorderRole(of, event), Sort::Role));
            }
            (Subject::LastRecorder(of, event), _) => {
                return Ok(value(Expr::LastRecorderId(of, event), Sort::Text));
            }
            (Subject::LastDecider(of, event), _) => {
                self.decided(event, at)?;
                return Ok(value(Expr::LastDeciderBody(of, event), Sort::Body(event)));
            }
            (Subject::LastData(of, event, path), _) => {
                let path = self.deeper(Some(event), path, field, at)?;
                return Ok(Subject::LastData(of, event, path));
            }
            _ => &[],
        };
        Err(unknown(at, format!("there is no `{field}` here"), field, known.iter().copied()))
    }

    pub(super) fn decided(&self, event: EventTypeId, at: &Range<usize>) -> Result<(), Finding> {
        let event = self.definition().event_type(event);
        if event.decide.is_empty() {
            let message = format!("`{}` is nobody's decision: its `decide` names no body", event.name);
            return Err(mismatch(at, message, Some("list the bodies under `decide`")));
        }
        Ok(())
    }

    pub(super) fn entity_member(
        &self,
        of: EntityRef,
        kind: Option<KindId>,
        field: &str,
        at: &Range<usize>,
    ) -> Result<Subject, Finding> {
        match field {
            "id" => return Ok(value(Expr::EntityId(of), Sort::Text)),
            "data" => return Ok(Subject::EntityData(of, kind, Vec::new())),
            _ => {}
        }
        let kinds = &self.definition().kinds;
        let below: Vec<(KindId, String)> = (0_u16..)
            .zip(kinds)
            .filter(|(_, child)| kind.is_none() || child.parent == kind)
            .map(|(id, child)| (KindId(id), written(&child.plural)))
            .collect();
        if let Some((child, _)) = below.iter().find(|(_, plural)| plural == field) {
            return Ok(Subject::Children(of, *child));
        }
        let functions = ["state", "overlay", "happened", "last", "count"];
        if functions.contains(&field) {
            let help = Some("write the name in it, such as happened('…')");
            return Err(mismatch(at, format!("`{field}` is a function"), help));
        }
        let known = below.iter().map(|(_, plural)| plural.as_str()).chain(["id", "data"]).chain(functions);
        Err(unknown(at, format!("there is no `{field}` here"), field, known))
    }

    pub(super) fn deeper(
        &self,
        event: Option<EventTypeId>,
        mut path: Vec<String>,
        field: &str,
        at: &Range<usize>,
    ) -> Result<Vec<String>, Finding> {
        path.push(field.to_owned());
        if self.event_field(event, &path).is_some() {
            return Ok(path);
        }
        let event = event.map(|event| self.definition().event_type(event));
        let name = event.map_or("", |event| event.name.as_str());
        let fields = event.map(|event| fields_below(&event.schema.source, &path[..path.len() - 1]));
        let message = format!("`{name}` has no field `{}`", path.join("."));
        Err(unknown(at, message, field, fields.iter().flatten().map(String::as_str)))
    }

    pub(super) fn entity_field_exists(
        &self,
        kind: Option<KindId>,
        path: &[String],
        at: &Range<usize>,
    ) -> Result<(), Finding> {
        if self.entity_field(kind, path).is_some() {
            return Ok(());
        }
        let (field, above) = path.split_last().map_or(("", path), |(last, above)| (last.as_str(), above));
        let known: Vec<String> = self
            .shaping(kind)
            .flat_map(|event| fields_below(&self.definition().event_type(event).schema.source, above))
            .collect();
        let name = kind.map_or("case", |kind| self.definition().kinds[kind.index()].name.as_str());
        let message = format!(
            "a {name} has no field `{}`: no event that introduces or amends it gives one",
            path.join(".")
        );
        Err(unknown(at, message, field, known.iter().map(String::as_str)))
    }

    /// The event types that give an entity its data.
    pub(super) fn shaping(&self, kind: Option<KindId>) -> impl Iterator<Item = EventTypeId> {
        let events = &self.definition().events;
        (0_u16..)
            .zip(events)
            .filter(move |(_, event)| match kind {
                Some(kind) => event.introduces.contains(&kind) || event.amends.contains(&kind),
                None => event.name == engine_types::CASE_OPENED,
            })
            .map(|(id, _)| EventTypeId(id))
    }

    pub(super) fn event_field(&self, event: Option<EventTypeId>, path: &[String]) -> Option<Field> {
        let event = event?;
        if self.scene.unreadable.contains(&event) {
            return Some(Field { kind: FieldKind::Any, enumeration: None, required: true, format: None });
        }
        self.definition().event_type(event).schema.field(path)
    }

    /// A field of an entity: what all events that give it say together.
    pub(super) fn entity_field(&self, kind: Option<KindId>, path: &[String]) -> Option<Field> {
        let mut found: Option<Field> = None;
        let mut everywhere = true;
        for event in self.shaping(kind) {
            let introduces =
                kind.is_none_or(|kind| self.definition().event_type(event).introduces.contains(&kind));
            let Some(field) = self.event_field(Some(event), path) else {
                everywhere &= !introduces;
                continue;
            };
            everywhere &= !introduces || field.required;
            found = Some(match found {
                None => field,
                Some(known) => Field {
                    kind: if known.kind == field.kind { known.kind } else { FieldKind::Any },
                    enumeration: both(known.enumeration, field.enumeration),
                    required: true,
                    format: if known.format == field.format { field.format } else { None },
                },
            });
        }
        let introduced =
            kind.is_none_or(|kind| !self.definition().kinds[kind.index()].introduced_by.is_empty());
        found.map(|field| Field { required: everywhere && introduced, ..field })
    }

    pub(super) fn finished(&self, subject: Subject, span: &Range<usize>) -> Result<Typed, Finding> {
        let (expr, field) = match subject {
            Subject::Value(typed) => return Ok(typed),
            Subject::Last(of, event) => return Ok(Typed::new(Expr::Last(of, event), Sort::Last)),
            Subject::EventData(path) if !path.is_empty() => {
                let field = self.event_field(self.scene.event, &path);
                (Expr::EventData(path), field)
            }
            Subject::LastData(of, event, path) if !path.is_empty() => {
                let field = self.event_field(Some(event), &path);
                (Expr::LastData(of, event, path), field)
            }
            Subject::EntityData(of, kind, path) if !path.is_empty() => {
                let field = self.entity_field(kind, &path);
                (Expr::EntityData(of, path), field)
            }
            Subject::Children(..) => {
                let help = Some("ask it with .exists(x, …) or .all(x, …), or count it with size(…)");
                return Err(mismatch(span, "this is a list of entities, not a value", help));
            }
            _ => {
                let help = Some("name one of its fields");
                return Err(mismatch(span, "this is not a value by itself", help));
            }
        };
        let field =
            field.unwrap_or(Field { kind: FieldKind::Any, enumeration: None, required: false, format: None });
        let sort = match field.kind {
            FieldKind::Text => Sort::Text,
            FieldKind::Integer => Sort::Integer,
            FieldKind::Boolean => Sort::Boolean,
            FieldKind::List => Sort::List,
            FieldKind::Object => Sort::Object,
            FieldKind::Any => Sort::Any,
        };
        Ok(Typed { expr, sort, values: field.enumeration })
    }
}

pub(super) fn value(expr: Expr, sort: Sort) -> Subject {
    Subject::Value(Typed::new(expr, sort))
}

fn both(a: Option<Vec<Value>>, b: Option<Vec<Value>>) -> Option<Vec<Value>> {
    let (mut a, b) = (a?, b?);
    let new: Vec<Value> = b.into_iter().filter(|value| !a.contains(value)).collect();
    a.extend(new);
    Some(a)
}

/// The names of the fields of an object inside a schema.
pub(crate) fn fields_below(schema: &Value, path: &[String]) -> Vec<String> {
    let object = path.iter().try_fold(schema, |schema, field| schema.get("properties")?.get(field));
    let properties = object.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}
