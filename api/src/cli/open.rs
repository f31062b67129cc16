//! `casebook open`: a case begins.

use std::path::Path;

use casebook_engine::case::event::engine_types::CASE_OPENED;
use casebook_engine::engine::Opening;
use clap::Args;

use super::Globals;
use super::answer::Failure;
use super::page::Page;
use super::record::{self, HowArgs, SaidArgs};
use super::{definition, folder};

const EXAMPLES: &str = "Examples:
  casebook open 2024/0017 --workflow police-conduct matter_type=conduct --as intake-1:caseworker
  casebook open 2024/0018 --workflow ./my-workflow --as intake-1:caseworker      a definition of your own";

/// `casebook open`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct OpenArgs {
    /// The case's reference: unique, at most 200 characters
    #[arg(value_name = "REF")]
    reference: String,
    /// The definition: NAME, NAME@VERSION, or the file or folder of one of your own
    #[arg(long, value_name = "NAME|PATH")]
    workflow: String,
    #[command(flatten)]
    said: SaidArgs,
    #[command(flatten)]
    how: HowArgs,
}

/// Runs the command.
pub(super) async fn run(args: OpenArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let recorder = folder::acting(globals)?;
    let own = match definition::is_path(&args.workflow) {
        true => Some(definition::load(Path::new(&args.workflow), page)?),
        false => None,
    };
    let workflow = own.as_ref().map_or_else(|| args.workflow.clone(), |own| own.pin());
    if own.is_none() && !globals.data.exists() {
        // A name that nobody knows must not leave an empty folder behind.
        definition::named(&workflow, &globals.workflow_dir, page)?;
    }
    let engine = folder::existing_or_new(globals, own, args.how.is_dry_run(), page)?;
    let definition = definition::newest(engine.definitions(), &workflow);
    let event = record::said(&args.said, CASE_OPENED, recorder, definition.as_deref())?;
    let opening = Opening { reference: args.reference.clone(), workflow, event, then: Vec::new() };
    let recorded = engine
        .open_case(opening, args.how.options())
        .await
        .map_err(|error| Failure::of_record(error, &args.reference, definition.clone()))?;
    record::tell(&recorded, &args.reference, definition, page)
}
