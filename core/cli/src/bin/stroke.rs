//! See [`charon_cli::stroke`].

use std::process::ExitCode;

fn main() -> ExitCode {
    charon_cli::stroke::main(std::env::args().skip(1).collect())
}
