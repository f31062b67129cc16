//! What scenarios drive of a definition: which event types, transitions, derived states, rules and deadlines they play, and
//! which not.
//!
//! [`Driven`] is filled while scenarios are played; [`Coverage::of`] compares it with everything that the definition's files
//! write down, so that what is missing has a file and a line.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use super::condition::Truth;
use super::parts::merged;
use super::problem::Problems;
use super::source::{BranchSource, Source, SourceFile, StrandSource, source};
use super::syntax::{Place, Text};
use super::{DeadlineId, Definition, DerivedId, EventTypeId, OverlayId, StateId, Strand, StrandId};
use crate::case::day::Day;
use crate::case::deadline::{Answer, rounds};
use crate::case::effective::{EffectiveEvent, is_note};
use crate::case::event::{RecordedEvent, engine_types};
use crate::case::judge::{Question, rule_answers};
use crate::case::state::CaseState;
use crate::case::status::{Moved, Status};

/// What the scenarios played so far have driven of one definition.
#[derive(Debug, Default, Clone)]
pub struct Driven {
    events: HashSet<EventTypeId>,
    /// Strand, event, state left (`None`: the way in), branch.
    branches: HashSet<(StrandId, EventTypeId, Option<StateId>, usize)>,
    /// Strands that begin with their entity, and did.
    begun: HashSet<StrandId>,
    /// Strand, overlay, event, whether it was set.
    overlays: HashSet<(StrandId, OverlayId, EventTypeId, bool)>,
    derived: HashSet<(DerivedId, StateId)>,
    met: HashSet<(EventTypeId, usize)>,
    unmet: HashSet<(EventTypeId, usize)>,
    started: HashSet<DeadlineId>,
    in_time: HashSet<DeadlineId>,
    missed: HashSet<DeadlineId>,
}

impl Driven {
    /// Takes in what accepted events did to a case: the moves of its timeline, the states reached, the rules asked.
    pub(crate) fn accepted(&mut self, before: &CaseState, after: &CaseState, events: &[RecordedEvent]) {
        let definition = after.definition();
        for event in events {
            let Some(id) = definition.event(&event.proposed.event_type) else { continue };
            self.events.insert(id);
            self.rules_asked(before, after, id, event);
        }
        let mut status = Status::before_opening(definition);
        self.states_of(definition, &status);
        for placed in after.timeline().places() {
            let event = placed.event.event_type;
            status.step_telling(definition, &placed.event, &mut |moved| match moved {
                Moved::Along { strand, from, branch } => {
                    self.branches.insert((strand, event, from, branch));
                }
                Moved::Overlay { strand, overlay, set } => {
                    self.overlays.insert((strand, overlay, event, set));
                }
            });
        }
        self.states_of(definition, &status);
        // Before all days only that is said of a deadline which its events say: met, or met too late or too early.
        for round in rounds(after, Day(i32::MIN)) {
            self.deadline(round.clock.deadline, round.answer(Day(i32::MIN)).0);
        }
    }

    /// Takes in what is said of a deadline that has started.
    pub(crate) fn deadline(&mut self, deadline: DeadlineId, answer: Answer) {
        self.started.insert(deadline);
        match answer {
            Answer::Met => self.in_time.insert(deadline),
            Answer::Missed => self.missed.insert(deadline),
            Answer::Running | Answer::Paused | Answer::Indeterminate | Answer::Void => false,
        };
    }

    /// Takes in a refusal: the rules that stood in the way.
    pub(crate) fn refused<'r>(
        &mut self,
        definition: &Definition,
        event_type: &str,
        rules: impl Iterator<Item = &'r str>,
    ) {
        let Some(id) = definition.event(event_type) else { return };
        let known = &definition.event_type(id).rules;
        let found = rules.filter_map(|rule| known.iter().position(|known| known.id == rule));
        self.unmet.extend(found.map(|index| (id, index)));
    }

    fn rules_asked(
        &mut self,
        before: &CaseState,
        after: &CaseState,
        event_type: EventTypeId,
        event: &RecordedEvent,
    ) {
        let definition = after.definition();
        let name = event.proposed.event_type.as_str();
        if definition.event_type(event_type).rules.is_empty() || name == engine_types::GAP_DECLARED {
            return;
        }
        let (effective, status) = if is_note(name) {
            let note = EffectiveEvent::plain(event_type, Arc::new(event.clone()));
            (Arc::new(note), before.status().clone())
        } else {
            let placed = after.timeline().places().iter().find(|placed| placed.event.id() == event.id);
            let Some(placed) = placed else { return };
            (Arc::clone(&placed.event), after.status_before(event.id))
        };
        for (rule, answer) in rule_answers(definition, &status, &Question::about(&effective)) {
            match answer {
                Truth::True => self.met.insert((event_type, rule)),
                Truth::False => self.unmet.insert((event_type, rule)),
                Truth::Unknown(_) => false,
            };
        }
    }

    fn states_of(&mut self, definition: &Definition, status: &Status) {
        for (entity, described) in status.entities() {
            self.begun.extend(described.strands.iter().map(|at| at.strand));
            for (id, strand) in (0_u16..).map(DerivedId).zip(&definition.derived) {
                if strand.per == described.kind {
                    let state = status.derived(definition, entity, id);
                    self.derived.extend(state.map(|state| (id, state)));
                }
            }
        }
    }
}

/// How much of a definition scenarios drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// One for each kind of thing, in a fixed order.
    pub measures: Vec<Measure>,
    /// What no scenario drives, in the order of the files.
    pub missing: Vec<Missing>,
}

/// How many things of one kind are driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// The kind of thing.
    pub what: Drivable,
    /// How many some scenario drives.
    pub driven: usize,
    /// How many the definition has.
    pub of: usize,
}

/// What a scenario can drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drivable {
    /// An event type: recorded.
    Event,
    /// A way into a strand, an event and branch of a row, or an overlay set or cleared: taken, from whichever state.
    Transition,
    /// A transition from each of the states that its row names: taken from that one.
    TransitionFrom,
    /// A state of a derived strand: reached.
    DerivedState,
    /// A rule: asked of an event that was recorded, and met.
    RuleMet,
    /// A rule: not met, by an event refused, or recorded with a breach or an override.
    RuleUnmet,
    /// A deadline: started.
    DeadlineStarted,
    /// A deadline that an event can meet: met in time.
    DeadlineMet,
    /// A deadline: met too late or too early, or expected to be missed on a day on which it is.
    DeadlineMissed,
}

/// Everything that can be driven, in the order in which it is told.
const DRIVABLE: [Drivable; 9] = [
    Drivable::Event,
    Drivable::Transition,
    Drivable::TransitionFrom,
    Drivable::DerivedState,
    Drivable::RuleMet,
    Drivable::RuleUnmet,
    Drivable::DeadlineStarted,
    Drivable::DeadlineMet,
    Drivable::DeadlineMissed,
];

/// Something that no scenario drives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its kind.
    pub what: Drivable,
    /// What it is, in the definition's names.
    pub name: String,
    /// The file that writes it.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
}

impl Measure {
    /// The share driven, in whole percent, rounded down; 100 where there is nothing to drive.
    #[must_use]
    pub fn percent(&self) -> usize {
        (self.driven * 100).checked_div(self.of).unwrap_or(100)
    }
}

impl Coverage {
    /// Compares what was driven with what the files of the definition write down.
    ///
    /// The definition has to be compiled from these files: what they name and it lacks is left out.
    #[must_use]
    pub fn of(definition: &Definition, files: &[SourceFile], driven: &Driven) -> Self {
        let mut count = Count { files, found: Vec::new() };
        let mut problems = Problems::new(files);
        if let Some(root) = merged(files, &mut problems) {
            let source = source(&root, &mut problems);
            count.events(definition, &source, driven);
            for strand in &source.strands {
                count.strand(definition, strand, driven);
            }
            count.derived(definition, &source, driven);
            count.deadlines(definition, &source, driven);
        }
        count.finish()
    }

    /// The measure of one kind of thing.
    #[must_use]
    pub fn measure(&self, what: Drivable) -> Option<&Measure> {
        self.measures.iter().find(|measure| measure.what == what)
    }

    /// Whether transitions, rules met and rules unmet each reach this many percent.
    #[must_use]
    pub fn reaches(&self, percent: usize) -> bool {
        let counted = [Drivable::Transition, Drivable::RuleMet, Drivable::RuleUnmet];
        self.measures.iter().all(|measure| !counted.contains(&measure.what) || measure.percent() >= percent)
    }
}

/// Things that can be driven, as they are found in the files.
struct Count<'f> {
    files: &'f [SourceFile],
    found: Vec<(Place, Drivable, String, bool)>,
}

impl Count<'_> {
    fn add(&mut self, what: Drivable, place: Place, name: impl Into<String>, is_driven: bool) {
        self.found.push((place, what, name.into(), is_driven));
    }

    fn events(&mut self, definition: &Definition, source: &Source, driven: &Driven) {
        for event in &source.events {
            let Some(id) = definition.event(&event.name.value) else { continue };
            let is_driven = driven.events.contains(&id);
            self.add(Drivable::Event, event.name.place, &event.name.value, is_driven);
            let known = &definition.event_type(id).rules;
            for rule in &event.rules {
                let Some(index) = known.iter().position(|known| known.id == rule.id.value) else { continue };
                let (name, place) = (&rule.id.value, rule.id.place);
                self.add(Drivable::RuleMet, place, name, driven.met.contains(&(id, index)));
                self.add(Drivable::RuleUnmet, place, name, driven.unmet.contains(&(id, index)));
            }
        }
    }

    fn derived(&mut self, definition: &Definition, source: &Source, driven: &Driven) {
        for strand in &source.derived {
            let Some(id) = definition.derived_strand(&strand.name.value) else { continue };
            let known = &definition.derived[id.index()].states;
            for (state, _) in &strand.states {
                let index = known.iter().position(|known| known.name == state.name.value);
                let Some(index) = index.and_then(|index| u16::try_from(index).ok()) else { continue };
                let name = format!("{}: {}", strand.name.value, state.name.value);
                let is_driven = driven.derived.contains(&(id, StateId(index)));
                self.add(Drivable::DerivedState, state.name.place, name, is_driven);
            }
        }
    }

    fn deadlines(&mut self, definition: &Definition, source: &Source, driven: &Driven) {
        for (written, _) in &source.deadlines {
            let (name, place) = (&written.value, written.place);
            let Some(id) = definition.deadline(name) else { continue };
            self.add(Drivable::DeadlineStarted, place, name, driven.started.contains(&id));
            if !definition.deadlines[id.index()].met_by.is_empty() {
                self.add(Drivable::DeadlineMet, place, name, driven.in_time.contains(&id));
            }
            self.add(Drivable::DeadlineMissed, place, name, driven.missed.contains(&id));
        }
    }

    fn strand(&mut self, definition: &Definition, written: &StrandSource, driven: &Driven) {
        let Some(id) = definition.strand(&written.name.value) else { return };
        let strand = &definition.strands[id.index()];
        for entry in &written.initial {
            if entry.on.is_empty() {
                let to = entry.branches.first().and_then(|branch| branch.to.as_ref());
                let name = format!("{}: begins as {}", strand.name, to.map_or("", |to| to.value.as_str()));
                self.add(Drivable::Transition, entry.place, name, driven.begun.contains(&id));
            }
            let from = [("not started", vec![None])];
            self.ways((id, definition), &entry.on, &from, (&entry.branches, entry.place), driven);
        }
        for row in &written.transitions {
            let from = row.from.iter().map(|from| (from.value.as_str(), states_meant(strand, &from.value)));
            let from: Vec<_> = from.collect();
            self.ways((id, definition), &row.on, &from, (&row.branches, row.place), driven);
        }
        for (at, overlay) in (0_u16..).map(OverlayId).zip(&strand.overlays) {
            let Some(written) = written.overlays.iter().find(|one| one.name.value == overlay.name) else {
                continue;
            };
            for (set, words, events) in
                [(true, "set", &written.set_by), (false, "cleared", &written.cleared_by)]
            {
                for event in events {
                    let Some(event_id) = definition.event(&event.value) else { continue };
                    let name = format!("{}: {} {words} by {}", strand.name, overlay.name, event.value);
                    let is_driven = driven.overlays.contains(&(id, at, event_id, set));
                    self.add(Drivable::Transition, event.place, name, is_driven);
                }
            }
        }
    }

    /// One for each event and branch, and one more from each state. `any` is one state here: it is written once, and meant
    /// alike for all of them.
    fn ways(
        &mut self,
        (strand, definition): (StrandId, &Definition),
        on: &[Text],
        from: &[(&str, Vec<Option<StateId>>)],
        (branches, place): (&[BranchSource], Place),
        driven: &Driven,
    ) {
        let strand_name = &definition.strands[strand.index()].name;
        for event in on {
            let Some(event_id) = definition.event(&event.value) else { continue };
            for (index, branch) in branches.iter().enumerate() {
                let to = branch.to.as_ref().map_or("stays", |to| to.value.as_str());
                let place = place_of(branch).unwrap_or(place);
                let name = |from: &str| {
                    format!("{strand_name}: {}{}: {from} → {to}", event.value, where_words(branch))
                };
                let is_driven =
                    |state: &Option<StateId>| driven.branches.contains(&(strand, event_id, *state, index));
                let any = from.iter().any(|(_, states)| states.iter().any(is_driven));
                let words: Vec<&str> = from.iter().map(|(words, _)| *words).collect();
                self.add(Drivable::Transition, place, name(&words.join(" | ")), any);
                for (words, states) in from {
                    let one = states.iter().any(is_driven);
                    self.add(Drivable::TransitionFrom, place, name(words), one);
                }
            }
        }
    }

    fn finish(mut self) -> Coverage {
        self.found.sort_by(|a, b| (a.1, a.0, &a.2).cmp(&(b.1, b.0, &b.2)));
        let measure = |what: Drivable| {
            let of = self.found.iter().filter(|found| found.1 == what);
            Measure { what, driven: of.clone().filter(|found| found.3).count(), of: of.count() }
        };
        let measures = DRIVABLE.into_iter().map(measure).collect();
        let missing = self.found.iter().filter(|found| !found.3).map(|(place, what, name, _)| {
            let file = self.files.get(place.file).map_or_else(String::new, |file| file.name.clone());
            Missing { what: *what, name: name.clone(), file, line: place.line }
        });
        Coverage { measures, missing: missing.collect() }
    }
}

/// The states that a name under `from` stands for: `any` and `any-open` for many, unless a state has that name.
fn states_meant(strand: &Strand, name: &str) -> Vec<Option<StateId>> {
    if let Some(state) = strand.state(name) {
        return vec![Some(state)];
    }
    let fits = |state: &super::State| name == "any" || (name == "any-open" && !state.is_final);
    let all = (0_u16..).map(StateId).zip(&strand.states);
    all.filter(|(_, state)| fits(state)).map(|(id, _)| Some(id)).collect()
}

/// Where a branch stands, if anything of it is written down.
fn place_of(branch: &BranchSource) -> Option<Place> {
    let first = branch.matches.first().map(|(field, _)| field.place);
    first.or(branch.to.as_ref().map(|to| to.place))
}

/// ` (plea guilty or not-guilty)`.
fn where_words(branch: &BranchSource) -> String {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let words: Vec<String> = branch
        .matches
        .iter()
        .map(|(field, values)| {
            let values: Vec<String> = values.iter().map(|value| text(&value.value)).collect();
            format!("{} {}", field.value, values.join(" or "))
        })
        .collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::compile::compile;
    use crate::definition::rehearsal::run_driving;
    use crate::definition::scenario::parse;

    const PERMITS: &str = "\
workflow: permits
version: 1
language: casebook/1
roles: { clerk: { title: Clerk } }
entities: { permit: { introduced-by: requested } }
events:
  requested: { scope: [permit], record: [clerk] }
  decided:
    scope: [permit]
    record: [clerk]
    gap: true
    data: { properties: { answer: { enum: [yes, no] } }, required: [answer] }
  used:
    scope: [permit]
    record: [clerk]
    rules:
      - { id: granted-first, class: logical, require: permit.state('permit') == 'granted', message: not granted }
      - { id: used-once, class: compliance, require: permit.count('used') == 0, message: used before }
  warned: { scope: [permit], record: [clerk] }
  cleared: { scope: [permit], record: [clerk] }
  noted: { record: [clerk] }
  gap-declared: { record: [clerk] }
strands:
  permit:
    per: permit
    states: { requested: {}, granted: {}, denied: { final: true } }
    initial: { on: requested, to: requested }
    transitions:
      - on: decided
        from: [requested, granted]
        choose: [{ where: { answer: \"yes\" }, to: granted }, { to: denied }]
    overlays: { warned: { set-by: warned, cleared-by: cleared } }
deadlines:
  answer: { per: permit, starts: requested, due: { length: 28 days }, met-by: decided }
derived:
  file: { states: [{ warned: \"case.permits.exists(p, p.overlay('warned'))\" }, { quiet: true }] }
";

    /// What the scenarios leave undriven, by name, of one kind.
    #[track_caller]
    fn check(scenarios: &str, what: Drivable, expected: &[&str]) {
        let files = [SourceFile { name: "permits.yaml".to_owned(), text: PERMITS.to_owned() }];
        let definition = Arc::new(compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}")));
        let text = format!("{scenarios}\n");
        let scenarios = parse(&SourceFile { name: "permits.txt".to_owned(), text }).unwrap();
        let mut driven = Driven::default();
        for scenario in &scenarios {
            let outcome = run_driving(&definition, scenario, &mut driven);
            assert!(outcome.holds(), "{outcome:#?}");
        }
        let coverage = Coverage::of(&definition, &files, &driven);
        let missing = coverage.missing.iter().filter(|missing| missing.what == what);
        assert_eq!(missing.map(|missing| missing.name.as_str()).collect::<Vec<_>>(), expected);
        let measure = coverage.measure(what).unwrap();
        assert_eq!(measure.of - measure.driven, expected.len());
    }

    #[test]
    fn a_row_is_driven_from_any_of_its_states_and_each_state_is_counted_beside_it() {
        let scenario = "scenario: granted\ngiven requested permit=P1\nwhen decided permit=P1 answer=\"yes\"\nthen accepted";
        check(
            scenario,
            Drivable::Transition,
            &[
                "permit: decided: requested | granted → denied",
                "permit: warned set by warned",
                "permit: warned cleared by cleared",
            ],
        );
        check(
            scenario,
            Drivable::TransitionFrom,
            &[
                "permit: decided (answer yes): granted → granted",
                "permit: decided: granted → denied",
                "permit: decided: requested → denied",
            ],
        );
    }

    #[test]
    fn an_overlay_is_cleared_only_where_it_was_set() {
        let given = "scenario: cleared\ngiven requested permit=P1";
        let left = [
            "permit: decided (answer yes): requested | granted → granted",
            "permit: decided: requested | granted → denied",
        ];
        let both = [left[0], left[1], "permit: warned set by warned", "permit: warned cleared by cleared"];
        check(&format!("{given}\nwhen cleared permit=P1\nthen accepted"), Drivable::Transition, &both);
        let set = format!("{given}, warned permit=P1\nwhen cleared permit=P1\nthen accepted");
        check(&set, Drivable::Transition, &left);
        check(&set, Drivable::DerivedState, &[]);
    }

    #[test]
    fn a_rule_is_unmet_by_a_refusal_and_by_a_breach_and_met_by_what_is_recorded() {
        let refused = "scenario: too soon\ngiven requested permit=P1\nwhen used permit=P1\nthen refused by granted-first";
        check(refused, Drivable::RuleUnmet, &["used-once"]);
        check(refused, Drivable::RuleMet, &["granted-first", "used-once"]);
        let twice = "scenario: twice\ngiven requested permit=P1, decided permit=P1 answer=\"yes\", used permit=P1\n\
                     when used permit=P1\nthen breach used-once";
        check(twice, Drivable::RuleUnmet, &["granted-first"]);
        check(twice, Drivable::RuleMet, &[]);
    }

    #[test]
    fn a_declared_gap_moves_its_strand_and_records_no_event_of_its_type() {
        let gap =
            "scenario: gap\ngiven requested permit=P1\nwhen used permit=P1 declare-gaps\nthen gap decided";
        check(gap, Drivable::Event, &["decided", "warned", "cleared", "noted"]);
        check(
            gap,
            Drivable::Transition,
            &[
                "permit: decided: requested | granted → denied",
                "permit: warned set by warned",
                "permit: warned cleared by cleared",
            ],
        );
    }

    #[test]
    fn a_deadline_is_missed_by_what_is_late_and_by_what_is_expected_of_a_day() {
        let requested = "scenario: asked\ngiven requested permit=P1 occurred=2021-05-03";
        let driven = |then: &str, what: Drivable, expected: &[&str]| {
            check(&format!("{requested}\n{then}"), what, expected);
        };
        let decided =
            |on: &str| format!("when decided permit=P1 answer=\"yes\" occurred={on}\nthen accepted");
        driven(&decided("2021-05-10"), Drivable::DeadlineMet, &[]);
        driven(&decided("2021-05-10"), Drivable::DeadlineMissed, &["answer"]);
        driven(&decided("2021-06-10"), Drivable::DeadlineMissed, &[]);
        driven(&decided("2021-06-10"), Drivable::DeadlineMet, &["answer"]);
        let asked = "then deadline answer of P1 is missed on 2021-06-10";
        driven(asked, Drivable::DeadlineStarted, &[]);
        driven(asked, Drivable::DeadlineMissed, &[]);
        driven("then deadline answer of P1 is running on 2021-05-10", Drivable::DeadlineMissed, &["answer"]);
        let warned = "scenario: never asked\nwhen noted\nthen accepted";
        check(warned, Drivable::DeadlineStarted, &["answer"]);
    }
}
