//! What is different between two definitions, in words: for `casebook workflow diff`.

use casebook_engine::definition::behaviour::{Differs, Finding, Part};
use casebook_engine::definition::diff::{Changes, Difference, StrandDiff, WorkflowDiff};

use super::answer::Failure;
use super::page::{Page, bad, good, strong, warn};
use super::refusal::step_words;

/// Tells a comparison: what was added, removed and changed, then the sequences that are answered differently.
pub(super) fn tell(found: &WorkflowDiff, page: &mut Page) -> Result<(), Failure> {
    page.line(&strong(&format!("{} → {}", found.from, found.to)))?;
    if found.is_empty() {
        return page
            .line("Nothing is different. To see what a change does, give the file or folder that has it.");
    }
    if found.from == found.to {
        page.line(&warn(&format!(
            "Both say {}: a case takes the later one only under a higher `version`.",
            found.to
        )))?;
    }
    let parts = [
        ("Roles", &found.roles),
        ("Entities", &found.entities),
        ("Events", &found.events),
        ("Rules", &found.rules),
        ("Deadlines", &found.deadlines),
        ("Strands", &found.strands),
        ("Terms", &found.terms),
    ];
    for (title, changes) in parts {
        tell_changes(title, changes, page)?;
    }
    for strand in &found.sequences {
        tell_changes(&format!("States of {}", strand.strand), &strand.states, page)?;
        tell_changes(&format!("Rows of {}", strand.strand), &strand.rows, page)?;
    }
    if !found.behaviour.is_empty() {
        page.heading("Answered differently, each with a shortest history")?;
    }
    for finding in &found.behaviour {
        tell_finding(finding, page)?;
    }
    tell_sequences(found, page)?;
    if !found.not_shown.is_empty() {
        page.heading("Changed, and no history shows it")?;
    }
    for change in &found.not_shown {
        page.item(2, "?", &format!("{} {}: {}", change.part.word(), change.name, change.why))?;
    }
    Ok(())
}

fn tell_changes(title: &str, changes: &Changes, page: &mut Page) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    page.heading(title)?;
    for name in &changes.added {
        page.item(2, &good("+"), name)?;
    }
    for name in &changes.removed {
        page.item(2, &bad("-"), name)?;
    }
    for changed in &changes.changed {
        page.item(2, "~", &format!("{}: {}", changed.name, changed.what.join("; ")))?;
    }
    Ok(())
}

fn tell_finding(finding: &Finding, page: &mut Page) -> Result<(), Failure> {
    page.item(2, "•", &strong(&finding.in_words()))?;
    match &finding.differs {
        Differs::RefusedNow { by } | Differs::AcceptedNow { by } => {
            for by in by {
                page.item(4, &bad("×"), &format!("{}: {}", by.rule, by.message))?;
            }
        }
        Differs::EndsElsewhere { states } => {
            for change in states {
                let of = change.entity.as_ref().map(|entity| format!(" of {entity}")).unwrap_or_default();
                let (strand, before, now) = (&change.strand, &change.before, &change.now);
                page.item(4, "→", &format!("{strand}{of}: was {before}, is {now}"))?;
            }
        }
        Differs::Breach { .. } => {}
        Differs::Deadline { on, before, now, .. } => {
            page.item(4, "→", &format!("on {on}: was {before}; is {now}"))?;
        }
    }
    let scenario = finding.scenario();
    for line in scenario.to_string().lines().skip(1) {
        page.line(&format!("    {line}"))?;
    }
    if !finding.is_shortest {
        page.line(&warn("    A shorter history was not ruled out within the limit."))?;
    }
    Ok(())
}

/// Where no history shows what a strand's rows allow, the rows alone are told.
fn tell_sequences(found: &WorkflowDiff, page: &mut Page) -> Result<(), Failure> {
    let is_shown = |strand: &StrandDiff| {
        found.behaviour.iter().any(|finding| finding.part == Part::Strand && finding.name == strand.strand)
    };
    for strand in found.sequences.iter().filter(|strand| !is_shown(strand)) {
        let name = &strand.strand;
        let title = |what: &str| format!("{name}, rules left aside: {what}");
        tell_differences(&title("lawful before, not now"), &strand.no_longer_lawful, page)?;
        tell_differences(&title("lawful now, not before"), &strand.newly_lawful, page)?;
        tell_differences(&title("leads elsewhere"), &strand.leads_elsewhere, page)?;
        if strand.not_proved {
            page.line(&warn("  Not every combination of values was walked: there may be more."))?;
        }
    }
    Ok(())
}

fn tell_differences(title: &str, differences: &[Difference], page: &mut Page) -> Result<(), Failure> {
    if differences.is_empty() {
        return Ok(());
    }
    page.heading(title)?;
    for difference in differences {
        let leads = match (&difference.before, &difference.now) {
            (Some(before), Some(now)) => format!(": led to {before}, leads to {now}"),
            _ => String::new(),
        };
        page.item(2, "•", &format!("{}{leads}", strong(&difference.event)))?;
        for (index, step) in difference.witness.iter().enumerate() {
            page.item(4, &format!("{}.", index + 1), &step_words(step))?;
        }
    }
    Ok(())
}
