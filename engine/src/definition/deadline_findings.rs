//! What the lint finds in deadlines: those that never start or that nothing can meet, adjustments without an effect, and
//! the same deadline written twice.
//!
//! Whether an event can be recorded and a state be reached is the survey's to say; only what it calls impossible counts here.

use std::collections::BTreeMap;

use super::condition::{Comparison, Condition, Expr, Quantifier};
use super::deadline::{Adjustment, Deadline, Due, Trigger};
use super::lint::{Finding, bound};
use super::problem::Severity;
use super::survey::{Survey, Target, Verdict};
use super::{Definition, DerivedId, EventTypeId, StateId, StrandId};

/// Adds what is wrong with the deadlines of a definition.
pub(super) fn deadlines<'d>(
    definition: &'d Definition,
    survey: &mut Survey<'d>,
    findings: &mut Vec<Finding>,
) {
    let mut world = World { definition, survey, known: BTreeMap::new() };
    for (index, deadline) in definition.deadlines.iter().enumerate() {
        if let Some(finding) = never_starts(&mut world, deadline) {
            findings.push(finding);
        } else {
            findings.extend(never_met(&mut world, deadline));
        }
        findings.extend(adjustment_without_effect(deadline));
        let before = &definition.deadlines[..index];
        if let Some(twin) = before.iter().find(|twin| is_alike(twin, deadline)) {
            findings.push(twice(twin, deadline));
        }
    }
}

/// What can happen, as far as the survey excludes it.
struct World<'w, 'd> {
    definition: &'d Definition,
    survey: &'w mut Survey<'d>,
    known: BTreeMap<Target, bool>,
}

/// What cannot be, and the targets that the survey excluded for it.
type Barred = Vec<Target>;

impl World<'_, '_> {
    fn is_possible(&mut self, target: Target, barred: &mut Barred) -> bool {
        let survey = &mut self.survey;
        let is_possible =
            *self.known.entry(target).or_insert_with(|| survey.prove(target) != Verdict::Impossible);
        if !is_possible {
            barred.push(target);
        }
        is_possible
    }

    fn happens(&mut self, event: EventTypeId, barred: &mut Barred) -> bool {
        self.is_possible(Target::Accepted(event), barred)
    }

    /// Whether any of these can be recorded.
    fn any_happens(&mut self, triggers: impl Iterator<Item = EventTypeId>, barred: &mut Barred) -> bool {
        let mut any = false;
        for event in triggers {
            any |= self.happens(event, barred);
        }
        any
    }

    fn may_hold(&mut self, condition: &Condition, barred: &mut Barred) -> bool {
        condition.parts.iter().all(|(_, part)| self.may_be(part, true, barred))
    }

    /// Whether the expression may have this value somewhere. What is not looked into may.
    fn may_be(&mut self, expr: &Expr, wanted: bool, barred: &mut Barred) -> bool {
        match expr {
            Expr::Not(inner) => self.may_be(inner, !wanted, barred),
            Expr::And(parts) if wanted => parts.iter().all(|part| self.may_be(part, true, barred)),
            Expr::And(parts) => parts.iter().any(|part| self.may_be(part, false, barred)),
            Expr::Or(parts) if wanted => parts.iter().any(|part| self.may_be(part, true, barred)),
            Expr::Or(parts) => parts.iter().all(|part| self.may_be(part, false, barred)),
            Expr::Quantified { quantifier: Quantifier::Exists, body, .. } if wanted => {
                self.may_be(body, true, barred)
            }
            Expr::Quantified { quantifier: Quantifier::All, body, .. } if !wanted => {
                self.may_be(body, false, barred)
            }
            Expr::Happened(_, event) if wanted => self.happens(*event, barred),
            Expr::Overlay(_, strand, overlay) if wanted => {
                let overlay = &self.definition.strands[strand.index()].overlays[overlay.index()];
                self.any_happens(overlay.set_by.iter().copied(), barred)
            }
            Expr::Compare(Comparison::Equal, left, right) if wanted => {
                self.may_equal(left, right, barred) && self.may_equal(right, left, barred)
            }
            Expr::In(left, right) if wanted => match &**right {
                Expr::List(items) => items.iter().any(|item| self.may_equal(left, item, barred)),
                _ => true,
            },
            _ => true,
        }
    }

    /// Whether what is read may be this value.
    fn may_equal(&mut self, read: &Expr, value: &Expr, barred: &mut Barred) -> bool {
        match (read, value) {
            (Expr::State(_, strand), Expr::StateName(state)) => self.reaches(*strand, *state, barred),
            (Expr::Derived(_, strand), Expr::StateName(state)) => self.derives(*strand, *state, barred),
            (Expr::LastData(_, event, _), _) => self.happens(*event, barred),
            _ => true,
        }
    }

    fn reaches(&mut self, strand: StrandId, state: StateId, barred: &mut Barred) -> bool {
        self.is_possible(Target::Entered(strand, state), barred)
    }

    fn derives(&mut self, strand: DerivedId, state: StateId, barred: &mut Barred) -> bool {
        let definition = self.definition;
        let condition = definition.derived[strand.index()].conditions.get(state.index());
        condition.is_none_or(|condition| self.may_hold(condition, barred))
    }

    fn finding(
        &self,
        (severity, code): (Severity, &'static str),
        deadline: &Deadline,
        message: String,
        help: &str,
        barred: &Barred,
    ) -> Finding {
        let finding = Finding::new(severity, code, &["deadlines", &deadline.name], message, help);
        let ways = barred.iter().map(|target| self.survey.nearest(*target));
        let way = ways.filter(|way| !way.is_empty()).min_by_key(Vec::len);
        finding.with_witness(way.unwrap_or_default())
    }

    fn named(&self, triggers: &[EventTypeId]) -> String {
        let mut names: Vec<&str> = Vec::new();
        for event in triggers {
            let name = self.definition.event_type(*event).name.as_str();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(" or ")
    }
}

fn types(triggers: &[Trigger]) -> Vec<EventTypeId> {
    triggers.iter().map(|trigger| trigger.on).collect()
}

fn never_starts(world: &mut World<'_, '_>, deadline: &Deadline) -> Option<Finding> {
    let kind = (Severity::Error, "deadline-never-starts");
    let starts: Vec<EventTypeId> = deadline.starts.iter().map(|start| start.trigger.on).collect();
    let mut barred = Barred::new();
    if !world.any_happens(starts.iter().copied(), &mut barred) {
        let message = format!(
            "deadline {} never starts: {} can never happen{}",
            deadline.name,
            world.named(&starts),
            bound(world.definition)
        );
        let help =
            "name under `starts` what can be recorded; where there is a witness, its last event is refused";
        return Some(world.finding(kind, deadline, message, help, &barred));
    }
    let when = deadline.when.as_ref()?;
    let mut barred = Barred::new();
    if world.may_hold(when, &mut barred) {
        return None;
    }
    let message = format!(
        "deadline {} never starts: its `when` can never hold{}: {}",
        deadline.name,
        bound(world.definition),
        when.source
    );
    let help = "it asks for a state that is not reached, or an event that cannot happen; where there is a witness, its last event would lead there and is refused";
    Some(world.finding(kind, deadline, message, help, &barred))
}

fn never_met(world: &mut World<'_, '_>, deadline: &Deadline) -> Option<Finding> {
    let (met_by, void_by) = (types(&deadline.met_by), types(&deadline.void_by));
    let mut barred = Barred::new();
    let is_met = world.any_happens(met_by.iter().copied(), &mut barred);
    let is_ended = world.any_happens(void_by.iter().copied(), &mut barred);
    // Nothing needs to meet what is there to run out.
    if is_met || (met_by.is_empty() && is_ended) {
        return None;
    }
    let message = if is_ended {
        format!("deadline {} can never be met: {} can never happen", deadline.name, world.named(&met_by))
    } else {
        let all = [met_by, void_by].concat();
        format!(
            "nothing can meet deadline {} or make it fall away: {} can never happen",
            deadline.name,
            world.named(&all)
        )
    };
    let message = message + &bound(world.definition);
    let help = "as it is, every round of it ends as missed; name under `met-by` what can be recorded, and where there is a witness, mend what refuses its last event";
    Some(world.finding((Severity::Error, "deadline-never-met"), deadline, message, help, &barred))
}

/// Starting anew counts a length again: where the day itself stands in an event, there is none.
fn adjustment_without_effect(deadline: &Deadline) -> Option<Finding> {
    let adjust = deadline.adjust.as_ref()?;
    if !matches!(deadline.due, Due::At(_)) || !adjust.kinds.contains(&Adjustment::Restarted) {
        return None;
    }
    let message = format!(
        "deadline {} may be restarted, and has no length that could be counted again: its day stands in the event that starts it",
        deadline.name
    );
    let help = "leave `restarted` out of `kinds`; `extended` with `until` names another day";
    let keys = ["deadlines", &deadline.name, "adjust"];
    Some(Finding::new(Severity::Warning, "adjustment-without-effect", &keys, message, help))
}

/// Whether both start with the same events under the same condition, last equally long, and are met by the same.
fn is_alike(one: &Deadline, other: &Deadline) -> bool {
    let when = |deadline: &Deadline| deadline.when.as_ref().map(|when| when.source.clone());
    let written = |deadline: &Deadline| {
        // Ids and constants only: what is written alike is alike.
        format!(
            "{:?} {:?} {:?} {:?} {:?}",
            deadline.starts, deadline.due, deadline.repeats, deadline.on_repeat, deadline.met_by
        )
    };
    one.per == other.per && when(one) == when(other) && written(one) == written(other)
}

fn twice(twin: &Deadline, deadline: &Deadline) -> Finding {
    let message = format!(
        "deadline {} starts, lasts and is met as {} is: every case would have both",
        deadline.name, twin.name
    );
    let help =
        "leave one of them out, or say what tells them apart: `when`, `where`, a length, what meets it";
    Finding::new(Severity::Warning, "deadline-twice", &["deadlines", &deadline.name], message, help)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::definition::compile::compile;
    use crate::definition::lint::lint_files;
    use crate::definition::problem::{Problem, Severity};
    use crate::definition::scenario::{Expectation, Expected, Scenario, run};
    use crate::definition::source::SourceFile;

    /// Nothing is wrong with it.
    const CLEAN: &str = "\
workflow: small
version: 1
language: casebook/1
title: Small
timezone: Europe/London
roles:
  clerk: { title: Clerk }
events:
  notice-served:
    title: Notice served
    record: [clerk]
    data: { properties: { due_on: { type: string, format: edtf } }, required: [due_on] }
  answer-received: { title: Answer received, record: [clerk] }
  matter-settled: { title: Matter settled, record: [clerk] }
  matter-stayed: { title: Matter stayed, record: [clerk] }
strands:
  matter:
    title: Matter
    states:
      new: {}
      noticed: {}
      stayed: {}
      over: { final: true }
    initial: new
    transitions:
      - { on: notice-served, from: [new, stayed], to: noticed }
      - { on: matter-stayed, from: noticed, to: stayed }
      - { on: answer-received, from: noticed, to: over }
      - { on: matter-settled, from: noticed, to: over }
deadlines:
  answer:
    title: Answer
    starts: notice-served
    due: { length: 10 days }
    met-by: answer-received
    void-by: matter-settled
    when: case.state('matter') != 'stayed'
";

    fn broken(changes: &[(&str, &str)]) -> String {
        changes.iter().fold(CLEAN.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        })
    }

    /// The finding of this code, which stands on the line with these words.
    #[track_caller]
    fn found(text: &str, code: &str, severity: Severity, on: &str) -> Problem {
        let problems = problems(text);
        let found = problems.iter().find(|problem| problem.code == code);
        let found = found.unwrap_or_else(|| panic!("{problems:#?}"));
        assert_eq!(found.severity, severity);
        assert_eq!(found.line, text.lines().position(|line| line.contains(on)).unwrap() + 1, "{found:#?}");
        found.clone()
    }

    #[track_caller]
    fn problems(text: &str) -> Vec<Problem> {
        let files = [SourceFile { name: "small.yaml".to_owned(), text: text.to_owned() }];
        let definition = compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
        lint_files(&definition, &files)
    }

    /// Plays the witness: its last event is refused.
    #[track_caller]
    fn check_refused(text: &str, problem: &Problem, last: &str) {
        let files = [SourceFile { name: "small.yaml".to_owned(), text: text.to_owned() }];
        let definition = Arc::new(compile(&files).unwrap());
        assert_eq!(problem.witness.last().map(|step| step.event_type.as_str()), Some(last), "{problem:#?}");
        let mut scenario = Scenario::playing(problem.code, &problem.witness);
        let expected = Expected::Refused(None);
        scenario.then = vec![Expectation { line: 0, text: "refused".to_owned(), expected }];
        let outcome = run(&definition, &scenario);
        assert!(outcome.holds(), "{scenario}{outcome:#?}");
    }

    const NEVER_STAYED: (&str, &str) =
        ("matter-stayed, from: noticed, to: stayed", "matter-stayed, from: stayed, to: over");

    #[test]
    fn nothing_is_found_in_a_clean_definition() {
        assert_eq!(problems(CLEAN), []);
    }

    #[test]
    fn a_deadline_whose_start_cannot_be_recorded_never_starts() {
        let text = broken(&[NEVER_STAYED, ("    starts: notice-served", "    starts: matter-stayed")]);
        let problem = found(&text, "deadline-never-starts", Severity::Error, "  answer:");
        assert_eq!(problem.message, "deadline answer never starts: matter-stayed can never happen");
        check_refused(&text, &problem, "matter-stayed");
    }

    #[test]
    fn one_start_that_can_be_recorded_is_enough() {
        let text = broken(&[
            NEVER_STAYED,
            ("    starts: notice-served", "    starts: [matter-stayed, notice-served]"),
        ]);
        assert!(problems(&text).iter().all(|problem| !problem.code.starts_with("deadline")));
    }

    #[test]
    fn a_deadline_of_a_state_that_is_not_reached_never_starts() {
        for when in [
            "case.state('matter') == 'stayed'",
            "case.happened('answer-received') && case.state('matter') in ['stayed']",
            "!(case.state('matter') != 'noticed' && !case.happened('matter-stayed')) && case.happened('matter-stayed')",
        ] {
            let text = broken(&[NEVER_STAYED, ("case.state('matter') != 'stayed'", when)]);
            let text = text.replace("    when: ", "    when: \"").replace(when, &format!("{when}\""));
            let problem = found(&text, "deadline-never-starts", Severity::Error, "  answer:");
            assert!(problem.message.ends_with(&format!("its `when` can never hold: {when}")), "{problem:?}");
        }
        let text =
            broken(&[NEVER_STAYED, ("case.state('matter') != 'stayed'", "case.happened('matter-stayed')")]);
        let problem = found(&text, "deadline-never-starts", Severity::Error, "  answer:");
        check_refused(&text, &problem, "matter-stayed");
    }

    #[test]
    fn a_deadline_that_nothing_can_meet_is_found() {
        let text = broken(&[NEVER_STAYED, ("    met-by: answer-received", "    met-by: matter-stayed")]);
        let problem = found(&text, "deadline-never-met", Severity::Error, "  answer:");
        assert_eq!(problem.message, "deadline answer can never be met: matter-stayed can never happen");
        check_refused(&text, &problem, "matter-stayed");
        let ended = text.replace("    void-by: matter-settled\n", "    void-by: matter-stayed\n");
        let problem = found(&ended, "deadline-never-met", Severity::Error, "  answer:");
        assert_eq!(
            problem.message,
            "nothing can meet deadline answer or make it fall away: matter-stayed can never happen"
        );
    }

    #[test]
    fn what_is_there_to_run_out_needs_nothing_that_meets_it() {
        assert_eq!(problems(&broken(&[("    met-by: answer-received\n", "")])), []);
    }

    #[test]
    fn a_day_that_an_event_names_is_not_restarted() {
        let at = |kinds: &str| {
            let adjust =
                format!("    due: {{ at: due_on }}\n    adjust: {{ by: [clerk], kinds: [{kinds}] }}");
            broken(&[("    due: { length: 10 days }", &adjust)])
        };
        let text = at("extended, restarted");
        found(&text, "adjustment-without-effect", Severity::Warning, "    adjust:");
        assert_eq!(problems(&at("extended, left-out")), []);
    }

    #[test]
    fn a_deadline_is_not_written_twice() {
        let twin = |length: &str| {
            format!(
                "{CLEAN}  response:\n    title: Response\n    starts: notice-served\n    due: {{ length: {length} }}\n    met-by: answer-received\n    when: case.state('matter') != 'stayed'\n"
            )
        };
        let text = twin("10 days");
        let problem = found(&text, "deadline-twice", Severity::Warning, "  response:");
        assert!(problem.message.contains("as answer is"), "{problem:?}");
        assert_eq!(problems(&twin("11 days")), []);
    }
}
