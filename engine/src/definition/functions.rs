//! Conditions, checked: the functions of the language, and those of CEL that it leaves out.

use std::ops::Range;

use super::condition::{EntityRef, Expr, Quantifier};
use super::grammar::{Form, Syntax};
use super::subject::{Subject, value};
use super::typing::{Checker, Finding, Machine, Sort, Typed, kinds_about, mismatch, unknown};
use super::{Definition, DerivedId, EventTypeId, KindId, OverlayId, StrandId};
use crate::case::occurred::Day;

impl Checker<'_, '_> {
    pub(super) fn function(
        &mut self,
        function: &str,
        at: &Range<usize>,
        arguments: &[Syntax],
    ) -> Result<Typed, Finding> {
        match (function, arguments) {
            ("has", [argument]) => self.has(argument),
            ("size", [argument]) => self.size(argument),
            ("date", [argument]) => date(argument),
            ("definitely_before" | "possibly_before", [a, b]) => {
                let (a, b) = (Box::new(self.date_value(a)?), Box::new(self.date_value(b)?));
                let expr = if function == "definitely_before" {
                    Expr::DefinitelyBefore(a, b)
                } else {
                    Expr::PossiblyBefore(a, b)
                };
                Ok(Typed::new(expr, Sort::Boolean))
            }
            ("has" | "size" | "date", _) => Err(takes(function, at, "one value")),
            ("definitely_before" | "possibly_before", _) => Err(takes(function, at, "two dates")),
            _ => Err(no_function(
                function,
                at,
                &["has", "size", "date", "definitely_before", "possibly_before"],
            )),
        }
    }

    pub(super) fn has(&mut self, argument: &Syntax) -> Result<Typed, Finding> {
        let not_a_field = || {
            let help = Some("write has(event.data.f), has(x.data.f) or has(x.last('…').data.f)");
            mismatch(&argument.span, "`has` asks for a field", help)
        };
        if !matches!(argument.form, Form::Field(..)) {
            return Err(not_a_field());
        }
        let typed = self.read(argument)?;
        match typed.expr {
            Expr::EventData(_)
            | Expr::EntityData(..)
            | Expr::LastData(..)
            | Expr::EventDeciderBody
            | Expr::LastDeciderBody(..)
            | Expr::LastRecorderId(..)
            | Expr::LastRecorderRole(..) => Ok(Typed::new(Expr::Has(Box::new(typed.expr)), Sort::Boolean)),
            _ => Err(not_a_field()),
        }
    }

    pub(super) fn size(&mut self, argument: &Syntax) -> Result<Typed, Finding> {
        let list = match self.subject(argument)? {
            Subject::Children(of, kind) => Expr::Children(of, kind),
            subject => {
                let typed = self.finished(subject, &argument.span)?;
                if typed.sort != Sort::List {
                    let message = format!("`size` counts a list, and this is {}", typed.sort.in_words());
                    return Err(mismatch(&argument.span, message, None));
                }
                self.must_be_there(&typed, &argument.span)?;
                typed.expr
            }
        };
        Ok(Typed::new(Expr::Size(Box::new(list)), Sort::Integer))
    }

    pub(super) fn date_value(&mut self, argument: &Syntax) -> Result<Expr, Finding> {
        let typed = self.value(argument)?;
        if typed.sort == Sort::Date {
            return Ok(typed.expr);
        }
        let message = format!("this is {}, not a date", typed.sort.in_words());
        let help = "write event.occurred, x.last('…').occurred or date('2025-05-28')";
        Err(mismatch(&argument.span, message, Some(help)))
    }

    pub(super) fn method(
        &mut self,
        target: Subject,
        function: &str,
        at: &Range<usize>,
        arguments: &[Syntax],
    ) -> Result<Subject, Finding> {
        match target {
            Subject::Children(of, kind) => self.quantified(of, kind, function, at, arguments),
            Subject::Entity(of, kind) => self.entity_method(of, kind, function, at, arguments),
            _ => Err(no_function(function, at, &[])),
        }
    }

    pub(super) fn quantified(
        &mut self,
        of: EntityRef,
        kind: KindId,
        function: &str,
        at: &Range<usize>,
        arguments: &[Syntax],
    ) -> Result<Subject, Finding> {
        let quantifier = match function {
            "exists" => Quantifier::Exists,
            "all" => Quantifier::All,
            _ => return Err(no_function(function, at, &["exists", "all"])),
        };
        let [Syntax { form: Form::Name(variable), .. }, body] = arguments else {
            return Err(takes(
                function,
                at,
                "a name and a condition on it, such as (c, c.state('…') == '…')",
            ));
        };
        let slot = u8::try_from(self.variables.len()).unwrap_or(u8::MAX);
        self.variables.push((variable.clone(), kind));
        let before = self.known.len();
        let body = self.boolean(body);
        self.known.truncate(before);
        self.variables.pop();
        let body = Box::new(body?);
        Ok(value(Expr::Quantified { quantifier, of, kind, slot, body }, Sort::Boolean))
    }

    pub(super) fn entity_method(
        &self,
        of: EntityRef,
        kind: Option<KindId>,
        function: &str,
        at: &Range<usize>,
        arguments: &[Syntax],
    ) -> Result<Subject, Finding> {
        const FUNCTIONS: [&str; 5] = ["state", "overlay", "happened", "last", "count"];
        if !FUNCTIONS.contains(&function) {
            return Err(no_function(function, at, &FUNCTIONS));
        }
        let [Syntax { form: Form::Text(name), span }] = arguments else {
            return Err(takes(function, at, "one name in quotes"));
        };
        match function {
            "state" => self.state(of, kind, name, span),
            "overlay" => self.overlay(of, kind, name, span),
            _ => {
                let event = self.event_about(kind, name, span)?;
                Ok(match function {
                    "happened" => value(Expr::Happened(of, event), Sort::Boolean),
                    "count" => value(Expr::Count(of, event), Sort::Integer),
                    _ => Subject::Last(of, event),
                })
            }
        }
    }

    pub(super) fn state(
        &self,
        of: EntityRef,
        kind: Option<KindId>,
        name: &str,
        span: &Range<usize>,
    ) -> Result<Subject, Finding> {
        let definition = self.definition();
        let strands = (0_u16..).zip(&definition.strands);
        if let Some((id, _)) = strands.clone().find(|(_, strand)| strand.per == kind && strand.name == name) {
            let strand = StrandId(id);
            return Ok(value(Expr::State(of, strand), Sort::State(Machine::Strand(strand))));
        }
        let derived = (0_u16..).zip(&definition.derived);
        if let Some((id, _)) = derived.clone().find(|(_, strand)| strand.per == kind && strand.name == name) {
            let strand = DerivedId(id);
            return Ok(value(Expr::Derived(of, strand), Sort::State(Machine::Derived(strand))));
        }
        let all = strands.map(|(_, strand)| (strand.per, strand.name.as_str()));
        let all: Vec<_> = all.chain(derived.map(|(_, strand)| (strand.per, strand.name.as_str()))).collect();
        let whose = |per: Option<KindId>| match per {
            Some(kind) => format!("each {}", definition.kinds[kind.index()].name),
            None => "the case".to_owned(),
        };
        let here = whose(kind);
        if let Some((per, _)) = all.iter().find(|(_, strand)| *strand == name) {
            let message = format!("`{name}` is a strand of {}, not of {here}", whose(*per));
            return Err(unknown(span, message, "", []));
        }
        let known = all.iter().filter(|(per, _)| *per == kind).map(|(_, strand)| *strand);
        Err(unknown(span, format!("`{name}` is no strand of {here}"), name, known))
    }

    pub(super) fn overlay(
        &self,
        of: EntityRef,
        kind: Option<KindId>,
        name: &str,
        span: &Range<usize>,
    ) -> Result<Subject, Finding> {
        let mut known = Vec::new();
        for (strand_id, strand) in (0_u16..).zip(&self.definition().strands).filter(|(_, s)| s.per == kind) {
            for (overlay_id, overlay) in (0_u16..).zip(&strand.overlays) {
                if overlay.name == name {
                    let expr = Expr::Overlay(of, StrandId(strand_id), OverlayId(overlay_id));
                    return Ok(value(expr, Sort::Boolean));
                }
                known.push(overlay.name.as_str());
            }
        }
        Err(unknown(span, format!("`{name}` is no overlay here"), name, known))
    }

    pub(super) fn event_about(
        &self,
        kind: Option<KindId>,
        name: &str,
        span: &Range<usize>,
    ) -> Result<EventTypeId, Finding> {
        let definition = self.definition();
        let Some(event) = definition.event(name) else {
            let known = definition.events.iter().map(|event| event.name.as_str());
            return Err(unknown(span, format!("`{name}` is no event type"), name, known));
        };
        let Some(kind) = kind else { return Ok(event) };
        let about = kinds_about(definition, event);
        if about.contains(&kind) {
            return Ok(event);
        }
        Err(Finding {
            code: "never-about",
            span: span.clone(),
            message: format!("`{name}` is never about a {}", definition.kinds[kind.index()].name),
            help: Some(format!("its scope names {}", kind_names(definition, &about))),
        })
    }
}

fn kind_names(definition: &Definition, kinds: &[KindId]) -> String {
    if kinds.is_empty() {
        return "nothing: it is about the case".to_owned();
    }
    let names: Vec<&str> = kinds.iter().map(|kind| definition.kinds[kind.index()].name.as_str()).collect();
    names.join(", ")
}

fn date(argument: &Syntax) -> Result<Typed, Finding> {
    let help = Some("write a day such as date('2025-05-28')");
    let Form::Text(text) = &argument.form else {
        return Err(mismatch(&argument.span, "`date` takes a day in quotes", help));
    };
    match Day::parse(text) {
        Ok(day) => Ok(Typed::new(Expr::Date(day), Sort::Date)),
        Err(error) => Err(mismatch(&argument.span, error.to_string(), help)),
    }
}

fn takes(function: &str, at: &Range<usize>, what: &str) -> Finding {
    mismatch(at, format!("`{function}` takes {what}"), None)
}

/// Functions and macros of CEL that the subset leaves out.
const OUTSIDE: [&str; 24] = [
    "matches",
    "startsWith",
    "endsWith",
    "contains",
    "map",
    "filter",
    "exists_one",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "timestamp",
    "duration",
    "type",
    "dyn",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfWeek",
    "lowerAscii",
    "now",
    "size",
];

fn no_function(function: &str, at: &Range<usize>, known: &[&str]) -> Finding {
    if !OUTSIDE.contains(&function) {
        return unknown(
            at,
            format!("there is no function `{function}` here"),
            function,
            known.iter().copied(),
        );
    }
    let help = match function {
        "matches" | "startsWith" | "endsWith" | "contains" => {
            "compare with == or in; what texts mean belongs in an enumeration"
        }
        "map" | "filter" | "exists_one" => "use exists or all",
        "timestamp" | "now" => "there is no clock: write date('2025-05-28') or the date of an event",
        "size" => "write size(list)",
        _ => "compare the values as they are",
    };
    Finding {
        code: "bad-condition",
        span: at.clone(),
        message: format!("`{function}` is CEL, but not part of the subset that conditions are written in"),
        help: Some(help.to_owned()),
    }
}
