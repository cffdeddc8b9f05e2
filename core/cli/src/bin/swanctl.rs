//! See [`charon_cli::swanctl`].

use std::process::ExitCode;

fn main() -> ExitCode {
    charon_cli::swanctl::main()
}
