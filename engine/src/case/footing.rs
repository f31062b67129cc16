//! What a new timeline does to the events that were there before.

use std::collections::HashMap;
use std::sync::Arc;

use super::event::{EventId, RecordedEvent};
use super::explain::explain;
use super::judge::{Judgement, Question};
use super::refusal::{LosesFooting, Reason};
use super::state::CaseState;

/// Events that would be legal no longer, and events that would break a compliance rule that they did not break before.
pub(crate) struct Footing {
    pub(crate) lost: Vec<LosesFooting>,
    pub(crate) breached: Vec<(Arc<RecordedEvent>, Reason)>,
}

/// Compares two timelines of one case. Events recorded against a rule by authority have no footing to lose.
pub(crate) fn footing(before: &CaseState, after: &CaseState) -> Footing {
    let definition = after.definition();
    let old: HashMap<EventId, Judgement> =
        before.judgements().into_iter().map(|(event, judgement)| (event.id(), judgement)).collect();
    let mut footing = Footing { lost: Vec::new(), breached: Vec::new() };
    for (event, judgement) in after.judgements() {
        let of_the_batch = !old.contains_key(&event.id());
        let none = Judgement::default();
        let previous = old.get(&event.id()).unwrap_or(&none);
        if event.recorded.proposed.override_given.is_some() {
            continue;
        }
        let status = || after.status_before(event.id());
        if !judgement.is_legal() && previous.is_legal() {
            let question = Question::about(&event);
            let before_it = status();
            let blocking = judgement.unmet.iter().filter(|unmet| unmet.blocks());
            footing.lost.push(LosesFooting {
                version: event.version(),
                event_type: event.recorded.proposed.event_type.clone(),
                reasons: blocking.map(|unmet| explain(definition, &before_it, &question, unmet)).collect(),
            });
        }
        if of_the_batch {
            continue;
        }
        let newly = judgement.unmet.iter().filter(|unmet| !unmet.blocks() && !previous.unmet.contains(unmet));
        for unmet in newly {
            let reason = explain(definition, &status(), &Question::about(&event), unmet);
            footing.breached.push((Arc::clone(&event.recorded), reason));
        }
    }
    footing
}
