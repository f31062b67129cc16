//! `casebook annul`: it did not happen, or belongs to another case.

use casebook_engine::case::event::engine_types::EVENT_ANNULLED;
use casebook_engine::case::event::{Override, ProposedEvent};
use clap::Args;
use serde_json::Value;

use super::Globals;
use super::answer::Failure;
use super::page::Page;
use super::record::{self, HowArgs};
use super::{correct, folder};

const EXAMPLES: &str = "Examples:
  casebook annul 2020/146999 14 --reason \"the notice belongs to another case\"
  casebook annul 2020/146999 31 30 --reason \"recorded twice\"      together, or not at all";

/// `casebook annul`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AnnulArgs {
    /// The case's reference
    #[arg(value_name = "REF")]
    reference: String,
    /// The events to annul, by their versions
    #[arg(value_name = "VERSION", required = true)]
    versions: Vec<u64>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Annul it although later events lose their footing, on this authority
    #[arg(long = "override", value_name = "AUTHORITY")]
    authority: Option<String>,
    #[command(flatten)]
    how: HowArgs,
}

/// Runs the command.
pub(super) async fn run(args: AnnulArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let recorder = folder::acting(globals)?;
    let engine = folder::existing(globals, page)?;
    let case = folder::key(&args.reference);
    let definition = folder::definition_of(&engine, &case).await?;
    let mut events = Vec::with_capacity(args.versions.len());
    for version in &args.versions {
        let wrong = correct::event_at(&engine, &case, *version).await?;
        let mut event = ProposedEvent::new(EVENT_ANNULLED, recorder.clone());
        event.data.insert("annuls".to_owned(), Value::String(wrong.event.id.to_string()));
        event.data.insert("reason".to_owned(), Value::String(args.reason.clone()));
        event.override_given =
            args.authority.clone().map(|authority| Override { authority, reason: args.reason.clone() });
        events.push(event);
    }
    let recorded = engine
        .record(&case, events, args.how.options())
        .await
        .map_err(|error| Failure::of_record(error, &args.reference, definition.clone()))?;
    record::tell(&recorded, &args.reference, definition, page)
}
