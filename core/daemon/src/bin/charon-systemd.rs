//! charon-systemd, the IKE daemon as a service of systemd.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::entry::main()
}
