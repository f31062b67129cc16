//! Read models: rebuilt from the log whenever they are missing; model and checkpoint in one batch.

pub mod case_list;
pub mod deadlines;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::case::event::{CaseId, Version};
use crate::engine::Engine;
use crate::own_case;
use crate::store::{CaseKey, ModelWrite, ReadError};

/// Events read at a time.
const PAGE_EVENTS: usize = 2_000;

/// Entries of an index read at a time.
const PAGE_ENTRIES: usize = 500;

/// Entries listed where no limit is given.
const LIMIT_DEFAULT: usize = 100;

/// A model that keeps something of each case, worked out from the whole case. The log's own case is left out.
#[derive(Debug)]
pub(crate) struct ByCase {
    /// Its name; the number in it changes with its shape, and an older one is left behind and rebuilt.
    model: &'static str,
    one_at_a_time: Mutex<()>,
}

impl ByCase {
    pub(crate) fn new(model: &'static str) -> Self {
        Self { model, one_at_a_time: Mutex::default() }
    }

    /// Nobody else writes the model meanwhile.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the log from the model's checkpoint to its head. A case is entered once for all of its events on a page, and
    /// left for a later page where it goes on there.
    pub(crate) fn catch_up(
        &self,
        engine: &Engine,
        enter: impl Fn(CaseId, &mut Vec<ModelWrite>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let _turn = self.turn();
        let store = engine.store().as_ref();
        loop {
            let checkpoint = store.models().checkpoint(self.model)?;
            let page = store.read_log(checkpoint, PAGE_EVENTS)?;
            let Some(last) = page.last() else { return Ok(()) };
            let of_others = page.iter().filter(|event| event.case_id != own_case::CASE_ID);
            let touched: BTreeMap<CaseId, Version> =
                of_others.map(|event| (event.case_id, event.version)).collect();
            let mut writes = Vec::new();
            for (case_id, version) in touched {
                let head = store.head_of(&CaseKey::Id(case_id))?;
                if head.is_some_and(|head| head.version == version) {
                    enter(case_id, &mut writes)?;
                }
            }
            store.models().write(self.model, last.position, &writes)?;
        }
    }
}

/// Hands over a model's entries under a prefix, in the order of their keys, until told to stop.
pub(crate) fn each(
    engine: &Engine,
    model: &str,
    prefix: &[u8],
    mut after: Option<Vec<u8>>,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<bool, ReadError>,
) -> Result<(), ReadError> {
    loop {
        let page = engine.store().models().scan(model, prefix, after.as_deref(), PAGE_ENTRIES)?;
        for (key, value) in &page {
            if !take(key, value)? {
                return Ok(());
            }
        }
        match page.last() {
            Some((last, _)) if page.len() == PAGE_ENTRIES => after = Some(last.clone()),
            _ => return Ok(()),
        }
    }
}

/// The limit that is meant: without one, [`LIMIT_DEFAULT`].
fn limit_of(asked: usize) -> usize {
    if asked == 0 { LIMIT_DEFAULT } else { asked }
}
