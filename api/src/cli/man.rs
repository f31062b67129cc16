//! `casebook man`: the manual page, made from the same text as `--help`.

use clap::{Args, CommandFactory};

use super::Cli;
use super::answer::{Failure, Trouble};
use super::page::Page;

const EXAMPLES: &str = "Examples:
  casebook man | man -l -
  casebook man record > casebook-record.1";

/// `casebook man`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// A command, such as record or workflow check; left out: the program's own page
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the command.
pub(super) fn run(args: &ManArgs, page: &mut Page) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let mut name = "casebook".to_owned();
    for part in &args.command {
        let Some(found) = command.find_subcommand(part) else {
            return Err(Failure::NotFound(
                Trouble::new(format!("there is no command {part}"))
                    .help("`casebook --help` lists the commands"),
            ));
        };
        name = format!("{name}-{part}");
        command = found.clone();
    }
    let mut manual = Vec::new();
    clap_mangen::Man::new(command).title(name.to_uppercase()).render(&mut manual)?;
    page.bytes(&manual)
}
