//! `casebook audit checkpoint`: what the log is now, signed.

use std::path::PathBuf;

use casebook_engine::ledger::chain::to_base64;
use clap::Args;

use super::Globals;
use super::answer::Failure;
use super::audit::sealer_of;
use super::folder;
use super::output_file::write_file;
use super::page::Page;

/// Where to write it.
#[derive(Debug, Args)]
#[command(
    after_help = "The checkpoint covers every event that was acknowledged until now, and a seal that is recorded first, in the log's own
case casebook:ledger: how many events each case has, and which is its last. Send it to somebody who keeps it: whatever
is changed, removed, reordered or put in later, `casebook audit verify --checkpoint FILE` finds it.
It is refused where the log contradicts the last checkpoint that was signed. Signing reads no event again: that is what
`casebook audit verify` does.

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
    let signed = sealer_of(&engine)?.checkpoint()?;
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
