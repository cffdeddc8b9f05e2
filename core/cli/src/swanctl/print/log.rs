//! Log lines.

use std::io::{self, Write};

use control::vici::Message;

use super::value;

/// A line that belongs to a command: `[IKE] establishing CHILD_SA net{1}`.
pub(in crate::swanctl) fn control_log(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    writeln!(out, "[{}] {}", value(message, "group"), value(message, "msg"))
}

/// A line of the daemon: `09[IKE] establishing CHILD_SA net{1}`.
pub(in crate::swanctl) fn log(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    let thread = message.get_int("thread").unwrap_or_default();
    write!(out, "{thread:02}")?;
    control_log(out, message)
}
