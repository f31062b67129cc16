//! Appends for the tests of stores, made from numbers: who knows the number knows the bytes.
#![expect(clippy::unwrap_used, reason = "only tests call this")]

use std::sync::Arc;

use casebook_engine::case::event::{CaseId, Position, Version};
use casebook_engine::store::{Append, EncodedEvent, EventStore, ExpectedVersion, Idempotency, StoredEvent};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The id of case number `n`.
#[must_use]
pub fn case_id(number: u64) -> CaseId {
    CaseId(Uuid::from_u64_pair(0x0192_0000_0000_7000, 0x8000_0000_0000_0000 | number))
}

/// The leaf hash, computed without the engine.
#[must_use]
pub fn leaf(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest([&[0], bytes].concat()).into()
}

/// The bytes of an event: JSON that names its place, as long as a small real one.
///
/// # Panics
/// Never.
#[must_use]
pub fn bytes(case: u64, version: u64) -> Vec<u8> {
    let filling = "x".repeat(usize::try_from((case * 7 + version * 13) % 200).unwrap());
    format!(r#"{{"case":"REF-{case}","filling":"{filling}","version":{version}}}"#).into_bytes()
}

/// An event of given bytes.
#[must_use]
pub fn event(case: u64, version: u64, bytes: Vec<u8>) -> EncodedEvent {
    let leaf = leaf(&bytes);
    EncodedEvent { case_id: case_id(case), version: Version(version), bytes: Arc::from(bytes), leaf }
}

/// An append of `count` events that continue the case after `after`.
#[must_use]
pub fn append(case: u64, after: u64, count: u64) -> Append {
    Append {
        case_id: case_id(case),
        reference: format!("REF-{case}"),
        expected: ExpectedVersion::Exactly(Version(after)),
        events: (after + 1..=after + count)
            .map(|version| event(case, version, bytes(case, version)))
            .collect(),
        idempotency: None,
    }
}

/// The same under an idempotency key, for a request of this content.
#[must_use]
pub fn under_key(append: Append, key: &str, request: &str) -> Append {
    let request_hash = Sha256::digest(request).into();
    let idempotency = Idempotency { key: key.to_owned(), request_hash, at_micros: 1_700_000_000_000_000 };
    Append { idempotency: Some(idempotency), ..append }
}

/// Reads the whole log by pages, checking that positions and each case's versions have no holes.
///
/// # Panics
/// When they have.
#[track_caller]
pub fn whole_log(store: &dyn EventStore) -> Vec<StoredEvent> {
    let mut log: Vec<StoredEvent> = Vec::new();
    let mut versions = std::collections::HashMap::new();
    loop {
        let after = Position(log.len() as u64);
        let page = store.read_log(after, 777).unwrap();
        if page.is_empty() {
            break;
        }
        for event in page {
            assert_eq!(event.position, Position(log.len() as u64 + 1), "positions have no holes");
            let version = versions.entry(event.case_id).or_insert(0_u64);
            *version += 1;
            assert_eq!(event.version, Version(*version), "versions have no holes");
            assert_eq!(leaf(&event.bytes), event.leaf);
            log.push(event);
        }
    }
    assert_eq!(*store.head().borrow(), Position(log.len() as u64));
    log
}
