//! Many cases imported at a time: while some wait for the disk, others are read and judged, on all cores. The store
//! writes those that wait together with one sync. Answers come in the order in which the cases were handed in.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use super::import::{ImportError, ImportOptions, ImportedCase, import_case};
use super::jsonl::CaseLines;
use crate::engine::Engine;

/// Cases under way at a time.
pub const CASES_UNDER_WAY_MAX: usize = 256;

/// Bytes of lines under way at a time; a single case may have more.
pub const BYTES_UNDER_WAY_MAX: usize = 16 * 1024 * 1024;

/// A case that is done.
#[derive(Debug)]
pub struct Finished {
    /// Its lines.
    pub lines: CaseLines,
    /// What became of them.
    pub answer: Result<ImportedCase, ImportError>,
}

/// Cases under way.
pub struct ImportWindow {
    engine: Engine,
    options: ImportOptions,
    under_way: VecDeque<(usize, JoinHandle<Finished>)>,
    bytes: usize,
}

impl ImportWindow {
    /// Nothing under way yet.
    #[must_use]
    pub fn new(engine: Engine, options: ImportOptions) -> Self {
        Self { engine, options, under_way: VecDeque::new(), bytes: 0 }
    }

    /// Begins with a case. Its lines, and the answer to them, come out of [`Self::next`]. Cases that are handed in
    /// twice have to be `next`ed out first: whichever is decided first is recorded first.
    pub fn begin(&mut self, lines: CaseLines) {
        let bytes = lines.lines.iter().map(|(_, text)| text.len()).sum();
        let (engine, options) = (self.engine.clone(), self.options);
        let task = tokio::spawn(async move {
            let answer = Box::pin(import_case(&engine, &lines, options)).await;
            Finished { lines, answer }
        });
        self.bytes += bytes;
        self.under_way.push_back((bytes, task));
    }

    /// Whether one has to be finished before another begins.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.under_way.len() >= CASES_UNDER_WAY_MAX || self.bytes >= BYTES_UNDER_WAY_MAX
    }

    /// Waits for the case that was handed in first; `None` when nothing is under way.
    pub async fn next(&mut self) -> Option<Finished> {
        let (bytes, task) = self.under_way.pop_front()?;
        self.bytes -= bytes;
        match task.await {
            Ok(finished) => Some(finished),
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
}
