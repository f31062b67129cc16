//! Whether an append may be made: the same judgement in every store.

use sha2::{Digest, Sha256};

use crate::case::event::Version;

use super::{
    Append, AppendError, Appended, BATCH_EVENTS_MAX, CaseHead, EVENT_BYTES_MAX, ExpectedVersion, Idempotency,
    StoredEvent,
};

/// The longest reference of a case, bytes.
pub const REFERENCE_BYTES_MAX: usize = 1024;
/// The longest idempotency key, bytes.
pub const KEY_BYTES_MAX: usize = 255;

/// The leaf hash of RFC 6962: SHA-256 of 0x00 and the bytes.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(bytes);
    hash.finalize().into()
}

/// Checks what can be checked of an append without knowing the case.
pub(super) fn check_shape(append: &Append) -> Result<(), AppendError> {
    match shape_problem(append) {
        Some(problem) => Err(AppendError::Invalid { problem }),
        None => Ok(()),
    }
}

fn shape_problem(append: &Append) -> Option<String> {
    if append.events.is_empty() {
        return Some("it has no events".to_owned());
    }
    if append.events.len() > BATCH_EVENTS_MAX {
        return Some(format!("it has {} events, at most {BATCH_EVENTS_MAX} are taken", append.events.len()));
    }
    if append.reference.is_empty() || append.reference.len() > REFERENCE_BYTES_MAX {
        return Some(format!("a reference has 1 to {REFERENCE_BYTES_MAX} bytes"));
    }
    if let Some(idempotency) = &append.idempotency
        && (idempotency.key.is_empty() || idempotency.key.len() > KEY_BYTES_MAX)
    {
        return Some(format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes"));
    }
    let mut expected = append.events.first().map_or(Version(0), |event| event.version);
    if expected.0 == 0 {
        return Some("versions begin at 1".to_owned());
    }
    for event in &append.events {
        let version = event.version;
        if event.case_id != append.case_id {
            return Some(format!("event {version} is of another case"));
        }
        if version != expected {
            return Some(format!("event {version} stands where {expected} should"));
        }
        if event.bytes.is_empty() || event.bytes.len() > EVENT_BYTES_MAX {
            return Some(format!(
                "event {version} has {} bytes, 1 to {EVENT_BYTES_MAX} are taken",
                event.bytes.len()
            ));
        }
        if leaf_hash(&event.bytes) != event.leaf {
            return Some(format!("the leaf hash of event {version} is not that of its bytes"));
        }
        expected = version.next();
    }
    None
}

/// The answer that was given under the same key; an error where the key was used for another request.
pub(super) fn answer_again(
    asked: &Idempotency,
    kept: &Idempotency,
    answer: &Appended,
) -> Result<Appended, AppendError> {
    if asked.request_hash == kept.request_hash {
        Ok(Appended { replayed: true, ..answer.clone() })
    } else {
        Err(AppendError::KeyReused { key: asked.key.clone() })
    }
}

/// Checks the versions against the case's head, `None` where there is no such case.
///
/// The batch's own first version is an expectation too: it was decided on the state before it.
pub(super) fn check_versions(append: &Append, head: Option<&CaseHead>) -> Result<(), AppendError> {
    let actual = head.map_or(Version(0), |head| head.version);
    let met = match append.expected {
        ExpectedVersion::Any => true,
        ExpectedVersion::NoCase => actual.0 == 0,
        ExpectedVersion::Exists => actual.0 > 0,
        ExpectedVersion::Exactly(version) => version == actual,
    };
    if !met {
        return Err(AppendError::Conflict { expected: append.expected, actual });
    }
    let first = append.events.first().map_or(Version(0), |event| event.version);
    if first != actual.next() {
        let decided_on = Version(first.0.saturating_sub(1));
        return Err(AppendError::Conflict { expected: ExpectedVersion::Exactly(decided_on), actual });
    }
    match head {
        Some(head) if head.reference != append.reference => Err(AppendError::Invalid {
            problem: format!("the case's reference is {}, not {}", head.reference, append.reference),
        }),
        _ => Ok(()),
    }
}

/// Whether an event's bytes are those that were recorded.
pub(super) fn is_whole(event: &StoredEvent) -> bool {
    leaf_hash(&event.bytes) == event.leaf
}
