//! What the journal holds and the index has not taken yet: readers look in here first.
//!
//! Bounded by [`TAIL_BYTES_MAX`]. On opening, this is what the journal replays.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::case::event::{CaseId, Position, Version};

use super::frame::{Group, KeptAnswer};
use super::journal::Mark;
use super::{CaseHead, StoredEvent};

/// The writer waits for the index above this, bytes.
pub(super) const TAIL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The groups not yet in the index, oldest first, and where to find things in them.
#[derive(Debug, Default)]
pub(super) struct Tail {
    groups: VecDeque<(Arc<Group>, Mark)>,
    events: VecDeque<StoredEvent>,
    cases: HashMap<CaseId, TailCase>,
    references: HashMap<String, CaseId>,
    answers: HashMap<String, KeptAnswer>,
    weight: usize,
}

/// A case's events in the tail: its last version is the head's, its positions are the last ones of the case.
#[derive(Debug)]
struct TailCase {
    head: CaseHead,
    positions: VecDeque<Position>,
}

impl Tail {
    /// Takes a group whose last heads are given, one per case of the group.
    pub(super) fn push(&mut self, group: Arc<Group>, mark: Mark, heads: Vec<CaseHead>) {
        self.weight += group.weight();
        for head in heads {
            match self.cases.get_mut(&head.case_id) {
                Some(case) => case.head = head,
                None => {
                    self.cases.insert(head.case_id, TailCase { head, positions: VecDeque::new() });
                }
            }
        }
        for event in &group.events {
            if let Some(case) = self.cases.get_mut(&event.case_id) {
                case.positions.push_back(event.position);
            }
            self.events.push_back(event.clone());
        }
        for opening in &group.openings {
            self.references.insert(opening.reference.clone(), opening.case_id);
        }
        for answer in &group.answers {
            self.answers.insert(answer.idempotency.key.clone(), answer.clone());
        }
        self.groups.push_back((group, mark));
    }

    /// Forgets the oldest groups: the index has them.
    pub(super) fn forget(&mut self, count: usize) {
        for (group, _) in self.groups.drain(..count.min(self.groups.len())) {
            self.weight = self.weight.saturating_sub(group.weight());
            for event in &group.events {
                self.events.pop_front();
                if let Some(case) = self.cases.get_mut(&event.case_id) {
                    case.positions.pop_front();
                    if case.positions.is_empty() {
                        self.cases.remove(&event.case_id);
                    }
                }
            }
            for opening in &group.openings {
                self.references.remove(&opening.reference);
            }
            for answer in &group.answers {
                self.answers.remove(&answer.idempotency.key);
            }
        }
    }

    /// The oldest groups, up to about so many events.
    pub(super) fn oldest(&self, events_max: usize) -> Vec<(Arc<Group>, Mark)> {
        let mut taken = Vec::new();
        let mut events = 0;
        for (group, mark) in &self.groups {
            if events >= events_max {
                break;
            }
            events += group.events.len();
            taken.push((Arc::clone(group), *mark));
        }
        taken
    }

    pub(super) fn event_count(&self) -> usize {
        self.events.len()
    }

    /// What it takes in memory, roughly, bytes.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// The first position in the tail, `None` where it is empty.
    pub(super) fn first(&self) -> Option<Position> {
        self.events.front().map(|event| event.position)
    }

    pub(super) fn head_of(&self, case_id: CaseId) -> Option<&CaseHead> {
        self.cases.get(&case_id).map(|case| &case.head)
    }

    pub(super) fn case_of(&self, reference: &str) -> Option<CaseId> {
        self.references.get(reference).copied()
    }

    pub(super) fn answer_to(&self, key: &str) -> Option<&KeptAnswer> {
        self.answers.get(key)
    }

    /// Events after a position, at most `limit`.
    pub(super) fn events_after(&self, after: Position, limit: usize) -> Vec<StoredEvent> {
        let first = self.first().map_or(0, |first| first.0);
        let skipped = usize::try_from((after.0 + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        self.events.iter().skip(skipped).take(limit).cloned().collect()
    }

    /// The case's events in the tail after a version, at most `limit`, and the first version that the tail has.
    pub(super) fn case_events(
        &self,
        case_id: CaseId,
        after: Version,
        limit: usize,
    ) -> Option<(Version, Vec<StoredEvent>)> {
        let case = self.cases.get(&case_id)?;
        let first = Version((case.head.version.0 + 1).saturating_sub(case.positions.len() as u64));
        let skipped = usize::try_from((after.0 + 1).saturating_sub(first.0)).unwrap_or(usize::MAX);
        let positions = case.positions.iter().skip(skipped).take(limit);
        let events = positions.filter_map(|position| self.at(*position).cloned()).collect();
        Some((first, events))
    }

    fn at(&self, position: Position) -> Option<&StoredEvent> {
        let offset = position.0.checked_sub(self.first()?.0)?;
        self.events.get(usize::try_from(offset).ok()?)
    }
}
