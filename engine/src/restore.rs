//! Restoring a store from backups: unpacked beside its place, verified whole, and only then put there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::Engine;
use crate::ledger::chain::from_base64;
use crate::ledger::checkpoint::Checkpoint;
use crate::signer::Signer;
use crate::store::backup::Step;
use crate::store::unfinished::{Unfinished, UnpackError};
use crate::store::{OpenError, ReadError, SledOptions};
use crate::verify::{Demand, Finding, Progress, Verification, verify_against};

/// Why a store was not restored. Whatever stood in its place is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A backup is none, is damaged, or does not continue the one before.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// What was unpacked is not what the last backup says that the log was.
    #[error("{0}")]
    Differs(String),
    /// What was unpacked does not verify.
    #[error("the log in it does not verify: {}: expected {}, found {}", finding.check, finding.expected, finding.found)]
    Unsound {
        /// The first thing that is wrong.
        finding: Box<Finding>,
    },
    /// What was unpacked can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It can't be opened, or not be put in its place.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// A restored store that was verified and waits beside its place. Dropped, it is removed.
#[derive(Debug)]
pub struct Restored {
    unfinished: Unfinished,
    /// What verification looked at.
    pub verification: Verification,
}

/// Unpacks a whole backup, and those that continue it in their order, beside a place and verifies everything: checksums, hashes,
/// chains, the tree, its root against the backups, the checkpoints in them and those brought, whose signatures the caller has
/// checked, and the legality of every case. Blocking.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(
    place: &Path,
    backups: &[PathBuf],
    checkpoints: Vec<Demand>,
    options: SledOptions,
    step: &Arc<dyn Fn(&'static str, u64, u64) + Send + Sync>,
) -> Result<Restored, RestoreError> {
    let unpacking: Step<'_> = &**step;
    let mut unfinished = Unfinished::unpack(place, backups, Arc::clone(&options.files), unpacking)?;
    let indexing = Arc::clone(step);
    let options = SledOptions {
        progress: Some(Arc::new(move |at| indexing("indexing", at.bytes, at.bytes_of))),
        ballast_bytes: 0,
        ..options
    };
    let store = unfinished.open(options)?;
    if let Some(torn) = &store.recovery().torn {
        return Err(RestoreError::Differs(format!(
            "the journal in it ends within a group, {} bytes after byte {}",
            torn.bytes, torn.offset
        )));
    }
    let end = unfinished.end().clone();
    let signer = Signer::new(store.path(), store.store_id());
    let mut demands = checkpoints;
    let root = from_base64(&end.root).map_err(|error| RestoreError::Differs(error.to_string()))?;
    demands.push(Demand {
        from: "the manifest of the last backup".to_owned(),
        checkpoint: Checkpoint { origin: signer.origin().to_owned(), size: end.position.0, root },
    });
    let engine = Engine::open(Arc::new(store), Vec::new())?;
    engine.sign_with(signer);
    let progress = |at: Progress| step("verifying", at.done, at.total);
    let verification = verify_against(&engine, &demands, &progress)?;
    // Closed before its folder is renamed or removed.
    drop(engine);
    if let Some(finding) = verification.findings.into_iter().next() {
        return Err(RestoreError::Unsound { finding: Box::new(finding) });
    }
    if verification.events != end.position.0 {
        return Err(RestoreError::Differs(format!(
            "it holds {} events, and its manifest says {}",
            verification.events, end.position.0
        )));
    }
    Ok(Restored { unfinished, verification: Verification { findings: Vec::new(), ..verification } })
}

impl Restored {
    /// Puts the store in its place, where at most an empty folder stands: from then on it is a store.
    ///
    /// # Errors
    /// When something stands there, or the disk refuses.
    pub fn put(self, place: &Path) -> Result<(), RestoreError> {
        Ok(self.unfinished.finish(place)?)
    }
}
