//! What `workflow diff` says of two versions is what they do: every history that it shows replays as it says.

use std::fmt::Display;
use std::sync::Arc;

use casebook_engine::definition::Definition;
use casebook_engine::definition::behaviour::{Differs, Finding, Part};
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::diff::{WorkflowDiff, compare};
use casebook_engine::definition::scenario::{Expectation, Expected, Scenario, parse, run};
use casebook_engine::definition::source::SourceFile;
use proptest::prelude::*;

/// A definition with a little of everything that can be changed.
const BEFORE: &str = "\
workflow: small
version: 1
language: casebook/1
title: Small
timezone: Europe/London
roles:
  clerk: { title: Clerk }
  judge: { title: Judge }
entities:
  charge: { title: Charge, introduced-by: charge-brought }
events:
  case-opened: { title: Case opened }
  charge-brought:
    title: Charge brought
    scope: [charge]
    data: { properties: { court: { enum: [upper, lower] } }, required: [court] }
  warning-given: { title: Warning given }
  charge-laid:
    title: Charge laid
    scope: [charge]
    record: [clerk]
    rules:
      - id: warned-first
        class: compliance
        require: case.happened('warning-given')
        message: nobody was warned
      - id: laid-by-clerk
        class: authority
        require: event.recorded_by.role == 'clerk'
        message: only a clerk lays charges
  plea-entered:
    title: Plea entered
    scope: [charge]
    data: { properties: { plea: { enum: [guilty, not-guilty] } }, required: [plea] }
    rules:
      - id: no-plea-below
        class: logical
        when: charge.data.court == 'lower'
        require: event.data.plea == 'guilty'
        message: the lower court hears only pleas of guilty
  sentence-passed:
    title: Sentence passed
    scope: [charge]
    rules:
      - id: warned-before-sentence
        class: logical
        require: case.count('warning-given') >= 1
        message: nobody was warned
  appeal-lodged: { title: Appeal lodged, scope: [charge] }
  appeal-determined: { title: Appeal determined, scope: [charge] }
  case-closed:
    title: Case closed
    rules:
      - id: all-over
        class: logical
        require: case.charges.all(c, c.state('charge') in ['sentenced', 'acquitted'])
        message: a charge is still open
  letter-received: { title: Letter received }
strands:
  case:
    title: Case
    states: { open: {}, closed: { final: true } }
    initial: open
    transitions:
      - { on: case-closed, from: open, to: closed }
  charge:
    title: Charge
    per: charge
    states: { brought: {}, laid: {}, convicted: {}, acquitted: { final: true }, sentenced: { final: true } }
    initial: brought
    transitions:
      - { on: charge-laid, from: brought, to: laid }
      - on: plea-entered
        from: laid
        choose: [ { where: { plea: guilty }, to: convicted }, { to: acquitted } ]
      - { on: sentence-passed, from: convicted, to: sentenced }
    overlays:
      appeal-pending: { title: Appeal pending, set-by: appeal-lodged, cleared-by: appeal-determined }
derived:
  position:
    title: Position
    states:
      - sentenced: case.charges.exists(c, c.state('charge') == 'sentenced')
      - pending: true
deadlines:
  reply:
    title: Reply
    starts: { on: letter-received }
    due: { length: 10 days, counting: day-after }
    met-by: [warning-given]
    missed: notice
after-closing: { state: { case: closed }, accept: [letter-received] }
";

/// Small edits: what is written, what is written in its place, and what is said of it.
const EDITS: &[(&str, &str, Option<Part>)] = &[
    ("class: compliance", "class: logical", Some(Part::Rule)),
    (
        "require: event.recorded_by.role == 'clerk'",
        "require: event.recorded_by.role == 'judge'",
        Some(Part::Rule),
    ),
    (
        "require: case.happened('warning-given')",
        "require: \"!case.happened('warning-given')\"",
        Some(Part::Rule),
    ),
    ("when: charge.data.court == 'lower'", "when: charge.data.court == 'upper'", Some(Part::Rule)),
    ("require: event.data.plea == 'guilty'", "require: event.data.plea == 'not-guilty'", Some(Part::Rule)),
    ("case.count('warning-given') >= 1", "case.count('warning-given') >= 3", Some(Part::Rule)),
    ("in ['sentenced', 'acquitted'])", "in ['sentenced', 'convicted'])", Some(Part::Rule)),
    ("message: a charge is still open", "message: some charge is open", None),
    ("record: [clerk]", "record: [judge]", Some(Part::Event)),
    ("enum: [upper, lower]", "enum: [upper, lower, middle]", Some(Part::Event)),
    (
        "warning-given: { title: Warning given }",
        "warning-given: { title: Warning given, rationale: required }",
        Some(Part::Event),
    ),
    (
        "{ on: charge-laid, from: brought, to: laid }",
        "{ on: charge-laid, from: [brought, acquitted], to: laid }",
        Some(Part::Strand),
    ),
    (
        "{ on: charge-laid, from: brought, to: laid }",
        "{ on: charge-laid, from: brought, to: convicted }",
        Some(Part::Strand),
    ),
    (
        "{ where: { plea: guilty }, to: convicted }, { to: acquitted }",
        "{ to: convicted }",
        Some(Part::Strand),
    ),
    ("from: convicted, to: sentenced", "from: [convicted, laid], to: sentenced", Some(Part::Strand)),
    ("cleared-by: appeal-determined", "cleared-by: [appeal-determined, sentence-passed]", Some(Part::Strand)),
    ("== 'sentenced')\n      - pending", "== 'convicted')\n      - pending", Some(Part::Derived)),
    ("length: 10 days", "length: 12 days", Some(Part::Deadline)),
    ("met-by: [warning-given]", "met-by: [warning-given, case-closed]", Some(Part::Deadline)),
    ("starts: { on: letter-received }", "starts: { on: charge-brought }", Some(Part::Deadline)),
    ("accept: [letter-received]", "accept: [letter-received, warning-given]", Some(Part::Closing)),
];

fn compiled(text: &str) -> Arc<Definition> {
    let file = SourceFile { name: "small.yaml".to_owned(), text: text.to_owned() };
    Arc::new(compile(&[file]).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}")))
}

fn edited(edits: &[usize]) -> String {
    let mut text = BEFORE.replacen("version: 1", "version: 2", 1);
    for edit in edits {
        text = text.replacen(EDITS[*edit].0, EDITS[*edit].1, 1);
    }
    text
}

fn expecting(finding: &Finding, expected: Expected) -> Scenario {
    let then = vec![Expectation { line: 0, text: String::new(), expected }];
    Scenario { then, ..finding.scenario() }
}

/// The deadline is answered on the day as the finding says.
#[track_caller]
fn check_deadline(definition: &Arc<Definition>, finding: &Finding, on: impl Display, said: &str) {
    let history = expecting(finding, Expected::Accepted).to_string();
    let played: Vec<&str> = history.lines().skip(1).filter(|line| !line.starts_with("then")).collect();
    let check = |then: &str| {
        let text = format!("scenario: s\n{}\nthen {then}\n", played.join("\n"));
        let file = SourceFile { name: "s.txt".to_owned(), text };
        let scenarios = parse(&file).unwrap_or_else(|problems| panic!("{}\n{problems:#?}", file.text));
        let outcome = run(definition, &scenarios[0]);
        assert!(outcome.holds(), "{}\n{outcome:#?}", file.text);
    };
    check("accepted");
    if said == "none" {
        return;
    }
    let of = said.strip_prefix("of ").and_then(|rest| rest.split_once(' '));
    let of = of.map(|(of, _)| format!(" of {of}")).unwrap_or_default();
    let answer = said.split(", due").next().and_then(|said| said.rsplit(' ').next()).expect("an answer");
    check(&format!("deadline {}{of} is {answer} on {on}", finding.name));
}

/// The history is answered as the finding says, by both versions, when it is played from its text.
#[track_caller]
fn check_finding(old: &Arc<Definition>, new: &Arc<Definition>, finding: &Finding) {
    let holds = |definition: &Arc<Definition>, expected: Expected| {
        let scenario = expecting(finding, expected);
        let outcome = run(definition, &scenario);
        assert!(outcome.holds(), "{}: {finding:#?}\n{scenario}{outcome:#?}", definition.pin());
    };
    let refuses = |definition: &Arc<Definition>, rule: &str| {
        let expected = if rule == "engine:invalid" {
            Expected::Invalid
        } else {
            Expected::Refused(Some(rule.to_owned()))
        };
        holds(definition, expected);
    };
    match &finding.differs {
        Differs::RefusedNow { by } => {
            holds(old, Expected::Accepted);
            by.iter().for_each(|by| refuses(new, &by.rule));
            assert!(!by.is_empty());
        }
        Differs::AcceptedNow { by } => {
            holds(new, Expected::Accepted);
            by.iter().for_each(|by| refuses(old, &by.rule));
            assert!(!by.is_empty());
        }
        Differs::EndsElsewhere { states } => {
            assert!(!states.is_empty());
            for change in states {
                assert_ne!(change.before, change.now);
                for (definition, state) in [(old, &change.before), (new, &change.now)] {
                    let state = state.split(" + ").next().expect("a state").to_owned();
                    let (strand, of) = (change.strand.clone(), change.entity.clone());
                    holds(definition, Expected::State { strand, of, state });
                }
            }
        }
        Differs::Breach { rule, is_noted_now } => {
            let (noting, silent) = if *is_noted_now { (new, old) } else { (old, new) };
            holds(noting, Expected::Breach(rule.clone()));
            let outcome = run(silent, &expecting(finding, Expected::Breach(rule.clone())));
            assert!(!outcome.holds(), "{finding:#?}");
            holds(silent, Expected::Accepted);
        }
        Differs::Deadline { on, before, now, .. } => {
            assert_ne!(before, now);
            check_deadline(old, finding, on, before);
            check_deadline(new, finding, on, now);
        }
    }
    // What is printed is a scenario that can be put beside the later version.
    let file = SourceFile { name: "s.txt".to_owned(), text: finding.scenario().to_string() };
    let scenarios = parse(&file).unwrap_or_else(|problems| panic!("{}\n{problems:#?}", file.text));
    let outcome = run(new, &scenarios[0]);
    assert!(outcome.holds(), "{}\n{outcome:#?}", file.text);
}

fn check(edits: &[usize]) -> WorkflowDiff {
    let (old, new) = (compiled(BEFORE), compiled(&edited(edits)));
    let diff = compare(&old, &new);
    diff.behaviour.iter().for_each(|finding| check_finding(&old, &new, finding));
    diff
}

#[test]
fn without_a_change_nothing_is_found() {
    for text in [BEFORE.to_owned(), edited(&[])] {
        let diff = compare(&compiled(BEFORE), &compiled(&text));
        assert!(diff.behaviour.is_empty() && diff.not_shown.is_empty(), "{diff:#?}");
    }
}

#[test]
fn every_kind_of_change_is_shown_by_a_history_that_replays() {
    for (at, (written, instead, part)) in EDITS.iter().enumerate() {
        assert!(BEFORE.contains(written), "{written}");
        let diff = check(&[at]);
        match part {
            Some(part) => {
                let is_shown =
                    diff.behaviour.iter().any(|finding| finding.part == *part && finding.is_shortest);
                assert!(is_shown, "{instead}: {diff:#?}");
            }
            None => {
                assert!(diff.behaviour.is_empty(), "{instead}: {diff:#?}");
                assert_eq!(diff.not_shown.len(), 1, "{instead}: {diff:#?}");
            }
        }
    }
}

#[test]
fn a_history_is_as_short_as_it_can_be() {
    let lengths = |edit: &str| -> Vec<usize> {
        let at = EDITS.iter().position(|(_, instead, _)| instead.contains(edit)).expect("an edit");
        check(&[at]).behaviour.iter().map(|finding| finding.witness.len()).collect()
    };
    // A charge, laid and pleaded to, one warning, and the sentence that now needs three.
    assert_eq!(lengths(">= 3"), [5]);
    assert_eq!(lengths("accept: [letter-received, warning-given]"), [2]);
    assert_eq!(lengths("{ on: charge-laid, from: brought, to: convicted }")[..1], [3]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_changed_every_history_replays_as_it_is_said(
        edits in proptest::sample::subsequence((0..EDITS.len()).collect::<Vec<_>>(), 2..4),
        reversed in any::<bool>(),
    ) {
        let mut texts = (BEFORE.to_owned(), edited(&edits));
        if reversed {
            texts = (texts.1, texts.0);
        }
        let (old, new) = (compiled(&texts.0), compiled(&texts.1));
        let diff = compare(&old, &new);
        diff.behaviour.iter().for_each(|finding| check_finding(&old, &new, finding));
    }
}
