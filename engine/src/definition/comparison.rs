//! Conditions, checked: what may be compared with what, and which constants a side can have.

use std::ops::Range;

use serde_json::Value;

use super::condition::{Comparison, Expr};
use super::grammar::{Form, Relation, Syntax};
use super::problem::suggestion;
use super::typing::{Checker, Finding, Machine, Sort, Typed, mismatch};

impl Checker<'_, '_> {
    pub(super) fn comparison(
        &mut self,
        relation: Relation,
        left: &Syntax,
        right: &Syntax,
    ) -> Result<Typed, Finding> {
        let comparison = match relation {
            Relation::Equal | Relation::In => Comparison::Equal,
            Relation::NotEqual => Comparison::NotEqual,
            Relation::Less => Comparison::Less,
            Relation::LessOrEqual => Comparison::LessOrEqual,
            Relation::Greater => Comparison::Greater,
            Relation::GreaterOrEqual => Comparison::GreaterOrEqual,
        };
        let (a, b) = (self.value(left)?, self.value(right)?);
        if !matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
            self.ordered(&a, &b, &(left.span.start..right.span.end))?;
        }
        let (a, b) = self.comparable((a, &left.span), (b, &right.span))?;
        Ok(Typed::new(Expr::Compare(comparison, Box::new(a), Box::new(b)), Sort::Boolean))
    }

    #[expect(clippy::unused_self, reason = "one of a family of checks")]
    pub(super) fn ordered(&self, a: &Typed, b: &Typed, span: &Range<usize>) -> Result<(), Finding> {
        for sort in [&a.sort, &b.sort] {
            match sort {
                Sort::Integer | Sort::Text | Sort::Any | Sort::Date => {}
                sort => {
                    let message = format!("{} has no order: only == and != compare it", sort.in_words());
                    return Err(mismatch(span, message, None));
                }
            }
        }
        Ok(())
    }

    /// Whether two values can be compared; a text beside a state becomes the state.
    pub(super) fn comparable(
        &self,
        (a, a_span): (Typed, &Range<usize>),
        (b, b_span): (Typed, &Range<usize>),
    ) -> Result<(Expr, Expr), Finding> {
        let span = a_span.start.min(b_span.start)..a_span.end.max(b_span.end);
        match (&a.sort, &b.sort) {
            (Sort::Date, _) | (_, Sort::Date) => {
                return Err(mismatch(
                    &span,
                    "dates are known at different precisions: ==, < and > do not compare them",
                    Some("write definitely_before(a, b) or possibly_before(a, b)"),
                ));
            }
            (Sort::State(machine), Sort::Text) => {
                return Ok((a.expr, self.state_name(*machine, b.expr, b_span)?));
            }
            (Sort::Text, Sort::State(machine)) => {
                return Ok((self.state_name(*machine, a.expr, a_span)?, b.expr));
            }
            _ => {}
        }
        if !compatible(&a.sort, &b.sort) {
            let message = format!("{} is never equal to {}", a.sort.in_words(), b.sort.in_words());
            let has_null = a.sort == Sort::Null || b.sort == Sort::Null;
            return Err(mismatch(&span, message, has_null.then_some("ask has(…) whether a field is there")));
        }
        self.within_values(&a, &b, b_span)?;
        self.within_values(&b, &a, a_span)?;
        Ok((a.expr, b.expr))
    }

    pub(super) fn state_name(
        &self,
        machine: Machine,
        text: Expr,
        span: &Range<usize>,
    ) -> Result<Expr, Finding> {
        let (states, strand) = match machine {
            Machine::Strand(id) => {
                let strand = &self.definition().strands[id.index()];
                (&strand.states, &strand.name)
            }
            Machine::Derived(id) => {
                let strand = &self.definition().derived[id.index()];
                (&strand.states, &strand.name)
            }
        };
        let Expr::Literal(Value::String(name)) = text else {
            return Err(mismatch(span, "a state is compared with the name of a state", None));
        };
        let found = states.iter().position(|state| state.name == name).and_then(|at| u16::try_from(at).ok());
        found.map(|at| Expr::StateName(super::StateId(at))).ok_or_else(|| Finding {
            code: "not-a-state",
            span: span.clone(),
            message: format!("`{name}` is no state of `{strand}`"),
            help: suggestion(&name, states.iter().map(|state| state.name.as_str())),
        })
    }

    /// Whether the constant is one of the values that the other side can have.
    pub(super) fn within_values(
        &self,
        typed: &Typed,
        constant: &Typed,
        span: &Range<usize>,
    ) -> Result<(), Finding> {
        let Expr::Literal(value) = &constant.expr else { return Ok(()) };
        let text = value.as_str().unwrap_or_default();
        match (&typed.sort, &typed.values) {
            (Sort::Role, _) if constant.sort == Sort::Text && self.definition().role(text).is_none() => {
                Err(Finding {
                    code: "unknown-role",
                    span: span.clone(),
                    message: format!("`{text}` is no role of this definition"),
                    help: suggestion(text, self.definition().roles.iter().map(|role| role.name.as_str())),
                })
            }
            (Sort::Body(event), _) if constant.sort == Sort::Text => {
                let bodies = &self.definition().event_type(*event).decide;
                if bodies.iter().any(|body| body == text) {
                    return Ok(());
                }
                Err(Finding {
                    code: "not-in-enumeration",
                    span: span.clone(),
                    message: format!("`{text}` never decides this event"),
                    help: suggestion(text, bodies.iter().map(String::as_str)),
                })
            }
            (_, Some(values)) if constant.sort != Sort::Null && !values.contains(value) => Err(Finding {
                code: "not-in-enumeration",
                span: span.clone(),
                message: format!("the field never has the value `{}`", plain(value)),
                help: suggestion(text, values.iter().filter_map(Value::as_str)),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn membership(&mut self, left: &Syntax, right: &Syntax) -> Result<Typed, Finding> {
        let Form::List(items) = &right.form else {
            let (item, list) = (self.value(left)?, self.value(right)?);
            return match (list.sort, &item.sort) {
                (Sort::List, Sort::Text | Sort::Integer | Sort::Boolean | Sort::Any) => {
                    Ok(Typed::new(Expr::In(Box::new(item.expr), Box::new(list.expr)), Sort::Boolean))
                }
                (Sort::List, sort) => {
                    let message = format!("{} is never in such a list", sort.in_words());
                    Err(mismatch(&left.span, message, None))
                }
                (sort, _) => {
                    let message = format!("`in` looks into a list, and this is {}", sort.in_words());
                    Err(mismatch(&right.span, message, None))
                }
            };
        };
        let of = self.value(left)?;
        let mut checked = Vec::new();
        for item in items {
            let value = self.value(item)?;
            if of.sort == Sort::Text && matches!(value.sort, Sort::State(_)) {
                let help = "look for the state in a list of names, or compare it with ==";
                return Err(mismatch(&item.span, "a state stands in a list of texts", Some(help)));
            }
            let (_, value) = self.comparable((of.clone(), &left.span), (value, &item.span))?;
            checked.push(value);
        }
        Ok(Typed::new(Expr::In(Box::new(of.expr), Box::new(Expr::List(checked))), Sort::Boolean))
    }
}

fn compatible(a: &Sort, b: &Sort) -> bool {
    let is_text = |sort: &Sort| matches!(sort, Sort::Text | Sort::Role | Sort::Body(_));
    match (a, b) {
        (Sort::Object | Sort::List, _) | (_, Sort::Object | Sort::List) => false,
        (Sort::Any, Sort::Last) | (Sort::Last, Sort::Any) => false,
        (Sort::Any, _) | (_, Sort::Any) => true,
        (Sort::Null, other) | (other, Sort::Null) => {
            matches!(other, Sort::Last | Sort::State(_) | Sort::Null)
        }
        (Sort::Last, _) | (_, Sort::Last) => false,
        (a, b) => a == b || (is_text(a) && is_text(b)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
