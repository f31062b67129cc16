//! What is wrong with a definition that compiles: states and events that nothing reaches, rules that can never hold,
//! roles and events that nothing needs.
//!
//! A finding comes with a witness where events lead to the spot: the shortest sequence found, playable as a scenario.
//! What the search neither found nor excluded is reported as not proved, never as fine.

use std::collections::BTreeSet;

use super::deadline_findings;
use super::mentions::Mentions;
use super::parts::merged;
use super::problem::{Problem, Problems, Severity, snippet};
use super::reach::own_types;
use super::source::SourceFile;
use super::survey::{ENTITIES_EACH_MAX, Survey, Target, Verdict, leaving};
use super::syntax::{Node, Place, Shape};
use super::{Definition, EventTypeId, Introduction, Rule, RuleClass, StateId, StrandId};
use crate::case::event::engine_types;
use crate::case::refusal::Step;

/// The file named in findings where the files are not at hand.
const NO_FILE: &str = "definition";

/// Looks for what is wrong with a definition, errors first. The same definition gives the same findings.
///
/// A compiled definition does not know its files, so that the findings name no line: see [`lint_files`].
#[must_use]
pub fn lint(definition: &Definition) -> Vec<Problem> {
    findings(definition).into_iter().map(|finding| finding.problem).collect()
}

/// As [`lint`], with the line of each finding in the files from which the definition was compiled.
#[must_use]
pub fn lint_files(definition: &Definition, files: &[SourceFile]) -> Vec<Problem> {
    let root = merged(files, &mut Problems::new(files));
    let placed = |finding: Finding| {
        let place = root.as_ref().and_then(|root| place_of(root, &finding.keys));
        place.map_or(finding.problem.clone(), |place| at(finding.problem, place, files))
    };
    findings(definition).into_iter().map(placed).collect()
}

/// Where the last of the keys stands: names in maps, ids in lists of maps.
fn place_of(root: &Node, keys: &[String]) -> Option<Place> {
    let mut node = root;
    let mut place = None;
    for key in keys {
        match &node.value {
            Shape::Map(entries) => {
                let (name, inner) = entries.iter().find(|(name, _)| name.value == *key)?;
                (node, place) = (inner, Some(name.place));
            }
            Shape::List(items) => {
                let has_id = |item: &&Node| matches!(item.get("id"), Some(Node { value: Shape::Text(id), .. }) if id == key);
                node = items.iter().find(has_id)?;
                place = Some(node.place);
            }
            _ => return None,
        }
    }
    place
}

fn at(mut problem: Problem, place: Place, files: &[SourceFile]) -> Problem {
    let Some(file) = files.get(place.file) else { return problem };
    let shown = (place.line, place.column, 1);
    let texts = (file.name.as_str(), file.text.as_str());
    problem.snippet =
        snippet(problem.severity, problem.code, &problem.message, problem.help.as_deref(), texts, shown);
    Problem { file: file.name.clone(), line: place.line, column: place.column, ..problem }
}

/// A problem, and the keys under which a definition's files have what it is about.
pub(super) struct Finding {
    keys: Vec<String>,
    problem: Problem,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        code: &'static str,
        keys: &[&str],
        message: String,
        help: &str,
    ) -> Self {
        let problem = Problem {
            severity,
            code,
            file: NO_FILE.to_owned(),
            line: 0,
            column: 0,
            message,
            help: Some(help.to_owned()),
            snippet: String::new(),
            witness: Vec::new(),
        };
        Self { keys: keys.iter().map(|key| (*key).to_owned()).collect(), problem }
    }

    pub(super) fn with_witness(mut self, witness: Vec<Step>) -> Self {
        let says_nothing = |step: &Step| step.event_type == engine_types::CASE_OPENED && step.with.is_empty();
        self.problem.witness = witness.into_iter().filter(|step| !says_nothing(step)).collect();
        self
    }
}

fn findings(definition: &Definition) -> Vec<Finding> {
    let mut findings = Vec::new();
    roles(definition, &mut findings);
    idle_events(definition, &mut findings);
    time_limits(definition, &mut findings);
    let mut survey = Survey::of(definition);
    rules_that_never_hold(definition, &mut survey, &mut findings);
    events_never_accepted(definition, &mut survey, &mut findings);
    states(definition, &mut survey, &mut findings);
    deadline_findings::deadlines(definition, &mut survey, &mut findings);
    findings.sort_by_key(|finding| finding.problem.severity);
    findings
}

fn roles(definition: &Definition, findings: &mut Vec<Finding>) {
    let is_open_to_all = own_types(definition).into_iter().any(|id| {
        let event = definition.event_type(id);
        event.record.is_empty() && event.name != engine_types::CASE_OPENED
    });
    if is_open_to_all {
        return;
    }
    for (id, role) in (0_u16..).map(super::RoleId).zip(&definition.roles) {
        if !definition.events.iter().any(|event| event.record.contains(&id)) {
            let message = format!("role {} may record nothing", role.name);
            let help = "name it under `record` of an event, or leave it out";
            findings.push(Finding::new(Severity::Error, "idle-role", &["roles", &role.name], message, help));
        }
    }
}

fn idle_events(definition: &Definition, findings: &mut Vec<Finding>) {
    let mut mentions = Mentions::default();
    for (id, event) in (0_u16..).map(EventTypeId).zip(&definition.events) {
        for rule in &event.rules {
            mentions.of_rule(id, rule);
        }
    }
    for condition in definition.derived.iter().flat_map(|derived| &derived.conditions) {
        mentions.of_condition(None, condition);
    }
    definition.deadlines.iter().for_each(|deadline| mentions.of_deadline(deadline));
    let overlays = definition.strands.iter().flat_map(|strand| &strand.overlays);
    let overlay_events: BTreeSet<EventTypeId> =
        overlays.flat_map(|overlay| overlay.set_by.iter().chain(&overlay.cleared_by)).copied().collect();
    for id in own_types(definition) {
        let event = definition.event_type(id);
        let after_closing =
            definition.after_closing.as_ref().is_some_and(|closing| closing.accept.contains(&id));
        let introduces = (0_u16..)
            .map(super::KindId)
            .take(definition.kinds.len())
            .any(|kind| event.introduction_of(kind) != Introduction::Never);
        let has_use = !event.moves.is_empty()
            || !event.rules.is_empty()
            || !event.amends.is_empty()
            || event.always_accepted
            || event.name == engine_types::CASE_OPENED
            || introduces
            || after_closing
            || mentions.events.contains(&id)
            || overlay_events.contains(&id);
        if !has_use {
            let message = format!("{} moves nothing, and no rule, deadline or list mentions it", event.name);
            let help = "give it a row in a strand, list it under `always-accepted`, or leave it out";
            findings.push(Finding::new(
                Severity::Warning,
                "idle-event",
                &["events", &event.name],
                message,
                help,
            ));
        }
    }
}

fn time_limits(definition: &Definition, findings: &mut Vec<Finding>) {
    for event in &definition.events {
        for rule in event.rules.iter().filter(|rule| rule.class == RuleClass::Logical && speaks_of_time(rule))
        {
            let message = format!("rule {} is logical, and speaks of a time limit", rule.id);
            let help = "what happens too late still happens: make it `class: compliance`, so that the breach is noted";
            let keys = ["events", &event.name, "rules", &rule.id];
            findings.push(Finding::new(Severity::Warning, "time-limit-as-logical", &keys, message, help));
        }
    }
}

/// Whether basis or message name a limit of time: "within 28 days", "time limit", "no later than" …
fn speaks_of_time(rule: &Rule) -> bool {
    let message = rule.message.pieces.iter().map(|piece| match piece {
        super::MessagePiece::Text(text) => text.as_str(),
        super::MessagePiece::Value(_) => "…",
    });
    let text: String = rule.basis.as_deref().into_iter().chain([" "]).chain(message).collect();
    let text = text.to_lowercase();
    if ["time limit", "time-limit", "deadline", "no later than", "not later than", "out of time"]
        .iter()
        .any(|phrase| text.contains(phrase))
    {
        return true;
    }
    let words: Vec<&str> =
        text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let is_unit =
        |word: &&str| ["day", "week", "month", "year", "hour"].contains(&word.trim_end_matches('s'));
    words
        .iter()
        .enumerate()
        .any(|(at, word)| *word == "within" && words[at + 1..].iter().take(4).any(is_unit))
}

fn rules_that_never_hold(definition: &Definition, survey: &mut Survey<'_>, findings: &mut Vec<Finding>) {
    for target in survey.missing() {
        let Target::Holds(event, index) = target else { continue };
        let verdict = survey.prove(target);
        let witness = survey.nearest(target);
        let event = definition.event_type(event);
        let rule = &event.rules[index];
        let never_asked = witness.is_empty();
        let message = match verdict {
            Verdict::Possible => continue,
            Verdict::Impossible if never_asked => continue,
            Verdict::Impossible => {
                format!("rule {} can never hold{}: {}", rule.id, bound(definition), rule.require.source)
            }
            Verdict::NotProved => unproved(&format!("that rule {} can hold", rule.id)),
        };
        let help = if rule.class == RuleClass::Compliance {
            "as it is, every such event is noted as a breach; compare it with the states that can stand side by side"
        } else {
            "as it is, the event is refused wherever the rule is asked; compare it with the states that can stand side by side"
        };
        let keys = ["events", &event.name, "rules", &rule.id];
        let severity = severity(verdict, Severity::Error);
        findings.push(Finding::new(severity, "rule-never-holds", &keys, message, help).with_witness(witness));
    }
}

fn events_never_accepted(definition: &Definition, survey: &mut Survey<'_>, findings: &mut Vec<Finding>) {
    for target in survey.missing() {
        let Target::Accepted(id) = target else { continue };
        let event = definition.event_type(id);
        let explained = |finding: &Finding| {
            finding.problem.code == "rule-never-holds"
                && finding.keys.get(1) == Some(&event.name)
                && finding.problem.severity == Severity::Error
                && event
                    .rules
                    .iter()
                    .any(|rule| finding.keys.get(3) == Some(&rule.id) && rule.class != RuleClass::Compliance)
        };
        let verdict = survey.prove(target);
        let message = match verdict {
            Verdict::Possible => continue,
            Verdict::Impossible if findings.iter().any(explained) => continue,
            Verdict::Impossible => {
                format!("no state accepts {}: it can never happen{}", event.name, bound(definition))
            }
            Verdict::NotProved => unproved(&format!("that {} can happen", event.name)),
        };
        let help = "the witness is the nearest that it comes; its last event is refused";
        let severity = severity(verdict, Severity::Error);
        let finding = Finding::new(severity, "never-accepted", &["events", &event.name], message, help);
        findings.push(finding.with_witness(survey.nearest(target)));
    }
}

fn states(definition: &Definition, survey: &mut Survey<'_>, findings: &mut Vec<Finding>) {
    for (id, strand) in (0_u16..).map(StrandId).zip(&definition.strands) {
        for (state, described) in (0_u16..).map(StateId).zip(&strand.states) {
            let keys = ["strands", &strand.name, "states", &described.name];
            let name = format!("state {} of strand {}", described.name, strand.name);
            let entered = survey.prove(Target::Entered(id, state));
            if entered != Verdict::Possible {
                let message = match entered {
                    Verdict::NotProved => unproved(&format!("that {name} can be reached")),
                    _ => format!("no sequence of events reaches {name}{}", bound(definition)),
                };
                let help = "give an event a row that leads to it; where there is a witness, its last event would lead there and is refused";
                let severity = severity(entered, Severity::Error);
                let finding = Finding::new(severity, "unreachable-state", &keys, message, help);
                findings.push(finding.with_witness(survey.nearest(Target::Entered(id, state))));
                continue;
            }
            let may_leave = !leaving(strand, state).is_empty();
            let left = if may_leave { survey.prove(Target::Left(id, state)) } else { Verdict::Impossible };
            if left == Verdict::Possible || (described.is_final && !may_leave) {
                continue;
            }
            let (severity, code, help) = if described.is_final {
                let help = "every event with a row out of it is refused there: leave the rows out, or mend their rules";
                (severity(left, Severity::Warning), "final-left-never", help)
            } else if may_leave {
                let help = "every event with a row out of it is refused there: mend their rules, or mark the state `final: true`";
                (severity(left, Severity::Error), "dead-end", help)
            } else {
                (Severity::Error, "dead-end", "mark it `final: true`, or give an event a row out of it")
            };
            let message = match left {
                Verdict::NotProved => unproved(&format!("that {name} can be left")),
                _ if described.is_final => {
                    format!("{name} is final and has rows out of it, none of which can happen")
                }
                _ => format!("nothing leaves {name}, which is not final"),
            };
            let way = survey.way_into(id, state);
            findings.push(Finding::new(severity, code, &keys, message, help).with_witness(way));
        }
    }
}

fn severity(verdict: Verdict, proved: Severity) -> Severity {
    if verdict == Verdict::NotProved { Severity::NotProved } else { proved }
}

/// How far an exhaustive search reaches.
pub(super) fn bound(definition: &Definition) -> String {
    if definition.kinds.is_empty() {
        return String::new();
    }
    format!(" (with up to {ENTITIES_EACH_MAX} entities of each kind)")
}

fn unproved(what: &str) -> String {
    format!("not proved {what}: within its limits the search neither found nor excluded it")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::definition::compile::compile;
    use crate::definition::scenario::{Expectation, Expected, Scenario, run};

    const CLEAN: &str = "\
workflow: small
version: 1
language: casebook/1
title: Small
timezone: Europe/London
roles:
  clerk: { title: Clerk }
entities:
  charge: { title: Charge, introduced-by: charge-authorised }
events:
  charge-authorised: { title: Charge authorised, scope: [charge], record: [clerk] }
  charge-laid: { title: Charge laid, scope: [charge], record: [clerk] }
  plea-entered:
    title: Plea entered
    scope: [charge]
    record: [clerk]
    data: { properties: { plea: { enum: [guilty, not-guilty] } }, required: [plea] }
  sentence-passed:
    title: Sentence passed
    scope: [charge]
    record: [clerk]
    rules:
      - { id: after-plea, class: logical, require: \"charge.happened('plea-entered')\", message: no plea }
  appeal-allowed: { title: Appeal allowed, scope: [charge], record: [clerk] }
strands:
  charge:
    title: Charge
    per: charge
    states:
      authorised: {}
      laid: {}
      convicted: {}
      acquitted: { final: true }
      sentenced: { final: true }
    initial: authorised
    transitions:
      - { on: charge-laid, from: authorised, to: laid }
      - on: plea-entered
        from: laid
        choose: [ { where: { plea: guilty }, to: convicted }, { to: acquitted } ]
      - { on: sentence-passed, from: convicted, to: sentenced }
      - { on: appeal-allowed, from: sentenced, to: acquitted }
";

    fn compiled(text: &str) -> (Arc<Definition>, [SourceFile; 1]) {
        let files = [SourceFile { name: "small.yaml".to_owned(), text: text.to_owned() }];
        let definition = compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
        (Arc::new(definition), files)
    }

    /// The clean definition with one thing put in the place of another.
    fn broken(from: &str, to: &str) -> String {
        assert!(CLEAN.contains(from), "{from}");
        CLEAN.replacen(from, to, 1)
    }

    /// What the definition with this change is found to have, code and place; the witness as a scenario.
    #[track_caller]
    fn check(text: &str, wanted: &[(Severity, &str, usize)]) -> Vec<Problem> {
        let (definition, files) = compiled(text);
        let found = lint_files(&definition, &files);
        let brief: Vec<(Severity, &str, usize)> =
            found.iter().map(|problem| (problem.severity, problem.code, problem.line)).collect();
        assert_eq!(brief, wanted, "{found:#?}");
        found
    }

    fn line_of(text: &str, part: &str) -> usize {
        text.lines().position(|line| line.contains(part)).unwrap() + 1
    }

    /// Plays the witness: all but the last event are accepted, and what is asked holds after the last.
    #[track_caller]
    fn check_plays(text: &str, problem: &Problem, expected: Expected) {
        let (definition, _) = compiled(text);
        assert!(!problem.witness.is_empty(), "no witness: {problem:?}");
        let mut scenario = Scenario::playing(problem.code, &problem.witness);
        scenario.then = vec![Expectation { line: 0, text: format!("{expected:?}"), expected }];
        let outcome = run(&definition, &scenario);
        assert!(outcome.holds(), "{scenario}{outcome:#?}");
    }

    fn state(name: &str) -> Expected {
        Expected::State {
            strand: "charge".to_owned(),
            of: Some("charge-1".to_owned()),
            state: name.to_owned(),
        }
    }

    fn types(problem: &Problem) -> Vec<&str> {
        problem.witness.iter().map(|step| step.event_type.as_str()).collect()
    }

    #[test]
    fn nothing_is_found_in_a_clean_definition() {
        check(CLEAN, &[]);
    }

    #[test]
    fn a_state_that_no_event_leads_to_is_unreachable() {
        let text = broken("      laid: {}\n", "      laid: {}\n      stayed: { final: true }\n");
        let found = check(&text, &[(Severity::Error, "unreachable-state", line_of(&text, "stayed:"))]);
        assert_eq!(
            found[0].message,
            "no sequence of events reaches state stayed of strand charge (with up to 2 entities of each kind)"
        );
        assert!(found[0].snippet.contains("stayed: { final: true }"), "{}", found[0].snippet);
    }

    #[test]
    fn what_a_rule_bars_is_found_with_it() {
        let text = broken("charge.happened('plea-entered')", "!charge.happened('plea-entered')");
        let found = check(
            &text,
            &[
                (Severity::Error, "rule-never-holds", line_of(&text, "id: after-plea")),
                (Severity::Error, "never-accepted", line_of(&text, "appeal-allowed: {")),
                (Severity::Error, "dead-end", line_of(&text, "convicted: {")),
                (Severity::Error, "unreachable-state", line_of(&text, "sentenced: {")),
            ],
        );
        check_plays(&text, &found[0], Expected::Refused(Some("after-plea".to_owned())));
        check_plays(&text, &found[1], Expected::Refused(Some("engine:no-transition".to_owned())));
        check_plays(&text, &found[2], state("convicted"));
        check_plays(&text, &found[3], Expected::Refused(Some("after-plea".to_owned())));
    }

    #[test]
    fn a_state_that_nothing_leaves_is_a_dead_end_unless_it_is_final() {
        let text = broken("acquitted: { final: true }", "acquitted: {}");
        let found = check(&text, &[(Severity::Error, "dead-end", line_of(&text, "acquitted: {}"))]);
        assert_eq!(types(&found[0]), ["charge-authorised", "charge-laid", "plea-entered"]);
        check_plays(&text, &found[0], state("acquitted"));
    }

    #[test]
    fn an_event_with_rows_only_where_nothing_comes_is_never_accepted() {
        let text = broken("from: sentenced, to: acquitted", "from: stayed, to: acquitted")
            .replace("      laid: {}\n", "      laid: {}\n      stayed: {}\n");
        let found = check(
            &text,
            &[
                (Severity::Error, "never-accepted", line_of(&text, "appeal-allowed: {")),
                (Severity::Error, "unreachable-state", line_of(&text, "stayed: {}")),
            ],
        );
        check_plays(&text, &found[0], Expected::Refused(Some("engine:no-transition".to_owned())));
    }

    #[test]
    fn a_rule_whose_facts_never_meet_never_holds() {
        let text = broken("charge.happened('plea-entered')", "charge.state('charge') == 'laid'");
        let (definition, files) = compiled(&text);
        let found = lint_files(&definition, &files);
        assert_eq!((found[0].code, found[0].line), ("rule-never-holds", line_of(&text, "id: after-plea")));
        check_plays(&text, &found[0], Expected::Refused(Some("after-plea".to_owned())));
    }

    #[test]
    fn a_role_that_no_event_names_is_idle() {
        let text =
            broken("  clerk: { title: Clerk }\n", "  clerk: { title: Clerk }\n  usher: { title: Usher }\n");
        check(&text, &[(Severity::Error, "idle-role", line_of(&text, "usher:"))]);
        let open = text.replace("record: [clerk] }\n  charge-laid", "}\n  charge-laid");
        check(&open, &[]);
    }

    #[test]
    fn an_event_that_nothing_mentions_is_idle() {
        let note = "events:\n  note-added: { title: Note added, record: [clerk] }\n";
        let text = broken("events:\n", note);
        check(&text, &[(Severity::Warning, "idle-event", line_of(&text, "note-added:"))]);
        check(&format!("{text}always-accepted: [note-added]\n"), &[]);
    }

    #[test]
    fn a_logical_rule_should_not_be_a_time_limit() {
        let wanted =
            |text: &str| vec![(Severity::Warning, "time-limit-as-logical", line_of(text, "id: after-plea"))];
        for message in ["sentence must follow within 28 days", "\"out of time\"", "too late for the deadline"]
        {
            let text = broken("message: no plea", &format!("message: {message}"));
            check(&text, &wanted(&text));
            check(&text.replace("class: logical", "class: compliance"), &[]);
        }
        check(&broken("message: no plea", "message: nothing within reach"), &[]);
    }

    #[test]
    fn a_final_state_with_rows_that_never_happen_is_never_left() {
        let rule = "rules: [ { id: never, class: logical, require: \"charge.state('charge') == 'laid'\", message: no } ]";
        let text = broken(
            "appeal-allowed: { title: Appeal allowed, scope: [charge], record: [clerk] }",
            &format!("appeal-allowed: {{ title: Appeal allowed, scope: [charge], record: [clerk], {rule} }}"),
        );
        let found = check(
            &text,
            &[
                (Severity::Error, "rule-never-holds", line_of(&text, "id: never")),
                (Severity::Warning, "final-left-never", line_of(&text, "sentenced: {")),
            ],
        );
        assert_eq!(types(&found[1]), ["charge-authorised", "charge-laid", "plea-entered", "sentence-passed"]);
        check_plays(&text, &found[0], Expected::Refused(Some("never".to_owned())));
        check_plays(&text, &found[1], state("sentenced"));
    }

    #[test]
    fn a_state_that_takes_an_absent_field_is_reached() {
        let text = broken("required: [plea] }", "required: [] }");
        check(
            &text.replace(
                "{ to: acquitted } ]",
                "{ where: { plea: not-guilty }, to: laid }, { to: acquitted } ]",
            ),
            &[],
        );
    }

    #[test]
    fn a_rule_that_needs_two_entities_can_hold() {
        let text = broken("charge.happened('plea-entered')", "size(case.charges) == 2");
        check(&text, &[]);
    }

    #[test]
    fn what_takes_more_entities_than_are_tried_is_not_proved() {
        for condition in
            ["size(case.charges) == 3", "size(case.charges) > 2", "charge.count('plea-entered') >= 3"]
        {
            let text = broken("charge.happened('plea-entered')", condition);
            let (definition, files) = compiled(&text);
            let found = lint_files(&definition, &files);
            assert!(!found.is_empty());
            assert!(found.iter().all(|problem| problem.severity == Severity::NotProved), "{found:#?}");
        }
    }

    #[test]
    fn the_same_definition_gives_the_same_findings() {
        let text = broken("acquitted: { final: true }", "acquitted: {}");
        let (definition, _) = compiled(&text);
        assert_eq!(lint(&definition), lint(&definition));
    }
}
