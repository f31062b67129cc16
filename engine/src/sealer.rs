//! The sealer: before a checkpoint is signed, the ends of all cases are sealed in the log itself.
//!
//! ```text
//! checkpoint   log contradicts the last one? refuse ─► map of case ends to size N ─► heads-sealed {N, cases, root} ─► sign
//! ```
//! The seal says of which size it speaks, so that others may record meanwhile. A log in which nothing came after its last seal
//! gets no other; an empty one gets none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use jiff::Timestamp;

use crate::case::event::{
    CaseId, EventId, Payload, Position, ProposedEvent, RecordedEvent, Recorder, Version, engine_types,
};
use crate::case_ends;
use crate::definition::engine_events::DEFINITION_DIGEST;
use crate::ledger::heads_proof::HeadsProof;
use crate::ledger::proof::EventProof;
use crate::ledger::seal::Seal;
use crate::machine;
use crate::own_case;
use crate::signer::{SignError, SignedCheckpoint, Signer};
use crate::stamping::{Stamped, Stamping};
use crate::store::{CaseHead, CaseKey, EventStore, ExpectedVersion, StoredEvent, decode, writer_gone};

/// Seals and signs for one log.
pub struct Sealer {
    stamping: Arc<Stamping>,
    signer: Signer,
    turn: Mutex<()>,
}

/// A seal, and where it stands.
struct Sealed {
    stored: StoredEvent,
    seal: Seal,
}

impl Sealer {
    pub(crate) fn new(stamping: Arc<Stamping>, signer: Signer) -> Self {
        Self { stamping, signer, turn: Mutex::new(()) }
    }

    /// Who signs.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Seals what there is and signs it: all that is acknowledged, and the seal. Where nothing came since the last time, gives
    /// the last checkpoint again. Blocking.
    ///
    /// # Errors
    /// As [`Signer::sign`]; when the log does not take the seal.
    pub fn checkpoint(&self) -> Result<SignedCheckpoint, SignError> {
        let _turn = self.turn();
        self.seal()?;
        self.signer.sign(self.store())
    }

    /// As [`Sealer::checkpoint`], and proves that an event is in the log.
    ///
    /// # Errors
    /// As [`Sealer::checkpoint`]; when the event is not an event of the log.
    pub fn prove(&self, event: &StoredEvent) -> Result<EventProof, SignError> {
        let _turn = self.turn();
        self.seal()?;
        self.signer.prove(self.store(), event)
    }

    /// As [`Sealer::checkpoint`], and proves how many events a case has by the seal, or that there was no case of this id. `None`
    /// where the log is empty.
    ///
    /// # Errors
    /// As [`Sealer::checkpoint`].
    pub fn prove_end(&self, case_id: CaseId) -> Result<Option<HeadsProof>, SignError> {
        let _turn = self.turn();
        self.seal()?;
        let Some(sealed) = self.last_seal()? else { return Ok(None) };
        let store = self.store();
        case_ends::brought_to(store, Position(sealed.seal.size), Some(&sealed.seal))?;
        let way = case_ends::prove(store, case_id)?;
        let own = case_ends::key(case_id);
        let last = match way.end.filter(|end| end.key == own) {
            Some(end) => store.read_case(case_id, Version(end.events.saturating_sub(1)), 1)?.pop(),
            None => None,
        };
        let reference = last.as_ref().map(decode).transpose()?.map(|event| event.case);
        let seal = self.signer.prove(store, &sealed.stored)?;
        let last = last.as_ref().map(|last| last.bytes.as_ref());
        Ok(Some(HeadsProof::of((reference, case_id.0), &way, last, seal)))
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> &dyn EventStore {
        self.stamping.store().as_ref()
    }

    fn own_head(&self) -> Result<Option<CaseHead>, SignError> {
        Ok(self.store().head_of(&CaseKey::Id(own_case::CASE_ID))?)
    }

    /// The last seal: the last event of the ledger's case.
    fn last_seal(&self) -> Result<Option<Sealed>, SignError> {
        let Some(head) = self.own_head()? else { return Ok(None) };
        let before = Version(head.version.0.saturating_sub(1));
        let Some(stored) = self.store().read_case(head.case_id, before, 1)?.pop() else { return Ok(None) };
        let seal = Seal::read(&decode(&stored)?.proposed.data);
        Ok(seal.map(|seal| Sealed { stored, seal }))
    }

    fn seal(&self) -> Result<(), SignError> {
        let head = *self.store().head().borrow();
        let last = self.last_seal()?;
        // Behind the last seal's own batch, the first of which opens the case, nothing came.
        let batch = |sealed: &Sealed| if sealed.stored.version == Version(2) { 2 } else { 1 };
        let is_sealed =
            |sealed: &Sealed| sealed.stored.position == head && sealed.seal.size + batch(sealed) == head.0;
        if head == Position(0) || last.as_ref().is_some_and(is_sealed) {
            return Ok(());
        }
        // Nothing is recorded in a log that contradicts its last checkpoint: it is evidence.
        self.signer.check(self.store())?;
        let ends = case_ends::brought_to(self.store(), head, last.as_ref().map(|last| &last.seal))?;
        let seal = Seal { size: head.0, cases: ends.cases, root: ends.hash };
        self.record(&seal)
    }

    /// Records a seal in the ledger's case, which begins with the first.
    fn record(&self, seal: &Seal) -> Result<(), SignError> {
        let head = self.own_head()?;
        let definition = own_case::definition();
        let mut events = Vec::new();
        let first = head.as_ref().map_or(Version(1), |head| head.version.next());
        if head.is_none() {
            self.store().keep_definition(&definition.digest_hex(), &definition.canonical)?;
            let digest = (DEFINITION_DIGEST.to_owned(), definition.digest_hex().into());
            let mut opening = event(engine_types::CASE_OPENED, first, Payload::from_iter([digest]));
            opening.workflow = Some(definition.pin());
            events.push(opening);
        }
        let version = Version(first.0 + events.len() as u64);
        let payload = seal.payload().as_object().cloned().unwrap_or_default();
        events.push(event(own_case::HEADS_SEALED, version, payload));
        for event in &mut events {
            event.definition = definition.pin();
        }
        let batch = Stamped {
            case_id: own_case::CASE_ID,
            reference: own_case::LEDGER_REFERENCE,
            expected: head
                .as_ref()
                .map_or(ExpectedVersion::NoCase, |head| ExpectedVersion::Exactly(head.version)),
            idempotency: None,
            leaf: head.as_ref().map(|head| head.leaf),
            not_before: None,
        };
        let (sender, answer) = mpsc::sync_channel(1);
        // The receiver waits below until the answer has come.
        self.stamping.submit(batch, &mut events, Box::new(move |answer| drop(sender.send(answer))))?;
        answer.recv().unwrap_or_else(|_| Err(writer_gone()))?;
        Ok(())
    }
}

/// An event of the ledger's case, not stamped yet.
fn event(event_type: &str, version: Version, payload: Payload) -> RecordedEvent {
    let by = Recorder { id: own_case::RECORDER.to_owned(), role: own_case::RECORDER.to_owned() };
    let proposed = ProposedEvent { data: payload, ..ProposedEvent::new(event_type, by) };
    RecordedEvent {
        case: own_case::LEDGER_REFERENCE.to_owned(),
        id: EventId(machine::new_id()),
        case_id: own_case::CASE_ID,
        recorded_at: Timestamp::UNIX_EPOCH,
        salt: machine::salt_base64(),
        ..RecordedEvent::imagined(proposed, version)
    }
}
