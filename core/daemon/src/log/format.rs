//! What a log line looks like in a file: `[TIME ]08[IKE] <Tunnel1|1> initiating …`, one prefix a line.

use std::fmt::Write;

use super::Record;

/// What goes before the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Name and number of the IKE_SA.
    pub ike_name: bool,
    /// The level's digit behind the group.
    pub log_level: bool,
    /// strftime format of the time; none where empty.
    pub time_format: Option<String>,
    /// Milliseconds behind the time.
    pub time_add_ms: bool,
}

/// Appends a record, one line for each line of its text.
pub(super) fn append(out: &mut String, style: &Style, record: &Record) {
    let mut prefix = String::new();
    if let Some(format) = &style.time_format {
        append_time(&mut prefix, format, style.time_add_ms, record);
    }
    let line = &record.line;
    let _ = write!(prefix, "{:02}[{}", record.thread, line.group);
    if style.log_level {
        let _ = write!(prefix, "{}", line.level);
    }
    prefix.push_str("] ");
    if style.ike_name
        && let Some((id, name)) = &line.sa
    {
        match name.as_ref() {
            "" | "(unnamed)" => _ = write!(prefix, "<{id}> "),
            name => _ = write!(prefix, "<{name}|{id}> "),
        }
    }
    for text in line.text.lines() {
        out.push_str(&prefix);
        append_escaped(out, text);
        out.push('\n');
    }
}

fn append_time(out: &mut String, format: &str, milliseconds: bool, record: &Record) {
    let Ok(time) = jiff::Timestamp::try_from(record.time) else {
        return;
    };
    let zoned = time.to_zoned(jiff::tz::TimeZone::system());
    // An unknown conversion shows as it was written, rather than silencing the log.
    match jiff::fmt::strtime::format(format, &zoned) {
        Ok(text) => out.push_str(&text),
        Err(_) => out.push_str(format),
    }
    if milliseconds {
        let _ = write!(out, ".{:03}", zoned.millisecond());
    }
    out.push(' ');
}

/// Appends text whose control characters could move the cursor of a terminal, or forge lines.
pub(super) fn append_escaped(out: &mut String, text: &str) {
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
}
