//! Where log lines go, by `charon.filelog`, `charon.syslog` and the command line.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use config::settings::Settings;
use plugin_api::log::Group;

use super::journal::{self, Journal};
use super::sinks::{Levels, Precision, Sink, Style};
use crate::options::truth;
use crate::sys;

/// What the command line says about the log; it counts only where strongswan.conf has no logger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy {
    /// No standard output.
    pub use_syslog: bool,
    /// `--debug-<grp> N`.
    pub levels: Levels,
}

impl Default for Legacy {
    fn default() -> Self {
        Self {
            use_syslog: false,
            levels: [1; Group::ALL.len()],
        }
    }
}

/// The places, and what of the settings could not be followed.
pub fn open(settings: &Settings, legacy: &Legacy) -> (Vec<Sink>, Vec<String>) {
    let mut sinks = Vec::new();
    let mut problems = Vec::new();
    let identifier = settings.get("charon.syslog.identifier").map(str::to_owned);
    for name in settings.sections("charon.filelog") {
        let section = Section {
            settings,
            path: format!("charon.filelog.{name}"),
        };
        match file_sink(&section, &name, &mut problems) {
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
        open_syslog(identifier.as_deref());
        let style = Style {
            ike_name: section.flag("ike_name"),
            log_level: section.flag("log_level"),
            ..Style::default()
        };
        let map_level = section.flag("map_level");
        let levels = section.levels(&mut problems);
        sinks.push(Sink::syslog(facility, map_level, levels, style));
    }
    if settings.sections("charon").iter().any(|name| name == "journal") {
        let section = Section {
            settings,
            path: "charon.journal".to_owned(),
        };
        let path = section.text("path").unwrap_or(journal::SOCKET);
        match Journal::connect(Path::new(path)) {
            Ok(journal) => sinks.push(Sink::journal(journal, section.levels(&mut problems))),
            Err(error) => problems.push(format!(
                "charon.journal: cannot connect to '{path}' for the log: {error}"
            )),
        }
    }
    // Also where none of them could be opened: a daemon must not be mute.
    if sinks.is_empty() {
        open_syslog(identifier.as_deref());
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

/// Whether strongswan.conf has loggers, so that levels cannot be changed by a command.
pub fn configured(settings: &Settings) -> bool {
    let sections = ["charon.filelog", "charon.syslog"];
    sections
        .iter()
        .any(|section| !settings.sections(section).is_empty())
        || settings.sections("charon").iter().any(|name| name == "journal")
}

fn file_sink(section: &Section<'_>, name: &str, problems: &mut Vec<String>) -> Result<Sink, String> {
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
            let file = open_file(Path::new(path), append)
                .map_err(|error| format!("{}: cannot open '{path}' for the log: {error}", section.path))?;
            Ok(Sink::file(file, levels, style, section.flag("flush_line")))
        }
    }
}

fn open_file(path: &Path, append: bool) -> io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    // Identities and addresses are nobody else's business.
    OpenOptions::new()
        .create(true)
        .write(true)
        .append(append)
        .truncate(!append)
        .mode(0o640)
        .open(path)
}

fn open_syslog(identifier: Option<&str>) {
    static IDENTIFIER: OnceLock<CString> = OnceLock::new();
    sys::open_syslog(
        IDENTIFIER.get_or_init(|| CString::new(identifier.unwrap_or("charon")).unwrap_or_default()),
    );
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
