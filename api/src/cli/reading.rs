//! What the engine answers, in words: changes, breaches, gaps, mentions of events.

use casebook_engine::case::reading::{BreachReading, Change, EventMention, GapReading};

use super::answer::Failure;
use super::date;
use super::page::{Page, dim, strong, warn};
use crate::words::spoken;
pub(super) use crate::words::{
    Titles, capitalised, count_of, gap_words, ground_gone_words, scope_words, unstopped,
};

/// A change in words: `Charge of C1: Laid → Sent`.
pub(super) fn change_words(change: &Change, titles: &Titles) -> String {
    let whose = change.entity.as_ref().map(|entity| format!(" of {entity}")).unwrap_or_default();
    let strand = titles.strand(&change.strand);
    let is_overlay = change.strand.contains('/');
    let state = |name: &String| if is_overlay { spoken(name) } else { titles.state(&change.strand, name) };
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{strand}{whose}: {} → {}", state(from), strong(&state(to))),
        (None, Some(to)) => format!("{strand}{whose}: {}", strong(&state(to))),
        (Some(from), None) => format!("{strand}{whose}: no longer {}", state(from)),
        (None, None) => format!("{strand}{whose}: nothing"),
    }
}

/// Tells changes, one a line.
pub(super) fn tell_changes(
    changes: &[Change],
    indent: usize,
    titles: &Titles,
    page: &mut Page,
) -> Result<(), Failure> {
    for change in changes {
        page.item(indent, "•", &change_words(change, titles))?;
    }
    Ok(())
}

/// Tells breaches, one an item.
pub(super) fn tell_breaches(
    breaches: &[BreachReading],
    indent: usize,
    page: &mut Page,
) -> Result<(), Failure> {
    for breach in breaches {
        let basis = breach.basis.as_ref().map(|basis| format!(" ({basis})")).unwrap_or_default();
        let gone = if breach.ground_gone {
            format!(" {}.", capitalised(&ground_gone_words(breach.ground_taken_by.as_ref())))
        } else {
            String::new()
        };
        let place = dim(&format!("[{}, event {}, noted as {}]", breach.rule, breach.event, breach.version));
        page.item(
            indent,
            &warn("breach:"),
            &format!("{}{basis}.{gone} {place}", unstopped(&breach.message)),
        )?;
    }
    Ok(())
}

/// Tells gaps, one an item: steps that happened, and of which nobody has the details.
pub(super) fn tell_gaps(
    gaps: &[GapReading],
    indent: usize,
    titles: &Titles,
    page: &mut Page,
) -> Result<(), Failure> {
    for gap in gaps {
        let about = match scope_words(&gap.scope) {
            words if words.is_empty() => String::new(),
            words => format!(", {words}"),
        };
        let missing = gap_words(&gap.missing, titles);
        let (mark, closed) = match gap.closed_by {
            Some(version) => (dim("gap:"), format!(" Closed by event {version}.")),
            None => (warn("gap:"), String::new()),
        };
        let place = dim(&format!("[event {}]", gap.version));
        page.item(
            indent,
            &mark,
            &format!("{missing}{about}. {}.{closed} {place}", unstopped(&gap.why_known)),
        )?;
    }
    Ok(())
}

/// Tells events that are mentioned, one an item. Gaps among them are called by what is missing.
pub(super) fn tell_mentions(
    mentions: &[EventMention],
    gaps: &[GapReading],
    indent: usize,
    titles: &Titles,
    page: &mut Page,
) -> Result<(), Failure> {
    for mention in mentions {
        page.item(indent, "•", &mention_words(mention, gaps, titles))?;
    }
    Ok(())
}

/// An event in words: `event 12, Sentence passed, 4 October 2023`.
fn mention_words(mention: &EventMention, gaps: &[GapReading], titles: &Titles) -> String {
    let note = mention.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    let title = match gaps.iter().find(|gap| gap.version == mention.version) {
        Some(gap) => format!("gap: {}", gap_words(&gap.missing, titles)),
        None => titles.event(&mention.event_type),
    };
    format!("event {}, {title}, {}{note}", mention.version, date::in_words(&mention.occurred))
}
