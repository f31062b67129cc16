//! The chronology of a case: the document that an investigator hands over, as a page and as plain text.

use casebook_engine::case::event::engine_types;
use casebook_engine::case::reading::HistoryEntry;
use maud::html;

use super::account::Account;
use super::page::{
    checkpoint_line, date_words, document, event_table, figure, head, link_words, provenance, title,
};
use crate::narrative::{is_note, titled_payload_words};
use crate::words::{count_of, scope_words};

/// Columns and lines of a page of plain text.
const COLUMNS: usize = 78;
const LINES: usize = 60;
/// Where the text of an event begins.
const INDENT: usize = 6;

const HOW_TO_READ: &str = "Events stand in the order in which they happened, as far as dates and links tell; the numbers are \
those of the record. A gap is a step that must have happened, of which nobody has the details. What was corrected or \
annulled stays, struck through, and what took its place stands beside it.";

/// The chronology as a page that needs nothing else and prints with reference, checkpoint and number on every sheet.
#[must_use]
pub fn chronology_page(account: &Account) -> String {
    let facts = facts(account);
    let body = html! {
        (head(account, "Chronology", &facts))
        main {
            p { (HOW_TO_READ) }
            (figure(account))
            h2 { "What happened" }
            (event_table(account, false))
        }
        footer { (checkpoint_line(account)) }
    };
    document(account, "Chronology", &body)
}

fn facts(account: &Account) -> [(&'static str, String); 3] {
    let counts = account.counts();
    let mut marks = vec![count_of(counts.events, "event", "events")];
    let more = [
        (counts.open_gaps, "open gap", "open gaps"),
        (counts.breaches, "breach noted", "breaches noted"),
        (counts.overrides, "recorded against a rule", "recorded against a rule"),
        (counts.corrections, "correction", "corrections"),
        (counts.annulments, "annulment", "annulments"),
    ];
    marks.extend(
        more.iter().filter(|(count, ..)| *count > 0).map(|(count, one, many)| count_of(*count, one, many)),
    );
    let checkpoint = checkpoint_line(account);
    [
        ("Holds", marks.join(", ")),
        ("Workflow", account.status.workflow.clone()),
        ("Checkpoint", checkpoint.strip_prefix("Checkpoint: ").unwrap_or(&checkpoint).to_owned()),
    ]
}

/// The chronology as plain text in pages of 60 lines, each with reference, checkpoint and number, parted by form feeds.
#[must_use]
pub fn chronology_text(account: &Account) -> String {
    let mut blocks = vec![opening(account)];
    let common = account.common_source();
    blocks.extend(account.entries.iter().map(|entry| event_block(account, entry, common.as_deref())));
    // Head and foot take two lines each, an empty one included.
    let room = LINES - 4;
    let mut pages: Vec<Vec<String>> = vec![Vec::new()];
    for block in blocks {
        let used = pages.last().map_or(0, Vec::len);
        if used > 0 && used + block.len() > room {
            pages.push(Vec::new());
        }
        for line in block {
            if pages.last().is_some_and(|page| page.len() >= room) {
                pages.push(Vec::new());
            }
            if let Some(page) = pages.last_mut() {
                page.push(line);
            }
        }
    }
    let count = pages.len();
    let reference = one_line(&account.status.reference);
    let pages = pages.into_iter().enumerate().map(|(index, mut lines)| {
        let number = format!("Page {} of {count}", index + 1);
        let left = cut(&format!("Case {reference}: chronology"), COLUMNS - number.len() - 1);
        let gap = COLUMNS.saturating_sub(left.chars().count() + number.len());
        lines.resize(room, String::new());
        let foot = wrapped(&checkpoint_line(account), 0).join("\n");
        // What was typed loses its control characters before the page gets its own.
        super::legible(format!("{left}{}{number}\n\n{}\n\n{foot}\n", " ".repeat(gap), lines.join("\n")))
    });
    pages.collect::<Vec<_>>().join("\u{c}")
}

fn opening(account: &Account) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(title) = &account.status.title {
        lines.extend(wrapped(title, 0));
        lines.push(String::new());
    }
    for (name, value) in facts(account).iter().take(2) {
        lines.extend(wrapped(&format!("{name}: {value}"), 0));
    }
    if let Some(source) = account.common_source() {
        lines.extend(wrapped(&format!("Source, where nothing else is said: {source}"), 0));
    }
    lines.push(String::new());
    let how = HOW_TO_READ.replace("struck through", "marked");
    lines.extend(wrapped(&how, 0));
    lines
}

fn event_block(account: &Account, entry: &HistoryEntry, common: Option<&str>) -> Vec<String> {
    let event = &entry.event;
    let said = &event.proposed;
    let place = account.event(event.version);
    let recorded = said.occurred.clone().unwrap_or_default();
    let now = place.map_or(&recorded, |event| &event.occurred);
    let mut lines = vec![String::new()];
    let mut when = String::new();
    if !is_note(said) {
        when = date_words(now);
        if let Some(text) = &now.text {
            when.push_str(&format!(" (“{text}”)"));
        }
        if place.is_some_and(|place| place.was.is_some()) {
            when.push_str(&format!(" [was: {}]", date_words(&recorded)));
        }
        let links = link_words(account, now);
        if !links.is_empty() {
            when.push_str(&format!(" [{links}]"));
        }
    }
    let about = scope_words(&said.scope);
    let about = if about.is_empty() { about } else { format!(", {about}") };
    let head = format!("{}{}{about}", marks(account, entry), title(account, entry));
    let mut first = wrapped(&head, INDENT);
    if let Some(line) = first.first_mut() {
        *line = format!("{:>4}  {}", event.version.to_string(), line.trim_start());
    }
    lines.extend(first);
    lines.extend(wrapped(&when, INDENT));
    let words = titled_payload_words(said, &account.entries, &account.titles);
    if !words.is_empty() {
        lines.extend(wrapped(&words, INDENT));
    }
    if let Some(now) = &entry.reads_now {
        let changed =
            now.iter().filter(|(name, value)| *name != "occurred" && said.data.get(*name) != Some(value));
        let changed: Vec<String> = changed
            .map(|(name, value)| {
                format!("{}: {}", name.replace('_', " "), account.titles.value(&said.event_type, name, value))
            })
            .collect();
        if !changed.is_empty() {
            lines.extend(wrapped(&format!("Reads now: {}", changed.join("; ")), INDENT));
        }
    }
    if let Some(rationale) = &said.rationale {
        lines.extend(wrapped(&format!("Why: {rationale}"), INDENT));
    }
    if let Some(given) = &said.override_given {
        lines.extend(wrapped(&format!("On the authority of {}: {}", given.authority, given.reason), INDENT));
    }
    lines.extend(wrapped(&provenance(account, entry, common, false), INDENT));
    lines
}

fn marks(account: &Account, entry: &HistoryEntry) -> String {
    let said = &entry.event.proposed;
    let mut marks = Vec::new();
    match said.event_type.as_str() {
        engine_types::GAP_DECLARED => marks.push("GAP".to_owned()),
        engine_types::BREACH_NOTED => marks.push("BREACH".to_owned()),
        _ => {}
    }
    marks.extend(entry.annulled_by.map(|by| format!("ANNULLED by {by}")));
    marks.extend(entry.corrected_by.iter().map(|by| format!("CORRECTED by {by}")));
    if said.override_given.is_some() {
        marks.push("AGAINST A RULE".to_owned());
    }
    if account.event(entry.event.version).is_some_and(|event| event.is_breach) {
        marks.push("BREACH NOTED".to_owned());
    }
    if entry.late {
        marks.push("RECORDED LATE".to_owned());
    }
    if marks.is_empty() { String::new() } else { format!("[{}] ", marks.join(", ")) }
}

/// Lines of at most [`COLUMNS`] letters, each after `indent` spaces; a word that is longer is broken.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let room = COLUMNS - indent;
    let margin = " ".repeat(indent);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(room) {
            let used = line.chars().count();
            if used > 0 && used + 1 + part.len() > room {
                lines.push(format!("{margin}{line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(part);
        }
    }
    if !line.is_empty() {
        lines.push(format!("{margin}{line}"));
    }
    lines
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}
