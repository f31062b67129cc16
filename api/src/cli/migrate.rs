//! `casebook migrate`: a case comes under a later version of its workflow.

use std::path::Path;

use casebook_engine::case::event::ProposedEvent;
use casebook_engine::case::event::engine_types::DEFINITION_MIGRATED;
use clap::Args;
use serde_json::Value;

use super::Globals;
use super::answer::Failure;
use super::page::Page;
use super::record::{self, HowArgs};
use super::{definition, folder};

const EXAMPLES: &str = "Examples:
  casebook migrate 2020/146999 police-conduct@2 --reason \"the regulations changed\" --dry-run
  casebook migrate 2020/146999 ./police-conduct-2 --reason \"the regulations changed\"
  casebook workflow trial ./police-conduct-2              what it would do to every case, without writing";

/// `casebook migrate`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct MigrateArgs {
    /// The case's reference
    #[arg(value_name = "REF")]
    reference: String,
    /// The version to adopt: NAME@VERSION, or the file or folder of a definition
    #[arg(value_name = "NAME@VERSION|PATH")]
    workflow: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    how: HowArgs,
}

/// Runs the command.
pub(super) async fn run(args: MigrateArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let recorder = folder::acting(globals)?;
    let mut event = ProposedEvent::new(DEFINITION_MIGRATED, recorder);
    event.data.insert("reason".to_owned(), Value::String(args.reason.clone()));
    let own = if definition::is_path(&args.workflow) || Path::new(&args.workflow).is_dir() {
        let own = definition::load(Path::new(&args.workflow), page)?;
        event.data.insert("workflow".to_owned(), Value::String(own.name.clone()));
        event.data.insert("version".to_owned(), Value::from(own.version));
        event.data.insert("digest".to_owned(), Value::String(own.digest_hex()));
        Some(own)
    } else {
        let (name, version) = pin(&args.workflow)?;
        event.data.insert("workflow".to_owned(), Value::String(name.to_owned()));
        event.data.insert("version".to_owned(), Value::from(version));
        None
    };
    let engine = folder::existing_with(globals, own, page)?;
    let case = folder::key(&args.reference);
    let before = folder::definition_of(&engine, &case).await?;
    let recorded = engine
        .record(&case, vec![event], args.how.options())
        .await
        .map_err(|error| Failure::of_record(error, &args.reference, before.clone()))?;
    let after = match recorded.recorded {
        true => folder::definition_of(&engine, &case).await?,
        false => before,
    };
    record::tell(&recorded, &args.reference, after, page)?;
    if page.is_json() {
        return Ok(());
    }
    let adopted = recorded.events.iter().find(|event| event.proposed.event_type == DEFINITION_MIGRATED);
    adopted.map_or(Ok(()), |event| page.item(2, "under:", &event.definition))
}

/// The name and the version that a pin names.
fn pin(text: &str) -> Result<(&str, u32), Failure> {
    let parts = text.split_once('@').and_then(|(name, version)| Some((name, version.parse().ok()?)));
    parts.ok_or_else(|| {
        Failure::input(
            format!("`{text}` names no version"),
            "write NAME@VERSION, such as police-conduct@2, or the path of a definition",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_in_full() {
        assert_eq!(pin("small-inquiry@2").unwrap(), ("small-inquiry", 2));
        assert!(pin("small-inquiry").is_err());
        assert!(pin("small-inquiry@two").is_err());
    }
}
