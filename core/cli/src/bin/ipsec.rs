//! See [`charon_cli::ipsec`].

use std::process::ExitCode;

fn main() -> ExitCode {
    charon_cli::ipsec::main(std::env::args().skip(1).collect())
}
