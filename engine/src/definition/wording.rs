//! A definition's conditions, messages and fields as a person reads them who does not read code.

use serde_json::Value;

use super::condition::{Comparison, Condition, EntityRef, Expr, Quantifier};
use super::fields::spoken;
use super::{Definition, DerivedId, EventTypeId, KindId, StateId, StrandId};

/// A condition in words, without a capital and without a full stop.
pub(crate) fn condition(definition: &Definition, condition: &Condition) -> String {
    let mut words = Words { definition, variables: Vec::new() };
    if let [(_, only)] = condition.parts.as_slice() {
        return words.truth(only, true);
    }
    let parts: Vec<String> = condition.parts.iter().map(|(_, part)| words.inner(part, true)).collect();
    parts.join(", and ")
}

/// Where a condition does not hold: "unless …", or "if …" where it is itself a denial.
pub(crate) fn failure(definition: &Definition, holds: &Condition) -> String {
    if let [(_, only)] = holds.parts.as_slice() {
        let is_denial = match only {
            Expr::Not(_) | Expr::Compare(Comparison::NotEqual, ..) => true,
            Expr::Compare(Comparison::Equal, left, right) => {
                let never = [(left, right), (right, left)].map(|(one, other)| {
                    matches!(**one, Expr::Count(..)) && **other == Expr::Literal(Value::from(0))
                });
                never.contains(&true)
            }
            _ => false,
        };
        if is_denial {
            let mut words = Words { definition, variables: Vec::new() };
            return format!("if {}", words.truth(only, false));
        }
    }
    format!("unless {}", condition(definition, holds))
}

/// What a rule's message says, where each place for a fact is put in words: `{charge.id}` is "the charge".
pub(crate) fn message(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((path, after)) = after.split_once('}') else { break };
        words.push_str(before);
        words.push_str(&fact(path));
        rest = after;
    }
    words.push_str(rest);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `event.data.court` is "its court", `charge.state('charge')` "the state of the charge".
fn fact(path: &str) -> String {
    let (owner, rest) = path.split_once('.').unwrap_or((path, ""));
    let owner = if owner == "event" { "it".to_owned() } else { format!("the {}", owner.replace('_', " ")) };
    let last = rest.rsplit('.').next().unwrap_or(rest).replace(['_', '-'], " ");
    match rest {
        "id" | "" => owner,
        _ if rest.starts_with("state(") => format!("(the state of {owner})"),
        _ if owner == "it" => format!("(the {last})"),
        _ => format!("(the {last} of {owner})"),
    }
}

/// What a field of a payload may be: `guilty, not-guilty`, "a date", "a text".
pub(crate) fn field(schema: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(text).collect::<Vec<_>>().join(", ");
    }
    if let Some(value) = schema.get("const") {
        return text(value);
    }
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    match (kind, schema.get("format").and_then(Value::as_str)) {
        (_, Some("edtf" | "date")) => "a date".to_owned(),
        ("string", _) => "a text".to_owned(),
        ("integer", _) => "a whole number".to_owned(),
        ("boolean", _) => "yes or no".to_owned(),
        ("array", _) => schema
            .get("items")
            .map_or_else(|| "a list".to_owned(), |items| format!("a list: {}", field(items))),
        ("object", _) => {
            let inner = schema.get("properties").and_then(Value::as_object);
            let names: Vec<&str> = inner.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            if names.is_empty() { "details".to_owned() } else { format!("with {}", names.join(", ")) }
        }
        _ => "anything".to_owned(),
    }
}

/// Names in a row: "a, b or c".
pub(crate) fn any_of(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} or {last}", before.join(", ")),
    }
}

struct Words<'d> {
    definition: &'d Definition,
    /// The kinds of the variables in reach, by slot.
    variables: Vec<(u8, KindId)>,
}

impl Words<'_> {
    /// As it stands in a row of others: what has an "and" or an "or" of its own goes into brackets.
    fn inner(&mut self, expr: &Expr, wanted: bool) -> String {
        let words = self.truth(expr, wanted);
        let is_joined = match expr {
            Expr::Or(parts) | Expr::And(parts) => parts.len() > 1,
            Expr::Not(inner) => matches!(**inner, Expr::Or(_) | Expr::And(_)),
            _ => false,
        };
        if is_joined { format!("({words})") } else { words }
    }

    /// That the expression is true, or that it is not.
    fn truth(&mut self, expr: &Expr, wanted: bool) -> String {
        let not = if wanted { "" } else { "not " };
        match expr {
            Expr::Not(inner) => self.truth(inner, !wanted),
            Expr::And(parts) => self.joined(parts, wanted, if wanted { " and " } else { " or " }),
            Expr::Or(parts) => self.joined(parts, wanted, if wanted { " or " } else { " and " }),
            Expr::Compare(comparison, left, right) => self.comparison(*comparison, left, right, wanted),
            Expr::In(left, right) => self.membership(left, right, wanted),
            Expr::Has(inner) => match (&**inner, wanted) {
                (Expr::EventData(path), true) => format!("the {} is given", path_words(path)),
                (Expr::EventData(path), false) => format!("no {} is given", path_words(path)),
                (other, true) => format!("{} is known", self.thing(other)),
                (other, false) => format!("{} is not known", self.thing(other)),
            },
            Expr::Overlay(entity, strand, overlay) => {
                let title = &self.definition.strands[strand.index()].overlays[overlay.index()].title;
                format!("“{title}” is {not}set on {}", self.entity(*entity))
            }
            Expr::Happened(entity, event) => {
                format!("{} has {not}happened{}", self.event(*event), self.about(*entity))
            }
            Expr::DefinitelyBefore(first, second) => {
                let (first, second) = (self.thing(first), self.thing(second));
                if wanted {
                    format!("{first} is certainly before {second}")
                } else {
                    format!("{first} is not certainly before {second}")
                }
            }
            Expr::PossiblyBefore(first, second) => {
                let (first, second) = (self.thing(first), self.thing(second));
                let may = if wanted { "may be" } else { "cannot be" };
                format!("{first} {may} before {second}")
            }
            Expr::Quantified { quantifier, of, kind, slot, body } => {
                self.variables.push((*slot, *kind));
                let body = self.inner(body, true);
                self.variables.pop();
                let kind = self.kind(*kind);
                let whose =
                    if *of == EntityRef::Case { String::new() } else { format!(" of {}", self.entity(*of)) };
                match (quantifier, wanted) {
                    (Quantifier::Exists, true) => format!("for some {kind}{whose}, {body}"),
                    (Quantifier::Exists, false) => format!("for no {kind}{whose}, {body}"),
                    (Quantifier::All, true) => format!("for every {kind}{whose}, {body}"),
                    (Quantifier::All, false) => format!("not for every {kind}{whose}, {body}"),
                }
            }
            Expr::Literal(Value::Bool(value)) => {
                if *value == wanted {
                    "always".to_owned()
                } else {
                    "never".to_owned()
                }
            }
            other => format!("{} is {}", self.thing(other), if wanted { "yes" } else { "no" }),
        }
    }

    fn joined(&mut self, parts: &[Expr], wanted: bool, word: &str) -> String {
        parts.iter().map(|part| self.inner(part, wanted)).collect::<Vec<_>>().join(word)
    }

    fn comparison(&mut self, comparison: Comparison, left: &Expr, right: &Expr, wanted: bool) -> String {
        let comparison = if wanted { comparison } else { opposite(comparison) };
        let is_equal = comparison == Comparison::Equal;
        let (subject, object) =
            if matches!(left, Expr::Literal(_) | Expr::StateName(_)) { (right, left) } else { (left, right) };
        match (subject, object) {
            (Expr::State(..) | Expr::Derived(..), Expr::Literal(Value::Null)) => {
                let begun = if is_equal { "has not begun" } else { "has begun" };
                format!("{} {begun}", self.thing(subject))
            }
            (Expr::Last(entity, event), Expr::Literal(Value::Null)) => {
                self.truth(&Expr::Happened(*entity, *event), !is_equal)
            }
            (Expr::Count(entity, event), Expr::Literal(Value::Number(number))) => {
                let (event, about) = (self.event(*event), self.about(*entity));
                if number.as_u64() == Some(0) {
                    let has = matches!(comparison, Comparison::Greater | Comparison::NotEqual);
                    return format!("{event} has {}happened{about}", if has { "" } else { "not " });
                }
                format!("{event} has happened {} {number} times{about}", size_words(comparison))
            }
            (Expr::Literal(Value::Bool(_)), _) | (_, Expr::Literal(Value::Bool(true))) if is_equal => {
                format!("{} is yes", self.thing(subject))
            }
            (_, Expr::Literal(Value::Bool(value)))
                if matches!(comparison, Comparison::Equal | Comparison::NotEqual) =>
            {
                format!("{} is {}", self.thing(subject), if *value == is_equal { "yes" } else { "no" })
            }
            _ => {
                let verb = match comparison {
                    Comparison::Equal => "is".to_owned(),
                    Comparison::NotEqual => "is not".to_owned(),
                    other => format!("is {}", size_words(other)),
                };
                let object = self.value(object, subject);
                format!("{} {verb} {object}", self.thing(subject))
            }
        }
    }

    fn membership(&mut self, left: &Expr, right: &Expr, wanted: bool) -> String {
        let verb = if wanted { "is" } else { "is not" };
        let subject = self.thing(left);
        match right {
            Expr::List(values) => {
                let values: Vec<String> = values.iter().map(|value| self.value(value, left)).collect();
                format!("{subject} {verb} {}", any_of(&values))
            }
            other => format!("{subject} {verb} among {}", self.thing(other)),
        }
    }

    /// A value that is compared with something: the title of a state, a constant, or another thing.
    fn value(&mut self, value: &Expr, beside: &Expr) -> String {
        match (value, beside) {
            (Expr::StateName(state), Expr::State(_, strand)) => self.state(*strand, *state),
            (Expr::StateName(state), Expr::Derived(_, strand)) => self.derived_state(*strand, *state),
            (Expr::Literal(Value::Null), _) => "absent".to_owned(),
            (Expr::Literal(value), _) => {
                value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`"))
            }
            (other, _) => self.thing(other),
        }
    }

    fn thing(&mut self, expr: &Expr) -> String {
        match expr {
            Expr::Date(day) => day.to_string(),
            Expr::Size(list) => format!("the number of {}", self.thing(list)),
            Expr::Children(of, kind) => {
                let plural = self.definition.kinds[kind.index()].plural.replace(['-', '_'], " ");
                if *of == EntityRef::Case { plural } else { format!("{plural} of {}", self.entity(*of)) }
            }
            Expr::EventData(path) => format!("the {} given", path_words(path)),
            Expr::EventOccurred => "its date".to_owned(),
            Expr::EventRecorderRole => "the role that records it".to_owned(),
            Expr::EventRecorderId => "the person who records it".to_owned(),
            Expr::EventDeciderBody => "the body that decides it".to_owned(),
            Expr::EntityId(entity) => self.entity(*entity),
            Expr::EntityData(entity, path) => format!("the {} of {}", path_words(path), self.entity(*entity)),
            Expr::State(entity, strand) => {
                let title = &self.definition.strands[strand.index()].title;
                format!("“{title}” of {}", self.entity(*entity))
            }
            Expr::Derived(entity, strand) => {
                let title = &self.definition.derived[strand.index()].title;
                format!("“{title}” of {}", self.entity(*entity))
            }
            Expr::Count(entity, event) => {
                format!("the number of {}{}", self.event(*event), self.about(*entity))
            }
            Expr::Last(_, event) => format!("the last {}", self.event(*event)),
            Expr::LastData(_, event, path) => {
                format!("the {} of the last {}", path_words(path), self.event(*event))
            }
            Expr::LastOccurred(_, event) => format!("the date of the last {}", self.event(*event)),
            Expr::LastDeciderBody(_, event) => {
                format!("the body that decided the last {}", self.event(*event))
            }
            Expr::LastRecorderId(_, event) => {
                format!("the person who recorded the last {}", self.event(*event))
            }
            Expr::LastRecorderRole(_, event) => {
                format!("the role that recorded the last {}", self.event(*event))
            }
            other => self.truth(other, true),
        }
    }

    fn kind(&self, kind: KindId) -> String {
        self.definition.kinds[kind.index()].name.replace('-', " ")
    }

    fn entity(&self, entity: EntityRef) -> String {
        match entity {
            EntityRef::Case => "the case".to_owned(),
            EntityRef::InScope(kind) => format!("the {}", self.kind(kind)),
            EntityRef::Variable(slot) => {
                let kind =
                    self.variables.iter().rev().find(|(known, _)| *known == slot).map(|(_, kind)| *kind);
                kind.map_or_else(|| "it".to_owned(), |kind| format!("that {}", self.kind(kind)))
            }
        }
    }

    /// ` for the charge`; of the case, nothing needs saying.
    fn about(&self, entity: EntityRef) -> String {
        if entity == EntityRef::Case { String::new() } else { format!(" for {}", self.entity(entity)) }
    }

    fn event(&self, event: EventTypeId) -> String {
        format!("“{}”", self.definition.event_type(event).title)
    }

    fn state(&self, strand: StrandId, state: StateId) -> String {
        format!("“{}”", self.definition.strands[strand.index()].states[state.index()].title)
    }

    fn derived_state(&self, strand: DerivedId, state: StateId) -> String {
        format!("“{}”", self.definition.derived[strand.index()].states[state.index()].title)
    }
}

fn path_words(path: &[String]) -> String {
    path.iter().map(|name| spoken(name).to_lowercase().replace('_', " ")).collect::<Vec<_>>().join(" ")
}

const fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

const fn size_words(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "exactly",
        Comparison::NotEqual => "other than",
        Comparison::Less => "less than",
        Comparison::LessOrEqual => "at most",
        Comparison::Greater => "more than",
        Comparison::GreaterOrEqual => "at least",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::compile::compile;
    use crate::definition::source::SourceFile;

    const CHARGES: &str = "\
workflow: charges
version: 1
language: casebook/1
entities: { charge: { introduced-by: laid } }
events:
  laid: { scope: [charge] }
  plea: { scope: [charge], data: { properties: { answer: { enum: [guilty, denied] }, months: { type: integer } } } }
  sentenced:
    scope: [charge]
    data: { properties: { term: { type: string } } }
    rules: [{ id: r, class: logical, require: REQUIRE, message: \"{charge.id} is not ready\" }]
strands:
  charge:
    per: charge
    states: { laid: {}, guilty: { title: Found guilty } }
    initial: { on: laid, to: laid }
    transitions: [{ on: plea, from: laid, to: guilty }]
    overlays: { appealed: { set-by: plea } }
";

    #[track_caller]
    fn check(require: &str, expected: &str) {
        let text = CHARGES.replace("REQUIRE", &format!("\"{require}\""));
        let files = [SourceFile { name: "charges.yaml".to_owned(), text }];
        let definition = compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let event = definition.event_type(definition.event("sentenced").unwrap());
        assert_eq!(failure(&definition, &event.rules[0].require), expected);
    }

    #[test]
    fn a_condition_is_put_in_words() {
        check("charge.state('charge') == 'guilty'", "unless “Charge” of the charge is “Found guilty”");
        check(
            "charge.state('charge') in ['laid', 'guilty']",
            "unless “Charge” of the charge is “Laid” or “Found guilty”",
        );
        check("charge.happened('plea')", "unless “Plea” has happened for the charge");
        check("charge.count('plea') >= 2", "unless “Plea” has happened at least 2 times for the charge");
        check(
            "charge.overlay('appealed') && case.happened('laid')",
            "unless “Appealed” is set on the charge, and “Laid” has happened",
        );
        check(
            "case.charges.exists(c, c.state('charge') == 'guilty' || c.happened('plea'))",
            "unless for some charge, (“Charge” of that charge is “Found guilty” or “Plea” has happened for that charge)",
        );
        check("size(case.charges) > 1", "unless the number of charges is more than 1");
        check("has(event.data.term)", "unless the term is given");
        check(
            "charge.happened('plea') && definitely_before(charge.last('plea').occurred, event.occurred)",
            "unless “Plea” has happened for the charge, and the date of the last “Plea” is certainly before its date",
        );
    }

    #[test]
    fn a_denial_is_put_the_other_way_round() {
        check("!charge.happened('plea')", "if “Plea” has happened for the charge");
        check("charge.state('charge') != 'guilty'", "if “Charge” of the charge is “Found guilty”");
        check("charge.count('plea') == 0", "if “Plea” has happened for the charge");
        check(
            "!(has(event.data.term) && charge.happened('plea'))",
            "if the term is given and “Plea” has happened for the charge",
        );
    }

    #[test]
    fn a_message_names_facts_by_what_they_are() {
        assert_eq!(message("{charge.id} is not ready"), "The charge is not ready");
        assert_eq!(
            message("no {event.data.part_of} in {case.data.force}"),
            "No (the part of) in (the force of the case)"
        );
        assert_eq!(
            message("{charge.state('charge')} is no answer {"),
            "(the state of the charge) is no answer {"
        );
    }
}
