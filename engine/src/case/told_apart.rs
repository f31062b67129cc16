//! What tells two statuses apart for one search: the strands, overlays, facts and fields that its events and rules read.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::{FixedState, FoldHasher};
use serde_json::Value;

use super::event::Payload;
use super::status::{Entity, Status};
use crate::definition::condition::{Condition, EntityId, Expr};
use crate::definition::{Definition, DerivedId, EventTypeId, Ownership, StrandId};

/// How far a count is told where a rule compares it with something that is not written in it.
const COUNT_TOLD_MAX: u64 = 64;

/// What of the last event of a type matters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Last {
    /// How many of them are told apart.
    count: u64,
    /// Fields that conditions read.
    fields: BTreeSet<Vec<String>>,
    /// Its date, recorder or decider is read.
    is_read_whole: bool,
}

/// What the events of one search, and their rules, read.
#[derive(Debug, Clone, Default)]
pub(crate) struct ToldApart {
    /// By strand: `None` where it is not read, else the overlays that are, one bit each.
    strands: Vec<Option<u32>>,
    events: BTreeMap<EventTypeId, Last>,
    entity_fields: BTreeSet<Vec<String>>,
    derived: BTreeSet<DerivedId>,
}

impl ToldApart {
    /// By events of these types.
    pub(crate) fn by(definition: &Definition, types: &BTreeSet<EventTypeId>) -> Self {
        let mut told = Self::default();
        for event in types {
            let event_type = definition.event_type(*event);
            for rule in &event_type.rules {
                for condition in rule.when.iter().chain([&rule.require]) {
                    told.read_by(condition);
                }
                if let Some(dated) = &rule.dated {
                    told.last(dated.pinned_by).is_read_whole = true;
                }
            }
            let owned = event_type.moves.iter().filter(|(_, ownership)| *ownership == Ownership::Owns);
            owned.for_each(|(strand, _)| _ = told.strand(*strand));
        }
        definition.after_closing.iter().for_each(|closing| _ = told.strand(closing.strand));
        told.follow_derived(definition);
        told
    }

    fn follow_derived(&mut self, definition: &Definition) {
        let mut done = BTreeSet::new();
        while let Some(next) = self.derived.iter().copied().find(|derived| !done.contains(derived)) {
            done.insert(next);
            for condition in &definition.derived[next.index()].conditions {
                self.read_by(condition);
            }
        }
    }

    /// The same, and every strand and overlay besides.
    pub(crate) fn and_every_strand(mut self, definition: &Definition) -> Self {
        for index in 0..definition.strands.len() {
            let strand = StrandId(u16::try_from(index).unwrap_or(u16::MAX));
            *self.strand(strand) = u32::MAX;
        }
        self
    }

    /// The same, and whether these events happened, what these conditions read, and these strands with their overlays.
    pub(crate) fn and(
        mut self,
        definition: &Definition,
        events: impl IntoIterator<Item = EventTypeId>,
        conditions: &[&Condition],
        strands: &[StrandId],
    ) -> Self {
        for event in events {
            self.last(event);
        }
        for condition in conditions {
            self.read_by(condition);
        }
        self.follow_derived(definition);
        for strand in strands {
            *self.strand(*strand) = u32::MAX;
        }
        self
    }

    /// The same, and a strand's state besides.
    pub(crate) fn and_strand(mut self, strand: StrandId) -> Self {
        self.strand(strand);
        self
    }

    /// The strand is read; the overlays of it that are.
    fn strand(&mut self, strand: StrandId) -> &mut u32 {
        if self.strands.len() <= strand.index() {
            self.strands.resize(strand.index() + 1, None);
        }
        self.strands[strand.index()].get_or_insert(0)
    }

    fn last(&mut self, event: EventTypeId) -> &mut Last {
        let last = self.events.entry(event).or_default();
        last.count = last.count.max(1);
        last
    }

    fn read_by(&mut self, condition: &Condition) {
        for (_, part) in &condition.parts {
            self.walk(part);
        }
    }

    fn walk(&mut self, expr: &Expr) {
        match expr {
            Expr::Not(inner) | Expr::Has(inner) | Expr::Size(inner) => self.walk(inner),
            Expr::And(parts) | Expr::Or(parts) | Expr::List(parts) => {
                parts.iter().for_each(|part| self.walk(part));
            }
            Expr::Compare(_, left, right) | Expr::In(left, right) => {
                self.count(left, right);
                self.count(right, left);
                self.walk(left);
                self.walk(right);
            }
            Expr::DefinitelyBefore(left, right) | Expr::PossiblyBefore(left, right) => {
                self.walk(left);
                self.walk(right);
            }
            Expr::Quantified { body, .. } => self.walk(body),
            Expr::EntityData(_, path) => _ = self.entity_fields.insert(path.clone()),
            Expr::State(_, strand) => _ = self.strand(*strand),
            Expr::Overlay(_, strand, overlay) => {
                *self.strand(*strand) |= 1 << overlay.0;
            }
            Expr::Derived(_, derived) => _ = self.derived.insert(*derived),
            Expr::Happened(_, event) | Expr::Count(_, event) | Expr::Last(_, event) => _ = self.last(*event),
            Expr::LastData(_, event, path) => _ = self.last(*event).fields.insert(path.clone()),
            Expr::LastOccurred(_, event)
            | Expr::LastDeciderBody(_, event)
            | Expr::LastRecorderId(_, event)
            | Expr::LastRecorderRole(_, event) => self.last(*event).is_read_whole = true,
            Expr::Children(..)
            | Expr::Literal(_)
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

    /// How far a count matters: one further than the greatest number that it is compared with.
    fn count(&mut self, counted: &Expr, with: &Expr) {
        let Expr::Count(_, event) = counted else { return };
        let numbers = if let Expr::List(list) = with { list.as_slice() } else { std::slice::from_ref(with) };
        let told = numbers.iter().map(|number| match number {
            Expr::Literal(Value::Number(number)) => {
                number.as_u64().map_or(1, |number| number.saturating_add(1))
            }
            _ => COUNT_TOLD_MAX,
        });
        let told = told.max().unwrap_or(1).min(COUNT_TOLD_MAX);
        let last = self.last(*event);
        last.count = last.count.max(told);
    }

    /// Whether an event of this type, about these entities, would be told from none by its having happened, or by its fields.
    pub(crate) fn notices(&self, status: &Status, event: EventTypeId, about: &[EntityId]) -> bool {
        self.events.get(&event).is_some_and(|last| {
            last.is_read_whole
                || !last.fields.is_empty()
                || about
                    .iter()
                    .any(|entity| status.happened(*entity, event).map_or(0, |(count, _)| count) < last.count)
        })
    }

    /// Whether the strand's state matters.
    pub(crate) fn reads_strand(&self, strand: StrandId) -> bool {
        self.read(strand).is_some()
    }

    /// Overlays of a strand that matter, one bit each.
    pub(crate) fn overlays(&self, strand: StrandId) -> u32 {
        self.read(strand).unwrap_or(0)
    }

    fn read(&self, strand: StrandId) -> Option<u32> {
        self.strands.get(strand.index()).copied().flatten()
    }

    /// Whether any field of an entity matters.
    pub(crate) fn reads_entities(&self) -> bool {
        !self.entity_fields.is_empty()
    }

    /// Equal for statuses that no event of the search, and none of its rules, tells apart.
    pub(crate) fn key(&self, status: &Status) -> u128 {
        let mut hasher = Twofold::new();
        for (_, entity) in status.entities() {
            self.tell(entity, &mut hasher);
        }
        hasher.both()
    }

    fn tell(&self, entity: &Entity, hasher: &mut Twofold) {
        (entity.kind, &entity.id, entity.parent).hash(hasher);
        for at in &entity.strands {
            if let Some(overlays) = self.read(at.strand) {
                (at.state, at.overlays & overlays).hash(hasher);
            }
        }
        if self.reads_entities() {
            entity.absent.map(|cause| cause as u8).hash(hasher);
        }
        for path in &self.entity_fields {
            field(&entity.data, path).hash(hasher);
        }
        let mut asked = self.events.iter().peekable();
        for (event, count, last) in entity.happened() {
            while asked.next_if(|(other, _)| **other < event).is_some() {}
            let Some((_, asked)) = asked.next_if(|(other, _)| **other == event) else { continue };
            (event, count.min(asked.count)).hash(hasher);
            if asked.is_read_whole {
                // Events that are only thought of have no date and nobody who records them.
                let facts = last.facts();
                facts.recorder_role.map(|_| last.version().0).hash(hasher);
            }
            if !asked.fields.is_empty() {
                let facts = last.facts();
                facts.absent.map(|cause| cause as u8).hash(hasher);
                for path in &asked.fields {
                    field(facts.data, path).hash(hasher);
                }
            }
        }
    }
}

/// Two hashes of the same, in one pass: equal keys of statuses that are not would lose a way.
struct Twofold(FoldHasher<'static>, FoldHasher<'static>);

impl Twofold {
    fn new() -> Self {
        Self(FixedState::with_seed(1).build_hasher(), FixedState::with_seed(2).build_hasher())
    }

    fn both(&self) -> u128 {
        (u128::from(self.0.finish()) << 64) | u128::from(self.1.finish())
    }
}

impl Hasher for Twofold {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn write_u8(&mut self, number: u8) {
        self.0.write_u8(number);
        self.1.write_u8(number);
    }

    fn write_u16(&mut self, number: u16) {
        self.0.write_u16(number);
        self.1.write_u16(number);
    }

    fn write_u32(&mut self, number: u32) {
        self.0.write_u32(number);
        self.1.write_u32(number);
    }

    fn write_u64(&mut self, number: u64) {
        self.0.write_u64(number);
        self.1.write_u64(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.0.write_usize(number);
        self.1.write_usize(number);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

fn field<'v>(data: &'v Payload, path: &[String]) -> Option<&'v Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(data.get(first)?, |value, name| value.get(name))
}
