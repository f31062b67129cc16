//! Looks at what a case can come to under a definition, and says of what was never seen whether it is impossible.
//!
//! A few quick searches see most of what there is. What they miss is searched for by itself, with only those events that
//! can matter for it and with every status: if that search ends, the thing is impossible; if it reaches its limit, nothing is proved.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::automaton::introducing;
use super::condition::{Cause, Comparison, Expr, Facts, Truth};
use super::guide::Guide;
use super::reach::{
    Breadth, Ended, Place, Trial, moved, own_types, search, seek, that_matter, told_apart_by, universe,
};
use super::{Definition, EventTypeId, StateId, Strand, StrandId};
use crate::case::candidate::{Candidate, Width, candidates};
use crate::case::event::engine_types;
use crate::case::judge::{Question, Unmet, status_for};
use crate::case::refusal::Step;
use crate::case::status::{Scene, Status};
use crate::case::told_apart::ToldApart;

/// Events that each quick search tries.
pub(crate) const QUICK_TRIALS_MAX: usize = 40_000;

/// Statuses that a search for one thing looks at from each of its starts.
pub(crate) const STATUSES_MAX: usize = 80;

/// Events that are tried around a place to which a search for one thing came.
const ONWARD_TRIALS_MAX: usize = 4_000;

/// Places that came nearest from which one thing is searched for, beside the opening of the case.
const STARTS_MAX: usize = 1;

/// What an event about something that is not there counts: it is further away than any that is judged by rules.
const OBSTACLES_OF_NOTHING: usize = 1_000;

/// Places near to one thing from which it is searched for.
const NEAR_KEPT_MAX: usize = 12;

/// Events that a search tries in order to exclude one thing.
pub(crate) const PROOF_TRIALS_MAX: usize = 60_000;

/// Searches that exclude one thing and reach their limit; after that, what is missing stays unproved.
pub(crate) const PROOFS_AT_LIMIT_MAX: usize = 1;

/// As many entities of each kind as are tried.
pub(crate) const ENTITIES_EACH_MAX: usize = 2;

/// Something that should be possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// The event is accepted somewhere.
    Accepted(EventTypeId),
    /// The rule, by index, holds somewhere where it is asked.
    Holds(EventTypeId, usize),
    /// The state is entered.
    Entered(StrandId, StateId),
    /// The state is left.
    Left(StrandId, StateId),
}

/// What is known of a target that no search has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Seen after all.
    Possible,
    /// Every way was tried, with up to [`ENTITIES_EACH_MAX`] entities of each kind.
    Impossible,
    /// The search reached its limit.
    NotProved,
}

/// A trial in which a target was not met.
struct Near {
    /// How many things stood in the way.
    obstacles: usize,
    /// Where it was tried.
    place: Place,
    /// What was tried.
    step: Step,
}

/// What searches have seen of a definition.
pub(crate) struct Survey<'d> {
    definition: &'d Definition,
    told_apart: BTreeSet<EventTypeId>,
    missing: BTreeSet<Target>,
    /// How each state was entered.
    entered: BTreeMap<(StrandId, StateId), Vec<Step>>,
    /// How near a target came: the events, the one that was refused last.
    nearest: BTreeMap<Target, Vec<Near>>,
    at_limit: usize,
    /// With one entity of each kind, and with more.
    candidates: Vec<Arc<Vec<Candidate>>>,
    /// Just after the opening of a case.
    opened: Option<Place>,
}

impl<'d> Survey<'d> {
    /// Searches quickly for everything that should be possible.
    pub(crate) fn of(definition: &'d Definition) -> Self {
        let mut survey = Self {
            definition,
            told_apart: told_apart_by(definition),
            missing: targets(definition),
            entered: BTreeMap::new(),
            nearest: BTreeMap::new(),
            at_limit: 0,
            candidates: Vec::new(),
            opened: None,
        };
        for (index, strand) in definition.strands.iter().enumerate() {
            let start = strand.initial.iter().find(|initial| initial.on.is_none());
            let start = start.and_then(|initial| initial.branches.first()?.to);
            if let (None, Some(state), Ok(id)) = (strand.per, start, u16::try_from(index).map(StrandId)) {
                survey.see_entered((id, state), &Vec::new);
            }
        }
        let everything = own_types(definition);
        for each in [1, ENTITIES_EACH_MAX] {
            let events = candidates(definition, &universe(definition, each), &everything, Width::EVERY);
            let opening = definition.event(engine_types::CASE_OPENED);
            let is_later = |candidate: &&Candidate| Some(candidate.event.event_type) != opening;
            survey.candidates.push(Arc::new(events.iter().filter(is_later).cloned().collect()));
            let told_apart = survey.told_apart.clone();
            if survey.missing.is_empty() {
                break;
            }
            search(
                definition,
                &Place::before_opening(definition),
                &events,
                (Breadth::New(&told_apart), QUICK_TRIALS_MAX),
                |trial| {
                    survey.observe(trial);
                    if let (Some(after), None) = (trial.after, &survey.opened) {
                        survey.opened = Some(Place { status: after.clone(), way: with(trial, definition) });
                    }
                    if survey.missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
            );
        }
        survey
    }

    /// What no search has seen.
    pub(crate) fn missing(&self) -> Vec<Target> {
        self.missing.iter().copied().collect()
    }

    /// Whether the quick searches saw the target.
    pub(crate) fn has_seen(&self, target: Target) -> bool {
        !self.missing.contains(&target)
    }

    /// The events that came nearest to the target, the last of them refused, or judged by a rule that did not hold.
    pub(crate) fn nearest(&self, target: Target) -> Vec<Step> {
        let nearest =
            self.nearest.get(&target).and_then(|near| near.iter().min_by_key(|near| near.obstacles));
        nearest
            .map(|near| [near.place.way.as_slice(), std::slice::from_ref(&near.step)].concat())
            .unwrap_or_default()
    }

    /// A shortest way into a state, if the search for it ends within its limit; else the way that was seen.
    pub(crate) fn way_into(&mut self, strand: StrandId, state: StateId) -> Vec<Step> {
        let known = self.entered.get(&(strand, state)).cloned().unwrap_or_default();
        if known.len() <= 1 {
            return known;
        }
        let layers = that_matter(self.definition, self.entering(strand, state));
        let Some(types) = layers.last() else { return known };
        let events = candidates(self.definition, &universe(self.definition, 1), types, Width::EVERY);
        let mut shortest = known;
        let told = ToldApart::by(self.definition, types).and_strand(strand);
        let breadth = Breadth::Every { told: &told, judged_everywhere: &BTreeSet::new() };
        search(
            self.definition,
            &Place::before_opening(self.definition),
            &events,
            (breadth, PROOF_TRIALS_MAX),
            |trial| {
                if moved(trial).1.contains(&(strand, state)) {
                    let way = with(trial, self.definition);
                    if way.len() < shortest.len() {
                        shortest = way;
                    }
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            },
        );
        shortest
    }

    /// Searches for one target that was never seen.
    pub(crate) fn prove(&mut self, target: Target) -> Verdict {
        if self.has_seen(target) {
            return Verdict::Possible;
        }
        let seeds = self.seeds(target);
        let is_cut_off = matches!(target, Target::Entered(strand, state)
            if !connected(&self.definition.strands[strand.index()]).contains(&state));
        if seeds.is_empty() || is_cut_off {
            return Verdict::Impossible;
        }
        let layers = that_matter(self.definition, seeds.clone());
        if self.find(target) {
            return Verdict::Possible;
        }
        match layers.last() {
            Some(types) if self.at_limit < PROOFS_AT_LIMIT_MAX => self.exclude(target, types, &seeds),
            _ => Verdict::NotProved,
        }
    }

    /// Goes towards the target, from the places that came near it and from the opening of the case.
    fn find(&mut self, target: Target) -> bool {
        for each in 0..self.candidates.len() {
            let candidates = Arc::clone(&self.candidates[each]);
            let guide = Guide::new(self.definition, &candidates);
            let mut starts: Vec<(usize, Place)> = Vec::new();
            for near in self.nearest.get(&target).into_iter().flatten() {
                starts.push((near.obstacles, near.place.clone()));
            }
            starts.sort_by_key(|(obstacles, place)| (*obstacles, place.way.len()));
            starts.truncate(STARTS_MAX);
            starts.extend(self.opened.clone().map(|place| (0, place)));
            for (_, start) in starts.into_iter().filter(|(_, start)| !start.way.is_empty()) {
                let told_apart = self.told_apart.clone();
                let mut reached = None;
                seek(
                    (self.definition, &candidates),
                    &start,
                    &told_apart,
                    STATUSES_MAX,
                    |status| guide.estimate(status, target),
                    |trial| {
                        self.observe(trial);
                        if !self.has_seen(target) {
                            return ControlFlow::Continue(());
                        }
                        let place = |after: &Status| Place {
                            status: after.clone(),
                            way: with(trial, self.definition),
                        };
                        reached = trial.after.map(place);
                        ControlFlow::Break(())
                    },
                );
                if self.has_seen(target) {
                    if let Some(place) = reached {
                        self.look_onward(&place, &candidates);
                    }
                    return true;
                }
            }
        }
        self.find_with_gaps(target)
    }

    /// Looks around a place that took a search of its own to come to: what else was missing is often just behind it.
    fn look_onward(&mut self, place: &Place, candidates: &[Candidate]) {
        let told_apart = self.told_apart.clone();
        let limits = (Breadth::New(&told_apart), ONWARD_TRIALS_MAX);
        search(self.definition, place, candidates, limits, |trial| {
            self.observe(trial);
            if self.missing.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    /// Goes towards the target with events of which nobody knows what they said: only a gap can stand for them, so that
    /// what is seen on the way serves nothing else.
    fn find_with_gaps(&mut self, target: Target) -> bool {
        let Some(start) = self.opened.clone() else { return false };
        let types = own_types(self.definition);
        let width = Width::Every { with_gaps: true };
        let mut events = candidates(self.definition, &universe(self.definition, 1), &types, width);
        let opening = self.definition.event(engine_types::CASE_OPENED);
        events.retain(|candidate| Some(candidate.event.event_type) != opening);
        let guide = Guide::new(self.definition, &events);
        let ended = seek(
            (self.definition, &events),
            &start,
            &self.told_apart,
            STATUSES_MAX,
            |status| guide.estimate(status, target),
            |trial| {
                let (left, entered) = moved(trial);
                let is_met = match target {
                    Target::Accepted(event) => {
                        trial.candidate.event.event_type == event && trial.after.is_some()
                    }
                    Target::Entered(strand, state) => entered.contains(&(strand, state)),
                    Target::Left(strand, state) => left.contains(&(strand, state)),
                    Target::Holds(..) => false,
                };
                if is_met { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        if ended == Ended::Stopped {
            self.missing.remove(&target);
        }
        ended == Ended::Stopped
    }

    /// Tries everything that can matter, with one and with two entities of each kind.
    fn exclude(
        &mut self,
        target: Target,
        types: &BTreeSet<EventTypeId>,
        seeds: &BTreeSet<EventTypeId>,
    ) -> Verdict {
        if counts_further(self.definition, types) {
            return Verdict::NotProved;
        }
        let told = ToldApart::by(self.definition, types);
        let told = match target {
            Target::Entered(strand, _) | Target::Left(strand, _) => told.and_strand(strand),
            Target::Accepted(_) | Target::Holds(..) => told,
        };
        let breadth = Breadth::Every { told: &told, judged_everywhere: seeds };
        let start = Place::before_opening(self.definition);
        let distinctions = self.definition.distinctions();
        let is_complete = types.iter().all(|event| distinctions.is_complete(*event));
        for each in [1, ENTITIES_EACH_MAX] {
            let events = candidates(self.definition, &universe(self.definition, each), types, Width::EVERY);
            let ended = search(self.definition, &start, &events, (breadth, PROOF_TRIALS_MAX), |trial| {
                self.observe(trial);
                if self.has_seen(target) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            match ended {
                Ended::Stopped => return Verdict::Possible,
                Ended::Exhausted if is_complete => {}
                Ended::Exhausted => return Verdict::NotProved,
                Ended::AtLimit => {
                    self.at_limit += 1;
                    return Verdict::NotProved;
                }
            }
        }
        Verdict::Impossible
    }

    fn seeds(&self, target: Target) -> BTreeSet<EventTypeId> {
        match target {
            Target::Accepted(event) | Target::Holds(event, _) => BTreeSet::from([event]),
            Target::Entered(strand, state) => self.entering(strand, state),
            Target::Left(strand, state) => {
                let leaving = leaving(&self.definition.strands[strand.index()], state);
                if leaving.is_empty() { leaving } else { &leaving | &self.entering(strand, state) }
            }
        }
    }

    /// The event types that have a row into the state, or begin in it.
    fn entering(&self, strand: StrandId, state: StateId) -> BTreeSet<EventTypeId> {
        let strand = &self.definition.strands[strand.index()];
        let enters = |branches: &[super::Branch]| branches.iter().any(|branch| branch.to == Some(state));
        let into = |rows: &[super::Row]| rows.iter().any(|row| row.from != state && enters(&row.branches));
        let rows = strand.rows.iter().filter(|(_, rows)| into(rows)).map(|(event, _)| *event);
        let starts = strand.initial.iter().filter(|initial| enters(&initial.branches));
        let starts = starts.flat_map(|initial| match initial.on {
            Some(event) => vec![event],
            None => introducing(self.definition, strand),
        });
        rows.chain(starts).collect()
    }

    fn observe(&mut self, trial: &Trial<'_>) {
        let event = trial.candidate.event.event_type;
        if trial.after.is_some() {
            self.missing.remove(&Target::Accepted(event));
            let (left, entered) = moved(trial);
            for (strand, state) in left {
                self.missing.remove(&Target::Left(strand, state));
            }
            for place in entered {
                self.see_entered(place, &|| with(trial, self.definition));
            }
        } else {
            self.come_near(Target::Accepted(event), trial);
            self.come_near_states(trial);
        }
        self.observe_rules(trial);
    }

    fn see_entered(&mut self, place: (StrandId, StateId), way: &dyn Fn() -> Vec<Step>) {
        self.missing.remove(&Target::Entered(place.0, place.1));
        self.entered.entry(place).or_insert_with(way);
    }

    /// Keeps a few trials in which the fewest things stood in the way, no two with the same beginning.
    fn come_near(&mut self, target: Target, trial: &Trial<'_>) {
        if self.has_seen(target) {
            return;
        }
        let is_about_nothing = trial.judgement.unmet.iter().any(|unmet| matches!(unmet, Unmet::Scope(_)));
        let obstacles = trial.judgement.unmet.len() + if is_about_nothing { OBSTACLES_OF_NOTHING } else { 0 };
        let known = self.nearest.entry(target).or_default();
        let worst = known.iter().enumerate().max_by_key(|(_, near)| near.obstacles);
        let replaced = match worst {
            Some((_, near)) if known.len() == NEAR_KEPT_MAX && obstacles >= near.obstacles => return,
            Some((at, _)) if known.len() == NEAR_KEPT_MAX => Some(at),
            _ => None,
        };
        let place = Place { status: trial.before.clone(), way: trial.way() };
        let alike = known.iter().position(|near| near.place.way.iter().take(2).eq(place.way.iter().take(2)));
        if alike.is_some_and(|at| known[at].obstacles <= obstacles) {
            return;
        }
        let near = Near { obstacles, place, step: trial.candidate.step(self.definition) };
        match alike.or(replaced) {
            Some(at) => known[at] = near,
            None => known.push(near),
        }
    }

    /// A refused event that has a row from where its strand stands would have moved it.
    fn come_near_states(&mut self, trial: &Trial<'_>) {
        if !self.missing.iter().any(|target| matches!(target, Target::Entered(..) | Target::Left(..))) {
            return;
        }
        let event = &trial.candidate.event;
        for entity in trial.before.closure(self.definition, event.scope()) {
            for at in &trial.before.entity(entity).strands {
                let strand = &self.definition.strands[at.strand.index()];
                let Some(row) = at.state.and_then(|state| strand.row(event.event_type, state)) else {
                    continue;
                };
                let branch =
                    row.branches.iter().find(|branch| branch.matches(|field| event.data().get(field)));
                let Some(to) = branch.and_then(|branch| branch.to).filter(|to| *to != row.from) else {
                    continue;
                };
                self.come_near(Target::Entered(at.strand, to), trial);
                self.come_near(Target::Left(at.strand, row.from), trial);
            }
        }
    }

    fn observe_rules(&mut self, trial: &Trial<'_>) {
        let event = &trial.candidate.event;
        let rules = &self.definition.event_type(event.event_type).rules;
        let asked_for = |index: &usize| self.missing.contains(&Target::Holds(event.event_type, *index));
        let wanted: Vec<usize> = (0..rules.len()).filter(asked_for).collect();
        let is_elsewhere = trial.judgement.unmet.iter().any(|unmet| !matches!(unmet, Unmet::Rule { .. }));
        if wanted.is_empty() || is_elsewhere {
            return;
        }
        let question = Question::about(event);
        let (introduced, _) = status_for(self.definition, trial.before, &question);
        let status = introduced.as_ref().unwrap_or(trial.before);
        let closure = status.closure(self.definition, question.scope);
        let scene = Scene { definition: self.definition, status, closure, event: Some(question.facts) };
        for index in wanted {
            let target = Target::Holds(event.event_type, index);
            let rule = &rules[index];
            if rule.when.as_ref().is_some_and(|when| !may_hold(when.evaluate(&scene as &dyn Facts))) {
                continue;
            }
            if may_hold(rule.require.evaluate(&scene)) {
                self.missing.remove(&target);
            } else {
                self.come_near(target, trial);
            }
        }
    }
}

/// The states that a strand's rows alone lead to, whatever rules say.
fn connected(strand: &Strand) -> BTreeSet<StateId> {
    let starts = strand.initial.iter().flat_map(|initial| &initial.branches);
    let mut found: BTreeSet<StateId> = starts.filter_map(|branch| branch.to).collect();
    for _ in 0..strand.states.len() {
        let from_found = strand.rows.values().flatten().filter(|row| found.contains(&row.from));
        let next: Vec<StateId> =
            from_found.flat_map(|row| &row.branches).filter_map(|branch| branch.to).collect();
        found.extend(next);
    }
    found
}

/// Whether a rule of these events counts further than a search does: more entities than it tries, or more events of a type than
/// two, which it does not tell apart.
fn counts_further(definition: &Definition, types: &BTreeSet<EventTypeId>) -> bool {
    let rules = types.iter().flat_map(|event| &definition.event_type(*event).rules);
    let conditions = rules.flat_map(|rule| rule.when.iter().chain([&rule.require]));
    let derived = definition.derived.iter().flat_map(|derived| &derived.conditions);
    conditions.chain(derived).flat_map(|condition| &condition.parts).any(|(_, part)| is_far_count(part))
}

fn is_far_count(expr: &Expr) -> bool {
    let counts = |expr: &Expr| matches!(expr, Expr::Count(..) | Expr::Size(_));
    let least = |expr: &Expr| match expr {
        Expr::Literal(number) => number.as_i64(),
        Expr::List(items) => {
            items.iter().filter_map(|item| if let Expr::Literal(n) = item { n.as_i64() } else { None }).max()
        }
        _ => None,
    };
    match expr {
        Expr::Not(inner) => is_far_count(inner),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().any(is_far_count),
        Expr::Quantified { body, .. } => is_far_count(body),
        Expr::In(left, right) => counts(left) && least(right).is_some_and(|number| number > 2),
        Expr::Compare(comparison, left, right) => {
            let (is_left, is_right) = (counts(left), counts(right));
            let number = if is_left { least(right) } else { least(left) };
            let is_strict = match comparison {
                Comparison::Greater | Comparison::LessOrEqual => is_left,
                Comparison::Less | Comparison::GreaterOrEqual => is_right,
                Comparison::Equal | Comparison::NotEqual => false,
            };
            (is_left || is_right) && number.is_none_or(|number| number > 2 || (number == 2 && is_strict))
        }
        _ => false,
    }
}

/// What the event leaves open, or dates do not decide, is possible.
fn may_hold(truth: Truth) -> bool {
    matches!(truth, Truth::True | Truth::Unknown(Cause::Open | Cause::Order))
}

fn with(trial: &Trial<'_>, definition: &Definition) -> Vec<Step> {
    let mut way = trial.way();
    way.push(trial.candidate.step(definition));
    way
}

fn targets(definition: &Definition) -> BTreeSet<Target> {
    let mut targets = BTreeSet::new();
    for event in own_types(definition) {
        targets.insert(Target::Accepted(event));
        let rules = 0..definition.event_type(event).rules.len();
        targets.extend(rules.map(|index| Target::Holds(event, index)));
    }
    for (id, strand) in (0_u16..).map(StrandId).zip(&definition.strands) {
        for state in (0_u16..).map(StateId).take(strand.states.len()) {
            targets.insert(Target::Entered(id, state));
            if !leaving(strand, state).is_empty() {
                targets.insert(Target::Left(id, state));
            }
        }
    }
    targets
}

/// The event types that have a row out of the state.
pub(crate) fn leaving(strand: &Strand, state: StateId) -> BTreeSet<EventTypeId> {
    let leaves = |row: &super::Row| {
        row.from == state && row.branches.iter().any(|branch| branch.to.is_some_and(|to| to != state))
    };
    let rows = strand.rows.iter().filter(|(_, rows)| rows.iter().any(leaves));
    rows.map(|(event, _)| *event).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::case::judge::judge;
    use crate::definition::compile::compile;
    use crate::definition::lint::lint;
    use crate::definition::problem::Severity;
    use crate::definition::scenario::{Expectation, Expected, parse, run};
    use crate::definition::source::SourceFile;

    /// A definition of two strands, drawn: rows, and a rule for some events.
    #[derive(Debug, Clone)]
    struct Drawn {
        /// Event, state it leads from and to, for the strand of the case and for that of an item.
        rows: [Vec<(usize, usize, usize)>; 2],
        /// What each event asks of the two strands: strand, state, whether it must be in it.
        rules: Vec<Option<(usize, usize, bool)>>,
    }

    const EVENTS: usize = 5;
    const STATES: usize = 4;
    const STRANDS: [&str; 2] = ["case", "item"];

    fn drawn() -> impl Strategy<Value = Drawn> {
        let row = (0..EVENTS, 0..STATES, 0..STATES);
        let rows = prop::collection::vec(row, 1..7);
        let rule = prop::option::of((0..2_usize, 0..STATES, any::<bool>()));
        let rules = prop::collection::vec(rule, EVENTS);
        (rows.clone(), rows, rules).prop_map(|(case, item, rules)| Drawn { rows: [case, item], rules })
    }

    impl Drawn {
        /// As a definition, with the strands in this order.
        fn text(&self, order: [usize; 2]) -> String {
            let mut text = "workflow: drawn\nversion: 1\nlanguage: casebook/1\ntitle: Drawn\ntimezone: UTC\n\
                roles:\n  clerk: { title: Clerk }\nentities:\n  item: { title: Item, introduced-by: item-found }\nevents:\n  \
                item-found: { title: Item found, scope: [item] }\n"
                .to_owned();
            for (event, rule) in self.rules.iter().enumerate() {
                text += &format!("  event-{event}:\n    title: Event\n    scope: [item]\n");
                if let Some((strand, state, wanted)) = rule {
                    let (strand, is) = (STRANDS[*strand], if *wanted { "==" } else { "!=" });
                    text += &format!(
                        "    rules:\n      - {{ id: rule-{event}, class: logical, message: no, \
                         require: \"{strand}.state('{strand}') {is} 'state-{state}'\" }}\n"
                    );
                }
            }
            text += "strands:\n";
            for strand in order {
                let name = STRANDS[strand];
                let per = if name == "item" { "    per: item\n" } else { "" };
                text += &format!("  {name}:\n    title: Strand\n{per}    states:\n");
                for state in 0..STATES {
                    text += &format!("      state-{state}: {{}}\n");
                }
                text += "    initial: state-0\n    transitions:\n";
                let mut known = Vec::new();
                for (event, from, to) in &self.rows[strand] {
                    if !known.contains(&(event, from)) {
                        known.push((event, from));
                        text +=
                            &format!("      - {{ on: event-{event}, from: state-{from}, to: state-{to} }}\n");
                    }
                }
            }
            text
        }

        /// `None` where the compiler finds something wrong with it.
        fn compiled(&self, order: [usize; 2]) -> Option<Definition> {
            compile(&[SourceFile { name: "drawn.yaml".to_owned(), text: self.text(order) }]).ok()
        }
    }

    /// Takes the legal candidates that the choices point to, one after another, and tells each to `each`.
    fn walk(
        definition: &Definition,
        candidates: &[Candidate],
        choices: &[usize],
        mut each: impl FnMut(&Candidate, &Status),
    ) -> Status {
        let mut status = Status::before_opening(definition);
        let opening = definition.event(engine_types::CASE_OPENED);
        for (at, choice) in choices.iter().enumerate() {
            let is_legal = |candidate: &&Candidate| {
                (Some(candidate.event.event_type) == opening) == (at == 0)
                    && judge(definition, &status, &Question::about(&candidate.event)).is_legal()
            };
            let legal: Vec<&Candidate> = candidates.iter().filter(is_legal).collect();
            let Some(chosen) = legal.get(choice % legal.len().max(1)) else { break };
            status.step(definition, &chosen.event);
            each(chosen, &status);
        }
        status
    }

    fn all_candidates(definition: &Definition) -> Vec<Candidate> {
        candidates(definition, &universe(definition, 2), &own_types(definition), Width::EVERY)
    }

    /// Every state of every entity, by names.
    fn standing(definition: &Definition, status: &Status) -> BTreeSet<(String, String, String)> {
        let of = |(_, entity): (_, &crate::case::status::Entity)| {
            let id = entity.id.to_string();
            let named = entity.strands.iter().map(move |at| {
                let strand = &definition.strands[at.strand.index()];
                let state = at.state.map_or("", |state| strand.states[state.index()].name.as_str());
                (id.clone(), strand.name.clone(), state.to_owned())
            });
            named.collect::<Vec<_>>()
        };
        status.entities().flat_map(of).collect()
    }

    #[track_caller]
    fn check_reachable(definition: &Definition, choices: &[usize]) {
        let candidates = all_candidates(definition);
        let mut survey = Survey::of(definition);
        let mut seen = BTreeSet::new();
        let mut accepted = BTreeSet::new();
        walk(definition, &candidates, choices, |candidate, status| {
            accepted.insert(candidate.event.event_type);
            let strands = status.entities().flat_map(|(_, entity)| entity.strands.clone());
            seen.extend(strands.filter_map(|at| Some((at.strand, at.state?))));
        });
        assert!(!accepted.is_empty());
        for (strand, state) in seen {
            let verdict = survey.prove(Target::Entered(strand, state));
            assert_ne!(verdict, Verdict::Impossible, "{}", definition.strands[strand.index()].name);
        }
        for event in accepted {
            let verdict = survey.prove(Target::Accepted(event));
            assert_ne!(verdict, Verdict::Impossible, "{}", definition.event_type(event).name);
        }
    }

    /// Numbers that a seed repeats.
    fn choices(seed: u64, count: usize) -> Vec<usize> {
        let mut drawn = crate::definition::drawn::Drawn(seed);
        (0..count).map(|_| drawn.below(1 << 20)).collect()
    }

    /// Walks of so many steps through a definition that ships: how many states they reach, and how many of those a search saw.
    fn check_walks(name: &str, walks: u64, steps: usize) -> (usize, usize) {
        let files = crate::workflows::shipped(name).unwrap();
        let definition = compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let candidates = all_candidates(&definition);
        let mut seen = BTreeSet::new();
        let mut longest = 0;
        for seed in 0..walks {
            let mut events = Vec::new();
            let end = walk(&definition, &candidates, &choices(seed, steps), |candidate, status| {
                events.push(candidate.event.clone());
                let strands = status.entities().flat_map(|(_, entity)| entity.strands.clone());
                seen.extend(strands.filter_map(|at| Some((at.strand, at.state?))));
            });
            longest = longest.max(events.len());
            let mut replayed = Status::before_opening(&definition);
            for event in &events {
                replayed.step(&definition, event);
            }
            assert_eq!(standing(&definition, &replayed), standing(&definition, &end));
        }
        assert!(longest > steps / 2, "{name}: {longest} steps");
        let mut survey = Survey::of(&definition);
        let named = |(strand, state): (StrandId, StateId)| {
            let strand = &definition.strands[strand.index()];
            format!("{name}: {} {}", strand.name, strand.states[state.index()].name)
        };
        let mut found = 0;
        for place in &seen {
            let verdict = survey.prove(Target::Entered(place.0, place.1));
            assert_ne!(verdict, Verdict::Impossible, "{}", named(*place));
            found += usize::from(verdict == Verdict::Possible);
        }
        (seen.len(), found)
    }

    #[test]
    fn what_walks_through_the_definitions_that_ship_reach_is_reachable() {
        for (name, walks, steps, reached) in [
            ("police-conduct", 4, 40, 40),
            ("fitness-to-practise", 8, 30, 20),
            ("whistleblowing-inquiry", 8, 30, 12),
            ("workplace-safety", 8, 30, 12),
        ] {
            let (seen, found) = check_walks(name, walks, steps);
            assert!(seen >= reached, "{name}: {seen} states");
            assert_eq!(found, seen, "{name}: what a walk reaches, the lint leaves unproved");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn what_a_walk_reaches_is_reachable(drawn in drawn(), choices in prop::collection::vec(0..1_000_usize, 12)) {
            if let Some(definition) = drawn.compiled([0, 1]) {
                check_reachable(&definition, &choices);
            }
        }

        #[test]
        fn the_order_of_strands_never_matters(
            drawn in drawn(),
            choices in prop::collection::vec(0..1_000_usize, 12),
        ) {
            let both = (drawn.compiled([0, 1]), drawn.compiled([1, 0]));
            if let (Some(one), Some(other)) = both {
                let (mut ways, mut others) = (Vec::new(), Vec::new());
                walk(&one, &all_candidates(&one), &choices, |_, status| ways.push(standing(&one, status)));
                walk(&other, &all_candidates(&other), &choices, |_, status| {
                    others.push(standing(&other, status));
                });
                prop_assert_eq!(ways, others);
            }
        }

        #[test]
        fn every_witness_replays_as_a_scenario(drawn in drawn()) {
            let Some(definition) = drawn.compiled([0, 1]) else { return Ok(()) };
            let definition = Arc::new(definition);
            for problem in lint(&definition).into_iter().filter(|problem| !problem.witness.is_empty()) {
                let is_accepted = matches!(problem.code, "dead-end" | "final-left-never");
                let (text, expected) =
                    if is_accepted { ("accepted", Expected::Accepted) } else { ("refused", Expected::Refused(None)) };
                let mut scenario = crate::definition::scenario::Scenario::playing(problem.code, &problem.witness);
                scenario.then = vec![Expectation { line: 0, text: text.to_owned(), expected }];
                let file = SourceFile { name: "witness.txt".to_owned(), text: scenario.to_string() };
                let read = parse(&file).unwrap_or_else(|problems| panic!("{problems:#?}\n{scenario}"));
                prop_assert_ne!(problem.severity, Severity::NotProved);
                for scenario in &read {
                    let outcome = run(&definition, scenario);
                    prop_assert!(outcome.holds(), "{}\n{:#?}\n{:#?}", scenario, outcome, problem);
                }
            }
        }
    }
}
