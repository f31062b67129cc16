//! What a case can come to: the statuses that events lead to, searched breadth-first.
//!
//! Events are only thought of ([`Candidate`]s): every type, about one or two entities of each kind, in every way of
//! filling it in that a row or a condition tells apart; what they leave open counts as possible. A search either looks
//! at every status, or only at those that show something new, which finds most of what there is at a small part of the
//! cost and proves nothing.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use super::condition::EntityId;
use super::guide::Estimate;
use super::mentions::Mentions;
use super::{Definition, EventTypeId, Introduction, KindId, Ownership, StateId, Strand, StrandId};
use crate::case::candidate::{Candidate, Universe, scopes_of};
use crate::case::event::{Scope, engine_types};
use crate::case::judge::{Judgement, Question, judge};
use crate::case::path::fingerprint;
use crate::case::refusal::Step;
use crate::case::status::{Status, branches_for};
use crate::case::told_apart::ToldApart;

/// So many entities of every kind.
pub(crate) fn universe(definition: &Definition, each: usize) -> Universe {
    let kinds = (0_u16..).map(KindId).zip(&definition.kinds);
    kinds
        .map(|(id, kind)| (id, (1..=each).map(|number| format!("{}-{number}", kind.name)).collect()))
        .collect()
}

/// Every event type that a definition's own events can have, the opening of the case included.
pub(crate) fn own_types(definition: &Definition) -> BTreeSet<EventTypeId> {
    let is_own = |name: &str| name == engine_types::CASE_OPENED || !engine_types::ALL.contains(&name);
    let types = (0_u16..).map(EventTypeId).zip(&definition.events);
    types.filter(|(_, event)| is_own(&event.name)).map(|(id, _)| id).collect()
}

/// The event types that can matter for these: that move what their rules read or what may refuse them, or that
/// introduce or amend what they are about. An event outside cannot change whether one inside is legal.
///
/// In layers, each with the ones before it: what helps these, what helps those, and so on; the last holds all.
pub(crate) fn that_matter(
    definition: &Definition,
    seeds: BTreeSet<EventTypeId>,
) -> Vec<BTreeSet<EventTypeId>> {
    let own = own_types(definition);
    let mut known = seeds;
    known.extend(definition.event(engine_types::CASE_OPENED));
    let mut layers = Vec::new();
    let mut last: BTreeSet<EventTypeId> = known.clone();
    while !last.is_empty() {
        let helping = last.iter().flat_map(|event| that_help(definition, *event));
        let helping: BTreeSet<EventTypeId> = helping.filter(|event| own.contains(event)).collect();
        last = helping.difference(&known).copied().collect();
        known.extend(&last);
        layers.push(known.clone());
    }
    layers
}

fn that_help(definition: &Definition, event: EventTypeId) -> BTreeSet<EventTypeId> {
    let event_type = definition.event_type(event);
    let mut mentions = Mentions::default();
    for rule in &event_type.rules {
        mentions.of_rule(event, rule);
    }
    mentions.follow_derived(definition);
    mentions.strands.extend(event_type.moves.iter().map(|(strand, _)| *strand));
    mentions.strands.extend(definition.after_closing.as_ref().map(|closing| closing.strand));
    let mut found = mentions.events;
    for strand in mentions.strands {
        let strand = &definition.strands[strand.index()];
        found.extend(moving(strand));
        mentions.kinds.extend(strand.per);
    }
    let mut kinds: Vec<KindId> = mentions.kinds.iter().chain(&event_type.scope).copied().collect();
    while let Some(kind) = kinds.pop() {
        let described = &definition.kinds[kind.index()];
        found.extend(&described.introduced_by);
        found.extend(amending(definition, kind));
        kinds.extend(described.parent);
    }
    found
}

/// The event types that change a strand's state or overlays.
fn moving(strand: &Strand) -> impl Iterator<Item = EventTypeId> + '_ {
    let moves =
        |rows: &[super::Row]| rows.iter().any(|row| row.branches.iter().any(|branch| branch.to.is_some()));
    let rows = strand.rows.iter().filter(move |(_, rows)| moves(rows)).map(|(event, _)| *event);
    let starts = strand.initial.iter().filter_map(|initial| initial.on);
    let overlays =
        strand.overlays.iter().flat_map(|overlay| overlay.set_by.iter().chain(&overlay.cleared_by));
    rows.chain(starts).chain(overlays.copied())
}

fn amending(definition: &Definition, kind: KindId) -> impl Iterator<Item = EventTypeId> + '_ {
    let types = (0_u16..).map(EventTypeId).zip(&definition.events);
    types.filter(move |(_, event)| event.amends.contains(&kind)).map(|(id, _)| id)
}

/// What rules and derived strands mention.
pub(crate) fn everything_mentioned(definition: &Definition) -> Mentions {
    let mut mentions = Mentions::default();
    for (id, event) in (0_u16..).map(EventTypeId).zip(&definition.events) {
        for rule in &event.rules {
            mentions.of_rule(id, rule);
        }
    }
    for condition in definition.derived.iter().flat_map(|derived| &derived.conditions) {
        mentions.of_condition(None, condition);
    }
    mentions
}

/// The event types by which conditions tell statuses apart.
pub(crate) fn told_apart_by(definition: &Definition) -> BTreeSet<EventTypeId> {
    let mentions = everything_mentioned(definition);
    let mut found = mentions.events;
    for (kind, _) in mentions.entity_values.keys() {
        found.extend(&definition.kinds[kind.index()].introduced_by);
        found.extend(amending(definition, *kind));
    }
    found
}

/// Which statuses a search goes on from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Breadth<'a> {
    /// Every one that its events and rules tell apart from the others.
    Every {
        /// What tells them apart.
        told: &'a ToldApart,
        /// Events that are judged also where their strand has no row for them.
        judged_everywhere: &'a BTreeSet<EventTypeId>,
    },
    /// Those in which something holds for the first time, or one of these events happened.
    New(&'a BTreeSet<EventTypeId>),
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// What was looked for was found.
    Stopped,
    /// There was nothing more to look at.
    Exhausted,
    /// The limit of trials was reached.
    AtLimit,
}

/// One event tried in one status.
pub(crate) struct Trial<'a> {
    pub(crate) before: &'a Status,
    pub(crate) candidate: &'a Candidate,
    pub(crate) judgement: &'a Judgement,
    /// Where it leads, if it is legal.
    pub(crate) after: Option<&'a Status>,
    nodes: &'a [Node],
    at: usize,
    start: &'a [Step],
}

struct Node {
    status: Status,
    parent: usize,
    by: Step,
}

impl Trial<'_> {
    /// The events that led to the status in which it is tried.
    pub(crate) fn way(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = self.at;
        while at != 0 {
            steps.push(self.nodes[at].by.clone());
            at = self.nodes[at].parent;
        }
        steps.reverse();
        [self.start, &steps].concat()
    }
}

/// A status, and the events that led to it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) status: Status,
    pub(crate) way: Vec<Step>,
}

impl Place {
    /// Before the opening of a case.
    pub(crate) fn before_opening(definition: &Definition) -> Self {
        Self { status: Status::before_opening(definition), way: Vec::new() }
    }
}

/// Tries every candidate in every status reached from a place, nearest first.
pub(crate) fn search(
    definition: &Definition,
    start: &Place,
    candidates: &[Candidate],
    (breadth, trials_max): (Breadth<'_>, usize),
    mut each: impl FnMut(&Trial<'_>) -> ControlFlow<()>,
) -> Ended {
    let opening = definition.event(engine_types::CASE_OPENED);
    let is_unopened = start.way.is_empty();
    let nowhere = Step { event_type: String::new(), scope: Scope::new(), with: Vec::new() };
    let mut nodes = vec![Node { status: start.status.clone(), parent: 0, by: nowhere }];
    let mut queue = VecDeque::from([0]);
    let mut seen = Seen::default();
    if !is_unopened {
        seen.is_new(&start.status, breadth);
    }
    let mut trials = 0;
    let (scopes, scope_of) = scopes_of(candidates);
    let names: Vec<Vec<Named>> = candidates.iter().map(|candidate| named(definition, candidate)).collect();
    while let Some(at) = queue.pop_front() {
        let mut closures: Vec<Option<Vec<EntityId>>> = vec![None; scopes.len()];
        for (index, (candidate, names)) in candidates.iter().zip(&names).enumerate() {
            let is_opening = Some(candidate.event.event_type) == opening;
            let is_before_opening = at == 0 && is_unopened;
            if is_before_opening != is_opening || !names.iter().all(|name| name.fits(&nodes[at].status)) {
                continue;
            }
            let scope = scope_of[index];
            let about =
                closures[scope].get_or_insert_with(|| nodes[at].status.closure(definition, scopes[scope]));
            let is_barred = is_barred(definition, &nodes[at].status, candidate, about);
            let is_judged = match breadth {
                Breadth::Every { judged_everywhere, .. } => {
                    trials += usize::from(is_barred);
                    !is_barred || judged_everywhere.contains(&candidate.event.event_type)
                }
                Breadth::New(_) => !is_barred,
            };
            if !is_judged {
                continue;
            }
            trials += 1;
            if trials > trials_max {
                return Ended::AtLimit;
            }
            let question = Question::about(&candidate.event);
            let judgement = judge(definition, &nodes[at].status, &question);
            let after = judgement.is_legal().then(|| {
                let mut after = nodes[at].status.clone();
                after.step(definition, &candidate.event);
                after
            });
            let (before, nodes_now) = (&nodes[at].status, nodes.as_slice());
            let trial = Trial {
                before,
                candidate,
                judgement: &judgement,
                after: after.as_ref(),
                nodes: nodes_now,
                at,
                start: &start.way,
            };
            if each(&trial).is_break() {
                return Ended::Stopped;
            }
            if let Some(status) = after.filter(|status| seen.is_new(status, breadth)) {
                queue.push_back(nodes.len());
                nodes.push(Node { status, parent: at, by: candidate.step(definition) });
            }
        }
    }
    Ended::Exhausted
}

/// Tries the events with which an estimate says that a way may begin, in the status that it says is nearest.
///
/// An estimate of nothing left ends the search, as the trial that it looks for was seen then or never will be.
pub(crate) fn seek(
    (definition, candidates): (&Definition, &[Candidate]),
    start: &Place,
    told_apart: &BTreeSet<EventTypeId>,
    statuses_max: usize,
    estimate: impl Fn(&Status) -> Estimate,
    mut each: impl FnMut(&Trial<'_>) -> ControlFlow<()>,
) -> Ended {
    let nowhere = Step { event_type: String::new(), scope: Scope::new(), with: Vec::new() };
    let mut nodes = vec![Node { status: start.status.clone(), parent: 0, by: nowhere }];
    let mut lengths = vec![0_usize];
    let mut seen = HashSet::from([fingerprint(&start.status, told_apart)]);
    let first = estimate(&start.status);
    let mut open = BinaryHeap::from([Reverse((first.cost, 0, 0, first.first))]);
    while let Some(Reverse((_, _, at, first))) = open.pop() {
        for candidate in first.into_iter().map(|index| &candidates[index]) {
            let judgement = judge(definition, &nodes[at].status, &Question::about(&candidate.event));
            let after = judgement.is_legal().then(|| {
                let mut after = nodes[at].status.clone();
                after.step(definition, &candidate.event);
                after
            });
            let (before, nodes_now) = (&nodes[at].status, nodes.as_slice());
            let (judgement, after_it) = (&judgement, after.as_ref());
            let trial = Trial {
                before,
                candidate,
                judgement,
                after: after_it,
                nodes: nodes_now,
                at,
                start: &start.way,
            };
            if each(&trial).is_break() {
                return Ended::Stopped;
            }
            let Some(status) = after.filter(|after| seen.insert(fingerprint(after, told_apart))) else {
                continue;
            };
            if nodes.len() >= statuses_max {
                return Ended::AtLimit;
            }
            let next = estimate(&status);
            let length = lengths[at] + 1;
            open.push(Reverse((next.cost, length, nodes.len(), next.first)));
            lengths.push(length);
            nodes.push(Node { status, parent: at, by: candidate.step(definition) });
        }
    }
    Ended::Exhausted
}

/// Whether a strand that owns the event has no row for it: most trials end there, and the strand alone can say so.
fn is_barred(definition: &Definition, status: &Status, candidate: &Candidate, about: &[EntityId]) -> bool {
    let event = candidate.event.event_type;
    let event_type = definition.event_type(event);
    if event_type.always_accepted {
        return false;
    }
    let mut owns = event_type.moves.iter().filter(|(_, ownership)| *ownership == Ownership::Owns);
    owns.any(|(id, _)| {
        let strand = &definition.strands[id.index()];
        let mut standing = about.iter().filter_map(|entity| status.strand(*entity, *id));
        standing.any(|at| branches_for(strand, at.state, event).is_none())
    })
}

/// An entity that a candidate names.
struct Named {
    kind: KindId,
    id: String,
    introduction: Introduction,
}

fn named(definition: &Definition, candidate: &Candidate) -> Vec<Named> {
    let event_type = definition.event_type(candidate.event.event_type);
    let named = candidate.event.scope().iter().filter_map(|(kind, id)| {
        let kind = definition.kind(kind)?;
        Some(Named { kind, id: id.clone(), introduction: event_type.introduction_of(kind) })
    });
    named.collect()
}

impl Named {
    /// Whether the entity is there or is not, as the event needs it: what does not fit is not worth a trial.
    fn fits(&self, status: &Status) -> bool {
        match self.introduction {
            Introduction::Never => status.find(self.kind, &self.id).is_some(),
            Introduction::Always => status.find(self.kind, &self.id).is_none(),
            _ => true,
        }
    }
}

#[derive(Default)]
struct Seen {
    whole: HashSet<u128>,
    parts: HashSet<u64>,
}

impl Seen {
    fn is_new(&mut self, status: &Status, breadth: Breadth<'_>) -> bool {
        let told_apart = match breadth {
            Breadth::Every { told, .. } => return self.whole.insert(told.key(status)),
            Breadth::New(told_apart) => told_apart,
        };
        if !self.whole.insert(fingerprint(status, told_apart)) {
            return false;
        }
        let mut is_new = false;
        for part in parts(status, told_apart) {
            is_new |= self.parts.insert(part);
        }
        is_new
    }
}

/// Everything that holds in a status, one number each.
fn parts(status: &Status, told_apart: &BTreeSet<EventTypeId>) -> Vec<u64> {
    let mut parts = Vec::new();
    for (id, entity) in status.entities() {
        let mut add = |part: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            (entity.kind, &entity.id).hash(&mut hasher);
            part(&mut hasher);
            parts.push(hasher.finish());
        };
        for at in &entity.strands {
            add(&|hasher| (at.strand, at.state).hash(hasher));
            add(&|hasher| (at.strand, at.overlays, "overlays").hash(hasher));
        }
        for event in told_apart {
            if let Some((count, last)) = status.happened(id, *event) {
                add(&|hasher| (event, count.min(2)).hash(hasher));
                add(&|hasher| (event, last.version().0, "last").hash(hasher));
            }
        }
    }
    parts
}

/// A strand's state.
pub(crate) type StateOf = (StrandId, StateId);

/// The states that a legal trial left, and those that it entered.
pub(crate) fn moved(trial: &Trial<'_>) -> (Vec<StateOf>, Vec<StateOf>) {
    let (mut left, mut entered) = (Vec::new(), Vec::new());
    let Some(after) = trial.after else { return (left, entered) };
    for (id, entity) in after.entities() {
        for at in &entity.strands {
            let was =
                trial.before.entities().nth(id.0 as usize).and_then(|_| before(trial.before, id, at.strand));
            if was == at.state {
                continue;
            }
            left.extend(was.map(|state| (at.strand, state)));
            entered.extend(at.state.map(|state| (at.strand, state)));
        }
    }
    (left, entered)
}

fn before(status: &Status, entity: EntityId, strand: StrandId) -> Option<StateId> {
    status.strand(entity, strand)?.state
}
