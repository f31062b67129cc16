//! What is written from the definitions that ship, and committed, is what they say today: the transition tables, a page for
//! people, the schema of the language.
//!
//! After a change of a definition, `CASEBOOK_WRITE=1 cargo test -p casebook-tests written_pages` writes the files again.

use std::fs;
use std::path::Path;

use casebook_engine::definition::Definition;
use casebook_engine::definition::compile::compile;
use casebook_engine::definition::definition_schema::definition_schema;
use casebook_engine::definition::page::page;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::definition::transition_table::transition_tables;
use casebook_engine::foreign::mapping_schema::mapping_schema;
use casebook_engine::workflows::{SHIPPED, shipped};

/// Compares a file of the repository with what it should be, or writes it where the caller asks for that.
#[expect(clippy::disallowed_methods, reason = "who runs a test says so in the environment")]
#[track_caller]
fn check(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join(path);
    if std::env::var_os("CASEBOOK_WRITE").is_some() {
        fs::create_dir_all(file.parent().expect("a folder")).expect("the folder can be made");
        fs::write(&file, expected).expect("the file can be written");
        return;
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let command = "CASEBOOK_WRITE=1 cargo test -p casebook-tests written_pages";
    assert!(kept == expected, "{path} is not what the definition says: run `{command}`");
}

fn definitions() -> impl Iterator<Item = (&'static str, Definition, Vec<SourceFile>)> {
    SHIPPED.into_iter().map(|name| {
        let files = shipped(name).expect("a definition that ships has files");
        (name, compile(&files).expect("it compiles"), files)
    })
}

#[test]
fn the_transition_tables_of_every_definition_that_ships_are_up_to_date() {
    for (name, definition, files) in definitions() {
        let tables = transition_tables(&definition, &files);
        assert!(tables.matches("\n## ").count() == definition.strands.len(), "{name}: a strand is left out");
        check(&format!("engine/workflows/{name}/transitions.md"), &tables);
    }
}

#[test]
fn the_page_of_every_definition_that_ships_is_up_to_date() {
    for (name, definition, files) in definitions() {
        assert!(definition.about.is_some(), "{name} does not say under `about` what it is for");
        check(&format!("docs/workflows/{name}.md"), &page(&definition, &files));
    }
}

/// A page that leaves something out is worse than none: people would take it for all there is.
#[test]
fn the_page_names_every_event_rule_strand_and_deadline() {
    for (name, definition, files) in definitions() {
        let page = page(&definition, &files);
        let has = |what: &str| assert!(page.contains(what), "{name}: the page lacks {what}");
        for event in definition.events.iter().filter(|event| !event.rules.is_empty()) {
            has(&format!("### {} (`{}`)", event.title, event.name));
            event.rules.iter().for_each(|rule| has(&format!("(`{}`)", rule.id)));
        }
        definition.strands.iter().for_each(|strand| has(&format!("### Strand: {} (of", strand.title)));
        definition.derived.iter().for_each(|strand| has(&format!("### {} of", strand.title)));
        definition.deadlines.iter().for_each(|deadline| has(&format!("(`{}`)", deadline.name)));
    }
}

#[test]
fn the_list_of_documents_links_every_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let list = fs::read_to_string(root.join("docs/README.md")).expect("the list of documents");
    for name in SHIPPED {
        assert!(list.contains(&format!("(workflows/{name}.md)")), "docs/README.md does not link {name}");
    }
}

#[test]
fn the_schema_of_the_language_is_up_to_date() {
    let schema = serde_json::to_string_pretty(&definition_schema()).expect("JSON");
    check("docs/definition.schema.json", &format!("{schema}\n"));
}

#[test]
fn the_schema_of_mappings_is_up_to_date() {
    let schema = serde_json::to_string_pretty(&mapping_schema()).expect("JSON");
    check("docs/log-map.schema.json", &format!("{schema}\n"));
}

/// The picture that the README shows.
#[test]
fn the_picture_of_the_reference_case_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let office = crate::office::Office::new();
    let file = root.join("examples/reference-case/2020-146999.jsonl");
    office.done(&["import", file.to_str().expect("a path")]);
    check("docs/images/case.svg", &office.done(&["export", "svg", "2020/146999"]));
    let readme = fs::read_to_string(root.join("README.md")).expect("the README");
    assert!(readme.contains("(docs/images/case.svg)"), "README.md does not show docs/images/case.svg");
}
