//! `casebook export svg`: a case as a picture.

use std::path::PathBuf;

use casebook_engine::case::course::course;
use clap::Args;

use super::Globals;
use super::answer::Failure;
use super::document::hand_out;
use super::folder;
use super::page::Page;
use crate::report::picture::{Picture, picture};

/// Which case to draw, and where.
#[derive(Debug, Args)]
#[command(
    after_help = "Strands are lanes over time, their states bars. An edge is soft where the day is not known; what was begun by a
step of which nobody has the details is hatched. The events stand below, with the numbers that `casebook history` gives them.

Example:
  casebook export svg 2020/146999 -o 2020-146999.svg"
)]
pub(super) struct SvgArgs {
    /// The case's reference
    #[arg(value_name = "REF")]
    reference: String,
    /// Write to this file, which appears when it is whole; left out: standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(super) async fn run(args: &SvgArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let state = engine.case(&folder::key(&args.reference)).await?;
    let reference = state.log().first().map_or(args.reference.as_str(), |event| event.case.as_str());
    let course = course(&state);
    if page.is_json() && args.output.is_none() {
        return page.json(&course);
    }
    let mut drawn = picture(Picture { reference, course: &course, is_linked: false });
    drawn.push('\n');
    hand_out(&drawn, args.output.as_deref(), "Drew case", reference, page)
}
