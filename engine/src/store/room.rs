//! Room on the disk. Below a stated free space the store takes no more events: what is queued is refused with the
//! reason, reading goes on, and appends are taken again as soon as there is room. A ballast file holds some room back
//! for the operator: deleting it lets the store open and be copied on a disk that is full to the last byte.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::journal::failed;

/// The name of the ballast file.
pub(super) const BALLAST_FILE: &str = "ballast";

/// How much of the disk is to stay free.
pub(super) struct Room {
    files: Arc<dyn Files>,
    folder: PathBuf,
    free_bytes_min: u64,
}

impl Room {
    pub(super) fn new(files: Arc<dyn Files>, folder: &Path, free_bytes_min: u64) -> Self {
        Self { files, folder: folder.to_owned(), free_bytes_min }
    }

    /// Why nothing may be added now; `None` where there is room. A disk that does not say how full it is has room: the
    /// write itself will tell.
    pub(super) fn lacking(&self) -> Option<String> {
        if self.free_bytes_min == 0 {
            return None;
        }
        match self.files.free_bytes(&self.folder) {
            Ok(free) if free < self.free_bytes_min => Some(format!(
                "the disk of {} has {} free, and the store stops writing below {}; free some space, and it goes on",
                self.folder.display(),
                spoken(free),
                spoken(self.free_bytes_min)
            )),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%error, "can't tell how much room the disk has");
                None
            }
        }
    }

    /// Sets the ballast aside where it is not there yet and the disk has plenty. Doing without is no reason not to open.
    pub(super) fn keep_ballast(&self, ballast_bytes: u64) {
        let path = self.folder.join(BALLAST_FILE);
        let kept = self.files.open(&path).and_then(|mut file| file.length());
        if ballast_bytes == 0 || kept.is_ok_and(|length| length == ballast_bytes) {
            return;
        }
        let plenty = self.free_bytes_min.saturating_add(ballast_bytes.saturating_mul(2));
        if self.files.free_bytes(&self.folder).is_ok_and(|free| free < plenty) {
            return;
        }
        if let Err(error) = self.files.reserve(&path, ballast_bytes) {
            let error = failed("setting aside", &path, error);
            tracing::warn!(%error, "the store has no ballast: a full disk leaves no room to put it right");
        }
    }
}

/// A number of bytes for people.
fn spoken(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes < MIB { format!("{bytes} bytes") } else { format!("{} MiB", bytes / MIB) }
}
