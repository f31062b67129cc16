//! How far a status is from what is looked for, and with which events the way may begin: an estimate that guides a search.
//!
//! The estimate reads the conditions: what is not so yet is made so by the nearest way through the strands, and what
//! stands in the way of that way is made so first. It forgets that one step may undo another, so it proves nothing,
//! and it can be wrong in both directions. The search that it guides tries every step for real.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use serde_json::Value;

use super::condition::{
    Cause, Comparison, Condition, EntityId, EntityRef, EventFacts, Expr, Facts, Quantifier, Truth,
};
use super::evaluate::Evaluation;
use super::mentions::Mentions;
use super::reach::everything_mentioned;
use super::{
    Branch, Definition, DerivedId, EventTypeId, Introduction, KindId, OverlayId, Ownership, Row, RuleClass,
    StateId, StrandId,
};
use crate::case::candidate::{Candidate, scopes_of};
use crate::case::event::{Payload, Scope};
use crate::case::judge::{Question, closed_state, status_for};
use crate::case::status::{Scene, Status};
use crate::definition::survey::Target;

/// What cannot be reached, as far as the estimate sees.
pub(crate) const FAR: usize = 100_000;

/// First steps that are kept of one estimate.
const FIRST_MAX: usize = 24;

/// As often as what stands before an event is measured for one estimate.
const MEASURES_MAX: usize = 4_000;

/// What an entity costs that is not there, beside its introduction: what else is asked of it is not known yet.
const STRANGER: usize = 4;

/// How many events away something is, and candidates with which a way may begin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Estimate {
    pub(crate) cost: usize,
    pub(crate) first: Vec<usize>,
}

impl Estimate {
    fn far() -> Self {
        Self { cost: FAR, first: Vec::new() }
    }

    fn here() -> Self {
        Self::default()
    }

    /// And after it the candidate.
    fn then(mut self, candidate: usize) -> Self {
        if self.cost == 0 {
            self.first = vec![candidate];
        }
        self.cost = (self.cost + 1).min(FAR);
        self
    }

    fn is_far(&self) -> bool {
        self.cost >= FAR
    }

    /// Both.
    fn plus(mut self, other: Self) -> Self {
        self.cost = (self.cost + other.cost).min(FAR);
        self.begin_with(other.first);
        self
    }

    /// The nearer of the two; where they are about as near, a way may begin with either.
    fn or(self, other: Self) -> Self {
        let (mut nearer, further) = if other.cost < self.cost { (other, self) } else { (self, other) };
        if further.cost <= nearer.cost + 1 && nearer.cost > 0 && !further.is_far() {
            nearer.begin_with(further.first);
        }
        nearer
    }

    fn begin_with(&mut self, first: Vec<usize>) {
        for candidate in first {
            if self.first.len() < FIRST_MAX && !self.first.contains(&candidate) {
                self.first.push(candidate);
            }
        }
    }
}

/// What is known of the candidates of a search, once for all its statuses.
pub(crate) struct Guide<'d> {
    definition: &'d Definition,
    candidates: &'d [Candidate],
    by_type: BTreeMap<EventTypeId, Vec<usize>>,
    /// The scopes of candidates, each once, and which of them a candidate has.
    scopes: Vec<&'d Scope>,
    scope_of: Vec<usize>,
    /// Candidates with the same number are about the same entities and take the same branches everywhere.
    alike: Vec<usize>,
    /// The rows of each strand, by state.
    rows: Vec<Vec<Vec<(EventTypeId, &'d Row)>>>,
}

impl<'d> Guide<'d> {
    pub(crate) fn new(definition: &'d Definition, candidates: &'d [Candidate]) -> Self {
        let mut by_type: BTreeMap<EventTypeId, Vec<usize>> = BTreeMap::new();
        for (index, candidate) in candidates.iter().enumerate() {
            by_type.entry(candidate.event.event_type).or_default().push(index);
        }
        let rows = definition.strands.iter().map(|strand| {
            let mut of_state = vec![Vec::new(); strand.states.len()];
            let events: BTreeMap<_, _> = strand.rows.iter().collect();
            for (event, row) in
                events.into_iter().flat_map(|(event, rows)| rows.iter().map(move |row| (*event, row)))
            {
                of_state[row.from.index()].push((event, row));
            }
            of_state
        });
        let mentions = everything_mentioned(definition);
        let mut known: HashMap<_, usize> = HashMap::new();
        let alike = candidates.iter().map(|candidate| {
            let next = known.len();
            *known.entry(effect(definition, &mentions, candidate)).or_insert(next)
        });
        let alike = alike.collect();
        let (scopes, scope_of) = scopes_of(candidates);
        Self { definition, candidates, by_type, scopes, scope_of, alike, rows: rows.collect() }
    }

    /// How far the target is from the status.
    pub(crate) fn estimate(&self, status: &Status, target: Target) -> Estimate {
        let closure = |scope: &&Scope| status.closure(self.definition, scope);
        let closures = self.scopes.iter().map(closure).collect();
        let outlook = Outlook {
            guide: self,
            status,
            assumed: RefCell::default(),
            before: RefCell::default(),
            closures,
            reached: RefCell::default(),
            open: RefCell::default(),
            progress: Cell::new(0),
            leans_on: Cell::new(usize::MAX),
            measures_left: Cell::new(MEASURES_MAX),
        };
        match target {
            Target::Accepted(event) => outlook.nearest(event, |_| true),
            Target::Holds(event, index) => {
                let ways =
                    self.of_type(event).map(|candidate| outlook.holding(candidate, index).then(candidate));
                ways.fold(Estimate::far(), Estimate::or)
            }
            Target::Entered(strand, state) => {
                outlook.anywhere(strand, |entity| outlook.way(entity, strand, &|at| at == state))
            }
            Target::Left(strand, state) => outlook.anywhere(strand, |entity| {
                let there = outlook.way(entity, strand, &|at| at == state);
                there.plus(outlook.leaving(entity, strand, state))
            }),
        }
    }

    fn of_type(&self, event: EventTypeId) -> impl Iterator<Item = usize> + '_ {
        self.by_type.get(&event).into_iter().flatten().copied()
    }
}

/// What an event is about, the branch that it takes in each row that it has, and what it says that
/// some condition asks about.
type Effect<'c> = (EventTypeId, &'c Scope, Vec<Option<usize>>, Vec<Option<&'c Value>>);

fn effect<'c>(definition: &Definition, mentions: &Mentions, candidate: &'c Candidate) -> Effect<'c> {
    let event = &candidate.event;
    let taken = |branches: &[Branch]| {
        branches.iter().position(|branch| branch.matches(|field| event.data().get(field)))
    };
    let branches = definition.strands.iter().flat_map(|strand| {
        let starts = strand.initial.iter().filter(|initial| initial.on == Some(event.event_type));
        let rows = strand.rows.get(&event.event_type).into_iter().flatten();
        starts.map(|initial| &initial.branches).chain(rows.map(|row| &row.branches))
    });
    let introduces = &definition.event_type(event.event_type).introduces;
    let asked = mentions.entity_values.keys().filter(|(kind, _)| introduces.contains(kind));
    let own = mentions.event_values.keys().filter(|(of, _)| *of == event.event_type);
    let asked = asked.map(|(_, field)| field).chain(own.map(|(_, field)| field));
    let said = asked.map(|field| event.data().get(field)).collect();
    (event.event_type, event.scope(), branches.map(|branches| taken(branches)).collect(), said)
}

/// A strand whose state is taken to be another than it is: the one on the way that is being measured.
type Assumed = (EntityId, StrandId, StateId);

/// A candidate, and the last thing that is assumed.
type Asked = (usize, Option<Assumed>);

/// How far each state of a strand is.
type Reached = Rc<Vec<Estimate>>;

/// One status, as the estimate looks at it.
struct Outlook<'g> {
    guide: &'g Guide<'g>,
    status: &'g Status,
    assumed: RefCell<Vec<Assumed>>,
    before: RefCell<BTreeMap<Asked, Option<Known<Estimate>>>>,
    /// What each scope names, with its parents, so far as it is there.
    closures: Vec<Vec<EntityId>>,
    reached: RefCell<HashMap<(EntityId, StrandId), Known<Reached>>>,
    /// Strands that are being measured, each with how far its states are as far as it is known.
    open: RefCell<Vec<((EntityId, StrandId), Reached)>>,
    /// How many states of strands that are being measured have been done.
    progress: Cell<usize>,
    /// The outermost strand being measured of which what is being measured now asked.
    leans_on: Cell<usize>,
    measures_left: Cell<usize>,
}

/// What was measured. If it leans on a strand that is still being measured, it holds until that one gets on.
struct Known<T> {
    value: T,
    until: Option<usize>,
}

impl<T: Clone> Known<T> {
    fn now(&self, progress: usize) -> Option<T> {
        self.until.is_none_or(|until| until == progress).then(|| self.value.clone())
    }
}

/// Facts with some strands taken to be in another state.
struct Supposed<'a> {
    scene: Scene<'a>,
    assumed: Vec<Assumed>,
}

impl Facts for Supposed<'_> {
    fn in_scope(&self, kind: KindId) -> Option<EntityId> {
        self.scene.in_scope(kind)
    }

    fn children(&self, of: EntityId, kind: KindId) -> Vec<EntityId> {
        self.scene.children(of, kind)
    }

    fn id(&self, entity: EntityId) -> &str {
        self.scene.id(entity)
    }

    fn entity_data(&self, entity: EntityId) -> (&Payload, Option<Cause>) {
        self.scene.entity_data(entity)
    }

    fn state(&self, entity: EntityId, strand: StrandId) -> Option<StateId> {
        let assumed = self.assumed.iter().rev().find(|(of, at, _)| (*of, *at) == (entity, strand));
        assumed.map_or_else(|| self.scene.state(entity, strand), |(_, _, state)| Some(*state))
    }

    fn derived(&self, entity: EntityId, strand: DerivedId) -> Option<StateId> {
        self.scene.derived(entity, strand)
    }

    fn overlay(&self, entity: EntityId, strand: StrandId, overlay: OverlayId) -> bool {
        self.scene.overlay(entity, strand, overlay)
    }

    fn count(&self, entity: EntityId, event: EventTypeId) -> u64 {
        self.scene.count(entity, event)
    }

    fn last(&self, entity: EntityId, event: EventTypeId) -> Option<EventFacts<'_>> {
        self.scene.last(entity, event)
    }

    fn event(&self) -> Option<EventFacts<'_>> {
        self.scene.event()
    }
}

impl Outlook<'_> {
    fn definition(&self) -> &Definition {
        self.guide.definition
    }

    fn candidate(&self, index: usize) -> &Candidate {
        &self.guide.candidates[index]
    }

    fn closure(&self, candidate: usize) -> &[EntityId] {
        &self.closures[self.guide.scope_of[candidate]]
    }

    fn is_about(&self, candidate: usize, entity: EntityId) -> bool {
        entity == EntityId::CASE || self.closure(candidate).contains(&entity)
    }

    /// The strand's instances that there are, or else the introduction of one.
    fn anywhere(&self, strand: StrandId, way: impl Fn(EntityId) -> Estimate) -> Estimate {
        let Some(kind) = self.definition().strands[strand.index()].per else { return way(EntityId::CASE) };
        let there = self.status.children(EntityId::CASE, kind);
        let stranger = Estimate { cost: STRANGER, first: Vec::new() };
        let new = self.introduced(kind, |_| true).plus(stranger);
        there.into_iter().map(way).fold(new, Estimate::or)
    }

    /// A new entity of the kind.
    fn introduced(&self, kind: KindId, is_wanted: impl Fn(usize) -> bool) -> Estimate {
        let name = &self.definition().kinds[kind.index()].name;
        let by = self.definition().kinds[kind.index()].introduced_by.iter();
        let ways = by.map(|event| {
            self.nearest(*event, |candidate| {
                let scope = self.candidate(candidate).event.scope();
                let is_new = scope.get(name).is_some_and(|id| self.status.find(kind, id).is_none());
                is_new && is_wanted(candidate)
            })
        });
        ways.fold(Estimate::far(), Estimate::or)
    }

    /// The nearest event of the type among those wanted.
    fn nearest(&self, event: EventTypeId, is_wanted: impl Fn(usize) -> bool) -> Estimate {
        let mut nearest = Estimate::far();
        let mut offered = Vec::new();
        for candidate in self.guide.of_type(event).filter(|candidate| is_wanted(*candidate)) {
            let alike = self.guide.alike[candidate];
            if offered.contains(&alike) {
                continue;
            }
            let estimate = self.happening(candidate);
            if estimate.cost <= 1 {
                offered.push(alike);
            }
            nearest = nearest.or(estimate);
        }
        nearest
    }

    /// An event of the type about the entity.
    fn happened(&self, entity: EntityId, event: EventTypeId) -> Estimate {
        self.nearest(event, |candidate| self.is_about(candidate, entity))
    }

    fn happening(&self, candidate: usize) -> Estimate {
        self.before(candidate).then(candidate)
    }

    /// What has to be so before the candidate is legal.
    fn before(&self, candidate: usize) -> Estimate {
        let key = (candidate, self.assumed.borrow().last().copied());
        match self.before.borrow().get(&key) {
            Some(Some(known)) => {
                if let Some(value) = known.now(self.progress.get()) {
                    if known.until.is_some() {
                        self.lean_on(0);
                    }
                    return value;
                }
            }
            // It is being measured further up: it cannot stand before itself.
            Some(None) => return Estimate::far(),
            None => {}
        }
        self.before.borrow_mut().insert(key, None);
        let (value, until) = self.leaning(usize::MAX, || self.measured(candidate, None));
        self.before.borrow_mut().insert(key, Some(Known { value: value.clone(), until }));
        value
    }

    fn lean_on(&self, depth: usize) {
        self.leans_on.set(self.leans_on.get().min(depth));
    }

    /// Measures something, and says until when it holds: for ever, unless it asked for a strand that is being measured
    /// further out than this depth.
    fn leaning<T>(&self, depth: usize, measure: impl FnOnce() -> T) -> (T, Option<usize>) {
        let outer = self.leans_on.replace(usize::MAX);
        let value = measure();
        let leans = self.leans_on.get() < depth;
        self.leans_on.set(if leans { outer.min(self.leans_on.get()) } else { outer });
        (value, leans.then(|| self.progress.get()))
    }

    /// What has to be so before the rule holds where it is asked.
    fn holding(&self, candidate: usize, rule: usize) -> Estimate {
        self.measured(candidate, Some(rule))
    }

    fn measured(&self, candidate: usize, only: Option<usize>) -> Estimate {
        let definition = self.definition();
        let Some(left) = self.measures_left.get().checked_sub(1) else { return Estimate::far() };
        self.measures_left.set(left);
        let event = &self.candidate(candidate).event;
        let estimate = self.scope_there(candidate);
        if estimate.cost > 0 {
            return estimate;
        }
        let question = Question::about(event);
        let closure = self.closure(candidate);
        let kind = |entity: &EntityId| self.status.entity(*entity).kind;
        let is_elsewhere = |(index, entity)| closure[..index].iter().any(|other| kind(other) == kind(entity));
        if closure.iter().enumerate().any(is_elsewhere) {
            return Estimate::far();
        }
        let introduces = !definition.event_type(event.event_type).introduces.is_empty();
        let (introduced, problems) =
            if introduces { status_for(definition, self.status, &question) } else { (None, Vec::new()) };
        if !problems.is_empty() {
            return Estimate::far();
        }
        let (mut owners, estimate) = self.owners(candidate);
        let status = introduced.as_ref().unwrap_or(self.status);
        let Some((entity, strand_id)) = owners.pop() else {
            return estimate.plus(self.rules_met(candidate, status, only));
        };
        let strand = &definition.strands[strand_id.index()];
        let has_row = |state: StateId| strand.row(event.event_type, state).is_some();
        let others = owners.into_iter().map(|(entity, strand_id)| {
            let strand = &definition.strands[strand_id.index()];
            self.way(entity, strand_id, &|state| strand.row(event.event_type, state).is_some())
        });
        let estimate = others.fold(estimate, Estimate::plus);
        // The rules are read as they will be where the strand lets the event happen.
        let reached = self.reached(entity, strand_id);
        let states = (0_u16..).map(StateId).zip(reached.iter()).filter(|(state, _)| has_row(*state));
        let mut nearest = Estimate::far();
        for (state, there) in states.filter(|(_, there)| !there.is_far()) {
            if there.cost > nearest.cost {
                continue;
            }
            self.assumed.borrow_mut().push((entity, strand_id, state));
            let met = self.rules_met(candidate, status, only);
            self.assumed.borrow_mut().pop();
            nearest = nearest.or(there.clone().plus(met));
        }
        estimate.plus(nearest)
    }

    fn rules_met(&self, candidate: usize, status: &Status, only: Option<usize>) -> Estimate {
        let definition = self.definition();
        let question = Question::about(&self.candidate(candidate).event);
        let closure = if std::ptr::eq(status, self.status) {
            self.closure(candidate).to_vec()
        } else {
            status.closure(definition, question.scope)
        };
        let scene = Scene { definition, status, closure, event: Some(question.facts) };
        let supposed = Supposed { scene, assumed: self.assumed.borrow().clone() };
        let mut estimate = Estimate::here();
        for (index, rule) in definition.event_type(question.event_type).rules.iter().enumerate() {
            let is_asked = match only {
                Some(only) => only == index,
                None => rule.class != RuleClass::Compliance,
            };
            if !is_asked {
                continue;
            }
            let parts = |condition: &Condition, wanted| {
                let mut reader = Evaluation::of(&supposed);
                let parts = condition.parts.iter().map(|(_, part)| self.made(part, wanted, &mut reader));
                parts.collect::<Vec<_>>()
            };
            let holds = |condition| parts(condition, true).into_iter().fold(Estimate::here(), Estimate::plus);
            let fails = |condition| parts(condition, false).into_iter().fold(Estimate::far(), Estimate::or);
            let needed = match (&rule.when, only) {
                (Some(when), Some(_)) => holds(when).plus(holds(&rule.require)),
                (Some(when), None) if when.evaluate(&supposed) != Truth::True => Estimate::here(),
                (Some(when), None) => holds(&rule.require).or(fails(when)),
                (None, _) => holds(&rule.require),
            };
            estimate = estimate.plus(needed);
            if estimate.is_far() {
                break;
            }
        }
        estimate
    }

    /// The entities that the candidate names and does not bring.
    fn scope_there(&self, candidate: usize) -> Estimate {
        let definition = self.definition();
        let event = &self.candidate(candidate).event;
        let event_type = definition.event_type(event.event_type);
        let mut estimate = Estimate::here();
        for (kind, id) in event.scope() {
            let Some(kind_id) = definition.kind(kind) else { return Estimate::far() };
            let is_there = self.status.find(kind_id, id).is_some();
            match event_type.introduction_of(kind_id) {
                Introduction::Always if is_there => return Estimate::far(),
                Introduction::Never if !is_there => {
                    let stranger = Estimate { cost: STRANGER, first: Vec::new() };
                    let is_same = |other: usize| self.candidate(other).event.scope().get(kind) == Some(id);
                    estimate = estimate.plus(self.introduced(kind_id, is_same)).plus(stranger);
                }
                _ => {}
            }
        }
        estimate
    }

    /// The strands that have to be in a state with a row for the candidate, and the way out of a closed case.
    fn owners(&self, candidate: usize) -> (Vec<(EntityId, StrandId)>, Estimate) {
        let definition = self.definition();
        let event = &self.candidate(candidate).event;
        let event_type = definition.event_type(event.event_type);
        let mut owners = Vec::new();
        if event_type.always_accepted {
            return (owners, Estimate::here());
        }
        let closure = self.closure(candidate);
        let closing = definition.after_closing.as_ref();
        let mut leaves_closed = false;
        for (strand_id, ownership) in &event_type.moves {
            let strand = &definition.strands[strand_id.index()];
            let has_row = |state| strand.row(event.event_type, state).is_some();
            for &entity in closure {
                let Some(at) = self.status.strand(entity, *strand_id) else { continue };
                leaves_closed |=
                    closing.is_some_and(|closing| closing.strand == *strand_id && has_row(closing.state));
                let is_assumed = self.assumed_state(entity, *strand_id).is_some();
                let starts = strand.initial.iter().any(|initial| initial.on == Some(event.event_type));
                if *ownership == Ownership::Owns && !is_assumed && !(at.state.is_none() && starts) {
                    owners.push((entity, *strand_id));
                }
            }
        }
        let is_barred = closed_state(definition, self.status)
            && !leaves_closed
            && closing.is_some_and(|closing| !closing.accept.contains(&event.event_type));
        let open = closing
            .filter(|_| is_barred)
            .map(|closing| self.way(EntityId::CASE, closing.strand, &|state| state != closing.state));
        (owners, open.unwrap_or_default())
    }

    fn assumed_state(&self, entity: EntityId, strand: StrandId) -> Option<StateId> {
        let assumed = self.assumed.borrow();
        assumed.iter().rev().find(|(of, at, _)| (*of, *at) == (entity, strand)).map(|(_, _, state)| *state)
    }

    /// The shortest way of an entity's strand into a state that is wanted.
    fn way(&self, entity: EntityId, strand: StrandId, wanted: &dyn Fn(StateId) -> bool) -> Estimate {
        let reached = self.reached(entity, strand);
        let wanted = (0_u16..).map(StateId).zip(reached.iter()).filter(|(state, _)| wanted(*state));
        wanted.map(|(_, there)| there.clone()).fold(Estimate::far(), Estimate::or)
    }

    /// How far each state of an entity's strand is. While that is being measured, what is known of it so far.
    fn reached(&self, entity: EntityId, strand: StrandId) -> Reached {
        let key = (entity, strand);
        if let Some(depth) = self.open.borrow().iter().position(|(other, _)| *other == key) {
            self.lean_on(depth);
            return Rc::clone(&self.open.borrow()[depth].1);
        }
        if let Some(known) = self.reached.borrow().get(&key)
            && let Some(value) = known.now(self.progress.get())
        {
            if known.until.is_some() {
                self.lean_on(0);
            }
            return value;
        }
        let nowhere = vec![Estimate::far(); self.definition().strands[strand.index()].states.len()];
        let depth = self.open.borrow().len();
        self.open.borrow_mut().push((key, Rc::new(nowhere.clone())));
        let assumed = self.assumed.take();
        let (walked, until) = self.leaning(depth, || self.walked(entity, strand, nowhere));
        let value = Rc::new(walked);
        self.assumed.replace(assumed);
        self.open.borrow_mut().pop();
        self.reached.borrow_mut().insert(key, Known { value: Rc::clone(&value), until });
        value
    }

    fn walked(&self, entity: EntityId, strand_id: StrandId, mut reached: Vec<Estimate>) -> Vec<Estimate> {
        let strand = &self.definition().strands[strand_id.index()];
        let mut is_done = vec![false; strand.states.len()];
        let is_known = (entity.0 as usize) < self.status.entities().count();
        let at = if is_known { self.status.strand(entity, strand_id) } else { None };
        let Some(at) = at else { return reached };
        match at.state {
            Some(state) => reached[state.index()] = Estimate::here(),
            None => {
                for initial in &strand.initial {
                    let Some(event) = initial.on else { continue };
                    for (to, step) in self.steps(entity, event, &initial.branches, (&reached, 0)) {
                        nearer(&mut reached[to.index()], step);
                    }
                }
            }
        }
        loop {
            let open =
                reached.iter().enumerate().filter(|(index, there)| !is_done[*index] && !there.is_far());
            let Some((_, index)) = open.map(|(index, there)| (there.cost, index)).min() else {
                return reached;
            };
            is_done[index] = true;
            self.progress.set(self.progress.get() + 1);
            if let Some((_, so_far)) = self.open.borrow_mut().last_mut() {
                *so_far = Rc::new(reached.clone());
            }
            let here = reached[index].clone();
            let state = StateId(u16::try_from(index).unwrap_or(u16::MAX));
            self.assumed.borrow_mut().push((entity, strand_id, state));
            for (event, row) in &self.guide.rows[strand_id.index()][index] {
                for (to, step) in self.steps(entity, *event, &row.branches, (&reached, here.cost)) {
                    if is_done[to.index()] {
                        continue;
                    }
                    let cost = (here.cost + step.cost).min(FAR);
                    let first = if here.cost == 0 { step.first } else { here.first.clone() };
                    nearer(&mut reached[to.index()], Estimate { cost, first });
                }
            }
            self.assumed.borrow_mut().pop();
        }
    }

    /// Where events of the type may lead by these branches, each by its nearest: only to what is further than one event.
    fn steps(
        &self,
        entity: EntityId,
        event: EventTypeId,
        branches: &[Branch],
        (reached, cost): (&[Estimate], usize),
    ) -> Vec<(StateId, Estimate)> {
        let mut found: BTreeMap<StateId, Estimate> = BTreeMap::new();
        let mut offered = Vec::new();
        for candidate in self.guide.of_type(event) {
            let data = self.candidate(candidate).event.data();
            let taken = branches.iter().find(|branch| branch.matches(|field| data.get(field)));
            let Some(to) = taken.and_then(|branch| branch.to) else { continue };
            let alike = self.guide.alike[candidate];
            // Where the way begins, each effect is another beginning; further on, one that leads there is enough.
            let is_enough = reached[to.index()].cost <= cost + usize::from(cost > 0)
                || (cost > 0 && found.get(&to).is_some_and(|known| known.cost <= 1));
            if is_enough || offered.contains(&alike) || !self.is_about(candidate, entity) {
                continue;
            }
            let step = self.happening(candidate);
            if step.cost <= 1 {
                offered.push(alike);
            }
            let nearest = found.remove(&to).unwrap_or_else(Estimate::far).or(step);
            found.insert(to, nearest);
        }
        found.into_iter().collect()
    }

    /// Out of a state, once there.
    fn leaving(&self, entity: EntityId, strand: StrandId, state: StateId) -> Estimate {
        self.assumed.borrow_mut().push((entity, strand, state));
        let mut nearest = Estimate::far();
        let nowhere = vec![Estimate::far(); self.definition().strands[strand.index()].states.len()];
        for (event, row) in &self.guide.rows[strand.index()][state.index()] {
            for (to, step) in self.steps(entity, *event, &row.branches, (&nowhere, 0)) {
                if to != state {
                    nearest = nearest.or(step);
                }
            }
        }
        self.assumed.borrow_mut().pop();
        nearest
    }
}

fn nearer(known: &mut Estimate, other: Estimate) {
    *known = std::mem::replace(known, Estimate::far()).or(other);
}

/// Whether the answer is the one wanted, or may still become so with what is open.
fn may_be(truth: Truth, wanted: bool) -> bool {
    match truth {
        Truth::True => wanted,
        Truth::False => !wanted,
        Truth::Unknown(cause) => cause != Cause::Missing,
    }
}

impl Outlook<'_> {
    /// The expression made true, or false.
    fn made(&self, expr: &Expr, wanted: bool, reader: &mut Evaluation<'_>) -> Estimate {
        if may_be(reader.truth(expr), wanted) {
            return Estimate::here();
        }
        let all = |estimates: Vec<Estimate>| estimates.into_iter().fold(Estimate::here(), Estimate::plus);
        let any = |estimates: Vec<Estimate>| estimates.into_iter().fold(Estimate::far(), Estimate::or);
        match expr {
            Expr::Not(inner) => self.made(inner, !wanted, reader),
            Expr::And(parts) | Expr::Or(parts) => {
                let is_all = matches!(expr, Expr::And(_)) == wanted;
                let made = parts.iter().map(|part| self.made(part, wanted, reader)).collect();
                if is_all { all(made) } else { any(made) }
            }
            Expr::Quantified { quantifier, of, kind, slot, body } => {
                let Some(of) = reader.entity(*of) else { return Estimate::far() };
                let children = reader.facts.children(of, *kind);
                let made: Vec<Estimate> = children
                    .into_iter()
                    .map(|child| self.made(body, wanted, reader.with(*slot, child)))
                    .collect();
                if (*quantifier == Quantifier::All) == wanted {
                    return all(made);
                }
                let stranger = Estimate { cost: STRANGER, first: Vec::new() };
                any(made).or(self.introduced(*kind, |candidate| self.is_about(candidate, of)).plus(stranger))
            }
            Expr::Compare(comparison, left, right) => {
                let is_equal = match comparison {
                    Comparison::Equal => wanted,
                    Comparison::NotEqual => !wanted,
                    _ => return self.counted(left, right, reader),
                };
                let made = self.fact_is(left, std::slice::from_ref(right.as_ref()), is_equal, reader);
                made.or(self.fact_is(right, std::slice::from_ref(left.as_ref()), is_equal, reader))
            }
            Expr::In(item, list) => match list.as_ref() {
                Expr::List(items) => self.fact_is(item, items, wanted, reader),
                _ => Estimate::far(),
            },
            Expr::Happened(of, event) if wanted => self.happened_to(*of, *event, reader),
            Expr::Has(reading) => self.fact_is(reading, &[], !wanted, reader),
            Expr::Overlay(of, strand, overlay) => {
                let Some(entity) = reader.entity(*of) else { return Estimate::far() };
                let overlay = &self.definition().strands[strand.index()].overlays[usize::from(overlay.0)];
                let by = if wanted { &overlay.set_by } else { &overlay.cleared_by };
                any(by.iter().map(|event| self.happened(entity, *event)).collect())
            }
            _ => Estimate::far(),
        }
    }

    fn happened_to(&self, of: EntityRef, event: EventTypeId, reader: &Evaluation<'_>) -> Estimate {
        reader.entity(of).map_or_else(Estimate::far, |entity| self.happened(entity, event))
    }

    /// The fact made one of the values, or none of them.
    fn fact_is(&self, fact: &Expr, values: &[Expr], wanted: bool, reader: &Evaluation<'_>) -> Estimate {
        let states = || -> Vec<StateId> {
            let named = values.iter().filter_map(|value| match value {
                Expr::StateName(state) => Some(*state),
                _ => None,
            });
            named.collect()
        };
        match fact {
            Expr::State(of, strand) => {
                let (Some(entity), states) = (reader.entity(*of), states()) else { return Estimate::far() };
                self.way(entity, *strand, &|state| states.contains(&state) == wanted)
            }
            Expr::Derived(of, derived) => {
                let (Some(entity), states) = (reader.entity(*of), states()) else { return Estimate::far() };
                self.derived_is(entity, *derived, &|state| states.contains(&state) == wanted)
            }
            Expr::LastData(of, event, path) => {
                let Some(entity) = reader.entity(*of) else { return Estimate::far() };
                let says = |candidate: usize| self.says(candidate, path, (values, wanted), reader);
                self.nearest(*event, |candidate| self.is_about(candidate, entity) && says(candidate))
            }
            Expr::Last(of, event) if !wanted => self.happened_to(*of, *event, reader),
            Expr::EntityData(of, path) => {
                let Some(kind) = self.kind_of(*of, reader) else { return Estimate::far() };
                let says = |candidate: usize| self.says(candidate, path, (values, wanted), reader);
                let amending = (0_u16..).map(EventTypeId).zip(&self.definition().events);
                let amending = amending.filter(|(_, event)| event.amends.contains(&kind));
                let entity = reader.entity(*of).unwrap_or(EntityId::CASE);
                let amended = amending.map(|(event, _)| {
                    self.nearest(event, |candidate| self.is_about(candidate, entity) && says(candidate))
                });
                let stranger = Estimate { cost: STRANGER, first: Vec::new() };
                amended.fold(self.introduced(kind, says).plus(stranger), Estimate::or)
            }
            Expr::Count(..) | Expr::Size(_) => self.counted(fact, fact, reader),
            Expr::LastOccurred(of, event) | Expr::LastDeciderBody(of, event) => {
                self.happened_to(*of, *event, reader)
            }
            _ => Estimate::far(),
        }
    }

    fn kind_of(&self, of: EntityRef, reader: &Evaluation<'_>) -> Option<KindId> {
        match of {
            EntityRef::Case => None,
            EntityRef::InScope(kind) => Some(kind),
            EntityRef::Variable(_) => self.status.entity(reader.entity(of)?).kind,
        }
    }

    /// Whether the candidate's field is one of the values, or none of them; what it leaves open it may say.
    fn says(
        &self,
        candidate: usize,
        path: &[String],
        (values, wanted): (&[Expr], bool),
        reader: &Evaluation<'_>,
    ) -> bool {
        let [field] = path else { return true };
        let Some(said) = self.candidate(candidate).event.data().get(field) else { return true };
        let is_one = values.iter().any(|value| match value {
            Expr::Literal(value) => value == said,
            Expr::EventData(path) => {
                let event = reader.facts.event();
                let value = event.and_then(|event| event.data.get(path.first()?));
                value.is_none_or(|value| (value == said) == wanted) == wanted
            }
            _ => wanted,
        });
        is_one == wanted
    }

    fn derived_is(&self, entity: EntityId, id: DerivedId, wanted: &dyn Fn(StateId) -> bool) -> Estimate {
        let definition = self.definition();
        let mut closure = vec![EntityId::CASE];
        let mut next = Some(entity).filter(|entity| *entity != EntityId::CASE);
        while let Some(at) = next.filter(|at| (at.0 as usize) < self.status.entities().count()) {
            closure.push(at);
            next = self.status.entity(at).parent;
        }
        let scene = Scene { definition, status: self.status, closure, event: None };
        let supposed = Supposed { scene, assumed: self.assumed.borrow().clone() };
        let lines = &definition.derived[id.index()].conditions;
        let mut nearest = Estimate::far();
        let mut earlier = Estimate::here();
        for (index, line) in lines.iter().enumerate() {
            let state = StateId(u16::try_from(index).unwrap_or(u16::MAX));
            let mut reader = Evaluation::of(&supposed);
            if wanted(state) {
                let parts = line.parts.iter().map(|(_, part)| self.made(part, true, &mut reader));
                let holds = parts.fold(Estimate::here(), Estimate::plus);
                nearest = nearest.or(holds.plus(earlier.clone()));
            }
            let parts = line.parts.iter().map(|(_, part)| self.made(part, false, &mut reader));
            earlier = earlier.plus(parts.fold(Estimate::far(), Estimate::or));
            if earlier.is_far() {
                break;
            }
        }
        nearest
    }

    /// One more of what is counted, on either side.
    fn counted(&self, left: &Expr, right: &Expr, reader: &Evaluation<'_>) -> Estimate {
        let more = |side: &Expr| match side {
            Expr::Count(of, event) => self.happened_to(*of, *event, reader),
            Expr::Size(list) => match list.as_ref() {
                Expr::Children(of, kind) => {
                    let of = reader.entity(*of).unwrap_or(EntityId::CASE);
                    self.introduced(*kind, |candidate| self.is_about(candidate, of))
                }
                _ => Estimate::far(),
            },
            _ => Estimate::far(),
        };
        more(left).or(more(right))
    }
}
