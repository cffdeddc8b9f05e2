//! `ipsec reload` and `ipsec update`.

use super::{NOT_RUNNING, OK};
use crate::paths::Paths;
use crate::process::Process;
use crate::product::NAME;

/// Has the starter give all of ipsec.conf to charon anew.
pub(super) fn reload(paths: &Paths) -> u8 {
    signal(paths, "Reloading", Process::user_signal)
}

/// Has the starter give charon what changed in ipsec.conf.
pub(super) fn update(paths: &Paths) -> u8 {
    signal(paths, "Updating", Process::hang_up)
}

fn signal(paths: &Paths, doing: &str, send: fn(&Process)) -> u8 {
    match Process::of_pid_file(&paths.starter_pid_file(), "starter") {
        Some(starter) => {
            eprintln!("{doing} {NAME} IPsec configuration...");
            send(&starter);
            OK
        }
        None => {
            eprintln!("{doing} {NAME} IPsec failed: starter is not running");
            NOT_RUNNING
        }
    }
}
