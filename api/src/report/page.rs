//! What every page has: its frame, what stands in the margins of paper, and an event as a row of a table.

use casebook_engine::case::deadline_reading::DueReading;
use casebook_engine::case::event::{Asserted, ProposedEvent, SourceKind, Version, engine_types};
use casebook_engine::case::occurred::{Basis, Day, Occurred};
use casebook_engine::case::reading::{Change, HistoryEntry};
use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::account::{Account, decider, recorder, source};
use super::picture::{Picture, draw};
use crate::narrative::{DEFINITION_DIGEST, alternatives_words, is_note, titled_payload_words};
use crate::words::{count_of, scope_words, spoken};

const STYLE: &str = include_str!("style.css");

/// A whole page: the head, what stands in the margins of every sheet, and the body.
///
/// The page is XML too, and it asks for nothing outside itself.
pub(super) fn document(account: &Account, kind: &str, body: &Markup) -> String {
    let reference = &account.status.reference;
    let title = format!("{kind}: case {reference}");
    let page = html! {
        (PreEscaped("<!DOCTYPE html>\n"))
        html lang="en" xmlns="http://www.w3.org/1999/xhtml" {
            head {
                (PreEscaped("<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
                             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"))
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(margins(account, kind))) }
            }
            body { (body) }
        }
    };
    let mut text = super::legible(page.into_string());
    text.push('\n');
    text
}

/// The boxes in the margins of paper: reference, checkpoint, page number.
fn margins(account: &Account, kind: &str) -> String {
    let font = "font: 7.5pt system-ui, 'Liberation Sans', Arial, sans-serif; color: #526070;";
    let reference = css_text(&format!("Case {}", account.status.reference));
    let checkpoint = css_text(&checkpoint_line(account));
    format!(
        "@page {{ size: A4; margin: 20mm 16mm 22mm;\n\
         @top-left {{ content: {reference}; {font} }}\n\
         @top-right {{ content: {}; {font} }}\n\
         @bottom-left {{ content: {checkpoint}; {font} width: 80%; text-align: left; }}\n\
         @bottom-right {{ content: \"Page \" counter(page) \" of \" counter(pages); {font} width: 20%; text-align: right; }} }}\n",
        css_text(kind)
    )
}

/// The checkpoint in one line, for the foot of every page.
pub(super) fn checkpoint_line(account: &Account) -> String {
    match &account.checkpoint {
        Some(checkpoint) => {
            format!("Checkpoint: {}, {} events, root {}", checkpoint.origin, checkpoint.size, checkpoint.root)
        }
        None if account.verification.as_ref().is_some_and(|found| !found.verified) => {
            "No checkpoint: what was not verified is not signed".to_owned()
        }
        None => "No checkpoint: nobody signs for these cases".to_owned(),
    }
}

/// A text as a string of CSS that no text can end: whatever is no plain letter is written as its number.
fn css_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            ' ' | '.' | ',' | ':' | '/' | '-' | '+' | '=' => quoted.push(letter),
            _ if letter.is_ascii_alphanumeric() => quoted.push(letter),
            '\n' | '\r' | '\t' => quoted.push(' '),
            _ => quoted.push_str(&format!("\\{:06x}", u32::from(letter))),
        }
    }
    quoted.push('"');
    quoted
}

/// What kind of document it is and what case it is about.
pub(super) fn head(account: &Account, kind: &str, facts: &[(&str, String)]) -> Markup {
    let status = &account.status;
    html! {
        header class="top" {
            p class="kind" { (kind) }
            h1 { "Case " (status.reference) }
            @if let Some(title) = &status.title { p class="title" { (title) } }
            dl class="facts" {
                @for (name, value) in facts { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// The picture of the case.
pub(super) fn figure(account: &Account) -> Markup {
    let reference = &account.status.reference;
    html! {
        figure { (draw(Picture { reference, course: &account.course, is_linked: true })) }
    }
}

/// All events, in the order in which they happened.
pub(super) fn event_table(account: &Account, has_recording: bool) -> Markup {
    let common = account.common_source();
    html! {
        @if let Some(source) = &common {
            p class="before" { "Source, where nothing else is said: " (source) "." }
        }
        table class="events" {
            thead { tr { th scope="col" class="number" { "No." } th scope="col" { "When" } th scope="col" { "What" } } }
            tbody {
                @for entry in &account.entries { (event_row(account, entry, common.as_deref(), has_recording)) }
            }
        }
    }
}

fn event_row(account: &Account, entry: &HistoryEntry, common: Option<&str>, has_recording: bool) -> Markup {
    let event = &entry.event;
    let said = &event.proposed;
    let class = match said.event_type.as_str() {
        engine_types::GAP_DECLARED => Some("gap"),
        engine_types::BREACH_NOTED => Some("breach"),
        _ if is_note(said) => Some("note"),
        _ => None,
    };
    let title = title(account, entry);
    let about = scope_words(&said.scope);
    html! {
        tr id={ "event-" (event.version) } class=[class] {
            td class="number" { (event.version) }
            td class="when" { (when(account, entry)) }
            td {
                div class="what" {
                    (tags(account, entry))
                    @if entry.annulled_by.is_some() { s { (title) } } @else { (title) }
                    @if !about.is_empty() { span class="about" { ", " (about) } }
                }
                (fields(account, entry))
                @if let Some(rationale) = &said.rationale { div { span class="name said" { "Why: " } span class="prose" { (rationale) } } }
                @if let Some(given) = &said.override_given {
                    div { "On the authority of " (given.authority) ": " span class="prose" { (given.reason) } }
                }
                div class="by" { (provenance(account, entry, common, has_recording)) }
            }
        }
    }
}

/// What people call the event; of a gap, what is missing.
pub(super) fn title(account: &Account, entry: &HistoryEntry) -> String {
    let said = &entry.event.proposed;
    match said.event_type.as_str() {
        engine_types::GAP_DECLARED => alternatives_words(said, &account.titles),
        _ if entry.title.is_empty() => account.titles.event(&said.event_type),
        _ => entry.title.clone(),
    }
}

fn tags(account: &Account, entry: &HistoryEntry) -> Markup {
    let said = &entry.event.proposed;
    let closed_by = account
        .status
        .gaps
        .iter()
        .find(|gap| gap.version == entry.event.version)
        .and_then(|gap| gap.closed_by);
    html! {
        @if said.event_type == engine_types::GAP_DECLARED {
            @match closed_by {
                Some(by) => span class="tag calm" { "gap, closed by " (by) },
                None => span class="tag gap" { "gap" },
            }
        }
        @if let Some(by) = entry.annulled_by { span class="tag wrong" { "annulled by " (by) } }
        @for by in &entry.corrected_by { span class="tag calm" { "corrected by " (by) } }
        @if said.override_given.is_some() { span class="tag wrong" { "against a rule" } }
        @if said.event_type == engine_types::BREACH_NOTED { span class="tag wrong" { "breach" } }
        @else if account.event(entry.event.version).is_some_and(|event| event.is_breach) { span class="tag wrong" { "breach noted" } }
        @if entry.late { span class="tag calm" { "recorded late" } }
    }
}

/// When it happened: in words, and in the words of the source; a date that a correction changed is struck through.
fn when(account: &Account, entry: &HistoryEntry) -> Markup {
    let said = &entry.event.proposed;
    if is_note(said) {
        return html! {};
    }
    let recorded = said.occurred.clone().unwrap_or_default();
    let now = account.event(entry.event.version).map_or(&recorded, |event| &event.occurred);
    let is_redated = account.event(entry.event.version).is_some_and(|event| event.was.is_some());
    html! {
        @if is_redated { div { s { (date_words(&recorded)) } } }
        div { (date_words(now)) }
        @if let Some(text) = &now.text { div class="said" { "“" (text) "”" } }
        // What is inferred as a whole says so once, where it says where it comes from.
        @if now.basis != Basis::Stated && now.edtf().is_some()
            && !(now.basis == Basis::Inferred && said.asserted == Asserted::Inferred) {
            div class="said" { (if now.basis == Basis::Computed { "computed" } else { "inferred" }) }
        }
        @let links = link_words(account, now);
        @if !links.is_empty() { div class="said" { (links) } }
    }
}

/// The date in words; one that is not known says so.
pub(super) fn date_words(occurred: &Occurred) -> String {
    match occurred.words().as_str() {
        "unknown" => "date unknown".to_owned(),
        words => words.to_owned(),
    }
}

/// The events before or after which it happened, where the date itself is open.
pub(super) fn link_words(account: &Account, occurred: &Occurred) -> String {
    let bounds = occurred.bounds();
    if bounds.earliest.is_some() && bounds.latest.is_some() {
        return String::new();
    }
    let versions = |ids: &[String]| {
        let find = |id: &String| account.entries.iter().find(|entry| entry.event.id.to_string() == *id);
        ids.iter()
            .filter_map(find)
            .map(|entry| entry.event.version.to_string())
            .collect::<Vec<_>>()
            .join(" and ")
    };
    let (after, before) = (versions(&occurred.after), versions(&occurred.before));
    match (after.is_empty(), before.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!("after {after}"),
        (true, false) => format!("before {before}"),
        (false, false) => format!("after {after}, before {before}"),
    }
}

/// Letters of a value that shares its line with others.
const SHORT: usize = 44;

/// What the event says; of a corrected field both values.
fn fields(account: &Account, entry: &HistoryEntry) -> Markup {
    let said = &entry.event.proposed;
    let is_own = said.event_type == engine_types::CASE_OPENED
        || said.event_type == engine_types::DEADLINE_ADJUSTED
        || !engine_types::ALL.contains(&said.event_type.as_str());
    if !is_own {
        let words = titled_payload_words(said, &account.entries, &account.titles);
        return html! { @if !words.is_empty() { div class="fields prose" { (words) } } };
    }
    let now = entry.reads_now.as_ref().unwrap_or(&said.data);
    let is_said = |value: &Value| !value.as_array().is_some_and(Vec::is_empty);
    let names = said.data.keys().chain(now.keys().filter(|name| !said.data.contains_key(*name)));
    let told = names.filter(|name| *name != "occurred" && *name != DEFINITION_DIGEST);
    let told: Vec<(&str, Option<&Value>, Option<&Value>)> = told
        .map(|name| (name.as_str(), said.data.get(name), now.get(name)))
        .filter(|(_, before, after)| before.or(*after).is_some_and(is_said))
        .collect();
    // In words once: by field, what was said and what it reads now.
    let worded = |name: &str, value: &Value| account.titles.value(&said.event_type, name, value);
    let told: Vec<(&str, Option<String>, Option<String>)> = told
        .into_iter()
        .map(|(name, before, after)| {
            (name, before.map(|value| worded(name, value)), after.map(|value| worded(name, value)))
        })
        .collect();
    let length = |value: &Option<String>| value.as_ref().map_or(0, |value| value.chars().count());
    let (short, long): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|(_, before, after)| before == after && length(before) <= SHORT);
    html! {
        div class="fields" {
            @if !short.is_empty() {
                div { @for (index, field) in short.iter().enumerate() { @if index > 0 { " · " } (field_words(field)) } }
            }
            @for field in long { div { (field_words(&field)) } }
        }
    }
}

fn field_words((name, before, after): &(&str, Option<String>, Option<String>)) -> Markup {
    html! {
        span class="name" { (spoken(&name.replace('_', "-"))) ": " }
        @if before == after { @if let Some(value) = before { span class="prose" { (value) } } }
        @else {
            @if let Some(value) = before { s { (value) } " " }
            @if let Some(value) = after { strong { (value) } }
        }
    }
}

/// Who decided, who recorded, and where it comes from.
pub(super) fn provenance(
    account: &Account,
    entry: &HistoryEntry,
    common: Option<&str>,
    has_recording: bool,
) -> String {
    let said = &entry.event.proposed;
    let mut parts = Vec::new();
    parts.extend(decider(said).map(|decider| format!("Decided by {decider}")));
    let recorded = if has_recording {
        let lag = account.lag_days(entry).map(|days| format!(", {} later,", lag_words(days)));
        let at = entry.event.recorded_at.strftime("%Y-%m-%d %H:%M UTC");
        format!("Recorded {at}{} by {}", lag.unwrap_or_default(), recorder(said))
    } else {
        format!("Recorded by {}", recorder(said))
    };
    parts.push(recorded);
    parts.extend(asserted(said));
    parts.extend(
        source(said)
            .filter(|source| Some(source.as_str()) != common)
            .map(|source| format!("Source: {source}")),
    );
    parts.join(". ") + "."
}

/// A number of days as people say it: `12 days`, `over 4 months`, `over 5 years`.
pub(super) fn lag_words(days: i32) -> String {
    let of = |count: i32, one: &str, many: &str| count_of(usize::try_from(count).unwrap_or(0), one, many);
    match days {
        ..90 => of(days, "day", "days"),
        90..730 => format!("over {}", of((days - 1) / 31, "month", "months")),
        _ => format!("over {}", of((days - 1) / 366, "year", "years")),
    }
}

fn asserted(said: &ProposedEvent) -> Option<String> {
    let value = serde_json::to_value(said.asserted).ok()?;
    let word = value.as_str()?;
    // A source that is itself an inference says the same.
    let is_said_by_source = said.asserted == Asserted::Inferred
        && said.source.as_ref().is_some_and(|source| source.kind == SourceKind::Inferred);
    (word != "stated" && !is_said_by_source).then(|| spoken(word))
}

/// A link to an event of the table.
pub(super) fn link(version: Version) -> Markup {
    html! { a href={ "#event-" (version) } { (version) } }
}

/// A change of state: `Charge of C1: Laid → Sentenced`.
pub(super) fn change_words(account: &Account, change: &Change) -> String {
    let whose = change.entity.as_ref().map(|entity| format!(" of {entity}")).unwrap_or_default();
    let strand = account.titles.strand(&change.strand);
    let is_overlay = change.strand.contains('/');
    let state =
        |name: &String| if is_overlay { spoken(name) } else { account.titles.state(&change.strand, name) };
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{strand}{whose}: {} → {}", state(from), state(to)),
        (None, Some(to)) => format!("{strand}{whose}: {}", state(to)),
        (Some(from), None) => format!("{strand}{whose}: no longer {}", state(from)),
        (None, None) => format!("{strand}{whose}"),
    }
}

/// A day in words: `4 October 2023`.
pub(super) fn day_words(day: Day) -> String {
    Occurred::on(day).words()
}

/// The days on which a deadline can be due, in words.
pub(super) fn due_words(due: &DueReading) -> String {
    let days = match (due.earliest, due.latest) {
        (Some(earliest), Some(latest)) if earliest == latest => day_words(latest),
        (Some(earliest), Some(latest)) => {
            format!("between {} and {}", day_words(earliest), day_words(latest))
        }
        (Some(earliest), None) => format!("{} or later", day_words(earliest)),
        (None, Some(latest)) => format!("{} or earlier", day_words(latest)),
        (None, None) => "not known".to_owned(),
    };
    match due.not_before {
        Some(open) => format!("{days}; not before {}", day_words(open)),
        None => days,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, css: &str) {
        assert_eq!(css_text(text), css);
    }

    #[test]
    fn a_lag_is_told_in_the_unit_that_people_use() {
        assert_eq!(lag_words(1), "1 day");
        assert_eq!(lag_words(100), "over 3 months");
        assert_eq!(lag_words(2_003), "over 5 years");
    }

    #[test]
    fn a_plain_reference_stays_readable_in_css() {
        check("Case 2020/146999", "\"Case 2020/146999\"");
    }

    #[test]
    fn no_reference_ends_its_css_string_or_the_style_sheet() {
        check("a\"; } </style>\\", "\"a\\000022\\00003b \\00007d \\00003c/style\\00003e\\00005c\"");
    }
}
