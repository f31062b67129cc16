//! What two versions of a definition do differently: for each change a shortest history that shows it.
//!
//! [`super::diff`] says what is written differently. Here each of those changes is followed to an event that the versions
//! answer differently, by a search that ends at a limit (`divergence`). Where none is found, that is said, and
//! with it how far was looked.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::diff::{Changed, Changes, WorkflowDiff};
use super::divergence::{Aim, ENTITIES_EACH_MAX, Looked, TRIALS_MAX, Target, look};
use super::rehearsal::NOT_VALID;
use super::scenario::{DeadlineExpectation, Expectation, Expected, Scenario};
use super::witness::{Pair, scenario};
use super::{Definition, EventTypeId, Rule};
use crate::case::day::Day;
use crate::case::refusal::Step;

/// Events that all searches of one comparison try together.
pub(crate) const ALL_TRIALS_MAX: usize = 300_000;

/// What kind of thing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// A rule.
    Rule,
    /// A strand: its rows, states and overlays.
    Strand,
    /// An event type: its fields, scope, and who records and decides it.
    Event,
    /// A derived strand.
    Derived,
    /// A deadline.
    Deadline,
    /// What a closed case accepts.
    Closing,
    /// Roles that one person may not hold together.
    Duties,
}

/// A change that shows, with the shortest history that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was changed.
    pub part: Part,
    /// Its name.
    pub name: String,
    /// The last event of the history: what is answered differently.
    pub event: String,
    /// How the answers differ.
    #[serde(flatten)]
    pub differs: Differs,
    /// The history, that event included, from the opening of the case; playable as a scenario under either version.
    pub witness: Vec<Step>,
    /// False where the limit was reached before a shorter one was excluded.
    pub is_shortest: bool,
}

impl Finding {
    /// The history as a scenario that holds under the later version.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        let mut scenario = scenario(&self.in_words(), &self.witness);
        let expect = |text: String, expected: Expected| Expectation { line: 0, text, expected };
        scenario.then = match &self.differs {
            Differs::RefusedNow { by } if by.iter().any(|by| by.rule == NOT_VALID) => {
                vec![expect("invalid".to_owned(), Expected::Invalid)]
            }
            Differs::RefusedNow { by } => {
                let refused = |by: &RefusedBy| {
                    expect(format!("refused by {}", by.rule), Expected::Refused(Some(by.rule.clone())))
                };
                by.iter().map(refused).collect()
            }
            Differs::AcceptedNow { .. } => vec![expect("accepted".to_owned(), Expected::Accepted)],
            Differs::Deadline { expected, .. } => {
                let accepted = expect("accepted".to_owned(), Expected::Accepted);
                let told = expected.iter().map(|told| expect(told.text(), Expected::Deadline(told.clone())));
                std::iter::once(accepted).chain(told).collect()
            }
            Differs::Breach { rule, is_noted_now: true } => {
                vec![expect(format!("breach {rule}"), Expected::Breach(rule.clone()))]
            }
            Differs::Breach { .. } => vec![expect("accepted".to_owned(), Expected::Accepted)],
            Differs::EndsElsewhere { states } => states.iter().filter_map(StateChange::expectation).collect(),
        };
        scenario
    }

    /// What is answered differently, in a few words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let what = match &self.differs {
            Differs::RefusedNow { .. } => "was lawful, is refused",
            Differs::AcceptedNow { .. } => "was refused, is lawful",
            Differs::EndsElsewhere { .. } => "ends elsewhere",
            Differs::Breach { is_noted_now: true, .. } => "is now noted as a breach",
            Differs::Breach { .. } => "is no longer noted as a breach",
            Differs::Deadline { .. } => "has another deadline",
        };
        format!("{} {what} ({} {})", self.event, self.part.word(), self.name)
    }
}

impl Part {
    /// As people call it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Strand => "strand",
            Self::Event => "event",
            Self::Derived => "derived strand",
            Self::Deadline => "deadline",
            Self::Closing | Self::Duties => "terms",
        }
    }
}

impl StateChange {
    /// As a scenario expects it of the later version; `None` where a scenario has no word for it.
    fn expectation(&self) -> Option<Expectation> {
        let state = self.now.split(" + ").next().filter(|state| !state.contains(' '))?;
        let of = self.entity.as_ref().map(|entity| format!(" of {entity}")).unwrap_or_default();
        let text = format!("{}{of} is {state}", self.strand);
        let (strand, of) = (self.strand.clone(), self.entity.clone());
        Some(Expectation { line: 0, text, expected: Expected::State { strand, of, state: state.to_owned() } })
    }
}

/// How two versions answer one history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Differs {
    /// Lawful before, refused now.
    RefusedNow {
        /// What refuses it.
        by: Vec<RefusedBy>,
    },
    /// Refused before, lawful now.
    AcceptedNow {
        /// What refused it.
        by: Vec<RefusedBy>,
    },
    /// Lawful in both, with other states.
    EndsElsewhere {
        /// The strands that end elsewhere.
        states: Vec<StateChange>,
    },
    /// Lawful in both, and a breach is noted in one.
    Breach {
        /// The rule.
        rule: String,
        /// In the later version; otherwise in the earlier.
        is_noted_now: bool,
    },
    /// Lawful in both, and a deadline says something else.
    Deadline {
        /// The day of the question.
        on: Day,
        /// What was said.
        before: String,
        /// What is said.
        now: String,
        /// The same, as a scenario expects it.
        #[serde(skip)]
        expected: Vec<DeadlineExpectation>,
    },
}

/// A reason of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedBy {
    /// The rule, as in a refusal; `engine:invalid` where the event is not a valid one.
    pub rule: String,
    /// What people read.
    pub message: String,
}

/// Where a strand ends under each version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateChange {
    /// The strand.
    pub strand: String,
    /// Whose it is; absent for the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Its state, with the overlays that are set.
    pub before: String,
    /// The same under the later version.
    pub now: String,
}

/// A change of which no history was found that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotShown {
    /// What was changed.
    pub part: Part,
    /// Its name.
    pub name: String,
    /// How far was looked.
    pub why: String,
}

/// What is to be followed: the changed thing, the events that can show it, and how.
struct Change {
    part: Part,
    name: String,
    events: BTreeSet<String>,
    aims: Vec<Aim>,
}

const EVERY_AIM: [Aim; 3] = [Aim::RefusedNow, Aim::AcceptedNow, Aim::Differs];

/// Follows every change to what it does.
pub(crate) fn follow(old: &Arc<Definition>, new: &Arc<Definition>, written: &mut WorkflowDiff) {
    let trials_left = Cell::new(ALL_TRIALS_MAX);
    let mut seen: Vec<(Part, String)> = Vec::new();
    for change in changes((old, new), written) {
        let key = (change.part, change.name.clone());
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        follow_one((old, new), &change, &trials_left, written);
    }
}

fn follow_one(pair: Pair<'_>, change: &Change, trials_left: &Cell<usize>, written: &mut WorkflowDiff) {
    let (mut is_shown, mut at_limit) = (false, false);
    for aim in &change.aims {
        let mut shortest: Option<Finding> = None;
        for event in &change.events {
            if trials_left.get() == 0 {
                at_limit = true;
                break;
            }
            let target = Target { part: change.part, name: &change.name, event };
            match look(pair, &target, *aim, trials_left) {
                Looked::Nothing => {}
                Looked::GaveUp => at_limit = true,
                Looked::Found { witness, differs, is_shortest } => {
                    let is_shorter =
                        shortest.as_ref().is_none_or(|known| witness.len() < known.witness.len());
                    if is_shorter {
                        let (part, name) = (change.part, change.name.clone());
                        let event = event.clone();
                        shortest = Some(Finding { part, name, event, differs, witness, is_shortest });
                    }
                }
            }
        }
        is_shown |= shortest.is_some();
        written.behaviour.extend(shortest);
    }
    if is_shown {
        return;
    }
    let why = if change.part == Part::Duties {
        "not searched: it shows only where one person acts in both roles".to_owned()
    } else if change.events.is_empty() || change.aims.is_empty() {
        "nothing that the versions answer differently follows from it by itself".to_owned()
    } else if trials_left.get() == 0 {
        format!("not proved: all {ALL_TRIALS_MAX} tries of the comparison were used up")
    } else if at_limit {
        format!("not proved: no difference was found within {TRIALS_MAX} tries")
    } else {
        format!("not proved: no difference was found with up to {ENTITIES_EACH_MAX} entities of each kind")
    };
    written.not_shown.push(NotShown { part: change.part, name: change.name.clone(), why });
}

fn changes(pair: Pair<'_>, written: &WorkflowDiff) -> Vec<Change> {
    let mut found = of_rules(pair, &written.rules);
    for strand in &written.sequences {
        let lists = [
            (&strand.no_longer_lawful, Aim::RefusedNow),
            (&strand.newly_lawful, Aim::AcceptedNow),
            (&strand.leads_elsewhere, Aim::Differs),
        ];
        let lists: Vec<_> = lists.into_iter().filter(|(list, _)| !list.is_empty()).collect();
        let events = lists.iter().flat_map(|(list, _)| list.iter().map(|one| one.event.clone())).collect();
        let aims = lists.iter().map(|(_, aim)| *aim).collect::<Vec<_>>();
        if !aims.is_empty() {
            found.push(Change { part: Part::Strand, name: strand.strand.clone(), events, aims });
        }
    }
    found.extend(of_strands(pair, &written.strands));
    found.extend(of_overlays(pair));
    found.extend(of_events(&written.events));
    found.extend(of_deadlines(pair, &written.deadlines));
    found.extend(of_terms(pair, &written.terms));
    found
}

/// Wording, title and legal basis of a rule decide nothing.
fn decides(what: &str) -> bool {
    !["basis: ", "message: ", "title: "].iter().any(|part| what.starts_with(part))
}

fn all(changes: &Changes) -> impl Iterator<Item = (&String, Option<&Changed>)> {
    let changed = changes.changed.iter().map(|changed| (&changed.name, Some(changed)));
    changes.added.iter().chain(&changes.removed).map(|name| (name, None)).chain(changed)
}

fn of_rules((old, new): Pair<'_>, rules: &Changes) -> Vec<Change> {
    let change = |(name, changed): (&String, Option<&Changed>)| {
        let of = |definition: &Definition| -> Vec<String> {
            let has = |rules: &[Rule]| rules.iter().any(|rule| rule.id == *name);
            let events = definition.events.iter().filter(|event| has(&event.rules));
            events.map(|event| event.name.clone()).collect()
        };
        let matters = changed.is_none_or(|changed| changed.what.iter().any(|what| decides(what)));
        let aims = match (matters, rules.added.contains(name), rules.removed.contains(name)) {
            (false, ..) => Vec::new(),
            (_, true, _) => vec![Aim::RefusedNow, Aim::Differs],
            (_, _, true) => vec![Aim::AcceptedNow, Aim::Differs],
            _ => EVERY_AIM.to_vec(),
        };
        let events = of(old).into_iter().chain(of(new)).collect();
        Change { part: Part::Rule, name: name.clone(), events, aims }
    };
    all(rules).map(change).collect()
}

/// Strands that one version alone has refuse what they own; derived strands tell something else.
fn of_strands((old, new): Pair<'_>, strands: &Changes) -> Vec<Change> {
    let change = |(name, changed): (&String, Option<&Changed>)| {
        let mut events = BTreeSet::new();
        let mut part = Part::Strand;
        for definition in [old, new] {
            if let Some(strand) = definition.strand(name) {
                let owns =
                    |event: &&super::EventType| event.moves.contains(&(strand, super::Ownership::Owns));
                events.extend(definition.events.iter().filter(owns).map(|event| event.name.clone()));
            }
            if let Some(derived) = definition.derived_strand(name) {
                part = Part::Derived;
                events.extend(that_move(definition, &definition.derived[derived.index()].conditions));
            }
        }
        let aims = match (part, changed.is_some(), strands.added.contains(name)) {
            (Part::Derived, true, _) => vec![Aim::Differs],
            (Part::Derived, false, _) => Vec::new(),
            (_, true, _) => EVERY_AIM.to_vec(),
            (_, _, true) => vec![Aim::RefusedNow],
            (_, _, false) => vec![Aim::AcceptedNow],
        };
        Change { part, name: name.clone(), events, aims }
    };
    all(strands).map(change).collect()
}

/// The events that conditions ask about, and those that move the strands that they read.
fn that_move(definition: &Definition, conditions: &[super::condition::Condition]) -> BTreeSet<String> {
    let mut mentions = super::mentions::Mentions::default();
    for condition in conditions {
        mentions.of_condition(None, condition);
    }
    mentions.follow_derived(definition);
    let mut events: BTreeSet<EventTypeId> = mentions.events;
    for strand in mentions.strands {
        let strand = &definition.strands[strand.index()];
        events.extend(strand.rows.keys());
        events.extend(strand.initial.iter().filter_map(|initial| initial.on));
    }
    events.iter().map(|event| definition.event_type(*event).name.clone()).collect()
}

fn of_overlays((old, new): Pair<'_>) -> Vec<Change> {
    let turning = |definition: &Definition, name: &str| -> Vec<(String, String)> {
        let strand = definition.strand(name).map(|id| &definition.strands[id.index()]);
        let overlays = strand.into_iter().flat_map(|strand| &strand.overlays);
        let turns = overlays.flat_map(|overlay| {
            let set = overlay.set_by.iter().map(|event| (format!("set {}", overlay.name), *event));
            set.chain(overlay.cleared_by.iter().map(|event| (format!("clear {}", overlay.name), *event)))
        });
        turns.map(|(turn, event)| (turn, definition.event_type(event).name.clone())).collect()
    };
    let mut found = Vec::new();
    for strand in &new.strands {
        let (were, are) = (turning(old, &strand.name), turning(new, &strand.name));
        let differing = were.iter().chain(&are).filter(|turn| were.contains(turn) != are.contains(turn));
        let events: BTreeSet<String> = differing.map(|(_, event)| event.clone()).collect();
        if !events.is_empty() && old.strand(&strand.name).is_some() {
            found.push(Change {
                part: Part::Strand,
                name: strand.name.clone(),
                events,
                aims: vec![Aim::Differs],
            });
        }
    }
    found
}

fn of_events(events: &Changes) -> Vec<Change> {
    let change = |(name, changed): (&String, Option<&Changed>)| {
        let matters = changed.is_none_or(|changed| changed.what.iter().any(|what| decides(what)));
        let aims = match (matters, events.added.contains(name), events.removed.contains(name)) {
            (false, ..) => Vec::new(),
            (_, true, _) => vec![Aim::AcceptedNow],
            (_, _, true) => vec![Aim::RefusedNow],
            _ => vec![Aim::RefusedNow, Aim::AcceptedNow],
        };
        Change { part: Part::Event, name: name.clone(), events: BTreeSet::from([name.clone()]), aims }
    };
    all(events).map(change).collect()
}

fn of_deadlines((old, new): Pair<'_>, deadlines: &Changes) -> Vec<Change> {
    let change = |(name, changed): (&String, Option<&Changed>)| {
        let mut events = BTreeSet::new();
        let mut waits: Vec<Vec<String>> = Vec::new();
        for definition in [old, new] {
            let of = definition.deadlines.iter().filter(|deadline| deadline.name == *name);
            let mut ends = Vec::new();
            for deadline in of {
                let named = |event: EventTypeId| definition.event_type(event).name.clone();
                events.extend(deadline.starts.iter().map(|start| named(start.trigger.on)));
                ends.extend(deadline.met_by.iter().chain(&deadline.void_by).map(|trigger| named(trigger.on)));
            }
            waits.push(ends);
        }
        // What ends it in one version alone shows the change, but for a deadline that only one version has.
        if let ([were, are], true) = (waits.as_slice(), changed.is_some()) {
            let differing =
                were.iter().chain(are).filter(|event| were.contains(event) != are.contains(event));
            events.extend(differing.cloned());
        }
        let matters = changed.is_none_or(|changed| changed.what.iter().any(|what| decides(what)));
        let aims = if matters { vec![Aim::Differs] } else { Vec::new() };
        Change { part: Part::Deadline, name: name.clone(), events, aims }
    };
    all(deadlines).map(change).collect()
}

fn of_terms((old, new): Pair<'_>, terms: &Changes) -> Vec<Change> {
    let change = |(name, _): (&String, Option<&Changed>)| {
        let part = if name == super::diff::AFTER_CLOSING { Part::Closing } else { Part::Duties };
        let mut events = BTreeSet::new();
        if part == Part::Closing {
            let accepted = |definition: &Definition| -> BTreeSet<String> {
                let closing = definition.after_closing.iter().flat_map(|closing| &closing.accept);
                closing.map(|event| definition.event_type(*event).name.clone()).collect()
            };
            events = &accepted(old) ^ &accepted(new);
        }
        Change { part, name: name.clone(), events, aims: vec![Aim::RefusedNow, Aim::AcceptedNow] }
    };
    all(terms).map(change).collect()
}
