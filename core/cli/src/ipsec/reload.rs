//! `ipsec reload` and `ipsec update`.

use config::settings::Settings;

use super::{NOT_RUNNING, OK, check};
use crate::paths::Paths;
use crate::process::Process;
use crate::product::NAME;

/// Has the starter give all of ipsec.conf to charon anew.
pub(super) fn reload(paths: &Paths, settings: &Settings) -> u8 {
    signal(paths, settings, "Reloading", Process::user_signal)
}

/// Has the starter give charon what changed in ipsec.conf.
pub(super) fn update(paths: &Paths, settings: &Settings) -> u8 {
    signal(paths, settings, "Updating", Process::hang_up)
}

/// Mistakes in ipsec.conf are no failure: what is loaded stays as it is, and strongSwan's scripts expect 0.
fn signal(paths: &Paths, settings: &Settings, doing: &str, send: fn(&Process)) -> u8 {
    match Process::of_pid_file(&paths.starter_pid_file(), "starter") {
        Some(starter) => {
            eprintln!("{doing} {NAME} IPsec configuration...");
            send(&starter);
            let file = check::file(paths, settings);
            check::problems(&file)
                .iter()
                .for_each(|problem| eprintln!("{problem}"));
            OK
        }
        None => {
            eprintln!("{doing} {NAME} IPsec failed: starter is not running");
            NOT_RUNNING
        }
    }
}
