//! Whether one event is legal at one place of a timeline, and if not, every reason.
//!
//! The same judgement serves recording, the check that later events keep their footing, the search for a path,
//! and verification. It costs no words: [`super::explain`] turns what is unmet into sentences.

use super::effective::EffectiveEvent;
use super::event::{Version, engine_types};
use super::occurred::Bounds;
use super::status::{Scene, ScopeProblem, Status, branches_for};
use crate::definition::condition::{Cause, EntityId, EventFacts, Truth};
use crate::definition::{
    Definition, EventType, EventTypeId, Introduction, Ownership, RoleId, Rule, RuleClass, StateId, StrandId,
};

/// An event as it is judged: real, or one that is only asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) event_type: EventTypeId,
    pub(crate) scope: &'a super::event::Scope,
    pub(crate) facts: EventFacts<'a>,
    /// The payload that moves strands.
    pub(crate) data: &'a super::event::Payload,
    /// Its place in the record.
    pub(crate) version: Version,
    /// It stands for an event that is missing: whose record or decision it was is not asked.
    pub(crate) is_gap: bool,
}

impl<'a> Question<'a> {
    /// About an event that is part of a timeline, or is to be.
    pub(crate) fn about(event: &'a EffectiveEvent) -> Self {
        Self {
            event_type: event.event_type,
            scope: event.scope(),
            facts: event.facts(),
            data: event.data(),
            version: event.version(),
            is_gap: event.is_gap(),
        }
    }

    /// Whether nobody has said yet who records it.
    fn is_hypothetical(&self) -> bool {
        self.facts.recorder_role.is_none()
    }
}

/// One thing that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unmet {
    Scope(ScopeProblem),
    /// The strand is in a state that has no row for the event.
    NoTransition {
        strand: StrandId,
        entity: EntityId,
        state: Option<StateId>,
    },
    /// There is a row, but no branch matches the event's fields.
    NoBranch {
        strand: StrandId,
        entity: EntityId,
        state: Option<StateId>,
    },
    Closed,
    UnknownRole,
    Role,
    Body,
    /// The person has acted in a role that this one excludes.
    Duty {
        other: RoleId,
    },
    Rule {
        index: usize,
        unknown: bool,
        class: RuleClass,
    },
}

impl Unmet {
    /// The class under which it is answered.
    pub(crate) fn class(&self) -> RuleClass {
        match self {
            Self::Scope(_) | Self::NoTransition { .. } | Self::NoBranch { .. } | Self::Closed => {
                RuleClass::Logical
            }
            Self::UnknownRole | Self::Role | Self::Body | Self::Duty { .. } => RuleClass::Authority,
            Self::Rule { class, .. } => *class,
        }
    }

    /// Whether the event may not be recorded because of it.
    pub(crate) fn blocks(&self) -> bool {
        self.class() != RuleClass::Compliance
    }

    /// Whether authority and reason may set it aside.
    pub(crate) fn may_be_overridden(&self) -> bool {
        matches!(self.class(), RuleClass::Logical | RuleClass::Gap) && !matches!(self, Self::Scope(_))
    }
}

/// What was found about one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) unmet: Vec<Unmet>,
    /// Rules that passed only because dates do not decide, or a fact is not known, or the law is uncertain.
    pub(crate) unproven: Vec<usize>,
}

impl Judgement {
    pub(crate) fn is_legal(&self) -> bool {
        !self.unmet.iter().any(Unmet::blocks)
    }

    /// Compliance rules that are definitely not met.
    pub(crate) fn breaches(&self) -> impl Iterator<Item = usize> + '_ {
        self.unmet.iter().filter_map(|unmet| match unmet {
            Unmet::Rule { index, class: RuleClass::Compliance, .. } => Some(*index),
            _ => None,
        })
    }
}

/// The status as the event's rules see it: the entities that the event itself introduces are there.
pub(crate) fn status_for(
    definition: &Definition,
    before: &Status,
    question: &Question<'_>,
) -> (Option<Status>, Vec<ScopeProblem>) {
    let event_type = definition.event_type(question.event_type);
    let mut problems = Vec::new();
    // What names only entities that are there, each of the parent that is named with it, is judged without a copy.
    let fits = question.scope.iter().all(|(name, id)| {
        let Some(kind) = definition.kind(name) else { return false };
        let Some(entity) = before.find(kind, id) else { return false };
        let parent = before.entity(entity).parent.map(|parent| before.entity(parent));
        let named =
            parent.and_then(|parent| question.scope.get(&definition.kinds[parent.kind?.index()].name));
        event_type.introduction_of(kind) != Introduction::Always
            && named.is_none_or(|named| parent.is_some_and(|parent| *parent.id == **named))
    });
    if fits {
        return (None, problems);
    }
    let mut status = before.clone();
    let data = (question.facts.data, question.facts.absent);
    problems.extend(status.introduce(definition, question.event_type, question.scope, data, Version(0)));
    (Some(status), problems)
}

/// Judges an event against the status at its place.
pub(crate) fn judge(definition: &Definition, before: &Status, question: &Question<'_>) -> Judgement {
    judge_until(definition, before, question, |_| false)
}

/// Whether nothing that stands in the way of an event refuses it. Stops at the first that does.
pub(crate) fn passes(
    definition: &Definition,
    before: &Status,
    question: &Question<'_>,
    refuses: impl Fn(&Unmet) -> bool,
) -> bool {
    let judgement = judge_until(definition, before, question, &refuses);
    !judgement.unmet.iter().any(refuses)
}

/// Judges an event until something is found that is enough to know.
fn judge_until(
    definition: &Definition,
    before: &Status,
    question: &Question<'_>,
    is_enough: impl Fn(&Unmet) -> bool,
) -> Judgement {
    let (introduced, scope_problems) = status_for(definition, before, question);
    let status = introduced.as_ref().unwrap_or(before);
    let event_type = definition.event_type(question.event_type);
    let mut judgement = Judgement::default();
    judgement.unmet.extend(scope_problems.into_iter().map(Unmet::Scope));
    if !judgement.unmet.is_empty() {
        return judgement;
    }
    let closure = status.closure(definition, question.scope);
    judge_strands(definition, status, &closure, question, &mut judgement);
    if judgement.unmet.iter().any(&is_enough) {
        return judgement;
    }
    if !question.is_hypothetical() {
        judge_authority(definition, before, event_type, question, &mut judgement);
    }
    let scene = Scene { definition, status, closure, event: Some(question.facts) };
    let is_asked = |rule: &Rule| !(question.is_gap && rule.class == RuleClass::Authority);
    for (index, rule) in event_type.rules.iter().enumerate().filter(|(_, rule)| is_asked(rule)) {
        judge_rule(rule, index, question.is_gap, &scene, &mut judgement);
        if judgement.unmet.last().is_some_and(&is_enough) {
            break;
        }
    }
    judgement
}

fn judge_strands(
    definition: &Definition,
    status: &Status,
    closure: &[EntityId],
    question: &Question<'_>,
    judgement: &mut Judgement,
) {
    let event_type = definition.event_type(question.event_type);
    if event_type.always_accepted {
        return;
    }
    let mut leaves_closed = false;
    let is_closed = closed_state(definition, status);
    for (strand_id, ownership) in &event_type.moves {
        let strand = &definition.strands[strand_id.index()];
        for &entity in closure {
            let Some(at) = status.strand(entity, *strand_id) else { continue };
            let branches = branches_for(strand, at.state, question.event_type);
            leaves_closed |= branches.is_some()
                && is_closed
                && definition.after_closing.as_ref().is_some_and(|closing| closing.strand == *strand_id);
            if *ownership == Ownership::Observes {
                continue;
            }
            let place = (*strand_id, entity, at.state);
            match branches {
                None => judgement.unmet.push(Unmet::NoTransition {
                    strand: place.0,
                    entity: place.1,
                    state: place.2,
                }),
                Some(branches) => {
                    let undecided = question.facts.absent == Some(Cause::Open);
                    let taken = branches.iter().any(|branch| {
                        branch.matches(|field| question.data.get(field))
                            || (undecided && may_match(branch, question))
                    });
                    if !taken {
                        judgement.unmet.push(Unmet::NoBranch {
                            strand: place.0,
                            entity: place.1,
                            state: place.2,
                        });
                    }
                }
            }
        }
    }
    if is_closed && !leaves_closed {
        let accepted = definition
            .after_closing
            .as_ref()
            .is_some_and(|closing| closing.accept.contains(&question.event_type));
        if !accepted {
            judgement.unmet.push(Unmet::Closed);
        }
    }
}

/// Whether an event not written yet may still match: no field that is set says otherwise.
fn may_match(branch: &crate::definition::Branch, question: &Question<'_>) -> bool {
    branch
        .matches
        .iter()
        .all(|(field, values)| question.data.get(field).is_none_or(|value| values.contains(value)))
}

/// Whether the case is closed at this point.
pub(crate) fn closed_state(definition: &Definition, status: &Status) -> bool {
    definition.after_closing.as_ref().is_some_and(|closing| {
        status.strand(EntityId::CASE, closing.strand).and_then(|at| at.state) == Some(closing.state)
    })
}

fn judge_authority(
    definition: &Definition,
    before: &Status,
    event_type: &EventType,
    question: &Question<'_>,
    judgement: &mut Judgement,
) {
    let role = question.facts.recorder_role.and_then(|role| definition.role(role));
    let recording = if question.is_gap {
        definition.event(engine_types::GAP_DECLARED).map_or(event_type, |gap| definition.event_type(gap))
    } else {
        event_type
    };
    match role {
        None => judgement.unmet.push(Unmet::UnknownRole),
        Some(role) if !recording.record.is_empty() && !recording.record.contains(&role) => {
            judgement.unmet.push(Unmet::Role);
        }
        Some(role) => {
            if let Some(other) = excluded_by(definition, before, question, role) {
                judgement.unmet.push(Unmet::Duty { other });
            }
        }
    }
    if !event_type.decide.is_empty() && !question.is_gap {
        let allowed = question
            .facts
            .decider_body
            .is_some_and(|body| event_type.decide.iter().any(|decides| decides == body));
        if !allowed {
            judgement.unmet.push(Unmet::Body);
        }
    }
}

/// A role in which the same person has acted before and that may not be combined with this one.
fn excluded_by(
    definition: &Definition,
    before: &Status,
    question: &Question<'_>,
    role: RoleId,
) -> Option<RoleId> {
    let id = question.facts.recorder_id?;
    definition.separate_duties.iter().filter(|set| set.contains(&role)).find_map(|set| {
        before
            .roles_of(id, question.version)
            .filter_map(|held| definition.role(held))
            .find(|held| *held != role && set.contains(held))
    })
}

/// A missing event cannot say what it said: what is unknown does not stand in its way.
fn judge_rule(rule: &Rule, index: usize, is_gap: bool, scene: &Scene<'_>, judgement: &mut Judgement) {
    let Some(in_force) = asked_under(rule, scene) else { return };
    let uncertain = in_force != Truth::True;
    let class =
        if uncertain && rule.class == RuleClass::Logical { RuleClass::Compliance } else { rule.class };
    match rule.require.evaluate(scene) {
        Truth::True => {}
        Truth::Unknown(Cause::Order | Cause::Open) => judgement.unproven.push(index),
        Truth::Unknown(Cause::Missing) if is_gap || class == RuleClass::Compliance => {
            judgement.unproven.push(index);
        }
        Truth::Unknown(Cause::Missing) => judgement.unmet.push(Unmet::Rule { index, unknown: true, class }),
        Truth::False => judgement.unmet.push(Unmet::Rule { index, unknown: false, class }),
    }
    if uncertain && !judgement.unproven.contains(&index) {
        judgement.unproven.push(index);
    }
}

/// Whether the rule was law, where it is asked at all; `None` where it is not.
fn asked_under(rule: &Rule, scene: &Scene<'_>) -> Option<Truth> {
    if let Some(when) = &rule.when
        && when.evaluate(scene) != Truth::True
    {
        return None;
    }
    let in_force = match &rule.dated {
        None => Truth::True,
        Some(dated) => match scene.status.happened(EntityId::CASE, dated.pinned_by) {
            None => Truth::Unknown(Cause::Missing),
            Some((_, pin)) => within(pin.occurred().bounds(), dated),
        },
    };
    (in_force != Truth::False).then_some(in_force)
}

/// What each rule that is asked of the event answers: the rule's index, and whether it is met.
pub(crate) fn rule_answers(
    definition: &Definition,
    before: &Status,
    question: &Question<'_>,
) -> Vec<(usize, Truth)> {
    let (introduced, _) = status_for(definition, before, question);
    let status = introduced.as_ref().unwrap_or(before);
    let closure = status.closure(definition, question.scope);
    let scene = Scene { definition, status, closure, event: Some(question.facts) };
    let rules = definition.event_type(question.event_type).rules.iter().enumerate();
    let asked = rules.filter(|(_, rule)| asked_under(rule, &scene).is_some());
    asked.map(|(index, rule)| (index, rule.require.evaluate(&scene))).collect()
}

/// Whether a date lies within a law's time in force.
fn within(date: Bounds, dated: &crate::definition::DatedLaw) -> Truth {
    let starts = dated.from.map_or(Truth::True, |from| match (date.earliest, date.latest) {
        (Some(earliest), _) if earliest >= from => Truth::True,
        (_, Some(latest)) if latest < from => Truth::False,
        _ => Truth::Unknown(Cause::Order),
    });
    let ends = dated.until.map_or(Truth::True, |until| match (date.earliest, date.latest) {
        (_, Some(latest)) if latest < until => Truth::True,
        (Some(earliest), _) if earliest >= until => Truth::False,
        _ => Truth::Unknown(Cause::Order),
    });
    match (starts, ends) {
        (Truth::False, _) | (_, Truth::False) => Truth::False,
        (Truth::True, Truth::True) => Truth::True,
        _ => Truth::Unknown(Cause::Order),
    }
}
