//! Conditions: a closed, typed subset of CEL over the facts of a case.
//!
//! Parsed and checked against the definition once; evaluated on compiled indexes in three-valued logic;
//! a condition that does not hold says which of its parts failed and what they looked at.

use serde::Serialize;
use serde_json::Value;

use super::{DerivedId, EventTypeId, KindId, OverlayId, StateId, StrandId};
use crate::case::occurred::{Day, Occurred};

/// An entity of one case: an index into its list of entities. 0 is the case itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId(pub u32);

impl EntityId {
    /// The case itself.
    pub const CASE: Self = Self(0);
}

/// A checked condition.
#[derive(Debug, Clone)]
pub struct Condition {
    /// As written.
    pub source: String,
    /// Its top-level `&&` parts: each with its own text.
    pub parts: Vec<(String, Expr)>,
}

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A constant: null, boolean, integer, string.
    Literal(Value),
    /// `date('2025-05-28')`.
    Date(Day),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `!a`.
    Not(Box<Expr>),
    /// `a && b && …`.
    And(Vec<Expr>),
    /// `a || b || …`.
    Or(Vec<Expr>),
    /// `a == b` and its relatives.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `a in [..]`.
    In(Box<Expr>, Box<Expr>),
    /// `has(event.data.f)`, `has(x.last('t').data.f)`.
    Has(Box<Expr>),
    /// `size(list)`.
    Size(Box<Expr>),
    /// `list.exists(c, e)` / `list.all(c, e)`: `slot` is where the body finds its variable.
    Quantified {
        /// `exists` or `all`.
        quantifier: Quantifier,
        /// Whose children.
        of: EntityRef,
        /// Children of this kind.
        kind: KindId,
        /// The variable's slot.
        slot: u8,
        /// The body.
        body: Box<Expr>,
    },
    /// `subject.charges` as a list: only inside `size`.
    Children(EntityRef, KindId),
    /// `event.data.f` (dotted paths allowed).
    EventData(Vec<String>),
    /// `event.occurred`.
    EventOccurred,
    /// `event.recorded_by.role`.
    EventRecorderRole,
    /// `event.recorded_by.id`.
    EventRecorderId,
    /// `event.decided_by.body`.
    EventDeciderBody,
    /// `charge.id`.
    EntityId(EntityRef),
    /// `charge.data.f`.
    EntityData(EntityRef, Vec<String>),
    /// `charge.state('charge')`, compared with state names by index.
    State(EntityRef, StrandId),
    /// `subject.state('criminal')` of a derived strand.
    Derived(EntityRef, DerivedId),
    /// The name of a state of that strand (only beside [`Expr::State`]).
    StateName(StateId),
    /// `charge.overlay('appeal-pending')`.
    Overlay(EntityRef, StrandId, OverlayId),
    /// `charge.happened('trial-started')`.
    Happened(EntityRef, EventTypeId),
    /// `charge.count('trial-started')`.
    Count(EntityRef, EventTypeId),
    /// `charge.last('plea-entered')`: only compared with null.
    Last(EntityRef, EventTypeId),
    /// `charge.last('plea-entered').data.plea`.
    LastData(EntityRef, EventTypeId, Vec<String>),
    /// `charge.last('plea-entered').occurred`.
    LastOccurred(EntityRef, EventTypeId),
    /// `charge.last('plea-entered').decided_by.body`.
    LastDeciderBody(EntityRef, EventTypeId),
    /// `charge.last('plea-entered').recorded_by.id`.
    LastRecorderId(EntityRef, EventTypeId),
    /// `charge.last('plea-entered').recorded_by.role`.
    LastRecorderRole(EntityRef, EventTypeId),
    /// `definitely_before(a, b)`.
    DefinitelyBefore(Box<Expr>, Box<Expr>),
    /// `possibly_before(a, b)`.
    PossiblyBefore(Box<Expr>, Box<Expr>),
}

/// Which entity an expression speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityRef {
    /// The case.
    Case,
    /// The entity of this kind that the event is about, or its parent of this kind; in a derived strand, its owner.
    InScope(KindId),
    /// The variable of a quantifier.
    Variable(u8),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Over the children of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Quantifier {
    Exists,
    All,
}

/// What a condition finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be known.
    Unknown(Cause),
}

/// Why something is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A fact is missing, or recorded as not stated.
    Missing,
    /// The dates do not decide an order: passes, and is marked unproven.
    Order,
    /// The question is asked of an event that is not written yet: it may still say so.
    Open,
}

/// One event as conditions see it: the proposal, or the last of a type.
#[derive(Debug, Clone, Copy)]
pub struct EventFacts<'a> {
    /// The payload.
    pub data: &'a serde_json::Map<String, Value>,
    /// Why a field that is absent from `data` is absent: [`Cause::Missing`] in a gap, [`Cause::Open`] in a question
    /// about an event not written yet; `None` in a real event, where absent means absent.
    pub absent: Option<Cause>,
    /// When it happened.
    pub occurred: &'a Occurred,
    /// The role in which it was recorded.
    pub recorder_role: Option<&'a str>,
    /// Who recorded it.
    pub recorder_id: Option<&'a str>,
    /// Whose decision it was.
    pub decider_body: Option<&'a str>,
}

/// What conditions may ask about a case at one point of its timeline.
pub trait Facts {
    /// The entity of this kind that the event is about (directly or as a parent).
    fn in_scope(&self, kind: KindId) -> Option<EntityId>;
    /// The entity's children of this kind (for the case: all of the kind), in order of introduction.
    fn children(&self, of: EntityId, kind: KindId) -> Vec<EntityId>;
    /// The entity's id as people write it.
    fn id(&self, entity: EntityId) -> &str;
    /// The entity's data as introduced and since amended, and why a field may be absent.
    fn entity_data(&self, entity: EntityId) -> (&serde_json::Map<String, Value>, Option<Cause>);
    /// The state of the entity's strand; `None` where it has not started.
    fn state(&self, entity: EntityId, strand: StrandId) -> Option<StateId>;
    /// The state of the entity's derived strand.
    fn derived(&self, entity: EntityId, strand: DerivedId) -> Option<StateId>;
    /// Whether the overlay is set.
    fn overlay(&self, entity: EntityId, strand: StrandId, overlay: OverlayId) -> bool;
    /// How many events of this type happened about the entity.
    fn count(&self, entity: EntityId, event: EventTypeId) -> u64;
    /// The last event of this type about the entity, in timeline order.
    fn last(&self, entity: EntityId, event: EventTypeId) -> Option<EventFacts<'_>>;
    /// The event that is judged; `None` in a derived strand.
    fn event(&self) -> Option<EventFacts<'_>>;
}

/// A part of a condition that did not hold, and what it looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedPart {
    /// The part as written.
    pub condition: String,
    /// Each fact in it: as written, and its value in words (`not known` where it is). An object in JSON.
    #[serde(serialize_with = "facts_as_object")]
    pub facts: Vec<(String, String)>,
}

fn facts_as_object<S: serde::Serializer>(
    facts: &[(String, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(facts.iter().map(|(fact, value)| (fact, value)))
}
