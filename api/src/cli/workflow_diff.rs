//! What is different between two definitions, in words: for `casebook workflow diff`.

use casebook_engine::definition::diff::{Changes, Difference, StrandDiff, WorkflowDiff};

use super::answer::Failure;
use super::page::{Page, bad, good, strong, warn};
use super::refusal::step_words;

/// Tells a comparison: what was added, removed and changed, then the sequences that are answered differently.
pub(super) fn tell(found: &WorkflowDiff, page: &mut Page) -> Result<(), Failure> {
    page.line(&strong(&format!("{} → {}", found.from, found.to)))?;
    if found.is_empty() {
        return page.line("Nothing is different.");
    }
    let parts = [
        ("Roles", &found.roles),
        ("Entities", &found.entities),
        ("Events", &found.events),
        ("Rules", &found.rules),
        ("Deadlines", &found.deadlines),
        ("Strands", &found.strands),
    ];
    for (title, changes) in parts {
        tell_changes(title, changes, page)?;
    }
    for strand in &found.sequences {
        tell_strand_diff(strand, page)?;
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

fn tell_strand_diff(strand: &StrandDiff, page: &mut Page) -> Result<(), Failure> {
    tell_changes(&format!("States of {}", strand.strand), &strand.states, page)?;
    tell_differences(&format!("{}: lawful before, not now", strand.strand), &strand.no_longer_lawful, page)?;
    tell_differences(&format!("{}: lawful now, not before", strand.strand), &strand.newly_lawful, page)?;
    tell_differences(&format!("{}: leads elsewhere", strand.strand), &strand.leads_elsewhere, page)?;
    if strand.not_proved {
        page.line(&warn("  Not every combination of values was walked: there may be more."))?;
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
