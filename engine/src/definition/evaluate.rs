//! What a condition says of a case, in three-valued logic.
//!
//! Of known values the answer is CEL's. A value that is not known makes a comparison unknown; `&&`, `||`, `!`,
//! `exists` and `all` follow Kleene: `false && unknown` is false, `true || unknown` is true. Where several unknowns
//! meet, the cause is the weightiest: a missing fact before an undecided order, and that before an open question.

use std::cmp::Ordering;

use serde_json::Value;

use super::condition::{
    Cause, Comparison, Condition, EntityId, EntityRef, EventFacts, Expr, Facts, Quantifier, Truth,
};
use super::{DerivedId, StateId, StrandId};
use crate::case::occurred::{Bounds, Day, Occurred, Order};

/// What stands in a field that was asked for and not answered.
pub const NOT_STATED: &str = "not-stated";

impl Condition {
    /// Whether it holds.
    #[must_use]
    pub fn evaluate(&self, facts: &dyn Facts) -> Truth {
        let mut subject = Evaluation::of(facts);
        all(self.parts.iter(), |(_, part)| subject.truth(part))
    }
}

/// The variables of quantifiers, by slot: as deep as a condition can nest.
const SLOTS: usize = super::grammar::CONDITION_DEPTH_MAX;

/// A condition being evaluated.
pub(super) struct Evaluation<'f> {
    pub(super) facts: &'f dyn Facts,
    variables: [EntityId; SLOTS],
}

/// A value on the way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(&'a str),
    Json(&'a Value),
    State(Option<StateId>),
    Day(Day),
    Occurred(&'a Occurred),
    /// An event: only whether there is one.
    Event,
    Unknown(Cause),
}

impl<'a> From<&'a Value> for Reading<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Boolean(*value),
            Value::String(text) => Self::Text(text),
            Value::Number(number) => number.as_i64().map_or(Self::Json(value), Self::Integer),
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }
}

impl From<Truth> for Reading<'_> {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::True => Self::Boolean(true),
            Truth::False => Self::Boolean(false),
            Truth::Unknown(cause) => Self::Unknown(cause),
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl Truth {
    /// Kleene's `!`.
    #[must_use]
    pub const fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown(cause) => Self::Unknown(cause),
        }
    }

    /// Kleene's `&&`.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::Unknown(a), Self::Unknown(b)) => Self::Unknown(a.weightier(b)),
            (Self::Unknown(cause), Self::True) | (Self::True, Self::Unknown(cause)) => Self::Unknown(cause),
            (Self::True, Self::True) => Self::True,
        }
    }

    /// Kleene's `||`.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl Cause {
    /// The one that is told where both are at work: missing, then order, then open.
    #[must_use]
    pub const fn weightier(self, other: Self) -> Self {
        match (self, other) {
            (Self::Missing, _) | (_, Self::Missing) => Self::Missing,
            (Self::Order, _) | (_, Self::Order) => Self::Order,
            (Self::Open, Self::Open) => Self::Open,
        }
    }
}

/// `&&` over all: stops at the first that is false.
fn all<T>(items: impl IntoIterator<Item = T>, mut truth: impl FnMut(T) -> Truth) -> Truth {
    let mut whole = Truth::True;
    for item in items {
        whole = whole.and(truth(item));
        if whole == Truth::False {
            break;
        }
    }
    whole
}

/// `||` over all: stops at the first that is true.
fn any<T>(items: impl IntoIterator<Item = T>, mut truth: impl FnMut(T) -> Truth) -> Truth {
    all(items, |item| truth(item).not()).not()
}

impl<'f> Evaluation<'f> {
    pub(super) fn of(facts: &'f dyn Facts) -> Self {
        Self { facts, variables: [EntityId::CASE; SLOTS] }
    }

    pub(super) fn truth(&mut self, expr: &Expr) -> Truth {
        match expr {
            Expr::Not(inner) => self.truth(inner).not(),
            Expr::And(parts) => all(parts, |part| self.truth(part)),
            Expr::Or(parts) => any(parts, |part| self.truth(part)),
            Expr::Compare(comparison, left, right) => self.compare(*comparison, left, right),
            Expr::In(item, list) => self.contains(item, list),
            Expr::Has(reading) => self.has(reading),
            Expr::Quantified { quantifier, of, kind, slot, body } => {
                let Some(of) = self.entity(*of) else { return Truth::Unknown(Cause::Missing) };
                let children = self.facts.children(of, *kind);
                match quantifier {
                    Quantifier::Exists => any(children, |child| self.with(*slot, child).truth(body)),
                    Quantifier::All => all(children, |child| self.with(*slot, child).truth(body)),
                }
            }
            Expr::DefinitelyBefore(a, b) => self.before(a, b, true),
            Expr::PossiblyBefore(a, b) => self.before(a, b, false),
            expr => match self.reading(expr) {
                Reading::Boolean(holds) => holds.into(),
                Reading::Unknown(cause) => Truth::Unknown(cause),
                // The payload is not of the type that its schema promises: nothing can be said of it.
                _ => Truth::Unknown(Cause::Missing),
            },
        }
    }

    /// The same evaluation with a variable set.
    pub(super) fn with(&mut self, slot: u8, entity: EntityId) -> &mut Self {
        if let Some(variable) = self.variables.get_mut(usize::from(slot)) {
            *variable = entity;
        }
        self
    }

    /// The entity spoken of; `None` where the event's optional scope does not name it.
    pub(super) fn entity(&self, of: EntityRef) -> Option<EntityId> {
        match of {
            EntityRef::Case => Some(EntityId::CASE),
            EntityRef::InScope(kind) => self.facts.in_scope(kind),
            EntityRef::Variable(slot) => self.variables.get(usize::from(slot)).copied(),
        }
    }

    fn about<'r>(&self, of: EntityRef, read: impl FnOnce(EntityId) -> Reading<'r>) -> Reading<'r> {
        self.entity(of).map_or(Reading::Unknown(Cause::Missing), read)
    }

    /// The value of an expression.
    pub(super) fn reading<'e>(&mut self, expr: &'e Expr) -> Reading<'e>
    where
        'f: 'e,
    {
        let facts = self.facts;
        match expr {
            Expr::Literal(value) => value.into(),
            Expr::Date(day) => Reading::Day(*day),
            Expr::StateName(state) => Reading::State(Some(*state)),
            Expr::EventData(path) => self.event(|event| event_field(&event, path)),
            Expr::EventOccurred => self.event(occurred),
            Expr::EventRecorderRole => self.event(|event| named(&event, event.recorder_role)),
            Expr::EventRecorderId => self.event(|event| named(&event, event.recorder_id)),
            Expr::EventDeciderBody => self.event(|event| named(&event, event.decider_body)),
            Expr::EntityId(of) => self.about(*of, |entity| Reading::Text(facts.id(entity))),
            Expr::EntityData(of, path) => self.about(*of, |entity| {
                let (data, absent) = facts.entity_data(entity);
                field(data, path).unwrap_or(Reading::Unknown(absent.unwrap_or(Cause::Missing)))
            }),
            Expr::State(of, strand) => self.state(*of, *strand),
            Expr::Derived(of, strand) => self.derived(*of, *strand),
            Expr::Overlay(of, strand, overlay) => {
                self.about(*of, |entity| Reading::Boolean(facts.overlay(entity, *strand, *overlay)))
            }
            Expr::Happened(of, event) => {
                self.about(*of, |entity| Reading::Boolean(facts.count(entity, *event) > 0))
            }
            Expr::Count(of, event) => self.about(*of, |entity| {
                Reading::Integer(i64::try_from(facts.count(entity, *event)).unwrap_or(i64::MAX))
            }),
            Expr::Last(of, event) => self.about(*of, |entity| match facts.last(entity, *event) {
                Some(_) => Reading::Event,
                None => Reading::Null,
            }),
            Expr::LastData(of, event, path) => self.last(*of, *event, |last| event_field(&last, path)),
            Expr::LastOccurred(of, event) => self.last(*of, *event, occurred),
            Expr::LastDeciderBody(of, event) => {
                self.last(*of, *event, |last| named(&last, last.decider_body))
            }
            Expr::LastRecorderId(of, event) => self.last(*of, *event, |last| named(&last, last.recorder_id)),
            Expr::LastRecorderRole(of, event) => {
                self.last(*of, *event, |last| named(&last, last.recorder_role))
            }
            Expr::Size(list) => self.size(list),
            // Lists stand only inside `size`, `in` and quantifiers, which read them themselves.
            Expr::List(_) | Expr::Children(..) => Reading::Unknown(Cause::Missing),
            Expr::Not(_)
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Compare(..)
            | Expr::In(..)
            | Expr::Has(_)
            | Expr::Quantified { .. }
            | Expr::DefinitelyBefore(..)
            | Expr::PossiblyBefore(..) => self.truth(expr).into(),
        }
    }

    fn state<'r>(&self, of: EntityRef, strand: StrandId) -> Reading<'r> {
        self.about(of, |entity| Reading::State(self.facts.state(entity, strand)))
    }

    fn derived<'r>(&self, of: EntityRef, strand: DerivedId) -> Reading<'r> {
        self.about(of, |entity| Reading::State(self.facts.derived(entity, strand)))
    }

    fn event<'r>(&self, read: impl FnOnce(EventFacts<'f>) -> Reading<'r>) -> Reading<'r>
    where
        'f: 'r,
    {
        self.facts.event().map_or(Reading::Unknown(Cause::Missing), read)
    }

    /// Of the last event of a type; missing where none happened.
    fn last<'r>(
        &self,
        of: EntityRef,
        event: super::EventTypeId,
        read: impl FnOnce(EventFacts<'f>) -> Reading<'r>,
    ) -> Reading<'r>
    where
        'f: 'r,
    {
        let last = self.entity(of).and_then(|entity| self.facts.last(entity, event));
        last.map_or(Reading::Unknown(Cause::Missing), read)
    }

    fn size<'r>(&mut self, list: &Expr) -> Reading<'r> {
        let length = match list {
            Expr::Children(of, kind) => match self.entity(*of) {
                Some(of) => self.facts.children(of, *kind).len(),
                None => return Reading::Unknown(Cause::Missing),
            },
            Expr::List(items) => items.len(),
            list => match self.reading(list) {
                Reading::Json(Value::Array(items)) => items.len(),
                Reading::Unknown(cause) => return Reading::Unknown(cause),
                _ => return Reading::Unknown(Cause::Missing),
            },
        };
        Reading::Integer(i64::try_from(length).unwrap_or(i64::MAX))
    }

    fn has(&mut self, reading: &Expr) -> Truth {
        let event = match reading {
            Expr::EventData(path) => self.facts.event().map(|event| present(event.data, path, event.absent)),
            Expr::LastData(of, event, path) => match self.entity(*of) {
                None => None,
                Some(entity) => match self.facts.last(entity, *event) {
                    // No such event: so it has no field either.
                    None => Some(Truth::False),
                    Some(last) => Some(present(last.data, path, last.absent)),
                },
            },
            Expr::EntityData(of, path) => self.entity(*of).map(|entity| {
                let (data, absent) = self.facts.entity_data(entity);
                present(data, path, absent)
            }),
            Expr::EventDeciderBody => self.facts.event().map(|event| said(&event, event.decider_body)),
            Expr::LastDeciderBody(of, event) => self.last_says(*of, *event, |last| last.decider_body),
            Expr::LastRecorderId(of, event) => self.last_says(*of, *event, |last| last.recorder_id),
            Expr::LastRecorderRole(of, event) => self.last_says(*of, *event, |last| last.recorder_role),
            _ => None,
        };
        event.unwrap_or(Truth::Unknown(Cause::Missing))
    }

    fn last_says(
        &self,
        of: EntityRef,
        event: super::EventTypeId,
        name: impl FnOnce(&EventFacts<'f>) -> Option<&'f str>,
    ) -> Option<Truth> {
        let last = self.facts.last(self.entity(of)?, event);
        Some(last.map_or(Truth::False, |last| said(&last, name(&last))))
    }

    fn compare(&mut self, comparison: Comparison, left: &Expr, right: &Expr) -> Truth {
        let (a, b) = (self.reading(left), self.reading(right));
        if is_not_stated(&a, left, right) || is_not_stated(&b, right, left) {
            return Truth::Unknown(Cause::Missing);
        }
        compare(comparison, a, b)
    }

    fn contains(&mut self, item: &Expr, list: &Expr) -> Truth {
        match list {
            Expr::List(items) => any(items, |other| self.compare(Comparison::Equal, item, other)),
            list => {
                let (wanted, values) = (self.reading(item), self.reading(list));
                match (wanted, values) {
                    (Reading::Unknown(a), Reading::Unknown(b)) => Truth::Unknown(a.weightier(b)),
                    (Reading::Unknown(cause), _) | (_, Reading::Unknown(cause)) => Truth::Unknown(cause),
                    (_, _) if is_not_stated(&wanted, item, list) => Truth::Unknown(Cause::Missing),
                    (wanted, Reading::Json(Value::Array(values))) => {
                        any(values, |value| compare(Comparison::Equal, wanted, value.into()))
                    }
                    _ => Truth::Unknown(Cause::Missing),
                }
            }
        }
    }

    fn before(&mut self, a: &Expr, b: &Expr, definitely: bool) -> Truth {
        let order = match (self.reading(a), self.reading(b)) {
            (Reading::Unknown(a), Reading::Unknown(b)) => return Truth::Unknown(a.weightier(b)),
            (Reading::Unknown(cause), _) | (_, Reading::Unknown(cause)) => return Truth::Unknown(cause),
            (Reading::Occurred(a), Reading::Occurred(b)) => a.order(b),
            (Reading::Day(a), Reading::Occurred(b)) => order_of_days(on(a), b.bounds()),
            (Reading::Occurred(a), Reading::Day(b)) => order_of_days(a.bounds(), on(b)),
            (Reading::Day(a), Reading::Day(b)) => order_of_days(on(a), on(b)),
            _ => return Truth::Unknown(Cause::Missing),
        };
        match (order, definitely) {
            (Order::Before, _) | (Order::Indeterminate, false) => Truth::True,
            (Order::After, _) => Truth::False,
            (Order::Indeterminate, true) => Truth::Unknown(Cause::Order),
        }
    }
}

fn on(day: Day) -> Bounds {
    Bounds { earliest: Some(day), latest: Some(day) }
}

/// A constant is a whole day: what happened on that day is not before it.
fn order_of_days(a: Bounds, b: Bounds) -> Order {
    match (a.earliest, a.latest, b.earliest, b.latest) {
        (_, Some(a), Some(b), _) if a < b => Order::Before,
        (Some(a), _, _, Some(b)) if a >= b => Order::After,
        _ => Order::Indeterminate,
    }
}

/// A path through objects.
fn at<'a>(data: &'a serde_json::Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(data.get(first)?, |value, field| value.get(field))
}

fn field<'a>(data: &'a serde_json::Map<String, Value>, path: &[String]) -> Option<Reading<'a>> {
    at(data, path).map(Reading::from)
}

fn event_field<'a>(event: &EventFacts<'a>, path: &[String]) -> Reading<'a> {
    field(event.data, path).unwrap_or(Reading::Unknown(event.absent.unwrap_or(Cause::Missing)))
}

fn occurred(event: EventFacts<'_>) -> Reading<'_> {
    // An event that is not written yet may still be given any date.
    if event.absent == Some(Cause::Open) && event.occurred.edtf().is_none() {
        return Reading::Unknown(Cause::Open);
    }
    Reading::Occurred(event.occurred)
}

fn named<'a>(event: &EventFacts<'a>, name: Option<&'a str>) -> Reading<'a> {
    name.map_or(Reading::Unknown(event.absent.unwrap_or(Cause::Missing)), Reading::Text)
}

fn present(data: &serde_json::Map<String, Value>, path: &[String], absent: Option<Cause>) -> Truth {
    match (at(data, path), absent) {
        (Some(_), _) => Truth::True,
        (None, None) => Truth::False,
        (None, Some(cause)) => Truth::Unknown(cause),
    }
}

fn said(event: &EventFacts<'_>, name: Option<&str>) -> Truth {
    match (name, event.absent) {
        (Some(_), _) => Truth::True,
        (None, None) => Truth::False,
        (None, Some(cause)) => Truth::Unknown(cause),
    }
}

/// Whether a fact says `not-stated` and is compared with something else than that very word.
fn is_not_stated(reading: &Reading<'_>, fact: &Expr, other: &Expr) -> bool {
    let is_the_word = |expr: &Expr| matches!(expr, Expr::Literal(Value::String(text)) if text == NOT_STATED);
    matches!(reading, Reading::Text(NOT_STATED)) && !is_the_word(fact) && !is_the_word(other)
}

fn compare(comparison: Comparison, a: Reading<'_>, b: Reading<'_>) -> Truth {
    match (a, b) {
        (Reading::Unknown(a), Reading::Unknown(b)) => return Truth::Unknown(a.weightier(b)),
        (Reading::Unknown(cause), _) | (_, Reading::Unknown(cause)) => return Truth::Unknown(cause),
        _ => {}
    }
    match comparison {
        Comparison::Equal => equal(a, b).into(),
        Comparison::NotEqual => (!equal(a, b)).into(),
        Comparison::Less => ordered(a, b, |order| order == Ordering::Less),
        Comparison::LessOrEqual => ordered(a, b, |order| order != Ordering::Greater),
        Comparison::Greater => ordered(a, b, |order| order == Ordering::Greater),
        Comparison::GreaterOrEqual => ordered(a, b, |order| order != Ordering::Less),
    }
}

fn equal(a: Reading<'_>, b: Reading<'_>) -> bool {
    match (a, b) {
        (Reading::Null, Reading::Null | Reading::State(None)) | (Reading::State(None), Reading::Null) => true,
        (Reading::Boolean(a), Reading::Boolean(b)) => a == b,
        (Reading::Integer(a), Reading::Integer(b)) => a == b,
        (Reading::Text(a), Reading::Text(b)) => a == b,
        (Reading::State(a), Reading::State(b)) => a == b,
        (Reading::Json(Value::Number(_)), _) | (_, Reading::Json(Value::Number(_))) => {
            number(a).zip(number(b)).is_some_and(|(a, b)| a == b)
        }
        (Reading::Json(a), Reading::Json(b)) => a == b,
        _ => false,
    }
}

fn ordered(a: Reading<'_>, b: Reading<'_>, holds: impl Fn(Ordering) -> bool) -> Truth {
    let order = match (a, b) {
        (Reading::Integer(a), Reading::Integer(b)) => Some(a.cmp(&b)),
        (Reading::Text(a), Reading::Text(b)) => Some(a.cmp(b)),
        (a, b) => number(a).zip(number(b)).and_then(|(a, b)| a.partial_cmp(&b)),
    };
    // Values without a common order: their type is not what the schema promises, so nothing can be said.
    order.map_or(Truth::Unknown(Cause::Missing), |order| holds(order).into())
}

#[expect(clippy::cast_precision_loss, reason = "only beside a number that is not whole")]
fn number(reading: Reading<'_>) -> Option<f64> {
    match reading {
        Reading::Integer(value) => Some(value as f64),
        Reading::Json(Value::Number(number)) => number.as_f64(),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;
    use crate::definition::compile::tests::{compiled, sample};
    use crate::definition::typing::{self, Scene};
    use crate::definition::{Definition, EventTypeId, KindId, OverlayId};

    /// A case as the tests need it.
    pub(crate) struct Stub {
        pub(crate) event: Option<StubEvent>,
        /// The case itself first.
        pub(crate) entities: Vec<StubEntity>,
        pub(crate) scope: HashMap<KindId, EntityId>,
        pub(crate) states: HashMap<(EntityId, StrandId), StateId>,
        pub(crate) overlays: HashSet<(EntityId, OverlayId)>,
        pub(crate) past: HashMap<(EntityId, EventTypeId), Vec<StubEvent>>,
    }

    /// Id, kind, parent and data.
    pub(crate) type StubEntity = (String, Option<KindId>, usize, Map<String, Value>);

    #[derive(Default)]
    pub(crate) struct StubEvent {
        pub(crate) data: Map<String, Value>,
        pub(crate) absent: Option<Cause>,
        pub(crate) occurred: Occurred,
        pub(crate) decider: Option<String>,
    }

    impl StubEvent {
        pub(crate) fn new(data: Value, occurred: &str) -> Self {
            let occurred =
                if occurred.is_empty() { Occurred::unknown() } else { Occurred::parse(occurred).unwrap() };
            Self { data: data.as_object().unwrap().clone(), absent: None, occurred, decider: None }
        }

        fn facts(&self) -> EventFacts<'_> {
            EventFacts {
                data: &self.data,
                absent: self.absent,
                occurred: &self.occurred,
                recorder_role: Some("caseworker"),
                recorder_id: Some("officer-1"),
                decider_body: self.decider.as_deref(),
            }
        }
    }

    impl Facts for Stub {
        fn in_scope(&self, kind: KindId) -> Option<EntityId> {
            self.scope.get(&kind).copied()
        }
        fn children(&self, of: EntityId, kind: KindId) -> Vec<EntityId> {
            let entities = (0_u32..).zip(&self.entities).skip(1);
            let fits = |parent: usize| of == EntityId::CASE || parent == of.0 as usize;
            entities.filter(|(_, e)| e.1 == Some(kind) && fits(e.2)).map(|(at, _)| EntityId(at)).collect()
        }
        fn id(&self, entity: EntityId) -> &str {
            &self.entities[entity.0 as usize].0
        }
        fn entity_data(&self, entity: EntityId) -> (&Map<String, Value>, Option<Cause>) {
            (&self.entities[entity.0 as usize].3, None)
        }
        fn state(&self, entity: EntityId, strand: StrandId) -> Option<StateId> {
            self.states.get(&(entity, strand)).copied()
        }
        fn derived(&self, _: EntityId, _: DerivedId) -> Option<StateId> {
            Some(StateId(0))
        }
        fn overlay(&self, entity: EntityId, _: StrandId, overlay: OverlayId) -> bool {
            self.overlays.contains(&(entity, overlay))
        }
        fn count(&self, entity: EntityId, event: EventTypeId) -> u64 {
            self.past.get(&(entity, event)).map_or(0, |past| past.len() as u64)
        }
        fn last(&self, entity: EntityId, event: EventTypeId) -> Option<EventFacts<'_>> {
            self.past.get(&(entity, event))?.last().map(StubEvent::facts)
        }
        fn event(&self) -> Option<EventFacts<'_>> {
            self.event.as_ref().map(StubEvent::facts)
        }
    }

    /// SUB-1 with the charges C1 (convicted) and C2 (sent), a plea on C1, and a sentence on C1 proposed.
    pub(crate) fn stub(definition: &Definition) -> Stub {
        let (subject, charge) = (definition.kind("subject").unwrap(), definition.kind("charge").unwrap());
        let strand = definition.strand("charge").unwrap();
        let state = |name: &str| definition.strands[strand.index()].state(name).unwrap();
        let plea = definition.event("plea-entered").unwrap();
        let data = |value: Value| value.as_object().unwrap().clone();
        let (one, two) = (EntityId(2), EntityId(3));
        Stub {
            event: Some(StubEvent::new(json!({ "disposal": "custody" }), "2023-10-04")),
            entities: vec![
                (String::new(), None, 0, Map::new()),
                ("SUB-1".to_owned(), Some(subject), 0, data(json!({ "rank": "not-stated" }))),
                ("C1".to_owned(), Some(charge), 1, data(json!({ "offence": "theft" }))),
                ("C2".to_owned(), Some(charge), 1, data(json!({ "offence": "fraud" }))),
            ],
            scope: HashMap::from([(subject, EntityId(1)), (charge, one)]),
            states: HashMap::from([((one, strand), state("convicted")), ((two, strand), state("sent"))]),
            overlays: HashSet::from([(one, OverlayId(0))]),
            past: HashMap::from([(
                (one, plea),
                vec![StubEvent::new(json!({ "plea": "guilty" }), "2023-05")],
            )]),
        }
    }

    #[track_caller]
    pub(crate) fn condition(definition: &Definition, source: &str, event: Option<&str>) -> Condition {
        let event = event.map(|name| definition.event(name).unwrap());
        let kinds = event.map(|event| typing::kinds_about(definition, event)).unwrap_or_default();
        let unreadable = HashSet::new();
        let scene = Scene { definition, event, kinds, unreadable: &unreadable };
        typing::check(source, &scene, &[]).unwrap_or_else(|findings| panic!("{source}: {findings:?}"))
    }

    #[track_caller]
    fn check_on(stub: &Stub, definition: &Definition, source: &str, expected: Truth) {
        let condition = condition(definition, source, Some("sentence-passed"));
        assert_eq!(condition.evaluate(stub), expected, "{source}");
    }

    #[track_caller]
    fn check(source: &str, expected: Truth) {
        let definition = sample();
        check_on(&stub(&definition), &definition, source, expected);
    }

    const MISSING: Truth = Truth::Unknown(Cause::Missing);
    const ORDER: Truth = Truth::Unknown(Cause::Order);
    const OPEN: Truth = Truth::Unknown(Cause::Open);

    #[test]
    fn known_facts_are_compared() {
        check("charge.state('charge') == 'convicted'", Truth::True);
        check("charge.state('charge') != 'sent'", Truth::True);
        check("charge.state('charge') in ['sent', 'authorised']", Truth::False);
        check("case.state('case') == null", Truth::True);
        check("event.data.disposal in ['custody', 'fine']", Truth::True);
        check("charge.happened('plea-entered') && !charge.happened('appeal-lodged')", Truth::True);
        check("charge.count('plea-entered') == 1", Truth::True);
        check("charge.last('appeal-lodged') == null", Truth::True);
        check(
            "charge.last('plea-entered') != null && charge.last('plea-entered').data.plea == 'guilty'",
            Truth::True,
        );
        check("charge.overlay('appeal-pending')", Truth::True);
        check("event.recorded_by.role == 'caseworker' && event.recorded_by.id == 'officer-1'", Truth::True);
        check("charge.id == 'C1' && subject.id == 'SUB-1'", Truth::True);
        check("charge.data.offence == 'theft'", Truth::True);
        check("size(subject.charges) == 2 && size(case.subjects) == 1", Truth::True);
        check("subject.state('criminal') == 'before-court'", Truth::True);
    }

    #[test]
    fn quantifiers_ask_each_child() {
        check("subject.charges.exists(c, c.state('charge') == 'sent')", Truth::True);
        check("subject.charges.all(c, c.state('charge') == 'sent')", Truth::False);
        check("case.subjects.all(s, s.charges.exists(c, c.id == 'C2' && s.id == 'SUB-1'))", Truth::True);
        check("case.charges.all(c, c.id != charge.id)", Truth::False);
        let definition = sample();
        let mut empty = stub(&definition);
        empty.entities.truncate(2);
        check_on(&empty, &definition, "subject.charges.exists(c, c.id == 'C1')", Truth::False);
        check_on(&empty, &definition, "subject.charges.all(c, c.id == 'C1')", Truth::True);
    }

    #[test]
    fn what_is_missing_is_unknown_and_not_false() {
        check("event.decided_by.body == 'court'", MISSING);
        check("has(event.decided_by.body)", Truth::False);
        check("has(event.data.months) && event.data.months > 3", Truth::False);
        check("has(charge.last('appeal-lodged').recorded_by.id)", Truth::False);
        let definition = sample();
        let mut gap = stub(&definition);
        gap.event.as_mut().unwrap().absent = Some(Cause::Missing);
        check_on(&gap, &definition, "has(event.data.months)", MISSING);
        check_on(&gap, &definition, "has(event.data.disposal)", Truth::True);
        gap.event.as_mut().unwrap().absent = Some(Cause::Open);
        check_on(&gap, &definition, "has(event.data.months)", OPEN);
        check_on(&gap, &definition, "event.decided_by.body == 'court'", OPEN);
        gap.scope.clear();
        check_on(&gap, &definition, "charge.happened('plea-entered')", MISSING);
    }

    #[test]
    fn not_stated_is_known_only_as_such() {
        check("has(subject.data.rank) && subject.data.rank == 'constable'", MISSING);
        check("has(subject.data.rank) && subject.data.rank != 'constable'", MISSING);
        check("has(subject.data.rank) && subject.data.rank == 'not-stated'", Truth::True);
        check("has(subject.data.rank) && subject.data.rank in ['constable', 'not-stated']", Truth::True);
        check("has(subject.data.rank) && subject.data.rank in ['constable', 'sergeant']", MISSING);
    }

    #[test]
    fn dates_answer_three_ways() {
        check("definitely_before(charge.last('plea-entered').occurred, event.occurred)", Truth::True);
        check("definitely_before(event.occurred, charge.last('plea-entered').occurred)", Truth::False);
        check("possibly_before(event.occurred, charge.last('plea-entered').occurred)", Truth::False);
        check("definitely_before(charge.last('plea-entered').occurred, date('2023-05-15'))", ORDER);
        check("possibly_before(charge.last('plea-entered').occurred, date('2023-05-15'))", Truth::True);
        check("definitely_before(charge.last('appeal-lodged').occurred, event.occurred)", MISSING);
        check("possibly_before(charge.last('appeal-lodged').occurred, event.occurred)", MISSING);
        check("definitely_before(date('2023-10-03'), event.occurred)", Truth::True);
        check("definitely_before(date('2023-10-04'), event.occurred)", Truth::False);
        check("definitely_before(event.occurred, date('2023-10-05'))", Truth::True);
        check("definitely_before(date('2023-10-04'), date('2023-10-05'))", Truth::True);
        let definition = sample();
        let mut undated = stub(&definition);
        undated.event.as_mut().unwrap().occurred = Occurred::unknown();
        let source = "definitely_before(charge.last('plea-entered').occurred, event.occurred)";
        check_on(&undated, &definition, source, ORDER);
        undated.event.as_mut().unwrap().absent = Some(Cause::Open);
        check_on(&undated, &definition, source, OPEN);
    }

    #[test]
    fn an_unknown_part_does_not_hide_a_false_one() {
        check("event.decided_by.body == 'court' && charge.id == 'C2'", Truth::False);
        check("event.decided_by.body == 'court' || charge.id == 'C1'", Truth::True);
        check("event.decided_by.body == 'court' || charge.id == 'C2'", MISSING);
        check("subject.charges.all(c, c.id == 'C1' && event.decided_by.body == 'court')", Truth::False);
        check(
            "definitely_before(date('2023-05-15'), charge.last('plea-entered').occurred) && event.decided_by.body == 'court'",
            MISSING,
        );
    }

    const ALL: [Truth; 5] = [Truth::True, Truth::False, MISSING, ORDER, OPEN];

    /// How true, and how heavy: the order in which Kleene's `&&` is the minimum.
    fn rank(truth: Truth) -> u8 {
        match truth {
            Truth::False => 0,
            Truth::Unknown(Cause::Missing) => 1,
            Truth::Unknown(Cause::Order) => 2,
            Truth::Unknown(Cause::Open) => 3,
            Truth::True => 4,
        }
    }

    #[test]
    fn kleenes_tables_hold_and_the_weightiest_cause_is_told() {
        for a in ALL {
            assert_eq!(a.not().not(), a);
            for b in ALL {
                let and = if rank(a) < rank(b) { a } else { b };
                assert_eq!(a.and(b), and, "{a:?} && {b:?}");
                assert_eq!(a.and(b), b.and(a));
                assert_eq!(a.or(b), a.not().and(b.not()).not(), "{a:?} || {b:?}");
                for c in ALL {
                    assert_eq!(a.and(b).and(c), a.and(b.and(c)));
                    assert_eq!(a.or(b).or(c), a.or(b.or(c)));
                }
            }
        }
        assert_eq!(Truth::True.or(MISSING), Truth::True);
        assert_eq!(Truth::False.or(ORDER), ORDER);
        assert_eq!(ORDER.or(MISSING), MISSING);
    }

    /// A definition whose event has a field of each type.
    const PROBE: &str = "
workflow: probe
version: 1
language: casebook/1
entities: { item: { introduced-by: item-found } }
events:
  item-found:
    scope: [item]
    data: { properties: { n: { type: integer }, s: { type: string } }, required: [n, s] }
  probed:
    data:
      properties:
        a: { type: integer }
        b: { type: integer }
        s: { type: string }
        t: { type: string }
        f: { type: boolean }
        l: { type: array, items: { type: string } }
        o: { type: integer }
      required: [a, b, s, t, f, l]
";

    fn integers(in_body: bool) -> BoxedStrategy<String> {
        let mut sources = vec!["event.data.a", "event.data.b", "size(event.data.l)", "size(case.items)"];
        if in_body {
            sources.push("x.data.n");
        }
        let number = (-2i64..3).prop_map(|n| n.to_string());
        prop_oneof![3 => prop::sample::select(sources).prop_map(str::to_owned), 2 => number].boxed()
    }

    fn texts(in_body: bool) -> BoxedStrategy<String> {
        let mut sources = vec!["event.data.s", "event.data.t", "'a'", "'b'", r"'\''", r#""a""#, "''"];
        if in_body {
            sources.extend(["x.data.s", "x.id"]);
        }
        prop::sample::select(sources).prop_map(str::to_owned).boxed()
    }

    fn atoms(in_body: bool) -> BoxedStrategy<String> {
        let number = || integers(in_body);
        let text = move || texts(in_body);
        let order = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
        prop_oneof![
            (number(), order(), number()).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
            (text(), order(), text()).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
            (number(), prop::collection::vec(number(), 0..3))
                .prop_map(|(a, l)| format!("{a} in [{}]", l.join(", "))),
            (text(), prop::collection::vec(text(), 0..3))
                .prop_map(|(a, l)| format!("{a} in [{}]", l.join(","))),
            text().prop_map(|a| format!("{a} in event.data.l")),
            Just("event.data.f".to_owned()),
            Just("event.data.f == true".to_owned()),
            Just("has(event.data.o)".to_owned()),
            Just("has(event.data.o) && event.data.o > 1".to_owned()),
            Just("(!has(event.data.o) || event.data.o == 1)".to_owned()),
            Just("true".to_owned()),
        ]
        .boxed()
    }

    fn expressions(in_body: bool) -> BoxedStrategy<String> {
        atoms(in_body)
            .prop_recursive(4, 24, 3, move |inner| {
                let quantified = if in_body { atoms(true) } else { expressions(true) };
                prop_oneof![
                    (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} && {b}")),
                    (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} || {b}")),
                    (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) == ({b})")),
                    inner.clone().prop_map(|a| format!("!({a})")),
                    inner.prop_map(|a| format!("({a})")),
                    quantified.clone().prop_map(|a| format!("case.items.exists(x, {a})")),
                    quantified.prop_map(|a| format!("case.items.all(x, {a})")),
                ]
            })
            .boxed()
    }

    fn cel_value(value: &Value) -> cel::Value {
        match value {
            Value::Number(number) => cel::Value::Int(number.as_i64().unwrap()),
            Value::String(text) => text.as_str().into(),
            Value::Bool(value) => cel::Value::Bool(*value),
            Value::Array(items) => items.iter().map(cel_value).collect::<Vec<_>>().into(),
            Value::Object(fields) => {
                let fields: HashMap<String, cel::Value> =
                    fields.iter().map(|(k, v)| (k.clone(), cel_value(v))).collect();
                fields.into()
            }
            Value::Null => cel::Value::Null,
        }
    }

    /// What the public implementation of CEL says.
    fn oracle(source: &str, event: &Value, items: &[Value]) -> Result<bool, String> {
        let expression = cel::parser::PrattParser::new().parse(source).map_err(|error| error.to_string())?;
        let mut context = cel::Context::default();
        context.add_variable_from_value("event", cel_value(&json!({ "data": event })));
        let items: Vec<Value> = items.iter().map(|item| json!({ "id": item["s"], "data": item })).collect();
        context.add_variable_from_value("case", cel_value(&json!({ "items": items })));
        match context.resolve(&expression) {
            Ok(cel::Value::Bool(value)) => Ok(value),
            other => Err(format!("{other:?}")),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn of_known_facts_the_answer_is_cels(
            source in expressions(false),
            a in -2i64..3,
            b in -2i64..3,
            s in "[ab']{0,1}",
            t in "[ab]{0,2}",
            f: bool,
            l in prop::collection::vec("[ab]", 0..3),
            o in prop::option::of(0i64..3),
            items in prop::collection::vec((-2i64..3, "[ab]"), 0..3),
        ) {
            thread_local!(static DEFINITION: Definition = compiled(PROBE));
            let mut event = json!({ "a": a, "b": b, "s": s, "t": t, "f": f, "l": l });
            if let Some(o) = o {
                event["o"] = o.into();
            }
            let items: Vec<Value> = items.iter().map(|(n, s)| json!({ "n": n, "s": s })).collect();
            DEFINITION.with(|definition| {
                let kind = definition.kind("item").unwrap();
                let entity = |item: &Value| (item["s"].as_str().unwrap().to_owned(), Some(kind), 0, item.as_object().unwrap().clone());
                let case = (String::new(), None, 0, Map::new());
                let stub = Stub {
                    event: Some(StubEvent::new(event.clone(), "")),
                    entities: std::iter::once(case).chain(items.iter().map(entity)).collect(),
                    scope: HashMap::new(),
                    states: HashMap::new(),
                    overlays: HashSet::new(),
                    past: HashMap::new(),
                };
                let condition = condition(definition, &source, Some("probed"));
                let expected = oracle(&source, &event, &items);
                prop_assert!(expected.is_ok(), "{source}: {expected:?}");
                prop_assert_eq!(condition.evaluate(&stub), expected.unwrap_or_default().into(), "{}", source);
                Ok(())
            })?;
        }
    }
}
