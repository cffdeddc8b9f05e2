//! Where log lines go, by `charon.filelog`, `charon.syslog` and the command line.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use config::settings::{Settings, truth};
use plugin_api::log::Group;

use super::journal::{self, Journal};
use super::sinks::{Levels, Precision, Sink, Style};
use crate::privileges::{self, Account};
use crate::program::Program;
use crate::sys;

/// Paths that mean a standard stream.
const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// What the command line says about the log; it counts only where strongswan.conf has no logger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy {
    /// No standard output.
    pub use_syslog: bool,
    /// `--debug-<grp> N`.
    pub levels: Levels,
    /// Whose log it is. That of a service of systemd goes to the journal, unless strongswan.conf says otherwise.
    pub program: Program,
}

impl Default for Legacy {
    fn default() -> Self {
        Self {
            use_syslog: false,
            levels: [1; Group::ALL.len()],
            program: Program::default(),
        }
    }
}

/// The places, and what of the settings could not be followed.
///
/// New files are given to `account`, so that a reload can open them again.
pub fn open(settings: &Settings, legacy: &Legacy, account: Option<&Account>) -> (Vec<Sink>, Vec<String>) {
    let mut sinks = Vec::new();
    let mut problems = Vec::new();
    let tag = legacy.program.name();
    let identifier = settings.get("charon.syslog.identifier").unwrap_or(tag);
    for name in settings.sections("charon.filelog") {
        let section = Section {
            settings,
            path: format!("charon.filelog.{name}"),
        };
        match file_sink(&section, &name, account, &mut problems) {
            Ok(sink) => sinks.push(sink),
            Err(problem) => problems.push(problem),
        }
    }
    for name in settings.sections("charon.syslog") {
        let section = Section {
            settings,
            path: format!("charon.syslog.{name}"),
        };
        let facility = match name.as_str() {
            "daemon" => libc::LOG_DAEMON,
            "auth" => libc::LOG_AUTHPRIV,
            _ => {
                problems.push(format!(
                    "{}: no such syslog facility, use daemon or auth",
                    section.path
                ));
                continue;
            }
        };
        open_syslog(identifier);
        let style = Style {
            ike_name: section.flag("ike_name"),
            log_level: section.flag("log_level"),
            ..Style::default()
        };
        let map_level = section.flag("map_level");
        let levels = section.levels(&mut problems);
        sinks.push(Sink::syslog(facility, map_level, levels, style));
    }
    let journal = open_journal(settings, legacy.program, &mut problems);
    let silent = matches!(journal, Journaling::Silent);
    if let Journaling::To(sink) = journal {
        sinks.push(*sink);
    }
    // Also where none of them could be opened: a daemon must not be mute, unless that was asked for.
    if sinks.is_empty() && !(silent && problems.is_empty()) {
        open_syslog(identifier);
        if !legacy.use_syslog {
            sinks.push(Sink::stdout(legacy.levels, Style::default()));
        }
        sinks.push(Sink::syslog(
            libc::LOG_DAEMON,
            false,
            legacy.levels,
            Style::default(),
        ));
        sinks.push(Sink::syslog(
            libc::LOG_AUTHPRIV,
            false,
            [0; Group::ALL.len()],
            Style::default(),
        ));
    }
    (sinks, problems)
}

/// What becomes of the journal.
enum Journaling {
    /// It is not asked for, or cannot be reached.
    Not,
    /// It is asked for, without any line.
    Silent,
    To(Box<Sink>),
}

fn open_journal(settings: &Settings, program: Program, problems: &mut Vec<String>) -> Journaling {
    let section = Section {
        settings,
        path: "charon.journal".to_owned(),
    };
    let named = settings.sections("charon").iter().any(|name| name == "journal");
    if !named && program == Program::Charon {
        return Journaling::Not;
    }
    let levels = section.levels(problems);
    if levels.iter().all(|level| *level < 0) {
        return Journaling::Silent;
    }
    let path = section.text("path").unwrap_or(journal::SOCKET);
    match Journal::connect(Path::new(path), program.name()) {
        Ok(journal) => Journaling::To(Box::new(Sink::journal(journal, levels))),
        Err(error) => {
            // Files that come with strongSwan have an empty section, also where there is no journal.
            if program == Program::Charon || !settings.keys(&section.path).is_empty() {
                problems.push(format!(
                    "charon.journal: cannot connect to '{path}' for the log: {error}"
                ));
            }
            Journaling::Not
        }
    }
}

/// Whether strongswan.conf has loggers, so that levels cannot be changed by a command.
pub fn configured(settings: &Settings) -> bool {
    let sections = ["charon.filelog", "charon.syslog"];
    sections
        .iter()
        .any(|section| !settings.sections(section).is_empty())
        || settings.sections("charon").iter().any(|name| name == "journal")
}

/// The files of `charon.filelog`.
pub fn files(settings: &Settings) -> Vec<PathBuf> {
    let names = settings.sections("charon.filelog").into_iter();
    let paths = names.map(|name| {
        let set = settings.get(&format!("charon.filelog.{name}.path"));
        set.map_or(name.clone(), str::to_owned)
    });
    let files = paths.filter(|path| !STREAMS.contains(&path.as_str()));
    files.map(PathBuf::from).collect()
}

fn file_sink(
    section: &Section<'_>,
    name: &str,
    account: Option<&Account>,
    problems: &mut Vec<String>,
) -> Result<Sink, String> {
    let style = Style {
        ike_name: section.flag("ike_name"),
        log_level: section.flag("log_level"),
        time_format: section.text("time_format").map(str::to_owned),
        precision: match section.text("time_precision") {
            Some("ms") => Precision::Milliseconds,
            Some("us") => Precision::Microseconds,
            Some(other) => {
                problems.push(format!(
                    "{}.time_precision = {other}: expected ms or us",
                    section.path
                ));
                Precision::Seconds
            }
            None if section.flag("time_add_ms") => Precision::Milliseconds,
            None => Precision::Seconds,
        },
        json: section.flag("json"),
    };
    let levels = section.levels(problems);
    let path = section.text("path").unwrap_or(name);
    match path {
        "stdout" => Ok(Sink::stdout(levels, style)),
        "stderr" => Ok(Sink::stderr(levels, style)),
        _ => {
            let append = section.text("append").and_then(truth).unwrap_or(true);
            let file = open_file(Path::new(path), append, account).map_err(|error| {
                let hint = privileges::hint(&error);
                format!(
                    "{}: cannot open '{path}' for the log: {error}{hint}",
                    section.path
                )
            })?;
            Ok(Sink::file(file, levels, style, section.flag("flush_line")))
        }
    }
}

fn open_file(path: &Path, append: bool, account: Option<&Account>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // The log tells of identities and addresses.
    options.write(true).append(append).mode(0o640);
    if let Some(account) = account {
        // Existing files keep their owner: one may be a link that the account has made to a file of root's.
        match options.clone().create_new(true).open(path) {
            Ok(file) => return account.give(&file).map(|()| file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    options.create(true).truncate(!append).open(path)
}

fn open_syslog(identifier: &str) {
    static IDENTIFIER: OnceLock<CString> = OnceLock::new();
    sys::open_syslog(IDENTIFIER.get_or_init(|| CString::new(identifier).unwrap_or_default()));
}

struct Section<'a> {
    settings: &'a Settings,
    path: String,
}

impl Section<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.settings.get(&format!("{}.{key}", self.path))
    }

    fn flag(&self, key: &str) -> bool {
        self.text(key).and_then(truth).unwrap_or(false)
    }

    fn level(&self, key: &str, problems: &mut Vec<String>) -> Option<i8> {
        let text = self.text(key)?;
        let level = text.parse().ok().filter(|level| (-1..=4).contains(level));
        if level.is_none() {
            problems.push(format!(
                "{}.{key} = {text}: a log level is a number from -1 to 4",
                self.path
            ));
        }
        level
    }

    fn levels(&self, problems: &mut Vec<String>) -> Levels {
        let default = self.level("default", problems).unwrap_or(1);
        Group::ALL.map(|group| {
            self.level(&group.name().to_lowercase(), problems)
                .unwrap_or(default)
        })
    }
}
