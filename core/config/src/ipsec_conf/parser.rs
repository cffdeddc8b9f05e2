//! The form of ipsec.conf: sections begin in the first column, their settings are indented.

use std::fs;
use std::path::Path;

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

pub(super) fn file(path: &Path) -> Result<Vec<RawSection>, Error> {
    let mut parser = Parser::default();
    parser.file(path, 0)?;
    Ok(parser.sections)
}

pub(super) fn text(text: &str, path: &Path) -> Result<Vec<RawSection>, Error> {
    let mut parser = Parser::default();
    parser.text(text, path, 0)?;
    Ok(parser.sections)
}

#[derive(Default)]
struct Parser {
    sections: Vec<RawSection>,
    /// The section that indented lines belong to.
    current: Option<usize>,
}

impl Parser {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), Error> {
        let content = fs::read(path).map_err(|error| Error::Open {
            file: path.display().to_string(),
            reason: error.to_string(),
        })?;
        self.text(&String::from_utf8_lossy(&content), path, depth)
    }

    fn text(&mut self, text: &str, path: &Path, depth: usize) -> Result<(), Error> {
        self.current = None;
        let name = path
            .file_name()
            .map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
        for (line, number) in text.lines().zip(1..) {
            let error = |expected: String| Error::Syntax {
                file: path.display().to_string(),
                line: number,
                expected,
            };
            let place = format!("{name}:{number}");
            let content = without_comment(line);
            if content.trim().is_empty() {
                continue;
            }
            if content.starts_with(char::is_whitespace) {
                let current = self.current.and_then(|index| self.sections.get_mut(index));
                let Some(section) = current else {
                    return Err(error(
                        "an indented line belongs to a section, expected one before it".into(),
                    ));
                };
                section.settings.push(setting(content, place).map_err(error)?);
                continue;
            }
            let (word, rest) = content.split_once(char::is_whitespace).unwrap_or((content, ""));
            let rest = rest.trim();
            match word {
                "config" if rest == "setup" => self.open(SectionKind::Setup, "setup", place),
                "conn" | "ca" if !rest.is_empty() => {
                    let kind = if word == "conn" {
                        SectionKind::Conn
                    } else {
                        SectionKind::Ca
                    };
                    self.open(kind, &unquoted(rest).map_err(error)?, place);
                }
                "include" if !rest.is_empty() => {
                    if depth >= MAX_DEPTH {
                        return Err(error(format!("files are included more than {MAX_DEPTH} deep")));
                    }
                    let pattern = unquoted(rest).map_err(error)?;
                    let paths = crate::include::matching(&pattern, path);
                    for included in paths.map_err(|hidden| error(hidden.to_string()))? {
                        self.file(&included, depth + 1)?;
                    }
                    self.current = None;
                }
                "version" => {}
                _ => {
                    let found = content.trim().escape_debug();
                    return Err(error(format!(
                        "unexpected '{found}', expected 'config setup', 'conn NAME', 'ca NAME' or 'include FILE'"
                    )));
                }
            }
        }
        Ok(())
    }

    /// A section of the same kind and name goes on where it was left.
    fn open(&mut self, kind: SectionKind, name: &str, place: String) {
        let known = self
            .sections
            .iter()
            .position(|section| section.kind == kind && section.name == name);
        self.current = Some(known.unwrap_or_else(|| {
            self.sections.push(RawSection {
                kind,
                name: name.to_owned(),
                place,
                settings: Vec::new(),
            });
            self.sections.len() - 1
        }));
    }
}

/// The line without what follows a `#` outside quotes.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return &line[..at],
            _ => {}
        }
    }
    line
}

fn setting(line: &str, place: String) -> Result<RawSetting, String> {
    let Some((key, value)) = line.split_once('=') else {
        return Err(format!(
            "unexpected '{}', expected 'key = value'",
            line.trim().escape_debug()
        ));
    };
    let key = key.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(format!(
            "unexpected '{}', expected one keyword before '='",
            key.escape_debug()
        ));
    }
    Ok(RawSetting {
        key: key.to_owned(),
        value: unquoted(value)?,
        place,
    })
}

/// Words and quoted strings, joined by one blank.
fn unquoted(text: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (part, after) = quoted
                .split_once('"')
                .ok_or("quoted string is not closed, expected '\"'".to_owned())?;
            parts.push(part);
            rest = after.trim_start();
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || c == '"')
                .unwrap_or(rest.len());
            parts.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
    }
    Ok(parts.join(" "))
}
