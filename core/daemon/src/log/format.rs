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
    /// What comes behind the time.
    pub precision: Precision,
    /// An object of JSON a line instead.
    pub json: bool,
}

/// What comes behind the seconds of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Nothing.
    #[default]
    Seconds,
    /// Three digits.
    Milliseconds,
    /// Six digits.
    Microseconds,
}

/// Appends a record, one line for each line of its text.
pub(super) fn append(out: &mut String, style: &Style, record: &Record) {
    if style.json {
        return append_json(out, style, record);
    }
    let mut prefix = String::new();
    if let Some(format) = &style.time_format {
        append_time(&mut prefix, format, style.precision, record);
        prefix.push(' ');
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

/// An object for each line, with the keys of vici's event `log`.
fn append_json(out: &mut String, style: &Style, record: &Record) {
    let line = &record.line;
    for text in line.text.lines() {
        let mut object = serde_json::Map::new();
        if let Some(format) = &style.time_format {
            let mut time = String::new();
            append_time(&mut time, format, style.precision, record);
            object.insert("time".into(), time.into());
        }
        object.insert("thread".into(), record.thread.into());
        object.insert("group".into(), line.group.name().into());
        object.insert("level".into(), line.level.into());
        if let Some((id, name)) = &line.sa {
            object.insert("ikesa-uniqueid".into(), id.to_string().into());
            object.insert("ikesa-name".into(), name.as_ref().into());
        }
        object.insert("msg".into(), text.into());
        let _ = writeln!(out, "{}", serde_json::Value::Object(object));
    }
}

fn append_time(out: &mut String, format: &str, precision: Precision, record: &Record) {
    let Ok(time) = jiff::Timestamp::try_from(record.time) else {
        return;
    };
    let zoned = time.to_zoned(jiff::tz::TimeZone::system());
    // An unknown conversion shows as it was written, rather than silencing the log.
    match jiff::fmt::strtime::format(format, &zoned) {
        Ok(text) => out.push_str(&text),
        Err(_) => out.push_str(format),
    }
    let _ = match precision {
        Precision::Seconds => Ok(()),
        Precision::Milliseconds => write!(out, ".{:03}", zoned.millisecond()),
        Precision::Microseconds => write!(out, ".{:06}", zoned.subsec_nanosecond() / 1000),
    };
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
