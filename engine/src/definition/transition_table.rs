//! Every strand of a definition as a table: state by event, what follows, and the rules that are asked.
//!
//! Committed beside each definition that ships, so that a reviewer sees in a difference what a change of rows means.

use std::fmt::Write;

use super::parts::merged;
use super::problem::Problems;
use super::source::{Source, SourceFile, StrandSource, source};
use super::{Branch, Definition, EventTypeId, Initial, Ownership, StateId, Strand, StrandId};

/// The transition tables of a definition as a Markdown page, in the order of its files.
///
/// The definition has to be compiled from these files. The same files give the same page.
#[must_use]
pub fn transition_tables(definition: &Definition, files: &[SourceFile]) -> String {
    let mut text = format!("# {}: transitions\n\n", definition.title);
    let name = &definition.name;
    let _ = writeln!(
        text,
        "Written by `casebook workflow table {name}`; a test holds that it is what the definition says.\n\n\
         One line for each state, event and branch. *stays*: accepted, and the state remains. *follows*: the strand never \
         refuses the event. The rules of an event are asked whatever the state."
    );
    let mut problems = Problems::new(files);
    let Some(root) = merged(files, &mut problems) else { return text };
    let source = source(&root, &mut problems);
    for written in &source.strands {
        if let Some(id) = definition.strand(&written.name.value) {
            table(definition, (&source, written), id, &mut text);
        }
    }
    text
}

fn table(
    definition: &Definition,
    (source, written): (&Source, &StrandSource),
    id: StrandId,
    text: &mut String,
) {
    let strand = &definition.strands[id.index()];
    let per = strand.per.map_or("the case", |kind| definition.kinds[kind.index()].name.as_str());
    let _ = writeln!(text, "\n## {} of {per}\n", strand.name);
    text.push_str("| state | event | where | then | rules |\n|---|---|---|---|---|\n");
    let mut events: Vec<EventTypeId> =
        source.events.iter().filter_map(|event| definition.event(&event.name.value)).collect();
    // What the engine itself brings is not written in the files.
    let others = strand.rows.keys().copied().chain(strand.initial.iter().filter_map(|initial| initial.on));
    let mut others: Vec<EventTypeId> = others.filter(|event| !events.contains(event)).collect();
    others.sort();
    others.dedup();
    events.extend(others);
    for initial in &strand.initial {
        if initial.on.is_none() {
            begins(strand, initial, text);
        }
    }
    for event in &events {
        if let Some(initial) = strand.initial.iter().find(|initial| initial.on == Some(*event)) {
            lines((definition, id), "(not started)", *event, &initial.branches, text);
        }
    }
    for state in &written.states {
        let Some(state_id) = strand.state(&state.name.value) else { continue };
        for event in &events {
            if let Some(row) = strand.row(*event, state_id) {
                lines((definition, id), &state.name.value, *event, &row.branches, text);
            }
        }
    }
    for overlay in &strand.overlays {
        let names = |ids: &[EventTypeId]| {
            let names: Vec<String> =
                ids.iter().map(|id| format!("`{}`", definition.event_type(*id).name)).collect();
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        };
        let (set, cleared) = (names(&overlay.set_by), names(&overlay.cleared_by));
        let _ = writeln!(text, "\nOverlay `{}`: set by {set}; cleared by {cleared}.", overlay.name);
    }
}

fn begins(strand: &Strand, initial: &Initial, text: &mut String) {
    let to = initial.branches.first().and_then(|branch| branch.to);
    let _ = writeln!(text, "| (not started) | from the beginning | | {} | |", state_name(strand, to));
}

fn lines(
    (definition, id): (&Definition, StrandId),
    from: &str,
    event: EventTypeId,
    branches: &[Branch],
    text: &mut String,
) {
    let strand = &definition.strands[id.index()];
    let event = definition.event_type(event);
    let follows = event.moves.contains(&(id, Ownership::Observes));
    let rules: Vec<String> = event.rules.iter().map(|rule| format!("`{}`", rule.id)).collect();
    let (mark, rules) = (if follows { " *follows*" } else { "" }, rules.join(" "));
    for (index, branch) in branches.iter().enumerate() {
        let otherwise = if index > 0 && branch.matches.is_empty() { "otherwise" } else { "" };
        let where_words = format!("{otherwise}{}", where_words(branch));
        let to = state_name(strand, branch.to);
        let _ = writeln!(text, "| {from} | {}{mark} | {where_words} | {to} | {rules} |", event.name);
    }
}

fn state_name(strand: &Strand, state: Option<StateId>) -> String {
    state.map_or_else(|| "*stays*".to_owned(), |state| strand.states[state.index()].name.clone())
}

fn where_words(branch: &Branch) -> String {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let words = branch.matches.iter().map(|(field, values)| {
        format!("{field} {}", values.iter().map(text).collect::<Vec<_>>().join(" or "))
    });
    words.collect::<Vec<_>>().join(", ").replace('|', "\\|")
}
