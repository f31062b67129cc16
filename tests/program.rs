//! The program `casebook`, built beside the tests that run it.

fn main() -> std::process::ExitCode {
    casebook::cli::main()
}
