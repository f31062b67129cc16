//! `casebook export chronology`: the document that an investigator hands over.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Globals;
use super::answer::Failure;
use super::document::{account, checkpointed, hand_out};
use super::folder;
use super::page::Page;
use crate::report::chronology::{chronology_page, chronology_text};

/// Which case, in which form, and where.
#[derive(Debug, Args)]
#[command(
    after_help = "Events in the order in which they happened, dates in the words of their sources, who decided, gaps and corrections
shown. A checkpoint is signed for it; reference, checkpoint and page number stand on every printed page.

Examples:
  casebook export chronology 2020/146999 -o 2020-146999.html
  casebook export chronology 2020/146999 --format text | less"
)]
pub(super) struct ChronologyArgs {
    /// The case's reference, or its id
    #[arg(value_name = "REF")]
    reference: String,
    /// In which form
    #[arg(long, value_enum, default_value_t = Form::Html, value_name = "FORM")]
    format: Form,
    /// Write to this file, which appears when it is whole; left out: standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A page that needs nothing else, and prints well
    Html,
    /// Plain text, in pages of 60 lines
    Text,
}

/// Runs the command.
pub(super) async fn run(args: &ChronologyArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let mut account = account(&engine, &args.reference).await?;
    account.checkpoint = Some(checkpointed(&engine)?);
    if page.is_json() && args.output.is_none() {
        return page.json(&serde_json::json!({
            "reference": account.status.reference,
            "title": account.status.title,
            "checkpoint": account.checkpoint,
            "events": account.entries,
        }));
    }
    let text = match args.format {
        Form::Html => chronology_page(&account),
        Form::Text => chronology_text(&account),
    };
    let reference = &account.status.reference;
    hand_out(&text, args.output.as_deref(), "Wrote the chronology of", reference, page)
}
