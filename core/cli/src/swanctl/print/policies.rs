//! Trap and shunt policies.

use std::io::{self, Write};

use control::vici::Message;

use super::{line, sections, value};

pub(in crate::swanctl) fn event(out: &mut dyn Write, message: &Message) -> io::Result<()> {
    for (name, policy) in sections(message) {
        write!(out, "{name}, ")?;
        if let Some(reqid) = policy.get_str("reqid") {
            write!(out, "reqid {reqid}, ")?;
        }
        writeln!(out, "{}", value(&policy, "mode"))?;
        if let Some(label) = policy.get_str("label") {
            writeln!(out, "  label:  {label}")?;
        }
        line(out, "  local:  ", &policy, "local-ts")?;
        line(out, "  remote: ", &policy, "remote-ts")?;
    }
    Ok(())
}
