//! A workflow definition: what may happen in a case, as data.
//!
//! People write [`source`]; [`compile`](compile::compile) turns it into a [`Definition`], in which every name is resolved to a
//! small index. Everything here is pure: no clock, no disk, no log.

pub(crate) mod automaton;
pub mod behaviour;
pub mod calendar;
mod comparison;
pub mod compile;
pub mod condition;
mod coverage;
pub mod deadline;
mod deadline_findings;
pub(crate) mod deadlines;
pub mod definition_schema;
pub mod diagram;
pub mod diff;
mod divergence;
#[cfg(test)]
pub(crate) mod drawn;
pub mod driven;
pub mod engine_events;
pub mod evaluate;
mod events;
pub mod explain;
pub(crate) mod fields;
mod functions;
pub mod grammar;
mod guide;
pub mod lint;
pub mod mentions;
pub mod page;
pub mod parts;
pub mod period;
mod placement;
pub mod problem;
mod reach;
pub mod rehearsal;
mod rules;
pub mod scenario;
pub mod schema;
mod schema_problem;
pub mod source;
mod strands;
mod subject;
mod survey;
pub mod syntax;
pub mod transition_table;
mod typing;
mod witness;
mod wording;

use std::collections::HashMap;
use std::sync::OnceLock;

use condition::Condition;
use schema::Schema;

use crate::case::candidate::Distinctions;

macro_rules! index_types {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u16);

        impl $name {
            /// As an index into the definition's list.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}
index_types! {
    /// A kind of entity of one definition.
    KindId,
    /// An event type of one definition.
    EventTypeId,
    /// A strand of one definition.
    StrandId,
    /// A derived strand of one definition.
    DerivedId,
    /// A state of one strand.
    StateId,
    /// An overlay of one strand.
    OverlayId,
    /// A role of one definition.
    RoleId,
    /// A deadline of one definition.
    DeadlineId,
    /// A calendar of one definition.
    CalendarId,
}

/// A compiled definition. Immutable; shared by every case that is pinned to it.
#[derive(Debug)]
pub struct Definition {
    /// The workflow's name, such as `police-conduct`.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// What people call it.
    pub title: String,
    /// What it is for, in a sentence or a few.
    pub about: Option<String>,
    /// SHA-256 of the source's canonical JSON: formatting never makes a version.
    pub digest: [u8; 32],
    /// IANA time zone in which days end.
    pub timezone: String,
    /// Roles that people act in.
    pub roles: Vec<Role>,
    /// Sets of roles of which one person may hold only one in a case.
    pub separate_duties: Vec<Vec<RoleId>>,
    /// The kinds of entity; a parent stands before its children.
    pub kinds: Vec<EntityKind>,
    /// Event types, the engine's own included.
    pub events: Vec<EventType>,
    /// The state machines.
    pub strands: Vec<Strand>,
    /// States computed from other states, in an order in which each reads only earlier ones.
    pub derived: Vec<DerivedStrand>,
    /// The calendars that deadlines count with.
    pub calendars: Vec<calendar::Calendar>,
    /// What has to happen by when.
    pub deadlines: Vec<deadline::Deadline>,
    /// What is accepted once a case is closed; `None` where the definition does not close cases.
    pub after_closing: Option<AfterClosing>,
    /// What cases of earlier versions become, where adopting this version is not to read their history anew.
    pub migrates_from: Vec<StateMapping>,
    /// Labels in other languages: language, then name, then label.
    pub vocabulary: HashMap<String, HashMap<String, String>>,
    /// The whole definition as canonical JSON (RFC 8785): what the digest is of, and what is stored with the log.
    pub canonical: String,
    pub(crate) event_index: HashMap<String, EventTypeId>,
    /// Read when first asked for.
    pub(crate) distinctions: OnceLock<Distinctions>,
}

/// A role of the definition.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Whether it may record against a logical rule, with authority and reason.
    pub may_override: bool,
}

/// A kind of entity, of which a case has several.
#[derive(Debug, Clone)]
pub struct EntityKind {
    /// Its name, singular, such as `charge`.
    pub name: String,
    /// Its name in conditions over lists, such as `charges`.
    pub plural: String,
    /// What people call it.
    pub title: String,
    /// The event types that introduce one (the first that names a new id does).
    pub introduced_by: Vec<EventTypeId>,
    /// The kind it belongs to.
    pub parent: Option<KindId>,
}

/// An event type.
#[derive(Debug)]
pub struct EventType {
    /// Its name, kebab-case, past tense.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Where in the definition people look for it, such as `criminal`.
    pub part: String,
    /// The kinds its scope must name, parents left out.
    pub scope: Vec<KindId>,
    /// The kinds its scope may name beside those.
    pub scope_optional: Vec<KindId>,
    /// Roles that may record it; empty means any role.
    pub record: Vec<RoleId>,
    /// Bodies whose decision it may be; empty means that it is nobody's decision.
    pub decide: Vec<String>,
    /// Whether a rationale must be given.
    pub rationale_required: bool,
    /// The payload's schema.
    pub schema: Schema,
    /// The rules, in the order of the definition.
    pub rules: Vec<Rule>,
    /// The kinds of which it introduces entities.
    pub introduces: Vec<KindId>,
    /// Those of them of which it may also name one that is there already.
    pub introduces_or_mentions: Vec<KindId>,
    /// The kinds whose data it amends.
    pub amends: Vec<KindId>,
    /// Whether a missing event of this type may be declared as a gap (forward steps only).
    pub may_be_gap: bool,
    /// Nobody brings it about in order to get somewhere, such as a death: no path leads over it.
    pub is_unsought: bool,
    /// Accepted in any state of any strand.
    pub always_accepted: bool,
    /// Payload fields that hold personal data.
    pub protect: Vec<String>,
    /// The law or practice under which such an event happens, for people.
    pub basis: Option<String>,
    /// The rows it has in each strand: (strand, whether that strand owns it and may refuse it).
    pub moves: Vec<(StrandId, Ownership)>,
}

/// What a strand says to an event type that it mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The strand refuses the event where it has no row for it.
    Owns,
    /// The strand follows the event where it has a row, and stays where it has none.
    Observes,
}

/// What the engine does when a rule is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleClass {
    /// Without the earlier fact the later one has no meaning: refuse.
    Logical,
    /// This role may not record it, or that body may not decide it: refuse, and no override helps.
    Authority,
    /// The law required something else, but the thing did happen: accept, and note the breach.
    Compliance,
    /// An earlier event must have happened, but nobody has its details: refuse until the gap is declared.
    Gap,
}

/// A condition attached to an event type.
#[derive(Debug)]
pub struct Rule {
    /// Its id, unique in the definition.
    pub id: String,
    /// What happens when it is not met.
    pub class: RuleClass,
    /// The rule is asked only where this holds (definitely); always where absent.
    pub when: Option<Condition>,
    /// What must hold.
    pub require: Condition,
    /// What people read; `{paths}` are filled in.
    pub message: Message,
    /// The law or policy it comes from.
    pub basis: Option<String>,
    /// The days on which the rule is law, by the date of a pinning event.
    pub dated: Option<DatedLaw>,
}

/// A rule's time in force.
#[derive(Debug, Clone)]
pub struct DatedLaw {
    /// First day in force.
    pub from: Option<crate::case::occurred::Day>,
    /// First day no longer in force.
    pub until: Option<crate::case::occurred::Day>,
    /// The event type whose date decides.
    pub pinned_by: EventTypeId,
}

/// A text with places for facts.
#[derive(Debug, Clone)]
pub struct Message {
    /// Literal text and expressions, alternating as written.
    pub pieces: Vec<MessagePiece>,
}

/// A piece of a [`Message`].
#[derive(Debug, Clone)]
pub enum MessagePiece {
    /// Text as it stands.
    Text(String),
    /// The value of an expression.
    Value(condition::Expr),
}

/// A state machine of the definition.
#[derive(Debug)]
pub struct Strand {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// One instance for each entity of this kind; `None`: one for the case.
    pub per: Option<KindId>,
    /// Its states.
    pub states: Vec<State>,
    /// How an instance begins.
    pub initial: Vec<Initial>,
    /// Rows by event type and state: `rows[event]` is sorted by state.
    pub rows: HashMap<EventTypeId, Vec<Row>>,
    /// Facts that sit on top of a state and do not undo it.
    pub overlays: Vec<Overlay>,
}

/// A state of a strand.
#[derive(Debug, Clone)]
pub struct State {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Nothing more is expected; it may still be left.
    pub is_final: bool,
}

/// How a strand's instance enters its first state.
#[derive(Debug, Clone)]
pub struct Initial {
    /// The event that starts it; `None`: from the opening of the case, or the introduction of the entity.
    pub on: Option<EventTypeId>,
    /// The branches, first match wins.
    pub branches: Vec<Branch>,
}

/// What one event type does in one state.
#[derive(Debug, Clone)]
pub struct Row {
    /// The state it applies in.
    pub from: StateId,
    /// The branches, first match wins.
    pub branches: Vec<Branch>,
}

/// A branch of a row.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Field, and the constants one of which it must equal; all must match. Empty always matches.
    pub matches: Vec<(String, Vec<serde_json::Value>)>,
    /// The state entered; `None` is the state it is in.
    pub to: Option<StateId>,
}

/// A fact on top of a state.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Events that set it.
    pub set_by: Vec<EventTypeId>,
    /// Events that clear it.
    pub cleared_by: Vec<EventTypeId>,
}

/// A strand whose state is computed.
#[derive(Debug)]
pub struct DerivedStrand {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// One for each entity of this kind; `None`: one for the case.
    pub per: Option<KindId>,
    /// The states.
    pub states: Vec<State>,
    /// One condition for each state, in order; the first that holds wins.
    pub conditions: Vec<Condition>,
}

/// Which states of an earlier version become which of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateMapping {
    /// The earlier version.
    pub version: u32,
    /// By strand: the earlier state's name, and the state that it becomes. A state not named keeps its name.
    pub strands: Vec<(StrandId, Vec<(String, StateId)>)>,
}

impl StateMapping {
    /// What a state of the earlier version becomes, where the mapping says so.
    #[must_use]
    pub fn state(&self, strand: StrandId, earlier: &str) -> Option<StateId> {
        let (_, states) = self.strands.iter().find(|(mapped, _)| *mapped == strand)?;
        states.iter().find(|(name, _)| name == earlier).map(|(_, state)| *state)
    }
}

/// What a closed case still accepts.
#[derive(Debug, Clone)]
pub struct AfterClosing {
    /// The case strand that says closed.
    pub strand: StrandId,
    /// Its closed state.
    pub state: StateId,
    /// Event types accepted without reopening.
    pub accept: Vec<EventTypeId>,
}

impl Definition {
    /// The field values that transitions and conditions tell apart.
    pub(crate) fn distinctions(&self) -> &Distinctions {
        self.distinctions.get_or_init(|| Distinctions::of(self))
    }

    /// The event type of this name.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<EventTypeId> {
        self.event_index.get(name).copied()
    }

    /// The event type's description.
    #[must_use]
    pub fn event_type(&self, id: EventTypeId) -> &EventType {
        &self.events[id.index()]
    }

    /// The kind of entity of this name.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<KindId> {
        position_of(self.kinds.iter().map(|kind| kind.name.as_str()), name).map(KindId)
    }

    /// Whether entities of the second kind belong, through their parents, to entities of the first.
    #[must_use]
    pub fn is_ancestor(&self, ancestor: KindId, of: KindId) -> bool {
        let mut next = self.kinds[of.index()].parent;
        while let Some(parent) = next {
            if parent == ancestor {
                return true;
            }
            next = self.kinds[parent.index()].parent;
        }
        false
    }

    /// The strand of this name.
    #[must_use]
    pub fn strand(&self, name: &str) -> Option<StrandId> {
        position_of(self.strands.iter().map(|strand| strand.name.as_str()), name).map(StrandId)
    }

    /// The derived strand of this name.
    #[must_use]
    pub fn derived_strand(&self, name: &str) -> Option<DerivedId> {
        position_of(self.derived.iter().map(|strand| strand.name.as_str()), name).map(DerivedId)
    }

    /// The role of this name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<RoleId> {
        position_of(self.roles.iter().map(|role| role.name.as_str()), name).map(RoleId)
    }

    /// What states of an earlier version become, where this one says so.
    #[must_use]
    pub fn migration_from(&self, version: u32) -> Option<&StateMapping> {
        self.migrates_from.iter().find(|mapping| mapping.version == version)
    }

    /// The day that an instant falls on, in the definition's time zone.
    #[must_use]
    pub fn day_of(&self, instant: jiff::Timestamp) -> crate::case::day::Day {
        let zone = jiff::tz::TimeZone::get(&self.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
        let date = zone.to_datetime(instant).date();
        let since = date.duration_since(jiff::civil::Date::constant(1970, 1, 1)).as_hours().div_euclid(24);
        crate::case::day::Day(i32::try_from(since).unwrap_or(i32::MAX))
    }

    /// `name@version`, as it stands in every event.
    #[must_use]
    pub fn pin(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// The digest in lower-case hexadecimal.
    #[must_use]
    pub fn digest_hex(&self) -> String {
        self.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl EventType {
    /// How it relates to new entities of a kind.
    #[must_use]
    pub fn introduction_of(&self, kind: KindId) -> Introduction {
        if self.introduces_or_mentions.contains(&kind) {
            Introduction::IfNew
        } else if self.introduces.contains(&kind) {
            Introduction::Always
        } else {
            Introduction::Never
        }
    }
}

/// How an event type relates to new entities of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introduction {
    /// It only speaks of entities that exist.
    Never,
    /// It introduces one.
    Always,
    /// It introduces the one it names if that is new.
    IfNew,
}

impl Strand {
    /// The state of this name.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<StateId> {
        position_of(self.states.iter().map(|state| state.name.as_str()), name).map(StateId)
    }

    /// The row of this event type in this state.
    #[must_use]
    pub fn row(&self, event: EventTypeId, state: StateId) -> Option<&Row> {
        self.rows.get(&event)?.iter().find(|row| row.from == state)
    }
}

impl Branch {
    /// Whether the event's fields match. `field` answers `None` where the event does not say.
    pub fn matches<'v>(&self, field: impl Fn(&str) -> Option<&'v serde_json::Value>) -> bool {
        self.matches.iter().all(|(name, values)| field(name).is_some_and(|value| values.contains(value)))
    }
}

fn position_of<'n>(mut names: impl Iterator<Item = &'n str>, wanted: &str) -> Option<u16> {
    names.position(|name| name == wanted).and_then(|index| u16::try_from(index).ok())
}
