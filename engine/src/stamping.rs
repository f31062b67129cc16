//! Stamping: events get their instant, their place in their case's chain and in the store's queue, one batch at a time, so that the
//! order of positions is the order of `recorded_at`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::case::event::{CaseId, Position, RecordedEvent};
use crate::ledger::chain::{leaf_hash, to_base64};
use crate::machine;
use crate::store::{
    Answer, Append, AppendError, EncodedEvent, EventStore, ExpectedVersion, Idempotency, ReadError, codec,
    decode,
};

/// Whoever appends to a store does it through the one of that store.
pub(crate) struct Stamping {
    store: Arc<dyn EventStore>,
    /// Microseconds of the latest `recorded_at`: time never goes backwards within a store.
    latest_micros: AtomicI64,
    /// Held while a batch gets its instant and its place in the store's queue.
    turn: Mutex<()>,
}

/// What a batch continues.
pub(crate) struct Stamped<'a> {
    pub(crate) case_id: CaseId,
    pub(crate) reference: &'a str,
    pub(crate) expected: ExpectedVersion,
    pub(crate) idempotency: Option<Idempotency>,
    /// Leaf hash of the case's last event.
    pub(crate) leaf: Option<[u8; 32]>,
    /// When the case's last event was recorded.
    pub(crate) not_before: Option<Timestamp>,
}

impl Stamping {
    pub(crate) fn over(store: Arc<dyn EventStore>) -> Result<Self, ReadError> {
        let head = *store.head().borrow();
        let last = store.read_log(Position(head.0.saturating_sub(1)), 1)?;
        let latest = match last.first() {
            Some(stored) => decode(stored)?.recorded_at.as_microsecond(),
            None => i64::MIN,
        };
        Ok(Self { store, latest_micros: AtomicI64::new(latest), turn: Mutex::new(()) })
    }

    pub(crate) fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// Now, in whole microseconds, and never before this instant or the last event of the store.
    pub(crate) fn recorded_at(&self, not_before: Option<Timestamp>) -> Timestamp {
        let last = not_before.map_or(i64::MIN, Timestamp::as_microsecond);
        let now = machine::now().as_microsecond().max(last);
        let latest = self.latest_micros.fetch_max(now, Ordering::SeqCst).max(now);
        Timestamp::from_microsecond(latest).unwrap_or_default()
    }

    /// Gives the events their instant, chains and encodes them, and queues them. Answers with the leaf hash of the last.
    pub(crate) fn submit(
        &self,
        batch: Stamped<'_>,
        events: &mut [RecordedEvent],
        answer: Answer,
    ) -> Result<Option<[u8; 32]>, AppendError> {
        let _one_at_a_time = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.recorded_at(batch.not_before);
        let mut leaf = batch.leaf;
        let mut encoded = Vec::with_capacity(events.len());
        for event in events {
            event.recorded_at = now;
            event.prev = leaf.as_ref().map(to_base64);
            let bytes =
                codec::encode(event).map_err(|error| AppendError::Invalid { problem: error.to_string() })?;
            let own = leaf_hash(&bytes);
            leaf = Some(own);
            let (case_id, version) = (event.case_id, event.version);
            encoded.push(EncodedEvent { case_id, version, bytes: Arc::from(bytes), leaf: own });
        }
        let append = Append {
            case_id: batch.case_id,
            reference: batch.reference.to_owned(),
            expected: batch.expected,
            events: encoded,
            idempotency: batch.idempotency,
        };
        self.store.submit(append, answer);
        Ok(leaf)
    }
}
