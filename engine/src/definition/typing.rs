//! Conditions, checked: every name resolved, every type and every constant compared with what the definition says.
//!
//! A field that a payload may leave out is read only where `has` has just said that it is there: what each part of a
//! condition teaches the parts after it is in [`learned`].

use std::collections::HashSet;
use std::ops::Range;

use serde_json::Value;

use super::condition::{Comparison, Condition, EntityRef, Expr};
use super::grammar::{self, Form, Relation, Syntax, SyntaxProblem};
use super::problem::suggestion;
use super::{Definition, DerivedId, EventTypeId, KindId, StrandId};

/// What a condition may speak of.
#[derive(Debug, Clone)]
pub(crate) struct Scene<'d> {
    pub(crate) definition: &'d Definition,
    /// The event that is judged; `None` in a derived strand.
    pub(crate) event: Option<EventTypeId>,
    /// The kinds of which one entity is there.
    pub(crate) kinds: Vec<KindId>,
    /// Event types whose schema is broken: nothing is said about their fields.
    pub(crate) unreadable: &'d HashSet<EventTypeId>,
}

/// What is wrong with a condition, and where in it (bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl From<SyntaxProblem> for Finding {
    fn from(problem: SyntaxProblem) -> Self {
        Self { code: "bad-condition", span: problem.span, message: problem.message, help: problem.help }
    }
}

/// Checks a condition. `known` are the readings that an earlier condition has found to be there.
///
/// # Errors
/// One finding for each top-level part that has one.
pub(crate) fn check(source: &str, scene: &Scene<'_>, known: &[Expr]) -> Result<Condition, Vec<Finding>> {
    let syntax = grammar::parse(source).map_err(|problem| vec![problem.into()])?;
    let whole = Syntax { form: Form::Null, span: syntax.span.clone() };
    let parts = match syntax.form {
        Form::And(parts) => parts,
        form => vec![Syntax { form, ..whole }],
    };
    let mut checker = Checker { scene, variables: Vec::new(), known: known.to_vec() };
    let mut checked = Vec::new();
    let mut findings = Vec::new();
    for part in &parts {
        match checker.boolean(part) {
            Ok(expr) => {
                checker.known.extend(learned(&expr, true));
                checked.push((source[part.span.clone()].to_owned(), expr));
            }
            Err(finding) => findings.push(finding),
        }
    }
    if findings.is_empty() {
        Ok(Condition { source: source.to_owned(), parts: checked })
    } else {
        Err(findings)
    }
}

/// Checks an expression that stands for a value, as a message embeds it.
///
/// # Errors
/// The finding.
pub(crate) fn check_value(source: &str, scene: &Scene<'_>, known: &[Expr]) -> Result<Expr, Finding> {
    let syntax = grammar::parse(source)?;
    let mut checker = Checker { scene, variables: Vec::new(), known: known.to_vec() };
    let typed = checker.message_value(&syntax)?;
    match typed.sort {
        Sort::List | Sort::Object => {
            Err(mismatch(&syntax.span, "a message shows single values, not a list or an object", None))
        }
        _ => Ok(typed.expr),
    }
}

/// The readings that are surely there once the expression is known to be `truth`.
pub(crate) fn learned(expr: &Expr, truth: bool) -> Vec<Expr> {
    match expr {
        Expr::Not(inner) => learned(inner, !truth),
        Expr::And(parts) if truth => parts.iter().flat_map(|part| learned(part, true)).collect(),
        Expr::Or(parts) if !truth => parts.iter().flat_map(|part| learned(part, false)).collect(),
        Expr::Has(reading) if truth => match reading.as_ref() {
            Expr::LastData(of, event, _)
            | Expr::LastDeciderBody(of, event)
            | Expr::LastRecorderId(of, event)
            | Expr::LastRecorderRole(of, event) => vec![reading.as_ref().clone(), Expr::Last(*of, *event)],
            reading => vec![reading.clone()],
        },
        Expr::Happened(of, event) if truth => vec![Expr::Last(*of, *event)],
        Expr::Compare(comparison, left, right) => learned_by_comparison(*comparison, left, right, truth),
        _ => Vec::new(),
    }
}

fn learned_by_comparison(comparison: Comparison, left: &Expr, right: &Expr, truth: bool) -> Vec<Expr> {
    match (left, right) {
        (Expr::Last(of, event), Expr::Literal(Value::Null))
        | (Expr::Literal(Value::Null), Expr::Last(of, event))
            if comparison == (if truth { Comparison::NotEqual } else { Comparison::Equal }) =>
        {
            vec![Expr::Last(*of, *event)]
        }
        (Expr::Count(of, event), Expr::Literal(number)) => {
            let at_least_one = match (comparison, truth) {
                (Comparison::Greater, true) => number.as_i64() >= Some(0),
                (Comparison::GreaterOrEqual | Comparison::Equal, true) => number.as_i64() >= Some(1),
                (Comparison::Equal, false) | (Comparison::NotEqual, true) => number.as_i64() == Some(0),
                _ => false,
            };
            if at_least_one { vec![Expr::Last(*of, *event)] } else { Vec::new() }
        }
        _ => Vec::new(),
    }
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sort {
    Null,
    Boolean,
    Integer,
    Text,
    List,
    Object,
    Date,
    State(Machine),
    Role,
    Body(EventTypeId),
    Last,
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    Strand(StrandId),
    Derived(DerivedId),
}

impl Sort {
    pub(super) fn in_words(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "true or false",
            Self::Integer => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Date => "a date",
            Self::State(_) => "a state",
            Self::Role => "a role",
            Self::Body(_) => "a deciding body",
            Self::Last => "an event",
            Self::Any => "a value of any type",
        }
    }
}

/// A checked expression with its type, and the values that it may have where they are listed.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) sort: Sort,
    pub(super) values: Option<Vec<Value>>,
}

impl Typed {
    pub(super) fn new(expr: Expr, sort: Sort) -> Self {
        Self { expr, sort, values: None }
    }
}

pub(super) fn mismatch(span: &Range<usize>, message: impl Into<String>, help: Option<&str>) -> Finding {
    Finding {
        code: "type-mismatch",
        span: span.clone(),
        message: message.into(),
        help: help.map(str::to_owned),
    }
}

pub(super) fn unknown<'n>(
    span: &Range<usize>,
    message: String,
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Finding {
    Finding { code: "unknown-name", span: span.clone(), message, help: suggestion(name, known) }
}

/// The name of a kind as conditions write it: CEL has no hyphens in names.
pub(super) fn written(name: &str) -> String {
    name.replace('-', "_")
}

pub(super) struct Checker<'s, 'd> {
    pub(super) scene: &'s Scene<'d>,
    pub(super) variables: Vec<(String, KindId)>,
    pub(super) known: Vec<Expr>,
}

impl<'d> Checker<'_, 'd> {
    pub(super) fn definition(&self) -> &'d Definition {
        self.scene.definition
    }

    pub(super) fn boolean(&mut self, syntax: &Syntax) -> Result<Expr, Finding> {
        let typed = self.value(syntax)?;
        match typed.sort {
            Sort::Boolean => Ok(typed.expr),
            sort => Err(mismatch(
                &syntax.span,
                format!("this is {}, not true or false", sort.in_words()),
                Some("compare it with something"),
            )),
        }
    }

    pub(super) fn value(&mut self, syntax: &Syntax) -> Result<Typed, Finding> {
        Ok(match &syntax.form {
            Form::Null => Typed::new(Expr::Literal(Value::Null), Sort::Null),
            Form::Boolean(value) => Typed::new(Expr::Literal((*value).into()), Sort::Boolean),
            Form::Integer(value) => Typed::new(Expr::Literal((*value).into()), Sort::Integer),
            Form::Text(value) => Typed::new(Expr::Literal(value.as_str().into()), Sort::Text),
            Form::List(items) => {
                let items =
                    items.iter().map(|item| Ok(self.value(item)?.expr)).collect::<Result<_, Finding>>()?;
                Typed::new(Expr::List(items), Sort::List)
            }
            Form::Not(inner) => Typed::new(Expr::Not(Box::new(self.boolean(inner)?)), Sort::Boolean),
            Form::And(parts) => Typed::new(Expr::And(self.joined(parts, true)?), Sort::Boolean),
            Form::Or(parts) => Typed::new(Expr::Or(self.joined(parts, false)?), Sort::Boolean),
            Form::Relation(Relation::In, left, right) => self.membership(left, right)?,
            Form::Relation(relation, left, right) => self.comparison(*relation, left, right)?,
            Form::Name(_) | Form::Field(..) | Form::Call(..) => {
                let typed = self.read(syntax)?;
                self.must_be_there(&typed, &syntax.span)?;
                typed
            }
        })
    }

    /// A path or call, without asking whether it is there.
    pub(super) fn read(&mut self, syntax: &Syntax) -> Result<Typed, Finding> {
        let subject = self.subject(syntax)?;
        self.finished(subject, &syntax.span)
    }

    /// A message shows what is there and says "not known" of what is not: no `has` is asked for.
    pub(super) fn message_value(&mut self, syntax: &Syntax) -> Result<Typed, Finding> {
        match &syntax.form {
            Form::Name(_) | Form::Field(..) | Form::Call(..) => self.read(syntax),
            _ => self.value(syntax),
        }
    }

    /// The parts of `&&` (each may rely on those before it) or of `||` (on those before it being false).
    pub(super) fn joined(&mut self, parts: &[Syntax], truth: bool) -> Result<Vec<Expr>, Finding> {
        let before = self.known.len();
        let checked = parts
            .iter()
            .map(|part| {
                let expr = self.boolean(part)?;
                self.known.extend(learned(&expr, truth));
                Ok(expr)
            })
            .collect();
        self.known.truncate(before);
        checked
    }

    pub(super) fn must_be_there(&self, typed: &Typed, span: &Range<usize>) -> Result<(), Finding> {
        let (required, last) = match &typed.expr {
            Expr::EventData(path) => {
                (self.event_field(self.scene.event, path).is_some_and(|f| f.required), None)
            }
            Expr::EntityData(of, path) => {
                (self.entity_field(self.kind_of(*of), path).is_some_and(|f| f.required), None)
            }
            Expr::LastData(of, event, path) => (
                self.event_field(Some(*event), path).is_some_and(|f| f.required),
                Some(Expr::Last(*of, *event)),
            ),
            _ => return Ok(()),
        };
        let happened = last.as_ref().is_none_or(|last| self.known.contains(last));
        if (required && happened) || self.known.contains(&typed.expr) {
            return Ok(());
        }
        let (why, help) = if required {
            (
                "no such event may have happened",
                "ask first: has(…) of the same path, or that it happened, and then &&",
            )
        } else {
            ("an event may leave this field out", "ask first: has(…) of the same path, and then &&")
        };
        Err(Finding {
            code: "optional-without-has",
            span: span.clone(),
            message: format!("{why}: nothing is known of it here"),
            help: Some(help.to_owned()),
        })
    }

    pub(super) fn kind_of(&self, of: EntityRef) -> Option<KindId> {
        match of {
            EntityRef::Case => None,
            EntityRef::InScope(kind) => Some(kind),
            EntityRef::Variable(slot) => self.variables.get(usize::from(slot)).map(|(_, kind)| *kind),
        }
    }
}

/// The kinds that an event of this type may be about: its scope, and their parents.
pub(crate) fn kinds_about(definition: &Definition, event: EventTypeId) -> Vec<KindId> {
    let event = definition.event_type(event);
    let mut kinds = Vec::new();
    for start in event.scope.iter().chain(&event.scope_optional) {
        let mut next = Some(*start);
        while let Some(kind) = next.filter(|kind| !kinds.contains(kind)) {
            kinds.push(kind);
            next = definition.kinds[kind.index()].parent;
        }
    }
    kinds
}
