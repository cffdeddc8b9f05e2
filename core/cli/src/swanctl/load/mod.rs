//! `--load-…`: swanctl.conf to the daemon. What the daemon has over vici and the file no longer has is unloaded.

mod blame;
mod conns;
mod creds;
mod items;
mod loader;
mod prompt;
mod secrets;
#[cfg(test)]
mod tests;
mod unlock;

use std::io;
use std::path::{Path, PathBuf};

use config::secret::SharedSecret;
use config::settings::Settings;
use control::vici::Message;
use control::vici::client::{self, Client};

use super::session::{Failure, Session};
use crate::paths::Paths;
use loader::Loader;

/// Whom to load into.
pub(super) trait Daemon {
    /// Runs a command; that it failed is in the answer.
    fn call(&mut self, command: &str, request: &Message) -> Result<Message, client::Error>;
}

impl Daemon for Client {
    fn call(&mut self, command: &str, request: &Message) -> Result<Message, client::Error> {
        Self::call(self, command, request)
    }
}

/// What to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    All,
    Authorities,
    Conns,
    Creds,
    Pools,
}

/// How.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// Unload all credentials first.
    pub(super) clear: bool,
    /// Do not ask for passwords.
    pub(super) noprompt: bool,
    /// Another file than swanctl.conf.
    pub(super) file: Option<PathBuf>,
    /// Warn of what is loaded all the same. On a terminal only: scripts compare the output with that of strongSwan's swanctl.
    pub(super) warn: bool,
}

/// Asks somebody for a password; none if nobody can be asked.
type Ask<'a> = dyn FnMut(&str) -> Option<SharedSecret> + 'a;

type Step = fn(&mut Loader<'_>) -> Result<(), Failure>;

/// Something of the configuration could not be loaded (`EINVAL`).
const FAILED: u8 = 22;

/// Loads, and says what was loaded and what was not, and why.
pub(super) fn run(session: &mut Session<'_>, what: What, options: &Options) -> Result<(), Failure> {
    let base = match std::env::var_os("SWANCTL_DIR") {
        Some(base) if !base.is_empty() => PathBuf::from(base),
        _ => Paths::find()?.sysconfdir.join("swanctl"),
    };
    let (daemon, out) = session.parts()?;
    let format = out.format;
    let mut loader = Loader {
        daemon,
        out,
        err: &mut io::stderr(),
        format,
        ask: &mut prompt::terminal,
        settings: Settings::default(),
        base,
        options,
        failures: 0,
    };
    load(&mut loader, what)
}

fn load(loader: &mut Loader<'_>, what: What) -> Result<(), Failure> {
    let file = loader.options.file.clone();
    let file = file.unwrap_or_else(|| loader.base.join("swanctl.conf"));
    match read(&file) {
        Ok(settings) => loader.settings = settings,
        Err(problem) => {
            loader.failed(&format!("parsing '{}' failed: {problem}", file.display()))?;
            return Err(Failure::Said(FAILED));
        }
    }
    let steps: &[Step] = match what {
        What::All => &[creds::load, items::authorities, items::pools, conns::load],
        What::Authorities => &[items::authorities],
        What::Conns => &[conns::load],
        What::Creds => &[creds::load],
        What::Pools => &[items::pools],
    };
    for note in loader.settings.notes().to_vec() {
        loader.warn(&note)?;
    }
    loader.check_sections()?;
    for (number, step) in steps.iter().enumerate() {
        let before = loader.failures;
        step(loader)?;
        // What comes later may need what is missing now. Not so after credentials, which come first: a file that is none
        // keeps no connection from being loaded that does without it.
        if number > 0 && loader.failures > before {
            break;
        }
    }
    match loader.failures {
        0 => Ok(()),
        _ => Err(Failure::Said(FAILED)),
    }
}

fn read(file: &Path) -> Result<Settings, String> {
    match Settings::load(file) {
        Ok(_) if !file.exists() => Err("there is no such file".to_owned()),
        Ok(settings) => Ok(settings),
        Err(error) => Err(error.to_string()),
    }
}
