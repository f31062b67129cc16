//! Whether a deadline may be adjusted so: by whom, in which way, and whether there is one to adjust.

use serde_json::Value;

use super::clock::Happening;
use super::event::{ProposedEvent, RecordedEvent, engine_types};
use super::explain::plain;
use super::occurred::Occurred;
use super::refusal::Reason;
use super::state::CaseState;
use crate::definition::deadline::{Adjustment, Deadline};
use crate::definition::period::{Length, Unit};
use crate::definition::{Definition, RuleClass};
use crate::spelling::nearest;

/// A field that says too little or too much, what is wrong with it, and what to do.
pub(crate) type FieldProblem = (&'static str, String, Option<String>);

/// What is wrong with the data of a `deadline-adjusted` event, whatever the case; `None` for every other type.
pub(crate) fn problem(definition: &Definition, proposed: &ProposedEvent) -> Option<FieldProblem> {
    if proposed.event_type != engine_types::DEADLINE_ADJUSTED {
        return None;
    }
    let text = |name: &str| proposed.data.get(name).and_then(Value::as_str);
    let name = text("deadline").unwrap_or_default();
    let Some(deadline) = definition.deadline(name) else {
        let names = || definition.deadlines.iter().map(|deadline| deadline.name.as_str());
        let help = match nearest(name, names()) {
            Some(near) => format!("did you mean {near}?"),
            None if names().next().is_none() => "the definition has no deadlines".to_owned(),
            None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
        };
        return Some(("data.deadline", format!("{} has no deadline {name}", definition.pin()), Some(help)));
    };
    let deadline = &definition.deadlines[deadline.index()];
    if let Some(per) = deadline.per {
        let kind = &definition.kinds[per.index()].name;
        if !proposed.scope.contains_key(kind) {
            let message = format!("{name} is a deadline of each {kind}, and the scope names none");
            return Some(("scope", message, Some(format!("say whose it is: {kind}=ID"))));
        }
    }
    let kind = text("kind").and_then(Adjustment::named)?;
    dates_problem(kind, text).or_else(|| length_problem(deadline, kind, text))
}

fn length_problem<'t>(
    deadline: &Deadline,
    kind: Adjustment,
    text: impl Fn(&str) -> Option<&'t str>,
) -> Option<FieldProblem> {
    let length = text("length").and_then(Length::parse)?;
    let is_used = matches!(kind, Adjustment::Extended | Adjustment::Reduced);
    if !is_used || length.unit != Unit::WorkingDays || deadline.calendar().is_some() {
        return None;
    }
    let message = format!("{} is counted without a calendar, so working days cannot be", deadline.name);
    Some(("data.length", message, Some("write days, or the new due day in `until`".to_owned())))
}

fn dates_problem<'t>(kind: Adjustment, text: impl Fn(&str) -> Option<&'t str>) -> Option<FieldProblem> {
    for (field, named) in [("from", "data.from"), ("until", "data.until")] {
        if let Some(Err(error)) = text(field).map(Occurred::parse) {
            return Some((named, error.to_string(), None));
        }
    }
    let kind_name = kind.name();
    match kind {
        Adjustment::Extended | Adjustment::Reduced => match (text("length"), text("until")) {
            (Some(length), None) if Length::parse(length).is_none() => Some((
                "data.length",
                format!("`{length}` is no length of time"),
                Some("write a number and days, working-days, weeks, months or years: 5 working-days".into()),
            )),
            (Some(_), None) | (None, Some(_)) => None,
            _ => Some((
                "data.length",
                format!("{kind_name} needs either `length` or the new due day in `until`"),
                None,
            )),
        },
        Adjustment::LeftOut if text("from").is_none() || text("until").is_none() => Some((
            "data.from",
            "left-out needs `from`, and `until`: the first day that counts again".to_owned(),
            None,
        )),
        Adjustment::LeftOut => {
            let day =
                |name: &str| text(name).and_then(|text| Occurred::parse(text).ok()).map(|date| date.bounds());
            let last = day("until").and_then(|until| until.latest);
            let is_backwards =
                day("from").and_then(|from| from.earliest).zip(last).is_some_and(|(from, last)| last <= from);
            is_backwards.then(|| {
                (
                    "data.until",
                    "no day lies between `from` and `until`".to_owned(),
                    Some(
                        "`until` is the first day that counts again: write a later day than in `from`"
                            .to_owned(),
                    ),
                )
            })
        }
        Adjustment::Restarted => None,
    }
}

/// What stands in the way of an adjustment; empty for every other type. `after` is the case with the event in it.
pub(crate) fn against(after: &CaseState, event: &RecordedEvent) -> Vec<Reason> {
    if event.proposed.event_type != engine_types::DEADLINE_ADJUSTED {
        return Vec::new();
    }
    let definition = after.definition();
    let text = |name: &str| event.proposed.data.get(name).and_then(Value::as_str);
    let found = text("deadline").and_then(|name| definition.deadline(name));
    let (Some(id), Some(kind)) = (found, text("kind").and_then(Adjustment::named)) else { return Vec::new() };
    let deadline = &definition.deadlines[id.index()];
    let (name, kind_name) = (&deadline.name, kind.name());
    let refused = |message: String, class: RuleClass| {
        let rule = format!("deadline:{name}");
        vec![Reason { basis: deadline.basis.clone(), ..plain(&rule, class, message) }]
    };
    let Some(adjust) = &deadline.adjust else {
        return refused(format!("{} may not be adjusted by anybody", deadline.title), RuleClass::Authority);
    };
    if !adjust.kinds.contains(&kind) {
        let kinds: Vec<&str> = adjust.kinds.iter().map(|kind| kind.name()).collect();
        let message = format!("{} may not be {kind_name}, only {}", deadline.title, kinds.join(", "));
        return refused(message, RuleClass::Authority);
    }
    let role = &event.proposed.recorded_by.role;
    if definition.role(role).is_none_or(|role| !adjust.by.contains(&role)) {
        let by: Vec<&str> =
            adjust.by.iter().map(|role| definition.roles[role.index()].title.as_str()).collect();
        let message = format!("{role} may not adjust {}: {} may", deadline.title, by.join(" or "));
        return refused(message, RuleClass::Authority);
    }
    let is_here =
        |happening: &Happening| matches!(happening, Happening::Adjusted(mark, _) if mark.event == event.id);
    if after.clocks().iter().any(|clock| clock.happened.iter().any(is_here)) {
        return Vec::new();
    }
    let message = format!("{} is not running there, so there is nothing to adjust", deadline.title);
    refused(message, RuleClass::Logical)
}
