//! charon, the IKE daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::entry::main()
}
