//! Event types, resolved: what they are about, who records them, what their payload is, what they introduce.

use super::compile::{Resolver, index};
use super::engine_events::{self, ENGINE_PART};
use super::fields::spoken;
use super::schema::Schema;
use super::source::EventSource;
use super::subject::fields_below;
use super::syntax::Text;
use super::typing::kinds_about;
use super::{EventType, EventTypeId, KindId};
use crate::case::event::engine_types;

impl Resolver<'_, '_> {
    pub(super) fn resolve_events(&mut self) {
        let source = self.source;
        let listed = source.events.iter().map(|event| event.name.value.as_str());
        let missing = engine_types::ALL
            .into_iter()
            .filter(|name| self.source.events.iter().all(|e| e.name.value != *name));
        for (at, name) in listed.chain(missing.clone()).enumerate() {
            self.definition.event_index.insert(name.to_owned(), EventTypeId(index(at)));
        }
        for event in &source.events {
            let resolved = self.event_type(event);
            self.definition.events.push(resolved);
        }
        for name in missing {
            let unlisted = self.unlisted(name);
            self.definition.events.push(unlisted);
        }
        self.resolve_introductions();
        for name in &source.always_accepted {
            if let Some(event) = self.event(name) {
                self.definition.events[event.index()].always_accepted = true;
            }
        }
        for (at, event) in source.events.iter().enumerate() {
            self.check_fields(EventTypeId(index(at)), event);
        }
    }

    fn event_type(&mut self, event: &EventSource) -> EventType {
        let names = event.scope.iter().chain(&event.optional_scope).chain(&event.introduces_or_mentions);
        if names.clone().any(|name| !self.kinds.contains_key(name.value.as_str())) {
            self.unscoped.insert(EventTypeId(index(self.definition.events.len())));
        }
        let name = event.name.value.as_str();
        let is_engine_type = engine_events::is_engine_type(name);
        let id = EventTypeId(index(self.definition.events.len()));
        let part = event.part.clone().unwrap_or_else(|| {
            if is_engine_type { ENGINE_PART.to_owned() } else { self.definition.name.clone() }
        });
        let scope_optional = if is_engine_type && name != engine_types::CASE_OPENED {
            self.all_kinds()
        } else {
            self.kinds_named(&event.optional_scope)
        };
        EventType {
            name: name.to_owned(),
            title: event.title.clone(),
            part,
            scope: self.kinds_named(&event.scope),
            scope_optional,
            record: event.record.iter().filter_map(|role| self.role(role)).collect(),
            decide: event.decide.iter().map(|body| body.value.clone()).collect(),
            rationale_required: event.rationale_required,
            schema: self.schema(id, event),
            rules: Vec::new(),
            introduces: Vec::new(),
            introduces_or_mentions: self.kinds_named(&event.introduces_or_mentions),
            amends: self.kinds_named(&event.amends),
            may_be_gap: event.gap,
            is_unsought: event.unsought,
            always_accepted: is_engine_type && name != engine_types::CASE_OPENED,
            protect: event.protect.iter().map(|field| field.value.clone()).collect(),
            basis: event.basis.clone(),
            moves: Vec::new(),
        }
    }

    /// An engine type that the definition does not list.
    fn unlisted(&self, name: &str) -> EventType {
        let is_opening = name == engine_types::CASE_OPENED;
        let schema = engine_events::schema(name).and_then(|schema| Schema::compile(schema).ok());
        EventType {
            name: name.to_owned(),
            title: spoken(name),
            part: ENGINE_PART.to_owned(),
            scope: Vec::new(),
            scope_optional: if is_opening { Vec::new() } else { self.all_kinds() },
            record: Vec::new(),
            decide: Vec::new(),
            rationale_required: false,
            schema: schema.unwrap_or_else(Schema::empty),
            rules: Vec::new(),
            introduces: Vec::new(),
            introduces_or_mentions: Vec::new(),
            amends: Vec::new(),
            may_be_gap: false,
            is_unsought: false,
            always_accepted: !is_opening,
            protect: Vec::new(),
            basis: None,
            moves: Vec::new(),
        }
    }

    fn all_kinds(&self) -> Vec<KindId> {
        (0..index(self.definition.kinds.len())).map(KindId).collect()
    }

    fn kinds_named(&mut self, names: &[Text]) -> Vec<KindId> {
        let mut kinds = Vec::new();
        for kind in names.iter().filter_map(|name| self.kind(name)) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    fn schema(&mut self, id: EventTypeId, event: &EventSource) -> Schema {
        let fixed = engine_events::schema(&event.name.value);
        if let (Some(_), Some(data)) = (&fixed, &event.data) {
            let message = format!("the engine fixes the data of `{}`", event.name.value);
            self.problems.add("bad-schema", data.place, 1, message, Some("leave `data` out".to_owned()));
        }
        let Some(schema) = fixed.or_else(|| event.data.as_ref().map(super::syntax::Node::to_json)) else {
            return Schema::empty();
        };
        Schema::compile(schema).unwrap_or_else(|problem| {
            let place = event.data.as_ref().map_or(event.name.place, |data| data.place);
            let within =
                if problem.field.is_empty() { String::new() } else { format!("`{}`: ", problem.field) };
            let message = format!("{within}{}", problem.problem);
            self.problems.add("bad-schema", place, 1, message, problem.help);
            self.unreadable.insert(id);
            Schema::empty()
        })
    }

    fn resolve_introductions(&mut self) {
        for entity in &self.source.entities {
            let Some(kind) = self.kinds.get(entity.name.value.as_str()).copied() else { continue };
            for event in self.events_named(&entity.introduced_by) {
                self.introduces(event, kind);
            }
        }
        for at in 0..index(self.definition.events.len()) {
            for kind in self.definition.events[usize::from(at)].introduces_or_mentions.clone() {
                self.introduces(EventTypeId(at), kind);
            }
        }
        for entity in &self.source.entities {
            let kind = self.kinds.get(entity.name.value.as_str());
            if kind.is_some_and(|kind| self.definition.kinds[kind.index()].introduced_by.is_empty()) {
                let message = format!("no event introduces a `{}`", entity.name.value);
                let help = Some("name the event types that do under `introduced-by`".to_owned());
                self.problems.at("nothing-introduces", &entity.name, message, help);
            }
        }
        self.leave_parents_out();
    }

    fn introduces(&mut self, event: EventTypeId, kind: KindId) {
        let introduced_by = &mut self.definition.kinds[kind.index()].introduced_by;
        if !introduced_by.contains(&event) {
            introduced_by.push(event);
        }
        let event = &mut self.definition.events[event.index()];
        if !event.introduces.contains(&kind) {
            event.introduces.push(kind);
        }
        if !event.scope.contains(&kind) && !event.scope_optional.contains(&kind) {
            event.scope.push(kind);
        }
    }

    /// A scope names a charge, and its subject comes along: unless the event introduces the subject too.
    fn leave_parents_out(&mut self) {
        let kinds = &self.definition.kinds;
        for event in &mut self.definition.events {
            let mut parents = Vec::new();
            for kind in &event.scope {
                let mut next = kinds[kind.index()].parent;
                while let Some(parent) = next.filter(|parent| !parents.contains(parent)) {
                    parents.push(parent);
                    next = kinds[parent.index()].parent;
                }
            }
            let introduces = &event.introduces;
            event.scope.retain(|kind| !parents.contains(kind) || introduces.contains(kind));
        }
    }

    /// What an event amends must be in its scope; what it protects must be in its payload.
    fn check_fields(&mut self, id: EventTypeId, event: &EventSource) {
        let about = kinds_about(&self.definition, id);
        for name in &event.amends {
            if self.kinds.get(name.value.as_str()).is_some_and(|kind| !about.contains(kind)) {
                let message =
                    format!("`{}` amends a `{}` that its scope does not name", event.name.value, name.value);
                self.problems.at("never-about", name, message, Some("name it under `scope`".to_owned()));
            }
        }
        if self.unreadable.contains(&id) {
            return;
        }
        for field in &event.protect {
            let path: Vec<String> = field.value.split('.').map(str::to_owned).collect();
            let schema = &self.definition.events[id.index()].schema;
            if schema.field(&path).is_none() {
                let known = fields_below(&schema.source, &path[..path.len() - 1]);
                let message = format!("`{}` has no field `{}`", event.name.value, field.value.escape_debug());
                let help = super::problem::suggestion(&field.value, known.iter().map(String::as_str));
                self.problems.at("unknown-name", field, message, help);
            }
        }
    }
}
