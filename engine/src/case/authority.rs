//! Who may override a rule, and who may correct or annul.

use std::sync::Arc;

use super::effective::EffectiveEvent;
use super::event::{RecordedEvent, Recorder};
use super::explain::{explain, listed, plain};
use super::judge::{Judgement, Question, Unmet, judge};
use super::refusal::Reason;
use super::status::Status;
use crate::definition::{Definition, RuleClass};

/// Whether the recorder's role may record against a logical rule.
pub(crate) fn may_override(definition: &Definition, by: &Recorder) -> bool {
    definition.role(&by.role).is_some_and(|role| definition.roles[role.index()].may_override)
}

/// Whether an event may stand at its place: it is legal there, or its own override sets aside what is in the way.
pub(crate) fn stands(definition: &Definition, event: &EffectiveEvent, judgement: &Judgement) -> bool {
    let mut blocking = judgement.unmet.iter().filter(|unmet| unmet.blocks());
    let proposed = &event.recorded.proposed;
    let is_overridden = proposed.override_given.is_some()
        && !event.is_gap()
        && may_override(definition, &proposed.recorded_by);
    judgement.is_legal() || (is_overridden && blocking.all(Unmet::may_be_overridden))
}

/// Why an override does not help, if it does not.
pub(crate) fn override_reason(
    definition: &Definition,
    event: &RecordedEvent,
    blocking: &[&Unmet],
) -> Option<Reason> {
    let role = &event.proposed.recorded_by.role;
    let message = if !may_override(definition, &event.proposed.recorded_by) {
        let who = definition.roles.iter().filter(|role| role.may_override).map(|role| role.name.as_str());
        format!("a {role} may not override; that takes {}", listed(who, "or"))
    } else if blocking.iter().any(|unmet| !unmet.may_be_overridden()) {
        "rules of authority, and of what an event is about, cannot be overridden".to_owned()
    } else {
        return None;
    };
    Some(plain("engine:override", RuleClass::Authority, message))
}

/// What stands in the way of a correction or annulment itself: who records it, and rules that the definition adds.
pub(crate) fn against_note(definition: &Definition, status: &Status, event: &RecordedEvent) -> Vec<Reason> {
    let Some(event_type) = definition.event(&event.proposed.event_type) else { return Vec::new() };
    let note = EffectiveEvent::plain(event_type, Arc::new(event.clone()));
    let question = Question::about(&note);
    let judgement = judge(definition, status, &question);
    let blocking = judgement.unmet.iter().filter(|unmet| unmet.blocks());
    blocking.map(|unmet| explain(definition, status, &question, unmet)).collect()
}
