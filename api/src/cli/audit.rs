//! `casebook audit`: whether anything recorded was changed, and proofs for others that nothing was.

use std::path::{Path, PathBuf};

use casebook_engine::engine::Engine;
use casebook_engine::ledger::checkpoint::{Checkpoint, CheckpointError, Rotation, successors};
use casebook_engine::ledger::key::VerifierKey;
use casebook_engine::ledger::note::{Note, NoteError};
use casebook_engine::sealer::Sealer;
use casebook_engine::signer::{Signer, believed};
use casebook_engine::verify::{Demand, Finding, Verification};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Globals;
use super::answer::{Failure, Trouble};
use super::audit_checkpoint::{self, CheckpointArgs};
use super::audit_key::{self, KeyCommand};
use super::audit_proof::{self, ProofArgs, VerifyProofArgs};
use super::audit_report::{self, ReportArgs};
use super::definition::unreadable;
use super::folder;
use super::page::{Page, Progress, bad, dim, good};
use super::reading::count_of;

/// `casebook audit`
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Recompute every hash, every chain and every order from the stored bytes; exit code 8 if anything is wrong
    Verify(VerifyArgs),
    /// Sign what the log is now; a copy kept elsewhere convicts every later change
    Checkpoint(CheckpointArgs),
    /// Write a file that proves that one event is in the log, or how many events a case has
    Proof(ProofArgs),
    /// Write a report on one case for a reader who was not there; verifies the log first
    Report(ReportArgs),
    /// Check such a file; needs no cases and no network
    VerifyProof(VerifyProofArgs),
    /// Show the public key that checkpoints are signed with, or replace it
    Key(KeyArgs),
}

/// Against what to verify.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing that is kept for speed is trusted: every event is read and hashed again, every case's chain
followed, the Merkle tree over all events built anew, every case judged under its definition. The first thing
that is wrong is named: position, case, version, what was expected and what was found.

A checkpoint that was kept elsewhere proves more: that the log begins with exactly what it was then. Without
--key it has to be signed by a key of this log; with --key by that key, or by one that it announced.

Examples:
  casebook audit verify
  casebook audit verify --checkpoint 2026-03.checkpoint
  casebook audit verify --json | jq .findings"
)]
pub(super) struct VerifyArgs {
    /// A checkpoint that the log has to meet; may be given several times
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The public key that must have signed it, as `casebook audit key` printed it then
    #[arg(long, value_name = "VKEY", requires = "checkpoint")]
    key: Option<String>,
}

/// What to do with the key.
#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: Option<KeyCommand>,
}

/// Runs the command.
pub(super) async fn run(command: AuditCommand, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(args) => verify(args, globals, page).await,
        AuditCommand::Checkpoint(args) => audit_checkpoint::run(&args, globals, page),
        AuditCommand::Proof(args) => audit_proof::run(&args, globals, page),
        AuditCommand::Report(args) => audit_report::run(&args, globals, page).await,
        AuditCommand::VerifyProof(args) => audit_proof::verify(&args, page),
        AuditCommand::Key(args) => audit_key::run(args.command.as_ref(), globals, page),
    }
}

async fn verify(args: VerifyArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let key = args.key.as_deref().map(read_key).transpose()?;
    let texts = args.checkpoint.iter().map(|path| Ok((path.as_path(), read_text(path)?)));
    let texts = texts.collect::<Result<Vec<_>, Failure>>()?;
    for (path, text) in &texts {
        Note::parse(text)
            .map_err(CheckpointError::from)
            .and_then(|note| Checkpoint::read(&note))
            .map_err(|error| no_checkpoint(path, &error))?;
    }
    let (engine, damage) = folder::existing_even_damaged(globals, page)?;
    let mut demands = Vec::new();
    let mut unknown = Vec::new();
    for (path, text) in &texts {
        match demand(&engine, path, text, key.as_ref())? {
            Ok(demand) => demands.push(demand),
            Err(finding) => unknown.push(finding),
        }
    }
    let mut verification = match (recompute_against(&engine, demands, page).await, &damage) {
        (Ok(verification), _) => verification,
        // What can't be read any more is what was looked for.
        (Err(Failure::Storage(trouble)), Some(damage)) => return unreadable_log(damage, &trouble, page),
        (Err(failure), _) => return Err(failure),
    };
    verification.verified &= unknown.is_empty() && damage.is_none();
    verification.findings.extend(unknown);
    if page.is_json() {
        page.json(&Verdict { verification: &verification, journal_damage: damage.as_deref() })?;
    } else {
        if let Some(damage) = &damage {
            page.item(0, &bad("Damaged:"), damage)?;
        }
        tell(&verification, page)?;
    }
    if verification.verified { Ok(()) } else { Err(Failure::Integrity) }
}

/// The answer in JSON: of the same shape whatever was found.
#[derive(Serialize)]
struct Verdict<'a> {
    #[serde(flatten)]
    verification: &'a Verification,
    journal_damage: Option<&'a str>,
}

fn unreadable_log(damage: &str, trouble: &Trouble, page: &mut Page) -> Result<(), Failure> {
    if page.is_json() {
        let found = format!("{damage}; {}", trouble.message);
        page.json(&serde_json::json!({"verified": false, "findings": [], "journal_damage": found}))?;
    } else {
        page.item(0, &bad("Damaged:"), damage)?;
        page.item(
            0,
            &bad("Not verified:"),
            &format!("the log can't be read to its end: {}", trouble.message),
        )?;
    }
    Err(Failure::Integrity)
}

/// What a checkpoint demands of the log. A signature that does not fit its text is bad input: the file was changed. A key that
/// this log does not know is a finding: the file is what the auditor kept, and it is the log that has to answer to it.
fn demand(
    engine: &Engine,
    path: &Path,
    text: &str,
    key: Option<&VerifierKey>,
) -> Result<Result<Demand, Finding>, Failure> {
    let signer = signer_of(engine)?;
    // Keys and announcements that can't be believed vouch for nothing; verification itself names them.
    let known = match key {
        None => signer.known_keys().unwrap_or_default(),
        Some(key) => {
            let announced = signer.rotations().unwrap_or_default();
            let rotations: Vec<Rotation> = announced.into_iter().map(|(_, rotation)| rotation).collect();
            successors(key, &rotations)
        }
    };
    let from = path.display().to_string();
    match believed(text, &known) {
        Ok(checkpoint) => Ok(Ok(Demand { from, checkpoint })),
        Err(CheckpointError::Note(error @ NoteError::UnknownKey { .. })) if key.is_none() => {
            Ok(Err(Finding {
                check: "signature",
                position: casebook_engine::case::event::Position(0),
                case: None,
                version: casebook_engine::case::event::Version(0),
                expected: format!("{from} to be signed by a key of this log, {}", signer.origin()),
                found: error.to_string(),
            }))
        }
        Err(error) => Err(no_checkpoint(path, &error)),
    }
}

fn no_checkpoint(path: &Path, error: &CheckpointError) -> Failure {
    let help = match error {
        CheckpointError::Note(NoteError::BadSignature { .. }) => {
            "this file proves nothing any more: take another copy of the checkpoint"
        }
        CheckpointError::Note(NoteError::UnknownKey { .. }) => {
            "--key names the key that signed this checkpoint"
        }
        _ => "`casebook audit checkpoint -o FILE` writes one",
    };
    Failure::Input(Trouble::new(error.to_string()).at(path.display().to_string()).help(help))
}

/// Who signs for the cases.
pub(super) fn signer_of(engine: &Engine) -> Result<&Signer, Failure> {
    engine.signer().ok_or_else(|| Failure::unexpected("nobody signs for these cases"))
}

/// Who seals the ends of all cases and signs.
pub(super) fn sealer_of(engine: &Engine) -> Result<&Sealer, Failure> {
    engine.sealer().ok_or_else(|| Failure::unexpected("nobody signs for these cases"))
}

/// A public key from the command line.
pub(super) fn read_key(text: &str) -> Result<VerifierKey, Failure> {
    text.parse().map_err(|error| {
        Failure::input(
            format!("--key: {error}"),
            "`casebook audit key` prints the key as it is written here: NAME+ID+KEY, without spaces",
        )
    })
}

/// A small text file.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(casebook_engine::ledger::proof::PROOF_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::Input(Trouble::new("it is not a text file").at(path.display().to_string())))
}

/// Verifies the log.
pub(super) async fn recompute(engine: &Engine, page: &Page) -> Result<Verification, Failure> {
    recompute_against(engine, Vec::new(), page).await
}

/// Verifies the log, which has to meet these checkpoints too.
async fn recompute_against(
    engine: &Engine,
    demands: Vec<Demand>,
    page: &Page,
) -> Result<Verification, Failure> {
    let progress = Progress::new(page, "verifying", 0);
    let engine = engine.clone();
    let verified = tokio::task::spawn_blocking(move || {
        let verified = casebook_engine::verify::verify_against(&engine, &demands, &|at| {
            progress.reached(at.done, at.total);
        });
        progress.finish();
        verified
    });
    let verified = verified.await.map_err(|error| Failure::unexpected(error.to_string()))?;
    verified.map_err(Failure::from)
}

/// Tells the verdict, and what is wrong.
pub(super) fn tell(verification: &Verification, page: &mut Page) -> Result<(), Failure> {
    let events = count_of(usize::try_from(verification.events).unwrap_or(usize::MAX), "event", "events");
    let looked_at = format!("{events} in {}", count_of(verification.cases, "case", "cases"));
    if !verification.verified {
        page.item(0, &bad("Not verified."), &format!("{looked_at} were looked at."))?;
        return verification.findings.iter().try_for_each(|finding| tell_finding(finding, page));
    }
    let text = format!(
        "{looked_at}: every byte hashed again, every chain followed, every case judged anew. Nothing was changed."
    );
    page.item(0, &good("Verified."), &text)?;
    if verification.checkpoints_met > 0 {
        let met = count_of(verification.checkpoints_met, "checkpoint", "checkpoints");
        page.line(&format!(
            "  It meets {met}, brought or kept beside it: it begins with exactly what it was then."
        ))?;
    }
    if verification.seals_met > 0 {
        let seals = count_of(usize::try_from(verification.seals_met).unwrap_or(usize::MAX), "seal", "seals");
        page.line(&format!("  {seals} in it: each says how every case ended then, and each is right."))?;
    }
    if let Some(leaf) = &verification.last_leaf {
        page.line(&dim(&format!("  last event: position {}, leaf hash {leaf}", verification.head)))?;
    }
    Ok(())
}

fn tell_finding(finding: &Finding, page: &mut Page) -> Result<(), Failure> {
    let case =
        finding.case.as_ref().map_or_else(|| "case not readable".to_owned(), |case| format!("case {case}"));
    let place = format!("position {}, {case}, version {}", finding.position, finding.version);
    let place = match (&finding.case, finding.check) {
        (None, "signature") => "the keys".to_owned(),
        (None, "tree" | "checkpoint") => format!("position {}", finding.position),
        _ => place,
    };
    page.item(2, &bad("✗"), &format!("{place}: {}", finding.check))?;
    page.item(4, "expected:", &finding.expected)?;
    page.item(4, "found:   ", &finding.found)
}

/// The checkpoint of a store elsewhere that a new one has to meet, its signature checked by the key that was brought with it.
pub(super) fn checkpoint_of_elsewhere(
    checkpoint: Option<&Path>,
    key: Option<&str>,
) -> Result<Vec<Demand>, Failure> {
    let (Some(path), Some(key)) = (checkpoint, key) else { return Ok(Vec::new()) };
    let key = read_key(key)?;
    let checkpoint = believed(&read_text(path)?, &[key]).map_err(|error| {
        let trouble = Trouble::new(error.to_string()).at(path.display().to_string());
        Failure::Input(trouble.help(
            "--checkpoint names what `casebook audit checkpoint` signed, --key the key that `casebook audit key` printed",
        ))
    })?;
    Ok(vec![Demand { from: path.display().to_string(), checkpoint }])
}
