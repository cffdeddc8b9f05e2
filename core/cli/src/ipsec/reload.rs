//! `ipsec reload` and `ipsec update`.

use super::{NOT_RUNNING, OK, Place};
use crate::process::Process;
use crate::product::NAME;

/// Has the starter give all of ipsec.conf to charon anew.
pub(super) fn reload(place: &Place) -> u8 {
    signal(place, "Reloading", Process::user_signal)
}

/// Has the starter give charon what changed in ipsec.conf.
pub(super) fn update(place: &Place) -> u8 {
    signal(place, "Updating", Process::hang_up)
}

fn signal(place: &Place, doing: &str, send: fn(&Process)) -> u8 {
    match Process::of_pid_file(&place.paths.starter_pid_file(), "starter") {
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
