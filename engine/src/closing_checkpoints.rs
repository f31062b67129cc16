//! Checkpoints that are signed when a case closes: behind the answer, on a thread of their own.
//!
//! ```text
//! record ──► append ──► answer
//!                └─ the case closed ──► thread: sign what the log is now
//! ```
//! Closings that come while one is being signed share the next one. What an import closes waits for the import's end.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use crate::case::reading::Change;
use crate::definition::Definition;
use crate::sealer::Sealer;

/// Why a checkpoint is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// A case closed.
    Now,
    /// A case closed in an import, of which more is to come.
    InImport,
}

/// The thread that signs. Dropping it signs what is still waiting, and ends it.
pub(crate) struct ClosingCheckpoints {
    closed: Option<mpsc::Sender<Closed>>,
    thread: Option<JoinHandle<()>>,
}

impl ClosingCheckpoints {
    pub(crate) fn start(sealer: Arc<Sealer>) -> Self {
        let (closed, closings) = mpsc::channel();
        let run = move || sign_until_closed(&closings, &sealer);
        let thread = thread::Builder::new().name("casebook-signer".to_owned()).spawn(run);
        if let Err(error) = &thread {
            tracing::error!(%error, "cases that close get no checkpoint: the thread for it can't be started");
        }
        Self { closed: Some(closed), thread: thread.ok() }
    }

    pub(crate) fn case_closed(&self, closed: Closed) {
        if let Some(sender) = &self.closed {
            // Nobody to hear it: said when the thread could not be started.
            let _ = sender.send(closed);
        }
    }
}

impl Drop for ClosingCheckpoints {
    fn drop(&mut self) {
        drop(self.closed.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that signs checkpoints panicked");
        }
    }
}

fn sign_until_closed(closings: &mpsc::Receiver<Closed>, sealer: &Sealer) {
    let mut is_waiting = false;
    while let Ok(first) = closings.recv() {
        let is_now = closings.try_iter().chain([first]).any(|closed| closed == Closed::Now);
        if is_now {
            sign(sealer);
        }
        is_waiting = !is_now;
    }
    if is_waiting {
        sign(sealer);
    }
}

fn sign(sealer: &Sealer) {
    match sealer.checkpoint() {
        Ok(signed) => tracing::debug!(size = signed.checkpoint.size, "signed a checkpoint: a case closed"),
        Err(error) => tracing::error!(%error, "a case closed, and no checkpoint could be signed"),
    }
}

/// Whether one of the changes closed the case: it entered the state that `after-closing` names; without that, a final state of
/// one of the case's own strands.
pub(crate) fn closes(definition: &Definition, changes: &[Change]) -> bool {
    let entered = |change: &Change| {
        if change.entity.is_some() {
            return false;
        }
        let found = definition.strands.iter().enumerate().find(|(_, strand)| strand.name == change.strand);
        let Some((index, strand)) = found else { return false };
        let to = strand.states.iter().position(|state| Some(&state.name) == change.to.as_ref());
        let Some(to) = to else { return false };
        match &definition.after_closing {
            Some(closing) => closing.strand.index() == index && closing.state.index() == to,
            None => strand.states[to].is_final,
        }
    };
    changes.iter().any(entered)
}
