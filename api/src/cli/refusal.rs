//! A refusal as people read it: what was refused, why, on which facts, where things stand, and what would be lawful.

use casebook_engine::case::event::{Version, engine_types};
use casebook_engine::case::refusal::{Reason, Refusal, Step};
use casebook_engine::definition::{Definition, RuleClass};

use super::answer::{Failure, Refused};
use super::page::{Page, bad, dim, good, strong};
use super::reading::{Titles, capitalised, count_of, gap_words, scope_words, unstopped};

/// The rule of every definition that an event needs a transition from where its strands stand.
const NO_TRANSITION: &str = "engine:no-transition";

/// The rule of every definition that an event names what it is about.
const SCOPE: &str = "engine:scope";

/// At most this many event types are listed as acceptable now.
const ACCEPTED_SHOWN_MAX: usize = 12;

/// Tells what was refused, why, and the lawful way there, and leaves the rest out.
pub(super) fn tell_briefly(refused: &Refused, page: &mut Page) -> Result<(), Failure> {
    let titles = Titles::of(refused.definition.clone());
    tell_head(&refused.reference, &refused.refusal, &titles, page)?;
    let reason = refused.refusal.reasons.iter().max_by_key(|reason| reason.basis.is_some());
    if let Some(reason) = reason {
        page.gap()?;
        page.paragraph(2, &sentence(&reason.message))?;
        if let Some(basis) = &reason.basis {
            page.item(2, "Law:", &sentence(basis))?;
        }
    }
    tell_path(refused, &titles, page)
}

/// Tells a refusal in full.
pub(super) fn tell(refused: &Refused, page: &mut Page) -> Result<(), Failure> {
    let titles = Titles::of(refused.definition.clone());
    let refusal = &refused.refusal;
    tell_head(&refused.reference, refusal, &titles, page)?;
    tell_reasons(refusal, &titles, page)?;
    tell_standing(refusal, &titles, page)?;
    tell_path(refused, &titles, page)?;
    tell_elsewhere(refusal, page)?;
    tell_gaps(refusal, &titles, page)?;
    tell_footing(refusal, &titles, page)?;
    tell_override(refusal, &titles, page)
}

fn sentence(text: &str) -> String {
    format!("{}.", unstopped(&capitalised(text)))
}

fn tell_head(reference: &str, refusal: &Refusal, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    let about = match scope_words(&refusal.scope) {
        words if words.is_empty() => String::new(),
        words => format!(" for {words}"),
    };
    let which = refusal.index.map(|index| format!(" (event {} of the list)", index + 1)).unwrap_or_default();
    let text = format!(
        "{}{about}, in case {reference}{which}. Nothing was recorded.",
        strong(&format!("{} ({})", titles.event(&refusal.event_type), refusal.event_type))
    );
    page.item(0, &bad("Refused:"), &text)
}

fn tell_reasons(refusal: &Refusal, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    page.heading("Why")?;
    let is_only = refusal.reasons.len() == 1;
    for (index, reason) in refusal.reasons.iter().enumerate() {
        let mark = if is_only { "•".to_owned() } else { format!("{}.", index + 1) };
        tell_reason(reason, &mark, titles, page)?;
    }
    Ok(())
}

fn tell_reason(reason: &Reason, mark: &str, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    let indent = 3 + mark.chars().count();
    page.item(2, mark, &sentence(&reason.message))?;
    if let Some(basis) = &reason.basis {
        page.item(indent, "Law:", &sentence(basis))?;
    }
    // Where no transition leads on, the message itself says where the strand stands.
    if let (Some(strand), Some(state)) = (&reason.strand, &reason.state)
        && reason.rule != NO_TRANSITION
    {
        let whose = reason.entity.as_ref().map(|entity| format!(" of {entity}")).unwrap_or_default();
        let stands = format!("{}{whose}: {}.", titles.strand(strand), titles.state(strand, state));
        page.item(indent, "Where it stands:", &stands)?;
    }
    page.item(indent, &dim("Rule:"), &dim(&format!("{}, {}", reason.rule, class_words(reason.class))))?;
    for part in &reason.failed {
        page.item(indent, &dim("Not met:"), &dim(&part.condition))?;
        for (fact, value) in &part.facts {
            page.item(indent + 2, "found:", &format!("{fact}: {}", strong(value)))?;
        }
    }
    Ok(())
}

const fn class_words(class: RuleClass) -> &'static str {
    match class {
        RuleClass::Logical => "logical: without the earlier fact this one has no meaning",
        RuleClass::Authority => "authority: who may record or decide it; no override helps",
        RuleClass::Compliance => "compliance: recorded as a breach where it happened all the same",
        RuleClass::Gap => "gap: the earlier step must have happened; record it, or declare it as a gap",
    }
}

fn tell_standing(refusal: &Refusal, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    // The strands may accept the type that was just refused, filled in otherwise: of no help here.
    let accepted: Vec<&String> =
        refusal.accepts_now.iter().filter(|name| **name != refusal.event_type).collect();
    if accepted.is_empty() {
        return Ok(());
    }
    page.heading("Accepted now")?;
    for name in accepted.iter().take(ACCEPTED_SHOWN_MAX) {
        page.item(2, "•", &format!("{} {}", titles.event(name), dim(&format!("({name})"))))?;
    }
    let more = accepted.len().saturating_sub(ACCEPTED_SHOWN_MAX);
    if more > 0 {
        page.line(&format!("  and {more} more: see `casebook next`"))?;
    }
    Ok(())
}

fn tell_path(refused: &Refused, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    let refusal = &refused.refusal;
    match &refusal.path {
        Some(path) if !path.is_empty() => {
            page.heading("The shortest lawful way there")?;
            for (index, name) in path.iter().enumerate() {
                let details = refusal.path_steps.get(index).map(step_details).unwrap_or_default();
                let details = if details.is_empty() { details } else { format!(": {details}") };
                let mark = format!("{}.", index + 1);
                page.item(
                    2,
                    &mark,
                    &format!("{} {}{details}", titles.event(name), dim(&format!("({name})"))),
                )?;
            }
            let aim = match refused.missing.as_slice() {
                [] => titles.event(&refusal.event_type),
                missing => gap_words(missing, titles),
            };
            let then = format!("then {aim}");
            page.item(2, &good("→"), &then)?;
            match refusal.path_note.as_deref() {
                Some(note) => page.paragraph(2, &format!("Not certain: {}.", unstopped(note))),
                None => Ok(()),
            }
        }
        Some(_) => Ok(()),
        // Where it is a question of who may do it, the reason has said all there is to say.
        None if refusal.reasons.iter().all(|reason| reason.class == RuleClass::Authority) => Ok(()),
        None => {
            page.heading("The shortest lawful way there")?;
            let note = refusal.path_note.as_deref().unwrap_or("there is none from here");
            page.paragraph(2, &format!("None: {}.", unstopped(note)))
        }
    }
}

/// A step in words: `plea-entered: charge C1, plea=guilty`.
pub(super) fn step_words(step: &Step) -> String {
    let details = step_details(step);
    if details.is_empty() { step.event_type.clone() } else { format!("{}: {details}", step.event_type) }
}

fn step_details(step: &Step) -> String {
    let scope = scope_words(&step.scope);
    let with = step.with.join(", ");
    match (scope.is_empty(), with.is_empty()) {
        (true, _) => with,
        (false, true) => scope,
        (false, false) => format!("{scope}, {with}"),
    }
}

fn tell_elsewhere(refusal: &Refusal, page: &mut Page) -> Result<(), Failure> {
    let Some((after, before)) = refusal.lawful_between else { return Ok(()) };
    page.heading("It would be lawful at another time")?;
    page.paragraph(2, &format!("{}.", place_words(after, before)))?;
    let mut links = Vec::new();
    links.extend(after.map(|version| format!("--after {version}")));
    links.extend(before.map(|version| format!("--before {version}")));
    page.paragraph(
        2,
        &format!("If that is when it happened, say so with --on DATE, or with {}.", links.join(" ")),
    )
}

fn place_words(after: Option<Version>, before: Option<Version>) -> String {
    match (after, before) {
        (Some(after), Some(before)) => format!("After event {after} and before event {before}"),
        (Some(after), None) => format!("After event {after}"),
        (None, Some(before)) => format!("Before event {before}"),
        (None, None) => "At any other place of the case".to_owned(),
    }
}

fn tell_gaps(refusal: &Refusal, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    // A gap is itself such a declaration.
    if refusal.gaps.is_empty() || refusal.event_type == engine_types::GAP_DECLARED {
        return Ok(());
    }
    page.heading("If it did happen, and nobody has the details of the missing steps")?;
    let missing: Vec<String> =
        refusal.gaps.iter().map(|name| format!("{} ({name})", titles.event(name))).collect();
    page.paragraph(
        2,
        &format!(
            "Repeat it with --declare-gaps. The record will then say that {} happened at an unknown date: {}.",
            if missing.len() == 1 { "this step" } else { "these steps" },
            missing.join(", ")
        ),
    )
}

fn tell_footing(refusal: &Refusal, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    if refusal.loses_footing.is_empty() {
        return Ok(());
    }
    if refusal.event_type == engine_types::DEFINITION_MIGRATED {
        return tell_illegal(refusal, titles, page);
    }
    let count = count_of(refusal.loses_footing.len(), "later event", "later events");
    page.heading(&format!("It would take the ground from {count}"))?;
    for event in &refusal.loses_footing {
        let reason = event.reasons.first().map_or("", |reason| reason.message.as_str());
        let name = titles.event(&event.event_type);
        page.item(2, "•", &format!("event {}, {name}: {}.", event.version, unstopped(reason)))?;
    }
    page.paragraph(
        2,
        "Annul them first, or repeat with --override AUTHORITY --reason TEXT: the case then says that it is \
         inconsistent, and names them, until that is resolved.",
    )
}

/// Of a version that a case may not adopt: what of the case's history it cannot follow.
fn tell_illegal(refusal: &Refusal, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    page.heading("What that version would not accept")?;
    for event in &refusal.loses_footing {
        let reason = event.reasons.first().map_or("", |reason| reason.message.as_str());
        let name = titles.event(&event.event_type);
        page.item(2, "•", &format!("event {}, {name}: {}.", event.version, unstopped(reason)))?;
    }
    Ok(())
}

fn tell_override(refusal: &Refusal, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    let roles = titles.definition().map_or_else(Vec::new, |definition| who_may_override(refusal, definition));
    if roles.is_empty() {
        return Ok(());
    }
    page.heading("If it happened all the same")?;
    page.paragraph(
        2,
        &format!(
            "Somebody in the role {} may record it with --override AUTHORITY --reason TEXT. The record will say so \
             for ever.",
            roles.join(" or ")
        ),
    )
}

/// The roles whose override would be accepted: they may override, and may record this type at all. None where no
/// override helps.
fn who_may_override<'d>(refusal: &Refusal, definition: &'d Definition) -> Vec<&'d str> {
    let gives_way =
        |reason: &Reason| matches!(reason.class, RuleClass::Logical | RuleClass::Gap) && reason.rule != SCOPE;
    let is_possible = refusal.event_type != engine_types::GAP_DECLARED
        && refusal.event_type != engine_types::DEFINITION_MIGRATED
        && refusal.loses_footing.is_empty()
        && !refusal.reasons.is_empty()
        && refusal.reasons.iter().all(gives_way);
    let Some(event) = definition.event(&refusal.event_type).filter(|_| is_possible) else {
        return Vec::new();
    };
    let record = &definition.event_type(event).record;
    let may_record =
        |name: &str| record.is_empty() || record.iter().any(|id| definition.roles[id.index()].name == name);
    let roles = definition.roles.iter().filter(|role| role.may_override && may_record(&role.name));
    roles.map(|role| role.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use casebook_engine::case::event::Scope;
    use casebook_engine::definition::compile::compile;
    use casebook_engine::workflows;

    use super::*;

    #[track_caller]
    fn check_override(event_type: &str, rule: &str, class: RuleClass, expected: &[&str]) {
        let files = workflows::shipped("police-conduct").expect("it ships");
        let definition = compile(&files).expect("it compiles");
        let reason = Reason {
            rule: rule.to_owned(),
            class,
            message: String::new(),
            basis: None,
            failed: Vec::new(),
            strand: None,
            entity: None,
            state: None,
        };
        let refusal = Refusal {
            refused: true,
            event_type: event_type.to_owned(),
            scope: Scope::new(),
            index: None,
            reasons: vec![reason],
            accepts_now: Vec::new(),
            path: None,
            path_steps: Vec::new(),
            path_note: None,
            gaps: Vec::new(),
            lawful_between: None,
            loses_footing: Vec::new(),
        };
        assert_eq!(who_may_override(&refusal, &definition), expected, "{event_type}, {rule}");
    }

    #[test]
    fn only_roles_that_may_record_the_type_may_override_for_it() {
        check_override("case-to-answer-determined", NO_TRANSITION, RuleClass::Logical, &["decision-maker"]);
        check_override("sentence-passed", NO_TRANSITION, RuleClass::Logical, &[]);
    }

    #[test]
    fn no_override_helps_against_authority_and_scope() {
        check_override("case-to-answer-determined", "engine:role", RuleClass::Authority, &[]);
        check_override("case-to-answer-determined", SCOPE, RuleClass::Logical, &[]);
    }

    #[test]
    fn a_gap_is_not_overridden() {
        check_override("gap-declared", NO_TRANSITION, RuleClass::Logical, &[]);
    }

    #[test]
    fn a_step_names_what_it_is_about_and_what_matters() {
        let step = Step {
            event_type: "plea-entered".to_owned(),
            scope: [("charge".to_owned(), "C1".to_owned())].into(),
            with: vec!["plea=guilty".to_owned()],
        };
        assert_eq!(step_words(&step), "plea-entered: charge C1, plea=guilty");
    }

    #[test]
    fn a_place_in_the_case_is_named_by_its_neighbours() {
        assert_eq!(place_words(Some(Version(3)), None), "After event 3");
    }
}
