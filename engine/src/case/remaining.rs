//! How many steps are missing at least before an event can be legal: never more than there are.
//!
//! What stands in the way is read from the goal's rows and rules as needs: so many events, of these types. Needs that
//! no one event can serve together add up; of the others the greatest counts.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use serde_json::Value;

use super::judge::{Question, closed_state};
use super::status::{Status, branches_for};
use crate::definition::condition::{Comparison, Condition, EntityId, EntityRef, Expr, Quantifier};
use crate::definition::{
    Branch, Definition, EventTypeId, KindId, Ownership, Rule, RuleClass, StateId, Strand, StrandId,
};

/// What is missing at least before the goal can be legal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Missing {
    /// So many events.
    pub(crate) steps: usize,
    /// Of these types, one bit each; an event of another type leaves as many missing.
    types: u128,
}

impl Missing {
    /// The same, or so many events, of any type.
    pub(crate) fn at_least(self, steps: usize) -> Self {
        if steps > self.steps { Self { steps, types: u128::MAX } } else { self }
    }
}

/// More steps than any search takes: it cannot be.
pub(crate) const NEVER: usize = usize::MAX / 8;

/// At least so many events of these types.
#[derive(Debug, Clone, Copy)]
struct Need {
    count: usize,
    /// One bit for each type; types past the last bit share it.
    types: u128,
    /// The entity of a kind that every one of them has to be about, where that is so: an event names one of a kind.
    about: Option<(KindId, EntityId)>,
}

const NOTHING: Need = Need { count: 0, types: 0, about: None };

impl Need {
    fn never() -> Self {
        Self { count: NEVER, ..NOTHING }
    }

    /// Whether no single event serves both.
    fn is_apart_from(&self, other: &Self) -> bool {
        let others = match (self.about, other.about) {
            (Some((kind, one)), Some((same, another))) => kind == same && one != another,
            _ => false,
        };
        self.types & other.types == 0 || others
    }

    fn joined(needs: &[Self], count: usize) -> Self {
        let types = needs.iter().fold(0, |types, need| types | need.types);
        let about = needs.first().and_then(|need| need.about);
        Self { count, types, about: about.filter(|_| needs.iter().all(|need| need.about == about)) }
    }

    /// All of them: what no event serves together adds up.
    fn all(mut needs: Vec<Self>) -> Self {
        needs.retain(|need| need.count > 0);
        needs.sort_by_key(|need| std::cmp::Reverse(need.count));
        let mut taken: Vec<Self> = Vec::new();
        for need in needs {
            if taken.iter().all(|other| need.is_apart_from(other)) {
                taken.push(need);
            }
        }
        let count = taken.iter().fold(0_usize, |count, need| count.saturating_add(need.count)).min(NEVER);
        Self::joined(&taken, count)
    }

    /// One of them, whichever takes least.
    fn one_of(needs: &[Self]) -> Self {
        needs.iter().map(|need| need.count).min().map_or(Self::never(), |count| Self::joined(needs, count))
    }
}

/// Strand, and the states to be reached, one bit each.
type Aim = (StrandId, Vec<StateId>);

/// What the search for one goal knows about its definition.
pub(crate) struct Remaining<'a> {
    definition: &'a Definition,
    goal: &'a Question<'a>,
    strict: bool,
    /// The types of which events can be steps, and the bit of each.
    bits: BTreeMap<EventTypeId, u128>,
    movers: Vec<u128>,
    /// Strands of which only an event about the very entity moves the state.
    own: Vec<bool>,
    distances: RefCell<HashMap<Aim, Rc<[usize]>>>,
    rows: RefCell<HashMap<(StrandId, EventTypeId), Vec<StateId>>>,
}

/// Whose facts an expression speaks of.
struct View<'v> {
    status: &'v Status,
    closure: &'v [EntityId],
    variables: Vec<EntityId>,
}

impl View<'_> {
    fn entity(&self, entity: EntityRef) -> Option<EntityId> {
        match entity {
            EntityRef::Case => Some(EntityId::CASE),
            EntityRef::InScope(kind) => {
                self.closure.iter().copied().find(|entity| self.status.entity(*entity).kind == Some(kind))
            }
            EntityRef::Variable(slot) => self.variables.get(usize::from(slot)).copied(),
        }
    }
}

impl<'a> Remaining<'a> {
    /// For steps of these types.
    pub(crate) fn new(
        definition: &'a Definition,
        goal: &'a Question<'a>,
        strict: bool,
        types: &BTreeSet<EventTypeId>,
    ) -> Self {
        let bits: BTreeMap<EventTypeId, u128> =
            types.iter().enumerate().map(|(index, event)| (*event, 1 << index.min(127))).collect();
        let movers = definition
            .strands
            .iter()
            .map(|strand| moving(strand).filter_map(|event| bits.get(&event)).fold(0, |all, bit| all | bit));
        let own = definition.strands.iter().enumerate().map(|(index, strand)| {
            let id = StrandId(u16::try_from(index).unwrap_or(u16::MAX));
            let is_leaf = |kind| !definition.kinds.iter().any(|other| other.parent == Some(kind));
            let is_observing =
                definition.events.iter().any(|event| event.moves.contains(&(id, Ownership::Observes)));
            strand.per.is_some_and(is_leaf) && !is_observing
        });
        Self {
            definition,
            goal,
            strict,
            movers: movers.collect(),
            own: own.collect(),
            bits,
            distances: RefCell::default(),
            rows: RefCell::default(),
        }
    }

    /// Whether an event of this type can leave fewer steps missing.
    pub(crate) fn lessens(&self, missing: Missing, event: EventTypeId) -> bool {
        self.bits.get(&event).is_some_and(|bit| missing.types & bit != 0)
    }

    /// The steps that are missing at least.
    pub(crate) fn missing(&self, status: &Status) -> Missing {
        let definition = self.definition;
        let event_type = definition.event_type(self.goal.event_type);
        let closure = status.closure(definition, self.goal.scope);
        let mut needs = Vec::new();
        if !event_type.always_accepted {
            self.of_rows(status, &closure, &mut needs);
            self.of_closing(status, &mut needs);
        }
        self.of_scope(status, &mut needs);
        let mut view = View { status, closure: &closure, variables: Vec::new() };
        for rule in event_type.rules.iter().filter(|rule| rule.dated.is_none()) {
            let asked = match rule.class {
                RuleClass::Logical | RuleClass::Gap => true,
                RuleClass::Compliance => self.strict,
                RuleClass::Authority => false,
            };
            if asked {
                let required = self.condition(&rule.require, true, &mut view);
                let need = match &rule.when {
                    Some(when) => Need::one_of(&[self.condition(when, false, &mut view), required]),
                    None => required,
                };
                needs.push(need);
            }
        }
        let need = Need::all(needs);
        // Where nothing is known to be missing, and yet it is not legal, any event may be what is missing.
        let types = if need.count == 0 { u128::MAX } else { need.types };
        Missing { steps: need.count, types }
    }

    /// The steps that are missing at least before a rule of the goal's type is asked and no longer holds.
    pub(crate) fn until_broken(&self, status: &Status, rule: &Rule) -> usize {
        let closure = status.closure(self.definition, self.goal.scope);
        let mut view = View { status, closure: &closure, variables: Vec::new() };
        let asked = rule.when.iter().flat_map(|when| &when.parts);
        // A rule is asked only where its `when` is certain: a strand that has not started is still to come there.
        let mut needs: Vec<Need> = asked
            .map(|(_, part)| {
                self.certain_state(part, &view).unwrap_or_else(|| self.expression(part, true, &mut view))
            })
            .collect();
        needs.push(self.condition(&rule.require, false, &mut view));
        Need::all(needs).count
    }

    /// Before a strand is certainly in the state, or one of the states, that the expression names; `None` for any other
    /// expression.
    fn certain_state(&self, expr: &Expr, view: &View<'_>) -> Option<Need> {
        let (fact, values) = match expr {
            Expr::Compare(Comparison::Equal, fact, value) => (fact, std::slice::from_ref(value.as_ref())),
            Expr::In(fact, list) => match list.as_ref() {
                Expr::List(values) => (fact, values.as_slice()),
                _ => return None,
            },
            _ => return None,
        };
        let Expr::State(entity, strand) = fact.as_ref() else { return None };
        let named =
            values.iter().map(|value| if let Expr::StateName(state) = value { Some(*state) } else { None });
        let aim: Vec<StateId> = named.collect::<Option<_>>()?;
        if let Some(entity) = view.entity(*entity) {
            return Some(self.to_state(view.status, entity, *strand, aim));
        }
        let EntityRef::InScope(kind) = entity else { return None };
        let machine = &self.definition.strands[strand.index()];
        let distances = self.distances(*strand, aim);
        let starts = machine.initial.iter().flat_map(|initial| &initial.branches);
        // What introduces the entity may move it in the same step.
        let nearest = starts.filter_map(|branch| branch.to).map(|to| distances[to.index()].max(1)).min();
        let introduction = self.introduction(*kind);
        Some(Need {
            count: nearest.unwrap_or(NEVER).max(introduction.count).min(NEVER),
            types: introduction.types | self.movers[strand.index()],
            about: None,
        })
    }

    /// The steps that are missing at least before a strand has no row for the goal, or one that may not fit it.
    pub(crate) fn until_unplaced(&self, status: &Status, strand: StrandId) -> usize {
        let machine = &self.definition.strands[strand.index()];
        let may_refuse = |state: &StateId| {
            let row = machine.row(self.goal.event_type, *state);
            row.is_none_or(|row| row.branches.last().is_none_or(|branch| !branch.matches.is_empty()))
        };
        let aim: Vec<StateId> = states(machine).filter(may_refuse).collect();
        let closure = status.closure(self.definition, self.goal.scope);
        let owners = closure
            .iter()
            .filter(|entity| status.strand(**entity, strand).is_some_and(|at| at.state.is_some()));
        let needs = owners.map(|entity| self.to_state(status, *entity, strand, aim.clone()).count);
        needs.min().unwrap_or(0)
    }

    /// The strands that own the goal have to be in a state that has a row for it.
    fn of_rows(&self, status: &Status, closure: &[EntityId], needs: &mut Vec<Need>) {
        for (strand, ownership) in &self.definition.event_type(self.goal.event_type).moves {
            if *ownership == Ownership::Owns {
                let of = closure.iter().filter(|entity| status.strand(**entity, *strand).is_some());
                needs.extend(of.map(|entity| self.to_row(status, *entity, *strand, self.goal.event_type)));
            }
        }
    }

    /// A closed case has to be open, unless the goal itself opens it.
    fn of_closing(&self, status: &Status, needs: &mut Vec<Need>) {
        let Some(closing) = &self.definition.after_closing else { return };
        let moves = &self.definition.event_type(self.goal.event_type).moves;
        let leaves = moves.iter().any(|(strand, _)| *strand == closing.strand);
        if closed_state(self.definition, status) && !leaves && !closing.accept.contains(&self.goal.event_type)
        {
            let strand = &self.definition.strands[closing.strand.index()];
            let open = states(strand).filter(|state| *state != closing.state).collect();
            needs.push(self.to_state(status, EntityId::CASE, closing.strand, open));
        }
    }

    /// What the goal is about has to be there.
    fn of_scope(&self, status: &Status, needs: &mut Vec<Need>) {
        let event_type = self.definition.event_type(self.goal.event_type);
        for (name, id) in self.goal.scope {
            let Some(kind) = self.definition.kind(name) else { continue };
            if status.find(kind, id).is_some() || event_type.introduces.contains(&kind) {
                continue;
            }
            let introduction = self.introduction(kind);
            let owned = event_type.moves.iter().filter(|(strand, ownership)| {
                *ownership == Ownership::Owns && self.definition.strands[strand.index()].per == Some(kind)
            });
            let strands = owned.map(|(strand, _)| {
                let machine = &self.definition.strands[strand.index()];
                let starts = machine.initial.iter().flat_map(|initial| &initial.branches);
                let distances = self.distances(*strand, self.rows(*strand, self.goal.event_type));
                let nearest = starts.filter_map(|branch| branch.to).map(|to| distances[to.index()]).min();
                Need {
                    count: 1 + nearest.unwrap_or(0),
                    types: introduction.types | self.movers[strand.index()],
                    about: None,
                }
            });
            needs.push(strands.max_by_key(|need| need.count).unwrap_or(introduction));
        }
    }

    fn introduction(&self, kind: KindId) -> Need {
        let by = &self.definition.kinds[kind.index()].introduced_by;
        let types = by.iter().filter_map(|event| self.bits.get(event)).fold(0, |all, bit| all | bit);
        Need { count: if types == 0 { NEVER } else { 1 }, types, about: None }
    }

    fn to_row(&self, status: &Status, entity: EntityId, strand: StrandId, event: EventTypeId) -> Need {
        let Some(at) = status.strand(entity, strand) else { return NOTHING };
        if at.state.is_none() && branches_for(&self.definition.strands[strand.index()], None, event).is_some()
        {
            return NOTHING;
        }
        self.to_state(status, entity, strand, self.rows(strand, event))
    }

    fn to_state(&self, status: &Status, entity: EntityId, strand: StrandId, aim: Vec<StateId>) -> Need {
        let Some(at) = status.strand(entity, strand) else { return NOTHING };
        let distances = self.distances(strand, aim);
        let count = match at.state {
            Some(state) => distances[state.index()],
            None => {
                let initial = &self.definition.strands[strand.index()].initial;
                let starts =
                    initial.iter().filter(|initial| initial.on.is_none_or(|on| self.bits.contains_key(&on)));
                let entered = starts.flat_map(|initial| &initial.branches).filter_map(|branch| branch.to);
                entered.map(|to| distances[to.index()] + 1).min().unwrap_or(NEVER)
            }
        };
        let kind = self.definition.strands[strand.index()].per.filter(|_| self.own[strand.index()]);
        let about = kind.map(|kind| (kind, entity));
        Need { count: count.min(NEVER), types: self.movers[strand.index()], about }
    }

    /// The states that have a row for an event; for the goal, one of whose branches its fields may match.
    fn rows(&self, strand: StrandId, event: EventTypeId) -> Vec<StateId> {
        if let Some(known) = self.rows.borrow().get(&(strand, event)) {
            return known.clone();
        }
        let machine = &self.definition.strands[strand.index()];
        let may_match = |branch: &Branch| {
            event != self.goal.event_type
                || self.goal.facts.absent.is_some()
                || branch.matches(|field| self.goal.data.get(field))
        };
        let found: Vec<StateId> = states(machine)
            .filter(|state| machine.row(event, *state).is_some_and(|row| row.branches.iter().any(may_match)))
            .collect();
        self.rows.borrow_mut().insert((strand, event), found.clone());
        found
    }

    /// How far each state is from the nearest of these, by steps that the search may take.
    fn distances(&self, strand: StrandId, aim: Vec<StateId>) -> Rc<[usize]> {
        if let Some(known) = self.distances.borrow().get(&(strand, aim.clone())) {
            return Rc::clone(known);
        }
        let machine = &self.definition.strands[strand.index()];
        let mut distances = vec![NEVER; machine.states.len()];
        for state in &aim {
            distances[state.index()] = 0;
        }
        let steps = machine.rows.iter().filter(|(event, _)| self.bits.contains_key(event));
        let rows: Vec<_> = steps.flat_map(|(_, rows)| rows).collect();
        for step in 0..machine.states.len() {
            for row in &rows {
                let mut to = row.branches.iter().filter_map(|branch| branch.to);
                if distances[row.from.index()] == NEVER && to.any(|to| distances[to.index()] == step) {
                    distances[row.from.index()] = step + 1;
                }
            }
        }
        let distances: Rc<[usize]> = Rc::from(distances);
        self.distances.borrow_mut().insert((strand, aim), Rc::clone(&distances));
        distances
    }

    /// Before the condition is no longer false, or no longer true.
    fn condition(&self, condition: &Condition, holds: bool, view: &mut View<'_>) -> Need {
        let parts = condition.parts.iter().map(|(_, part)| self.expression(part, holds, view)).collect();
        if holds { Need::all(parts) } else { Need::one_of(&parts) }
    }

    fn expression(&self, expr: &Expr, holds: bool, view: &mut View<'_>) -> Need {
        match expr {
            Expr::Not(inner) => self.expression(inner, !holds, view),
            Expr::And(parts) | Expr::Or(parts) => {
                let all = matches!(expr, Expr::And(_)) == holds;
                let needs: Vec<Need> = parts.iter().map(|part| self.expression(part, holds, view)).collect();
                if all { Need::all(needs) } else { Need::one_of(&needs) }
            }
            Expr::Compare(comparison, left, right) => {
                let one = self.compared(*comparison, left, right, holds, view);
                one.unwrap_or_else(|| {
                    self.compared(mirrored(*comparison), right, left, holds, view).unwrap_or(NOTHING)
                })
            }
            Expr::In(left, right) => match (left.as_ref(), right.as_ref()) {
                (fact, Expr::List(values)) => self.fact_in(fact, values, holds, view).unwrap_or(NOTHING),
                _ => NOTHING,
            },
            Expr::Happened(entity, event) => self.happened(*entity, *event, 1, holds, view),
            Expr::Has(inner) => match inner.as_ref() {
                Expr::Last(entity, event) if holds => self.happened(*entity, *event, 1, true, view),
                _ => NOTHING,
            },
            Expr::Quantified { quantifier, of, kind, slot, body } => {
                let Some(of) = view.entity(*of) else { return NOTHING };
                let all = matches!(quantifier, Quantifier::All) == holds;
                let variables = view.variables.clone();
                view.variables.resize(usize::from(*slot), EntityId::CASE);
                let mut needs = Vec::new();
                for child in view.status.children(of, *kind) {
                    view.variables.truncate(usize::from(*slot));
                    view.variables.push(child);
                    needs.push(self.expression(body, holds, view));
                }
                view.variables = variables;
                if all {
                    return Need::all(needs);
                }
                // What the goal itself introduces may be the one.
                let introduces = self.definition.event_type(self.goal.event_type).introduces.contains(kind);
                needs.push(if introduces { NOTHING } else { self.introduction(*kind) });
                Need::one_of(&needs)
            }
            _ => NOTHING,
        }
    }

    fn compared(
        &self,
        comparison: Comparison,
        fact: &Expr,
        with: &Expr,
        holds: bool,
        view: &mut View<'_>,
    ) -> Option<Need> {
        let equal = match comparison {
            Comparison::Equal => Some(holds),
            Comparison::NotEqual => Some(!holds),
            _ => None,
        };
        match (fact, with) {
            (Expr::State(..) | Expr::Derived(..), Expr::StateName(_)) => {
                self.fact_in(fact, std::slice::from_ref(with), equal?, view)
            }
            (Expr::Last(entity, event), Expr::Literal(Value::Null)) => {
                Some(self.happened(*entity, *event, 1, !equal?, view))
            }
            (Expr::Count(entity, event), Expr::Literal(Value::Number(number))) => {
                let number = number.as_u64()?;
                let wanted = match (comparison, holds) {
                    (Comparison::GreaterOrEqual | Comparison::Equal, true)
                    | (Comparison::Less | Comparison::NotEqual, false) => number,
                    (Comparison::Greater, true) | (Comparison::LessOrEqual, false) => {
                        number.saturating_add(1)
                    }
                    _ => return Some(NOTHING),
                };
                Some(self.happened(*entity, *event, wanted, true, view))
            }
            _ => None,
        }
    }

    /// Before a strand's state is, or is not, among these.
    fn fact_in(&self, fact: &Expr, values: &[Expr], is_in: bool, view: &mut View<'_>) -> Option<Need> {
        let names =
            values.iter().map(|value| if let Expr::StateName(state) = value { Some(*state) } else { None });
        let named: Vec<StateId> = names.collect::<Option<_>>()?;
        match fact {
            Expr::State(entity, strand) => {
                let Some(entity) = view.entity(*entity) else { return Some(NOTHING) };
                // A strand that has not started is in a state that is not known.
                if view.status.strand(entity, *strand).is_none_or(|at| at.state.is_none()) {
                    return Some(NOTHING);
                }
                let machine = &self.definition.strands[strand.index()];
                let aim = states(machine).filter(|state| named.contains(state) == is_in).collect();
                Some(self.to_state(view.status, entity, *strand, aim))
            }
            Expr::Derived(entity, derived) if is_in => {
                let Some(entity) = view.entity(*entity) else { return Some(NOTHING) };
                let mut closure = vec![EntityId::CASE];
                let mut next = Some(entity).filter(|entity| *entity != EntityId::CASE);
                while let Some(entity) = next {
                    closure.push(entity);
                    next = view.status.entity(entity).parent;
                }
                let mut own = View { status: view.status, closure: &closure, variables: Vec::new() };
                let conditions = &self.definition.derived[derived.index()].conditions;
                // Without a last line that always holds, the state may come to be unknown.
                if !conditions.last().is_some_and(always_holds) {
                    return Some(NOTHING);
                }
                let needs: Vec<Need> = named
                    .iter()
                    .filter_map(|state| conditions.get(state.index()))
                    .map(|condition| self.condition(condition, true, &mut own))
                    .collect();
                Some(Need::one_of(&needs))
            }
            _ => None,
        }
    }

    /// Before so many events of a type have happened; what happened cannot be undone by a step.
    fn happened(
        &self,
        entity: EntityRef,
        event: EventTypeId,
        wanted: u64,
        holds: bool,
        view: &View<'_>,
    ) -> Need {
        let Some(entity) = view.entity(entity) else { return NOTHING };
        let count = view.status.happened(entity, event).map_or(0, |(count, _)| count);
        if !holds {
            return if count > 0 { Need::never() } else { NOTHING };
        }
        let missing = usize::try_from(wanted.saturating_sub(count)).unwrap_or(NEVER).min(NEVER);
        if missing == 0 {
            return NOTHING;
        }
        let Some(bit) = self.bits.get(&event) else { return Need::never() };
        let mut need = Need { count: missing, types: *bit, about: None };
        let event_type = self.definition.event_type(event);
        let kind = view.status.entity(entity).kind;
        let owned = event_type.moves.iter().filter(|(_, ownership)| *ownership == Ownership::Owns);
        for (strand, _) in owned.filter(|_| !event_type.always_accepted) {
            let per = self.definition.strands[strand.index()].per;
            if per.is_none() || per == kind {
                let of = if per.is_none() { EntityId::CASE } else { entity };
                let first = self.to_row(view.status, of, *strand, event);
                if first.count > 0 && missing + first.count > need.count {
                    need.count = (missing + first.count).min(NEVER);
                    need.types = bit | first.types;
                }
            }
        }
        need
    }
}

fn always_holds(condition: &Condition) -> bool {
    condition.parts.iter().all(|(_, part)| *part == Expr::Literal(Value::Bool(true)))
}

fn mirrored(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

fn states(strand: &Strand) -> impl Iterator<Item = StateId> {
    (0..strand.states.len()).map(|index| StateId(u16::try_from(index).unwrap_or(u16::MAX)))
}

/// The event types that change a strand's state.
fn moving(strand: &Strand) -> impl Iterator<Item = EventTypeId> + '_ {
    let rows = strand.rows.keys().copied();
    rows.chain(strand.initial.iter().filter_map(|initial| initial.on))
}
