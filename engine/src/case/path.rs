//! The search for what would make an event legal: the shortest sequence of events that leads there.
//!
//! Events that have not been written yet are tried as candidates: every type that can matter, about every entity
//! that can matter, in each way of filling it in that a transition or a condition tells apart. What they leave open
//! counts as possible. `search` finds the shortest way; this says where it looks, and tells it to people.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde_json::Value;

use super::candidate::{Candidate, MissingEvent, Universe, Width, candidates, universe_for};
use super::event::{Payload, engine_types};
use super::judge::{Question, Unmet, closed_state, judge, status_for};
use super::refusal::Step;
use super::search::{Found, Search};
use super::status::{Scene, ScopeProblem, Status};
use crate::definition::condition::Condition;
use crate::definition::mentions::Mentions;
use crate::definition::{Definition, EventTypeId, KindId, Ownership, RuleClass, Strand};

/// The most events that the search for one path tries, over all its rounds.
pub const SEARCH_TRIALS_MAX: usize = 24_000;

/// The most of them for a path that breaks no compliance rule.
const STRICT_TRIALS_MAX: usize = 18_000;

/// The part of the tries that one layer of the nearest types may take, before all types are searched.
const LAYER_SHARE: usize = 4;

/// The most events that the search for missing steps tries.
const GAP_TRIALS_MAX: usize = 24_000;

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
    if is_hopeless(definition, start, goal) {
        let note = "no other event can change this: the event itself would have to be another".to_owned();
        return WayThere { steps: None, note: Some(note) };
    }
    let mut layers = events_that_help(definition, start, goal.event_type);
    for types in &mut layers {
        types.retain(|event| !definition.event_type(*event).is_unsought);
    }
    let ground =
        Ground { definition, start, goal, universe: universe_for(definition, start, goal.scope), layers };
    let blameless = ground.shortest(true, STRICT_TRIALS_MAX);
    let way = match &blameless {
        Way::Found { .. } => &blameless,
        Way::Nothing | Way::GaveUp => &ground.shortest(false, SEARCH_TRIALS_MAX - STRICT_TRIALS_MAX),
    };
    match way {
        Way::Found { steps, is_certain } => {
            let mut doubts = Vec::new();
            if blameless == Way::GaveUp {
                doubts.push("one that breaks no rule");
            }
            if !is_certain {
                doubts.push("a shorter one");
            }
            let note = format!("{} was not ruled out within {SEARCH_TRIALS_MAX} tries", doubts.join(", or "));
            WayThere { steps: Some(steps.clone()), note: Some(note).filter(|_| !doubts.is_empty()) }
        }
        Way::GaveUp => {
            let note = format!("no path was found within {SEARCH_TRIALS_MAX} tries; there may be one");
            WayThere { steps: None, note: Some(note) }
        }
        Way::Nothing if blameless == Way::GaveUp => {
            let note = format!("no path was found within {SEARCH_TRIALS_MAX} tries; there may be one");
            WayThere { steps: None, note: Some(note) }
        }
        Way::Nothing => {
            let note = "no sequence of events from here makes it legal".to_owned();
            WayThere { steps: None, note: Some(note) }
        }
    }
}

/// Where a path is looked for.
struct Ground<'a> {
    definition: &'a Definition,
    start: &'a Status,
    goal: &'a Question<'a>,
    universe: Universe,
    layers: Vec<BTreeSet<EventTypeId>>,
}

/// A way, and whether none is shorter.
#[derive(Debug, Clone, PartialEq)]
enum Way {
    Found { steps: Vec<Step>, is_certain: bool },
    Nothing,
    GaveUp,
}

impl Ground<'_> {
    /// The shortest way among events of all types that can help. The nearest types are tried first, for a way whose length
    /// bounds the search through all of them.
    fn shortest(&self, strict: bool, trials_max: usize) -> Way {
        let Some((whole, nearest)) = self.layers.split_last() else { return Way::Nothing };
        let trials_left = Cell::new(trials_max);
        let mut known: Option<Vec<Step>> = None;
        // A layer that holds nearly all of them finds nothing sooner.
        for types in nearest.iter().filter(|types| types.len() * 2 <= whole.len()) {
            let granted = trials_left.get().min(trials_max / LAYER_SHARE);
            let (way, tried) = self.among(types, strict, usize::MAX, granted);
            trials_left.set(trials_left.get() - tried);
            if let Way::Found { steps, .. } = way {
                known = Some(steps);
                break;
            }
        }
        let length_max = known.as_ref().map_or(usize::MAX, |steps| steps.len() - 1);
        let (way, _) = self.among(whole, strict, length_max, trials_left.get());
        match (way, known) {
            (Way::Found { steps, is_certain }, _) => Way::Found { steps, is_certain },
            (Way::Nothing, Some(steps)) => Way::Found { steps, is_certain: true },
            (Way::GaveUp, Some(steps)) => Way::Found { steps, is_certain: false },
            (nothing, None) => nothing,
        }
    }

    /// The shortest way among events of these types, and how many were tried.
    fn among(
        &self,
        types: &BTreeSet<EventTypeId>,
        strict: bool,
        length_max: usize,
        trials_max: usize,
    ) -> (Way, usize) {
        let candidates = candidates(self.definition, &self.universe, types, Width::Path);
        let trials_left = Cell::new(trials_max);
        let search = Search {
            definition: self.definition,
            candidates: &candidates,
            goal: self.goal,
            strict,
            every_end: false,
            length_max,
            trials_left: &trials_left,
            beside: None,
        };
        let way = match search.from(self.start) {
            Found::Paths { paths, is_certain, .. } => {
                let shortest = paths.first().map_or(&[][..], Vec::as_slice);
                Way::Found { steps: steps_of(&search, self.start, shortest), is_certain }
            }
            Found::Nothing => Way::Nothing,
            Found::GaveUp => Way::GaveUp,
        };
        (way, trials_max - trials_left.get())
    }
}

/// Whether something that only the event itself says stands in the way.
fn is_hopeless(definition: &Definition, start: &Status, goal: &Question<'_>) -> bool {
    let rules = &definition.event_type(goal.event_type).rules;
    judge(definition, start, goal).unmet.iter().filter(|unmet| unmet.blocks()).any(|unmet| match unmet {
        Unmet::Scope(problem) => !matches!(problem, ScopeProblem::Unknown { .. }),
        Unmet::NoBranch { strand, .. } => !leads_on_somewhere(&definition.strands[strand.index()], goal),
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

/// Whether the event's fields fit a branch in any state of the strand.
fn leads_on_somewhere(strand: &Strand, goal: &Question<'_>) -> bool {
    let rows = strand.rows.get(&goal.event_type).into_iter().flatten().map(|row| &row.branches);
    let starts = strand.initial.iter().filter(|initial| initial.on == Some(goal.event_type));
    let mut branches = rows.chain(starts.map(|initial| &initial.branches)).flatten();
    goal.facts.absent.is_some() || branches.any(|branch| branch.matches(|field| goal.data.get(field)))
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

/// Looks for the gaps: forward steps only, none of which breaks a rule. Nothing is guessed: where the shortest ways lead to
/// different states, or through different ones, or to the same by events about different entities, it is for the caller
/// to choose.
pub(crate) fn missing_steps(
    definition: &Definition,
    start: &Status,
    goal: &Question<'_>,
    strict: bool,
) -> Missing {
    if is_hopeless(definition, start, goal) {
        return Missing::Nothing;
    }
    let Some(mut types) = events_that_help(definition, start, goal.event_type).pop() else {
        return Missing::Nothing;
    };
    types.retain(|event| definition.event_type(*event).may_be_gap);
    let universe = universe_for(definition, start, goal.scope);
    let candidates = candidates(definition, &universe, &types, Width::Path);
    let trials_left = Cell::new(GAP_TRIALS_MAX);
    let shortest = Search {
        definition,
        candidates: &candidates,
        goal,
        strict,
        every_end: false,
        length_max: usize::MAX,
        trials_left: &trials_left,
        beside: None,
    };
    // How long the shortest ways are comes first: without all ends, far fewer statuses are told apart.
    let Found::Paths { paths, is_certain: true, .. } = shortest.from(start) else { return Missing::Nothing };
    let length_max = paths.first().map_or(usize::MAX, Vec::len);
    let search = Search { every_end: true, length_max, ..shortest };
    // A way of which it is not certain that it is the only shortest one would be a guess.
    let Found::Paths { paths, used, is_certain: true } = search.from(start) else { return Missing::Nothing };
    let (steps, taken) = with_alternatives(&search, start, &paths[0]);
    if paths.len() > 1 || !used.is_subset(&taken) {
        let name = |index: &usize| definition.event_type(candidates[*index].event.event_type).name.clone();
        let mut choices: Vec<Vec<String>> =
            paths.iter().map(|path| path.iter().map(name).collect()).collect();
        choices.dedup();
        return Missing::Choice(choices);
    }
    Missing::Steps(steps)
}

/// For each step of a path, all candidates that lead to the same place and still to the goal, with the values that do
/// not matter left out; and which candidates these are. Those about other entities cannot be named beside it.
fn with_alternatives(
    search: &Search<'_>,
    start: &Status,
    path: &[usize],
) -> (Vec<Vec<MissingEvent>>, BTreeSet<usize>) {
    let mut status = start.clone();
    let mut steps = Vec::new();
    let mut taken = BTreeSet::new();
    for (place, index) in path.iter().enumerate() {
        let chosen = &search.candidates[*index];
        let Some(after) = search.after(&status, chosen) else { break };
        let after_it = Some(strands_of(&after));
        let detour = Detour { search, before: &status, after: after_it, rest: &path[place + 1..] };
        let mut alternatives = vec![detour.needed(chosen)];
        for (other, candidate) in search.candidates.iter().enumerate() {
            if candidate.event.scope() == chosen.event.scope() && detour.leads_on(candidate) {
                taken.insert(other);
                let alternative = detour.needed(candidate);
                if !alternatives.contains(&alternative) {
                    alternatives.push(alternative);
                }
            }
        }
        steps.push(alternatives);
        status = after;
    }
    (steps, taken)
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
