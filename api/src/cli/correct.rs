//! `casebook correct`: it happened, but a field was wrong.

use std::path::PathBuf;

use casebook_engine::case::event::engine_types::EVENT_CORRECTED;
use casebook_engine::case::event::{Override, Payload, ProposedEvent, Version};
use casebook_engine::case::reading::{Cut, HistoryEntry};
use casebook_engine::definition::Definition;
use casebook_engine::engine::{Engine, HistoryOrder};
use casebook_engine::store::CaseKey;
use clap::Args;
use serde_json::Value;

use super::Globals;
use super::answer::Failure;
use super::page::Page;
use super::payload::FieldArg;
use super::record::{self, HowArgs};
use super::{folder, payload};

const EXAMPLES: &str = "Examples:
  casebook correct 2020/146999 30 term=P6M --reason \"the court's order says six months\"
  casebook correct 2020/146999 27 --on 2023-07-20 --reason \"the year is in the court's list\"";

/// `casebook correct`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CorrectArgs {
    /// The case's reference
    #[arg(value_name = "REF")]
    reference: String,
    /// The event to correct, by its version
    #[arg(value_name = "VERSION")]
    version: u64,
    /// The fields as they should read
    #[arg(value_name = "NAME=VALUE", value_parser = payload::field)]
    fields: Vec<FieldArg>,
    /// When it happened, as it should read (EDTF)
    #[arg(long, value_name = "EDTF")]
    on: Option<String>,
    /// A JSON file with the fields as they should read
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// Why it is corrected
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Correct it although later events lose their footing, on this authority
    #[arg(long = "override", value_name = "AUTHORITY")]
    authority: Option<String>,
    #[command(flatten)]
    how: HowArgs,
}

/// Runs the command.
pub(super) async fn run(args: CorrectArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let recorder = folder::acting(globals)?;
    let engine = folder::existing(globals, page)?;
    let case = folder::key(&args.reference);
    let definition = folder::definition_of(&engine, &case).await?;
    let wrong = event_at(&engine, &case, args.version).await?;
    let fields = fields(&args, &wrong, definition.as_deref())?;
    let mut event = ProposedEvent::new(EVENT_CORRECTED, recorder);
    event.data.insert("corrects".to_owned(), Value::String(wrong.event.id.to_string()));
    event.data.insert("fields".to_owned(), Value::Object(fields));
    event.data.insert("reason".to_owned(), Value::String(args.reason.clone()));
    event.override_given =
        args.authority.map(|authority| Override { authority, reason: args.reason.clone() });
    let recorded = engine
        .record(&case, vec![event], args.how.options())
        .await
        .map_err(|error| Failure::of_record(error, &args.reference, definition.clone()))?;
    record::tell(&recorded, &args.reference, definition, page)
}

fn fields(
    args: &CorrectArgs,
    wrong: &HistoryEntry,
    definition: Option<&Definition>,
) -> Result<Payload, Failure> {
    let name = &wrong.event.proposed.event_type;
    let event_type = definition.and_then(|definition| Some(definition.event_type(definition.event(name)?)));
    let mut fields = payload::payload(args.payload.as_deref(), &args.fields, definition, event_type)?;
    if let Some(occurred) = record::occurred(args.on.as_deref(), None)? {
        let value = serde_json::to_value(occurred).map_err(|error| Failure::unexpected(error.to_string()))?;
        fields.insert("occurred".to_owned(), value);
    }
    if fields.is_empty() {
        return Err(Failure::input(
            "nothing is corrected",
            "give the fields as they should read, NAME=VALUE, or the date with --on",
        ));
    }
    Ok(fields)
}

/// The event of this version.
pub(super) async fn event_at(engine: &Engine, case: &CaseKey, version: u64) -> Result<HistoryEntry, Failure> {
    let history = engine.history(case, Cut::default(), HistoryOrder::Recorded).await?;
    let last = history.len();
    history
        .into_iter()
        .find(|entry| entry.event.version == Version(version))
        .ok_or_else(|| record::no_such_version(version, last))
}
