//! What a new timeline does to the events that were there before, and which event of the record did it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::authority::{may_override, stands};
use super::effective::EffectiveEvent;
use super::event::{EventId, Position, RecordedEvent, engine_types};
use super::explain::explain;
use super::judge::{Judgement, Question, judge};
use super::refusal::{LosesFooting, Reason};
use super::state::CaseState;
use crate::definition::Definition;

/// Events that would be legal no longer, and events that would break a compliance rule that they did not break before.
pub(crate) struct Footing {
    pub(crate) lost: Vec<(EventId, LosesFooting)>,
    pub(crate) breached: Vec<(Arc<RecordedEvent>, Reason)>,
}

/// An event of a timeline and what was found about it.
pub(crate) type Judged = (Arc<EffectiveEvent>, Judgement);

/// What stands before an adoption that mapped states is compared by the definition of then.
fn earlier_footing(before: &CaseState, after: &CaseState) -> Footing {
    match (before.earlier(), after.earlier()) {
        (_, None) => Footing { lost: Vec::new(), breached: Vec::new() },
        (Some(old), Some(new)) if old.ended_by == new.ended_by => footing(&old.case, &new.case),
        (_, Some(new)) => footing(before, &new.case),
    }
}

/// Compares two timelines of one case. What an event's own override sets aside is no footing that it could lose.
pub(crate) fn footing(before: &CaseState, after: &CaseState) -> Footing {
    compare((before, &before.judgements()), (after, &after.judgements()))
}

/// The same where both timelines have been judged already.
pub(crate) fn compare(
    (before, old): (&CaseState, &[Judged]),
    (after, new): (&CaseState, &[Judged]),
) -> Footing {
    let (definition, earlier) = (after.definition(), before.definition());
    let old: HashMap<EventId, (bool, &Judgement)> = old
        .iter()
        .map(|(event, judgement)| (event.id(), (stands(earlier, event, judgement), judgement)))
        .collect();
    let mut footing = earlier_footing(before, after);
    for (event, judgement) in new {
        let previous = old.get(&event.id());
        let stood = previous.is_none_or(|(stood, _)| *stood);
        let status = || after.status_before(event.id());
        if stood && !stands(definition, event, judgement) {
            let lost = LosesFooting {
                version: event.version(),
                event_type: event.recorded.proposed.event_type.clone(),
                reasons: reasons(after, event, judgement),
            };
            footing.lost.push((event.id(), lost));
        }
        let Some((_, previous)) = previous else { continue };
        if event.recorded.proposed.override_given.is_some() {
            continue;
        }
        let newly = judgement.unmet.iter().filter(|unmet| !unmet.blocks() && !previous.unmet.contains(unmet));
        for unmet in newly {
            let reason = explain(definition, &status(), &Question::about(event), unmet);
            footing.breached.push((Arc::clone(&event.recorded), reason));
        }
    }
    footing
}

/// Why an event may not stand where it does.
pub(crate) fn reasons(state: &CaseState, event: &EffectiveEvent, judgement: &Judgement) -> Vec<Reason> {
    let (definition, before) = (state.definition(), state.status_before(event.id()));
    let question = Question::about(event);
    let blocking = judgement.unmet.iter().filter(|unmet| unmet.blocks());
    blocking.map(|unmet| explain(definition, &before, &question, unmet)).collect()
}

/// Events of the timeline that may not stand at their place, with their judgement.
pub(crate) fn fallen(state: &CaseState) -> Vec<(Arc<EffectiveEvent>, Judgement)> {
    let mut judged = state.judgements();
    judged.retain(|(event, judgement)| !stands(state.definition(), event, judgement));
    judged
}

/// For each of these events that stand no longer: the event that was recorded when it stood last and did not stand after.
/// Itself, if it never stood.
///
/// The record is followed event by event, so the answer is a pure function of the log: whoever reads it later finds
/// the same that was found when it was recorded.
pub(crate) fn takers<'e>(
    before: &CaseState,
    recorded: impl IntoIterator<Item = &'e RecordedEvent>,
    fallen: &HashSet<EventId>,
) -> HashMap<EventId, &'e RecordedEvent> {
    let mut state = before.clone();
    let judged = |state: &CaseState| -> HashMap<EventId, bool> {
        let mut judged = state.judgements();
        judged.retain(|(event, _)| fallen.contains(&event.id()));
        let definition = state.definition();
        judged.iter().map(|(event, judgement)| (event.id(), stands(definition, event, judgement))).collect()
    };
    let mut standing = judged(&state);
    let mut takers = HashMap::new();
    for event in recorded {
        // What joins the end changes nothing for the others.
        let now = match state.at_end(event) {
            Some(plain) if fallen.contains(&event.id) => {
                let definition = state.definition();
                let judgement = judge(definition, state.status(), &Question::about(&plain));
                let mut now = standing.clone();
                now.insert(event.id, stands(definition, &plain, &judgement));
                state.evolve(event.clone(), Position(0));
                now
            }
            Some(_) => {
                state.evolve(event.clone(), Position(0));
                continue;
            }
            None => {
                state.evolve(event.clone(), Position(0));
                judged(&state)
            }
        };
        for (id, stands) in &now {
            if *stands {
                takers.remove(id);
            } else if standing.get(id).copied().unwrap_or(true) {
                takers.insert(*id, event);
            }
        }
        standing = now;
    }
    takers
}

/// Whether the override of the event that took its footing accepts that an event stands no longer. A gap takes it for the
/// event that proves it. What never stood was excused by its own override, or by none.
pub(crate) fn accepts<'e>(
    definition: &Definition,
    fallen: EventId,
    taker: &'e RecordedEvent,
    mut log: impl Iterator<Item = &'e RecordedEvent>,
) -> bool {
    let is_gap = taker.proposed.event_type == engine_types::GAP_DECLARED;
    let answerable = match &taker.causation_id {
        Some(proof) if is_gap => log.find(|event| event.id.to_string() == *proof).unwrap_or(taker),
        _ => taker,
    };
    answerable.id != fallen
        && answerable.proposed.override_given.is_some()
        && may_override(definition, &answerable.proposed.recorded_by)
}
