//! `casebook completions`: a script that completes commands in a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::answer::Failure;
use super::page::Page;

const EXAMPLES: &str = "Examples:
  casebook completions bash > ~/.local/share/bash-completion/completions/casebook
  casebook completions fish > ~/.config/fish/completions/casebook.fish";

/// `casebook completions`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command.
pub(super) fn run(args: &CompletionsArgs, page: &mut Page) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "casebook", &mut script);
    page.bytes(&script)
}
