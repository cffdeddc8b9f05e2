//! `ipsec reload` and `ipsec update`.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use config::settings::Settings;

use super::{NOT_RUNNING, OK, check};
use crate::paths::Paths;
use crate::process::Process;
use crate::product::NAME;
use crate::starter::DONE;

/// How long the starter may say nothing while it gives charon connections.
const PATIENCE: Duration = Duration::from_secs(60);

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
            // An older starter has no such socket.
            let answers = UnixStream::connect(paths.starter_socket());
            send(&starter);
            let problems = check::problems(&check::file(paths, settings));
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            if let Ok(answers) = answers
                && let Err(problem) = follow(&answers, &problems)
            {
                eprintln!("{problem}");
            }
            OK
        }
        None => {
            eprintln!("{doing} {NAME} IPsec failed: starter is not running");
            NOT_RUNNING
        }
    }
}

/// Prints what the starter says until charon has its connections, but for what has been said.
fn follow(answers: &UnixStream, said: &[String]) -> Result<(), String> {
    let failed =
        |error| format!("listening to the starter failed: {error}; its log says what charon refuses");
    answers.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut answers = BufReader::new(answers);
    let was_said = |text: &str| said.iter().any(|said| !said.is_empty() && text.starts_with(said));
    loop {
        let mut line = Vec::new();
        answers.read_until(b'\n', &mut line).map_err(failed)?;
        let text = String::from_utf8_lossy(&line);
        match text.strip_suffix('\n') {
            Some(text) if was_said(text) => {}
            Some(text) => eprintln!("{text}"),
            None if line == [DONE] => return Ok(()),
            None => return Err("the starter ended before charon had all connections".to_owned()),
        }
    }
}
