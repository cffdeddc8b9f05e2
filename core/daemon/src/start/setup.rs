//! Settings and account, read while the process has one thread.

use std::fs::File;
use std::path::PathBuf;

use config::options::Options;
use config::settings::{self, Settings};
use config::strongswan_conf::check::{self, Finding, What};
use plugin_api::log::Group;

use super::Failure;
use crate::log::Logger;
use crate::log::targets::{self, Legacy};
use crate::paths::Paths;
use crate::privileges::{self, Account};
use crate::program::Program;
use crate::{plugins, product};

/// The settings of a start.
pub(super) struct Setup {
    pub(super) paths: Paths,
    pub(super) settings: Settings,
    /// What of strongswan.conf does not do what it says.
    pub(super) findings: Vec<Finding>,
    /// The daemon's options, with warnings about malformed ones.
    pub(super) parsed: (Options, Vec<String>),
    /// The account to change to.
    pub(super) account: Option<Account>,
    /// Why the daemon cannot start. It is reported once the log is open.
    failure: Option<Failure>,
}

impl Setup {
    pub(super) fn read(program: Program) -> Result<Self, Failure> {
        let executable = std::env::current_exe().map_err(|error| {
            Failure::new(format!("cannot determine the path of this executable: {error}"))
        })?;
        let mut paths = Paths::of(&executable);
        let file = paths.strongswan_conf();
        let (read, mut problem) = match Read::of(&paths, program) {
            Ok(read) => (read, None),
            Err(message) => (Read::default(), Some(message)),
        };
        let Read { settings, findings } = read;
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
            findings,
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
        let program = legacy.program.name();
        let system = product::system();
        let (name, version) = (product::NAME, product::VERSION);
        let host_system = format!("{} {}, {}", system.name, system.release, system.machine);
        logger.log(
            Group::Dmn,
            1,
            format!("Starting IKE {program} daemon ({name} {version}, {host_system})"),
        );
        for problem in problems {
            // Whoever waits for lines in a file that cannot be written to may not look at other logs.
            eprintln!("{program}: {problem}");
            logger.log(Group::Dmn, 0, problem);
        }
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// strongswan.conf as it was read.
#[derive(Default)]
pub(super) struct Read {
    pub(super) settings: Settings,
    /// What does not do what it says.
    pub(super) findings: Vec<Finding>,
}

impl Read {
    /// Reads it. A missing file has no settings, unless the environment names it.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or demands what the daemon must not run without.
    pub(super) fn of(paths: &Paths, program: Program) -> Result<Self, String> {
        let path = paths.strongswan_conf();
        if Paths::is_conf_named() && path.try_exists().is_ok_and(|exists| !exists) {
            return Err(format!(
                "there is no file '{}', which the environment variable STRONGSWAN_CONF names",
                path.display()
            ));
        }
        let raw = Settings::load(&path).map_err(|error| {
            let hint = match &error {
                settings::Error::Open { file, .. } => File::open(file).err(),
                settings::Error::Syntax { .. } => None,
            };
            let hint = hint.as_ref().map_or(String::new(), privileges::hint);
            format!("invalid config file '{}': {error}{hint}", path.display())
        })?;
        let mut settings = raw.clone();
        if program == Program::Systemd {
            settings = settings.overlaid(program.name(), Program::Charon.name());
        }
        let settings = settings.inheriting(Program::Charon.name(), "libstrongswan");
        let mut paths = paths.clone();
        paths.apply(&settings);
        let kind = |plugin: &str| plugins::kind(&settings, &paths.plugins, plugin);
        let findings = check::findings(&raw, &kind);
        match findings
            .iter()
            .find(|finding| matches!(finding.what, What::Refused(_)))
        {
            Some(refused) => Err(refused.to_string()),
            None => Ok(Self { settings, findings }),
        }
    }

    /// Says what does not do what it says.
    pub(super) fn report(findings: &[Finding], logger: &Logger) {
        for finding in findings {
            logger.log(Group::Cfg, finding.level(), finding.to_string());
        }
    }
}
