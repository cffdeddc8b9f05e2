//! Settings and account, read while the process has one thread.

use std::fs::File;
use std::path::{Path, PathBuf};

use config::options::Options;
use config::settings::{self, Settings};
use plugin_api::log::Group;

use super::Failure;
use crate::log::Logger;
use crate::log::targets::{self, Legacy};
use crate::paths::Paths;
use crate::privileges::{self, Account};
use crate::product;

/// The settings of a start.
pub(super) struct Setup {
    pub(super) paths: Paths,
    pub(super) settings: Settings,
    /// The daemon's options, with warnings about malformed ones.
    pub(super) parsed: (Options, Vec<String>),
    /// The account to change to.
    pub(super) account: Option<Account>,
    /// Why the daemon cannot start. It is reported once the log is open.
    failure: Option<Failure>,
}

impl Setup {
    pub(super) fn read() -> Result<Self, Failure> {
        let executable = std::env::current_exe().map_err(|error| {
            Failure::new(format!("cannot determine the path of this executable: {error}"))
        })?;
        let mut paths = Paths::of(&executable);
        let file = paths.strongswan_conf();
        let (settings, mut problem) = match load_settings(&file) {
            Ok(settings) => (settings, None),
            Err(message) => (Settings::default(), Some(message)),
        };
        paths.apply(&settings);
        let parsed = Options::from_settings(&settings);
        let Options { user, group, .. } = &parsed.0;
        let account = Account::look_up(user.as_deref(), group.as_deref()).unwrap_or_else(|unknown| {
            problem = Some(unknown.in_file(&file));
            None
        });
        let code = Failure::SETTINGS;
        Ok(Self {
            paths,
            settings,
            parsed,
            account,
            failure: problem.map(|message| Failure { code, message }),
        })
    }

    /// Files that the running daemon reads again, and log files that a reload opens again.
    pub(super) fn files(&self) -> [Vec<PathBuf>; 2] {
        let read = vec![self.paths.strongswan_conf(), self.paths.secrets(&self.settings)];
        [read, targets::files(&self.settings)]
    }

    /// Opens the log where the settings say.
    ///
    /// # Errors
    ///
    /// Why the daemon cannot start with these settings.
    pub(super) fn open_log(&mut self, legacy: &Legacy, logger: &Logger) -> Result<(), Failure> {
        let (sinks, problems) = targets::open(&self.settings, legacy, self.account.as_ref());
        logger.set_sinks(sinks);
        let system = product::system();
        let (name, version) = (product::NAME, product::VERSION);
        let host_system = format!("{} {}, {}", system.name, system.release, system.machine);
        logger.log(
            Group::Dmn,
            1,
            format!("Starting IKE charon daemon ({name} {version}, {host_system})"),
        );
        problems
            .into_iter()
            .for_each(|problem| logger.log(Group::Dmn, 0, problem));
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// Reads strongswan.conf. A missing file has no settings.
pub(super) fn load_settings(path: &Path) -> Result<Settings, String> {
    Settings::load(path).map_err(|error| {
        let hint = match &error {
            settings::Error::Open { file, .. } => File::open(file).err(),
            settings::Error::Syntax { .. } => None,
        };
        let hint = hint.as_ref().map_or(String::new(), privileges::hint);
        format!("invalid config file '{}': {error}{hint}", path.display())
    })
}
