//! `swanctl`: configures, controls and watches charon by its vici socket.

mod commands;
mod debug;
mod dump;
mod load;
mod print;
mod session;
mod table;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::ArgMatches;
use clap::error::ErrorKind;
use config::settings::Settings;

use crate::paths::Paths;
use debug::Debug;
use session::Session;

pub use table::{command, completed};

/// A wrong command line.
const USAGE: u8 = 1;

/// The program.
pub fn main() -> ExitCode {
    let code = run(
        std::env::args_os().collect(),
        Box::new(io::stdout()),
        &mut io::stderr(),
    );
    ExitCode::from(code)
}

/// Runs a command line, and gives the exit code.
pub fn run(line: Vec<OsString>, out: Box<dyn Write + '_>, err: &mut dyn Write) -> u8 {
    let line = match with_files(line) {
        Ok(line) => line,
        Err(problem) => return usage(&problem, err),
    };
    let word = line
        .get(1)
        .and_then(|word| word.to_str())
        .unwrap_or_default()
        .to_owned();
    let matches = match command().try_get_matches_from(line) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            let mut out = out;
            // Whoever asked for it may have gone.
            let _ = write!(out, "{error}");
            return 0;
        }
        Err(error) => {
            let code = usage(&error, err);
            if let Some(meant) = table::meant(&word) {
                let _ = writeln!(err, "{meant}");
            }
            return code;
        }
    };
    let Some((name, options)) = matches.subcommand() else {
        return USAGE;
    };
    let Some(entry) = table::COMMANDS.iter().find(|entry| entry.name == name) else {
        return USAGE;
    };
    let debug = match Debug::of(options) {
        Ok(debug) => debug,
        Err(problem) => return usage(&problem, err),
    };
    let uri = match uri(options, debug) {
        Ok(uri) => uri,
        Err(problem) => return usage(&problem, err),
    };
    let mut session = Session::new(options, uri, debug, out);
    let done = (entry.run)(&mut session).and_then(|()| Ok(session.out.flush()?));
    match done {
        Ok(()) => 0,
        Err(failure) => {
            // What was said before comes before.
            let _ = session.out.flush();
            failure.report(err)
        }
    }
}

fn usage(problem: &dyn std::fmt::Display, err: &mut dyn Write) -> u8 {
    // There is nowhere else to say it.
    let _ = writeln!(err, "{}", problem.to_string().trim_end());
    USAGE
}

/// The command line with the words of `--options FILE` in its place.
fn with_files(line: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let mut words = Vec::new();
    let mut line = line.into_iter();
    while let Some(word) = line.next() {
        let file = match word.to_str() {
            Some("-+") => line.next(),
            // No other option begins with its first letter.
            Some(text) if text.len() > 2 && "--options".starts_with(text) => line.next(),
            Some(text) => text
                .split_once('=')
                .filter(|(name, _)| name.len() > 2 && "--options".starts_with(name))
                .map(|(_, file)| OsString::from(file)),
            None => None,
        };
        let Some(file) = file else {
            words.push(word);
            continue;
        };
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("reading options from '{}' failed: {error}", file.display()))?;
        let more = shlex::split(&text)
            .ok_or_else(|| format!("options in '{}': a quotation does not end", file.display()))?;
        words.extend(more.into_iter().map(OsString::from));
    }
    Ok(words)
}

/// Where the daemon listens.
fn uri(options: &ArgMatches, debug: Debug) -> Result<String, String> {
    if let Some(uri) = options.get_one::<String>("uri") {
        return Ok(uri.clone());
    }
    let paths =
        Paths::find().map_err(|error| format!("cannot determine the path of this executable: {error}"))?;
    debug.say(2, || {
        format!("settings are in '{}'", paths.strongswan_conf().display())
    });
    let (paths, settings) = paths.with_settings()?;
    if let Some((key, uri)) = configured(&settings) {
        debug.say(2, || format!("{key} is {uri}"));
        return Ok(uri.to_owned());
    }
    Ok(format!("unix://{}", paths.piddir.join("charon.vici").display()))
}

/// What the settings say of it, and where.
fn configured(settings: &Settings) -> Option<(&'static str, &str)> {
    let keys = [
        "swanctl.socket",
        "swanctl.plugins.vici.socket",
        "charon.plugins.vici.socket",
    ];
    keys.iter().find_map(|key| Some((*key, settings.get(key)?)))
}
