//! Documents about one case, for people: its picture, the audit report, the chronology.
//!
//! Pure: a document is a function of what the engine read, so the same case gives the same bytes. Whatever somebody typed is
//! escaped by the template that writes it.

pub mod account;
pub mod audit_document;
pub mod audit_page;
pub mod chronology;
mod marks;
mod page;
pub mod picture;
mod placement;

/// A document without the characters that no reader sees and that XML does not allow: they become U+FFFD.
fn legible(document: String) -> String {
    let is_hidden = |letter: char| {
        let is_control = letter.is_control() && !matches!(letter, '\n' | '\t');
        is_control
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    if document.contains(is_hidden) { document.replace(is_hidden, "\u{fffd}") } else { document }
}
