//! What conditions speak of: the events, strands and field values that can change their answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::condition::{Condition, EntityRef, Expr};
use super::deadline::Deadline;
use super::{Definition, DerivedId, EventTypeId, KindId, Rule, StrandId};

/// Everything that one or more conditions mention.
#[derive(Debug, Clone, Default)]
pub struct Mentions {
    /// Event types of which they ask whether, how often, or how last they happened.
    pub events: BTreeSet<EventTypeId>,
    /// Strands whose state or overlays they read.
    pub strands: BTreeSet<StrandId>,
    /// Derived strands that they read.
    pub derived: BTreeSet<DerivedId>,
    /// Kinds of which they read the data, or how many there are.
    pub kinds: BTreeSet<KindId>,
    /// Values with which they compare a field of an event type: (type, field).
    pub event_values: BTreeMap<(EventTypeId, String), Vec<Value>>,
    /// Values with which they compare a field of an entity: (kind, field).
    pub entity_values: BTreeMap<(KindId, String), Vec<Value>>,
}

/// A field that a comparison reads.
enum FieldRead {
    Event(EventTypeId, String),
    Entity(KindId, String),
}

impl Mentions {
    /// Whether nothing but the event itself is mentioned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.strands.is_empty()
            && self.derived.is_empty()
            && self.kinds.is_empty()
            && self.entity_values.is_empty()
    }

    /// Adds what other conditions mention.
    pub fn join(&mut self, other: Self) {
        self.events.extend(other.events);
        self.strands.extend(other.strands);
        self.derived.extend(other.derived);
        self.kinds.extend(other.kinds);
        for (read, values) in other.event_values {
            self.event_values.entry(read).or_default().extend(values);
        }
        for (read, values) in other.entity_values {
            self.entity_values.entry(read).or_default().extend(values);
        }
    }

    /// Adds what a rule of this event type mentions.
    pub fn of_rule(&mut self, event_type: EventTypeId, rule: &Rule) {
        for condition in rule.when.iter().chain([&rule.require]) {
            self.of_condition(Some(event_type), condition);
        }
        if let Some(dated) = &rule.dated {
            self.events.insert(dated.pinned_by);
        }
    }

    /// Adds what a condition mentions; `event_type` is the type that `event` stands for.
    pub fn of_condition(&mut self, event_type: Option<EventTypeId>, condition: &Condition) {
        for (_, part) in &condition.parts {
            self.walk(event_type, part, &mut Vec::new());
        }
    }

    /// Adds what a deadline waits for, and what its conditions mention.
    pub fn of_deadline(&mut self, deadline: &Deadline) {
        self.events.extend(deadline.events());
        for condition in deadline.when.iter().chain(&deadline.paused_while) {
            self.of_condition(None, condition);
        }
    }

    /// Adds what derived strands read, until nothing new comes.
    pub fn follow_derived(&mut self, definition: &Definition) {
        let mut done = BTreeSet::new();
        while let Some(next) = self.derived.iter().copied().find(|derived| !done.contains(derived)) {
            done.insert(next);
            for condition in &definition.derived[next.index()].conditions {
                self.of_condition(None, condition);
            }
        }
    }

    fn walk(&mut self, event_type: Option<EventTypeId>, expr: &Expr, variables: &mut Vec<KindId>) {
        match expr {
            Expr::Not(inner) | Expr::Has(inner) | Expr::Size(inner) => {
                self.walk(event_type, inner, variables);
            }
            Expr::And(parts) | Expr::Or(parts) | Expr::List(parts) => {
                for part in parts {
                    self.walk(event_type, part, variables);
                }
            }
            Expr::Compare(_, left, right) => {
                self.compared(event_type, left, right, variables);
                self.compared(event_type, right, left, variables);
                self.walk(event_type, left, variables);
                self.walk(event_type, right, variables);
            }
            Expr::In(left, right) => {
                self.compared(event_type, left, right, variables);
                self.walk(event_type, left, variables);
                self.walk(event_type, right, variables);
            }
            Expr::DefinitelyBefore(left, right) | Expr::PossiblyBefore(left, right) => {
                self.walk(event_type, left, variables);
                self.walk(event_type, right, variables);
            }
            Expr::Quantified { kind, slot, body, .. } => {
                self.kinds.insert(*kind);
                variables.resize(usize::from(*slot), *kind);
                variables.push(*kind);
                self.walk(event_type, body, variables);
                variables.truncate(usize::from(*slot));
            }
            Expr::Children(_, kind) => _ = self.kinds.insert(*kind),
            Expr::EntityData(entity, _) => {
                if let Some(kind) = kind_of(*entity, variables) {
                    self.kinds.insert(kind);
                }
            }
            Expr::State(_, strand) | Expr::Overlay(_, strand, _) => _ = self.strands.insert(*strand),
            Expr::Derived(_, derived) => _ = self.derived.insert(*derived),
            Expr::Happened(_, event)
            | Expr::Count(_, event)
            | Expr::Last(_, event)
            | Expr::LastData(_, event, _)
            | Expr::LastOccurred(_, event)
            | Expr::LastDeciderBody(_, event)
            | Expr::LastRecorderId(_, event)
            | Expr::LastRecorderRole(_, event) => _ = self.events.insert(*event),
            Expr::Literal(_)
            | Expr::Date(_)
            | Expr::EventData(_)
            | Expr::EventOccurred
            | Expr::EventRecorderRole
            | Expr::EventRecorderId
            | Expr::EventDeciderBody
            | Expr::EntityId(_)
            | Expr::StateName(_) => {}
        }
    }

    fn compared(
        &mut self,
        event_type: Option<EventTypeId>,
        field: &Expr,
        values: &Expr,
        variables: &[KindId],
    ) {
        let read = match field {
            Expr::EventData(path) => event_type.map(|event| FieldRead::Event(event, path.join("."))),
            Expr::LastData(_, event, path) => Some(FieldRead::Event(*event, path.join("."))),
            Expr::EntityData(entity, path) => {
                kind_of(*entity, variables).map(|kind| FieldRead::Entity(kind, path.join(".")))
            }
            _ => None,
        };
        let Some(read) = read else { return };
        let known = match read {
            FieldRead::Event(event, name) => self.event_values.entry((event, name)).or_default(),
            FieldRead::Entity(kind, name) => self.entity_values.entry((kind, name)).or_default(),
        };
        let list = if let Expr::List(list) = values { list.as_slice() } else { std::slice::from_ref(values) };
        for value in list {
            if let Expr::Literal(value) = value
                && !known.contains(value)
            {
                known.push(value.clone());
            }
        }
    }
}

impl Condition {
    /// Whether a part of it fails that asks only about the event itself: nothing that happens before can change that.
    #[must_use]
    pub fn fails_by_the_event_alone(&self, facts: &dyn super::condition::Facts) -> bool {
        self.parts.iter().any(|(text, part)| {
            let alone = Self { source: text.clone(), parts: vec![(text.clone(), part.clone())] };
            let mut mentions = Mentions::default();
            mentions.of_condition(None, &alone);
            mentions.is_empty()
                && !asks_about_dates(part)
                && alone.evaluate(facts) == super::condition::Truth::False
        })
    }

    /// Whether it asks about nothing but the event itself.
    #[must_use]
    pub fn asks_the_event_alone(&self) -> bool {
        let mut mentions = Mentions::default();
        mentions.of_condition(None, self);
        mentions.is_empty() && !self.mentions_dates()
    }

    /// Whether it asks about an order in time.
    #[must_use]
    pub fn mentions_dates(&self) -> bool {
        self.parts.iter().any(|(_, part)| asks_about_dates(part))
    }
}

fn asks_about_dates(expr: &Expr) -> bool {
    match expr {
        Expr::DefinitelyBefore(..) | Expr::PossiblyBefore(..) => true,
        Expr::Not(inner) | Expr::Has(inner) | Expr::Size(inner) => asks_about_dates(inner),
        Expr::And(parts) | Expr::Or(parts) | Expr::List(parts) => parts.iter().any(asks_about_dates),
        Expr::Compare(_, left, right) | Expr::In(left, right) => {
            asks_about_dates(left) || asks_about_dates(right)
        }
        Expr::Quantified { body, .. } => asks_about_dates(body),
        _ => false,
    }
}

fn kind_of(entity: EntityRef, variables: &[KindId]) -> Option<KindId> {
    match entity {
        EntityRef::Case => None,
        EntityRef::InScope(kind) => Some(kind),
        EntityRef::Variable(slot) => variables.get(usize::from(slot)).copied(),
    }
}
