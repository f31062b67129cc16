//! The search for what would make an event legal: the shortest sequence of events that leads there.
//!
//! Events that have not been written yet are tried as candidates: every type that can matter, about every entity
//! that can matter, in each way of filling it in that a transition or a condition tells apart. What they leave open
//! counts as possible. The search is A*: the distance in the strand's own graph never overestimates.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::hash::{Hash, Hasher};

use serde_json::Value;

use super::candidate::{Candidate, Distinctions, MissingEvent, candidates, universe_for};
use super::event::{Payload, engine_types};
use super::judge::{Judgement, Question, Unmet, closed_state, judge, status_for};
use super::refusal::Step;
use super::status::{Scene, ScopeProblem, Status};
use crate::definition::condition::Condition;
use crate::definition::mentions::Mentions;
use crate::definition::{Definition, EventTypeId, KindId, Ownership, RuleClass, StateId, Strand, StrandId};

/// The most events that the search for one path tries, over all its rounds.
pub const SEARCH_TRIALS_MAX: usize = 24_000;

/// The event types that can help towards an event, nearest first: each layer helps the one before it.
pub(crate) fn events_that_help(
    definition: &Definition,
    status: &Status,
    goal: EventTypeId,
) -> Vec<BTreeSet<EventTypeId>> {
    let mut layers: Vec<BTreeSet<EventTypeId>> = Vec::new();
    let mut known: BTreeSet<EventTypeId> = BTreeSet::from([goal]);
    let mut frontier = known.clone();
    let mut all = BTreeSet::new();
    let closed = closed_state(definition, status);
    while !frontier.is_empty() {
        let mut found = BTreeSet::new();
        for event in &frontier {
            found.extend(events_that_help_one(definition, *event, closed));
        }
        let new: BTreeSet<EventTypeId> =
            found.iter().filter(|event| !all.contains(*event)).copied().collect();
        if new.is_empty() {
            break;
        }
        all.extend(new.iter().copied());
        known.extend(new.iter().copied());
        layers.push(all.clone());
        frontier = new;
    }
    layers
}

fn events_that_help_one(definition: &Definition, event: EventTypeId, closed: bool) -> BTreeSet<EventTypeId> {
    let event_type = definition.event_type(event);
    let mut mentions = Mentions::default();
    for rule in event_type.rules.iter().filter(|rule| rule.class != RuleClass::Authority) {
        mentions.of_rule(event, rule);
    }
    mentions.follow_derived(definition);
    for (strand, ownership) in &event_type.moves {
        if *ownership == Ownership::Owns {
            mentions.strands.insert(*strand);
        }
    }
    if let (true, Some(closing)) = (closed, &definition.after_closing) {
        mentions.strands.insert(closing.strand);
    }
    let mut found = mentions.events.clone();
    for strand in &mentions.strands {
        found.extend(moving(&definition.strands[strand.index()]));
    }
    let kinds = mentions.kinds.iter().chain(&event_type.scope);
    for kind in kinds.filter(|kind| !event_type.introduces.contains(kind)) {
        found.extend(introducing(definition, *kind));
    }
    found.retain(|event| !engine_types::ALL.contains(&definition.event_type(*event).name.as_str()));
    found
}

/// The event types that change a strand's state or overlays.
fn moving(strand: &Strand) -> impl Iterator<Item = EventTypeId> + '_ {
    let rows = strand
        .rows
        .iter()
        .filter(|(_, rows)| rows.iter().any(|row| row.branches.iter().any(|branch| branch.to.is_some())))
        .map(|(event, _)| *event);
    let starts = strand.initial.iter().filter_map(|initial| initial.on);
    let overlays =
        strand.overlays.iter().flat_map(|overlay| overlay.set_by.iter().chain(&overlay.cleared_by).copied());
    rows.chain(starts).chain(overlays)
}

/// The event types that introduce or amend entities of a kind, and of its parents.
fn introducing(definition: &Definition, kind: KindId) -> Vec<EventTypeId> {
    let mut found = definition.kinds[kind.index()].introduced_by.clone();
    for (index, event) in definition.events.iter().enumerate() {
        if event.amends.contains(&kind) {
            found.push(EventTypeId(u16::try_from(index).unwrap_or(u16::MAX)));
        }
    }
    if let Some(parent) = definition.kinds[kind.index()].parent {
        found.extend(introducing(definition, parent));
    }
    found
}

/// How far a strand's states are from a state that has a row for an event, in steps of its own graph.
fn distances(strand: &Strand, event: EventTypeId) -> Vec<Option<usize>> {
    let mut distance: Vec<Option<usize>> = (0..strand.states.len())
        .map(|index| strand.row(event, StateId(u16::try_from(index).unwrap_or(u16::MAX))).map(|_| 0))
        .collect();
    for step in 0..strand.states.len() {
        for row in strand.rows.values().flatten() {
            let reaches = row
                .branches
                .iter()
                .filter_map(|branch| branch.to)
                .any(|to| distance[to.index()] == Some(step));
            if reaches && distance[row.from.index()].is_none() {
                distance[row.from.index()] = Some(step + 1);
            }
        }
    }
    distance
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Indexes into the candidates, in order. The list holds every shortest way that ends elsewhere.
    Paths(Vec<Vec<usize>>),
    /// There is none.
    Nothing,
    /// The limit was reached first.
    GaveUp,
}

/// What is looked for: a status in which the question's event is legal.
pub(crate) struct Search<'a> {
    pub(crate) definition: &'a Definition,
    pub(crate) candidates: &'a [Candidate],
    pub(crate) goal: &'a Question<'a>,
    /// Steps may not break a compliance rule, and neither may the goal.
    pub(crate) strict: bool,
    /// Events that may still be tried.
    pub(crate) trials_left: &'a Cell<usize>,
}

struct Node {
    status: Status,
    parent: usize,
    by: usize,
    length: usize,
}

impl Search<'_> {
    /// Searches from a status, which itself is not the answer.
    pub(crate) fn from(&self, start: &Status) -> Found {
        let goal_distances = self.goal_distances();
        let mentioned = self.mentioned();
        let mut nodes = vec![Node { status: start.clone(), parent: 0, by: 0, length: 0 }];
        let mut seen: HashMap<u128, usize> = HashMap::from([(fingerprint(start, &mentioned), 0)]);
        let mut open = BinaryHeap::from([Reverse((0, 0usize))]);
        let mut found: Vec<(u128, Vec<usize>)> = Vec::new();
        let mut length_max = usize::MAX / 8;
        while let Some(Reverse((estimate, index))) = open.pop() {
            let length = nodes[index].length;
            if estimate > length_max || length > length_max {
                break;
            }
            if self.is_reached(&nodes[index].status) && length > 0 {
                length_max = length;
                let place = fingerprint(&nodes[index].status, &BTreeSet::new());
                if !found.iter().any(|(other, _)| *other == place) {
                    found.push((place, trace(&nodes, index)));
                }
                continue;
            }
            if length == length_max {
                continue;
            }
            let left = self.trials_left.get().checked_sub(self.candidates.len());
            let Some(left) = left else {
                return if found.is_empty() { Found::GaveUp } else { finish(found) };
            };
            self.trials_left.set(left);
            for (by, candidate) in self.candidates.iter().enumerate() {
                let Some(status) = self.after(&nodes[index].status, candidate) else { continue };
                let key = fingerprint(&status, &mentioned);
                if seen.get(&key).is_some_and(|shortest| *shortest <= length + 1) {
                    continue;
                }
                seen.insert(key, length + 1);
                let estimate = length + 1 + self.distance(&status, &goal_distances);
                if estimate <= length_max {
                    open.push(Reverse((estimate, nodes.len())));
                    nodes.push(Node { status, parent: index, by, length: length + 1 });
                }
            }
        }
        if found.is_empty() { Found::Nothing } else { finish(found) }
    }

    fn is_reached(&self, status: &Status) -> bool {
        let judgement = judge(self.definition, status, self.goal);
        passes(&judgement, self.strict)
    }

    /// The status after a candidate, if it is legal there.
    pub(crate) fn after(&self, status: &Status, candidate: &Candidate) -> Option<Status> {
        let question = Question::about(&candidate.event);
        if !passes(&judge(self.definition, status, &question), self.strict) {
            return None;
        }
        let mut after = status.clone();
        after.step(self.definition, &candidate.event);
        Some(after)
    }

    /// The event types that rules of goal and candidates ask about: they tell statuses apart.
    fn mentioned(&self) -> BTreeSet<EventTypeId> {
        let mut mentions = Mentions::default();
        let types: BTreeSet<EventTypeId> = self
            .candidates
            .iter()
            .map(|candidate| candidate.event.event_type)
            .chain([self.goal.event_type])
            .collect();
        for event in types {
            for rule in &self.definition.event_type(event).rules {
                mentions.of_rule(event, rule);
            }
        }
        mentions.follow_derived(self.definition);
        mentions.events
    }

    fn goal_distances(&self) -> Vec<(StrandId, Vec<Option<usize>>)> {
        self.definition
            .event_type(self.goal.event_type)
            .moves
            .iter()
            .filter(|(_, ownership)| *ownership == Ownership::Owns)
            .map(|(strand, _)| {
                (*strand, distances(&self.definition.strands[strand.index()], self.goal.event_type))
            })
            .collect()
    }

    /// Never more than the steps that are missing.
    fn distance(&self, status: &Status, goal_distances: &[(StrandId, Vec<Option<usize>>)]) -> usize {
        let closure = status.closure(self.definition, self.goal.scope);
        goal_distances
            .iter()
            .flat_map(|(strand, distances)| {
                closure
                    .iter()
                    .filter_map(|entity| status.strand(*entity, *strand)?.state)
                    .map(|state| distances[state.index()].unwrap_or(usize::MAX / 4))
            })
            .max()
            .unwrap_or(0)
    }
}

fn passes(judgement: &Judgement, strict: bool) -> bool {
    judgement.unmet.iter().all(|unmet| match unmet.class() {
        RuleClass::Compliance => !strict,
        RuleClass::Authority => !matches!(unmet, Unmet::Rule { .. }),
        RuleClass::Logical | RuleClass::Gap => false,
    })
}

fn trace(nodes: &[Node], mut index: usize) -> Vec<usize> {
    let mut path = Vec::new();
    while index != 0 {
        path.push(nodes[index].by);
        index = nodes[index].parent;
    }
    path.reverse();
    path
}

fn finish(found: Vec<(u128, Vec<usize>)>) -> Found {
    Found::Paths(found.into_iter().map(|(_, path)| path).collect())
}

/// Tells statuses apart by what strands, overlays and the events asked about say.
pub(crate) fn fingerprint(status: &Status, mentioned: &BTreeSet<EventTypeId>) -> u128 {
    let mut hashers = [DefaultHasher::new(), DefaultHasher::new()];
    1u8.hash(&mut hashers[1]);
    for hasher in &mut hashers {
        for (id, entity) in status.entities() {
            entity.id.hash(hasher);
            entity.kind.hash(hasher);
            for at in &entity.strands {
                (at.state, at.overlays).hash(hasher);
            }
            for event in mentioned {
                if let Some((count, last)) = status.happened(id, *event) {
                    (event, count.min(2), last.version().0).hash(hasher);
                }
            }
        }
    }
    (u128::from(hashers[0].finish()) << 64) | u128::from(hashers[1].finish())
}

/// The answer to *what would make it legal*.
#[derive(Debug, Clone, Default)]
pub(crate) struct WayThere {
    pub(crate) steps: Option<Vec<Step>>,
    pub(crate) note: Option<String>,
}

/// The shortest legal path from a status to an event that is refused there: first without breaking any rule, then, if
/// there is none, without breaking one that refuses.
pub(crate) fn shortest_path(definition: &Definition, start: &Status, goal: &Question<'_>) -> WayThere {
    let distinctions = Distinctions::of(definition);
    let universe = universe_for(definition, start, goal.scope);
    let mut layers = events_that_help(definition, start, goal.event_type);
    for types in &mut layers {
        types.retain(|event| !definition.event_type(*event).is_unsought);
    }
    if is_hopeless(definition, start, goal) {
        let note = "no other event can change this: the event itself would have to be another".to_owned();
        return WayThere { steps: None, note: Some(note) };
    }
    let trials_left = Cell::new(SEARCH_TRIALS_MAX);
    let mut gave_up = false;
    for strict in [true, false] {
        for types in &layers {
            let candidates = candidates(definition, &distinctions, &universe, types);
            let search =
                Search { definition, candidates: &candidates, goal, strict, trials_left: &trials_left };
            match search.from(start) {
                Found::Paths(paths) => {
                    let shortest = paths.first().map_or(&[][..], Vec::as_slice);
                    let steps = steps_of(&search, start, shortest);
                    return WayThere { steps: Some(steps), note: None };
                }
                Found::Nothing => {}
                Found::GaveUp => gave_up = true,
            }
        }
    }
    let note = if gave_up {
        format!("no path was found within {SEARCH_TRIALS_MAX} tries; there may be one")
    } else {
        "no sequence of events from here makes it legal".to_owned()
    };
    WayThere { steps: None, note: Some(note) }
}

/// Whether something that only the event itself says stands in the way.
fn is_hopeless(definition: &Definition, start: &Status, goal: &Question<'_>) -> bool {
    let rules = &definition.event_type(goal.event_type).rules;
    judge(definition, start, goal).unmet.iter().filter(|unmet| unmet.blocks()).any(|unmet| match unmet {
        Unmet::Scope(problem) => !matches!(problem, ScopeProblem::Unknown { .. }),
        Unmet::NoBranch { .. } => true,
        Unmet::Rule { index, class: RuleClass::Logical | RuleClass::Gap, .. } => {
            let (introduced, _) = status_for(definition, start, goal);
            let status = introduced.as_ref().unwrap_or(start);
            let closure = status.closure(definition, goal.scope);
            let scene = Scene { definition, status, closure, event: Some(goal.facts) };
            let rule = &rules[*index];
            // A rule that is asked only where the case stands so and so may stop being asked.
            rule.when.as_ref().is_none_or(Condition::asks_the_event_alone)
                && rule.require.fails_by_the_event_alone(&scene)
        }
        _ => false,
    })
}

/// The missing steps that, declared as gaps, make an event legal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Missing {
    /// One list of steps; each with the alternatives that lead to the same state.
    Steps(Vec<Vec<MissingEvent>>),
    /// Several equally short ways that lead to different states: the caller has to choose.
    Choice(Vec<Vec<String>>),
    /// None.
    Nothing,
}

/// Looks for the gaps: forward steps only, none of which breaks a rule.
pub(crate) fn missing_steps(
    definition: &Definition,
    start: &Status,
    goal: &Question<'_>,
    strict: bool,
) -> Missing {
    let distinctions = Distinctions::of(definition);
    let universe = universe_for(definition, start, goal.scope);
    if is_hopeless(definition, start, goal) {
        return Missing::Nothing;
    }
    let trials_left = Cell::new(SEARCH_TRIALS_MAX);
    for mut types in events_that_help(definition, start, goal.event_type) {
        types.retain(|event| definition.event_type(*event).may_be_gap);
        let candidates = candidates(definition, &distinctions, &universe, &types);
        let search = Search { definition, candidates: &candidates, goal, strict, trials_left: &trials_left };
        let Found::Paths(paths) = search.from(start) else { continue };
        if paths.len() > 1 {
            let names = |path: &Vec<usize>| {
                path.iter()
                    .map(|index| definition.event_type(candidates[*index].event.event_type).name.clone())
                    .collect()
            };
            let mut choices: Vec<Vec<String>> = paths.iter().map(names).collect();
            choices.dedup();
            return Missing::Choice(choices);
        }
        let path = paths.into_iter().next().unwrap_or_default();
        return Missing::Steps(with_alternatives(&search, start, &path));
    }
    Missing::Nothing
}

/// For each step of a path, all candidates that lead to the same place and still to the goal, with the values that do
/// not matter left out.
fn with_alternatives(search: &Search<'_>, start: &Status, path: &[usize]) -> Vec<Vec<MissingEvent>> {
    let mut status = start.clone();
    let mut steps = Vec::new();
    for (place, index) in path.iter().enumerate() {
        let chosen = &search.candidates[*index];
        let Some(after) = search.after(&status, chosen) else { break };
        let after_it = Some(strands_of(&after));
        let detour = Detour { search, before: &status, after: after_it, rest: &path[place + 1..] };
        let mut alternatives = vec![detour.needed(chosen)];
        for candidate in search.candidates {
            if candidate.event.scope() == chosen.event.scope() && detour.leads_on(candidate) {
                let alternative = detour.needed(candidate);
                if !alternatives.contains(&alternative) {
                    alternatives.push(alternative);
                }
            }
        }
        steps.push(alternatives);
        status = after;
    }
    steps
}

/// A path for people: each step with the values that it must have, and no others.
fn steps_of(search: &Search<'_>, start: &Status, path: &[usize]) -> Vec<Step> {
    let mut status = start.clone();
    let mut steps = Vec::new();
    for (place, index) in path.iter().enumerate() {
        let chosen = &search.candidates[*index];
        let Some(after) = search.after(&status, chosen) else { break };
        let detour = Detour { search, before: &status, after: None, rest: &path[place + 1..] };
        steps.push(detour.told(chosen).step(search.definition));
        status = after;
    }
    steps
}

fn strands_of(status: &Status) -> u128 {
    fingerprint(status, &BTreeSet::new())
}

/// Another way of taking one step of a path.
struct Detour<'a> {
    search: &'a Search<'a>,
    before: &'a Status,
    /// The states that it has to lead to; anything that leaves the rest of the path open where absent.
    after: Option<u128>,
    rest: &'a [usize],
}

impl Detour<'_> {
    /// Whether the candidate leads where it has to, and the rest of the path still leads to the goal.
    fn leads_on(&self, candidate: &Candidate) -> bool {
        let Some(mut status) = self.search.after(self.before, candidate) else { return false };
        if self.after.is_some_and(|after| after != strands_of(&status)) {
            return false;
        }
        for index in self.rest {
            let Some(next) = self.search.after(&status, &self.search.candidates[*index]) else {
                return false;
            };
            status = next;
        }
        self.search.is_reached(&status)
    }

    /// The step as people are told it: of the ways of filling it in that lead on, the one that takes the fewest words.
    fn told(&self, chosen: &Candidate) -> MissingEvent {
        let ways = self.alike(chosen).filter(|candidate| self.leads_on(candidate));
        let told = ways.map(|candidate| self.with_pitfalls(candidate)).min_by_key(|told| told.data.len());
        told.unwrap_or_else(|| self.needed(chosen))
    }

    /// Candidates of the same type about the same entities.
    fn alike<'c>(&'c self, chosen: &'c Candidate) -> impl Iterator<Item = &'c Candidate> {
        let (event_type, scope) = (chosen.event.event_type, chosen.event.scope());
        let candidates = self.search.candidates.iter();
        candidates.filter(move |other| other.event.event_type == event_type && other.event.scope() == scope)
    }

    /// The candidate with the values that are needed, and those that would lead elsewhere if whoever fills them in chose
    /// another.
    fn with_pitfalls(&self, candidate: &Candidate) -> MissingEvent {
        let mut told = self.needed(candidate);
        // A value that is told may make another field matter.
        while let Some((field, value)) = self.pitfall(candidate, &told.data) {
            told.data.insert(field, value);
        }
        told
    }

    /// A field that is not told yet, and that leads elsewhere for some other value.
    fn pitfall(&self, candidate: &Candidate, told: &Payload) -> Option<(String, Value)> {
        let event = &candidate.event;
        let untold = event.data().iter().filter(|(field, _)| !told.contains_key(*field));
        let mut leading_astray = untold.filter(|(field, _)| {
            let mut others = self.alike(candidate).filter_map(|other| other.event.data().get(*field));
            others.any(|other| {
                let mut data = told.clone();
                data.insert((*field).clone(), other.clone());
                let changed =
                    Candidate::new(self.search.definition, event.event_type, event.scope().clone(), data, 0);
                !self.leads_on(&changed)
            })
        });
        leading_astray.next().map(|(field, value)| (field.clone(), value.clone()))
    }

    /// The candidate with only those values without which it would lead elsewhere.
    fn needed(&self, candidate: &Candidate) -> MissingEvent {
        let definition = self.search.definition;
        let event = &candidate.event;
        let mut data = event.data().clone();
        let fields: Vec<String> = data.keys().cloned().collect();
        for field in fields {
            let Some(value) = data.remove(&field) else { continue };
            let fewer = Candidate::new(definition, event.event_type, event.scope().clone(), data.clone(), 0);
            if !self.leads_on(&fewer) {
                data.insert(field, value);
            }
        }
        MissingEvent { event_type: event.event_type, scope: event.scope().clone(), data }
    }
}
