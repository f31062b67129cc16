//! `casebook cases`: which cases there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use casebook_engine::case::reading::CaseSummary;
use casebook_engine::definition::Definition;
use casebook_engine::engine::CaseFilter;
use casebook_engine::spelling::nearest;
use clap::Args;

use super::Globals;
use super::answer::Failure;
use super::folder;
use super::page::{Page, dim};
use super::reading::count_of;

const EXAMPLES: &str = "Examples:
  casebook cases
  casebook cases --strand charge=sentenced        cases with a charge that was sentenced
  casebook cases --overdue                        cases with a missed deadline
  casebook cases --text margate --limit 20";

/// How many cases are listed where no other number is given.
const LIMIT: usize = 100;

/// `casebook cases`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CasesArgs {
    /// Only cases with a strand in this state; may be given several times, and all must hold
    #[arg(long, value_name = "STRAND=STATE", value_parser = strand_and_state)]
    strand: Vec<(String, String)>,
    /// Only cases with a deadline that is missed, or may be
    #[arg(long)]
    overdue: bool,
    /// Only cases with this text in reference or title
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = LIMIT, value_parser = limit)]
    limit: usize,
    /// Only cases after this reference, in the order of references: the next page
    #[arg(long, value_name = "REF")]
    after: Option<String>,
}

/// Runs the command.
pub(super) async fn run(args: CasesArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    for (strand, state) in &args.strand {
        check_strand(&engine.definitions(), strand, state)?;
    }
    let filter = CaseFilter {
        states: args.strand,
        text: args.text,
        // One more tells whether there are more.
        limit: args.limit.saturating_add(1),
        after: args.after,
    };
    let mut cases = match args.overdue {
        true => engine.overdue_cases(filter).await?,
        false => engine.cases(filter).await?,
    };
    let has_more = cases.len() > args.limit;
    cases.truncate(args.limit);
    if page.is_json() {
        for case in &cases {
            page.json_line(case)?;
        }
        return Ok(());
    }
    if cases.is_empty() {
        return page.line("No cases.");
    }
    let last = cases.last().map(|case| case.reference.clone()).unwrap_or_default();
    let rows = cases.iter().map(row).collect();
    page.table(&["case", "title", "workflow", "version", "recorded", "to look at"], rows)?;
    if has_more {
        page.line(&dim(&format!("More: casebook cases --after {last}")))?;
    }
    Ok(())
}

fn row(case: &CaseSummary) -> Vec<String> {
    let mut notes = Vec::new();
    if case.breaches > 0 {
        notes.push(count_of(case.breaches, "breach", "breaches"));
    }
    if case.open_gaps > 0 {
        notes.push(count_of(case.open_gaps, "gap", "gaps"));
    }
    vec![
        case.reference.clone(),
        case.title.clone().unwrap_or_default(),
        case.workflow.clone(),
        case.version.to_string(),
        case.updated.chars().take("2026-01-01".len()).collect(),
        notes.join(", "),
    ]
}

/// A strand or state that no definition here has would find no case, and nobody would learn why.
fn check_strand(definitions: &[Arc<Definition>], strand: &str, state: &str) -> Result<(), Failure> {
    // One entity's strand may be named too: charge/C1.
    let strand = strand.split_once('/').map_or(strand, |(strand, _)| strand);
    let known = || {
        definitions.iter().flat_map(|definition| {
            let strands = definition.strands.iter().map(|strand| (strand.name.as_str(), &strand.states));
            strands.chain(definition.derived.iter().map(|strand| (strand.name.as_str(), &strand.states)))
        })
    };
    if !known().any(|(name, _)| name == strand) {
        let names = known().map(|(name, _)| name);
        return Err(unknown(&format!("no definition here has a strand {strand}"), strand, names));
    }
    let states = || {
        let own = known().filter(|(name, _)| *name == strand);
        own.flat_map(|(_, states)| states.iter().map(|state| state.name.as_str()))
    };
    if !states().any(|name| name == state) {
        return Err(unknown(&format!("the strand {strand} has no state {state}"), state, states()));
    }
    Ok(())
}

fn unknown<'n>(message: &str, wrong: &str, names: impl Iterator<Item = &'n str>) -> Failure {
    let names: BTreeSet<&str> = names.collect();
    let help = match nearest(wrong, names.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are: {}", names.into_iter().collect::<Vec<_>>().join(", ")),
    };
    Failure::input(message, help)
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a list of 0 cases says nothing; write 1 or more".to_owned()),
        Ok(limit) => Ok(limit),
        Err(_) => Err(format!("`{text}` is no number of cases; write for example 20")),
    }
}

fn strand_and_state(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((strand, state)) if !strand.is_empty() && !state.is_empty() => {
            Ok((strand.to_owned(), state.to_owned()))
        }
        _ => Err(format!("`{text}` is no strand and state; write for example charge=sentenced")),
    }
}
