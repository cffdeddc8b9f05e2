//! `ipsec status` and `ipsec statusall`.

use super::OK;
use crate::paths::Paths;
use crate::process::Process;
use crate::stroke;

/// Only the pid file is left, or this user may not control what runs.
const DEAD: u8 = 1;
/// There is nothing.
const STOPPED: u8 = 3;

/// Prints what charon says, and returns whether its starter runs and is this user's to control. A charon that has died is
/// being restarted, which is no reason to say that the service is dead.
pub(super) fn status(paths: &Paths, arguments: &[&str]) -> u8 {
    if paths.charon_pid_file().exists() {
        stroke::run(arguments);
    }
    let pid_file = paths.starter_pid_file();
    if !pid_file.exists() {
        return STOPPED;
    }
    match Process::of_pid_file(&pid_file, "starter") {
        Some(starter) if starter.is_controllable() => OK,
        _ => DEAD,
    }
}
