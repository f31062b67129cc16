//! The one writer, and the thread that brings the index after it.
//!
//! ```text
//! append ──► queue ──► writer: judge, frame, write, sync ──► tail and head ──► answers
//!                                                            │
//!                                     settler: one batch of the index, then the tail forgets
//! ```
//! While one group syncs the next one gathers in the queue; no timer anywhere. Nobody is answered before the sync.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, mpsc};
use std::thread;

use tokio::sync::watch;

use crate::case::event::{CaseId, Position};

use super::admission::{answer_again, check_versions};
use super::folder::Folder;
use super::frame::{self, CaseOpening, Group, KeptAnswer};
use super::journal::{Journal, JournalFolder, Mark};
use super::room::Room;
use super::sled::Index;
use super::tail::{TAIL_BYTES_MAX, Tail};
use super::{Answer, Append, AppendError, Appended, CaseHead, StorageError, StoredEvent, writer_gone};

/// More appends than this never wait: the next one is refused as overload.
pub const QUEUE_APPENDS_MAX: usize = 4_096;
/// Nor more bytes of events, unless one append alone is larger.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A group takes no further append above this, bytes.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The index takes a batch when so many events are in the tail …
pub const SETTLE_EVENTS: usize = 8_192;
/// … or so many bytes.
pub const SETTLE_BYTES: usize = 4 * 1024 * 1024;
/// The index is put on disk after so many bytes of the journal: what opening after a crash compares at most.
pub const CHECK_BYTES: u64 = 16 * 1024 * 1024;
/// So many callers are answered by the writer itself.
const DIRECT_ANSWERS_MAX: usize = 64;
/// Heads that the writer remembers, in each of two generations.
const HEADS_MAX: usize = 32_768;

/// The limits that a store is opened with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) queue_appends: usize,
    pub(super) settle_events: usize,
    pub(super) free_bytes_min: u64,
}

/// What writer, settler and readers share.
pub(super) struct Shared {
    // Dropped in this order: the index is closed before the folder is let go.
    pub(super) index: Index,
    pub(super) journal: JournalFolder,
    pub(super) folder: Folder,
    tail: RwLock<Tail>,
    head: watch::Sender<Position>,
    /// Why no more writes are taken.
    fault: OnceLock<String>,
    queue: Mutex<Queue>,
    queued: Condvar,
    limits: Limits,
    room: Room,
    settling: Mutex<Settling>,
    settling_moved: Condvar,
    /// Where the last reader of the journal stopped.
    reading_place: Mutex<Option<Mark>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closing: bool,
}

#[derive(Default)]
struct Settling {
    closing: bool,
}

/// An append that waits to be judged.
struct Waiting {
    append: Append,
    bytes: usize,
    reply: Reply,
}

/// Who is to be told the answer. Dropped without one, it tells that the writer is gone.
struct Reply(Option<Answer>);

impl Reply {
    fn send(mut self, answer: Result<Appended, AppendError>) {
        if let Some(tell) = self.0.take() {
            tell(answer);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(Err(writer_gone()));
        }
    }
}

/// A panic elsewhere must not take the readers down: what it guarded is only ever replaced whole.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(folder: Folder, index: Index, head: Position, limits: Limits) -> Self {
        Self {
            journal: folder.journal(),
            room: Room::new(Arc::clone(&folder.files), &folder.path, limits.free_bytes_min),
            folder,
            index,
            tail: RwLock::default(),
            head: watch::Sender::new(head),
            fault: OnceLock::new(),
            queue: Mutex::default(),
            queued: Condvar::new(),
            limits,
            settling: Mutex::default(),
            settling_moved: Condvar::new(),
            reading_place: Mutex::default(),
        }
    }

    /// Where the last reader of the journal stopped.
    pub(super) fn reading_place(&self) -> Option<Mark> {
        *hold(&self.reading_place)
    }

    pub(super) fn keep_reading_place(&self, place: Mark) {
        *hold(&self.reading_place) = Some(place);
    }

    pub(super) fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Stops all writing until the store is opened again.
    pub(super) fn stop_writing(&self, reason: String) {
        tracing::error!(reason, "the store takes no more writes until it is reopened");
        // The first reason stays: what follows from it would only hide it.
        let _ = self.fault.set(reason);
        let _settling = hold(&self.settling);
        self.settling_moved.notify_all();
    }

    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }

    /// The index failed: no more writes, and the next opening rebuilds it.
    pub(super) fn index_failed(&self, error: &StorageError) {
        if self.fault().is_none() {
            self.folder.suspect_index(&error.to_string());
        }
        self.stop_writing(format!("the index failed ({error}); reopening rebuilds it from the journal"));
    }

    /// Room on the disk.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    fn read_only(&self) -> Option<AppendError> {
        self.fault().map(|reason| AppendError::ReadOnly { reason: reason.to_owned() })
    }

    /// Queues an append; its answer comes when it is on disk, or at once where it is not taken.
    pub(super) fn submit(&self, append: Append, answer: Answer) {
        let reply = Reply(Some(answer));
        if let Some(refusal) = self.read_only() {
            return reply.send(Err(refusal));
        }
        let bytes = append.events.iter().map(|event| event.bytes.len() + frame::EVENT_WEIGHT).sum();
        let mut queue = hold(&self.queue);
        let queued = queue.waiting.len();
        let too_heavy = queued > 0 && queue.bytes + bytes > QUEUE_BYTES_MAX;
        if queued >= self.limits.queue_appends || too_heavy {
            drop(queue);
            return reply.send(Err(AppendError::Overloaded { queued }));
        }
        queue.bytes += bytes;
        queue.waiting.push_back(Waiting { append, bytes, reply });
        drop(queue);
        if queued == 0 {
            self.queued.notify_one();
        }
    }

    /// What has queued, up to the size of a group; `None` when the store closes and nothing is left.
    fn gather(&self) -> Option<Vec<Waiting>> {
        let mut queue = hold(&self.queue);
        while queue.waiting.is_empty() {
            if queue.closing {
                return None;
            }
            queue = self.queued.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let mut gathered = Vec::with_capacity(queue.waiting.len());
        let mut bytes = 0;
        while bytes < GROUP_BYTES_MAX
            && let Some(waiting) = queue.waiting.pop_front()
        {
            bytes += waiting.bytes;
            gathered.push(waiting);
        }
        queue.bytes -= bytes;
        Some(gathered)
    }

    /// Waits until the tail has room.
    fn wait_for_room(&self) {
        let mut settling = hold(&self.settling);
        while self.tail().weight() > TAIL_BYTES_MAX && self.fault().is_none() {
            settling = self.settling_moved.wait(settling).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_due(&self, tail: &Tail) -> bool {
        tail.event_count() >= self.limits.settle_events || tail.weight() >= SETTLE_BYTES
    }

    /// Lets the writer finish what is queued and stop.
    pub(super) fn close_queue(&self) {
        hold(&self.queue).closing = true;
        self.queued.notify_all();
    }

    /// Lets the settler settle everything and stop.
    pub(super) fn close_settling(&self) {
        hold(&self.settling).closing = true;
        self.settling_moved.notify_all();
    }
}

/// Judges, writes, syncs, publishes, answers, until the store closes.
pub(super) fn write_until_closed(shared: &Shared, journal: Journal) {
    thread::scope(|scope| {
        let (answers, to_answer) = mpsc::channel::<Vec<Judged>>();
        // Waking many callers takes longer than a sync: another thread does it while the next group is written.
        scope.spawn(move || to_answer.into_iter().for_each(answer_all));
        let mut writer = Writer { shared, journal, heads: Heads::default(), encoded: Vec::new(), answers };
        while let Some(gathered) = shared.gather() {
            let written = catch_unwind(AssertUnwindSafe(|| writer.write_group(gathered)));
            if written.is_err() {
                shared.stop_writing("the writer panicked".to_owned());
            }
            shared.wait_for_room();
        }
    });
}

/// A caller and its answer.
type Judged = (Reply, Result<Appended, AppendError>);

fn answer_all(judged: Vec<Judged>) {
    for (reply, answer) in judged {
        reply.send(answer);
    }
}

struct Writer<'a> {
    shared: &'a Shared,
    journal: Journal,
    heads: Heads,
    encoded: Vec<u8>,
    answers: mpsc::Sender<Vec<Judged>>,
}

/// A group in the making.
#[derive(Default)]
struct Draft {
    group: Group,
    /// Last head of each case in it.
    heads: HashMap<CaseId, CaseHead>,
    references: HashMap<String, CaseId>,
    answers: HashMap<String, usize>,
    /// Why nothing may be added now.
    lacking: Option<String>,
}

impl Writer<'_> {
    fn write_group(&mut self, gathered: Vec<Waiting>) {
        let mut last = self.shared.head.borrow().0;
        let mut draft = Draft { lacking: self.shared.room.lacking(), ..Draft::default() };
        let mut judged = Vec::with_capacity(gathered.len());
        for waiting in gathered {
            let answer = match self.shared.read_only() {
                Some(refusal) => Err(refusal),
                None => self.admit(waiting.append, &mut draft, &mut last),
            };
            judged.push((waiting.reply, answer));
        }
        if let Err(error) = self.commit(draft) {
            self.shared.stop_writing(error.to_string());
            for (_, answer) in &mut judged {
                let error = error.clone();
                *answer = Err(AppendError::Storage(error));
            }
        }
        if judged.len() <= DIRECT_ANSWERS_MAX {
            answer_all(judged);
        } else if let Err(mpsc::SendError(judged)) = self.answers.send(judged) {
            answer_all(judged);
        }
    }

    /// Judges an append on what is stored and what this group brings before it, and adds its events.
    fn admit(&mut self, append: Append, draft: &mut Draft, last: &mut u64) -> Result<Appended, AppendError> {
        let refused = self.judge(&append, draft).map_err(|error| {
            self.shared.index_failed(&error);
            AppendError::Storage(error)
        })?;
        if let Some(answer) = refused {
            return answer;
        }
        if let Some(reason) = &draft.lacking {
            return Err(AppendError::ReadOnly { reason: reason.clone() });
        }
        let Append { case_id, reference, events, idempotency, .. } = append;
        let first_version = events.first().map(|event| event.version).unwrap_or_default();
        if first_version.0 == 1 {
            draft.references.insert(reference.clone(), case_id);
            draft.group.openings.push(CaseOpening { case_id, reference: reference.clone() });
        }
        let mut head =
            CaseHead { case_id, reference, version: first_version, position: Position(0), leaf: [0; 32] };
        for event in events {
            *last += 1;
            let position = Position(*last);
            (head.version, head.position, head.leaf) = (event.version, position, event.leaf);
            let (version, bytes, leaf) = (event.version, event.bytes, event.leaf);
            draft.group.events.push(StoredEvent { position, version, case_id, bytes, leaf });
        }
        let appended = Appended {
            first_version,
            last_version: head.version,
            last_position: head.position,
            replayed: false,
        };
        draft.heads.insert(case_id, head);
        if let Some(idempotency) = idempotency {
            draft.answers.insert(idempotency.key.clone(), draft.group.answers.len());
            draft.group.answers.push(KeptAnswer { idempotency, appended: appended.clone() });
        }
        Ok(appended)
    }

    /// The answer to an append that adds nothing, `None` where it is to be added.
    fn judge(
        &mut self,
        append: &Append,
        draft: &Draft,
    ) -> Result<Option<Result<Appended, AppendError>>, StorageError> {
        if let Some(asked) = &append.idempotency {
            let drafted = draft.answers.get(&asked.key).and_then(|at| draft.group.answers.get(*at)).cloned();
            let kept = match drafted {
                Some(kept) => Some(kept),
                None => self.shared.kept_answer(&asked.key)?,
            };
            if let Some(kept) = kept {
                return Ok(Some(answer_again(asked, &kept.idempotency, &kept.appended)));
            }
        }
        let head = match draft.heads.get(&append.case_id) {
            Some(head) => Some(head.clone()),
            None => self.heads.get(self.shared, append.case_id)?,
        };
        if let Err(error) = check_versions(append, head.as_ref()) {
            return Ok(Some(Err(error)));
        }
        if head.is_none() {
            let taken = draft.references.contains_key(&append.reference)
                || self.shared.case_of(&append.reference)?.is_some();
            if taken {
                return Ok(Some(Err(AppendError::ReferenceTaken { reference: append.reference.clone() })));
            }
        }
        Ok(None)
    }

    fn commit(&mut self, draft: Draft) -> Result<(), StorageError> {
        if draft.group.events.is_empty() {
            return Ok(());
        }
        self.encoded.clear();
        frame::encode(&draft.group, &mut self.encoded);
        let last = draft.group.last();
        let mark = self.journal.append(&self.encoded, last)?;
        if self.encoded.capacity() > 2 * GROUP_BYTES_MAX {
            self.encoded = Vec::new();
        }
        let heads: Vec<CaseHead> = draft.heads.into_values().collect();
        for head in &heads {
            self.heads.put(head.clone());
        }
        let full = {
            // The head moves under the lock of the tail: whoever sees an event sees a head at or beyond it.
            let mut tail = self.shared.tail.write().unwrap_or_else(PoisonError::into_inner);
            tail.push(Arc::new(draft.group), mark, heads);
            self.shared.head.send_replace(last);
            self.shared.is_due(&tail)
        };
        if full {
            let _moved = hold(&self.shared.settling);
            self.shared.settling_moved.notify_all();
        }
        Ok(())
    }
}

/// Heads of the cases that were written last: bounded, the index knows the others.
#[derive(Default)]
struct Heads {
    young: HashMap<CaseId, CaseHead>,
    old: HashMap<CaseId, CaseHead>,
}

impl Heads {
    fn get(&mut self, shared: &Shared, case_id: CaseId) -> Result<Option<CaseHead>, StorageError> {
        if let Some(head) = self.young.get(&case_id).or_else(|| self.old.get(&case_id)) {
            return Ok(Some(head.clone()));
        }
        shared.head_of(case_id)
    }

    fn put(&mut self, head: CaseHead) {
        if self.young.len() >= HEADS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(head.case_id, head);
    }
}

impl Shared {
    pub(super) fn head_of(&self, case_id: CaseId) -> Result<Option<CaseHead>, StorageError> {
        let in_tail = self.tail().head_of(case_id).cloned();
        match in_tail {
            Some(head) => Ok(Some(head)),
            None => self.index.head_of(case_id),
        }
    }

    pub(super) fn case_of(&self, reference: &str) -> Result<Option<CaseId>, StorageError> {
        let in_tail = self.tail().case_of(reference);
        match in_tail {
            Some(case_id) => Ok(Some(case_id)),
            None => self.index.case_of(reference),
        }
    }

    pub(super) fn kept_answer(&self, key: &str) -> Result<Option<KeptAnswer>, StorageError> {
        let in_tail = self.tail().answer_to(key).cloned();
        match in_tail {
            Some(kept) => Ok(Some(kept)),
            None => self.index.answer_to(key),
        }
    }
}

/// Brings the index after the journal until the store closes; then all of it, and puts it on disk.
pub(super) fn settle_until_closed(shared: &Shared, checked: Mark) {
    let mut settler = Settler { shared, settled: None, synced: checked, announced: true };
    loop {
        let closing = {
            let mut settling = hold(&shared.settling);
            while !settling.closing && (shared.fault().is_some() || !shared.is_due(&shared.tail())) {
                settling = shared.settling_moved.wait(settling).unwrap_or_else(PoisonError::into_inner);
            }
            settling.closing
        };
        let settled = if closing { settler.finish() } else { settler.settle_some().map(|_| ()) };
        if let Err(error) = settled {
            shared.index_failed(&error);
        }
        if closing {
            return;
        }
    }
}

struct Settler<'a> {
    shared: &'a Shared,
    /// Up to where the index has taken the journal since opening.
    settled: Option<Mark>,
    /// Up to where it was synced.
    synced: Mark,
    /// Whether the index itself says so.
    announced: bool,
}

impl Settler<'_> {
    /// Takes one batch out of the tail; says whether there was one.
    fn settle_some(&mut self) -> Result<bool, StorageError> {
        let oldest = self.shared.tail().oldest(self.shared.limits.settle_events);
        let Some((_, mark)) = oldest.last() else { return Ok(false) };
        let mark = *mark;
        let groups: Vec<Arc<Group>> = oldest.into_iter().map(|(group, _)| group).collect();
        let checked = (!self.announced).then_some(self.synced);
        self.shared.index.settle(&groups, mark, checked)?;
        self.announced = true;
        self.settled = Some(mark);
        for _ in &groups {
            // One group a lock, so that the writer is not held up; the index has them all already.
            self.shared.tail.write().unwrap_or_else(PoisonError::into_inner).forget(1);
        }
        {
            let _settling = hold(&self.shared.settling);
            self.shared.settling_moved.notify_all();
        }
        let is_far = mark.segment != self.synced.segment || mark.offset - self.synced.offset >= CHECK_BYTES;
        if is_far {
            self.shared.index.sync()?;
            (self.synced, self.announced) = (mark, false);
        }
        Ok(true)
    }

    fn finish(&mut self) -> Result<(), StorageError> {
        if self.shared.fault().is_some() {
            return Ok(());
        }
        while self.settle_some()? {}
        let Some(settled) = self.settled else { return Ok(()) };
        self.shared.index.sync()?;
        self.shared.index.settle(&[], settled, Some(settled))?;
        self.shared.index.sync()
    }
}
