//! `casebook audit proof` and `verify-proof`: that one event is in the log, or that a case had exactly so many, for somebody who
//! does not have the log.

use std::path::{Path, PathBuf};

use casebook_engine::case::event::Version;
use casebook_engine::ledger::heads_proof::{HeadsProof, ProvenEnd};
use casebook_engine::ledger::proof::{EventProof, ProofError, Proven};
use casebook_engine::store::CaseKey;
use clap::Args;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::audit::{read_key, read_text, sealer_of};
use super::definition::unreadable;
use super::folder;
use super::output_file::write_file;
use super::page::{Page, bad, good, warn};
use super::reading::count_of;

/// Which event to prove.
#[derive(Debug, Args)]
#[command(
    after_help = "The file holds the event exactly as it was recorded, the hashes from it to the root of the Merkle tree, and a
checkpoint signed now. It is checked by `casebook audit verify-proof`, or by other tools: docs/audit.md.
With --heads it proves how many events the case has, so that nobody can cut off its end: by a seal in the log, and the
way from the case to the root of the map that the seal names. For an id that no case has it proves just that.

Examples:
  casebook audit proof 2020/146999 3 -o event-3.proof.json
  casebook audit proof 2020/146999 --heads -o whole.proof.json
  casebook audit verify-proof event-3.proof.json"
)]
pub(super) struct ProofArgs {
    /// The case's reference, or its id
    #[arg(value_name = "REF")]
    reference: String,
    /// The event's version: its number in `casebook history`
    #[arg(value_name = "VERSION", allow_negative_numbers = true, value_parser = version)]
    #[arg(required_unless_present = "heads")]
    version: Option<u64>,
    /// Prove how many events the case has, and which is its last
    #[arg(long, conflicts_with = "version")]
    heads: bool,
    /// Write to this file; left out: standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Which file to check.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --key the signature is checked against the key in the file itself; that shows that the file is whole,
not who made it. Exit code 9 where the proof does not hold, 2 where the file is no proof.

Examples:
  casebook audit verify-proof event-3.proof.json --key \"$(cat their.vkey)\"
  casebook audit verify-proof whole.proof.json --events 2020-146999.jsonl"
)]
pub(super) struct VerifyProofArgs {
    /// The proof
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public key of the log, from its owner: what `casebook audit key` prints there
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// An export of the case (JSON Lines) that has to be whole by a proof of --heads
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
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
    let key = folder::key(&args.reference);
    let head = store.head_of(&key)?;
    let Some(version) = args.version else {
        let case_id = match (&head, key) {
            (Some(head), _) => head.case_id,
            (None, CaseKey::Id(id)) => id,
            (None, CaseKey::Reference(_)) => return Err(no_case()),
        };
        let proof = sealer_of(&engine)?.prove_end(case_id)?.ok_or_else(no_case)?;
        let done = match &proof.case {
            Some(case) => format!(
                "Wrote the proof that case {case} has {}",
                count_of(usize::try_from(proof.events).unwrap_or(usize::MAX), "event", "events")
            ),
            None => format!("Wrote the proof that there is no case {case_id}"),
        };
        let (position, vkey) = (proof.seal.position, proof.seal.vkey.clone());
        return write_out(&proof, args, &done, (position, vkey), page);
    };
    let head = head.ok_or_else(no_case)?;
    let event = match version.checked_sub(1) {
        Some(before) => store.read_case(head.case_id, Version(before), 1)?.into_iter().next(),
        None => None,
    };
    let event = event.ok_or_else(|| {
        let trouble = Trouble::new(format!("case {} has no version {version}", head.reference));
        Failure::NotFound(trouble.help(format!("its versions are 1 to {}", head.version)))
    })?;
    let proof = sealer_of(&engine)?.prove(&event)?;
    let done = format!("Wrote the proof of version {} of case {}", proof.version, proof.case);
    let place = (proof.position, proof.vkey.clone());
    write_out(&proof, args, &done, place, page)
}

fn write_out(
    proof: &impl serde::Serialize,
    args: &ProofArgs,
    done: &str,
    (position, vkey): (u64, String),
    page: &mut Page,
) -> Result<(), Failure> {
    let Some(path) = &args.output else { return page.json(proof) };
    let mut text =
        serde_json::to_string_pretty(proof).map_err(|error| Failure::unexpected(error.to_string()))?;
    text.push('\n');
    write_file(path, text.as_bytes())?;
    if page.is_json() {
        return page.json(&serde_json::json!({ "file": path, "position": position, "vkey": vkey }));
    }
    page.line(&format!("{done} to {}.", path.display()))
}

/// Checks a proof.
pub(super) fn verify(args: &VerifyProofArgs, page: &mut Page) -> Result<(), Failure> {
    let key = args.key.as_deref().map(read_key).transpose()?;
    let text = read_text(&args.file)?;
    let file = args.file.display().to_string();
    if HeadsProof::is_one(&text) {
        let events = args.events.as_deref().map(read_export).transpose()?;
        let checked = HeadsProof::read(&text).and_then(|proof| {
            let proven = proof.check(key.as_ref())?;
            events.iter().try_for_each(|events| proof.check_events(events)).map(|()| proven)
        });
        let proven = held(checked, &file, page)?;
        return tell_end(&proven, args.events.is_some(), page);
    }
    if args.events.is_some() {
        return Err(Failure::input(
            "this proves one event, and --events asks about a whole case",
            "`casebook audit proof REF --heads -o FILE` writes a proof that --events can be held against",
        ));
    }
    let proven = held(EventProof::read(&text).and_then(|proof| proof.check(key.as_ref())), &file, page)?;
    if page.is_json() {
        return page.json(&serde_json::json!({ "proven": true, "proof": proven }));
    }
    let size = count_of(usize::try_from(proven.size).unwrap_or(usize::MAX), "event", "events");
    let text = format!(
        "Version {} of case {}, {}, recorded at {}, is event {} of the log {}, which had {size}.",
        proven.version, proven.case, proven.event_type, proven.recorded_at, proven.position, proven.origin
    );
    page.item(0, &good("Proven."), &text)?;
    tell_key(&proven, page)
}

/// What was proven, or the answer that it was not.
fn held<T>(checked: Result<T, ProofError>, file: &str, page: &mut Page) -> Result<T, Failure> {
    match checked {
        Ok(proven) => Ok(proven),
        Err(error @ ProofError::NotAProof { .. }) => {
            let trouble = Trouble::new(error.to_string()).at(file.to_owned());
            Err(Failure::Input(trouble.help("`casebook audit proof REF VERSION -o FILE` writes one")))
        }
        Err(ProofError::DoesNotHold { check, problem }) => {
            if page.is_json() {
                page.json(&serde_json::json!({ "proven": false, "check": check, "problem": problem }))?;
            } else {
                page.item(0, &bad("Not proven."), &format!("{check}: {problem}"))?;
            }
            Err(Failure::CheckFailed)
        }
    }
}

fn tell_end(proven: &ProvenEnd, with_events: bool, page: &mut Page) -> Result<(), Failure> {
    if page.is_json() {
        return page
            .json(&serde_json::json!({ "proven": true, "whole_export": with_events, "proof": proven }));
    }
    let count = |number: u64| count_of(usize::try_from(number).unwrap_or(usize::MAX), "event", "events");
    let said = match &proven.case {
        Some(case) => format!("Case {case} had exactly {}", count(proven.events)),
        None => format!("There was no case {}", proven.case_id),
    };
    let seal = &proven.seal;
    let text = format!(
        "{said} when the log {} had {}: so says its seal of {}, event {} of it.",
        seal.origin,
        count(proven.sealed_size),
        seal.recorded_at,
        seal.position
    );
    page.item(0, &good("Proven."), &text)?;
    if with_events {
        page.line("The export is whole: every one of them, in order, to the last.")?;
    }
    tell_key(seal, page)
}

fn tell_key(proven: &Proven, page: &mut Page) -> Result<(), Failure> {
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

/// An export can be longer than other files that are read here.
fn read_export(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

fn version(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no version; `casebook history REF` has the numbers"))
}
