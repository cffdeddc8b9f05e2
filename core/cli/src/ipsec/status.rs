//! `ipsec status` and `ipsec statusall`.

use super::OK;
use crate::paths::Paths;
use crate::process::Process;
use crate::stroke;

/// Only the pid file is left, or charon cannot be asked.
const DEAD: u8 = 1;
/// There is nothing, or no charon yet.
const STOPPED: u8 = 3;

/// Prints what charon says, and returns whether it and its starter run.
pub(super) fn status(paths: &Paths, arguments: &[&str]) -> u8 {
    let charon_runs = paths.charon_pid_file().exists();
    let said = !charon_runs || stroke::run(arguments) == OK;
    let pid_file = paths.starter_pid_file();
    if !pid_file.exists() {
        STOPPED
    } else if Process::of_pid_file(&pid_file, "starter").is_none() || !said {
        DEAD
    } else if charon_runs {
        OK
    } else {
        STOPPED
    }
}
