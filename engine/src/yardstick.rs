//! What Casebook is measured against, in the same run and on the same disk: a plain file that promises what the store promises of
//! an acknowledged event, and nothing else.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A plain file with group commit: one thread takes what has queued, writes it, syncs once, answers. Callers wait for the answer.
#[derive(Debug, Default)]
pub struct PlainFile {
    queue: Mutex<Queue>,
    queued: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Vec<u8>, Arc<Slot>)>,
    is_closed: bool,
    failure: Option<io::ErrorKind>,
}

/// Where one caller waits.
#[derive(Debug, Default)]
struct Slot {
    answer: Mutex<Option<Result<(), io::ErrorKind>>>,
    answered: Condvar,
}

/// A panic of another caller leaves a queue that is still a queue.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PlainFile {
    /// Writes bytes at the end; on return they are on disk.
    ///
    /// # Errors
    /// When a write or sync failed, this one or an earlier one.
    pub fn append(&self, bytes: Vec<u8>) -> io::Result<()> {
        let slot = Arc::new(Slot::default());
        {
            let mut queue = held(&self.queue);
            if let Some(failure) = queue.failure {
                return Err(failure.into());
            }
            queue.waiting.push_back((bytes, Arc::clone(&slot)));
            if queue.waiting.len() == 1 {
                self.queued.notify_one();
            }
        }
        let mut answer = held(&slot.answer);
        loop {
            if let Some(answer) = *answer {
                return answer.map_err(io::Error::from);
            }
            answer = slot.answered.wait(answer).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The writing thread: until the queue is closed and empty.
    pub fn write_until_closed(&self, mut file: File) {
        let mut buffer = Vec::new();
        loop {
            let drained = {
                let mut queue = held(&self.queue);
                while queue.waiting.is_empty() {
                    if queue.is_closed {
                        return;
                    }
                    queue = self.queued.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                std::mem::take(&mut queue.waiting)
            };
            buffer.clear();
            for (bytes, _) in &drained {
                buffer.extend_from_slice(bytes);
            }
            let written =
                file.write_all(&buffer).and_then(|()| file.sync_data()).map_err(|error| error.kind());
            if let Err(failure) = written {
                held(&self.queue).failure = Some(failure);
            }
            for (_, slot) in drained {
                *held(&slot.answer) = Some(written);
                slot.answered.notify_one();
            }
        }
    }

    /// Nothing more comes.
    pub fn close(&self) {
        held(&self.queue).is_closed = true;
        self.queued.notify_all();
    }
}
