//! The form of ipsec.conf: sections begin in the first column, their settings are indented.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::{include, octets};

/// Files may include others this deep; a loop ends here.
const MAX_DEPTH: usize = 20;

/// Why a file was not read: `unable to start`, or on a reload the old one stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("unable to open '{file}': {reason}")]
    Open {
        /// Which.
        file: String,
        /// Why.
        reason: String,
    },
    /// The form is broken.
    #[error("{file}:{line}: {expected}")]
    Syntax {
        /// Which.
        file: String,
        /// Where.
        line: usize,
        /// What was found, and what was expected.
        expected: String,
    },
    /// A setting that concerns all connections has a value that says nothing.
    #[error("{place}: bad value {key}={value}, expected {expected}")]
    Setting {
        /// File and line.
        place: String,
        /// Which.
        key: &'static str,
        /// What was found.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SectionKind {
    Setup,
    Conn,
    Ca,
}

/// A section as written.
#[derive(Debug)]
pub(super) struct RawSection {
    pub(super) kind: SectionKind,
    pub(super) name: String,
    /// File and line.
    pub(super) place: String,
    pub(super) settings: Vec<RawSetting>,
}

/// `key = value`.
#[derive(Debug)]
pub(super) struct RawSetting {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) place: String,
}

/// What a file and those that it includes say.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) sections: Vec<RawSection>,
    /// What looks like a mistake, with file and line.
    pub(super) messages: Vec<String>,
}

pub(super) fn file(path: &Path) -> Result<Raw, Error> {
    let mut parser = Parser::default();
    parser.file(path, 0)?;
    Ok(parser.raw)
}

pub(super) fn text(text: &str, path: &Path) -> Result<Raw, Error> {
    let mut parser = Parser::default();
    parser.text(text, path, 0)?;
    Ok(parser.raw)
}

#[derive(Default)]
struct Parser {
    raw: Raw,
    /// Where the section of a kind and a name is.
    known: HashMap<(SectionKind, String), usize>,
    /// The section that indented lines belong to, also those of a file that it includes.
    current: Option<usize>,
    files: usize,
}

impl Parser {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), Error> {
        let content = fs::read(path).map_err(|error| Error::Open {
            file: path.display().to_string(),
            reason: error.to_string(),
        })?;
        if let Some(line) = octets::lone_return(&content) {
            return Err(Error::Syntax {
                file: path.display().to_string(),
                line,
                expected: octets::LONE_RETURN.into(),
            });
        }
        self.text(&octets::hold(&content), path, depth)
    }

    fn text(&mut self, text: &str, path: &Path, depth: usize) -> Result<(), Error> {
        let name = path
            .file_name()
            .map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
        for (number, line) in joined_lines(text) {
            let error = |expected: String| Error::Syntax {
                file: path.display().to_string(),
                line: number,
                expected,
            };
            if number == 1 && line.starts_with('\u{feff}') {
                return Err(error(
                    "the file begins with a byte order mark, save it as UTF-8 without one".into(),
                ));
            }
            let place = format!("{name}:{number}");
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (word, rest) = first_word(content);
            let is_setting = rest.starts_with('=');
            match word {
                "version" => {}
                "include" if !is_setting && !rest.is_empty() => {
                    let pattern = pattern(rest).map_err(error)?;
                    if depth >= MAX_DEPTH {
                        return Err(error(format!("files are included more than {MAX_DEPTH} deep")));
                    }
                    self.include(&pattern, path, &place, depth)
                        .map_err(|failed| match failed {
                            Failed::Here(why) => error(why),
                            Failed::Within(within) => within,
                        })?;
                }
                _ if line.starts_with(char::is_whitespace) => {
                    let current = self.current.and_then(|index| self.raw.sections.get_mut(index));
                    let Some(section) = current else {
                        return Err(error(
                            "an indented line belongs to a section, expected one before it".into(),
                        ));
                    };
                    section.settings.push(setting(content, place).map_err(error)?);
                }
                "config" if value(rest).as_deref() == Ok("setup") => {
                    self.open(SectionKind::Setup, "setup", place);
                }
                "conn" | "ca" if !rest.is_empty() && !is_setting => {
                    let kind = match word {
                        "conn" => SectionKind::Conn,
                        _ => SectionKind::Ca,
                    };
                    let name = value(rest).map_err(error)?;
                    self.open(kind, &name, place);
                }
                _ => {
                    let found = octets::shown(content);
                    return Err(error(format!(
                        "unexpected '{found}', expected 'config setup', 'conn NAME', 'ca NAME' or 'include FILE'"
                    )));
                }
            }
        }
        Ok(())
    }

    fn include(&mut self, pattern: &str, from: &Path, place: &str, depth: usize) -> Result<(), Failed> {
        let paths = include::matching(pattern, from).map_err(|hidden| Failed::Here(hidden.to_string()))?;
        if paths.is_empty() {
            self.raw.messages.push(include::nothing(pattern, place));
        }
        for included in paths {
            self.files += 1;
            if self.files > include::MAX_FILES {
                let why = format!("more than {} files are included", include::MAX_FILES);
                return Err(Failed::Here(why));
            }
            self.file(&included, depth + 1).map_err(Failed::Within)?;
        }
        Ok(())
    }

    /// A section of the same kind and name goes on where it was left.
    fn open(&mut self, kind: SectionKind, name: &str, place: String) {
        let sections = &mut self.raw.sections;
        let index = self.known.entry((kind, name.to_owned())).or_insert_with(|| {
            sections.push(RawSection {
                kind,
                name: name.to_owned(),
                place,
                settings: Vec::new(),
            });
            sections.len() - 1
        });
        self.current = Some(*index);
    }
}

/// Why files were not included: the line that wants them is wrong, or one of them is.
enum Failed {
    Here(String),
    Within(Error),
}

/// Lines with their numbers. In a quoted string a backslash at the end of a line joins it with the next one.
fn joined_lines(text: &str) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (line, number) in text.lines().zip(1..) {
        match joined.last_mut().filter(|_| goes_on) {
            Some((_, start)) => {
                start.pop();
                start.push_str(line);
            }
            None => joined.push((number, line.to_owned())),
        }
        goes_on = joined.last().is_some_and(|(_, line)| ends_in_quotes(line));
    }
    joined
}

/// Whether a line ends within quotes, with a backslash that escapes its end.
fn ends_in_quotes(line: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted && !is_key_id(line, at) => return false,
            _ => {}
        }
    }
    escaped
}

/// Whether the `#` at this place is that of `@#`, which begins a word.
fn is_key_id(line: &str, at: usize) -> bool {
    let Some(before) = line[..at].strip_suffix('@') else {
        return false;
    };
    before.ends_with(|c: char| c.is_whitespace() || matches!(c, '=' | '"')) || before.is_empty()
}

/// The first word of a line, and what follows it.
fn first_word(line: &str) -> (&str, &str) {
    let end = line
        .find(|c: char| c.is_whitespace() || matches!(c, '=' | '#' | '"'))
        .unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let rest = rest.trim_start();
    (word, if rest.starts_with('#') { "" } else { rest })
}

fn setting(line: &str, place: String) -> Result<RawSetting, String> {
    let end = line.find(['=', '#']).filter(|at| line[*at..].starts_with('='));
    let Some((key, text)) = end.map(|at| (line[..at].trim(), &line[at + 1..])) else {
        return Err(format!(
            "unexpected '{}', expected 'key = value'",
            octets::shown(line.split('#').next().unwrap_or(line).trim())
        ));
    };
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(format!(
            "unexpected '{}', expected one keyword before '='",
            octets::shown(key)
        ));
    }
    Ok(RawSetting {
        key: key.to_owned(),
        value: value(text)?,
        place,
    })
}

/// Words and quoted strings up to a comment, joined by one blank.
fn value(text: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next().filter(|first| *first != '#') {
        let (part, after) = match first {
            '"' => quoted(&rest[1..])?,
            _ => {
                let (word, after) = rest.split_at(word_end(rest));
                (word.to_owned(), after)
            }
        };
        parts.push(part);
        rest = after.trim_start();
    }
    Ok(parts.join(" "))
}

/// Where a word ends: before a blank, a quoted string or a comment. The `#` of `@#` at its start begins a key ID.
fn word_end(text: &str) -> usize {
    let start = if text.starts_with("@#") { 2 } else { 0 };
    let end = text[start..].find(|c: char| c.is_whitespace() || matches!(c, '"' | '#'));
    end.map_or(text.len(), |end| start + end)
}

/// The string that a quote has opened, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next() {
            Some('"') => return Ok((out, characters.as_str())),
            Some('\\') => match characters.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => break,
            },
            Some(other) => out.push(other),
            None => break,
        }
    }
    Err("quoted string is not closed, expected '\"'".to_owned())
}

/// The files to include: a quoted string, or a word in which a backslash makes a blank or `#` part of it.
fn pattern(text: &str) -> Result<String, String> {
    if let Some(text) = text.strip_prefix('"') {
        return quoted(text).map(|(pattern, _)| pattern);
    }
    let mut out = String::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next_if(|next| matches!(next, '"' | '#' | '}' | ' ')) {
                Some(escaped) => out.push(escaped),
                None => out.push('\\'),
            },
            c if c.is_whitespace() || c == '#' => break,
            c => out.push(c),
        }
    }
    Ok(out)
}
