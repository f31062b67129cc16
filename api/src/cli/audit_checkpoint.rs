//! `casebook audit checkpoint`: what the log is now, signed.

use std::path::{Path, PathBuf};

use casebook_engine::ledger::chain::to_base64;
use clap::Args;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::audit::signer_of;
use super::folder;
use super::page::Page;

/// Where to write it.
#[derive(Debug, Args)]
#[command(
    after_help = "The checkpoint covers every event that was acknowledged until now. Send it to somebody who keeps it: whatever
is changed, removed, reordered or put in later, `casebook audit verify --checkpoint FILE` finds it.
It is refused where the log contradicts the last checkpoint that was signed.

Examples:
  casebook audit checkpoint
  casebook audit checkpoint -o 2026-03.checkpoint"
)]
pub(super) struct CheckpointArgs {
    /// Write to this file; left out: standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &CheckpointArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let signed = signer_of(&engine)?.sign(engine.store().as_ref())?;
    let text = signed.note.to_string();
    if let Some(path) = &args.output {
        write_file(path, text.as_bytes())?;
    }
    let checkpoint = &signed.checkpoint;
    if page.is_json() {
        return page.json(&serde_json::json!({
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": to_base64(&checkpoint.root),
            "note": text,
            "vkey": signed.key.to_string(),
            "file": args.output,
        }));
    }
    match &args.output {
        None => page.bytes(text.as_bytes()),
        Some(path) => {
            let size = super::reading::count_of(
                usize::try_from(checkpoint.size).unwrap_or(usize::MAX),
                "event",
                "events",
            );
            page.line(&format!("Signed a checkpoint of {size}: {}", path.display()))
        }
    }
}

/// Writes a file that appears when it is whole.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let write = || {
        std::fs::write(&beside, bytes)?;
        std::fs::File::open(&beside)?.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|error: std::io::Error| {
        // What was written so far helps nobody; the failure is what is told.
        let _ = std::fs::remove_file(&beside);
        unwritable(path, &error)
    })
}

/// Why a file was not written.
fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let place = path.display();
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            let trouble = Trouble::new(format!("there is no folder for {place}"));
            Failure::NotFound(trouble.help("make the folder first, or name another with -o FILE"))
        }
        std::io::ErrorKind::IsADirectory => Failure::input(
            format!("{place} is a folder, and no file can take its place"),
            "name a file with -o FILE, in that folder or beside it",
        ),
        std::io::ErrorKind::PermissionDenied => {
            let trouble = Trouble::new(format!("{place} may not be written: {error}"));
            Failure::NotAllowed(trouble.help("name a file in a folder of your own with -o FILE"))
        }
        _ => Failure::Storage(Trouble::new(format!("{place} could not be written: {error}"))),
    }
}
