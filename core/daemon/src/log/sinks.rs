//! One place that log lines go to.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use plugin_api::log::Group;

use super::Record;
use super::format::{self, append_escaped};

pub use super::format::Style;

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
    Syslog(i32),
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

    /// Writes to syslog.
    pub fn syslog(facility: i32, levels: Levels, style: Style) -> Self {
        Self {
            levels,
            style,
            flush_line: true,
            writer: Writer::Syslog(facility),
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
        self.line.clear();
        format::append(&mut self.line, &self.style, record);
        match &mut self.writer {
            Writer::Stream(stream) => {
                let _ = stream.write_all(self.line.as_bytes());
                if self.flush_line {
                    let _ = stream.flush();
                }
            }
            Writer::Syslog(facility) => {
                for line in self.line.lines() {
                    let mut text = String::with_capacity(line.len());
                    append_escaped(&mut text, line);
                    crate::sys::syslog(*facility, &text);
                }
            }
        }
    }

    pub(super) fn flush(&mut self) {
        if let Writer::Stream(stream) = &mut self.writer {
            let _ = stream.flush();
        }
    }
}
