//! `ipsec stop`.

use std::fs;
use std::time::Duration;

use super::OK;
use crate::paths::Paths;
use crate::process::Process;
use crate::product::NAME;

/// How long the starter may take.
const PATIENCE: Duration = Duration::from_secs(11);

/// Asks the starter to end, and with it charon; if they do not, they are killed.
pub(super) fn stop(paths: &Paths) -> u8 {
    let (pid_file, charon_pid_file) = (paths.starter_pid_file(), paths.charon_pid_file());
    let charon = Process::of_pid_file(&charon_pid_file, "charon");
    let Some(starter) = Process::of_pid_file(&pid_file, "starter") else {
        eprintln!("Stopping {NAME} IPsec failed: starter is not running");
        if let Some(charon) = charon {
            // Its starter was killed, so nobody else would end it.
            charon.terminate();
            if !charon.wait(PATIENCE) {
                charon.kill();
                charon.wait(PATIENCE);
            }
        }
        let _ = fs::remove_file(&pid_file);
        return OK;
    };
    eprintln!("Stopping {NAME} IPsec...");
    starter.terminate();
    if !starter.wait(PATIENCE) {
        eprintln!("killing starter ({}) and charon, they do not stop", starter.pid());
        starter.kill();
        starter.wait(PATIENCE);
        if let Some(charon) = charon {
            charon.kill();
            charon.wait(PATIENCE);
        }
        for file in [pid_file, charon_pid_file] {
            let _ = fs::remove_file(file);
        }
    }
    OK
}
