//! One place that log lines go to.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use plugin_api::log::Group;

use super::Record;
use super::format::{self, append_escaped};
use super::journal::Journal;

pub use super::format::{Precision, Style};

/// Levels of all groups; lines above are left out.
pub type Levels = [i8; Group::ALL.len()];

/// A file, a standard stream, or syslog.
pub struct Sink {
    levels: Levels,
    style: Style,
    flush_line: bool,
    writer: Writer,
    line: String,
}

enum Writer {
    Stream(BufWriter<Box<dyn Write + Send>>),
    /// A facility, and whether levels become priorities.
    Syslog(i32, bool),
    Journal(Journal),
}

impl Sink {
    /// Writes to standard output.
    pub fn stdout(levels: Levels, style: Style) -> Self {
        Self::stream(Box::new(io::stdout()), levels, style, true)
    }

    /// Writes to standard error.
    pub fn stderr(levels: Levels, style: Style) -> Self {
        Self::stream(Box::new(io::stderr()), levels, style, true)
    }

    /// Writes to a file.
    pub fn file(file: File, levels: Levels, style: Style, flush_line: bool) -> Self {
        Self::stream(Box::new(file), levels, style, flush_line)
    }

    /// Writes to whatever is given.
    pub fn stream(stream: Box<dyn Write + Send>, levels: Levels, style: Style, flush_line: bool) -> Self {
        Self {
            levels,
            style,
            flush_line,
            writer: Writer::Stream(BufWriter::new(stream)),
            line: String::new(),
        }
    }

    /// Writes to syslog; all with the same priority, unless their levels are to show in it.
    pub fn syslog(facility: i32, map_level: bool, levels: Levels, style: Style) -> Self {
        Self {
            levels,
            style,
            flush_line: true,
            writer: Writer::Syslog(facility, map_level),
            line: String::new(),
        }
    }

    /// Writes to the journal of systemd.
    pub fn journal(journal: Journal, levels: Levels) -> Self {
        Self {
            levels,
            style: Style::default(),
            flush_line: true,
            writer: Writer::Journal(journal),
            line: String::new(),
        }
    }

    /// The level of each group.
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Writes a line if its level is wanted. Failures have nowhere to go and are dropped.
    pub(super) fn write(&mut self, record: &Record) {
        if record.line.level > self.levels[record.line.group as usize] {
            return;
        }
        if let Writer::Journal(journal) = &self.writer {
            return journal.write(record);
        }
        self.line.clear();
        format::append(&mut self.line, &self.style, record);
        match &mut self.writer {
            Writer::Stream(stream) => {
                let _ = stream.write_all(self.line.as_bytes());
                if self.flush_line {
                    let _ = stream.flush();
                }
            }
            Writer::Syslog(facility, map_level) => {
                let priority = if *map_level {
                    priority(record.line.level)
                } else {
                    libc::LOG_INFO
                };
                for line in self.line.lines() {
                    let mut text = String::with_capacity(line.len());
                    append_escaped(&mut text, line);
                    crate::sys::syslog(*facility | priority, &text);
                }
            }
            Writer::Journal(_) => {}
        }
    }

    pub(super) fn flush(&mut self) {
        if let Writer::Stream(stream) = &mut self.writer {
            let _ = stream.flush();
        }
    }
}

/// The priority that a level corresponds to.
pub(super) fn priority(level: i8) -> i32 {
    match level {
        ..=0 => libc::LOG_NOTICE,
        1 => libc::LOG_INFO,
        _ => libc::LOG_DEBUG,
    }
}
