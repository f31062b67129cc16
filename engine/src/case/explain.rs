//! From what is unmet to sentences that people can act on.

use super::candidate::is_to_come;
use super::effective::EffectiveEvent;
use super::elsewhere::lawful_elsewhere;
use super::event::{RecordedEvent, Scope};
use super::judge::{Question, Unmet, status_for};
use super::path::{Missing, WayThere, missing_steps, shortest_path};
use super::refusal::{Reason, Refusal};
use super::state::CaseState;
use super::status::{Scene, ScopeProblem, Status};
use crate::definition::condition::EntityId;
use crate::definition::{Definition, KindId, Ownership, RuleClass, StateId, StrandId};

/// Says in words why something stands in the way.
pub(crate) fn explain(
    definition: &Definition,
    before: &Status,
    question: &Question<'_>,
    unmet: &Unmet,
) -> Reason {
    let title = &definition.event_type(question.event_type).title;
    match unmet {
        Unmet::Scope(problem) => plain("engine:scope", unmet.class(), scope_message(definition, problem)),
        Unmet::NoTransition { strand, entity, state } => {
            let text = match state {
                Some(state) => format!(
                    "{} is {}, and from there {} cannot follow",
                    strand_of(definition, before, *strand, *entity),
                    quoted(&definition.strands[strand.index()].states[state.index()].title),
                    quoted(title),
                ),
                None => format!(
                    "{} has not started, and {} does not start it",
                    strand_of(definition, before, *strand, *entity),
                    quoted(title),
                ),
            };
            placed("engine:no-transition", text, definition, before, question, (*strand, *entity, *state))
        }
        Unmet::NoBranch { strand, entity, state } => {
            let fields = branch_fields(definition, *strand, *state, question);
            let text = format!(
                "{} cannot tell where {} leads: it needs {}",
                strand_of(definition, before, *strand, *entity),
                quoted(title),
                fields,
            );
            placed("engine:no-branch", text, definition, before, question, (*strand, *entity, *state))
        }
        Unmet::Closed => plain(
            "engine:case-closed",
            unmet.class(),
            format!("the case is closed, and {} is not among what a closed case accepts", quoted(title)),
        ),
        Unmet::UnknownRole | Unmet::Role | Unmet::Body | Unmet::Duty { .. } => {
            authority(definition, question, unmet)
        }
        Unmet::Rule { index, class, .. } => rule(definition, before, question, *index, *class),
    }
}

/// The whole answer to an event that may not be recorded at its place.
pub(crate) fn refuse(
    state: &CaseState,
    before: &Status,
    event: &std::sync::Arc<EffectiveEvent>,
    unmet: &[Unmet],
) -> Refusal {
    let definition = state.definition();
    let question = Question::about(event);
    let blocking: Vec<&Unmet> = unmet.iter().filter(|unmet| unmet.blocks()).collect();
    let reasons = blocking.iter().map(|unmet| explain(definition, before, &question, unmet)).collect();
    let mut refusal = refuse_plainly(&event.recorded, None, reasons);
    refusal.scope = full_scope(definition, before, event.scope());
    refusal.accepts_now = accepted_now(definition, before, &question);
    if blocking.iter().all(|unmet| unmet.class() == RuleClass::Authority) {
        refusal.path_note =
            Some("it is not a matter of what happened before, but of who records or decides it".into());
        return refusal;
    }
    let way: WayThere = match blocking.iter().find_map(|unmet| comes_later(state, unmet)) {
        Some(later) => WayThere { steps: None, note: Some(later) },
        None => shortest_path(definition, before, &question),
    };
    refusal.path = way.steps.as_ref().map(|steps| steps.iter().map(|step| step.event_type.clone()).collect());
    refusal.path_steps = way.steps.unwrap_or_default();
    refusal.path_note = way.note;
    refusal.gaps = gap_names(definition, missing_steps(definition, before, &question, false));
    refusal.lawful_between = lawful_elsewhere(state, event);
    refusal
}

/// Whether an entity that is missing at the event's place comes into the case later: then it is a matter of the date.
fn comes_later(state: &CaseState, unmet: &Unmet) -> Option<String> {
    let Unmet::Scope(ScopeProblem::Unknown { kind, id }) = unmet else { return None };
    let entity = state.status().find(*kind, id)?;
    let by = state.status().entity(entity).introduced_by;
    let kind = &state.definition().kinds[kind.index()].name;
    Some(format!(
        "{kind} {id} came into the case later, by event {by}: the date is too early, or that event's is too late"
    ))
}

/// A refusal of which only the reasons are known.
pub(crate) fn refuse_plainly(event: &RecordedEvent, index: Option<usize>, reasons: Vec<Reason>) -> Refusal {
    Refusal {
        refused: true,
        event_type: event.proposed.event_type.clone(),
        scope: event.proposed.scope.clone(),
        index,
        reasons,
        accepts_now: Vec::new(),
        path: None,
        path_steps: Vec::new(),
        path_note: None,
        gaps: Vec::new(),
        lawful_between: None,
        loses_footing: Vec::new(),
    }
}

/// The scope with the parents of its entities.
fn full_scope(definition: &Definition, status: &Status, scope: &Scope) -> Scope {
    let mut full = scope.clone();
    for entity in status.closure(definition, scope) {
        let entity = status.entity(entity);
        if let Some(kind) = entity.kind {
            full.entry(definition.kinds[kind.index()].name.clone()).or_insert_with(|| entity.id.to_string());
        }
    }
    full
}

/// The gaps as a refusal names them.
fn gap_names(definition: &Definition, missing: Missing) -> Vec<String> {
    let Missing::Steps(steps) = missing else { return Vec::new() };
    steps
        .iter()
        .map(|alternatives| {
            let mut names: Vec<&str> = alternatives
                .iter()
                .map(|missing| definition.event_type(missing.event_type).name.as_str())
                .collect();
            names.dedup();
            names.join(" or ")
        })
        .collect()
}

/// A reason of which only rule, class and sentence are known.
pub(crate) fn plain(rule: &str, class: RuleClass, message: String) -> Reason {
    Reason {
        rule: rule.to_owned(),
        class,
        message,
        basis: None,
        failed: Vec::new(),
        strand: None,
        entity: None,
        state: None,
    }
}

fn placed(
    rule: &str,
    message: String,
    definition: &Definition,
    before: &Status,
    question: &Question<'_>,
    (strand, entity, state): (StrandId, EntityId, Option<StateId>),
) -> Reason {
    let machine = &definition.strands[strand.index()];
    Reason {
        strand: Some(machine.name.clone()),
        entity: entity_name(definition, before, question, entity),
        state: state.map(|state| machine.states[state.index()].name.clone()),
        ..plain(rule, RuleClass::Logical, message)
    }
}

fn authority(definition: &Definition, question: &Question<'_>, unmet: &Unmet) -> Reason {
    let event_type = definition.event_type(question.event_type);
    let role = question.facts.recorder_role.unwrap_or("nobody");
    let title = quoted(&event_type.title);
    let roles = event_type.record.iter().map(|role| definition.roles[role.index()].name.as_str());
    let (rule, message) = match unmet {
        Unmet::UnknownRole => {
            let known = listed(definition.roles.iter().map(|role| role.name.as_str()), "or");
            ("engine:role", format!("{role} is no role of {}; use {known}", definition.name))
        }
        Unmet::Role => {
            ("engine:role", format!("a {role} may not record {title}; it takes {}", listed(roles, "or")))
        }
        Unmet::Body => {
            let bodies = listed(event_type.decide.iter().map(String::as_str), "or");
            let given = match question.facts.decider_body {
                Some(body) => format!("{body} may not decide {title}; it is for {bodies}"),
                None => format!("{title} is a decision: say whose with decided_by; it is for {bodies}"),
            };
            ("engine:decider", given)
        }
        Unmet::Duty { other } => {
            let person = question.facts.recorder_id.unwrap_or("this person");
            let other = &definition.roles[other.index()].name;
            let message = format!(
                "{person} has acted as {other} in this case and may not act as {role} too: the duties are separate"
            );
            ("engine:separate-duties", message)
        }
        _ => ("engine:authority", format!("{title} may not be recorded")),
    };
    plain(rule, RuleClass::Authority, message)
}

fn rule(
    definition: &Definition,
    before: &Status,
    question: &Question<'_>,
    index: usize,
    class: RuleClass,
) -> Reason {
    let rule = &definition.event_type(question.event_type).rules[index];
    let (introduced, _) = status_for(definition, before, question);
    let status = introduced.as_ref().unwrap_or(before);
    let closure = status.closure(definition, question.scope);
    let scene = Scene { definition, status, closure, event: Some(question.facts) };
    Reason {
        rule: rule.id.clone(),
        class,
        message: rule.message.render(definition, &scene),
        basis: rule.basis.clone(),
        failed: rule.require.explain(definition, &scene),
        strand: None,
        entity: None,
        state: None,
    }
}

fn scope_message(definition: &Definition, problem: &ScopeProblem) -> String {
    let kind = |kind: &KindId| definition.kinds[kind.index()].name.as_str();
    match problem {
        ScopeProblem::Unknown { kind: id_kind, id } => {
            let introducing = definition.kinds[id_kind.index()]
                .introduced_by
                .iter()
                .map(|event| definition.event_type(*event).name.as_str());
            let introducing = listed(introducing, "or");
            let kind = kind(id_kind);
            if is_to_come(id) {
                format!("this case has no {kind} yet; one is introduced by {introducing}")
            } else {
                format!("this case has no {kind} {id} at this point; one is introduced by {introducing}")
            }
        }
        ScopeProblem::OtherParent { kind: id_kind, id, parent, named } => {
            format!("{} {id} belongs to {parent}, not to {named}", kind(id_kind))
        }
        ScopeProblem::Exists { kind: id_kind, id, introduced_by } => format!(
            "{} {id} exists already: event {introduced_by} introduced it; give the new one another id",
            kind(id_kind)
        ),
        ScopeProblem::NoParent { kind: id_kind, id, parent } => {
            format!("{} {id} is new: say which {} it belongs to", kind(id_kind), kind(parent))
        }
    }
}

fn branch_fields(
    definition: &Definition,
    strand: StrandId,
    state: Option<StateId>,
    question: &Question<'_>,
) -> String {
    let branches =
        super::status::branches_for(&definition.strands[strand.index()], state, question.event_type);
    let mut wanted: Vec<String> = Vec::new();
    for (field, values) in branches.unwrap_or_default().iter().flat_map(|branch| &branch.matches) {
        for value in values {
            let text = format!("{field}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            if !wanted.contains(&text) {
                wanted.push(text);
            }
        }
    }
    listed(wanted.iter().map(String::as_str), "or")
}

/// `the charge of C1`, `the case`.
pub(crate) fn strand_of(
    definition: &Definition,
    status: &Status,
    strand: StrandId,
    entity: EntityId,
) -> String {
    let title = &definition.strands[strand.index()].title;
    if entity == EntityId::CASE {
        return format!("the strand {}", quoted(title));
    }
    let known = status.entities().nth(entity.0 as usize);
    let id = known.map_or("the new one", |(_, entity)| &entity.id);
    format!("the strand {} of {id}", quoted(title))
}

fn entity_name(
    definition: &Definition,
    before: &Status,
    question: &Question<'_>,
    entity: EntityId,
) -> Option<String> {
    if entity == EntityId::CASE {
        return None;
    }
    let (introduced, _) = status_for(definition, before, question);
    Some(introduced.as_ref().unwrap_or(before).entity(entity).id.to_string())
}

/// What the strands that own the event would accept in the states that they are in.
pub(crate) fn accepted_now(definition: &Definition, before: &Status, question: &Question<'_>) -> Vec<String> {
    let (introduced, _) = status_for(definition, before, question);
    let status = introduced.as_ref().unwrap_or(before);
    let closure = status.closure(definition, question.scope);
    let mut accepted = Vec::new();
    for (strand_id, ownership) in &definition.event_type(question.event_type).moves {
        let strand = &definition.strands[strand_id.index()];
        let states = closure.iter().filter_map(|entity| status.strand(*entity, *strand_id));
        for at in states.filter(|_| *ownership == Ownership::Owns) {
            for event in &definition.events {
                let Some(id) = definition.event(&event.name) else { continue };
                let owned = event.moves.contains(&(*strand_id, Ownership::Owns));
                if owned
                    && super::status::branches_for(strand, at.state, id).is_some()
                    && !accepted.contains(&event.name)
                {
                    accepted.push(event.name.clone());
                }
            }
        }
    }
    accepted
}

pub(crate) fn quoted(text: &str) -> String {
    format!("“{text}”")
}

/// `a, b or c`.
pub(crate) fn listed<'n>(names: impl Iterator<Item = &'n str>, conjunction: &str) -> String {
    let names: Vec<&str> = names.collect();
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} {conjunction} {last}", rest.join(", ")),
    }
}
