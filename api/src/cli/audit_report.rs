//! `casebook audit report`: a case for a reader who was not there.

use std::path::PathBuf;

use clap::Args;

use super::Globals;
use super::answer::Failure;
use super::audit::recompute;
use super::document::{account, checkpointed, hand_out, sealed};
use super::folder;
use super::output_file::OutputFile;
use super::page::Page;
use crate::report::audit_document::audit_document;
use crate::report::audit_page::audit_page;

/// Which case to report on, and where.
#[derive(Debug, Args)]
#[command(
    after_help = "The whole log is verified first, and a checkpoint of it signed. The page needs nothing else, and prints well: what
was recorded against a rule, breaches, gaps, corrections, late facts and what they changed, deadlines, who decided and
who recorded, what was known when, every event, and how it is checked. Exit code 8 where the log is not what it should
be; the report is written all the same, and says so.

Examples:
  casebook audit report 2020/146999 -o 2020-146999.html
  casebook audit report 2020/146999 --json | jq .counts"
)]
pub(super) struct ReportArgs {
    /// The case's reference, or its id
    #[arg(value_name = "REF")]
    reference: String,
    /// Write to this file, which appears when it is whole; left out: standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(super) async fn run(args: &ReportArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let (engine, damage) = folder::existing_even_damaged(globals, page)?;
    let mut account = account(&engine, &args.reference).await?;
    if let Some(path) = &args.output {
        // Before anything is sealed for a report that can't be written.
        drop(OutputFile::create(path)?);
    }
    let mut verification = recompute(&engine, page).await?;
    // A damaged journal is more than a finding about an event: its end can't be read.
    verification.verified &= damage.is_none();
    let is_verified = verification.verified;
    account.verification = Some(verification);
    account.damage = damage;
    if is_verified {
        account.checkpoint = Some(checkpointed(&engine)?);
        account.sealed = sealed(&engine, account.status.case_id)?;
    }
    let reference = account.status.reference.clone();
    match &args.output {
        None if page.is_json() => page.json(&audit_document(&account))?,
        Some(path) if page.is_json() => {
            let text = serde_json::to_string_pretty(&audit_document(&account))
                .map_err(|error| Failure::unexpected(error.to_string()))?;
            hand_out(&format!("{text}\n"), Some(path), "Wrote the audit report on", &reference, page)?;
        }
        output => {
            let text = audit_page(&account);
            hand_out(&text, output.as_deref(), "Wrote the audit report on", &reference, page)?;
        }
    }
    if is_verified {
        return Ok(());
    }
    let mut stderr = page.stderr();
    stderr.item(
        0,
        "note:",
        "the log is not sound: the report says what was found, and so does `casebook audit verify`",
    )?;
    stderr.flush()?;
    Err(Failure::Integrity)
}
