//! A*: the shortest sequence of candidates from a status to one in which an event is legal.
//!
//! What is estimated never overestimates ([`super::remaining`]), and statuses that nothing in the search tells apart are
//! one ([`super::told_apart`]). A candidate is judged only where its strands have a row for it and something would change.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use foldhash::fast::FixedState;

use super::candidate::{Candidate, scopes_of};
use super::event::{Scope, engine_types};
use super::judge::{Question, Unmet, passes};
use super::remaining::{Missing, NEVER, Remaining};
use super::status::{Status, branches_for};
use super::told_apart::ToldApart;
use crate::definition::condition::EntityId;
use crate::definition::{Definition, Introduction, KindId, Ownership, RuleClass};

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Indexes into the candidates, in order.
    Paths {
        /// One shortest way; with [`Search::every_end`], one to each end that the shortest ways lead to.
        paths: Vec<Vec<usize>>,
        /// All candidates of all shortest ways that were found to the end of the first.
        used: BTreeSet<usize>,
        /// False where the limit was reached before that was certain.
        is_certain: bool,
    },
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
    /// Every state that the shortest ways lead to is wanted, not one way alone.
    pub(crate) every_end: bool,
    /// No longer path is of interest.
    pub(crate) length_max: usize,
    /// Events that may still be tried.
    pub(crate) trials_left: &'a Cell<usize>,
    /// Another definition that is asked each step as well; `None`: this one alone.
    pub(crate) beside: Option<&'a Beside<'a>>,
}

/// Another definition, in which every step has to be legal as well, and what is then looked for in place of a status in
/// which the goal is legal: a subset of those.
pub(crate) struct Beside<'a> {
    pub(crate) definition: &'a Definition,
    /// Where it begins under the other definition: like the search itself, before the case is opened.
    pub(crate) start: &'a Status,
    /// The same candidates, in the other's terms.
    pub(crate) candidates: &'a [Candidate],
    /// What matters of both: of the searched definition, and of the other.
    pub(crate) told: (ToldApart, ToldApart),
    /// How many steps are missing at least, from what is looked for beyond a status in which the goal is legal.
    pub(crate) missing: &'a dyn Fn(&Status, &Status) -> usize,
    /// Whether the statuses under both, and the way to them, are what is looked for.
    pub(crate) is_reached: &'a dyn Fn(&Status, &Status, &[usize]) -> bool,
}

impl Beside<'_> {
    /// The other's status after the candidate at this index, if it is legal there as well.
    fn after(&self, status: &Status, by: usize) -> Option<Status> {
        let event = &self.candidates[by].event;
        if !passes(self.definition, status, &Question::about(event), |unmet| refuses(unmet, false)) {
            return None;
        }
        let mut after = status.clone();
        after.step(self.definition, event);
        Some(after)
    }
}

struct Node {
    status: Status,
    /// The status under the other definition, where there is one.
    beside: Option<Status>,
    key: u128,
    parent: usize,
    by: usize,
    length: usize,
    /// Before the goal; nothing where this is it.
    missing: Option<Missing>,
    /// Other ways that are as short: parent and candidate.
    others: Vec<(usize, usize)>,
}

/// What tells an end from others, and the goals that were reached there.
type End = (u128, Vec<usize>);

/// The candidates with what a search needs to know of all of them.
struct Tried<'a> {
    told: ToldApart,
    every_strand: ToldApart,
    remaining: Remaining<'a>,
    /// The scopes of the candidates, each once, and the scope of each candidate.
    scopes: Vec<&'a Scope>,
    scope_of: Vec<usize>,
}

impl<'a> Search<'a> {
    fn prepared(&self) -> Tried<'a> {
        let types: BTreeSet<_> = self.candidates.iter().map(|candidate| candidate.event.event_type).collect();
        let mut asked = types.clone();
        asked.insert(self.goal.event_type);
        let told = match self.beside {
            Some(beside) => beside.told.0.clone(),
            None => ToldApart::by(self.definition, &asked),
        };
        let every_strand = ToldApart::default().and_every_strand(self.definition);
        let (scopes, scope_of) = scopes_of(self.candidates);
        Tried {
            told: if self.every_end { told.and_every_strand(self.definition) } else { told },
            every_strand,
            remaining: Remaining::new(self.definition, self.goal, self.strict, &types),
            scopes,
            scope_of,
        }
    }

    /// Searches from a status, which itself is not the answer.
    pub(crate) fn from(&self, start: &Status) -> Found {
        let tried = self.prepared();
        let beside = self.beside.map(|beside| beside.start.clone());
        let key = self.key(&tried, start, beside.as_ref());
        let missing = tried.remaining.missing(start);
        let begin = Node {
            status: start.clone(),
            beside,
            key,
            parent: 0,
            by: 0,
            length: 0,
            missing: Some(missing),
            others: Vec::new(),
        };
        let mut round = Round {
            search: self,
            tried,
            nodes: vec![begin],
            // The opening of a case is a step even where it changes nothing that is told apart.
            shortest: if self.beside.is_some() {
                HashMap::default()
            } else {
                [(key, (0, 0))].into_iter().collect()
            },
            open: BinaryHeap::from([(Reverse(missing.steps.max(1)), 0, Reverse(0))]),
            best: None,
            limit: self.length_max.min(NEVER - 1),
        };
        let mut ends: Vec<End> = Vec::new();
        while let Some((Reverse(estimate), _, Reverse(index))) = round.open.pop() {
            let node = &round.nodes[index];
            if estimate > round.limit {
                break;
            }
            if round.shortest.get(&node.key).is_some_and(|(known, _)| *known < node.length) {
                continue;
            }
            if node.missing.is_some() {
                if !round.expand(index) {
                    return given_up(&round.nodes, &ends, round.best);
                }
                continue;
            }
            round.limit = node.length;
            let end = round.tried.every_strand.key(&node.status);
            match ends.iter_mut().find(|(other, _)| *other == end) {
                Some((_, reached)) => reached.push(index),
                None => ends.push((end, vec![index])),
            }
            if !self.every_end {
                break;
            }
        }
        if ends.is_empty() { Found::Nothing } else { finished(&round.nodes, &ends, true) }
    }

    pub(crate) fn is_reached(&self, status: &Status) -> bool {
        passes(self.definition, status, self.goal, |unmet| refuses(unmet, self.strict))
    }

    /// The status after a candidate, if it is legal there.
    pub(crate) fn after(&self, status: &Status, candidate: &Candidate) -> Option<Status> {
        let question = Question::about(&candidate.event);
        if !passes(self.definition, status, &question, |unmet| refuses(unmet, self.strict)) {
            return None;
        }
        let mut after = status.clone();
        after.step(self.definition, &candidate.event);
        Some(after)
    }

    /// Equal for what no event of the search tells apart, under either definition.
    fn key(&self, tried: &Tried<'_>, status: &Status, beside: Option<&Status>) -> u128 {
        let key = tried.told.key(status);
        match (self.beside, beside) {
            (Some(other), Some(status)) => key ^ other.told.1.key(status).rotate_left(64).wrapping_mul(3),
            _ => key,
        }
    }

    /// Whether anything that the search tells apart could change, under either definition, and neither excludes it.
    fn may_matter(&self, tried: &Tried<'_>, node: &Node, by: usize, about: &[EntityId]) -> bool {
        let candidate = &self.candidates[by];
        let Some(matters) = effect(self.definition, &tried.told, &node.status, candidate, about) else {
            return false;
        };
        let (Some(other), Some(status)) = (self.beside, &node.beside) else { return matters };
        let candidate = &other.candidates[by];
        let about = status.closure(other.definition, candidate.event.scope());
        effect(other.definition, &other.told.1, status, candidate, &about)
            .is_some_and(|matters_there| matters || matters_there)
    }
}

/// Whether anything that is told apart could change by the candidate; `None` where what owns it has no place for it here.
fn effect(
    definition: &Definition,
    told: &ToldApart,
    status: &Status,
    candidate: &Candidate,
    about: &[EntityId],
) -> Option<bool> {
    let event = &candidate.event;
    let event_type = definition.event_type(event.event_type);
    let is_there = |kind| about.iter().any(|entity| status.entity(*entity).kind == Some(kind));
    let fits = |kind: &KindId| match event_type.introduction_of(*kind) {
        Introduction::Always => !is_there(*kind),
        Introduction::Never => is_there(*kind),
        Introduction::IfNew => true,
    };
    if !event_type.scope.iter().all(fits) {
        return None;
    }
    let mut matters = !event_type.introduces.is_empty()
        || (!event_type.amends.is_empty() && told.reads_entities())
        || told.notices(status, event.event_type, about);
    for (strand_id, ownership) in &event_type.moves {
        let strand = &definition.strands[strand_id.index()];
        for entity in about {
            let Some(at) = status.strand(*entity, *strand_id) else { continue };
            let branches = branches_for(strand, at.state, event.event_type);
            if *ownership == Ownership::Owns && branches.is_none() && !event_type.always_accepted {
                return None;
            }
            matters |= told.reads_strand(*strand_id)
                && branches.is_some_and(|branches| {
                    let taken =
                        branches.iter().find(|branch| branch.matches(|field| event.data().get(field)));
                    taken.and_then(|branch| branch.to).is_some_and(|to| at.state != Some(to))
                });
        }
        // What is observed may move strands below the entities that are named.
        matters |= *ownership == Ownership::Observes && told.reads_strand(*strand_id);
    }
    Some(matters || turns_overlay(definition, told, status, candidate, about))
}

fn turns_overlay(
    definition: &Definition,
    told: &ToldApart,
    status: &Status,
    candidate: &Candidate,
    about: &[EntityId],
) -> bool {
    let event = candidate.event.event_type;
    let strands = about.iter().flat_map(|entity| &status.entity(*entity).strands);
    strands.into_iter().any(|at| {
        let told = told.overlays(at.strand);
        let overlays = &definition.strands[at.strand.index()].overlays;
        told != 0
            && overlays.iter().enumerate().any(|(index, overlay)| {
                let bit = 1 << index;
                let turns = if at.overlays & bit == 0 { &overlay.set_by } else { &overlay.cleared_by };
                told & bit != 0 && turns.contains(&event)
            })
    })
}

/// One search under way.
struct Round<'s, 'a> {
    search: &'s Search<'a>,
    tried: Tried<'a>,
    nodes: Vec<Node>,
    /// By key: the length of the shortest way there, and its node.
    shortest: HashMap<u128, (usize, usize), FixedState>,
    /// By estimate, the longest way first among equals.
    open: BinaryHeap<(Reverse<usize>, usize, Reverse<usize>)>,
    /// The shortest way to the goal so far.
    best: Option<usize>,
    /// No longer way is of interest.
    limit: usize,
}

impl Round<'_, '_> {
    /// Tries every candidate after a node; false where the limit of tries is reached.
    fn expand(&mut self, index: usize) -> bool {
        let search = self.search;
        let opening = search.definition.event(engine_types::CASE_OPENED);
        let mut closures: Vec<Option<Vec<EntityId>>> = vec![None; self.tried.scopes.len()];
        let (length, missing) = (self.nodes[index].length, self.nodes[index].missing);
        for (by, candidate) in search.candidates.iter().enumerate() {
            // With no step to spare, only what leaves fewer missing leads there in time.
            let is_detour =
                |missing: Missing| !self.tried.remaining.lessens(missing, candidate.event.event_type);
            if missing.is_some_and(|missing| {
                length + missing.steps.max(1) >= self.longest_wanted() && is_detour(missing)
            }) {
                continue;
            }
            let scope = self.tried.scope_of[by];
            let node = &self.nodes[index];
            let about = closures[scope]
                .get_or_insert_with(|| node.status.closure(search.definition, self.tried.scopes[scope]));
            let is_opening = Some(candidate.event.event_type) == opening;
            let fits = match search.beside {
                Some(_) if index == 0 || is_opening => index == 0 && is_opening,
                _ => search.may_matter(&self.tried, node, by, about),
            };
            if !fits {
                continue;
            }
            let Some(left) = search.trials_left.get().checked_sub(1) else { return false };
            search.trials_left.set(left);
            let Some(status) = search.after(&node.status, candidate) else { continue };
            let beside = match (search.beside, &node.beside) {
                (Some(other), Some(status)) => match other.after(status, by) {
                    Some(after) => Some(after),
                    None => continue,
                },
                _ => None,
            };
            self.take(index, by, status, beside);
        }
        true
    }

    /// No longer way is of interest. A second one of the same length is only for where it ends.
    fn longest_wanted(&self) -> usize {
        let is_settled = self.best.is_some() && !self.search.every_end;
        if is_settled { self.limit - 1 } else { self.limit }
    }

    /// Takes a status that was come to, if no shorter way there is known and the goal can be near enough.
    fn take(&mut self, parent: usize, by: usize, status: Status, beside: Option<Status>) {
        let key = self.search.key(&self.tried, &status, beside.as_ref());
        let length = self.nodes[parent].length + 1;
        match self.shortest.get(&key) {
            Some((known, node)) if *known == length => {
                self.nodes[*node].others.push((parent, by));
                return;
            }
            Some((known, _)) if *known < length => return,
            _ => {}
        }
        let mut missing = self.tried.remaining.missing(&status);
        if let (Some(other), Some(there)) = (self.search.beside, &beside) {
            missing = missing.at_least((other.missing)(&status, there));
        }
        let is_goal = match (self.search.beside, &beside) {
            (Some(other), Some(there)) => {
                let mut way = trace(&self.nodes, parent);
                way.push(by);
                missing.steps == 0 && length <= self.limit && (other.is_reached)(&status, there, &way)
            }
            // What is missing at least is missing.
            _ => missing.steps == 0 && self.search.is_reached(&status),
        };
        let remaining = if is_goal { 0 } else { missing.steps.max(1) };
        if length.saturating_add(remaining) > self.longest_wanted() {
            return;
        }
        let node = self.nodes.len();
        self.shortest.insert(key, (length, node));
        if is_goal {
            self.best = Some(node);
            self.limit = length;
        }
        self.open.push((Reverse(length + remaining), length, Reverse(node)));
        let missing = Some(missing).filter(|_| !is_goal);
        self.nodes.push(Node { status, beside, key, parent, by, length, missing, others: Vec::new() });
    }
}

/// Whether it stands in the way of a step, or of the goal.
fn refuses(unmet: &Unmet, strict: bool) -> bool {
    match unmet.class() {
        RuleClass::Compliance => strict,
        RuleClass::Authority => matches!(unmet, Unmet::Rule { .. }),
        RuleClass::Logical | RuleClass::Gap => true,
    }
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

/// The candidates of all shortest ways to these nodes.
fn used(nodes: &[Node], ends: &[usize]) -> BTreeSet<usize> {
    let mut used = BTreeSet::new();
    let mut seen: BTreeSet<usize> = ends.iter().copied().collect();
    let mut open = ends.to_vec();
    while let Some(index) = open.pop() {
        if index == 0 {
            continue;
        }
        let node = &nodes[index];
        for (parent, by) in [(node.parent, node.by)].iter().chain(&node.others) {
            used.insert(*by);
            if seen.insert(*parent) {
                open.push(*parent);
            }
        }
    }
    used
}

fn given_up(nodes: &[Node], ends: &[End], best: Option<usize>) -> Found {
    match best {
        _ if !ends.is_empty() => finished(nodes, ends, false),
        Some(best) => finished(nodes, &[(0, vec![best])], false),
        None => Found::GaveUp,
    }
}

fn finished(nodes: &[Node], ends: &[End], is_certain: bool) -> Found {
    let used = ends.first().map(|(_, reached)| used(nodes, reached)).unwrap_or_default();
    let paths = ends.iter().filter_map(|(_, reached)| Some(trace(nodes, *reached.first()?))).collect();
    Found::Paths { paths, used, is_certain }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::super::candidate::{Width, candidates, universe_for};
    use super::super::event::{Payload, engine_types};
    use super::super::judge::judge;
    use super::super::path::{Missing, missing_steps, shortest_path};
    use super::*;
    use crate::definition::EventTypeId;
    use crate::definition::drawn::{Drawn, compiled};

    /// The most statuses that the oracle looks at.
    const STATUSES_MAX: usize = 400;

    /// Everything that a status says, but for how often something happened beyond what any rule asks.
    fn whole(definition: &Definition, status: &Status) -> String {
        let mut text = String::new();
        for (id, entity) in status.entities() {
            let strands: Vec<_> = entity.strands.iter().map(|at| (at.state, at.overlays)).collect();
            write!(text, "{:?}{}{strands:?}{:?}", entity.kind, entity.id, entity.data).expect("a text");
            for event in 0..definition.events.len() {
                let event = EventTypeId(u16::try_from(event).expect("few"));
                let count = status.happened(id, event).map_or(0, |(count, _)| count.min(4));
                write!(text, "{count}").expect("a text");
            }
        }
        text
    }

    /// Plain breadth-first search over every candidate of every type; `Err` where there is too much to look at.
    fn oracle(
        definition: &Definition,
        start: &Status,
        goal: &Question<'_>,
        strict: bool,
        is_step: impl Fn(EventTypeId) -> bool,
    ) -> Result<Option<usize>, ()> {
        let types = (0..definition.events.len()).map(|event| EventTypeId(u16::try_from(event).expect("few")));
        let types = types.filter(|event| {
            !engine_types::ALL.contains(&definition.event_type(*event).name.as_str()) && is_step(*event)
        });
        let universe = universe_for(definition, start, goal.scope);
        let all = candidates(definition, &universe, &types.collect(), Width::Path);
        let mut seen = HashSet::from([whole(definition, start)]);
        let mut layer = vec![start.clone()];
        for length in 1.. {
            let mut next = Vec::new();
            for status in &layer {
                for candidate in &all {
                    let question = Question::about(&candidate.event);
                    if !passes(definition, status, &question, |unmet| refuses(unmet, strict)) {
                        continue;
                    }
                    let mut after = status.clone();
                    after.step(definition, &candidate.event);
                    if !seen.insert(whole(definition, &after)) {
                        continue;
                    }
                    if passes(definition, &after, goal, |unmet| refuses(unmet, strict)) {
                        return Ok(Some(length));
                    }
                    next.push(after);
                }
            }
            if next.is_empty() {
                return Ok(None);
            }
            if seen.len() > STATUSES_MAX {
                return Err(());
            }
            layer = next;
        }
        Ok(None)
    }

    fn question(definition: &Definition, event: &str, scope: &Scope) -> Candidate {
        Candidate::new(definition, definition.event(event).expect("a type"), scope.clone(), Payload::new(), 0)
    }

    /// Compares with the oracle the path to every event that is refused at the start; answers how many were compared.
    fn compare(text: &str) -> usize {
        let definition = compiled(text);
        let mut start = Status::before_opening(&definition);
        start.step(&definition, &question(&definition, "case-opened", &Scope::new()).event);
        let mut compared = 0;
        for event in
            definition.events.iter().filter(|event| event.name.starts_with('e') && event.name.len() == 2)
        {
            let mut scope = Scope::new();
            if !event.scope.is_empty() {
                scope.insert("item".into(), super::super::candidate::new_entity(&definition.kinds[0]));
            }
            let goal = question(&definition, &event.name, &scope);
            let goal = Question::about(&goal.event);
            if judge(&definition, &start, &goal).is_legal() {
                continue;
            }
            let strict = oracle(&definition, &start, &goal, true, |_| true);
            let lengths = match strict {
                Ok(Some(length)) => Ok(Some(length)),
                Ok(None) => oracle(&definition, &start, &goal, false, |_| true),
                Err(()) => Err(()),
            };
            let Ok(length) = lengths else { continue };
            let way = shortest_path(&definition, &start, &goal);
            let found = way.steps.as_ref().map(Vec::len);
            assert_eq!(found, length, "to {}: {way:?}\n{text}", event.name);
            assert_eq!(way.note.is_some(), length.is_none(), "{way:?}");
            compared += 1;
            let may_be_gap = |event: EventTypeId| definition.event_type(event).may_be_gap;
            let Ok(length) = oracle(&definition, &start, &goal, true, may_be_gap) else { continue };
            match missing_steps(&definition, &start, &goal, true) {
                Missing::Steps(steps) => {
                    assert_eq!(Some(steps.len()), length, "gaps before {}\n{text}", event.name);
                }
                Missing::Choice(ways) => {
                    assert!(
                        ways.iter().all(|way| Some(way.len()) == length),
                        "{ways:?} before {}\n{text}",
                        event.name
                    );
                }
                Missing::Nothing => assert_eq!(length, None, "gaps before {}\n{text}", event.name),
            }
        }
        compared
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn a_path_is_as_short_as_plain_breadth_first_search_finds_it(seed in any::<u64>()) {
            compare(&Drawn(seed).definition());
        }
    }

    #[test]
    fn the_oracle_has_something_to_compare() {
        let compared: usize = (0..12).map(|seed| compare(&Drawn(seed).definition())).sum();
        assert!(compared > 12, "{compared}");
    }

    /// The nearest types lead there in three steps; one that itself needs another step leads there in two.
    #[test]
    fn a_shorter_path_through_a_later_layer_is_found() {
        let text = "
workflow: layers
version: 1
language: casebook/1
title: Layers
timezone: Europe/London
roles: { clerk: { title: Clerk } }
events:
  case-opened: { title: Opened }
  first: { title: First, gap: true }
  second: { title: Second, gap: true }
  third: { title: Third, gap: true }
  permitted: { title: Permitted, gap: true }
  shortened:
    title: Shortened
    gap: true
    rules: [{ id: only-permitted, class: logical, require: case.happened('permitted'), message: no }]
  done: { title: Done }
strands:
  s:
    title: S
    states: { a: {}, b: {}, c: {}, d: {}, e: { final: true } }
    initial: a
    transitions:
      - { on: first, from: a, to: b }
      - { on: second, from: b, to: c }
      - { on: third, from: c, to: d }
      - { on: shortened, from: a, to: d }
      - { on: done, from: d, to: e }
";
        let definition = compiled(text);
        let start = Status::before_opening(&definition);
        let goal = question(&definition, "done", &Scope::new());
        let goal = Question::about(&goal.event);
        let way = shortest_path(&definition, &start, &goal);
        let names: Vec<_> = way.steps.iter().flatten().map(|step| step.event_type.as_str()).collect();
        assert_eq!((names, way.note), (vec!["permitted", "shortened"], None));
        let Missing::Steps(steps) = missing_steps(&definition, &start, &goal, true) else {
            panic!("no gaps")
        };
        assert_eq!(steps.len(), 2);
    }
}
