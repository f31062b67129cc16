//! The search for the shortest history that two versions of a definition answer differently because of one change.
//!
//! Every step but the last is lawful under both; the last is what they answer differently. It is the search for paths
//! ([`crate::case::search`]), directed by what the last event needs where it is lawful, with the other version beside it.
//! What it finds is played through the decision under both versions before it counts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::behaviour::{Differs, Part, RefusedBy, StateChange};
use super::deadline::Deadline;
use super::mentions::Mentions;
use super::reach::{that_matter, universe};
use super::rehearsal::LastAnswer;
use super::scenario::DeadlineExpectation;
use super::witness::{
    Pair, candidate, dated, earlier_step, is_accepted, last_steps, play, standings, with_values,
};
use super::{Definition, EventTypeId, StrandId};
use crate::case::candidate::{Candidate, Width, candidates};
use crate::case::day::Day;
use crate::case::deadline::due_words;
use crate::case::deadline_reading::deadlines;
use crate::case::event::{Payload, Scope, engine_types};
use crate::case::judge::{Judgement, Question, Unmet, judge};
use crate::case::refusal::Step;
use crate::case::remaining::{NEVER, Remaining};
use crate::case::search::{Beside, Found, Search};
use crate::case::state::CaseState;
use crate::case::status::Status;
use crate::case::told_apart::ToldApart;

/// Events that the search for one difference tries.
pub(crate) const TRIALS_MAX: usize = 48_000;

/// As many entities of each kind as are tried where one shows nothing.
pub(crate) const ENTITIES_EACH_MAX: usize = 2;

/// The part of the tries that one layer of the nearest types may take.
const LAYER_SHARE: usize = 4;

/// Histories that look right and are played, of which none turns out to be right, before a search ends.
const PLAYED_IN_VAIN_MAX: usize = 12;

/// A Monday, the Thursday before Easter, the Friday before Christmas, the end of a short month, a leap day, a Saturday:
/// days on which the ways of counting part.
const DAYS: [(i32, u8, u8); 6] =
    [(2024, 1, 15), (2024, 3, 28), (2023, 12, 22), (2024, 1, 31), (2024, 2, 29), (2024, 6, 15)];

/// Which difference is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Accepted by the earlier version, refused by the later.
    RefusedNow,
    /// The reverse.
    AcceptedNow,
    /// Accepted by both, with another outcome.
    Differs,
}

/// One changed thing, and the event that shows it.
pub(crate) struct Target<'t> {
    pub(crate) part: Part,
    pub(crate) name: &'t str,
    pub(crate) event: &'t str,
}

/// How a search ended.
pub(crate) enum Looked {
    /// The history, what differs after it, and whether no shorter one is.
    Found { witness: Vec<Step>, differs: Differs, is_shortest: bool },
    /// Everything was tried.
    Nothing,
    /// The limit was reached.
    GaveUp,
}

/// Looks for the shortest history, with one entity of each kind and then with more.
pub(crate) fn look(pair: Pair<'_>, target: &Target<'_>, aim: Aim, trials_left: &Cell<usize>) -> Looked {
    let mut looked = Looked::Nothing;
    for each in 1..=ENTITIES_EACH_MAX {
        let granted = trials_left.get().min(TRIALS_MAX);
        let ground = Ground::new(pair, target, aim, each);
        let own = Cell::new(granted);
        looked = ground.shortest(&own, granted);
        trials_left.set(trials_left.get() - (granted - own.get()));
        if !matches!(looked, Looked::Nothing) {
            break;
        }
    }
    looked
}

/// The last event in one way of writing it, as each version understands it.
struct Last {
    step: Step,
    lawful: Option<Candidate>,
    other: Option<Candidate>,
}

struct Best {
    witness: Vec<Step>,
    differs: Differs,
}

struct Ground<'a> {
    pair: Pair<'a>,
    target: &'a Target<'a>,
    aim: Aim,
    each: usize,
    /// The version under which the last event is lawful, and the other.
    lawful: &'a Arc<Definition>,
    other: &'a Arc<Definition>,
    lasts: Vec<Last>,
    dates: Vec<Day>,
    best: RefCell<Option<Best>>,
    played_in_vain: Cell<usize>,
}

impl<'a> Ground<'a> {
    fn new(pair: Pair<'a>, target: &'a Target<'a>, aim: Aim, each: usize) -> Self {
        let (lawful, other) = if aim == Aim::AcceptedNow { (pair.1, pair.0) } else { pair };
        let mut filled: Vec<(Scope, Payload)> = Vec::new();
        for definition in [pair.0, pair.1] {
            let Some(event) = definition.event(target.event) else { continue };
            let all =
                candidates(definition, &universe(definition, each), &BTreeSet::from([event]), Width::EVERY);
            for candidate in all {
                let scope = candidate.event.scope();
                let known = (scope.clone(), candidate.event.data().clone());
                // Which of several like entities is the last one's does not matter.
                if scope.values().all(|id| id.ends_with("-1")) && !filled.contains(&known) {
                    filled.push(known);
                }
            }
        }
        let dates = dates_of(pair, target);
        let mut number = 1 << 40;
        let mut lasts = Vec::new();
        let values = values_waited_for(pair, target, target.event);
        for step in last_steps(pair, target.event, &filled, who_matters(pair, target), &values) {
            for step in with_dates(step, &dates) {
                number += 1;
                let lawful = candidate(lawful, &step, false, number);
                let other = candidate(other, &step, false, number);
                lasts.push(Last { step, lawful, other });
            }
        }
        let played_in_vain = Cell::new(0);
        Self {
            pair,
            target,
            aim,
            each,
            lawful,
            other,
            lasts,
            dates,
            best: RefCell::default(),
            played_in_vain,
        }
    }

    /// The event types that can matter, nearest first, by the names that both versions know.
    fn layers(&self) -> Vec<BTreeSet<String>> {
        let mut layers: Vec<BTreeSet<String>> = Vec::new();
        for definition in [self.lawful, self.other] {
            let seeds: BTreeSet<EventTypeId> = self.seeds(definition);
            let mut all = BTreeSet::new();
            for (at, layer) in that_matter(definition, seeds).into_iter().enumerate() {
                let names = layer.iter().map(|event| definition.event_type(*event).name.clone());
                all = names.collect();
                match layers.get_mut(at) {
                    Some(known) => known.extend(all.iter().cloned()),
                    None => layers.push(&all | layers.last().unwrap_or(&BTreeSet::new())),
                }
            }
            if let Some(last) = layers.last_mut() {
                last.extend(all);
            }
        }
        let are_known = |name: &String| self.lawful.event(name).is_some() && self.other.event(name).is_some();
        layers.iter_mut().for_each(|layer| layer.retain(are_known));
        layers.dedup();
        layers
    }

    fn seeds(&self, definition: &Definition) -> BTreeSet<EventTypeId> {
        let mut seeds: BTreeSet<EventTypeId> = definition.event(self.target.event).into_iter().collect();
        match self.target.part {
            Part::Deadline => {
                let deadline = self.deadline(definition);
                seeds.extend(deadline.into_iter().flat_map(Deadline::events));
                let mut mentions = Mentions::default();
                deadline.into_iter().for_each(|deadline| mentions.of_deadline(deadline));
                seeds.extend(mentions.events);
            }
            Part::Derived => {
                let mut mentions = Mentions::default();
                for condition in self.derived(definition) {
                    mentions.of_condition(None, condition);
                }
                mentions.follow_derived(definition);
                seeds.extend(mentions.events);
            }
            _ => {}
        }
        seeds
    }

    fn deadline<'d>(&self, definition: &'d Definition) -> Option<&'d Deadline> {
        definition.deadlines.iter().find(|deadline| deadline.name == self.target.name)
    }

    fn derived<'d>(&self, definition: &'d Definition) -> &'d [super::condition::Condition] {
        let found = definition.derived_strand(self.target.name);
        found.map_or(&[], |id| definition.derived[id.index()].conditions.as_slice())
    }

    /// What tells statuses of one version apart for this search.
    fn told(&self, definition: &Definition, types: &BTreeSet<String>) -> ToldApart {
        let mut ids: BTreeSet<EventTypeId> = types.iter().filter_map(|name| definition.event(name)).collect();
        ids.extend(definition.event(self.target.event));
        let deadline = self.deadline(definition).filter(|_| self.target.part == Part::Deadline);
        let events = deadline.into_iter().flat_map(Deadline::events);
        let conditions = deadline.into_iter().flat_map(|one| one.when.iter().chain(&one.paused_while));
        let conditions: Vec<_> = conditions.chain(self.derived(definition)).collect();
        let strands: Vec<StrandId> = definition.strand(self.target.name).into_iter().collect();
        ToldApart::by(definition, &ids).and(definition, events, &conditions, &strands)
    }

    /// The shortest history among events of all types that can matter; the nearest types are tried first, for a length that
    /// bounds the search through all of them.
    fn shortest(&self, trials_left: &Cell<usize>, trials_max: usize) -> Looked {
        let layers = self.layers();
        let Some((whole, nearest)) = layers.split_last() else { return Looked::Nothing };
        let mut length_max = usize::MAX;
        for types in nearest.iter().filter(|types| types.len() * 2 <= whole.len()) {
            let granted = Cell::new(trials_left.get().min(trials_max / LAYER_SHARE));
            let before = granted.get();
            let found = self.among(types, usize::MAX, &granted);
            trials_left.set(trials_left.get() - (before - granted.get()));
            if let Found::Paths { paths, .. } = found {
                length_max = paths.first().map_or(0, Vec::len).saturating_sub(1);
                break;
            }
            self.best.replace(None);
        }
        let known = self.best.take();
        let found = self.among(whole, length_max, trials_left);
        let (best, is_shortest) = match found {
            Found::Paths { is_certain, .. } => (self.best.take(), is_certain),
            Found::Nothing => (known, true),
            Found::GaveUp => (self.best.take().or(known), false),
        };
        match best {
            Some(Best { witness, differs }) => Looked::Found { witness, differs, is_shortest },
            None if is_shortest && self.played_in_vain.get() == 0 => Looked::Nothing,
            None => Looked::GaveUp,
        }
    }

    /// What might be written before the last event, under either version.
    fn steps(&self, types: &BTreeSet<String>) -> BTreeSet<Step> {
        let mut steps: BTreeSet<Step> = BTreeSet::new();
        for definition in [self.lawful, self.other] {
            let ids = types.iter().filter_map(|name| definition.event(name)).collect();
            let all = candidates(definition, &universe(definition, self.each), &ids, Width::EVERY);
            let all = all.iter().filter_map(|one| earlier_step(self.pair, one.step(definition)));
            for step in all {
                let values = values_waited_for(self.pair, self.target, &step.event_type);
                let filled = with_values(step, &values).into_iter();
                steps.extend(filled.flat_map(|step| with_dates(step, &self.dates)));
            }
        }
        steps
    }

    fn among(&self, types: &BTreeSet<String>, length_max: usize, trials_left: &Cell<usize>) -> Found {
        let steps = self.steps(types);
        let mut ways = Vec::new();
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for (number, step) in (0_u64..).zip(steps) {
            let both =
                (candidate(self.lawful, &step, true, number), candidate(self.other, &step, true, number));
            if let (Some(lawful), Some(other)) = both {
                ways.push(step);
                here.push(lawful);
                there.push(other);
            }
        }
        let Some(first) = self.lasts.first() else { return Found::Nothing };
        let Some(event) = self.lawful.event(self.target.event) else { return Found::Nothing };
        let open = Candidate::new(self.lawful, event, first.step.scope.clone(), Payload::new(), 0);
        let goal = Question::about(&open.event);
        let (start, beside_start) = (Status::before_opening(self.lawful), Status::before_opening(self.other));
        let is_reached = |lawful: &Status, other: &Status, way: &[usize]| {
            let steps: Vec<Step> = way.iter().map(|index| ways[*index].clone()).collect();
            self.differs_after((lawful, other), &steps)
        };
        let is_opening = self.target.event == engine_types::CASE_OPENED;
        if is_opening {
            let is_found = is_reached(&start, &beside_start, &[]);
            let paths = vec![Vec::new()];
            let found = Found::Paths { paths, used: BTreeSet::new(), is_certain: true };
            return if is_found { found } else { Found::Nothing };
        }
        let opposite = self
            .other
            .event(self.target.event)
            .map(|event| Candidate::new(self.other, event, first.step.scope.clone(), Payload::new(), 0));
        let opposite = opposite.as_ref().map(|open| Question::about(&open.event));
        let ids = |definition: &Definition| types.iter().filter_map(|name| definition.event(name)).collect();
        let here_missing = Remaining::new(self.lawful, &goal, false, &ids(self.lawful));
        let there_missing =
            opposite.as_ref().map(|goal| Remaining::new(self.other, goal, false, &ids(self.other)));
        let missing = |lawful: &Status, other: &Status| {
            let there = there_missing.as_ref().map_or(0, |needs| self.missing(self.other, needs, other));
            if self.aim == Aim::Differs {
                there.min(self.missing(self.lawful, &here_missing, lawful))
            } else {
                there
            }
        };
        let beside = Beside {
            missing: &missing,
            definition: self.other,
            start: &beside_start,
            candidates: &there,
            told: (self.told(self.lawful, types), self.told(self.other, types)),
            is_reached: &is_reached,
        };
        let search = Search {
            definition: self.lawful,
            candidates: &here,
            goal: &goal,
            strict: false,
            every_end: false,
            length_max,
            trials_left,
            beside: Some(&beside),
        };
        search.from(&start)
    }

    /// How many steps are missing at least before the changed thing can stand in the way under this version.
    fn missing(&self, definition: &Definition, needs: &Remaining<'_>, status: &Status) -> usize {
        let rules = definition.event(self.target.event).map(|event| &definition.event_type(event).rules);
        match self.target.part {
            Part::Rule => {
                let rule = rules.into_iter().flatten().find(|rule| rule.id == self.target.name);
                // A rule that this version does not have is never broken in it.
                rule.map_or(NEVER, |rule| needs.until_broken(status, rule))
            }
            Part::Strand if self.aim != Aim::Differs => {
                let strand = definition.strand(self.target.name);
                strand.map_or(0, |strand| needs.until_unplaced(status, strand))
            }
            _ => 0,
        }
    }

    /// Whether, after these steps, some way of writing the last event is answered as looked for; if so, it is kept.
    fn differs_after(&self, (lawful, other): (&Status, &Status), steps: &[Step]) -> bool {
        if self.played_in_vain.get() >= PLAYED_IN_VAIN_MAX {
            return false;
        }
        for last in &self.lasts {
            if !self.looks_different((lawful, other), last) {
                continue;
            }
            let witness = [steps, std::slice::from_ref(&last.step)].concat();
            if let Some((witness, differs)) = self.confirmed(witness) {
                self.best.replace(Some(Best { witness, differs }));
                return true;
            }
            self.played_in_vain.set(self.played_in_vain.get() + 1);
        }
        false
    }

    fn looks_different(&self, (lawful, other): (&Status, &Status), last: &Last) -> bool {
        let Some(here) = &last.lawful else { return false };
        let question = Question::about(&here.event);
        let judged = judge(self.lawful, lawful, &question);
        if !stands(&judged) {
            return false;
        }
        let Some(there) = &last.other else {
            return self.aim != Aim::Differs && self.target.part == Part::Event;
        };
        let question = Question::about(&there.event);
        let judged_there = judge(self.other, other, &question);
        if self.aim != Aim::Differs {
            let event = there.event.event_type;
            return judged_there.unmet.iter().any(|unmet| self.is_the_one(event, unmet));
        }
        stands(&judged_there)
            && match self.target.part {
                Part::Rule => {
                    let rule = self.target.name;
                    breaks(self.lawful, here, &judged, rule) != breaks(self.other, there, &judged_there, rule)
                }
                Part::Deadline => true,
                _ => self.moves_apart((lawful, here), (other, there)),
            }
    }

    /// Whether it is the changed thing that stands in the way.
    fn is_the_one(&self, event: EventTypeId, unmet: &Unmet) -> bool {
        let name = self.target.name;
        match (self.target.part, unmet) {
            (Part::Rule, Unmet::Rule { index, .. }) => {
                unmet.blocks() && self.other.event_type(event).rules[*index].id == name
            }
            (Part::Strand, Unmet::NoTransition { strand, .. } | Unmet::NoBranch { strand, .. }) => {
                self.other.strands[strand.index()].name == name
            }
            (Part::Event, Unmet::Scope(_) | Unmet::UnknownRole | Unmet::Role | Unmet::Body)
            | (Part::Closing, Unmet::Closed)
            | (Part::Duties, Unmet::Duty { .. }) => true,
            _ => false,
        }
    }

    /// Whether the strand stood in the same place before the event, and no longer does after it.
    fn moves_apart(
        &self,
        (lawful, here): (&Status, &Candidate),
        (other, there): (&Status, &Candidate),
    ) -> bool {
        let of = |definition: &Definition, status: &Status| {
            let mut standing = standings(definition, status);
            standing.retain(|(_, strand), _| strand == self.target.name);
            standing
        };
        if of(self.lawful, lawful) != of(self.other, other) {
            return false;
        }
        let (mut lawful, mut other) = (lawful.clone(), other.clone());
        lawful.step(self.lawful, &here.event);
        other.step(self.other, &there.event);
        of(self.lawful, &lawful) != of(self.other, &other)
    }

    /// The history as it was played, and what really differs after it.
    fn confirmed(&self, witness: Vec<Step>) -> Option<(Vec<Step>, Differs)> {
        if self.target.part == Part::Deadline {
            let days = DAYS.iter().filter_map(|(year, month, day)| Day::from_ymd(*year, *month, *day));
            return days.into_iter().find_map(|day| {
                let witness = dated(&witness, day);
                let differs = deadline_differs(self.pair, self.target.name, &witness, day)?;
                Some((witness, differs))
            });
        }
        // An opening that says nothing goes without saying.
        let is_silent = |step: &Step| step.event_type == engine_types::CASE_OPENED && step.with.is_empty();
        let witness: Vec<Step> = witness.into_iter().filter(|step| !is_silent(step)).collect();
        let differs = answered_apart(self.pair, &witness)?;
        let is_meant = match (&differs, self.aim, self.target.part) {
            (Differs::RefusedNow { by }, Aim::RefusedNow, part)
            | (Differs::AcceptedNow { by }, Aim::AcceptedNow, part) => {
                part != Part::Rule || by.iter().any(|by| by.rule == self.target.name)
            }
            (Differs::Breach { rule, .. }, Aim::Differs, Part::Rule) => rule == self.target.name,
            (Differs::EndsElsewhere { states }, Aim::Differs, Part::Strand | Part::Derived) => {
                states.iter().any(|change| change.strand == self.target.name)
            }
            _ => false,
        };
        is_meant.then_some((witness, differs))
    }
}

/// What the versions answer differently to a history; `None`: nothing, or not at its last event.
pub(crate) fn answered_apart(pair: Pair<'_>, witness: &[Step]) -> Option<Differs> {
    let (before, now) = play(pair, witness);
    let refused = |reasons: &[(String, String)]| {
        let by =
            reasons.iter().map(|(rule, message)| RefusedBy { rule: rule.clone(), message: message.clone() });
        by.collect::<Vec<_>>()
    };
    match (&before.answer, &now.answer) {
        (LastAnswer::Accepted(_), LastAnswer::Refused(reasons)) => {
            Some(Differs::RefusedNow { by: refused(reasons) })
        }
        (LastAnswer::Refused(reasons), LastAnswer::Accepted(_)) => {
            Some(Differs::AcceptedNow { by: refused(reasons) })
        }
        (LastAnswer::Accepted(were), LastAnswer::Accepted(are)) => {
            let noted = were.iter().chain(are).find(|rule| were.contains(rule) != are.contains(rule));
            if let Some(rule) = noted {
                return Some(Differs::Breach { rule: rule.clone(), is_noted_now: are.contains(rule) });
            }
            let (old, new) =
                (standings(pair.0, before.state.status()), standings(pair.1, now.state.status()));
            let changed = old.iter().filter(|(at, state)| new.get(*at).is_some_and(|now| now != *state));
            let states: Vec<StateChange> = changed
                .map(|((entity, strand), state)| StateChange {
                    strand: strand.clone(),
                    entity: Some(entity.clone()).filter(|entity| !entity.is_empty()),
                    before: state.clone(),
                    now: new[&(entity.clone(), strand.clone())].clone(),
                })
                .collect();
            (!states.is_empty()).then_some(Differs::EndsElsewhere { states })
        }
        _ => None,
    }
}

/// What the versions say differently about a deadline after a history, and on which day.
pub(crate) fn deadline_differs(pair: Pair<'_>, name: &str, witness: &[Step], day: Day) -> Option<Differs> {
    let (before, now) = play(pair, witness);
    if !is_accepted(&before) || !is_accepted(&now) {
        return None;
    }
    let told = |state: &CaseState, on: Day| -> Vec<String> {
        let readings = deadlines(state, on).into_iter().filter(|reading| reading.deadline == name);
        let words = readings.map(|reading| {
            let of = reading.entity.map(|entity| format!("of {entity} ")).unwrap_or_default();
            format!(
                "{of}{}, due {}",
                reading.answer.name(),
                due_words(reading.due.earliest, reading.due.latest)
            )
        });
        words.collect()
    };
    let mut days = vec![day];
    for state in [&before.state, &now.state] {
        let readings = deadlines(state, day).into_iter().filter(|reading| reading.deadline == name);
        let ends = readings.flat_map(|reading| [reading.due.earliest, reading.due.latest]);
        days.extend(ends.flatten().flat_map(|due| [due, Day(due.0.saturating_add(1))]));
    }
    // The day of the event itself comes first: where the answer differs later on, that tells more.
    days.sort_unstable();
    let apart = |on: &Day| told(&before.state, *on) != told(&now.state, *on);
    let answers = |state: &CaseState, on: Day| -> Vec<&'static str> {
        let readings = deadlines(state, on).into_iter().filter(|reading| reading.deadline == name);
        readings.map(|reading| reading.answer.name()).collect()
    };
    let by_answer = days.iter().find(|on| answers(&before.state, **on) != answers(&now.state, **on));
    let on = *by_answer.or_else(|| days.iter().find(|on| apart(on)))?;
    let words = |told: Vec<String>| if told.is_empty() { "none".to_owned() } else { told.join("; ") };
    let readings = deadlines(&now.state, on).into_iter().filter(|reading| reading.deadline == name);
    let expected = readings.map(|reading| DeadlineExpectation {
        deadline: reading.deadline,
        of: reading.entity,
        answer: reading.answer.name().to_owned(),
        due: reading.due.earliest.zip(reading.due.latest),
        on: Some(on),
    });
    let (expected, before, now) = (expected.collect(), told(&before.state, on), told(&now.state, on));
    Some(Differs::Deadline { on, before: words(before), now: words(now), expected })
}

/// Whether nothing stands in the way, who acts included.
fn stands(judgement: &Judgement) -> bool {
    judgement.is_legal()
}

fn breaks(definition: &Definition, candidate: &Candidate, judgement: &Judgement, rule: &str) -> bool {
    let rules = &definition.event_type(candidate.event.event_type).rules;
    judgement.breaches().any(|index| rules[index].id == rule)
}

/// The days by which the changed rule tells events apart, each with the day before.
fn dates_of(pair: Pair<'_>, target: &Target<'_>) -> Vec<Day> {
    let mut dates = BTreeSet::new();
    if target.part != Part::Rule {
        return Vec::new();
    }
    for definition in [pair.0, pair.1] {
        let rules = definition.events.iter().flat_map(|event| &event.rules);
        for rule in rules.filter(|rule| rule.id == target.name) {
            if let Some(law) = &rule.dated {
                dates.extend(law.from.into_iter().chain(law.until).map(|day| Day(day.0)));
            }
            for condition in rule.when.iter().chain([&rule.require]) {
                let after = condition.source.split("date('").skip(1);
                dates.extend(after.filter_map(|text| Day::parse(text.split('\'').next()?).ok()));
            }
        }
    }
    dates.into_iter().flat_map(|day| [Day(day.0.saturating_sub(1)), day]).collect()
}

/// Whether the changed rule asks in which role an event is recorded, and whether it asks whose decision it is.
fn who_matters(pair: Pair<'_>, target: &Target<'_>) -> (bool, bool) {
    let rules = [pair.0, pair.1].into_iter().flat_map(|definition| &definition.events);
    let rules = rules.flat_map(|event| &event.rules);
    let asked = rules.filter(|rule| target.part == Part::Rule && rule.id == target.name);
    let asked: Vec<_> = asked.flat_map(|rule| rule.when.iter().chain([&rule.require])).collect();
    let asks = |what: &str| asked.iter().any(|condition| condition.source.contains(what));
    (asks("recorded_by"), asks("decided_by"))
}

/// The values of an event's fields for which the changed deadline waits.
fn values_waited_for(pair: Pair<'_>, target: &Target<'_>, event: &str) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    if target.part != Part::Deadline {
        return values;
    }
    for definition in [pair.0, pair.1] {
        let of = definition.deadlines.iter().filter(|deadline| deadline.name == target.name);
        for deadline in of {
            let starts = deadline.starts.iter().map(|start| &start.trigger);
            let triggers = starts.chain(&deadline.met_by).chain(&deadline.void_by);
            for (field, listed) in triggers
                .filter(|trigger| Some(trigger.on) == definition.event(event))
                .flat_map(|trigger| &trigger.matches)
            {
                values.extend(listed.iter().map(|value| (field.clone(), value.clone())));
            }
        }
    }
    values.dedup();
    values
}

/// The step without a date, and on each of these days.
fn with_dates(step: Step, dates: &[Day]) -> Vec<Step> {
    let on = dates.iter().flat_map(|day| dated(std::slice::from_ref(&step), day)).collect::<Vec<_>>();
    std::iter::once(step).chain(on).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::definition::behaviour::Finding;
    use crate::definition::diff::{WorkflowDiff, compare};
    use crate::definition::drawn::{Drawn, compiled};

    /// The most pairs of statuses that the oracle looks at.
    const PAIRS_MAX: usize = 400;

    /// An event as both versions understand it.
    type Both = (Candidate, Candidate);

    /// Everything that matters of a status in a drawn definition.
    fn whole(definition: &Definition, status: &Status) -> String {
        let mut text = String::new();
        for (id, entity) in status.entities() {
            let strands: Vec<_> = entity.strands.iter().map(|at| (at.state, at.overlays)).collect();
            write!(text, "{:?}{}{strands:?}", entity.kind, entity.id).expect("a text");
            for event in (0_u16..).map(EventTypeId).take(definition.events.len()) {
                write!(text, "{}", status.happened(id, event).map_or(0, |(count, _)| count.min(4)))
                    .expect("a text");
            }
        }
        text
    }

    /// Every event that can be written, about so many items.
    fn written(pair: Pair<'_>, each: usize) -> Vec<Both> {
        let types = super::super::reach::own_types(pair.0);
        let mut steps: Vec<Step> = Vec::new();
        for one in candidates(pair.0, &universe(pair.0, each), &types, Width::EVERY) {
            let step = one.step(pair.0);
            if step.event_type != engine_types::CASE_OPENED && !steps.contains(&step) {
                steps.push(step);
            }
        }
        // The field that every first event has, whether or not anything tells its values apart.
        for value in ["kind=a", "kind=b"] {
            steps.push(Step {
                event_type: "e0".to_owned(),
                scope: Scope::new(),
                with: vec![value.to_owned()],
            });
        }
        let both = |(number, step): (u64, &Step)| {
            Some((candidate(pair.0, step, true, number)?, candidate(pair.1, step, true, number)?))
        };
        (0_u64..).zip(&steps).filter_map(both).collect()
    }

    fn opened(definition: &Arc<Definition>) -> Status {
        let step =
            Step { event_type: engine_types::CASE_OPENED.to_owned(), scope: Scope::new(), with: Vec::new() };
        let mut status = Status::before_opening(definition);
        let opening = candidate(definition, &step, true, 1 << 20).expect("an opening");
        status.step(definition, &opening.event);
        status
    }

    /// Whether an event is answered differently because of the rule or strand, and in the way that is asked.
    fn is_shown(
        (old, new): Pair<'_>,
        (part, name, aim): (Part, &str, Aim),
        (before, now): (&Status, &Status),
        (was, is): &Both,
    ) -> bool {
        let judged =
            (judge(old, before, &Question::about(&was.event)), judge(new, now, &Question::about(&is.event)));
        let stands_in_the_way = |definition: &Definition, event: EventTypeId, judgement: &Judgement| {
            judgement.unmet.iter().any(|unmet| match (part, unmet) {
                (Part::Rule, Unmet::Rule { index, .. }) => {
                    unmet.blocks() && definition.event_type(event).rules[*index].id == name
                }
                (Part::Strand, Unmet::NoTransition { strand, .. } | Unmet::NoBranch { strand, .. }) => {
                    definition.strands[strand.index()].name == name
                }
                _ => false,
            })
        };
        match aim {
            Aim::RefusedNow => judged.0.is_legal() && stands_in_the_way(new, is.event.event_type, &judged.1),
            Aim::AcceptedNow => {
                judged.1.is_legal() && stands_in_the_way(old, was.event.event_type, &judged.0)
            }
            Aim::Differs if !judged.0.is_legal() || !judged.1.is_legal() => false,
            Aim::Differs if part == Part::Rule => {
                breaks(old, was, &judged.0, name) != breaks(new, is, &judged.1, name)
            }
            Aim::Differs => {
                let of = |definition: &Definition, status: &Status| {
                    let mut standing = standings(definition, status);
                    standing.retain(|(_, strand), _| strand == name);
                    standing
                };
                let (mut after, mut after_it) = (before.clone(), now.clone());
                after.step(old, &was.event);
                after_it.step(new, &is.event);
                of(old, before) == of(new, now) && of(old, &after) != of(new, &after_it)
            }
        }
    }

    /// The length of the shortest history that shows it, and of the next longer one in another place, by plain
    /// breadth-first search over pairs of statuses; `Err` where there is too much to look at.
    fn oracle(pair: Pair<'_>, asked: (Part, &str, Aim), each: usize) -> Result<(Option<usize>, bool), ()> {
        let steps = written(pair, each);
        let mut layer = vec![(opened(pair.0), opened(pair.1))];
        let mut seen = HashSet::new();
        let mut shortest = None;
        for length in 1.. {
            let mut next = Vec::new();
            for (before, now) in &layer {
                for both in &steps {
                    if is_shown(pair, asked, (before, now), both) {
                        if shortest.is_some_and(|shortest| shortest < length) {
                            return Ok((shortest, true));
                        }
                        shortest = Some(length);
                    }
                    let is_lawful = judge(pair.0, before, &Question::about(&both.0.event)).is_legal()
                        && judge(pair.1, now, &Question::about(&both.1.event)).is_legal();
                    if !is_lawful {
                        continue;
                    }
                    let (mut after, mut after_it) = (before.clone(), now.clone());
                    after.step(pair.0, &both.0.event);
                    after_it.step(pair.1, &both.1.event);
                    if seen.insert((whole(pair.0, &after), whole(pair.1, &after_it))) {
                        next.push((after, after_it));
                    }
                }
            }
            if next.is_empty() || (shortest.is_some() && seen.len() > PAIRS_MAX) {
                return Ok((shortest, false));
            }
            if seen.len() > PAIRS_MAX {
                return Err(());
            }
            layer = next;
        }
        Ok((shortest, false))
    }

    fn aim_of(differs: &Differs) -> Aim {
        match differs {
            Differs::RefusedNow { .. } => Aim::RefusedNow,
            Differs::AcceptedNow { .. } => Aim::AcceptedNow,
            _ => Aim::Differs,
        }
    }

    #[derive(Default)]
    struct Compared {
        lengths: Vec<usize>,
        /// Of those, how many can also be shown by a longer history in another place.
        with_longer: usize,
        excluded: usize,
    }

    fn check_found(pair: Pair<'_>, finding: &Finding, compared: &mut Compared) {
        let asked = (finding.part, finding.name.as_str(), aim_of(&finding.differs));
        for each in 1..=ENTITIES_EACH_MAX {
            match oracle(pair, asked, each) {
                Err(()) => return,
                Ok((None, _)) => {}
                Ok((Some(length), has_longer)) => {
                    assert_eq!(
                        finding.witness.len(),
                        length,
                        "{finding:#?}\n{}\n{}",
                        pair.0.canonical,
                        pair.1.canonical
                    );
                    compared.lengths.push(length);
                    compared.with_longer += usize::from(has_longer);
                    return;
                }
            }
        }
        panic!("only the comparison finds this: {finding:#?}");
    }

    /// Compares with the oracle what is said of one change of a drawn definition.
    fn check(seed: u64, compared: &mut Compared) {
        let mut drawn = Drawn(seed);
        let text = drawn.definition();
        let (edited, rule) = drawn.edited(&text);
        let (old, new) = (Arc::new(compiled(&text)), Arc::new(compiled(&edited)));
        let pair = (&old, &new);
        let diff: WorkflowDiff = compare(pair.0, pair.1);
        for finding in diff.behaviour.iter().filter(|finding| finding.is_shortest) {
            check_found(pair, finding, compared);
        }
        let Some(rule) = rule else { return };
        let is_excluded =
            |part: &super::super::behaviour::NotShown| part.name == rule && part.why.contains("entities");
        let is_changed = diff.rules.changed.iter().any(|changed| changed.name == rule);
        if is_changed && !diff.not_shown.iter().any(is_excluded) {
            return;
        }
        for aim in [Aim::RefusedNow, Aim::AcceptedNow, Aim::Differs] {
            for each in 1..=ENTITIES_EACH_MAX {
                if let Ok((found, _)) = oracle(pair, (Part::Rule, &rule, aim), each) {
                    assert_eq!(found, None, "{rule} {aim:?}\n{text}\n{edited}");
                    compared.excluded += 1;
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn a_difference_is_shown_as_shortly_as_plain_breadth_first_search_shows_it(seed in any::<u64>()) {
            check(seed, &mut Compared::default());
        }
    }

    /// A search that took the first history that it came to would fail: many changes show again further on.
    #[test]
    fn the_oracle_has_histories_to_compare_and_longer_ones_beside_them() {
        let mut compared = Compared::default();
        (0..60).for_each(|seed| check(seed, &mut compared));
        let long = compared.lengths.iter().filter(|length| **length >= 3).count();
        let told = format!(
            "{:?}, {} with longer, {} excluded",
            compared.lengths, compared.with_longer, compared.excluded
        );
        assert!(compared.lengths.len() > 15 && long > 2 && compared.with_longer > 8, "{told}");
        assert!(compared.excluded > 4, "{told}");
    }
}
