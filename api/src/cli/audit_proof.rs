//! `casebook audit proof` and `verify-proof`: that one event is in the log, for somebody who does not have the log.

use std::path::PathBuf;

use casebook_engine::case::event::Version;
use casebook_engine::ledger::proof::{EventProof, ProofError};
use clap::Args;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::audit::{read_key, read_text, signer_of};
use super::folder;
use super::output_file::write_file;
use super::page::{Page, bad, good, warn};
use super::reading::count_of;

/// Which event to prove.
#[derive(Debug, Args)]
#[command(
    after_help = "The file holds the event exactly as it was recorded, the hashes from it to the root of the Merkle tree, and a
checkpoint signed now. It is checked by `casebook audit verify-proof`, or by other tools: docs/audit.md.

Examples:
  casebook audit proof 2020/146999 3 -o event-3.proof.json
  casebook audit verify-proof event-3.proof.json"
)]
pub(super) struct ProofArgs {
    /// The case's reference, or its id
    #[arg(value_name = "REF")]
    reference: String,
    /// The event's version: its number in `casebook history`
    #[arg(value_name = "VERSION", allow_negative_numbers = true, value_parser = version)]
    version: u64,
    /// Write to this file; left out: standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Which file to check.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --key the signature is checked against the key in the file itself; that shows that the file is whole,
not who made it. Exit code 9 where the proof does not hold, 2 where the file is no proof.

Example:
  casebook audit verify-proof event-3.proof.json --key \"$(cat their.vkey)\""
)]
pub(super) struct VerifyProofArgs {
    /// The proof
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public key of the log, from its owner: what `casebook audit key` prints there
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
}

/// Writes a proof.
pub(super) fn run(args: &ProofArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let store = engine.store().as_ref();
    let no_case = || {
        let trouble = Trouble::new(format!("there is no case {}", args.reference));
        Failure::NotFound(
            trouble.help("`casebook cases` lists the cases that there are; references are written exactly"),
        )
    };
    let head = store.head_of(&folder::key(&args.reference))?.ok_or_else(no_case)?;
    let event = match args.version.checked_sub(1) {
        Some(before) => store.read_case(head.case_id, Version(before), 1)?.into_iter().next(),
        None => None,
    };
    let event = event.ok_or_else(|| {
        let trouble = Trouble::new(format!("case {} has no version {}", head.reference, args.version));
        Failure::NotFound(trouble.help(format!("its versions are 1 to {}", head.version)))
    })?;
    let proof = signer_of(&engine)?.prove(store, &event)?;
    let Some(path) = &args.output else { return page.json(&proof) };
    let mut text =
        serde_json::to_string_pretty(&proof).map_err(|error| Failure::unexpected(error.to_string()))?;
    text.push('\n');
    write_file(path, text.as_bytes())?;
    if page.is_json() {
        return page
            .json(&serde_json::json!({ "file": path, "position": proof.position, "vkey": proof.vkey }));
    }
    page.line(&format!(
        "Wrote the proof of version {} of case {} to {}.",
        proof.version,
        proof.case,
        path.display()
    ))
}

/// Checks a proof.
pub(super) fn verify(args: &VerifyProofArgs, page: &mut Page) -> Result<(), Failure> {
    let key = args.key.as_deref().map(read_key).transpose()?;
    let text = read_text(&args.file)?;
    let checked = EventProof::read(&text).and_then(|proof| proof.check(key.as_ref()));
    let proven = match checked {
        Ok(proven) => proven,
        Err(error @ ProofError::NotAProof { .. }) => {
            let trouble = Trouble::new(error.to_string()).at(args.file.display().to_string());
            return Err(Failure::Input(
                trouble.help("`casebook audit proof REF VERSION -o FILE` writes one"),
            ));
        }
        Err(ProofError::DoesNotHold { check, problem }) => {
            if page.is_json() {
                page.json(&serde_json::json!({ "proven": false, "check": check, "problem": problem }))?;
            } else {
                page.item(0, &bad("Not proven."), &format!("{check}: {problem}"))?;
            }
            return Err(Failure::CheckFailed);
        }
    };
    if page.is_json() {
        return page.json(&serde_json::json!({ "proven": true, "proof": proven }));
    }
    let size = count_of(usize::try_from(proven.size).unwrap_or(usize::MAX), "event", "events");
    let text = format!(
        "Version {} of case {}, {}, recorded at {}, is event {} of the log {}, which had {size}.",
        proven.version, proven.case, proven.event_type, proven.recorded_at, proven.position, proven.origin
    );
    page.item(0, &good("Proven."), &text)?;
    if proven.key_is_known {
        return page.line(&format!("Signed by {}, for which the key that you named vouches.", proven.vkey));
    }
    page.item(
        0,
        &warn("But:"),
        "the key came with the file. Compare it with the one that the log's owner gave you, or name that with --key:",
    )?;
    page.line(&format!("  {}", proven.vkey))
}

fn version(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no version; `casebook history REF` has the numbers"))
}
