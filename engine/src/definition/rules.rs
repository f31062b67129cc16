//! Rules, messages and derived strands, resolved: everything that is written in conditions.

use std::collections::HashSet;

use super::compile::{Resolver, index};
use super::condition::{Condition, Expr};
use super::source::{DerivedSource, RuleSource};
use super::strands::state;
use super::syntax::Text;
use super::typing::{self, Finding, Scene, kinds_about, learned};
use super::{DatedLaw, DerivedStrand, EventTypeId, KindId, Message, MessagePiece, Rule};
use crate::case::occurred::Day;

impl Resolver<'_, '_> {
    pub(super) fn resolve_rules(&mut self) {
        let mut seen = HashSet::new();
        for (at, event) in self.source.events.iter().enumerate() {
            let id = EventTypeId(index(at));
            let mut rules = Vec::new();
            for rule in &event.rules {
                if self.problems.is_full() {
                    return;
                }
                if !seen.insert(rule.id.value.as_str()) {
                    let message = format!("there are two rules with the id `{}`", rule.id.value);
                    self.problems.at("duplicate-name", &rule.id, message, None);
                }
                if !self.unscoped.contains(&id) {
                    rules.extend(self.rule(id, rule));
                }
            }
            self.definition.events[at].rules = rules;
        }
    }

    fn rule(&mut self, event: EventTypeId, rule: &RuleSource) -> Option<Rule> {
        let kinds = kinds_about(&self.definition, event);
        let dated = self.dated_law(rule);
        let when = rule.when.as_ref().map(|when| self.condition(when, Some(event), &kinds, &[]));
        let known: Vec<Expr> =
            when.iter().flatten().flat_map(|c| &c.parts).flat_map(|(_, e)| learned(e, true)).collect();
        let require = self.condition(&rule.require, Some(event), &kinds, &known);
        let message = self.message(&rule.message, event, &kinds, &known);
        Some(Rule {
            id: rule.id.value.clone(),
            class: rule.class,
            when: match when {
                Some(when) => Some(when?),
                None => None,
            },
            require: require?,
            message: message?,
            basis: rule.basis.clone(),
            dated,
        })
    }

    pub(super) fn condition(
        &mut self,
        source: &Text,
        event: Option<EventTypeId>,
        kinds: &[KindId],
        known: &[Expr],
    ) -> Option<Condition> {
        let scene = Scene {
            definition: &self.definition,
            event,
            kinds: kinds.to_vec(),
            unreadable: &self.unreadable,
        };
        match typing::check(&source.value, &scene, known) {
            Ok(condition) => Some(condition),
            Err(findings) => {
                for finding in findings {
                    self.report(source, 0, finding);
                }
                None
            }
        }
    }

    /// A finding at its place in the line, `offset` bytes into the text.
    fn report(&mut self, text: &Text, offset: usize, finding: Finding) {
        let start = offset + finding.span.start;
        let end = (offset + finding.span.end).max(start);
        let place = self.problems.place_within(text, start);
        let width = text.value.get(start..end).map_or(1, |marked| marked.chars().count());
        self.problems.add(finding.code, place, width, finding.message, finding.help);
    }

    /// A text in which `{paths}` stand for facts.
    fn message(
        &mut self,
        text: &Text,
        event: EventTypeId,
        kinds: &[KindId],
        known: &[Expr],
    ) -> Option<Message> {
        let mut pieces = Vec::new();
        let mut is_whole = true;
        let mut rest = text.value.as_str();
        while let Some(open) = rest.find('{') {
            if open > 0 {
                pieces.push(MessagePiece::Text(rest[..open].to_owned()));
            }
            let start = text.value.len() - rest.len() + open + 1;
            let Some(length) = rest[open..].find('}') else {
                let place = self.problems.place_within(text, start - 1);
                let help = Some("end the path with `}`".to_owned());
                self.problems.add("bad-message", place, 1, "a `{` is not closed", help);
                return None;
            };
            let path = &rest[open + 1..open + length];
            let scene = Scene {
                definition: &self.definition,
                event: Some(event),
                kinds: kinds.to_vec(),
                unreadable: &self.unreadable,
            };
            match typing::check_value(path, &scene, known) {
                Ok(expr) => pieces.push(MessagePiece::Value(expr)),
                Err(finding) => {
                    is_whole = false;
                    self.report(text, start, finding);
                }
            }
            rest = &rest[open + length + 1..];
        }
        if !rest.is_empty() {
            pieces.push(MessagePiece::Text(rest.to_owned()));
        }
        is_whole.then_some(Message { pieces })
    }

    fn dated_law(&mut self, rule: &RuleSource) -> Option<DatedLaw> {
        let from = rule.from.as_ref().and_then(|day| self.day(day));
        let until = rule.until.as_ref().and_then(|day| self.day(day));
        if let (Some(from), Some(until), Some(text)) = (from, until, &rule.until)
            && until <= from
        {
            self.problems.at(
                "wrong-shape",
                text,
                "the rule ends before it begins: `until` is the first day without it",
                None,
            );
        }
        match (&rule.pinned_by, rule.from.as_ref().or(rule.until.as_ref())) {
            (Some(event), Some(_)) => Some(DatedLaw { from, until, pinned_by: self.event(event)? }),
            (None, None) => None,
            (Some(event), None) => {
                self.problems.at("missing-key", event, "`pinned-by` needs `from` or `until`", None);
                None
            }
            (None, Some(day)) => {
                let help = Some("name the event type whose date decides".to_owned());
                self.problems.at("missing-key", day, "a rule with `from` or `until` needs `pinned-by`", help);
                None
            }
        }
    }

    fn day(&mut self, text: &Text) -> Option<Day> {
        match Day::parse(&text.value) {
            Ok(day) => Some(day),
            Err(error) => {
                self.problems.at("wrong-shape", text, error.to_string(), None);
                None
            }
        }
    }

    /// Derived strands, in an order in which each reads only earlier ones.
    ///
    /// What a strand reads is known only once its conditions are checked, and they are checked against all strands:
    /// so they are checked twice, in the order of names first and then in the final one.
    pub(super) fn resolve_derived(&mut self) {
        let mut order: Vec<&DerivedSource> = self.source.derived.iter().collect();
        self.place_derived(&order);
        self.check_derived_names();
        let before = self.problems.count();
        let reads: Vec<Vec<usize>> = order
            .iter()
            .map(|strand| self.derived_conditions(strand))
            .map(|conditions| {
                let mut read = Vec::new();
                conditions.iter().flat_map(|c| &c.parts).for_each(|(_, expr)| collect_reads(expr, &mut read));
                read
            })
            .collect();
        let Some(sorted) = sorted(&reads) else { return self.report_derived_cycle(&order, &reads) };
        order = sorted.into_iter().map(|at| order[at]).collect();
        if self.problems.count() > before {
            return;
        }
        self.place_derived(&order);
        for (at, strand) in order.iter().enumerate() {
            self.definition.derived[at].conditions = self.derived_conditions(strand);
        }
    }

    fn place_derived(&mut self, order: &[&DerivedSource]) {
        self.definition.derived = order
            .iter()
            .map(|strand| DerivedStrand {
                name: strand.name.value.clone(),
                title: strand.title.clone(),
                per: strand.per.as_ref().and_then(|per| self.kinds.get(per.value.as_str()).copied()),
                states: strand.states.iter().map(|(source, _)| state(source)).collect(),
                conditions: Vec::new(),
            })
            .collect();
    }

    /// Strands and derived strands of one kind share their names; a derived strand has each state once.
    fn check_derived_names(&mut self) {
        for strand in &self.source.derived {
            let per = strand.per.as_ref().and_then(|per| self.kind(per));
            let name = &strand.name;
            if self.definition.strands.iter().any(|other| other.name == name.value && other.per == per) {
                let message = format!("`{}` is already a strand", name.value);
                self.problems.at(
                    "duplicate-name",
                    name,
                    message,
                    Some("give one of them another name".to_owned()),
                );
            }
            let mut seen = HashSet::new();
            for (state, _) in &strand.states {
                if !seen.insert(state.name.value.as_str()) {
                    let message =
                        format!("`{}` has two lines for the state `{}`", name.value, state.name.value);
                    let help = Some("join the conditions with ||".to_owned());
                    self.problems.at("duplicate-name", &state.name, message, help);
                }
            }
        }
    }

    fn derived_conditions(&mut self, strand: &DerivedSource) -> Vec<Condition> {
        let kinds = self
            .with_parents(strand.per.as_ref().and_then(|per| self.kinds.get(per.value.as_str()).copied()));
        let mut conditions = Vec::new();
        for (_, when) in &strand.states {
            if self.problems.is_full() {
                break;
            }
            conditions.extend(self.condition(when, None, &kinds, &[]));
        }
        conditions
    }

    /// A kind and the kinds above it.
    pub(super) fn with_parents(&self, kind: Option<KindId>) -> Vec<KindId> {
        let mut kinds = Vec::new();
        let mut next = kind;
        while let Some(kind) = next.filter(|kind| !kinds.contains(kind)) {
            kinds.push(kind);
            next = self.definition.kinds[kind.index()].parent;
        }
        kinds
    }

    fn report_derived_cycle(&mut self, order: &[&DerivedSource], reads: &[Vec<usize>]) {
        for (at, strand) in order.iter().enumerate() {
            if reaches_itself(at, reads) {
                let message = format!("`{}` is computed from itself", strand.name.value);
                let help = Some("let it read the strands that the others are computed from".to_owned());
                self.problems.at("derived-cycle", &strand.name, message, help);
            }
        }
    }
}

fn collect_reads(expr: &Expr, read: &mut Vec<usize>) {
    match expr {
        Expr::Derived(_, id) => read.push(id.index()),
        Expr::Not(inner) | Expr::Size(inner) | Expr::Has(inner) => collect_reads(inner, read),
        Expr::Quantified { body, .. } => collect_reads(body, read),
        Expr::List(items) | Expr::And(items) | Expr::Or(items) => {
            items.iter().for_each(|item| collect_reads(item, read));
        }
        Expr::Compare(_, a, b)
        | Expr::In(a, b)
        | Expr::DefinitelyBefore(a, b)
        | Expr::PossiblyBefore(a, b) => {
            collect_reads(a, read);
            collect_reads(b, read);
        }
        _ => {}
    }
}

/// Indexes in an order in which each reads only earlier ones; `None` where there is a cycle.
fn sorted(reads: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut order = Vec::new();
    let mut is_placed = vec![false; reads.len()];
    while order.len() < reads.len() {
        let before = order.len();
        for (at, read) in reads.iter().enumerate() {
            if !is_placed[at] && read.iter().all(|of| is_placed[*of]) {
                is_placed[at] = true;
                order.push(at);
            }
        }
        if order.len() == before {
            return None;
        }
    }
    Some(order)
}

fn reaches_itself(start: usize, reads: &[Vec<usize>]) -> bool {
    let mut seen = vec![false; reads.len()];
    let mut next = reads[start].clone();
    while let Some(at) = next.pop() {
        if at == start {
            return true;
        }
        if !std::mem::replace(&mut seen[at], true) {
            next.extend(&reads[at]);
        }
    }
    false
}
