//! From any position: catch up, then follow the head.
//!
//! A subscription reads the log after its own place and never from what was just written: it cannot skip an event, see one
//! twice, or see them out of order. Delivery is at least once: whoever stores its place after its effect repeats the effect
//! after a crash between the two.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use crate::case::event::Position;
use crate::store::{EventStore, ReadError, StoredEvent};

/// Events read at a time.
const PAGE_EVENTS: usize = 500;

/// A place in the log that moves on.
pub struct Subscription {
    store: Arc<dyn EventStore>,
    head: watch::Receiver<Position>,
    after: Position,
    page: VecDeque<StoredEvent>,
}

impl Subscription {
    pub(crate) fn new(store: Arc<dyn EventStore>, after: Position) -> Self {
        let head = store.head();
        Self { store, head, after, page: VecDeque::new() }
    }

    /// The next event; waits where there is none yet. `None` when the store has closed and everything was read.
    ///
    /// # Errors
    /// When the log can't be read; asking again tries the same event again.
    pub async fn next(&mut self) -> Result<Option<StoredEvent>, ReadError> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.after = event.position;
                return Ok(Some(event));
            }
            let head = *self.head.borrow_and_update();
            if head > self.after {
                let (store, after) = (Arc::clone(&self.store), self.after);
                let read = tokio::task::spawn_blocking(move || store.read_log(after, PAGE_EVENTS)).await;
                self.page = match read {
                    Ok(page) => page?.into(),
                    Err(failed) => std::panic::resume_unwind(failed.into_panic()),
                };
                if !self.page.is_empty() {
                    continue;
                }
            }
            if self.head.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// The position of the last event given.
    #[must_use]
    pub fn position(&self) -> Position {
        self.after
    }

    /// Whether everything that is on disk now has been given.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.page.is_empty() && *self.head.borrow() <= self.after
    }
}
