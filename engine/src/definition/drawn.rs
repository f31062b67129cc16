//! Definitions drawn at random, for tests that hold of every definition.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::compile::compile;
use super::lint::lint;
use super::problem::{Problem, Severity};
use super::rehearsal::{LastAnswer, rehearse};
use super::scenario::parse;
use super::source::SourceFile;
use super::{Definition, EventType};
use crate::case::asking::may;
use crate::case::event::Scope;
use crate::case::state::CaseState;
use crate::workflows::{scenarios, shipped};

/// Definitions drawn by a seed, with a small generator of numbers that a seed repeats (SplitMix64).
pub(crate) struct Drawn(pub(crate) u64);

impl Drawn {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("a small number")
    }

    fn condition(&mut self, events: usize, depth: usize) -> String {
        let event = self.below(events);
        let (strand, state) = (self.below(2), self.below(3));
        match self.below(if depth == 0 { 8 } else { 10 }) {
            0 | 1 => format!("case.happened('e{event}')"),
            2 => format!("!case.happened('e{event}')"),
            3 => format!("case.count('e{event}') >= {}", 2 + self.below(2)),
            4 => format!("case.state('s{strand}') == 'x{state}'"),
            5 => format!("case.state('s{strand}') != 'x{state}'"),
            6 => format!("case.items.exists(i, i.state('item') == 'x{state}')"),
            7 => format!("case.items.all(i, i.state('item') in ['x{state}', 'x1'])"),
            8 => format!("({} || {})", self.condition(events, 0), self.condition(events, 0)),
            _ => format!("{} && {}", self.condition(events, 0), self.condition(events, 0)),
        }
    }

    /// A definition of two strands of the case, and one of an item, with rules of every kind.
    pub(crate) fn definition(&mut self) -> String {
        let count = 5 + self.below(4);
        let mut text = String::from(
            "workflow: random\nversion: 1\nlanguage: casebook/1\ntitle: Random\ntimezone: Europe/London\n\
             roles: { clerk: { title: Clerk } }\nentities: { item: { title: Item, introduced-by: item-added } }\n\
             events:\n  case-opened: { title: Opened }\n  item-added: { title: Added, scope: [item] }\n",
        );
        let of_items = count - 2;
        for event in 0..count {
            let scope = if event >= of_items { ", scope: [item]" } else { "" };
            let (has_gap, has_kind) = (self.below(2) == 0, event == 0);
            let data = if has_kind {
                ", data: { properties: { kind: { enum: [a, b] } }, required: [kind] }"
            } else {
                ""
            };
            write!(text, "  e{event}: {{ title: E{event}, gap: {has_gap}{scope}{data}, rules: [")
                .expect("a text");
            for rule in 0..self.below(3) {
                let class = ["logical", "logical", "compliance"][self.below(3)];
                let require = self.condition(count, 1);
                write!(
                    text,
                    "{{ id: r{event}-{rule}, class: {class}, require: \"{require}\", message: no }}, "
                )
                .expect("a text");
            }
            text.push_str("] }\n");
        }
        text.push_str("strands:\n");
        for strand in ["s0", "s1", "item"] {
            let per = if strand == "item" { "per: item, " } else { "" };
            write!(text, "  {strand}: {{ title: S, {per}states: {{ x0: {{}}, x1: {{}}, x2: {{}}, x3: {{}} }}, initial: x0, transitions: [")
                .expect("a text");
            let range = if strand == "item" { of_items..count } else { 0..of_items };
            let mut taken = HashSet::new();
            for _ in 0..3 + self.below(4) {
                let (event, from, to) = (range.start + self.below(range.len()), self.below(4), self.below(4));
                if !taken.insert((event, from)) {
                    continue;
                }
                let leads = if event == 0 {
                    format!("choose: [{{ where: {{ kind: a }}, to: x{to} }}, {{ to: x{} }}]", self.below(4))
                } else {
                    format!("to: x{to}")
                };
                write!(text, "{{ on: e{event}, from: x{from}, {leads} }}, ").expect("a text");
            }
            text.push_str("] }\n");
        }
        text
    }

    /// The next version of a drawn definition, in which one rule or one row says something else; and what was changed: a rule's
    /// id, or nothing for a row.
    pub(crate) fn edited(&mut self, text: &str) -> (String, Option<String>) {
        let text = text.replacen("version: 1", "version: 2", 1);
        let rules: Vec<usize> =
            text.match_indices("require: \"").map(|(at, found)| at + found.len()).collect();
        let rows: Vec<usize> = text.match_indices(" to: x").map(|(at, found)| at + found.len()).collect();
        if rules.is_empty() || self.below(4) == 0 {
            let at = rows[self.below(rows.len())];
            return (format!("{}{}{}", &text[..at], self.below(4), &text[at + 1..]), None);
        }
        let at = rules[self.below(rules.len())];
        let end = at + text[at..].find('"').expect("the end of the condition");
        let id = text[..at].rsplit("{ id: ").next().and_then(|rule| rule.split(',').next());
        let id = id.expect("the rule's id").to_owned();
        let count = text.matches("title: E").count();
        (format!("{}{}{}", &text[..at], self.condition(count, 1), &text[end..]), Some(id))
    }
}

/// The same definition with its events, strands, rules and rows declared the other way round.
pub(crate) fn reversed(text: &str) -> String {
    let (mut done, mut waiting): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if line.starts_with("  ") {
            let parts: Vec<&str> = line.split("{ id: ").collect();
            let line = match parts.as_slice() {
                [head, one, two] => {
                    let (two, tail) = two.rsplit_once("}, ").expect("the end of the list");
                    let (head, end) = (*head, tail.to_owned());
                    format!("{head}{{ id: {two}}}, {{ id: {one}{end}")
                }
                _ => line.to_owned(),
            };
            waiting.push(with_rows_reversed(&line));
        } else {
            done.extend(waiting.drain(..).rev());
            done.push(line.to_owned());
        }
    }
    done.extend(waiting.drain(..).rev());
    done.join("\n") + "\n"
}

fn with_rows_reversed(line: &str) -> String {
    let Some((head, rows)) = line.split_once("transitions: [") else { return line.to_owned() };
    let (rows, tail) = rows.rsplit_once(']').expect("the end of the list");
    let mut rows: Vec<&str> = rows.split("{ on: ").filter(|row| !row.is_empty()).collect();
    rows.reverse();
    let rows: String = rows.iter().map(|row| format!("{{ on: {row}")).collect();
    format!("{head}transitions: [{rows}]{tail}")
}

/// The definition of a text that is one.
pub(crate) fn compiled(text: &str) -> Definition {
    compile(&[SourceFile { name: "definition.yaml".into(), text: text.into() }])
        .unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

#[test]
fn a_definition_declared_the_other_way_round_is_another_text_of_the_same() {
    for seed in 0..40 {
        let text = Drawn(seed).definition();
        let (one, other) = (compiled(&text), compiled(&reversed(&text)));
        assert_ne!(one.digest, [0; 32]);
        assert_ne!(text, reversed(&text));
        let names = |definition: &Definition| -> Vec<String> {
            let rule = |event: &EventType| event.rules.iter().map(|rule| rule.id.clone()).collect::<Vec<_>>();
            let mut names: Vec<String> = definition.events.iter().flat_map(rule).collect();
            names.extend(definition.events.iter().map(|event| event.name.clone()));
            names.extend(definition.strands.iter().map(|strand| strand.name.clone()));
            names.sort();
            names
        };
        assert_eq!(names(&one), names(&other));
    }
}

/// What the lint finds, in whichever order. How near it came to what it neither found nor excluded is not compared: that
/// depends on where its limits cut the search off.
fn findings(definition: &Definition) -> Vec<String> {
    let told = |problem: Problem| {
        let length = (problem.severity != Severity::NotProved).then_some(problem.witness.len());
        format!("{:?} {} {}: {length:?}", problem.severity, problem.code, problem.message)
    };
    let mut found: Vec<String> = lint(definition).into_iter().map(told).collect();
    found.sort();
    found
}

/// Of every event: whether it may happen, or which rules refuse it, and how long the way there is.
fn answers(state: &CaseState) -> Vec<String> {
    let definition = state.definition();
    let answer = |event: &EventType| {
        let id = definition.event(&event.name).expect("an event of the definition");
        let answer = may(state, id, &Scope::new());
        let answer = answer.map(|possible| possible.len()).map_err(|refusal| {
            let mut rules: Vec<String> = refusal.reasons.iter().map(|reason| reason.rule.clone()).collect();
            rules.sort();
            (rules, refusal.path.map(|path| path.len()), refusal.path_note, refusal.gaps.len())
        });
        format!("{}: {answer:?}", event.name)
    };
    let mut answers: Vec<String> = definition.events.iter().map(answer).collect();
    answers.sort();
    answers
}

/// The case of a scenario's first events.
fn played(definition: &Arc<Definition>, text: &str) -> CaseState {
    let file = SourceFile { name: "s.txt".to_owned(), text: text.to_owned() };
    let mut read = parse(&file).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let rehearsed = rehearse(definition, &read.remove(0));
    assert!(matches!(rehearsed.answer, LastAnswer::Accepted(_)), "{:?}", rehearsed.answer);
    rehearsed.state
}

const STARTS: [&str; 2] = [
    "scenario: opened\ngiven case-opened\nthen accepted\n",
    "scenario: an item\ngiven case-opened\nwhen item-added item=i-1\nthen accepted\n",
];

/// How many answers were compared, and how many findings.
fn compare_orders(text: &str) -> (usize, usize) {
    let (one, other) = (Arc::new(compiled(text)), Arc::new(compiled(&reversed(text))));
    let found = findings(&one);
    assert_eq!(found, findings(&other), "{text}");
    let mut compared = 0;
    for start in STARTS {
        let answered = answers(&played(&one, start));
        assert_eq!(answered, answers(&played(&other, start)), "{text}");
        compared += answered.iter().filter(|answer| answer.contains("Some(")).count();
    }
    (compared, found.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_declarations_changes_no_finding_no_refusal_and_no_length(seed in any::<u64>()) {
        compare_orders(&Drawn(seed).definition());
    }
}

#[test]
fn there_are_findings_and_ways_to_compare_in_both_orders() {
    let all: Vec<(usize, usize)> = (0..8).map(|seed| compare_orders(&Drawn(seed).definition())).collect();
    let (ways, findings) = all.iter().fold((0, 0), |(ways, found), one| (ways + one.0, found + one.1));
    assert!(ways > 12 && findings > 12, "{ways} ways, {findings} findings");
}

/// A definition that ships with the rules of every event and the rows of every strand declared the other way round. What has
/// a name has no order: it is sorted when it is read.
fn turned(name: &str) -> Vec<SourceFile> {
    fn turn(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    turn(value);
                    if let ("rules" | "transitions", Value::Array(items)) = (field.as_str(), value) {
                        items.reverse();
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(turn),
            _ => {}
        }
    }
    let written = |file: SourceFile| {
        let mut value: Value = serde_saphyr::from_str(&file.text).expect("a shipped file is YAML");
        turn(&mut value);
        SourceFile { name: file.name, text: value.to_string() }
    };
    shipped(name).expect("a definition that ships").into_iter().map(written).collect()
}

#[test]
fn the_order_of_declarations_changes_nothing_in_definitions_that_ship() {
    for name in ["workplace-safety", "whistleblowing-inquiry"] {
        let compiled = |files: &[SourceFile]| {
            Arc::new(compile(files).unwrap_or_else(|problems| panic!("{name}: {problems:#?}")))
        };
        let one = compiled(&shipped(name).expect("a definition that ships"));
        let other = compiled(&turned(name));
        assert_ne!(one.digest, other.digest, "{name}");
        assert_eq!(findings(&one), findings(&other), "{name}");
        let files = scenarios(name).expect("scenarios that ship");
        let all = files.iter().flat_map(|file| parse(file).expect("scenarios"));
        let mut refused = 0;
        for scenario in all.filter(|scenario| scenario.when.is_some()).step_by(7) {
            let (here, there) = (rehearse(&one, &scenario), rehearse(&other, &scenario));
            let answered = answers(&here.state);
            refused += answered.iter().filter(|answer| answer.contains("Err(")).count();
            assert_eq!(answered, answers(&there.state), "{name}: {}", scenario.title);
        }
        assert!(refused > 50, "{name}: {refused}");
    }
}
