//! `casebook workflow page` and `casebook workflow table`: a definition as Markdown, for people and for reviewers.

use casebook_engine::definition::page::page as page_of;
use casebook_engine::definition::transition_table::transition_tables;

use super::answer::Failure;
use super::definition;
use super::page::Page;

/// Writes the page for people.
pub(super) fn run(name: &str, page: &mut Page) -> Result<(), Failure> {
    let files = definition::sources(name)?;
    let compiled = definition::compiled(&files, name, page)?;
    tell(&page_of(&compiled, &files), page)
}

/// Writes the transition tables.
pub(super) fn table(name: &str, page: &mut Page) -> Result<(), Failure> {
    let files = definition::sources(name)?;
    let compiled = definition::compiled(&files, name, page)?;
    tell(&transition_tables(&compiled, &files), page)
}

fn tell(markdown: &str, page: &mut Page) -> Result<(), Failure> {
    if page.is_json() {
        return page.json(&serde_json::json!({ "markdown": markdown }));
    }
    page.bytes(markdown.as_bytes())
}
