//! See [`charon_cli::starter`].

use std::process::ExitCode;

fn main() -> ExitCode {
    charon_cli::starter::main(std::env::args().skip(1).collect())
}
