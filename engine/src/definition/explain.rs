//! Conditions in words: which parts did not hold, and what the facts in them were.

use serde_json::Value;

use super::condition::{Cause, Condition, EntityRef, Expr, Facts, FailedPart, Truth};
use super::evaluate::{Evaluation, Reading};
use super::{Definition, Message, MessagePiece, StateId};
use crate::case::occurred::Occurred;

/// Children of a list whose facts are told; the rest is counted.
pub const CHILDREN_TOLD_MAX: usize = 8;

const NOT_KNOWN: &str = "not known";

impl Condition {
    /// The parts that do not hold, with what they looked at. Parts that dates leave open are told only where no other
    /// part stands in the way.
    #[must_use]
    pub fn explain(&self, definition: &Definition, facts: &dyn Facts) -> Vec<FailedPart> {
        let mut teller = Teller { definition, evaluation: Evaluation::of(facts), told: Vec::new() };
        let told: Vec<(&(String, Expr), Truth)> =
            self.parts.iter().map(|part| (part, teller.evaluation.truth(&part.1))).collect();
        // What dates leave open passes: it is told only where nothing else stands in the way.
        let stands_in_the_way =
            |truth: &Truth| matches!(truth, Truth::False | Truth::Unknown(Cause::Missing));
        let is_refused = told.iter().any(|(_, truth)| stands_in_the_way(truth));
        let mut failed = Vec::new();
        for ((text, part), truth) in told {
            if truth != Truth::True && (!is_refused || stands_in_the_way(&truth)) {
                teller.tell(part);
                failed.push(FailedPart { condition: text.clone(), facts: std::mem::take(&mut teller.told) });
            }
        }
        failed
    }
}

impl Message {
    /// The text with its facts filled in.
    #[must_use]
    pub fn render(&self, definition: &Definition, facts: &dyn Facts) -> String {
        let mut teller = Teller { definition, evaluation: Evaluation::of(facts), told: Vec::new() };
        let words = self.pieces.iter().map(|piece| match piece {
            MessagePiece::Text(text) => text.clone(),
            MessagePiece::Value(expr) => teller.in_words(expr),
        });
        words.collect()
    }
}

struct Teller<'d, 'f> {
    definition: &'d Definition,
    evaluation: Evaluation<'f>,
    told: Vec<(String, String)>,
}

impl Teller<'_, '_> {
    /// Every fact in an expression, once.
    fn tell(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(_) | Expr::Date(_) | Expr::StateName(_) => {}
            Expr::List(items) | Expr::And(items) | Expr::Or(items) => {
                items.iter().for_each(|item| self.tell(item));
            }
            Expr::Not(inner) => self.tell(inner),
            Expr::Compare(_, a, b)
            | Expr::In(a, b)
            | Expr::DefinitelyBefore(a, b)
            | Expr::PossiblyBefore(a, b) => {
                self.tell(a);
                self.tell(b);
            }
            Expr::Quantified { of, kind, slot, body, .. } => {
                let list = Expr::Children(*of, *kind);
                let children =
                    self.evaluation.entity(*of).map(|of| self.evaluation.facts.children(of, *kind));
                let Some(children) = children else { return self.tell_one(&list, NOT_KNOWN.to_owned()) };
                match children.len() {
                    0 => self.tell_one(&list, "none".to_owned()),
                    n if n > CHILDREN_TOLD_MAX => {
                        self.tell_one(&list, format!("{n}, of which {CHILDREN_TOLD_MAX} follow"));
                    }
                    _ => {}
                }
                for child in children.into_iter().take(CHILDREN_TOLD_MAX) {
                    self.evaluation.with(*slot, child);
                    self.tell(body);
                }
            }
            fact => {
                let words = self.in_words(fact);
                self.tell_one(fact, words);
            }
        }
    }

    fn tell_one(&mut self, fact: &Expr, words: String) {
        let written = self.written(fact);
        if !self.told.iter().any(|(told, _)| *told == written) {
            self.told.push((written, words));
        }
    }

    /// The value of an expression, as people say it.
    fn in_words(&mut self, expr: &Expr) -> String {
        match expr {
            Expr::Happened(of, event) | Expr::Last(of, event) => {
                let Some(entity) = self.evaluation.entity(*of) else { return NOT_KNOWN.to_owned() };
                return match self.evaluation.facts.count(entity, *event) {
                    0 => "never happened".to_owned(),
                    1 => "happened once".to_owned(),
                    times => format!("happened {times} times"),
                };
            }
            Expr::Has(_) => {
                return match self.evaluation.truth(expr) {
                    Truth::True => "given".to_owned(),
                    Truth::False => "not given".to_owned(),
                    Truth::Unknown(_) => NOT_KNOWN.to_owned(),
                };
            }
            Expr::Overlay(..) => {
                return match self.evaluation.truth(expr) {
                    Truth::True => "set".to_owned(),
                    Truth::False => "not set".to_owned(),
                    Truth::Unknown(_) => NOT_KNOWN.to_owned(),
                };
            }
            _ => {}
        }
        match self.evaluation.reading(expr) {
            Reading::Null => "nothing".to_owned(),
            Reading::Boolean(true) => "yes".to_owned(),
            Reading::Boolean(false) => "no".to_owned(),
            Reading::Integer(number) => number.to_string(),
            Reading::Text(super::evaluate::NOT_STATED) => "not stated".to_owned(),
            Reading::Text(text) => text.to_owned(),
            Reading::Json(Value::Array(items)) if items.is_empty() => "none".to_owned(),
            Reading::Json(Value::Array(items)) => {
                let items: Vec<String> = items
                    .iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                    .collect();
                items.join(", ")
            }
            Reading::Json(value) => value.to_string(),
            Reading::State(state) => self.state_in_words(expr, state),
            Reading::Day(day) => day.to_string(),
            Reading::Occurred(occurred) => occurred_in_words(occurred),
            Reading::Event => "happened".to_owned(),
            Reading::Unknown(_) => NOT_KNOWN.to_owned(),
        }
    }

    fn state_in_words(&self, expr: &Expr, state: Option<StateId>) -> String {
        let states = match expr {
            Expr::State(_, strand) => &self.definition.strands[strand.index()].states,
            Expr::Derived(_, strand) => &self.definition.derived[strand.index()].states,
            _ => return NOT_KNOWN.to_owned(),
        };
        state
            .and_then(|state| states.get(state.index()))
            .map_or_else(|| "not started".to_owned(), |s| s.name.clone())
    }

    /// An expression as a condition writes it; the variable of a quantifier by the id of the entity it stands for.
    fn written(&self, expr: &Expr) -> String {
        let event = |id: &super::EventTypeId| &self.definition.event_type(*id).name;
        let last = |of: &EntityRef, id: &super::EventTypeId| {
            format!("{}.last('{}')", self.written_entity(*of), event(id))
        };
        match expr {
            Expr::EventData(path) => format!("event.data.{}", path.join(".")),
            Expr::EventOccurred => "event.occurred".to_owned(),
            Expr::EventRecorderRole => "event.recorded_by.role".to_owned(),
            Expr::EventRecorderId => "event.recorded_by.id".to_owned(),
            Expr::EventDeciderBody => "event.decided_by.body".to_owned(),
            Expr::EntityId(of) => format!("{}.id", self.written_entity(*of)),
            Expr::EntityData(of, path) => format!("{}.data.{}", self.written_entity(*of), path.join(".")),
            Expr::State(of, strand) => {
                format!(
                    "{}.state('{}')",
                    self.written_entity(*of),
                    self.definition.strands[strand.index()].name
                )
            }
            Expr::Derived(of, strand) => {
                format!(
                    "{}.state('{}')",
                    self.written_entity(*of),
                    self.definition.derived[strand.index()].name
                )
            }
            Expr::Overlay(of, strand, overlay) => {
                let overlay = &self.definition.strands[strand.index()].overlays[overlay.index()];
                format!("{}.overlay('{}')", self.written_entity(*of), overlay.name)
            }
            Expr::Happened(of, id) => format!("{}.happened('{}')", self.written_entity(*of), event(id)),
            Expr::Count(of, id) => format!("{}.count('{}')", self.written_entity(*of), event(id)),
            Expr::Last(of, id) => last(of, id),
            Expr::LastData(of, id, path) => format!("{}.data.{}", last(of, id), path.join(".")),
            Expr::LastOccurred(of, id) => format!("{}.occurred", last(of, id)),
            Expr::LastDeciderBody(of, id) => format!("{}.decided_by.body", last(of, id)),
            Expr::LastRecorderId(of, id) => format!("{}.recorded_by.id", last(of, id)),
            Expr::LastRecorderRole(of, id) => format!("{}.recorded_by.role", last(of, id)),
            Expr::Children(of, kind) => {
                let plural = self.definition.kinds[kind.index()].plural.replace('-', "_");
                format!("{}.{plural}", self.written_entity(*of))
            }
            Expr::Has(inner) => format!("has({})", self.written(inner)),
            Expr::Size(inner) => format!("size({})", self.written(inner)),
            Expr::Date(day) => format!("date('{day}')"),
            Expr::Literal(Value::String(text)) => format!("'{text}'"),
            Expr::Literal(value) => value.to_string(),
            // Only facts are told: what joins them never comes here.
            _ => String::new(),
        }
    }

    fn written_entity(&self, of: EntityRef) -> String {
        match of {
            EntityRef::Case => "case".to_owned(),
            EntityRef::InScope(kind) => self.definition.kinds[kind.index()].name.replace('-', "_"),
            EntityRef::Variable(_) => {
                let entity = self.evaluation.entity(of);
                entity.map_or_else(String::new, |entity| self.evaluation.facts.id(entity).to_owned())
            }
        }
    }
}

fn occurred_in_words(occurred: &Occurred) -> String {
    let is_known = occurred.edtf().is_some() || occurred.text.is_some();
    if is_known { occurred.to_string() } else { "on a date not known".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::definition::compile::tests::sample;
    use crate::definition::evaluate::tests::{condition, stub};
    use crate::definition::typing::{self, Scene};

    #[track_caller]
    fn check(source: &str, expected: &[(&str, &[(&str, &str)])]) {
        let definition = sample();
        let facts = stub(&definition);
        let failed = condition(&definition, source, Some("sentence-passed")).explain(&definition, &facts);
        let found: Vec<(&str, Vec<(&str, &str)>)> = failed
            .iter()
            .map(|part| {
                let facts = part.facts.iter().map(|(fact, value)| (fact.as_str(), value.as_str()));
                (part.condition.as_str(), facts.collect())
            })
            .collect();
        let expected: Vec<(&str, Vec<(&str, &str)>)> =
            expected.iter().map(|(part, facts)| (*part, facts.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_holds_is_not_told() {
        check("charge.id == 'C1'", &[]);
    }

    #[test]
    fn each_failed_part_is_told_with_its_facts() {
        check(
            "charge.state('charge') == 'sent' && charge.id == 'C1' &&  charge.happened('appeal-lodged')",
            &[
                ("charge.state('charge') == 'sent'", &[("charge.state('charge')", "convicted")]),
                (
                    "charge.happened('appeal-lodged')",
                    &[("charge.happened('appeal-lodged')", "never happened")],
                ),
            ],
        );
    }

    #[test]
    fn facts_are_told_once_and_in_words() {
        check(
            "charge.count('plea-entered') > 1 || charge.count('plea-entered') == 0 || !charge.overlay('appeal-pending')",
            &[(
                "charge.count('plea-entered') > 1 || charge.count('plea-entered') == 0 || !charge.overlay('appeal-pending')",
                &[("charge.count('plea-entered')", "1"), ("charge.overlay('appeal-pending')", "set")],
            )],
        );
        check(
            "event.decided_by.body == 'court' && has(subject.data.rank) && subject.data.rank == 'constable'",
            &[
                ("event.decided_by.body == 'court'", &[("event.decided_by.body", "not known")]),
                ("subject.data.rank == 'constable'", &[("subject.data.rank", "not stated")]),
            ],
        );
        check(
            "has(event.data.months)",
            &[("has(event.data.months)", &[("has(event.data.months)", "not given")])],
        );
        check(
            "definitely_before(event.occurred, charge.last('plea-entered').occurred)",
            &[(
                "definitely_before(event.occurred, charge.last('plea-entered').occurred)",
                &[("event.occurred", "4 October 2023"), ("charge.last('plea-entered').occurred", "May 2023")],
            )],
        );
        check(
            "charge.last('plea-entered') == null",
            &[("charge.last('plea-entered') == null", &[("charge.last('plea-entered')", "happened once")])],
        );
    }

    #[test]
    fn what_dates_leave_open_is_told_only_by_itself() {
        let open = "definitely_before(charge.last('plea-entered').occurred, date('2023-05-15'))";
        let facts: &[(&str, &str)] = &[("charge.last('plea-entered').occurred", "May 2023")];
        check(open, &[(open, facts)]);
        check(&format!("{open} && charge.id == 'C2'"), &[("charge.id == 'C2'", &[("charge.id", "C1")])]);
    }

    #[test]
    fn the_children_of_a_list_are_told_by_their_ids() {
        check(
            "subject.charges.all(c, c.state('charge') == 'sent')",
            &[(
                "subject.charges.all(c, c.state('charge') == 'sent')",
                &[("C1.state('charge')", "convicted"), ("C2.state('charge')", "sent")],
            )],
        );
        check(
            "size(subject.charges) == 3",
            &[("size(subject.charges) == 3", &[("size(subject.charges)", "2")])],
        );
    }

    #[test]
    fn a_message_shows_its_facts() {
        let definition = sample();
        let event = definition.event("sentence-passed").unwrap();
        let rule = &definition.event_type(event).rules[0];
        let facts = stub(&definition);
        assert_eq!(rule.message.render(&definition, &facts), "C1 of SUB-1 is convicted");
        let unreadable = HashSet::new();
        let kinds = typing::kinds_about(&definition, event);
        let scene = Scene { definition: &definition, event: Some(event), kinds, unreadable: &unreadable };
        let value = |path: &str| MessagePiece::Value(typing::check_value(path, &scene, &[]).unwrap());
        let pieces = vec![
            value("event.data.months"),
            MessagePiece::Text(", ".to_owned()),
            value("event.occurred"),
            MessagePiece::Text(", ".to_owned()),
            value("charge.happened('plea-entered')"),
        ];
        let shown = Message { pieces }.render(&definition, &facts);
        assert_eq!(shown, "not known, 4 October 2023, happened once");
    }
}
