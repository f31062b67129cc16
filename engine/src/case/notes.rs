//! What the engine itself has to note about an event: the gaps that it proves, and the rules that it broke.

use serde_json::{Value, json};

use super::candidate::MissingEvent;
use super::effective::missing_of;
use super::event::{Asserted, EventId, Payload, ProposedEvent, RecordedEvent, engine_types};
use super::occurred::{Basis, Occurred};
use super::refusal::Reason;
use crate::definition::Definition;

/// A gap that stands between the one before it and the event that proves it.
pub(crate) fn gap(
    definition: &Definition,
    proof: &RecordedEvent,
    alternatives: &[MissingEvent],
    previous: Option<EventId>,
) -> ProposedEvent {
    let mut occurred = Occurred::unknown().with_basis(Basis::Inferred);
    occurred.after = previous.iter().map(EventId::to_string).collect();
    occurred.before = vec![proof.id.to_string()];
    ProposedEvent {
        scope: alternatives.first().map(|missing| missing.scope.clone()).unwrap_or_default(),
        occurred: Some(occurred),
        data: gap_data(definition, proof, alternatives),
        asserted: Asserted::Inferred,
        source: proof.proposed.source.clone(),
        ..ProposedEvent::new(engine_types::GAP_DECLARED, proof.proposed.recorded_by.clone())
    }
}

/// A compliance rule that an event did not meet.
pub(crate) fn breach(event: &RecordedEvent, reason: &Reason) -> ProposedEvent {
    let mut data = Payload::new();
    data.insert("rule".into(), json!(reason.rule));
    data.insert("event".into(), json!(event.id.to_string()));
    data.insert("message".into(), json!(reason.message));
    if let Some(basis) = &reason.basis {
        data.insert("basis".into(), json!(basis));
    }
    ProposedEvent {
        scope: event.proposed.scope.clone(),
        data,
        asserted: Asserted::Inferred,
        ..ProposedEvent::new(engine_types::BREACH_NOTED, event.proposed.recorded_by.clone())
    }
}

/// What `gap-declared` says of the missing event.
fn gap_data(definition: &Definition, proof: &RecordedEvent, alternatives: &[MissingEvent]) -> Payload {
    let missing = missing_of(&proof.proposed.data);
    let proof = match missing.first() {
        Some((missing, _)) if proof.proposed.event_type == engine_types::GAP_DECLARED => missing,
        _ => proof.proposed.event_type.as_str(),
    };
    let one = |missing: &MissingEvent| {
        let mut fields = Payload::new();
        let name = definition.event_type(missing.event_type).name.clone();
        fields.insert("missing_type".into(), Value::String(name));
        if !missing.data.is_empty() {
            fields.insert("missing_data".into(), Value::Object(missing.data.clone()));
        }
        fields
    };
    let mut data = match alternatives {
        [only] => one(only),
        several => {
            let list = several.iter().map(|missing| Value::Object(one(missing))).collect();
            Payload::from_iter([("one_of".to_owned(), Value::Array(list))])
        }
    };
    data.insert(
        "why_known".into(),
        Value::String(format!("{proof} happened, and cannot have happened without it")),
    );
    data
}
