//! `casebook audit`: whether anything recorded was changed.

use casebook_engine::engine::Engine;
use casebook_engine::verify::{Finding, Verification};
use clap::Subcommand;

use super::Globals;
use super::answer::Failure;
use super::folder;
use super::page::{Page, Progress, bad, dim, good};
use super::reading::count_of;

/// `casebook audit`
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Recompute every hash, every chain and every order from the stored bytes; exit code 8 if anything is wrong
    #[command(
        after_help = "Nothing that is kept for speed is trusted: every event is read and hashed again, every case's chain
followed, every case judged anew under its definition. The first thing that is wrong is named: position,
case, version, what was expected and what was found.

Examples:
  casebook audit verify
  casebook audit verify --json | jq .findings"
    )]
    Verify,
}

/// Runs the command.
pub(super) async fn run(command: AuditCommand, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let AuditCommand::Verify = command;
    let (engine, damage) = folder::existing_even_damaged(globals, page)?;
    let mut verification = recompute(&engine, page).await?;
    if let Some(damage) = damage {
        verification.verified = false;
        if page.is_json() {
            page.json(&serde_json::json!({ "journal_damage": damage, "verification": verification }))?;
        } else {
            page.item(0, &bad("Damaged:"), &damage)?;
            tell(&verification, page)?;
        }
        return Err(Failure::Integrity);
    }
    if page.is_json() {
        page.json(&verification)?;
    } else {
        tell(&verification, page)?;
    }
    if verification.verified { Ok(()) } else { Err(Failure::Integrity) }
}

/// Verifies the log.
pub(super) async fn recompute(engine: &Engine, page: &Page) -> Result<Verification, Failure> {
    let progress = Progress::new(page, "verifying", 0);
    let engine = engine.clone();
    let verified = tokio::task::spawn_blocking(move || {
        let verified = casebook_engine::verify::verify(&engine, &|at| progress.reached(at.done, at.total));
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
    if let Some(leaf) = &verification.last_leaf {
        page.line(&dim(&format!("  last event: position {}, leaf hash {leaf}", verification.head)))?;
    }
    Ok(())
}

fn tell_finding(finding: &Finding, page: &mut Page) -> Result<(), Failure> {
    let case =
        finding.case.as_ref().map_or_else(|| "case not readable".to_owned(), |case| format!("case {case}"));
    let place = format!("position {}, {case}, version {}", finding.position, finding.version);
    page.item(2, &bad("✗"), &format!("{place}: {}", finding.check))?;
    page.item(4, "expected:", &finding.expected)?;
    page.item(4, "found:   ", &finding.found)
}
